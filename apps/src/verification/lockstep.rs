//! Two executions side by side, piece by piece, up to the first difference.

use super::difference::first_difference;
use super::expected::Expected;
use super::{Location, Subject};
use sim_core::Tick;
use sim_core::digest::epoch_ticks;
use sim_core::engine::{Engine, EngineError, Event};
use sim_core::program::Program;

/// Events of a piece, about, as long as a metacycle has no more.
const EVENTS: u64 = 1 << 18;

/// Where two traced runs differ.
pub(super) fn runs(subject: &Subject<'_>, first: Engine<'_>, second: Engine<'_>) -> Result<Location, EngineError> {
    let pieces = metacycles(subject.program);
    let (mut first, mut second) = (Traced::new(subject, first), Traced::new(subject, second));
    let mut epoch = None;
    loop {
        let bound = first.advance(pieces)?;
        assert_eq!(bound, second.advance(pieces)?, "runs of one program are equally long");
        if let Some(difference) = first_difference(&first.before(bound), &second.before(bound)) {
            return Ok(Location::Event(difference));
        }
        if epoch.is_none() && first.engine.digest() != second.engine.digest() {
            epoch = Some(first.epoch_end());
        }
        if first.done {
            return Ok(epoch.map_or(Location::Nowhere, Location::Epoch));
        }
    }
}

/// Where the firings of a traced run differ from what the reference expects of them.
pub(super) fn reference(
    subject: &Subject<'_>,
    engine: Engine<'_>,
    expected: &Expected<'_>,
) -> Result<Location, EngineError> {
    let pieces = metacycles(subject.program);
    let mut run = Traced::new(subject, engine);
    loop {
        let bound = run.advance(pieces)?;
        let fired: Vec<(Event, Event)> =
            run.before(bound).into_iter().filter_map(|event| expected.of(&event).map(|other| (event, other))).collect();
        let (found, expected): (Vec<Event>, Vec<Event>) = fired.into_iter().unzip();
        if let Some(difference) = first_difference(&found, &expected) {
            return Ok(Location::Event(difference));
        }
        if run.done {
            return Ok(Location::Nowhere);
        }
    }
}

/// Metacycles of a piece: at most those of an epoch, so that digests are compared at the end of each.
fn metacycles(program: &Program) -> u64 {
    let epoch = (epoch_ticks(program.metacycle()) / program.metacycle()).unsigned_abs();
    let events = (program.firings() + program.frames()) as u64;
    let fitting = (EVENTS / events.max(1)).clamp(1, epoch);
    // Pieces meet the ends of epochs.
    (1..=fitting).rev().find(|pieces| epoch.is_multiple_of(*pieces)).expect("1 divides everything")
}

/// A traced run and the events that were not compared yet.
struct Traced<'a> {
    engine: Engine<'a>,
    events: Vec<Event>,
    metacycle: i64,
    /// Metacycles executed.
    executed: u64,
    done: bool,
}

impl<'a> Traced<'a> {
    fn new(subject: &Subject<'_>, engine: Engine<'a>) -> Self {
        Self { engine, events: Vec::new(), metacycle: subject.program.metacycle(), executed: 0, done: false }
    }

    /// Executes a piece and returns the tick before which all events are known. Frames may be known beyond it, and how
    /// far depends on the mode.
    fn advance(&mut self, metacycles: u64) -> Result<Tick, EngineError> {
        self.done = self.engine.advance(metacycles)?.done;
        self.executed += metacycles;
        self.events.extend(self.engine.trace());
        let bound = self.metacycle.saturating_mul(self.executed.min(i64::MAX as u64) as i64);
        Ok(if self.done { Tick(i64::MAX) } else { Tick(bound) })
    }

    /// Takes the events before `bound`.
    fn before(&mut self, bound: Tick) -> Vec<Event> {
        self.events.sort_unstable();
        let later = self.events.split_off(self.events.partition_point(|event| event.tick < bound));
        std::mem::replace(&mut self.events, later)
    }

    /// The end of the last epoch that is closed.
    fn epoch_end(&self) -> Tick {
        let progress = self.engine.progress();
        if self.done {
            return progress.end;
        }
        let executed = self.metacycle.saturating_mul(self.executed as i64);
        Tick(executed - executed % epoch_ticks(self.metacycle))
    }
}
