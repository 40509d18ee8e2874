//! Kept calendars: written, loaded, compared, shown.

use super::{folder, json, succeed, tidelock, told};

/// Kept calendars run as those that are made on the way, and need neither graph nor machine to be named.
#[test]
fn kept_calendars_run_alike() {
    let folder = folder("kept");
    for (name, app) in [("graph", "DATA/modem.xml"), ("typed", "--app cd2dat")] {
        let machine = "--machine torus:2x3 --latency 4";
        succeed(&format!("compile {app} {machine} -o {name}"), &folder);
        let direct = succeed(&format!("run {app} {machine} --iterations 5"), &folder);
        let app = if name == "graph" { "" } else { app };
        let kept = succeed(&format!("run {app} --calendars {name} --iterations 5"), &folder);
        for key in ["digest", "stream_digest", "channels", "ticks", "machine"] {
            assert_eq!(direct[key], kept[key], "{name}: {key}");
        }
    }
}

/// Equal runs have equal digests; the run digest tells machines apart, the streams do not.
#[test]
fn digests_tell_what_they_should() {
    let folder = folder("digests");
    for level in ["state", "events"] {
        let run = |machine: &str| {
            succeed(&format!("run DATA/csdf_sample.xml --machine {machine} --iterations 4 --digest {level}"), &folder)
        };
        let (first, second, other) = (run("ring:4"), run("ring:4"), run("line:4 --latency 3"));
        assert_eq!((&first["digest"], &first["channels"]), (&second["digest"], &second["channels"]));
        assert_eq!(first["stream_digest"], other["stream_digest"]);
        assert_ne!(first["digest"], other["digest"]);
        assert!(first["digest"].as_str().unwrap().starts_with(&format!("{level}:")));
    }
}

#[test]
fn equal_calendars_do_not_differ() {
    let folder = folder("diff");
    for (name, machine) in [("a", "ring:4"), ("b", "ring:4"), ("c", "ring:5")] {
        succeed(&format!("compile DATA/live_ring.xml --machine {machine} -o {name}"), &folder);
    }
    let equal = succeed("diff a b", &folder);
    assert_eq!((&equal["equal"], &equal["differences"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(tidelock("diff a b", &folder).stdout, b"");
    let other = succeed("diff a c", &folder);
    assert_eq!(other["equal"], false);
    assert!(other["differences"].as_array().unwrap().iter().any(|line| line == "machine: ring:4 → ring:5"), "{other}");
}

/// Calendars that were tampered with, or that are for something else, do not run.
#[test]
fn wrong_calendars_do_not_run() {
    let folder = folder("wrong");
    succeed("compile DATA/modem.xml --machine ring:3 -o kept", &folder);
    let (code, error) = json("run --calendars kept --machine ring:4 --iterations 1", &folder);
    assert_eq!((code, &error["error"]["code"]), (4, &"verify::violations".into()), "{error}");
    let (code, error) = json("run DATA/samplerate.xml --calendars kept --iterations 1", &folder);
    assert_eq!((code, &error["error"]["code"]), (4, &"verify::violations".into()), "{error}");
    let path = folder.join("kept/calendars.ron");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("slot: 3,", "slot: 4,", 1)).unwrap();
    let (code, error) = json("run --calendars kept --iterations 1", &folder);
    assert_eq!((code, &error["error"]["code"]), (4, &"verify::violations".into()), "{error}");
    assert!(!error["error"]["details"].as_array().unwrap().is_empty());
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let (code, error) = json("run --calendars kept --iterations 1", &folder);
    assert_eq!((code, &error["error"]["code"]), (2, &"calendars::syntax".into()), "{error}");
    std::fs::write(&path, text.replacen("version: 2", "version: 9", 1)).unwrap();
    let (code, error) = json("run --calendars kept --iterations 1", &folder);
    assert_eq!((code, &error["error"]["code"]), (2, &"calendars::version".into()), "{error}");
}

/// Machine files are what presets are.
#[test]
fn a_machine_file_is_the_preset() {
    let folder = folder("machine");
    succeed("machine torus:3x2 --latency 4 --cores 2 -o m.ron", &folder);
    let words = "DATA/modem.xml --iterations 3 --machine";
    let file = succeed(&format!("run {words} m.ron"), &folder);
    let preset = succeed(&format!("run {words} torus:3x2 --latency 4 --cores 2"), &folder);
    assert_eq!((&file["digest"], &file["machine"]), (&preset["digest"], &preset["machine"]));
}

/// Pictures in the terminal, in files, and as data.
#[test]
fn calendars_and_machines_are_shown() {
    let folder = folder("view");
    let calendar = told(&tidelock("view calendar DATA/modem.xml --machine ring:3 --width 60", &folder));
    assert!(calendar.starts_with("modem on ring:3: metacycle 16 ticks"), "{calendar}");
    assert!(calendar.lines().all(|line| line.chars().count() <= 80) && calendar.contains("n0 compute │"), "{calendar}");
    let topology = told(&tidelock("view topology --machine line:2", &folder));
    assert!(topology.contains("n0        1  n1 (1)"), "{topology}");
    for (words, file) in [
        ("calendar DATA/modem.xml --machine ring:3", "calendar.svg"),
        ("calendar DATA/modem.xml --machine ring:3", "calendar.png"),
        ("topology --machine fat-tree:2", "topology.svg"),
    ] {
        let files = succeed(&format!("view {words} -o {file}"), &folder);
        assert_eq!(files["files"], serde_json::json!([file]));
        assert!(std::fs::metadata(folder.join(file)).unwrap().len() > 1_000, "{file}");
    }
    let data = succeed("view calendar --app cd2dat --machine ring:2", &folder);
    assert_eq!(data["nodes"][0]["lanes"][0]["kind"], "scatter");
    let data = succeed("view topology --app cd2dat --machine ring:2", &folder);
    assert!(data["nodes"][0]["busy"].as_f64().unwrap() > 0.5, "{data}");
}

/// The load of every node and link in every tick reaches a period of 1 on every kind of machine.
#[test]
fn dense_runs_in_every_tick() {
    let folder = folder("dense");
    for machine in ["single", "ring:5", "torus:3x4 --latency 8", "fat-tree:2", "hypercube:3", "hourglass:3", "tree:2x2"]
    {
        let run = succeed(&format!("run --app dense --machine {machine} --iterations 50 --channels none"), &folder);
        assert_eq!((&run["iteration_period"], &run["ticks"]), (&"1".into(), &50.into()), "{machine}");
    }
}
