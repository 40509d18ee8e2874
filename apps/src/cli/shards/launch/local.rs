//! Shards as processes of this host.

use super::super::super::checkpoint::resume;
use super::super::super::failure::{Exit, Failure};
use super::super::super::run::Run;
use super::super::super::session::Session;
use super::super::supervise::{Places, supervise};
use super::words::shard_words;
use super::{line, program, secret_note};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// All shards on this host.
pub(super) struct Local {
    program: PathBuf,
    words: Vec<OsString>,
    shards: u32,
    checkpoints: PathBuf,
}

/// Starts this very command as `shards` shards on this host, instead of doing it here.
pub(crate) fn local(session: &Session, run: &Run, shards: u32) -> Result<Option<Exit>, Failure> {
    supervise(session, &Local::new(run, shards)?, run.quiet)
}

impl Local {
    pub(super) fn new(run: &Run, shards: u32) -> Result<Self, Failure> {
        let (program, mut words, checkpoints) = (program()?, shard_words(shards), run.checkpoint_folder());
        if run.checkpoint.resume.is_none() && run.checkpoint.checkpoints.is_none() && run.clocks.is_none() {
            // Shards that are killed cannot say where they kept them.
            words.extend(["--checkpoints".into(), checkpoints.clone().into()]);
        }
        Ok(Self { program, words, shards, checkpoints })
    }

    /// The commands, as lines for a shell.
    pub(super) fn text(&self) -> String {
        let lines = (0..self.shards).map(|rank| line(&self.command(rank, None)) + "\n");
        secret_note().to_owned() + &lines.collect::<String>()
    }
}

impl Places for Local {
    fn shards(&self) -> u32 {
        self.shards
    }

    fn label(&self, rank: u32) -> String {
        format!("shard {rank}")
    }

    fn command(&self, rank: u32, first: Option<u16>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words).args(["--rank", &rank.to_string(), "--listen", "127.0.0.1:0"]);
        if rank > 0 {
            let port = first.map_or("PORT".to_owned(), |port| port.to_string());
            command.args(["--rendezvous", &format!("127.0.0.1:{port}")]);
        }
        command.args(["--secret-file", "-", "--orders"]);
        command
    }

    fn unreached(&self, _rank: u32, _status: ExitStatus) -> Option<(Exit, String)> {
        None
    }

    fn resume(&self) -> Option<String> {
        resume(&self.checkpoints, self.shards)
    }
}
