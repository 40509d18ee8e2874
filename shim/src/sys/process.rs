//! Facts about threads and processes: descriptors, processors, the time-stamp counter.

use nix::errno::Errno;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A copy of descriptor `fd` of the process `pid`.
pub(crate) fn descriptor_of(pid: i32, fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes its arguments by value.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let pidfd = owned(pidfd)?;
    // SAFETY: takes its arguments by value.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) };
    owned(copy)
}

/// Sends `signal` to thread `tid` of process `pid`.
pub(crate) fn signal_thread(pid: i32, tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes its arguments by value.
    Errno::result(unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) }).map(drop)
}

fn owned(result: i64) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(result)? as i32;
    // SAFETY: the kernel made this descriptor for us just now; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the calling thread may read the time-stamp counter. Children inherit it.
pub(crate) fn allow_time_stamp_counter(allowed: bool) -> Result<(), Errno> {
    let mode = if allowed { libc::PR_TSC_ENABLE } else { libc::PR_TSC_SIGSEGV };
    // SAFETY: takes its arguments by value.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_TSC, mode) }).map(drop)
}

/// Fills `buffer` with entries of the directory `fd` (`struct linux_dirent64`), from its position on. 0 at the end.
pub(crate) fn directory_entries(fd: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the call writes at most `buffer.len()` bytes to where `buffer` is.
    let result = unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    Errno::result(result).map(|length| length as usize)
}

/// An anonymous file that holds `content`, with its position at the start.
pub(crate) fn file_with(content: &[u8]) -> Result<OwnedFd, Errno> {
    use std::io::{Seek, Write};
    // SAFETY: the name is a C string, and is only read.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_create, c"file".as_ptr(), libc::MFD_CLOEXEC) };
    let mut file = std::fs::File::from(owned(fd)?);
    let failed = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    file.write_all(content).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(file.into())
}
