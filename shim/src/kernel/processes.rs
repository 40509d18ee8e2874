//! Processes and threads: who there is, what each is doing, and the calls that make, end and ask about them.

use super::descriptors::FdTable;
use super::{After, Attempt, Call, Caller, Flow, Kernel, Outcome};
use crate::image::TimePage;
use crate::memory::Memory;
use crate::random::host_random;
use crate::sys::bootstrap::{FILES_MAX, STACK_BYTES};
use crate::time::Nanos;
use nix::errno::Errno;
use std::rc::Rc;

/// A thread, by the host's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tid(pub(crate) i32);

/// A process, by the host's number for its first thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pid(pub(crate) i32);

/// A process with what its threads share.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) memory: Rc<Memory>,
    pub(crate) fds: FdTable,
    pub(crate) parent: Option<Pid>,
    /// When it began, as its clocks count.
    pub(super) started: Nanos,
    /// As the program knows it.
    pub(crate) number: i32,
    pub(crate) time_page: Option<TimePage>,
    /// What its time page shows.
    pub(crate) shown: Option<Nanos>,
    /// When its alarm rings, and after which span it rings again.
    pub(crate) alarm: Option<(Nanos, Nanos)>,
    /// Its parent waits in `vfork` until it has an image of its own or ends.
    pub(crate) vfork_parent: Option<Tid>,
}

/// A thread.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) pid: Pid,
    /// As the program knows it.
    pub(crate) number: i32,
    pub(crate) state: ThreadState,
    /// What is set to 0, and woken, when it ends.
    pub(crate) clear_tid: u64,
}

/// What a thread is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ThreadState {
    /// It runs.
    Running,
    /// It has made a call that cannot return yet.
    Waiting(Wait),
    /// It could run, and waits for its turn.
    Ready(Ready),
    /// It waits in the host's kernel for a child to have an image of its own or to end.
    Vfork,
    /// It is about to end, or has ended as the first thread of a process that goes on.
    Gone,
}

/// A call that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) call: Call,
    pub(crate) attempt: Attempt,
    pub(crate) sequence: u64,
    /// [`Kernel::changes`] at the last attempt.
    pub(crate) seen: u64,
}

impl Wait {
    /// Not attempted yet.
    const NEVER: u64 = u64::MAX;
}

/// How a thread whose turn has come goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) sequence: u64,
    pub(crate) resume: Resume,
}

/// What lets a thread go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// The answer to its call.
    Answer { id: u64, value: i64 },
    /// It is stopped by its tracer, and goes on with this signal if it is not 0.
    Stopped { signal: i32 },
}

/// A thread whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It goes on.
    Resume(Resume),
    /// Its call is attempted again.
    Attempt(Call, Attempt),
}

impl Kernel {
    /// Who runs.
    pub(crate) fn is_running(&self) -> bool {
        self.threads.values().any(|thread| thread.state == ThreadState::Running)
    }

    /// Whose turn it is: of those that wait, first come, first served; calls that nothing has happened for are left out.
    pub(crate) fn candidates(&self) -> Vec<(Tid, Turn)> {
        let mut turns: Vec<(u64, Tid, Turn)> = Vec::new();
        for (&tid, thread) in &self.threads {
            match &thread.state {
                ThreadState::Ready(Ready { sequence, resume }) => turns.push((*sequence, tid, Turn::Resume(*resume))),
                ThreadState::Waiting(wait) if wait.seen != self.changes => {
                    turns.push((wait.sequence, tid, Turn::Attempt(wait.call, wait.attempt)));
                }
                _ => {}
            }
        }
        turns.sort_unstable_by_key(|&(sequence, tid, _)| (sequence, tid));
        turns.into_iter().map(|(_, tid, turn)| (tid, turn)).collect()
    }

    /// The waiting call whose deadline is due: the earliest, and of equal ones the first come.
    pub(crate) fn expired(&self) -> Option<(Tid, Call, Attempt)> {
        let waits = self.threads.iter().filter_map(|(&tid, thread)| match &thread.state {
            ThreadState::Waiting(wait) => {
                let deadline = wait.attempt.deadline.filter(|&deadline| deadline <= self.now)?;
                let order = if self.config.switches.deadline_order { wait.sequence } else { host_random() };
                Some(((deadline, order), tid, wait))
            }
            _ => None,
        });
        let (_, tid, wait) = waits.min_by_key(|&(key, ..)| key)?;
        Some((tid, wait.call, Attempt { expired: true, ..wait.attempt }))
    }

    /// Notes that `tid` waits for its call.
    pub(crate) fn wait(&mut self, tid: Tid, call: Call, attempt: Attempt) {
        let sequence = match &self.threads[&tid].state {
            ThreadState::Waiting(wait) if attempt.again => wait.sequence,
            _ => self.next_sequence(),
        };
        let attempt = Attempt { again: true, expired: false, ..attempt };
        let wait = Wait { call, attempt, sequence, seen: self.changes };
        self.thread(tid).state = ThreadState::Waiting(wait);
    }

    /// Notes that `tid` has made a call that is not attempted now.
    pub(crate) fn postpone(&mut self, tid: Tid, call: Call) {
        let sequence = self.next_sequence();
        let wait = Wait { call, attempt: Attempt::default(), sequence, seen: Wait::NEVER };
        self.thread(tid).state = ThreadState::Waiting(wait);
    }

    /// Whether somebody could run on.
    pub(super) fn is_held(&self) -> bool {
        self.threads.values().any(|thread| match &thread.state {
            ThreadState::Ready(_) => true,
            ThreadState::Waiting(wait) => wait.seen == Wait::NEVER,
            _ => false,
        })
    }

    /// Puts `tid` behind all others that could run.
    pub(crate) fn ready(&mut self, tid: Tid, resume: Resume) {
        let sequence = self.next_sequence();
        self.thread(tid).state = ThreadState::Ready(Ready { sequence, resume });
    }

    pub(crate) fn thread(&mut self, tid: Tid) -> &mut Thread {
        self.threads.get_mut(&tid).expect("threads are known from their first stop to their end")
    }

    pub(crate) fn process(&mut self, pid: Pid) -> &mut Process {
        self.processes.get_mut(&pid).expect("processes are known as long as they have threads")
    }

    /// Adds the first process.
    pub(crate) fn add_first(&mut self, pid: Pid, number: i32, memory: Memory) {
        let fds = self.standard_descriptors();
        let process = Process {
            memory: Rc::new(memory),
            fds,
            parent: None,
            started: self.times().monotonic,
            number,
            time_page: None,
            shown: None,
            alarm: None,
            vfork_parent: None,
        };
        self.processes.insert(pid, process);
        let thread = Thread { pid, number, state: ThreadState::Running, clear_tid: 0 };
        self.threads.insert(Tid(pid.0), thread);
    }

    /// Adds the thread `child` that `caller` has made with `flags` of clone, ready to run.
    pub(crate) fn add_clone(
        &mut self,
        caller: Caller,
        child: Tid,
        number: i32,
        flags: u64,
        clear_tid: u64,
        memory: Option<Memory>,
    ) {
        let has = |flag: i32| flags & flag as u64 != 0;
        let clear_tid = if has(libc::CLONE_CHILD_CLEARTID) { clear_tid } else { 0 };
        let pid = if has(libc::CLONE_THREAD) { caller.pid } else { Pid(child.0) };
        if !has(libc::CLONE_THREAD) {
            let fds = self.copy_descriptors(caller.pid);
            let parent = &self.processes[&caller.pid];
            let process = Process {
                memory: memory.map_or_else(|| Rc::clone(&parent.memory), Rc::new),
                fds,
                parent: Some(caller.pid),
                started: self.times().monotonic,
                number,
                time_page: parent.time_page,
                shown: parent.shown,
                alarm: None,
                vfork_parent: has(libc::CLONE_VFORK).then_some(caller.tid),
            };
            self.processes.insert(pid, process);
        }
        self.threads.insert(child, Thread { pid, number, state: ThreadState::Running, clear_tid });
        self.ready(child, Resume::Stopped { signal: 0 });
    }

    /// Notes that thread `tid` has ended.
    pub(crate) fn remove_thread(&mut self, tid: Tid) {
        let Some(thread) = self.threads.remove(&tid) else { return };
        self.futexes.forget(tid);
        if thread.clear_tid != 0 {
            self.wake_all(thread.pid, thread.clear_tid);
        }
        self.touch();
    }

    /// Notes that the first thread of a process has ended while others go on.
    pub(crate) fn first_thread_gone(&mut self, tid: Tid) {
        let thread = self.thread(tid);
        let (pid, address) = (thread.pid, std::mem::take(&mut thread.clear_tid));
        if address != 0 {
            self.wake_all(pid, address);
        }
        self.touch();
    }

    /// Takes `tid` out of whatever it waits in.
    pub(crate) fn forget_waiter(&mut self, tid: Tid) {
        self.futexes.forget(tid);
    }

    /// Notes that process `pid` has ended, with all its threads.
    pub(crate) fn remove_process(&mut self, pid: Pid) {
        let Some(mut process) = self.processes.remove(&pid) else { return };
        for entry in std::mem::take(&mut process.fds).into_descriptions() {
            self.release(entry);
        }
        if let Some(parent) = process.parent.filter(|parent| self.processes.contains_key(parent)) {
            self.zombies.insert((parent, pid));
        }
        // Children of a process that ends belong to init, which waits for all.
        self.zombies.retain(|&(parent, _)| parent != pid);
        for other in self.processes.values_mut().filter(|other| other.parent == Some(pid)) {
            other.parent = None;
        }
        self.touch();
    }

    /// Notes that `pid` has a new image.
    pub(crate) fn replace_image(&mut self, pid: Pid, memory: Memory) {
        let closed = self.process(pid).fds.close_on_exec();
        for description in closed {
            self.release(description);
        }
        let process = self.process(pid);
        process.memory = Rc::new(memory);
        process.time_page = None;
        process.shown = None;
    }

    /// `clone`, `clone3`, `fork`, `vfork`.
    pub(super) fn clone(&self, flags: u64, clear_tid: u64) -> Outcome {
        let namespaces = libc::CLONE_NEWNS
            | libc::CLONE_NEWCGROUP
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUSER
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET;
        let refused = namespaces | libc::CLONE_PTRACE | libc::CLONE_UNTRACED | libc::CLONE_PARENT | libc::CLONE_PIDFD;
        match flags & refused as u64 {
            0 => Ok(Flow::Clone { flags, clear_tid }),
            _ => Err(Errno::EPERM),
        }
    }

    pub(super) fn clone3(&self, caller: Caller, call: &Call) -> Outcome {
        let memory = self.memory(caller.pid);
        let [flags, _pidfd, child_tid] = memory.words(call.arguments[0])?;
        self.clone(flags, child_tid)
    }

    /// `wait4` and `waitid`: the host's kernel is asked once a child has ended, so that it answers at once.
    pub(super) fn wait_for_child(&self, caller: Caller, no_hang: bool, usage: u64) -> Outcome {
        let ended = self.zombies.iter().any(|&(parent, _)| parent == caller.pid);
        let children = ended || self.processes.values().any(|process| process.parent == Some(caller.pid));
        if ended || no_hang || !children { Ok(Flow::Native(After::Wait { usage })) } else { Ok(Flow::Block) }
    }

    /// Forgets the children of `parent` that have been waited for: `number` as the program knows it.
    pub(crate) fn reaped(&mut self, parent: Pid) {
        // Whether a zombie is still there is asked of the host, which knows it by its number.
        self.zombies
            .retain(|&(of, child)| of != parent || std::path::Path::new(&format!("/proc/{}", child.0)).exists());
    }

    pub(super) fn set_tid_address(&mut self, caller: Caller, address: u64) -> Outcome {
        self.thread(caller.tid).clear_tid = address;
        Ok(Flow::Native(After::Nothing))
    }

    /// `prlimit64`, `getrlimit`, `setrlimit`: limits are constants, and setting them is accepted.
    pub(super) fn limits(&self, caller: Caller, resource: u64, old: u64) -> Outcome {
        if !self.config.switches.own_limits {
            return Ok(Flow::Native(After::Nothing));
        }
        if old != 0 {
            let limit = match resource as u32 {
                libc::RLIMIT_STACK => STACK_BYTES,
                libc::RLIMIT_NOFILE => FILES_MAX,
                libc::RLIMIT_CORE => 0,
                libc::RLIMIT_NPROC => 4096,
                _ => libc::RLIM_INFINITY,
            };
            self.memory(caller.pid).put_words(old, &[limit, limit])?;
        }
        Ok(Flow::Return(0))
    }

    /// `sched_getaffinity`: one processor.
    pub(super) fn affinity(&self, caller: Caller, length: u64, address: u64) -> Outcome {
        if !self.config.switches.one_processor {
            return Ok(Flow::Native(After::Nothing));
        }
        if length < 8 {
            return Err(Errno::EINVAL);
        }
        self.memory(caller.pid).put_words(address, &[1])?;
        Ok(Flow::Return(8))
    }

    /// `uname`: the node's name, and a kernel that is the same on every machine.
    pub(super) fn uname(&self, caller: Caller, address: u64) -> Outcome {
        if !self.config.switches.own_name {
            return Ok(Flow::Native(After::Nothing));
        }
        const FIELD: usize = 65;
        let fields = ["Linux", &self.config.node, "6.1.0", "#1 SMP tidelock", "x86_64", "(none)"];
        let mut bytes = vec![0; FIELD * fields.len()];
        for (field, text) in bytes.chunks_mut(FIELD).zip(fields) {
            let length = text.len().min(FIELD - 1);
            field[..length].copy_from_slice(&text.as_bytes()[..length]);
        }
        self.memory(caller.pid).write(address, &bytes)?;
        Ok(Flow::Return(0))
    }

    /// `sysinfo`: a machine of 1 GiB.
    pub(super) fn sysinfo(&self, caller: Caller, address: u64) -> Outcome {
        const BYTES: u64 = 1 << 30;
        let mut words = [0; 14];
        words[0] = self.times().monotonic.seconds();
        words[4] = BYTES; // totalram
        words[5] = BYTES / 2; // freeram
        words[10] = 1; // procs, and what pads it
        words[13] = 1; // mem_unit, and what pads it
        self.memory(caller.pid).put_words(address, &words)?;
        Ok(Flow::Return(0))
    }
}
