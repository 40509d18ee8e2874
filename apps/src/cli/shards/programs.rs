//! A shard of an application whose nodes may run programs: the engine's worker, and with it what is left of the programs.
//!
//! Every shard starts the programs of its own nodes, in directories of its own host. In the end these directories, and how
//! programs ended, travel to shard 0 as further parts of the result.

use super::super::tree::{Item, Unpacking, pack};
use crate::hosts::{BeginError, Fleet, NodeError};
use net_runtime::engine::{EngineShard, OutcomeParts, ShardFault};
use net_runtime::proto::{Cause, ShardId, Worker};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use shim::{ExitStatus, HostError, Refused, Report, SpawnError};
use sim_core::Tick;
use sim_core::shard::Partition;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The programs of one shard's nodes.
pub(super) struct Programs<'a> {
    fleet: &'a Fleet,
    /// Where the nodes have their directories.
    directory: PathBuf,
    shard: ShardId,
    /// The shard's nodes, by their numbers in the fleet.
    nodes: Vec<u32>,
    /// Why they did not begin.
    failed: Option<NodeError>,
}

/// A shard of the engine, perhaps with programs.
pub(super) struct Payload<'a> {
    engine: EngineShard<'a>,
    /// `None` once all was told of them.
    programs: Option<Programs<'a>>,
}

/// Why a shard cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadFault {
    #[error(transparent)]
    Engine(#[from] ShardFault),
    /// Programs are files of each host, and which host is missing one is for the user to know.
    #[error("{error} (host `{host}`, which runs shard {shard}{})", if *missing { "; programs are not sent, install it there" } else { "" })]
    Host { error: NodeError, host: String, shard: u32, missing: bool },
}

/// What shard 0 is told of a node that another shard drives.
#[derive(Serialize, Deserialize)]
enum NodePart {
    /// In its directory.
    Item { node: u32, item: Item },
    /// How its program ended.
    Report { node: u32, end: Option<(bool, i32)>, trace_hash: u64, calls: u64, refused: Vec<(String, String, u64)> },
    /// Its directory cannot be read.
    Unreadable { node: u32, error: String },
}

/// The last byte of a part says whose it is.
const OF_ENGINE: u8 = 0;
const OF_NODES: u8 = 1;

impl<'a> Programs<'a> {
    /// Those of `shard`, which has tried to `begin` them.
    ///
    /// # Errors
    /// The calendars are not those of the fleet.
    pub(super) fn new(
        fleet: &'a Fleet,
        directory: PathBuf,
        (partition, shard): (&Partition, ShardId),
        begun: Result<(), BeginError>,
    ) -> Result<Self, BeginError> {
        let failed = match begun {
            Ok(()) => None,
            Err(BeginError::Program(error)) => Some(error),
            Err(error @ BeginError::Clock(_)) => return Err(error),
        };
        let own = (0..).zip(fleet.nodes()).filter(|(_, node)| partition.shard_of(node.on) == shard);
        Ok(Self { fleet, directory, shard, nodes: own.map(|(number, _)| number).collect(), failed })
    }

    fn fault(&self) -> Option<PayloadFault> {
        let error = self.failed.clone().or_else(|| self.fleet.error())?;
        let missing = match &error {
            NodeError::Host(HostError::Spawn(SpawnError::Exec { errno, .. })) => *errno == Errno::ENOENT,
            NodeError::Host(HostError::Spawn(error)) => matches!(error, SpawnError::NotFound { .. }),
            _ => false,
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Some(PayloadFault::Host { error, host, shard: self.shard.0, missing })
    }

    /// All that is left to tell, once the engine is gone and with it the programs.
    fn parts(self, tell: &mut dyn FnMut(&NodePart)) {
        let outcome = self.fleet.outcome();
        for node in self.nodes {
            let host = &outcome.nodes[node as usize];
            if let Some(Report { status, trace_hash, calls, refused }) = &host.report {
                let end = status.map(|status| match status {
                    ExitStatus::Exited(code) => (true, code),
                    ExitStatus::Signalled(signal) => (false, signal),
                });
                let refused =
                    refused.iter().map(|call| (call.program.clone(), call.call.clone(), call.times)).collect();
                tell(&NodePart::Report { node, end, trace_hash: *trace_hash, calls: *calls, refused });
                let directory = self.directory.join(&host.node);
                if let Err(error) = pack(&directory, &mut |item| tell(&NodePart::Item { node, item })) {
                    tell(&NodePart::Unreadable { node, error: error.to_string() });
                }
            }
        }
    }
}

impl<'a> Payload<'a> {
    pub(super) fn new(engine: EngineShard<'a>, programs: Option<Programs<'a>>) -> Self {
        Self { engine, programs }
    }
}

impl Worker for Payload<'_> {
    type Fault = PayloadFault;

    fn cause(fault: &PayloadFault) -> Cause {
        match fault {
            PayloadFault::Engine(_) => Cause::CheckFailed,
            PayloadFault::Host { .. } => Cause::HostFailed,
        }
    }

    fn position(&self) -> Tick {
        self.engine.position()
    }

    fn end(&self) -> Tick {
        self.engine.end()
    }

    fn ready(&self, limit: Tick) -> Option<Tick> {
        self.engine.ready(limit)
    }

    fn bound(&self) -> Option<(ShardId, Tick)> {
        self.engine.bound()
    }

    fn advance(&mut self, limit: Tick) -> Result<(), PayloadFault> {
        if let Some(fault) =
            self.programs.as_ref().filter(|programs| programs.failed.is_some()).and_then(Programs::fault)
        {
            return Err(fault);
        }
        self.engine.advance(limit).map_err(|fault| {
            // A host that fails ends its firing.
            self.programs.as_ref().and_then(Programs::fault).unwrap_or(fault.into())
        })
    }

    fn reached(&self, limit: Tick) -> bool {
        self.engine.reached(limit)
    }

    fn boundary(&self, tick: Tick) -> Tick {
        self.engine.boundary(tick)
    }

    fn send(&mut self, to: ShardId, words: &mut Vec<u64>) -> Tick {
        self.engine.send(to, words)
    }

    fn receive(&mut self, from: ShardId, sent_before: Tick, words: &[u64]) -> Result<(), PayloadFault> {
        Ok(self.engine.receive(from, sent_before, words)?)
    }

    fn parts(&mut self, parts: &mut Vec<Vec<u8>>, last: bool) {
        let known = parts.len();
        self.engine.parts(parts, last);
        parts[known..].iter_mut().for_each(|part| part.push(OF_ENGINE));
        // What shard 0 has to say of its own nodes it need not be told.
        if last && let Some(programs) = self.programs.take().filter(|programs| programs.shard != ShardId(0)) {
            programs.parts(&mut |part| {
                let mut bytes = postcard::to_stdvec(part).expect("plain data has a form");
                bytes.push(OF_NODES);
                parts.push(bytes);
            });
        }
    }
}

/// On shard 0: puts together what all shards tell.
pub(super) struct PayloadParts<'a> {
    pub(super) engine: OutcomeParts<'a>,
    programs: Option<Gathered<'a>>,
}

/// What is told of nodes that other shards drive.
struct Gathered<'a> {
    fleet: &'a Fleet,
    directory: PathBuf,
    partition: &'a Partition,
    unpacking: BTreeMap<u32, Unpacking>,
}

impl<'a> PayloadParts<'a> {
    /// Directories of nodes are made in `directory`.
    pub(super) fn new(
        engine: OutcomeParts<'a>,
        programs: Option<(&'a Fleet, PathBuf)>,
        partition: &'a Partition,
    ) -> Self {
        let gathered = |(fleet, directory)| Gathered { fleet, directory, partition, unpacking: BTreeMap::new() };
        Self { engine, programs: programs.map(gathered) }
    }

    pub(super) fn take(&mut self, from: ShardId, mut part: Vec<u8>) -> Result<(), (Cause, String)> {
        match (part.pop(), &mut self.programs) {
            (Some(OF_ENGINE), _) => self.engine.take(from, &part),
            (Some(OF_NODES), Some(programs)) => {
                let part = postcard::from_bytes(&part);
                programs.take(from, part.map_err(|error| (Cause::Violated, format!("no part: {error}")))?)
            }
            _ => Err((Cause::Violated, "a part of nothing".to_owned())),
        }
    }

    /// The engine's parts, once all has come.
    ///
    /// # Errors
    /// Links cannot be stored.
    pub(super) fn finish(self) -> (OutcomeParts<'a>, std::io::Result<()>) {
        let unpacking = self.programs.map(|programs| programs.unpacking).unwrap_or_default();
        (self.engine, unpacking.into_values().try_for_each(Unpacking::finish))
    }
}

impl Gathered<'_> {
    fn take(&mut self, from: ShardId, part: NodePart) -> Result<(), (Cause, String)> {
        let (NodePart::Item { node, .. } | NodePart::Report { node, .. } | NodePart::Unreadable { node, .. }) = part;
        let known = self.fleet.nodes().get(node as usize);
        let Some(known) = known.filter(|known| self.partition.shard_of(known.on) == from) else {
            return Err((Cause::Violated, format!("it tells of node number {node}, which it does not drive")));
        };
        let name = &known.spec.node;
        match part {
            NodePart::Report { end, trace_hash, calls, refused, .. } => {
                let status = end.map(|(exited, number)| match exited {
                    true => ExitStatus::Exited(number),
                    false => ExitStatus::Signalled(number),
                });
                let refused = refused.into_iter().map(|(program, call, times)| Refused { program, call, times });
                let refused = refused.collect();
                self.fleet.report(node as usize, Report { status, trace_hash, calls, refused });
                Ok(())
            }
            NodePart::Item { item, .. } => {
                let unpacking = self.unpacking.entry(node).or_insert_with(|| Unpacking::new(self.directory.join(name)));
                unpacking.put(item).map_err(|error| match error.kind() {
                    std::io::ErrorKind::InvalidData => {
                        (Cause::Violated, format!("a file of node `{name}` lies outside"))
                    }
                    _ => (Cause::Storage, format!("the directory of node `{name}` cannot be stored: {error}")),
                })
            }
            NodePart::Unreadable { error, .. } => {
                Err((Cause::Storage, format!("the directory of node `{name}` cannot be read: {error}")))
            }
        }
    }
}
