//! Executes shards: as shard 0, which keeps the outcome, and as any other.

use super::super::checkpoint::{Every, Store, command, difference};
use super::super::coupled::Carried;
use super::super::explain;
use super::super::failure::{Exit, Failure};
use super::super::files::not_stored;
use super::super::hosts::{self, NodeFolders, Trace};
use super::super::partition::choose;
use super::super::prepare::Prepared;
use super::super::progress::Display;
use super::super::run::{Executed, Ready};
use super::super::session::Session;
use super::super::spec::{self, Shards, Spec};
use super::manifest::{MANIFEST_FILE, ManifestFile};
use super::orders::Launcher;
use super::programs::{Payload, PayloadParts, Programs};
use super::progress::Teller;
use super::rank::Rank;
use super::stop::{not_joined, stopped};
use crate::hosts::Fleet;
use crate::sharding::ShardsReport;
use calendars::CalendarSet;
use net_runtime::engine::{EngineShard, OutcomeParts, Standing};
use net_runtime::proto::rendezvous::Trust;
use net_runtime::proto::{Cause, Hash, Neighbour, ShardId, Stop, Worker};
use net_runtime::quic::{Agreement, Figures, Interrupts, Membership, Observer, Port, host, join, run};
use sim_core::engine::{EngineError, Progress};
use sim_core::program::Program;
use sim_core::shard::{CutMatrix, Partition};
use sim_core::{App, RunOptions, Tick, Ticks};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How far a shard came, for its last line.
#[derive(Clone, Debug, Default)]
pub(super) struct Progressed {
    pub(super) windows: u64,
    pub(super) stop: Option<Stop>,
    /// Where checkpoints are, if there are any.
    pub(super) checkpoints: Option<PathBuf>,
}

/// A shard, before it knows the others.
pub(super) struct Shard<'a> {
    pub(super) session: &'a Session,
    pub(super) rank: Rank,
    pub(super) port: Port,
    pub(super) trust: Trust,
    /// What was agreed on beforehand.
    pub(super) manifest: Option<ManifestFile>,
    pub(super) build: Hash,
    pub(super) launcher: Launcher,
    pub(super) progressed: &'a mut Progressed,
}

impl Shard<'_> {
    /// As shard 0: waits for the others, and executes with them.
    pub(super) fn host(
        self,
        prepared: &Prepared,
        ready: &mut Ready<'_>,
        display: &mut Display,
    ) -> Result<Executed, Failure> {
        let Self { session, rank, port, trust, manifest, build, launcher, progressed } = self;
        let Prepared { loaded, machine, calendars, .. } = prepared;
        let Ready { run: asked, app, program, options, store, nodes, .. } = *ready;
        let partition = choose(asked.partition.as_deref(), Some(rank.shards), machine, program)?;
        let failed = |error: EngineError| explain::run(&error.into());
        let matrix = CutMatrix::new(machine, program, &partition).map_err(failed)?;
        let shards = Shards {
            every: every(asked.checkpoint.checkpoint_every)?,
            checkpoints: asked.checkpoint_folder(),
            start: ready.start.cloned(),
            partition: partition.clone(),
        };
        progressed.checkpoints = Some(shards.checkpoints.clone());
        let files = spec::files(asked, loaded, machine, calendars, options, Some(&shards), ready.fleet)?;
        let agreement =
            Agreement { build, configuration: spec::configuration(&files), calendars: *program.identity(), seed: 0 };
        manifest.iter().try_for_each(|manifest| manifest.check(&agreement))?;
        let (worker, neighbours) = worker(app, program, options, &shards, ShardId(0)).map_err(failed)?;
        let mut parts = OutcomeParts::new(app, program, options, &partition).map_err(failed)?;
        if let Some(Standing::State(snapshot)) = &shards.start {
            parts.restore(snapshot).map_err(failed)?;
        }
        let end = worker.end();
        let carried = carried(ready, end)?;
        let mut checkpoints = carried.is_none().then_some(Checkpoints { store: None, make: store });
        if let Some(checkpoints) = checkpoints.as_mut().filter(|_| shards.every.is_some()) {
            checkpoints.store()?;
        }
        let fleet = loaded.fleet().zip(nodes);
        let programs =
            fleet.map(|(fleet, nodes)| begin(fleet, calendars, nodes, asked.trace, (&partition, ShardId(0))));
        let worker = Payload::new(worker, programs.transpose()?);
        let parts = PayloadParts::new(parts, fleet.map(|(fleet, nodes)| (fleet, nodes.path().to_owned())), &partition);
        let interrupts = signals(&port)?;
        let membership = host(port, &trust, rank.shards, build, files).map_err(|error| not_joined(&error))?;
        launcher.joined(&interrupts);
        let manifest = ManifestFile::of_run(&membership.manifest, &agreement);
        let mut observer = Observed {
            session,
            display: Some(display),
            parts: Some(parts),
            checkpoints,
            check: shards.start.as_ref().filter(|start| matches!(start, Standing::Opaque { .. })).cloned(),
            end,
            teller: Teller::new(0, launcher),
            figures: BTreeMap::new(),
            unstored: None,
        };
        let ended = run(membership, &agreement, neighbours, worker, &interrupts, &mut observer);
        let (parts, stored) = observer.parts.take().expect("shard 0 has parts").finish();
        let store = observer.checkpoints.take().and_then(|checkpoints| checkpoints.store);
        let (mut all, unstored) = (std::mem::take(&mut observer.figures), observer.unstored.take());
        display.end();
        let (figures, tick, failure) = match ended {
            // All may have been done when the last checkpoint could not be stored.
            Ok((_, figures)) => (figures, end, unstored),
            Err((stop, figures)) => {
                let mut failure = stopped(&stop, 0);
                if let Some(store) = &store {
                    failure = failure.help(format!("go on with `{}`", command(store.folder(), Some(rank.shards))));
                }
                let (tick, expelled) = (stop.tick, is_given_up(&stop, ShardId(0)));
                progressed.stop = Some(stop);
                progressed.windows = figures.windows;
                if expelled {
                    // The others may have gone on without this shard: what it knows counts no more.
                    return Err(failure);
                }
                (figures, tick, Some(failure))
            }
        };
        progressed.windows = figures.windows;
        let failure = failure.or_else(|| {
            let nodes = nodes.map_or(Path::new(""), NodeFolders::path);
            stored.err().map(|error| not_stored(nodes, &error))
        });
        let mut files = vec![(MANIFEST_FILE, manifest.text())];
        files.extend(carried.iter().flat_map(Carried::files));
        let clocks = carried.as_ref().map(Carried::json);
        all.insert(ShardId(0), *figures);
        let tick_seconds = match (loaded.fleet(), &carried) {
            (Some(fleet), _) => Some(fleet.tick_ns() as f64 * 1e-9),
            (None, Some(Carried { run, .. })) => {
                Some((run.end.as_seconds() - run.begin.as_seconds()) / end.0.max(1) as f64)
            }
            (None, None) => None,
        };
        let programs = |shard: ShardId| {
            let nodes = loaded.fleet().into_iter().flat_map(Fleet::nodes);
            nodes.filter(|node| partition.shard_of(node.on) == shard).count() as u64
        };
        let report = ShardsReport::new((loaded.app.name(), machine.name()), matrix, all, tick_seconds, programs);
        let (outcome, shards) = (parts.finish(tick), Some(report));
        Ok(Executed { outcome, failure, workers: 1, bytes: program.bytes(), files, clocks, shards })
    }

    /// As any other: goes to shard 0 at `host`, and executes with all.
    pub(super) fn take_part(self, host: SocketAddr) -> Result<(), Failure> {
        let Self { session, rank, port, trust, manifest, build, launcher, progressed } = self;
        let interrupts = signals(&port)?;
        let (membership, files): (Membership, _) =
            join(port, host, &trust, ShardId(rank.rank), rank.shards, build).map_err(|error| not_joined(&error))?;
        launcher.joined(&interrupts);
        let Spec { loaded, fleet, app, machine, calendars, options, trace, shards } = spec::read(session, &files)?;
        let shards = shards.ok_or_else(|| spec::broken("run.json", "it has no partition"))?;
        progressed.checkpoints = Some(shards.checkpoints.clone());
        let program = calendars::lower(&app, &machine, &calendars).map_err(|error| explain::run(&error.into()))?;
        let agreement =
            Agreement { build, configuration: spec::configuration(&files), calendars: *program.identity(), seed: 0 };
        manifest.iter().try_for_each(|manifest| manifest.check(&agreement))?;
        let id = ShardId(rank.rank);
        let (worker, neighbours) =
            worker(&app, &program, &options, &shards, id).map_err(|error| explain::run(&error.into()))?;
        let (end, teller, figures) = (worker.end(), Teller::new(rank.rank, launcher), BTreeMap::new());
        let (display, parts, checkpoints, check, unstored) = (None, None, None, None, None);
        let mut observer = Observed { session, display, parts, checkpoints, check, end, teller, figures, unstored };
        let fleet = loaded.fleet().zip(fleet.as_ref());
        let nodes = fleet.map(|(fleet, files)| NodeFolders::new(None, fleet, Some(files))).transpose()?;
        let programs = loaded.fleet().zip(nodes.as_ref());
        let programs = programs.map(|(fleet, nodes)| begin(fleet, &calendars, nodes, trace, (&shards.partition, id)));
        let worker = Payload::new(worker, programs.transpose()?);
        let ended = run(membership, &agreement, neighbours, worker, &interrupts, &mut observer);
        if let (Err((stop, _)), Some(nodes)) = (&ended, nodes)
            && !matches!(stop.cause, Cause::Interrupted | Cause::Terminated)
            && !session.is_json()
            && let Some(path) = nodes.keep()?
        {
            session.talk(format_args!("what programs have left here is in {}", path.display()));
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
}

/// Whether it is this shard that the others have given up.
fn is_given_up(stop: &Stop, own: ShardId) -> bool {
    stop.cause == Cause::Expelled || (stop.cause == Cause::Lost && stop.shard == own)
}

/// A shard where the run starts.
fn worker<'a>(
    app: &'a App,
    program: &'a Program,
    options: &RunOptions,
    shards: &Shards,
    id: ShardId,
) -> Result<(EngineShard<'a>, Vec<Neighbour>), EngineError> {
    let (mut worker, neighbours) = EngineShard::new(app, program, options, &shards.partition, id)?;
    match &shards.start {
        Some(Standing::State(snapshot)) => worker.restore(snapshot)?,
        // Executed again, it must come by there.
        Some(Standing::Opaque { tick, .. }) => worker.save_at(*tick),
        None => {}
    }
    shards.every.iter().for_each(|&ticks| worker.save_every(ticks));
    Ok((worker, neighbours))
}

/// Ticks from one checkpoint to the next: shards agree on them beforehand, not on a time.
fn every(every: Option<Every>) -> Result<Option<Ticks>, Failure> {
    match every {
        None => Ok(None),
        Some(Every::Ticks(ticks)) => Ok(Some(Ticks(ticks))),
        Some(Every::Time(_)) => {
            let message = "shards take checkpoints at ticks, not at times";
            Err(Failure::new(Exit::Invalid, "checkpoint::time", message).help("write --checkpoint-every 1000000"))
        }
    }
}

/// Where shard 0 keeps checkpoints.
struct Checkpoints<'a> {
    store: Option<Store>,
    make: &'a dyn Fn() -> Result<Store, Failure>,
}

impl Checkpoints<'_> {
    fn store(&mut self) -> Result<&Store, Failure> {
        match &mut self.store {
            Some(store) => Ok(store),
            none => Ok(none.insert((self.make)()?)),
        }
    }
}

/// Lets the programs of a shard's nodes begin.
fn begin<'a>(
    fleet: &'a Fleet,
    calendars: &CalendarSet,
    nodes: &NodeFolders,
    trace: Trace,
    own: (&Partition, ShardId),
) -> Result<Programs<'a>, Failure> {
    let (partition, shard) = own;
    // Shards of one host share its processors as evenly as their numbers allow.
    let worker = |node| (partition.shard_of(node) == shard).then_some(shard.0 as usize);
    let begun = hosts::begin(fleet, calendars, nodes, trace, &worker);
    Programs::new(fleet, nodes.path().to_owned(), own, begun).map_err(hosts::not_begun)
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

/// Follows a run.
struct Observed<'a, 'd> {
    session: &'a Session,
    /// On shard 0.
    display: Option<&'d mut Display>,
    /// On shard 0.
    parts: Option<PayloadParts<'a>>,
    /// On shard 0, unless clocks carry the run.
    checkpoints: Option<Checkpoints<'a>>,
    /// On shard 0: where a run that is executed again stood before, with the same run digest.
    check: Option<Standing>,
    end: Tick,
    teller: Teller,
    /// On shard 0: what shards have measured.
    figures: BTreeMap<ShardId, Figures>,
    /// Why a checkpoint is not stored.
    unstored: Option<Failure>,
}

impl Observer for Observed<'_, '_> {
    fn part(&mut self, from: ShardId, bytes: Vec<u8>) -> Result<(), (Cause, String)> {
        let parts = self.parts.as_mut().expect("only shard 0 is given parts");
        parts.take(from, bytes)?;
        while let Some(standing) = parts.engine.state() {
            if let Some(before) = self.check.take_if(|before| before.tick() == standing.tick()) {
                if standing.digest() != before.digest() {
                    let message = difference(standing.tick(), standing.digest(), before.digest());
                    return Err((Cause::Differs, message));
                }
                continue;
            }
            // Clocks do not go on from a state.
            let Some(checkpoints) = &mut self.checkpoints else { continue };
            let kept = checkpoints.store().and_then(|store| store.commit(&standing));
            if let Err(failure) = kept {
                let message = failure.to_string();
                self.unstored = Some(failure);
                return Err((Cause::Storage, message));
            }
        }
        Ok(())
    }

    fn slow(&mut self, neighbour: ShardId, waited: Duration) {
        if !self.session.is_json() {
            let seconds = waited.as_secs();
            self.session.talk(format_args!("warning: shard {} makes no progress for {seconds} s", neighbour.0));
        }
    }

    fn figures(&mut self, from: ShardId, figures: Figures) {
        self.figures.insert(from, figures);
    }

    fn progress(&mut self, position: Tick, figures: &Figures) {
        self.teller.tell(position, self.end, figures);
        if let Some(display) = &mut self.display {
            display.note(Progress { tick: position, end: self.end, done: false });
        }
    }
}
