//! Queues of bytes between a writer and a reader: pipes, and each direction of a stream socket.

use std::collections::{BTreeMap, VecDeque};

/// A queue of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueId(u64);

/// Bytes on their way from one end to the other.
#[derive(Debug)]
pub(crate) struct ByteQueue {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// No more will be written.
    pub(super) ended: bool,
    /// Nobody will read.
    pub(super) abandoned: bool,
    /// The stream broke off: what a reader or writer is told once.
    pub(super) broken: bool,
    /// Counts arrivals, for whoever waits for edges.
    pub(super) arrivals: u64,
    /// Counts departures, likewise.
    pub(super) departures: u64,
    /// Open descriptions at either end.
    readers: u32,
    writers: u32,
}

impl ByteQueue {
    /// Bytes that can be read.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that can still be written.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    /// Whether reading returns at once: bytes, the end, or a broken stream.
    pub(super) fn is_readable(&self) -> bool {
        !self.bytes.is_empty() || self.ended || self.broken
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends as much of `bytes` as there is room for.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        if count > 0 {
            self.bytes.extend(&bytes[..count]);
            self.arrivals += 1;
        }
        count
    }

    /// Takes out up to `count` bytes, or only looks at them.
    pub(super) fn take(&mut self, count: usize, peek: bool) -> Vec<u8> {
        let count = count.min(self.bytes.len());
        if peek {
            return self.bytes.iter().take(count).copied().collect();
        }
        if count > 0 {
            self.departures += 1;
        }
        self.bytes.drain(..count).collect()
    }

    pub(super) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.arrivals += 1;
        }
    }

    pub(super) fn abandon(&mut self) {
        if !self.abandoned {
            self.abandoned = true;
            self.bytes.clear();
            self.departures += 1;
        }
    }

    /// Breaks the stream off: what has arrived is lost.
    pub(super) fn break_off(&mut self) {
        self.broken = true;
        self.ended = true;
        self.bytes.clear();
        self.arrivals += 1;
        self.departures += 1;
    }
}

/// All queues of a node.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    map: BTreeMap<QueueId, ByteQueue>,
    next: u64,
}

impl Queues {
    /// A queue with one reader and one writer.
    pub(super) fn add(&mut self, capacity: usize) -> QueueId {
        let id = QueueId(self.next);
        self.next += 1;
        let queue = ByteQueue {
            bytes: VecDeque::new(),
            capacity,
            ended: false,
            abandoned: false,
            broken: false,
            arrivals: 0,
            departures: 0,
            readers: 1,
            writers: 1,
        };
        self.map.insert(id, queue);
        id
    }

    pub(super) fn get(&self, id: QueueId) -> &ByteQueue {
        &self.map[&id]
    }

    pub(super) fn get_mut(&mut self, id: QueueId) -> &mut ByteQueue {
        self.map.get_mut(&id).expect("queues live as long as one of their ends")
    }

    /// Notes that nobody reads any more.
    pub(super) fn close_reader(&mut self, id: QueueId) {
        let queue = self.get_mut(id);
        queue.abandon();
        queue.readers = 0;
        self.collect(id);
    }

    /// Notes that nobody writes any more.
    pub(super) fn close_writer(&mut self, id: QueueId) {
        let queue = self.get_mut(id);
        queue.end();
        queue.writers = 0;
        self.collect(id);
    }

    fn collect(&mut self, id: QueueId) {
        let queue = &self.map[&id];
        if queue.readers == 0 && queue.writers == 0 {
            self.map.remove(&id);
        }
    }
}
