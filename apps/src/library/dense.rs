//! A load for machines: every node computes, and every link carries a frame, in every tick.

use sim_core::mix::fnv;
use sim_core::{
    Actor, ActorId, ActorState, App, AppError, Behaviour, Channel, Firing, InitialTokens, InitialValues, LinkId,
    Machine, NodeId, State,
};
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One actor per node of `machine` that has a core, pinned there and called like it, with an `exec` of 1; one channel of one
/// word per firing along every link between two of them, called `n0->n1`, or `n0->n1.1` and so on where links are parallel.
///
/// A firing sends on what it got, stirred with a few instructions, so that a run measures the machine and not the actors. A channel along a link of latency λ has λ + 2 initial tokens, which is exactly the
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
    let (rate, exec): (Arc<[u32]>, Arc<[u64]>) = (Arc::new([1]), Arc::new([1]));
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
            produce: rate.clone(),
            consume: rate.clone(),
            token_bits: 64,
            initial: InitialTokens { count: link.latency.0 as u64 + 2, values: InitialValues::Mix },
            place: None,
        });
        *number += 1;
    }
    let actor = |&node: &NodeId| {
        let name = nodes[node].name.clone();
        Actor {
            behaviour: Arc::new(Stir { seed: fnv(&name) }),
            name,
            exec: exec.clone(),
            state: ActorState::None,
            pin: Some(node),
            fed: false,
            place: None,
        }
    };
    App::new("dense", hosts.iter().map(actor).collect::<Vec<_>>(), channels)
}

/// A cheap payload: every output differs from the others, and depends on every input and its place.
struct Stir {
    seed: u64,
}

impl Behaviour for Stir {
    fn fire(&self, _: Firing, _: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        let mut word = inputs.iter().fold(self.seed, |word, input| word.rotate_left(7) ^ input);
        for output in outputs {
            *output = word;
            word = word.wrapping_add(self.seed);
        }
    }
}

fn channel_name(machine: &Machine, link: LinkId, number: u32) -> SmolStr {
    let ends = &machine.links()[link];
    let name = |node: NodeId| &machine.nodes()[node].name;
    let (source, target) = (name(ends.source), name(ends.target));
    if number == 0 { format_smolstr!("{source}->{target}") } else { format_smolstr!("{source}->{target}.{number}") }
}
