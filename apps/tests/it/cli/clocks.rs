//! `clocks`, `boot`, and runs on clocks.

use super::{folder, json, succeed, tidelock};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// All that a command said, without the line breaks of its frame.
fn told(output: &Output) -> String {
    super::told(output).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Paths of this repository, for command lines.
fn repository(path: &str) -> String {
    format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
}

fn eight() -> String {
    repository("examples/clocks/eight.ron")
}

/// A small specification with `text` in the place of a line.
fn spec(folder: &Path, replaced: &str, by: &str) -> String {
    let text = std::fs::read_to_string(eight()).unwrap();
    assert!(text.contains(replaced), "{replaced}");
    std::fs::write(folder.join("spec.ron"), text.replace(replaced, by)).unwrap();
    "spec.ron".to_owned()
}

#[test]
fn clocks_speak_json() {
    let folder = folder("clocks_json");
    let case = repository("data/clocks/ring8_P.json");
    let value = succeed(&format!("clocks {case}"), &folder);
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&case).unwrap()).unwrap();
    assert_eq!(value["ugn"], expected["ugn"]);
    assert_eq!(value["events"], expected["events"]);
    let beta =
        |value: &Value| value["samples"].as_array().unwrap().iter().map(|s| s["beta"].clone()).collect::<Vec<_>>();
    assert_eq!(beta(&value), beta(&expected));
    assert_eq!(value["first_events"].as_array().unwrap().len(), 12);
    for key in ["node", "k", "t_k", "s_k", "freq", "meas"] {
        assert!(value["first_events"][3][key].is_number(), "{key}");
    }
    assert!(value["settled"].is_number());
    for key in ["mean_ppm", "l2_frequency", "l2_readings"] {
        assert!(value[key].as_f64().is_some_and(|value| value != 0.0), "{key}");
    }
    assert_eq!(value, succeed(&format!("clocks {case} --threads 3"), &folder));
}

#[test]
fn clocks_leave_traces_and_pictures() {
    let folder = folder("clocks_traces");
    let words = "clocks --machine ring:3 --until 20ms --trace x.csv --trace-nodes n0,n2 --trace-links n1>n2 --every 1ms --picture x.svg";
    succeed(words, &folder);
    let csv = std::fs::read_to_string(folder.join("x.csv")).unwrap();
    assert_eq!(csv.lines().next(), Some("time_ns,ppm n0,ppm n2,frames n1 → n2"));
    assert_eq!(csv.lines().count(), 22);
    let svg = std::fs::read_to_string(folder.join("x.svg")).unwrap();
    for part in ["Relative frequency (ppm)", "Buffer occupancy (frames)", "n1 → n2"] {
        assert!(svg.contains(part), "{part}");
    }
}

#[test]
fn a_booted_machine_runs_and_clocks_change_nothing() {
    let folder = folder("clocks_boot");
    let booted = succeed(&format!("boot {} -o m.ron", eight()), &folder);
    assert_eq!(booted["round_trips"].as_array().unwrap().len(), 8);
    // 25 ticks of latency and a half-full buffer each way, but for floors.
    for trip in booted["round_trips"].as_array().unwrap() {
        assert!((80..=86).contains(&trip["ticks"].as_i64().unwrap()), "{trip}");
    }
    let ideal = succeed("run --app cd2dat --machine m.ron -n 20", &folder);
    let carried = succeed(&format!("run --app cd2dat --machine m.ron -n 20 --clocks {} -o a", eight()), &folder);
    let alone = succeed(&format!("run --app cd2dat -n 20 --clocks {} -o b", eight()), &folder);
    for run in [&carried, &alone] {
        assert_eq!((&run["digest"], &run["stream_digest"]), (&ideal["digest"], &ideal["stream_digest"]));
        assert!(run["clocks"]["end_seconds"].as_f64() > run["clocks"]["begin_seconds"].as_f64());
        assert_eq!(run["clocks"]["fault"], Value::Null);
        // Every tick has a physical time, in a table and in a picture.
        let results = folder.join(run["directory"].as_str().unwrap());
        let svg = std::fs::read_to_string(results.join("clocks.svg")).unwrap();
        for part in ["A tick begins, against the mean of all nodes (ns)", "Buffer occupancy (frames)", "ticks 0 to"] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(std::fs::read_to_string(results.join("tick_times.csv")).unwrap().starts_with("tick,n0,n1"));
    }
    let (code, other) = json(&format!("run --app cd2dat --machine ring:8 -n 20 --clocks {}", eight()), &folder);
    assert_eq!((code, other["error"]["code"].as_str()), (2, Some("clocks::other_machine")));
}

/// Drained buffers are empty until they are centred, and boot to the same machine.
#[test]
fn drained_buffers_boot_to_the_same_machine() {
    let folder = folder("clocks_drain");
    let drained = spec(&folder, "buffer: 32", "buffer: 32, drain: true");
    let boot = |spec: &str| succeed(&format!("boot {spec}"), &folder);
    let (plain, drained) = (boot(&eight()), boot(&drained));
    assert_eq!((&plain["round_trips"], &plain["nodes"]), (&drained["round_trips"], &drained["nodes"]));
    assert!(drained["links"].as_array().unwrap().iter().all(|link| link["centred_by"] == 16), "{drained}");
    let words = "clocks --machine ring:3 --ppm 0 --drain --until 20ms --watch-from 10ms --trace x.csv --trace-nodes none --every 2ms";
    succeed(words, &folder);
    let csv = std::fs::read_to_string(folder.join("x.csv")).unwrap();
    let full = |row: &str| row.split(',').skip(1).all(|frames| frames != "0");
    let rows: Vec<bool> = csv.lines().skip(1).map(full).collect();
    assert_eq!(rows, [false, false, false, false, false, true, true, true, true, true, true], "{csv}");
}

#[test]
fn what_is_down_or_stopped_has_no_trace() {
    let folder = folder("clocks_down");
    let faults = "faults: [NodeStop(at: \"5ms\", node: \"n1\"), NodeStart(at: \"11ms\", node: \"n1\")], until:";
    let name = spec(&folder, "until:", faults);
    let words = "--until 20ms --trace x.csv --trace-nodes n1 --trace-links n0>n1,n4>n5 --every 4ms --picture x.svg";
    succeed(&format!("clocks {name} {words}"), &folder);
    let csv = std::fs::read_to_string(folder.join("x.csv")).unwrap();
    let rows: Vec<Vec<bool>> =
        csv.lines().skip(1).map(|row| row.split(',').skip(1).map(str::is_empty).collect()).collect();
    let down = vec![true, true, false];
    let up = vec![false; 3];
    assert_eq!(rows, [&up, &up, &down, &up, &up, &up].map(Clone::clone), "{csv}");
    assert!(!std::fs::read_to_string(folder.join("x.svg")).unwrap().contains("NaN"));
}

#[test]
fn a_buffer_that_fails_ends_the_run() {
    let folder = folder("clocks_fault");
    let shallow = spec(&folder, "buffer: 32", "buffer: 1");
    let output = tidelock(&format!("run --app cd2dat -n 500 --clocks {shallow} --no-results"), &folder);
    assert_eq!(output.status.code(), Some(4));
    let told = told(&output);
    for part in ["flow of the buffer of n", "in tick", " s"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn captured_ugns_make_a_machine() {
    let folder = folder("clocks_ugns");
    let value = succeed(&format!("boot --ugns {} -o hw.ron", repository("data/clocks/hw_golden_ugn.json")), &folder);
    let trips = value["round_trips"].as_array().unwrap();
    let ticks: Vec<i64> = trips.iter().map(|trip| trip["ticks"].as_i64().unwrap()).collect();
    assert_eq!(ticks.len(), 28);
    assert_eq!(ticks.iter().filter(|ticks| **ticks == 1_307).count(), 1);
    assert!(ticks.iter().all(|&ticks| ticks == 1_307 || (71..=86).contains(&ticks)), "{ticks:?}");
    let run = succeed("run --app cd2dat --machine hw.ron -n 3", &folder);
    assert!(run["stream_digest"].is_string());
}

/// After a repair latencies are others; grooming gives the schedule its own back, or names the cycle that forbids it.
#[test]
fn a_repaired_machine_is_groomed_to_its_schedule() {
    let folder = folder("clocks_groom");
    succeed(&format!("boot {} -o before.ron", eight()), &folder);
    let shorter = spec(&folder, "until:", "links: [(source: \"n2\", target: \"n3\", latency: \"120ns\")], until:");
    let groomed = succeed(&format!("boot {shorter} --groom before.ron -o after.ron"), &folder);
    let frames = |value: &Value| -> Vec<i64> {
        value["links"].as_array().unwrap().iter().map(|link| link["groomed_by"].as_i64().unwrap()).collect()
    };
    // 80 ns are ten ticks of 125 MHz; what else there is, floors of the one or the other capture explain.
    assert!(frames(&groomed).iter().all(|&frames| frames >= 0), "{groomed}");
    assert!((8..=14).contains(&frames(&groomed).iter().sum::<i64>()), "{groomed}");
    let runs = ["before.ron", "after.ron"]
        .map(|machine| succeed(&format!("run --app cd2dat --machine {machine} -n 20"), &folder)["digest"].clone());
    assert_eq!(runs[0], runs[1]);
    // The repaired clocks carry the machine with the frames inserted, and nothing changes.
    let carried = succeed(&format!("run --app cd2dat --machine after.ron -n 20 --clocks {shorter}"), &folder);
    assert_eq!((&carried["digest"], &carried["clocks"]["fault"]), (&runs[0], &Value::Null));
    // Frames beyond what buffers hold cannot be inserted.
    let far = std::fs::read_to_string(folder.join("after.ron")).unwrap();
    let (latencies, far) = (far.matches("latency: 4").count(), far.replace("latency: 4", "latency: 14"));
    assert!(latencies > 0, "{far}");
    std::fs::write(folder.join("far.ron"), far).unwrap();
    let output = tidelock(&format!("run --app cd2dat --machine far.ron -n 20 --clocks {shorter}"), &folder);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("the buffer has room for"), "{}", told(&output));
    let longer = spec(&folder, "until:", "links: [(source: \"n2\", target: \"n3\", latency: \"900ns\")], until:");
    let output = tidelock(&format!("boot {longer} --groom before.ron"), &folder);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert!(told(&output).contains("n2 → n3"), "{}", told(&output));
    let other = tidelock(&format!("boot {} --groom ring:5", eight()), &folder);
    assert!(other.status.code() == Some(2) && told(&other).contains("same nodes and links"), "{}", told(&other));
}

#[test]
fn bad_specifications_are_told() {
    let folder = folder("clocks_bad");
    let (until, node) = ("until:", "nodes: [(name: \"n1\", ");
    let with = |text: &str| format!("{text}, until:");
    let own = |text: &str| with(&format!("{node}{text})]"));
    let fault = |text: &str| with(&format!("faults: [{text}]"));
    // What is replaced, by what, what is said, and the part of the text that it is said of.
    let cases = [
        ("latency: \"200ns\"", "latency: \"-1ns\"".to_owned(), "latency of -1 ns", "\"-1ns\""),
        ("buffer: 32", "buffer: 0x0".to_owned(), "a buffer of 0 frames", "0x0"),
        ("delay: 125", "delay: 25001".to_owned(), "must be shorter than the period", "25001"),
        ("\"125MHz\"", "\"0Hz\"".to_owned(), "has a frequency of 0", "\"0Hz\""),
        ("\"125MHz\"", "\"fast\"".to_owned(), "`fast` is not a frequency", ""),
        ("Proportional(kp: 2e-8)", "Magic(kp: 2e-8)".to_owned(), "Magic", ""),
        ("Proportional(kp: 2e-8)", "Proportional(kp: -2e-8)".to_owned(), "negative", "-2e-8"),
        ("Proportional(kp: 2e-8)", "Pump(kp: 2e-8, step: \"0ppb\")".to_owned(), "must be positive", "\"0ppb\""),
        ("Proportional(kp: 2e-8)", "Reframing(kp: 2e-8)".to_owned(), "give one of both", "Reframing"),
        ("Proportional(kp: 2e-8)", "Reframing(kp: 2e-8, switch: \"-1s\")".to_owned(), "negative", "\"-1s\""),
        ("\"ring:8\"", "\"blob:8\"".to_owned(), "blob:8", "\"blob:8\""),
        (until, own("offset: \"-2000000ppm\""), "has a frequency of -125 MHz", "\"-2000000ppm\""),
        (until, own("delay: 30000"), "must be shorter than the period", "30000"),
        (until, own("start: \"-1s\""), "neither may be negative", "\"-1s\""),
        (until, own("wander: (interval: \"0s\", step: \"1ppb\")"), "has a wander whose interval", "(interval"),
        (until, with("nodes: [(name: \"nix\")]"), "no node `nix`", "\"nix\""),
        (until, with("links: [(source: \"n0\", target: \"n1\", latency: \"-5ns\")]"), "latency of -5 ns", "\"-5ns\""),
        (until, with("links: [(source: \"n0\", target: \"n1\", buffer: 0x0)]"), "a buffer of 0 frames", "0x0"),
        (until, with("links: [(source: \"n0\", target: \"n9\")]"), "no node `n9`", "\"n9\""),
        (until, with("links: [(source: \"n0\", target: \"n4\")]"), "no link `n0 → n4`", "(source"),
        (until, fault("LinkDown(at: \"1s\", source: \"n0\", target: \"n9\")"), "no node `n9`", "\"n9\""),
        (until, fault("LinkDown(at: \"1s\", source: \"n0\", target: \"n5\")"), "no link `n0 → n5`", "LinkDown"),
        (until, fault("NodeStop(at: \"-1s\", node: \"n0\")"), "cannot be scheduled", "\"-1s\""),
        (until, fault("FrequencyStep(at: \"1s\", node: \"n0\", by: \"-200%\")"), "which no clock has", "\"-200%\""),
        (
            until,
            fault("Latency(at: \"1s\", source: \"n0\", target: \"n1\", to: \"1us\", over: \"2ns\")"),
            "frames would not stay in order",
            "\"2ns\"",
        ),
    ];
    for (replaced, by, part, place) in cases {
        let name = spec(&folder, replaced, &by);
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let before = &text[..text.find(place).unwrap()];
        let line = before.lines().count();
        let column = before.lines().last().unwrap_or_default().chars().count() + 1;
        let output = tidelock(&format!("clocks {name}"), &folder);
        assert_eq!(output.status.code(), Some(2), "{by}: {}", told(&output));
        assert!(told(&output).contains(part), "{by}: {}", told(&output));
        // Where the parser finds something wrong by itself, it says the place in its own way.
        let place = if place.is_empty() { "[spec.ron:".to_owned() } else { format!("[spec.ron:{line}:{column}]") };
        assert!(told(&output).contains(&place), "{by}: {place}: {}", told(&output));
    }
    for (flags, part) in [
        ("--kp -2e-8", "the gain kp is negative"),
        ("--ppm -5", "--ppm must be between 0"),
        ("--link-latency -1ns", "this comes of --link-latency"),
        ("--buffer 0", "this comes of --buffer"),
        ("--picture x.txt", "must end in .svg or .png"),
    ] {
        let output = tidelock(&format!("clocks --machine ring:3 --until 1ms {flags}"), &folder);
        assert!(output.status.code() == Some(2) && told(&output).contains(part), "{flags}: {}", told(&output));
    }
    let unstable = tidelock("clocks --machine star:1100 --until 1ms", &folder);
    assert!(unstable.status.success() && told(&unstable).contains("gains must be below 1.8"), "{}", told(&unstable));
    let geared = spec(&folder, "until:", "links: [(source: \"n0\", target: \"n1\", gear: 2)], until:");
    let output = tidelock(&format!("boot {geared}"), &folder);
    assert!(output.status.code() == Some(2) && told(&output).contains("frames per tick"), "{}", told(&output));
}
