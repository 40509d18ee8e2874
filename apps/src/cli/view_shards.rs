//! `view shards`: what became of a sharded run, as a picture or in the terminal.

use super::failure::{Exit, Failure};
use super::files::read_source;
use super::partition::matrix_text;
use super::results;
use super::session::{Session, facts, grouped, print, print_json, table};
use super::shards::{REPORT_FILE, ShardsJson};
use super::view::{picture, report};
use crate::pictures::{self, Format, ShardLane, ShardsScene, Stretch};
use crate::sharding::{REPORT_VERSION, ShardsReport};
use clap::Args;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Draw how the shards of a run spent their time, and what crossed between them
#[derive(Args, Debug)]
pub(crate) struct ShardsDrawing {
    /// Results of a sharded run, or their shards.json [default: out/latest]
    #[arg(value_name = "DIR|FILE")]
    run: Option<PathBuf>,
    /// Picture to write, .svg or .png [default: text in the terminal]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Columns of the text [default: those of the terminal, or 100]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..))]
    width: Option<u16>,
}

impl ShardsDrawing {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        if let Some(path) = &self.output {
            Format::of(path).map_err(|error| picture(&error))?;
        }
        let run = self.run.clone().unwrap_or_else(|| Path::new(results::DEFAULT).join("latest"));
        let known = read(&run)?;
        let scene = ShardsScene::new(&known);
        if let Some(path) = &self.output {
            let file = pictures::shards(&scene, path).map_err(|error| picture(&error))?;
            return report(session, &[file]);
        }
        if session.is_json() {
            return print_json(&known);
        }
        let terminal = || terminal_size::terminal_size().map(|(width, _)| width.0);
        print(&text(&known, &scene, usize::from(self.width.or_else(terminal).unwrap_or(100))))
    }
}

/// The report of a results directory, or a file.
fn read(run: &Path) -> Result<ShardsReport, Failure> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let path = if run.is_dir() { run.join(REPORT_FILE) } else { run.to_owned() };
    let source = read_source(&path).map_err(|failure| {
        failure.help("`tidelock run … --shards 2` leaves one in its results; name their directory")
    })?;
    let failed = |error: &serde_json::Error| {
        let at = crate::formats::byte_offset(&source.text, error.line(), error.column());
        Failure::new(Exit::Invalid, "shards::report", format!("this is no report of shards: {error}"))
            .at(&source, Some(at..at))
    };
    let Version { version } = serde_json::from_str(&source.text).map_err(|error| failed(&error))?;
    if version != REPORT_VERSION {
        let message = format!("a report of version {version}, this program reads version {REPORT_VERSION}");
        return Err(Failure::new(Exit::Invalid, "shards::version", message).help("run it again"));
    }
    serde_json::from_str(&source.text).map_err(|error| failed(&error))
}

fn text(report: &ShardsReport, scene: &ShardsScene, columns: usize) -> String {
    let mut text = format!("{}\n{}\n\n", scene.title, scene.subtitle);
    text += "█ executing  ▒ taking in and passing on  ░ waiting; below, who allowed the least (the last digit of its number)\n";
    for lane in &scene.lanes {
        let name = format!("{:>4} ", lane.shard);
        let room = columns.saturating_sub(name.len()).max(1);
        let (doing, bound) = lane_text(lane, scene.seconds(), room);
        text += &format!("{name}{doing}\n     {bound}\n");
    }
    let heading =
        ["shard", "windows", "executing", "exchanging", "waiting", "waits for", "words out", "words in", "MiB"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for (lane, known) in scene.lanes.iter().zip(&report.measured) {
        let figures = &known.figures;
        let [execute, exchange, wait] = lane.computing.map(|share| format!("{:.0} %", share * 100.0));
        let longest = figures.pairs.iter().max_by_key(|(_, pair)| pair.waited_ns).filter(|(_, pair)| pair.waits > 0);
        rows.push(vec![
            lane.shard.to_string(),
            grouped(figures.windows),
            execute,
            exchange,
            wait,
            longest.map_or("-".to_owned(), |(shard, _)| shard.0.to_string()),
            grouped(figures.pairs.values().map(|pair| pair.words_sent).sum()),
            grouped(figures.pairs.values().map(|pair| pair.words_received).sum()),
            grouped(figures.resident_bytes.0 >> 20),
        ]);
    }
    text += &format!("\n{}\n{}\n", table(&rows, &[1, 2, 3, 4, 5, 6, 7, 8]), matrix_text(&report.matrix));
    text + &facts(&ShardsJson::new(report).facts())
}

/// What a shard does most in each column of time, and who bounds it.
fn lane_text(lane: &ShardLane, seconds: f64, columns: usize) -> (String, String) {
    let (mut doing, mut bound) = (String::new(), String::new());
    for column in 0..columns {
        let (from, to) = (column as f64 / columns as f64 * seconds, (column + 1) as f64 / columns as f64 * seconds);
        let inside = |stretch: &&Stretch| stretch.start < to && stretch.end > from;
        let mut times = [0.0; 3];
        let (mut longest, mut who) = (0.0, ' ');
        for stretch in lane.stretches.iter().filter(inside) {
            let part = stretch.end.min(to) - stretch.start.max(from);
            times.iter_mut().zip(stretch.computing).for_each(|(time, share)| *time += part * share);
            if let Some((shard, _)) = stretch.bound.filter(|_| part > longest) {
                longest = part;
                who = char::from_digit(shard % 10, 10).expect("one digit");
            }
        }
        let [execute, exchange, wait] = times;
        doing.push(match () {
            () if execute + exchange + wait == 0.0 => ' ',
            () if execute >= exchange && execute >= wait => '█',
            () if wait >= exchange => '░',
            () => '▒',
        });
        bound.push(who);
    }
    (doing.trim_end().to_owned(), bound.trim_end().to_owned())
}
