//! `launch`: starts all shards of a run, here or elsewhere.

use super::super::failure::{Exit, Failure};
use super::super::run::Run;
use super::super::session::Session;
use super::supervise;

/// Start all shards of a run
#[derive(clap::Args, Debug)]
pub(crate) struct Launch {
    #[command(flatten)]
    run: Run,
    /// As processes on this host (`run --shards` does the same)
    #[arg(long)]
    local: bool,
}

impl Launch {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let Some(shards) = self.run.shards else {
            return Err(Failure::new(Exit::Invalid, "launch::shards", "the number of shards is not given")
                .help("add --shards 4"));
        };
        if !self.local {
            return Err(Failure::new(Exit::Invalid, "launch::where", "it is not said where").help("add --local"));
        }
        supervise::local(session, &self.run, shards)
    }
}
