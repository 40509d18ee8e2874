//! Programs that end badly end clearly: distinct states and errors, and nobody is left behind.

use super::support::{Folder, can_host, compiled, has, run, spec, try_run};
use shim::{ExitStatus, Host, HostError, HostSpec, Input, SpawnError};
use std::time::Duration;

/// Processes of this test's own program, by their working directory's name in the command line.
fn processes_with(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path().join("cmdline");
        let line = std::fs::read(path).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(mark) {
            found.push(line);
        }
    }
    found
}

/// The host's number of a process with `mark` in its command line.
fn process_with(mark: &str) -> Option<i32> {
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let hit = String::from_utf8_lossy(&line).contains(mark);
        hit.then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

#[test]
fn ends_are_told_apart() {
    if !can_host() || !has("cc") {
        return;
    }
    for (what, status) in [
        ("abort", ExitStatus::Signalled(libc::SIGABRT)),
        ("segfault", ExitStatus::Signalled(libc::SIGSEGV)),
        ("divide", ExitStatus::Signalled(libc::SIGFPE)),
        ("exec", ExitStatus::Exited(7)),
        ("nothing", ExitStatus::Exited(3)),
        ("children", ExitStatus::Exited(5)),
    ] {
        let run = run(spec(compiled("faults", &[]), &[what]));
        assert_eq!(run.report.status, Some(status), "{what}");
    }
}

#[test]
fn commands_that_cannot_be_executed_are_told() {
    if !can_host() {
        return;
    }
    let error = |command: &str| match try_run(spec(command, &[])) {
        Err(HostError::Spawn(error)) => error,
        other => panic!("{command}: {other:?}"),
    };
    assert!(matches!(error("/nowhere/at-all"), SpawnError::Exec { .. }));
    assert!(matches!(error("no-such-program"), SpawnError::NotFound { .. }));
    assert!(matches!(error("/etc/passwd"), SpawnError::Exec { .. }));
    assert!(error("no-such-program").to_string().contains("no program `no-such-program`"));
}

/// A program that never waits fails the run; time never passes for it by itself.
#[test]
fn the_watchdog_ends_a_program_that_computes_for_ever() {
    if !can_host() || !has("cc") {
        return;
    }
    let mut spec = spec(compiled("faults", &[]), &["spin", "mark-of-the-watchdog-test"]);
    spec.watchdog = Duration::from_millis(300);
    match try_run(spec) {
        Err(HostError::Hung { node, now: 0, .. }) => assert_eq!(node, "node"),
        other => panic!("{other:?}"),
    }
    assert_eq!(processes_with("mark-of-the-watchdog-test"), Vec::<String>::new());
}

#[test]
fn unsupported_calls_are_refused_and_named() {
    if !can_host() || !has("cc") {
        return;
    }
    let run = run(spec(compiled("faults", &[]), &["unsupported"]));
    let absent = "0\n-1 Invalid argument\n-1 Function not implemented\n";
    assert_eq!(run.stdout, format!("-1 Function not implemented\n{}{absent}", "-1\n".repeat(7)));
    let refused: Vec<(&str, u64)> = run.report.refused.iter().map(|call| (call.call.as_str(), call.times)).collect();
    let other_interface = format!("call {}", 0x4000_0000 | libc::SYS_getpid);
    let expected = [
        ("bpf", 1),
        ("call 1000", 1),
        (other_interface.as_str(), 1),
        ("io_uring_setup", 1),
        ("mount", 1),
        ("ptrace", 1),
        ("quotactl", 2),
        ("userfaultfd", 1),
    ];
    assert_eq!(refused, expected);
    assert!(run.report.refused.iter().all(|call| call.program == "faults"));
}

/// Nodes cannot talk to each other, or to later runs, through the host's files.
#[test]
fn files_of_the_host_cannot_be_written() {
    if !can_host() || !has("cc") {
        return;
    }
    let run = run(spec(compiled("faults", &[]), &["write-host"]));
    assert_eq!(run.stdout, "Read-only file system\n");
    assert!(!std::path::Path::new("/etc/tidelock-was-here").exists());
}

/// Whether the host is finished, dropped, or its supervisor's thread dies: no process is left.
#[test]
fn nobody_is_left_behind() {
    if !can_host() || !has("cc") {
        return;
    }
    let folder = Folder::new();
    let start = |mark: &str| {
        let mut spec = spec(compiled("faults", &[]), &["forever", mark]);
        spec.directory = folder.path().join(mark);
        let mut host = Host::spawn(spec).unwrap();
        host.advance(Input::default()).unwrap();
        assert_eq!(processes_with(mark).len(), 1, "{mark}");
        host
    };
    assert_eq!(start("mark-finished").finish().unwrap().status, None);
    drop(start("mark-dropped"));
    for mark in ["mark-finished", "mark-dropped"] {
        assert_eq!(processes_with(mark), Vec::<String>::new());
    }
}

/// A program that is killed from outside is an error of its own.
#[test]
fn a_program_killed_from_outside_is_told() {
    if !can_host() || !has("cc") {
        return;
    }
    let folder = Folder::new();
    let mut spec = spec(compiled("faults", &[]), &["forever", "mark-killed-from-outside"]);
    spec.directory = folder.path().to_owned();
    let mut host = Host::spawn(HostSpec { cpu: None, ..spec }).unwrap();
    host.advance(Input::default()).unwrap();
    let pid = process_with("mark-killed-from-outside").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let after = host.advance(Input { now: shim::Nanos(1), signal: Some(libc::SIGCONT), ..Input::default() });
    let status = match after {
        Ok(output) => output.status,
        Err(HostError::Killed { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(status, Some(ExitStatus::Signalled(libc::SIGKILL)));
}
