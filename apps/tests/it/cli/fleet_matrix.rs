//! Every program, on threads and shards, with clocks of two specifications: one output, one trace hash.

use super::fleets::{can_host, hosts};
use super::{folder, succeed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two clock specifications whose oscillators, and so their boots, differ; their links settle to the same latencies.
const CLOCKS: [(&str, u32, u32); 2] = [("slow", 10, 1), ("quick", 25, 7)];
/// On a busy machine a shard may wait long for a processor, which says nothing of programs.
const MODES: [&str; 4] = [
    "--threads 1",
    "--threads 2",
    "--shards 1 --peer-timeout 120 --join-timeout 300",
    "--shards 2 --peer-timeout 120 --join-timeout 300",
];

/// A program to be run, or several that talk to each other, on two nodes.
struct Case {
    name: &'static str,
    /// What has to be there.
    needs: &'static [&'static str],
    /// Entries of the fleet file.
    nodes: String,
    /// A file of the results, and a text in it.
    shows: (&'static str, &'static str),
}

/// A node that has to end by itself, without error.
fn node(name: &str, command: &str, args: &[&str], more: &str) -> String {
    let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
    format!("(name: \"{name}\", command: {command:?}, args: [{}], expect: Exited(0), {more}),", args.join(", "))
}

fn case(
    name: &'static str,
    needs: &'static [&'static str],
    nodes: String,
    shows: (&'static str, &'static str),
) -> Case {
    Case { name, needs, nodes, shows }
}

fn shell() -> Case {
    let script = "echo abc | cat | cat; seq 9 | sort -r | tr '\\n' ,; sleep .25; date";
    let nodes = node("a", "/bin/sh", &["-c", script], "") + &node("b", "/bin/sh", &["-c", script], "");
    case("sh", &[], nodes, ("b/stdout", "abc\n9,8,7,6,5,4,3,2,1,Sat Jan  1 00:00:01 UTC 2000\n"))
}

fn ping_pong() -> Case {
    let a = "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ntime.sleep(0.1)\nfor i in range(9):\n    s.sendto(b'ping', ('b', 5000)); print(s.recvfrom(99), time.monotonic_ns())";
    let b = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 5000))\nfor i in range(9):\n    d, p = s.recvfrom(99); s.sendto(b'pong', p)";
    let nodes = node("a", "python3", &["-c", a], "") + &node("b", "python3", &["-c", b], "");
    case("udp", &["python3"], nodes, ("a/stdout", "(b'pong', ('10.0.0.2', 5000))"))
}

fn web() -> Case {
    let args = ["-u", "-m", "http.server", "--bind", "{address}", "8000"];
    let server =
        node("server", "python3", &args, "files: {\"page\": \"page\"}, stop: (at_ms: 450, signal: \"SIGINT\"),");
    let fetch = "for i in 1 2 3; do curl -s -o page$i -w '%{http_code} ' http://server:8000/page & done; wait";
    let nodes = server + &node("client", "/bin/sh", &["-c", fetch], "start_ms: 200,");
    case("http", &["python3", "curl"], nodes, ("client/stdout", "200 200 200 "))
}

fn redis() -> Case {
    let server = ["--port", "7000", "--save", "", "--protected-mode", "no", "--bind", "{address}"];
    let script = "redis-cli -h a -p 7000 set k 1; redis-cli -h a -p 7000 incr k; redis-cli -h a -p 7000 shutdown";
    let nodes = node("a", "redis-server", &server, "") + &node("b", "/bin/sh", &["-c", script], "start_ms: 200,");
    case("redis", &["redis-server", "redis-cli"], nodes, ("b/stdout", "OK\n2\n"))
}

fn netcat() -> Case {
    let nodes = node("a", "nc", &["-l", "5000"], "")
        + &node("b", "/bin/sh", &["-c", "echo hello | nc -N a 5000"], "start_ms: 100,");
    case("nc", &["nc"], nodes, ("a/stdout", "hello\n"))
}

fn iperf() -> Case {
    // Both look again and again whether they may write: calls have to cost time.
    let cost = "call_cost_ns: 100000,";
    let client = ["-c", "a", "-n", "8K", "-l", "1K"];
    let nodes =
        node("a", "iperf3", &["-s", "-1"], cost) + &node("b", "iperf3", &client, &format!("start_ms: 100, {cost}"));
    case("iperf3", &["iperf3"], nodes, ("b/stdout", "iperf Done."))
}

fn python() -> Case {
    let script = "import queue, random, threading, time, uuid\nq = queue.Queue()\ndef work(n):\n    for r in range(4): time.sleep(0.01 * ((n + r) % 3)); q.put((n, r))\nts = [threading.Thread(target=work, args=(n,)) for n in range(6)]\nfor t in ts: t.start()\nfor t in ts: t.join()\nprint(random.random(), uuid.uuid4(), [q.get() for _ in range(24)], time.time())";
    let nodes = node("a", "python3", &["-c", script], "") + &node("b", "python3", &["-c", script], "");
    case("python", &["python3"], nodes, ("b/stdout", "(0, 0)"))
}

/// The program `shim/tests/programs/NAME`, built with `command`.
fn built(command: &mut Command, source: &str, target: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shim/tests/programs").join(source);
    assert!(command.arg("-o").arg(target).arg(&source).status().unwrap().success(), "{}", source.display());
    target.display().to_string()
}

fn pthreads(folder: &Path) -> Case {
    let cc = |option: &str| {
        built(Command::new("cc").args(["-O1", "-w", "-pthread", option]), "threads.c", &folder.join(option))
    };
    let nodes = node("dynamic", &cc("-pie"), &[], "") + &node("static", &cc("-static"), &[], "");
    case("pthreads", &["cc"], nodes, ("static/stdout", "pid 2\n"))
}

fn go(folder: &Path) -> Case {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache");
    let mut build = Command::new("go");
    build.arg("build").env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=mod").env("GOCACHE", cache);
    let program = built(&mut build, "goroutines.go", &folder.join("goroutines"));
    case("go", &["go"], node("a", &program, &[], "") + &node("b", &program, &[], ""), ("a/stdout", "echo\n"))
}

/// The example `echo` of the crate that hosts, if it is built.
fn tokio() -> Option<Case> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tidelock")).with_file_name("examples").join("echo");
    let found = program.is_file();
    if !found {
        println!("skipped, because the example `echo` is not built");
    }
    let program = program.display().to_string();
    let nodes = node("a", &program, &[], "") + &node("b", &program, &[], "");
    found.then(|| case("tokio", &[], nodes, ("b/stdout", "0.0 0.1 0.2 1.0")))
}

/// Files by their paths.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// All files that a run has left of its nodes.
fn files(folder: &Path, below: &Path, found: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), below.join(entry.file_name()));
        match path.is_dir() {
            true => files(&path, &name, found),
            false => drop(found.insert(name, fs::read(&path).unwrap())),
        }
    }
}

/// Runs a case in `modes`, pairs of arguments and clocks, so often: all must be one run, whose trace hashes are returned.
fn check(case: &Case, times: usize, modes: &[(&str, &str)]) -> Vec<String> {
    if !can_host(case.needs) {
        return Vec::new();
    }
    let folder = folder(&format!("fleet-matrix-{}", case.name));
    fs::write(folder.join("page"), "a page\n").unwrap();
    for (name, ppm, seed) in CLOCKS {
        let text = format!(
            "Clocks(version: 1, name: \"{name}\", machine: \"line:2\", frequency: \"125MHz\", offset_most: \"{ppm}ppm\", \
             seed: {seed}, latency: \"200ns\", period: 25000, delay: 125, buffer: 32, controller: Proportional(kp: 2e-8), until: \"3s\")"
        );
        fs::write(folder.join(format!("{name}.ron")), text).unwrap();
    }
    let text = format!(
        "Fleet(version: 1, name: \"matrix\", machine: \"line:2\", duration_ms: 600, tick_ns: 50000, nodes: [{}])",
        case.nodes
    );
    fs::write(folder.join("hosts.ron"), text).unwrap();
    let mut first: Option<(Vec<Value>, Files)> = None;
    for time in 0..times {
        for (mode, clocks) in modes {
            let words = format!("run hosts.ron --trace deterministic {mode} --clocks {clocks}.ron -o results");
            let value = succeed(&words, &folder);
            let mut left = Files::new();
            files(&folder.join("results/nodes"), Path::new(""), &mut left);
            let (file, text) = case.shows;
            let shown = String::from_utf8_lossy(&left[Path::new(file)]).into_owned();
            assert!(shown.contains(text), "{words}: {shown}");
            let digests = ["digest", "stream_digest"].map(|name| value[name].clone());
            let now = ([hosts(&value).as_slice(), &digests].concat(), left);
            let first = first.get_or_insert_with(|| now.clone());
            assert_eq!(first.0, now.0, "run {time} of {}: {words}", case.name);
            let different: Vec<_> = now.1.keys().filter(|&name| first.1.get(name) != now.1.get(name)).collect();
            assert!(
                different.is_empty() && first.1.len() == now.1.len(),
                "run {time} of {}: {words}: {different:?}",
                case.name
            );
            fs::remove_dir_all(folder.join("results")).unwrap();
        }
    }
    let (hosts, _) = first.expect("it has run");
    hosts.iter().filter_map(|host| host["trace_hash"].as_str()).map(str::to_owned).collect()
}

/// Every mode once, the clocks taking turns.
const SOME: [(&str, &str); 4] =
    [(MODES[0], CLOCKS[0].0), (MODES[1], CLOCKS[1].0), (MODES[2], CLOCKS[1].0), (MODES[3], CLOCKS[0].0)];

#[test]
fn a_pipeline_and_datagrams_in_every_mode() {
    check(&shell(), 2, &SOME);
    check(&ping_pong(), 2, &SOME);
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn every_program_many_times() {
    let all: Vec<(&str, &str)> = MODES.iter().flat_map(|&mode| CLOCKS.map(|(clocks, ..)| (mode, clocks))).collect();
    let times = std::env::var("TIDELOCK_RUNS").map_or(20, |runs| runs.parse().unwrap());
    let folder = folder("fleet-matrix-programs");
    let mut cases = vec![shell(), ping_pong(), web(), redis(), netcat(), iperf(), python()];
    cases.extend(can_host(&["cc"]).then(|| pthreads(&folder)));
    cases.extend(can_host(&["go"]).then(|| go(&folder)));
    cases.extend(tokio());
    for case in cases {
        let begin = std::time::Instant::now();
        let hashes = check(&case, times, &all);
        let (name, runs, took) = (case.name, times * all.len(), begin.elapsed());
        println!("{name}: {runs} runs in {took:.0?}, trace hashes {hashes:?}");
    }
}
