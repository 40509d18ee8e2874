//! Compiles programs, hosts them, and lets time pass for them.

use shim::{Capabilities, Host, HostError, HostSpec, Input, Nanos, Report, TraceLevel, capabilities};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// Whether programs can be hosted here; if not, says why the test is skipped.
pub(crate) fn can_host() -> bool {
    static FOUND: OnceLock<Capabilities> = OnceLock::new();
    let found = FOUND.get_or_init(capabilities);
    if let Some(lack) = &found.lack {
        println!("skipped, because {lack}");
    }
    found.lack.is_none()
}

/// Whether there is a program `name` on this machine; if not, says so.
pub(crate) fn has(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').any(|folder| Path::new(folder).join(name).is_file());
    if !found {
        println!("skipped, because there is no `{name}` on this machine");
    }
    found
}

/// A directory of its own for a test, which goes when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("host-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays among the build's files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program `tests/programs/NAME.c`, compiled with `options`.
pub(crate) fn compiled(name: &str, options: &[&str]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}{}", options.concat()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/programs/{name}.c"));
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if modified(&target) <= modified(&source) {
        // Not while another test executes the old one: a new file takes its name.
        let fresh = target.with_extension(std::process::id().to_string());
        let status = Command::new("cc")
            .args(["-O1", "-w", "-pthread"])
            .args(options)
            .arg(&source)
            .arg("-o")
            .arg(&fresh)
            .status();
        assert!(status.unwrap().success(), "{} does not compile", source.display());
        std::fs::rename(&fresh, &target).unwrap();
    }
    target
}

/// What a program has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) report: Report,
    /// All calls, as text.
    pub(crate) trace: String,
}

/// A program that is to be run in a directory of its own.
pub(crate) fn spec(command: impl Into<PathBuf>, arguments: &[&str]) -> HostSpec {
    let mut spec = HostSpec::new("node", command, PathBuf::new()).arguments(arguments.iter().copied());
    spec.trace = TraceLevel::Deterministic;
    spec.cpu = Some(cpu());
    spec
}

/// A processor for the next program.
fn cpu() -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let all = processors();
    all[NEXT.fetch_add(1, Ordering::Relaxed) as usize % all.len()]
}

/// The processors that this process may use.
pub(crate) fn processors() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let mut all = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        all.extend(first.parse().unwrap()..=last.parse::<usize>().unwrap());
    }
    all
}

/// Runs a program until it ends, or nothing is to come: time goes from deadline to deadline.
pub(crate) fn run(spec: HostSpec) -> Run {
    try_run(spec).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn try_run(mut spec: HostSpec) -> Result<Run, HostError> {
    const END: Nanos = Nanos(100 * Nanos::SECOND);
    let folder = Folder::new();
    spec.directory = folder.path().to_owned();
    let mut host = Host::spawn(spec)?;
    let mut now = Nanos(0);
    loop {
        let until = Some(now.after(Nanos(1_000_000)));
        let output = host.advance(Input { now, until, ..Input::default() })?;
        match output.deadline {
            Some(deadline) if output.status.is_none() && deadline < END => now = deadline.max(now),
            _ => break,
        }
    }
    let report = host.finish()?;
    let read = |name: &str| String::from_utf8_lossy(&std::fs::read(folder.path().join(name)).unwrap()).into_owned();
    Ok(Run { stdout: read("stdout"), stderr: read("stderr"), report, trace: read("trace") })
}

/// The same, each advance from another thread.
pub(crate) fn run_from_many_threads(mut spec: HostSpec) -> Report {
    let folder = Folder::new();
    spec.directory = folder.path().to_owned();
    let mut host = Host::spawn(spec).unwrap();
    let mut now = Nanos(0);
    loop {
        let input = Input { now, until: Some(now.after(Nanos(1_000_000))), ..Input::default() };
        let output = std::thread::scope(|scope| scope.spawn(|| host.advance(input)).join().unwrap()).unwrap();
        match output.deadline {
            Some(deadline) if output.status.is_none() => now = deadline.max(now),
            _ => return host.finish().unwrap(),
        }
    }
}

/// Runs a program `times` over: all runs must be one, which is returned.
pub(crate) fn same(times: usize, spec: &HostSpec) -> Run {
    let first = run(spec.clone());
    for time in 1..times {
        // Another processor, another moment.
        let again = run(HostSpec { cpu: Some(cpu()), ..spec.clone() });
        let mut lines = again.trace.lines().zip(first.trace.lines()).enumerate();
        let different = lines.find(|(_, (again, first))| again != first);
        assert_eq!(different, None, "run {time}: another call");
        let without = |run: &Run| Run { trace: String::new(), ..run.clone() };
        assert_eq!(without(&again), without(&first), "run {time} differs");
    }
    first
}
