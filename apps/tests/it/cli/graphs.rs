//! The published graphs: verdicts, periods and streams.

use super::{expected, folder, json, succeed};
use serde_json::Value;

/// `check` says what is published, and exits with 2 if the graph cannot run.
#[test]
fn verdicts_are_those_published() {
    let folder = folder("verdicts");
    for (name, expected) in expected() {
        let (code, found) = json(&format!("check DATA/{name}.xml"), &folder);
        for (key, published) in [
            ("consistent", "consistent"),
            ("repetition_vector", "repetition_vector"),
            ("deadlock", "deadlock"),
            ("period", "min_period"),
        ] {
            assert_eq!(found[key], expected[published], "{name}: {key}");
        }
        let runs = expected["consistent"] == true && expected["deadlock"].is_null();
        assert_eq!(code, if runs { 0 } else { 2 }, "{name}");
    }
}

/// A graph that no cycle bounds has period 0.
#[test]
fn no_cycle_is_period_zero() {
    let folder = folder("no-cycle");
    let graph = r#"Graph(version: 1, name: "g", actors: [(name: "a"), (name: "b")],
        channels: [(name: "x", source: "a", target: "b", produce: 1, consume: 2)])"#;
    std::fs::write(folder.join("g.ron"), graph).unwrap();
    let found = succeed("check g.ron", &folder);
    assert_eq!((&found["period"], &found["repetition_vector"]["a"]), (&"0".into(), &2.into()));
}

/// Every channel carries the published tokens, on any machine.
#[test]
fn streams_are_those_published() {
    let folder = folder("streams");
    let machines = ["single", "ring:4 --latency 2 --cores 2", "torus:3x3 --latency 5", "fat-tree:3"];
    for (name, expected) in expected() {
        let digests = &expected["mix_digests"];
        if digests.is_null() {
            continue;
        }
        // Thousands of words per firing have to find their way.
        let heavy = name == "h263encoder";
        let machines = if heavy { &machines[..1] } else { &machines[..] };
        for machine in machines {
            let words = format!("run DATA/{name}.xml --machine {machine} --iterations {}", digests["iterations"]);
            let found = succeed(&words, &folder);
            assert_eq!(found["channels"], digests["channels"], "{words}");
        }
    }
}

/// The keys that other programs read are there.
#[test]
fn stable_keys_are_there() {
    let folder = folder("keys");
    let has = |value: &Value, keys: &str| {
        for key in keys.split(' ') {
            assert!(value.get(key).is_some(), "{key} in {value}");
        }
    };
    let checked = succeed("check DATA/modem.xml", &folder);
    has(&checked, "consistent repetition_vector deadlock period");
    let compiled = succeed("compile DATA/feedback2.xml --machine single --cores 4 -o kept", &folder);
    has(&compiled, "iteration_period metacycle unroll bound placed_bound gap gap_total latency_ticks");
    has(&compiled, "memory_words_max calendar_entries seconds");
    has(&compiled["bound"], "ticks kind");
    assert_eq!(compiled["bound"]["ticks"], "7/2");
    let schedule: Value = serde_json::from_slice(&std::fs::read(folder.join("kept/schedule.json")).unwrap()).unwrap();
    has(&schedule, "version machine iteration_period unroll metacycle firings transports buffers");
    has(&schedule["machine"]["nodes"][0], "name cores memory_words");
    has(&schedule["firings"][0], "actor index node core start exec");
    has(&schedule["buffers"][0], "node channel role base stride count words");
    let run = succeed("run DATA/modem.xml --machine ring:3 --iterations 2 --channels b,a --digest off", &folder);
    has(&run, "iterations ticks stream_digest digest channels seconds node_ticks_per_second");
    assert_eq!((&run["stream_digest"], &run["digest"]), (&Value::Null, &"off:-".into()));
    assert_eq!(run["channels"].as_object().unwrap().len(), 2);
    succeed("compile DATA/modem.xml --machine ring:3 -o far", &folder);
    let schedule: Value = serde_json::from_slice(&std::fs::read(folder.join("far/schedule.json")).unwrap()).unwrap();
    has(&schedule["transports"][0], "channel token word hops");
    has(&schedule["transports"][0]["hops"][0], "link send");
    has(&schedule["machine"]["links"][0], "source target latency");
}
