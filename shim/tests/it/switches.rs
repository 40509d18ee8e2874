//! Every source of non-determinism is closed by a mechanism, and without that mechanism it shows.

use super::support::{Folder, can_host, compiled, has, run, spec};
use shim::{HostSpec, Switches};
use std::collections::BTreeSet;

/// What several runs print: one text if all mechanisms are on, more without the one that `off` switches off.
fn check(source: &str, off: impl Fn(&mut Switches)) {
    if !can_host() || !has("cc") {
        return;
    }
    let program = compiled("sources", &[]);
    let printed = |spec: &HostSpec| {
        let outputs: BTreeSet<String> = (0..4).map(|_| run(spec.clone()).stdout).collect();
        outputs
    };
    let mut spec = spec(program, &[source]);
    let on = printed(&spec);
    assert_eq!(on.len(), 1, "{source}: {on:?}");
    assert!(on.iter().all(|text| !text.trim().is_empty()), "{source}: nothing is printed");
    off(&mut spec.switches);
    let off = printed(&spec);
    assert!(off.len() > 1, "{source}: nothing changes without its mechanism: {off:?}");
}

#[test]
fn clock_reads_without_a_call() {
    check("vdso", |switches| switches.time_page = false);
}

#[test]
fn clock_reads_by_a_call() {
    check("time-call", |switches| switches.time_calls = false);
}

#[test]
fn the_time_stamp_counter() {
    check("rdtsc", |switches| switches.time_stamp_counter = false);
}

#[test]
fn the_random_bytes_of_an_image() {
    check("auxiliary", |switches| switches.auxiliary_random = false);
}

#[test]
fn random_calls() {
    check("getrandom", |switches| switches.random_calls = false);
}

#[test]
fn random_files() {
    check("urandom", |switches| switches.random_files = false);
    check("uuid", |switches| switches.random_files = false);
}

#[test]
fn addresses() {
    check("addresses", |switches| switches.fixed_addresses = false);
}

/// A program that is pinned somewhere else sees another processor.
#[test]
fn processors() {
    if !can_host() || !has("cc") || std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    let outputs = |on: bool| -> BTreeSet<String> {
        let on_cpu = |_| {
            // Every call of `spec` takes the next processor.
            let mut spec = spec(compiled("sources", &[]), &["processors"]);
            spec.switches.one_processor = on;
            run(spec).stdout
        };
        (0..8).map(on_cpu).collect()
    };
    assert_eq!(outputs(true).len(), 1);
    assert!(outputs(false).len() > 1);
}

/// Inodes, devices and time stamps of a file that is made anew for every run.
#[test]
fn what_is_known_of_files() {
    let folder = Folder::new();
    let source = folder.path().join("b");
    std::fs::write(&source, "content").unwrap();
    let with_file = |on: bool| {
        let mut spec = spec(compiled("sources", &[]), &["status"]);
        spec.files = vec![(source.clone(), "b".into())];
        spec.switches.plain_files = on;
        run(spec).stdout
    };
    if !can_host() || !has("cc") {
        return;
    }
    assert_eq!(with_file(true), with_file(true));
    assert_ne!(with_file(false), with_file(false));
}

#[test]
fn the_order_of_directories() {
    if !can_host() || !has("cc") {
        return;
    }
    let folder = Folder::new();
    for name in 0..64 {
        std::fs::write(folder.path().join(format!("{name:02}")), "").unwrap();
    }
    let listed = |on: bool| {
        let mut spec = spec(compiled("sources", &[]), &["directory"]);
        spec.files = vec![(folder.path().to_owned(), "".into())];
        spec.switches.sorted_directories = on;
        let mut names: Vec<String> = run(spec).stdout.split_whitespace().map(str::to_owned).collect();
        names.retain(|name| !name.starts_with('.'));
        names
    };
    let sorted: Vec<String> = (0..64).map(|name| format!("{name:02}")).collect();
    assert_eq!(listed(true), sorted);
    let unsorted = listed(false);
    if unsorted == sorted {
        println!("skipped, because this file system lists names in order by itself");
    }
}

/// Without it, threads run when the host's scheduler lets them.
#[test]
fn one_runnable_thread() {
    if !can_host() || !has("cc") {
        return;
    }
    let program = compiled("threads", &[]);
    let hashes = |on: bool| -> BTreeSet<u64> {
        let once = |_| {
            let mut spec = spec(&program, &[]);
            spec.switches.single_runner = on;
            // On all processors: on one, the host's scheduler is nearly deterministic itself.
            spec.cpu = None;
            run(spec).report.trace_hash
        };
        (0..6).map(once).collect()
    };
    assert_eq!(hashes(true).len(), 1);
    assert!(hashes(false).len() > 1);
}

/// What is the node's own: names, numbers of processes, environment, limits, directory.
#[test]
fn the_host_does_not_show() {
    if !can_host() {
        return;
    }
    let script = "hostname; echo $$; env | sort; ulimit -n; ulimit -s; pwd; cat /proc/uptime /proc/loadavg; id -u; cat /etc/hosts; uname -a; ls -l / >/dev/null; date";
    let first = run(spec("/bin/sh", &["-c", script]));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(first.stdout.lines().next(), Some("node"));
    assert_eq!(first.stdout.lines().nth(1), Some("2"));
    assert!(!first.stdout.contains(host.trim()) || host.trim() == "node", "{}", first.stdout);
    assert!(first.stdout.contains("Sat Jan  1 00:00:01 UTC 2000"), "{}", first.stdout);
    assert!(first.stdout.contains("\n/srv\n") && first.stdout.contains("\n1000\n"), "{}", first.stdout);
    let path = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    assert!(path.is_empty() || !first.stdout.contains(&path));
}
