//! From a prepared world to the first instruction of an image: of a fresh program, and of one that another replaces.

use super::{SpawnError, Supervisor};
use crate::image::{self, ImageError};
use crate::kernel::{Kernel, Pid, Resume, Tid};
use crate::memory::Memory;
use crate::record::Record;
use crate::signals::number_within;
use crate::spec::HostSpec;
use crate::sys::bootstrap::{self, Init, LISTENER, Plan};
use crate::sys::listener::{Listener, Received};
use crate::sys::process::descriptor_of;
use crate::sys::trace::{self, Stop, Wait};
use crate::time::Nanos;
use nix::errno::Errno;

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
    pub(super) fn new_image(&mut self, pid: Pid) -> Result<(), ImageError> {
        let memory = Memory::of(pid.0).map_err(|_| ImageError::Memory(Errno::EACCES))?;
        let random = self.kernel.image_random();
        let page = image::prepare(pid.0, &memory, random, &self.kernel.config.switches)?;
        self.kernel.replace_image(pid, memory);
        self.kernel.process(pid).time_page = page;
        Ok(())
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
