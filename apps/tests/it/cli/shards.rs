//! Shards as processes: equal digests, and what happens when one of them dies, sleeps, or may not take part.

use super::{folder, succeed};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Iterations of a run that takes longer than any test.
const LONG: &str = "1000000000";

/// Shards that end when the test does.
pub(super) struct Shards {
    children: Vec<Child>,
    pub(super) folder: PathBuf,
}

impl Drop for Shards {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Those that have ended already are only waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(folder: &Path, rank: usize, count: usize, words: &str, address: &str) -> Child {
    start_with(folder, rank, count, &format!("{words} --no-results"), address)
}

fn start_with(folder: &Path, rank: usize, count: usize, words: &str, address: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelock"));
    command.args(["shard", "--app", "cd2dat", "--machine", "torus:4x4", "--format", "json"]);
    command.args(words.split_whitespace());
    command.args(["--rank", &rank.to_string(), "--shards", &count.to_string(), "--secret-file", "secret"]);
    command.args(["--listen", "127.0.0.1:0"]);
    if rank == 0 {
        command.args(["--address-file", "address"])
    } else {
        command.args(["--rendezvous", address])
    };
    let file = |name: &str| fs::File::create(folder.join(format!("{name}.{rank}"))).unwrap();
    command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")).current_dir(folder).spawn().unwrap()
}

/// Waits until `ready` gives something.
pub(super) fn wait<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(begin.elapsed() < 120 * SECOND, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Shards {
    pub(super) fn start(name: &str, count: usize, words: &str) -> Self {
        let folder = folder(name);
        secret(&folder, "secret", "of this test", 0o600);
        let mut shards = Self { children: vec![start(&folder, 0, count, words, "")], folder };
        let address = shards.address();
        for rank in 1..count {
            shards.children.push(start(&shards.folder, rank, count, words, &address));
        }
        shards
    }

    fn address(&self) -> String {
        wait("the address", || fs::read_to_string(self.folder.join("address")).ok())
    }

    /// Waits until all have done some work together: their processors' time grows only then.
    pub(super) fn under_way(&self) {
        for child in &self.children {
            wait("a start", || (processor_time(child.id())? > 30).then_some(()));
        }
    }

    pub(super) fn signal(&self, rank: usize, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.children[rank].id()).unwrap()), signal).unwrap();
    }

    /// The exit code of a shard, and its last line if it has one.
    pub(super) fn end(&mut self, rank: usize) -> (Option<i32>, Value) {
        let child = &mut self.children[rank];
        let status = wait("an end", || child.try_wait().unwrap());
        let told = fs::read_to_string(self.folder.join(format!("err.{rank}"))).unwrap();
        let last = told.lines().last().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{told}")));
        (status.code(), last.unwrap_or(Value::Null))
    }

    /// All shards but `except` end with `code` and name `peer`.
    fn all_end(&mut self, except: Option<usize>, code: i32, peer: usize) {
        for rank in (0..self.children.len()).filter(|&rank| Some(rank) != except) {
            let (found, last) = self.end(rank);
            assert_eq!(
                (found, &last["code"], &last["peer"]),
                (Some(code), &code.into(), &peer.into()),
                "{rank}: {last}"
            );
        }
    }
}

/// Hundredths of a second that a process has computed.
pub(super) fn processor_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

fn secret(folder: &Path, name: &str, text: &str, mode: u32) {
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn processes_give_the_digests_of_one() {
    let folder = folder("shards_digests");
    let words = "run --app cd2dat --machine torus:4x4 --iterations 40";
    let one = succeed(words, &folder);
    for shards in [1, 2, 4] {
        let many = succeed(&format!("{words} --shards {shards}"), &folder);
        for field in ["digest", "stream_digest", "ticks", "channels", "iterations"] {
            assert_eq!(many[field], one[field], "{field} of {shards}");
        }
    }
}

/// Who waits to join a run that shard 0 cannot start does not wait until the time-out.
#[test]
fn a_run_that_cannot_start_ends_soon() {
    let folder = folder("shards_no_start");
    let begin = Instant::now();
    let output = super::tidelock("run --app cd2dat --machine nonsense:4 -n 5 --shards 3", &folder);
    assert_eq!(output.status.code(), Some(2), "{}", super::told(&output));
    assert!(begin.elapsed() < 40 * SECOND, "{:?}", begin.elapsed());
}

#[test]
fn a_dead_shard_ends_the_run_everywhere() {
    for dead in [0, 2] {
        let words = format!("-n {LONG} --peer-timeout 1.5");
        let mut shards = Shards::start(&format!("shards_dead_{dead}"), 3, &words);
        shards.under_way();
        shards.signal(dead, Signal::SIGKILL);
        shards.all_end(Some(dead), 6, dead);
    }
}

#[test]
fn a_pause_is_waited_for_and_a_long_one_is_not() {
    let mut shards = Shards::start("shards_pause", 2, &format!("-n {LONG} --peer-timeout 3"));
    shards.under_way();
    shards.signal(1, Signal::SIGSTOP);
    std::thread::sleep(SECOND);
    shards.signal(1, Signal::SIGCONT);
    std::thread::sleep(SECOND);
    assert!(shards.children.iter_mut().all(|child| child.try_wait().unwrap().is_none()), "they go on");
    shards.signal(1, Signal::SIGSTOP);
    shards.all_end(Some(1), 6, 1);
    shards.signal(1, Signal::SIGCONT);
    // It finds that it was given up, or that nobody is there any more; in any case it ends by itself.
    assert_eq!(shards.end(1).0, Some(6));
}

/// The launcher passes on for how long shards wait for each other.
#[test]
fn a_launcher_says_how_long_to_wait() {
    let folder = folder("shards_patience");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelock"));
    command.args(["run", "--app", "cd2dat", "--machine", "torus:4x4", "-n", LONG, "--no-results", "--quiet"]);
    command.args(["--shards", "2", "--peer-timeout", "3.25"]).current_dir(&folder).process_group(0);
    let launcher = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = launcher.id();
    let shard = wait("two shards", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().nth(1)?.parse().ok()
    });
    wait("a start", || (processor_time(shard)? > 30).then_some(()));
    // The launcher ends it when nobody waits for it any more.
    kill(Pid::from_raw(i32::try_from(shard).unwrap()), Signal::SIGSTOP).unwrap();
    let output = launcher.wait_with_output().unwrap();
    let told = super::told(&output);
    assert_eq!(output.status.code(), Some(6), "{told}");
    assert!(told.contains("shard 1") && told.contains("3.25s"), "{told}");
    let output = super::tidelock("run --app cd2dat --machine torus:4x4 -n 1 --peer-timeout 5", &folder);
    assert_eq!(output.status.code(), Some(2), "{}", super::told(&output));
}

/// A shard that stands still for three seconds changes nothing.
#[test]
fn a_pause_leaves_no_trace() {
    let words = "--app cd2dat --machine torus:4x4 -n 6000";
    let mut shards = Shards::start("shards_pause_digest", 3, "-n 6000");
    let one = succeed(&format!("run {words}"), &shards.folder);
    shards.under_way();
    shards.signal(1, Signal::SIGSTOP);
    std::thread::sleep(3 * SECOND);
    assert!(shards.children.iter_mut().all(|child| child.try_wait().unwrap().is_none()), "they wait");
    shards.signal(1, Signal::SIGCONT);
    for rank in 0..3 {
        assert_eq!(shards.end(rank).0, Some(0));
    }
    let many: Value = serde_json::from_slice(&fs::read(shards.folder.join("out.0")).unwrap()).unwrap();
    assert_eq!((&many["digest"], &many["stream_digest"]), (&one["digest"], &one["stream_digest"]));
}

/// Shard 0 keeps what a run leaves; once the others have given it up, it leaves nothing.
#[test]
fn who_was_given_up_writes_nothing() {
    let folder = folder("shards_given_up");
    secret(&folder, "secret", "of this test", 0o600);
    let results = "-o results --checkpoints ck";
    // Results hold recorded tokens, for which there is no room in an endless run.
    let words = "-n 3000 --peer-timeout 3";
    let mut shards = Shards { children: vec![start_with(&folder, 0, 3, &format!("{words} {results}"), "")], folder };
    let address = shards.address();
    for rank in 1..3 {
        shards.children.push(start_with(&shards.folder, rank, 3, &format!("{words} --no-results"), &address));
    }
    shards.under_way();
    shards.signal(0, Signal::SIGSTOP);
    shards.all_end(Some(0), 6, 0);
    shards.signal(0, Signal::SIGCONT);
    let (code, last) = shards.end(0);
    assert_eq!(code, Some(6), "{last}");
    let left = fs::read_dir(&shards.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.contains("results") || name.contains("ck")).collect();
    assert_eq!(left, [""; 0], "{last}");
}

#[test]
fn an_interruption_ends_all_and_says_so() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut shards = Shards::start(&format!("shards_interrupted_{code}"), 3, &format!("-n {LONG}"));
        shards.under_way();
        shards.signal(1, signal);
        for rank in 0..3 {
            let (found, last) = shards.end(rank);
            assert_eq!((found, &last["code"]), (Some(code), &code.into()), "{last}");
        }
    }
}

#[test]
fn who_may_not_take_part_is_refused_and_the_others_go_on() {
    let mut shards = Shards::start("shards_refused", 2, "-n 40");
    let folder = shards.folder.clone();
    let address = shards.address();
    secret(&folder, "wrong", "guess", 0o600);
    secret(&folder, "open", "of this test", 0o644);
    let refused = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidelock"));
        command.args(["shard", "--app", "cd2dat", "--machine", "torus:4x4", "-n", "40", "--rendezvous", &address]);
        command.args(["--join-timeout", "10"]);
        let output = command.args(words.split_whitespace()).current_dir(&folder).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // A second shard 1, another number of shards, another secret: at the door, or by its certificate when all are there.
    for words in [
        "--rank 1 --shards 2 --secret-file wrong",
        "--rank 1 --shards 3 --secret-file secret",
        "--rank 0 --shards 2 --secret-file open --listen 127.0.0.1:0",
    ] {
        let (code, told) = refused(words);
        let expected = if words.contains("open") { 2 } else { 7 };
        // When the run is over before they come, there is nobody to refuse them.
        assert!(code == Some(expected) || (code == Some(6) && expected == 7), "{code:?} {told}");
    }
    for rank in 0..2 {
        assert_eq!(shards.end(rank).0, Some(0));
    }
}

/// Kibibytes of memory, and descriptors, that a process holds.
fn held(pid: u32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = memory.trim_end_matches("kB").trim().parse().unwrap();
    (memory, fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

/// Ten minutes, or `TIDELOCK_SOAK` seconds: memory and descriptors stay as they are after the first tenth.
#[test]
#[ignore = "takes ten minutes"]
fn a_long_run_holds_no_more_than_a_short_one() {
    let seconds = std::env::var("TIDELOCK_SOAK").map_or(600, |seconds| seconds.parse().unwrap());
    let shards = Shards::start("shards_soak", 3, &format!("-n {LONG}"));
    shards.under_way();
    let look = || -> Vec<(u64, usize)> { shards.children.iter().map(|child| held(child.id())).collect() };
    std::thread::sleep(SECOND * seconds / 10);
    let early = look();
    // The most of several looks: what is under way comes and goes.
    let mut late = look();
    for _ in 0..90 {
        std::thread::sleep(SECOND * seconds / 100);
        late = late.into_iter().zip(look()).map(|(a, b)| (a.0.max(b.0), a.1.max(b.1))).collect();
    }
    for (rank, (early, late)) in early.iter().zip(&late).enumerate() {
        println!("shard {rank}: {} KiB, {} descriptors; then at most {} KiB, {}", early.0, early.1, late.0, late.1);
        assert!(late.0 <= early.0 + early.0 / 20 + 2048, "shard {rank}: {early:?} then {late:?}");
        assert!(late.1 <= early.1, "shard {rank}: {early:?} then {late:?}");
    }
}
