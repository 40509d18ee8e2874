//! Executes shards: as shard 0, which keeps the outcome, and as any other.

use super::super::coupled::Carried;
use super::super::explain;
use super::super::failure::{Exit, Failure};
use super::super::files::{NewFolder, not_stored};
use super::super::hosts::{self, Trace};
use super::super::progress::Display;
use super::super::run::{Executed, Prepared, Ready, Run};
use super::super::session::Session;
use super::programs::{Payload, PayloadParts, Programs};
use super::rank::Rank;
use super::spec::{self, Spec};
use super::stop::{not_joined, stopped};
use crate::hosts::{Beginning, Fleet};
use calendars::CalendarSet;
use net_runtime::engine::{EngineShard, OutcomeParts, window};
use net_runtime::proto::rendezvous::Secret;
use net_runtime::proto::{Cause, Hash, ShardId, Stop, Worker};
use net_runtime::quic::{Agreement, Figures, Interrupts, Membership, Observer, Port, host, join, run};
use serde::Serialize;
use sim_core::engine::{EngineError, Progress};
use sim_core::shard::Partition;
use sim_core::{RunOptions, Tick, Ticks};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How far a shard came, for its last line.
#[derive(Clone, Debug, Default)]
pub(super) struct Progressed {
    pub(super) windows: u64,
    pub(super) stop: Option<Stop>,
}

/// What shard 0 needs besides the run.
pub(super) struct Host<'a> {
    pub(super) session: &'a Session,
    pub(super) run: &'a Run,
    pub(super) rank: Rank,
    pub(super) port: Port,
    pub(super) secret: Secret,
    pub(super) build: Hash,
    pub(super) progressed: &'a mut Progressed,
}

impl Host<'_> {
    /// Waits for the others, and executes with them.
    pub(super) fn execute(
        self,
        prepared: &Prepared,
        ready: &mut Ready<'_>,
        display: &mut Display,
    ) -> Result<Executed, Failure> {
        let Self { session, run: asked, rank, port, secret, build, progressed } = self;
        let Prepared { loaded, machine, calendars, .. } = prepared;
        let (app, program) = (ready.app, ready.program);
        let partition = Partition::balanced(machine, program, rank.shards);
        if partition.shards() != rank.shards {
            let message =
                format!("{} shards are asked for, but only {} can have work", rank.shards, partition.shards());
            return Err(Failure::new(Exit::Invalid, "shard::count", message).help("ask for fewer shards"));
        }
        let failed = |error: EngineError| explain::run(&error.into());
        let options = RunOptions { window: windows(ready, &partition).map_err(failed)?, ..ready.options.clone() };
        let files = spec::files(asked, loaded, machine, calendars, &options, &partition)?;
        let agreement =
            Agreement { build, configuration: spec::configuration(&files), calendars: *program.identity(), seed: 0 };
        let (worker, neighbours) = EngineShard::new(app, program, &options, &partition, ShardId(0)).map_err(failed)?;
        let parts = OutcomeParts::new(app, program, &options, &partition).map_err(failed)?;
        let end = worker.end();
        let carried = carried(ready, end)?;
        let fleet = loaded.fleet().zip(ready.nodes.map(Path::to_owned));
        let programs = fleet.clone().map(|(fleet, directory)| {
            let own = (&partition, ShardId(0));
            begin(fleet, calendars, (directory, asked.trace), own, &Path::to_owned)
        });
        let worker = Payload::new(worker, programs.transpose()?);
        let parts = PayloadParts::new(parts, fleet, &partition);
        let interrupts = signals(&port)?;
        let membership = host(port, &secret, rank.shards, build, files).map_err(|error| not_joined(&error))?;
        let mut observer = Observed { session, display: Some(display), parts: Some(parts), end };
        let ended = run(membership, &agreement, neighbours, worker, &interrupts, &mut observer);
        let (parts, stored) = observer.parts.take().expect("shard 0 has parts").finish();
        display.end();
        let (figures, tick, failure) = match ended {
            Ok((_, figures)) => (figures, end, None),
            Err((stop, figures)) => {
                let failure = stopped(&stop, 0);
                let tick = stop.tick;
                progressed.stop = Some(stop);
                (figures, tick, Some(failure))
            }
        };
        progressed.windows = figures.windows;
        let failure = failure.or_else(|| {
            let nodes = ready.nodes.unwrap_or(Path::new(""));
            stored.err().map(|error| not_stored(nodes, &error))
        });
        let mut files = vec![("shards.json", figures_json(&figures, rank.shards))];
        files.extend(carried.iter().map(|carried| ("tick_times.csv", carried.times())));
        let clocks = carried.as_ref().map(Carried::json);
        Ok(Executed { outcome: parts.finish(tick), failure, workers: 1, bytes: program.bytes(), files, clocks })
    }
}

/// Executes a shard other than shard 0.
pub(super) fn member(
    session: &Session,
    rank: Rank,
    port: Port,
    host: SocketAddr,
    secret: &Secret,
    build: Hash,
    progressed: &mut Progressed,
) -> Result<(), Failure> {
    let interrupts = signals(&port)?;
    let (membership, files): (Membership, _) =
        join(port, host, secret, ShardId(rank.rank), rank.shards, build).map_err(|error| not_joined(&error))?;
    let Spec { app, fleet, machine, calendars, options, partition } = spec::read(session, &files)?;
    let program = calendars::lower(&app, &machine, &calendars).map_err(|error| explain::run(&error.into()))?;
    let agreement =
        Agreement { build, configuration: spec::configuration(&files), calendars: *program.identity(), seed: 0 };
    let (worker, neighbours) = EngineShard::new(&app, &program, &options, &partition, ShardId(rank.rank))
        .map_err(|error| explain::run(&error.into()))?;
    let mut observer = Observed { session, display: None, parts: None, end: worker.end() };
    let folder = fleet.as_ref().map(|_| NewFolder::create(&hosts::scratch())).transpose()?;
    let programs = fleet.as_ref().zip(folder.as_ref()).map(|(spec, folder)| {
        let files = spec.unpack(&folder.path().join("files"))?;
        let nodes = (folder.path().join("nodes"), spec.trace);
        begin(&spec.fleet, &calendars, nodes, (&partition, ShardId(rank.rank)), &files)
    });
    let worker = Payload::new(worker, programs.transpose()?);
    let ended = run(membership, &agreement, neighbours, worker, &interrupts, &mut observer);
    if let (Err((stop, _)), Some(folder)) = (&ended, folder)
        && !matches!(stop.cause, Cause::Interrupted | Cause::Terminated)
        && !session.is_json()
    {
        let path = folder.finish()?;
        session.talk(format_args!("what programs have left here is in {}", path.join("nodes").display()));
    }
    match ended {
        Ok((_, figures)) => {
            progressed.windows = figures.windows;
            Ok(())
        }
        Err((stop, figures)) => {
            progressed.windows = figures.windows;
            let failure = stopped(&stop, rank.rank);
            progressed.stop = Some(stop);
            Err(failure)
        }
    }
}

/// Lets the programs of a shard's nodes begin, in directories below the given one.
fn begin<'a>(
    fleet: &'a Fleet,
    calendars: &CalendarSet,
    (directory, trace): (PathBuf, Trace),
    own: (&Partition, ShardId),
    files: &dyn Fn(&Path) -> PathBuf,
) -> Result<Programs<'a>, Failure> {
    let (partition, shard) = own;
    // Shards of one host share its processors as evenly as their numbers allow.
    let worker = |node| (partition.shard_of(node) == shard).then_some(shard.0 as usize);
    let run = Beginning { calendars, directory: &directory, trace: trace.into(), worker: &worker, files };
    let begun = fleet.begin(&run);
    Programs::new(fleet, directory.clone(), own, begun)
        .map_err(|error| Failure::new(Exit::Internal, "host::clock", error.to_string()))
}

/// Clocks that carry a run up to `end`, if they are asked for. They carry all of it or nothing is executed: shards would all
/// have to stop at one tick.
fn carried(ready: &mut Ready<'_>, end: Tick) -> Result<Option<Carried>, Failure> {
    let carried = ready.coupled.take().map(|coupled| coupled.carry(end)).transpose()?;
    match carried.as_ref().and_then(Carried::failure) {
        Some(failure) => Err(failure),
        None => Ok(carried),
    }
}

fn signals(port: &Port) -> Result<Interrupts, Failure> {
    let failed = |error| Failure::new(Exit::Internal, "shard::signals", format!("cannot listen to signals: {error}"));
    Interrupts::from_signals(port).map_err(failed)
}

/// Ticks that shards execute at once: half of the least that one of them may be ahead.
fn windows(ready: &Ready<'_>, partition: &Partition) -> Result<Option<Ticks>, EngineError> {
    let mut least = None;
    for id in partition.ids() {
        let (_, neighbours) = EngineShard::new(ready.app, ready.program, ready.options, partition, id)?;
        least = neighbours.iter().filter_map(|neighbour| neighbour.lookahead).chain(least).min();
    }
    Ok(least.map(window))
}

/// What shards do and wait for, as a file.
fn figures_json(figures: &Figures, shards: u32) -> String {
    #[derive(Serialize)]
    struct Shards<'a> {
        version: u32,
        shards: u32,
        figures: [&'a Figures; 1],
    }
    serde_json::to_string_pretty(&Shards { version: 1, shards, figures: [figures] }).expect("numbers")
}

/// Follows a run.
struct Observed<'a, 'd> {
    session: &'a Session,
    /// On shard 0.
    display: Option<&'d mut Display>,
    /// On shard 0.
    parts: Option<PayloadParts<'a>>,
    end: Tick,
}

impl Observer for Observed<'_, '_> {
    fn part(&mut self, from: ShardId, bytes: Vec<u8>) -> Result<(), (Cause, String)> {
        self.parts.as_mut().expect("only shard 0 is given parts").take(from, bytes)
    }

    fn slow(&mut self, neighbour: ShardId, waited: Duration) {
        if !self.session.is_json() {
            let seconds = waited.as_secs();
            self.session.talk(format_args!("warning: shard {} makes no progress for {seconds} s", neighbour.0));
        }
    }

    fn progress(&mut self, position: Tick) {
        if let Some(display) = &mut self.display {
            display.note(Progress { tick: position, end: self.end, done: false });
        }
    }
}
