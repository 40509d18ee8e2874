//! `boot`: from oscillators to a machine with logical latencies.

use super::args::MachineSettings;
use super::clocks::args::{self, ClockFlags};
use super::clocks::check_length;
use super::compile::machine_ron;
use super::explain;
use super::failure::{Exit, Failure};
use super::files;
use super::load;
use super::session::{Session, counted, facts, table};
use crate::formats::clocks::time;
use crate::formats::{ClockSpec, FormatError, read_ugns};
use serde::Serialize;
use sim_core::clock::{Boot, BootError, BootOptions, ClockEngine, EngineOptions, Femtos, GroomLink, boot, groom};
use sim_core::{IdVec, Link, LinkId, Machine, MachineError, NodeId};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Let clocks settle, centre buffers, capture latencies: a machine to compile for
#[derive(clap::Args, Debug)]
pub(crate) struct BootCommand {
    /// Specification of the clocks: RON, or the JSON of published cases
    #[arg(value_name = "SPEC")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    flags: ClockFlags,
    #[command(flatten)]
    settling: Settling,
    /// Import UGNs that were captured on a real machine (JSON), instead of simulating clocks
    #[arg(long, value_name = "FILE", conflicts_with_all = ["spec", "machine"])]
    ugns: Option<PathBuf>,
    /// Machine whose latencies a schedule counts on: frames are inserted until links have them again, as after a repair
    #[arg(long, value_name = "PRESET|FILE")]
    groom: Option<String>,
    /// Threads to use at most; below a thousand nodes for each, meeting takes longer than computing
    #[arg(long, value_name = "COUNT", default_value = "1")]
    threads: NonZeroUsize,
    /// Machine file to write (RON) [default: only the report]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// When clocks count as settled.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Settling {
    /// Frames by which counters may move while clocks count as settled
    #[arg(long, value_name = "FRAMES", default_value_t = 4, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) margin: i64,
    /// How long counters must have stayed within the margin
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = a_time)]
    pub(crate) stable_for: Femtos,
    /// When to give up
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = a_time)]
    pub(crate) limit: Femtos,
}

fn a_time(text: &str) -> Result<Femtos, String> {
    time(text).map_err(|error| error.to_string())
}

impl From<Settling> for BootOptions {
    fn from(Settling { margin, stable_for, limit }: Settling) -> Self {
        Self { margin, stable_for, limit, drain: false }
    }
}

#[derive(Serialize)]
struct BootJson<'a> {
    name: &'a str,
    /// Seconds until clocks had settled, and until latencies were captured; none if they were imported.
    settled_seconds: Option<f64>,
    booted_seconds: Option<f64>,
    links: Vec<LinkJson<'a>>,
    nodes: Vec<NodeJson<'a>>,
    round_trips: Vec<RoundTripJson<'a>>,
    file: Option<&'a PathBuf>,
}

#[derive(Serialize)]
struct LinkJson<'a> {
    source: &'a str,
    target: &'a str,
    /// As captured, in the nodes' own counters, and in normal form.
    ugn: i64,
    latency: i64,
    /// Frames that the buffer was centred by.
    centred_by: i64,
    /// Frames to insert for the latency that the schedule counts on.
    #[serde(skip_serializing_if = "Option::is_none")]
    groomed_by: Option<i64>,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    name: &'a str,
    /// Normal-form tick less local tick.
    offset: i64,
}

#[derive(Serialize)]
struct RoundTripJson<'a> {
    nodes: (&'a str, &'a str),
    there: i64,
    back: i64,
    ticks: i64,
}

/// Captured latencies, and the machine that they make.
pub(crate) struct Booted {
    pub(crate) machine: Machine,
    ugns: IdVec<LinkId, i64>,
    boot: Option<Boot>,
    /// Frames to insert into each link, if latencies were groomed.
    groomed_by: Option<IdVec<LinkId, i64>>,
}

impl BootCommand {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let mut booted = match &self.ugns {
            Some(path) => self.import(path)?,
            None => {
                let mut spec = args::clocks(session, self.spec.as_deref(), &self.flags)?;
                spec.until = self.settling.limit;
                check_length(&spec)?;
                let threads = args::threads(self.threads, &spec.network);
                let options = EngineOptions { threads, ..EngineOptions::new(spec.network.nominal()) };
                let mut engine = ClockEngine::new(&spec.network, spec.control, options);
                start(&mut engine, &spec, self.settling.into())?
            }
        };
        if let Some(scheduled) = &self.groom {
            booted.groom(&load::named_machine(scheduled, &MachineSettings::default())?)?;
        }
        if let Some(path) = &self.output {
            files::write(path, machine_ron(&booted.machine))?;
        }
        let json = self.json(&booted);
        session.print(|| text(&json, &booted.machine), &json)?;
        if let Some(path) = self.output.as_ref().filter(|_| !session.is_json()) {
            let at = path.display();
            session.talk(format_args!("the machine is in {at}; compile for it: tidelock compile APP --machine {at}"));
        }
        Ok(None)
    }

    fn import(&self, path: &std::path::Path) -> Result<Booted, Failure> {
        let source = files::read_source(path)?;
        let depth = self.flags.buffer.unwrap_or(32);
        let ugns =
            read_ugns(&source.text, depth).map_err(|error| explain::format(&FormatError::from(error), &source))?;
        let machine = ugns.machine().map_err(|error| no_machine(&error))?;
        Ok(Booted {
            machine,
            ugns: ugns.links.values().map(|link| link.latency.0).collect(),
            boot: None,
            groomed_by: None,
        })
    }

    fn json<'a>(&'a self, booted: &'a Booted) -> BootJson<'a> {
        let (nodes, links) = (booted.machine.nodes(), booted.machine.links());
        let name = |node: NodeId| nodes[node].name.as_str();
        let link = |(id, link): (LinkId, &Link)| LinkJson {
            source: name(link.source),
            target: name(link.target),
            ugn: booted.ugns[id],
            latency: link.latency.0,
            centred_by: booted.boot.as_ref().map_or(0, |boot| boot.centred_by[id]),
            groomed_by: booted.groomed_by.as_ref().map(|frames| frames[id]),
        };
        BootJson {
            name: booted.machine.name(),
            settled_seconds: booted.boot.as_ref().map(|boot| boot.settled_at.as_seconds()),
            booted_seconds: booted.boot.as_ref().map(|boot| boot.at.as_seconds()),
            links: links.iter().map(link).collect(),
            nodes: nodes.values().map(|node| NodeJson { name: &node.name, offset: node.offset }).collect(),
            round_trips: round_trips(&booted.machine),
            file: self.output.as_ref(),
        }
    }
}

/// Boots the clocks of a specification, with the faults that it states.
pub(crate) fn start(engine: &mut ClockEngine, spec: &ClockSpec, options: BootOptions) -> Result<Booted, Failure> {
    for &(at, fault) in &spec.faults {
        engine.schedule(at, fault).map_err(|error| Failure::new(Exit::Invalid, "clocks::fault", error.to_string()))?;
    }
    let options = BootOptions { drain: spec.drain, ..options };
    let boot = boot(engine, &options).map_err(|error| no_boot(&error, spec))?;
    let machine = spec.booted_machine(&boot).map_err(|error| no_machine(&error))?;
    Ok(Booted { machine, ugns: boot.latencies.clone(), boot: Some(boot), groomed_by: None })
}

impl Booted {
    /// Makes of this machine the one that a schedule was made for: inserts frames, and relabels ticks.
    fn groom(&mut self, scheduled: &Machine) -> Result<(), Failure> {
        let (nodes, links) = (self.machine.nodes(), self.machine.links());
        let ends =
            |machine: &Machine| -> Vec<_> { machine.links().values().map(|link| (link.source, link.target)).collect() };
        if nodes.len() != scheduled.nodes().len() || ends(&self.machine) != ends(scheduled) {
            let message = format!(
                "{} cannot be groomed to {}: they do not have the same nodes and links in the same order",
                self.machine.name(),
                scheduled.name()
            );
            return Err(Failure::new(Exit::Invalid, "boot::groom_other", message)
                .help("name the machine file that `boot -o` wrote before the repair"));
        }
        let link = |(id, link): (LinkId, &Link)| GroomLink {
            source: link.source,
            target: link.target,
            captured: link.latency.0,
            scheduled: scheduled.links()[id].latency.0,
        };
        let groomed = groom(nodes.len(), &links.iter().map(link).collect()).map_err(|error| {
            let names: Vec<&str> =
                error.nodes.iter().chain(error.nodes.first()).map(|&node| nodes[node].name.as_str()).collect();
            let message = format!(
                "around {} captured latencies have the sum {}, but the schedule counts on {}",
                names.join(" → "),
                error.captured,
                error.scheduled
            );
            Failure::new(Exit::CheckFailed, "boot::groom", message)
                .help("frames cannot be made faster: compile anew for the machine that was captured, without --groom")
        })?;
        let moved = |(id, node): (NodeId, &sim_core::Node)| sim_core::Node {
            offset: node.offset + groomed.relabelled_by[id],
            ..node.clone()
        };
        let moved: Vec<_> = nodes.iter().map(moved).collect();
        self.machine =
            Machine::new(scheduled.name(), moved, scheduled.links().clone()).map_err(|error| no_machine(&error))?;
        self.groomed_by = Some(groomed.frames);
        Ok(())
    }
}

fn no_machine(error: &MachineError) -> Failure {
    Failure::new(Exit::Invalid, "boot::machine", error.to_string())
        .help("round trips cannot be negative: were all latencies captured under the same counters?")
}

fn no_boot(error: &BootError, spec: &ClockSpec) -> Failure {
    let link = |id: LinkId| {
        let ends = &spec.network.links()[id];
        args::link_name(&spec.nodes, ends.source, ends.target)
    };
    match error {
        BootError::Geared { link: id, .. } => {
            Failure::new(Exit::Invalid, "boot::geared", format!("{error} ({})", link(*id)))
                .help("simulate gears with `clocks`; a machine's links carry one frame per tick")
        }
        BootError::LinkDown { link: id, .. } => {
            Failure::new(Exit::CheckFailed, "boot::link_down", format!("{error} ({})", link(*id)))
                .help("let the link come up, or leave it out")
        }
        BootError::NotSettled { .. } => Failure::new(Exit::CheckFailed, "boot::not_settled", error.to_string())
            .help("wait longer (--limit), allow larger movements (--margin), or change the gain (--kp)"),
    }
}

/// Pairs of links there and back.
fn round_trips(machine: &Machine) -> Vec<RoundTripJson<'_>> {
    let name = |node: NodeId| machine.nodes()[node].name.as_str();
    let mut trips = Vec::new();
    for (_, link) in machine.links().iter().filter(|(_, link)| link.source < link.target) {
        let back = machine.outgoing(link.target).iter().map(|&id| &machine.links()[id]);
        for back in back.filter(|back| back.target == link.source) {
            let (there, back) = (link.latency.0, back.latency.0);
            let nodes = (name(link.source), name(link.target));
            trips.push(RoundTripJson { nodes, there, back, ticks: there + back });
        }
    }
    trips
}

fn text(boot: &BootJson<'_>, machine: &Machine) -> String {
    const SHOWN: usize = 40;
    let links = counted(machine.links().len() as u64, "link");
    let mut text = format!("{}: {}, {links}\n\n", boot.name, counted(machine.nodes().len() as u64, "node"));
    let seconds = |seconds: Option<f64>| seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.6} s"));
    let ugns = boot.links.iter().map(|link| link.ugn);
    let centred = boot.links.iter().map(|link| link.centred_by);
    let range = |values: &dyn Fn() -> Vec<i64>| {
        let values = values();
        format!("{} … {}", values.iter().min().unwrap_or(&0), values.iter().max().unwrap_or(&0))
    };
    let (ugns, centred): (Vec<i64>, Vec<i64>) = (ugns.collect(), centred.collect());
    text += &facts(&[
        ("settled", seconds(boot.settled_seconds)),
        ("booted", seconds(boot.booted_seconds)),
        ("captured", format!("{} ticks", range(&|| ugns.clone()))),
        ("centred by", format!("{} frames", range(&|| centred.clone()))),
        (
            "latencies",
            format!("{} ticks, in normal form", range(&|| boot.links.iter().map(|link| link.latency).collect())),
        ),
    ]);
    if boot.links.iter().any(|link| link.groomed_by.is_some()) {
        let frames = range(&|| boot.links.iter().filter_map(|link| link.groomed_by).collect());
        text += &facts(&[("groomed by", format!("{frames} frames, for the schedule of {}", boot.name))]);
    }
    let mut rows = vec![["round trip", "there", "back", "ticks"].map(str::to_owned).to_vec()];
    rows.extend(boot.round_trips.iter().take(SHOWN).map(|trip| {
        let (from, to) = trip.nodes;
        vec![format!("{from} ↔ {to}"), trip.there.to_string(), trip.back.to_string(), trip.ticks.to_string()]
    }));
    text.push('\n');
    text += &table(&rows, &[1, 2, 3]);
    if boot.round_trips.len() > SHOWN {
        text += &format!("and {} more\n", boot.round_trips.len() - SHOWN);
    }
    text
}
