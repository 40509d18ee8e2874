//! Words as bytes: whatever arrives, the decoder gives what is due or an error, and takes no memory for anything else.

use crate::toy::{Wire, shards};
use proptest::prelude::*;
use sim_core::{Tick, Ticks};
use tidelock_net_runtime::proto::batch::{Batch, BatchDecoder, BatchError, HEADER_BYTES};

/// Reads what shard 0 sends shard 1: a word per tick, and one more in every third; 30 ticks, of which 10 may wait.
fn decoder() -> BatchDecoder {
    let wires = [Wire::dense(0, 1, 1), Wire { from: 0, to: 1, latency: 2, period: 3, offset: 0 }];
    let (config, _) = shards(2, &wires, 30, 10).remove(1);
    BatchDecoder::new(config.neighbours[0].inbound.clone(), Tick(0), Tick(30), Ticks(10))
}

fn batch(sent_before: i64, executed: i64, words: usize) -> Vec<u8> {
    let words = (0..words as u64).collect();
    Batch { sent_before: Tick(sent_before), executed: Tick(executed), words }.encode()
}

fn push(decoder: &mut BatchDecoder, bytes: &[u8]) -> Result<Vec<Batch>, BatchError> {
    let mut batches = Vec::new();
    decoder.push(bytes, &mut batches).map(|()| batches)
}

/// A batch that is not due, after one that was: the error.
fn check(bytes: &[u8], expected: BatchError) {
    let mut decoder = decoder();
    assert_eq!(push(&mut decoder, &batch(3, 2, 4)).unwrap().len(), 1);
    assert_eq!(push(&mut decoder, bytes), Err(expected));
}

#[test]
fn words_come_out_as_they_went_in() {
    let mut decoder = decoder();
    let bytes = [batch(3, 2, 4), batch(3, 3, 0), batch(7, 7, 6), batch(10, 10, 4)].concat();
    let batches = push(&mut decoder, &bytes).unwrap();
    assert_eq!(batches.len(), 4);
    assert_eq!(batches[2].words, [0, 1, 2, 3, 4, 5]);
    decoder.grant(Tick(20));
    assert_eq!(push(&mut decoder, &batch(30, 30, 26)).unwrap()[0].words.len(), 26);
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn what_is_not_due_is_refused() {
    let (t, end) = (Tick, Tick(30));
    check(&[b"post"[..].to_vec(), vec![0; 16]].concat(), BatchError::Kind { kind: u32::from_le_bytes(*b"post") });
    check(&batch(2, 2, 0), BatchError::SentBackwards { bound: t(2), before: t(3) });
    check(&batch(i64::MIN, 2, 0), BatchError::SentBackwards { bound: t(i64::MIN), before: t(3) });
    check(&batch(4, 1, 2), BatchError::ExecutedBackwards { executed: t(1), before: t(2) });
    check(&batch(4, -1, 2), BatchError::ExecutedBackwards { executed: t(-1), before: t(2) });
    check(&batch(31, 2, 0), BatchError::PastEnd { tick: t(31), end });
    check(&batch(i64::MAX, 2, 0), BatchError::PastEnd { tick: t(i64::MAX), end });
    check(&batch(4, 31, 2), BatchError::PastEnd { tick: t(31), end });
    check(&batch(11, 3, 0), BatchError::BeyondCredit { bound: t(11), granted: t(10) });
    check(&batch(30, 30, 0), BatchError::BeyondCredit { bound: t(30), granted: t(10) });
}

#[test]
fn a_word_too_many_or_too_few_is_noticed() {
    // One too many is taken for the next header, one too few takes its word from there.
    for words in [1, 3] {
        let mut decoder = decoder();
        let bytes = [batch(4, 2, words + 3), batch(5, 2, 1)].concat();
        push(&mut decoder, &batch(3, 2, 4)).unwrap();
        assert!(matches!(push(&mut decoder, &bytes), Err(BatchError::Kind { .. })), "{words}");
    }
}

#[test]
fn the_stream_ends_when_the_run_does() {
    let mut decoder = decoder();
    assert_eq!(decoder.finish(), Err(BatchError::EndedEarly { before: Tick(0), end: Tick(30), bytes: 0 }));
    let bytes = batch(10, 5, 14);
    for cut in [1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 9] {
        let mut decoder = decoder.clone();
        push(&mut decoder, &bytes[..cut]).unwrap();
        let before = Tick(if cut < HEADER_BYTES { 0 } else { 10 });
        assert_eq!(decoder.finish(), Err(BatchError::EndedEarly { before, end: Tick(30), bytes: cut }));
    }
    push(&mut decoder, &bytes).unwrap();
    decoder.grant(Tick(30));
    push(&mut decoder, &batch(30, 30, 26)).unwrap();
    assert_eq!(push(&mut decoder, &[0]), Err(BatchError::AfterEnd));
}

/// Ticks in which nothing is sent may be announced beyond the credit.
#[test]
fn idle_ticks_need_no_room() {
    let wire = Wire { from: 0, to: 1, latency: 1, period: 30, offset: 3 };
    let (config, _) = shards(2, &[wire], 30, 10).remove(1);
    let mut decoder = BatchDecoder::new(config.neighbours[0].inbound.clone(), Tick(0), Tick(30), Ticks(10));
    assert_eq!(push(&mut decoder, &batch(30, 4, 1)).unwrap()[0].words, [0]);
}

proptest! {
    /// However the bytes are cut, the same batches come out.
    #[test]
    fn cuts_do_not_matter(cuts in proptest::collection::vec(0_usize..180, 0..12)) {
        let bytes = [batch(3, 2, 4), batch(5, 3, 3), batch(10, 8, 7)].concat();
        let whole = push(&mut decoder(), &bytes).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let (mut decoder, mut batches) = (decoder(), Vec::new());
        for pair in cuts.windows(2) {
            decoder.push(&bytes[pair[0]..pair[1]], &mut batches).unwrap();
        }
        prop_assert_eq!(batches, whole);
    }

    /// Any bytes, and any change to bytes that are right: no panic, and never more words than the credit allows.
    #[test]
    fn any_bytes_are_survived(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..180,
        change in any::<u8>(),
    ) {
        let mut bytes = [batch(3, 2, 4), batch(5, 3, 3), batch(10, 8, 7)].concat();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= change;
        for bytes in [noise, bytes] {
            let mut batches = Vec::new();
            let _ = decoder().push(&bytes, &mut batches);
            prop_assert!(batches.iter().map(|batch| batch.words.len()).sum::<usize>() <= 14);
        }
    }
}
