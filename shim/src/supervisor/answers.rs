//! Does what the node's kernel says of a call: answers it, lets the host's kernel execute it, or hands out descriptors.

use super::{HostError, Supervisor};
use crate::kernel::{After, Attempt, Call, Caller, Flow, Resume, ThreadState, Tid};
use crate::record::Entry;
use crate::sys::trace::{self, Stop};
use nix::errno::Errno;
use std::os::fd::AsFd;

impl Supervisor {
    /// Attempts a call of `tid`; false if it has to wait and nothing has happened for which others may wait.
    pub(super) fn attempt(&mut self, tid: Tid, call: Call, mut attempt: Attempt) -> Result<bool, HostError> {
        let caller = Caller { tid, pid: self.kernel.threads[&tid].pid };
        self.kernel.written.clear();
        let before = self.kernel.changes();
        let outcome = self.kernel.attempt(caller, &call, &mut attempt);
        self.raise(caller)?;
        match outcome {
            Err(errno) => self.finish(caller, &call, -(errno as i64)).map(|()| true),
            // Who writes more than there is room for moves some of it, and waits again.
            Ok(flow) => Ok(self.follow(caller, call, attempt, flow)? || self.kernel.changes() != before),
        }
    }

    /// Sends the signals that a call has raised.
    pub(super) fn raise(&mut self, caller: Caller) -> Result<(), HostError> {
        for (tid, signal) in std::mem::take(&mut self.kernel.raised) {
            match crate::sys::process::signal_thread(caller.pid.0, tid.0, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(self.broken(errno)),
            }
        }
        Ok(())
    }

    /// Answers a call, and lets the caller run.
    pub(super) fn finish(&mut self, caller: Caller, call: &Call, value: i64) -> Result<(), HostError> {
        self.note(caller, call, value);
        self.resume(caller.tid, Resume::Answer { id: call.id, value })
    }

    pub(super) fn note(&mut self, caller: Caller, call: &Call, result: i64) {
        self.record.call(&Entry {
            now: self.kernel.now,
            thread: self.kernel.threads.get(&caller.tid).map_or(0, |thread| thread.number),
            host_thread: caller.tid.0,
            number: call.number,
            name: &crate::kernel::call_name(call.number),
            arguments: &call.arguments,
            result,
            written: &self.kernel.written,
        });
    }

    pub(super) fn follow(
        &mut self,
        caller: Caller,
        call: Call,
        attempt: Attempt,
        flow: Flow,
    ) -> Result<bool, HostError> {
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

    pub(super) fn install_pair(
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
    pub(super) fn native(&mut self, caller: Caller, call: Call, after: After) -> Result<(), HostError> {
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

    /// What the node's kernel has to know of a call that the host's has executed.
    pub(super) fn after(&mut self, caller: Caller, value: i64, after: After) -> Result<(), HostError> {
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
            After::FileSystem { address } => {
                let _ = self.kernel.plain_file_system(pid, address);
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
}
