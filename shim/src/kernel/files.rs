//! Reading and writing, whatever is behind the descriptor, and opening.

use super::bytes::Buffers;
use super::paths::{Policy, policy};
use super::sockets::Movement;
use super::{After, Attempt, Caller, DescriptionId, Flow, Kernel, Object, Outcome, pipes};
use crate::sys;
use nix::errno::Errno;

/// How bytes move through a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Transfer {
    /// Do not wait.
    pub(super) nonblocking: bool,
    /// Leave them where they are.
    pub(super) peek: bool,
    /// Wait until all are there.
    pub(super) all: bool,
    /// Do not raise `SIGPIPE`.
    pub(super) no_signal: bool,
}

impl Kernel {
    pub(super) fn open(&mut self, caller: Caller, path: u64, flags: i32) -> Outcome {
        let path = self.memory(caller.pid).text(path)?;
        let close_on_exec = flags & libc::O_CLOEXEC != 0;
        let switches = self.config.switches;
        let native = || Ok(Flow::Native(After::Open { close_on_exec, flags }));
        let text =
            |content: &str| Ok(Flow::InstallFile { file: sys::process::file_with(content.as_bytes())?, close_on_exec });
        match policy(&path) {
            Policy::Host => native(),
            Policy::Random | Policy::Identifier if !switches.random_files => native(),
            Policy::Process(_) if !switches.plain_processes => native(),
            Policy::Absent => Err(Errno::ENOENT),
            Policy::Random => Ok(self.install(Object::Random, flags, close_on_exec)),
            Policy::Zero => Ok(self.install(Object::Zero, flags, close_on_exec)),
            Policy::Identifier => text(&self.identifiers.identifier()),
            Policy::Content(_) | Policy::Process(_) if flags & libc::O_ACCMODE != libc::O_RDONLY => Err(Errno::EACCES),
            Policy::Content(content) => text(&content.text(&self.config, self.times())),
            Policy::Process(about) => text(&self.about_process(caller, about)?),
        }
    }

    /// A call about a path that changes nothing: `access`, `readlink`, …
    pub(super) fn about_path(&self, caller: Caller, path: u64, after: After) -> Outcome {
        match policy(&self.memory(caller.pid).text(path)?) {
            Policy::Absent => Err(Errno::ENOENT),
            _ => Ok(Flow::Native(after)),
        }
    }

    pub(super) fn read(&mut self, caller: Caller, fd: i32, buffers: &Buffers, attempt: &mut Attempt) -> Outcome {
        let id = self.description_id(caller, fd)?;
        match &self.description(id).object {
            Object::File => Ok(Flow::Native(After::Nothing)),
            Object::Directory(_) => Err(Errno::EISDIR),
            Object::Random => self.read_random(caller, buffers),
            Object::Zero => self.read_endless(caller, buffers, |_, piece| piece.fill(0)),
            Object::Event(_) | Object::Timer(_) => {
                let Some((address, length)) = buffers.first() else { return Err(Errno::EINVAL) };
                self.read_count(caller, fd, address, length)
            }
            Object::Epoll(_) => Err(Errno::EINVAL),
            Object::PipeWriter(_) => Err(Errno::EBADF),
            Object::PipeReader(queue) => {
                let queue = *queue;
                let nonblocking = self.description(id).is_nonblocking();
                self.read_queue(caller, queue, buffers, nonblocking)
            }
            Object::Datagram(_) | Object::Stream(_) => {
                self.receive(Movement { caller, id, buffers, transfer: Transfer::default() }, attempt, None)
            }
        }
    }

    fn read_queue(
        &mut self,
        caller: Caller,
        queue: super::streams::QueueId,
        buffers: &Buffers,
        nonblocking: bool,
    ) -> Outcome {
        if buffers.length() == 0 {
            return Ok(Flow::Return(0));
        }
        let state = self.queues.get_mut(queue);
        if !state.is_readable() {
            return if nonblocking { Err(Errno::EAGAIN) } else { Ok(Flow::Block) };
        }
        let bytes = state.take(buffers.length() as usize, false);
        self.scatter(caller, buffers, &bytes)?;
        self.touch();
        Ok(Flow::Return(bytes.len() as i64))
    }

    fn read_random(&mut self, caller: Caller, buffers: &Buffers) -> Outcome {
        self.read_endless(caller, buffers, |kernel, piece| kernel.random.fill(piece))
    }

    /// Fills `buffers`, piece by piece; no more of them than the host's kernel does at once.
    fn read_endless(&mut self, caller: Caller, buffers: &Buffers, fill: impl Fn(&mut Self, &mut [u8])) -> Outcome {
        const MOST: u64 = 0x7FFF_F000;
        let total = buffers.length().min(MOST);
        let mut piece = vec![0; total.min(crate::memory::LONGEST) as usize];
        let mut done = 0;
        while done < total {
            let piece = &mut piece[..(total - done).min(crate::memory::LONGEST) as usize];
            fill(self, piece);
            self.scatter(caller, &buffers.after(done), piece)?;
            done += piece.len() as u64;
        }
        Ok(Flow::Return(done as i64))
    }

    pub(super) fn getrandom(&mut self, caller: Caller, address: u64, length: u64) -> Outcome {
        if !self.config.switches.random_calls {
            return Ok(Flow::Native(After::Nothing));
        }
        self.read_random(caller, &Buffers::one(address, length))
    }

    pub(super) fn write(&mut self, caller: Caller, fd: i32, buffers: &Buffers, attempt: &mut Attempt) -> Outcome {
        let id = self.description_id(caller, fd)?;
        match &self.description(id).object {
            Object::File => {
                self.written = self.gather(caller, buffers, 0)?;
                Ok(Flow::Native(After::Nothing))
            }
            Object::Random | Object::Zero => Ok(Flow::Return(buffers.length() as i64)),
            Object::Event(_) => {
                let bytes = self.gather(caller, buffers, 0)?;
                self.add_count(caller, fd, &bytes)
            }
            Object::PipeReader(_) => Err(Errno::EBADF),
            Object::Directory(_) | Object::Timer(_) | Object::Epoll(_) => Err(Errno::EINVAL),
            Object::PipeWriter(queue) => {
                let queue = *queue;
                let transfer = Transfer { nonblocking: self.description(id).is_nonblocking(), ..Transfer::default() };
                self.write_queue(caller, queue, buffers, transfer, pipes::ATOMIC, attempt)
            }
            Object::Datagram(_) | Object::Stream(_) => {
                self.send(Movement { caller, id, buffers, transfer: Transfer::default() }, None, attempt)
            }
        }
    }

    /// Writes to a queue; up to `atomic` bytes go all at once or not at all.
    pub(super) fn write_queue(
        &mut self,
        caller: Caller,
        queue: super::streams::QueueId,
        buffers: &Buffers,
        transfer: Transfer,
        atomic: usize,
        attempt: &mut Attempt,
    ) -> Outcome {
        let total = buffers.length();
        let state = self.queues.get(queue);
        if state.abandoned || state.ended {
            return match attempt.progress {
                0 => Err(self.broken_pipe(caller, transfer.no_signal)),
                progress => Ok(Flow::Return(progress as i64)),
            };
        }
        let room = state.room();
        if total > 0 && (room == 0 || total as usize <= atomic && room < total as usize) {
            return match (transfer.nonblocking, attempt.progress) {
                (true, 0) => Err(Errno::EAGAIN),
                (true, progress) => Ok(Flow::Return(progress as i64)),
                (false, _) => Ok(Flow::Block),
            };
        }
        let bytes = self.gather(caller, buffers, attempt.progress)?;
        let pushed = self.queues.get_mut(queue).push(&bytes);
        self.written.extend_from_slice(&bytes[..pushed]);
        attempt.progress += pushed as u64;
        self.touch();
        match transfer.nonblocking || attempt.progress == total {
            true => Ok(Flow::Return(attempt.progress as i64)),
            false => Ok(Flow::Block),
        }
    }

    /// The error of writing where nobody reads, with its signal.
    pub(super) fn broken_pipe(&mut self, caller: Caller, no_signal: bool) -> Errno {
        if !no_signal {
            self.raised.push((caller.tid, libc::SIGPIPE));
        }
        Errno::EPIPE
    }

    /// `lseek`.
    pub(super) fn seek(&mut self, caller: Caller, fd: i32, offset: i64, whence: i32) -> Outcome {
        let id = self.description_id(caller, fd)?;
        match &mut self.description_mut(id).object {
            Object::File => Ok(Flow::Native(After::Nothing)),
            Object::Directory(listing) => listing.seek(offset, whence),
            Object::Random | Object::Zero => Ok(Flow::Return(0)),
            _ => Err(Errno::ESPIPE),
        }
    }

    /// A call on a descriptor that only files of the host know.
    pub(super) fn on_file(&self, caller: Caller, fd: i32, otherwise: Errno) -> Outcome {
        let id = self.description_id(caller, fd)?;
        match &self.description(id).object {
            Object::File | Object::Directory(_) => Ok(Flow::Native(After::Nothing)),
            _ => Err(otherwise),
        }
    }

    pub(super) fn close(&self, caller: Caller, fd: i32) -> Outcome {
        self.description_id(caller, fd)?;
        Ok(Flow::Native(After::Close { fd }))
    }

    pub(super) fn copy(&self, caller: Caller, fd: i32, close_on_exec: bool) -> Outcome {
        self.description_id(caller, fd)?;
        Ok(Flow::Native(After::Copy { fd, close_on_exec }))
    }

    /// Whether `id` is a socket.
    pub(super) fn is_socket(&self, id: DescriptionId) -> bool {
        matches!(self.description(id).object, Object::Datagram(_) | Object::Stream(_))
    }
}
