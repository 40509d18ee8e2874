//! `verify`: the same run in several modes, and the first difference if there is one.

use super::explain;
use super::failure::{Exit, Failure};
use super::prepare::{PrepareArgs, Prepared};
use super::run::{self, Level};
use super::session::{Session, counted, facts, grouped, iterations, table};
use crate::pipeline::Iterations;
use crate::verification::{
    Difference, Executed, Field, Finding, Location, Mode, Place, Plan, REFERENCE_WORK_MAX, Reference, Side, Subject,
    Transport, Verdict, VerifyError, verify,
};
use serde::Serialize;
use sim_core::digest::DigestLevel;
use sim_core::{ActorId, App, Machine, RunOptions, Ticks};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Execute the same run in several ways, compare all digests, and find the first difference
#[derive(clap::Args, Debug)]
pub(crate) struct Verify {
    #[command(flatten)]
    what: PrepareArgs,
    /// Number of iterations of the graph
    #[arg(short = 'n', long, value_name = "COUNT")]
    iterations: u64,
    /// Numbers of threads to run with, exactly, as far as there are nodes
    #[arg(short, long, value_name = "COUNT,…", value_delimiter = ',', default_value = "1,2,3,8")]
    threads: Vec<NonZeroU32>,
    /// Ticks that are executed at once, at most, each with every number of threads: numbers, or `any`
    #[arg(short, long, value_name = "TICKS,…", value_delimiter = ',', default_value = "any", value_parser = window)]
    windows: Vec<Window>,
    /// Numbers of shards to run with too, each in memory and over QUIC
    #[arg(short, long, value_name = "COUNT,…", value_delimiter = ',')]
    shards: Vec<NonZeroU32>,
    /// Runs with each of these
    #[arg(short, long, value_name = "COUNT", default_value = "2")]
    repeats: NonZeroU32,
    /// What the run digest covers
    #[arg(long, value_enum, default_value_t = Level::Events)]
    digest: Level,
    /// Tokens for a declared source: a file of values, little-endian, one after the other
    #[arg(long, value_name = "NAME=FILE", value_parser = run::input)]
    input: Vec<(String, PathBuf)>,
}

/// A limit on windows, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window(Option<Ticks>);

fn window(text: &str) -> Result<Window, String> {
    match text.parse::<i64>() {
        Ok(ticks) if ticks > 0 => Ok(Window(Some(Ticks(ticks)))),
        _ if text == "any" => Ok(Window(None)),
        _ => Err("write a number of ticks, from 1, or `any`".to_owned()),
    }
}

#[derive(Serialize)]
struct VerifyJson<'a> {
    app: &'a str,
    machine: &'a str,
    iterations: u64,
    ticks: Option<i64>,
    equal: bool,
    reference: ReferenceJson,
    runs: Vec<RunJson>,
    difference: Option<FindingJson<'a>>,
}

#[derive(Serialize)]
struct ReferenceJson {
    stream_digest: Option<String>,
    /// Why there is none.
    skipped: Option<String>,
    /// Whether it is that of the first run.
    equal: Option<bool>,
}

#[derive(Serialize)]
struct RunJson {
    /// What carries words between workers: `threads`, `memory`, `quic`.
    carrier: &'static str,
    /// Threads or shards asked for.
    workers: u32,
    /// Threads or shards that there were nodes for.
    workers_used: usize,
    window: Option<i64>,
    repeat: u32,
    ticks: Option<i64>,
    stream_digest: Option<String>,
    digest: Option<String>,
    /// Whether all of it is that of the first run.
    equal: bool,
}

/// Two executions that differ, and where.
#[derive(Serialize)]
struct FindingJson<'a> {
    first: String,
    second: String,
    #[serde(flatten)]
    location: LocationJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum LocationJson<'a> {
    Event(EventJson<'a>),
    /// No event differs, but the run digests of the epoch that ends before this tick.
    Epoch {
        tick: i64,
    },
    /// The difference did not happen again.
    Nowhere,
}

#[derive(Serialize)]
struct EventJson<'a> {
    tick: i64,
    node: &'a str,
    actor: Option<&'a str>,
    firing: Option<u64>,
    link: Option<String>,
    /// `input`, `output`, `word`, `missing`.
    field: &'static str,
    /// Position among the words that the firing consumes or produces.
    word: Option<usize>,
    channel: Option<&'a str>,
    /// The word in the first execution; nothing if an event is missing.
    first_value: Option<String>,
    second_value: Option<String>,
    /// Which execution lacks the event: `first` or `second`.
    missing_in: Option<&'static str>,
}

impl Verify {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let prepared = self.what.prepare(session, false)?;
        if prepared.loaded.fleet().is_some() {
            let message = "a fleet of programs is not executed by modes that repeat firings";
            return Err(Failure::new(Exit::Invalid, "usage::fleet", message)
                .help("run it several times, with other --threads and --shards: digests and trace hashes are equal"));
        }
        let app = run::fed(&prepared.loaded.app, Iterations(self.iterations), &self.input)?;
        let program = calendars::lower(&app, &prepared.machine, &prepared.calendars)
            .map_err(|error| explain::run(&error.into()))?;
        let (iterations, digest) = (self.iterations, DigestLevel::from(self.digest));
        let channels = app.channels().ids().collect();
        let options = RunOptions { iterations, digest, channels, ..RunOptions::default() };
        let subject = Subject { app: &app, machine: &prepared.machine, program: &program, options: &options };
        let verdict = verify(&subject, &self.plan()).map_err(|error| failed(&error))?;
        let json = summary(&prepared, iterations, &verdict);
        session.print(|| text(&json, &verdict), &json)?;
        Ok(verdict.finding.map(|_| Exit::DigestsDiffer))
    }

    fn plan(&self) -> Plan {
        let threads = |&Window(window): &Window| {
            self.threads.iter().map(move |&threads| Mode::Threads { threads, window }).collect::<Vec<_>>()
        };
        let shards = |&shards: &NonZeroU32| {
            [Transport::Memory, Transport::Quic].map(|transport| Mode::Shards { shards, transport })
        };
        let modes = self.windows.iter().flat_map(threads).chain(self.shards.iter().flat_map(shards)).collect();
        Plan { modes, repeats: self.repeats, reference_work_max: REFERENCE_WORK_MAX }
    }
}

fn failed(error: &VerifyError) -> Failure {
    match error {
        VerifyError::Engine(error) => explain::run(&error.clone().into()),
        VerifyError::NoMode => Failure::new(Exit::Invalid, "verify::no_mode", error.to_string()),
        VerifyError::Reference(_) => Failure::new(Exit::CheckFailed, "verify::reference", error.to_string()),
        VerifyError::Stopped(stop) => {
            Failure::new(Exit::from_code(stop.cause.exit_code()), "verify::stopped", error.to_string())
        }
        VerifyError::Local(_) => Failure::new(Exit::PeerLost, "verify::network", error.to_string()),
    }
}

fn summary<'a>(prepared: &'a Prepared, iterations: u64, verdict: &Verdict) -> VerifyJson<'a> {
    let (app, machine) = (&prepared.loaded.app, &prepared.machine);
    let first = verdict.runs.first().expect("a verdict is about runs").digests;
    let run = |Executed { run, workers: workers_used, digests }: &Executed| {
        let (carrier, workers, window) = match run.mode {
            Mode::Threads { threads, window } => ("threads", threads, window),
            Mode::Shards { shards, transport: Transport::Memory } => ("memory", shards, None),
            Mode::Shards { shards, transport: Transport::Quic } => ("quic", shards, None),
        };
        RunJson {
            carrier,
            workers: workers.get(),
            workers_used: *workers_used,
            window: window.map(|window| window.0),
            repeat: run.repeat,
            ticks: digests.ticks.map(|tick| tick.0),
            stream_digest: digests.stream.map(|digest| digest.to_string()),
            digest: digests.run.map(|digest| digest.to_string()),
            equal: *digests == first,
        }
    };
    VerifyJson {
        app: app.name(),
        machine: machine.name(),
        iterations,
        ticks: first.ticks.map(|tick| tick.0),
        equal: verdict.finding.is_none(),
        reference: match verdict.reference {
            Reference::Compared(stream) => ReferenceJson {
                stream_digest: stream.map(|digest| digest.to_string()),
                skipped: None,
                equal: Some(stream == first.stream),
            },
            Reference::Skipped { work, limit } => {
                let reason = format!("{work} firings and words, it is asked up to {limit}");
                ReferenceJson { stream_digest: None, skipped: Some(reason), equal: None }
            }
        },
        runs: verdict.runs.iter().map(run).collect(),
        difference: verdict.finding.as_ref().map(|finding| found(app, machine, finding)),
    }
}

fn found<'a>(app: &'a App, machine: &'a Machine, finding: &Finding) -> FindingJson<'a> {
    let Finding { first, second, location } = finding;
    let location = match *location {
        Location::Event(difference) => LocationJson::Event(event(app, machine, &difference)),
        Location::Epoch(tick) => LocationJson::Epoch { tick: tick.0 },
        Location::Nowhere => LocationJson::Nowhere,
    };
    FindingJson { first: first.to_string(), second: second.to_string(), location }
}

fn event<'a>(app: &'a App, machine: &'a Machine, difference: &Difference) -> EventJson<'a> {
    let node = |id| machine.nodes()[id].name.as_str();
    let (actor, firing, link) = match difference.place {
        Place::Firing { actor, index } => (Some(actor), Some(index), None),
        Place::Frame { link } => {
            let ends = &machine.links()[link];
            (None, None, Some(format!("{link} {}→{}", node(ends.source), node(ends.target))))
        }
    };
    let (field, word, values, missing_in) = match difference.field {
        Field::Input { word, values } => ("input", Some(word), Some(values), None),
        Field::Output { word, values } => ("output", Some(word), Some(values), None),
        Field::Word { values } => ("word", None, Some(values), None),
        Field::Missing { side: Side::First } => ("missing", None, None, Some("first")),
        Field::Missing { side: Side::Second } => ("missing", None, None, Some("second")),
    };
    let channel = actor.zip(firing).zip(word).and_then(|((actor, firing), word)| {
        let phase = firing % app.actors()[actor].phases();
        channel_of(app, actor, phase as usize, word, field == "input")
    });
    let value = |which: usize| values.map(|values: [u64; 2]| format!("{:016x}", values[which]));
    EventJson {
        tick: difference.tick.0,
        node: node(difference.node),
        actor: actor.map(|actor| app.actors()[actor].name.as_str()),
        firing,
        link,
        field,
        word,
        channel,
        first_value: value(0),
        second_value: value(1),
        missing_in,
    }
}

/// The channel of a word that a firing consumes or produces.
fn channel_of(app: &App, actor: ActorId, phase: usize, word: usize, consumed: bool) -> Option<&str> {
    let channels: Vec<_> = if consumed { app.inputs(actor).to_vec() } else { app.output_ports(actor).collect() };
    let mut left = word;
    for id in channels {
        let channel = &app.channels()[id];
        let rates = if consumed { &channel.tokens.consume } else { &channel.tokens.produce };
        let words = rates[phase] as usize * channel.token_words() as usize;
        match left.checked_sub(words) {
            Some(rest) => left = rest,
            None => return Some(channel.name.as_str()),
        }
    }
    None
}

fn text(json: &VerifyJson<'_>, verdict: &Verdict) -> String {
    let ticks = json.ticks.map_or(0, i64::unsigned_abs);
    let count = iterations(Iterations(json.iterations));
    let mut text = format!("{} on {}: {count} in {}\n\n", json.app, json.machine, counted(ticks, "tick"));
    let verdict_of = |equal: bool| if equal { "equal" } else { "DIFFERS" }.to_owned();
    let shown = |digest: &Option<String>| digest.clone().unwrap_or("-".to_owned());
    let mut rows =
        vec![["executed on", "window", "run", "stream digest", "run digest", ""].map(str::to_owned).to_vec()];
    for (place, run) in json.runs.iter().enumerate() {
        let noun = if run.carrier == "threads" { "thread" } else { "shard" };
        let mut used = counted(run.workers_used as u64, noun);
        if run.workers_used != run.workers as usize {
            used += &format!(" (of {})", run.workers);
        }
        used += match run.carrier {
            "memory" => " in memory",
            "quic" => " over QUIC",
            _ => "",
        };
        let window = run.window.map_or("any".to_owned(), |window| grouped(window.unsigned_abs()));
        let equal = if place == 0 { String::new() } else { verdict_of(run.equal) };
        rows.push(vec![used, window, run.repeat.to_string(), shown(&run.stream_digest), shown(&run.digest), equal]);
    }
    if let Some(equal) = json.reference.equal {
        let stream = shown(&json.reference.stream_digest);
        rows.push(vec![
            "reference".to_owned(),
            "-".to_owned(),
            "-".to_owned(),
            stream,
            "-".to_owned(),
            verdict_of(equal),
        ]);
    }
    text += &table(&rows, &[1, 2]);
    if let Reference::Skipped { work, limit } = verdict.reference {
        text += &format!(
            "\nnot compared with the untimed reference: {work} firings and words, it is asked up to {}\n",
            grouped(limit)
        );
    }
    text.push('\n');
    match &json.difference {
        Some(finding) => text += &difference_text(finding),
        None => {
            let runs = counted(json.runs.len() as u64, "run");
            let with = if json.reference.equal.is_some() { " and the untimed reference" } else { "" };
            text += &format!("{runs}{with}: no difference\n");
        }
    }
    text
}

fn difference_text(finding: &FindingJson<'_>) -> String {
    let FindingJson { first, second, location } = finding;
    let heading = format!("{first} and {second} differ");
    match location {
        LocationJson::Event(event) => {
            format!("{heading}; executed again side by side, first here:\n\n{}", event_text(event, finding))
        }
        LocationJson::Epoch { tick } => format!(
            "{heading}; executed again side by side, no firing and no frame differs, but the run digest does from the \
             epoch on that ends before tick {tick}: a state that no event has shown\n"
        ),
        LocationJson::Nowhere => format!(
            "{heading}, but executed again side by side they were the same: what made them differ is rare. Repeat with \
             more --repeats\n"
        ),
    }
}

fn event_text(event: &EventJson<'_>, finding: &FindingJson<'_>) -> String {
    let place = match (event.actor, event.firing, &event.link) {
        (Some(actor), Some(firing), _) => format!("firing {firing} of actor `{actor}`"),
        (_, _, Some(link)) => format!("frame sent on {link}"),
        _ => "-".to_owned(),
    };
    let channel = event.channel.map_or(String::new(), |channel| format!(" (channel `{channel}`)"));
    let field = match (event.word, event.missing_in) {
        (Some(word), _) => format!("{} word {word}{channel}", event.field),
        (None, Some("first")) => format!("missing in {}", finding.first),
        (None, Some(_)) => format!("missing in {}", finding.second),
        (None, None) => "its word".to_owned(),
    };
    let mut lines = vec![
        ("tick", event.tick.to_string()),
        ("node", format!("`{}`", event.node)),
        ("event", place),
        ("field", field),
    ];
    if let (Some(first), Some(second)) = (&event.first_value, &event.second_value) {
        lines.push((&finding.first, first.clone()));
        lines.push((&finding.second, second.clone()));
    }
    facts(&lines)
}
