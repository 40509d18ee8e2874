//! All that a run is, as files: shard 0 sends them to the others, so that no file system has to be shared, and checkpoints
//! keep them, so that a run goes on from a folder alone.

use super::failure::{Exit, Failure, SourceText};
use super::files::{not_stored, read_bytes};
use super::hosts::{self, Trace};
use super::load::{GRAPH_FILE, LoadedApp, Origin};
use super::run::Run;
use super::session::Session;
use super::tree::{self, Item, Unpacking};
use super::{builtin, explain, tokens};
use crate::formats;
use crate::hosts::Fleet;
use crate::pipeline::{Iterations, feed};
use calendars::CalendarSet;
use net_runtime::engine::Standing;
use net_runtime::proto::Hash;
use net_runtime::quic::Files;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sim_core::digest::{DigestLevel, RunDigest};
use sim_core::engine::{ShardState, Snapshot};
use sim_core::machine::MachineSpec;
use sim_core::shard::{Partition, ShardId};
use sim_core::{App, ChannelId, IdVec, Machine, NodeId, RunOptions, Tick, Ticks};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file with what is not an app, a machine or a calendar.
const RUN_FILE: &str = "run.json";
/// The machine and its calendars: JSON, which is read several times faster than the RON that is meant for people.
const MACHINE_FILE: &str = "machine.json";
const CALENDARS_FILE: &str = "calendars.json";
/// The file with the state from which shards start: run digest, then words.
const STATE_FILE: &str = "state";
/// The text of a fleet.
const FLEET_FILE: &str = "fleet.ron";
/// The files that a fleet wants in working directories.
const FLEET_FILES: &str = "fleet.files";
/// Before the name of a fed source: the folder of its tokens.
pub(crate) const INPUT: &str = "input/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunFile {
    app: AppName,
    iterations: u64,
    digest: u8,
    channels: Vec<ChannelId>,
    record: Vec<ChannelId>,
    window: Option<Ticks>,
    trace: Trace,
    /// Who executes what, where that is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<ShardsFile>,
}

/// What shards must know besides the run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardsFile {
    partition: IdVec<NodeId, ShardId>,
    /// Ticks from one checkpoint to the next.
    every: Option<Ticks>,
    /// The folder of the checkpoints, where shard 0 is.
    checkpoints: PathBuf,
    /// Where the run, which is executed again, stood before.
    again: Option<(Tick, Hash)>,
}

/// How shards execute a run.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    pub(crate) partition: Partition,
    /// Ticks from one checkpoint to the next.
    pub(crate) every: Option<Ticks>,
    /// The folder of the checkpoints, where shard 0 is.
    pub(crate) checkpoints: PathBuf,
    /// Where they start, if not at tick 0.
    pub(crate) start: Option<Standing>,
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
    /// In the file with the fleet, which was at this path: the names in it start there. Programs are files of every host.
    Fleet(PathBuf),
}

/// A run as its files say.
pub(crate) struct Spec {
    pub(crate) loaded: LoadedApp,
    /// The files that a fleet wants in working directories.
    pub(crate) fleet: Option<FleetFiles>,
    /// The application with its sources fed.
    pub(crate) app: App,
    pub(crate) machine: Machine,
    pub(crate) calendars: CalendarSet,
    pub(crate) options: RunOptions,
    /// What is written down of system calls.
    pub(crate) trace: Trace,
    pub(crate) shards: Option<Shards>,
}

/// The files that a fleet wants in working directories, by number in [`Fleet::files`].
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FleetFiles(Vec<(u32, Item)>);

impl FleetFiles {
    fn pack(fleet: &Fleet) -> Result<Self, Failure> {
        let mut items = Vec::new();
        for (number, path) in (0..).zip(fleet.files()) {
            tree::pack(path, &mut |item| items.push((number, item))).map_err(|error| tree::unreadable(path, &error))?;
        }
        Ok(Self(items))
    }

    /// Writes them into `folder`, and says where each is.
    pub(crate) fn unpack(&self, fleet: &Fleet, folder: &Path) -> Result<BTreeMap<PathBuf, PathBuf>, Failure> {
        let place = |number: u32| folder.join(number.to_string());
        let mut unpacking: BTreeMap<u32, Unpacking> = BTreeMap::new();
        for (number, item) in &self.0 {
            let unpacking = unpacking.entry(*number).or_insert_with(|| Unpacking::new(place(*number)));
            unpacking.put(item.clone()).map_err(|error| not_stored(folder, &error))?;
        }
        unpacking.into_values().try_for_each(Unpacking::finish).map_err(|error| not_stored(folder, &error))?;
        Ok(fleet.files().into_iter().map(Path::to_owned).zip((0..).map(place)).collect())
    }
}

/// The files of a run; those that a fleet wants in working directories as they are, or as a checkpoint has `kept` them.
pub(crate) fn files(
    run: &Run,
    loaded: &LoadedApp,
    machine: &Machine,
    calendars: &CalendarSet,
    options: &RunOptions,
    shards: Option<&Shards>,
    kept: Option<&FleetFiles>,
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
            let packed = match kept {
                Some(kept) => postcard::to_stdvec(kept),
                None => postcard::to_stdvec(&FleetFiles::pack(fleet)?),
            };
            let packed = packed.expect("plain data has a form");
            files.insert(FLEET_FILE.to_owned(), source.text.clone().into_bytes());
            files.insert(FLEET_FILES.to_owned(), packed);
            AppName::Fleet(std::path::absolute(&source.name).unwrap_or_else(|_| source.name.clone().into()))
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
        trace: run.trace,
        shards: shards.map(|shards| ShardsFile {
            partition: machine.nodes().ids().map(|node| shards.partition.shard_of(node)).collect(),
            every: shards.every,
            checkpoints: shards.checkpoints.clone(),
            again: match &shards.start {
                Some(Standing::Opaque { tick, digest }) => Some((*tick, *digest.chain())),
                Some(Standing::State(_)) | None => None,
            },
        }),
    };
    if let Some(Standing::State(snapshot)) = shards.and_then(|shards| shards.start.as_ref()) {
        let words = snapshot.state.to_words().into_iter().flat_map(u64::to_le_bytes);
        files.insert(STATE_FILE.to_owned(), snapshot.digest.chain().iter().copied().chain(words).collect());
    }
    files.insert(RUN_FILE.to_owned(), serde_json::to_vec(&described).expect("plain data"));
    files.insert(MACHINE_FILE.to_owned(), serde_json::to_vec(&MachineSpec::of(machine)).expect("plain data"));
    files.insert(CALENDARS_FILE.to_owned(), serde_json::to_vec(calendars).expect("plain data"));
    for (name, path) in &run.input {
        files.insert(format!("{INPUT}{name}"), read_bytes(path)?);
    }
    Ok(files)
}

/// The names of the sources that `files` have tokens for.
pub(crate) fn inputs(files: &Files) -> impl Iterator<Item = &str> {
    files.keys().filter_map(|file| file.strip_prefix(INPUT))
}

/// Hash of everything that is configured.
pub(crate) fn configuration(files: &Files) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("tidelock 2026 configuration of a run");
    for (name, content) in files {
        for part in [name.as_bytes(), content] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    *hasher.finalize().as_bytes()
}

fn bytes<'f>(files: &'f Files, name: &str) -> Result<&'f [u8], Failure> {
    files.get(name).map(Vec::as_slice).ok_or_else(|| broken(name, "it is missing"))
}

fn json<T: DeserializeOwned>(files: &Files, name: &str) -> Result<T, Failure> {
    serde_json::from_slice(bytes(files, name)?).map_err(|error| broken(name, &error.to_string()))
}

/// Reads what [`files`] wrote.
pub(crate) fn read(session: &Session, files: &Files) -> Result<Spec, Failure> {
    let text = |name: &str| -> Result<SourceText, Failure> {
        let text = String::from_utf8(bytes(files, name)?.to_vec()).map_err(|_| broken(name, "it is no text"))?;
        Ok(SourceText { name: name.to_owned(), text })
    };
    let described: RunFile = json(files, RUN_FILE)?;
    let spec: MachineSpec = json(files, MACHINE_FILE)?;
    let machine = spec.build().map_err(|error| broken(MACHINE_FILE, &error.to_string()))?;
    let calendars: CalendarSet = json(files, CALENDARS_FILE)?;
    if calendars.version != CalendarSet::VERSION {
        return Err(broken(CALENDARS_FILE, "it has another version"));
    }
    let mut fleet_files = None;
    let (app, origin) = match described.app {
        AppName::Graph => {
            let source = text(GRAPH_FILE)?;
            let app = formats::read_graph(GRAPH_FILE, source.text.as_bytes());
            (app.map_err(|error| explain::format(&error, &source))?, Origin::File(source))
        }
        AppName::BuiltIn(name) => (builtin::make(&name, Some(&machine))?, Origin::BuiltIn(name)),
        AppName::Own => match &session.own {
            Some(own) => (own()?, Origin::Own),
            None => return Err(broken(RUN_FILE, "the application is in another program")),
        },
        AppName::Fleet(path) => {
            let source = SourceText { name: path.display().to_string(), ..text(FLEET_FILE)? };
            let packed = postcard::from_bytes(bytes(files, FLEET_FILES)?)
                .map_err(|error| broken(FLEET_FILES, &error.to_string()))?;
            fleet_files = Some(packed);
            let fleet = hosts::fleet(&source, &hosts::folder(&source), &machine)?;
            (fleet.app().clone(), Origin::Fleet(source, Box::new(fleet)))
        }
    };
    let digest = match described.digest {
        0 => DigestLevel::Off,
        1 => DigestLevel::State,
        _ => DigestLevel::Events,
    };
    let fed = fed(&app, files, described.iterations)?;
    let options = RunOptions {
        iterations: described.iterations,
        digest,
        channels: described.channels,
        record: described.record,
        window: described.window,
        ..RunOptions::default()
    };
    let start = files.get(STATE_FILE).map(|bytes| state(bytes, &options, calendars.identity(&machine))).transpose()?;
    let shards = described.shards.map(|shards| self::shards(shards, &machine, digest, start)).transpose()?;
    let (loaded, fleet, trace) = (LoadedApp { app, origin }, fleet_files, described.trace);
    Ok(Spec { loaded, fleet, app: fed, machine, calendars, options, trace, shards })
}

fn shards(file: ShardsFile, machine: &Machine, level: DigestLevel, start: Option<Snapshot>) -> Result<Shards, Failure> {
    let ShardsFile { partition, every, checkpoints, again } = file;
    let partition = Partition::new(partition).map_err(|error| broken(RUN_FILE, &error.to_string()))?;
    if partition.nodes() != machine.nodes().len() {
        return Err(broken(RUN_FILE, "the partition is of another machine"));
    }
    let again = again.map(|(tick, chain)| Standing::Opaque { tick, digest: RunDigest::resumed(level, chain) });
    Ok(Shards { partition, every, checkpoints, start: start.map(|state| Standing::State(Box::new(state))).or(again) })
}

fn state(bytes: &[u8], options: &RunOptions, identity: Hash) -> Result<Snapshot, Failure> {
    let read = || {
        let (chain, words) = bytes.split_first_chunk::<32>()?;
        let (words, rest) = words.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let state = ShardState::from_words(&words).filter(|_| rest.is_empty())?;
        let digest = RunDigest::resumed(options.digest, *chain);
        Some(Snapshot { identity, iterations: options.iterations, digest, state })
    };
    read().ok_or_else(|| broken(STATE_FILE, "it is no state of a run"))
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

/// A file of a run that cannot be read.
pub(crate) fn broken(file: &str, why: &str) -> Failure {
    Failure::new(Exit::Violated, "shard::spec", format!("the file `{file}` of the run is of no use: {why}"))
}
