//! Batches: the words that one shard sends another, without a header per frame.
//!
//! A batch covers the ticks from the end of the one before to its own `sent_before`. How many words belong to it follows
//! from the calendars, before a single one is read, so that no length travels and none can lie. `executed` lets the other
//! side reuse room: a shard may execute beyond its neighbour by no more than the credit of their pair.
//!
//! On the wire: kind (4 bytes), `sent_before` and `executed` (8 bytes each), then the words; all little-endian.

use super::Schedule;
use sim_core::{Tick, Ticks};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Bytes before the words of a batch.
pub const HEADER_BYTES: usize = 20;

/// The kind of a batch in which every scheduled frame is present.
const COMPLETE: u32 = 0x6B63_6974; // "tick"

/// Words for a neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// All that is sent before this tick is in this batch or an earlier one.
    pub sent_before: Tick,
    /// The sender has executed all ticks before this one.
    pub executed: Tick,
    /// The words, by (tick, link).
    pub words: Vec<u64>,
}

impl Batch {
    /// The form on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 8 * self.words.len());
        bytes.extend(COMPLETE.to_le_bytes());
        bytes.extend(self.sent_before.0.to_le_bytes());
        bytes.extend(self.executed.0.to_le_bytes());
        if cfg!(target_endian = "little") {
            bytes.extend(self.words.as_bytes());
        } else {
            bytes.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        }
        bytes
    }
}

/// Bytes that are no batch, or not the one that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BatchError {
    /// The first bytes of a batch.
    #[error("a batch of kind {kind:#010x}, of which there is none")]
    Kind {
        /// What was found.
        kind: u32,
    },
    /// A bound that decreases.
    #[error("sent before tick {bound}, after all before tick {before} was")]
    SentBackwards {
        /// What was found.
        bound: Tick,
        /// The last one.
        before: Tick,
    },
    /// A position that decreases.
    #[error("executed before tick {executed}, after all before tick {before} was")]
    ExecutedBackwards {
        /// What was found.
        executed: Tick,
        /// The last one.
        before: Tick,
    },
    /// A tick behind the end of the run.
    #[error("a batch for tick {tick}, but the run ends at {end}")]
    PastEnd {
        /// What was found.
        tick: Tick,
        /// The end.
        end: Tick,
    },
    /// More than there is room for.
    #[error("words sent before tick {bound}, but not more than those before {granted} may be")]
    BeyondCredit {
        /// What was found.
        bound: Tick,
        /// What is allowed.
        granted: Tick,
    },
    /// Bytes after all ticks.
    #[error("bytes after the end of the run")]
    AfterEnd,
    /// The stream ends in between.
    #[error("the stream ended at tick {before} of {end}, with {bytes} bytes of a further batch")]
    EndedEarly {
        /// All that is sent before it has arrived.
        before: Tick,
        /// Where it should end.
        end: Tick,
        /// Bytes of an incomplete batch.
        bytes: usize,
    },
}

/// Reads batches from the bytes of a stream, however they are cut. Takes memory only for words that are due.
#[derive(Clone, Debug)]
pub struct BatchDecoder {
    schedule: Arc<dyn Schedule>,
    end: Tick,
    credit: Ticks,
    /// Words sent before it may arrive.
    granted: Tick,
    sent_before: Tick,
    executed: Tick,
    header: [u8; HEADER_BYTES],
    /// Bytes of the header, then of the words, that have arrived.
    filled: usize,
    /// The batch whose words are arriving.
    body: Option<Batch>,
}

impl BatchDecoder {
    /// For a stream of words by `schedule` from tick `start` to tick `end`, `credit` being that of the pair.
    #[must_use]
    pub fn new(schedule: Arc<dyn Schedule>, start: Tick, end: Tick, credit: Ticks) -> Self {
        let header = [0; HEADER_BYTES];
        let granted = start + credit;
        Self { schedule, end, credit, granted, sent_before: start, executed: start, header, filled: 0, body: None }
    }

    /// The receiver has executed all ticks before `executed`, and the sender may learn it now.
    pub fn grant(&mut self, executed: Tick) {
        self.granted = self.granted.max(executed + self.credit);
    }

    /// Takes the next bytes; complete batches are appended to `batches`.
    ///
    /// # Errors
    /// [`BatchError`]; the stream is of no more use.
    pub fn push(&mut self, mut bytes: &[u8], batches: &mut Vec<Batch>) -> Result<(), BatchError> {
        while !bytes.is_empty() {
            let body = match &mut self.body {
                Some(body) => body,
                None => {
                    if self.sent_before == self.end && self.executed == self.end {
                        return Err(BatchError::AfterEnd);
                    }
                    self.filled += fill(&mut self.header[self.filled..], &mut bytes);
                    if self.filled < HEADER_BYTES {
                        return Ok(());
                    }
                    self.filled = 0;
                    let body = self.open()?;
                    self.body.insert(body)
                }
            };
            self.filled += fill(&mut body.words.as_mut_bytes()[self.filled..], &mut bytes);
            if self.filled == 8 * body.words.len() {
                self.filled = 0;
                let mut batch = self.body.take().expect("a batch is arriving");
                batch.words.iter_mut().for_each(|word| *word = u64::from_le(*word));
                batches.push(batch);
            }
        }
        Ok(())
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`BatchError::EndedEarly`] if the run has not.
    pub fn finish(&self) -> Result<(), BatchError> {
        let header = if self.body.is_some() { HEADER_BYTES } else { 0 };
        if self.sent_before == self.end && self.body.is_none() && self.filled == 0 {
            return Ok(());
        }
        Err(BatchError::EndedEarly { before: self.sent_before, end: self.end, bytes: header + self.filled })
    }

    /// Checks a header, and makes room for the words that it announces.
    fn open(&mut self) -> Result<Batch, BatchError> {
        let (kind, rest) = self.header.split_at(4);
        let (bound, executed) = rest.split_at(8);
        let number = |bytes: &[u8]| Tick(i64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        let kind = u32::from_le_bytes(kind.try_into().expect("four bytes"));
        let (bound, executed) = (number(bound), number(executed));
        if kind != COMPLETE {
            return Err(BatchError::Kind { kind });
        }
        if bound < self.sent_before {
            return Err(BatchError::SentBackwards { bound, before: self.sent_before });
        }
        if executed < self.executed {
            return Err(BatchError::ExecutedBackwards { executed, before: self.executed });
        }
        let tick = bound.max(executed);
        if tick > self.end {
            return Err(BatchError::PastEnd { tick, end: self.end });
        }
        let words = self.schedule.words(self.sent_before..bound);
        // Ticks in which nothing is sent need no room and may be announced at any time.
        if bound > self.granted && words > 0 && self.schedule.words(self.granted.max(self.sent_before)..bound) > 0 {
            return Err(BatchError::BeyondCredit { bound, granted: self.granted });
        }
        (self.sent_before, self.executed) = (bound, executed);
        let words = usize::try_from(words).expect("words of a credit fit the memory");
        Ok(Batch { sent_before: bound, executed, words: vec![0; words] })
    }
}

/// Moves as many bytes as there are and as fit; returns how many.
fn fill(room: &mut [u8], bytes: &mut &[u8]) -> usize {
    let count = room.len().min(bytes.len());
    room[..count].copy_from_slice(&bytes[..count]);
    *bytes = &bytes[count..];
    count
}
