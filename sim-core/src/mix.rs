//! The mix payload: behaviour of graph files, defined to the bit so that any language can check a run.
//!
//! `mix64` is the finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014); `fnv` is 64-bit FNV-1a.

use crate::app::{Behaviour, Firing, State};
use std::sync::Arc;

/// One step of SplitMix64.
#[must_use]
pub const fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// 64-bit FNV-1a of the UTF-8 bytes of `text`.
#[must_use]
pub const fn fnv(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Word `word` of initial token `token` of the channel whose name hashes to `channel`.
#[must_use]
pub const fn initial_word(channel: u64, token: u64, word: u64) -> u64 {
    mix64(channel ^ (token << 16) ^ word)
}

/// One outgoing channel of a mixing actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixPort {
    /// Tokens produced per firing, indexed by phase.
    pub rates: Arc<[u32]>,
    /// Words per token.
    pub words: u32,
}

/// An actor that hashes all that it consumes into all that it produces.
#[derive(Clone, Debug)]
pub struct Mix {
    seed: u64,
    ports: Vec<MixPort>,
}

impl Mix {
    /// The behaviour of the actor called `name` with the given outgoing channels in file order.
    #[must_use]
    pub fn new(name: &str, ports: Vec<MixPort>) -> Self {
        Self { seed: fnv(name), ports }
    }
}

impl Behaviour for Mix {
    fn fire(&self, firing: Firing, _: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        let acc = inputs.iter().fold(mix64(self.seed ^ firing.index), |acc, &word| mix64(acc ^ word));
        let mut out = outputs.iter_mut();
        for (p, port) in self.ports.iter().enumerate() {
            for k in 0..u64::from(port.rates[firing.phase as usize]) {
                for j in 0..u64::from(port.words) {
                    let word = out.next().expect("outputs hold every produced word");
                    *word = mix64(acc ^ ((p as u64) << 48) ^ (k << 16) ^ j);
                }
            }
        }
    }
}
