//! Drives sessions in one process, under virtual time: no thread, no clock, no chance but a seed.
//!
//! Words travel as bytes, cut anywhere, through the same decoder as over a network. What a reliable transport makes of a
//! bad network is modelled as it looks from above: delay, and, after a time without a word, a connection that is lost.

use crate::proto::batch::BatchDecoder;
use crate::proto::session::{Config, Event, Input, Message, Phase};
use crate::proto::{Cause, Schedule, Session, ShardId, Stop, Worker};
use sim_core::mix::mix64;
use sim_core::random::Seed;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What happens to the shards and to what they send.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Draws delays and places where bytes are cut.
    pub seed: Seed,
    /// Delay of every message. Those between the same two shards stay in order.
    pub delay: Range<Duration>,
    /// A connection without a word for so long is lost.
    pub timeout: Duration,
    /// Shards that do nothing during a span of time.
    pub naps: Vec<(ShardId, Range<Duration>)>,
    /// Shards that vanish at a point of time.
    pub deaths: Vec<(ShardId, Duration)>,
    /// Pairs of shards that do not hear each other during a span of time.
    pub rifts: Vec<(ShardId, ShardId, Range<Duration>)>,
    /// When shard 0 is asked to end the run.
    pub interrupt: Option<Duration>,
}

impl Weather {
    /// Nothing happens.
    #[must_use]
    pub fn fair(seed: Seed) -> Self {
        Self {
            seed,
            delay: Duration::from_micros(10)..Duration::from_micros(50),
            timeout: Duration::from_secs(10),
            naps: Vec::new(),
            deaths: Vec::new(),
            rifts: Vec::new(),
            interrupt: None,
        }
    }
}

/// What became of a shard.
#[derive(Clone, Debug)]
pub struct End<W> {
    /// Its session.
    pub session: Session<W>,
    /// What its owner was told, in order.
    pub events: Vec<Event>,
    /// When its session came to an end; `None` if it never did.
    pub at: Option<Duration>,
}

/// Virtual time that a step takes.
const STEP: Duration = Duration::from_micros(1);

/// Virtual time after which a run that has not ended never will.
const FOREVER: Duration = Duration::from_secs(3600);

/// Executes all shards to their end, whatever that is. `shards` is indexed by shard.
///
/// # Panics
/// If a session sends what its neighbour's decoder refuses: a fault of ours.
pub fn run<W: Worker>(shards: Vec<(Config, W)>, weather: &Weather) -> Vec<End<W>> {
    let mut network = Network::new(shards, weather);
    while network.turn() {}
    network.ends.into_iter().map(|shard| shard.end).collect()
}

struct Network<'a, W> {
    weather: &'a Weather,
    now: Duration,
    ends: Vec<Node<W>>,
    /// What is under way, by (arrival, number).
    flight: BTreeMap<(Duration, u64), (ShardId, ShardId, Parcel)>,
    /// When the last parcel of a pair arrives.
    last: BTreeMap<(ShardId, ShardId), Duration>,
    decoders: BTreeMap<(ShardId, ShardId), BatchDecoder>,
    parcels: u64,
    interrupted: bool,
}

struct Node<W> {
    end: End<W>,
    /// It computes until then.
    busy: Duration,
    /// Shards that it has been told are lost.
    lost: Vec<ShardId>,
    told_end: bool,
}

/// What travels.
enum Parcel {
    Hello,
    Bytes(Vec<u8>),
    Message(Input),
}

impl<'a, W: Worker> Network<'a, W> {
    fn new(shards: Vec<(Config, W)>, weather: &'a Weather) -> Self {
        let mut decoders = BTreeMap::new();
        for (config, worker) in &shards {
            for neighbour in &config.neighbours {
                let schedule: Arc<dyn Schedule> = neighbour.inbound.clone();
                let decoder = BatchDecoder::new(schedule, worker.position(), worker.end(), neighbour.credit);
                decoders.insert((neighbour.id, config.id), decoder);
            }
        }
        let links: Vec<_> = shards.iter().map(|(c, _)| (c.id, c.neighbours.iter().map(|n| n.id).collect())).collect();
        let node = |(config, worker)| Node {
            end: End { session: Session::new(config, worker), events: Vec::new(), at: None },
            busy: Duration::ZERO,
            lost: Vec::new(),
            told_end: false,
        };
        let ends = shards.into_iter().map(node).collect();
        let (flight, last) = (BTreeMap::new(), BTreeMap::new());
        let mut network =
            Self { weather, now: Duration::ZERO, ends, flight, last, decoders, parcels: 0, interrupted: false };
        network.connect(&links);
        network
    }

    /// Everybody with a neighbour, and with shard 0.
    fn connect(&mut self, links: &[(ShardId, Vec<ShardId>)]) {
        for (id, neighbours) in links {
            let host = (*id != ShardId(0)).then_some(ShardId(0));
            let others = neighbours.iter().copied().chain(host).collect::<std::collections::BTreeSet<_>>();
            for other in others {
                self.post(*id, other, Parcel::Hello);
                if other == ShardId(0) && !links[0].1.contains(id) {
                    self.post(other, *id, Parcel::Hello);
                }
            }
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.parcels += 1;
        mix64(self.weather.seed.0 ^ mix64(self.parcels)) % below.max(1)
    }

    fn post(&mut self, from: ShardId, to: ShardId, parcel: Parcel) {
        let Range { start, end } = self.weather.delay;
        let spread = u64::try_from((end - start).as_nanos()).expect("delays are short");
        let delay = start + Duration::from_nanos(self.draw(spread));
        let mut at = self.now + delay;
        for (a, b, span) in &self.weather.rifts {
            if (from, to) == (*a, *b) || (from, to) == (*b, *a) {
                // Sent again and again until it comes through.
                at = if span.contains(&self.now) || span.contains(&at) { at.max(span.end + delay) } else { at };
            }
        }
        let last = self.last.entry((from, to)).or_default();
        at = at.max(*last);
        *last = at;
        self.parcels += 1;
        self.flight.insert((at, self.parcels), (from, to, parcel));
    }

    fn alive(&self, id: ShardId) -> bool {
        let dead = self.weather.deaths.iter().any(|&(shard, at)| shard == id && at <= self.now);
        let napping = self.weather.naps.iter().any(|(shard, span)| *shard == id && span.contains(&self.now));
        !dead && !napping
    }

    /// Does all that is due now, then moves on in time. False if nothing will ever happen again.
    fn turn(&mut self) -> bool {
        self.deliver();
        self.lose();
        for index in 0..self.ends.len() {
            self.work(index);
        }
        let next = self.next_time();
        let over = self.ends.iter().all(|node| node.end.at.is_some());
        match next {
            Some(next) if !over && next < FOREVER => self.now = next.max(self.now),
            _ => return false,
        }
        true
    }

    fn deliver(&mut self) {
        let due: Vec<_> = self.flight.range(..=(self.now, u64::MAX)).map(|(&key, _)| key).collect();
        for key in due {
            let (from, to, parcel) = self.flight.remove(&key).expect("it is under way");
            if !self.alive(to) {
                // A dead shard never takes it, a napping one when it wakes.
                let wakes = self.weather.naps.iter().find(|(shard, span)| *shard == to && span.contains(&self.now));
                if let Some((_, span)) = wakes {
                    self.flight.insert((span.end, key.1), (from, to, parcel));
                }
                continue;
            }
            let node = &mut self.ends[to.0 as usize];
            match parcel {
                Parcel::Hello => node.end.session.handle(self.now, from, Input::Connected),
                Parcel::Message(input) => node.end.session.handle(self.now, from, input),
                Parcel::Bytes(bytes) => {
                    let mut batches = Vec::new();
                    let decoder = self.decoders.get_mut(&(from, to)).expect("only neighbours send words");
                    decoder.push(&bytes, &mut batches).expect("sessions send what is due");
                    for batch in batches {
                        node.end.session.handle(self.now, from, Input::Batch(batch));
                    }
                }
            }
        }
    }

    /// Tells shards of connections that have been silent for too long.
    fn lose(&mut self) {
        let Weather { timeout, deaths, naps, rifts, .. } = self.weather;
        let silent = |since: Duration, until: Duration| until - since >= *timeout && self.now >= since + *timeout;
        let mut lost = Vec::new();
        for other in (0..self.ends.len()).map(|index| ShardId(u32::try_from(index).expect("shards are few"))) {
            lost.extend(deaths.iter().filter(|(_, at)| silent(*at, Duration::MAX)).map(|&(shard, _)| (other, shard)));
            lost.extend(naps.iter().filter(|(_, s)| silent(s.start, s.end)).map(|&(shard, _)| (other, shard)));
        }
        for (a, b, span) in rifts {
            if silent(span.start, span.end) {
                lost.extend([(*a, *b), (*b, *a)]);
            }
        }
        for (at, shard) in lost {
            let alive = self.alive(at);
            let node = &mut self.ends[at.0 as usize];
            if at != shard && alive && !node.lost.contains(&shard) {
                node.lost.push(shard);
                let tick = node.end.session.worker().position();
                let stop = Stop { cause: Cause::Lost, shard, tick, message: "it does not answer".to_owned() };
                node.end.session.handle(self.now, shard, Input::Lost(stop));
            }
        }
    }

    fn work(&mut self, index: usize) {
        let id = ShardId(u32::try_from(index).expect("shards are few"));
        if !self.alive(id) {
            return;
        }
        let now = self.now;
        let overslept = self
            .weather
            .naps
            .iter()
            .any(|(shard, span)| *shard == id && span.end <= now && span.end - span.start >= self.weather.timeout);
        let interrupt = index == 0 && !self.interrupted && self.weather.interrupt.is_some_and(|at| at <= now);
        self.interrupted |= interrupt;
        let node = &mut self.ends[index];
        if overslept {
            node.end.session.fail(now, Cause::Expelled, "it was stopped for too long".to_owned());
        }
        if interrupt {
            node.end.session.interrupt(now, Cause::Interrupted);
        }
        if node.end.session.poll_timeout().is_some_and(|at| at <= now) {
            node.end.session.handle_timeout(now);
        }
        if node.busy <= now {
            if node.end.session.runnable() {
                node.busy = now + STEP;
            }
            node.end.session.step(now);
        }
        let mut out = Vec::new();
        while let Some(item) = node.end.session.poll_transmit() {
            out.push(item);
        }
        while let Some(event) = node.end.session.poll_event() {
            node.end.events.push(event);
        }
        for (to, message) in out {
            self.transmit(id, to, message);
        }
        self.finish(id);
    }

    fn transmit(&mut self, from: ShardId, to: ShardId, message: Message) {
        match message {
            Message::Control(control) => self.post(from, to, Parcel::Message(Input::Control(control))),
            Message::Batch(batch) => {
                if let Some(decoder) = self.decoders.get_mut(&(to, from)) {
                    decoder.grant(batch.executed);
                }
                let bytes = batch.encode();
                let cut = usize::try_from(self.draw(bytes.len() as u64)).expect("a place in the bytes");
                self.post(from, to, Parcel::Bytes(bytes[..cut].to_vec()));
                self.post(from, to, Parcel::Bytes(bytes[cut..].to_vec()));
            }
        }
    }

    /// A session that has ended says so to everybody by closing its connections.
    fn finish(&mut self, id: ShardId) {
        let node = &mut self.ends[id.0 as usize];
        let input = match node.end.session.phase() {
            Phase::Finished => Input::Closed,
            Phase::Stopped(stop) => Input::Lost(stop.clone()),
            _ => return,
        };
        if !node.told_end {
            node.told_end = true;
            node.end.at = Some(self.now);
            for other in 0..self.ends.len() {
                let other = ShardId(u32::try_from(other).expect("shards are few"));
                if other != id {
                    self.post(id, other, Parcel::Message(input.clone()));
                }
            }
        }
    }

    fn next_time(&self) -> Option<Duration> {
        let soon = |at: Duration| (at > self.now).then_some(at);
        let parcels = self.flight.keys().next().map(|&(at, _)| at.max(self.now));
        let sessions = self
            .ends
            .iter()
            .enumerate()
            .filter(|(index, _)| self.alive(ShardId(u32::try_from(*index).expect("shards are few"))));
        let sessions = sessions.flat_map(|(_, node)| {
            let work = node.end.session.runnable().then(|| node.busy.max(self.now));
            [work, node.end.session.poll_timeout().map(|at| at.max(self.now))].into_iter().flatten()
        });
        let Weather { timeout, naps, deaths, rifts, interrupt, .. } = self.weather;
        let naps = naps.iter().flat_map(|(_, span)| [span.end, span.start + *timeout]);
        let deaths = deaths.iter().map(|&(_, at)| at + *timeout);
        let rifts = rifts.iter().map(|(_, _, span)| span.start + *timeout);
        let planned = naps.chain(deaths).chain(rifts).chain(*interrupt).filter_map(soon);
        parcels.into_iter().chain(sessions).chain(planned).min()
    }
}
