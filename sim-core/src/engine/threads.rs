//! Threads: one per shard, that exchange the words of their cuts through rings in memory.
//!
//! There is no barrier. A worker runs as far as what it has received allows, publishes its position, and waits only for the
//! neighbours that it needs. Whoever waits takes what has come in for it, so that nobody waits for room in vain; and
//! nobody runs far ahead of those that he sends to, so that memory does not grow. Workers
//! never wait for each other in a circle: see [`Cut::reach`], and [`Boundary::ahead`] for the other direction.

use super::FiringPanic;
use super::worker::Shard;
use crate::ids::Id;
use crate::shard::{Cut, Progress, Waiting};
use crate::time::Tick;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Windows that a worker may be ahead of those that it sends to, beyond what these may be ahead of it.
const WINDOWS_AHEAD: i64 = 4;
/// Words of one boundary ring, at most.
const RING_WORDS: i64 = 1 << 18;

/// What the workers of a run share.
pub(super) struct Team {
    progress: Vec<Progress>,
    boundaries: Vec<Boundary>,
    /// By shard: its incoming and outgoing boundaries, in the order of its cuts.
    incoming: Vec<Vec<usize>>,
    outgoing: Vec<Vec<usize>>,
    /// Set when a worker has failed.
    stop: AtomicBool,
}

/// The words of one cut on their way.
struct Boundary {
    from: usize,
    to: usize,
    /// Ticks that the sender may be ahead of the receiver. A circle has at least one such bound, and each of the others on it
    /// may hold a worker up by less than a window; so a window for each worker is enough.
    ahead: i64,
    words: Vec<AtomicU64>,
    /// Everything sent before this tick is written.
    sent_before: Counter,
    written: Counter,
    read: Counter,
}

/// A counter alone in its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Boundary {
    fn new(cut: &Cut, shards: &[Shard<'_>], metacycle: i64) -> Self {
        let (sender, receiver) = (&shards[cut.from().index()], &shards[cut.to().index()]);
        let window = sender.window().max(receiver.window());
        let longest = shards.iter().map(Shard::window).max().unwrap_or(1);
        let ahead = WINDOWS_AHEAD.saturating_mul(window).max(longest.saturating_mul(shards.len() as i64));
        let frames = cut.frames().len() as i64;
        let words = |ticks: i64| frames.saturating_mul(ticks / metacycle + 2);
        let room = words(cut.lookahead().0.saturating_add(2 * window)).min(RING_WORDS);
        Self {
            from: cut.from().index(),
            to: cut.to().index(),
            ahead: cut.lookahead().0.min(1 << 40).saturating_add(ahead),
            words: (0..room).map(|_| AtomicU64::new(0)).collect(),
            sent_before: Counter(AtomicU64::new(sender.position().0 as u64)),
            written: Counter::default(),
            read: Counter::default(),
        }
    }

    /// Moves as many of `words` as there is room for, from the first on; says whether that is all of them.
    fn write(&self, words: &mut Vec<u64>) -> bool {
        let written = self.written.0.load(Ordering::Relaxed);
        let places = self.words.len() as u64;
        let room = places - (written - self.read.0.load(Ordering::Acquire));
        let count = room.min(words.len() as u64);
        let mut place = (written % places) as usize;
        for word in words.drain(..count as usize) {
            self.words[place].store(word, Ordering::Relaxed);
            place = if place + 1 == self.words.len() { 0 } else { place + 1 };
        }
        self.written.0.store(written + count, Ordering::Release);
        words.is_empty()
    }

    /// Everything that was written and not read yet.
    fn read(&self) -> impl Iterator<Item = u64> + '_ {
        let (read, written) = (self.read.0.load(Ordering::Relaxed), self.written.0.load(Ordering::Acquire));
        let places = self.words.len() as u64;
        // A cut without frames has no places, and nothing is written.
        (read..written).map(move |number| self.words[(number % places) as usize].load(Ordering::Relaxed))
    }

    /// Makes room for what was read.
    fn release(&self, words: u64) {
        self.read.0.store(self.read.0.load(Ordering::Relaxed) + words, Ordering::Release);
    }
}

impl Team {
    pub(super) fn new(shards: &[Shard<'_>], metacycle: i64) -> Self {
        let mut team = Self {
            progress: shards.iter().map(|shard| Progress::new(shard.position())).collect(),
            boundaries: Vec::new(),
            incoming: vec![Vec::new(); shards.len()],
            outgoing: vec![Vec::new(); shards.len()],
            stop: AtomicBool::new(false),
        };
        // Cuts are ordered by (from, to), so that every shard meets its own in their order.
        for (from, sender) in shards.iter().enumerate() {
            for cut in sender.outgoing() {
                let number = team.boundaries.len();
                let to = cut.to().index();
                team.boundaries.push(Boundary::new(cut, shards, metacycle));
                team.outgoing[from].push(number);
                team.incoming[to].push(number);
            }
        }
        team
    }

    /// Executes all shards up to metacycle `limit`.
    ///
    /// # Errors
    /// The panic of the earliest of the firings that were seen to panic.
    pub(super) fn advance(&self, shards: &mut [Shard<'_>], limit: i64) -> Result<(), FiringPanic> {
        let mut results: Vec<Result<(), FiringPanic>> = Vec::new();
        thread::scope(|scope| {
            let mut workers = Vec::new();
            let (first, others) = shards.split_first_mut().expect("there is a shard");
            for (number, shard) in (1..).zip(others) {
                workers.push(scope.spawn(move || Worker { team: self, number, shard, limit }.run()));
            }
            results.push(Worker { team: self, number: 0, shard: first, limit }.run());
            results.extend(workers.into_iter().map(|worker| worker.join().expect("firings that panic are caught")));
        });
        let earliest =
            results.into_iter().filter_map(Result::err).min_by_key(|panic| (panic.start, panic.id, panic.index));
        earliest.map_or(Ok(()), Err)
    }
}

/// One thread.
struct Worker<'t, 's, 'a> {
    team: &'t Team,
    number: usize,
    shard: &'s mut Shard<'a>,
    limit: i64,
}

impl Worker<'_, '_, '_> {
    fn run(mut self) -> Result<(), FiringPanic> {
        while !self.team.stop.load(Ordering::Relaxed) {
            if self.finished() {
                return Ok(());
            }
            if self.may_advance() {
                let result = self.shard.advance(self.limit);
                self.publish();
                if let Err(panic) = result {
                    self.team.stop.store(true, Ordering::Relaxed);
                    self.team.progress.iter().for_each(Progress::wake_after_fence);
                    return Err(panic);
                }
            } else {
                self.wait();
            }
        }
        Ok(())
    }

    /// Waits until there is something to do, and takes and hands on what comes in meanwhile.
    fn wait(&mut self) {
        let team = self.team;
        team.progress[self.number].wait(|| {
            self.receive();
            let go_on = self.finished() || self.may_advance() || team.stop.load(Ordering::Relaxed);
            if go_on { Waiting::Ready } else { Waiting::Blocked }
        });
    }

    /// Whether the limit is reached, and everything has come in that was sent before it: nobody waits for this worker.
    fn finished(&self) -> bool {
        let end = self.shard.position().0 as u64;
        let mut incoming = self.team.incoming[self.number].iter().map(|&number| &self.team.boundaries[number]);
        self.shard.reached(self.limit)
            && !self.shard.has_words()
            && incoming.all(|boundary| boundary.sent_before.0.load(Ordering::Acquire) >= end)
    }

    /// Whether the next window has its words, and those that it sends have room.
    fn may_advance(&self) -> bool {
        let Some(end) = self.shard.ready(self.limit).filter(|_| !self.shard.has_words()) else { return false };
        self.outgoing().all(|boundary| {
            let receiver = self.team.progress[boundary.to].position();
            end.0 <= receiver.0.saturating_add(boundary.ahead)
        })
    }

    /// Takes the words that have come in, and sends on those of them that this worker only relays.
    fn receive(&mut self) {
        for (import, &number) in self.team.incoming[self.number].iter().enumerate() {
            let boundary = &self.team.boundaries[number];
            // This first: words that come after it are early, but none before it is missing.
            let sent_before = Tick(boundary.sent_before.0.load(Ordering::Acquire) as i64);
            let count = self.shard.take(import, sent_before, boundary.read());
            if count > 0 {
                boundary.release(count);
                self.team.progress[boundary.from].wake_after_fence();
            }
        }
        if self.shard.settle() || self.shard.has_words() {
            self.publish();
        }
    }

    /// Hands on what was sent, and tells the neighbours.
    fn publish(&mut self) {
        let team = self.team;
        for ((sent_before, words), &number) in self.shard.sent().zip(&team.outgoing[self.number]) {
            let boundary = &team.boundaries[number];
            if words.is_empty() || boundary.write(words) {
                boundary.sent_before.0.store(sent_before.0 as u64, Ordering::Release);
            }
        }
        let receivers = self.outgoing().map(|boundary| boundary.to);
        let senders = team.incoming[self.number].iter().map(|&number| team.boundaries[number].from);
        let neighbours = receivers.chain(senders).map(|neighbour| &team.progress[neighbour]);
        team.progress[self.number].publish(self.shard.position(), neighbours);
    }

    fn outgoing(&self) -> impl Iterator<Item = &Boundary> {
        self.team.outgoing[self.number].iter().map(|&number| &self.team.boundaries[number])
    }
}
