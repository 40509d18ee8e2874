//! Unmodified programs: every run is the same run, to the last byte and call.

use super::support::{Folder, Run, can_host, compiled, has, run_from_many_threads, same, spec};
use shim::ExitStatus;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Runs of every program in the ordinary tests, and in the long ones.
const TIMES: usize = 3;
const MANY_TIMES: usize = 20;

const ENDED: Option<ExitStatus> = Some(ExitStatus::Exited(0));

fn shell(times: usize, script: &str) -> Run {
    let run = same(times, &spec("/bin/sh", &["-c", script]));
    assert_eq!(run.report.status, ENDED, "{run:?}");
    run
}

fn threads(times: usize) {
    let dynamic = same(times, &spec(compiled("threads", &[]), &[]));
    let fixed = same(times, &spec(compiled("threads", &["-static"]), &[]));
    assert_eq!(dynamic.report.status, ENDED, "{dynamic:?}");
    assert_eq!(dynamic.stdout, fixed.stdout);
    assert!(dynamic.stdout.ends_with("pid 2\n"), "{}", dynamic.stdout);
}

#[test]
fn threads_with_condition_variables() {
    if can_host() && has("cc") {
        threads(TIMES);
    }
}

/// Tracing binds a program to a thread; whoever advances its host need not be that thread, nor always the same.
#[test]
fn a_host_is_advanced_from_any_thread() {
    if can_host() && has("cc") {
        let spec = spec(compiled("threads", &[]), &[]);
        assert_eq!(run_from_many_threads(spec.clone()), same(1, &spec).report);
    }
}

const PYTHON: &str = r#"
import os, queue, random, threading, time, uuid
print(time.time(), time.monotonic(), random.random(), uuid.uuid4(), os.getpid(), hash("text"), id(object()))
results = queue.Queue()
def work(number):
    for round in range(4):
        time.sleep(0.01 * ((number + round) % 3))
        results.put((number, round))
workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
for worker in workers: worker.start()
for worker in workers: worker.join()
print([results.get() for _ in range(24)], time.time(), os.cpu_count())
"#;

fn python(times: usize) {
    let run = same(times, &spec("python3", &["-c", PYTHON]));
    assert_eq!(run.report.status, ENDED, "{run:?}");
    assert!(run.stdout.starts_with("946684801.0 1.0 0."), "{}", run.stdout);
}

#[test]
fn python_with_threads_time_and_random_numbers() {
    if can_host() && has("python3") {
        python(TIMES);
    }
}

/// A static Go program, with goroutines, map iteration, random numbers and the network.
fn go_program(folder: &Folder) -> PathBuf {
    let target = folder.path().join("go-program");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/programs/goroutines.go");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&target).arg(source).env("CGO_ENABLED", "0");
    build.env("GOFLAGS", "-mod=mod").env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache"));
    assert!(build.status().unwrap().success());
    target
}

fn go(times: usize) {
    let folder = Folder::new();
    let run = same(times, &spec(go_program(&folder), &[]));
    assert_eq!(run.report.status, ENDED, "{run:?}");
    assert!(run.stdout.ends_with("echo\n"), "{}", run.stdout);
}

#[test]
fn static_go() {
    if can_host() && has("go") {
        go(TIMES);
    }
}

const WEB: &str = "python3 -m http.server --bind 127.0.0.1 8000 2>log & server=$!; sleep 1; \
    for i in 1 2 3; do curl -s -o page$i -w '%{http_code} %{time_total}\\n' http://localhost:8000/log & done; \
    sleep 1; kill $server; wait; cat log";

#[test]
fn a_web_server_and_three_clients() {
    if can_host() && has("python3") && has("curl") {
        let run = shell(TIMES, WEB);
        assert_eq!(run.stdout.matches("200 0.000").count(), 3, "{}", run.stdout);
    }
}

/// However much is written and read at once: pipes hold 64 KiB.
#[test]
fn long_writes_and_reads() {
    if can_host() {
        let script = "dd if=/dev/zero bs=1M count=2 2>log | wc -c; dd if=/dev/urandom bs=3M count=1 2>log | wc -c; \
                      dd if=/dev/zero of=file bs=5M count=1 2>log; dd if=file bs=5M 2>log | wc -c";
        assert_eq!(shell(TIMES, script).stdout, "2097152\n3145728\n5242880\n");
    }
}

const NETCAT: &str = "nc -l 127.0.0.1 5000 & sleep 1; echo hello | nc -N 127.0.0.1 5000; wait";

#[test]
fn netcat() {
    if can_host() && has("nc") {
        assert_eq!(shell(TIMES, NETCAT).stdout, "hello\n");
    }
}

/// The example `echo`, which is built before the tests are.
fn tokio(times: usize) {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/echo");
    if !program.is_file() {
        println!("skipped, because the example `echo` is not built");
        return;
    }
    let run = same(times, &spec(program, &[]));
    assert_eq!(run.report.status, ENDED, "{run:?}");
    let answers: String = (0..5).flat_map(|n| (0..3).map(move |round| format!("{n}.{round} "))).collect();
    assert!(run.stdout.starts_with(&answers), "{}", run.stdout);
}

#[test]
fn an_echo_server_on_tokio() {
    if can_host() {
        tokio(TIMES);
    }
}

const REDIS: &str = "redis-server --port 7000 --save '' >log & sleep 1; redis-cli -p 7000 set a 1; \
    redis-cli -p 7000 incr a; redis-cli -p 7000 shutdown; wait; echo end";

#[test]
fn redis() {
    if can_host() && has("redis-server") && has("redis-cli") {
        assert_eq!(shell(TIMES, REDIS).stdout, "OK\n2\nend\n");
    }
}

/// Within a node a stream is as fast as its ends, so here calls have to cost time.
fn iperf(times: usize) {
    let mut spec = spec("/bin/sh", &["-c", "iperf3 -s -1 >log & sleep 1; iperf3 -c 127.0.0.1 -t 1; wait; cat log"]);
    spec.call_cost = Duration::from_micros(20);
    let run = same(times, &spec);
    assert_eq!(run.report.status, ENDED, "{run:?}");
    assert!(run.stdout.contains("iperf Done."), "{}", run.stdout);
}

#[test]
fn iperf3() {
    if can_host() && has("iperf3") {
        iperf(2);
    }
}

const PIPELINE: &str = "echo abc | cat | cat; seq 9 | sort -r | tr '\\n' ,; sleep .25; date";

#[test]
fn pipelines() {
    if can_host() {
        assert_eq!(shell(10, PIPELINE).stdout, "abc\n9,8,7,6,5,4,3,2,1,Sat Jan  1 00:00:01 UTC 2000\n");
    }
}

/// What programs try first, and do well without, is no call that is missing: it would hide those that are.
#[test]
fn nothing_is_refused_to_ordinary_programs() {
    if can_host() {
        let script = "echo text >a; cp a b; cat b; stat -f -c '%T %S %b %f' .; mkdir d; mv b d; ls -l d; rm -r d; find . -type f";
        let run = shell(TIMES, script);
        assert!(run.stdout.starts_with("text\next2/ext3 4096 1048576 524288\n"), "{}", run.stdout);
        assert_eq!(run.report.refused, []);
    }
}

#[test]
fn bash_with_its_own_random_numbers_and_signals() {
    if can_host() && has("bash") {
        let script =
            "echo $RANDOM $RANDOM; trap 'echo caught' USR1; kill -USR1 $$; (sleep 1; kill -USR1 $$) & wait; date";
        let run = same(TIMES, &spec("bash", &["-c", script]));
        assert_eq!(run.stdout.matches("caught").count(), 2, "{run:?}");
    }
}

#[test]
fn python_with_children() {
    if can_host() && has("python3") {
        let script = "import subprocess\nfor i in range(3): print(subprocess.run(['sh', '-c', f'echo {i}; exit {i}'], capture_output=True))";
        let run = same(TIMES, &spec("python3", &["-c", script]));
        assert_eq!(run.report.status, ENDED, "{run:?}");
        assert!(run.stdout.contains("returncode=2, stdout=b'2\\n'"), "{}", run.stdout);
    }
}

#[test]
#[ignore = "takes minutes"]
fn every_program_many_times() {
    if !can_host() {
        return;
    }
    threads(MANY_TIMES);
    python(MANY_TIMES);
    go(MANY_TIMES);
    tokio(MANY_TIMES);
    iperf(MANY_TIMES);
    for script in [WEB, NETCAT, REDIS] {
        shell(MANY_TIMES, script);
    }
}

#[test]
#[ignore = "takes a minute"]
fn a_pipeline_a_thousand_times() {
    if can_host() {
        shell(1000, "echo abc | cat | cat");
    }
}
