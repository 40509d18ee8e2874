//! The abstract frame model, frame by frame: every tick of every node, a FIFO per link, no floors of differences.
//!
//! Slow and plain on purpose. Time counts attoseconds, phase 10⁻²⁴ frames. A node's tick m is the first instant at which
//! its phase has reached m. In a tick a node sends a frame on every outgoing link and reads one from every incoming one.
//! Constant oscillators and proportional control only.
//!
//! Frames carry words: in each tick a node sends its state on all links, and makes its next state of the words it reads.

use std::collections::{BTreeSet, VecDeque};

const FRAME: i128 = 1_000_000_000_000_000_000_000_000;

pub(crate) struct Node {
    /// Microhertz.
    pub(crate) frequency: i128,
    /// Ticks.
    pub(crate) period: i128,
    pub(crate) delay: i128,
}

pub(crate) struct Link {
    pub(crate) source: usize,
    pub(crate) target: usize,
    /// Attoseconds.
    pub(crate) latency: i128,
    pub(crate) initial: i128,
    pub(crate) set_point: i128,
    pub(crate) depth: i128,
}

/// What goes wrong with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Failure {
    pub(crate) at: i128,
    pub(crate) link: usize,
    pub(crate) overflow: bool,
    /// The receiver's tick.
    pub(crate) tick: i128,
}

struct Clock {
    /// Where the present segment began.
    since: i128,
    phase: i128,
    frequency: i128,
    ticks: i128,
    events: i128,
    reading: i128,
}

struct Wire {
    /// Arrival times of frames under way.
    flying: VecDeque<i128>,
    /// Frames in the buffer as the controller counts them, never bounded, and as they are.
    counter: i128,
    occupancy: i128,
    /// The words of frames in the buffer and under way, the oldest first.
    words: VecDeque<u64>,
}

/// A node's next state, of its state and the words that it reads.
pub(crate) fn next_state(state: u64, words: impl Iterator<Item = u64>) -> u64 {
    let mixed = words.fold(state, |state, word| (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23));
    mixed.wrapping_add(1)
}

pub(crate) struct Naive<'a> {
    nodes: &'a [Node],
    links: &'a [Link],
    /// µHz per frame.
    gain: i128,
    clocks: Vec<Clock>,
    wires: Vec<Wire>,
    /// (instant, what, which): 0 is an arrival, 1 a tick, 2 a measurement, 3 an act.
    queue: BTreeSet<(i128, u8, usize)>,
    pub(crate) now: i128,
    pub(crate) failures: Vec<Failure>,
    pub(crate) watching: bool,
    /// (node, number, reading, time of measurement, time of act, frequency from then on)
    pub(crate) log: Vec<(usize, i128, i128, i128, i128, i128)>,
    measured_at: Vec<i128>,
    states: Vec<u64>,
    /// Per node its ticks: when, and its state afterwards.
    pub(crate) ticked: Vec<Vec<(i128, u64)>>,
}

impl<'a> Naive<'a> {
    /// All clocks start at time 0 with a phase of `phase` frames · 10⁻²⁴; frames that are under way then were sent at the
    /// frequency of the start.
    pub(crate) fn new(nodes: &'a [Node], links: &'a [Link], gain: i128, phase: i128) -> Self {
        assert!(phase < FRAME, "tick 0 is past when clocks start");
        let clock = |node: &Node| Clock { since: 0, phase, frequency: node.frequency, ticks: 0, events: 0, reading: 0 };
        let mut naive = Self {
            nodes,
            links,
            gain,
            clocks: nodes.iter().map(clock).collect(),
            wires: Vec::new(),
            queue: BTreeSet::new(),
            now: 0,
            failures: Vec::new(),
            watching: false,
            log: Vec::new(),
            measured_at: vec![0; nodes.len()],
            states: vec![0; nodes.len()],
            ticked: vec![Vec::new(); nodes.len()],
        };
        for (number, link) in links.iter().enumerate() {
            let frequency = nodes[link.source].frequency;
            let mut flying = VecDeque::new();
            // Tick m ≤ 0 was sent when the phase, going back, was m; what has arrived by now is in the buffer.
            let mut tick = 0;
            loop {
                let sent = -((phase - tick * FRAME).div_euclid(frequency));
                let arrival = sent + link.latency;
                if arrival <= 0 {
                    break;
                }
                flying.push_front(arrival);
                naive.queue.insert((arrival, 0, number));
                tick -= 1;
            }
            let words = std::iter::repeat_n(0, link.initial as usize + flying.len()).collect();
            naive.wires.push(Wire { flying, counter: link.initial, occupancy: link.initial, words });
        }
        for (node, rhythm) in nodes.iter().enumerate() {
            naive.queue.insert((naive.instant(node, FRAME), 1, node));
            naive.queue.insert((0, 2, node));
            naive.queue.insert((naive.instant(node, phase + rhythm.delay * FRAME), 3, node));
        }
        naive
    }

    /// The first instant at which a clock's phase reaches `phase`.
    fn instant(&self, node: usize, phase: i128) -> i128 {
        let clock = &self.clocks[node];
        let missing = (phase - clock.phase).max(0);
        clock.since + missing.div_euclid(clock.frequency) + i128::from(missing.rem_euclid(clock.frequency) > 0)
    }

    /// Everything up to `until`, but not what happens then.
    pub(crate) fn advance(&mut self, until: i128) {
        while let Some(&(at, what, which)) = self.queue.first() {
            if at >= until {
                break;
            }
            if at > self.now {
                self.check();
            }
            self.now = at;
            self.queue.remove(&(at, what, which));
            match what {
                0 => self.arrive(which),
                1 => self.tick(which),
                2 => self.measure(which),
                _ => self.act(which),
            }
        }
        self.check();
        self.now = until;
    }

    fn arrive(&mut self, link: usize) {
        let wire = &mut self.wires[link];
        wire.flying.pop_front().expect("a frame arrives that was sent");
        wire.counter += 1;
        wire.occupancy += 1;
    }

    fn tick(&mut self, node: usize) {
        self.clocks[node].ticks += 1;
        let (state, mut read) = (self.states[node], Vec::new());
        for (number, link) in self.links.iter().enumerate() {
            if link.source == node {
                let arrival = self.now + link.latency;
                self.wires[number].flying.push_back(arrival);
                self.wires[number].words.push_back(state);
                self.queue.insert((arrival, 0, number));
            }
            if link.target == node {
                self.wires[number].counter -= 1;
                self.wires[number].occupancy -= 1;
                read.push(self.wires[number].words.pop_front().unwrap_or(0));
            }
        }
        self.states[node] = next_state(state, read.into_iter());
        self.ticked[node].push((self.now, self.states[node]));
        let next = (self.clocks[node].ticks + 1) * FRAME;
        self.queue.insert((self.instant(node, next), 1, node));
    }

    /// After all that happens at one instant: frames too many are dropped, idle frames stand in for those too few.
    fn check(&mut self) {
        if !self.watching {
            return;
        }
        for (number, link) in self.links.iter().enumerate() {
            let wire = &mut self.wires[number];
            let tick = self.clocks[link.target].ticks;
            while wire.occupancy < 0 || wire.occupancy > link.depth {
                let overflow = wire.occupancy > link.depth;
                self.failures.push(Failure { at: self.now, link: number, overflow, tick });
                wire.occupancy += if overflow { -1 } else { 1 };
            }
        }
    }

    fn measure(&mut self, node: usize) {
        let links = self.links.iter().zip(&self.wires).filter(|(link, _)| link.target == node);
        self.clocks[node].reading = links.map(|(link, wire)| wire.counter - link.set_point).sum();
        self.measured_at[node] = self.now;
    }

    fn act(&mut self, node: usize) {
        let clock = &mut self.clocks[node];
        clock.phase += clock.frequency * (self.now - clock.since);
        clock.since = self.now;
        clock.frequency = self.nodes[node].frequency + self.gain * clock.reading;
        self.log.push((node, clock.events, clock.reading, self.measured_at[node], self.now, clock.frequency));
        clock.events += 1;
        let (events, ticks) = (clock.events, clock.ticks);
        let start = self.start();
        let Node { period, delay, .. } = self.nodes[node];
        // The tick that is due next was planned at the old frequency.
        self.queue.retain(|&(_, what, which)| what != 1 || which != node);
        self.queue.insert((self.instant(node, (ticks + 1) * FRAME), 1, node));
        self.queue.insert((self.instant(node, start + events * period * FRAME), 2, node));
        self.queue.insert((self.instant(node, start + (events * period + delay) * FRAME), 3, node));
    }

    fn start(&self) -> i128 {
        FRAME / 10
    }

    /// Fills all buffers to their middle.
    pub(crate) fn centre(&mut self) {
        for (link, wire) in self.links.iter().zip(&mut self.wires) {
            wire.occupancy = link.depth / 2;
        }
    }

    pub(crate) fn occupancies(&self) -> Vec<i128> {
        self.wires.iter().map(|wire| wire.occupancy).collect()
    }

    pub(crate) fn counters(&self) -> Vec<i128> {
        self.wires.iter().map(|wire| wire.counter).collect()
    }

    pub(crate) fn in_flight(&self) -> Vec<i128> {
        self.wires.iter().map(|wire| wire.flying.len() as i128).collect()
    }
}
