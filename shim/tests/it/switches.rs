//! Every source of non-determinism is closed by a mechanism, and without that mechanism it shows.

use super::support::{Folder, can_host, compiled, has, processors, run, spec};
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

/// What is the node's own, and without its mechanism the host's: that may be the same in every run, but it is something else.
fn check_host(source: &str, off: impl Fn(&mut Switches)) {
    if !can_host() || !has("cc") {
        return;
    }
    let mut spec = spec(compiled("sources", &[]), &[source]);
    let on = run(spec.clone()).stdout;
    assert!(!on.trim().is_empty(), "{source}: nothing is printed");
    assert_eq!(on, run(spec.clone()).stdout, "{source}");
    off(&mut spec.switches);
    assert_ne!(on, run(spec).stdout, "{source}: nothing changes without its mechanism");
}

#[test]
fn clock_reads_without_a_call() {
    check("vdso", |switches| switches.time_page = false);
}

/// The vDSO's random numbers start from a call, but begin anew whenever the host's kernel thinks fit. So it is replaced, and
/// every number is one of a call.
#[test]
fn random_numbers_without_a_call() {
    if !can_host() || !has("cc") {
        return;
    }
    let without = |switches: &mut Switches| switches.time_page = false;
    let mut probe = spec(compiled("sources", &[]), &["vdso-random"]);
    without(&mut probe.switches);
    if run(probe).stdout.contains("by the vDSO") {
        check_host("vdso-random", without);
    } else {
        println!("skipped, because this kernel's vDSO gives no random numbers");
    }
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
    let random = std::fs::read_to_string("/proc/sys/kernel/randomize_va_space").unwrap_or_default();
    if random.trim() == "0" {
        println!("skipped, because addresses are not random on this machine");
        return;
    }
    check("addresses", |switches| switches.fixed_addresses = false);
}

/// A program that is pinned somewhere else sees another processor.
#[test]
fn numbers_of_processors() {
    if !can_host() || !has("cc") {
        return;
    }
    let processors = processors();
    if processors.len() < 2 {
        println!("skipped, because there is only one processor");
        return;
    }
    let outputs = |on: bool| -> BTreeSet<String> {
        let on_cpu = |&cpu: &usize| {
            let mut spec = spec(compiled("sources", &[]), &["processors"]);
            spec.cpu = Some(cpu);
            spec.switches.one_processor = on;
            run(spec).stdout
        };
        processors.iter().take(4).map(on_cpu).collect()
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

/// What the host counts for a process: memory, time, switches.
#[test]
fn what_is_known_of_processes() {
    check("process-files", |switches| switches.plain_processes = false);
}

/// How full the host's disk is.
#[test]
fn what_is_known_of_file_systems() {
    check_host("file-system", |switches| switches.plain_files = false);
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
    let hash = |on: bool| {
        let mut spec = spec(&program, &[]);
        spec.switches.single_runner = on;
        // On all processors: on one, the host's scheduler is nearly deterministic itself.
        spec.cpu = None;
        run(spec).report.trace_hash
    };
    let (on, off) = (hash(true), hash(false));
    assert!((0..5).all(|_| hash(true) == on));
    // How soon it shows is for the host's scheduler to decide.
    assert!((0..50).any(|_| hash(false) != off));
}

#[test]
fn numbers_of_processes() {
    check("processes", |switches| switches.own_processes = false);
}

#[test]
fn names_of_machine_and_kernel() {
    check_host("names", |switches| switches.own_name = false);
}

#[test]
fn the_environment() {
    check_host("environment", |switches| switches.own_environment = false);
}

#[test]
fn limits_of_resources() {
    check_host("limits", |switches| switches.own_limits = false);
}

/// What this process has left open for its children, programs neither see nor are disturbed by.
#[test]
fn numbers_of_descriptors() {
    let file = std::fs::File::open("/dev/null").unwrap();
    // Not to be closed on exec, and behind what the way to exec uses itself.
    let inherited = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_DUPFD(6)).unwrap();
    check_host("descriptors", |switches| switches.own_descriptors = false);
    nix::unistd::close(inherited).unwrap();
}

#[test]
fn ports_that_nobody_chooses() {
    check("ports", |switches| switches.counted_ports = false);
}

#[test]
fn the_order_in_which_waiters_are_woken() {
    check("wakes", |switches| switches.wake_order = false);
}

#[test]
fn the_order_of_deadlines_at_one_tick() {
    check("deadlines", |switches| switches.deadline_order = false);
}

#[test]
fn the_order_of_events() {
    check("events", |switches| switches.event_order = false);
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
