//! Buffers of calls: one run of bytes, or a list of them.

use super::{Caller, Kernel};
use crate::memory::LONGEST;
use nix::errno::Errno;

/// Runs of bytes in a program's memory, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Buffers(Vec<(u64, u64)>);

impl Buffers {
    /// One run.
    pub(super) fn one(address: u64, length: u64) -> Self {
        Self(vec![(address, length)])
    }

    /// The first run.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.0.first().copied()
    }

    /// What lies behind the first `skip` bytes.
    pub(super) fn after(&self, skip: u64) -> Self {
        let mut skip = skip;
        let run = |&(address, length): &(u64, u64)| {
            let skipped = skip.min(length);
            skip -= skipped;
            (address + skipped, length - skipped)
        };
        Self(self.0.iter().map(run).collect())
    }

    /// All bytes there is room for.
    pub(super) fn length(&self) -> u64 {
        self.0.iter().map(|&(_, length)| length).sum()
    }
}

impl Kernel {
    /// A list of runs (`struct iovec`).
    pub(super) fn buffers(&self, caller: Caller, address: u64, count: u64) -> Result<Buffers, Errno> {
        const MOST: u64 = 1024;
        if count > MOST {
            return Err(Errno::EINVAL);
        }
        let memory = self.memory(caller.pid);
        let run = |at: u64| memory.words(address + at * 16).map(|[start, length]| (start, length));
        (0..count).map(run).collect::<Result<_, _>>().map(Buffers)
    }

    /// What is in `buffers`, from byte `skip` on.
    pub(super) fn gather(&self, caller: Caller, buffers: &Buffers, skip: u64) -> Result<Vec<u8>, Errno> {
        let memory = self.memory(caller.pid);
        let (mut bytes, mut skip) = (Vec::new(), skip);
        for &(address, length) in &buffers.0 {
            let skipped = skip.min(length);
            skip -= skipped;
            let room = LONGEST - bytes.len() as u64;
            bytes.extend(memory.bytes(address + skipped, (length - skipped).min(room))?);
        }
        Ok(bytes)
    }

    /// Writes `bytes` into `buffers`; what does not fit is left out.
    pub(super) fn scatter(&self, caller: Caller, buffers: &Buffers, bytes: &[u8]) -> Result<(), Errno> {
        let memory = self.memory(caller.pid);
        let mut rest = bytes;
        for &(address, length) in &buffers.0 {
            let (now, later) = rest.split_at(rest.len().min(length as usize));
            if now.is_empty() {
                continue;
            }
            memory.write(address, now)?;
            rest = later;
        }
        Ok(())
    }
}
