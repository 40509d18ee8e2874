//! Counters behind descriptors (`eventfd`).

use super::{Caller, Flow, Kernel, Object, Outcome};
use nix::errno::Errno;

/// A counter that waits to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(super) value: u64,
    /// Whether reading takes one away instead of all.
    semaphore: bool,
    /// Counts additions and readings, for whoever waits for edges.
    pub(super) arrivals: u64,
    pub(super) departures: u64,
}

impl Counter {
    /// The largest value.
    const MAX: u64 = u64::MAX - 1;

    pub(super) fn is_full(self) -> bool {
        self.value == Self::MAX
    }
}

impl Kernel {
    pub(super) fn eventfd(&mut self, initial: u64, flags: i32) -> Outcome {
        if flags & !(libc::EFD_CLOEXEC | libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE) != 0 {
            return Err(Errno::EINVAL);
        }
        let counter = Counter {
            value: initial & u64::from(u32::MAX),
            semaphore: flags & libc::EFD_SEMAPHORE != 0,
            ..Counter::default()
        };
        Ok(self.install(Object::Event(counter), flags & libc::EFD_NONBLOCK, flags & libc::EFD_CLOEXEC != 0))
    }

    /// Reads what a counter or timer has: eight bytes.
    pub(super) fn read_count(&mut self, caller: Caller, fd: i32, address: u64, length: u64) -> Outcome {
        if length < 8 {
            return Err(Errno::EINVAL);
        }
        let id = self.description_id(caller, fd)?;
        let description = self.description_mut(id);
        let nonblocking = description.is_nonblocking();
        let count = match &mut description.object {
            Object::Event(counter) => {
                let count = if counter.semaphore { counter.value.min(1) } else { counter.value };
                counter.value -= count;
                counter.departures += u64::from(count > 0);
                count
            }
            Object::Timer(timer) => std::mem::take(&mut timer.unread),
            _ => return Err(Errno::EINVAL),
        };
        match count {
            0 if nonblocking => Err(Errno::EAGAIN),
            0 => Ok(Flow::Block),
            count => {
                self.memory(caller.pid).put_words(address, &[count])?;
                self.touch();
                Ok(Flow::Return(8))
            }
        }
    }

    pub(super) fn add_count(&mut self, caller: Caller, fd: i32, bytes: &[u8]) -> Outcome {
        let Some(Ok(bytes)) = bytes.get(..8).map(<[u8; 8]>::try_from) else { return Err(Errno::EINVAL) };
        let added = u64::from_le_bytes(bytes);
        let id = self.description_id(caller, fd)?;
        let description = self.description_mut(id);
        let nonblocking = description.is_nonblocking();
        let Object::Event(counter) = &mut description.object else { return Err(Errno::EINVAL) };
        if added == u64::MAX {
            return Err(Errno::EINVAL);
        }
        if added > Counter::MAX - counter.value {
            return if nonblocking { Err(Errno::EAGAIN) } else { Ok(Flow::Block) };
        }
        counter.value += added;
        counter.arrivals += 1;
        self.touch();
        Ok(Flow::Return(8))
    }
}
