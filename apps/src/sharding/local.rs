//! All shards of a run in threads of this process, over QUIC on loopback: for benchmarks and for measuring what an exchange
//! costs here. Every shard has its own socket, identity and thread for input and output, as separate processes have.

use net_runtime::engine::{EngineShard, OutcomeParts};
use net_runtime::proto::rendezvous::{Secret, Trust};
use net_runtime::proto::{Cause, ShardId, Stop};
use net_runtime::quic::{
    Agreement, Figures, Files, Identity, Interrupts, JoinError, Membership, Observer, Options, Port, host, join, run,
};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use sim_core::engine::EngineError;
use sim_core::program::Program;
use sim_core::shard::Partition;
use sim_core::{App, Outcome, RunOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

/// Longer than any shard of one process is silent.
const PATIENCE: Duration = Duration::from_secs(600);

/// What came of such a run.
#[derive(Debug)]
pub struct LocalRun {
    /// The outcome, which is that of one process.
    pub outcome: Outcome,
    /// What each shard measured.
    pub figures: Vec<Figures>,
    /// From the common start until the last shard had executed everything.
    pub took: Duration,
    /// Time that processors worked for this process in the meantime, all shards and threads together.
    pub cpu: Duration,
}

/// Why a run was not executed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The run cannot start, or a firing panicked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no socket to be had.
    #[error("cannot use a socket on loopback: {0}")]
    Socket(#[from] std::io::Error),
    /// The shards did not come together.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The run ended early.
    #[error("{}: {}", .0.shard, .0.message)]
    Stopped(Stop),
}

/// Executes `program` as the shards of `partition`.
///
/// # Errors
/// [`LocalError`].
pub fn over_loopback(
    app: &App,
    program: &Program,
    options: &RunOptions,
    partition: &Partition,
) -> Result<LocalRun, LocalError> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // Whoever is silent here has not got a processor.
    let options_of_port = Options { peer_timeout: PATIENCE, join_timeout: PATIENCE, slow: PATIENCE };
    let bind = |_| Port::bind(loopback, Identity::fresh(), options_of_port);
    let ports: Vec<Port> = partition.ids().map(bind).collect::<Result<_, _>>()?;
    let address = ports[0].address()?;
    let (begin, cpu) = (AtomicI64::new(0), AtomicI64::new(0));
    let shard = |(id, port): (ShardId, Port)| {
        let (begin, cpu) = (&begin, &cpu);
        move || -> Result<(Figures, Option<Outcome>), LocalError> {
            let membership = gather(id, port, address, partition.shards())?;
            let (worker, neighbours) = EngineShard::new(app, program, options, partition, id)?;
            let parts = OutcomeParts::new(app, program, options, partition)?;
            let mut watch = Watch { parts, begin: (id == ShardId(0)).then_some(begin) };
            let agreement =
                Agreement { build: [0; 32], configuration: [0; 32], calendars: *program.identity(), seed: 0 };
            let ended = run(membership, &agreement, neighbours, worker, &Interrupts::default(), &mut watch);
            let (worker, figures) = ended.map_err(|(stop, _)| LocalError::Stopped(stop))?;
            // What follows the end of the last shard is not counted by much: connections are closed.
            cpu.fetch_max(cpu_ns(), Ordering::Relaxed);
            let end = net_runtime::proto::Worker::end(&worker);
            Ok((*figures, (id == ShardId(0)).then(|| watch.parts.finish(end))))
        }
    };
    let ended: Vec<Result<_, LocalError>> = thread::scope(|scope| {
        let threads: Vec<_> = partition.ids().zip(ports).map(|one| scope.spawn(shard(one))).collect();
        threads.into_iter().map(|thread| thread.join().expect("firings that panic are caught")).collect()
    });
    let (mut figures, mut outcome) = (Vec::new(), None);
    for ended in ended {
        let (own, of_run) = ended?;
        figures.push(own);
        outcome = outcome.or(of_run);
    }
    let took = figures.iter().map(|figures| figures.run_ns).max().unwrap_or(0);
    let worked = cpu.into_inner() - begin.into_inner();
    Ok(LocalRun {
        outcome: outcome.expect("shard 0 has the outcome"),
        figures,
        took: Duration::from_nanos(took),
        cpu: Duration::from_nanos(worked.max(0).unsigned_abs()),
    })
}

/// Lets the shards come together.
fn gather(id: ShardId, port: Port, address: SocketAddr, shards: u32) -> Result<Membership, JoinError> {
    let (trust, build) = (Trust::Secret(Secret::new(b"within one process")), [0; 32]);
    match id {
        ShardId(0) => host(port, &trust, shards, build, Files::new()),
        _ => join(port, address, &trust, id, shards, build).map(|(membership, _)| membership),
    }
}

/// Nanoseconds that processors have worked for this process.
fn cpu_ns() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    usage.map_or(0, |usage| (usage.user_time() + usage.system_time()).num_nanoseconds())
}

struct Watch<'a> {
    parts: OutcomeParts<'a>,
    begin: Option<&'a AtomicI64>,
}

impl Observer for Watch<'_> {
    fn started(&mut self) {
        self.begin.iter().for_each(|begin| begin.store(cpu_ns(), Ordering::Relaxed));
    }

    fn part(&mut self, from: ShardId, bytes: Vec<u8>) -> Result<(), (Cause, String)> {
        self.parts.take(from, &bytes)
    }
}
