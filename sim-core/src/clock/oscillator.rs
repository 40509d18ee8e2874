//! Oscillators: the frequency of a clock before any correction, as a function of physical time.
//!
//! A frequency is the sum of a constant, a drift, a piecewise linear profile (which temperatures become), and a random
//! walk in steps. Between its *knots* it is linear, so that phases are exact quadratics there. Draws are keyed by
//! (seed, node, number of the step): nobody else's draws depend on them.

use super::units::{Femtos, Frequency, GRAINS, round_half_even};
use crate::ids::NodeId;
use crate::random::{Keyed, Purpose, Seed};
use std::num::NonZeroU64;

/// Slopes count 2⁻⁵⁰ microhertz per attosecond: about 900 µHz per second, 2 000 ppm per second of 1 GHz at most.
pub(super) const SLOPE_BITS: u32 = 50;

/// A random walk of the frequency: wander.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wander {
    /// Time between steps.
    pub interval: Femtos,
    /// The largest step either way; all steps up to it are equally likely.
    pub step: Frequency,
    /// What the draws derive from.
    pub seed: Seed,
}

/// White phase noise: measurements are taken at edges that are displaced at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    /// The largest displacement, always late; all up to it are equally likely.
    pub most: Femtos,
    /// What the draws derive from.
    pub seed: Seed,
}

/// The uncorrected frequency of a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oscillator {
    base: Frequency,
    /// Change per second.
    drift: Frequency,
    /// Deviations from the base at points of time, linear in between, held before the first and after the last.
    profile: Vec<(Femtos, Frequency)>,
    wander: Option<Wander>,
    jitter: Option<Jitter>,
}

impl Oscillator {
    /// The same frequency for all time.
    #[must_use]
    pub const fn constant(frequency: Frequency) -> Self {
        Self { base: frequency, drift: Frequency(0), profile: Vec::new(), wander: None, jitter: None }
    }

    /// Lets the frequency change by `per_second` every second from time 0 on.
    #[must_use]
    pub fn drifting(self, per_second: Frequency) -> Self {
        Self { drift: per_second, ..self }
    }

    /// Adds deviations from the constant at ascending points of time, linear in between and held outside.
    #[must_use]
    pub fn with_profile(self, profile: Vec<(Femtos, Frequency)>) -> Self {
        Self { profile, ..self }
    }

    /// Adds the deviations of a crystal of the given temperatures: at each point of time a temperature in millikelvin
    /// above the turnover point, where the frequency is lowest by parabola `ppb_per_square_kelvin` (negative for a
    /// maximum). The parabola is followed in 16 straight pieces between two points.
    ///
    /// Source: the square law of tuning-fork and AT-cut crystals near their turnover temperature.
    #[must_use]
    pub fn with_temperatures(self, points: &[(Femtos, i64)], ppb_per_square_kelvin: i64) -> Self {
        const PIECES: i128 = 16;
        let deviation = |millikelvin: i128| {
            let ppb_micro = i128::from(ppb_per_square_kelvin) * millikelvin * millikelvin; // 10⁻⁶ ppb
            Frequency(round_half_even(i128::from(self.base.0) * ppb_micro, 1_000_000_000_000_000) as i64)
        };
        let mut profile = Vec::new();
        for pair in points.windows(2) {
            let ((t0, a), (t1, b)) = (pair[0], pair[1]);
            for piece in 0..PIECES {
                let at = Femtos(t0.0 + (t1.0 - t0.0) * piece / PIECES);
                profile.push((at, deviation(i128::from(a) + i128::from(b - a) * piece / PIECES)));
            }
        }
        profile.extend(points.last().map(|&(at, temperature)| (at, deviation(temperature.into()))));
        Self { profile, ..self }
    }

    /// Adds a random walk.
    #[must_use]
    pub fn wandering(self, wander: Wander) -> Self {
        Self { wander: Some(wander), ..self }
    }

    /// Displaces measurements at random.
    #[must_use]
    pub fn jittering(self, jitter: Jitter) -> Self {
        Self { jitter: Some(jitter), ..self }
    }

    /// The constant part.
    #[must_use]
    pub fn base(&self) -> Frequency {
        self.base
    }

    /// Whether the frequency never changes and edges are not displaced.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.drift.0 == 0 && self.profile.is_empty() && self.wander.is_none() && self.jitter.is_none()
    }

    /// The lowest and the highest frequency by constant and profile. Drift and wander may go beyond.
    pub(super) fn extremes(&self) -> (Frequency, Frequency) {
        let deviations = || self.profile.iter().map(|&(_, deviation)| deviation.0);
        let (low, high) = (deviations().min().unwrap_or(0), deviations().max().unwrap_or(0));
        (Frequency(self.base.0.saturating_add(low)), Frequency(self.base.0.saturating_add(high)))
    }

    /// The shortest time between two knots, in attoseconds.
    pub(super) fn shortest_piece(&self) -> Option<i128> {
        let pieces = self.profile.windows(2).map(|pair| (pair[1].0 - pair[0].0).grains());
        pieces.chain(self.wander.map(|wander| wander.interval.grains())).min()
    }

    /// What makes this no oscillator.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.profile.windows(2).any(|pair| pair[1].0 <= pair[0].0) {
            return Err("has a profile whose points of time do not ascend");
        }
        if self.profile.first().is_some_and(|&(at, _)| at.0 < 0) {
            return Err("has a profile that begins before time 0");
        }
        let steep = self.profile.windows(2).any(|pair| {
            let ((t0, a), (t1, b)) = (pair[0], pair[1]);
            slope(i128::from(b.0) - i128::from(a.0) + i128::from(self.drift.0), t1.0 - t0.0).abs()
                > i128::from(i32::MAX) / 2
        });
        if steep || slope(self.drift.0.into(), Femtos::PER_SECOND).abs() > i128::from(i32::MAX) / 2 {
            return Err("changes faster than 1 000 Hz per millisecond");
        }
        match (self.wander, self.jitter) {
            (Some(wander), _) if wander.interval.0 <= 0 || wander.step.0 <= 0 => {
                Err("has a wander whose interval and step are not positive")
            }
            (_, Some(jitter)) if jitter.most.0 < 0 || jitter.most.0 > super::network::limits::LATENCY => {
                Err("has a phase noise that is negative or longer than 0.25 s")
            }
            _ => Ok(()),
        }
    }

    /// How late measurement `number` of `node` is, in attoseconds.
    pub(super) fn lateness(&self, node: NodeId, number: u64) -> i64 {
        let Some(jitter) = self.jitter else { return 0 };
        let bound = NonZeroU64::MIN.saturating_add(jitter.most.0 as u64);
        Keyed::new(jitter.seed, Purpose::PhaseNoise, node.0).below(number, bound) as i64 * GRAINS as i64
    }
}

/// A change per femtoseconds as a slope, half to even.
fn slope(change: i128, time: i128) -> i128 {
    round_half_even(change << SLOPE_BITS, time * GRAINS)
}

/// What an oscillator does from one point of time to its next knot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Frequency at the beginning.
    pub(super) frequency: i64,
    /// Change per attosecond, in units of 2⁻⁵⁰ microhertz.
    pub(super) slope: i32,
    /// When it ends, if it does.
    pub(super) end: Option<Femtos>,
}

/// Where an oscillator is. Time only moves on.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    /// Steps of the random walk that were taken, and their sum.
    steps: u64,
    walked: i64,
    /// Sum of frequency steps that came from outside, by faults.
    pub(super) stepped: i64,
}

impl Cursor {
    /// The piece that begins at `at` attoseconds, which is not before any earlier one.
    pub(super) fn piece(&mut self, oscillator: &Oscillator, node: NodeId, at: i128) -> Piece {
        let mut frequency = i128::from(oscillator.base.0) + i128::from(self.stepped);
        let mut rate = slope(oscillator.drift.0.into(), Femtos::PER_SECOND);
        frequency += round_half_even(i128::from(oscillator.drift.0) * at, Femtos::PER_SECOND * GRAINS);
        let mut end = None;
        let profile = &oscillator.profile;
        let next = profile.partition_point(|&(knot, _)| knot.grains() <= at);
        if let Some(&(knot, deviation)) = profile.get(next) {
            end = Some(knot);
            frequency += match next.checked_sub(1).map(|before| profile[before]) {
                None => i128::from(deviation.0),
                Some((since, from)) => {
                    let (change, time) = (i128::from(deviation.0) - i128::from(from.0), knot.0 - since.0);
                    rate += slope(change, time);
                    i128::from(from.0) + round_half_even(change * (at - since.grains()), time * GRAINS)
                }
            };
        } else if let Some(&(_, deviation)) = profile.last() {
            frequency += i128::from(deviation.0);
        }
        if let Some(wander) = oscillator.wander {
            let keyed = Keyed::new(wander.seed, Purpose::Wander, node.0);
            let due = (at / wander.interval.grains()) as u64;
            while self.steps < due {
                self.steps += 1;
                let bound = NonZeroU64::MIN.saturating_add(2 * wander.step.0 as u64);
                self.walked += keyed.below(self.steps, bound) as i64 - wander.step.0;
            }
            let step = Femtos((i128::from(due) + 1) * wander.interval.0);
            end = Some(end.map_or(step, |end| end.min(step)));
            frequency += i128::from(self.walked);
        }
        let frequency =
            frequency.clamp(super::network::limits::FREQUENCY.0.into(), super::network::limits::FREQUENCY.1.into());
        Piece { frequency: frequency as i64, slope: rate as i32, end }
    }
}
