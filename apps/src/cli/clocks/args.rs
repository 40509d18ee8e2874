//! Which clocks: a specification, or a machine with flags.

use crate::cli::explain;
use crate::cli::failure::{Exit, Failure, SourceText};
use crate::cli::files;
use crate::cli::load;
use crate::cli::session::Session;
use crate::formats::clocks::{QuantityError, frequency, parts_per_trillion, time};
use crate::formats::{ClockSpec, Uniform, read_clocks, read_text};
use clap::Args;
use sim_core::clock::{ClockNetwork, Control, Decimal, Femtos, Frequency, NetworkError, stability};
use sim_core::random::Seed;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Clocks of a machine, by flags.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ClockFlags {
    /// Machine whose nodes and links have clocks: a preset such as `ring:8`, or a RON file
    #[arg(short, long, value_name = "PRESET|FILE")]
    pub(crate) machine: Option<String>,
    /// Frequency that all oscillators are near [default: 1GHz]
    #[arg(long, allow_hyphen_values = true, value_name = "FREQUENCY", value_parser = a_frequency)]
    pub(crate) frequency: Option<Frequency>,
    /// Largest offset of an oscillator, drawn for each node [default: 100]
    #[arg(long, allow_hyphen_values = true, value_name = "PPM")]
    pub(crate) ppm: Option<Decimal>,
    /// What offsets are drawn from [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Physical latency of every link [default: 5us]
    #[arg(long, allow_hyphen_values = true, value_name = "TIME", value_parser = a_time)]
    pub(crate) link_latency: Option<Femtos>,
    /// Ticks between measurements [default: 100000]
    #[arg(long, value_name = "TICKS")]
    pub(crate) period: Option<u64>,
    /// Ticks from measuring to acting [default: 1000]
    #[arg(long, value_name = "TICKS")]
    pub(crate) delay: Option<u64>,
    /// Proportional gain, per frame and relative to the frequency [default: 2e-8]
    #[arg(long, allow_hyphen_values = true, value_name = "GAIN")]
    pub(crate) kp: Option<Decimal>,
    /// Integral gain, per frame and nanosecond [default: none]
    #[arg(long, allow_hyphen_values = true, value_name = "GAIN", conflicts_with = "step")]
    pub(crate) ki: Option<Decimal>,
    /// Step of a pump that knows up, down and stay only, such as `10ppb`
    #[arg(long, allow_hyphen_values = true, value_name = "SHARE", value_parser = a_share)]
    pub(crate) step: Option<i64>,
    /// Take the mean of readings instead of their sum, so that gains need not fall with the degree
    #[arg(long)]
    pub(crate) by_degree: bool,
    /// Depth of elastic buffers, in frames [default: 32]
    #[arg(long, value_name = "FRAMES")]
    pub(crate) buffer: Option<u32>,
    /// Keep elastic buffers empty until clocks have settled, instead of letting frames pass
    #[arg(long)]
    pub(crate) drain: bool,
}

fn a_time(text: &str) -> Result<Femtos, QuantityError> {
    time(text)
}

fn a_frequency(text: &str) -> Result<Frequency, QuantityError> {
    frequency(text)
}

fn a_share(text: &str) -> Result<i64, QuantityError> {
    parts_per_trillion(text)
}

pub(super) fn span(text: &str) -> Result<Femtos, String> {
    match time(text) {
        Ok(span) if span.0 > 0 => Ok(span),
        Ok(_) => Err("a time must be positive".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// How long to simulate where nobody says.
const UNTIL: Femtos = Femtos(Femtos::PER_SECOND);

/// The clocks that are asked for: those of a file, or a machine's.
pub(crate) fn clocks(session: &Session, spec: Option<&Path>, flags: &ClockFlags) -> Result<ClockSpec, Failure> {
    let spec = match (spec, &flags.machine) {
        (Some(path), None) => from_file(path, flags)?,
        (None, Some(name)) => from_machine(name, flags)?,
        (Some(_), Some(_)) => {
            let message = "both a specification and a machine are named";
            return Err(
                Failure::new(Exit::Invalid, "usage::two_clocks", message).help("a specification names its own machine")
            );
        }
        (None, None) => {
            return Err(Failure::new(Exit::Invalid, "usage::no_clocks", "no clocks are named")
                .help("name a specification (JSON or RON), or a machine: --machine ring:8 --ppm 100"));
        }
    };
    warn(session, &spec);
    Ok(spec)
}

fn from_file(path: &Path, flags: &ClockFlags) -> Result<ClockSpec, Failure> {
    let ClockFlags {
        machine: _,
        frequency,
        ppm,
        seed,
        link_latency,
        period,
        delay,
        kp,
        ki,
        step,
        by_degree,
        buffer,
        drain,
    } = flags;
    let given = [
        ("--frequency", frequency.is_some()),
        ("--ppm", ppm.is_some()),
        ("--seed", seed.is_some()),
        ("--link-latency", link_latency.is_some()),
        ("--period", period.is_some()),
        ("--delay", delay.is_some()),
        ("--kp", kp.is_some()),
        ("--ki", ki.is_some()),
        ("--step", step.is_some()),
        ("--by-degree", *by_degree),
        ("--buffer", buffer.is_some()),
        ("--drain", *drain),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
        let message = format!("{flag} is for machines, a specification says it itself");
        return Err(Failure::new(Exit::Invalid, "usage::clock_flags", message)
            .help(format!("edit `{}`, or name a machine instead", path.display())));
    }
    let bytes = files::read_bytes(path)?;
    let text = read_text(&bytes).unwrap_or_default().to_owned();
    let source = SourceText { name: path.display().to_string(), text };
    read_clocks(&bytes).map_err(|error| explain::format(&error, &source))
}

fn from_machine(name: &str, flags: &ClockFlags) -> Result<ClockSpec, Failure> {
    let machine = load::named_machine(name, &crate::cli::args::MachineSettings::default())?;
    let default = Uniform::default();
    let ppm = flags.ppm.unwrap_or(Decimal::whole(100)).scaled(6).and_then(|parts| i64::try_from(parts).ok());
    let invalid = |message: &str| Failure::new(Exit::Invalid, "usage::clock_flags", message);
    let Some(offset_most) = ppm.filter(|parts| (0..=500_000_000_000).contains(parts)) else {
        return Err(invalid("--ppm must be between 0 and 500 000"));
    };
    let uniform = Uniform {
        frequency: flags.frequency.unwrap_or(default.frequency),
        offset_most,
        seed: flags.seed.map_or(Seed::DEFAULT, Seed),
        latency: flags.link_latency.unwrap_or(default.latency),
        period: flags.period.unwrap_or(default.period),
        delay: flags.delay.unwrap_or(default.delay),
        depth: flags.buffer.or(default.depth),
        ..default
    };
    let (nodes, links) = uniform.network(&machine);
    let network = ClockNetwork::new(nodes, links).map_err(|error| no_network(&error))?;
    let control = uniform.control(flags.kp, flags.ki, flags.step, flags.by_degree);
    let control = control.ok_or_else(|| invalid("a gain has too many digits"))?;
    control.check().map_err(|error| invalid(&error.to_string()))?;
    Ok(ClockSpec {
        name: machine.name().to_owned(),
        nodes: machine.nodes().values().map(|node| node.name.to_string()).collect(),
        network: network.with_nominal(uniform.frequency),
        control,
        until: UNTIL,
        samples: Vec::new(),
        drain: flags.drain,
        faults: Vec::new(),
        machine: Some(machine),
    })
}

/// Flags that make no network, by name.
fn no_network(error: &NetworkError) -> Failure {
    let failure = Failure::new(Exit::Invalid, "clocks::network", error.to_string());
    let flags = match error {
        NetworkError::Frequency { .. } => "--frequency and --ppm",
        NetworkError::Latency { .. } => "--link-latency",
        NetworkError::Frames { .. } => "--buffer",
        NetworkError::DelayTooLong { .. } => "--delay and --period",
        NetworkError::PeriodTooLong { .. } => "--period",
        NetworkError::Segments { .. } => "--link-latency and --period",
        _ => return failure,
    };
    failure.help(format!("this comes of {flags}"))
}

/// Says beforehand if a loop will not settle.
fn warn(session: &Session, spec: &ClockSpec) {
    if let Some(warning) = unstable(spec) {
        session.talk(format_args!("warning: {warning}"));
    }
}

/// The warning that a loop is unstable, with its bound.
pub(super) fn unstable(spec: &ClockSpec) -> Option<String> {
    let stability = stability(&spec.network, &spec.control).filter(|stability| !stability.is_stable())?;
    Some(format!(
        "the gain {:.3e} is unstable: the largest eigenvalue of this network is {:.4}, so gains must be below {:.3e}",
        stability.gain, stability.eigenvalue, stability.gain_most
    ))
}

/// A link's name.
pub(crate) fn link_name(names: &[String], source: sim_core::NodeId, target: sim_core::NodeId) -> String {
    format!("{} → {}", names[source.0 as usize], names[target.0 as usize])
}

/// Where a picture or a trace goes.
pub(super) fn check_picture(path: Option<&PathBuf>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let wrong =
        |error: crate::pictures::PictureError| Failure::new(Exit::Invalid, "picture::extension", error.to_string());
    crate::pictures::Format::of(path).map(|_| ()).map_err(wrong)
}

/// The law of a specification, for people.
pub(super) fn law(control: &Control) -> &'static str {
    use sim_core::clock::Law;
    match control.law {
        Law::Free => "no control",
        Law::Proportional { .. } => "proportional",
        Law::ProportionalIntegral { .. } => "proportional-integral",
        Law::Reframing { .. } => "reframing",
        Law::Pump { .. } => "pump",
        Law::AutoReset { .. } => "automatic reset",
    }
}

/// Nodes below which a thread of its own does not pay: threads meet in every round.
const THREAD_NODES: usize = 1_000;

/// How many of the threads that are `asked` for pay.
pub(crate) fn threads(asked: NonZeroUsize, network: &ClockNetwork) -> NonZeroUsize {
    let most = NonZeroUsize::new(network.nodes().len() / THREAD_NODES).unwrap_or(NonZeroUsize::MIN);
    asked.min(most)
}
