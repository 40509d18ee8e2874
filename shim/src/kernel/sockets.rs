//! Sockets: making, naming, joining, sending, receiving.

use super::bytes::Buffers;
use super::files::Transfer;
use super::network::{Connection, Ends, INBOX_BYTES, Network, Packet, Phase, Segment};
use super::options::Options;
use super::streams::QueueId;
use super::{Attempt, Caller, DescriptionId, Flow, Kernel, Object, Outcome};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

/// A name of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Of the Internet protocols.
    Internet(SocketAddrV4),
    /// Within the node; empty for one that was never named.
    Unix(Vec<u8>),
}

/// The family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    /// `AF_INET`.
    Internet,
    /// `AF_UNIX`.
    Unix,
}

/// A socket for datagrams.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    pub(super) domain: Domain,
    pub(super) local: Option<Address>,
    pub(super) peer: Option<Address>,
    /// The other one of a pair.
    pub(super) partner: Option<DescriptionId>,
    pub(super) inbox: VecDeque<(Address, Vec<u8>)>,
    pub(super) inbox_bytes: usize,
    pub(super) arrivals: u64,
    pub(super) options: Options,
    pub(super) shut: (bool, bool),
}

/// A socket for a stream.
#[derive(Debug)]
pub(crate) struct StreamSocket {
    pub(super) domain: Domain,
    pub(super) local: Option<Address>,
    pub(super) state: StreamState,
    pub(super) options: Options,
    /// Its error was told already.
    pub(super) told: bool,
}

/// How far a stream socket is.
#[derive(Debug)]
pub(super) enum StreamState {
    Fresh,
    Listening(Listener),
    /// A stream of the network.
    Connected(Ends),
    /// A stream within the node.
    Paired {
        rx: QueueId,
        tx: QueueId,
        peer: Address,
    },
}

/// Streams that wait to be accepted.
#[derive(Debug, Default)]
pub(super) struct Listener {
    backlog: usize,
    pub(super) pending: VecDeque<Pending>,
    /// Streams that were asked for when it was full.
    pub(super) held: VecDeque<Ends>,
    pub(super) arrivals: u64,
}

/// A stream that waits to be accepted.
#[derive(Debug)]
pub(super) enum Pending {
    Network(Ends),
    Unix { rx: QueueId, tx: QueueId, peer: Address },
}

impl Listener {
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() > self.backlog
    }

    pub(super) fn ready(&mut self, ends: Ends) {
        self.push(Pending::Network(ends));
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.pending.push_back(pending);
        self.arrivals += 1;
    }
}

impl StreamSocket {
    fn new(domain: Domain, state: StreamState, local: Option<Address>) -> Self {
        Self { domain, local, state, options: Options::default(), told: false }
    }

    pub(super) fn listener_mut(&mut self) -> Option<&mut Listener> {
        match &mut self.state {
            StreamState::Listening(listener) => Some(listener),
            _ => None,
        }
    }
}

/// What moves with a message beside its bytes: where its address is, or is to go, and how long that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamePlace {
    pub(super) address: u64,
    /// Where the length is told; 0 if nowhere.
    pub(super) length_at: u64,
    pub(super) room: u32,
}

impl Kernel {
    pub(super) fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Outcome {
        let (nonblocking, close_on_exec) = (kind & libc::SOCK_NONBLOCK, kind & libc::SOCK_CLOEXEC != 0);
        let domain = match domain {
            libc::AF_INET => Domain::Internet,
            libc::AF_UNIX => Domain::Unix,
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let object = match (kind & 0xF, protocol) {
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => {
                Object::Stream(StreamSocket::new(domain, StreamState::Fresh, None))
            }
            (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Object::Datagram(DatagramSocket::new(domain)),
            _ => return Err(Errno::EPROTONOSUPPORT),
        };
        Ok(self.install(object, nonblocking | libc::O_RDWR, close_on_exec))
    }

    pub(super) fn socketpair(&mut self, domain: i32, kind: i32, address: u64) -> Outcome {
        if domain != libc::AF_UNIX {
            return Err(Errno::EOPNOTSUPP);
        }
        let flags = kind & libc::SOCK_NONBLOCK | libc::O_RDWR;
        let descriptions = match kind & 0xF {
            libc::SOCK_STREAM => {
                let [(rx, tx), (other_rx, other_tx)] = self.unix_stream();
                [(rx, tx), (other_rx, other_tx)].map(|(rx, tx)| {
                    let state = StreamState::Paired { rx, tx, peer: Address::Unix(Vec::new()) };
                    self.describe(Object::Stream(StreamSocket::new(Domain::Unix, state, None)), flags)
                })
            }
            libc::SOCK_DGRAM => {
                let pair = [(); 2].map(|()| self.describe(Object::Datagram(DatagramSocket::new(Domain::Unix)), flags));
                for (id, partner) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                    if let Object::Datagram(socket) = &mut self.description_mut(id).object {
                        socket.partner = Some(partner);
                    }
                }
                pair
            }
            _ => return Err(Errno::EPROTONOSUPPORT),
        };
        Ok(Flow::InstallPair { descriptions, close_on_exec: kind & libc::SOCK_CLOEXEC != 0, address })
    }

    /// The address at `address`, of `length` bytes.
    pub(super) fn read_address(&self, caller: Caller, address: u64, length: u64) -> Result<Address, Errno> {
        if !(2..=128).contains(&length) {
            return Err(Errno::EINVAL);
        }
        let bytes = self.memory(caller.pid).bytes(address, length)?;
        match i32::from(u16::from_le_bytes([bytes[0], bytes[1]])) {
            libc::AF_INET if bytes.len() >= 8 => {
                let port = u16::from_be_bytes([bytes[2], bytes[3]]);
                Ok(Address::Internet(SocketAddrV4::new(Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]), port)))
            }
            libc::AF_UNIX => {
                let name = &bytes[2..];
                // Names that begin with a zero byte are as long as they are said to be, others are paths.
                let end = if name.first() == Some(&0) {
                    name.len()
                } else {
                    name.iter().position(|&b| b == 0).unwrap_or(name.len())
                };
                Ok(Address::Unix(name[..end].to_vec()))
            }
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// Tells a program an address.
    pub(super) fn tell_address(&self, caller: Caller, name: &Address, place: NamePlace) -> Result<(), Errno> {
        if place.address == 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        match name {
            Address::Internet(name) => {
                bytes.extend((libc::AF_INET as u16).to_le_bytes());
                bytes.extend(name.port().to_be_bytes());
                bytes.extend(name.ip().octets());
                bytes.extend([0; 8]);
            }
            Address::Unix(name) => {
                bytes.extend((libc::AF_UNIX as u16).to_le_bytes());
                bytes.extend(name);
                if !name.is_empty() && name[0] != 0 {
                    bytes.push(0);
                }
            }
        }
        let memory = self.memory(caller.pid);
        memory.write(place.address, &bytes[..bytes.len().min(place.room as usize)])?;
        if place.length_at != 0 {
            memory.put_u32(place.length_at, bytes.len() as u32)?;
        }
        Ok(())
    }

    /// Where a call wants an address: its place, and the place of its length, which says how much room there is.
    pub(super) fn name_place(&self, caller: Caller, address: u64, length_at: u64) -> Result<NamePlace, Errno> {
        let room = if address == 0 || length_at == 0 { 0 } else { self.memory(caller.pid).u32(length_at)? };
        Ok(NamePlace { address: if length_at == 0 { 0 } else { address }, length_at, room })
    }

    pub(super) fn bind(&mut self, caller: Caller, fd: i32, address: u64, length: u64) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let name = self.read_address(caller, address, length)?;
        self.bind_to(id, name)?;
        Ok(Flow::Return(0))
    }

    fn bind_to(&mut self, id: DescriptionId, name: Address) -> Result<(), Errno> {
        let (domain, local, stream) = match &self.description(id).object {
            Object::Datagram(socket) => (socket.domain, &socket.local, false),
            Object::Stream(socket) => (socket.domain, &socket.local, true),
            _ => return Err(Errno::ENOTSOCK),
        };
        if local.is_some() {
            return Err(Errno::EINVAL);
        }
        let name = match (domain, name) {
            (Domain::Internet, Address::Internet(name)) => {
                let ip = *name.ip();
                if !ip.is_unspecified() && !self.network.is_here(ip) {
                    return Err(Errno::EADDRNOTAVAIL);
                }
                let port = if name.port() == 0 { self.network.free_port()? } else { name.port() };
                let name = SocketAddrV4::new(ip, port);
                let table = if stream { &mut self.network.streams } else { &mut self.network.datagrams };
                if Network::is_taken(table, name) {
                    return Err(Errno::EADDRINUSE);
                }
                table.insert(name, id);
                Address::Internet(name)
            }
            (Domain::Unix, Address::Unix(name)) => {
                if self.network.names.contains_key(&name) {
                    return Err(Errno::EADDRINUSE);
                }
                self.network.names.insert(name.clone(), id);
                Address::Unix(name)
            }
            _ => return Err(Errno::EINVAL),
        };
        match &mut self.description_mut(id).object {
            Object::Datagram(socket) => socket.local = Some(name),
            Object::Stream(socket) => socket.local = Some(name),
            _ => unreachable!("it is a socket"),
        }
        Ok(())
    }

    pub(super) fn listen(&mut self, caller: Caller, fd: i32, backlog: i32) -> Outcome {
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

    pub(super) fn accept(
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

    /// Nothing is there yet: an error, the last chance, or waiting.
    pub(super) fn would_block(
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

    pub(super) fn connect(
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

    fn connect_datagram(&mut self, id: DescriptionId, name: Address) -> Outcome {
        if let Address::Internet(name) = &name {
            self.network.route(*name.ip())?;
        }
        self.bind_if_unbound(id)?;
        if let Object::Datagram(socket) = &mut self.description_mut(id).object {
            socket.peer = Some(name);
        }
        Ok(Flow::Return(0))
    }

    /// Gives an unnamed socket of the Internet a port of its own.
    fn bind_if_unbound(&mut self, id: DescriptionId) -> Result<(), Errno> {
        let unbound = match &self.description(id).object {
            Object::Datagram(socket) => socket.local.is_none() && socket.domain == Domain::Internet,
            _ => false,
        };
        match unbound {
            true => self.bind_to(id, Address::Internet(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))),
            false => Ok(()),
        }
    }

    fn connect_stream(&mut self, id: DescriptionId, name: &Address, attempt: &mut Attempt) -> Outcome {
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

    pub(super) fn phase(&self, ends: Ends) -> Phase {
        self.network.connections.get(&ends).map_or(Phase::Refused, |connection| connection.phase)
    }

    /// What `connect` returns now that it is decided.
    fn connected(&mut self, id: DescriptionId, ends: Ends) -> Outcome {
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
    pub(super) fn stream_queues(&self, socket: &StreamSocket) -> Result<(QueueId, QueueId, Option<Ends>), Errno> {
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

    /// Receives from a socket; tells where a datagram came from if `name` is given.
    pub(super) fn receive(
        &mut self,
        caller: Caller,
        id: DescriptionId,
        buffers: &Buffers,
        transfer: Transfer,
        attempt: &mut Attempt,
        name: Option<NamePlace>,
    ) -> Outcome {
        let description = self.description_mut(id);
        let nonblocking = transfer.nonblocking || description.is_nonblocking();
        match &mut description.object {
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
                    return self.would_block(nonblocking, timeout, attempt);
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
                let flow = self.receive_stream(caller, id, buffers, Transfer { nonblocking, ..transfer }, attempt)?;
                if let (Flow::Return(_), Some(place)) = (&flow, name.filter(|place| place.length_at != 0)) {
                    self.memory(caller.pid).put_u32(place.length_at, 0)?;
                }
                Ok(flow)
            }
            _ => Err(Errno::ENOTSOCK),
        }
    }

    fn receive_stream(
        &mut self,
        caller: Caller,
        id: DescriptionId,
        buffers: &Buffers,
        transfer: Transfer,
        attempt: &mut Attempt,
    ) -> Outcome {
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
    pub(super) fn send(
        &mut self,
        caller: Caller,
        id: DescriptionId,
        buffers: &Buffers,
        transfer: Transfer,
        target: Option<Address>,
        attempt: &mut Attempt,
    ) -> Outcome {
        let nonblocking = transfer.nonblocking || self.description(id).is_nonblocking();
        let transfer = Transfer { nonblocking, ..transfer };
        match &self.description(id).object {
            Object::Datagram(_) => self.send_datagram(caller, id, buffers, transfer, target, attempt),
            Object::Stream(socket) => {
                let timeout = socket.options.send_timeout;
                let queues = self.stream_queues(socket);
                let (_, tx, ends) = match queues {
                    Err(Errno::EAGAIN) => return self.would_block(nonblocking, timeout, attempt),
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
                    Ok(Flow::Block) if attempt.expired && attempt.progress > 0 => {
                        Ok(Flow::Return(attempt.progress as i64))
                    }
                    Ok(Flow::Block) => self.would_block(false, timeout, attempt),
                    other => other,
                }
            }
            _ => Err(Errno::ENOTSOCK),
        }
    }

    fn send_datagram(
        &mut self,
        caller: Caller,
        id: DescriptionId,
        buffers: &Buffers,
        transfer: Transfer,
        target: Option<Address>,
        attempt: &mut Attempt,
    ) -> Outcome {
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
            return self.send_within(caller, id, partner, buffers, transfer, attempt);
        }
        match target.ok_or(Errno::EDESTADDRREQ)? {
            Address::Unix(name) => {
                let holder = *self.network.names.get(&name).ok_or(Errno::ECONNREFUSED)?;
                self.send_within(caller, id, holder, buffers, transfer, attempt)
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
    pub(super) fn receive_datagram(&mut self, source: SocketAddrV4, target: SocketAddrV4, bytes: Vec<u8>) {
        let Some(holder) = Network::holder(&self.network.datagrams, target) else { return };
        let Object::Datagram(socket) = &mut self.description_mut(holder).object else { return };
        let source = Address::Internet(source);
        let wanted = socket.peer.as_ref().is_none_or(|peer| *peer == source);
        if wanted && socket.inbox_bytes + bytes.len() <= INBOX_BYTES {
            socket.deliver(source, bytes);
        }
    }

    pub(super) fn shutdown(&mut self, caller: Caller, fd: i32, how: i32) -> Outcome {
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

    /// `getsockname` and `getpeername`.
    pub(super) fn socket_name(&self, caller: Caller, fd: i32, address: u64, length_at: u64, peer: bool) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let unnamed = |domain| match domain {
            Domain::Internet => Address::Internet(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
            Domain::Unix => Address::Unix(Vec::new()),
        };
        let name = match (&self.description(id).object, peer) {
            (Object::Datagram(socket), true) => socket.peer.clone().ok_or(Errno::ENOTCONN)?,
            (Object::Datagram(socket), false) => match (&socket.local, &socket.peer) {
                // Once a peer is chosen, so is the address from which it is reached.
                (Some(Address::Internet(local)), Some(Address::Internet(peer))) => {
                    Address::Internet(SocketAddrV4::new(self.network.source(*local.ip(), *peer.ip()), local.port()))
                }
                (local, _) => local.clone().unwrap_or_else(|| unnamed(socket.domain)),
            },
            (Object::Stream(socket), true) => match &socket.state {
                StreamState::Connected(ends) if self.phase(*ends) == Phase::Open => Address::Internet(ends.1),
                StreamState::Paired { peer, .. } => peer.clone(),
                _ => return Err(Errno::ENOTCONN),
            },
            (Object::Stream(socket), false) => match &socket.state {
                StreamState::Connected(ends) => Address::Internet(ends.0),
                _ => socket.local.clone().unwrap_or_else(|| unnamed(socket.domain)),
            },
            _ => return Err(Errno::ENOTSOCK),
        };
        let place = self.name_place(caller, address, length_at)?;
        self.tell_address(caller, &name, place)?;
        Ok(Flow::Return(0))
    }

    pub(super) fn close_datagram(&mut self, id: DescriptionId, socket: DatagramSocket) {
        self.unname(id, socket.local);
    }

    pub(super) fn close_stream(&mut self, id: DescriptionId, socket: StreamSocket) {
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

    fn disown_pending(&mut self, ends: Ends) {
        // Whoever has connected learns that nobody will ever answer.
        self.network.send(Packet { source: ends.0, target: ends.1, segment: Segment::Reset });
        self.disown(ends);
    }

    fn unname(&mut self, id: DescriptionId, local: Option<Address>) {
        match local {
            Some(Address::Internet(name)) => {
                for table in [&mut self.network.streams, &mut self.network.datagrams] {
                    if table.get(&name) == Some(&id) {
                        table.remove(&name);
                    }
                }
            }
            Some(Address::Unix(name)) if self.network.names.get(&name) == Some(&id) => {
                self.network.names.remove(&name);
            }
            _ => {}
        }
    }
}

impl DatagramSocket {
    fn new(domain: Domain) -> Self {
        Self {
            domain,
            local: None,
            peer: None,
            partner: None,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            arrivals: 0,
            options: Options::default(),
            shut: (false, false),
        }
    }

    pub(super) fn deliver(&mut self, source: Address, bytes: Vec<u8>) {
        self.inbox_bytes += bytes.len();
        self.inbox.push_back((source, bytes));
        self.arrivals += 1;
    }
}
