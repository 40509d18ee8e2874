//! The JSON form of published cases: nanoseconds, and frames per nanosecond.

use super::decimal::Number;
use super::{ClockFileError, ClockSpec};
use crate::formats::byte_offset;
use serde::Deserialize;
use sim_core::NodeId;
use sim_core::clock::{
    ClockLink, ClockNetwork, ClockNode, Control, Decimal, Femtos, Frequency, Gain, Law, Oscillator, Phase, PumpKind,
    Switch,
};

/// A case with its name, or the specification alone. What a case expects is not read.
#[derive(Deserialize)]
struct Case {
    spec: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecText {
    #[serde(default)]
    name: Option<String>,
    freq_u: Vec<FrequencyText>,
    edges: Vec<EdgeText>,
    controller: ControllerText,
    latency: Option<Number>,
    poll_period: Option<Number>,
    control_delay: Option<Number>,
    base_freq: Option<Number>,
    theta0: Option<Number>,
    beta0: Option<i64>,
    offset: Option<i64>,
    depth: Option<i64>,
    tmax: Number,
    #[serde(default)]
    sample_times: Vec<Number>,
}

/// One number, or (time, frequency) pairs of a piecewise linear profile.
#[derive(Deserialize)]
#[serde(untagged)]
enum FrequencyText {
    Constant(Number),
    Profile(Vec<(Number, Number)>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeText {
    src: u32,
    dst: u32,
    latency: Option<Number>,
    gear: Option<i64>,
    beta0: Option<i64>,
    offset: Option<i64>,
    depth: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ControllerText {
    #[serde(rename = "type")]
    kind: String,
    kp: Option<Number>,
    ki: Option<Number>,
    freq_step: Option<Number>,
    z_max: Option<u32>,
    t_switch: Option<Number>,
}

/// Reads a clock specification in its JSON form, alone or below `spec`.
///
/// Times are in nanoseconds, frequencies in frames per nanosecond. What is left out has the published default: a latency
/// of 5 000 ns, a period of 100 000 ticks, a delay of 1 000, a phase of 0.1, buffers of 50 frames.
///
/// # Errors
/// [`ClockFileError`], the first that is found.
pub fn read_clocks_json(text: &str) -> Result<ClockSpec, ClockFileError> {
    let text = text.trim_start_matches('\u{feff}');
    let syntax = |error: serde_json::Error| {
        let at = byte_offset(text, error.line().max(1), error.column().max(1));
        ClockFileError::Json { message: error.to_string(), span: at..at }
    };
    let case: Case = serde_json::from_str(text).map_err(syntax)?;
    let spec: SpecText = match case.spec {
        Some(spec) => serde_json::from_value(spec).map_err(syntax)?,
        None => serde_json::from_str(text).map_err(syntax)?,
    };
    let links = spec.edges.iter().map(|edge| link(&spec, edge)).collect::<Result<Vec<_>, _>>()?;
    let nodes = spec.freq_u.iter().map(|frequency| node(&spec, frequency)).collect::<Result<Vec<_>, _>>()?;
    let control = control(&spec)?;
    control.check()?;
    let samples = spec.sample_times.iter().map(|&at| nanos("sample_times", at)).collect::<Result<_, _>>()?;
    Ok(ClockSpec {
        name: spec.name.clone().unwrap_or_else(|| "clocks".to_owned()),
        nodes: (0..nodes.len()).map(|node| format!("n{node}")).collect(),
        network: ClockNetwork::new(nodes, links)?,
        control,
        until: nanos("tmax", spec.tmax)?,
        samples,
        drain: false,
        faults: Vec::new(),
        machine: None,
    })
}

fn node(spec: &SpecText, frequency: &FrequencyText) -> Result<ClockNode, ClockFileError> {
    let oscillator = match frequency {
        FrequencyText::Constant(number) => Oscillator::constant(giga("freq_u", *number)?),
        FrequencyText::Profile(points) => {
            let Some(&(_, first)) = points.first() else {
                return Err(ClockFileError::Fields { message: "a profile in `freq_u` has no points" });
            };
            let base = giga("freq_u", first)?;
            let point = |&(at, frequency): &(Number, Number)| {
                Ok((nanos("freq_u", at)?, Frequency(giga("freq_u", frequency)?.0 - base.0)))
            };
            let profile: Result<_, ClockFileError> = points.iter().map(point).collect();
            Oscillator::constant(base).with_profile(profile?)
        }
    };
    let whole = |what, number: Option<Number>, default| match number {
        None => Ok(default),
        Some(Number(number)) => whole(what, number),
    };
    Ok(ClockNode {
        oscillator,
        phase: Phase(match spec.theta0 {
            None => Phase::frames(1).0 / 10,
            Some(Number(number)) => scaled("theta0", number, 24)?,
        }),
        period: whole("poll_period", spec.poll_period, 100_000)?,
        delay: whole("control_delay", spec.control_delay, 1_000)?,
        start: Femtos(0),
        warm: Frequency(0),
    })
}

fn link(spec: &SpecText, edge: &EdgeText) -> Result<ClockLink, ClockFileError> {
    let latency = match edge.latency.or(spec.latency) {
        Some(latency) => nanos("latency", latency)?,
        None => Femtos::nanos(5_000),
    };
    let narrow = |what, number: i64| {
        u32::try_from(number).map_err(|_| ClockFileError::Number {
            what,
            found: number.to_string(),
            allowed: "a whole number from 1 on",
        })
    };
    let initial = edge.beta0.or(spec.beta0).unwrap_or(50);
    Ok(ClockLink {
        gear: narrow("gear", edge.gear.unwrap_or(1))?,
        initial,
        set_point: edge.offset.or(spec.offset).unwrap_or(initial),
        depth: edge.depth.or(spec.depth).map(|depth| narrow("depth", depth)).transpose()?,
        ..ClockLink::new(NodeId(edge.src), NodeId(edge.dst), latency)
    })
}

fn control(spec: &SpecText) -> Result<Control, ClockFileError> {
    let text = &spec.controller;
    let number = |what, number: Option<Number>, default: &str| {
        let Number(number) = number.unwrap_or_else(|| Number(default.parse().expect("defaults are decimals")));
        Gain::per_nanosecond(number).ok_or_else(|| too_fine(what, number))
    };
    let needed = |what, number: Option<Number>| {
        number.ok_or(ClockFileError::NoSuch {
            what: "field of the controller called",
            name: what,
            known: String::new(),
        })
    };
    let kp = number("kp", text.kp, "2e-8")?;
    let law = match text.kind.as_str() {
        "none" | "free" => Law::Free,
        "p" => Law::Proportional { kp },
        "pi" => {
            let Number(ki) = text.ki.unwrap_or_else(|| Number("1e-15".parse().expect("a decimal")));
            let base = spec.base_freq.map_or(Ok(Frequency::hertz(1_000_000_000)), |base| giga("base_freq", base))?;
            // Per frame and tick: the published gain is per frame and nanosecond, and a tick is taken as 1 / base.
            let ki = Gain::per_nanosecond(ki).and_then(|ki| ki.times(1_000_000_000_000_000, base.0));
            Law::ProportionalIntegral { kp, ki: ki.ok_or_else(|| too_fine("ki", kp_of(text.ki)))? }
        }
        "reframe" => {
            let at = nanos("t_switch", needed("t_switch".to_owned(), text.t_switch)?)?;
            Law::Reframing { kp, switch: Switch::At(at) }
        }
        "pump" | "pump_relative" => {
            let Number(step) = needed("freq_step".to_owned(), text.freq_step)?;
            let relative = text.kind == "pump_relative";
            let gain = |what, number| {
                if relative { Gain::relative(number) } else { Gain::per_nanosecond(number) }
                    .ok_or_else(|| too_fine(what, number))
            };
            Law::Pump {
                kind: if relative { PumpKind::Relative } else { PumpKind::Additive },
                kp: gain("kp", kp_of(text.kp))?,
                step: gain("freq_step", step)?,
                steps_most: text.z_max,
            }
        }
        other => {
            return Err(ClockFileError::NoSuch {
                what: "controller",
                name: other.to_owned(),
                known: "`p`, `pi`, `reframe`, `pump`, `pump_relative`, `none`".to_owned(),
            });
        }
    };
    Ok(law.into())
}

fn kp_of(number: Option<Number>) -> Decimal {
    number.map_or_else(|| "2e-8".parse().expect("a decimal"), |Number(number)| number)
}

fn too_fine(what: &'static str, number: Decimal) -> ClockFileError {
    ClockFileError::Number { what, found: number.as_f64().to_string(), allowed: "at most 18 digits, down to 1e-33" }
}

fn scaled(what: &'static str, number: Decimal, power: i32) -> Result<i128, ClockFileError> {
    number.scaled(power).filter(|number| number.abs() < 1 << 116).ok_or_else(|| ClockFileError::Number {
        what,
        found: number.as_f64().to_string(),
        allowed: "times of up to 10^9 s, frequencies of up to 1 THz",
    })
}

fn nanos(what: &'static str, Number(number): Number) -> Result<Femtos, ClockFileError> {
    Ok(Femtos(scaled(what, number, 6)?))
}

fn giga(what: &'static str, Number(number): Number) -> Result<Frequency, ClockFileError> {
    let found = scaled(what, number, 15)?;
    i64::try_from(found).map(Frequency).map_err(|_| ClockFileError::Number {
        what,
        found: number.as_f64().to_string(),
        allowed: "frequencies of up to 1 THz",
    })
}

fn whole(what: &'static str, number: Decimal) -> Result<u64, ClockFileError> {
    let found = if number.is_whole(0) { number.scaled(0) } else { None };
    found.and_then(|found| u64::try_from(found).ok()).ok_or_else(|| ClockFileError::Number {
        what,
        found: number.as_f64().to_string(),
        allowed: "a whole number of ticks",
    })
}
