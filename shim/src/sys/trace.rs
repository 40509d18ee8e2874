//! Tracing: waiting for stops of traced threads, reading them, letting them go on.
//!
//! All of it must happen on the thread that began to trace. Source: ptrace(2).

use nix::errno::Errno;
use nix::unistd::Pid;

/// What a traced thread reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is gone: exit code, or the signal that killed it.
    Exited(i32),
    /// Killed by this signal.
    Killed(i32),
    /// About to receive this signal.
    Signal(i32),
    /// An event of ptrace (`PTRACE_EVENT_…`).
    Event(i32),
}

/// Which threads to wait for, and whether to wait at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until something is reported.
    Block,
    /// Only if something is there already.
    Poll,
}

/// The next report of thread `tid` (or, if it is -1, of any thread that this one traces). `None` if there is none yet.
pub(crate) fn wait(tid: i32, wait: Wait) -> Result<Option<(i32, Stop)>, Errno> {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | if wait == Wait::Poll { libc::WNOHANG } else { 0 };
    loop {
        // SAFETY: the call writes one integer, which `status` is.
        let result = unsafe { libc::waitpid(tid, &raw mut status, flags) };
        match Errno::result(result) {
            Ok(0) => return Ok(None),
            Ok(tid) => return Ok(Some((tid, decode(status)))),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn decode(status: i32) -> Stop {
    if libc::WIFEXITED(status) {
        Stop::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Stop::Killed(libc::WTERMSIG(status))
    } else if status >> 16 != 0 {
        Stop::Event(status >> 16)
    } else {
        Stop::Signal(libc::WSTOPSIG(status))
    }
}

/// Lets a stopped thread go on, with a signal if `signal` is not 0.
pub(crate) fn resume(tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: the request takes its arguments by value.
    let result = unsafe { libc::ptrace(libc::PTRACE_CONT, tid, 0_u64, i64::from(signal)) };
    Errno::result(result).map(drop)
}

/// Begins to trace `tid`, without stopping it. Children and threads of it are traced from their first moment on, and all are
/// killed when the tracing thread ends.
pub(crate) fn seize(tid: i32) -> Result<(), Errno> {
    use nix::sys::ptrace::Options;
    let options = Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEVFORKDONE
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEEXIT;
    nix::sys::ptrace::seize(Pid::from_raw(tid), options)
}

/// Asks `tid` to stop as soon as it is about to return to its program.
pub(crate) fn interrupt(tid: i32) -> Result<(), Errno> {
    nix::sys::ptrace::interrupt(Pid::from_raw(tid))
}

/// Stops tracing `tid`, which is stopped.
pub(crate) fn detach(tid: i32) -> Result<(), Errno> {
    nix::sys::ptrace::detach(Pid::from_raw(tid), None)
}

/// What the event of a stopped thread is about: the new thread of a clone, the status of an exit.
pub(crate) fn event_message(tid: i32) -> Result<i64, Errno> {
    nix::sys::ptrace::getevent(Pid::from_raw(tid))
}

/// Registers of a stopped thread.
pub(crate) fn registers(tid: i32) -> Result<libc::user_regs_struct, Errno> {
    nix::sys::ptrace::getregs(Pid::from_raw(tid))
}

/// Sets the registers of a stopped thread.
pub(crate) fn set_registers(tid: i32, registers: libc::user_regs_struct) -> Result<(), Errno> {
    nix::sys::ptrace::setregs(Pid::from_raw(tid), registers)
}

/// The cause of the signal that a stopped thread is about to receive: its `si_code`.
pub(crate) fn signal_code(tid: i32) -> Result<i32, Errno> {
    nix::sys::ptrace::getsiginfo(Pid::from_raw(tid)).map(|info| info.si_code)
}
