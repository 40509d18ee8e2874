//! A worker whose result is known beforehand: every shard hashes what it receives, tick by tick.
//!
//! It notices at once if it is let too far ahead: the word that it then reads is not there.

use sim_core::mix::mix64;
use sim_core::{Tick, Ticks};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tidelock_net_runtime::proto::session::Config;
use tidelock_net_runtime::proto::{Neighbour, Schedule, ShardId, Worker};

/// A link that carries a word whenever the tick is `offset` modulo `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wire {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) latency: i64,
    pub(crate) period: i64,
    pub(crate) offset: i64,
}

impl Wire {
    pub(crate) fn dense(from: u32, to: u32, latency: i64) -> Self {
        Self { from, to, latency, period: 1, offset: 0 }
    }

    fn sends(&self, tick: i64) -> bool {
        tick.rem_euclid(self.period) == self.offset
    }
}

/// Links from one shard to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wires(Vec<Wire>);

impl Schedule for Wires {
    fn words(&self, ticks: Range<Tick>) -> u64 {
        // The number of ticks before `tick` in which the wire sends.
        let before = |wire: &Wire, tick: Tick| (tick.0 - wire.offset + wire.period - 1).div_euclid(wire.period);
        self.0.iter().map(|wire| (before(wire, ticks.end) - before(wire, ticks.start)).max(0) as u64).sum()
    }
}

impl Wires {
    fn lookahead(&self) -> Option<Ticks> {
        self.0.iter().map(|wire| Ticks(wire.latency + 1)).min()
    }
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Toy {
    id: u32,
    end: i64,
    tick: i64,
    pub(crate) state: u64,
    wires: Vec<Wire>,
    /// Words received and not read yet, by (reading tick, wire).
    inbox: BTreeMap<(i64, usize), u64>,
    received: BTreeMap<u32, i64>,
    outbox: BTreeMap<u32, Vec<u64>>,
    sent: BTreeMap<u32, i64>,
    part_at: i64,
    /// Ticks that it executes at once, at most.
    pub(crate) window: i64,
    pub(crate) panics_at: Option<i64>,
}

fn start(id: u32) -> u64 {
    mix64(u64::from(id))
}

fn word(state: u64, tick: i64, wire: usize) -> u64 {
    mix64(state ^ tick as u64 ^ (wire as u64) << 48)
}

impl Toy {
    pub(crate) fn new(id: u32, wires: &[Wire], end: i64) -> Self {
        let received = wires.iter().filter(|wire| wire.to == id).map(|wire| (wire.from, 0)).collect();
        let outbox = wires.iter().filter(|wire| wire.from == id).map(|wire| (wire.to, Vec::new())).collect();
        Self {
            id,
            end,
            tick: 0,
            state: start(id),
            wires: wires.to_vec(),
            inbox: BTreeMap::new(),
            received,
            outbox,
            sent: BTreeMap::new(),
            part_at: 0,
            window: 1,
            panics_at: None,
        }
    }

    fn towards(&self, to: u32) -> Wires {
        Wires(self.wires.iter().filter(|wire| wire.from == self.id && wire.to == to).copied().collect())
    }

    /// How far it may execute with what it has received.
    fn horizon(&self) -> i64 {
        let lookahead = |from: u32| {
            let wires = self.wires.iter().filter(|wire| wire.to == self.id && wire.from == from);
            wires.map(|wire| wire.latency + 1).min().unwrap()
        };
        let safe = self
            .received
            .iter()
            .map(|(&from, &before)| if before == self.end { self.end } else { before + lookahead(from) });
        safe.min().unwrap_or(self.end).min(self.end)
    }

    fn execute(&mut self) {
        let tick = self.tick;
        let mut state = mix64(self.state ^ tick as u64);
        for (number, wire) in self.wires.iter().enumerate().filter(|(_, wire)| wire.to == self.id) {
            let sent = tick - wire.latency - 1;
            if sent >= 0 && wire.sends(sent) {
                state = mix64(state ^ self.inbox.remove(&(tick, number)).expect("nobody runs ahead of its words"));
            }
        }
        for (number, wire) in self.wires.iter().enumerate().filter(|(_, wire)| wire.from == self.id) {
            if wire.sends(tick) {
                self.outbox.get_mut(&wire.to).unwrap().push(word(state, tick, number));
            }
        }
        self.state = state;
        self.tick += 1;
    }
}

impl Worker for Toy {
    type Fault = String;

    fn position(&self) -> Tick {
        Tick(self.tick)
    }

    fn end(&self) -> Tick {
        Tick(self.end)
    }

    fn ready(&self, limit: Tick) -> Option<Tick> {
        let end = (self.tick + self.window).min(limit.0);
        (self.tick < end && end <= self.horizon()).then_some(Tick(end))
    }

    fn advance(&mut self, limit: Tick) -> Result<(), String> {
        let end = self.ready(limit).expect("only what is ready is executed").0;
        while self.tick < end {
            if self.panics_at == Some(self.tick) {
                return Err(format!("the toy broke in tick {}", self.tick));
            }
            self.execute();
        }
        Ok(())
    }

    fn reached(&self, limit: Tick) -> bool {
        self.tick >= limit.0
    }

    fn boundary(&self, tick: Tick) -> Tick {
        tick
    }

    fn send(&mut self, to: ShardId, words: &mut Vec<u64>) -> Tick {
        words.append(self.outbox.get_mut(&to.0).unwrap_or(&mut Vec::new()));
        let wires = self.towards(to.0);
        let mut before = self.tick;
        while before < self.end && !wires.0.iter().any(|wire| wire.sends(before)) {
            before += 1;
        }
        self.sent.insert(to.0, before);
        Tick(before)
    }

    fn receive(&mut self, from: ShardId, sent_before: Tick, words: &[u64]) -> Result<(), String> {
        let first = self.received.get(&from.0).copied().unwrap_or(0);
        let mut words = words.iter();
        for tick in first..sent_before.0 {
            for (number, wire) in self.wires.iter().enumerate() {
                if wire.from == from.0 && wire.to == self.id && wire.sends(tick) {
                    let word = words.next().ok_or("a word is missing")?;
                    self.inbox.insert((tick + wire.latency + 1, number), *word);
                }
            }
        }
        if let Some(before) = self.received.get_mut(&from.0) {
            *before = sent_before.0;
        }
        if words.next().is_some() { Err("a word too many".to_owned()) } else { Ok(()) }
    }

    fn parts(&mut self, parts: &mut Vec<Vec<u8>>, last: bool) {
        if last && self.part_at < self.end {
            self.part_at = self.end;
            parts.push(self.state.to_le_bytes().to_vec());
        }
    }
}

/// All shards of a system of wires, each ready to run to tick `end`, with a credit of `credit` ticks between any two.
pub(crate) fn shards(count: u32, wires: &[Wire], end: i64, credit: i64) -> Vec<(Config, Toy)> {
    let toys: Vec<Toy> = (0..count).map(|id| Toy::new(id, wires, end)).collect();
    let config = |id: u32| {
        let pairs = (0..count).filter(|&other| {
            other != id && wires.iter().any(|w| (w.from, w.to) == (id, other) || (w.to, w.from) == (id, other))
        });
        let neighbour = |other: u32| {
            let (outbound, inbound) = (toys[id as usize].towards(other), toys[other as usize].towards(id));
            let lookahead = outbound.lookahead();
            Neighbour {
                id: ShardId(other),
                inbound: Arc::new(inbound),
                outbound: Arc::new(outbound),
                lookahead,
                credit: Ticks(credit),
                stride: Ticks(1),
            }
        };
        Config {
            id: ShardId(id),
            shards: count,
            neighbours: pairs.map(neighbour).collect(),
            slow: Duration::from_secs(5),
            verdict: Duration::from_secs(10),
        }
    };
    (0..count).map(|id| (config(id), toys[id as usize].clone())).collect()
}

/// The states after `end` ticks, computed without shards: all nodes, tick by tick.
pub(crate) fn expected(count: u32, wires: &[Wire], end: i64) -> Vec<u64> {
    let mut states: Vec<u64> = (0..count).map(start).collect();
    let mut flying: BTreeMap<(i64, usize), u64> = BTreeMap::new();
    for tick in 0..end {
        states.iter_mut().for_each(|state| *state = mix64(*state ^ tick as u64));
        for (number, wire) in wires.iter().enumerate() {
            if let Some(word) = flying.remove(&(tick, number)) {
                let state = &mut states[wire.to as usize];
                *state = mix64(*state ^ word);
            }
        }
        for (number, wire) in wires.iter().enumerate().filter(|(_, wire)| wire.sends(tick)) {
            flying.insert((tick + wire.latency + 1, number), word(states[wire.from as usize], tick, number));
        }
    }
    states
}

impl Toy {
    /// How far it is.
    pub(crate) fn position_now(&self) -> i64 {
        self.tick
    }
}
