//! A host: one program with its supervisor, to be driven from any thread.
//!
//! Tracing binds a program to the thread that traces it, and a round trip is cheap only on one processor. So each host has a
//! thread of its own, pinned together with its program, to which [`Host::advance`] hands over and on which it waits. That
//! costs one hand-over per advance, not per call; who has nothing to do need not be advanced at all.
//!
//! The supervisor's thread is forbidden to read the time-stamp counter, as its program is: switching between threads that
//! differ in this costs more than the system call between them. So nothing on that thread may look at a real clock; the
//! [watchdog](crate::watchdog) looks from outside.

use crate::kernel::Packet;
use crate::record::Record;
use crate::spec::{HostSpec, WORKING_DIRECTORY, errno};
use crate::supervisor::{ExitStatus, HostError, SpawnError, Supervisor};
use crate::sys::bootstrap::{Bind, Plan};
use crate::time::Nanos;
use crate::watchdog::{self, Verdict, Watch};
use crate::{filter, sys};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a host is given when it is advanced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The node's time, which never goes back.
    pub now: Nanos,
    /// When it is advanced again. A program whose calls cost time computes no further; without it, until all is done.
    pub until: Option<Nanos>,
    /// What has arrived since.
    pub packets: Vec<Packet>,
    /// Bytes per neighbour that an earlier advance has given out and that have not left yet.
    pub backlog: BTreeMap<Ipv4Addr, u64>,
    /// A signal for the program.
    pub signal: Option<i32>,
}

/// What comes of advancing a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What leaves the node, in order.
    pub packets: Vec<Packet>,
    /// When it has to be advanced next, even if nothing arrives.
    pub deadline: Option<Nanos>,
    /// Whether somebody waits for the backlog to become smaller.
    pub congested: bool,
    /// How the program ended, if it has.
    pub status: Option<ExitStatus>,
    /// The trace hash so far.
    pub trace_hash: u64,
    /// System calls so far.
    pub calls: u64,
}

/// What is left of a host in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How the program ended; `None` if it was still there.
    pub status: Option<ExitStatus>,
    /// A hash over all calls with their results and the bytes written.
    pub trace_hash: u64,
    /// Number of system calls.
    pub calls: u64,
    /// Calls that are not supported and were made, by program and name.
    pub refused: Vec<Refused>,
}

/// A call that is not supported: it returned ENOSYS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The file name of the program that made it.
    pub program: String,
    /// The name of the call.
    pub call: String,
    /// How often.
    pub times: u64,
}

enum Order {
    Advance(Input),
    End,
}

enum Reply {
    Advanced(Result<Output, HostError>),
    Ended(Report),
}

/// A program in the hands of its supervisor.
#[derive(Debug)]
pub struct Host {
    node: String,
    watchdog: Duration,
    orders: Sender<Order>,
    replies: Receiver<Reply>,
    /// Process 1 of the node, once there is one: who kills it kills all.
    init: Arc<AtomicI32>,
    thread: Option<JoinHandle<()>>,
    last: Nanos,
}

impl Host {
    /// Starts a program, up to before its first instruction.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub fn spawn(spec: HostSpec) -> Result<Self, SpawnError> {
        let node = spec.node.clone();
        let plan = plan(&spec)?;
        let trace = spec.directory.join("trace");
        let record = Record::new(spec.trace, &trace).map_err(|error| directory(&spec, &trace, &error))?;
        let (orders, received) = channel();
        let (sent, replies) = channel();
        let (started, starts) = channel();
        let init = Arc::new(AtomicI32::new(0));
        let (watchdog, shared) = (spec.watchdog, Arc::clone(&init));
        let body = move || supervise(&spec, &plan, record, &shared, &started, &received, &sent);
        let builder = std::thread::Builder::new().name(format!("host {node}"));
        let thread =
            builder.spawn(body).map_err(|error| SpawnError::Thread { node: node.clone(), errno: errno(&error) })?;
        let mut host = Self { node, watchdog, orders, replies, init, thread: Some(thread), last: Nanos::default() };
        match starts.recv() {
            Ok(Ok(())) => Ok(host),
            Ok(Err(error)) => {
                host.join();
                Err(error)
            }
            Err(_) => Err(SpawnError::Trace { node: host.node.clone(), errno: Errno::ESRCH }),
        }
    }

    /// Lets time pass and packets arrive, and lets the program run until all its threads wait. May be called from any thread.
    ///
    /// # Errors
    /// [`HostError`]; then the host is of no more use.
    pub fn advance(&mut self, input: Input) -> Result<Output, HostError> {
        self.last = input.now;
        let gone = || HostError::Gone { node: self.node.clone() };
        self.orders.send(Order::Advance(input)).map_err(|_| gone())?;
        let mut watch = Watch::default();
        loop {
            match self.replies.recv_timeout(self.watchdog / watchdog::LOOKS) {
                Ok(Reply::Advanced(result)) => return result,
                Ok(Reply::Ended(_)) | Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Err(RecvTimeoutError::Timeout) => {
                    let used = watchdog::processor_time(self.init.load(Ordering::SeqCst));
                    if let Some(verdict) = watch.look(used, self.watchdog) {
                        return Err(self.condemn(verdict));
                    }
                }
            }
        }
    }

    /// Ends a program that does not come back.
    fn condemn(&self, verdict: Verdict) -> HostError {
        self.kill();
        // Whatever the supervisor says now is a consequence of that.
        let _ = self.replies.recv();
        let (node, seconds, now) = (self.node.clone(), self.watchdog.as_secs(), self.last.0);
        match verdict {
            Verdict::Computes => HostError::Hung { node, seconds, now },
            Verdict::Stands => HostError::Stuck { node, seconds, now },
        }
    }

    /// Ends the program, if it has not ended, and says what is left to say.
    ///
    /// # Errors
    /// [`HostError::Gone`] if the supervisor is no more.
    pub fn finish(mut self) -> Result<Report, HostError> {
        let gone = || HostError::Gone { node: self.node.clone() };
        self.orders.send(Order::End).map_err(|_| gone())?;
        let reply = self.replies.recv().map_err(|_| gone())?;
        self.join();
        match reply {
            Reply::Ended(report) => Ok(report),
            Reply::Advanced(_) => Err(HostError::Gone { node: self.node.clone() }),
        }
    }

    fn kill(&self) {
        let init = self.init.load(Ordering::SeqCst);
        if init > 0 {
            // It may have ended just now.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), nix::sys::signal::Signal::SIGKILL);
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The supervisor may have ended by itself.
        let _ = self.orders.send(Order::End);
        self.join();
    }
}

/// The life of the supervisor's thread.
fn supervise(
    spec: &HostSpec,
    plan: &Plan,
    record: Record,
    init: &AtomicI32,
    started: &Sender<Result<(), SpawnError>>,
    orders: &Receiver<Order>,
    replies: &Sender<Reply>,
) {
    if let Some(cpu) = spec.cpu {
        // Where it may not choose its processor, it is slower and does the same.
        let _ = pin(cpu);
    }
    let prepared = sys::process::allow_time_stamp_counter(!plan.switches.time_stamp_counter);
    let supervisor = prepared
        .map_err(|errno| SpawnError::Thread { node: spec.node.clone(), errno })
        .and_then(|()| Supervisor::start(spec, plan, record));
    let mut supervisor = match supervisor {
        Ok(supervisor) => supervisor,
        Err(error) => {
            // Whoever asked may be gone.
            let _ = started.send(Err(error));
            return;
        }
    };
    init.store(supervisor.init_pid(), Ordering::SeqCst);
    let _ = started.send(Ok(()));
    while let Ok(Order::Advance(input)) = orders.recv() {
        let result = advance(&mut supervisor, input);
        if replies.send(Reply::Advanced(result)).is_err() {
            break;
        }
    }
    // From here on its number may be given to another process.
    init.store(0, Ordering::SeqCst);
    let report = Report {
        status: supervisor.status(),
        trace_hash: supervisor.record().hash(),
        calls: supervisor.record().calls(),
        refused: supervisor.refused(),
    };
    supervisor.end();
    drop(supervisor);
    let _ = replies.send(Reply::Ended(report));
}

fn advance(supervisor: &mut Supervisor, input: Input) -> Result<Output, HostError> {
    let network = &mut supervisor.kernel().network;
    network.backlog = input.backlog;
    network.congested = false;
    if let Some(signal) = input.signal {
        supervisor.kernel().advance_to(input.now);
        supervisor.shut_down(signal)?;
    }
    supervisor.advance(input.now, input.until.unwrap_or(Nanos::NEVER), input.packets)?;
    let status = supervisor.status();
    let (trace_hash, calls) = (supervisor.record().hash(), supervisor.record().calls());
    let kernel = supervisor.kernel();
    Ok(Output {
        packets: std::mem::take(&mut kernel.network.outbox),
        deadline: kernel.next_deadline(),
        congested: kernel.network.congested,
        status,
        trace_hash,
        calls,
    })
}

/// Pins the calling thread, and whom it starts, to one processor.
fn pin(cpu: usize) -> Result<(), Errno> {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)
}

fn directory(spec: &HostSpec, path: &Path, error: &io::Error) -> SpawnError {
    SpawnError::Directory { node: spec.node.clone(), path: path.to_owned(), errno: errno(error) }
}

/// Prepares the node's directory, and all that its first process needs.
fn plan(spec: &HostSpec) -> Result<Plan, SpawnError> {
    let command = spec.program()?;
    let make = |name: &str| {
        let path = spec.directory.join(name);
        fs::create_dir_all(&path).and_then(|()| path.canonicalize()).map_err(|error| directory(spec, &path, &error))
    };
    let (work, temporary) = (make("work")?, make("tmp")?);
    for (from, to) in &spec.files {
        copy(from, &work.join(to)).map_err(|error| spec.not_copied(from, to, &error))?;
    }
    let open = |name: &str| {
        let path = spec.directory.join(name);
        // Two writers of one file would overwrite each other if they did not append.
        let opened = File::options().create(true).append(true).truncate(false).open(&path);
        opened.and_then(|file| file.set_len(0).map(|()| file)).map_err(|error| directory(spec, &path, &error))
    };
    let text = |what: &'static str, text: &[u8]| {
        CString::new(text).map_err(|_| SpawnError::ZeroByte { node: spec.node.clone(), what })
    };
    let path = |path: &Path| text("a path", path.as_os_str().as_encoded_bytes());
    let mut binds = Vec::new();
    for place in [WORKING_DIRECTORY, TEMPORARY] {
        // A program below a place that is covered stays where it is: its directory is put through the cover.
        if let Ok(inside) = command.strip_prefix(place) {
            let cover = if place == TEMPORARY { &temporary } else { &work };
            let (from, inside) = (command.parent().unwrap_or(Path::new("/")), inside.parent().unwrap_or(Path::new("")));
            let through = cover.join(inside);
            fs::create_dir_all(&through).map_err(|error| directory(spec, &through, &error))?;
            binds.push(Bind { source: path(from)?, target: path(&through)?, writable: false });
        }
    }
    binds.push(Bind { source: path(&work)?, target: path(Path::new(WORKING_DIRECTORY))?, writable: true });
    binds.push(Bind { source: path(&temporary)?, target: path(Path::new(TEMPORARY))?, writable: true });
    let name = spec.command.as_os_str().as_encoded_bytes();
    let mut arguments = vec![text("the command", name)?];
    for argument in &spec.arguments {
        arguments.push(text("an argument", argument.as_bytes())?);
    }
    let inherited: Vec<(String, String)> =
        if spec.switches.own_environment { Vec::new() } else { std::env::vars().collect() };
    let environment = if spec.switches.own_environment { &spec.environment } else { &inherited };
    let variable = |(name, value): &(String, String)| text("the environment", format!("{name}={value}").as_bytes());
    Ok(Plan {
        arguments,
        environment: environment.iter().map(variable).collect::<Result<_, _>>()?,
        hostname: text("the node's name", spec.node.as_bytes())?,
        binds,
        working_directory: path(Path::new(WORKING_DIRECTORY))?,
        stdout: open("stdout")?,
        stderr: open("stderr")?,
        filter: filter::program(&filter::NATIVE),
        switches: spec.switches,
        command: path(&command)?,
    })
}

/// The directory for files that nobody keeps, which every node has for itself.
const TEMPORARY: &str = "/tmp";

/// Copies a file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let metadata = from.metadata()?;
    if !metadata.is_dir() {
        // A pipe or device would be read without end.
        let plain = if metadata.is_file() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) };
        return plain.and_then(|()| fs::copy(from, to)).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
