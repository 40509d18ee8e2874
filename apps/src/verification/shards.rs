//! A run as shards under the protocol between them, all in this process: in memory, or over QUIC on the loopback device.

use super::{Subject, Transport, VerifyError};
use crate::sharding::over_loopback;
use net_runtime::engine::{EngineShard, OutcomeParts};
use net_runtime::memory::{self, Weather};
use net_runtime::proto::session::{Config, Event, Phase};
use net_runtime::proto::{Stop, Worker};
use sim_core::random::Seed;
use sim_core::shard::{Carrier, Partition};
use sim_core::{Outcome, RunOptions, Tick};
use std::time::Duration;

/// Nobody is lost in memory, however long he computes.
const FOREVER: Duration = Duration::from_secs(3600);

/// Executes `subject` as shards: how many there were, and what came out.
pub(super) fn execute(
    subject: &Subject<'_>,
    shards: u32,
    transport: Transport,
) -> Result<(usize, Outcome), VerifyError> {
    let Subject { app, machine, program, .. } = *subject;
    let partition = Partition::balanced(machine, program, shards, Carrier::Network);
    let options = subject.options(None, false);
    let outcome = match transport {
        Transport::Memory => in_memory(subject, &options, &partition)?,
        Transport::Quic => over_loopback(app, program, &options, &partition)?.outcome,
    };
    Ok((partition.shards() as usize, outcome))
}

fn in_memory(subject: &Subject<'_>, options: &RunOptions, partition: &Partition) -> Result<Outcome, VerifyError> {
    let Subject { app, program, .. } = *subject;
    let mut shards = Vec::new();
    for id in partition.ids() {
        let (worker, neighbours) = EngineShard::new(app, program, options, partition, id)?;
        shards.push((Config { id, shards: partition.shards(), neighbours, slow: FOREVER, verdict: FOREVER }, worker));
    }
    let ends = memory::run(shards, &Weather { timeout: FOREVER, ..Weather::fair(Seed(0)) });
    let first = &ends[0];
    if let Phase::Stopped(stop) = first.session.phase() {
        return Err(VerifyError::Stopped(stop.clone()));
    }
    let mut parts = OutcomeParts::new(app, program, options, partition)?;
    for event in &first.events {
        if let Event::Part { from, bytes } = event {
            let refused = |(cause, message)| Stop { cause, shard: *from, tick: Tick(0), message };
            parts.take(*from, bytes).map_err(|told| VerifyError::Stopped(refused(told)))?;
        }
    }
    Ok(parts.finish(first.session.worker().position()))
}
