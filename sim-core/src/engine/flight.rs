//! Where words are kept between their sending and their storing.

use super::EngineError;
use super::extent::Extent;
use crate::program::{Program, Rotor, Rotors, Spot};
use std::collections::BTreeMap;

/// Places of the words in flight.
pub(super) struct Flight {
    /// The program's rotors, and after them those of the words in flight.
    pub(super) rotors: Rotors,
    /// Where a word is put, indexed like the program's words sent.
    pub(super) send_to: Vec<Spot>,
    /// Where a word is taken from, indexed like the program's words stored.
    pub(super) store_from: Vec<Spot>,
    /// Number of places.
    pub(super) words: u64,
}

impl Flight {
    /// Gives every word of a run of the given extent its places.
    ///
    /// A word needs one place more than metacycles fit into the latency, and never more than it is sent in the run.
    /// Words with equally many places lie side by side, in the order in which they are sent: one row per activation.
    ///
    /// # Errors
    /// [`EngineError::Memory`] if there are too many.
    pub(super) fn new(program: &Program, extent: &Extent) -> Result<Self, EngineError> {
        let places = |send: usize| {
            let range = extent.range(program.send_class[send]);
            let latency = program.links[program.sends[send].link].latency.0;
            ((latency / program.metacycle) as u64 + 1).min((range.end - range.start).max(1))
        };
        let mut row_words: BTreeMap<u64, u64> = BTreeMap::new();
        for send in 0..program.sends.len() {
            *row_words.entry(places(send)).or_default() += 1;
        }
        let mut words = 0_u64;
        let mut next: BTreeMap<u64, u64> = BTreeMap::new();
        for (&places, &row) in &row_words {
            next.insert(places, words);
            words = words.saturating_add(places.saturating_mul(row));
        }
        super::check_words("frames in flight", words)?;
        let narrow = |n: u64| u32::try_from(n).expect("the sum was checked");
        let mut bases = Vec::with_capacity(program.sends.len());
        for send in 0..program.sends.len() {
            let places = places(send);
            let next = next.get_mut(&places).expect("every number of places has rows");
            bases.push((narrow(*next), narrow(row_words[&places]), narrow(places)));
            *next += 1;
        }
        let mut rotors = program.rotors.clone();
        let mut spot = |send: usize, class: u32| {
            let (base, stride, count) = bases[send];
            let first = program.classes[class as usize].first;
            Spot { base, stride, rotor: rotors.intern(Rotor::new(count, 0, first)) }
        };
        let send_to = program.send_class.iter().enumerate().map(|(send, &class)| spot(send, class)).collect();
        let stores = program.stores.iter().zip(&program.store_class);
        let store_from = stores.map(|(stored, &class)| spot(stored.send as usize, class)).collect();
        Ok(Self { rotors, send_to, store_from, words })
    }
}
