//! Clock networks of machines: every node and link alike, but for offsets that are drawn.

use super::ClockFileError;
use super::decimal::Number;
use sim_core::clock::{
    ClockLink, ClockNode, Control, Decimal, Detector, Femtos, Frequency, Gain, Law, Oscillator, Phase, PumpKind, Switch,
};
use sim_core::random::{Keyed, Purpose, Seed};
use sim_core::{IdVec, LinkId, Machine, NodeId};
use std::num::NonZeroU64;

/// What all clocks and links of a network share. The defaults are the published ones: 1 GHz, 5 µs, a measurement every
/// 100 000 ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uniform {
    /// The frequency that all oscillators are near.
    pub frequency: Frequency,
    /// The largest offset of an oscillator, in parts of 10¹²; all up to it are equally likely.
    pub offset_most: i64,
    /// What offsets are drawn from.
    pub seed: Seed,
    /// Physical latency of links.
    pub latency: Femtos,
    /// Ticks between measurements.
    pub period: u64,
    /// Ticks from measuring to acting.
    pub delay: u64,
    /// Phase at the start.
    pub phase: Phase,
    /// Depth of elastic buffers; `None` is unlimited.
    pub depth: Option<u32>,
    /// Counter at the start.
    pub initial: i64,
    /// Counter that controllers aim at.
    pub set_point: i64,
}

impl Default for Uniform {
    fn default() -> Self {
        Self {
            frequency: Frequency::hertz(1_000_000_000),
            offset_most: 0,
            seed: Seed::DEFAULT,
            latency: Femtos::nanos(5_000),
            period: 100_000,
            delay: 1_000,
            phase: Phase(Phase::frames(1).0 / 10),
            depth: Some(32),
            initial: 0,
            set_point: 0,
        }
    }
}

impl Uniform {
    /// A node with the offset that is drawn for it.
    #[must_use]
    pub fn node(&self, id: NodeId) -> ClockNode {
        let most = self.offset_most.unsigned_abs();
        let bound = NonZeroU64::MIN.saturating_add(2 * most);
        let offset = Keyed::new(self.seed, Purpose::Offset, id.0).below(0, bound) as i64 - most as i64;
        self.node_at(self.frequency.shifted(offset))
    }

    /// A node of constant frequency.
    #[must_use]
    pub fn node_at(&self, frequency: Frequency) -> ClockNode {
        ClockNode {
            oscillator: Oscillator::constant(frequency),
            phase: self.phase,
            period: self.period,
            delay: self.delay,
            start: Femtos(0),
            warm: Frequency(0),
        }
    }

    /// A link.
    #[must_use]
    pub fn link(&self, source: NodeId, target: NodeId) -> ClockLink {
        let (initial, set_point, depth) = (self.initial, self.set_point, self.depth);
        ClockLink { initial, set_point, depth, ..ClockLink::new(source, target, self.latency) }
    }

    /// A law by its gains, relative to the frequency: a pump if there is a step (in parts of 10¹²), else with an
    /// integral part if there is a gain for it. `None` if a gain has too many digits.
    #[must_use]
    pub fn control(
        &self,
        kp: Option<Decimal>,
        ki: Option<Decimal>,
        step: Option<i64>,
        by_degree: bool,
    ) -> Option<Control> {
        let kp = Number(kp.unwrap_or_else(|| "2e-8".parse().expect("a decimal")));
        let law = match (step, ki) {
            (Some(step), _) => RelativeLaw::Pump { kp, step, additive: false, steps_most: None },
            (None, Some(ki)) => RelativeLaw::ProportionalIntegral { kp, ki: Number(ki) },
            (None, None) => RelativeLaw::Proportional { kp },
        };
        law.at(self.frequency, by_degree).ok()
    }

    /// The clocks of a machine.
    #[must_use]
    pub fn network(&self, machine: &Machine) -> (IdVec<NodeId, ClockNode>, IdVec<LinkId, ClockLink>) {
        let nodes = machine.nodes().ids().map(|id| self.node(id)).collect();
        let links = machine.links().values().map(|link| self.link(link.source, link.target)).collect();
        (nodes, links)
    }
}

/// A law whose gains are relative to the frequency that clocks are near: a published gain, which is for one frame per
/// nanosecond, means the same at any frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename = "Controller", deny_unknown_fields)]
pub(super) enum RelativeLaw {
    Free,
    Proportional {
        kp: Number,
    },
    ProportionalIntegral {
        kp: Number,
        ki: Number,
    },
    /// At a time, or each node by itself.
    Reframing {
        kp: Number,
        #[serde(default, deserialize_with = "super::quantity::in_time_maybe")]
        switch: Option<Femtos>,
        settled: Option<SettledText>,
    },
    Pump {
        kp: Number,
        #[serde(deserialize_with = "super::quantity::in_parts")]
        step: i64,
        #[serde(default)]
        additive: bool,
        steps_most: Option<u32>,
    },
    AutoReset {
        kp: Number,
        reset: Number,
        #[serde(default, deserialize_with = "super::quantity::in_parts_maybe")]
        most: Option<i64>,
    },
}

/// When a reframing node finds that its links are stable, and how long it then waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename = "Settled", deny_unknown_fields)]
pub(super) struct SettledText {
    margin: i64,
    #[serde(deserialize_with = "super::quantity::in_time")]
    stable_for: Femtos,
    #[serde(deserialize_with = "super::quantity::in_time")]
    wait: Femtos,
}

impl RelativeLaw {
    /// The law at a frequency.
    ///
    /// # Errors
    /// [`ClockFileError`] if a gain has too many digits, or it is not said when to reframe.
    pub(super) fn at(self, frequency: Frequency, by_degree: bool) -> Result<Control, ClockFileError> {
        let switch = match self {
            Self::Reframing { switch: Some(at), settled: None, .. } => Some(Switch::At(at)),
            Self::Reframing { switch: None, settled: Some(SettledText { margin, stable_for, wait }), .. } => {
                Some(Switch::Settled { detector: Detector { margin, stable_for }, wait })
            }
            Self::Reframing { .. } => {
                let message =
                    "reframing is at a time, `switch`, or where links are stable, `settled`: give one of both";
                return Err(ClockFileError::Fields { message });
            }
            _ => None,
        };
        self.law(frequency, switch).map(|law| Control { law, by_degree }).ok_or(ClockFileError::Number {
            what: "controller",
            found: "a gain".to_owned(),
            allowed: "gains of fewer digits",
        })
    }

    /// The law without further checks; `None` if a gain has too many digits.
    fn law(self, frequency: Frequency, switch: Option<Switch>) -> Option<Law> {
        const GIGAHERTZ: i64 = 1_000_000_000_000_000;
        let scaled = |gain: Number| Gain::per_nanosecond(gain.0)?.times(frequency.0, GIGAHERTZ);
        let parts = |parts: i64| Gain::relative(Decimal::whole(parts))?.times(1, 1_000_000_000_000);
        Some(match self {
            Self::Free => Law::Free,
            Self::Proportional { kp } => Law::Proportional { kp: scaled(kp)? },
            // The integral counts frames · ticks, and a tick is shorter where the frequency is higher: that cancels.
            Self::ProportionalIntegral { kp, ki } => {
                Law::ProportionalIntegral { kp: scaled(kp)?, ki: Gain::per_nanosecond(ki.0)? }
            }
            Self::Reframing { kp, .. } => Law::Reframing { kp: scaled(kp)?, switch: switch? },
            Self::Pump { kp, step, additive: false, steps_most } => {
                Law::Pump { kind: PumpKind::Relative, kp: Gain::relative(kp.0)?, step: parts(step)?, steps_most }
            }
            Self::Pump { kp, step, additive: true, steps_most } => {
                let step = parts(step)?.times(frequency.0, 1)?;
                Law::Pump { kind: PumpKind::Additive, kp: scaled(kp)?, step, steps_most }
            }
            Self::AutoReset { kp, reset, most } => Law::AutoReset {
                reset: Gain::relative(reset.0)?,
                kp: scaled(kp)?,
                most: most.map(|most| Frequency(frequency.shifted(most).0 - frequency.0)),
            },
        })
    }
}
