//! Sockets within a node (`AF_UNIX`): names, streams and datagrams that never touch the network.

use super::network::{INBOX_BYTES, SEND_BUFFER};
use super::sockets::{Address, Movement, Pending, StreamState};
use super::streams::QueueId;
use super::{Attempt, DescriptionId, Flow, Kernel, Object, Outcome};
use nix::errno::Errno;

impl Kernel {
    /// The queues of a new stream as its two ends see them: for reading, for writing.
    pub(super) fn unix_stream(&mut self) -> [(QueueId, QueueId); 2] {
        let (there, back) = (self.queues.add(SEND_BUFFER), self.queues.add(SEND_BUFFER));
        [(back, there), (there, back)]
    }

    pub(super) fn connect_unix(&mut self, id: DescriptionId, name: &[u8], attempt: &mut Attempt) -> Outcome {
        let holder = self.network.names.get(name).copied();
        let nonblocking = self.description(id).is_nonblocking();
        let listener = holder.and_then(|holder| match &mut self.description_mut(holder).object {
            Object::Stream(socket) => socket.listener_mut(),
            _ => None,
        });
        match listener {
            // No such file; an abstract name is no file.
            None if holder.is_none() && name.first() != Some(&0) => return Err(Errno::ENOENT),
            None => return Err(Errno::ECONNREFUSED),
            Some(listener) if listener.is_full() => return self.would_block(nonblocking, None, attempt),
            Some(_) => {}
        }
        let Object::Stream(socket) = &self.description(id).object else { return Err(Errno::ENOTSOCK) };
        let own = socket.local.clone().unwrap_or(Address::Unix(Vec::new()));
        let [(rx, tx), (other_rx, other_tx)] = self.unix_stream();
        if let Object::Stream(socket) = &mut self.description_mut(id).object {
            socket.state = StreamState::Paired { rx, tx, peer: Address::Unix(name.to_vec()) };
        }
        let holder = holder.expect("somebody listens");
        if let Object::Stream(socket) = &mut self.description_mut(holder).object
            && let Some(listener) = socket.listener_mut()
        {
            listener.push(Pending::Unix { rx: other_rx, tx: other_tx, peer: own });
        }
        self.touch();
        Ok(Flow::Return(0))
    }

    /// Sends a datagram to the socket `holder` of the same node, which waits for room there.
    pub(super) fn send_within(
        &mut self,
        movement: Movement<'_>,
        holder: DescriptionId,
        attempt: &mut Attempt,
    ) -> Outcome {
        let Movement { caller, id, buffers, transfer } = movement;
        let bytes = self.gather(caller, buffers, 0)?;
        let Object::Datagram(socket) = &self.description(id).object else { return Err(Errno::ENOTSOCK) };
        let own = socket.local.clone().unwrap_or(Address::Unix(Vec::new()));
        if self.descriptions.get(holder).is_none() {
            return Err(Errno::ECONNREFUSED);
        }
        let Object::Datagram(socket) = &mut self.description_mut(holder).object else { return Err(Errno::EPROTOTYPE) };
        if socket.inbox_bytes + bytes.len() > INBOX_BYTES {
            return self.would_block(transfer.nonblocking, None, attempt);
        }
        let length = bytes.len();
        socket.deliver(own, bytes);
        self.touch();
        Ok(Flow::Return(length as i64))
    }
}
