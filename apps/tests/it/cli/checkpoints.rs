//! Checkpoints: whoever executed a run, and whatever happened to it, it goes on and ends as it would have.

use super::shards::{SECOND, Shards, wait};
use super::{folder, json, succeed, tidelock, told};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sim_core::mix::mix64;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const RUN: &str = "run --app cd2dat --machine torus:4x4";

/// Whether two runs came to the same.
#[track_caller]
fn assert_same(found: &Value, expected: &Value) {
    for field in ["digest", "stream_digest", "ticks", "iterations", "channels", "recorded"] {
        assert_eq!(found[field], expected[field], "{field}: {found}");
    }
}

/// The ticks of the checkpoints in a folder, newest first.
fn ticks(checkpoints: &Path) -> Vec<i64> {
    let entries = fs::read_dir(checkpoints).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut ticks: Vec<i64> = names.filter_map(|name| name.strip_prefix("tick-")?.parse().ok()).collect();
    ticks.sort_unstable_by_key(|tick| -tick);
    ticks
}

fn checkpoint(checkpoints: &Path, tick: i64) -> PathBuf {
    checkpoints.join(format!("tick-{tick:020}"))
}

/// Executes a command as a shell would that a user gave it to.
fn shell(command: &str) -> Value {
    let output = Command::new("sh").args(["-c", &format!("{command} --format json")]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{command}: {error}: {}", told(&output)))
}

/// The command in a sentence like "go on with `…`".
fn quoted(help: &Value) -> String {
    let help = help.as_str().unwrap();
    help.split('`').nth(1).unwrap_or_else(|| panic!("{help}")).to_owned()
}

/// A run of 120 iterations, and its newest checkpoint.
fn checkpointed(name: &str) -> (PathBuf, Value, i64) {
    let folder = folder(name);
    let words = format!("{RUN} -n 120 --checkpoint-every 2000 --checkpoints ck --record dat");
    let whole = succeed(&format!("{words} -o whole"), &folder);
    let ticks = ticks(&folder.join("ck"));
    assert_eq!(ticks.len(), 3, "the newest three are kept: {ticks:?}");
    assert!(ticks.is_sorted_by(|a, b| a > b) && ticks[0] < whole["ticks"].as_i64().unwrap());
    (folder, whole, ticks[0])
}

#[test]
fn a_run_goes_on_with_any_threads_and_shards() {
    let (folder, whole, tick) = checkpointed("checkpoints_any");
    for (number, way) in ["--threads 1", "--threads 3", "--shards 1", "--shards 2", "--shards 4"].iter().enumerate() {
        let resumed = succeed(&format!("run --resume ck {way} -o part{number}"), &folder);
        assert_same(&resumed, &whole);
        assert_eq!(resumed["resumed"]["from_tick"], tick, "{way}");
        for kind in ["csv", "bin"] {
            let file = |run: &str| fs::read(folder.join(run).join(format!("channels/dat.{kind}"))).unwrap();
            assert_eq!(file(&format!("part{number}")), file("whole"), "{way}");
        }
    }
    // Shards leave checkpoints for others, and for one process.
    let shards =
        succeed(&format!("{RUN} -n 120 --checkpoint-every 4000 --checkpoints ck2 --shards 3 --channels all"), &folder);
    for way in ["--threads 2", "--shards 2"] {
        let resumed = succeed(&format!("run --resume ck2 {way}"), &folder);
        assert_same(&resumed, &shards);
        assert!(resumed["resumed"]["from_tick"].as_i64().unwrap() > 0);
    }
}

/// Fed sources, and any level of the run digest.
#[test]
fn inputs_and_levels_are_kept() {
    let folder = folder("checkpoints_levels");
    for level in ["off", "events"] {
        let words = format!("{RUN} -n 60 --digest {level} --channels dat --checkpoint-every 1 --checkpoints {level}");
        let whole = succeed(&words, &folder);
        assert_same(&succeed(&format!("run --resume {level}"), &folder), &whole);
        assert_same(&succeed(&format!("run --resume {level} --shards 2"), &folder), &whole);
    }
}

#[test]
fn damaged_checkpoints_are_passed_over() {
    let (folder, whole, newest) = checkpointed("checkpoints_damaged");
    let checkpoints = folder.join("ck");
    let ticks = ticks(&checkpoints);
    let resumed = |expected: i64, warnings: usize| {
        let output = tidelock("run --resume ck --no-results --format json", &folder);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told.matches("is passed over").count(), warnings, "{told}");
        let run: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"));
        assert_eq!(run["resumed"]["checkpoint_tick"], expected, "{told}");
        assert_same(&run, &whole);
    };
    let nodes = |tick: i64| checkpoint(&checkpoints, tick).join("nodes");
    // A bit.
    let mut bytes = fs::read(nodes(newest)).unwrap();
    bytes[1000] ^= 4;
    fs::write(nodes(newest), &bytes).unwrap();
    resumed(ticks[1], 1);
    // The end of a file.
    fs::write(nodes(newest), &bytes[..2000]).unwrap();
    resumed(ticks[1], 1);
    // A whole section, of another tick.
    fs::copy(nodes(ticks[2]), nodes(newest)).unwrap();
    resumed(ticks[1], 1);
    // The record.
    fs::write(checkpoint(&checkpoints, ticks[1]).join("commit"), "{}").unwrap();
    resumed(ticks[2], 2);
    fs::remove_file(checkpoint(&checkpoints, ticks[1]).join("commit")).unwrap();
    resumed(ticks[2], 2);
    // What a crash leaves is no checkpoint.
    fs::rename(checkpoint(&checkpoints, newest), checkpoints.join(".tick.partial")).unwrap();
    resumed(ticks[2], 1);
    fs::remove_dir_all(checkpoint(&checkpoints, ticks[2])).unwrap();
    let (code, error) = json("run --resume ck", &folder);
    assert_eq!((code, &error["error"]["code"]), (5, &"checkpoint::damaged".into()), "{error}");
    // Nothing was kept yet: the run starts again.
    fs::remove_dir_all(checkpoint(&checkpoints, ticks[1])).unwrap();
    resumed(0, 0);
}

/// What differs is said, with both values.
#[test]
fn foreign_checkpoints_are_refused() {
    let (folder, _, _) = checkpointed("checkpoints_foreign");
    succeed(&format!("{RUN} -n 121 --checkpoint-every 2000 --checkpoints other"), &folder);
    let (ours, theirs) = (folder.join("ck"), folder.join("other"));
    let (ticks, others) = (ticks(&ours), ticks(&theirs));
    for (mine, other) in ticks.iter().zip(&others) {
        fs::remove_dir_all(checkpoint(&ours, *mine)).unwrap();
        fs::rename(checkpoint(&theirs, *other), checkpoint(&ours, *other)).unwrap();
    }
    let (code, error) = json("run --resume ck", &folder);
    let message = error["error"]["message"].as_str().unwrap();
    assert_eq!(code, 7, "{message}");
    assert!(message.contains("it is of another run: the configuration is"), "{message}");
    // And nobody else's are overwritten.
    let (code, error) = json(&format!("{RUN} -n 122 --checkpoint-every 2000 --checkpoints ck"), &folder);
    assert_eq!((code, &error["error"]["code"]), (5, &"checkpoint::taken".into()), "{error}");
    for (words, code, name) in [
        ("run --resume nowhere", 2, "checkpoint::none"),
        ("run --resume ck -n 7", 2, "usage::arguments"),
        ("run --app cd2dat --machine single -n 5 --checkpoint-every 0", 2, "usage::arguments"),
        ("run --app cd2dat --machine single -n 5 --checkpoint-every 1s --shards 1", 2, "checkpoint::time"),
    ] {
        let (found, error) = json(words, &folder);
        // A shard writes a line of its own.
        assert!(found == code && (name == "checkpoint::time" || error["error"]["code"] == name), "{words}: {error}");
    }
}

/// A checkpoint that cannot be stored ends the run; those before it stay.
#[test]
fn a_full_disk_ends_the_run() {
    for way in ["--threads 1", "--shards 2"] {
        let (folder, whole, _) = checkpointed(&format!("checkpoints_full_{}", way.len()));
        // In the way of the next one.
        fs::write(folder.join("ck/.tick.partial"), "").unwrap();
        let before = ticks(&folder.join("ck"));
        let words = format!("run --resume ck --checkpoint-every 1 --no-results {way}");
        let output = tidelock(&words, &folder);
        assert_eq!(output.status.code(), Some(5), "{}", told(&output));
        assert_eq!(ticks(&folder.join("ck")), before);
        fs::remove_file(folder.join("ck/.tick.partial")).unwrap();
        assert_same(&succeed(&format!("{words} --quiet"), &folder), &whole);
    }
}

/// Iterations of a run that takes some seconds.
const SECONDS: u64 = 6000;

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let folder = folder("checkpoints_interrupted");
    let whole = succeed(&format!("{RUN} -n {SECONDS} -o whole"), &folder);
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let words = format!("{RUN} -n {SECONDS} --checkpoint-every 5000 -o out{code} --format json --threads 2");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidelock"));
        command.args(words.split_whitespace()).current_dir(&folder).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let checkpoints = folder.join(format!("out{code}.checkpoints"));
        wait("a checkpoint", || ticks(&checkpoints).first().copied());
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        // What was observed until then is kept too.
        let summary = fs::read_to_string(folder.join(format!("out{code}/summary.json"))).unwrap();
        let summary: Value = serde_json::from_str(&summary).unwrap();
        assert_eq!((&summary["exit"], &summary["ticks"]), (&code.into(), &ticks(&checkpoints)[0].into()));
        assert_same(&shell(&quoted(&error["error"]["help"])), &whole);
    }
}

#[test]
fn interrupted_shards_say_how_to_go_on() {
    let folder = folder("checkpoints_interrupted_shards");
    let whole = succeed(&format!("{RUN} -n {SECONDS}"), &folder);
    let mut shards = Shards::start("shards_checkpoints_interrupted", 3, &format!("-n {SECONDS} --checkpoints ck"));
    shards.under_way();
    shards.signal(1, Signal::SIGTERM);
    let ended: Vec<_> = (0..3).map(|rank| shards.end(rank)).collect();
    for (code, last) in &ended {
        assert_eq!(*code, Some(143), "{last}");
        assert_eq!(last["resume"], ended[0].1["resume"]);
    }
    let resumed = shell(ended[0].1["resume"].as_str().unwrap());
    assert_same(&resumed, &whole);
    assert_eq!(resumed["resumed"]["from_tick"], ended[0].1["tick"]);
}

/// Kills shards of a run that takes a checkpoint whenever it can, and goes on from there, again and again.
fn killed(name: &str, kills: u64, iterations: u64) {
    let folder = folder(name);
    let whole = succeed(&format!("{RUN} -n {iterations}"), &folder);
    let count = 3;
    let mut resumed_from = 0;
    for round in 0..kills {
        let draw = |what: u64| mix64(round ^ mix64(what));
        let words = format!("-n {iterations} --checkpoint-every 1 --checkpoints ck --peer-timeout 1.5");
        let mut shards = Shards::start(&format!("{name}_{round}"), count, &words);
        let checkpoints = shards.folder.join("ck");
        wait("a checkpoint", || ticks(&checkpoints).first().copied());
        std::thread::sleep(SECOND / 1000 * (draw(1) % 600) as u32);
        // One of them, or all, most likely while they take a checkpoint.
        let dead = draw(2) as usize % (count + 1);
        let dying = if dead == count { 0..count } else { dead..dead + 1 };
        dying.clone().for_each(|rank| shards.signal(rank, Signal::SIGKILL));
        let told = (0..count).filter(|rank| !dying.contains(rank)).map(|rank| shards.end(rank)).collect::<Vec<_>>();
        assert!(told.iter().all(|(code, last)| *code == Some(6) && last["peer"] == dead), "{told:?}");
        let fewer = format!("{} run --resume {}", env!("CARGO_BIN_EXE_tidelock"), checkpoints.display());
        // Who is killed says nothing.
        let told = told.first().and_then(|(_, last)| last["resume"].as_str());
        let command = told.map_or(format!("{fewer} --shards {count}"), str::to_owned);
        let resumed = shell(&command);
        assert_same(&resumed, &whole);
        resumed_from = resumed_from.max(resumed["resumed"]["from_tick"].as_i64().unwrap());
        // With another number of shards, or in one process.
        let other = [" --shards 2", "", " --shards 4"][draw(3) as usize % 3];
        assert_same(&shell(&format!("{fewer}{other}")), &whole);
        let _ = fs::remove_dir_all(&checkpoints);
    }
    assert!(resumed_from > 0, "some were killed after a checkpoint");
}

#[test]
fn a_killed_run_goes_on() {
    killed("checkpoints_killed", 2, 2000);
}

#[test]
#[ignore = "takes minutes"]
fn a_run_that_is_killed_twenty_times_goes_on() {
    killed("checkpoints_killed_often", 20, 3000);
}
