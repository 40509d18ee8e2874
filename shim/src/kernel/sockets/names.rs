//! Addresses of sockets: as programs write them, and who has which.

use super::{Address, Domain, NamePlace, StreamState};
use crate::kernel::network::{Network, Phase};
use crate::kernel::{Caller, DescriptionId, Flow, Kernel, Object, Outcome};
use nix::errno::Errno;
use std::net::{Ipv4Addr, SocketAddrV4};

impl Kernel {
    /// The address at `address`, of `length` bytes.
    pub(in crate::kernel) fn read_address(&self, caller: Caller, address: u64, length: u64) -> Result<Address, Errno> {
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
    pub(in crate::kernel) fn tell_address(
        &self,
        caller: Caller,
        name: &Address,
        place: NamePlace,
    ) -> Result<(), Errno> {
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
    pub(in crate::kernel) fn name_place(
        &self,
        caller: Caller,
        address: u64,
        length_at: u64,
    ) -> Result<NamePlace, Errno> {
        let room = if address == 0 || length_at == 0 { 0 } else { self.memory(caller.pid).u32(length_at)? };
        Ok(NamePlace { address: if length_at == 0 { 0 } else { address }, length_at, room })
    }

    pub(in crate::kernel) fn bind(&mut self, caller: Caller, fd: i32, address: u64, length: u64) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let name = self.read_address(caller, address, length)?;
        self.bind_to(id, name)?;
        Ok(Flow::Return(0))
    }

    pub(super) fn bind_to(&mut self, id: DescriptionId, name: Address) -> Result<(), Errno> {
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

    /// Gives an unnamed socket of the Internet a port of its own.
    pub(super) fn bind_if_unbound(&mut self, id: DescriptionId) -> Result<(), Errno> {
        let unbound = match &self.description(id).object {
            Object::Datagram(socket) => socket.local.is_none() && socket.domain == Domain::Internet,
            _ => false,
        };
        match unbound {
            true => self.bind_to(id, Address::Internet(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))),
            false => Ok(()),
        }
    }

    /// `getsockname` and `getpeername`.
    pub(in crate::kernel) fn socket_name(
        &self,
        caller: Caller,
        fd: i32,
        address: u64,
        length_at: u64,
        peer: bool,
    ) -> Outcome {
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

    pub(super) fn unname(&mut self, id: DescriptionId, local: Option<Address>) {
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
