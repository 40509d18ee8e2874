//! Controllers: from readings of elastic buffers to a correction of the frequency.
//!
//! The laws of the bittide papers and of their hardware, and a trait for laws of one's own. Arithmetic is exact: gains are
//! fractions, and a correction is rounded once, half to even, when it becomes a frequency.
//! Sources: Callisto.jl (proportional-integral, automatic reset, pulses); bittide-hardware (FINC/FDEC pump); Kenwright et
//! al., "Reframing frequency control", 2023 (arXiv 2303.11467).

use super::engine::Detector;
use super::units::{Decimal, Femtos, Frequency, gcd, round_half_even};
use crate::ids::NodeId;

/// What a controller is shown at one measurement.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The node that measures.
    pub node: NodeId,
    /// When it measures, in attoseconds.
    pub(super) grains: i128,
    /// Local ticks between measurements.
    pub period: u64,
    /// The node's uncorrected frequency when the correction begins to act.
    pub uncorrected: Frequency,
    /// Counter minus set point of every incoming link that is up, in ascending order of links, times `per_frame`.
    pub readings: &'a [i64],
    /// The sum of all readings.
    pub sum: i64,
    /// What one frame per tick counts: 1, unless links have gears; then their least common multiple.
    pub per_frame: i64,
    /// When all links that are up were first found stable, in attoseconds.
    pub(super) settled_at: Option<i128>,
}

impl Measured<'_> {
    /// When the law's detector first found all links that are up stable, since the node started; `None` if it has not,
    /// and without one.
    #[must_use]
    pub fn settled_at(&self) -> Option<Femtos> {
        self.settled_at.map(Femtos::of_grains)
    }

    /// When the node measures.
    #[must_use]
    pub fn at(&self) -> Femtos {
        Femtos::of_grains(self.grains)
    }
}

/// A control law. One value serves all nodes; what a node remembers is its state.
pub trait Controller: Sync {
    /// What a node remembers from one measurement to the next.
    type State: Clone + std::fmt::Debug + Send + Sync;

    /// The state of a node that starts, with a correction of `warm`.
    fn start(&self, node: NodeId, warm: Frequency) -> Self::State;

    /// The correction that acts after the delay, until the next one does.
    fn correct(&self, measured: &Measured<'_>, state: &mut Self::State) -> Frequency;

    /// By which measure this law wants to be told when links have become stable. Asked once.
    fn detector(&self) -> Option<Detector> {
        None
    }
}

/// A gain or a step as an exact fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    numerator: i64,
    denominator: i64,
}

impl Gain {
    /// Nothing.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };

    /// A gain in frames per nanosecond for every frame (as in `2e-8`); `None` if it does not fit.
    #[must_use]
    pub fn per_nanosecond(gain: Decimal) -> Option<Self> {
        Self::new(gain, 15)
    }

    /// A gain without a unit, relative to the frequency; `None` if it does not fit.
    #[must_use]
    pub fn relative(gain: Decimal) -> Option<Self> {
        Self::new(gain, 0)
    }

    fn new(gain: Decimal, power: i32) -> Option<Self> {
        let (numerator, denominator) = gain.fraction(power)?;
        Some(Self { numerator, denominator })
    }

    /// This gain times a fraction of positive parts; `None` if it does not fit.
    #[must_use]
    pub fn times(self, numerator: i64, denominator: i64) -> Option<Self> {
        let top = i128::from(self.numerator) * i128::from(numerator);
        let bottom = i128::from(self.denominator) * i128::from(denominator);
        let common = gcd(top.unsigned_abs(), bottom.unsigned_abs()).max(1) as i128;
        Some(Self { numerator: (top / common).try_into().ok()?, denominator: (bottom / common).try_into().ok()? })
    }

    /// For estimates and output.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    fn is_negative(self) -> bool {
        self.numerator < 0
    }
}

/// How a pump's steps change the frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpKind {
    /// ω = ω_u + s·z, with s in frames per nanosecond: as in published simulations.
    Additive,
    /// ω = ω_u·(1 + s·z), with s and the gain without a unit: as clock chips do it.
    Relative,
}

/// The built-in control laws. r is the sum of readings in frames, c the correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// No correction.
    Free,
    /// c = k_P·r
    Proportional {
        /// k_P, per frame.
        kp: Gain,
    },
    /// ξ ← ξ + p·r; c = k_P·r + k_I·ξ
    ProportionalIntegral {
        /// k_P, per frame.
        kp: Gain,
        /// k_I, per frame and tick: the published gain over the base frequency.
        ki: Gain,
    },
    /// c = k_P·r + c_hold, where c_hold is 0 and becomes a correction that is captured: buffers return to their set
    /// points, and frequencies to what they were.
    Reframing {
        /// k_P, per frame.
        kp: Gain,
        /// When the correction is captured.
        switch: Switch,
    },
    /// z ← z + sign(k·r − s·z), bounded: an actuator that knows up, down, and stay, once per measurement.
    Pump {
        /// Which frequency z steps make.
        kind: PumpKind,
        /// k, per frame.
        kp: Gain,
        /// s, per step.
        step: Gain,
        /// The most steps either way.
        steps_most: Option<u32>,
    },
    /// y = x + b·r, bounded; x ← x + a·(y − x); c = y. The integral action of a bounded actuator, which cannot wind up.
    AutoReset {
        /// a, the share of the correction that is taken over.
        reset: Gain,
        /// b, per frame.
        kp: Gain,
        /// The largest correction either way.
        most: Option<Frequency>,
    },
}

/// When a reframing node captures its correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// At its first measurement from a common point of time on, which is also when it is held: as in publications.
    At(Femtos),
    /// Each node by itself, as the hardware does it: captured once all its links have been stable, held later.
    Settled {
        /// When links count as stable.
        detector: Detector,
        /// Time from capturing the correction to holding it, in which other nodes may capture theirs.
        wait: Femtos,
    },
}

/// A built-in law with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// The law.
    pub law: Law,
    /// Whether r is the mean of readings instead of their sum, so that gains need not fall with the degree.
    pub by_degree: bool,
}

/// Why a law's numbers make no law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A gain below zero drives clocks apart.
    #[error("the gain {gain} is negative: clocks would be driven apart")]
    NegativeGain {
        /// The gain's name.
        gain: &'static str,
    },
    /// A step that does nothing.
    #[error("the step of a pump must be positive")]
    NoStep,
    /// A detector that no counter can satisfy, or a time before now.
    #[error("{what} is {found}, it must not be negative")]
    NegativeSwitch {
        /// "the margin of a detector", …
        what: &'static str,
        /// What was given.
        found: i128,
    },
}

impl From<Law> for Control {
    fn from(law: Law) -> Self {
        Self { law, by_degree: false }
    }
}

impl Control {
    /// Checks gains and steps.
    ///
    /// # Errors
    /// [`ControlError`], the first that is found.
    pub fn check(&self) -> Result<(), ControlError> {
        let gains: &[(&str, Gain)] = match &self.law {
            Law::Free => &[],
            Law::Proportional { kp } => &[("kp", *kp)],
            Law::Reframing { kp, switch } => {
                switch.check()?;
                &[("kp", *kp)]
            }
            Law::ProportionalIntegral { kp, ki } => &[("kp", *kp), ("ki", *ki)],
            Law::Pump { kp, step, .. } => {
                if step.numerator <= 0 {
                    return Err(ControlError::NoStep);
                }
                &[("kp", *kp)]
            }
            Law::AutoReset { reset, kp, .. } => &[("reset", *reset), ("kp", *kp)],
        };
        match gains.iter().find(|(_, gain)| gain.is_negative()) {
            Some(&(gain, _)) => Err(ControlError::NegativeGain { gain }),
            None => Ok(()),
        }
    }

    /// The proportional gain at a nominal frequency, in frames per nanosecond for every frame.
    #[must_use]
    pub fn proportional_gain(&self, nominal: Frequency) -> f64 {
        match self.law {
            Law::Free => 0.0,
            Law::Pump { kind: PumpKind::Relative, kp, .. } => kp.as_f64() * nominal.per_nanosecond(),
            Law::Proportional { kp }
            | Law::ProportionalIntegral { kp, .. }
            | Law::Reframing { kp, .. }
            | Law::Pump { kp, .. }
            | Law::AutoReset { kp, .. } => kp.as_f64() / 1e15,
        }
    }
}

impl Switch {
    fn check(&self) -> Result<(), ControlError> {
        let parts = match *self {
            Self::At(at) => vec![("the time of reframing", at.0)],
            Self::Settled { detector: Detector { margin, stable_for }, wait } => vec![
                ("the margin of a detector", margin.into()),
                ("the time of a detector", stable_for.0),
                ("the wait of reframing", wait.0),
            ],
        };
        match parts.into_iter().find(|&(_, found)| found < 0) {
            Some((what, found)) => Err(ControlError::NegativeSwitch { what, found }),
            None => Ok(()),
        }
    }
}

/// What a node of a built-in law remembers; what the words mean, the law says.
///
/// Integral: ξ in frames · ticks. Reframing: a correction that was captured, and whether it is held. Pump: z. Automatic
/// reset: x in 10⁻⁶ µHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    memory: i64,
}

/// What a reframing node remembers, as one word: the least number for nothing, else the correction and a bit for *held*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capture {
    Nothing,
    Captured(i64),
    Held(i64),
}

impl Capture {
    const NOTHING: i64 = i64::MIN;

    fn of(memory: i64) -> Self {
        match memory {
            Self::NOTHING => Self::Nothing,
            captured if captured & 1 == 0 => Self::Captured(captured >> 1),
            held => Self::Held(held >> 1),
        }
    }

    fn memory(self) -> i64 {
        // No clock can be corrected by more than a quarter of what 64 bits hold.
        let word = |correction: i64| correction.clamp(i64::MIN / 4, i64::MAX / 4) << 1;
        match self {
            Self::Nothing => Self::NOTHING,
            Self::Captured(correction) => word(correction),
            Self::Held(correction) => word(correction) | 1,
        }
    }

    /// What comes next, when `correction` would be captured.
    fn next(self, measured: &Measured<'_>, switch: Switch, correction: i64) -> Self {
        match (self, switch) {
            (Self::Nothing, Switch::At(at)) if measured.at() >= at => Self::Held(correction),
            (Self::Nothing, Switch::Settled { .. }) if measured.settled_at().is_some() => Self::Captured(correction),
            (Self::Captured(captured), Switch::Settled { wait, .. })
                if measured.settled_at().is_some_and(|settled| measured.at() >= settled + wait) =>
            {
                Self::Held(captured)
            }
            (same, _) => same,
        }
    }
}

/// Parts of a microhertz that the automatic reset remembers.
const FINE: i128 = 1_000_000;

impl Controller for Control {
    type State = ControlState;

    fn start(&self, _: NodeId, warm: Frequency) -> ControlState {
        let memory = match self.law {
            Law::AutoReset { .. } => warm.0.saturating_mul(FINE as i64),
            Law::Reframing { .. } => Capture::NOTHING,
            _ => 0,
        };
        ControlState { memory }
    }

    #[inline]
    fn correct(&self, measured: &Measured<'_>, state: &mut ControlState) -> Frequency {
        let degree = if self.by_degree { measured.readings.len().max(1) as i64 } else { 1 };
        let (sum, parts) = (measured.sum, i128::from(measured.per_frame * degree));
        Frequency(match self.law {
            Law::Free => 0,
            Law::Proportional { kp } => limited(proportional(kp, sum, parts)),
            Law::ProportionalIntegral { kp, ki } => {
                state.memory = state.memory.saturating_add(sum.saturating_mul(measured.period as i64));
                integral(kp, sum, ki, state.memory, parts)
            }
            Law::Reframing { kp, switch } => {
                let correction = proportional(kp, sum, parts);
                let before = Capture::of(state.memory);
                state.memory = before.next(measured, switch, correction as i64).memory();
                match before {
                    Capture::Held(held) => limited(correction + i128::from(held)),
                    Capture::Nothing | Capture::Captured(_) => limited(correction),
                }
            }
            Law::Pump { kind, kp, step, steps_most } => {
                let most = steps_most.map_or(i64::MAX, i64::from);
                // sign(k·r − s·z), over common denominators.
                let wanted = i128::from(kp.numerator) * i128::from(sum) * i128::from(step.denominator);
                let there = i128::from(step.numerator) * i128::from(state.memory) * i128::from(kp.denominator) * parts;
                state.memory = (state.memory + (wanted - there).signum() as i64).clamp(-most, most);
                let steps = i128::from(step.numerator) * i128::from(state.memory);
                let steps = match kind {
                    PumpKind::Additive => steps,
                    PumpKind::Relative => steps * i128::from(measured.uncorrected.0),
                };
                limited(round_half_even(steps, step.denominator.into()))
            }
            Law::AutoReset { reset, kp, most } => {
                let most = most.map_or(i128::from(i64::MAX), |most| i128::from(most.0) * FINE);
                let driven = round_half_even(
                    i128::from(kp.numerator) * i128::from(sum) * FINE,
                    i128::from(kp.denominator) * parts,
                );
                let output = (i128::from(state.memory) + driven).clamp(-most, most);
                let taken = (output - i128::from(state.memory)) * i128::from(reset.numerator);
                state.memory += round_half_even(taken, reset.denominator.into()) as i64;
                limited(round_half_even(output, FINE))
            }
        })
    }

    fn detector(&self) -> Option<Detector> {
        match self.law {
            Law::Reframing { switch: Switch::Settled { detector, .. }, .. } => Some(detector),
            _ => None,
        }
    }
}

#[inline]
fn proportional(kp: Gain, sum: i64, parts: i128) -> i128 {
    let product = i128::from(kp.numerator) * i128::from(sum);
    if kp.denominator == 1 && parts == 1 {
        return product;
    }
    round_half_even(product, i128::from(kp.denominator) * parts)
}

/// k_P·r + k_I·ξ over a common denominator, rounded once.
#[inline]
fn integral(kp: Gain, sum: i64, ki: Gain, integral: i64, parts: i128) -> i64 {
    if kp.denominator == 1 && ki.denominator == 1 && parts == 1 {
        let parts = kp.numerator.checked_mul(sum).zip(ki.numerator.checked_mul(integral));
        return match parts.and_then(|(direct, integral)| direct.checked_add(integral)) {
            Some(short) => short,
            None => {
                limited(i128::from(kp.numerator) * i128::from(sum) + i128::from(ki.numerator) * i128::from(integral))
            }
        };
    }
    let (p, i) = (i128::from(kp.denominator), i128::from(ki.denominator));
    let top = i128::from(kp.numerator) * i128::from(sum) * i + i128::from(ki.numerator) * i128::from(integral) * p;
    limited(round_half_even(top, p * i * parts))
}

/// As much of a correction as 64 bits hold.
#[inline]
fn limited(correction: i128) -> i64 {
    correction.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}
