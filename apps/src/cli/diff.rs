//! `diff`: what two sets of calendars do differently.

use super::args::AppArgs;
use super::args::MachineArgs;
use super::failure::{Exit, Failure};
use super::load::{self, GRAPH_FILE, MACHINE_FILE};
use super::session::Session;
use serde::Serialize;
use std::path::PathBuf;

/// Compare two directories of calendars
#[derive(clap::Args, Debug)]
pub(crate) struct DiffCommand {
    /// Directory that `compile` or `run` kept
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Directory to compare it with
    #[arg(value_name = "B")]
    second: PathBuf,
    /// Built-in application that the calendars are for: its actors are then shown by name
    #[arg(long, value_name = "NAME[:PARAMETERS]")]
    app: Option<String>,
}

#[derive(Serialize)]
struct DiffJson {
    equal: bool,
    /// Lines of a calendar and its entries: `-` is only in the first, `+` only in the second.
    differences: Vec<String>,
}

impl DiffCommand {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let (first, second) = (load::calendars(&self.first)?, load::calendars(&self.second)?);
        let diff = calendars::diff(&first, &second);
        let lines = match self.names(session) {
            Some((app, machine)) => diff.named(&app.app, &machine).to_string(),
            None => diff.to_string(),
        };
        let differences = lines.lines().map(str::to_owned).collect();
        session.print(|| lines.clone(), &DiffJson { equal: diff.is_empty(), differences })?;
        if diff.is_empty() && !session.is_json() {
            session.talk("no differences");
        }
        Ok(None)
    }

    /// Application and machine of the first directory, if it can be told: they only give names.
    fn names(&self, session: &Session) -> Option<(load::LoadedApp, sim_core::Machine)> {
        let folder = &self.first;
        let machine = load::machine(
            &MachineArgs::default(),
            Some(folder).filter(|f| f.join(MACHINE_FILE).exists()).map(PathBuf::as_path),
        )
        .ok()?;
        let args = AppArgs { graph: None, app: self.app.clone(), token_bits: None };
        let kept = folder.join(GRAPH_FILE).exists();
        if !kept && self.app.is_none() && session.own.is_none() {
            return None;
        }
        Some((load::app(session, &args, Some(&machine), Some(folder)).ok()?, machine))
    }
}
