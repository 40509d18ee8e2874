//! Drives the threads of one node: lets one run at a time, takes its system calls, and does what the node's kernel says.
//!
//! All of it happens on one thread, which traces the program, and on the processor that the program runs on: the round trip
//! of a call is then two switches. The thread must not read the time-stamp counter (see [`crate::host`]).

use crate::image::{self, ImageError};
use crate::kernel::{After, Attempt, Call, Caller, Flow, Kernel, Packet, Pid, Resume, ThreadState, Tid, Turn};
use crate::memory::Memory;
use crate::record::{Entry, Record};
use crate::signals::{Signals, number_within};
use crate::spec::HostSpec;
use crate::sys::bootstrap::{self, Init, LISTENER, Plan, Stage};
use crate::sys::listener::{Listener, Notification, Received};
use crate::sys::process::descriptor_of;
use crate::sys::trace::{self, Stop, Wait};
use crate::time::Nanos;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// Why a program did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// The command is no file that can be executed.
    #[error("node `{node}`: `{command}` cannot be executed: {errno}")]
    Exec {
        /// The node.
        node: String,
        /// The command.
        command: PathBuf,
        /// What the kernel says.
        errno: Errno,
    },
    /// The command is not to be found.
    #[error("node `{node}`: no program `{command}` in {path}")]
    NotFound {
        /// The node.
        node: String,
        /// The command.
        command: PathBuf,
        /// Where it was looked for.
        path: String,
    },
    /// A step before the program failed.
    #[error("node `{node}`: {stage} failed: {errno}")]
    Stage {
        /// The node.
        node: String,
        /// The step.
        stage: Stage,
        /// What the kernel says.
        errno: Errno,
    },
    /// The node's directory cannot be prepared.
    #[error("node `{node}`: `{path}` cannot be prepared: {errno}")]
    Directory {
        /// The node.
        node: String,
        /// The directory or file.
        path: PathBuf,
        /// What the kernel says.
        errno: Errno,
    },
    /// A text with a zero byte in it.
    #[error("node `{node}`: {what} holds a zero byte")]
    ZeroByte {
        /// The node.
        node: String,
        /// Which text.
        what: &'static str,
    },
    /// Tracing failed, or the program ended before its first instruction.
    #[error("node `{node}`: the program cannot be traced: {errno}")]
    Trace {
        /// The node.
        node: String,
        /// What the kernel says.
        errno: Errno,
    },
    /// The image cannot be prepared.
    #[error("node `{node}`: {error}")]
    Image {
        /// The node.
        node: String,
        /// Why.
        error: ImageError,
    },
    /// The thread of the supervisor cannot be made.
    #[error("node `{node}`: no thread for the supervisor: {errno}")]
    Thread {
        /// The node.
        node: String,
        /// What the kernel says.
        errno: Errno,
    },
}

/// Why a host cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A thread computed longer than the watchdog allows.
    #[error(
        "node `{node}`: the program ran for {seconds} s without waiting for anything at {now} ns of its own time; \
         a program that looks at the clock until time has passed never sees it pass"
    )]
    Hung {
        /// The node.
        node: String,
        /// Real seconds.
        seconds: u64,
        /// The node's time.
        now: u64,
    },
    /// The kernel does something that is not expected.
    #[error("node `{node}`: tracing the program failed: {errno}")]
    Trace {
        /// The node.
        node: String,
        /// What the kernel says.
        errno: Errno,
    },
    /// All processes of the node were killed from outside.
    #[error("node `{node}`: the program was killed from outside")]
    Killed {
        /// The node.
        node: String,
    },
    /// A new image cannot be prepared.
    #[error("node `{node}`: {error}")]
    Image {
        /// The node.
        node: String,
        /// Why.
        error: ImageError,
    },
    /// The supervisor's thread is gone.
    #[error("node `{node}`: its supervisor has ended")]
    Gone {
        /// The node.
        node: String,
    },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// A node in the hands of its supervisor.
#[derive(Debug)]
pub(crate) struct Supervisor {
    node: String,
    kernel: Kernel,
    listener: Listener,
    init: Init,
    /// What stands for descriptors that only the node's kernel knows.
    placeholder: OwnedFd,
    first: Pid,
    /// When the program is to be held although it could run on.
    until: Nanos,
    status: Option<ExitStatus>,
    record: Record,
}

impl Supervisor {
    /// Starts the program, up to before its first instruction.
    pub(crate) fn start(spec: &HostSpec, plan: &Plan, record: Record) -> Result<Self, SpawnError> {
        let node = || spec.node.clone();
        let traced = |errno| SpawnError::Trace { node: node(), errno };
        let failed =
            |failed: bootstrap::Failed| SpawnError::Stage { node: node(), stage: failed.stage, errno: failed.errno };
        let mut init = bootstrap::start(plan).map_err(failed)?;
        let (listener, first) = match boot(&mut init) {
            Ok(booted) => booted,
            Err(errno) => {
                init.kill();
                // What the children have told is more precise than how they ended.
                return Err(init.failed().map_or_else(|| traced(errno), failed));
            }
        };
        let memory = Memory::of(first.0).map_err(|_| traced(Errno::EACCES))?;
        let mut kernel = Kernel::new(spec);
        kernel.network.reachable = spec.hosts.iter().map(|&(_, address)| address).collect();
        kernel.add_first(first, number_within(first.0), memory);
        let placeholder = crate::sys::process::file_with(&[]).map_err(traced)?;
        let mut supervisor = Self {
            node: node(),
            kernel,
            listener,
            init,
            placeholder,
            first,
            until: Nanos::NEVER,
            status: None,
            record,
        };
        match supervisor.first_exec() {
            Ok(()) => Ok(supervisor),
            Err(error) => {
                supervisor.end();
                Err(match error {
                    FirstExec::Refused(errno) => {
                        SpawnError::Exec { node: node(), command: spec.command.clone(), errno }
                    }
                    FirstExec::Trace(errno) => traced(errno),
                    FirstExec::Image(error) => SpawnError::Image { node: node(), error },
                })
            }
        }
    }

    /// Takes the program over its `exec`.
    fn first_exec(&mut self) -> Result<(), FirstExec> {
        let tid = self.first.0;
        loop {
            match self.listener.receive(100).map_err(FirstExec::Trace)? {
                Received::Call(call) if i64::from(call.number) == libc::SYS_execve => {
                    self.listener.pass(call.id).map_err(FirstExec::Trace)?;
                    // Either the image is replaced, or the next call tells the error.
                    continue;
                }
                Received::Call(call) => return Err(FirstExec::Refused(Errno::from_raw(call.arguments[0] as i32))),
                Received::Closed => return Err(FirstExec::Trace(Errno::ESRCH)),
                Received::Nothing => {}
            }
            match trace::wait(tid, Wait::Poll).map_err(FirstExec::Trace)? {
                Some((_, Stop::Event(libc::PTRACE_EVENT_EXEC))) => break,
                Some((_, Stop::Exited(_) | Stop::Killed(_))) => return Err(FirstExec::Trace(Errno::ESRCH)),
                Some((_, Stop::Signal(signal))) => trace::resume(tid, signal).map_err(FirstExec::Trace)?,
                Some((_, Stop::Event(_))) => trace::resume(tid, 0).map_err(FirstExec::Trace)?,
                None => {}
            }
        }
        self.new_image(self.first).map_err(FirstExec::Image)?;
        self.kernel.ready(Tid(tid), Resume::Stopped { signal: 0 });
        Ok(())
    }

    /// Prepares the image of `pid`, which is stopped at its `exec`.
    fn new_image(&mut self, pid: Pid) -> Result<(), ImageError> {
        let memory = Memory::of(pid.0).map_err(|_| ImageError::Memory(Errno::EACCES))?;
        let random = self.kernel.image_random();
        let page = image::prepare(pid.0, &memory, random, &self.kernel.config.switches)?;
        self.kernel.replace_image(pid, memory);
        self.kernel.process(pid).time_page = page;
        Ok(())
    }

    /// How the program ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Process 1 of the node, by the host's number.
    pub(crate) fn init_pid(&self) -> i32 {
        self.init.pid
    }

    pub(crate) fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// What was refused so far, by name of the call, with how often.
    pub(crate) fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.kernel.refused
    }

    /// Lets it be `now`, lets `packets` arrive, and lets the program run until all its threads wait.
    ///
    /// If calls cost time, it runs no further than to `until`, at which it is advanced again.
    pub(crate) fn advance(&mut self, now: Nanos, until: Nanos, packets: Vec<Packet>) -> Result<(), HostError> {
        self.until = until;
        self.kernel.advance_to(now);
        for pid in self.kernel.ring_alarms() {
            self.signal(pid, libc::SIGALRM)?;
        }
        self.kernel.arrive(packets);
        self.run()
    }

    /// Sends `signal` to the first process.
    pub(crate) fn shut_down(&mut self, signal: i32) -> Result<(), HostError> {
        // The number of a process that has ended may be another's by now.
        if self.status.is_some() {
            return Ok(());
        }
        self.signal(self.first, signal)
    }

    fn signal(&mut self, pid: Pid, signal: i32) -> Result<(), HostError> {
        let sent = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid.0),
            nix::sys::signal::Signal::try_from(signal).map_err(|errno| self.broken(errno))?,
        );
        match sent {
            // Nobody is there any more to take it.
            Ok(()) | Err(Errno::ESRCH) => self.after_signals(),
            Err(errno) => Err(self.broken(errno)),
        }
    }

    fn broken(&self, errno: Errno) -> HostError {
        HostError::Trace { node: self.node.clone(), errno }
    }

    /// Runs until nobody can.
    fn run(&mut self) -> Result<(), HostError> {
        loop {
            if self.kernel.processes.is_empty() {
                return Ok(());
            }
            if self.kernel.now >= self.until && !self.kernel.is_running() {
                return Ok(());
            }
            while !self.kernel.is_running() || !self.kernel.config.switches.single_runner {
                if !self.next_turn()? {
                    break;
                }
            }
            if !self.kernel.is_running() {
                return Ok(());
            }
            self.next_event()?;
        }
    }

    /// Lets whoever's turn it is go on; false if nobody can.
    fn next_turn(&mut self) -> Result<bool, HostError> {
        for (tid, turn) in self.kernel.candidates() {
            let moved = match turn {
                Turn::Resume(resume) => {
                    self.resume(tid, resume)?;
                    true
                }
                Turn::Attempt(call, attempt) => self.attempt(tid, call, attempt)?,
            };
            if moved {
                return Ok(true);
            }
        }
        match self.kernel.expired() {
            Some((tid, call, attempt)) => self.attempt(tid, call, attempt),
            None => Ok(false),
        }
    }

    fn resume(&mut self, tid: Tid, resume: Resume) -> Result<(), HostError> {
        self.kernel.thread(tid).state = ThreadState::Running;
        self.show_time(tid)?;
        match resume {
            Resume::Answer { id, value } => self.answer(id, value),
            Resume::Stopped { signal } => self.go_on(tid, signal),
        }
    }

    /// Sets the clock that the image reads by itself.
    fn show_time(&mut self, tid: Tid) -> Result<(), HostError> {
        let (now, times, pid) = (self.kernel.now, self.kernel.times(), self.kernel.threads[&tid].pid);
        let Some(process) = self.kernel.processes.get_mut(&pid) else { return Ok(()) };
        if process.shown == Some(now) {
            return Ok(());
        }
        process.shown = Some(now);
        match process.time_page.map(|page| page.set(&process.memory, times)) {
            // A process that is being killed has no memory any more.
            None | Some(Ok(()) | Err(Errno::EFAULT)) => Ok(()),
            Some(Err(errno)) => Err(self.broken(errno)),
        }
    }

    fn answer(&self, id: u64, value: i64) -> Result<(), HostError> {
        match self.listener.answer(id, value) {
            // The caller was killed in the meantime; its end will be reported.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.broken(errno)),
        }
    }

    fn go_on(&self, tid: Tid, signal: i32) -> Result<(), HostError> {
        match trace::resume(tid.0, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(self.broken(errno)),
        }
    }

    /// Waits for what the running thread does next.
    fn next_event(&mut self) -> Result<(), HostError> {
        // Nearly always it is a call. Faults, signals and ends are rare; they are looked for ever less often.
        const FIRST_MICROSECONDS: u32 = 100;
        const LAST_MICROSECONDS: u32 = 10_000;
        let mut microseconds = FIRST_MICROSECONDS;
        loop {
            match self.listener.receive(microseconds).map_err(|errno| self.broken(errno))? {
                Received::Call(notification) => return self.call(notification),
                Received::Nothing | Received::Closed => {}
            }
            match trace::wait(-1, Wait::Poll) {
                Ok(Some((tid, stop))) => return self.stopped(Tid(tid), stop),
                Ok(None) => {}
                Err(Errno::ECHILD) => return Err(HostError::Killed { node: self.node.clone() }),
                Err(errno) => return Err(self.broken(errno)),
            }
            microseconds = (microseconds * 2).min(LAST_MICROSECONDS);
        }
    }

    fn call(&mut self, notification: Notification) -> Result<(), HostError> {
        let Notification { id, tid, number, arguments } = notification;
        let tid = Tid(tid);
        if !self.kernel.threads.contains_key(&tid) {
            // A thread that was killed before its first stop was seen.
            return self.answer(id, -i64::from(libc::ENOSYS));
        }
        self.kernel.calls += 1;
        let cost = self.kernel.config.call_cost;
        if cost.0 > 0 {
            self.kernel.advance_to(self.kernel.now.after(cost));
            if self.kernel.now >= self.until {
                self.kernel.postpone(tid, Call { id, number, arguments });
                return Ok(());
            }
        }
        self.attempt(tid, Call { id, number, arguments }, Attempt::default()).map(drop)
    }

    /// Attempts a call of `tid`; false if it has to wait.
    fn attempt(&mut self, tid: Tid, call: Call, mut attempt: Attempt) -> Result<bool, HostError> {
        let caller = Caller { tid, pid: self.kernel.threads[&tid].pid };
        self.kernel.written.clear();
        let outcome = self.kernel.attempt(caller, &call, &mut attempt);
        self.raise(caller)?;
        match outcome {
            Err(errno) => self.finish(caller, &call, -(errno as i64)).map(|()| true),
            Ok(flow) => self.follow(caller, call, attempt, flow),
        }
    }

    /// Sends the signals that a call has raised.
    fn raise(&mut self, caller: Caller) -> Result<(), HostError> {
        for (tid, signal) in std::mem::take(&mut self.kernel.raised) {
            match crate::sys::process::signal_thread(caller.pid.0, tid.0, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(self.broken(errno)),
            }
        }
        Ok(())
    }

    /// Answers a call, and lets the caller run.
    fn finish(&mut self, caller: Caller, call: &Call, value: i64) -> Result<(), HostError> {
        self.note(caller, call, value);
        self.resume(caller.tid, Resume::Answer { id: call.id, value })
    }

    fn note(&mut self, caller: Caller, call: &Call, result: i64) {
        self.record.call(&Entry {
            now: self.kernel.now,
            thread: self.kernel.threads.get(&caller.tid).map_or(0, |thread| thread.number),
            host_thread: caller.tid.0,
            number: call.number,
            name: crate::kernel::call_name(call.number),
            arguments: &call.arguments,
            result,
            written: &self.kernel.written,
        });
    }

    fn follow(&mut self, caller: Caller, call: Call, attempt: Attempt, flow: Flow) -> Result<bool, HostError> {
        let Caller { tid, pid } = caller;
        match flow {
            Flow::Return(value) => self.finish(caller, &call, value)?,
            Flow::Block => {
                self.kernel.wait(tid, call, attempt);
                return Ok(false);
            }
            Flow::Yield => {
                self.note(caller, &call, 0);
                self.kernel.ready(tid, Resume::Answer { id: call.id, value: 0 });
            }
            Flow::Native(after) => self.native(caller, call, after)?,
            Flow::Install { description, close_on_exec } => {
                match self.listener.install(call.id, self.placeholder.as_fd(), close_on_exec) {
                    Ok(fd) => {
                        self.kernel.opened(pid, fd, description, close_on_exec);
                        self.finish(caller, &call, i64::from(fd))?;
                    }
                    Err(errno) => {
                        self.kernel.drop_uninstalled(description);
                        self.finish(caller, &call, -(errno as i64))?;
                    }
                }
            }
            Flow::InstallPair { descriptions, close_on_exec, address } => {
                let value = self.install_pair(caller, &call, descriptions, close_on_exec, address);
                self.finish(caller, &call, value)?;
            }
            Flow::InstallFile { file, close_on_exec } => {
                let value = match self.listener.install(call.id, file.as_fd(), close_on_exec) {
                    Ok(fd) => {
                        self.kernel.opened_file(pid, fd, libc::O_RDONLY, close_on_exec);
                        i64::from(fd)
                    }
                    Err(errno) => -(errno as i64),
                };
                self.finish(caller, &call, value)?;
            }
            Flow::Clone { flags, clear_tid } => self.clone(caller, call, flags, clear_tid)?,
            Flow::Exec => self.exec(caller, call)?,
            Flow::Exit { whole } => self.exit(caller, call, whole)?,
            Flow::Suspend => self.suspend(caller, call)?,
        }
        Ok(true)
    }

    fn install_pair(
        &mut self,
        caller: Caller,
        call: &Call,
        descriptions: [crate::kernel::DescriptionId; 2],
        close_on_exec: bool,
        address: u64,
    ) -> i64 {
        let mut numbers = [0; 8];
        for (description, number) in descriptions.into_iter().zip(numbers.chunks_mut(4)) {
            match self.listener.install(call.id, self.placeholder.as_fd(), close_on_exec) {
                Ok(fd) => {
                    self.kernel.opened(caller.pid, fd, description, close_on_exec);
                    number.copy_from_slice(&fd.to_le_bytes());
                }
                Err(errno) => {
                    self.kernel.drop_uninstalled(description);
                    return -(errno as i64);
                }
            }
        }
        match self.kernel.processes[&caller.pid].memory.write(address, &numbers) {
            Ok(()) => 0,
            Err(errno) => -(errno as i64),
        }
    }

    /// Lets the host's kernel execute a call that does not block, and sees what it returns: the thread is asked to stop on
    /// its way back to the program, before it is let go.
    fn native(&mut self, caller: Caller, call: Call, after: After) -> Result<(), HostError> {
        let tid = caller.tid;
        // A call that waited for its turn may find the clock of its image behind.
        self.kernel.thread(tid).state = ThreadState::Running;
        self.show_time(tid)?;
        if let Err(errno) = trace::interrupt(tid.0).and_then(|()| self.listener.pass(call.id)) {
            // The thread is gone, which will be reported.
            return if errno == Errno::ENOENT || errno == Errno::ESRCH { Ok(()) } else { Err(self.broken(errno)) };
        }
        loop {
            match self.wait_for(tid)? {
                Stop::Event(libc::PTRACE_EVENT_STOP) => break,
                stop @ (Stop::Exited(_) | Stop::Killed(_)) => return self.stopped(tid, stop),
                Stop::Signal(signal) => self.go_on(tid, signal)?,
                Stop::Event(_) => self.go_on(tid, 0)?,
            }
        }
        let registers = trace::registers(tid.0).map_err(|errno| self.broken(errno))?;
        let value = registers.rax as i64;
        self.note(caller, &call, value);
        self.after(caller, value, after)?;
        self.go_on(tid, 0)?;
        if after == After::Signalled || matches!(after, After::Wait { .. }) {
            self.after_signals()?;
        }
        Ok(())
    }

    fn wait_for(&mut self, tid: Tid) -> Result<Stop, HostError> {
        match trace::wait(tid.0, Wait::Block) {
            Ok(Some((_, stop))) => Ok(stop),
            Ok(None) => Err(self.broken(Errno::EAGAIN)),
            Err(Errno::ECHILD) => Err(HostError::Killed { node: self.node.clone() }),
            Err(errno) => Err(self.broken(errno)),
        }
    }

    /// What the node's kernel has to know of a call that the host's has executed.
    fn after(&mut self, caller: Caller, value: i64, after: After) -> Result<(), HostError> {
        let pid = caller.pid;
        if value < 0 {
            return Ok(());
        }
        match after {
            After::Nothing | After::Signalled => {}
            After::Open { close_on_exec, flags } => self.kernel.opened_file(pid, value as i32, flags, close_on_exec),
            After::Close { fd } => self.kernel.closed(pid, fd),
            After::CloseRange { first, last, only_mark } => self.kernel.closed_range(pid, first, last, only_mark),
            After::Copy { fd, close_on_exec } => self.kernel.copied(pid, fd, value as i32, close_on_exec),
            After::Mark { fd, close_on_exec } => self.kernel.marked(pid, fd, close_on_exec),
            After::Status { address, extended } => {
                // What cannot be read back was not written either.
                let _ = self.kernel.plain_status(pid, address, extended);
            }
            After::Wait { usage } => {
                self.kernel.reaped(pid);
                if usage != 0 {
                    let _ = self.kernel.processes[&pid].memory.write(usage, &[0; 144]);
                }
            }
        }
        Ok(())
    }

    fn clone(&mut self, caller: Caller, call: Call, flags: u64, clear_tid: u64) -> Result<(), HostError> {
        self.kernel.thread(caller.tid).state = ThreadState::Running;
        self.show_time(caller.tid)?;
        self.listener.pass(call.id).map_err(|errno| self.broken(errno))?;
        match self.wait_for(caller.tid)? {
            Stop::Event(libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) => {}
            stop => return self.stopped(caller.tid, stop),
        }
        let child = trace::event_message(caller.tid.0).map_err(|errno| self.broken(errno))? as i32;
        // A child is stopped before its first instruction.
        loop {
            match self.wait_for(Tid(child))? {
                Stop::Event(libc::PTRACE_EVENT_STOP) => break,
                Stop::Exited(_) | Stop::Killed(_) => return self.go_on(caller.tid, 0),
                _ => self.go_on(Tid(child), 0)?,
            }
        }
        let number = number_within(child);
        let memory = match flags & libc::CLONE_THREAD as u64 {
            0 => Some(Memory::of(child).map_err(|_| self.broken(Errno::EACCES))?),
            _ => None,
        };
        self.note(caller, &call, i64::from(number));
        self.kernel.add_clone(caller, Tid(child), number, flags, clear_tid, memory);
        if flags & libc::CLONE_VFORK as u64 != 0 {
            self.kernel.thread(caller.tid).state = ThreadState::Vfork;
        }
        self.go_on(caller.tid, 0)
    }

    /// Lets the parent of `pid`, which waits in `vfork`, become ready.
    fn release_vfork(&mut self, pid: Pid) -> Result<(), HostError> {
        let parent = self.kernel.processes.get_mut(&pid).and_then(|process| process.vfork_parent.take());
        let Some(parent) = parent.filter(|parent| self.kernel.threads.contains_key(parent)) else { return Ok(()) };
        loop {
            match self.wait_for(parent)? {
                Stop::Event(libc::PTRACE_EVENT_VFORK_DONE) => break,
                stop @ (Stop::Exited(_) | Stop::Killed(_)) => return self.stopped(parent, stop),
                Stop::Signal(signal) => self.go_on(parent, signal)?,
                Stop::Event(_) => self.go_on(parent, 0)?,
            }
        }
        self.kernel.ready(parent, Resume::Stopped { signal: 0 });
        Ok(())
    }

    fn exec(&mut self, caller: Caller, call: Call) -> Result<(), HostError> {
        let (tid, pid) = (caller.tid, caller.pid);
        if let Err(errno) = trace::interrupt(tid.0).and_then(|()| self.listener.pass(call.id)) {
            return if errno == Errno::ENOENT || errno == Errno::ESRCH { Ok(()) } else { Err(self.broken(errno)) };
        }
        let first = Tid(pid.0);
        loop {
            // The thread that calls becomes the first of its process, and all others end.
            let Some((reported, stop)) = trace::wait(-1, Wait::Block).map_err(|errno| self.broken(errno))? else {
                continue;
            };
            match stop {
                Stop::Event(libc::PTRACE_EVENT_EXEC) if reported == pid.0 => break,
                Stop::Event(libc::PTRACE_EVENT_STOP) if reported == tid.0 => {
                    // It failed: the program goes on where it was.
                    let value = trace::registers(tid.0).map_err(|errno| self.broken(errno))?.rax as i64;
                    self.note(caller, &call, value);
                    return self.go_on(tid, 0);
                }
                stop => self.stopped(Tid(reported), stop)?,
            }
        }
        let others: Vec<Tid> = self.kernel.threads.iter().filter(|(_, t)| t.pid == pid).map(|(&tid, _)| tid).collect();
        for other in others.into_iter().filter(|&other| other != first) {
            self.kernel.remove_thread(other);
        }
        self.kernel.thread(first).state = ThreadState::Running;
        self.kernel.thread(first).clear_tid = 0;
        self.new_image(pid).map_err(|error| HostError::Image { node: self.node.clone(), error })?;
        self.note(Caller { tid: first, pid }, &call, 0);
        self.show_time(first)?;
        // Any stop stands for the one that was asked for.
        self.release_vfork(pid)?;
        self.go_on(first, 0)
    }

    fn exit(&mut self, caller: Caller, call: Call, whole: bool) -> Result<(), HostError> {
        let Caller { tid, pid } = caller;
        self.note(caller, &call, 0);
        let alone = self.kernel.threads.values().filter(|thread| thread.pid == pid).count() == 1;
        let first_of_many = tid.0 == pid.0 && !alone;
        self.kernel.thread(tid).state = ThreadState::Gone;
        match self.listener.pass(call.id) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(self.broken(errno)),
        }
        if whole || alone {
            return self.collect_process(pid);
        }
        if first_of_many {
            // The first thread of a process is not reported before the last one; it is seen to be gone.
            while !is_zombie(pid.0) {
                nix::sched::sched_yield().map_err(|errno| self.broken(errno))?;
            }
            self.kernel.first_thread_gone(tid);
            return Ok(());
        }
        loop {
            match self.wait_for(tid)? {
                stop @ (Stop::Exited(_) | Stop::Killed(_)) => return self.stopped(tid, stop),
                Stop::Signal(signal) => self.go_on(tid, signal)?,
                Stop::Event(_) => self.go_on(tid, 0)?,
            }
        }
    }

    /// Waits for the end of all threads of `pid`, which ends.
    fn collect_process(&mut self, pid: Pid) -> Result<(), HostError> {
        let threads: Vec<Tid> = self.kernel.threads.iter().filter(|(_, t)| t.pid == pid).map(|(&tid, _)| tid).collect();
        // The first thread is reported last.
        let (first, others): (Vec<Tid>, Vec<Tid>) = threads.into_iter().partition(|tid| tid.0 == pid.0);
        for tid in others.into_iter().chain(first) {
            while self.kernel.threads.contains_key(&tid) {
                match self.wait_for(tid)? {
                    stop @ (Stop::Exited(_) | Stop::Killed(_)) => self.stopped(tid, stop)?,
                    Stop::Signal(signal) => self.go_on(tid, signal)?,
                    Stop::Event(_) => self.go_on(tid, 0)?,
                }
            }
        }
        Ok(())
    }

    /// Lets the host's kernel execute a wait for signals, of which there is one: it stops the thread to deliver it.
    fn suspend(&mut self, caller: Caller, call: Call) -> Result<(), HostError> {
        let tid = caller.tid;
        self.note(caller, &call, -i64::from(libc::EINTR));
        self.kernel.thread(tid).state = ThreadState::Running;
        self.show_time(tid)?;
        match self.listener.pass(call.id) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(self.broken(errno)),
        }
        let stop = self.wait_for(tid)?;
        self.stopped(tid, stop)
    }

    /// Lets calls that wait be interrupted by signals that have come.
    fn after_signals(&mut self) -> Result<(), HostError> {
        self.kernel.touch();
        let tids: Vec<Tid> = self.kernel.threads.keys().copied().collect();
        let mut interrupted = std::collections::BTreeSet::new();
        for tid in tids {
            let Some(thread) = self.kernel.threads.get(&tid) else { continue };
            let (pid, state) = (thread.pid, thread.state.clone());
            match state {
                // One thread of a process takes a signal.
                ThreadState::Waiting(_) if !interrupted.contains(&pid) && Signals::of(tid.0).interrupt() => {
                    interrupted.insert(pid);
                    self.interrupt(tid);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends the call that `tid` waits for, so that it takes its signal.
    fn interrupt(&mut self, tid: Tid) {
        let ThreadState::Waiting(wait) = &self.kernel.threads[&tid].state else { return };
        // Whether it is attempted again after the handler is the host's kernel's to decide, as always; that of a call
        // which has moved bytes is what it has moved.
        let value = match wait.attempt.progress {
            0 => -crate::kernel::interruption(wait.call.number),
            moved => moved as i64,
        };
        let id = wait.call.id;
        self.kernel.forget_waiter(tid);
        self.kernel.ready(tid, Resume::Answer { id, value });
    }

    /// Takes in that a thread has stopped, or is no more.
    fn stopped(&mut self, tid: Tid, stop: Stop) -> Result<(), HostError> {
        let Some(thread) = self.kernel.threads.get(&tid) else {
            return match stop {
                Stop::Signal(signal) => self.go_on(tid, signal),
                Stop::Event(_) => self.go_on(tid, 0),
                Stop::Exited(_) | Stop::Killed(_) => Ok(()),
            };
        };
        let (pid, number) = (thread.pid, thread.number);
        match stop {
            Stop::Exited(code) => self.gone(tid, pid, ExitStatus::Exited(code)),
            Stop::Killed(signal) => self.gone(tid, pid, ExitStatus::Signalled(signal)),
            Stop::Signal(libc::SIGSEGV) if self.emulate_time_stamp(tid)? => self.go_on(tid, 0),
            Stop::Signal(signal) => {
                self.record.event(self.kernel.now, number, "signal", i64::from(signal));
                self.go_on(tid, signal)
            }
            Stop::Event(libc::PTRACE_EVENT_VFORK_DONE) => {
                // The child has its image sooner than its own stop is reported.
                for process in self.kernel.processes.values_mut().filter(|process| process.vfork_parent == Some(tid)) {
                    process.vfork_parent = None;
                }
                self.kernel.ready(tid, Resume::Stopped { signal: 0 });
                Ok(())
            }
            Stop::Event(_) => self.go_on(tid, 0),
        }
    }

    fn gone(&mut self, tid: Tid, pid: Pid, status: ExitStatus) -> Result<(), HostError> {
        if tid.0 != pid.0 {
            self.kernel.remove_thread(tid);
            return Ok(());
        }
        // All its threads have ended before the first one is reported.
        let others: Vec<Tid> = self.kernel.threads.iter().filter(|(_, t)| t.pid == pid).map(|(&tid, _)| tid).collect();
        for other in others {
            self.kernel.remove_thread(other);
        }
        let number = self.kernel.processes.get(&pid).map_or(0, |process| process.number);
        let code = match status {
            ExitStatus::Exited(code) => i64::from(code),
            ExitStatus::Signalled(signal) => -i64::from(signal),
        };
        self.record.event(self.kernel.now, number, "end", code);
        self.release_vfork(pid)?;
        self.kernel.remove_process(pid);
        if pid == self.first {
            self.status = Some(status);
        }
        self.after_signals()
    }

    /// Gives the node's time to a thread that has tried to read the time-stamp counter: a nanosecond a count.
    fn emulate_time_stamp(&mut self, tid: Tid) -> Result<bool, HostError> {
        const BY_THE_KERNEL: i32 = 128;
        let failed = |errno| self.broken(errno);
        if !self.kernel.config.switches.time_stamp_counter
            || trace::signal_code(tid.0).map_err(failed)? != BY_THE_KERNEL
        {
            return Ok(false);
        }
        let mut registers = trace::registers(tid.0).map_err(failed)?;
        let pid = self.kernel.threads[&tid].pid;
        let Ok(code) = self.kernel.processes[&pid].memory.array::<3>(registers.rip) else { return Ok(false) };
        let length = match code {
            [0x0F, 0x31, _] => 2,
            [0x0F, 0x01, 0xF9] => {
                registers.rcx = 0; // processor 0
                3
            }
            _ => return Ok(false),
        };
        let Nanos(now) = self.kernel.times().monotonic;
        (registers.rax, registers.rdx) = (now & u64::from(u32::MAX), now >> 32);
        registers.rip += length;
        trace::set_registers(tid.0, registers).map_err(failed)?;
        Ok(true)
    }

    /// Kills all that is left of the node, and waits for it to be gone.
    pub(crate) fn end(&mut self) {
        self.init.kill();
        // Every traced thread, and init itself, is reported until nobody is left.
        while let Ok(Some((tid, stop))) = trace::wait(-1, Wait::Block) {
            if matches!(stop, Stop::Signal(_) | Stop::Event(_)) {
                // It is being killed: that it is still stopped does not matter.
                let _ = trace::resume(tid, 0);
            }
        }
    }
}

/// Why the first image did not start.
enum FirstExec {
    Refused(Errno),
    Trace(Errno),
    Image(ImageError),
}

/// From init to the program's filter.
fn boot(init: &mut Init) -> Result<(Listener, Pid), Errno> {
    trace::seize(init.pid)?;
    init.go()?;
    let program = loop {
        match trace::wait(init.pid, Wait::Block)? {
            Some((pid, Stop::Event(libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_CLONE))) => {
                break trace::event_message(pid)? as i32;
            }
            Some((_, Stop::Exited(_) | Stop::Killed(_))) => return Err(Errno::ECHILD),
            Some((pid, Stop::Signal(signal))) => trace::resume(pid, signal)?,
            Some((pid, Stop::Event(_))) => trace::resume(pid, 0)?,
            None => {}
        }
    };
    // From here on init only waits; whoever traced it would have to let it go on again and again.
    trace::detach(init.pid)?;
    loop {
        match trace::wait(program, Wait::Block)? {
            Some((_, Stop::Signal(libc::SIGTRAP))) => break,
            Some((_, Stop::Exited(_) | Stop::Killed(_))) => return Err(Errno::ECHILD),
            Some((pid, Stop::Signal(signal))) => trace::resume(pid, signal)?,
            Some((pid, Stop::Event(_))) => trace::resume(pid, 0)?,
            None => {}
        }
    }
    let listener = Listener::new(descriptor_of(program, LISTENER)?);
    trace::resume(program, 0)?;
    Ok((listener, Pid(program)))
}

/// Whether the first thread of process `pid` has ended.
fn is_zombie(pid: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")) else { return true };
    status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z') || rest.starts_with('X'))
}
