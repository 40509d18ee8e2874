//! Hand-made systems: applications of mixing actors, and calendars planned in absolute ticks.

use calendars::{CalendarSet, ComputeEntry, FrameEntry, NodeCalendar, Operand, Repeat, Rotation, Shared};
use sim_core::digest::{ChannelDigest, DigestLevel};
use sim_core::ids::{ActorId, ChannelId, IdVec, LinkId, NodeId};
use sim_core::mix::{Mix, MixPort};
use sim_core::{
    Actor, ActorState, App, Behaviour, Channel, ChannelOutcome, ChannelTokens, Firing, InitialTokens, InitialValues,
    Link, LogicalLatency, Machine, Node, Outcome, RunOptions, State,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// An actor that does nothing yet; [`app`] gives it the mix payload unless `behaviour` is set.
pub(crate) fn actor(name: &str, exec: &[u64]) -> Actor {
    Actor {
        name: name.into(),
        exec: exec.into(),
        state: ActorState::None,
        behaviour: Arc::new(Mix::new(name, Vec::new())),
        pin: None,
        fed: false,
        place: None,
    }
}

/// A stateful consumer: folds what it consumes into its one word of state.
pub(crate) struct Tally;

impl Behaviour for Tally {
    fn fire(&self, firing: Firing, state: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        let State::Words([sum]) = state else { panic!("a tally keeps one word") };
        *sum = inputs.iter().fold(sum.wrapping_mul(31) ^ firing.index, |sum, word| sum.wrapping_add(*word));
        outputs.fill(*sum);
    }
}

/// A channel with rates 1 and mixed initial tokens; ports are (source, target).
pub(crate) fn channel(name: &str, ends: [u32; 2], ports: [u32; 2], words: u32, tokens: u64) -> Channel {
    Channel {
        name: name.into(),
        source: ActorId(ends[0]),
        source_port: ports[0],
        target: ActorId(ends[1]),
        target_port: ports[1],
        tokens: ChannelTokens {
            produce: [1].into(),
            consume: [1].into(),
            bits: 64 * u64::from(words),
            initial: InitialTokens { count: tokens, values: InitialValues::Mix },
        }
        .into(),
        place: None,
    }
}

/// An application whose stateless actors mix.
pub(crate) fn app(actors: Vec<Actor>, channels: Vec<Channel>) -> App {
    let app = App::new("test", actors.clone(), channels.clone()).unwrap();
    let mut actors = actors;
    for (id, actor) in app.actors().iter().filter(|(_, actor)| !actor.has_state()) {
        let port =
            |c| MixPort { rates: app.channels()[c].tokens.produce.clone(), words: app.channels()[c].token_words() };
        let ports = app.output_ports(id).map(port).collect();
        actors[id.0 as usize].behaviour = Arc::new(Mix::new(&actor.name, ports));
    }
    App::new("test", actors, channels).unwrap()
}

/// A machine of `cores` nodes with the given links (source, target, latency).
pub(crate) fn machine(cores: &[u32], links: &[(u32, u32, i64)]) -> Machine {
    let nodes: Vec<Node> = cores.iter().enumerate().map(|(i, &cores)| Node::new(format!("n{i}"), cores)).collect();
    let link = |&(source, target, latency)| Link {
        source: NodeId(source),
        target: NodeId(target),
        latency: LogicalLatency(latency),
    };
    // Every link has its twin, behind all others: machines with equal latency both ways are in normal form as they are.
    let twins: Vec<_> = links.iter().map(|&(source, target, latency)| (target, source, latency)).collect();
    Machine::new("test", nodes, links.iter().chain(&twins).map(link).collect::<Vec<_>>()).unwrap()
}

pub(crate) fn operand(address: Rotation, words: u32) -> Operand {
    Operand::new(address, words)
}

/// Calendars in the making. Times are absolute: those of activation 0.
pub(crate) struct Plan {
    pub(crate) set: CalendarSet,
    latencies: Vec<i64>,
    used: Vec<u32>,
}

/// A firing of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) node: u32,
    pub(crate) core: u32,
    pub(crate) actor: u32,
    pub(crate) index: u32,
    pub(crate) place: u32,
    pub(crate) start: i64,
    pub(crate) exec: i64,
}

impl Plan {
    pub(crate) fn new(machine: &Machine, metacycle: i64, unroll: u32) -> Self {
        let nodes = machine.nodes().len();
        let set = CalendarSet {
            version: CalendarSet::VERSION,
            app: "test".to_owned(),
            machine: "test".to_owned(),
            metacycle,
            unroll,
            nodes: IdVec::filled(NodeCalendar::default(), nodes),
            links: IdVec::filled(Shared::default(), machine.links().len()),
        };
        let latencies = machine.links().values().map(|link| link.latency.0).collect();
        Self { set, latencies, used: vec![0; nodes] }
    }

    /// New memory on `node`: `count` copies of `words` words.
    pub(crate) fn buffer(&mut self, node: u32, words: u32, count: u32) -> Rotation {
        let used = &mut self.used[node as usize];
        let base = *used;
        *used += words * count;
        Rotation { base, stride: words, count, phase: 0 }
    }

    pub(crate) fn fire(&mut self, planned: Planned, inputs: Vec<Operand>, outputs: Vec<Operand>) {
        let Planned { node, core, actor, index, place, start, exec } = planned;
        self.set.nodes[NodeId(node)].compute.push(ComputeEntry {
            slot: start % self.set.metacycle,
            first: (start / self.set.metacycle) as u32,
            place,
            core,
            actor: ActorId(actor),
            index,
            exec,
            repeat: Repeat::ONCE,
            inputs: inputs.into(),
            outputs: outputs.into(),
        });
    }

    /// Sends `length` words at tick `sent` and the following ones.
    pub(crate) fn send(&mut self, link: u32, sent: i64, length: u32, place: u32, from: Rotation, to: Rotation) {
        let metacycle = self.set.metacycle;
        let entry = |tick: i64, address: Rotation| FrameEntry {
            slot: tick % metacycle,
            length,
            first: (tick / metacycle) as u32,
            place,
            address,
        };
        let arrival = sent + self.latencies[link as usize];
        let calendar = &mut self.set.links[LinkId(link)];
        calendar.gather.push(entry(sent, from));
        calendar.scatter.push(entry(arrival, to));
    }

    pub(crate) fn done(mut self) -> CalendarSet {
        for node in self.set.nodes.values_mut() {
            node.compute.sort_by_key(|e| (e.slot, e.core));
        }
        for link in self.set.links.values_mut() {
            link.gather.sort_by_key(|e| e.slot);
            link.scatter.sort_by_key(|e| e.slot);
        }
        self.set
    }
}

/// Options that digest and record every channel.
pub(crate) fn everything(app: &App, iterations: u64, digest: DigestLevel) -> RunOptions {
    let all: Vec<ChannelId> = app.channels().ids().collect();
    RunOptions { iterations, digest, channels: all.clone(), record: all, ..RunOptions::default() }
}

/// Lowers and runs.
pub(crate) fn run(app: &App, machine: &Machine, set: &CalendarSet, options: &RunOptions) -> Outcome {
    let program = calendars::lower(app, machine, set).unwrap();
    sim_core::engine::run(app, &program, options).unwrap()
}

/// What an untimed execution of `firings` firings of every actor produces: per channel the words. Rates are 1.
pub(crate) fn untimed(app: &App, firings: u64) -> IdVec<ChannelId, Vec<u64>> {
    let mut fifos: IdVec<ChannelId, VecDeque<u64>> = IdVec::filled(VecDeque::new(), app.channels().len());
    for (id, channel) in app.channels().iter() {
        let mut token = vec![0; channel.token_words() as usize];
        for number in 0..channel.tokens.initial.count {
            channel.write_initial(number, &mut token);
            fifos[id].extend(&token);
        }
    }
    let mut produced: IdVec<ChannelId, Vec<u64>> = IdVec::filled(Vec::new(), app.channels().len());
    let mut states: IdVec<ActorId, Vec<u64>> = app.actors().values().map(initial_state).collect();
    let mut fired = IdVec::filled(0, app.actors().len());
    while let Some(id) = app.actors().ids().find(|&id| {
        fired[id] < firings
            && app.inputs(id).iter().all(|&c| fifos[c].len() >= app.channels()[c].token_words() as usize)
    }) {
        let mut inputs = Vec::new();
        for &c in app.inputs(id) {
            inputs.extend(fifos[c].drain(..app.channels()[c].token_words() as usize));
        }
        let mut outputs = vec![0; app.output_words(id, 0)];
        let firing = Firing { index: fired[id], phase: 0 };
        app.actors()[id].behaviour.fire(firing, State::Words(&mut states[id]), &inputs, &mut outputs);
        fired[id] += 1;
        let (mut end, mut port) = (0, None);
        for &c in app.outputs(id) {
            let channel = &app.channels()[c];
            let words = channel.token_words() as usize;
            end += if port.replace(channel.source_port) == Some(channel.source_port) { 0 } else { words };
            fifos[c].extend(&outputs[end - words..end]);
            produced[c].extend(&outputs[end - words..end]);
        }
    }
    assert!(fired.values().all(|&count| count == firings), "the application is live");
    produced
}

fn initial_state(actor: &Actor) -> Vec<u64> {
    if let ActorState::Plain(words) = &actor.state { words.clone() } else { Vec::new() }
}

/// Demands the tokens of an untimed execution from a run that digested and recorded everything.
pub(crate) fn assert_streams(app: &App, outcome: &Outcome, firings: u64) {
    for (id, words) in untimed(app, firings).iter() {
        let channel = &app.channels()[id];
        let mut digest = ChannelDigest::new(&channel.name);
        digest.update(words);
        assert_eq!(&outcome.recorded[&id], words, "words of channel {}", channel.name);
        assert_eq!(outcome.channels[&id], ChannelOutcome { tokens: firings, digest }, "{}", channel.name);
    }
}
