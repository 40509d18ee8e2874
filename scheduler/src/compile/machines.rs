//! Machines to compile for: whether one can host anything, and smaller ones whose schedules hold for it too.

use super::{CompileError, Options};
use sim_core::{ActorId, App, IdVec, Machine, NodeId};

/// Checks that the machine can host anything at all, and merges the pins.
pub(super) fn check_machine(
    app: &App,
    machine: &Machine,
    options: &Options,
) -> Result<IdVec<ActorId, Option<NodeId>>, CompileError> {
    let nodes = machine.nodes();
    if nodes.values().all(|node| node.cores == 0) {
        return Err(CompileError::NoCores { machine: machine.name().to_owned(), nodes: nodes.len() });
    }
    let connected = connected_with_first(machine);
    if let Some(node) = nodes.ids().find(|&node| !connected[node]) {
        return Err(CompileError::Disconnected {
            machine: machine.name().to_owned(),
            start: nodes[NodeId(0)].name.to_string(),
            node: nodes[node].name.to_string(),
            apart: connected.values().filter(|&&c| !c).count(),
            nodes: nodes.len(),
        });
    }
    let mut pins: IdVec<ActorId, Option<NodeId>> = app.actors().values().map(|actor| actor.pin).collect();
    for &(actor, node) in &options.pins {
        if app.actors().get(actor).is_none() {
            return Err(CompileError::NoSuchActor { actor, actors: app.actors().len() });
        }
        pins[actor] = Some(node);
    }
    for (actor, pin) in pins.iter() {
        if let Some(node) = pin.filter(|&node| nodes.get(node).is_none()) {
            let actor = app.actors()[actor].name.to_string();
            return Err(CompileError::PinnedNowhere { actor, node, nodes: nodes.len() });
        }
        if let Some(node) = pin.filter(|&node| nodes[node].cores == 0) {
            let actor = app.actors()[actor].name.to_string();
            return Err(CompileError::PinnedToSwitch { actor, node: nodes[node].name.to_string() });
        }
    }
    Ok(pins)
}

/// Which nodes some chain of links, in any direction, joins to node 0.
fn connected_with_first(machine: &Machine) -> IdVec<NodeId, bool> {
    let mut connected = IdVec::filled(false, machine.nodes().len());
    let mut open = vec![NodeId(0)];
    connected[NodeId(0)] = true;
    while let Some(node) = open.pop() {
        let out = machine.outgoing(node).iter().map(|&link| machine.links()[link].target);
        let into = machine.incoming(node).iter().map(|&link| machine.links()[link].source);
        for next in out.chain(into) {
            if !std::mem::replace(&mut connected[next], true) {
                open.push(next);
            }
        }
    }
    connected
}

/// Machines with fewer cores that are tried too.
const FEWER: usize = 2;

/// The machine with a core less on every node, and so on as long as every node keeps one: what fits on less fits on more,
/// so that cores added to a machine hardly ever make a schedule slower.
pub(super) fn with_fewer_cores(machine: &Machine) -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    while machines.len() < FEWER {
        let mut nodes = machines.last().unwrap_or(machine).nodes().clone();
        if nodes.values().any(|node| node.cores == 1) {
            break;
        }
        nodes.values_mut().for_each(|node| node.cores = node.cores.saturating_sub(1));
        let fewer = Machine::new(machine.name(), nodes, machine.links().clone());
        machines.push(fewer.expect("a legal machine with fewer cores is legal"));
    }
    machines
}

/// The machine with its last node that has a core made a switch, unless it is the only one or somebody is pinned to it: what
/// fits there fits here, so that a node added to a machine hardly ever makes a schedule slower.
pub(super) fn without_last_host(machine: &Machine, pins: &IdVec<ActorId, Option<NodeId>>) -> Option<Machine> {
    let mut nodes = machine.nodes().clone();
    let mut hosts = nodes.ids().rev().filter(|&node| nodes[node].cores > 0);
    let (last, _) = (hosts.next()?, hosts.next()?);
    if pins.values().any(|&pin| pin == Some(last)) {
        return None;
    }
    nodes[last].cores = 0;
    let smaller = Machine::new(machine.name(), nodes, machine.links().clone());
    Some(smaller.expect("a legal machine with fewer cores is legal"))
}
