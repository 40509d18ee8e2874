//! A load for machines: every node computes, and every link carries a frame, in every tick.

use sim_core::mix::{Mix, MixPort};
use sim_core::{
    Actor, ActorId, ActorState, App, AppError, Channel, InitialTokens, InitialValues, LinkId, Machine, NodeId,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One actor per node of `machine` that has a core, pinned there and called like it, with an `exec` of 1; one channel of one
/// word per firing along every link between two of them, called `n0->n1`, or `n0->n1.1` and so on where links are parallel.
///
/// Firings run the mix payload. A channel along a link of latency λ has λ + 2 initial tokens, which is exactly the
/// least for an iteration period of 1: a word made in tick t is sent in t + 1, stored in t + 1 + λ, and read in t + 2 + λ.
///
/// ```
/// use sim_core::Machine;
///
/// let app = tidelock::library::dense(&Machine::torus([4, 4]))?;
/// assert_eq!((app.actors().len(), app.channels().len()), (16, 64));
/// # Ok::<(), sim_core::AppError>(())
/// ```
///
/// # Errors
/// [`AppError::Empty`] if no node has a core, [`AppError::TooLarge`] if the initial tokens of all links are too many.
pub fn dense(machine: &Machine) -> Result<App, AppError> {
    let nodes = machine.nodes();
    let hosts: Vec<NodeId> = nodes.ids().filter(|&node| nodes[node].cores > 0).collect();
    let actor_on = |node: NodeId| hosts.binary_search(&node).ok().map(|index| ActorId(index as u32));
    let mut ports = vec![[0_u32; 2]; hosts.len()];
    let mut parallel: BTreeMap<(NodeId, NodeId), u32> = BTreeMap::new();
    let mut channels = Vec::new();
    for (id, link) in machine.links().iter() {
        let (Some(source), Some(target)) = (actor_on(link.source), actor_on(link.target)) else { continue };
        let mut port = |actor: ActorId, side: usize| {
            let next = &mut ports[actor.0 as usize][side];
            *next += 1;
            *next - 1
        };
        let number = parallel.entry((link.source, link.target)).or_default();
        channels.push(Channel {
            name: channel_name(machine, id, *number),
            source,
            source_port: port(source, 0),
            target,
            target_port: port(target, 1),
            produce: vec![1],
            consume: vec![1],
            token_bits: 64,
            initial: InitialTokens { count: link.latency.0 as u64 + 2, values: InitialValues::Mix },
            place: None,
        });
        *number += 1;
    }
    let actor = |(&node, &[outputs, _]): (&NodeId, &[u32; 2])| {
        let name = nodes[node].name.clone();
        let ports = vec![MixPort { rates: vec![1], words: 1 }; outputs as usize];
        Actor {
            behaviour: Arc::new(Mix::new(&name, ports)),
            name,
            exec: vec![1],
            state: ActorState::None,
            pin: Some(node),
            fed: false,
            place: None,
        }
    };
    App::new("dense", hosts.iter().zip(&ports).map(actor).collect::<Vec<_>>(), channels)
}

fn channel_name(machine: &Machine, link: LinkId, number: u32) -> String {
    let ends = &machine.links()[link];
    let name = |node: NodeId| &machine.nodes()[node].name;
    let (source, target) = (name(ends.source), name(ends.target));
    if number == 0 { format!("{source}->{target}") } else { format!("{source}->{target}.{number}") }
}
