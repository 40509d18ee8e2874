//! Stops that tracing reports: signals, ends, reads of the time-stamp counter; and calls that signals interrupt.

use super::{ExitStatus, HostError, Supervisor};
use crate::kernel::{Call, Caller, Pid, Resume, ThreadState, Tid};
use crate::signals::Signals;
use crate::sys::trace::{self, Stop, Wait};
use crate::time::Nanos;
use nix::errno::Errno;

impl Supervisor {
    pub(super) fn wait_for(&mut self, tid: Tid) -> Result<Stop, HostError> {
        match trace::wait(tid.0, Wait::Block) {
            Ok(Some((_, stop))) => Ok(stop),
            Ok(None) => Err(self.broken(Errno::EAGAIN)),
            Err(Errno::ECHILD) => Err(HostError::Killed { node: self.node.clone() }),
            Err(errno) => Err(self.broken(errno)),
        }
    }

    pub(super) fn signal(&mut self, pid: Pid, signal: i32) -> Result<(), HostError> {
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

    /// Lets the host's kernel execute a wait for signals, of which there is one: it stops the thread to deliver it.
    pub(super) fn suspend(&mut self, caller: Caller, call: Call) -> Result<(), HostError> {
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
    pub(super) fn after_signals(&mut self) -> Result<(), HostError> {
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
    pub(super) fn interrupt(&mut self, tid: Tid) {
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
    pub(super) fn stopped(&mut self, tid: Tid, stop: Stop) -> Result<(), HostError> {
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

    /// Gives the node's time to a thread that has tried to read the time-stamp counter: a nanosecond a count.
    pub(super) fn emulate_time_stamp(&mut self, tid: Tid) -> Result<bool, HostError> {
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
}
