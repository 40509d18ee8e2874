//! Packets as words: what a node has to say to a neighbour leaves in slots of fixed size, one per iteration.
//!
//! A channel between two nodes is a pipe that loses nothing. A slot is a word that counts the bytes in it, and the bytes. A
//! packet is its kind, two ports, and, where it has some, its bytes with their number before them; addresses are those of
//! the two nodes. Packets may lie across slots.

use crate::kernel::{Packet, Segment};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

const DATAGRAM: u8 = 1;
const OPEN: u8 = 2;
const OPENED: u8 = 3;
const DATA: u8 = 4;
const FINISH: u8 = 5;
const RESET: u8 = 6;
const CREDIT: u8 = 7;

/// Kind and ports.
const HEAD: usize = 5;
/// The number of bytes, or the credit.
const NUMBER: usize = 4;
const WORD: usize = size_of::<u64>();

/// Bytes of a packet on the wire.
#[must_use]
pub fn length(packet: &Packet) -> usize {
    match &packet.segment {
        Segment::Datagram(bytes) | Segment::Data(bytes) => HEAD + NUMBER + bytes.len(),
        Segment::Credit(_) => HEAD + NUMBER,
        Segment::Open | Segment::Opened | Segment::Finish | Segment::Reset => HEAD,
    }
}

/// What waits to leave for one neighbour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    bytes: VecDeque<u8>,
}

impl Egress {
    /// Appends a packet.
    pub fn push(&mut self, packet: &Packet) {
        let (kind, number, bytes): (u8, Option<u32>, &[u8]) = match &packet.segment {
            Segment::Datagram(bytes) => (DATAGRAM, Some(bytes.len() as u32), bytes),
            Segment::Data(bytes) => (DATA, Some(bytes.len() as u32), bytes),
            Segment::Credit(credit) => (CREDIT, Some(*credit), &[]),
            Segment::Open => (OPEN, None, &[]),
            Segment::Opened => (OPENED, None, &[]),
            Segment::Finish => (FINISH, None, &[]),
            Segment::Reset => (RESET, None, &[]),
        };
        self.bytes.push_back(kind);
        self.bytes.extend(packet.source.port().to_le_bytes());
        self.bytes.extend(packet.target.port().to_le_bytes());
        self.bytes.extend(number.iter().flat_map(|number| number.to_le_bytes()));
        self.bytes.extend(bytes);
    }

    /// Bytes that wait.
    #[must_use]
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Fills the next slot; `slot` has at least two words.
    pub fn fill(&mut self, slot: &mut [u64]) {
        let (count, words) = slot.split_first_mut().expect("a slot has a word for its length");
        let bytes = self.bytes.len().min(words.len() * WORD);
        *count = bytes as u64;
        let mut bytes = self.bytes.drain(..bytes);
        for word in words {
            let mut next = [0; WORD];
            for (to, from) in next.iter_mut().zip(&mut bytes) {
                *to = from;
            }
            *word = u64::from_le_bytes(next);
        }
    }
}

/// Why words are no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More bytes than the slot has room for.
    #[error("a slot of {room} bytes says that it holds {found}")]
    Count {
        /// Bytes said.
        found: u64,
        /// Bytes there is room for.
        room: u64,
    },
    /// No such kind of packet.
    #[error("there is no packet of kind {found}")]
    Kind {
        /// The kind found.
        found: u8,
    },
}

/// What has arrived from one neighbour, up to half a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    source: Ipv4Addr,
    target: Ipv4Addr,
    bytes: VecDeque<u8>,
}

impl Ingress {
    /// From the node `source` to the node `target`.
    #[must_use]
    pub fn new(source: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self { source, target, bytes: VecDeque::new() }
    }

    /// Takes in a slot, and appends the packets that are complete by it.
    ///
    /// # Errors
    /// [`WireError`] for words that no [`Egress`] has made.
    pub fn take(&mut self, slot: &[u64], packets: &mut Vec<Packet>) -> Result<(), WireError> {
        let Some((&count, words)) = slot.split_first() else { return Ok(()) };
        let room = (words.len() * WORD) as u64;
        if count > room {
            return Err(WireError::Count { found: count, room });
        }
        if count == 0 {
            return Ok(());
        }
        self.bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()).take(count as usize));
        while let Some(packet) = self.next()? {
            packets.push(packet);
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Packet>, WireError> {
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or(0);
        if self.bytes.len() < HEAD {
            return Ok(None);
        }
        let kind = byte(0);
        let numbered = match kind {
            DATAGRAM | DATA | CREDIT => true,
            OPEN | OPENED | FINISH | RESET => false,
            found => return Err(WireError::Kind { found }),
        };
        let head = HEAD + if numbered { NUMBER } else { 0 };
        if self.bytes.len() < head {
            return Ok(None);
        }
        let port = |at| u16::from_le_bytes([byte(at), byte(at + 1)]);
        let number = u32::from_le_bytes([byte(5), byte(6), byte(7), byte(8)]);
        let (source, target) = (SocketAddrV4::new(self.source, port(1)), SocketAddrV4::new(self.target, port(3)));
        let length = if matches!(kind, DATAGRAM | DATA) { number as usize } else { 0 };
        if self.bytes.len() < head + length {
            return Ok(None);
        }
        self.bytes.drain(..head);
        let bytes = self.bytes.drain(..length).collect();
        let segment = match kind {
            DATAGRAM => Segment::Datagram(bytes),
            DATA => Segment::Data(bytes),
            CREDIT => Segment::Credit(number),
            OPEN => Segment::Open,
            OPENED => Segment::Opened,
            FINISH => Segment::Finish,
            _ => Segment::Reset,
        };
        Ok(Some(Packet { source, target, segment }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn packet(segment: Segment) -> Packet {
        Packet { source: SocketAddrV4::new(HERE, 1000), target: SocketAddrV4::new(THERE, 80), segment }
    }

    /// Whatever the size of slots, what arrives is what left, in order.
    #[test]
    fn packets_cross_slots_of_any_size() {
        let packets = [
            packet(Segment::Open),
            packet(Segment::Opened),
            packet(Segment::Data((0..=255).collect())),
            packet(Segment::Datagram(Vec::new())),
            packet(Segment::Credit(70_000)),
            packet(Segment::Finish),
            packet(Segment::Reset),
        ];
        for words in 2..20 {
            let (mut egress, mut ingress, mut arrived) = (Egress::default(), Ingress::new(HERE, THERE), Vec::new());
            packets.iter().for_each(|packet| egress.push(packet));
            assert_eq!(egress.length(), packets.iter().map(length).sum::<usize>());
            while egress.length() > 0 {
                let mut slot = vec![u64::MAX; words];
                egress.fill(&mut slot);
                ingress.take(&slot, &mut arrived).unwrap();
            }
            assert_eq!(arrived, packets, "slots of {words} words");
        }
    }

    #[test]
    fn words_that_are_no_packets_are_refused() {
        let mut ingress = Ingress::new(HERE, THERE);
        let mut packets = Vec::new();
        assert_eq!(ingress.take(&[9, 0], &mut packets), Err(WireError::Count { found: 9, room: 8 }));
        assert_eq!(ingress.take(&[8, 0], &mut packets), Err(WireError::Kind { found: 0 }));
    }
}
