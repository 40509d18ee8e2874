//! The kernel that programs see: their processes, threads, descriptors, sockets, clocks. It decides what every system call
//! returns, and never lets one block for real.
//!
//! A call is *attempted*. What cannot be answered yet is attempted again, in order of arrival, whenever the state has
//! changed, and once more when its deadline is due. Nothing here waits, traces or talks to the host's kernel: that is the
//! business of [`crate::supervisor`], to which every attempt returns a [`Flow`].

mod bytes;
mod clock;
mod descriptors;
mod directory;
mod dispatch;
mod epoll;
mod events;
mod files;
mod futex;
mod network;
mod options;
mod paths;
mod pipes;
mod poll;
mod processes;
mod procfs;
mod sockets;
mod status;
mod streams;
mod unix;

pub(crate) use descriptors::{Description, DescriptionId, Object};
pub(crate) use dispatch::{interruption, name as call_name};
pub use network::{Packet, Segment};
pub(crate) use processes::{Pid, Process, Resume, Thread, ThreadState, Tid, Turn};

use crate::memory::Memory;
use crate::random::{Purpose, RandomStream};
use crate::spec::{HostSpec, Switches};
use crate::time::{Nanos, Times};
use descriptors::Descriptions;
use futex::Futexes;
use network::Network;
use nix::errno::Errno;
use paths::Identities;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use streams::Queues;

/// A system call of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Names the call in the answer to it.
    pub(crate) id: u64,
    pub(crate) number: i32,
    pub(crate) arguments: [u64; 6],
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) tid: Tid,
    pub(crate) pid: Pid,
}

/// One attempt of a call, and what it keeps for the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Whether it has been attempted before.
    pub(crate) again: bool,
    /// Whether its deadline is due: the last attempt.
    pub(crate) expired: bool,
    /// Until when it waits at most.
    pub(crate) deadline: Option<Nanos>,
    /// Bytes moved by earlier attempts.
    pub(crate) progress: u64,
    /// Whether somebody has woken this very waiter.
    pub(crate) woken: bool,
}

/// What comes of an attempt.
#[derive(Debug)]
pub(crate) enum Flow {
    /// The call returns this number.
    Return(i64),
    /// It cannot return yet.
    Block,
    /// The host's kernel executes it; what it returns is told to [`Kernel::after`].
    Native(After),
    /// It returns a new descriptor of this description.
    Install { description: DescriptionId, close_on_exec: bool },
    /// It writes two new descriptors to this address and returns 0.
    InstallPair { descriptions: [DescriptionId; 2], close_on_exec: bool, address: u64 },
    /// It returns a new descriptor of this file of the host.
    InstallFile { file: OwnedFd, close_on_exec: bool },
    /// A new thread or process comes into being.
    Clone { flags: u64, clear_tid: u64 },
    /// The image is replaced.
    Exec,
    /// The thread ends, or with it its whole process.
    Exit { whole: bool },
    /// The caller stays runnable, but others come first.
    Yield,
    /// The host's kernel executes a wait for a signal that is there.
    Suspend,
}

/// What is left to do when the host's kernel has executed a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// A file was opened.
    Open {
        close_on_exec: bool,
        flags: i32,
    },
    /// A descriptor was closed.
    Close {
        fd: i32,
    },
    /// A range of descriptors was closed, or marked to be closed on exec.
    CloseRange {
        first: i32,
        last: i32,
        only_mark: bool,
    },
    /// A descriptor was copied; its number is the result.
    Copy {
        fd: i32,
        close_on_exec: bool,
    },
    /// A descriptor was marked to be closed on exec, or not.
    Mark {
        fd: i32,
        close_on_exec: bool,
    },
    /// What is known of a file was written to this address.
    Status {
        address: u64,
        extended: bool,
    },
    /// What is known of a file system was written to this address.
    FileSystem {
        address: u64,
    },
    /// A child was waited for.
    Wait {
        usage: u64,
    },
    /// Signals may have been sent.
    Signalled,
}

pub(crate) type Outcome = Result<Flow, Errno>;

/// What is the same during the whole life of a node.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) node: String,
    pub(crate) switches: Switches,
    pub(crate) call_cost: Nanos,
    /// Content of `/etc/hosts`.
    pub(crate) hosts: String,
}

/// The kernel of one node.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) config: Config,
    pub(crate) now: Nanos,
    pub(crate) processes: BTreeMap<Pid, Process>,
    pub(crate) threads: BTreeMap<Tid, Thread>,
    pub(crate) network: Network,
    /// Calls that were refused because there are none such here, by program and name, with how often.
    pub(crate) refused: BTreeMap<(String, Cow<'static, str>), u64>,
    /// Bytes that leave the program by the current call.
    pub(crate) written: Vec<u8>,
    /// Counts what has changed; a call that was attempted since need not be attempted again.
    pub(crate) changes: u64,
    /// Calls so far, which stand for the time that the program has computed.
    pub(crate) calls: u64,
    /// Signals that calls have raised in their callers.
    pub(crate) raised: Vec<(Tid, i32)>,
    descriptions: Descriptions,
    queues: Queues,
    futexes: Futexes,
    random: RandomStream,
    identifiers: RandomStream,
    images: RandomStream,
    identities: Identities,
    sequence: u64,
    /// Processes that have ended but that nobody has waited for, by parent.
    zombies: BTreeSet<(Pid, Pid)>,
}

impl Kernel {
    pub(crate) fn new(spec: &HostSpec) -> Self {
        let random = |purpose| RandomStream::new(spec.seed, &spec.node, purpose);
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for (name, address) in &spec.hosts {
            hosts += &format!("{address} {name}\n");
        }
        Self {
            config: Config {
                node: spec.node.clone(),
                switches: spec.switches,
                call_cost: spec.call_cost.into(),
                hosts,
            },
            now: Nanos::default(),
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            network: Network::new(spec.address, spec.switches.counted_ports),
            refused: BTreeMap::new(),
            written: Vec::new(),
            changes: 0,
            calls: 0,
            raised: Vec::new(),
            descriptions: Descriptions::default(),
            queues: Queues::default(),
            futexes: Futexes::default(),
            random: random(Purpose::Program),
            identifiers: random(Purpose::Identifier),
            images: random(Purpose::Image),
            identities: Identities::default(),
            sequence: 0,
            zombies: BTreeSet::new(),
        }
    }

    /// What the clocks show.
    pub(crate) fn times(&self) -> Times {
        Times::at(self.now)
    }

    /// Random bytes for a fresh image.
    pub(crate) fn image_random(&mut self) -> [u8; 16] {
        self.images.array()
    }

    /// The memory of a process that is there.
    fn memory(&self, pid: Pid) -> Rc<Memory> {
        Rc::clone(&self.processes[&pid].memory)
    }

    /// Notes that something has happened for which calls may wait.
    pub(crate) fn touch(&mut self) {
        self.changes += 1;
    }

    /// How often that was noted.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// A number that orders waiters.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// When the next deadline of a waiting call is due.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        let calls = self.threads.values().filter_map(|thread| match &thread.state {
            ThreadState::Waiting(wait) => wait.attempt.deadline,
            _ => None,
        });
        let held = self.is_held().then_some(self.now);
        calls.chain(self.next_timer()).chain(self.next_alarm()).chain(held).min()
    }
}
