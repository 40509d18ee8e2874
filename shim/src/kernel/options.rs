//! What can be set and asked of descriptors: socket options, `fcntl`, `ioctl`.

use super::network::{Phase, SEND_BUFFER, WINDOW};
use super::sockets::StreamState;
use super::{After, Caller, Flow, Kernel, Object, Outcome};
use crate::time::Nanos;
use nix::errno::Errno;
use std::collections::BTreeMap;

/// Options of a socket. Most have no effect on links that lose nothing; what was set is what is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(super) receive_timeout: Option<Nanos>,
    pub(super) send_timeout: Option<Nanos>,
    pub(super) error: Option<Errno>,
    values: BTreeMap<(i32, i32), Vec<u8>>,
}

/// Options that are kept without any effect, by level.
const KEPT: [(i32, &[i32]); 3] = [
    (
        libc::SOL_SOCKET,
        &[
            libc::SO_REUSEADDR,
            libc::SO_REUSEPORT,
            libc::SO_KEEPALIVE,
            libc::SO_BROADCAST,
            libc::SO_DONTROUTE,
            libc::SO_OOBINLINE,
            libc::SO_PRIORITY,
            libc::SO_LINGER,
            libc::SO_SNDBUF,
            libc::SO_RCVBUF,
            libc::SO_RCVLOWAT,
            libc::SO_PASSCRED,
            libc::SO_TIMESTAMP,
            libc::SO_NO_CHECK,
            libc::SO_BUSY_POLL,
            libc::SO_MAX_PACING_RATE,
            libc::SO_ZEROCOPY,
        ],
    ),
    (
        libc::IPPROTO_TCP,
        &[
            libc::TCP_NODELAY,
            libc::TCP_MAXSEG,
            libc::TCP_CORK,
            libc::TCP_KEEPIDLE,
            libc::TCP_KEEPINTVL,
            libc::TCP_KEEPCNT,
            libc::TCP_SYNCNT,
            libc::TCP_LINGER2,
            libc::TCP_DEFER_ACCEPT,
            libc::TCP_WINDOW_CLAMP,
            libc::TCP_QUICKACK,
            libc::TCP_CONGESTION,
            libc::TCP_USER_TIMEOUT,
            libc::TCP_FASTOPEN,
            libc::TCP_FASTOPEN_CONNECT,
            libc::TCP_NOTSENT_LOWAT,
        ],
    ),
    (
        libc::IPPROTO_IP,
        &[
            libc::IP_TOS,
            libc::IP_TTL,
            libc::IP_MTU_DISCOVER,
            libc::IP_RECVERR,
            libc::IP_RECVTOS,
            libc::IP_RECVTTL,
            libc::IP_FREEBIND,
            libc::IP_BIND_ADDRESS_NO_PORT,
        ],
    ),
];

/// Whether an option is one of those, and how many bytes it has.
fn kept(level: i32, name: i32) -> Option<u64> {
    let known = KEPT.iter().any(|(of, names)| *of == level && names.contains(&name));
    known.then_some(if (level, name) == (libc::SOL_SOCKET, libc::SO_LINGER) { 8 } else { 4 })
}

impl Kernel {
    fn options(&mut self, caller: Caller, fd: i32) -> Result<&mut Options, Errno> {
        let id = self.description_id(caller, fd)?;
        match &mut self.description_mut(id).object {
            Object::Datagram(socket) => Ok(&mut socket.options),
            Object::Stream(socket) => Ok(&mut socket.options),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    pub(super) fn setsockopt(
        &mut self,
        caller: Caller,
        fd: i32,
        (level, name): (i32, i32),
        value: u64,
        length: u64,
    ) -> Outcome {
        self.options(caller, fd)?;
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => {
                let time = self.timeval(caller, value)?;
                let time = (time.0 > 0).then_some(time);
                let options = self.options(caller, fd)?;
                match name {
                    libc::SO_RCVTIMEO => options.receive_timeout = time,
                    _ => options.send_timeout = time,
                }
            }
            _ => {
                let size = kept(level, name).ok_or(Errno::ENOPROTOOPT)?;
                let mut bytes = self.memory(caller.pid).bytes(value, length.min(size))?;
                bytes.resize(size as usize, 0);
                self.options(caller, fd)?.values.insert((level, name), bytes);
            }
        }
        Ok(Flow::Return(0))
    }

    pub(super) fn getsockopt(
        &mut self,
        caller: Caller,
        fd: i32,
        (level, name): (i32, i32),
        value: u64,
        length_at: u64,
    ) -> Outcome {
        let kept_bytes = self.options(caller, fd)?.values.get(&(level, name)).cloned();
        let set = kept_bytes.as_ref().and_then(|bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?)));
        let id = self.description_id(caller, fd)?;
        let memory = self.memory(caller.pid);
        let room = memory.u32(length_at)? as usize;
        let stream = matches!(self.description(id).object, Object::Stream(_));
        let number = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => self.take_error(id),
            (libc::SOL_SOCKET, libc::SO_TYPE) if stream => libc::SOCK_STREAM as u32,
            (libc::SOL_SOCKET, libc::SO_TYPE) => libc::SOCK_DGRAM as u32,
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => self.domain(id) as u32,
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => match (self.domain(id), stream) {
                (libc::AF_INET, true) => libc::IPPROTO_TCP as u32,
                (libc::AF_INET, false) => libc::IPPROTO_UDP as u32,
                _ => 0,
            },
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => self.is_listening(id).into(),
            (libc::SOL_SOCKET, libc::SO_SNDBUF) => set.map_or(SEND_BUFFER as u32, |set| set.saturating_mul(2)),
            (libc::SOL_SOCKET, libc::SO_RCVBUF) => set.map_or(WINDOW as u32, |set| set.saturating_mul(2)),
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => {
                let options = self.options(caller, fd)?;
                let time = if name == libc::SO_RCVTIMEO { options.receive_timeout } else { options.send_timeout };
                self.put_timeval(caller, value, time.unwrap_or_default())?;
                memory.put_u32(length_at, 16)?;
                return Ok(Flow::Return(0));
            }
            (libc::SOL_SOCKET, libc::SO_PEERCRED) => {
                let number = self.processes[&caller.pid].number as u32;
                let user = crate::sys::bootstrap::USER;
                let bytes: Vec<u8> = [number, user, user].iter().flat_map(|word| word.to_le_bytes()).collect();
                memory.write(value, &bytes[..bytes.len().min(room)])?;
                memory.put_u32(length_at, bytes.len().min(room) as u32)?;
                return Ok(Flow::Return(0));
            }
            (libc::IPPROTO_TCP, libc::TCP_INFO) => {
                // A link without loss: all counts of trouble are 0. The first byte is the state, "established".
                let mut info = vec![0; room.min(232)];
                if let Some(state) = info.first_mut() {
                    *state = 1;
                }
                memory.write(value, &info)?;
                memory.put_u32(length_at, info.len() as u32)?;
                return Ok(Flow::Return(0));
            }
            (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => 1448,
            (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => {
                let name = b"none\0";
                memory.write(value, &name[..name.len().min(room)])?;
                memory.put_u32(length_at, name.len().min(room) as u32)?;
                return Ok(Flow::Return(0));
            }
            _ => {
                let size = kept(level, name).ok_or(Errno::ENOPROTOOPT)?;
                let bytes = kept_bytes.unwrap_or_else(|| vec![0; size as usize]);
                let told = &bytes[..bytes.len().min(room)];
                memory.write(value, told)?;
                memory.put_u32(length_at, told.len() as u32)?;
                return Ok(Flow::Return(0));
            }
        };
        let bytes = number.to_le_bytes();
        memory.write(value, &bytes[..room.min(4)])?;
        memory.put_u32(length_at, room.min(4) as u32)?;
        Ok(Flow::Return(0))
    }

    fn domain(&self, id: super::DescriptionId) -> i32 {
        let domain = match &self.description(id).object {
            Object::Datagram(socket) => socket.domain,
            Object::Stream(socket) => socket.domain,
            _ => return libc::AF_UNSPEC,
        };
        match domain {
            super::sockets::Domain::Internet => libc::AF_INET,
            super::sockets::Domain::Unix => libc::AF_UNIX,
        }
    }

    fn is_listening(&self, id: super::DescriptionId) -> bool {
        matches!(&self.description(id).object, Object::Stream(socket) if matches!(socket.state, StreamState::Listening(_)))
    }

    /// The error that a socket has met, once.
    fn take_error(&mut self, id: super::DescriptionId) -> u32 {
        let refused = match &self.description(id).object {
            Object::Stream(socket) => {
                matches!(&socket.state, StreamState::Connected(ends) if self.phase(*ends) == Phase::Refused)
                    && !socket.told
            }
            _ => false,
        };
        match &mut self.description_mut(id).object {
            Object::Stream(socket) if refused => {
                socket.told = true;
                Errno::ECONNREFUSED as u32
            }
            Object::Stream(socket) => socket.options.error.take().map_or(0, |error| error as u32),
            Object::Datagram(socket) => socket.options.error.take().map_or(0, |error| error as u32),
            _ => 0,
        }
    }

    pub(super) fn fcntl(&mut self, caller: Caller, fd: i32, command: i32, argument: u64) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let is_file = matches!(self.description(id).object, Object::File | Object::Directory(_));
        match command {
            libc::F_DUPFD => self.copy(caller, fd, false),
            libc::F_DUPFD_CLOEXEC => self.copy(caller, fd, true),
            libc::F_SETFD => {
                Ok(Flow::Native(After::Mark { fd, close_on_exec: argument & libc::FD_CLOEXEC as u64 != 0 }))
            }
            libc::F_GETFD => Ok(Flow::Native(After::Nothing)),
            libc::F_GETFL if !is_file => Ok(Flow::Return(i64::from(self.description(id).flags))),
            libc::F_SETFL if !is_file => {
                let changed = libc::O_NONBLOCK | libc::O_APPEND | libc::O_ASYNC;
                let description = self.description_mut(id);
                description.flags = description.flags & !changed | argument as i32 & changed;
                Ok(Flow::Return(0))
            }
            libc::F_SETPIPE_SZ | libc::F_GETPIPE_SZ => self.pipe_size(id, command, argument),
            // Whoever waits for a lock in the host's kernel would hold up the whole node.
            libc::F_SETLKW | libc::F_OFD_SETLKW if is_file => Err(Errno::EDEADLK),
            _ if is_file => Ok(Flow::Native(After::Nothing)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn pipe_size(&mut self, id: super::DescriptionId, command: i32, argument: u64) -> Outcome {
        let (Object::PipeReader(queue) | Object::PipeWriter(queue)) = self.description(id).object else {
            return Err(Errno::EBADF);
        };
        let queue = self.queues.get_mut(queue);
        if command == libc::F_SETPIPE_SZ {
            let size = argument.next_power_of_two().clamp(4096, 1 << 20) as usize;
            if size < queue.length() {
                return Err(Errno::EBUSY);
            }
            queue.set_capacity(size);
        }
        Ok(Flow::Return(queue.capacity() as i64))
    }

    pub(super) fn ioctl(&mut self, caller: Caller, fd: i32, request: u64, argument: u64) -> Outcome {
        let id = self.description_id(caller, fd)?;
        match request {
            libc::FIOCLEX => Ok(Flow::Native(After::Mark { fd, close_on_exec: true })),
            libc::FIONCLEX => Ok(Flow::Native(After::Mark { fd, close_on_exec: false })),
            libc::FIONBIO => {
                let on = self.memory(caller.pid).u32(argument)? != 0;
                let description = self.description_mut(id);
                description.flags = description.flags & !libc::O_NONBLOCK | if on { libc::O_NONBLOCK } else { 0 };
                Ok(Flow::Return(0))
            }
            libc::FIONREAD => {
                let length = match &self.description(id).object {
                    Object::File | Object::Directory(_) => return Ok(Flow::Native(After::Nothing)),
                    Object::PipeReader(queue) => self.queues.get(*queue).length(),
                    Object::Datagram(socket) => socket.inbox.front().map_or(0, |(_, bytes)| bytes.len()),
                    Object::Stream(socket) => match self.stream_queues(socket) {
                        Ok((rx, ..)) => self.queues.get(rx).length(),
                        Err(_) => 0,
                    },
                    _ => return Err(Errno::ENOTTY),
                };
                self.memory(caller.pid).put_u32(argument, length as u32)?;
                Ok(Flow::Return(0))
            }
            // Neither terminals nor network devices are here.
            _ => Err(Errno::ENOTTY),
        }
    }
}
