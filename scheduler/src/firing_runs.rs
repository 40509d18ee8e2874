//! Run-length encoding of compute calendars: firings at equal distances in slots, indices and memory become one entry.
//!
//! A channel's tokens lie in a circular buffer, so the words of successive firings are at equal distances in it, however
//! small it is. What is left to find are equal distances in time.

use calendars::{Circular, ComputeEntry, Operand, Repeat, Shared};
use sim_core::ActorId;

/// Joins single firings, whose operands all lie in circular buffers, to runs as long as equal distances allow.
/// `phases` are those of an actor; phases may differ in rates and durations, so each has runs of its own. O(n log n).
pub(crate) fn join(mut firings: Vec<ComputeEntry>, phases: impl Fn(ActorId) -> u64) -> Vec<ComputeEntry> {
    let phase = |firing: &ComputeEntry| u64::from(firing.index) % phases(firing.actor);
    firings.sort_by_cached_key(|firing| (firing.core, firing.actor, phase(firing), firing.index));
    let mut runs: Vec<ComputeEntry> = Vec::new();
    for firing in firings {
        match runs.last_mut().and_then(|last| Some((step(last, &firing)?, last))) {
            Some((step, last)) => extend(last, step),
            None => runs.push(firing),
        }
    }
    for run in &mut runs {
        run.inputs = plain(&run.inputs, run.repeat);
        run.outputs = plain(&run.outputs, run.repeat);
    }
    // A million nodes with one run each would pay for the room that a vector has at first.
    runs.shrink_to_fit();
    runs
}

/// Appends the words of one more token to operands of one firing: to the last one where they continue it.
pub(crate) fn append(operands: &mut Vec<Operand>, token: Operand) {
    if let (Some(last), Some(next)) = (operands.last_mut(), token.circular)
        && let Some(before) = last.circular
        && (last.address, before.size) == (token.address, next.size)
        && (before.start + last.words) % before.size == next.start
        && last.words + token.words <= next.size
    {
        last.words += token.words;
        return;
    }
    operands.push(token);
}

/// From one firing of a run to the next.
struct Step {
    slots: i64,
    indices: u32,
    /// Words, by operand.
    inputs: Vec<u32>,
    outputs: Vec<u32>,
}

/// The step that leads from the last firing of `run` to `firing`, if it is the one that the run has.
fn step(run: &ComputeEntry, firing: &ComputeEntry) -> Option<Step> {
    let alike = |e: &ComputeEntry| (e.core, e.actor, e.first, e.place, e.exec);
    if alike(run) != alike(firing) {
        return None;
    }
    let last = run.firing(run.repeat.firings - 1);
    // The next phase starts with a smaller index again.
    let (slots, indices) = (firing.slot - last.slot, firing.index.checked_sub(last.index)?);
    let goes_on = run.repeat.firings == 1 || (slots, indices) == (run.repeat.slots, run.repeat.indices);
    if slots <= 0 || !goes_on {
        return None;
    }
    let inputs = advances(&run.inputs, &firing.inputs, run.repeat.firings)?;
    let outputs = advances(&run.outputs, &firing.outputs, run.repeat.firings)?;
    Some(Step { slots, indices, inputs, outputs })
}

/// By how many words each operand of a run of `length` firings moves on to be the one of `next`, if it always does.
fn advances(run: &[Operand], next: &[Operand], length: u32) -> Option<Vec<u32>> {
    let advance = |(one, other): (&Operand, &Operand)| {
        let (here, there) = (one.circular?, other.circular?);
        let last = here.start_of(length - 1);
        let advance = (there.start + (here.size - last)) % here.size;
        let same = (one.address, one.words, here.size) == (other.address, other.words, there.size);
        (same && (length == 1 || advance == here.advance)).then_some(advance)
    };
    if run.len() != next.len() {
        return None;
    }
    run.iter().zip(next).map(advance).collect()
}

/// Makes `run` one firing longer.
fn extend(run: &mut ComputeEntry, step: Step) {
    if run.repeat.firings == 1 {
        run.repeat = Repeat { firings: 1, slots: step.slots, indices: step.indices };
        for (operands, advances) in [(&mut run.inputs, step.inputs), (&mut run.outputs, step.outputs)] {
            for (operand, advance) in operands.iter_mut().zip(advances) {
                operand.circular = operand.circular.map(|circular| Circular { advance, ..circular });
            }
        }
    }
    run.repeat.firings += 1;
}

/// The same operands, without circular buffers where all firings use the same words: one form for equal calendars.
fn plain(operands: &[Operand], repeat: Repeat) -> Shared<Vec<Operand>> {
    let mut plain: Vec<Operand> = Vec::new();
    for operand in operands {
        let moves = operand.circular.is_some_and(|circular| circular.advance > 0);
        if repeat.firings > 1 && moves {
            plain.push(*operand);
            continue;
        }
        for stretch in operand.stretches(0) {
            match plain.last_mut() {
                Some(last) if continues(last, stretch.address) => last.words += stretch.words,
                _ => plain.push(Operand::new(stretch.address, stretch.words)),
            }
        }
    }
    plain.into()
}

/// Whether the words at `address` follow those of `last`.
fn continues(last: &Operand, address: calendars::Rotation) -> bool {
    last.circular.is_none() && calendars::Rotation { base: last.address.base + last.words, ..last.address } == address
}
