//! The node's network: which sockets hold which ports, what is on its way, and streams as segments.
//!
//! Links lose nothing, keep the order and have constant latency. So a stream needs marks for opening, closing and breaking
//! off, and a window of credit, but no repetition and no congestion control. Loopback goes the same way, without a link.

use super::streams::QueueId;
use super::{DescriptionId, Kernel, Object};
use crate::random::host_random;
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What nodes send to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from.
    pub source: SocketAddrV4,
    /// Where it goes.
    pub target: SocketAddrV4,
    /// What it brings.
    pub segment: Segment,
}

/// What a packet brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A datagram.
    Datagram(Vec<u8>),
    /// A stream is wanted.
    Open,
    /// The stream that was wanted is open.
    Opened,
    /// The next bytes of a stream.
    Data(Vec<u8>),
    /// The last byte of a stream has been sent.
    Finish,
    /// The stream is no more, or was never there.
    Reset,
    /// So many bytes have been read, and as many more may be sent.
    Credit(u32),
}

/// Bytes of a stream that may be on their way, unread.
pub(super) const WINDOW: usize = 262_144;
/// Bytes that a socket takes from its program before they are sent.
pub(super) const SEND_BUFFER: usize = 131_072;
/// Bytes of datagrams that a socket holds for its program.
pub(super) const INBOX_BYTES: usize = 212_992;
/// Bytes of a segment.
const SEGMENT_BYTES: usize = 4_096;
/// Bytes for one neighbour beyond which programs have to wait.
const BACKLOG_BYTES: u64 = 65_536;
/// The first of the ports that the kernel chooses; they are taken in order.
const EPHEMERAL: u16 = 32_768;

/// The two ends of a stream, the own one first.
pub(super) type Ends = (SocketAddrV4, SocketAddrV4);

/// One end of a stream.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) phase: Phase,
    /// What arrives, for the program to read.
    pub(super) rx: QueueId,
    /// What the program has written, to be sent.
    pub(super) tx: QueueId,
    /// Bytes that may be sent before more is read at the other end.
    credit: usize,
    /// Bytes that were read and not told to the other end.
    consumed: usize,
    finish_sent: bool,
    finish_received: bool,
    /// Whether a socket still has it.
    pub(super) owned: bool,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asked for.
    Opening,
    Open,
    /// Nobody listens there.
    Refused,
}

/// The network as one node sees it.
#[derive(Debug)]
pub(crate) struct Network {
    pub(super) address: Ipv4Addr,
    /// Nodes that can be reached.
    pub(crate) reachable: BTreeSet<Ipv4Addr>,
    /// Packets that leave the node.
    pub(crate) outbox: Vec<Packet>,
    /// Bytes per neighbour that have left the node but not the calendar's queue.
    pub(crate) backlog: BTreeMap<Ipv4Addr, u64>,
    /// Whether somebody waits for a backlog to become smaller.
    pub(crate) congested: bool,
    loopback: VecDeque<Packet>,
    pub(super) datagrams: BTreeMap<SocketAddrV4, DescriptionId>,
    pub(super) streams: BTreeMap<SocketAddrV4, DescriptionId>,
    pub(super) connections: BTreeMap<Ends, Connection>,
    pub(super) names: BTreeMap<Vec<u8>, DescriptionId>,
    next_port: u16,
    counts_ports: bool,
}

impl Network {
    pub(super) fn new(address: Ipv4Addr, counts_ports: bool) -> Self {
        Self {
            address,
            reachable: BTreeSet::new(),
            outbox: Vec::new(),
            backlog: BTreeMap::new(),
            congested: false,
            loopback: VecDeque::new(),
            datagrams: BTreeMap::new(),
            streams: BTreeMap::new(),
            connections: BTreeMap::new(),
            names: BTreeMap::new(),
            next_port: EPHEMERAL,
            counts_ports,
        }
    }

    /// Whether `address` is this very node.
    pub(super) fn is_here(&self, address: Ipv4Addr) -> bool {
        address.is_loopback() || address == self.address
    }

    /// Whether packets to `address` arrive somewhere.
    pub(super) fn route(&self, address: Ipv4Addr) -> Result<(), Errno> {
        if self.is_here(address) || self.reachable.contains(&address) { Ok(()) } else { Err(Errno::EHOSTUNREACH) }
    }

    /// The address from which packets to `target` leave, for a socket that is bound to `local`.
    pub(super) fn source(&self, local: Ipv4Addr, target: Ipv4Addr) -> Ipv4Addr {
        match () {
            () if !local.is_unspecified() => local,
            () if target.is_loopback() => Ipv4Addr::LOCALHOST,
            () => self.address,
        }
    }

    /// A port that nobody holds.
    pub(super) fn free_port(&mut self) -> Result<u16, Errno> {
        for _ in EPHEMERAL..=u16::MAX {
            let port = if self.counts_ports { self.next_port } else { EPHEMERAL | host_random() as u16 };
            self.next_port = port.checked_add(1).unwrap_or(EPHEMERAL);
            let mut held = self.datagrams.keys().chain(self.streams.keys()).map(SocketAddrV4::port);
            let mut used = self.connections.keys().map(|(own, _)| own.port());
            if !held.any(|other| other == port) && !used.any(|other| other == port) {
                return Ok(port);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Who in `table` holds `target`.
    pub(super) fn holder(table: &BTreeMap<SocketAddrV4, DescriptionId>, target: SocketAddrV4) -> Option<DescriptionId> {
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, target.port());
        table.get(&target).or_else(|| table.get(&any)).copied()
    }

    /// Whether `address` clashes with one that is held.
    pub(super) fn is_taken(table: &BTreeMap<SocketAddrV4, DescriptionId>, address: SocketAddrV4) -> bool {
        let clash = |held: &SocketAddrV4| {
            let any = held.ip().is_unspecified() || address.ip().is_unspecified();
            held.port() == address.port() && (any || held.ip() == address.ip())
        };
        table.keys().any(clash)
    }

    /// Whether programs may send to `target` now.
    pub(super) fn has_room(&mut self, target: Ipv4Addr) -> bool {
        let room = self.is_here(target) || self.backlog.get(&target).is_none_or(|&bytes| bytes < BACKLOG_BYTES);
        self.congested |= !room;
        room
    }

    pub(super) fn send(&mut self, packet: Packet) {
        let target = *packet.target.ip();
        if self.is_here(target) {
            self.loopback.push_back(packet);
        } else {
            *self.backlog.entry(target).or_default() += crate::wire::length(&packet) as u64;
            self.outbox.push(packet);
        }
    }
}

impl Kernel {
    /// Takes in what has arrived from other nodes.
    pub(crate) fn arrive(&mut self, packets: Vec<Packet>) {
        for packet in packets {
            self.receive_packet(packet);
            self.touch();
        }
        self.pump();
    }

    /// Sends what can be sent, and lets what goes to the node itself arrive.
    pub(super) fn pump(&mut self) {
        loop {
            let ends: Vec<Ends> = self.network.connections.keys().copied().collect();
            for ends in ends {
                self.pump_connection(ends);
            }
            if self.network.loopback.is_empty() {
                return;
            }
            while let Some(packet) = self.network.loopback.pop_front() {
                self.receive_packet(packet);
                self.touch();
            }
        }
    }

    fn pump_connection(&mut self, ends: Ends) {
        let Some(connection) = self.network.connections.get(&ends) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        let (tx, mut credit) = (connection.tx, connection.credit);
        while self.queues.get(tx).length() > 0 && credit > 0 && self.network.has_room(*ends.1.ip()) {
            let bytes = self.queues.get_mut(tx).take(credit.min(SEGMENT_BYTES), false);
            credit -= bytes.len();
            self.send_segment(ends, Segment::Data(bytes));
            self.touch();
        }
        let tx = self.queues.get(tx);
        let finished = tx.ended && !tx.broken && tx.length() == 0;
        let connection = self.network.connections.get_mut(&ends).expect("it was there just now");
        connection.credit = credit;
        if finished && !connection.finish_sent {
            connection.finish_sent = true;
            self.send_segment(ends, Segment::Finish);
        }
        self.collect_connection(ends);
    }

    fn send_segment(&mut self, (source, target): Ends, segment: Segment) {
        self.network.send(Packet { source, target, segment });
    }

    /// Notes that the program has read `count` bytes of a stream.
    pub(super) fn consumed(&mut self, ends: Ends, count: usize) {
        let Some(connection) = self.network.connections.get_mut(&ends) else { return };
        connection.consumed += count;
        if connection.consumed >= WINDOW / 4 && !connection.finish_received {
            let credit = Segment::Credit(std::mem::take(&mut connection.consumed) as u32);
            self.send_segment(ends, credit);
        }
    }

    /// Asks for a stream.
    pub(super) fn open_connection(&mut self, ends: Ends) {
        self.add_connection(ends, Phase::Opening);
        self.send_segment(ends, Segment::Open);
        self.pump();
    }

    fn add_connection(&mut self, ends: Ends, phase: Phase) {
        let connection = Connection {
            phase,
            rx: self.queues.add(WINDOW),
            tx: self.queues.add(SEND_BUFFER),
            credit: WINDOW,
            consumed: 0,
            finish_sent: false,
            finish_received: false,
            owned: true,
        };
        self.network.connections.insert(ends, connection);
    }

    fn receive_packet(&mut self, packet: Packet) {
        let Packet { source, target, segment } = packet;
        let ends = (target, source);
        match segment {
            Segment::Datagram(bytes) => self.receive_datagram(source, target, bytes),
            Segment::Open => self.receive_open(ends),
            Segment::Opened => {
                if let Some(connection) = self.network.connections.get_mut(&ends) {
                    connection.phase = Phase::Open;
                    let tx = connection.tx;
                    self.queues.get_mut(tx).departures += 1;
                }
            }
            Segment::Data(bytes) => match self.network.connections.get(&ends).map(|connection| connection.rx) {
                Some(rx) if !self.queues.get(rx).abandoned => {
                    self.queues.get_mut(rx).push(&bytes);
                }
                Some(_) => {
                    self.remove_connection(ends);
                    self.send_segment(ends, Segment::Reset);
                }
                None => self.send_segment(ends, Segment::Reset),
            },
            Segment::Finish => {
                if let Some(connection) = self.network.connections.get_mut(&ends) {
                    connection.finish_received = true;
                    let rx = connection.rx;
                    self.queues.get_mut(rx).end();
                    self.collect_connection(ends);
                }
            }
            Segment::Reset => self.receive_reset(ends),
            Segment::Credit(bytes) => {
                if let Some(connection) = self.network.connections.get_mut(&ends) {
                    connection.credit += bytes as usize;
                }
            }
        }
    }

    fn receive_open(&mut self, ends: Ends) {
        let holder = Network::holder(&self.network.streams, ends.0);
        let listener = holder.and_then(|id| match &mut self.description_mut(id).object {
            Object::Stream(socket) => socket.listener_mut(),
            _ => None,
        });
        let Some(listener) = listener else { return self.send_segment(ends, Segment::Reset) };
        if listener.is_full() {
            listener.held.push_back(ends);
            return;
        }
        listener.ready(ends);
        self.add_connection(ends, Phase::Open);
        self.send_segment(ends, Segment::Opened);
    }

    /// Lets streams in that a full listener has held back.
    pub(super) fn admit(&mut self, listener: DescriptionId) {
        while let Object::Stream(socket) = &mut self.description_mut(listener).object
            && let Some(state) = socket.listener_mut()
            && !state.is_full()
            && let Some(ends) = state.held.pop_front()
        {
            state.ready(ends);
            self.add_connection(ends, Phase::Open);
            self.send_segment(ends, Segment::Opened);
        }
        self.pump();
    }

    fn receive_reset(&mut self, ends: Ends) {
        let Some(connection) = self.network.connections.get_mut(&ends) else { return };
        if connection.phase == Phase::Opening {
            connection.phase = Phase::Refused;
        }
        let (rx, tx, owned) = (connection.rx, connection.tx, connection.owned);
        self.queues.get_mut(rx).break_off();
        self.queues.get_mut(tx).break_off();
        if !owned {
            self.remove_connection(ends);
        }
    }

    /// Notes that no socket has the stream any more.
    pub(super) fn disown(&mut self, ends: Ends) {
        let Some(connection) = self.network.connections.get_mut(&ends) else { return };
        connection.owned = false;
        let (rx, tx, phase) = (connection.rx, connection.tx, connection.phase);
        let (unread, broken) = (self.queues.get(rx).length() > 0, self.queues.get(rx).broken);
        self.queues.close_reader(rx);
        self.queues.close_writer(tx);
        if phase != Phase::Open || unread || broken {
            self.remove_connection(ends);
            if !broken {
                self.send_segment(ends, Segment::Reset);
            }
        }
        self.pump();
    }

    fn collect_connection(&mut self, ends: Ends) {
        let Some(connection) = self.network.connections.get(&ends) else { return };
        if !connection.owned && connection.finish_sent && connection.finish_received {
            self.remove_connection(ends);
        }
    }

    fn remove_connection(&mut self, ends: Ends) {
        let Some(connection) = self.network.connections.remove(&ends) else { return };
        self.queues.close_writer(connection.rx);
        self.queues.close_reader(connection.tx);
        if connection.owned {
            // A pending stream that nobody has accepted, or one whose socket will find it gone.
            self.queues.get_mut(connection.rx).break_off();
            self.queues.get_mut(connection.tx).break_off();
        }
    }
}
