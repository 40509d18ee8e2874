//! All that a shard needs to know, as files: shard 0 sends them, and no file system has to be shared.

use super::super::compile::machine_ron;
use super::super::failure::{Exit, Failure, SourceText};
use super::super::files::{not_stored, read_bytes};
use super::super::hosts::{self, Trace};
use super::super::load::{self, GRAPH_FILE, LoadedApp, MACHINE_FILE, Origin};
use super::super::run::Run;
use super::super::session::Session;
use super::super::{builtin, explain, tokens};
use super::tree::{self, Item, Unpacking};
use crate::formats;
use crate::hosts::Fleet;
use crate::pipeline::{Iterations, feed};
use calendars::CalendarSet;
use net_runtime::proto::Hash;
use net_runtime::quic::Files;
use serde::{Deserialize, Serialize};
use sim_core::digest::DigestLevel;
use sim_core::shard::{Partition, ShardId};
use sim_core::{App, ChannelId, IdVec, Machine, NodeId, RunOptions, Ticks};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file with what is not an app, a machine or a calendar.
const RUN_FILE: &str = "run.json";
const CALENDARS_FILE: &str = load::CALENDARS_FILE;
/// The text of a fleet.
const FLEET_FILE: &str = "fleet.ron";
/// The files that a fleet wants in working directories.
const FLEET_FILES: &str = "fleet.files";
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
    trace: Trace,
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
    /// In the file with the fleet, whose commands start from this folder. Programs are files of every host.
    Fleet(PathBuf),
}

/// A run as a shard sees it.
pub(super) struct Spec {
    pub(super) app: App,
    pub(super) fleet: Option<FleetSpec>,
    pub(super) machine: Machine,
    pub(super) calendars: CalendarSet,
    pub(super) options: RunOptions,
    pub(super) partition: Partition,
}

/// A fleet as a shard sees it.
pub(super) struct FleetSpec {
    pub(super) fleet: Fleet,
    pub(super) trace: Trace,
    /// By number in [`Fleet::files`].
    pub(super) files: Vec<(u32, Item)>,
}

impl FleetSpec {
    fn read(
        files: &Files,
        source: &SourceText,
        folder: &Path,
        machine: &Machine,
        trace: Trace,
    ) -> Result<Self, Failure> {
        let bytes = files.get(FLEET_FILES).ok_or_else(|| broken(FLEET_FILES, "it is missing"))?;
        let files = postcard::from_bytes(bytes).map_err(|error| broken(FLEET_FILES, &error.to_string()))?;
        Ok(Self { fleet: hosts::fleet(source, folder, machine)?, trace, files })
    }
}

impl FleetSpec {
    /// Writes the files that nodes want into `folder`, and says where each is.
    pub(super) fn unpack(&self, folder: &Path) -> Result<impl Fn(&Path) -> PathBuf + use<>, Failure> {
        let place = |number: u32| folder.join(number.to_string());
        let mut unpacking: BTreeMap<u32, Unpacking> = BTreeMap::new();
        for (number, item) in &self.files {
            let unpacking = unpacking.entry(*number).or_insert_with(|| Unpacking::new(place(*number)));
            unpacking.put(item.clone()).map_err(|error| not_stored(folder, &error))?;
        }
        unpacking.into_values().try_for_each(Unpacking::finish).map_err(|error| not_stored(folder, &error))?;
        let known: BTreeMap<PathBuf, PathBuf> =
            self.fleet.files().into_iter().map(Path::to_owned).zip((0..).map(place)).collect();
        Ok(move |path: &Path| known.get(path).cloned().unwrap_or_else(|| path.to_owned()))
    }
}

/// All files that a fleet wants in working directories.
fn fleet_files(fleet: &Fleet) -> Result<Vec<u8>, Failure> {
    let mut files: Vec<(u32, Item)> = Vec::new();
    for (number, path) in (0..).zip(fleet.files()) {
        tree::pack(path, &mut |item| files.push((number, item))).map_err(|error| tree::unreadable(path, &error))?;
    }
    Ok(postcard::to_stdvec(&files).expect("plain data has a form"))
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
        Origin::Fleet(source, fleet) => {
            files.insert(FLEET_FILE.to_owned(), source.text.clone().into_bytes());
            files.insert(FLEET_FILES.to_owned(), fleet_files(fleet)?);
            AppName::Fleet(hosts::folder(source))
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
        trace: run.trace,
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
    let mut fleet = None;
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
        AppName::Fleet(folder) => {
            let spec = FleetSpec::read(files, &text(FLEET_FILE)?, folder, &machine, described.trace)?;
            fleet.insert(spec).fleet.app().clone()
        }
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
    Ok(Spec { app, fleet, machine, calendars, options, partition })
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
