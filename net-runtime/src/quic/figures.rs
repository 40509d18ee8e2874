//! What a shard measures of itself: how its time was spent, window by window and in all, and what went to and fro.
//!
//! [`Measured`] stands between the session and its worker and notes what each call costs; what serving the socket costs
//! is counted there. A shard's last part of the result are its figures, so that shard 0 has those of all.

use super::link::Hub;
use crate::proto::{Cause, ShardId, Worker};
use serde::{Deserialize, Serialize};
use sim_core::mix::mix64;
use sim_core::{Tick, Ticks};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Spans that are kept of a run, at most; when there are more, every two become one.
const SPANS: usize = 256;

/// How a shard spent its time, from the common start until nothing was left to execute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Windows executed.
    pub windows: u64,
    /// The first tick of the run here, and the tick after the last.
    pub ticks: (Tick, Tick),
    /// Nanoseconds from the common start to the end.
    pub run_ns: u64,
    /// Nanoseconds spent executing.
    pub execute_ns: u64,
    /// Nanoseconds spent taking in what had arrived.
    pub receive_ns: u64,
    /// Nanoseconds spent waiting.
    pub wait_ns: u64,
    /// The same of serving the socket, most of it while waiting: making bytes of words, handing them to QUIC (with the
    /// time that it has no room), and making words of bytes.
    pub io: IoTimes,
    /// Most messages that waited to be taken in, their sum over all looks, and looks.
    pub queue: QueueFigures,
    /// Per other shard.
    pub pairs: BTreeMap<ShardId, PairFigures>,
    /// The run in parts, in order and without gaps.
    pub spans: Vec<Span>,
    /// Bytes of memory that the process holds at the end, and the most that it ever held; 0 where the system does not tell.
    pub resident_bytes: (u64, u64),
    /// File descriptors that the process has open at the end.
    pub descriptors: u64,
}

/// What serving the socket took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoTimes {
    /// Nanoseconds spent making bytes of words.
    pub encode_ns: u64,
    /// Nanoseconds until QUIC had taken them.
    pub send_ns: u64,
    /// Nanoseconds spent making words of bytes.
    pub decode_ns: u64,
}

/// Messages that had arrived and waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFigures {
    /// The most at any look.
    pub most: u64,
    /// The sum over all looks.
    pub sum: u64,
    /// How often it was looked.
    pub looks: u64,
}

/// What was sent to and received from one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairFigures {
    /// Batches sent.
    pub batches_sent: u64,
    /// Words sent.
    pub words_sent: u64,
    /// Bytes of batches sent, headers included.
    pub bytes_sent: u64,
    /// Batches sent by size: number i counts those with 2^(i−1) words or more and fewer than 2^i.
    pub sizes_sent: Vec<u64>,
    /// Batches received.
    pub batches_received: u64,
    /// Words received.
    pub words_received: u64,
    /// Bytes of batches received, headers included.
    pub bytes_received: u64,
    /// Bytes of all packets sent, as the socket saw them.
    pub wire_bytes_sent: u64,
    /// Checksums of the words sent, in order; the last is of all of them. What the other side has received has the same.
    pub digests_sent: Vec<DigestMark>,
    /// Checksums of the words received: fewer, if some were under way when nobody needed them any more.
    pub digests_received: Vec<DigestMark>,
    /// Windows whose lookahead this shard bounded.
    pub bounded: u64,
    /// How often this shard was waited for, and for how long.
    pub waits: u64,
    /// Nanoseconds waited for it.
    pub waited_ns: u64,
}

/// A checksum of the first words between two shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestMark {
    /// How many words.
    pub words: u64,
    /// Their checksum, as hexadecimal digits.
    pub digest: String,
}

/// Some windows in a row: one each at first, more as a run gets long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Windows.
    pub windows: u64,
    /// Nanoseconds from the common start to the span's start, which is the end of the one before.
    pub start_ns: u64,
    /// The first tick, and the tick after the last.
    pub ticks: (Tick, Tick),
    /// The neighbour that allowed the least, in the window that was waited for longest, and how far beyond the window's first
    /// tick it allowed to execute.
    pub bound: Option<(ShardId, Ticks)>,
    /// The longest wait for a single window.
    pub longest_wait_ns: u64,
    /// Nanoseconds spent executing.
    pub execute_ns: u64,
    /// Nanoseconds spent waiting.
    pub wait_ns: u64,
    /// Nanoseconds of serving the socket, in the meantime.
    pub io: IoTimes,
    /// Words sent.
    pub words_sent: u64,
    /// Words received.
    pub words_received: u64,
    /// Most messages that waited to be taken in.
    pub queue: u64,
}

impl Span {
    /// This one and the one after it.
    fn join(self, next: Self) -> Self {
        let longer = if next.longest_wait_ns > self.longest_wait_ns { &next } else { &self };
        Self {
            windows: self.windows + next.windows,
            start_ns: self.start_ns,
            ticks: (self.ticks.0, next.ticks.1),
            bound: longer.bound.or(self.bound).or(next.bound),
            longest_wait_ns: longer.longest_wait_ns,
            execute_ns: self.execute_ns + next.execute_ns,
            wait_ns: self.wait_ns + next.wait_ns,
            io: self.io.plus(next.io),
            words_sent: self.words_sent + next.words_sent,
            words_received: self.words_received + next.words_received,
            queue: self.queue.max(next.queue),
        }
    }
}

impl IoTimes {
    fn plus(self, other: Self) -> Self {
        Self {
            encode_ns: self.encode_ns + other.encode_ns,
            send_ns: self.send_ns + other.send_ns,
            decode_ns: self.decode_ns + other.decode_ns,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            encode_ns: self.encode_ns - other.encode_ns,
            send_ns: self.send_ns - other.send_ns,
            decode_ns: self.decode_ns - other.decode_ns,
        }
    }
}

impl PairFigures {
    /// A batch of so many words.
    pub(super) fn batch_sent(&mut self, words: usize, header: usize) {
        self.batches_sent += 1;
        self.words_sent += words as u64;
        self.bytes_sent += (header + 8 * words) as u64;
        let class = (usize::BITS - words.leading_zeros()) as usize;
        if self.sizes_sent.len() <= class {
            self.sizes_sent.resize(class + 1, 0);
        }
        self.sizes_sent[class] += 1;
    }
}

/// A checksum of words in order, which tells corruption from none; it is no proof against somebody who wants to deceive.
///
/// Word i goes into lane i mod 4, d ← rotate((d ^ w) · m, 29), so that processors do four at once. Marks are left after
/// every `stride` words, which doubles when there are 16, so that two that do not count equally far still compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordsDigest {
    lanes: [u64; 4],
    words: u64,
    stride: u64,
    marks: Vec<(u64, u64)>,
}

/// Marks that are kept, at most.
const MARKS: usize = 16;

impl Default for WordsDigest {
    fn default() -> Self {
        Self { lanes: [0; 4], words: 0, stride: 1, marks: Vec::with_capacity(MARKS) }
    }
}

impl WordsDigest {
    /// Adds words.
    pub fn take(&mut self, mut words: &[u64]) {
        while !words.is_empty() {
            let room = self.stride - self.words % self.stride;
            let (now, later) = words.split_at(words.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            self.mix(now);
            if self.words.is_multiple_of(self.stride) {
                self.mark();
            }
            words = later;
        }
    }

    fn mark(&mut self) {
        if self.marks.len() == MARKS {
            self.stride *= 2;
            let stride = self.stride;
            self.marks.retain(|(words, _)| words.is_multiple_of(stride));
        }
        if self.words.is_multiple_of(self.stride) {
            self.marks.push((self.words, self.value()));
        }
    }

    /// All marks, and one for all words.
    fn all(&self) -> Vec<DigestMark> {
        let last = (self.words, self.value());
        let known = self.marks.iter().copied().filter(|&mark| mark != last).chain([last]);
        known.map(|(words, digest)| DigestMark { words, digest: format!("{digest:016x}") }).collect()
    }

    fn mix(&mut self, words: &[u64]) {
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let step = |lane: &mut u64, word: u64| *lane = (*lane ^ word).wrapping_mul(FACTOR).rotate_left(29);
        // Up to the start of a round one by one, then whole rounds.
        let lone = ((4 - self.words % 4) % 4).min(words.len() as u64) as usize;
        let (head, body) = words.split_at(lone);
        let (rounds, tail) = body.as_chunks::<4>();
        for &word in head {
            step(&mut self.lanes[(self.words % 4) as usize], word);
            self.words += 1;
        }
        for round in rounds {
            self.lanes.iter_mut().zip(round).for_each(|(lane, &word)| step(lane, word));
        }
        self.words += 4 * rounds.len() as u64;
        for &word in tail {
            step(&mut self.lanes[(self.words % 4) as usize], word);
            self.words += 1;
        }
    }

    /// The checksum.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.lanes.iter().fold(self.words, |all, &lane| mix64(all ^ lane))
    }
}

/// Counters of what serves the socket.
#[derive(Debug, Default)]
pub(super) struct IoCounters {
    encode_ns: AtomicU64,
    send_ns: AtomicU64,
    decode_ns: AtomicU64,
}

impl IoCounters {
    pub(super) fn encoded(&self, since: Instant) {
        self.encode_ns.fetch_add(nanoseconds(since.elapsed()), Ordering::Relaxed);
    }

    pub(super) fn sent(&self, since: Instant) {
        self.send_ns.fetch_add(nanoseconds(since.elapsed()), Ordering::Relaxed);
    }

    pub(super) fn decoded(&self, since: Instant) {
        self.decode_ns.fetch_add(nanoseconds(since.elapsed()), Ordering::Relaxed);
    }

    fn times(&self) -> IoTimes {
        IoTimes {
            encode_ns: self.encode_ns.load(Ordering::Relaxed),
            send_ns: self.send_ns.load(Ordering::Relaxed),
            decode_ns: self.decode_ns.load(Ordering::Relaxed),
        }
    }
}

/// Takes notes on the thread that computes.
pub(super) struct Recorder {
    pub(super) figures: Figures,
    hub: Arc<Hub>,
    started: Option<Instant>,
    /// The span that is under way; its window's wait so far.
    open: Span,
    window_wait_ns: u64,
    /// Windows of a span.
    windows: u64,
    /// Times on the other thread at the start of the span.
    io: IoTimes,
    /// Of the words that were sent to and received from other shards.
    digests: BTreeMap<ShardId, [WordsDigest; 2]>,
    /// Nothing is left to execute, and the figures have been told.
    told: bool,
}

impl Recorder {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self {
            figures: Figures::default(),
            hub,
            started: None,
            open: Span::default(),
            window_wait_ns: 0,
            windows: 1,
            io: IoTimes::default(),
            digests: BTreeMap::new(),
            told: false,
        }
    }

    pub(super) fn start(&mut self) {
        self.started = Some(Instant::now());
    }

    pub(super) fn has_started(&self) -> bool {
        self.started.is_some()
    }

    pub(super) fn pair(&mut self, other: ShardId) -> &mut PairFigures {
        self.figures.pairs.entry(other).or_default()
    }

    /// Time until now, unless all is done.
    pub(super) fn tick(&mut self) {
        if let Some(started) = self.started.filter(|_| !self.told) {
            self.figures.run_ns = nanoseconds(started.elapsed());
        }
    }

    /// So many messages wait to be taken in.
    pub(super) fn look(&mut self, waiting: usize) {
        let waiting = waiting as u64;
        let queue = &mut self.figures.queue;
        *queue = QueueFigures { most: queue.most.max(waiting), sum: queue.sum + waiting, looks: queue.looks + 1 };
        self.open.queue = self.open.queue.max(waiting);
    }

    /// It was waited for `whom` until now. What is waited when all is done here does not count.
    pub(super) fn waited(&mut self, since: Instant, whom: Option<ShardId>) {
        if self.told {
            return;
        }
        let waited = nanoseconds(since.elapsed());
        self.figures.wait_ns += waited;
        self.open.wait_ns += waited;
        self.window_wait_ns += waited;
        if let Some(whom) = whom {
            let pair = self.pair(whom);
            pair.waits += 1;
            pair.waited_ns += waited;
        }
    }

    /// A window from tick `first` to `end` took so long to execute; `bound` is who allowed the least, and up to where.
    fn window(&mut self, ticks: (Tick, Tick), took: Duration, bound: Option<(ShardId, Tick)>) {
        let (first, end) = ticks;
        let bound = bound.map(|(shard, tick)| (shard, Ticks(tick.0.saturating_sub(first.0))));
        if let Some((shard, _)) = bound {
            self.pair(shard).bounded += 1;
        }
        let (figures, open) = (&mut self.figures, &mut self.open);
        if figures.windows == 0 {
            figures.ticks.0 = first;
        }
        figures.windows += 1;
        figures.ticks.1 = end;
        figures.execute_ns += nanoseconds(took);
        if open.windows == 0 {
            open.ticks.0 = first;
        }
        open.windows += 1;
        open.ticks.1 = end;
        open.execute_ns += nanoseconds(took);
        if open.bound.is_none() || self.window_wait_ns > open.longest_wait_ns {
            (open.bound, open.longest_wait_ns) = (bound.or(open.bound), self.window_wait_ns);
        }
        self.window_wait_ns = 0;
        if open.windows >= self.windows {
            self.close();
        }
    }

    /// Ends the span that is under way.
    fn close(&mut self) {
        let io = self.hub.io.times();
        let start_ns = self.started.map_or(0, |started| nanoseconds(started.elapsed()));
        let next = Span { start_ns, ..Span::default() };
        let done = Span { io: io.minus(self.io), ..std::mem::replace(&mut self.open, next) };
        self.io = io;
        let spans = &mut self.figures.spans;
        spans.push(done);
        if spans.len() == SPANS {
            self.windows *= 2;
            let mut all = std::mem::take(spans).into_iter();
            while let (Some(span), next) = (all.next(), all.next()) {
                spans.push(next.into_iter().fold(span, Span::join));
            }
        }
    }

    /// The figures, once: nothing is left to execute.
    fn tell(&mut self) -> Option<Figures> {
        if self.told {
            return None;
        }
        self.tick();
        if self.open.windows > 0 {
            self.close();
        }
        self.told = true;
        self.figures.io = self.hub.io.times();
        self.figures.resident_bytes = resident_bytes();
        self.figures.descriptors = descriptors();
        for (peer, bytes) in self.hub.wire_bytes() {
            self.pair(peer).wire_bytes_sent = bytes;
        }
        for (peer, digests) in std::mem::take(&mut self.digests) {
            let pair = self.pair(peer);
            [pair.digests_sent, pair.digests_received] = digests.map(|digest| digest.all());
        }
        Some(self.figures.clone())
    }
}

/// Bytes of memory that this process holds, and the most that it ever held.
fn resident_bytes() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn descriptors() -> u64 {
    // The one through which they are counted is not counted.
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1) as u64)
}

/// A worker whose calls are measured, and which tells the figures behind all else.
pub(super) struct Measured<W> {
    pub(super) worker: W,
    pub(super) recorder: Rc<RefCell<Recorder>>,
}

/// The last byte of a part says what it is.
const OF_WORKER: u8 = 0;
const OF_FIGURES: u8 = 1;

/// A part of the result, or what a shard has measured.
pub(super) enum Told {
    Part(Vec<u8>),
    Figures(Box<Figures>),
}

/// What a shard told.
pub(super) fn told(mut bytes: Vec<u8>) -> Result<Told, (Cause, String)> {
    match bytes.pop() {
        Some(OF_WORKER) => Ok(Told::Part(bytes)),
        Some(OF_FIGURES) => match postcard::from_bytes(&bytes) {
            Ok(figures) => Ok(Told::Figures(Box::new(figures))),
            Err(error) => Err((Cause::Violated, format!("no figures: {error}"))),
        },
        _ => Err((Cause::Violated, "a part of nothing".to_owned())),
    }
}

impl<W: Worker> Worker for Measured<W> {
    type Fault = W::Fault;

    fn cause(fault: &Self::Fault) -> Cause {
        W::cause(fault)
    }

    fn position(&self) -> Tick {
        self.worker.position()
    }

    fn end(&self) -> Tick {
        self.worker.end()
    }

    fn ready(&self, limit: Tick) -> Option<Tick> {
        self.worker.ready(limit)
    }

    fn bound(&self) -> Option<(ShardId, Tick)> {
        self.worker.bound()
    }

    fn advance(&mut self, limit: Tick) -> Result<(), Self::Fault> {
        let (first, bound) = (self.worker.position(), self.worker.bound());
        let begin = Instant::now();
        let result = self.worker.advance(limit);
        self.recorder.borrow_mut().window((first, self.worker.position()), begin.elapsed(), bound);
        result
    }

    fn reached(&self, limit: Tick) -> bool {
        self.worker.reached(limit)
    }

    fn boundary(&self, tick: Tick) -> Tick {
        self.worker.boundary(tick)
    }

    fn send(&mut self, to: ShardId, words: &mut Vec<u64>) -> Tick {
        let known = words.len();
        let sent_before = self.worker.send(to, words);
        if words.len() > known {
            let mut recorder = self.recorder.borrow_mut();
            recorder.digests.entry(to).or_default()[0].take(&words[known..]);
            recorder.open.words_sent += (words.len() - known) as u64;
        }
        sent_before
    }

    fn receive(&mut self, from: ShardId, sent_before: Tick, words: &[u64]) -> Result<(), Self::Fault> {
        let mut recorder = self.recorder.borrow_mut();
        recorder.digests.entry(from).or_default()[1].take(words);
        recorder.open.words_received += words.len() as u64;
        drop(recorder);
        self.worker.receive(from, sent_before, words)
    }

    fn parts(&mut self, parts: &mut Vec<Vec<u8>>, last: bool) {
        let known = parts.len();
        self.worker.parts(parts, last);
        parts[known..].iter_mut().for_each(|part| part.push(OF_WORKER));
        if last && let Some(figures) = self.recorder.borrow_mut().tell() {
            let mut part = postcard::to_stdvec(&figures).expect("plain data has a form");
            part.push(OF_FIGURES);
            parts.push(part);
        }
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However words are cut into batches, and only if none is changed, lost, or moved.
    #[test]
    fn a_digest_is_of_the_words_in_order() {
        let words: Vec<u64> = (0..257).map(mix64).collect();
        let digest = |pieces: &mut dyn Iterator<Item = &[u64]>| {
            let mut digest = WordsDigest::default();
            pieces.for_each(|piece| digest.take(piece));
            digest.value()
        };
        let whole = digest(&mut std::iter::once(&words[..]));
        for size in 1..12 {
            assert_eq!(digest(&mut words.chunks(size)), whole, "{size}");
        }
        let mut other = words.clone();
        other.swap(8, 12);
        assert_ne!(digest(&mut other.chunks(7)), whole);
        assert_ne!(digest(&mut words[1..].chunks(7)), whole);
        assert_ne!(digest(&mut words[..256].chunks(7)), whole);
    }

    /// Who has seen more words has seen the same ones before.
    #[test]
    fn marks_are_left_on_the_way() {
        let words: Vec<u64> = (0..5000).map(mix64).collect();
        let marks = |count: usize, size: usize| {
            let mut digest = WordsDigest::default();
            words[..count].chunks(size).for_each(|piece| digest.take(piece));
            digest.all()
        };
        for count in [0, 1, 15, 16, 17, 300, 4999, 5000] {
            let (found, beyond) = (marks(count, 7), marks(5000, 1300));
            assert!(found.len() <= MARKS + 1 && found.last().unwrap().words == count as u64);
            let common = found.iter().filter(|mark| beyond.contains(mark)).map(|mark| mark.words).max();
            assert!(common.unwrap_or(0) + 1024 > count as u64 || count < 512, "{count}: {common:?}");
            let alike = |mark: &DigestMark| beyond.iter().all(|other| other.words != mark.words || other == mark);
            assert!(found.iter().all(alike));
        }
    }

    /// A long run keeps few spans, and they still add up to it.
    #[test]
    fn spans_cover_the_run() {
        let mut recorder = Recorder::new(Arc::new(Hub::new()));
        recorder.start();
        for window in 0..10_000_i64 {
            let since = Instant::now();
            if window % 3 == 0 {
                recorder.waited(since, Some(ShardId(1)));
            }
            let bound = Some((ShardId(1 + (window % 2) as u32), Tick(window + 9)));
            recorder.window((Tick(window), Tick(window + 1)), Duration::from_nanos(5), bound);
        }
        let figures = recorder.tell().unwrap();
        assert_eq!(recorder.tell(), None);
        let spans = &figures.spans;
        assert!((SPANS / 2..=SPANS).contains(&spans.len()), "{}", spans.len());
        assert_eq!(spans.iter().map(|span| span.windows).sum::<u64>(), 10_000);
        assert_eq!(spans.iter().map(|span| span.execute_ns).sum::<u64>(), 50_000);
        assert_eq!(spans.iter().map(|span| span.wait_ns).sum::<u64>(), figures.wait_ns);
        assert!(
            spans.windows(2).all(|pair| pair[0].ticks.1 == pair[1].ticks.0 && pair[0].start_ns <= pair[1].start_ns)
        );
        assert_eq!((spans[0].ticks.0, spans[spans.len() - 1].ticks.1), (Tick(0), Tick(10_000)));
        assert!(spans.iter().all(|span| span.bound.is_some_and(|(_, ahead)| ahead == Ticks(9))));
        assert_eq!(figures.pairs[&ShardId(1)].bounded + figures.pairs[&ShardId(2)].bounded, 10_000);
        assert!(figures.resident_bytes.0 > 0 && figures.descriptors > 0);
    }
}
