//! `run`: compiles (or loads calendars), executes, and keeps what came out.

use super::checkpoint::{CheckpointArgs, Keeper, Resumed, Stopped, Store};
use super::coupled::{Carried, CarriedJson, Coupled};
use super::failure::{Exit, Failure};
use super::hosts::{self, NodeFolders};
use super::partition::matrix_text;
use super::prepare::{PrepareArgs, Prepared};
use super::progress::Display;
use super::results::{self, Place, Results};
use super::session::{Object, Session, counted, facts, grouped, iterations, scaled, table, ticks};
use super::shards::{self, ShardsJson};
use super::spec::FleetFiles;
use super::{channels, explain, files, spec, tokens};
use crate::pipeline::{Iterations, RunError, feed, recorded};
use crate::sharding::ShardsReport;
use calendars::CalendarSet;
use net_runtime::engine::Standing;
use net_runtime::quic::Files;
use serde::Serialize;
use sim_core::digest::DigestLevel;
use sim_core::engine::{Engine, EngineError};
use sim_core::program::Program;
use sim_core::shard::{Carrier, Partition};
use sim_core::{ActorState, App, ChannelId, Id, Outcome, RunOptions, Tick};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Execute an application on a machine, frame by frame
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) what: PrepareArgs,
    /// Number of iterations of the graph; a fleet of programs says itself how long it runs
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) iterations: Option<u64>,
    /// What is written down of the system calls of a fleet's programs
    #[arg(long, value_enum, default_value_t)]
    pub(crate) trace: hosts::Trace,
    /// Clocks that carry the run (RON or JSON): they are booted, and every buffer is watched; without --machine the
    /// application is compiled for the machine that they make. If a buffer fails, threads execute up to that tick, shards nothing
    #[arg(long, value_name = "SPEC")]
    pub(crate) clocks: Option<PathBuf>,
    /// Channels whose tokens are digested: `all`, `none`, or names [default: all up to 10 000 channels, else none]
    #[arg(long, value_name = "all|none|NAME,…")]
    channels: Option<String>,
    /// What the run digest covers
    #[arg(long, value_enum, default_value_t = Level::State)]
    digest: Level,
    /// Channels whose tokens are kept beside the summary, as CSV and binary
    #[arg(long, value_name = "NAME,…")]
    pub(crate) record: Option<String>,
    /// Tokens for a declared source: a file of values, little-endian, one after the other
    #[arg(long, value_name = "NAME=FILE", value_parser = input)]
    pub(crate) input: Vec<(String, PathBuf)>,
    /// Run as so many processes on this host, which exchange words over QUIC
    #[arg(long, value_name = "COUNT", conflicts_with = "threads", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) shards: Option<u32>,
    /// Partition file (RON) that says which shard executes which node; `tidelock partition` writes one
    #[arg(long, value_name = "FILE", conflicts_with = "threads")]
    pub(crate) partition: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) patience: shards::Patience,
    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,
    /// Results go into this new directory [default: a new one below `out`; none with --format json]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Keep no results
    #[arg(long, conflicts_with_all = ["output", "record"])]
    no_results: bool,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Threads to use at most; fewer are used where more would not pay [default: all cores]
    #[arg(short, long, value_name = "COUNT")]
    pub(crate) threads: Option<NonZeroU32>,
}

/// Levels of the run digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Level {
    /// The machine's state at the end of every epoch
    State,
    /// Every firing with its words, every frame
    Events,
    /// Nothing
    Off,
}

impl From<DigestLevel> for Level {
    fn from(level: DigestLevel) -> Self {
        match level {
            DigestLevel::State => Self::State,
            DigestLevel::Events => Self::Events,
            DigestLevel::Off => Self::Off,
        }
    }
}

impl From<Level> for DigestLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::State => Self::State,
            Level::Events => Self::Events,
            Level::Off => Self::Off,
        }
    }
}

/// How many threads to use: those that are asked for, else one per core.
pub(crate) fn threads(asked: Option<NonZeroU32>) -> u32 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    asked.map_or_else(cores, NonZeroU32::get)
}

/// Channels up to which all are digested without being asked.
const CHANNELS_MAX: usize = 10_000;

pub(crate) fn input(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write it like `mic=samples.f32`".to_owned()),
    }
}

/// What an engine needs.
pub(crate) struct Ready<'a> {
    pub(crate) run: &'a Run,
    pub(crate) app: &'a App,
    pub(crate) program: &'a Program,
    pub(crate) options: &'a RunOptions,
    /// Clocks that run beside.
    pub(crate) coupled: Option<Coupled>,
    /// Where the nodes of a fleet get their directories.
    pub(crate) nodes: Option<&'a NodeFolders>,
    /// The files that its programs want in working directories, if a checkpoint has kept them.
    pub(crate) fleet: Option<&'a FleetFiles>,
    /// Where it starts, if not at tick 0.
    pub(crate) start: Option<&'a Standing>,
    /// Makes the place for its checkpoints.
    pub(crate) store: &'a dyn Fn() -> Result<Store, Failure>,
}

/// What a run is made of.
struct Inputs {
    prepared: Prepared,
    /// The application with its sources fed.
    app: App,
    options: RunOptions,
    coupled: Option<Coupled>,
    /// What it goes on from, if that is a checkpoint.
    resumed: Option<Known>,
}

/// What a checkpoint knows of a run.
struct Known {
    start: Option<Standing>,
    files: Files,
    /// The files that a fleet wants in working directories.
    fleet: Option<FleetFiles>,
}

/// What came of a run, also if it failed.
pub(crate) struct Executed {
    pub(crate) outcome: Outcome,
    pub(crate) failure: Option<Failure>,
    /// Threads of this process that executed.
    pub(crate) workers: usize,
    /// Bytes of the engine in this process.
    pub(crate) bytes: usize,
    /// Further files for the results.
    pub(crate) files: Vec<(&'static str, String)>,
    /// What became of the clocks that ran beside.
    pub(crate) clocks: Option<CarriedJson>,
    /// What shards have measured.
    pub(crate) shards: Option<ShardsReport>,
}

/// The application with its sources fed from files, by name.
pub(crate) fn fed(app: &App, iterations: Iterations, input: &[(String, PathBuf)]) -> Result<App, Failure> {
    let mut inputs = Vec::new();
    for (name, path) in input {
        let source = app.actor_named(name).filter(|&actor| app.actors()[actor].fed);
        let Some(&channel) = source.and_then(|actor| app.outputs(actor).first()) else {
            return Err(explain::run(&RunError::NoSuchInput { name: name.clone() }));
        };
        let bytes = files::read_bytes(path)?;
        let words = tokens::from_bytes(&app.channels()[channel], &bytes).map_err(|size| {
            let file = path.display();
            let message = format!("`{file}` has {} bytes, source `{name}` takes tokens of {size}", bytes.len());
            Failure::new(Exit::Invalid, "run::fed_part", message).help("cut the file off after a whole token")
        })?;
        inputs.push((name.as_str(), words));
    }
    feed(app, iterations, &inputs).map_err(|error| explain::run(&error))
}

/// A run that came to its end.
#[derive(Serialize)]
pub(crate) struct RunJson<'a> {
    app: &'a str,
    machine: &'a str,
    iterations: u64,
    ticks: i64,
    iteration_period: String,
    stream_digest: Option<String>,
    digest: String,
    channels: Object<&'a str, ChannelJson>,
    recorded: Vec<&'a str>,
    compile_seconds: f64,
    seconds: f64,
    ticks_per_second: f64,
    node_ticks_per_second: f64,
    pub(crate) threads: usize,
    pub(crate) engine_bytes_per_node: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<ResumedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clocks: Option<CarriedJson>,
    /// How it was divided, and what that cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<ShardsJson>,
    /// What became of a fleet's programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hosts: Option<Vec<hosts::HostJson>>,
    pub(crate) directory: Option<PathBuf>,
}

/// Where a run went on.
#[derive(Serialize)]
pub(crate) struct ResumedJson {
    /// The tick of the checkpoint; 0 if there was none.
    checkpoint_tick: i64,
    /// The first tick that was executed.
    from_tick: i64,
    /// Whose state cannot be copied out, so that all was executed again.
    opaque: Vec<String>,
}

#[derive(Serialize)]
struct ChannelJson {
    tokens: u64,
    digest: String,
}

impl Run {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        // A file that is not there is told when it is read.
        let there = self.what.app.graph.as_ref().is_none_or(|path| path.exists());
        let known = self.iterations.is_some() || self.checkpoint.resume.is_some();
        if !known && there && hosts::fleet_source(self.what.app.graph.as_deref())?.is_none() {
            let failure = Failure::new(Exit::Invalid, "usage::arguments", "the number of iterations is not given");
            return Err(failure.help("add --iterations, such as --iterations 100"));
        }
        match self.shards {
            None if self.partition.is_some() => {
                let failure = Failure::new(Exit::Invalid, "usage::arguments", "a partition is for shards");
                Err(failure.help("add --shards with the number of lists in the file"))
            }
            Some(shards) => shards::local(session, self, shards),
            None => {
                self.patience.refuse()?;
                self.execute(session, |prepared, ready, display| self.on_threads(prepared, ready, display))
            }
        }
    }

    /// The same run; if `quiet`, whoever started it shows how far it is.
    pub(crate) fn quietly(&self, quiet: bool) -> Self {
        Self { quiet: self.quiet || quiet, ..self.clone() }
    }

    /// Prepares a run, has it executed by `execute`, and keeps what came out.
    pub(crate) fn execute(
        &self,
        session: &Session,
        execute: impl FnOnce(&Prepared, &mut Ready<'_>, &mut Display) -> Result<Executed, Failure>,
    ) -> Result<Option<Exit>, Failure> {
        let place = self.place(session)?;
        let (run, inputs) = match &self.checkpoint.resume {
            Some(folder) => self.resumed(session, folder)?,
            None => (self.clone(), self.inputs(session, place.is_some())?),
        };
        run.carry_out(session, place, inputs, execute)
    }

    /// What the arguments say.
    fn inputs(&self, session: &Session, keep: bool) -> Result<Inputs, Failure> {
        let mut coupled = self.clocks.as_deref().map(|spec| Coupled::boot(session, spec)).transpose()?;
        let prepared = self.prepare(session, coupled.as_mut(), keep)?;
        let own = || prepared.loaded.fleet().map(|fleet| fleet.iterations(&prepared.calendars));
        let iterations = self.iterations.or_else(own).unwrap_or_default();
        let app = fed(&prepared.loaded.app, Iterations(iterations), &self.input)?;
        let options = RunOptions { iterations, ..self.options(&app, keep)? };
        Ok(Inputs { prepared, app, options, coupled, resumed: None })
    }

    /// What the files of a checkpoint say, and the arguments that would have said so.
    fn resumed(&self, session: &Session, folder: &Path) -> Result<(Self, Inputs), Failure> {
        let begin = Instant::now();
        let Resumed { spec, files, start } = Resumed::load(session, folder, &shards::build()?)?;
        let spec::Spec { loaded, fleet, app, machine, calendars, options, trace, .. } = spec;
        let verified = calendars::verify(&app, &machine, &calendars)
            .map_err(|violations| explain::violations(&violations, &app, &machine, &folder.display().to_string()))?;
        let names = |channels: &[ChannelId]| {
            let names: Vec<&str> = channels.iter().map(|&id| app.channels()[id].name.as_str()).collect();
            names.join(",")
        };
        let channels = match options.channels.len() {
            0 => "none".to_owned(),
            count if count == app.channels().len() => "all".to_owned(),
            _ => names(&options.channels),
        };
        let run = Self {
            iterations: Some(options.iterations),
            trace,
            channels: Some(channels),
            digest: options.digest.into(),
            record: (!options.record.is_empty()).then(|| names(&options.record)),
            input: spec::inputs(&files).map(|name| (name.to_owned(), Store::input(folder, name))).collect(),
            ..self.clone()
        };
        let took = begin.elapsed();
        let prepared =
            Prepared { loaded, machine, calendars, verified: Some(verified), report: None, schedule: None, took };
        let resumed = Some(Known { start, files, fleet });
        Ok((run, Inputs { prepared, app, options, coupled: None, resumed }))
    }

    /// Has a run executed by `execute`, and keeps what came out.
    fn carry_out(
        &self,
        session: &Session,
        place: Option<Place>,
        inputs: Inputs,
        execute: impl FnOnce(&Prepared, &mut Ready<'_>, &mut Display) -> Result<Executed, Failure>,
    ) -> Result<Option<Exit>, Failure> {
        let Inputs { mut prepared, app, options, coupled, resumed } = inputs;
        if !results::draws_calendars(&prepared.machine) {
            prepared.verified = None;
        }
        let fleet = prepared.loaded.fleet();
        let results = place.map(|place| Results::create(&place, &prepared)).transpose()?;
        let kept = resumed.as_ref().and_then(|known| known.fleet.as_ref());
        let nodes =
            fleet.map(|fleet| NodeFolders::new(results.as_ref().map(Results::path), fleet, kept)).transpose()?;
        let program = calendars::lower(&app, &prepared.machine, &prepared.calendars)
            .map_err(|error| explain::run(&RunError::from(error)))?;
        let quiet = self.quiet || session.is_json();
        let mut display = Display::new(quiet, prepared.machine.nodes().len());
        let start = resumed.as_ref().and_then(|known| known.start.as_ref());
        let store = || {
            let Prepared { loaded, machine, calendars, .. } = &prepared;
            let files = match &resumed {
                Some(known) => known.files.clone(),
                None => spec::files(self, loaded, machine, calendars, &options, None, None)?,
            };
            Store::new(&self.checkpoint_folder(), &files, options.iterations, *program.identity(), shards::build()?)
        };
        let (app, program, options, nodes) = (&app, &program, &options, nodes.as_ref());
        let mut ready = Ready { run: self, app, program, options, coupled, nodes, fleet: kept, start, store: &store };
        let mut executed = execute(&prepared, &mut ready, &mut display)?;
        let hosts =
            fleet.zip(nodes).map(|(fleet, nodes)| hosts::conclude(session, fleet, nodes, &mut executed.failure));
        let json = resumed.as_ref().map(|known| ResumedJson::new(known.start.as_ref(), app));
        // Shards execute from when all of them stand ready.
        let together = executed.shards.as_ref().map(|shards| Duration::from_secs_f64(shards.rates.seconds));
        let took = together.unwrap_or_else(|| display.elapsed());
        let mut json = summary(&prepared, app, &executed.outcome, took, json);
        json.threads = executed.workers;
        json.engine_bytes_per_node = executed.bytes as f64 / prepared.machine.nodes().len() as f64;
        (json.clocks, json.hosts) = (executed.clocks, hosts);
        json.shards = executed.shards.as_ref().map(ShardsJson::new);
        if let Some(results) = results {
            for (name, content) in executed.files {
                results.add(name, content)?;
            }
            if let Some(report) = &executed.shards {
                results.add(shards::REPORT_FILE, serde_json::to_string(report).expect("figures are plain data"))?;
            }
            // What was observed before a failure is kept as well.
            let failure = executed.failure.as_ref();
            let directory = results.finish(session, self, &prepared, &executed.outcome, &json, failure)?;
            if !session.is_json() {
                session.talk(format_args!("results in {}", directory.display()));
            }
            json.directory = Some(directory);
        }
        match executed.failure {
            Some(failure) => Err(failure),
            None => session.print(|| text(&json), &json).map(|()| None),
        }
    }

    /// Application and calendars, for the machine that clocks make if no other is named.
    fn prepare(&self, session: &Session, coupled: Option<&mut Coupled>, listed: bool) -> Result<Prepared, Failure> {
        let Some(coupled) = coupled else { return self.what.prepare(session, listed) };
        if self.what.machine.machine.is_none() && self.what.calendars.is_none() {
            return self.what.prepare_for(session, coupled.machine.clone(), listed);
        }
        let prepared = self.what.prepare(session, listed)?;
        coupled.carry_machine(&prepared.machine)?;
        Ok(prepared)
    }

    /// Executes on threads of this process, with the clocks running beside if they are asked for.
    fn on_threads(
        &self,
        prepared: &Prepared,
        ready: &mut Ready<'_>,
        display: &mut Display,
    ) -> Result<Executed, Failure> {
        let failed = |error: EngineError| explain::run(&error.into());
        let Prepared { loaded, machine, calendars, .. } = prepared;
        let partition = match loaded.fleet() {
            // How long programs run is in no calendar: how many threads pay is for the user to say.
            Some(_) => {
                let threads = self.threads.map_or(1, NonZeroU32::get);
                Partition::balanced(machine, ready.program, threads, Carrier::Memory)
            }
            None => Partition::worthwhile(machine, ready.program, threads(self.threads)),
        };
        if let Some((fleet, nodes)) = loaded.fleet().zip(ready.nodes) {
            let worker = |node| Some(partition.shard_of(node).index());
            hosts::begin(fleet, calendars, nodes, ready.run.trace, &worker).map_err(hosts::not_begun)?;
        }
        let mut engine = match ready.start {
            Some(Standing::State(snapshot)) => {
                Engine::resume(ready.app, ready.program, ready.options, &partition, snapshot)
            }
            Some(Standing::Opaque { .. }) | None => {
                Engine::parallel(ready.app, ready.program, ready.options, &partition)
            }
        }
        .map_err(failed)?;
        let carried = ready.coupled.take().map(|coupled| coupled.carry(engine.progress().end)).transpose()?;
        let stop = carried.as_ref().and_then(|carried| carried.run.fault).map(|fault| fault.tick);
        let window = engine.window_metacycles();
        let driven = match (stop, &carried) {
            // Up to the tick in which a buffer fails the run is what it would be without clocks.
            (Some(tick), _) => engine.advance(metacycles_before(tick, &prepared.calendars)).map(|_| ()).map_err(failed),
            (None, Some(_)) => display.drive(window, |metacycles| engine.advance(metacycles)).map_err(failed),
            (None, None) => {
                let every = self.checkpoint.checkpoint_every;
                let mut keeper = Keeper::new(every, prepared.calendars.metacycle, ready.start, ready.store)?;
                display.drive(window, |metacycles| keeper.step(&mut engine, metacycles)).map_err(
                    |stopped| match stopped {
                        Stopped::Engine(error) => failed(error),
                        Stopped::Failure(failure) => failure,
                    },
                )
            }
        };
        let (workers, bytes) = (engine.threads(), engine.bytes() + ready.program.bytes());
        let failure = driven.err().or_else(|| carried.as_ref().and_then(Carried::failure));
        let files = carried.iter().flat_map(Carried::files).collect();
        let clocks = carried.as_ref().map(Carried::json);
        Ok(Executed { outcome: engine.finish(), failure, workers, bytes, files, clocks, shards: None })
    }

    /// Where checkpoints go, if there are any.
    pub(crate) fn checkpoint_folder(&self) -> PathBuf {
        let CheckpointArgs { resume, checkpoints, .. } = &self.checkpoint;
        match (resume.as_ref().or(checkpoints.as_ref()), &self.output) {
            (Some(folder), _) => folder.clone(),
            (None, Some(output)) => output.with_added_extension("checkpoints"),
            (None, None) => {
                let name = format!("{}-{}.checkpoints", results::now(), std::process::id());
                Path::new(results::DEFAULT).join(name)
            }
        }
    }

    /// Where results go, if anywhere.
    pub(crate) fn place(&self, session: &Session) -> Result<Option<Place>, Failure> {
        match &self.output {
            Some(folder) => {
                files::check_free(folder)?;
                Ok(Some(Place::Exactly(folder.clone())))
            }
            None if self.no_results => Ok(None),
            None if session.is_json() => match self.record {
                None => Ok(None),
                Some(_) => Err(Failure::new(Exit::Invalid, "usage::no_results", "--record keeps tokens, but nowhere")
                    .help("with --format json results are kept only if -o names a directory")),
            },
            None => Ok(Some(Place::Below(results::DEFAULT.into()))),
        }
    }

    /// The channels to digest, as an argument.
    pub(crate) fn channels_resolved(&self, app: &App) -> &str {
        match &self.channels {
            Some(list) => list,
            None if app.channels().len() > CHANNELS_MAX => "none",
            None => "all",
        }
    }

    pub(crate) fn level(&self) -> DigestLevel {
        self.digest.into()
    }

    pub(crate) fn options(&self, app: &App, keep: bool) -> Result<RunOptions, Failure> {
        let all = || app.channels().ids().collect();
        let channels = match self.channels_resolved(app) {
            "all" => all(),
            "none" => Vec::new(),
            list => channels::named(app, list)?.into_iter().collect(),
        };
        let mut record: Vec<ChannelId> = if keep { recorded(app) } else { Vec::new() };
        if let Some(list) = &self.record {
            record.extend(channels::named(app, list)?);
            record.sort_unstable();
            record.dedup();
        }
        let (iterations, digest) = (self.iterations.unwrap_or_default(), self.level());
        Ok(RunOptions { iterations, digest, channels, record, ..RunOptions::default() })
    }
}

impl ResumedJson {
    fn new(start: Option<&Standing>, app: &App) -> Self {
        let opaque = app.actors().values().filter(|actor| actor.state == ActorState::Opaque);
        let tick = start.map_or(0, |start| start.tick().0);
        let from_tick = if let Some(Standing::State(_)) = start { tick } else { 0 };
        Self { checkpoint_tick: tick, from_tick, opaque: opaque.map(|actor| actor.name.to_string()).collect() }
    }

    fn text(&self) -> String {
        let Self { checkpoint_tick, from_tick, opaque } = self;
        match opaque.first() {
            Some(name) => format!(
                "executed again from tick 0, because the state of `{name}` is opaque; tick {checkpoint_tick} was checked"
            ),
            None => format!("from tick {}", grouped(from_tick.unsigned_abs())),
        }
    }
}

pub(crate) fn summary<'a>(
    prepared: &'a Prepared,
    app: &'a App,
    outcome: &Outcome,
    took: Duration,
    resumed: Option<ResumedJson>,
) -> RunJson<'a> {
    let ticks = outcome.ticks.map_or(0, |tick| tick.0);
    let seconds = took.as_secs_f64();
    let executed = (ticks - resumed.as_ref().map_or(0, |resumed| resumed.from_tick)) as f64;
    let name = |id: ChannelId| prepared.loaded.app.channels()[id].name.as_str();
    let channel = |(&id, channel): (&ChannelId, &sim_core::ChannelOutcome)| {
        (name(id), ChannelJson { tokens: channel.tokens, digest: channel.digest.to_string() })
    };
    let CalendarSet { metacycle, unroll, .. } = prepared.calendars;
    RunJson {
        app: prepared.loaded.app.name(),
        machine: prepared.machine.name(),
        iterations: outcome.iterations,
        ticks,
        iteration_period: num_rational::Ratio::new(metacycle, i64::from(unroll)).to_string(),
        stream_digest: outcome
            .stream_digest(app)
            .filter(|_| !app.channels().is_empty())
            .map(|digest| digest.to_string()),
        digest: outcome.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        channels: Object(outcome.channels.iter().map(channel).collect()),
        recorded: outcome.recorded.keys().map(|&id| name(id)).collect(),
        compile_seconds: prepared.took.as_secs_f64(),
        seconds,
        ticks_per_second: executed / seconds.max(1e-9),
        threads: 1,
        engine_bytes_per_node: 0.0,
        resumed,
        node_ticks_per_second: executed * prepared.machine.nodes().len() as f64 / seconds.max(1e-9),
        clocks: None,
        shards: None,
        hosts: None,
        directory: None,
    }
}

/// Metacycles that end before `tick`.
fn metacycles_before(tick: Tick, calendars: &CalendarSet) -> u64 {
    u64::try_from(tick.0 / calendars.metacycle).unwrap_or(0)
}

pub(crate) fn text(run: &RunJson<'_>) -> String {
    const SHOWN: usize = 24;
    let count = iterations(Iterations(run.iterations));
    let mut text =
        format!("{} on {}: {count} in {}\n\n", run.app, run.machine, counted(run.ticks.unsigned_abs(), "tick"));
    let threads = counted(run.threads as u64, "thread");
    let per_second = |what: f64, of: &str| format!("{}{of}/s", scaled(what));
    let (ticks_speed, speed) =
        (per_second(run.ticks_per_second, "ticks"), per_second(run.node_ticks_per_second, "node-ticks"));
    let speed = format!("{:.3} s on {threads}: {ticks_speed}, {speed}", run.seconds);
    let memory = format!("{} bytes per node", grouped(run.engine_bytes_per_node.round() as u64));
    let mut known = vec![
        ("iteration period", ticks(&run.iteration_period)),
        ("stream digest", run.stream_digest.clone().unwrap_or("-".to_owned())),
        ("run digest", run.digest.clone()),
        ("executed in", speed),
        ("memory", memory),
    ];
    known.extend(run.resumed.as_ref().map(|resumed| ("resumed", resumed.text())));
    text += &facts(&known);
    if let Some(clocks) = &run.clocks {
        text += &facts(&clocks.facts(run.seconds));
    }
    if let Some(shards) = &run.shards {
        text += &facts(&shards.facts());
        text.push('\n');
        text += &matrix_text(&shards.matrix);
    }
    if let Some(hosts) = &run.hosts {
        text.push('\n');
        text += &hosts::hosts_table(hosts);
        return text;
    }
    let channels = &run.channels.0;
    if !channels.is_empty() {
        let mut rows = vec![vec!["channel".to_owned(), "tokens".to_owned(), "digest".to_owned()]];
        let row = |(name, channel): &(&str, ChannelJson)| {
            vec![(*name).to_owned(), grouped(channel.tokens), channel.digest.clone()]
        };
        rows.extend(channels.iter().take(SHOWN).map(row));
        text.push('\n');
        text += &table(&rows, &[1]);
        if channels.len() > SHOWN {
            text += &format!("and {}\n", counted((channels.len() - SHOWN) as u64, "more channel"));
        }
    }
    text
}
