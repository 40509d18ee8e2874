//! Sockets: making, naming, joining, sending, receiving.

mod connections;
mod names;
mod transfer;

pub(super) use transfer::Movement;

use super::network::Ends;
use super::options::Options;
use super::streams::QueueId;
use super::{DescriptionId, Flow, Kernel, Object, Outcome};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::net::SocketAddrV4;

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

    pub(super) fn close_datagram(&mut self, id: DescriptionId, socket: DatagramSocket) {
        self.unname(id, socket.local);
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
