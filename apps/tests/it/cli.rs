//! The `tidelock` binary, as shells and other programs see it.

mod bad_input;
mod calendars;
mod checkpoints;
mod clocks;
mod fleet_matrix;
mod fleets;
mod graphs;
mod launch;
mod partition;
mod results;
mod shards;
mod verify;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command line; words are separated by blanks, `DATA` is the folder of published graphs.
fn tidelock(words: &str, folder: &Path) -> Output {
    let data = format!("{}/../data/sdf", env!("CARGO_MANIFEST_DIR"));
    let words = words.split_whitespace().map(|word| word.replace("DATA", &data));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelock"));
    command.args(words).current_dir(folder).env("NO_COLOR", "1").output().unwrap()
}

/// The exit code and the JSON of a command.
#[track_caller]
fn json(words: &str, folder: &Path) -> (i32, Value) {
    let output = tidelock(&format!("{words} --format json"), folder);
    let value = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), value.unwrap_or_else(|error| panic!("{words}: {error}: {}", told(&output))))
}

/// The JSON of a command that succeeds.
#[track_caller]
fn succeed(words: &str, folder: &Path) -> Value {
    let (code, value) = json(words, folder);
    assert_eq!(code, 0, "{words}: {value}");
    value
}

/// All that a command said.
fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An empty folder of this test alone.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// What is published about the graphs of `DATA`, by name.
fn expected() -> serde_json::Map<String, Value> {
    let path = format!("{}/../data/sdf/expected.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
