//! Observed channels: digests and recordings of the produced tokens, in the order of the producer's firings.

use crate::digest::ChannelDigest;
use crate::ids::ChannelId;
use crate::run::ChannelOutcome;
use std::collections::BTreeMap;

/// An observed channel.
pub(super) struct Tap {
    pub(super) channel: ChannelId,
    token_words: u64,
    /// First word among the outputs of the producer's firing and number of words, indexed by phase.
    spans: Vec<(usize, usize)>,
    sink: Sink,
    late: Late,
}

/// Takes words in the order of firings.
struct Sink {
    /// How many there were.
    words: u64,
    digest: Option<ChannelDigest>,
    record: Option<Vec<u64>>,
}

/// What becomes of a firing's words.
enum Late {
    /// Firings end in order.
    Never,
    /// Some end before an earlier one, and wait for it.
    Reorder(Reorder),
    /// Firings are spread over shards: they are handed on to whoever puts them in order.
    Spread(SpreadTokens),
}

/// Firings of a producer that is spread over shards, as one of them saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadTokens {
    /// The channel.
    pub channel: ChannelId,
    /// Index of every firing, and the number of words that it produced on the channel.
    pub firings: Vec<(u64, u32)>,
    /// Their words, one after the other.
    pub words: Vec<u64>,
}

/// What was digested and recorded of a channel.
pub(super) type TapOutcome = (Option<ChannelOutcome>, Option<Vec<u64>>);

/// Holds firings that ended before an earlier one did.
struct Reorder {
    /// Index of the first firing that is not observed yet.
    next: u64,
    /// Whether firing n has ended, at n modulo the length.
    ended: Vec<bool>,
    /// Its words, in places of equal size.
    words: Vec<u64>,
    place_words: usize,
}

/// What a tap is made of.
pub(super) struct TapParts {
    pub(super) channel: ChannelId,
    pub(super) token_words: u64,
    pub(super) spans: Vec<(usize, usize)>,
    pub(super) digest: Option<ChannelDigest>,
    /// An empty vector with room for all words.
    pub(super) record: Option<Vec<u64>>,
    /// Firings that may have ended before an earlier one, that one included; 0 if they end in order.
    pub(super) reorder: usize,
    /// `reorder` times the largest number of words in `spans`.
    pub(super) late_words: Vec<u64>,
}

impl Tap {
    pub(super) fn new(parts: TapParts) -> Self {
        let TapParts { channel, token_words, spans, digest, record, reorder, late_words } = parts;
        let late = match late_words.len().checked_div(reorder) {
            None => Late::Never,
            Some(place_words) => {
                Late::Reorder(Reorder { next: 0, ended: vec![false; reorder], place_words, words: late_words })
            }
        };
        Self { channel, token_words, spans, sink: Sink { words: 0, digest, record }, late }
    }

    /// An observer that hands on what it sees.
    pub(super) fn spread(channel: ChannelId, spans: Vec<(usize, usize)>) -> Self {
        let late = Late::Spread(SpreadTokens { channel, firings: Vec::new(), words: Vec::new() });
        let sink = Sink { words: 0, digest: None, record: None };
        Self { channel, token_words: 1, spans, sink, late }
    }

    /// Observes firing `index`, which produced `outputs`.
    #[inline]
    pub(super) fn offer(&mut self, index: u64, phase: u32, outputs: &[u64]) {
        let (start, words) = self.spans[phase as usize];
        let produced = &outputs[start..start + words];
        match &mut self.late {
            Late::Never => self.sink.accept(produced),
            Late::Reorder(late) => late.offer(index, produced, &self.spans, &mut self.sink),
            Late::Spread(tokens) => {
                tokens.firings.push((index, words as u32));
                tokens.words.extend_from_slice(produced);
            }
        }
    }

    /// Whether it hands on what it sees.
    pub(super) fn is_spread(&self) -> bool {
        matches!(self.late, Late::Spread(_))
    }

    /// What a spread observer has seen since the last call, if that is anything.
    pub(super) fn take_spread(&mut self) -> Option<SpreadTokens> {
        match &mut self.late {
            Late::Spread(tokens) if !tokens.firings.is_empty() => {
                let empty = SpreadTokens { channel: tokens.channel, firings: Vec::new(), words: Vec::new() };
                Some(std::mem::replace(tokens, empty))
            }
            _ => None,
        }
    }

    /// What was digested and recorded; nothing if it was handed on.
    pub(super) fn finish(self) -> Option<(ChannelId, TapOutcome)> {
        if self.is_spread() {
            return None;
        }
        let tokens = self.sink.words / self.token_words;
        let digested = self.sink.digest.map(|digest| ChannelOutcome { tokens, digest });
        Some((self.channel, (digested, self.sink.record)))
    }
}

/// Puts the tokens of one spread producer in order.
pub(super) struct Collector {
    tap: Tap,
    next: u64,
    waiting: BTreeMap<u64, Vec<u64>>,
}

impl Collector {
    /// A collector that observes like `tap`, to which firings come in order.
    pub(super) fn new(tap: Tap) -> Self {
        Self { tap, next: 0, waiting: BTreeMap::new() }
    }

    /// Takes what one shard saw.
    pub(super) fn take(&mut self, tokens: &SpreadTokens) {
        let mut words = tokens.words.as_slice();
        for &(index, count) in &tokens.firings {
            let (produced, rest) = words.split_at(count as usize);
            self.waiting.insert(index, produced.to_vec());
            words = rest;
        }
        while let Some(words) = self.waiting.remove(&self.next) {
            self.tap.sink.accept(&words);
            self.next += 1;
        }
    }

    /// What was digested and recorded.
    pub(super) fn finish(self) -> Option<(ChannelId, TapOutcome)> {
        self.tap.finish()
    }
}

impl Sink {
    fn accept(&mut self, words: &[u64]) {
        self.words += words.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(words);
        }
        if let Some(record) = &mut self.record {
            record.extend_from_slice(words);
        }
    }
}

impl Reorder {
    /// Hands firing `index` on to `sink` when all before it have ended, and with it those that waited for it.
    fn offer(&mut self, index: u64, produced: &[u64], spans: &[(usize, usize)], sink: &mut Sink) {
        if index != self.next {
            let place = self.place(index);
            self.ended[place] = true;
            self.words[place * self.place_words..][..produced.len()].copy_from_slice(produced);
            return;
        }
        sink.accept(produced);
        self.next += 1;
        loop {
            let place = self.place(self.next);
            if !std::mem::take(&mut self.ended[place]) {
                return;
            }
            let (_, words) = spans[(self.next % spans.len() as u64) as usize];
            sink.accept(&self.words[place * self.place_words..][..words]);
            self.next += 1;
        }
    }

    fn place(&self, index: u64) -> usize {
        (index % self.ended.len() as u64) as usize
    }
}
