//! Streams that come about and end: backlogs, connecting, shutting down.

use super::{Address, Domain, Listener, Pending, StreamSocket, StreamState};
use crate::kernel::network::{Connection, Ends, Packet, Phase, Segment};
use crate::kernel::streams::QueueId;
use crate::kernel::{Attempt, Caller, DescriptionId, Flow, Kernel, Object, Outcome};
use nix::errno::Errno;
use std::net::{Ipv4Addr, SocketAddrV4};

impl Kernel {
    pub(in crate::kernel) fn listen(&mut self, caller: Caller, fd: i32, backlog: i32) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let unbound = match &self.description(id).object {
            Object::Stream(socket) => socket.local.is_none(),
            Object::Datagram(_) => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENOTSOCK),
        };
        if unbound {
            self.bind_to(id, Address::Internet(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)))?;
        }
        let Object::Stream(socket) = &mut self.description_mut(id).object else { return Err(Errno::ENOTSOCK) };
        let backlog = usize::try_from(backlog).unwrap_or(0).min(4096);
        match &mut socket.state {
            StreamState::Fresh => socket.state = StreamState::Listening(Listener { backlog, ..Listener::default() }),
            StreamState::Listening(listener) => listener.backlog = backlog,
            _ => return Err(Errno::EINVAL),
        }
        self.touch();
        Ok(Flow::Return(0))
    }

    pub(in crate::kernel) fn accept(
        &mut self,
        caller: Caller,
        fd: i32,
        (address, length_at): (u64, u64),
        flags: i32,
        attempt: &mut Attempt,
    ) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let description = self.description_mut(id);
        let nonblocking = description.is_nonblocking();
        let Object::Stream(socket) = &mut description.object else { return Err(Errno::ENOTSOCK) };
        let (domain, local, timeout) = (socket.domain, socket.local.clone(), socket.options.receive_timeout);
        let Some(listener) = socket.listener_mut() else { return Err(Errno::EINVAL) };
        let Some(pending) = listener.pending.pop_front() else {
            return self.would_block(nonblocking, timeout, attempt);
        };
        self.admit(id);
        let (state, local, peer) = match pending {
            Pending::Network(ends) => {
                (StreamState::Connected(ends), Some(Address::Internet(ends.0)), Address::Internet(ends.1))
            }
            Pending::Unix { rx, tx, peer } => (StreamState::Paired { rx, tx, peer: peer.clone() }, local, peer),
        };
        let place = self.name_place(caller, address, length_at)?;
        self.tell_address(caller, &peer, place)?;
        self.touch();
        let socket = StreamSocket::new(domain, state, local);
        let flow = self.install(
            Object::Stream(socket),
            flags & libc::SOCK_NONBLOCK | libc::O_RDWR,
            flags & libc::SOCK_CLOEXEC != 0,
        );
        Ok(flow)
    }

    pub(in crate::kernel) fn connect(
        &mut self,
        caller: Caller,
        fd: i32,
        (address, length): (u64, u64),
        attempt: &mut Attempt,
    ) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let family = self.memory(caller.pid).array(address).map(u16::from_le_bytes)?;
        if let Object::Datagram(socket) = &mut self.description_mut(id).object {
            if i32::from(family) == libc::AF_UNSPEC {
                socket.peer = None;
                return Ok(Flow::Return(0));
            }
            let name = self.read_address(caller, address, length)?;
            return self.connect_datagram(id, name);
        }
        if !self.is_socket(id) {
            return Err(Errno::ENOTSOCK);
        }
        let name = self.read_address(caller, address, length)?;
        self.connect_stream(id, &name, attempt)
    }

    pub(super) fn connect_datagram(&mut self, id: DescriptionId, name: Address) -> Outcome {
        if let Address::Internet(name) = &name {
            self.network.route(*name.ip())?;
        }
        self.bind_if_unbound(id)?;
        if let Object::Datagram(socket) = &mut self.description_mut(id).object {
            socket.peer = Some(name);
        }
        Ok(Flow::Return(0))
    }

    pub(super) fn connect_stream(&mut self, id: DescriptionId, name: &Address, attempt: &mut Attempt) -> Outcome {
        let nonblocking = self.description(id).is_nonblocking();
        let Object::Stream(socket) = &self.description(id).object else { return Err(Errno::ENOTSOCK) };
        let timeout = socket.options.send_timeout;
        match (&socket.state, name) {
            (StreamState::Fresh, Address::Unix(name)) => self.connect_unix(id, &name.clone(), attempt),
            (StreamState::Fresh, Address::Internet(target)) => {
                if socket.domain != Domain::Internet {
                    return Err(Errno::EINVAL);
                }
                let target = match target.ip().is_unspecified() {
                    true => SocketAddrV4::new(Ipv4Addr::LOCALHOST, target.port()),
                    false => *target,
                };
                self.network.route(*target.ip())?;
                let bound = match &socket.local {
                    Some(Address::Internet(local)) => *local,
                    _ => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, self.network.free_port()?),
                };
                let own = SocketAddrV4::new(self.network.source(*bound.ip(), *target.ip()), bound.port());
                let ends = (own, target);
                if self.network.connections.contains_key(&ends) {
                    return Err(Errno::EADDRNOTAVAIL);
                }
                let Object::Stream(socket) = &mut self.description_mut(id).object else { return Err(Errno::ENOTSOCK) };
                socket.state = StreamState::Connected(ends);
                if socket.local.is_none() {
                    socket.local = Some(Address::Internet(own));
                }
                self.open_connection(ends);
                self.touch();
                match self.phase(ends) {
                    // Also where the answer is there already, as over any link.
                    _ if nonblocking => Err(Errno::EINPROGRESS),
                    Phase::Opening => self.would_block(false, timeout, attempt),
                    _ => self.connected(id, ends),
                }
            }
            (StreamState::Connected(ends), _) if attempt.again => match self.phase(*ends) {
                Phase::Opening => match attempt.expired {
                    true => Err(Errno::EINPROGRESS),
                    false => Ok(Flow::Block),
                },
                _ => self.connected(id, *ends),
            },
            (StreamState::Connected(ends), _) => match self.phase(*ends) {
                Phase::Opening => Err(Errno::EALREADY),
                Phase::Refused => self.connected(id, *ends),
                Phase::Open => Err(Errno::EISCONN),
            },
            (StreamState::Paired { .. }, _) => Err(Errno::EISCONN),
            (StreamState::Listening(_), _) => Err(Errno::EISCONN),
        }
    }

    pub(in crate::kernel) fn phase(&self, ends: Ends) -> Phase {
        self.network.connections.get(&ends).map_or(Phase::Refused, |connection| connection.phase)
    }

    /// What `connect` returns now that it is decided.
    pub(super) fn connected(&mut self, id: DescriptionId, ends: Ends) -> Outcome {
        if self.phase(ends) == Phase::Open {
            return Ok(Flow::Return(0));
        }
        let Object::Stream(socket) = &mut self.description_mut(id).object else { return Err(Errno::ENOTSOCK) };
        match std::mem::replace(&mut socket.told, true) {
            false => Err(Errno::ECONNREFUSED),
            true => Err(Errno::ECONNABORTED),
        }
    }

    /// The queues of a connected stream: for reading, for writing, and the ends if it is one of the network.
    pub(in crate::kernel) fn stream_queues(
        &self,
        socket: &StreamSocket,
    ) -> Result<(QueueId, QueueId, Option<Ends>), Errno> {
        match &socket.state {
            StreamState::Paired { rx, tx, .. } => Ok((*rx, *tx, None)),
            StreamState::Connected(ends) => match self.network.connections.get(ends) {
                Some(Connection { phase: Phase::Open, rx, tx, .. }) => Ok((*rx, *tx, Some(*ends))),
                Some(Connection { phase: Phase::Opening, .. }) => Err(Errno::EAGAIN),
                Some(Connection { phase: Phase::Refused, .. }) => {
                    Err(if socket.told { Errno::EPIPE } else { Errno::ECONNREFUSED })
                }
                None => Err(Errno::ECONNRESET),
            },
            _ => Err(Errno::ENOTCONN),
        }
    }

    pub(in crate::kernel) fn shutdown(&mut self, caller: Caller, fd: i32, how: i32) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let (reads, writes) = match how {
            libc::SHUT_RD => (true, false),
            libc::SHUT_WR => (false, true),
            libc::SHUT_RDWR => (true, true),
            _ => return Err(Errno::EINVAL),
        };
        match &mut self.description_mut(id).object {
            Object::Datagram(socket) => {
                if socket.peer.is_none() && socket.partner.is_none() {
                    return Err(Errno::ENOTCONN);
                }
                socket.shut = (socket.shut.0 || reads, socket.shut.1 || writes);
            }
            Object::Stream(StreamSocket { state: StreamState::Listening(_), .. }) => {}
            Object::Stream(_) => {
                let Object::Stream(socket) = &self.description(id).object else { return Err(Errno::ENOTSOCK) };
                let (rx, tx, ends) = self.stream_queues(socket).map_err(|_| Errno::ENOTCONN)?;
                if reads {
                    self.queues.get_mut(rx).end();
                }
                if writes {
                    self.queues.get_mut(tx).end();
                }
                if ends.is_some() {
                    self.pump();
                }
            }
            _ => return Err(Errno::ENOTSOCK),
        }
        self.touch();
        Ok(Flow::Return(0))
    }

    pub(in crate::kernel) fn close_stream(&mut self, id: DescriptionId, socket: StreamSocket) {
        match socket.state {
            StreamState::Fresh => {}
            StreamState::Listening(listener) => {
                for pending in listener.pending {
                    match pending {
                        Pending::Network(ends) => self.disown_pending(ends),
                        Pending::Unix { rx, tx, .. } => {
                            self.queues.close_reader(rx);
                            self.queues.close_writer(tx);
                        }
                    }
                }
                for (source, target) in listener.held {
                    self.network.send(Packet { source, target, segment: Segment::Reset });
                }
                self.unname(id, socket.local);
                self.pump();
                return;
            }
            StreamState::Connected(ends) => self.disown(ends),
            StreamState::Paired { rx, tx, .. } => {
                self.queues.close_reader(rx);
                self.queues.close_writer(tx);
            }
        }
        self.unname(id, socket.local);
    }

    pub(super) fn disown_pending(&mut self, ends: Ends) {
        // Whoever has connected learns that nobody will ever answer.
        self.network.send(Packet { source: ends.0, target: ends.1, segment: Segment::Reset });
        self.disown(ends);
    }
}
