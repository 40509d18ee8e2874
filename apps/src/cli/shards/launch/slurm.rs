//! A batch script for Slurm. Ranks come from `srun`.

use super::super::super::results::quoted;
use super::template::fill;
use std::ffi::OsString;
use std::path::Path;

/// What the script is made of.
pub(super) struct Job<'a> {
    pub(super) shards: u32,
    pub(super) name: &'a str,
    /// As Slurm takes it: minutes, `hours:minutes:seconds`, `days-hours`.
    pub(super) time: &'a str,
    /// The UDP port of shard 0; one that follows from the job's number if 0.
    pub(super) port: u16,
    pub(super) program: &'a Path,
    pub(super) words: &'a [OsString],
}

impl Job<'_> {
    pub(super) fn script(&self) -> String {
        let words = self.words.iter().map(|word| quoted(&word.to_string_lossy()));
        let command: Vec<String> = [quoted(&self.program.to_string_lossy())].into_iter().chain(words).collect();
        let port = match self.port {
            0 => "$((20000 + SLURM_JOB_ID % 20000))".to_owned(),
            port => port.to_string(),
        };
        let values = [
            ("shards", self.shards.to_string()),
            ("name", self.name.to_owned()),
            ("time", self.time.to_owned()),
            ("port", port),
            ("command", command.join(" ")),
        ];
        fill(include_str!("slurm.sh"), &values)
    }
}
