//! Drives the threads of one node: lets one run at a time, takes its system calls, and does what the node's kernel says.
//!
//! All of it happens on one thread, which traces the program, and on the processor that the program runs on: the round trip
//! of a call is then two switches. The thread must not read the time-stamp counter (see [`crate::host`]).

mod answers;
mod boot;
mod error;
mod processes;
mod stops;

pub use error::{ExitStatus, HostError, SpawnError};

use crate::host::Refused;
use crate::kernel::{Attempt, Call, Kernel, Packet, Pid, Resume, ThreadState, Tid, Turn};
use crate::record::Record;
use crate::sys::bootstrap::Init;
use crate::sys::listener::{Listener, Notification, Received};
use crate::sys::trace::{self, Stop, Wait};
use crate::time::Nanos;
use nix::errno::Errno;
use std::borrow::Cow;
use std::os::fd::OwnedFd;

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

    /// What was refused so far: programs, names of calls, how often.
    pub(crate) fn refused(&self) -> Vec<Refused> {
        let refused = |((program, call), &times): (&(String, Cow<'static, str>), _)| Refused {
            program: program.clone(),
            call: call.clone().into_owned(),
            times,
        };
        self.kernel.refused.iter().map(refused).collect()
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
