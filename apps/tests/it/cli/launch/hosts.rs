//! Shards on hosts that a stub of ssh plays: it runs here what it is told to run there.

use super::{RUN, SECOND, assert_same, command, expected, folder, last_line, script, told, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Instant;

/// Every address of the loopback interface is a host; whoever has no address is not reached. What was asked of a host, and
/// the process that does it, are written down.
const SSH: &str = r#"#!/bin/bash
[ "$1 $2" = "-o BatchMode=yes" ] && [ $# = 4 ] || { echo "ssh: what is $*?" >&2; exit 255; }
case "$3" in
    127.*) ;;
    *) echo "ssh: Could not resolve hostname $3: Name or service not known" >&2; exit 255 ;;
esac
echo "$4" >> "$STUB/$3.asked"
echo $$ > "$STUB/$3.pid"
[ -e "$STUB/$3.edit" ] && exec sh -c "$(sed -f "$STUB/$3.edit" <<< "$4")"
exec sh -c "$4"
"#;

/// A folder with a stub of ssh in it.
pub(super) fn stub(name: &str) -> PathBuf {
    let folder = folder(name);
    script(&folder.join("ssh"), SSH);
    folder
}

/// A command that reaches hosts through the stub.
pub(super) fn with_stub(words: &str, folder: &Path) -> std::process::Command {
    let mut command = command(words, folder);
    command.args(["--ssh", "./ssh"]).env("STUB", folder);
    command
}

/// From now on `host` has another program than this one: a byte longer.
pub(super) fn another_program(folder: &Path, host: &str) {
    let other = folder.join("other");
    fs::copy(env!("CARGO_BIN_EXE_tidelock"), &other).unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(&other)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))
        .unwrap();
    fs::write(folder.join(format!("{host}.edit")), format!("s#exec [^ ]*#exec {}#", other.display())).unwrap();
}

fn launch(hosts: &str, words: &str, folder: &Path) -> Output {
    with_stub(&format!("launch --hosts {hosts} {words}"), folder).output().unwrap()
}

#[test]
fn hosts_give_the_digests_of_one_process() {
    let folder = stub("launch_hosts");
    let output = launch("127.0.0.2,127.0.0.3:2", &format!("{RUN} --format json"), &folder);
    assert_same(&output, &expected(&folder));
    // Nothing that is asked of a host tells the secret, which has 64 digits.
    let asked = |host: &str| fs::read_to_string(folder.join(format!("{host}.asked"))).unwrap();
    let (first, second) = (asked("127.0.0.2"), asked("127.0.0.3"));
    assert!(first.contains("--rank 0") && second.contains("--rank 1") && second.contains("--rank 2"), "{second}");
    assert!(second.contains("--rendezvous 127.0.0.2:"), "{second}");
    for word in format!("{first} {second}").split_whitespace() {
        assert!(word.bytes().filter(u8::is_ascii_hexdigit).count() < 60, "{word}");
    }
}

#[test]
fn this_host_needs_no_ssh() {
    let folder = stub("launch_here");
    let words = format!("launch --hosts localhost,127.0.0.3 --address 127.0.0.1 {RUN} --format json");
    assert_same(&with_stub(&words, &folder).output().unwrap(), &expected(&folder));
    assert!(folder.join("127.0.0.3.asked").exists() && !folder.join("localhost.asked").exists());
}

#[test]
fn commands_for_hosts_are_printed() {
    let folder = stub("launch_hosts_print");
    let output = launch("me@alpha,beta", &format!("{RUN} --port 7411 --print"), &folder);
    let printed = String::from_utf8(output.stdout).unwrap();
    let commands: Vec<&str> = printed.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(commands.len(), 2, "{printed}");
    assert!(commands[0].starts_with("./ssh -o BatchMode=yes 'me@alpha' "), "{printed}");
    assert!(
        commands[0].contains("--listen 0.0.0.0:7411") && commands[1].contains("--rendezvous alpha:7411"),
        "{printed}"
    );
}

/// The others are not kept waiting for those who will never come, and whose fault it is decides the exit code.
#[test]
fn who_cannot_come_ends_the_launch_soon() {
    let folder = stub("launch_unreached");
    let begin = Instant::now();
    let fails = |hosts: &str, words: &str, code: i32, parts: &[&str]| {
        let output = launch(hosts, &format!("{RUN} --no-results --quiet {words}"), &folder);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    };
    fails("127.0.0.2,nowhere", "", 6, &["nowhere: shard 1: ssh: Could not resolve hostname nowhere", "did not reach"]);
    fails("nowhere,127.0.0.2", "", 6, &["nowhere: shard 0: "]);
    fails("127.0.0.2,127.0.0.3", "--remote-program /no/such/tidelock", 2, &["/no/such/tidelock", "--remote-program"]);
    // One host has another program.
    another_program(&folder, "127.0.0.4");
    fails("127.0.0.2,127.0.0.4", "", 7, &["127.0.0.4: shard 1: ", "build differs"]);
    // Otherwise each of the four would wait for a minute.
    assert!(begin.elapsed() < 120 * SECOND, "{:?}", begin.elapsed());
}

/// A launch that goes on for ever, until something happens to it.
fn endless(folder: &Path) -> std::process::Child {
    let words = "launch --hosts 127.0.0.2,127.0.0.3 --app cd2dat --machine torus:4x4 -n 1000000000 --peer-timeout 1.5";
    let mut command = with_stub(words, folder);
    command.args(["--no-results", "--format", "json"]).process_group(0);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for host in ["127.0.0.2", "127.0.0.3"] {
        wait("a start", || (super::super::shards::processor_time(pid(folder, host)?)? > 30).then_some(()));
    }
    child
}

/// The shard on a host; the shells before it have become it.
fn pid(folder: &Path, host: &str) -> Option<u32> {
    fs::read_to_string(folder.join(format!("{host}.pid"))).ok()?.trim().parse().ok()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[test]
fn a_host_that_is_lost_ends_the_run_everywhere() {
    let folder = stub("launch_lost");
    let launch = endless(&folder);
    signal(pid(&folder, "127.0.0.3").unwrap(), Signal::SIGKILL);
    let output = launch.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", told(&output));
    let last = last_line(&output);
    assert_eq!((&last["code"], &last["peer"]), (&6.into(), &1.into()), "{last}");
}

#[test]
fn an_interrupted_launch_ends_the_run_everywhere() {
    let folder = stub("launch_interrupted");
    let launch = endless(&folder);
    signal(launch.id(), Signal::SIGINT);
    let output = launch.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert_eq!(last_line(&output)["code"], 130);
}

/// Shards whose launcher is gone do not run on: nobody would ever end them.
#[test]
fn shards_do_not_outlive_their_launcher() {
    let folder = stub("launch_orphans");
    let mut launch = endless(&folder);
    launch.kill().unwrap();
    launch.wait().unwrap();
    for host in ["127.0.0.2", "127.0.0.3"] {
        let pid = pid(&folder, host).unwrap();
        wait("an end", || (super::super::shards::processor_time(pid).is_none() || is_zombie(pid)).then_some(()));
    }
}

/// Whether nobody has asked yet how it ended.
fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}
