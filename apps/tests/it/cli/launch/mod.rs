//! Launchers: shards on hosts that a stub of ssh plays, in jobs that a stub of Slurm starts, under mpirun, in network
//! namespaces; what is printed for Kubernetes; and the doctor, who looks at hosts first.

mod doctor;
mod hosts;
mod kubernetes;
mod manifest;
mod mpi;
mod namespaces;
mod slurm;

use super::shards::{SECOND, wait};
use super::{folder, succeed, told};
use serde_json::Value;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// A run that all launchers are to repeat.
const RUN: &str = "--app cd2dat --machine torus:4x4 -n 40";

/// What one process makes of it.
fn expected(folder: &Path) -> Value {
    succeed(&format!("run {RUN}"), folder)
}

/// What is printed is what one process prints.
#[track_caller]
fn assert_same(output: &Output, expected: &Value) {
    assert!(output.status.success(), "{:?}: {}", output.status, told(output));
    let found: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(output)));
    for field in ["digest", "stream_digest", "ticks", "channels", "iterations"] {
        assert_eq!(found[field], expected[field], "{field}");
    }
}

/// This program with words, in a folder.
fn command(words: &str, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelock"));
    command.args(words.split_whitespace()).current_dir(folder).env("NO_COLOR", "1");
    command
}

/// A script that can be started.
fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A port that was free just now.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The last line of what was said, for programs.
#[track_caller]
fn last_line(output: &Output) -> Value {
    let told = told(output);
    let last = told.lines().last().and_then(|line| serde_json::from_str(line).ok());
    last.unwrap_or_else(|| panic!("{told}"))
}

/// Whether a program is there; if not, the test says so.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

#[test]
fn it_must_be_said_where_shards_are_to_be() {
    let folder = folder("launch_nowhere");
    let refused = |words: &str, part: &str| {
        let output = command(&format!("launch {RUN} {words}"), &folder).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}: {}", told(&output));
        let told = told(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(part), "{words}: {told}");
    };
    refused("", "--kubernetes");
    refused("--slurm", "number of shards is not given");
    refused("--kubernetes --shards 3", "--image");
    refused("--local 3 --shards 2", "--shards says 2 shards, the places are for 3");
    refused("--hosts a,b --shards 3", "--shards says 3 shards, the places are for 2");
    refused("--local 2 --slurm", "cannot be used with");
    refused("--hosts a:x", "alpha,beta:2");
    refused("--slurm --shards 2 --time soon", "02:30:00");
    refused("--slurm --shards 2 --name A", "no name of a job");
}

#[test]
fn local_shards_are_started_or_printed() {
    let folder = folder("launch_local");
    let output = command(&format!("launch --local 3 {RUN} --format json"), &folder).output().unwrap();
    assert_same(&output, &expected(&folder));
    let output = command(&format!("launch --local 3 {RUN} --no-results --print"), &folder).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let commands: Vec<&str> = printed.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(commands.len(), 3, "{printed}");
    assert!(commands[0].contains(" shard --app cd2dat") && commands[0].contains(" --rank 0 "), "{printed}");
    assert!(commands[2].contains("--rank 2") && commands[2].contains("--rendezvous 127.0.0.1:PORT"), "{printed}");
    assert!(!printed.contains("--print") && !printed.contains("--local"), "{printed}");
}
