//! How shards that know one address and one secret come to know each other.
//!
//! Every shard makes a key of its own and shows its certificate to shard 0, over a connection whose keying material both
//! prove to know the secret of the run for: nobody in between can pass a proof on. Shard 0 answers with the manifest: who
//! takes part, where, and with which certificate. From then on only those certificates are accepted, each for its shard.
//! Where certificates are agreed on beforehand, only those are accepted from the start, and the rest stays as it is.

use super::hello::{Refusal, prefixed, unprefixed};
use super::{Hash, ShardId, short};
use serde::{Deserialize, Serialize};
use sim_core::IdVec;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// What all shards of a run know and nobody else does.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which side proves that it knows the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The shard that asks to take part.
    Member,
    /// Shard 0.
    Host,
}

impl Secret {
    /// From any text or bytes; white space around them does not count.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(blake3::derive_key("tidelock 2026 secret of a run", bytes.trim_ascii()))
    }

    /// Proof of knowing it, for one connection: `keying` is exported from its TLS session.
    #[must_use]
    pub fn proof(&self, side: Side, keying: &Hash) -> Hash {
        let side: &[u8] = match side {
            Side::Member => b"member",
            Side::Host => b"host",
        };
        *blake3::Hasher::new_keyed(&self.0).update(side).update(keying).finalize().as_bytes()
    }

    /// Whether `proof` shows that the other side knows it. Takes the same time for every wrong proof.
    #[must_use]
    pub fn proves(&self, side: Side, keying: &Hash, proof: &Hash) -> bool {
        blake3::Hash::from(self.proof(side, keying)) == blake3::Hash::from(*proof)
    }
}

/// By what shards know, before they have met, who may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Who knows this.
    Secret(Secret),
    /// Who has the keys of these certificates. Nobody has to know anything.
    Pinned {
        /// The run.
        run: [u8; 16],
        /// Hashes of the certificates of all shards.
        pins: IdVec<ShardId, Hash>,
    },
}

impl Trust {
    /// What both sides prove to know. All that is pinned is public; proving to know it shows that both mean the same run.
    fn secret(&self) -> Secret {
        match self {
            Self::Secret(secret) => secret.clone(),
            Self::Pinned { run, pins } => {
                let pins = pins.values().flatten();
                Secret::new(&run.iter().chain(pins).copied().collect::<Vec<u8>>())
            }
        }
    }

    /// [`Secret::proof`] of what is known.
    #[must_use]
    pub fn proof(&self, side: Side, keying: &Hash) -> Hash {
        self.secret().proof(side, keying)
    }

    /// [`Secret::proves`] of what is known.
    #[must_use]
    pub fn proves(&self, side: Side, keying: &Hash, proof: &Hash) -> bool {
        self.secret().proves(side, keying, proof)
    }

    /// Whether `shard` may show the certificate `pin`.
    ///
    /// # Errors
    /// [`Refusal::NotWhoItSays`], [`Refusal::Stranger`].
    pub fn check(&self, shard: ShardId, pin: &Hash) -> Result<(), Refusal> {
        let Self::Pinned { pins, .. } = self else { return Ok(()) };
        match pins.iter().find(|(_, pinned)| *pinned == pin) {
            Some((pinned, _)) if pinned == shard => Ok(()),
            Some((pinned, _)) => Err(Refusal::NotWhoItSays { pinned, claimed: shard }),
            None => Err(Refusal::Stranger { shard }),
        }
    }
}

/// A shard asks to take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Which shard it is.
    pub shard: ShardId,
    /// Of how many.
    pub shards: u32,
    /// Hash of its program.
    pub build: Hash,
    /// The port at which it can be reached.
    pub port: u16,
    /// That it knows the secret, or what is pinned.
    pub proof: Hash,
}

impl Join {
    /// The form on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        prefixed(self)
    }

    /// Reads [`Self::encode`]'s form.
    ///
    /// # Errors
    /// [`Refusal`] if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        unprefixed(bytes)
    }
}

/// A shard that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where it can be reached.
    pub address: SocketAddr,
    /// Hash of its certificate.
    pub pin: Hash,
}

/// Who takes part in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The run.
    pub run: [u8; 16],
    /// The shards.
    pub members: IdVec<ShardId, Member>,
}

impl Manifest {
    /// The shard that a certificate belongs to.
    #[must_use]
    pub fn shard_of(&self, pin: &Hash) -> Option<ShardId> {
        self.members.iter().find(|(_, member)| member.pin == *pin).map(|(shard, _)| shard)
    }
}

/// Shard 0's side: shards come in, in any order.
#[derive(Clone, Debug)]
pub struct Gathering {
    trust: Trust,
    shards: u32,
    build: Hash,
    seats: BTreeMap<ShardId, Member>,
}

impl Gathering {
    /// Waits for all shards but shard 0, which is `host`.
    #[must_use]
    pub fn new(trust: Trust, shards: u32, build: Hash, host: Member) -> Self {
        Self { trust, shards, build, seats: BTreeMap::from([(ShardId(0), host)]) }
    }

    /// A shard asks to take part; it was seen at `address` with the certificate `pin`.
    ///
    /// # Errors
    /// [`Refusal`]; those who are there stay.
    pub fn join(&mut self, join: &Join, keying: &Hash, address: SocketAddr, pin: Hash) -> Result<(), Refusal> {
        if !self.trust.proves(Side::Member, keying, &join.proof) {
            return Err(Refusal::WrongSecret);
        }
        let differs = |field, ours: String, theirs: String| Err(Refusal::Differs { field, ours, theirs });
        if join.shards != self.shards {
            return differs("number of shards", self.shards.to_string(), join.shards.to_string());
        }
        if join.build != self.build {
            return differs("build", short(&self.build), short(&join.build));
        }
        if join.shard.0 >= self.shards {
            return Err(Refusal::NoSuchShard { shard: join.shard, shards: self.shards });
        }
        self.trust.check(join.shard, &pin)?;
        if self.seats.contains_key(&join.shard) {
            return Err(Refusal::Duplicate { shard: join.shard });
        }
        let address = SocketAddr::new(address.ip(), join.port);
        self.seats.insert(join.shard, Member { address, pin });
        Ok(())
    }

    /// A shard that had come in has left before the run began.
    pub fn leave(&mut self, shard: ShardId) {
        if shard != ShardId(0) {
            self.seats.remove(&shard);
        }
    }

    /// Shards that have not come in yet.
    pub fn missing(&self) -> impl Iterator<Item = ShardId> {
        (0..self.shards).map(ShardId).filter(|shard| !self.seats.contains_key(shard))
    }

    /// The manifest, once all are there. The run's id is the one that is agreed on, or a hash of everybody's fresh key.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        if self.missing().next().is_some() {
            return None;
        }
        let members: IdVec<ShardId, Member> = self.seats.values().cloned().collect();
        let run = match &self.trust {
            Trust::Pinned { run, .. } => *run,
            Trust::Secret(_) => run_id(members.values().map(|member| &member.pin)),
        };
        Some(Manifest { run, members })
    }
}

/// The id of a run of shards with fresh keys.
pub fn run_id<'a>(pins: impl Iterator<Item = &'a Hash>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("tidelock 2026 id of a run");
    for pin in pins {
        hasher.update(pin);
    }
    let mut run = [0; 16];
    run.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    run
}
