//! Futexes: who sleeps at which address, first come, first served.
//!
//! Source: futex(2). Priority inheritance, robust lists and `FUTEX_WAKE_OP` are not here.

use super::{Attempt, Call, Caller, Flow, Kernel, Outcome, Pid, ThreadState, Tid};
use crate::memory::Address;
use crate::random::host_random;
use crate::time::Nanos;
use nix::errno::Errno;

/// What a futex is, whoever maps it where.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// A word of one process.
    Private(Pid, Address),
    /// A word of a shared mapping: device and inode as the host names them, offset.
    Shared(String, u64),
}

#[derive(Clone, Debug)]
struct Waiter {
    tid: Tid,
    key: Key,
    mask: u32,
}

/// All sleepers of a node, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Futexes {
    waiters: Vec<Waiter>,
}

impl Futexes {
    /// Takes `tid` out.
    pub(super) fn forget(&mut self, tid: Tid) {
        self.waiters.retain(|waiter| waiter.tid != tid);
    }

    /// Takes out up to `count` sleepers at `key` that `mask` has a bit in common with.
    fn take(&mut self, key: &Key, mask: u32, count: u64) -> Vec<Tid> {
        let mut taken = Vec::new();
        self.waiters.retain(|waiter| {
            let hit = (taken.len() as u64) < count && waiter.key == *key && waiter.mask & mask != 0;
            if hit {
                taken.push(waiter.tid);
            }
            !hit
        });
        taken
    }

    /// Moves up to `count` sleepers from `from` to `to`.
    fn requeue(&mut self, from: &Key, to: &Key, count: u64) -> u64 {
        let mut moved = 0;
        for waiter in self.waiters.iter_mut().filter(|waiter| waiter.key == *from) {
            if moved == count {
                break;
            }
            waiter.key = to.clone();
            moved += 1;
        }
        moved
    }
}

const ANY: u32 = u32::MAX;

impl Kernel {
    pub(super) fn futex(&mut self, caller: Caller, call: &Call, attempt: &mut Attempt) -> Outcome {
        let [address, operation, value, timeout, second, third] = call.arguments;
        let (operation, value) = (operation as i32, value as u32);
        let is_private = operation & libc::FUTEX_PRIVATE_FLAG != 0;
        let real = operation & libc::FUTEX_CLOCK_REALTIME != 0;
        let key =
            |address| if is_private { Key::Private(caller.pid, address) } else { shared_key(caller.pid, address) };
        if address % 4 != 0 {
            return Err(Errno::EINVAL);
        }
        match operation & libc::FUTEX_CMD_MASK {
            libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET if attempt.again => self.futex_waited(caller, *attempt),
            command @ (libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET) => {
                let memory = self.memory(caller.pid);
                let mask = if command == libc::FUTEX_WAIT { ANY } else { third as u32 };
                if mask == 0 {
                    return Err(Errno::EINVAL);
                }
                if memory.u32(address)? != value {
                    return Err(Errno::EAGAIN);
                }
                if timeout != 0 {
                    let span = self.timespec(caller, timeout)?;
                    attempt.deadline = Some(match command {
                        libc::FUTEX_WAIT => self.now.after(span),
                        _ => self.absolute(if real { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC }, span),
                    });
                }
                self.futexes.waiters.push(Waiter { tid: caller.tid, key: key(address), mask });
                Ok(Flow::Block)
            }
            command @ (libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET) => {
                let mask = if command == libc::FUTEX_WAKE { ANY } else { third as u32 };
                let count = u64::from(value).min(i32::MAX as u64);
                Ok(Flow::Return(self.wake(&key(address), mask, count)))
            }
            command @ (libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE) => {
                if command == libc::FUTEX_CMP_REQUEUE && self.memory(caller.pid).u32(address)? != third as u32 {
                    return Err(Errno::EAGAIN);
                }
                let (from, to) = (key(address), key(second));
                let woken = self.wake(&from, ANY, u64::from(value));
                let moved = self.futexes.requeue(&from, &to, timeout) as i64;
                Ok(Flow::Return(if command == libc::FUTEX_REQUEUE { woken } else { woken + moved }))
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    fn futex_waited(&mut self, caller: Caller, attempt: Attempt) -> Outcome {
        if attempt.woken {
            return Ok(Flow::Return(0));
        }
        if attempt.expired {
            self.futexes.forget(caller.tid);
            return Err(Errno::ETIMEDOUT);
        }
        Ok(Flow::Block)
    }

    fn wake(&mut self, key: &Key, mask: u32, count: u64) -> i64 {
        if !self.config.switches.wake_order {
            self.futexes.waiters.sort_by_cached_key(|_| host_random());
        }
        let woken = self.futexes.take(key, mask, count);
        for &tid in &woken {
            if let ThreadState::Waiting(wait) = &mut self.thread(tid).state {
                wait.attempt.woken = true;
                wait.attempt.deadline = None;
            }
        }
        if !woken.is_empty() {
            self.touch();
        }
        woken.len() as i64
    }

    /// Wakes all that sleep at `address`, as the kernel does when a thread ends.
    pub(super) fn wake_all(&mut self, pid: Pid, address: Address) {
        self.wake(&Key::Private(pid, address), ANY, u64::MAX);
    }

    /// A point of `clock` as a point of the node's time.
    pub(super) fn absolute(&self, clock: i32, point: Nanos) -> Nanos {
        let times = crate::time::Times::at(Nanos(0));
        let base = match clock {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI | libc::CLOCK_REALTIME_ALARM => {
                times.real
            }
            _ => times.monotonic,
        };
        point.since(base)
    }
}

/// The key of a futex that is not said to be private: most are all the same.
fn shared_key(pid: Pid, address: Address) -> Key {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", pid.0)).unwrap_or_default();
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some(rights), Some(offset)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        let (start, end) = range.split_once('-').map_or((0, 0), |(start, end)| (hex(start), hex(end)));
        if (start..end).contains(&address) && rights.ends_with('s') {
            let file: Vec<&str> = fields.take(2).collect();
            return Key::Shared(file.join(" "), hex(offset) + (address - start));
        }
    }
    Key::Private(pid, address)
}
