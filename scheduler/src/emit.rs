//! Emission: a schedule written as calendars.

use crate::analysis::{DependencyId, FiringId};
use crate::buffers::{Memory, consumed_number, tokens_per_metacycle};
use crate::firing_runs;
use crate::placement::Placed;
use crate::problem::{LOCAL, Problem};
use crate::schedule::{Buffer, Hop, Role, ScheduledFiring, Transport};
use crate::slotting::Slotted;
use calendars::{
    CalendarSet, ComputeEntry, FrameEntry, LinkCalendar, NodeCalendar, Operand, Pool, Repeat, Rotation, Shared,
};
use sim_core::{ActorId, ChannelId, Csr, Id, IdVec, LinkId, NodeId};

/// Lists the firings of a solution, by actor and index.
pub(crate) fn firings(problem: &Problem<'_>, placed: &Placed, slotted: &Slotted) -> Vec<ScheduledFiring> {
    let graph = &problem.graph;
    let scheduled = |firing: FiringId| ScheduledFiring {
        actor: graph.actor_of(firing),
        index: graph.index_of(firing),
        node: placed.node_of[firing.index()],
        core: slotted.cores[firing.index()],
        start: slotted.starts[firing.index()],
        exec: graph.duration(firing),
    };
    graph.firings().map(scheduled).collect()
}

/// Lists the transports of a solution, by channel, token and word, and their frames.
pub(crate) fn transports(problem: &Problem<'_>, placed: &Placed, slotted: &Slotted) -> (Vec<Transport>, Vec<Hop>) {
    let (mut transports, mut hops) = (Vec::new(), Vec::new());
    for (id, d) in problem.graph.dependencies().iter() {
        let Some(channel) = d.channel.filter(|_| placed.flow_of[id] != LOCAL) else { continue };
        let path = placed.routes.path(placed.flow_of[id]);
        let words = problem.token_words(channel) as u32;
        for (n, sends) in slotted.sends(id).chunks_exact(path.len()).enumerate() {
            let (token, word) = (d.first_token as u32 + n as u32 / words, n as u32 % words);
            let first = hops.len();
            hops.extend(path.iter().zip(sends).map(|(&link, &send)| Hop { link, send }));
            transports.push(Transport { channel, token, word, producer: d.from.0, hops: first..hops.len() });
        }
    }
    transports.sort_unstable_by_key(|t| (t.channel, t.token, t.word));
    (transports, hops)
}

/// Writes a solution as calendars.
pub(crate) fn emit(
    problem: &Problem<'_>,
    placed: &Placed,
    slotted: &Slotted,
    memory: &Memory,
    firings: &[ScheduledFiring],
) -> CalendarSet {
    let emitter = Emitter { problem, placed, slotted, memory, firings, carriers: Carriers::new(problem) };
    CalendarSet {
        version: CalendarSet::VERSION,
        app: problem.app.name().to_owned(),
        machine: problem.machine.name().to_owned(),
        metacycle: slotted.metacycle,
        unroll: problem.graph.unroll(),
        nodes: emitter.nodes(),
        links: emitter.links(),
    }
}

struct Emitter<'a> {
    problem: &'a Problem<'a>,
    placed: &'a Placed,
    slotted: &'a Slotted,
    memory: &'a Memory,
    /// By [`FiringId`].
    firings: &'a [ScheduledFiring],
    carriers: Carriers,
}

/// For every token of a metacycle, as produced, the dependency that moves it.
struct Carriers {
    /// Where the tokens of every channel begin.
    offsets: IdVec<ChannelId, u32>,
    carriers: Vec<DependencyId>,
}

impl Carriers {
    fn new(problem: &Problem<'_>) -> Self {
        let mut tokens = 0;
        let channels = problem.app.channels().ids();
        let offsets: IdVec<ChannelId, u32> = channels
            .map(|channel| {
                let first = tokens;
                tokens += tokens_per_metacycle(problem, channel) as u32; // words of a metacycle are limited
                first
            })
            .collect();
        let mut carriers = vec![DependencyId(0); tokens as usize];
        for (id, d) in problem.graph.dependencies().iter() {
            if let Some(channel) = d.channel {
                let first = offsets[channel] as usize + d.first_token as usize;
                carriers[first..first + d.tokens as usize].fill(id);
            }
        }
        Self { offsets, carriers }
    }

    fn of(&self, channel: ChannelId, token: u32) -> DependencyId {
        self.carriers[(self.offsets[channel] + token) as usize]
    }
}

impl Emitter<'_> {
    fn nodes(&self) -> IdVec<NodeId, NodeCalendar> {
        let machine = self.problem.machine.nodes();
        let by_node = self.firings.iter().map(|firing| (firing.node, firing));
        let firings = Csr::group(machine.len(), by_node);
        let mut pool = Pool::default();
        let calendar = |node: NodeId| {
            let firings = firings.row(node).iter().map(|firing| self.compute(firing)).collect();
            let phases = |actor: ActorId| self.problem.app.actors()[actor].phases();
            let mut compute = firing_runs::join(firings, phases);
            compute.sort_by_key(|entry| (entry.slot, entry.core));
            for entry in &mut compute {
                entry.inputs = pool.share(std::mem::take(&mut *entry.inputs));
                entry.outputs = pool.share(std::mem::take(&mut *entry.outputs));
            }
            NodeCalendar { compute }
        };
        machine.ids().map(calendar).collect()
    }

    /// A firing as an entry of its own, whose operands lie in the circular buffers of their channels.
    fn compute(&self, firing: &ScheduledFiring) -> ComputeEntry {
        let app = self.problem.app;
        let mut inputs = Vec::new();
        for &id in app.inputs(firing.actor) {
            let channel = &app.channels()[id];
            for token in token_range(&channel.tokens.consume, firing.index) {
                let (buffer, local) = self.memory.place(firing.node, id, Role::Consumer, token as u32);
                firing_runs::append(&mut inputs, buffer.operand(local, 0));
            }
        }
        let mut outputs = Vec::new();
        for &channel in app.outputs(firing.actor) {
            for token in token_range(&app.channels()[channel].tokens.produce, firing.index) {
                firing_runs::append(&mut outputs, self.written_by(firing, channel, token as u32));
            }
        }
        ComputeEntry {
            slot: firing.start % self.slotted.metacycle,
            first: (firing.start / self.slotted.metacycle) as u32,
            place: self.place_of(firing),
            core: firing.core,
            actor: firing.actor,
            index: firing.index,
            exec: firing.exec,
            repeat: Repeat::ONCE,
            inputs: inputs.into(),
            outputs: outputs.into(),
        }
    }

    /// Where a firing puts a token that it produces: into the consumer's buffer on the same node, else into its own.
    fn written_by(&self, firing: &ScheduledFiring, channel: ChannelId, token: u32) -> Operand {
        let id = self.carriers.of(channel, token);
        let node = firing.node;
        if self.placed.flow_of[id] == LOCAL {
            let (buffer, local, phase) = self.consumer_place(node, channel, token);
            return buffer.operand(local, phase);
        }
        let (buffer, local) = self.memory.place(node, channel, Role::Producer, token);
        buffer.operand(local, 0)
    }

    /// The consumer's address of a token numbered as produced, in activations of its producer.
    fn consumer_address(&self, node: NodeId, channel: ChannelId, token: u32) -> Rotation {
        let (buffer, local, phase) = self.consumer_place(node, channel, token);
        buffer.rotation(local, phase)
    }

    /// The consumer's buffer for a token numbered as produced, the token's number there, and how many metacycles after its
    /// producer's its activation is.
    fn consumer_place(&self, node: NodeId, channel: ChannelId, token: u32) -> (&Buffer, u32, u64) {
        let number = u64::from(token) + self.problem.app.channels()[channel].tokens.initial.count;
        let phase = number / tokens_per_metacycle(self.problem, channel);
        let (buffer, local) =
            self.memory.place(node, channel, Role::Consumer, consumed_number(self.problem, channel, token));
        (buffer, local, phase)
    }

    /// Place of a firing among the U iterations of a metacycle.
    fn place_of(&self, firing: &ScheduledFiring) -> u32 {
        let firings = self.problem.graph.firings_of(firing.actor).len() as u32;
        firing.index / (firings / self.problem.graph.unroll())
    }

    fn links(&self) -> IdVec<LinkId, Shared<LinkCalendar>> {
        let dependencies = self.problem.graph.dependencies().ids();
        let remote = dependencies.filter(|&id| self.placed.flow_of[id] != LOCAL);
        let frames = remote.flat_map(|dependency| {
            let path = self.placed.routes.path(self.placed.flow_of[dependency]);
            let hops = path.iter().zip(0..);
            hops.flat_map(move |(&link, hop)| {
                let words = 0..self.problem.words(dependency) as u32;
                words.map(move |word| (link, Frame { dependency, word, hop }))
            })
        });
        let frames: Csr<LinkId, Frame> = Csr::group(self.problem.machine.links().len(), frames);
        let mut pool = Pool::default();
        let calendar = |link| {
            let (gather, scatter) = frames.row(link).iter().map(|&frame| self.hop(frame)).unzip();
            pool.share(LinkCalendar { gather: runs(gather), scatter: runs(scatter) })
        };
        self.problem.machine.links().ids().map(calendar).collect()
    }

    /// What a frame sends, and what it stores.
    fn hop(&self, frame: Frame) -> (FrameEntry, FrameEntry) {
        let Frame { dependency, word, hop } = frame;
        let d = &self.problem.graph.dependencies()[dependency];
        let channel = d.channel.expect("only channels move words");
        let path = self.placed.routes.path(self.placed.flow_of[dependency]);
        let link = &self.problem.machine.links()[path[hop as usize]];
        let send = self.slotted.sends(dependency)[word as usize * path.len() + hop as usize];
        let words = self.problem.token_words(channel) as u32;
        let (token, word) = (d.first_token as u32 + word / words, word % words);
        let place = self.place_of(&self.firings[d.from.index()]);
        let role = if hop == 0 { Role::Producer } else { Role::Relay };
        let (buffer, local) = self.memory.place(link.source, channel, role, token);
        let from = buffer.rotation(local, 0);
        let to = if (hop as usize) + 1 < path.len() {
            let (buffer, local) = self.memory.place(link.target, channel, Role::Relay, token);
            buffer.rotation(local, 0)
        } else {
            self.consumer_address(link.target, channel, token)
        };
        (self.frame(send, place, from, word), self.frame(send + link.latency.0, place, to, word))
    }

    fn frame(&self, tick: i64, place: u32, address: Rotation, word: u32) -> FrameEntry {
        let metacycle = self.slotted.metacycle;
        let address = Rotation { base: address.base + word, ..address };
        FrameEntry { slot: tick % metacycle, length: 1, first: (tick / metacycle) as u32, place, address }
    }
}

/// One word of a dependency on one hop of its path.
#[derive(Clone, Copy)]
struct Frame {
    dependency: DependencyId,
    /// Among those of all its tokens.
    word: u32,
    hop: u32,
}

/// Tokens that firing `index` moves, numbered over all firings from 0.
fn token_range(rates: &[u32], index: u32) -> std::ops::Range<u64> {
    let (cycle, phase) = (index as usize / rates.len(), index as usize % rates.len());
    let sum = |rates: &[u32]| rates.iter().map(|&rate| u64::from(rate)).sum::<u64>();
    let first = cycle as u64 * sum(rates) + sum(&rates[..phase]);
    first..first + u64::from(rates[phase])
}

/// Sorts single frames by slot and joins neighbours in time and memory to runs.
fn runs(mut frames: Vec<FrameEntry>) -> Vec<FrameEntry> {
    frames.sort_unstable();
    let mut joined: Vec<FrameEntry> = Vec::new();
    for frame in frames {
        if let Some(last) = joined.last_mut() {
            let next = FrameEntry {
                slot: last.slot + i64::from(last.length),
                length: 1,
                address: Rotation { base: last.address.base + last.length, ..last.address },
                ..*last
            };
            if next == frame {
                last.length += 1;
                continue;
            }
        }
        joined.push(frame);
    }
    joined
}
