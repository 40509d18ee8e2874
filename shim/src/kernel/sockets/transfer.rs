//! Bytes and datagrams through sockets.

use super::{Address, DatagramSocket, NamePlace};
use crate::kernel::bytes::Buffers;
use crate::kernel::files::Transfer;
use crate::kernel::network::{INBOX_BYTES, Network, Packet, Segment};
use crate::kernel::{Attempt, Caller, DescriptionId, Flow, Kernel, Object, Outcome};
use nix::errno::Errno;
use std::net::SocketAddrV4;

/// Bytes on their way between a program and one of its sockets.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Movement<'a> {
    pub(in crate::kernel) caller: Caller,
    /// The socket.
    pub(in crate::kernel) id: DescriptionId,
    /// Where they are in the program's memory, or are to go.
    pub(in crate::kernel) buffers: &'a Buffers,
    pub(in crate::kernel) transfer: Transfer,
}

impl Kernel {
    /// Nothing is there yet: an error, the last chance, or waiting.
    pub(in crate::kernel) fn would_block(
        &self,
        nonblocking: bool,
        timeout: Option<crate::time::Nanos>,
        attempt: &mut Attempt,
    ) -> Outcome {
        if nonblocking || attempt.expired {
            return Err(Errno::EAGAIN);
        }
        if !attempt.again {
            attempt.deadline = timeout.map(|timeout| self.now.after(timeout));
        }
        Ok(Flow::Block)
    }

    /// Receives from a socket; tells where a datagram came from if `name` is given.
    pub(in crate::kernel) fn receive(
        &mut self,
        movement: Movement<'_>,
        attempt: &mut Attempt,
        name: Option<NamePlace>,
    ) -> Outcome {
        let movement = self.as_described(movement);
        let Movement { caller, id, buffers, transfer } = movement;
        match &mut self.description_mut(id).object {
            Object::Datagram(socket) => {
                let timeout = socket.options.receive_timeout;
                if let Some(error) = socket.options.error.take() {
                    return Err(error);
                }
                let next = if transfer.peek { socket.inbox.front().cloned() } else { socket.inbox.pop_front() };
                let Some((from, bytes)) = next else {
                    if socket.shut.0 {
                        return Ok(Flow::Return(0));
                    }
                    return self.would_block(transfer.nonblocking, timeout, attempt);
                };
                if !transfer.peek {
                    socket.inbox_bytes -= bytes.len();
                }
                self.scatter(caller, buffers, &bytes)?;
                if let Some(place) = name {
                    self.tell_address(caller, &from, place)?;
                }
                self.touch();
                Ok(Flow::Return((bytes.len() as u64).min(buffers.length()) as i64))
            }
            Object::Stream(_) => {
                let flow = self.receive_stream(movement, attempt)?;
                if let (Flow::Return(_), Some(place)) = (&flow, name.filter(|place| place.length_at != 0)) {
                    self.memory(caller.pid).put_u32(place.length_at, 0)?;
                }
                Ok(flow)
            }
            _ => Err(Errno::ENOTSOCK),
        }
    }

    fn receive_stream(&mut self, movement: Movement<'_>, attempt: &mut Attempt) -> Outcome {
        let Movement { caller, id, buffers, transfer } = movement;
        let Object::Stream(socket) = &self.description(id).object else { return Err(Errno::ENOTSOCK) };
        let timeout = socket.options.receive_timeout;
        let (rx, tx, ends) = match self.stream_queues(socket) {
            Err(Errno::EAGAIN) => return self.would_block(transfer.nonblocking, timeout, attempt),
            found => found?,
        };
        let wanted = buffers.length() as usize;
        if wanted == 0 {
            return Ok(Flow::Return(0));
        }
        let queue = self.queues.get_mut(rx);
        if queue.broken {
            queue.broken = false;
            // Told once; from now on there is the end to read, and nobody to write to.
            self.queues.get_mut(tx).abandoned = true;
            return Err(Errno::ECONNRESET);
        }
        let done = attempt.progress as usize;
        if queue.length() == 0 {
            return match queue.ended {
                true => Ok(Flow::Return(done as i64)),
                false if done > 0 && (transfer.nonblocking || attempt.expired) => Ok(Flow::Return(done as i64)),
                false => self.would_block(transfer.nonblocking, timeout, attempt),
            };
        }
        let bytes = queue.take(wanted - done, transfer.peek);
        let ended = queue.ended;
        self.scatter(caller, &buffers.after(done as u64), &bytes)?;
        if let (Some(ends), false) = (ends, transfer.peek) {
            self.consumed(ends, bytes.len());
            self.pump();
        }
        self.touch();
        let total = done + bytes.len();
        if transfer.all && total < wanted && !ended && !transfer.nonblocking && !transfer.peek {
            attempt.progress = total as u64;
            return self.would_block(false, timeout, attempt);
        }
        Ok(Flow::Return(total as i64))
    }

    /// Sends through a socket, to `target` or where it is connected to.
    pub(in crate::kernel) fn send(
        &mut self,
        movement: Movement<'_>,
        target: Option<Address>,
        attempt: &mut Attempt,
    ) -> Outcome {
        let movement = self.as_described(movement);
        match &self.description(movement.id).object {
            Object::Datagram(_) => self.send_datagram(movement, target, attempt),
            Object::Stream(_) => self.send_stream(movement, attempt),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    /// A movement that does not wait if its socket is one that never does.
    fn as_described<'a>(&self, movement: Movement<'a>) -> Movement<'a> {
        let nonblocking = movement.transfer.nonblocking || self.description(movement.id).is_nonblocking();
        Movement { transfer: Transfer { nonblocking, ..movement.transfer }, ..movement }
    }

    fn send_stream(&mut self, movement: Movement<'_>, attempt: &mut Attempt) -> Outcome {
        let Movement { caller, id, buffers, transfer } = movement;
        let Object::Stream(socket) = &self.description(id).object else { return Err(Errno::ENOTSOCK) };
        let timeout = socket.options.send_timeout;
        let (_, tx, ends) = match self.stream_queues(socket) {
            Err(Errno::EAGAIN) => return self.would_block(transfer.nonblocking, timeout, attempt),
            Err(Errno::ENOTCONN) => return Err(self.broken_pipe(caller, transfer.no_signal)),
            found => found?,
        };
        let queue = self.queues.get_mut(tx);
        if queue.broken && !queue.abandoned {
            queue.abandoned = true;
            return Err(Errno::ECONNRESET);
        }
        let flow = loop {
            let before = attempt.progress;
            let flow = self.write_queue(caller, tx, buffers, transfer, 0, attempt);
            if ends.is_some() {
                self.pump();
            }
            // What has left makes room for more; nothing else would happen for which it were attempted again.
            let room = attempt.progress > before && self.queues.get(tx).room() > 0;
            if !(matches!(flow, Ok(Flow::Block)) && room) {
                break flow;
            }
        };
        match flow {
            Ok(Flow::Block) if attempt.expired && attempt.progress > 0 => Ok(Flow::Return(attempt.progress as i64)),
            Ok(Flow::Block) => self.would_block(false, timeout, attempt),
            other => other,
        }
    }

    fn send_datagram(&mut self, movement: Movement<'_>, target: Option<Address>, attempt: &mut Attempt) -> Outcome {
        let Movement { caller, id, buffers, transfer } = movement;
        /// The most that an IPv4 datagram holds.
        const LARGEST: u64 = 65_507;
        let Object::Datagram(socket) = &mut self.description_mut(id).object else { return Err(Errno::ENOTSOCK) };
        if socket.shut.1 {
            return Err(self.broken_pipe(caller, transfer.no_signal));
        }
        if let Some(error) = socket.options.error.take() {
            return Err(error);
        }
        let connected = target.is_none();
        let (partner, target) = (socket.partner, target.or_else(|| socket.peer.clone()));
        if buffers.length() > LARGEST {
            return Err(Errno::EMSGSIZE);
        }
        if let Some(partner) = partner.filter(|_| target.is_none()) {
            return self.send_within(movement, partner, attempt);
        }
        match target.ok_or(Errno::EDESTADDRREQ)? {
            Address::Unix(name) => {
                let holder = *self.network.names.get(&name).ok_or(Errno::ECONNREFUSED)?;
                self.send_within(movement, holder, attempt)
            }
            Address::Internet(target) => {
                self.network.route(*target.ip())?;
                if !self.network.has_room(*target.ip()) {
                    return self.would_block(transfer.nonblocking, None, attempt);
                }
                self.bind_if_unbound(id)?;
                let Object::Datagram(DatagramSocket { local: Some(Address::Internet(local)), .. }) =
                    &self.description(id).object
                else {
                    return Err(Errno::EINVAL);
                };
                let source = SocketAddrV4::new(self.network.source(*local.ip(), *target.ip()), local.port());
                let bytes = self.gather(caller, buffers, 0)?;
                let length = bytes.len();
                let here = self.network.is_here(*target.ip());
                if here && connected && Network::holder(&self.network.datagrams, target).is_none() {
                    // On its own node a socket learns that nobody is there.
                    let Object::Datagram(socket) = &mut self.description_mut(id).object else { unreachable!() };
                    socket.options.error = Some(Errno::ECONNREFUSED);
                }
                self.written.extend_from_slice(&bytes);
                self.network.send(Packet { source, target, segment: Segment::Datagram(bytes) });
                self.pump();
                self.touch();
                Ok(Flow::Return(length as i64))
            }
        }
    }

    /// A datagram arrives at whoever holds its target; if nobody does, or there is no room, it is gone.
    pub(in crate::kernel) fn receive_datagram(&mut self, source: SocketAddrV4, target: SocketAddrV4, bytes: Vec<u8>) {
        let Some(holder) = Network::holder(&self.network.datagrams, target) else { return };
        let Object::Datagram(socket) = &mut self.description_mut(holder).object else { return };
        let source = Address::Internet(source);
        let wanted = socket.peer.as_ref().is_none_or(|peer| *peer == source);
        if wanted && socket.inbox_bytes + bytes.len() <= INBOX_BYTES {
            socket.deliver(source, bytes);
        }
    }
}
