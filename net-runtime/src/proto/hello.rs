//! HELLO: the first message of a connection, in both directions. Shards that differ in anything do not start.
//!
//! On the wire: the word `tidelock`, the version of the protocol (2 bytes), the length of the body (2 bytes), and the body
//! in postcard's canonical form. The part before the body never changes, so that versions can tell each other apart.

use super::control::decode;
use super::{Hash, ShardId, short};
use serde::{Deserialize, Serialize};
use sim_core::Tick;

/// Version of the protocol.
pub const PROTOCOL: u16 = 1;

/// Bytes of a HELLO, at most.
pub const HELLO_BYTES: usize = 4096;

/// Bytes before the body.
pub const PREFIX_BYTES: usize = MAGIC.len() + 4;

const MAGIC: [u8; 8] = *b"tidelock";

/// What two shards must agree on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hello {
    /// The run; fresh for each.
    pub run: [u8; 16],
    /// The shard that speaks.
    pub shard: ShardId,
    /// Number of shards.
    pub shards: u32,
    /// Hash of the program that speaks: firings are code.
    pub build: Hash,
    /// Hash of all that is configured: application, options, partition, inputs.
    pub configuration: Hash,
    /// Hash of calendars and machine.
    pub calendars: Hash,
    /// Seed of all randomness.
    pub seed: u64,
    /// The tick at which the run starts or resumes.
    pub start: Tick,
}

/// Why a shard is not spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not this protocol at all.
    #[error("the first bytes are not those of a tidelock shard")]
    NotTidelock,
    /// Another version of the protocol.
    #[error("protocol version differs: {ours} here, {theirs} there; run the same version of tidelock everywhere")]
    Version {
        /// Of this side.
        ours: u16,
        /// Of the other.
        theirs: u16,
    },
    /// Bytes that are no HELLO.
    #[error("a HELLO of {bytes} bytes that is none: at most {HELLO_BYTES} are allowed, and none behind it")]
    Malformed {
        /// Its length.
        bytes: usize,
    },
    /// A difference.
    #[error("{field} differs: {ours} here, {theirs} there")]
    Differs {
        /// In what.
        field: &'static str,
        /// The value of this side.
        ours: String,
        /// The value of the other.
        theirs: String,
    },
    /// A number that no shard of this run has.
    #[error("{shard} of {shards} shards cannot be")]
    NoSuchShard {
        /// The number.
        shard: ShardId,
        /// Number of shards.
        shards: u32,
    },
    /// A shard that says to be another.
    #[error("the certificate is that of {pinned}, but the shard says that it is {claimed}")]
    NotWhoItSays {
        /// Whom the certificate belongs to.
        pinned: ShardId,
        /// Whom it claims to be.
        claimed: ShardId,
    },
    /// A shard whose certificate is none of those that were agreed on.
    #[error("the certificate of {shard} is none of those in the manifest of the run")]
    Stranger {
        /// The shard.
        shard: ShardId,
    },
    /// A shard that is already there.
    #[error("there is already a {shard}; the first one stays")]
    Duplicate {
        /// The shard.
        shard: ShardId,
    },
    /// Somebody who does not know the secret of the run.
    #[error("the secret of the run is another; give all shards the same --secret-file")]
    WrongSecret,
}

impl Hello {
    /// The form on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        prefixed(self)
    }

    /// Checks the other side's HELLO, given as bytes, against our own. `pinned` is the shard whose certificate it showed.
    ///
    /// # Errors
    /// [`Refusal`], with the field and both values.
    pub fn check(&self, bytes: &[u8], pinned: ShardId) -> Result<Self, Refusal> {
        let theirs: Self = unprefixed(bytes)?;
        if theirs.shard != pinned {
            return Err(Refusal::NotWhoItSays { pinned, claimed: theirs.shard });
        }
        let hash = |field, ours: &[u8], theirs: &[u8]| (field, short(ours), short(theirs));
        for (field, ours, theirs) in [
            hash("run id", &self.run, &theirs.run),
            ("number of shards", self.shards.to_string(), theirs.shards.to_string()),
            hash("build", &self.build, &theirs.build),
            hash("configuration", &self.configuration, &theirs.configuration),
            hash("calendars", &self.calendars, &theirs.calendars),
            ("seed", self.seed.to_string(), theirs.seed.to_string()),
            ("first tick", self.start.to_string(), theirs.start.to_string()),
        ] {
            if ours != theirs {
                return Err(Refusal::Differs { field, ours, theirs });
            }
        }
        Ok(theirs)
    }
}

/// Puts magic, version and length before a body.
pub(super) fn prefixed<M: Serialize>(body: &M) -> Vec<u8> {
    let body = postcard::to_stdvec(body).expect("plain data has a form");
    let length = u16::try_from(body.len()).expect("a first message is short");
    assert!(PREFIX_BYTES + body.len() <= HELLO_BYTES, "a first message is short");
    [&MAGIC[..], &PROTOCOL.to_le_bytes(), &length.to_le_bytes(), &body].concat()
}

/// Length of the whole message whose first [`PREFIX_BYTES`] these are.
///
/// # Errors
/// [`Refusal`] if it cannot be one of this version.
pub fn message_length(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, Refusal> {
    let number = |at: usize| u16::from_le_bytes([prefix[at], prefix[at + 1]]);
    if !prefix.starts_with(&MAGIC) {
        return Err(Refusal::NotTidelock);
    }
    let theirs = number(MAGIC.len());
    if theirs != PROTOCOL {
        return Err(Refusal::Version { ours: PROTOCOL, theirs });
    }
    let bytes = PREFIX_BYTES + usize::from(number(MAGIC.len() + 2));
    if bytes > HELLO_BYTES { Err(Refusal::Malformed { bytes }) } else { Ok(bytes) }
}

/// Reads what [`prefixed`] wrote.
pub(super) fn unprefixed<M: Serialize + for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<M, Refusal> {
    let malformed = Refusal::Malformed { bytes: bytes.len() };
    let Some(prefix) = bytes.first_chunk() else {
        return Err(if bytes.starts_with(&MAGIC) { malformed } else { Refusal::NotTidelock });
    };
    if message_length(prefix)? != bytes.len() {
        return Err(malformed);
    }
    decode(&bytes[PREFIX_BYTES..]).ok_or(malformed)
}
