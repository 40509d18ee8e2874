//! Fleets of programs: every run the same, states as assertions, and files that are no fleets.

use super::{folder, json, succeed, told};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Whether fleets can run here; if not, says why the test is skipped.
pub(super) fn can_host(programs: &[&str]) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let missing = programs.iter().find(|name| !path.split(':').any(|folder| Path::new(folder).join(name).is_file()));
    if let Some(name) = missing {
        println!("skipped, because there is no `{name}` on this machine");
    }
    let lack = shim::capabilities().lack;
    if let Some(lack) = &lack {
        println!("skipped, because {lack}");
    }
    missing.is_none() && lack.is_none()
}

/// A fleet file around these nodes.
fn fleet(folder: &Path, machine: &str, rest: &str, nodes: &str) {
    let text = format!(
        "Fleet(version: 1, name: \"fleet\", machine: \"{machine}\", duration_ms: 500, {rest} nodes: [{nodes}])"
    );
    std::fs::write(folder.join("hosts.ron"), text).unwrap();
}

/// What became of the programs.
pub(super) fn hosts(value: &Value) -> &Vec<Value> {
    value["hosts"].as_array().unwrap_or_else(|| panic!("{value}"))
}

/// The example: a page over a calendar to three clients, at the same nanosecond, on one thread and on two.
#[test]
fn a_web_server_on_a_ring() {
    if !can_host(&["python3", "curl"]) {
        return;
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/fleets/web.ron");
    let runs = ["1", "2"].map(|threads| {
        let folder = folder(&format!("fleet-web-{threads}"));
        let words = format!("run {example} --threads {threads} --trace deterministic -o results");
        let value = succeed(&words, &folder);
        let read = |file: &str| std::fs::read(folder.join("results/nodes").join(file)).unwrap();
        let files: Vec<Vec<u8>> = ["server", "client0", "client1", "client2"]
            .into_iter()
            .flat_map(|node| ["stdout", "stderr", "trace"].map(|file| read(&format!("{node}/{file}"))))
            .collect();
        assert!(String::from_utf8_lossy(&files[3]).starts_with("200 73 0.00"), "{:?}", files[3]);
        let page = include_bytes!("../../../../examples/fleets/www/index.html");
        assert_eq!(read("client2/work/page"), page);
        (files, hosts(&value).clone(), value["digest"].clone())
    });
    assert_eq!(runs[0], runs[1]);
}

/// Datagrams across several hops, on a machine with other latencies, and all of it in the stream digest.
#[test]
fn datagrams_over_several_hops() {
    if !can_host(&["python3"]) {
        return;
    }
    let folder = folder("fleet-udp");
    let ping = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); time.sleep(0.1); t = time.monotonic_ns(); s.sendto(b'ping', ('b', 5000)); print(s.recv(99).decode(), time.monotonic_ns() - t)";
    let pong = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5000)); d, p = s.recvfrom(99); s.sendto(b'pong', p)";
    let node = |name: &str, on: &str, program: &str| {
        format!(
            "(name: \"{name}\", on: \"{on}\", command: \"python3\", args: [\"-c\", \"{program}\"], expect: Exited(0)),"
        )
    };
    let nodes = node("a", "n0", ping) + &node("b", "n3", pong);
    let mut times = BTreeSet::new();
    for latency in [1, 40] {
        fleet(&folder, "line:4", &format!("latency: {latency},"), &nodes);
        let results = format!("results{latency}");
        let first = succeed(&format!("run hosts.ron -o {results}"), &folder);
        let again = succeed("run hosts.ron", &folder);
        assert_eq!(first["stream_digest"], again["stream_digest"]);
        assert_eq!(hosts(&first), hosts(&again));
        let printed = std::fs::read_to_string(folder.join(results).join("nodes/a/stdout")).unwrap();
        let time: u64 = printed.trim().strip_prefix("pong ").unwrap().parse().unwrap();
        // There and back over three links, a tick being a microsecond.
        assert!(time >= 2 * 3 * (latency + 1) * 1000, "{time} ns at latency {latency}");
        times.insert(time);
    }
    assert_eq!(times.len(), 2, "the latency of links does not show");
}

/// A stream between nodes is as fast as the calendar moves bytes, and no faster.
#[test]
fn throughput_is_the_calendars() {
    if !can_host(&["iperf3"]) {
        return;
    }
    let folder = folder("fleet-iperf");
    // Both look again and again whether they may write: calls have to cost time.
    let node = |name: &str, args: &str, start: u32| {
        format!(
            "(name: \"{name}\", command: \"iperf3\", args: [{args}], start_ms: {start}, call_cost_ns: 20000, expect: Exited(0)),"
        )
    };
    let nodes =
        node("server", "\"-s\", \"-1\"", 0) + &node("client", "\"-c\", \"server\", \"-t\", \"1\", \"--json\"", 100);
    fleet(&folder, "line:2", "slots_in_flight: 4,", &nodes);
    let text = std::fs::read_to_string(folder.join("hosts.ron")).unwrap();
    std::fs::write(folder.join("hosts.ron"), text.replace("duration_ms: 500", "duration_ms: 2000")).unwrap();
    let value = succeed("run hosts.ron -o results", &folder);
    let printed = std::fs::read(folder.join("results/nodes/client/stdout")).unwrap();
    let report: Value = serde_json::from_slice(&printed).unwrap();
    let found = report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap();
    // 31 words of bytes per slot and iteration of so many microseconds; a packet has a head of nine bytes.
    let period: f64 = value["iteration_period"].as_str().unwrap().parse().unwrap();
    let calendar = 31.0 * 64.0 / period * 1e6;
    assert!(found < calendar && found > 0.9 * calendar, "{found} of {calendar} bit/s");
}

/// One entry makes many nodes, each with its own name, port, key, address and directory.
#[test]
fn a_template_of_sixteen_nodes() {
    if !can_host(&[]) {
        return;
    }
    let folder = folder("fleet-template");
    let script = "echo {name} {index} {port} {key} {address} $(hostname) $KEY";
    let node = format!(
        "(name: \"peer\", count: 16, port: 7000, command: \"/bin/sh\", args: [\"-c\", \"{script}\"], env: {{ \"KEY\": \"{{key}}\" }}, expect: Exited(0))"
    );
    fleet(&folder, "torus:4x4", "connections: [],", &node);
    let value = succeed("run hosts.ron -o results", &folder);
    assert_eq!(hosts(&value).len(), 16);
    let mut keys = BTreeSet::new();
    for index in 0..16 {
        let text = std::fs::read_to_string(folder.join(format!("results/nodes/peer{index}/stdout"))).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        let key = words[3];
        let address = format!("10.0.0.{}", index + 1);
        assert_eq!(words[..3], [format!("peer{index}"), index.to_string(), (7000 + index).to_string()]);
        assert_eq!(words[4..], [address, format!("peer{index}"), key.to_owned()]);
        assert_eq!(key.len(), 64);
        assert!(keys.insert(key.to_owned()));
    }
}

#[test]
fn a_state_that_is_not_expected_is_exit_9() {
    if !can_host(&[]) {
        return;
    }
    let folder = folder("fleet-state");
    for (script, expect, holds) in [
        ("exit 3", "Exited(3)", true),
        ("exit 3", "Exited(0)", false),
        ("kill -9 $$", "Signalled(\\\"SIGKILL\\\")", true),
        ("kill -9 $$", "Exited(0)", false),
        ("sleep 100", "Running", true),
        ("sleep 100", "Exited(0)", false),
        ("exit 0", "Running", false),
    ] {
        let expect = expect.replace('\\', "");
        fleet(
            &folder,
            "single",
            "",
            &format!("(name: \"a\", command: \"/bin/sh\", args: [\"-c\", \"{script}\"], expect: {expect})"),
        );
        let (code, value) = json("run hosts.ron", &folder);
        assert_eq!(code, if holds { 0 } else { 9 }, "{script}, {expect}: {value}");
        if !holds {
            assert_eq!(value["error"]["code"], "host::state", "{value}");
        }
    }
}

#[test]
fn a_signal_at_its_time_ends_a_program() {
    if !can_host(&[]) {
        return;
    }
    let folder = folder("fleet-stop");
    let script = "trap 'date +%s.%N; exit 4' TERM; sleep 100 & wait";
    fleet(
        &folder,
        "single",
        "",
        &format!(
            "(name: \"a\", command: \"/bin/sh\", args: [\"-c\", \"{script}\"], stop: (at_ms: 250), expect: Exited(4))"
        ),
    );
    succeed("run hosts.ron -o results", &folder);
    let printed = std::fs::read_to_string(folder.join("results/nodes/a/stdout")).unwrap();
    assert!(printed.starts_with("946684801.25"), "{printed}");
}

#[test]
fn a_host_that_fails_is_exit_9() {
    if !can_host(&[]) {
        return;
    }
    let folder = folder("fleet-failed");
    fleet(&folder, "single", "", "(name: \"a\", command: \"no-such-program\")");
    let (code, value) = json("run hosts.ron", &folder);
    assert_eq!((code, value["error"]["code"].as_str()), (9, Some("host::failed")), "{value}");
    assert!(value["error"]["message"].as_str().unwrap().contains("no program `no-such-program`"), "{value}");
    // Told before anything runs, although it is not needed before the run ends.
    let late = "(name: \"a\", command: \"true\", files: { \"here\": \"no-such-file\" }, start_ms: 499)";
    fleet(&folder, "single", "", late);
    let (code, value) = json("run hosts.ron -o results", &folder);
    assert_eq!((code, value["error"]["code"].as_str()), (2, Some("host::file")), "{value}");
    let message = value["error"]["message"].as_str().unwrap();
    assert!(message.contains("no-such-file`, which is to be `here` in its working directory"), "{value}");
    assert!(!folder.join("results/nodes/a").exists());
}

/// Two nodes on two shards: what becomes of them arrives at the one who asked, and so does what goes wrong.
#[test]
fn shards_tell_how_programs_end() {
    if !can_host(&[]) {
        return;
    }
    let folder = folder("fleet-shards");
    std::fs::create_dir_all(folder.join("data/deep")).unwrap();
    std::fs::write(folder.join("data/deep/file"), "from shard 0\n").unwrap();
    let a = "(name: \"a\", command: \"/bin/sh\", args: [\"-c\", \"echo a\"], expect: Exited(0)),";
    let b = |command: &str, script: &str, expect: &str| {
        format!(
            "(name: \"b\", command: \"{command}\", args: [\"-c\", \"{script}\"], files: {{ \"data\": \"data\" }}, start_ms: 5, expect: {expect})"
        )
    };
    for (command, script, expect, code, part) in [
        ("/bin/sh", "cat data/deep/file; ln -s data/deep/file link; echo x >kept; exit 4", "Exited(4)", 0, ""),
        ("/bin/sh", "exit 4", "Exited(0)", 9, "1 of 2 programs"),
        // Found before the run, and in the middle of it.
        ("no-such-program", "", "Exited(0)", 9, "no program `no-such-program`"),
        ("/etc/passwd", "", "Exited(0)", 9, "`/etc/passwd` cannot be executed"),
    ] {
        fleet(&folder, "line:2", "tick_ns: 50000,", &(a.to_owned() + &b(command, script, expect)));
        let begin = std::time::Instant::now();
        let (found, value) = json("run hosts.ron --shards 2 -o results", &folder);
        assert_eq!(found, code, "{value}");
        assert!(begin.elapsed().as_secs() < 50, "nobody waits for a shard that does not come");
        let message = value["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{value}");
        let read = |file: &str| std::fs::read_to_string(folder.join("results/nodes").join(file));
        if code == 0 {
            assert_eq!(hosts(&value)[1]["state"], "exited with code 4");
            let left = ["a/stdout", "b/stdout", "b/work/kept", "b/work/link"].map(|file| read(file).unwrap());
            assert_eq!(left, ["a\n", "from shard 0\n", "x\n", "from shard 0\n"]);
        } else if command != "/bin/sh" {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
            assert!(message.contains(&format!("host `{}`, which runs shard 1", host.trim())), "{value}");
        }
        std::fs::remove_dir_all(folder.join("results")).unwrap();
    }
}

/// What programs do is opaque: a checkpoint of a fleet is executed again, by threads or by shards, with the files as they were.
#[test]
fn a_fleet_goes_on_from_a_checkpoint() {
    if !can_host(&[]) {
        return;
    }
    let folder = folder("fleet-checkpoints");
    std::fs::write(folder.join("data"), "as it was\n").unwrap();
    let node = |name: &str, start: u32| {
        format!(
            "(name: \"{name}\", command: \"/bin/sh\", args: [\"-c\", \"cat data\"], files: {{ \"data\": \"data\" }}, start_ms: {start}, expect: Exited(0)),"
        )
    };
    fleet(&folder, "line:2", "tick_ns: 20000,", &(node("a", 0) + &node("b", 400)));
    let words = "run hosts.ron --trace deterministic --checkpoint-every 1";
    let whole = succeed(&format!("{words} --checkpoints by-threads -o whole"), &folder);
    let sharded = succeed(&format!("{words} --checkpoints by-shards --shards 2 -o sharded"), &folder);
    assert_eq!((&sharded["digest"], hosts(&sharded)), (&whole["digest"], hosts(&whole)));
    std::fs::write(folder.join("data"), "as it is now\n").unwrap();
    for (number, checkpoints) in ["by-threads", "by-shards"].into_iter().enumerate() {
        for how in ["--threads 1", "--threads 2", "--shards 2"] {
            let output = format!("again-{number}{}", how.replace(' ', ""));
            let resumed = succeed(&format!("run --resume {checkpoints} {how} -o {output}"), &folder);
            assert_eq!((&resumed["digest"], hosts(&resumed)), (&whole["digest"], hosts(&whole)));
            assert_eq!(resumed["resumed"]["from_tick"], 0);
            assert!(resumed["resumed"]["checkpoint_tick"].as_i64().unwrap() > 0, "{resumed}");
            for file in ["b/stdout", "b/trace"] {
                let read = |run: &str| std::fs::read(folder.join(run).join("nodes").join(file)).unwrap();
                assert_eq!(read(&output), read("whole"), "{file}");
            }
        }
    }
    // Records of a run that was another one.
    for checkpoint in std::fs::read_dir(folder.join("by-shards")).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(record) = std::fs::read_to_string(checkpoint.join("commit")) else { continue };
        let (line, _) = record.split_once('\n').unwrap();
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["digest"] = "00".repeat(32).into();
        let line = format!("{line}\n");
        let hash = blake3::hash(line.as_bytes()).to_hex();
        std::fs::write(checkpoint.join("commit"), format!("{line}{hash}\n")).unwrap();
    }
    for how in ["--threads 2", "--shards 2"] {
        let (code, value) = json(&format!("run --resume by-shards {how}"), &folder);
        assert_eq!((code, &value["error"]["code"]), (10, &"checkpoint::differs".into()), "{how}: {value}");
    }
}

/// A fleet is an application like any other, on the machine that its file names.
#[test]
fn other_commands_take_fleets() {
    let folder = folder("fleet-commands");
    let node = |name: &str| format!("(name: \"{name}\", command: \"/bin/true\", expect: Exited(0)),");
    fleet(&folder, "ring:3", "latency: 4, tick_ns: 20000,", &(node("a") + &node("b")));
    assert_eq!(succeed("check hosts.ron", &folder)["actors"], 2);
    let compiled = succeed("compile hosts.ron -o calendars", &folder);
    assert_eq!(compiled["machine"], "ring:3");
    assert!(told(&super::tidelock("view calendar hosts.ron", &folder)).contains("A a  B b"));
    assert!(told(&super::tidelock("view topology hosts.ron", &folder)).contains("n1 (4)"));
    assert_eq!(json("verify hosts.ron -n 5", &folder).0, 2);
    if can_host(&[]) {
        let fresh = succeed("run hosts.ron -o results", &folder);
        let kept = succeed("run hosts.ron --calendars calendars", &folder);
        assert_eq!((&fresh["digest"], hosts(&fresh)), (&kept["digest"], hosts(&kept)));
        let again = std::process::Command::new("/bin/sh").arg(folder.join("results/repro.sh")).output().unwrap();
        assert!(told(&again).contains(fresh["digest"].as_str().unwrap()), "{}", told(&again));
    }
}

/// Calls that are not supported are told at the end, with node and number.
#[test]
fn refused_calls_are_told() {
    if !can_host(&["python3"]) {
        return;
    }
    let folder = folder("fleet-refused");
    let script = "import ctypes; ctypes.CDLL(None).syscall(321, 0, 0, 0)";
    fleet(
        &folder,
        "single",
        "",
        &format!("(name: \"a\", command: \"python3\", args: [\"-c\", \"{script}\"], expect: Exited(0))"),
    );
    let output = super::tidelock("run hosts.ron --no-results", &folder);
    assert!(output.status.success(), "{}", told(&output));
    let words: Vec<String> = told(&output).split_whitespace().map(str::to_owned).collect();
    let row = words.windows(4).find(|row| row[2] == "bpf").unwrap_or_else(|| panic!("{}", told(&output)));
    assert!(row[0] == "a" && row[1].starts_with("python3") && row[3] == "1", "{row:?}");
    assert!(told(&output).contains("ENOSYS"), "{}", told(&output));
}

#[test]
fn files_that_are_no_fleets_are_told() {
    let folder = folder("fleet-bad");
    let node = "(name: \"a\", command: \"true\")";
    for (machine, rest, nodes, part) in [
        ("single", "", "", "no nodes"),
        ("single", "", "(name: \"a b\", command: \"true\")", "no name for a node"),
        // As an argument it would be an option, as a name an address, and this node itself.
        ("single", "", "(name: \"-a\", command: \"true\")", "`-a` is no name for a node"),
        ("single", "", "(name: \"1\", command: \"true\")", "`1` is no name for a node"),
        ("single", "", "(name: \"Localhost\", command: \"true\")", "`Localhost` is no name for a node"),
        ("single", "", "(name: \"a\", count: 0, command: \"true\")", "no nodes"),
        ("ring:3", "", &format!("{node}, {node}"), "two nodes are called `a`"),
        ("ring:3", "", &format!("{node}, (name: \"A\", command: \"true\")"), "two nodes are called `A`"),
        (
            "ring:3",
            "",
            "(name: \"a\", count: 3, port: 65534, command: \"true\")",
            "the port of the last node of an entry is 65536, allowed are 0 to 65535",
        ),
        ("single", "", "(name: \"a\", count: 2, command: \"true\")", "the machine has 1"),
        ("single", "", "(name: \"a\", on: \"x\", command: \"true\")", "which the machine has not"),
        ("single", "tick_ns: 0,", node, "`tick_ns` is 0"),
        ("single", "slot_words: 1,", node, "allowed are 2 to"),
        ("single", "connections: [(\"a\", \"z\")],", node, "names `z`"),
        ("single", "", "(name: \"a\", command: \"true\", stop: (at_ms: 1, signal: \"SIGNOT\"))", "no signal `SIGNOT`"),
        (
            "single",
            "",
            "(name: \"a\", command: \"true\", files: { \"../x\": \"y\" })",
            "no place in the working directory",
        ),
        ("single", "", "(name: \"a\", command: \"true\", cores: 2)", "no field `cores`"),
    ] {
        fleet(&folder, machine, rest, nodes);
        let (code, value) = json("run hosts.ron", &folder);
        assert_eq!(code, 2, "{part}: {value}");
        assert!(value["error"]["message"].as_str().unwrap().contains(part), "{part}: {value}");
    }
    fleet(&folder, "single", "", node);
    let text = std::fs::read_to_string(folder.join("hosts.ron")).unwrap().replace("version: 1", "version: 2");
    std::fs::write(folder.join("hosts.ron"), text).unwrap();
    assert_eq!(json("run hosts.ron", &folder).0, 2);
}

/// Processes that have `mark` in their command line.
fn processes_with(mark: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let marked = entries.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    });
    marked.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Looks again and again, for a minute; says whether it is so at last.
fn wait_until(holds: impl Fn() -> bool) -> bool {
    (0..3_000).any(|_| {
        let held = holds();
        if !held {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        held
    })
}

/// Where the threads of a process may run: their names, and the lists of processors that the system gives for them.
fn threads_of(process: u32) -> Vec<(String, String)> {
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let statuses = tasks.flat_map(|task| std::fs::read_to_string(task.path().join("status")));
    statuses.map(|status| (field(&status, "Name:"), field(&status, "Cpus_allowed_list:"))).collect()
}

/// A worker, the supervisors of its nodes, and their programs stay on one processor, and another worker's on another one.
#[test]
fn who_drives_a_node_shares_its_processor() {
    if !can_host(&[]) {
        return;
    }
    let own = threads_of(std::process::id());
    let several = own.iter().any(|(_, list)| list.contains(['-', ',']));
    let folder = folder("fleet-processors");
    let script = "while : mark-of-{name}-that-stays; do :; done";
    let node = format!("(name: \"p\", count: 2, command: \"/bin/sh\", args: [\"-c\", \"{script}\"])");
    fleet(&folder, "line:2", "", &node);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidelock"));
    command.args(["run", "hosts.ron", "--quiet", "--threads", "2"]).current_dir(&folder);
    let mut tidelock = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let started =
        ["p0", "p1"].map(|name| wait_until(|| !processes_with(&format!("mark-of-{name}-that-stays")).is_empty()));
    let programs = ["p0", "p1"].map(|name| {
        let found = processes_with(&format!("mark-of-{name}-that-stays"));
        found.into_iter().flat_map(threads_of).map(|(_, list)| list).collect::<Vec<_>>()
    });
    let threads = threads_of(tidelock.id());
    tidelock.kill().unwrap();
    tidelock.wait().unwrap();
    assert_eq!(started, [true; 2], "the programs do not start");
    let lists = |wanted: &str| -> Vec<String> {
        threads.iter().filter(|(name, _)| name == wanted).map(|(_, list)| list.clone()).collect()
    };
    for (node, programs) in ["p0", "p1"].iter().zip(&programs) {
        let supervisor = lists(&format!("host {node}"));
        assert!(!supervisor[0].contains(['-', ',']), "the supervisor of {node} may run on {supervisor:?}");
        assert!(programs.iter().all(|list| *list == supervisor[0]), "{node}: {programs:?}, {supervisor:?}");
    }
    let supervisors: BTreeSet<String> = ["host p0", "host p1"].into_iter().flat_map(lists).collect();
    assert_eq!(supervisors.len(), if several { 2 } else { 1 }, "{threads:?}");
    let workers: BTreeSet<String> = lists("tidelock").into_iter().collect();
    assert!(workers.is_superset(&supervisors), "{threads:?}");
}

/// A supervisor that is killed takes all its programs with it.
#[test]
fn a_killed_supervisor_leaves_nobody_behind() {
    if !can_host(&[]) {
        return;
    }
    let folder = folder("fleet-killed");
    let mark = "mark-of-a-killed-supervisor";
    let script = format!("while : {mark}; do :; done");
    fleet(&folder, "single", "", &format!("(name: \"a\", command: \"/bin/sh\", args: [\"-c\", \"{script}\"])"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidelock"));
    let command = command.args(["run", "hosts.ron", "--quiet"]).current_dir(&folder);
    let mut supervisor = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let started = wait_until(|| !processes_with(mark).is_empty());
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert!(started, "the program does not start");
    assert!(wait_until(|| processes_with(mark).is_empty()), "{:?} are left", processes_with(mark));
}
