//! The published graphs of `data/sdf` and what is known about them.

use crate::graphs;
use scheduler::analysis::{AnalysisError, analyse, repetition};
use scheduler::{CompileError, Options, compile};
use serde_json::Value;
use sim_core::digest::ChannelDigest;
use sim_core::{Actor, ActorId, App, Channel, ChannelOutcome, Id, Machine, Outcome, RunOptions, engine, reference};
use std::collections::BTreeSet;
use std::path::PathBuf;

fn data(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data/sdf").join(file);
    std::fs::read_to_string(path).unwrap()
}

fn numbers<T: std::str::FromStr>(list: &str) -> Vec<T> {
    list.split(',').map(|number| number.parse().ok().unwrap()).collect()
}

/// Reads an SDF3 file. Rates and times of one phase stand for all.
fn read(file: &str) -> App {
    let text = data(file);
    let xml = roxmltree::Document::parse(&text).unwrap();
    let all = |tag| xml.descendants().filter(move |node| node.has_tag_name(tag));
    let named = |tag, name| all(tag).find(|node| node.attribute("name") == Some(name)).unwrap();
    let rates = |actor, port| {
        let node = named("actor", actor).children().find(|node| node.attribute("name") == Some(port)).unwrap();
        numbers::<u32>(node.attribute("rate").unwrap())
    };
    let times = |actor| {
        let properties = all("actorProperties").find(|node| node.attribute("actor") == Some(actor));
        let time = properties.and_then(|node| node.descendants().find(|node| node.has_tag_name("executionTime")));
        time.map_or(vec![0], |node| numbers::<u64>(node.attribute("time").unwrap()))
    };
    let actors: Vec<Actor> = all("actor")
        .map(|node| node.attribute("name").unwrap())
        .map(|name| graphs::actor(name, &times(name)))
        .collect();
    let index = |name: &str| actors.iter().position(|actor| actor.name == name).unwrap();
    let channels: Vec<Channel> = all("channel")
        .map(|node| {
            let at = |key| node.attribute(key).unwrap();
            let end = |actor, port| {
                let (id, rates) = (index(at(actor)), rates(at(actor), at(port)));
                (id as u32, rates.into_iter().cycle().take(actors[id].exec.len()).collect::<Vec<_>>())
            };
            let (source, target) = (end("srcActor", "srcPort"), end("dstActor", "dstPort"));
            let tokens = node.attribute("initialTokens").map_or(0, |count| count.parse().unwrap());
            let mut channel = graphs::channel(at("name"), (source.0, &source.1), (target.0, &target.1), tokens);
            let properties = all("channelProperties").find(|node| node.attribute("channel") == Some(at("name")));
            let size = properties.and_then(|node| node.children().find(|node| node.has_tag_name("tokenSize")));
            channel.tokens.bits = size.map_or(64, |node| node.attribute("sz").unwrap().parse().unwrap());
            channel
        })
        .collect();
    graphs::app(actors, channels)
}

fn check(name: &str, expected: &Value) {
    let app = read(&format!("{name}.xml"));
    let named = |id: ActorId| app.actors()[id].name.as_str();
    if expected["consistent"] == false {
        assert!(matches!(analyse(&app), Err(AnalysisError::Inconsistent(_))), "{name}");
        return;
    }
    let counts = repetition(&app).unwrap();
    for actor in app.actors().ids() {
        assert_eq!(expected["repetition_vector"][named(actor)], counts.cycles(actor), "{name}: {}", named(actor));
    }
    assert_eq!(expected["firings_per_iteration"], counts.total_firings(), "{name}");
    match analyse(&app) {
        Ok(analysis) => {
            assert!(expected["deadlock"].is_null(), "{name} is deadlocked");
            assert_eq!(expected["min_period"], analysis.period.to_string(), "{name}");
        }
        Err(AnalysisError::Deadlocked(deadlock)) => {
            let left: serde_json::Map<String, Value> =
                deadlock.left.iter().map(|&(actor, left)| (named(actor).to_owned(), left.into())).collect();
            assert_eq!(expected["deadlock"], Value::Object(left), "{name}");
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

#[test]
fn published_graphs_have_the_published_figures() {
    let expected: Value = serde_json::from_str(&data("expected.json")).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        check(name, expected);
    }
}

#[test]
fn every_verdict_names_what_to_change() {
    let message = |file| analyse(&read(file)).unwrap_err().to_string();
    assert_eq!(
        message("inconsistent_triangle.xml"),
        "inconsistent: the rates of channel `y` ask for q(c) / q(b) = 2, those of `z`, `x` for 1"
    );
    assert_eq!(
        message("deadlock_ring.xml"),
        "deadlocked: the first iteration stops with starved actors `a` (3 left), `b` (2 left), `c` (6 left); \
         initial tokens on `z` (+3) would start it"
    );
    assert_eq!(
        message("preesm_issue38.xml"),
        "deadlocked: the first iteration stops with starved actors `A` (2 left), `B` (2 left), `C` (3 left), \
         `D` (3 left); initial tokens on `CA` (+1) would start it"
    );
}

#[test]
fn the_critical_cycle_of_feedback_is_both_actors() {
    let app = read("feedback2.xml");
    let critical = analyse(&app).unwrap().critical.unwrap();
    assert_eq!((critical.ticks, critical.iterations), (7, 2));
    assert_eq!(critical.actors(), app.actors().ids().collect::<Vec<_>>());
    assert_eq!(critical.channels(), app.channels().ids().collect::<Vec<_>>());
}

#[test]
fn the_critical_cycle_of_the_mp3_decoder_is_one_requantiser() {
    let app = read("mp3decoder_granule.xml");
    let critical = analyse(&app).unwrap().critical.unwrap();
    let actors: Vec<_> = critical.actors().into_iter().map(|id| app.actors()[id].name.as_str()).collect();
    assert_eq!(actors, ["req0"]);
    assert_eq!(critical.actors()[0].index(), 1);
}

fn expected(name: &str) -> Value {
    let all: Value = serde_json::from_str(&data("expected.json")).unwrap();
    all[name].clone()
}

/// The machines that every published graph runs on.
fn machines() -> impl Iterator<Item = Machine> {
    let shapes = [("single", 1), ("ring:4", 2), ("ring:4", 0), ("torus:3x3", 5), ("fat-tree:3", 1)];
    let with_cores = move |cores| {
        shapes.map(|(preset, latency)| Machine::from_preset(&preset.parse().unwrap()).latency(latency).cores(cores))
    };
    [1, 2].into_iter().flat_map(with_cores)
}

/// What `app` produces in 3 iterations on `machine`.
fn run(app: &App, machine: &Machine) -> Result<Outcome, CompileError> {
    let compiled = compile(app, machine, &Options::default())?;
    let program = calendars::lower(app, machine, &compiled.calendars).unwrap();
    Ok(engine::run(app, &program, &observe(app)).unwrap())
}

fn observe(app: &App) -> RunOptions {
    RunOptions { iterations: 3, channels: app.channels().ids().collect(), ..RunOptions::default() }
}

/// Runs `app` on all machines; `expected` is indexed by channel.
fn check_runs(name: &str, app: &App, expected: &[ChannelOutcome]) {
    for machine in machines() {
        let place = format!("{name} on {}, {} cores", machine.name(), machine.nodes().values().last().unwrap().cores);
        let place = format!("{place}, latency {}", machine.links().values().next().map_or(0, |link| link.latency.0));
        let outcome = run(app, &machine).unwrap_or_else(|error| panic!("{place}: {error}"));
        let found: Vec<ChannelOutcome> = outcome.channels.into_values().collect();
        assert_eq!(found, expected, "{place}");
    }
}

/// Runs the graph on all machines, as it is and with tokens of several widths.
fn check_streams(name: &str) {
    let app = read(&format!("{name}.xml"));
    let digests = &expected(name)["mix_digests"]["channels"];
    let published = app.channels().values().map(|channel| {
        let published = &digests[channel.name.as_str()];
        let digest = u64::from_str_radix(published["digest"].as_str().unwrap(), 16).unwrap();
        ChannelOutcome { tokens: published["tokens"].as_u64().unwrap(), digest: ChannelDigest(digest) }
    });
    check_runs(name, &app, &published.collect::<Vec<_>>());
    for bits in [1, 64, 65, 1000] {
        if app.channels().values().all(|channel| channel.tokens.bits == bits) {
            continue;
        }
        let app = app.with_token_bits(bits).unwrap();
        let expected = reference::run(&app, &observe(&app)).unwrap();
        let expected: Vec<ChannelOutcome> = expected.channels.into_values().collect();
        check_runs(&format!("{name} with tokens of {bits} bits"), &app, &expected);
    }
}

/// One test per published graph that is live: they take long enough to be worth running side by side.
macro_rules! streams {
    ($($name:ident)*) => {
        /// Every channel carries the published tokens, whatever the machine.
        mod streams {
            $(#[test]
            fn $name() {
                super::check_streams(stringify!($name));
            })*
        }

        #[test]
        fn every_live_graph_is_run() {
            let all: Value = serde_json::from_str(&data("expected.json")).unwrap();
            let live = all.as_object().unwrap().iter().filter(|(_, expected)| !expected["mix_digests"].is_null());
            let live: BTreeSet<&str> = live.map(|(name, _)| name.as_str()).collect();
            assert_eq!(live, BTreeSet::from([$(stringify!($name)),*]));
        }
    };
}

streams! {
    cd2dat_classic chain3_unit csdf_sample dac06_example feedback2 h263decoder_dac06 h263encoder live_ring modem
    mp3decoder_granule samplerate
}

/// With a core for every firing at a time, the published periods are reached.
#[test]
fn enough_cores_reach_the_published_periods() {
    let machine = Machine::single().cores(64);
    for name in ["modem", "samplerate", "h263decoder_dac06", "csdf_sample", "feedback2", "mp3decoder_granule"] {
        let compiled = compile(&read(&format!("{name}.xml")), &machine, &Options::default()).unwrap();
        let period = compiled.report.iteration_period.to_string();
        assert_eq!(expected(name)["min_period"], period, "{name}: {}", compiled.report);
    }
}
