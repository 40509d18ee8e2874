//! Control messages: all that is not words. Between shard 0 and every other shard.
//!
//! On the wire: the length of the body (4 bytes, little-endian), then the body in postcard's canonical form.

use super::Stop;
use serde::{Deserialize, Serialize};
use sim_core::Tick;

/// Bytes of a body, at most.
pub const BODY_BYTES: usize = 1 << 20;

/// Bytes of a part of a result or of a file in one message, at most.
pub const CHUNK_BYTES: usize = BODY_BYTES - 64;

/// A message from shard 0 to a member, or back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Control {
    /// Member: it agrees with all its neighbours.
    Ready,
    /// Shard 0: everybody does; go.
    Start,
    /// Member: bytes of a part of the result; `last` if the part ends with them.
    Part {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether they are the last of the part.
        last: bool,
    },
    /// Member: everything is executed, and all parts were sent.
    Done,
    /// Shard 0: everybody is done.
    Finished,
    /// Member: it cannot go on.
    Report(Stop),
    /// Shard 0: execute nothing more until told how far.
    Pause,
    /// Member: it executes nothing more.
    Paused {
        /// How far it is.
        position: Tick,
    },
    /// Shard 0: execute up to here; then the run ends.
    StopAt {
        /// The tick.
        tick: Tick,
        /// Why.
        stop: Stop,
    },
    /// Member: it has stopped there, and all parts were sent.
    Stopped,
    /// Shard 0: there is nowhere left to stop; the run goes on to its end.
    GoOn,
}

/// Bytes that are no control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ControlError {
    /// A length out of bounds.
    #[error("a control message of {bytes} bytes, which may have 1 to {BODY_BYTES}")]
    Length {
        /// What was found.
        bytes: usize,
    },
    /// A body that is none.
    #[error("a control message of {bytes} bytes that is none, or not in canonical form")]
    Body {
        /// Its length.
        bytes: usize,
    },
    /// The stream ends in between.
    #[error("the stream ended after {bytes} bytes of a control message")]
    EndedEarly {
        /// Bytes of the incomplete message.
        bytes: usize,
    },
}

/// The form on the wire.
#[must_use]
pub fn encode<M: Serialize>(message: &M) -> Vec<u8> {
    let body = postcard::to_stdvec(message).expect("plain data has a form");
    assert!(body.len() <= BODY_BYTES, "messages are cut before they are sent");
    let length = u32::try_from(body.len()).expect("a body is short");
    [&length.to_le_bytes()[..], &body].concat()
}

/// Reads a body in canonical form, whole.
#[must_use]
pub fn decode<M: Serialize + for<'a> Deserialize<'a>>(body: &[u8]) -> Option<M> {
    let message = postcard::from_bytes(body).ok()?;
    // Another form of the same numbers, and bytes behind them, are not ours.
    (postcard::to_stdvec(&message).ok()? == body).then_some(message)
}

/// Cuts a stream's bytes into messages of type `M`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ControlDecoder {
    /// Bytes of the message that is arriving, its length first.
    bytes: Vec<u8>,
}

impl ControlDecoder {
    /// Takes the next bytes; complete messages are appended to `messages`. Memory follows what arrives, not what is
    /// announced.
    ///
    /// # Errors
    /// [`ControlError`]; the stream is of no more use.
    pub fn push<M>(&mut self, mut bytes: &[u8], messages: &mut Vec<M>) -> Result<(), ControlError>
    where
        M: Serialize + for<'a> Deserialize<'a>,
    {
        loop {
            let length = match self.bytes.first_chunk() {
                Some(length) => u32::from_le_bytes(*length) as usize,
                None => 0,
            };
            if self.bytes.len() >= 4 && !(1..=BODY_BYTES).contains(&length) {
                return Err(ControlError::Length { bytes: length });
            }
            if self.bytes.len() >= 4 && self.bytes.len() == 4 + length {
                let message = decode(&self.bytes[4..]).ok_or(ControlError::Body { bytes: length })?;
                messages.push(message);
                self.bytes.clear();
                continue;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let missing = if self.bytes.len() < 4 { 4 } else { 4 + length } - self.bytes.len();
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.bytes.extend_from_slice(taken);
            bytes = rest;
        }
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`ControlError::EndedEarly`] within a message.
    pub fn finish(&self) -> Result<(), ControlError> {
        let bytes = self.bytes.len();
        if bytes == 0 { Ok(()) } else { Err(ControlError::EndedEarly { bytes }) }
    }
}
