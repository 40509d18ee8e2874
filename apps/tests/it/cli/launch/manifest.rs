//! Keys and manifests: shards that know each other's certificates beforehand.

use super::{RUN, assert_same, command, expected, folder, free_port, last_line, told};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

/// Keys for `shards` shards in `folder`/`name`; shard 0 will be at `port`.
fn keys(folder: &Path, name: &str, shards: u32, port: u16) -> Value {
    let words = format!("shard keygen --shards {shards} --address 127.0.0.1:{port} -o {name} --format json");
    let output = command(&words, folder).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs shards 0 and 1, which are given these words.
fn pair(folder: &Path, first: &str, second: &str) -> (Output, Output) {
    let start = |rank: u32, words: &str| {
        let words = format!("shard {RUN} --format json --rank {rank} {words}");
        command(&words, folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (first, second) = (start(0, first), start(1, second));
    let second = second.wait_with_output().unwrap();
    (first.wait_with_output().unwrap(), second)
}

#[test]
fn a_manifest_takes_the_place_of_a_secret() {
    let folder = folder("manifest_run");
    let made = keys(&folder, "keys", 2, free_port());
    for rank in 0..2 {
        let mode = fs::metadata(folder.join(format!("keys/shard-{rank}.key"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let words = "--manifest keys/manifest.json";
    let (first, second) = pair(&folder, &format!("{words} -o out"), words);
    assert!(second.status.success(), "{}", told(&second));
    assert_same(&first, &expected(&folder));
    // What the run leaves says who took part, and in what.
    let read = |path: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(path)).unwrap()).unwrap() };
    let (left, manifest) = (read("out/manifest.json"), read("keys/manifest.json"));
    assert_eq!(left["run"], manifest["run"]);
    for rank in 0..2 {
        assert_eq!(left["shards"][rank]["certificate"], made["keys"][rank]["certificate"]);
    }
    assert!(["build", "configuration", "calendars"].iter().all(|field| left[field].as_str().unwrap().len() == 64));
}

#[test]
fn wrong_certificates_are_refused() {
    let folder = folder("manifest_refused");
    let port = free_port();
    keys(&folder, "keys", 2, port);
    // Another run's keys for the same addresses: neither side takes the other for its own.
    keys(&folder, "others", 2, port);
    let ours = "--manifest keys/manifest.json";
    // Shard 0 goes on waiting for the right one.
    let alone = format!("{ours} --join-timeout 5");
    let (first, second) = pair(&folder, &alone, "--manifest others/manifest.json");
    assert_eq!((first.status.code(), second.status.code()), (Some(6), Some(7)), "{} {}", told(&first), told(&second));
    assert_eq!(last_line(&second)["code"], 7);
    // The key of another shard.
    let swapped = format!("{ours} --key keys/shard-0.key");
    let (first, second) = pair(&folder, &alone, &swapped);
    assert_eq!((first.status.code(), second.status.code()), (Some(6), Some(7)), "{} {}", told(&first), told(&second));
    assert!(told(&second).contains("the certificate is that of shard#0"), "{}", told(&second));
}

#[test]
fn manifests_and_keys_are_checked() {
    let folder = folder("manifest_checked");
    keys(&folder, "keys", 2, free_port());
    let refused = |words: &str, code: i32, part: &str| {
        let output = command(words, &folder).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}: {}", told(&output));
        let told = told(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(part), "{words}: {told}");
    };
    let shard = |words: &str| format!("shard {RUN} --format json --join-timeout 1 {words}");
    // Keys that others may read, files that hold none, shards that are missing or there already.
    fs::set_permissions(folder.join("keys/shard-1.key"), fs::Permissions::from_mode(0o640)).unwrap();
    refused(&shard("--rank 1 --manifest keys/manifest.json"), 2, "can be read by others (mode 0640)");
    fs::set_permissions(folder.join("keys/manifest.json"), fs::Permissions::from_mode(0o600)).unwrap();
    refused(&shard("--rank 0 --manifest keys/manifest.json --key keys/manifest.json"), 2, "holds no key");
    refused("shard keygen --shard 1 -o keys", 5, "has a shard 1 already");
    refused("shard keygen -o keys", 2, "--shards");
    command("shard keygen --shard 2 -o gap", &folder).output().unwrap();
    refused(&shard("--rank 2 --manifest gap/manifest.json"), 2, "shard 0 is missing");
    refused(&shard("--rank 0 --shards 3 --manifest keys/manifest.json"), 7, "for 2 shards, this run has 3");
    // A manifest for another run.
    let path = folder.join("keys/manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["calendars"] = "0".repeat(64).into();
    fs::write(&path, manifest.to_string()).unwrap();
    refused(&shard("--rank 0 --manifest keys/manifest.json"), 7, "calendars differs: 0000");
    manifest["version"] = 2.into();
    fs::write(&path, manifest.to_string()).unwrap();
    refused(&shard("--rank 0 --manifest keys/manifest.json"), 2, "version 2");
}
