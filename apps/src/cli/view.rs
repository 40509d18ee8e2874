//! `view`: pictures of calendars, machines and sharded runs, as files or in the terminal.

use super::failure::{Exit, Failure};
use super::load;
use super::prepare::{PrepareArgs, Prepared};
use super::session::{Session, table};
use super::view_json::{CalendarJson, TopologyJson};
use super::view_shards::ShardsDrawing;
use crate::pictures::{self, CalendarScene, Format, FrameChannels, Layout, PictureError, TopologyScene};
use calendars::gantt;
use clap::{Args, Subcommand};
use sim_core::{Id, Machine};
use std::path::PathBuf;

/// Draw calendars, a machine, or a sharded run, into a file or as text
#[derive(Args, Debug)]
pub(crate) struct View {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// What every node and link does in each slot of a metacycle
    Calendar(Drawing),
    /// Nodes and links; with an application, how busy they are
    Topology(Drawing),
    Shards(ShardsDrawing),
}

#[derive(Args, Debug)]
struct Drawing {
    #[command(flatten)]
    what: PrepareArgs,
    /// Picture to write, .svg or .png [default: text in the terminal]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Columns of the text [default: those of the terminal, or 100]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(20..))]
    width: Option<u16>,
}

impl View {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        match &self.what {
            What::Calendar(drawing) => drawing.calendar(session)?,
            What::Topology(drawing) => drawing.topology(session)?,
            What::Shards(drawing) => drawing.run(session)?,
        }
        Ok(None)
    }
}

impl Drawing {
    /// Finds out before any work that the picture cannot be drawn.
    fn check_output(&self) -> Result<(), Failure> {
        match &self.output {
            Some(path) => Format::of(path).map(|_| ()).map_err(|error| picture(&error)),
            None => Ok(()),
        }
    }

    fn calendar(&self, session: &Session) -> Result<(), Failure> {
        self.check_output()?;
        let Prepared { loaded, machine, calendars, verified, .. } = self.what.prepare(session, false)?;
        let verified = verified.expect("only runs let go of it");
        let scene = || {
            let frames = FrameChannels::new(&machine, &calendars, &verified);
            CalendarScene::new(&loaded.app, &machine, &calendars, &frames)
        };
        if let Some(path) = &self.output {
            let files = pictures::calendar(&scene(), path).map_err(|error| picture(&error))?;
            return report(session, &files);
        }
        let text = || gantt::text(&loaded.app, &machine, &calendars, &verified, self.columns(), Session::colour());
        if session.is_json() {
            return super::session::print_json(&CalendarJson::new(&scene()));
        }
        super::session::print(&text())
    }

    fn topology(&self, session: &Session) -> Result<(), Failure> {
        self.check_output()?;
        let with_app = self.what.names_app() || self.what.calendars.is_some();
        let (machine, calendars) = if with_app || session.own.is_some() && self.what.machine.machine.is_some() {
            let prepared = self.what.prepare(session, false)?;
            (prepared.machine, Some(prepared.calendars))
        } else {
            (load::machine(&self.what.machine, None)?, None)
        };
        let scene = TopologyScene::new(&machine, calendars.as_ref(), Layout::of(&machine));
        if let Some(path) = &self.output {
            let file = pictures::topology(&scene, path).map_err(|error| picture(&error))?;
            return report(session, &[file]);
        }
        session.print(|| topology_text(&machine, &scene, calendars.is_some()), &TopologyJson::new(&machine, &scene))
    }

    fn columns(&self) -> usize {
        let terminal = || terminal_size::terminal_size().map(|(width, _)| width.0);
        usize::from(self.width.or_else(terminal).unwrap_or(100))
    }
}

/// Names the files that were written.
pub(crate) fn report(session: &Session, files: &[PathBuf]) -> Result<(), Failure> {
    #[derive(serde::Serialize)]
    struct Files<'a> {
        files: &'a [PathBuf],
    }
    let lines = || files.iter().map(|file| format!("{}\n", file.display())).collect();
    session.print(lines, &Files { files })
}

/// A picture that was not drawn.
pub(crate) fn picture(error: &PictureError) -> Failure {
    match error {
        PictureError::Extension { .. } => Failure::new(Exit::Invalid, "picture::extension", error.to_string())
            .help("or leave out -o for text in the terminal"),
        PictureError::Write { path, source } => super::files::not_stored(path, source),
        PictureError::Encode { .. } => {
            Failure::new(Exit::Storage, "picture::not_written", super::explain::sentence(error))
        }
    }
}

/// A line per node, with where its links lead; `busy` says whether something runs there.
fn topology_text(machine: &Machine, scene: &TopologyScene, busy: bool) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let mut rows = vec![vec!["node".to_owned(), "cores".to_owned()]];
    rows[0].extend(busy.then(|| "busy".to_owned()));
    rows[0].push("links to (latency in ticks)".to_owned());
    for ((id, node), shown) in machine.nodes().iter().zip(&scene.nodes) {
        let links = machine.outgoing(id).iter().map(|&link| {
            let ends = &machine.links()[link];
            let used = if busy { format!(" {}", percent(scene.links[link.index()].busy)) } else { String::new() };
            format!("{} ({}){used}", machine.nodes()[ends.target].name, ends.latency.0)
        });
        let cores = if node.cores == 0 { "switch".to_owned() } else { node.cores.to_string() };
        let mut row = vec![node.name.to_string(), cores];
        row.extend(busy.then(|| percent(shown.busy)));
        row.push(links.collect::<Vec<_>>().join(", "));
        rows.push(row);
    }
    format!("{}\n{}\n\n{}", scene.title, scene.subtitle, table(&rows, if busy { &[1, 2] } else { &[1] }))
}
