//! `bench`: what this host can do, as ratios within one run.

use super::failure::{Exit, Failure};
use super::session::{Session, grouped, table};
use crate::benchmarks::{EngineCase, Figure, Measurements, ShardsCase, measure};

/// Measure the engine on this host, beside a naive engine and a plain copy
#[derive(clap::Args, Debug)]
pub(crate) struct Bench {
    /// Sides of the tori
    #[arg(long, value_name = "SIDE,…", value_delimiter = ',', default_value = "32,256", value_parser = clap::value_parser!(u32).range(2..=1024))]
    sides: Vec<u32>,
    /// Side of the torus that two shards divide, over QUIC on loopback, with ever more words crossing; a multiple of 8, or 0 for
    /// nothing in shards
    #[arg(long, value_name = "SIDE", default_value_t = 64, value_parser = cut_side)]
    cut_side: u32,
    /// Measurements per figure
    #[arg(long, value_name = "COUNT", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=999))]
    repeats: u16,
}

fn cut_side(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(side) if side <= 512 && side.is_multiple_of(8) => Ok(side),
        _ => Err("write a multiple of 8, from 0 to 512".to_owned()),
    }
}

impl Bench {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let cut_side = (self.cut_side > 0).then_some(self.cut_side);
        let measured = measure(&self.sides, cut_side, usize::from(self.repeats), |next| session.talk(next))
            .map_err(|error| Failure::new(Exit::Invalid, "bench::failed", error.to_string()))?;
        session.print(|| text(&measured), &measured)?;
        Ok(None)
    }
}

fn text(measured: &Measurements) -> String {
    let head = [
        "machine",
        "λ",
        "activity",
        "ns/node-tick",
        "range",
        "ns/frame",
        "× naive",
        "of a copy",
        "two threads",
        "state",
        "events",
        "bytes/node",
        "compile s",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(measured.engine.iter().map(row));
    let cores = format!(
        "{} cores; two spinning threads are {:.2} times as fast as one after the other\n\n",
        measured.cores, measured.calibration
    );
    let mut text = cores + &table(&rows, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    if !measured.shards.is_empty() {
        text += "\ntwo shards over QUIC on loopback, by the size of the machine\n\n";
        text += &shards("nodes", &measured.shards, |case| grouped(case.nodes as u64));
    }
    if let Some(case) = measured.cuts.first() {
        let nodes = grouped(case.nodes as u64);
        text += &format!("\nthe same with {nodes} nodes, by the share of words that cross\n\n");
        text += &shards("crossing", &measured.cuts, |case| format!("{:.0} %", case.crossing * 100.0));
    }
    text
}

/// A table of `cases`, which `what` tells from each other.
fn shards(title: &str, cases: &[ShardsCase], what: impl Fn(&ShardsCase) -> String) -> String {
    let head = [
        title,
        "words/tick",
        "step",
        "µs/step",
        "one process",
        "two shards",
        "range",
        "speed-up",
        "two cores",
        "wire",
        "idle",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for case in cases {
        let Figure { median, min, max } = case.two_shards;
        let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let speedup =
            format!("{:.2}{}", case.speedup, if case.inconclusive.is_some() { " (inconclusive)" } else { "" });
        rows.push(vec![
            what(case),
            grouped(case.words_per_tick.round() as u64),
            optional(case.step.map(|ticks| ticks.to_string())),
            optional(case.step_us.map(|us| grouped(us.round() as u64))),
            format!("{:.2}", case.one_process.median),
            format!("{median:.2}"),
            format!("{min:.2}–{max:.2}"),
            speedup,
            format!("{:.2}", case.calibration),
            optional(case.wire_overhead.map(|ratio| format!("{ratio:.3}"))),
            format!("{:.0} %", case.idle * 100.0),
        ]);
    }
    table(&rows, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
}

fn row(case: &EngineCase) -> Vec<String> {
    let optional = |value: Option<f64>, text: fn(f64) -> String| value.map_or("-".to_owned(), text);
    let percent: fn(f64) -> String = |value| format!("{:.0} %", value * 100.0);
    let times: fn(f64) -> String = |value| format!("{value:.2}");
    let Figure { median, min, max } = case.ns_per_node_tick;
    let two = if case.inconclusive.is_some() { "inconclusive".to_owned() } else { optional(case.two_threads, times) };
    vec![
        case.machine.clone(),
        case.latencies.to_owned(),
        percent(case.activity),
        format!("{median:.2}"),
        format!("{min:.2}–{max:.2}"),
        format!("{:.2}", case.ns_per_frame),
        optional(case.times_naive, times),
        optional(case.share_of_copy, percent),
        two,
        optional(case.digest_state, percent),
        optional(case.digest_events, percent),
        grouped(case.bytes_per_node.round() as u64),
        format!("{:.2}", case.compile_seconds),
    ]
}
