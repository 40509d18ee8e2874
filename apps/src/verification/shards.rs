//! A run as shards under the protocol between them, all in this process: in memory, or over QUIC on the loopback device.

use super::{Subject, Transport, VerifyError};
use net_runtime::engine::{EngineShard, OutcomeParts, window};
use net_runtime::memory::{self, Weather};
use net_runtime::proto::rendezvous::{Secret, Trust};
use net_runtime::proto::session::{Config, Event, Phase};
use net_runtime::proto::{Cause, Hash, Neighbour, ShardId, Stop, Worker};
use net_runtime::quic::{Agreement, Files, Identity, Interrupts, Membership, Observer, Options, Port, host, join, run};
use sim_core::engine::EngineError;
use sim_core::random::Seed;
use sim_core::shard::{Carrier, Partition};
use sim_core::{Outcome, RunOptions, Tick};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

/// Longer than any shard of this process is silent.
const PATIENCE: Duration = Duration::from_secs(600);
/// Nobody can tell shards of one process from each other by the program that they run.
const BUILD: Hash = [0; 32];

/// One run as shards.
pub(super) struct Shards<'a> {
    subject: &'a Subject<'a>,
    options: RunOptions,
    partition: Partition,
}

impl<'a> Shards<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, shards: u32) -> Result<Self, EngineError> {
        let Subject { app, machine, program, .. } = *subject;
        let partition = Partition::balanced(machine, program, shards, Carrier::Network);
        let options = subject.options(None, false);
        let mut least = None;
        for id in partition.ids() {
            let (_, neighbours) = EngineShard::new(app, program, &options, &partition, id)?;
            least = neighbours.iter().filter_map(|neighbour| neighbour.lookahead).chain(least).min();
        }
        Ok(Self { subject, options: RunOptions { window: least.map(window), ..options }, partition })
    }

    /// Executes it: how many shards there were, and what came out.
    pub(super) fn execute(&self, transport: Transport) -> Result<(usize, Outcome), VerifyError> {
        let (tick, parts) = match transport {
            Transport::Memory => self.in_memory()?,
            Transport::Quic => self.over_quic()?,
        };
        Ok((self.partition.shards() as usize, parts.finish(tick)))
    }

    fn worker(&self, id: ShardId) -> Result<(EngineShard<'a>, Vec<Neighbour>), EngineError> {
        EngineShard::new(self.subject.app, self.subject.program, &self.options, &self.partition, id)
    }

    fn parts(&self) -> Result<OutcomeParts<'a>, EngineError> {
        OutcomeParts::new(self.subject.app, self.subject.program, &self.options, &self.partition)
    }

    fn in_memory(&self) -> Result<(Tick, OutcomeParts<'a>), VerifyError> {
        let mut shards = Vec::new();
        for id in self.partition.ids() {
            let (worker, neighbours) = self.worker(id)?;
            let config = Config { id, shards: self.partition.shards(), neighbours, slow: PATIENCE, verdict: PATIENCE };
            shards.push((config, worker));
        }
        let ends = memory::run(shards, &Weather { timeout: PATIENCE, ..Weather::fair(Seed(0)) });
        let first = &ends[0];
        if let Phase::Stopped(stop) = first.session.phase() {
            return Err(VerifyError::Stopped(stop.clone()));
        }
        let mut parts = self.parts()?;
        for event in &first.events {
            if let Event::Part { from, bytes } = event {
                parts.take(*from, bytes).map_err(|(cause, message)| refused(*from, cause, message))?;
            }
        }
        Ok((first.session.worker().position(), parts))
    }

    fn over_quic(&self) -> Result<(Tick, OutcomeParts<'a>), VerifyError> {
        let network = |error: std::io::Error| VerifyError::Network(error.to_string());
        let bind = || {
            let options = Options { peer_timeout: PATIENCE, join_timeout: PATIENCE, slow: PATIENCE };
            Port::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Identity::fresh(), options).map_err(network)
        };
        let (first, trust) = (bind()?, Trust::Secret(Secret::new(Identity::secret_text().as_bytes())));
        let (address, shards) = (first.address().map_err(network)?, self.partition.shards());
        thread::scope(|scope| {
            let mut others = Vec::new();
            for id in self.partition.ids().skip(1) {
                let (port, trust) = (bind()?, &trust);
                others.push(scope.spawn(move || {
                    let (membership, _) = join(port, address, trust, id, shards, BUILD)?;
                    self.member(membership, None).map(drop)
                }));
            }
            let membership = host(first, &trust, shards, BUILD, Files::new())?;
            let mut parts = self.parts()?;
            let tick = self.member(membership, Some(&mut parts));
            let others = others.into_iter().map(|other| other.join().expect("a shard reports its faults"));
            // Why the run ended is the same everywhere.
            others.collect::<Result<(), VerifyError>>().and(tick.map(|tick| (tick, parts)))
        })
    }

    /// Executes one shard to its end; shard 0 has `parts`.
    fn member(&self, membership: Membership, parts: Option<&mut OutcomeParts<'a>>) -> Result<Tick, VerifyError> {
        let (worker, neighbours) = self.worker(membership.shard)?;
        let calendars = *self.subject.program.identity();
        let agreement = Agreement { build: BUILD, configuration: [0; 32], calendars, seed: 0 };
        let ended = run(membership, &agreement, neighbours, worker, &Interrupts::default(), &mut Collector(parts));
        ended.map(|(worker, _)| worker.position()).map_err(|(stop, _)| VerifyError::Stopped(stop))
    }
}

fn refused(shard: ShardId, cause: Cause, message: String) -> VerifyError {
    VerifyError::Stopped(Stop { cause, shard, tick: Tick(0), message })
}

/// Takes what shard 0 is told.
struct Collector<'p, 'a>(Option<&'p mut OutcomeParts<'a>>);

impl Observer for Collector<'_, '_> {
    fn part(&mut self, from: ShardId, bytes: Vec<u8>) -> Result<(), (Cause, String)> {
        self.0.as_mut().map_or(Ok(()), |parts| parts.take(from, &bytes))
    }
}
