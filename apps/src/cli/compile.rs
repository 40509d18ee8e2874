//! `compile`: calendars for a machine, and how good they are.

use super::args::{AppArgs, CompileArgs, MachineArgs};
use super::failure::{Exit, Failure};
use super::files::NewFolder;
use super::load::{self, LoadedApp, Origin};
use super::schedule_json::ScheduleJson;
use super::session::{Session, facts};
use crate::formats;
use calendars::CalendarSet;
use ron::ser::PrettyConfig;
use scheduler::{Bound, Report};
use serde::Serialize;
use sim_core::Machine;
use sim_core::machine::MachineSpec;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Compile an application into calendars for a machine
#[derive(clap::Args, Debug)]
pub(crate) struct Compile {
    #[command(flatten)]
    app: AppArgs,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// Keep calendars, schedule, machine and graph in this new directory
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct CompileJson<'a> {
    app: &'a str,
    machine: &'a str,
    #[serde(flatten)]
    report: ReportJson,
    warnings: Vec<String>,
    seconds: f64,
    directory: Option<&'a Path>,
}

/// Figures of compiled calendars.
#[derive(Serialize)]
pub(crate) struct ReportJson {
    iteration_period: String,
    metacycle: i64,
    unroll: u32,
    bound: BoundJson,
    placed_bound: BoundJson,
    gap: f64,
    gap_total: f64,
    latency_ticks: i64,
    memory_words_max: u64,
    calendar_entries: usize,
}

#[derive(Serialize)]
struct BoundJson {
    ticks: String,
    kind: &'static str,
}

impl From<&Bound> for BoundJson {
    fn from(bound: &Bound) -> Self {
        Self { ticks: bound.ticks.to_string(), kind: bound.kind.name() }
    }
}

impl From<&Report> for ReportJson {
    fn from(report: &Report) -> Self {
        Self {
            iteration_period: report.iteration_period.to_string(),
            metacycle: report.metacycle,
            unroll: report.unroll,
            bound: (&report.bound).into(),
            placed_bound: (&report.placed_bound).into(),
            gap: report.gap(),
            gap_total: report.gap_total(),
            latency_ticks: report.latency_ticks,
            memory_words_max: report.memory_words_max(),
            calendar_entries: report.calendar_entries,
        }
    }
}

impl Compile {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let machine = load::machine_for(&self.app, &self.machine, None)?;
        let loaded = load::app(session, &self.app, Some(&machine), None)?;
        // What cannot be kept is found out before the work is done.
        let folder = self.output.as_deref().map(NewFolder::create).transpose()?;
        let start = Instant::now();
        let compiled = load::compile(session, &self.compile, &loaded, &machine, folder.is_some())?;
        let seconds = start.elapsed().as_secs_f64();
        let directory = folder.map(|folder| {
            write_calendars(&folder, &loaded, &machine, &compiled.calendars)?;
            if let Some(schedule) = &compiled.schedule {
                let schedule = ScheduleJson::new(&loaded.app, &machine, schedule, &compiled.report);
                folder.write("schedule.json", serde_json::to_string(&schedule).expect("schedules are plain data"))?;
            }
            folder.finish()
        });
        let directory = directory.transpose()?;
        let json = CompileJson {
            app: loaded.app.name(),
            machine: machine.name(),
            report: (&compiled.report).into(),
            warnings: compiled.warnings.iter().map(ToString::to_string).collect(),
            seconds,
            directory: directory.as_deref(),
        };
        let text = || {
            let mut text = format!("{} on {}\n\n{}\n", loaded.app.name(), machine.name(), compiled.report);
            text += &facts(&[("compiled in     ", format!("{seconds:.3} s"))]);
            text
        };
        session.print(text, &json)?;
        if let Some(directory) = directory.filter(|_| !session.is_json()) {
            let (at, app) = (directory.display(), app_argument(&loaded));
            // Fleets say themselves how long they run.
            let iterations = if loaded.fleet().is_some() { "" } else { " --iterations 100" };
            session.talk(format_args!("kept in {at}; run them: tidelock run{app} --calendars {at}{iterations}"));
        }
        Ok(None)
    }
}

/// How the application is named beside a directory that keeps its graph.
fn app_argument(loaded: &LoadedApp) -> String {
    match &loaded.origin {
        Origin::BuiltIn(name) => format!(" --app {name}"),
        Origin::Fleet(source, _) => format!(" {}", source.name),
        Origin::File(_) | Origin::Own => String::new(),
    }
}

/// Writes what a later run needs: calendars, machine, and the graph if the application is one of a file.
pub(crate) fn write_calendars(
    folder: &NewFolder,
    loaded: &LoadedApp,
    machine: &Machine,
    calendars: &CalendarSet,
) -> Result<(), Failure> {
    folder.write(load::CALENDARS_FILE, calendars::to_ron(calendars))?;
    folder.write(load::MACHINE_FILE, machine_ron(machine))?;
    match &loaded.origin {
        Origin::File(_) => folder.write(load::GRAPH_FILE, formats::to_ron(&loaded.app))?,
        Origin::Fleet(source, _) => folder.write("fleet.ron", &source.text)?,
        Origin::BuiltIn(_) | Origin::Own => {}
    }
    Ok(())
}

/// A machine file: one line per node and link.
pub(crate) fn machine_ron(machine: &Machine) -> String {
    let pretty = PrettyConfig::new().struct_names(true).depth_limit(2).new_line("\n");
    let mut text = ron::ser::to_string_pretty(&MachineSpec::of(machine), pretty).expect("machines are plain data");
    text.push('\n');
    text
}
