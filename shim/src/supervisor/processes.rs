//! Threads and processes that come, replace their image, and go.

use super::{ExitStatus, HostError, Supervisor};
use crate::kernel::{Call, Caller, Pid, Resume, ThreadState, Tid};
use crate::memory::Memory;
use crate::signals::number_within;
use crate::sys::trace::{self, Stop, Wait};
use nix::errno::Errno;

impl Supervisor {
    pub(super) fn clone(&mut self, caller: Caller, call: Call, flags: u64, clear_tid: u64) -> Result<(), HostError> {
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
    pub(super) fn release_vfork(&mut self, pid: Pid) -> Result<(), HostError> {
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

    pub(super) fn exec(&mut self, caller: Caller, call: Call) -> Result<(), HostError> {
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

    pub(super) fn exit(&mut self, caller: Caller, call: Call, whole: bool) -> Result<(), HostError> {
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
    pub(super) fn collect_process(&mut self, pid: Pid) -> Result<(), HostError> {
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

    pub(super) fn gone(&mut self, tid: Tid, pid: Pid, status: ExitStatus) -> Result<(), HostError> {
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
}

/// Whether the first thread of process `pid` has ended.
fn is_zombie(pid: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")) else { return true };
    status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z') || rest.starts_with('X'))
}
