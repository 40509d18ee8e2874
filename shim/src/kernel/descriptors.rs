//! Descriptors, and the descriptions that several of them may share.
//!
//! Every descriptor exists in the host's kernel too, as a file or, for what is only ours, as a placeholder. So the host
//! keeps the rules of numbering: the lowest that is free, copies, `exec`, `fork`.

use super::clock::Timer;
use super::directory::Listing;
use super::epoll::Epoll;
use super::events::Counter;
use super::sockets::{DatagramSocket, StreamSocket};
use super::streams::QueueId;
use super::{Caller, Flow, Kernel, Pid};
use nix::errno::Errno;
use std::collections::BTreeMap;

/// An open description: what descriptors refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DescriptionId(u64);

/// What a program has open.
#[derive(Debug)]
pub(crate) enum Object {
    /// A file of the host.
    File,
    /// A directory of the host, with what is in it once it was listed.
    Directory(Listing),
    /// An endless file of random bytes.
    Random,
    /// An endless file of zeros.
    Zero,
    /// `eventfd`.
    Event(Counter),
    /// `timerfd`.
    Timer(Timer),
    /// `epoll`.
    Epoll(Epoll),
    /// The end of a pipe from which bytes are read.
    PipeReader(QueueId),
    /// The end of a pipe to which bytes are written.
    PipeWriter(QueueId),
    /// A socket for datagrams.
    Datagram(DatagramSocket),
    /// A socket for a stream of bytes, in any state.
    Stream(StreamSocket),
}

/// An open description.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) object: Object,
    /// Flags of the description, such as `O_NONBLOCK`.
    pub(crate) flags: i32,
    /// How many descriptors refer to it.
    references: u32,
}

impl Description {
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.flags & libc::O_NONBLOCK != 0
    }
}

/// All descriptions of a node.
#[derive(Debug, Default)]
pub(crate) struct Descriptions {
    map: BTreeMap<DescriptionId, Description>,
    next: u64,
}

impl Descriptions {
    fn add(&mut self, object: Object, flags: i32) -> DescriptionId {
        let id = DescriptionId(self.next);
        self.next += 1;
        self.map.insert(id, Description { object, flags, references: 0 });
        id
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (DescriptionId, &Description)> {
        self.map.iter().map(|(&id, description)| (id, description))
    }

    pub(super) fn get(&self, id: DescriptionId) -> Option<&Description> {
        self.map.get(&id)
    }
}

/// A descriptor of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    description: DescriptionId,
    close_on_exec: bool,
}

/// The descriptors of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct FdTable {
    entries: BTreeMap<i32, Entry>,
}

impl FdTable {
    /// Closes what is marked so; the descriptions that have one reference less.
    pub(super) fn close_on_exec(&mut self) -> Vec<DescriptionId> {
        let closed = self.entries.extract_if(.., |_, entry| entry.close_on_exec);
        closed.map(|(_, entry)| entry.description).collect()
    }

    /// All descriptions, once for every descriptor.
    pub(super) fn into_descriptions(self) -> impl Iterator<Item = DescriptionId> {
        self.entries.into_values().map(|entry| entry.description)
    }
}

impl Kernel {
    /// 0, 1 and 2.
    pub(super) fn standard_descriptors(&mut self) -> FdTable {
        let mut table = FdTable::default();
        for fd in 0..=2 {
            let description = self.descriptions.add(Object::File, 0);
            self.reference(description);
            table.entries.insert(fd, Entry { description, close_on_exec: false });
        }
        table
    }

    /// The descriptors of `pid` for a child of it.
    pub(super) fn copy_descriptors(&mut self, pid: Pid) -> FdTable {
        let table = self.processes[&pid].fds.clone();
        for entry in table.entries.values() {
            self.reference(entry.description);
        }
        table
    }

    /// The description behind descriptor `fd`.
    pub(super) fn description_id(&self, caller: Caller, fd: i32) -> Result<DescriptionId, Errno> {
        self.processes[&caller.pid].fds.entries.get(&fd).map(|entry| entry.description).ok_or(Errno::EBADF)
    }

    pub(super) fn description(&self, id: DescriptionId) -> &Description {
        &self.descriptions.map[&id]
    }

    pub(super) fn description_mut(&mut self, id: DescriptionId) -> &mut Description {
        self.descriptions.map.get_mut(&id).expect("descriptions live as long as descriptors refer to them")
    }

    /// Makes a description that no descriptor refers to yet.
    pub(super) fn describe(&mut self, object: Object, flags: i32) -> DescriptionId {
        self.descriptions.add(object, flags)
    }

    /// A new descriptor of a new description.
    pub(super) fn install(&mut self, object: Object, flags: i32, close_on_exec: bool) -> Flow {
        Flow::Install { description: self.describe(object, flags), close_on_exec }
    }

    fn reference(&mut self, id: DescriptionId) {
        self.description_mut(id).references += 1;
    }

    /// Takes a reference away; the last one closes the description.
    pub(super) fn release(&mut self, id: DescriptionId) {
        let description = self.description_mut(id);
        description.references = description.references.saturating_sub(1);
        if description.references == 0 {
            let description = self.descriptions.map.remove(&id).expect("it was there just now");
            self.close_object(id, description.object);
            self.touch();
        }
    }

    fn close_object(&mut self, id: DescriptionId, object: Object) {
        self.forget_interest(id);
        match object {
            Object::PipeReader(queue) => self.queues.close_reader(queue),
            Object::PipeWriter(queue) => self.queues.close_writer(queue),
            Object::Datagram(socket) => self.close_datagram(id, socket),
            Object::Stream(socket) => self.close_stream(id, socket),
            _ => {}
        }
    }

    /// Notes that `fd` refers to `description` from now on.
    pub(crate) fn opened(&mut self, pid: Pid, fd: i32, description: DescriptionId, close_on_exec: bool) {
        self.reference(description);
        let old = self.process(pid).fds.entries.insert(fd, Entry { description, close_on_exec });
        if let Some(old) = old {
            self.release(old.description);
        }
    }

    /// Notes that the host opened a file of its own as `fd`.
    pub(crate) fn opened_file(&mut self, pid: Pid, fd: i32, flags: i32, close_on_exec: bool) {
        let link = std::fs::metadata(format!("/proc/{}/fd/{fd}", pid.0));
        let object =
            if link.is_ok_and(|file| file.is_dir()) { Object::Directory(Listing::default()) } else { Object::File };
        let description = self.describe(object, flags);
        self.opened(pid, fd, description, close_on_exec);
    }

    /// Notes that `fd` is closed.
    pub(crate) fn closed(&mut self, pid: Pid, fd: i32) {
        if let Some(entry) = self.process(pid).fds.entries.remove(&fd) {
            self.release(entry.description);
        }
    }

    pub(crate) fn closed_range(&mut self, pid: Pid, first: i32, last: i32, only_mark: bool) {
        let table = &mut self.process(pid).fds.entries;
        if only_mark {
            table.range_mut(first..=last).for_each(|(_, entry)| entry.close_on_exec = true);
            return;
        }
        let closed: Vec<i32> = table.range(first..=last).map(|(&fd, _)| fd).collect();
        for fd in closed {
            self.closed(pid, fd);
        }
    }

    /// Notes that `copy` refers to what `fd` refers to.
    pub(crate) fn copied(&mut self, pid: Pid, fd: i32, copy: i32, close_on_exec: bool) {
        let Some(entry) = self.process(pid).fds.entries.get(&fd).copied() else { return };
        if fd != copy {
            self.opened(pid, copy, entry.description, close_on_exec);
        }
    }

    pub(crate) fn marked(&mut self, pid: Pid, fd: i32, close_on_exec: bool) {
        if let Some(entry) = self.process(pid).fds.entries.get_mut(&fd) {
            entry.close_on_exec = close_on_exec;
        }
    }

    /// Whether any descriptor of a description is left to install: one that never got a descriptor is dropped.
    pub(crate) fn drop_uninstalled(&mut self, id: DescriptionId) {
        if self.descriptions.get(id).is_some_and(|description| description.references == 0) {
            self.release(id);
        }
    }
}
