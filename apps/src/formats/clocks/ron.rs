//! Our own form of clock specifications: RON, with units.

use super::decimal::Number;
use super::place::{Misplaced, Step};
use super::quantity::{in_frequency, in_parts, in_parts_maybe, in_parts_or_zero, in_time, in_time_maybe, in_times};
use super::uniform::{RelativeLaw, Uniform};
use super::{ClockFileError, ClockSpec};
use crate::formats::ron_text::Version1;
use crate::formats::{FormatError, nearest, read_ron};
use serde::Deserialize;
use sim_core::clock::{
    ClockEngine, ClockLink, ClockNetwork, ClockNode, Control, ControlError, EditError, EngineOptions, Fault, Femtos,
    Frequency, Jitter, Law, NetworkError, Phase, Wander,
};
use sim_core::random::Seed;
use sim_core::{IdVec, LinkId, Machine, NodeId, Preset};

#[derive(Deserialize)]
#[serde(rename = "Clocks", deny_unknown_fields)]
struct ClocksText {
    #[serde(rename = "version")]
    _version: Version1,
    name: String,
    #[serde(default)]
    machine: Option<String>,
    #[serde(deserialize_with = "in_frequency")]
    frequency: Frequency,
    #[serde(default, deserialize_with = "in_parts_or_zero")]
    offset_most: i64,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default, deserialize_with = "in_time_maybe")]
    latency: Option<Femtos>,
    #[serde(default)]
    period: Option<u64>,
    #[serde(default)]
    delay: Option<u64>,
    #[serde(default)]
    phase: Option<Number>,
    #[serde(default)]
    buffer: Option<u32>,
    #[serde(default)]
    initial: i64,
    #[serde(default)]
    set_point: i64,
    controller: RelativeLaw,
    #[serde(default)]
    by_degree: bool,
    #[serde(default)]
    drain: bool,
    #[serde(default)]
    nodes: Vec<NodeText>,
    #[serde(default)]
    links: Vec<LinkText>,
    #[serde(default)]
    faults: Vec<FaultText>,
    #[serde(deserialize_with = "in_time")]
    until: Femtos,
    #[serde(default, deserialize_with = "in_times")]
    samples: Vec<Femtos>,
}

#[derive(Deserialize)]
#[serde(rename = "Node", deny_unknown_fields)]
struct NodeText {
    name: String,
    #[serde(default, deserialize_with = "in_parts_maybe")]
    offset: Option<i64>,
    /// Per second.
    #[serde(default, deserialize_with = "in_parts_or_zero")]
    drift: i64,
    #[serde(default)]
    profile: Vec<PointText>,
    #[serde(default)]
    temperature: Option<TemperatureText>,
    #[serde(default)]
    wander: Option<WanderText>,
    #[serde(default, deserialize_with = "in_time_maybe")]
    jitter: Option<Femtos>,
    #[serde(default, deserialize_with = "in_time_maybe")]
    start: Option<Femtos>,
    #[serde(default, deserialize_with = "in_parts_or_zero")]
    warm: i64,
    #[serde(default)]
    period: Option<u64>,
    #[serde(default)]
    delay: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename = "Point", deny_unknown_fields)]
struct PointText {
    #[serde(deserialize_with = "in_time")]
    at: Femtos,
    #[serde(deserialize_with = "in_parts")]
    offset: i64,
}

#[derive(Deserialize)]
#[serde(rename = "Temperature", deny_unknown_fields)]
struct TemperatureText {
    /// Degrees above the turnover point.
    points: Vec<DegreesText>,
    ppb_per_square_kelvin: i64,
}

#[derive(Deserialize)]
#[serde(rename = "Degrees", deny_unknown_fields)]
struct DegreesText {
    #[serde(deserialize_with = "in_time")]
    at: Femtos,
    kelvin: Number,
}

#[derive(Deserialize)]
#[serde(rename = "Wander", deny_unknown_fields)]
struct WanderText {
    #[serde(deserialize_with = "in_time")]
    interval: Femtos,
    #[serde(deserialize_with = "in_parts")]
    step: i64,
}

#[derive(Deserialize)]
#[serde(rename = "Link", deny_unknown_fields)]
struct LinkText {
    source: String,
    target: String,
    #[serde(default, deserialize_with = "in_time_maybe")]
    latency: Option<Femtos>,
    #[serde(default)]
    gear: Option<u32>,
    #[serde(default)]
    buffer: Option<u32>,
    #[serde(default)]
    initial: Option<i64>,
    #[serde(default)]
    set_point: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum FaultText {
    LinkDown {
        #[serde(deserialize_with = "in_time")]
        at: Femtos,
        source: String,
        target: String,
    },
    LinkUp {
        #[serde(deserialize_with = "in_time")]
        at: Femtos,
        source: String,
        target: String,
    },
    NodeStop {
        #[serde(deserialize_with = "in_time")]
        at: Femtos,
        node: String,
    },
    NodeStart {
        #[serde(deserialize_with = "in_time")]
        at: Femtos,
        node: String,
    },
    FrequencyStep {
        #[serde(deserialize_with = "in_time")]
        at: Femtos,
        node: String,
        #[serde(deserialize_with = "in_parts")]
        by: i64,
    },
    Latency {
        #[serde(deserialize_with = "in_time")]
        at: Femtos,
        source: String,
        target: String,
        #[serde(deserialize_with = "in_time")]
        to: Femtos,
        #[serde(deserialize_with = "in_time")]
        over: Femtos,
    },
}

/// Reads a clock specification in our own form.
///
/// ```text
/// Clocks(
///     version: 1,
///     name: "eight",
///     machine: "ring:8",               // or `nodes` and `links`, all named
///     frequency: "1GHz",
///     offset_most: "100ppm",           // drawn for each node, from `seed`
///     latency: "5us",                  // of links that state none
///     period: 100000, delay: 1000,     // ticks
///     buffer: 32,
///     drain: false,                    // true: buffers are kept empty until clocks have settled
///     controller: ProportionalIntegral(kp: 2e-8, ki: 1e-15),
///     nodes: [(name: "n0", offset: "20ppm", drift: "1ppb", wander: (interval: "1ms", step: "1ppb"))],
///     faults: [LinkDown(at: "1s", source: "n0", target: "n1")],
///     until: "2s",
/// )
/// ```
///
/// Gains are relative to `frequency`, per frame; `ki` is per frame and nanosecond.
///
/// # Errors
/// [`FormatError`], the first that is found.
pub fn read_clocks_ron(text: &str) -> Result<ClockSpec, FormatError> {
    let file: ClocksText = read_ron(text)?;
    Ok(build(file).map_err(|error| error.found_in(text))?)
}

fn build(file: ClocksText) -> Result<ClockSpec, Misplaced> {
    let uniform = uniform(&file).map_err(|error| Misplaced::field("phase", error))?;
    let machine = file.machine.as_deref().map(preset).transpose();
    let machine = machine.map_err(|error| Misplaced::field("machine", error))?;
    let (mut names, mut nodes, mut links) = (Vec::new(), IdVec::new(), IdVec::new());
    if let Some(machine) = &machine {
        names.extend(machine.nodes().values().map(|node| node.name.to_string()));
        (nodes, links) = uniform.network(machine);
    }
    for (item, node) in file.nodes.iter().enumerate() {
        let misnamed = |error: ClockFileError| Misplaced::item("nodes", item, "name", error);
        let id = match (names.iter().position(|name| *name == node.name), &machine) {
            (Some(place), Some(_)) => NodeId(place as u32),
            (None, Some(_)) => return Err(misnamed(no_node(&names, &node.name))),
            (Some(_), None) => {
                return Err(misnamed(ClockFileError::Fields { message: "two nodes have the same name" }));
            }
            (None, None) => {
                names.push(node.name.clone());
                nodes.push(uniform.node(NodeId(names.len() as u32 - 1)))
            }
        };
        let refined = refine_node(&mut nodes[id], node, &uniform);
        refined.map_err(|error| Misplaced::item("nodes", item, "temperature", error))?;
    }
    for (item, link) in file.links.iter().enumerate() {
        let (source, target) = ends_of(&names, &link.source, &link.target, ("links", item))?;
        let id = match link_of(&links, source, target) {
            Some(id) if machine.is_some() => id,
            None if machine.is_some() => return Err(no_link(&link.source, &link.target, ("links", item))),
            _ => links.push(uniform.link(source, target)),
        };
        refine_link(&mut links[id], link);
    }
    let faults = file.faults.iter().enumerate().map(|(item, fault)| build_fault(fault, item, &names, &links, &uniform));
    let faults = faults.collect::<Result<Vec<_>, _>>()?;
    let control = control(&file, &uniform)?;
    let network = ClockNetwork::new(nodes, links).map_err(|error| misplaced_network(error, &file, &names))?;
    let network = network.with_nominal(uniform.frequency);
    check_faults(&network, &faults)?;
    Ok(ClockSpec {
        name: file.name,
        nodes: names,
        network,
        control,
        until: file.until,
        samples: file.samples,
        drain: file.drain,
        faults,
        machine,
    })
}

fn control(file: &ClocksText, uniform: &Uniform) -> Result<Control, Misplaced> {
    let control = file.controller.at(uniform.frequency, file.by_degree);
    let control = control.map_err(|error| Misplaced::field("controller", error))?;
    control.check().map_err(|error| {
        let field = match &error {
            ControlError::NegativeGain { gain } => *gain,
            ControlError::NoStep => "step",
            ControlError::NegativeSwitch { .. } => "switch",
        };
        let path = |field| vec![Step::Field("controller"), Step::Field(field)];
        Misplaced { error: error.into(), paths: vec![path(field), path("settled")] }
    })?;
    Ok(control)
}

/// Where the file says what makes nodes and links no network: of the node or link itself, or of all.
fn misplaced_network(error: NetworkError, file: &ClocksText, names: &[String]) -> Misplaced {
    let node =
        |id: NodeId| file.nodes.iter().position(|node| node.name == names[id.0 as usize]).map(|item| ("nodes", item));
    let link = |from: NodeId, to: NodeId| {
        let ends = [from, to].map(|end| names[end.0 as usize].as_str());
        // The last one that is about these ends has the last word.
        let about = file.links.iter().rposition(|link| [link.source.as_str(), link.target.as_str()] == ends);
        about.map(|item| ("links", item))
    };
    let (item, own, all): (_, &[&'static str], &[&'static str]) = match &error {
        NetworkError::Frequency { node: id, .. } => (node(*id), &["offset", "profile", "temperature"], &["frequency"]),
        NetworkError::Oscillator { node: id, reason } => {
            let fields: &[&str] = match reason {
                reason if reason.contains("wander") => &["wander"],
                reason if reason.contains("phase noise") => &["jitter"],
                reason if reason.contains("profile") => &["profile", "temperature"],
                _ => &["drift", "profile", "temperature"],
            };
            (node(*id), fields, &[])
        }
        NetworkError::DelayTooLong { node: id, .. } => (node(*id), &["delay", "period"], &["delay", "period"]),
        NetworkError::PeriodTooLong { node: id, .. } => (node(*id), &["period"], &["period"]),
        NetworkError::Start { node: id, .. } => (node(*id), &["start"], &["phase"]),
        NetworkError::Latency { from, to, .. } => (link(*from, *to), &["latency"], &["latency"]),
        NetworkError::Frames { from, to, what, .. } => {
            let field: &[&str] = match *what {
                "a buffer" => &["buffer"],
                "a set point" => &["set_point"],
                "a gear" => &["gear"],
                _ => &["initial"],
            };
            (link(*from, *to), field, field)
        }
        NetworkError::Gears { .. } => (None, &[], &["links"]),
        NetworkError::Empty | NetworkError::NoSuchNode { .. } | NetworkError::Segments { .. } => (None, &[], &[]),
    };
    let own = item.into_iter().flat_map(|(list, item)| {
        own.iter().map(move |&field| vec![Step::Field(list), Step::Item(item), Step::Field(field)])
    });
    let paths = own.chain(all.iter().map(|&field| vec![Step::Field(field)])).collect();
    Misplaced { error: error.into(), paths }
}

/// Tries faults out on clocks that do not run.
fn check_faults(network: &ClockNetwork, faults: &[(Femtos, Fault)]) -> Result<(), Misplaced> {
    if faults.is_empty() {
        return Ok(());
    }
    let mut engine = ClockEngine::new(network, Control::from(Law::Free), EngineOptions::new(network.nominal()));
    for (item, &(at, fault)) in faults.iter().enumerate() {
        let field = |error: &EditError| match error {
            EditError::Past { .. } => "at",
            EditError::Frequency { .. } => "by",
            EditError::Latency { .. } => "to",
            EditError::Overtaking { .. } => "over",
            EditError::Nowhere { what, .. } => *what,
        };
        engine.schedule(at, fault).map_err(|error| Misplaced::item("faults", item, field(&error), error))?;
    }
    Ok(())
}

fn uniform(file: &ClocksText) -> Result<Uniform, ClockFileError> {
    let default = Uniform::default();
    let phase = match file.phase {
        None => default.phase,
        Some(Number(phase)) => Phase(phase.scaled(24).ok_or_else(|| ClockFileError::Number {
            what: "phase",
            found: phase.as_f64().to_string(),
            allowed: "frames with at most 24 places",
        })?),
    };
    Ok(Uniform {
        frequency: file.frequency,
        offset_most: file.offset_most.saturating_abs().min(999_000_000_000),
        seed: file.seed.map_or(Seed::DEFAULT, Seed),
        latency: file.latency.unwrap_or(default.latency),
        period: file.period.unwrap_or(default.period),
        delay: file.delay.unwrap_or(default.delay),
        phase,
        depth: file.buffer,
        initial: file.initial,
        set_point: file.set_point,
    })
}

fn preset(name: &str) -> Result<Machine, ClockFileError> {
    let preset = name.parse::<Preset>().map_err(|error| ClockFileError::NoSuch {
        what: "machine",
        name: name.to_owned(),
        known: error.to_string(),
    })?;
    Ok(Machine::from_preset(&preset))
}

fn refine_node(node: &mut ClockNode, text: &NodeText, uniform: &Uniform) -> Result<(), ClockFileError> {
    if let Some(offset) = text.offset {
        *node = uniform.node_at(uniform.frequency.shifted(offset));
    }
    let deviation = |parts: i64| Frequency(uniform.frequency.shifted(parts).0 - uniform.frequency.0);
    let mut oscillator = node.oscillator.clone().drifting(deviation(text.drift));
    if !text.profile.is_empty() && text.temperature.is_some() {
        return Err(ClockFileError::Fields { message: "a node has a profile of offsets and one of temperatures" });
    }
    if !text.profile.is_empty() {
        let points = text.profile.iter().map(|point| (point.at, deviation(point.offset)));
        oscillator = oscillator.with_profile(points.collect());
    }
    if let Some(temperature) = &text.temperature {
        let degrees = |point: &DegreesText| {
            let millikelvin = point.kelvin.0.scaled(3).filter(|kelvin| kelvin.abs() < 1_000_000);
            let millikelvin = millikelvin.ok_or_else(|| ClockFileError::Number {
                what: "kelvin",
                found: point.kelvin.0.as_f64().to_string(),
                allowed: "differences below 1000",
            });
            Ok((point.at, millikelvin? as i64))
        };
        let points: Result<Vec<_>, ClockFileError> = temperature.points.iter().map(degrees).collect();
        oscillator = oscillator.with_temperatures(&points?, temperature.ppb_per_square_kelvin);
    }
    let seed = uniform.seed;
    if let Some(wander) = &text.wander {
        let step = deviation(wander.step);
        oscillator = oscillator.wandering(Wander { interval: wander.interval, step, seed });
    }
    if let Some(most) = text.jitter {
        oscillator = oscillator.jittering(Jitter { most, seed });
    }
    node.oscillator = oscillator;
    node.start = text.start.unwrap_or(node.start);
    node.warm = deviation(text.warm);
    node.period = text.period.unwrap_or(node.period);
    node.delay = text.delay.unwrap_or(node.delay);
    Ok(())
}

fn refine_link(link: &mut ClockLink, text: &LinkText) {
    link.latency = text.latency.unwrap_or(link.latency);
    link.gear = text.gear.unwrap_or(link.gear);
    link.depth = text.buffer.or(link.depth);
    link.initial = text.initial.unwrap_or(link.initial);
    link.set_point = text.set_point.unwrap_or(link.set_point);
}

fn build_fault(
    fault: &FaultText,
    item: usize,
    names: &[String],
    links: &IdVec<LinkId, ClockLink>,
    uniform: &Uniform,
) -> Result<(Femtos, Fault), Misplaced> {
    let link = |source: &str, target: &str| {
        let ends = ends_of(names, source, target, ("faults", item))?;
        link_of(links, ends.0, ends.1).ok_or_else(|| no_link(source, target, ("faults", item)))
    };
    let node_of = |name: &str| node_of(names, name).map_err(|error| Misplaced::item("faults", item, "node", error));
    Ok(match fault {
        FaultText::LinkDown { at, source, target } => (*at, Fault::LinkDown(link(source, target)?)),
        FaultText::LinkUp { at, source, target } => (*at, Fault::LinkUp(link(source, target)?)),
        FaultText::NodeStop { at, node } => (*at, Fault::NodeStop(node_of(node)?)),
        FaultText::NodeStart { at, node } => (*at, Fault::NodeStart(node_of(node)?)),
        FaultText::FrequencyStep { at, node, by } => {
            let by = Frequency(uniform.frequency.shifted(*by).0 - uniform.frequency.0);
            (*at, Fault::FrequencyStep { node: node_of(node)?, by })
        }
        FaultText::Latency { at, source, target, to, over } => {
            (*at, Fault::Latency { link: link(source, target)?, to: *to, over: *over })
        }
    })
}

fn node_of(names: &[String], name: &str) -> Result<NodeId, ClockFileError> {
    let place = names.iter().position(|known| known == name).ok_or_else(|| no_node(names, name))?;
    Ok(NodeId(place as u32))
}

fn no_node(names: &[String], name: &str) -> ClockFileError {
    let near = nearest(name, names.iter().map(String::as_str));
    let known = near.map_or(String::new(), |near| format!("nodes such as `{near}`"));
    ClockFileError::NoSuch { what: "node", name: name.to_owned(), known }
}

/// Both ends of a link that an item of a list names.
fn ends_of(
    names: &[String],
    source: &str,
    target: &str,
    (list, item): (&'static str, usize),
) -> Result<(NodeId, NodeId), Misplaced> {
    let end = |field, name| node_of(names, name).map_err(|error| Misplaced::item(list, item, field, error));
    Ok((end("source", source)?, end("target", target)?))
}

fn link_of(links: &IdVec<LinkId, ClockLink>, source: NodeId, target: NodeId) -> Option<LinkId> {
    links.iter().find(|(_, link)| (link.source, link.target) == (source, target)).map(|(id, _)| id)
}

fn no_link(source: &str, target: &str, (list, item): (&'static str, usize)) -> Misplaced {
    let error = ClockFileError::NoSuch { what: "link", name: format!("{source} → {target}"), known: String::new() };
    Misplaced { error, paths: vec![vec![Step::Field(list), Step::Item(item)]] }
}
