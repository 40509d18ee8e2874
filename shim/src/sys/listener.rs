//! The listening end of a seccomp filter: system calls arrive as notifications and wait for their answer.
//!
//! Source: Linux, `Documentation/userspace-api/seccomp_filter.rst`, section "Userspace Notification".

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A system call that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// Names the call in the answer.
    pub(crate) id: u64,
    /// The calling thread, in the supervisor's own process namespace.
    pub(crate) tid: i32,
    /// Number of the call.
    pub(crate) number: i32,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What became of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A call.
    Call(Notification),
    /// Nothing within the time.
    Nothing,
    /// Nobody is left who could call.
    Closed,
}

/// A listener of one filter.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
}

impl Listener {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let listener = Self { fd };
        // The waker then runs the woken at once instead of looking for another processor. Older kernels lack the flag, and
        // only speed depends on it.
        // SAFETY: the request takes its flags by value and touches no memory of ours.
        let _ = unsafe {
            libc::ioctl(
                listener.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
            )
        };
        listener
    }

    /// Waits up to `microseconds` for a call.
    pub(crate) fn receive(&self, microseconds: u32) -> Result<Received, Errno> {
        let timeout = TimeSpec::new(i64::from(microseconds / 1_000_000), i64::from(microseconds % 1_000_000) * 1000);
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(timeout), None) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Received::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            return Ok(if events.contains(PollFlags::POLLHUP) { Received::Closed } else { Received::Nothing });
        }
        // SAFETY: all-zero bytes are a value of this plain structure, and the kernel demands them.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request writes one `seccomp_notif`, which `raw` is.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) };
        match Errno::result(result) {
            Ok(_) => Ok(Received::Call(Notification {
                id: raw.id,
                tid: raw.pid as i32,
                number: raw.data.nr,
                arguments: raw.data.args,
            })),
            // The caller died between the wake-up and the reading.
            Err(Errno::ENOENT | Errno::EINTR) => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Answers call `id`. [`Errno::ENOENT`] if the caller is no more.
    pub(crate) fn answer(&self, id: u64, value: i64) -> Result<(), Errno> {
        let (value, error) = if (-4095..0).contains(&value) { (0, value as i32) } else { (value, 0) };
        self.send(libc::seccomp_notif_resp { id, val: value, error, flags: 0 })
    }

    /// Lets the kernel execute call `id`.
    pub(crate) fn pass(&self, id: u64) -> Result<(), Errno> {
        self.send(libc::seccomp_notif_resp {
            id,
            val: 0,
            error: 0,
            flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        })
    }

    fn send(&self, mut response: libc::seccomp_notif_resp) -> Result<(), Errno> {
        // SAFETY: the request reads one `seccomp_notif_resp`, which `response` is.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
        Errno::result(result).map(drop)
    }

    /// Gives the caller of `id` a descriptor of `file`, the lowest that is free, and returns its number.
    pub(crate) fn install(&self, id: u64, file: BorrowedFd<'_>, close_on_exec: bool) -> Result<i32, Errno> {
        let mut request = libc::seccomp_notif_addfd {
            id,
            flags: 0,
            srcfd: file.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        // SAFETY: the request reads one `seccomp_notif_addfd`, which `request` is.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut request) };
        Errno::result(result)
    }
}

/// Not in `libc` yet: `include/uapi/linux/seccomp.h`.
const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: libc::c_ulong = 1;
