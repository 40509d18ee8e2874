//! What one shard and one neighbour have sent each other: the two bounds, and the words that wait to be sent.

use crate::proto::Neighbour;
use crate::proto::batch::{Batch, BatchError};
use sim_core::{Tick, Ticks};

/// One neighbour, as a session sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    lookahead: Option<Ticks>,
    credit: Ticks,
    stride: Ticks,
    /// Everything sent before it has been announced, or is announced with the words that wait.
    known_before: Tick,
    /// What the neighbour was last told.
    announced: (Tick, Tick),
    words: Vec<u64>,
    received_before: Tick,
    executed: Tick,
}

impl Pair {
    /// At tick `start`, before anything is sent.
    pub(super) fn new(neighbour: &Neighbour, start: Tick) -> Self {
        assert!(neighbour.credit >= Ticks(1), "a shard may always execute as far as its neighbours and one tick more");
        let Neighbour { lookahead, credit, stride, .. } = *neighbour;
        let words = Vec::new();
        Self {
            lookahead,
            credit,
            stride,
            known_before: start,
            announced: (start, start),
            words,
            received_before: start,
            executed: start,
        }
    }

    /// All that the neighbour sends before this tick has arrived.
    pub(super) fn received_before(&self) -> Tick {
        self.received_before
    }

    /// The neighbour has executed all ticks before this one.
    pub(super) fn executed(&self) -> Tick {
        self.executed
    }

    /// How far one may execute without flooding the neighbour.
    pub(super) fn room(&self) -> Tick {
        self.executed + self.credit
    }

    /// Takes the bounds of a batch, which its decoder has checked against the end and the credit.
    pub(super) fn receive(&mut self, batch: &Batch) -> Result<(), BatchError> {
        let Batch { sent_before: bound, executed, .. } = *batch;
        if bound < self.received_before {
            return Err(BatchError::SentBackwards { bound, before: self.received_before });
        }
        if executed < self.executed {
            return Err(BatchError::ExecutedBackwards { executed, before: self.executed });
        }
        (self.received_before, self.executed) = (bound, executed);
        Ok(())
    }

    /// Takes words from `send`, which appends them and says before which tick they are all.
    pub(super) fn collect(&mut self, send: impl FnOnce(&mut Vec<u64>) -> Tick) {
        self.known_before = send(&mut self.words);
    }

    /// What should be sent now, if anything. Words go when a stride is complete; bounds go with them, when they are worth a
    /// message of their own, and when this shard is about to be idle: then the neighbour may wait for words that are not
    /// sent, but hardly for room, of which a little may be held back.
    pub(super) fn flush(&mut self, position: Tick, end: Tick, idle: bool) -> Option<Batch> {
        let news = (self.known_before, position);
        let far = |span: Ticks, reach: Ticks| 2 * span.0 >= reach.0.max(2);
        let worth = self.lookahead.is_some_and(|reach| far(news.0 - self.announced.0, reach))
            || far(news.1 - self.announced.1, self.credit);
        let awaited = (self.lookahead.is_some() && news.0 != self.announced.0)
            || 16 * (news.1 - self.announced.1).0 >= self.credit.0;
        let complete = !self.words.is_empty() && news.0 - self.announced.0 >= self.stride;
        if news == self.announced || !((idle && awaited) || worth || position == end || complete) {
            return None;
        }
        self.announced = news;
        Some(Batch { sent_before: news.0, executed: position, words: std::mem::take(&mut self.words) })
    }
}
