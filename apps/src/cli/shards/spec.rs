//! All that a shard needs to know, as files: shard 0 sends them, and no file system has to be shared.

use super::super::compile::machine_ron;
use super::super::failure::{Exit, Failure, SourceText};
use super::super::files::read_bytes;
use super::super::load::{self, GRAPH_FILE, LoadedApp, MACHINE_FILE, Origin};
use super::super::run::Run;
use super::super::session::Session;
use super::super::{builtin, explain, tokens};
use crate::formats;
use crate::pipeline::{Iterations, feed};
use calendars::CalendarSet;
use net_runtime::proto::Hash;
use net_runtime::quic::Files;
use serde::{Deserialize, Serialize};
use sim_core::digest::DigestLevel;
use sim_core::shard::{Partition, ShardId};
use sim_core::{App, ChannelId, IdVec, Machine, NodeId, RunOptions, Ticks};

/// The file with what is not an app, a machine or a calendar.
const RUN_FILE: &str = "run.json";
const CALENDARS_FILE: &str = load::CALENDARS_FILE;
/// Before the name of a fed source: the folder of its tokens.
const INPUT: &str = "input/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunFile {
    app: AppName,
    iterations: u64,
    digest: u8,
    channels: Vec<ChannelId>,
    record: Vec<ChannelId>,
    window: Option<Ticks>,
    partition: IdVec<NodeId, ShardId>,
}

/// Where another process finds the application.
#[derive(Serialize, Deserialize)]
enum AppName {
    /// In the file with the graph.
    Graph,
    /// In the library.
    BuiltIn(String),
    /// In the program itself.
    Own,
}

/// A run as a shard sees it.
pub(super) struct Spec {
    pub(super) app: App,
    pub(super) machine: Machine,
    pub(super) calendars: CalendarSet,
    pub(super) options: RunOptions,
    pub(super) partition: Partition,
}

/// What shard 0 knows, for the others.
pub(super) fn files(
    run: &Run,
    loaded: &LoadedApp,
    machine: &Machine,
    calendars: &CalendarSet,
    options: &RunOptions,
    partition: &Partition,
) -> Result<Files, Failure> {
    let mut files = Files::new();
    let app = match &loaded.origin {
        Origin::File(_) => {
            files.insert(GRAPH_FILE.to_owned(), formats::to_ron(&loaded.app).into_bytes());
            AppName::Graph
        }
        Origin::BuiltIn(name) => AppName::BuiltIn(name.clone()),
        Origin::Own => AppName::Own,
        Origin::Fleet(_) => {
            let message = "a fleet of programs is not run on shards";
            return Err(Failure::new(Exit::Invalid, "usage::fleet_shards", message).help("leave --shards out"));
        }
    };
    let digest = match options.digest {
        DigestLevel::Off => 0,
        DigestLevel::State => 1,
        DigestLevel::Events => 2,
    };
    let described = RunFile {
        app,
        iterations: options.iterations,
        digest,
        channels: options.channels.clone(),
        record: options.record.clone(),
        window: options.window,
        partition: machine.nodes().ids().map(|node| partition.shard_of(node)).collect(),
    };
    files.insert(RUN_FILE.to_owned(), serde_json::to_vec(&described).expect("plain data"));
    files.insert(MACHINE_FILE.to_owned(), machine_ron(machine).into_bytes());
    files.insert(CALENDARS_FILE.to_owned(), calendars::to_ron(calendars).into_bytes());
    for (name, path) in &run.input {
        files.insert(format!("{INPUT}{name}"), read_bytes(path)?);
    }
    Ok(files)
}

/// Hash of everything that is configured.
pub(super) fn configuration(files: &Files) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("tidelock 2026 configuration of a run");
    for (name, content) in files {
        for part in [name.as_bytes(), content] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    *hasher.finalize().as_bytes()
}

/// Reads what [`files`] wrote.
pub(super) fn read(session: &Session, files: &Files) -> Result<Spec, Failure> {
    let text = |name: &str| -> Result<SourceText, Failure> {
        let bytes = files.get(name).ok_or_else(|| broken(name, "it is missing"))?;
        let text = String::from_utf8(bytes.clone()).map_err(|_| broken(name, "it is no text"))?;
        Ok(SourceText { name: name.to_owned(), text })
    };
    let described: RunFile =
        serde_json::from_str(&text(RUN_FILE)?.text).map_err(|error| broken(RUN_FILE, &error.to_string()))?;
    let source = text(MACHINE_FILE)?;
    let spec: sim_core::machine::MachineSpec =
        formats::read_ron(&source.text).map_err(|error| explain::format(&error, &source))?;
    let machine = spec.build().map_err(|error| explain::spec(&error, &source))?;
    let calendars =
        calendars::from_ron(&text(CALENDARS_FILE)?.text).map_err(|error| broken(CALENDARS_FILE, &error.to_string()))?;
    let app = match &described.app {
        AppName::Graph => {
            let source = text(GRAPH_FILE)?;
            formats::read_graph(GRAPH_FILE, source.text.as_bytes()).map_err(|error| explain::format(&error, &source))?
        }
        AppName::BuiltIn(name) => builtin::make(name, Some(&machine))?,
        AppName::Own => match &session.own {
            Some(own) => own()?,
            None => return Err(broken(RUN_FILE, "the application is in another program")),
        },
    };
    let partition = Partition::new(described.partition).map_err(|error| broken(RUN_FILE, &error.to_string()))?;
    if partition.nodes() != machine.nodes().len() {
        return Err(broken(RUN_FILE, "the partition is of another machine"));
    }
    let digest = match described.digest {
        0 => DigestLevel::Off,
        1 => DigestLevel::State,
        _ => DigestLevel::Events,
    };
    let app = fed(&app, files, described.iterations)?;
    let options = RunOptions {
        iterations: described.iterations,
        digest,
        channels: described.channels,
        record: described.record,
        window: described.window,
        ..RunOptions::default()
    };
    Ok(Spec { app, machine, calendars, options, partition })
}

fn fed(app: &App, files: &Files, iterations: u64) -> Result<App, Failure> {
    let mut inputs = Vec::new();
    for (file, bytes) in files {
        let Some(name) = file.strip_prefix(INPUT) else { continue };
        let source = app.actor_named(name).filter(|&actor| app.actors()[actor].fed);
        let channel = source.and_then(|actor| app.outputs(actor).first().copied());
        let channel = channel.ok_or_else(|| broken(file, "there is no such source"))?;
        let words = tokens::from_bytes(&app.channels()[channel], bytes).map_err(|_| broken(file, "a token is cut"))?;
        inputs.push((name, words));
    }
    feed(app, Iterations(iterations), &inputs).map_err(|error| explain::run(&error))
}

fn broken(file: &str, why: &str) -> Failure {
    Failure::new(Exit::Violated, "shard::spec", format!("shard 0 sent a `{file}` that is of no use: {why}"))
}
