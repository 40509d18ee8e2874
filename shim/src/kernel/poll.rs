//! Waiting for descriptors to be ready: `poll`, `select`.

use super::network::Phase;
use super::sockets::StreamState;
use super::{Attempt, Caller, DescriptionId, Flow, Kernel, Object, Outcome};
use crate::time::Nanos;
use nix::errno::Errno;

/// Bits of `poll` and `epoll`, which agree.
pub(super) const IN: u32 = libc::POLLIN as u32 | libc::POLLRDNORM as u32;
pub(super) const OUT: u32 = libc::POLLOUT as u32 | libc::POLLWRNORM as u32;
pub(super) const ERR: u32 = libc::POLLERR as u32;
pub(super) const HUP: u32 = libc::POLLHUP as u32;
pub(super) const RDHUP: u32 = libc::POLLRDHUP as u32;
const NVAL: u32 = libc::POLLNVAL as u32;

impl Kernel {
    /// What `id` is ready for.
    pub(super) fn readiness(&self, id: DescriptionId) -> u32 {
        let when = |holds: bool, bits: u32| if holds { bits } else { 0 };
        match &self.description(id).object {
            Object::File | Object::Directory(_) | Object::Random | Object::Zero => IN | OUT,
            Object::Event(counter) => when(counter.value > 0, IN) | when(!counter.is_full(), OUT),
            Object::Timer(timer) => when(timer.unread > 0, IN),
            Object::Epoll(epoll) => when(self.has_event(epoll), IN),
            Object::PipeReader(queue) => {
                let queue = self.queues.get(*queue);
                when(queue.length() > 0, IN) | when(queue.ended, HUP)
            }
            Object::PipeWriter(queue) => {
                let queue = self.queues.get(*queue);
                when(queue.room() >= super::pipes::ATOMIC || queue.abandoned, OUT) | when(queue.abandoned, ERR)
            }
            Object::Datagram(socket) => {
                let error = socket.options.error.is_some();
                let room = match &socket.peer {
                    Some(super::sockets::Address::Internet(peer)) => {
                        self.network.backlog.get(peer.ip()).is_none_or(|&bytes| bytes < 65_536)
                    }
                    _ => true,
                };
                when(!socket.inbox.is_empty() || socket.shut.0 || error, IN) | when(room, OUT) | when(error, ERR)
            }
            Object::Stream(socket) => match &socket.state {
                StreamState::Fresh => OUT | HUP,
                StreamState::Listening(listener) => when(!listener.pending.is_empty(), IN),
                StreamState::Connected(ends) if self.phase(*ends) == Phase::Opening => 0,
                StreamState::Connected(ends) if self.phase(*ends) == Phase::Refused => {
                    IN | OUT | HUP | RDHUP | when(!socket.told, ERR)
                }
                _ => match self.stream_queues(socket) {
                    Ok((rx, tx, _)) => {
                        let (rx, tx) = (self.queues.get(rx), self.queues.get(tx));
                        let hung = rx.ended && (tx.ended || tx.abandoned);
                        // Writers are told only once a third is free, so that they do not come back for every byte.
                        let room = tx.room() * 3 > tx.capacity() || tx.ended || tx.abandoned || tx.broken;
                        when(rx.is_readable(), IN)
                            | when(room, OUT)
                            | when(rx.ended, RDHUP)
                            | when(hung, HUP)
                            | when(rx.broken, ERR)
                    }
                    Err(_) => IN | OUT | HUP | ERR,
                },
            },
        }
    }

    /// Numbers that change whenever something arrives at `id`, and whenever there is room again.
    pub(super) fn edges(&self, id: DescriptionId) -> (u64, u64) {
        match &self.description(id).object {
            Object::Event(counter) => (counter.arrivals, counter.departures),
            Object::Timer(timer) => (timer.edge(), 0),
            Object::Epoll(epoll) => (self.edges_within(epoll), 0),
            Object::PipeReader(queue) => (self.queues.get(*queue).arrivals, 0),
            Object::PipeWriter(queue) => (0, self.queues.get(*queue).departures),
            Object::Datagram(socket) => (socket.arrivals, 0),
            Object::Stream(socket) => match &socket.state {
                StreamState::Listening(listener) => (listener.arrivals, 0),
                StreamState::Paired { rx, tx, .. } => (self.queues.get(*rx).arrivals, self.queues.get(*tx).departures),
                StreamState::Connected(ends) => match self.network.connections.get(ends) {
                    Some(c) => (self.queues.get(c.rx).arrivals, self.queues.get(c.tx).departures),
                    None => (u64::MAX, u64::MAX),
                },
                StreamState::Fresh => (0, 0),
            },
            _ => (0, 0),
        }
    }

    /// `poll` and `ppoll`. `timeout` is a span, if there is one.
    pub(super) fn poll(
        &mut self,
        caller: Caller,
        (address, count): (u64, u64),
        timeout: Option<Nanos>,
        attempt: &mut Attempt,
    ) -> Outcome {
        const BYTES: u64 = 8;
        if count > 1024 {
            return Err(Errno::EINVAL);
        }
        let memory = self.memory(caller.pid);
        let mut table = memory.bytes(address, count * BYTES)?;
        let mut ready = 0;
        for entry in table.chunks_exact_mut(BYTES as usize) {
            let fd = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
            let wanted = u32::from(u16::from_le_bytes([entry[4], entry[5]]));
            let found = match self.description_id(caller, fd) {
                _ if fd < 0 => 0,
                Ok(id) => self.readiness(id) & (wanted | ERR | HUP),
                Err(_) => NVAL,
            };
            ready += i64::from(found != 0);
            entry[6..8].copy_from_slice(&(found as u16).to_le_bytes());
        }
        let flow = self.selected(ready, timeout, attempt);
        if matches!(flow, Flow::Return(_)) {
            memory.write(address, &table)?;
        }
        Ok(flow)
    }

    /// Whether waiting is over.
    fn selected(&self, ready: i64, timeout: Option<Nanos>, attempt: &mut Attempt) -> Flow {
        if ready > 0 || attempt.expired || timeout == Some(Nanos(0)) {
            return Flow::Return(ready);
        }
        if !attempt.again {
            attempt.deadline = timeout.map(|timeout| self.now.after(timeout));
        }
        Flow::Block
    }

    /// `select` and `pselect6`: three sets of descriptors below `count`.
    pub(super) fn select(
        &mut self,
        caller: Caller,
        count: u64,
        sets: [u64; 3],
        timeout: Option<Nanos>,
        attempt: &mut Attempt,
    ) -> Outcome {
        if count > 1024 {
            return Err(Errno::EINVAL);
        }
        let memory = self.memory(caller.pid);
        let words = count.div_ceil(64) as usize;
        let mut ready = 0;
        let mut found = [const { Vec::new() }; 3];
        // Reading, writing, exceptions.
        for ((set, bits), found) in sets.into_iter().zip([IN | HUP | ERR, OUT | ERR, 0]).zip(&mut found) {
            if set == 0 {
                continue;
            }
            let wanted = memory.bytes(set, words as u64 * 8)?;
            *found = vec![0; words * 8];
            for fd in (0..count as usize).filter(|fd| wanted[fd / 8] >> (fd % 8) & 1 != 0) {
                let id = self.description_id(caller, fd as i32)?;
                if self.readiness(id) & bits != 0 {
                    found[fd / 8] |= 1 << (fd % 8);
                    ready += 1;
                }
            }
        }
        let flow = self.selected(ready, timeout, attempt);
        if matches!(flow, Flow::Return(_)) {
            for (set, found) in sets.into_iter().zip(&found).filter(|&(set, _)| set != 0) {
                memory.write(set, found)?;
            }
        }
        Ok(flow)
    }
}
