//! Loads for machines: every node computes, and every link carries a frame, once per period of the same length everywhere.

use sim_core::mix::fnv;
use sim_core::{
    Actor, ActorId, ActorState, App, AppError, Behaviour, Channel, ChannelTokens, Firing, InitialTokens, InitialValues,
    LinkId, Machine, NodeId, Shared, State,
};
use smol_str::{SmolStr, format_smolstr};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;

/// One actor per node of `machine` that has a core, pinned there and called like it, with an `exec` of 1; one channel of one
/// word per firing along every link between two of them, called `n0->n1`, or `n0->n1.1` and so on where links are parallel.
///
/// A firing sends on what it got, stirred with a few instructions, so that a run measures the machine and not the actors. A
/// channel along a link of latency λ has λ + 2 initial tokens, which is exactly the least for an iteration period of 1: a
/// word made in tick t is sent in t + 1, stored in t + 1 + λ, and read in t + 2 + λ. Actors without any channel may be faster.
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
    Load { paced: false, ..Load::new(machine, NonZeroU32::MIN) }.app("dense")
}

/// The same as [`dense`] at an iteration period of exactly `period` ticks, over which the starts of the actors are spread:
/// every link carries a frame in one of `period` ticks.
///
/// One actor, that of the first node, sets the pace: it has a state, so that its firings do not overlap, and an `exec` of
/// `period`. All others take a few ticks, as many as make the starts fall into all slots: from the first node on, each
/// actor starts just when the word of the neighbour that is nearest to the first node is there. Channels have the least
/// initial tokens that allow these starts.
///
/// ```
/// use scheduler::{Options, compile};
/// use sim_core::Machine;
///
/// let machine = Machine::torus([4, 4]);
/// let app = tidelock::library::sparse(&machine, 100.try_into()?)?;
/// assert_eq!(compile(&app, &machine, &Options::default())?.report.iteration_period, 100.into());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`dense`].
pub fn sparse(machine: &Machine, period: NonZeroU32) -> Result<App, AppError> {
    Load::new(machine, period).app(&format!("sparse:{period}"))
}

/// What a machine is loaded with.
struct Load<'a> {
    machine: &'a Machine,
    /// Ticks per iteration.
    period: i64,
    /// The nodes that have an actor, ascending.
    hosts: Vec<NodeId>,
    /// Ticks of a firing, except on the first host.
    exec: i64,
    /// Whether the first actor sets the pace.
    paced: bool,
}

impl<'a> Load<'a> {
    fn new(machine: &'a Machine, period: NonZeroU32) -> Self {
        let nodes = machine.nodes();
        let period = i64::from(period.get());
        // Where all links are equally long, starts are multiples of one number. It should not divide the period.
        let hop = machine.links().values().next().map_or(0, |link| link.latency.hop().0);
        let spreads = |&exec: &i64| gcd(exec + hop, period) == 1;
        let exec = (1..).find(spreads).expect("one of two consecutive multiples of the period plus 1");
        let hosts = nodes.ids().filter(|&node| nodes[node].cores > 0).collect();
        Self { machine, period, hosts, exec, paced: true }
    }

    fn actor_on(&self, node: NodeId) -> Option<ActorId> {
        self.hosts.binary_search(&node).ok().map(|index| ActorId(index as u32))
    }

    /// Ticks of a firing.
    fn exec(&self, actor: ActorId) -> i64 {
        if actor == ActorId(0) { self.period } else { self.exec }
    }

    /// Ticks from the start of a firing to the earliest start of one that gets its word over `link`.
    fn ahead(&self, actor: ActorId, link: LinkId) -> i64 {
        self.exec(actor) + self.machine.links()[link].latency.hop().0
    }

    /// The slot in which every actor starts: the first as soon as it can, from there in breadth.
    fn slots(&self) -> Vec<i64> {
        let mut slots = vec![None; self.hosts.len()];
        for root in 0..self.hosts.len() {
            if slots[root].is_some() {
                continue;
            }
            slots[root] = Some(0);
            let mut queue = VecDeque::from([ActorId(root as u32)]);
            while let Some(actor) = queue.pop_front() {
                let start = slots[actor.0 as usize].expect("queued actors have a slot");
                for &link in self.machine.outgoing(self.hosts[actor.0 as usize]) {
                    let Some(next) = self.actor_on(self.machine.links()[link].target) else { continue };
                    let slot = &mut slots[next.0 as usize];
                    if slot.is_none() {
                        *slot = Some((start + self.ahead(actor, link)) % self.period);
                        queue.push_back(next);
                    }
                }
            }
        }
        slots.into_iter().map(|slot| slot.expect("every actor is a root or is reached")).collect()
    }

    fn app(&self, name: &str) -> Result<App, AppError> {
        App::new(name, self.actors(), self.channels())
    }

    fn actors(&self) -> Vec<Actor> {
        let exec: Arc<[u64]> = Arc::new([self.exec as u64]);
        let actor = |(index, &node): (usize, &NodeId)| {
            let name = self.machine.nodes()[node].name.clone();
            let paces = index == 0 && self.paced;
            Actor {
                behaviour: Arc::new(Stir { seed: fnv(&name) }),
                name,
                exec: if paces { [self.period as u64].into() } else { exec.clone() },
                state: if paces { ActorState::Plain(Vec::new()) } else { ActorState::None },
                pin: Some(node),
                fed: false,
                place: None,
            }
        };
        self.hosts.iter().enumerate().map(actor).collect()
    }

    fn channels(&self) -> Vec<Channel> {
        let slots = self.slots();
        let rate: Arc<[u32]> = Arc::new([1]);
        let words = |count: u64| ChannelTokens {
            produce: rate.clone(),
            consume: rate.clone(),
            bits: 64,
            initial: InitialTokens { count, values: InitialValues::Mix },
        };
        // There are millions of channels, and few numbers of initial tokens.
        let mut tokens: HashMap<u64, Shared<ChannelTokens>> = HashMap::new();
        let mut ports = vec![[0_u32; 2]; self.hosts.len()];
        let mut parallel: HashMap<(NodeId, NodeId), u32> = HashMap::new();
        let mut channels = Vec::new();
        for (id, link) in self.machine.links().iter() {
            let (Some(source), Some(target)) = (self.actor_on(link.source), self.actor_on(link.target)) else {
                continue;
            };
            let mut port = |actor: ActorId, side: usize| {
                let next = &mut ports[actor.0 as usize][side];
                *next += 1;
                *next - 1
            };
            let number = parallel.entry((link.source, link.target)).or_default();
            let wait = slots[source.0 as usize] + self.ahead(source, id) - slots[target.0 as usize];
            let count = wait.max(0).unsigned_abs().div_ceil(self.period.unsigned_abs());
            channels.push(Channel {
                name: channel_name(self.machine, id, *number),
                source,
                source_port: port(source, 0),
                target,
                target_port: port(target, 1),
                tokens: tokens.entry(count).or_insert_with(|| words(count).into()).clone(),
                place: None,
            });
            *number += 1;
        }
        channels
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
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
