//! What a run leaves behind, and the crate that `new` writes.

use super::{folder, succeed, tidelock, told};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Without a word about results they go below `out`, and `latest` leads there; repeating the run gives the same digests.
#[test]
fn a_run_leaves_results() {
    let folder = folder("results");
    let output = tidelock("run DATA/modem.xml --machine ring:3 --iterations 4 --record b,l", &folder);
    assert!(output.status.success(), "{}", told(&output));
    let latest = folder.join("out/latest");
    let summary: Value = serde_json::from_str(&read(&latest.join("summary.json"))).unwrap();
    assert_eq!((&summary["version"], &summary["exit"], &summary["iterations"]), (&1.into(), &0.into(), &4.into()));
    for file in ["run.ron", "machine.ron", "graph.ron", "schedule.json", "calendar.svg", "topology.svg"] {
        assert!(latest.join(file).exists(), "{file}");
    }
    assert_eq!(read(&latest.join("channels/b.csv")).lines().count(), 5);
    assert_eq!(std::fs::metadata(latest.join("channels/l.bin")).unwrap().len(), 4 * 8 * tokens(&summary, "l") / 4);
    let again = Command::new("sh").arg(latest.join("repro.sh")).args(["--format", "json"]).output().unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("{}", told(&again)));
    assert_eq!((&again["digest"], &again["channels"]), (&summary["digest"], &summary["channels"]));
    // A second run goes beside the first.
    assert!(tidelock("run DATA/modem.xml --machine ring:3 --iterations 4", &folder).status.success());
    let runs = std::fs::read_dir(folder.join("out")).unwrap().map(|entry| entry.unwrap().file_name());
    let runs: Vec<_> = runs.filter(|name| name != "latest").collect();
    assert_eq!(runs.len(), 2, "{runs:?}");
}

fn tokens(summary: &Value, channel: &str) -> u64 {
    summary["channels"][channel]["tokens"].as_u64().unwrap()
}

/// For programs nothing is kept unless they ask.
#[test]
fn programs_get_no_results_unasked() {
    let folder = folder("unasked");
    succeed("run DATA/modem.xml --machine ring:3 --iterations 4", &folder);
    assert!(tidelock("run DATA/modem.xml --machine ring:3 --iterations 4 --no-results", &folder).status.success());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    let run = succeed("run DATA/modem.xml --machine ring:3 --iterations 4 -o kept", &folder);
    assert_eq!(run["directory"], "kept");
    assert!(folder.join("kept/summary.json").exists());
}

/// Typed tokens come out as their bytes.
#[test]
fn recorded_tokens_are_their_bytes() {
    let folder = folder("recorded");
    let run = succeed("run --app cd2dat --machine torus:2x2 --iterations 2 -o kept", &folder);
    assert_eq!(run["recorded"], serde_json::json!(["dat"]));
    let bytes = std::fs::read(folder.join("kept/channels/dat.bin")).unwrap();
    let samples: Vec<f32> = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(samples.len(), 320);
    assert!(samples.iter().all(|sample| sample.abs() < 1.1) && samples[300].abs() > 1e-3, "{:?}", &samples[300..]);
}

#[test]
fn built_in_applications_are_listed_and_run() {
    let folder = folder("apps");
    let apps = succeed("apps", &folder);
    for app in apps["apps"].as_array().unwrap() {
        let example = app["example"].as_str().unwrap();
        let run = succeed(&format!("run --app {example} --machine torus:2x2 --iterations 2"), &folder);
        assert!(run["ticks"].as_u64().unwrap() > 0, "{example}");
    }
}

/// A new crate has what it needs. Building it takes a while, which the ignored test below does.
#[test]
fn a_new_crate_is_complete() {
    let folder = folder("new");
    let new = succeed("new my-app", &folder);
    assert_eq!(new["name"], "my-app");
    let manifest: toml::Table = read(&folder.join("my-app/Cargo.toml")).parse().unwrap();
    let path = manifest["dependencies"]["tidelock"]["path"].as_str().unwrap();
    assert!(Path::new(path).join("Cargo.toml").exists(), "{path}");
    assert!(manifest.contains_key("workspace"), "it works inside of another workspace");
    for file in ["README.md", "src/main.rs", "rust-toolchain.toml", ".gitignore"] {
        assert!(!read(&folder.join("my-app").join(file)).contains("TIDELOCK"), "{file}");
    }
    assert_eq!(tidelock("new my-app", &folder).status.code(), Some(5), "nothing is overwritten");
}

/// A new crate builds, passes its test, and runs.
#[test]
#[ignore = "builds a crate with all dependencies: minutes"]
fn a_new_crate_builds_and_runs() {
    let folder = folder("new-build");
    succeed("new my-app", &folder);
    let cargo = |words: &str| {
        let output = Command::new(env!("CARGO"))
            .args(words.split(' '))
            .current_dir(folder.join("my-app"))
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .output()
            .unwrap();
        assert!(output.status.success(), "cargo {words}: {}", told(&output));
        told(&output)
    };
    cargo("test --offline");
    let run = cargo("run --offline -- run --machine torus:4x4 --iterations 100 --no-results");
    assert!(run.contains("my-app on torus:4x4: 100 iterations"), "{run}");
}
