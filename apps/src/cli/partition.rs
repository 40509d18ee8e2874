//! `partition`: who executes what in a sharded run, what crosses, and how fast that would be.

use super::explain;
use super::failure::{Exit, Failure};
use super::files::{self, read_source};
use super::prepare::{PrepareArgs, Prepared};
use super::session::{Session, counted, facts, grouped, table};
use crate::formats::{partition_to_ron, read_partition};
use crate::sharding::{Constants, LINK_DEFAULT, LinkCosts, LocalError, Prediction, metacycle_ns, predict};
use serde::Serialize;
use sim_core::engine::EngineError;
use sim_core::program::Program;
use sim_core::shard::{Carrier, CutFlow, CutMatrix, Imbalance, Partition, ShardId};
use sim_core::{Machine, Ticks};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the application is executed to find out how fast one process is.
const MEASURED: Duration = Duration::from_millis(300);

/// Divide a machine among shards: what crosses between them, and how much faster they would be than one process
///
/// The prediction rests on constants that are measured on this host: how long one process takes per metacycle, and what
/// exchanges over QUIC on loopback cost. For shards on other hosts say what they cost there.
#[derive(clap::Args, Debug)]
pub(crate) struct PartitionCommand {
    #[command(flatten)]
    what: PrepareArgs,
    /// Number of shards
    #[arg(long, value_name = "COUNT", required_unless_present = "partition", value_parser = clap::value_parser!(u32).range(1..=4096))]
    shards: Option<u32>,
    /// Partition file (RON) to look at instead of making one
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    partition: Option<PathBuf>,
    /// Write the partition into this new file, to be edited and given to `run --shards --partition`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Processor's time per exchange of messages, in microseconds, instead of what is measured
    #[arg(long, value_name = "US", value_parser = amount)]
    exchange_us: Option<f64>,
    /// Time of a message to the other shard, in microseconds, instead of what is measured
    #[arg(long, value_name = "US", value_parser = amount)]
    latency_us: Option<f64>,
    /// Processor's time per byte, in nanoseconds, instead of what is measured
    #[arg(long, value_name = "NS", value_parser = amount)]
    byte_ns: Option<f64>,
    /// Measure nothing: 15 µs per exchange, 12 µs on the way, 2 ns per byte, 1 ns per word of work
    #[arg(long)]
    assume: bool,
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if (0.0..=1e9).contains(&amount) => Ok(amount),
        _ => Err("write a number from 0 to 1000000000".to_owned()),
    }
}

/// What the command finds.
#[derive(Serialize)]
struct PartitionJson<'a> {
    app: &'a str,
    machine: &'a str,
    matrix: &'a CutMatrix,
    imbalance: Imbalance,
    constants: Option<Basis>,
    prediction: Option<Prediction>,
    file: Option<&'a Path>,
}

/// What a prediction rests on, and where that comes from.
#[derive(Serialize)]
struct Basis {
    #[serde(flatten)]
    constants: Constants,
    /// Whether the time of one process was measured on this host.
    compute_measured: bool,
    /// Whether what exchanges cost was measured on this host, over loopback; what options say is not.
    link_measured: bool,
}

impl PartitionCommand {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        if let Some(path) = &self.output {
            files::check_free(path)?;
        }
        let Prepared { loaded, machine, calendars, .. } = self.what.prepare(session, false)?;
        let program =
            calendars::lower(&loaded.app, &machine, &calendars).map_err(|error| explain::run(&error.into()))?;
        let partition = choose(self.partition.as_deref(), self.shards, &machine, &program)?;
        let matrix = CutMatrix::new(&machine, &program, &partition).map_err(|error| explain::run(&error.into()))?;
        if let Some(path) = &self.output {
            files::write(path, partition_to_ron(&machine, &partition))?;
        }
        // How long programs run is in no calendar, and nothing is known of it before they do.
        let basis = match loaded.fleet() {
            Some(_) => None,
            // A source that is to be fed from a file has nothing to give.
            None if loaded.app.actors().values().any(|actor| actor.fed) => Some(self.basis(session, &matrix, None)?),
            None => Some(self.basis(session, &matrix, Some(&|time| metacycle_ns(&loaded.app, &program, time)))?),
        };
        let prediction = basis.as_ref().map(|basis| predict(&matrix, &basis.constants));
        let (app, machine) = (loaded.app.name(), machine.name());
        let imbalance = matrix.imbalance();
        let file = self.output.as_deref();
        let json = PartitionJson { app, machine, matrix: &matrix, imbalance, constants: basis, prediction, file };
        session.print(|| json.text(), &json)?;
        Ok(None)
    }

    /// The constants that are asked for; the others are measured.
    fn basis(
        &self,
        session: &Session,
        matrix: &CutMatrix,
        measure: Option<&dyn Fn(Duration) -> Result<f64, EngineError>>,
    ) -> Result<Basis, Failure> {
        let given = [self.exchange_us, self.latency_us, self.byte_ns];
        let link_measured = !self.assume && given.iter().any(Option::is_none);
        let link = match link_measured {
            true => {
                session.talk("measuring what exchanges cost on this host");
                let failed = |error: LocalError| {
                    Failure::new(Exit::Internal, "partition::measure", error.to_string())
                        .help("add --assume, or say what exchanges cost by --exchange-us, --latency-us and --byte-ns")
                };
                LinkCosts::measure().map_err(failed)?
            }
            false => LINK_DEFAULT,
        };
        let microseconds = |given: Option<f64>, known: f64| given.map_or(known, |us| us * 1e3);
        let link = LinkCosts {
            exchange_ns: microseconds(self.exchange_us, link.exchange_ns),
            latency_ns: microseconds(self.latency_us, link.latency_ns),
            byte_ns: self.byte_ns.unwrap_or(link.byte_ns),
        };
        let measure = measure.filter(|_| !self.assume);
        let metacycle_ns = match measure {
            Some(measure) => measure(MEASURED).map_err(|error| explain::run(&error.into()))?,
            None => Constants::assumed(matrix).metacycle_ns,
        };
        let constants = Constants { metacycle_ns, link };
        Ok(Basis { constants, compute_measured: measure.is_some(), link_measured })
    }
}

/// The partition of a file, or a balanced one; it has as many shards as are asked for.
pub(crate) fn choose(
    file: Option<&Path>,
    shards: Option<u32>,
    machine: &Machine,
    program: &Program,
) -> Result<Partition, Failure> {
    let partition = match file {
        Some(path) => read(path, machine)?,
        None => Partition::balanced(machine, program, shards.unwrap_or(1), Carrier::Network),
    };
    let found = partition.shards();
    let Some(shards) = shards.filter(|&shards| shards != found) else { return Ok(partition) };
    let (message, help) = match file {
        Some(path) => (
            format!("{} are asked for, but `{}` has {found}", counted(shards.into(), "shard"), path.display()),
            format!("ask for {found}, or edit the file"),
        ),
        None => (
            format!(
                "{} are asked for, but there are only {}",
                counted(shards.into(), "shard"),
                counted(found.into(), "node")
            ),
            "ask for fewer shards".to_owned(),
        ),
    };
    Err(Failure::new(Exit::Invalid, "shard::count", message).help(help))
}

fn read(path: &Path, machine: &Machine) -> Result<Partition, Failure> {
    let source = read_source(path)
        .map_err(|failure| failure.help("`tidelock partition … --shards 2 -o FILE` writes one to start from"))?;
    let file = read_partition(&source.text).map_err(|error| explain::format(&error, &source))?;
    file.resolve(machine).map_err(|error| {
        let failure = Failure::new(Exit::Invalid, error.code(), error.to_string()).at(&source, error.span());
        error.help().into_iter().fold(failure, Failure::help)
    })
}

impl PartitionJson<'_> {
    fn text(&self) -> String {
        let shards = counted(self.matrix.shards.len() as u64, "shard");
        let mut text =
            format!("{} on {}: {shards}, metacycle {} ticks\n\n", self.app, self.machine, self.matrix.metacycle);
        text += &matrix_text(self.matrix);
        let mut known = Vec::new();
        if let (Some(basis), Some(prediction)) = (&self.constants, &self.prediction) {
            known = basis.facts();
            known.extend(prediction_facts(prediction));
        }
        known.extend(self.file.map(|file| ("written to", file.display().to_string())));
        if !known.is_empty() {
            text.push('\n');
            text += &facts(&known);
        }
        text
    }
}

/// Shards with what they have to do, and what crosses between them.
pub(crate) fn matrix_text(matrix: &CutMatrix) -> String {
    let heading = ["shard", "nodes", "firings", "work", "memory"].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    for (number, shard) in matrix.shards.iter().enumerate() {
        let cells = [shard.nodes, shard.firings, shard.work, shard.memory_words].map(grouped);
        rows.push([vec![number.to_string()], cells.to_vec()].concat());
    }
    let Imbalance { work, firings, memory } = matrix.imbalance();
    rows.push(vec!["most ÷ mean".into(), String::new(), ratio(firings), ratio(work), ratio(memory)]);
    let mut text = table(&rows, &[1, 2, 3, 4]);
    if matrix.cuts.is_empty() {
        return text + "\nnothing crosses between them\n";
    }
    text += "\nwords per metacycle from a shard (row) to another, and by how many ticks that one may be ahead:\n";
    text += &cuts_text(matrix);
    text
}

/// Shards up to which all pairs are shown, as a matrix; of more, the pairs that exchange words are listed.
const MATRIX_SHARDS: usize = 8;
/// Pairs that are listed.
const LISTED: usize = 24;

fn cuts_text(matrix: &CutMatrix) -> String {
    let ahead = |lookahead: Option<Ticks>| lookahead.map_or("∞".to_owned(), |ticks| grouped(ticks.0.unsigned_abs()));
    let shards = matrix.shards.len();
    if shards <= MATRIX_SHARDS {
        let mut rows = vec![[vec![String::new()], (0..shards).map(|to| to.to_string()).collect()].concat()];
        for from in 0..shards as u32 {
            let cell = |to: u32| match matrix.cut(ShardId(from), ShardId(to)) {
                Some(cut) => format!("{} ({})", grouped(cut.words), ahead(cut.lookahead)),
                None => "·".to_owned(),
            };
            rows.push([vec![from.to_string()], (0..shards as u32).map(cell).collect()].concat());
        }
        return table(&rows, &(1..=shards).collect::<Vec<_>>());
    }
    let row = |cut: &CutFlow| {
        vec![format!("{} → {}", cut.from.0, cut.to.0), grouped(cut.words), format!("({})", ahead(cut.lookahead))]
    };
    let rows: Vec<_> = matrix.cuts.iter().take(LISTED).map(row).collect();
    let mut text = table(&rows, &[1, 2]);
    if matrix.cuts.len() > LISTED {
        text += &format!("and {}\n", counted((matrix.cuts.len() - LISTED) as u64, "more pair"));
    }
    text
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

impl Basis {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let how = |measured: bool| if measured { "measured here" } else { "assumed" };
        let Constants { metacycle_ns, link } = self.constants;
        let LinkCosts { exchange_ns, latency_ns, byte_ns } = link;
        let exchange = format!(
            "{:.1} µs of a processor, {:.1} µs on the way, {byte_ns:.2} ns per byte ({})",
            exchange_ns / 1e3,
            latency_ns / 1e3,
            if self.link_measured { "measured here over loopback, but for what options say" } else { "assumed" }
        );
        vec![
            ("one process", format!("{:.1} µs per metacycle ({})", metacycle_ns / 1e3, how(self.compute_measured))),
            ("an exchange", exchange),
        ]
    }
}

fn prediction_facts(prediction: &Prediction) -> Vec<(&'static str, String)> {
    let slowest = &prediction.shards[prediction.slowest.0 as usize];
    let percent = |part: f64| format!("{:.0} %", 100.0 * part / slowest.metacycle_ns.max(1e-9));
    let waits = (slowest.metacycle_ns - slowest.compute_ns - slowest.exchange_ns).max(0.0);
    let slowest = format!(
        "shard {} sets the pace: {} computing, {} exchanging, {} waiting",
        prediction.slowest.0,
        percent(slowest.compute_ns),
        percent(slowest.exchange_ns),
        percent(waits)
    );
    let window = prediction.window.map_or("none".to_owned(), |window| counted(window.0.unsigned_abs(), "tick"));
    vec![
        ("between exchanges", window),
        (
            "predicted",
            format!("{:.2} times as fast as one process, with a processor per shard\n{slowest}", prediction.speedup),
        ),
    ]
}
