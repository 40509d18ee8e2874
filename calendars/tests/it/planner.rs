//! A list scheduler for tests alone: first slots that are free, with delays at random, so that tokens live long, calendars
//! overlap, and addresses rotate.

use crate::cases::{Dice, empty_calendars, firings_per_iteration, sort};
use calendars::{CalendarSet, Circular, ComputeEntry, FrameEntry, Operand, Repeat, Rotation};
use sim_core::ids::{ActorId, ChannelId, IdVec, LinkId, NodeId};
use sim_core::{App, Machine};
use std::collections::{BTreeMap, VecDeque};

/// A firing of a metacycle.
type FiringKey = (ActorId, u64);

/// Where and when a firing starts and ends in activation 0.
#[derive(Clone, Copy)]
struct Placed {
    node: NodeId,
    core: u32,
    start: i64,
    exec: i64,
}

/// One token of a metacycle on its way to its consumer.
struct Move {
    channel: ChannelId,
    producer: FiringKey,
    consumer: FiringKey,
    /// Position among the producer's outputs of this channel, then the consumer's inputs.
    produced: u64,
    consumed: u64,
    shift: i64,
}

/// Where one copy of a token lies between one write and one read.
#[derive(Clone, Copy)]
struct Buffer {
    write: Rotation,
    read: Rotation,
}

struct Shared {
    node: NodeId,
    words: i64,
    count: i64,
    base: u32,
    /// Intervals on the ring of the address, closed.
    used: Vec<(i64, i64)>,
}

/// Makes calendars for one application on one machine with one metacycle.
pub(crate) struct Planner<'a> {
    app: &'a App,
    machine: &'a Machine,
    metacycle: i64,
    unroll: u32,
    firings: IdVec<ActorId, u64>,
    dice: Dice,
    cores: BTreeMap<(NodeId, u32, i64), ()>,
    links: BTreeMap<(LinkId, i64), ()>,
    placed: BTreeMap<FiringKey, Placed>,
    homes: IdVec<ActorId, NodeId>,
    next_address: IdVec<NodeId, u32>,
    shared: Vec<Shared>,
    inputs: BTreeMap<(FiringKey, ChannelId, u64), Operand>,
    outputs: BTreeMap<(FiringKey, ChannelId, u64), Operand>,
    calendars: CalendarSet,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(app: &'a App, machine: &'a Machine, metacycle: i64, unroll: u32, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let homes = app.actors().ids().map(|_| random_home(machine, &mut dice)).collect();
        let per_iteration = firings_per_iteration(app);
        Self {
            app,
            machine,
            metacycle,
            unroll,
            firings: per_iteration.values().map(|firings| firings * u64::from(unroll)).collect(),
            dice,
            cores: BTreeMap::new(),
            links: BTreeMap::new(),
            placed: BTreeMap::new(),
            homes,
            next_address: IdVec::filled(0, machine.nodes().len()),
            shared: Vec::new(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            calendars: empty_calendars(machine, metacycle, unroll),
        }
    }

    /// The calendars, if everything fits.
    pub(crate) fn plan(mut self) -> Option<CalendarSet> {
        let moves = self.moves();
        let slack = self.dice.roll(4) * self.metacycle as u64 / 2;
        for iteration in 0..u64::from(self.unroll) {
            for actor in self.app.actors().ids() {
                let per_iteration = self.firings[actor] / u64::from(self.unroll);
                for index in iteration * per_iteration..(iteration + 1) * per_iteration {
                    self.place(&moves, (actor, index), slack)?;
                }
            }
        }
        for late in moves.iter().filter(|m| m.shift > 0) {
            let target = self.placed[&late.consumer];
            self.transport(late, target)?;
        }
        self.check_state()?;
        self.emit();
        Some(self.calendars)
    }

    /// All tokens of a metacycle, with the firings at their ends.
    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (id, c) in self.app.channels().iter() {
            let each = |rates: &[u32], firings: u64| -> Vec<(u64, u64)> {
                let rate = |n: u64| u64::from(rates[n as usize % rates.len()]);
                (0..firings).flat_map(|n| (0..rate(n)).map(move |k| (n, k))).collect()
            };
            let produced = each(&c.tokens.produce, self.firings[c.source]);
            let consumed = each(&c.tokens.consume, self.firings[c.target]);
            let period = consumed.len() as i64;
            for (n, &(consumer, k)) in consumed.iter().enumerate() {
                let number = n as i64 - c.tokens.initial.count as i64;
                let (producer, p) = produced[number.rem_euclid(period) as usize];
                moves.push(Move {
                    channel: id,
                    producer: (c.source, producer),
                    consumer: (c.target, consumer),
                    produced: p,
                    consumed: k,
                    shift: -number.div_euclid(period),
                });
            }
        }
        moves
    }

    fn place(&mut self, moves: &[Move], key: FiringKey, slack: u64) -> Option<()> {
        let (actor, index) = key;
        let data = &self.app.actors()[actor];
        let exec = data.duration((index % data.phases()) as u32);
        let node = if data.has_state() { self.homes[actor] } else { random_home(self.machine, &mut self.dice) };
        let mut ready = self.dice.roll(slack + 1) as i64;
        if data.has_state() && index > 0 {
            let before = self.placed[&(actor, index - 1)];
            ready = before.start + before.exec;
        }
        let arriving: Vec<&Move> = moves.iter().filter(|m| m.consumer == key && m.shift == 0).collect();
        // Where it will start is not known yet: transports are planned first, towards a start as late as needed.
        let mut arrivals = Vec::new();
        for m in &arriving {
            let hops = self.route(m, node)?;
            ready = ready.max(hops.last().map_or(self.end(m.producer), |&(_, _, arrival)| arrival));
            arrivals.push(hops);
        }
        let (core, start) = self.free_core(node, ready, exec)?;
        let placed = Placed { node, core, start, exec };
        self.placed.insert(key, placed);
        for (m, hops) in arriving.iter().zip(arrivals) {
            self.lay(m, &hops, placed)?;
        }
        Some(())
    }

    fn end(&self, key: FiringKey) -> i64 {
        self.placed[&key].start + self.placed[&key].exec
    }

    fn free_core(&mut self, node: NodeId, ready: i64, exec: i64) -> Option<(u32, i64)> {
        if exec > self.metacycle {
            return None;
        }
        let ring = self.metacycle;
        for start in ready..ready + ring {
            for core in 0..self.machine.nodes()[node].cores {
                let slots = || (start..start + exec).map(|tick| (node, core, tick.rem_euclid(ring)));
                if slots().all(|slot| !self.cores.contains_key(&slot)) {
                    self.cores.extend(slots().map(|slot| (slot, ())));
                    return Some((core, start));
                }
            }
        }
        None
    }

    fn transport(&mut self, m: &Move, target: Placed) -> Option<()> {
        let hops = self.route(m, target.node)?;
        let arrival = hops.last().map_or(self.end(m.producer), |&(_, _, arrival)| arrival);
        if arrival > target.start + m.shift * self.metacycle {
            return None;
        }
        self.lay(m, &hops, target)
    }

    /// Takes slots along a shortest path: (link, tick of sending, tick at which all words are visible).
    fn route(&mut self, m: &Move, target: NodeId) -> Option<Vec<(LinkId, i64, i64)>> {
        let words = i64::from(self.app.channels()[m.channel].token_words());
        let (mut at, mut first_visible) = (self.placed[&m.producer].node, self.end(m.producer));
        let mut hops = Vec::new();
        for link in path(self.machine, at, target) {
            let latency = self.machine.links()[link].latency.0;
            let wait = self.dice.roll(3) as i64;
            let from = first_visible + wait;
            let fits = |tick: i64| {
                let end = |tick: i64| tick.rem_euclid(self.metacycle) + words <= self.metacycle;
                let free = |k: i64| !self.links.contains_key(&(link, (tick + k).rem_euclid(self.metacycle)));
                end(tick) && end(tick + latency) && (0..words).all(free)
            };
            let sent = (from..from + self.metacycle).find(|&tick| fits(tick))?;
            self.links.extend((0..words).map(|k| ((link, (sent + k).rem_euclid(self.metacycle)), ())));
            first_visible = sent + latency + 1;
            hops.push((link, sent, first_visible + words - 1));
            at = self.machine.links()[link].target;
        }
        debug_assert_eq!(at, target);
        Some(hops)
    }

    /// Gives a token its addresses along its hops and up to its consumer at `target`.
    fn lay(&mut self, m: &Move, hops: &[(LinkId, i64, i64)], target: Placed) -> Option<()> {
        let words = self.app.channels()[m.channel].token_words();
        let place = (m.producer.1 / (self.firings[m.producer.0] / u64::from(self.unroll))) as u32;
        let mut visible = self.end(m.producer);
        let mut node = self.placed[&m.producer].node;
        let mut stored: Option<(LinkId, i64)> = None;
        for &(link, sent, arrival) in hops {
            let buffer = self.buffer(node, words, visible, sent + i64::from(words) - 1, 0);
            self.write(m, stored, buffer, words, place);
            let (first, slot) = self.split(sent);
            let entry = FrameEntry { slot, length: words, first, place, address: buffer.read };
            self.calendars.links[link].gather.push(entry);
            let latency = self.machine.links()[link].latency.0;
            stored = Some((link, sent + latency));
            visible = arrival - i64::from(words) + 1;
            node = self.machine.links()[link].target;
        }
        let last = target.start + m.shift * self.metacycle + target.exec - 1;
        let buffer = self.buffer(node, words, visible, last, m.shift);
        self.write(m, stored, buffer, words, place);
        self.inputs.insert((m.consumer, m.channel, m.consumed), Operand::new(buffer.read, words));
        Some(())
    }

    fn write(&mut self, m: &Move, stored: Option<(LinkId, i64)>, buffer: Buffer, words: u32, place: u32) {
        match stored {
            None => {
                let operand = Operand::new(buffer.write, words);
                self.outputs.insert((m.producer, m.channel, m.produced), operand);
            }
            Some((link, tick)) => {
                let (first, slot) = self.split(tick);
                let entry = FrameEntry { slot, length: words, first, place, address: buffer.write };
                self.calendars.links[link].scatter.push(entry);
            }
        }
    }

    fn split(&self, tick: i64) -> (u32, i64) {
        (tick.div_euclid(self.metacycle) as u32, tick.rem_euclid(self.metacycle))
    }

    /// Addresses for `words` words that live from `visible` to `last`; the reader is `shift` activations ahead.
    fn buffer(&mut self, node: NodeId, words: u32, visible: i64, last: i64, shift: i64) -> Buffer {
        let lifetime = last - visible + i64::from(words);
        let count = (lifetime / self.metacycle + 1).max(shift) + i64::from(self.dice.roll(5) == 0);
        let ring = count * self.metacycle;
        let interval = |phase: i64| {
            let start = (visible - phase * self.metacycle).rem_euclid(ring);
            (start, start + lifetime - 1)
        };
        let apart =
            |(a, b): (i64, i64), (c, d): (i64, i64)| [-ring, 0, ring].iter().all(|turn| b + turn < c || d < a + turn);
        let phases = self.dice.roll(count as u64) as i64..count;
        let fit = self.shared.iter_mut().filter(|s| shift == 0 && s.node == node && s.count == count);
        let fit = fit.filter(|s| s.words == i64::from(words)).find_map(|s| {
            let free = |phase: &i64| s.used.iter().all(|&used| apart(used, interval(*phase)));
            let phase = phases.clone().find(free)?;
            s.used.push(interval(phase));
            Some((s.base, phase))
        });
        let (base, phase) = fit.unwrap_or_else(|| {
            let base = self.next_address[node];
            self.next_address[node] += words * count as u32;
            let (words, phase) = (i64::from(words), phases.start);
            if shift == 0 {
                self.shared.push(Shared { node, words, count, base, used: vec![interval(phase)] });
            }
            (base, phase)
        });
        let rotation = |phase: i64| Rotation { base, stride: words, count: count as u32, phase: phase as u32 };
        Buffer { write: rotation(phase), read: rotation((phase - shift).rem_euclid(count)) }
    }

    fn check_state(&self) -> Option<()> {
        let with_state = self.app.actors().iter().filter(|(_, actor)| actor.has_state());
        with_state
            .map(|(id, _)| (self.placed[&(id, 0)].start + self.metacycle, self.end((id, self.firings[id] - 1))))
            .all(|(next, end)| end <= next)
            .then_some(())
    }

    fn emit(&mut self) {
        for (&key, placed) in &self.placed {
            let (actor, index) = key;
            let phase = (index % self.app.actors()[actor].phases()) as usize;
            let operands = |map: &BTreeMap<_, Operand>, channel, rate: u32| -> Vec<Operand> {
                (0..u64::from(rate)).map(|k| map[&(key, channel, k)]).collect()
            };
            let channels = self.app.channels();
            let inputs = self.app.inputs(actor).iter();
            let outputs = self.app.outputs(actor).iter();
            let (first, slot) = self.split(placed.start);
            self.calendars.nodes[placed.node].compute.push(ComputeEntry {
                slot,
                first,
                place: (index / (self.firings[actor] / u64::from(self.unroll))) as u32,
                core: placed.core,
                actor,
                index: index as u32,
                exec: placed.exec,
                repeat: Repeat::ONCE,
                inputs: inputs.flat_map(|&c| operands(&self.inputs, c, channels[c].tokens.consume[phase])).collect(),
                outputs: outputs.flat_map(|&c| operands(&self.outputs, c, channels[c].tokens.produce[phase])).collect(),
            });
        }
        self.join_pairs();
        sort(&mut self.calendars);
    }

    /// Makes one entry of some pairs of firings that follow each other and differ in slot, index, and addresses alone.
    fn join_pairs(&mut self) {
        for node in self.calendars.nodes.values_mut() {
            node.compute.sort_by_key(|e| (e.actor, e.index));
            let mut joined: Vec<ComputeEntry> = Vec::new();
            for entry in node.compute.drain(..) {
                match joined.last_mut().and_then(|last| pair(last, &entry)).filter(|_| self.dice.roll(8) > 0) {
                    Some(pair) => *joined.last_mut().unwrap() = pair,
                    None => joined.push(entry),
                }
            }
            node.compute = joined;
        }
    }
}

/// Two single firings as one entry, if they differ in slot, index, and addresses alone.
fn pair(one: &ComputeEntry, two: &ComputeEntry) -> Option<ComputeEntry> {
    let alike = |e: &ComputeEntry| (e.actor, e.core, e.first, e.place, e.exec, e.inputs.len(), e.outputs.len());
    if alike(one) != alike(two) || one.repeat != Repeat::ONCE || one.slot > two.slot {
        return None;
    }
    let join = |a: &Operand, b: &Operand| {
        let plain = |o: &Operand| (o.words, Rotation { base: 0, ..o.address });
        if plain(a) != plain(b) {
            return None;
        }
        let (base, distance) = (a.address.base.min(b.address.base), a.address.base.abs_diff(b.address.base));
        // The second firing's words lie behind the first one's, or the buffer turns from its end to its start.
        let size = distance + a.words;
        let forward = a.address.base <= b.address.base;
        let (start, advance) = if forward { (0, distance) } else { (distance, a.words) };
        let circular = Some(Circular { start, advance, size }).filter(|_| distance > 0);
        Some(Operand { address: Rotation { base, ..a.address }, words: a.words, circular })
    };
    let all = |a: &[Operand], b: &[Operand]| a.iter().zip(b).map(|(a, b)| join(a, b)).collect::<Option<Vec<_>>>();
    Some(ComputeEntry {
        repeat: Repeat { firings: 2, slots: two.slot - one.slot, indices: two.index - one.index },
        inputs: all(&one.inputs, &two.inputs)?.into(),
        outputs: all(&one.outputs, &two.outputs)?.into(),
        ..one.clone()
    })
}

fn random_home(machine: &Machine, dice: &mut Dice) -> NodeId {
    let homes: Vec<NodeId> = machine.nodes().iter().filter(|(_, node)| node.cores > 0).map(|(id, _)| id).collect();
    homes[dice.roll(homes.len() as u64) as usize]
}

/// A shortest path.
fn path(machine: &Machine, from: NodeId, to: NodeId) -> Vec<LinkId> {
    let mut came: IdVec<NodeId, Option<LinkId>> = IdVec::filled(None, machine.nodes().len());
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        for &link in machine.outgoing(node) {
            let next = machine.links()[link].target;
            if next != from && came[next].is_none() {
                came[next] = Some(link);
                queue.push_back(next);
            }
        }
    }
    let mut links = Vec::new();
    let mut at = to;
    while at != from {
        let link = came[at].expect("test machines are strongly connected");
        links.push(link);
        at = machine.links()[link].source;
    }
    links.reverse();
    links
}
