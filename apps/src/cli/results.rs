//! The directory that a run leaves: summary, calendars, pictures, recorded tokens, and how to repeat it.

use super::compile::{ReportJson, write_calendars};
use super::failure::{Failure, FailureJson};
use super::files::{NewFolder, is_free};
use super::load::Origin;
use super::prepare::Prepared;
use super::run::{Run, RunJson};
use super::schedule_json::ScheduleJson;
use super::session::{Session, counted};
use super::tokens;
use crate::pictures::{self, CalendarScene, FrameChannels, Layout, TopologyScene};
use serde::Serialize;
use sim_core::{App, Machine, Outcome};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder below which results go unless another place is named.
pub(crate) const DEFAULT: &str = "out";
/// Nodes up to which calendars are drawn without being asked.
const CALENDAR_NODES: usize = 256;
/// Nodes up to which machines are drawn without being asked.
const TOPOLOGY_NODES: usize = 1024;
/// Nodes up to which calendars, schedule and machine are kept without being asked: they are files of a kilobyte per node.
const KEPT_NODES: usize = 1 << 16;

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into this directory.
    Exactly(PathBuf),
    /// Into a new directory below this one, to which `latest` then points.
    Below(PathBuf),
}

/// Results that are being written.
pub(crate) struct Results {
    folder: NewFolder,
    /// The folder whose `latest` will point here.
    latest: Option<PathBuf>,
}

#[derive(Serialize)]
struct Summary<'a> {
    version: u32,
    tidelock: &'a str,
    exit: u8,
    error: Option<FailureJson<'a>>,
    #[serde(flatten)]
    run: &'a RunJson<'a>,
    compile: Option<ReportJson>,
}

impl Results {
    /// Starts the directory of a run.
    pub(crate) fn create(place: &Place, prepared: &Prepared) -> Result<Self, Failure> {
        match place {
            Place::Exactly(path) => Ok(Self { folder: NewFolder::create(path)?, latest: None }),
            Place::Below(parent) => {
                let (app, machine) = (plain(prepared.loaded.app.name()), plain(prepared.machine.name()));
                let name = format!("{}_{app}_{machine}", now());
                let numbered = (2_u64..).map(|number| format!("{name}_{number}"));
                let names = std::iter::once(name.clone()).chain(numbered);
                let path = names.map(|name| parent.join(name)).find(|path| is_free(path)).expect("numbers do not end");
                Ok(Self { folder: NewFolder::create(&path)?, latest: Some(parent.clone()) })
            }
        }
    }

    /// Writes one more file.
    pub(crate) fn add(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.folder.write(name, content)
    }

    /// Where its files are for the time being.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes everything and gives the directory its name, which is returned.
    pub(crate) fn finish(
        self,
        session: &Session,
        run: &Run,
        prepared: &Prepared,
        outcome: &Outcome,
        json: &RunJson<'_>,
        failure: Option<&Failure>,
    ) -> Result<PathBuf, Failure> {
        let Self { folder, latest } = self;
        let compile = prepared.report.as_ref().map(Into::into);
        let summary = Summary {
            version: 1,
            tidelock: env!("CARGO_PKG_VERSION"),
            exit: failure.map_or(0, |failure| failure.exit() as u8),
            error: failure.map(Failure::json),
            run: json,
            compile,
        };
        let mut text = serde_json::to_string_pretty(&summary).expect("summaries are plain data");
        text.push('\n');
        folder.write("summary.json", text)?;
        if keeps_calendars(&prepared.machine) {
            write_calendars(&folder, &prepared.loaded, &prepared.machine, &prepared.calendars)?;
            folder.write("repro.sh", run.repeat(&prepared.loaded))?;
        } else {
            session.talk("calendars of so many nodes are not kept; `tidelock compile … -o DIR` keeps them");
        }
        if let (Some(schedule), Some(report)) = (&prepared.schedule, &prepared.report) {
            let schedule = ScheduleJson::new(&prepared.loaded.app, &prepared.machine, schedule, report);
            folder.write("schedule.json", serde_json::to_string(&schedule).expect("schedules are plain data"))?;
        }
        folder.write("run.ron", run.resolved(&prepared.loaded, &prepared.machine, outcome.iterations))?;
        write_records(&folder, &prepared.loaded.app, outcome)?;
        draw(session, &folder, prepared)?;
        let path = folder.finish()?;
        if let Some(parent) = latest {
            // A convenience: results are complete without it.
            if let Err(error) = point_latest(&parent, &path) {
                session.talk(format_args!("`{}/latest` does not point to them: {error}", parent.display()));
            }
        }
        Ok(path)
    }
}

/// Whether a run on `machine` keeps its calendars, its schedule, the machine, and how to run them again.
pub(crate) fn keeps_calendars(machine: &Machine) -> bool {
    machine.nodes().len() <= KEPT_NODES
}

/// Whether a run on `machine` draws its calendars.
pub(crate) fn draws_calendars(machine: &Machine) -> bool {
    machine.nodes().len() <= CALENDAR_NODES
}

fn write_records(folder: &NewFolder, app: &App, outcome: &Outcome) -> Result<(), Failure> {
    let mut taken = std::collections::BTreeSet::new();
    for (&id, words) in &outcome.recorded {
        let channel = &app.channels()[id];
        let mut name = plain(&channel.name);
        if !taken.insert(name.clone()) {
            name = format!("{name}_{}", id.0);
            taken.insert(name.clone());
        }
        folder.write(&format!("channels/{name}.csv"), tokens::to_csv(channel, words))?;
        folder.write(&format!("channels/{name}.bin"), tokens::to_bytes(channel, words))?;
    }
    Ok(())
}

fn draw(session: &Session, folder: &NewFolder, prepared: &Prepared) -> Result<(), Failure> {
    let Prepared { loaded, machine, calendars, verified, .. } = prepared;
    let nodes = machine.nodes().len();
    let left_out = |what: &str, hint: &str| {
        if !session.is_json() {
            let nodes = counted(nodes as u64, "node");
            session
                .talk(format_args!("no {what} picture is drawn of {nodes}; `tidelock view {hint} -o x.svg` does it"));
        }
    };
    if let Some(verified) = verified.as_ref().filter(|_| draws_calendars(machine)) {
        let frames = FrameChannels::new(machine, calendars, verified);
        let scene = CalendarScene::new(&loaded.app, machine, calendars, &frames);
        pictures::calendar(&scene, &folder.path().join("calendar.svg"))
            .map_err(|error| super::view::picture(&error))?;
    } else {
        left_out("calendar", "calendar");
    }
    if nodes <= TOPOLOGY_NODES {
        let scene = TopologyScene::new(machine, Some(calendars), Layout::of(machine));
        pictures::topology(&scene, &folder.path().join("topology.svg"))
            .map_err(|error| super::view::picture(&error))?;
    } else {
        left_out("topology", "topology");
    }
    Ok(())
}

/// Makes `latest` point to `path`, in one step.
fn point_latest(parent: &Path, path: &Path) -> std::io::Result<()> {
    let (latest, name) = (parent.join("latest"), path.file_name().expect("results have a name"));
    let temporary = parent.join(format!(".latest.{}", std::process::id()));
    let linked = std::os::unix::fs::symlink(name, &temporary).and_then(|()| std::fs::rename(&temporary, &latest));
    linked.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

/// A name as a part of a file's name.
fn plain(name: &str) -> String {
    const LONGEST: usize = 60;
    let kept = name.chars().filter(|c| *c != ':');
    let shown = kept.map(|c| if c.is_alphanumeric() || "._-+".contains(c) { c } else { '_' });
    let text: String = shown.take(LONGEST).collect();
    if text.trim_matches('.').is_empty() { "unnamed".to_owned() } else { text }
}

/// Date and time, such as 20261121-191003 (UTC).
pub(crate) fn now() -> String {
    stamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Seconds since 1970 as a date and time, such as 20261121-191003 (UTC).
///
/// Source of the calendar arithmetic: Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn stamp(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", time / 3_600, time / 60 % 60, time % 60)
}

impl Run {
    /// The resolved configuration.
    fn resolved(&self, loaded: &super::load::LoadedApp, machine: &Machine, iterations: u64) -> String {
        #[derive(Serialize)]
        #[serde(rename = "Run")]
        struct Resolved<'a> {
            version: u32,
            app: String,
            machine: &'a str,
            iterations: u64,
            calendars: Option<String>,
            max_unroll: u32,
            pins: Option<String>,
            token_bits: Option<u64>,
            channels: String,
            digest: String,
            record: Option<&'a str>,
            input: Vec<(&'a str, String)>,
        }
        let file = |path: &PathBuf| path.display().to_string();
        let resolved = Resolved {
            version: 1,
            app: origin(loaded),
            machine: machine.name(),
            iterations,
            calendars: self.what.calendars.as_ref().map(file),
            max_unroll: self.what.compile.max_unroll,
            pins: self.what.compile.pins.as_ref().map(file),
            token_bits: self.what.app.token_bits,
            channels: self.channels_resolved(&loaded.app).to_owned(),
            digest: self.level().to_string(),
            record: self.record.as_deref(),
            input: self.input.iter().map(|(name, path)| (name.as_str(), file(path))).collect(),
        };
        let pretty = ron::ser::PrettyConfig::new().struct_names(true).new_line("\n");
        ron::ser::to_string_pretty(&resolved, pretty).expect("arguments are plain data") + "\n"
    }

    /// A shell script that runs the same calendars again.
    fn repeat(&self, loaded: &super::load::LoadedApp) -> String {
        let program = std::env::current_exe().map_or("tidelock".to_owned(), |path| path.display().to_string());
        let mut words = vec!["run".to_owned()];
        match &loaded.origin {
            Origin::File(_) => words.push("graph.ron".to_owned()),
            Origin::BuiltIn(name) => words.extend(["--app".to_owned(), quoted(name)]),
            Origin::Fleet(source, _) => {
                // Files that a fleet names are where they were.
                let path = std::path::absolute(&source.name).unwrap_or(PathBuf::from(&source.name));
                words.push(quoted(&path.display().to_string()));
            }
            Origin::Own => {}
        }
        words.extend(["--calendars".to_owned(), ".".to_owned()]);
        if let Some(iterations) = self.iterations {
            words.extend(["--iterations".to_owned(), iterations.to_string()]);
        }
        words.extend(["--channels".to_owned(), quoted(self.channels_resolved(&loaded.app))]);
        words.extend(["--digest".to_owned(), self.level().to_string()]);
        for (name, path) in &self.input {
            let path = std::path::absolute(path).unwrap_or(path.clone());
            words.extend(["--input".to_owned(), quoted(&format!("{name}={}", path.display()))]);
        }
        if let Some(path) = &self.clocks {
            let path = std::path::absolute(path).unwrap_or(path.clone());
            words.extend(["--clocks".to_owned(), quoted(&path.display().to_string())]);
        }
        let asked: Vec<String> = std::env::args().skip(1).map(|word| quoted(&word)).collect();
        let folder = std::env::current_dir().map_or(String::new(), |path| format!("in {}: ", path.display()));
        format!(
            "#!/bin/sh\n# Runs these calendars again; digests must be those of summary.json.\n# They came from, {folder}tidelock {}\n\
             cd \"$(dirname \"$0\")\" && exec {} {} --no-results \"$@\"\n",
            asked.join(" ").replace('\n', " "),
            quoted(&program),
            words.join(" "),
        )
    }
}

fn origin(loaded: &super::load::LoadedApp) -> String {
    match &loaded.origin {
        Origin::File(source) | Origin::Fleet(source, _) => source.name.clone(),
        Origin::BuiltIn(name) => name.clone(),
        Origin::Own => format!("own: {}", loaded.app.name()),
    }
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-+/:,=".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates() {
        for (seconds, text) in [
            (0, "19700101-000000"),
            (951_782_400, "20000229-000000"),
            (1_795_288_203, "20261121-191003"),
            (4_102_444_799, "20991231-235959"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
    }

    #[test]
    fn names_become_parts_of_file_names() {
        for (name, part) in [("torus:4x4", "torus4x4"), ("cells 0,1", "cells_0_1"), ("../x", ".._x"), ("..", "unnamed")]
        {
            assert_eq!(plain(name), part);
        }
    }

    #[test]
    fn words_survive_the_shell() {
        for (word, shown) in [("a-b=c", "a-b=c"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
