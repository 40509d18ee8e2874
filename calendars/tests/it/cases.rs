//! Good calendars for tests: a generator of small applications, machines, and calendars that execute them.

use crate::planner::Planner;
use calendars::{CalendarSet, NodeCalendar, Shared};
use sim_core::app::{Actor, ActorState, Channel, ChannelTokens, InitialTokens};
use sim_core::ids::{ActorId, IdVec, NodeId};
use sim_core::machine::{Link, Node};
use sim_core::time::LogicalLatency;
use sim_core::{App, Machine, mix};
use std::sync::Arc;

/// An application on a machine with calendars for it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) app: App,
    pub(crate) machine: Machine,
    pub(crate) calendars: CalendarSet,
}

/// Numbers from SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix::mix64(self.0) % sides
    }
}

/// An actor of a test application.
pub(crate) fn actor(name: &str, exec: &[u64], state: bool) -> Actor {
    Actor {
        name: name.into(),
        exec: exec.into(),
        state: if state { ActorState::Plain(vec![0]) } else { ActorState::None },
        behaviour: Arc::new(mix::Mix::new(name, Vec::new())),
        pin: None,
        fed: false,
        place: None,
    }
}

/// A channel of a test application, with one word per token; ports are numbered by [`app`].
pub(crate) fn channel(name: &str, source: (u32, &[u32]), target: (u32, &[u32]), initial: u64) -> Channel {
    Channel {
        name: name.into(),
        source: ActorId(source.0),
        source_port: u32::MAX,
        target: ActorId(target.0),
        target_port: 0,
        tokens: ChannelTokens {
            produce: source.1.into(),
            consume: target.1.into(),
            bits: 64,
            initial: InitialTokens { count: initial, ..InitialTokens::none() },
        }
        .into(),
        place: None,
    }
}

/// An application; target ports are numbered in file order, and so are source ports that are `u32::MAX`.
pub(crate) fn app(actors: Vec<Actor>, mut channels: Vec<Channel>) -> App {
    for i in 0..channels.len() {
        let (earlier, rest) = channels.split_at_mut(i);
        let new = &mut rest[0];
        new.target_port = earlier.iter().filter(|c| c.target == new.target).count() as u32;
        if new.source_port == u32::MAX {
            let ports = earlier.iter().filter(|c| c.source == new.source).map(|c| c.source_port + 1);
            new.source_port = ports.max().unwrap_or(0);
        }
    }
    App::new("test", actors, channels).unwrap()
}

/// A machine of nodes with the given cores, and links (source, target, latency).
pub(crate) fn machine(cores: &[u32], links: &[(u32, u32, i64)]) -> Machine {
    let nodes: Vec<Node> = cores.iter().enumerate().map(|(i, &cores)| Node::new(format!("n{i}"), cores)).collect();
    let link = |&(source, target, latency): &(u32, u32, i64)| Link {
        source: NodeId(source),
        target: NodeId(target),
        latency: LogicalLatency(latency),
    };
    Machine::new("test", nodes, links.iter().map(link).collect::<Vec<_>>()).unwrap()
}

/// Empty calendars for `machine`.
pub(crate) fn empty_calendars(machine: &Machine, metacycle: i64, unroll: u32) -> CalendarSet {
    CalendarSet {
        version: CalendarSet::VERSION,
        app: "test".into(),
        machine: machine.name().into(),
        metacycle,
        unroll,
        nodes: IdVec::filled(NodeCalendar::default(), machine.nodes().len()),
        links: IdVec::filled(Shared::default(), machine.links().len()),
    }
}

/// Firings per iteration, by the balance equations: relaxation until nothing changes.
pub(crate) fn firings_per_iteration(app: &App) -> IdVec<ActorId, u64> {
    let actors = app.actors().len();
    for part in 1..=1000_u64 {
        // Connected parts are small: try all scales of each actor's part through its first actor.
        let mut q: IdVec<ActorId, u64> = IdVec::filled(0, actors);
        if solve(app, part, &mut q) {
            return app.actors().iter().map(|(id, actor)| q[id] * actor.phases()).collect();
        }
    }
    panic!("test applications have small repetition vectors");
}

fn solve(app: &App, largest: u64, q: &mut IdVec<ActorId, u64>) -> bool {
    for root in app.actors().ids() {
        if q[root] != 0 {
            continue;
        }
        let solved = (1..=largest).find_map(|scale| {
            let mut trial = q.clone();
            trial[root] = scale;
            spread(app, &mut trial).then_some(trial)
        });
        let Some(solved) = solved else { return false };
        *q = solved;
    }
    true
}

fn spread(app: &App, q: &mut IdVec<ActorId, u64>) -> bool {
    for _ in 0..app.actors().len() {
        for c in app.channels().values() {
            let (p, k) = (c.produced_per_cycle(), c.consumed_per_cycle());
            if q[c.source] != 0 && q[c.target] == 0 && (q[c.source] * p).is_multiple_of(k) {
                q[c.target] = q[c.source] * p / k;
            }
            if q[c.target] != 0 && q[c.source] == 0 && (q[c.target] * k).is_multiple_of(p) {
                q[c.source] = q[c.target] * k / p;
            }
        }
    }
    let balanced = |c: &Channel| {
        let unknown = (q[c.source] == 0) as u8 + (q[c.target] == 0) as u8;
        unknown == 2 || unknown == 0 && q[c.source] * c.produced_per_cycle() == q[c.target] * c.consumed_per_cycle()
    };
    app.channels().values().all(balanced)
}

/// A good case, different for every seed.
pub(crate) fn good_case(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let app = random_app(&mut dice);
    let machine = random_machine(&mut dice);
    let unroll = 1 + dice.roll(2) as u32;
    let mut metacycle = 2 + dice.roll(12) as i64;
    loop {
        if let Some(calendars) = Planner::new(&app, &machine, metacycle, unroll, dice.roll(1 << 32)).plan() {
            return Case { app, machine, calendars };
        }
        metacycle += 1 + metacycle / 3;
    }
}

fn random_machine(dice: &mut Dice) -> Machine {
    let mut latency = || dice.roll(4) as i64;
    match latency() {
        0 => machine(&[2], &[]),
        1 => machine(&[1, 2], &[(0, 1, latency()), (1, 0, latency())]),
        // A switch in the middle: everything is relayed.
        2 => machine(&[1, 0, 2], &[(0, 1, latency()), (1, 0, latency()), (1, 2, latency()), (2, 1, latency())]),
        _ => machine(&[1, 1, 1], &[(0, 1, latency()), (1, 2, latency()), (2, 0, latency())]),
    }
}

fn random_app(dice: &mut Dice) -> App {
    let count = 1 + dice.roll(4) as usize;
    let mut actors = Vec::new();
    let mut q = Vec::new();
    for i in 0..count {
        let phases = 1 + dice.roll(4) / 3;
        let exec: Vec<u64> = (0..phases).map(|_| dice.roll(4)).collect();
        actors.push(actor(&format!("a{i}"), &exec, dice.roll(3) == 0));
        q.push(1 + dice.roll(3) as u32);
    }
    let split = |total: u32, phases: usize, dice: &mut Dice| -> Vec<u32> {
        if phases == 1 {
            return vec![total];
        }
        let first = dice.roll(u64::from(total) + 1) as u32;
        vec![first, total - first]
    };
    let mut channels: Vec<Channel> = Vec::new();
    let mut ports = vec![0; count];
    for i in 0..dice.roll(count as u64 + 3) {
        let (s, t) = (dice.roll(count as u64) as usize, dice.roll(count as u64) as usize);
        let common = gcd(q[s], q[t]);
        let factor = 1 + dice.roll(5) as u32 / 4;
        let produce = split(factor * q[t] / common, actors[s].exec.len(), dice);
        let consume = split(factor * q[s] / common, actors[t].exec.len(), dice);
        let iteration = u64::from(factor * q[s] * q[t] / common);
        let initial = if s < t { dice.roll(3).saturating_sub(1) * dice.roll(4) } else { iteration + dice.roll(4) };
        let mut new = channel(&format!("c{i}"), (s as u32, &produce), (t as u32, &consume), initial);
        new.tokens.bits = 1 + dice.roll(150);
        new.source_port = ports[s];
        // Sometimes the same output feeds two channels.
        let twin = channels.iter().find(|c| c.source == new.source && c.target == new.target);
        if let Some(twin) = twin.filter(|_| dice.roll(2) == 0) {
            let initial = new.tokens.initial.clone();
            new = Channel { name: new.name, ..twin.clone() };
            new.tokens.initial = initial;
            let iteration = new.produced_per_cycle() * u64::from(q[s]);
            new.tokens.initial.count = if s < t { new.tokens.initial.count } else { iteration + dice.roll(3) };
        } else {
            ports[s] += 1;
        }
        channels.push(new);
    }
    app(actors, channels)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Brings all entries in order.
pub(crate) fn sort(calendars: &mut CalendarSet) {
    for node in calendars.nodes.values_mut() {
        node.compute.sort_by_key(|entry| (entry.slot, entry.core));
    }
    for link in calendars.links.values_mut() {
        link.gather.sort_by_key(|entry| entry.slot);
        link.scatter.sort_by_key(|entry| entry.slot);
    }
}
