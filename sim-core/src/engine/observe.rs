//! Observed channels: digests and recordings of the produced tokens, in the order of the producer's firings.

use crate::digest::ChannelDigest;
use crate::ids::ChannelId;
use crate::run::ChannelOutcome;

/// An observed channel.
pub(super) struct Tap {
    pub(super) channel: ChannelId,
    token_words: u64,
    /// First word among the outputs of the producer's firing and number of words, indexed by phase.
    spans: Vec<(usize, usize)>,
    /// Words observed so far.
    words: u64,
    digest: Option<ChannelDigest>,
    record: Option<Vec<u64>>,
    late: Option<Reorder>,
}

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
        let late = (reorder > 0).then(|| Reorder {
            next: 0,
            ended: vec![false; reorder],
            place_words: late_words.len() / reorder,
            words: late_words,
        });
        Self { channel, token_words, spans, words: 0, digest, record, late }
    }

    /// Observes firing `index`, which produced `outputs`.
    #[inline]
    pub(super) fn offer(&mut self, index: u64, phase: u32, outputs: &[u64]) {
        let (start, words) = self.spans[phase as usize];
        let produced = &outputs[start..start + words];
        match self.late.take() {
            None => self.accept(produced),
            Some(mut late) => {
                self.offer_late(&mut late, index, produced);
                self.late = Some(late);
            }
        }
    }

    fn offer_late(&mut self, late: &mut Reorder, index: u64, produced: &[u64]) {
        if index != late.next {
            let place = late.place(index);
            late.ended[place] = true;
            late.words[place * late.place_words..][..produced.len()].copy_from_slice(produced);
            return;
        }
        self.accept(produced);
        late.next += 1;
        loop {
            let place = late.place(late.next);
            if !std::mem::take(&mut late.ended[place]) {
                return;
            }
            let (_, words) = self.spans[(late.next % self.spans.len() as u64) as usize];
            self.accept(&late.words[place * late.place_words..][..words]);
            late.next += 1;
        }
    }

    fn accept(&mut self, words: &[u64]) {
        self.words += words.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(words);
        }
        if let Some(record) = &mut self.record {
            record.extend_from_slice(words);
        }
    }

    /// What was digested and recorded.
    pub(super) fn finish(self) -> (Option<ChannelOutcome>, Option<Vec<u64>>) {
        let tokens = self.words / self.token_words;
        (self.digest.map(|digest| ChannelOutcome { tokens, digest }), self.record)
    }
}

impl Reorder {
    fn place(&self, index: u64) -> usize {
        (index % self.ended.len() as u64) as usize
    }
}
