//! An application with calendars for a machine: compiled just now, or loaded and verified.

use super::args::{AppArgs, CompileArgs, MachineArgs};
use super::failure::Failure;
use super::load::{self, LoadedApp};
use super::results;
use super::session::Session;
use calendars::{CalendarSet, Verified};
use scheduler::schedule::Schedule;
use scheduler::{Compiled, Report};
use sim_core::Machine;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Which application, on which machine, by which calendars.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PrepareArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) compile: CompileArgs,
    /// Calendars that `compile` or `run` kept, instead of compiling; they are verified first
    #[arg(long, value_name = "DIR", conflicts_with_all = ["pins", "max_unroll"])]
    pub(crate) calendars: Option<PathBuf>,
}

/// An application with calendars for a machine.
pub(crate) struct Prepared {
    pub(crate) loaded: LoadedApp,
    pub(crate) machine: Machine,
    pub(crate) calendars: CalendarSet,
    /// What the verifier found out about them, until it is clear that nobody will draw it.
    pub(crate) verified: Option<Verified>,
    /// How good the calendars are, if they were made just now.
    pub(crate) report: Option<Report>,
    /// The schedule, if it was listed.
    pub(crate) schedule: Option<Schedule>,
    /// How long compiling or verifying took.
    pub(crate) took: Duration,
}

impl PrepareArgs {
    /// Whether an application is named; one's own binary has one without.
    pub(crate) fn names_app(&self) -> bool {
        self.app.graph.is_some() || self.app.app.is_some()
    }

    /// Compiles, or loads the calendars that were kept and verifies them. A schedule is `listed` only if somebody will look
    /// at it.
    pub(crate) fn prepare(&self, session: &Session, listed: bool) -> Result<Prepared, Failure> {
        let machine = load::machine_for(&self.app, &self.machine, self.calendars.as_deref())?;
        self.prepare_for(session, machine, listed)
    }

    /// The same for a machine that is there already.
    pub(crate) fn prepare_for(&self, session: &Session, machine: Machine, listed: bool) -> Result<Prepared, Failure> {
        let folder = self.calendars.as_deref();
        let loaded = load::app(session, &self.app, Some(&machine), folder)?;
        let start = Instant::now();
        let (calendars, verified, report, schedule) = match folder {
            Some(folder) => {
                let (calendars, verified) = load::verified(folder, &loaded.app, &machine)?;
                (calendars, verified, None, None)
            }
            None => {
                let listed = listed && results::keeps_calendars(&machine);
                let compiled = load::compile(session, &self.compile, &loaded, &machine, listed)?;
                let Compiled { schedule, calendars, verified, report, .. } = compiled;
                (calendars, verified, Some(report), schedule)
            }
        };
        let (verified, took) = (Some(verified), start.elapsed());
        Ok(Prepared { loaded, machine, calendars, verified, report, schedule, took })
    }
}
