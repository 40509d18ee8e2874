//! Pipes: a queue with an end for reading and one for writing.

use super::{Flow, Kernel, Object, Outcome};
use nix::errno::Errno;

/// Bytes that a pipe holds.
const CAPACITY: usize = 65_536;
/// Bytes up to which a write is all or nothing.
pub(super) const ATOMIC: usize = 4096;

impl Kernel {
    pub(super) fn pipe(&mut self, address: u64, flags: i32) -> Outcome {
        if flags & !(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_DIRECT) != 0 {
            return Err(Errno::EINVAL);
        }
        let queue = self.queues.add(CAPACITY);
        let nonblocking = flags & libc::O_NONBLOCK;
        let descriptions = [
            self.describe(Object::PipeReader(queue), nonblocking),
            self.describe(Object::PipeWriter(queue), nonblocking | libc::O_WRONLY),
        ];
        Ok(Flow::InstallPair { descriptions, close_on_exec: flags & libc::O_CLOEXEC != 0, address })
    }
}
