//! What `/proc` tells of processes and threads: their names, numbers and states are theirs; what the host's kernel counts
//! for them (pages, time, switches) would be another in every run, so here all use the same memory and no time but that of
//! their calls.

use super::paths::Policy;
use super::{Caller, Kernel, Pid, ThreadState, Tid};
use crate::signals::Signals;
use crate::sys::bootstrap::USER;
use crate::time::Nanos;
use nix::errno::Errno;
use nix::unistd::{getpgid, getsid};

/// A file below `/proc` about a process, or about a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    who: Who,
    file: File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The process that asks.
    Process,
    /// The thread that asks.
    Thread,
    /// By its number, as programs know it.
    Number(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    Stat,
    Memory,
    Status,
    Groups,
}

/// What becomes of `/proc/` + `path`: files about processes are there, but not those that only tell of the moment.
pub(super) fn policy(path: &str) -> Policy {
    let Some((who, file)) = parts(path) else { return Policy::Absent };
    let about = |file| Policy::Process(About { who, file });
    match file {
        "stat" => about(File::Stat),
        "statm" => about(File::Memory),
        "status" => about(File::Status),
        "cgroup" => about(File::Groups),
        "autogroup" | "io" | "latency" | "numa_maps" | "oom_score" | "pagemap" | "sched" | "schedstat" | "smaps"
        | "smaps_rollup" | "stack" | "syscall" | "timers" | "wchan" => Policy::Absent,
        _ => Policy::Host,
    }
}

/// Whom a path is about, and the file; `None` if it is not about a process or thread.
fn parts(path: &str) -> Option<(Who, &str)> {
    let (who, file) = path.split_once('/').unwrap_or((path, ""));
    let number = |text: &str| text.parse().ok().map(Who::Number);
    let who = match who {
        "self" => Who::Process,
        "thread-self" => Who::Thread,
        digits => number(digits)?,
    };
    match file.strip_prefix("task/").and_then(|rest| rest.split_once('/')) {
        Some((thread, file)) => Some((number(thread)?, file)),
        None => Some((who, file)),
    }
}

/// Pages of 4 KiB that every process has, and those of them that are in memory: 64 and 16 MiB.
const PAGES: [u64; 2] = [16_384, 4_096];

const KIB_PER_PAGE: u64 = 4;

/// In `stat`, times are in hundredths of a second.
const TICK: u64 = Nanos::SECOND / 100;

impl Kernel {
    /// The text of a file about a process or thread.
    ///
    /// # Errors
    /// `ENOENT` if there is none such.
    pub(super) fn about_process(&self, caller: Caller, about: About) -> Result<String, Errno> {
        let tid = match about.who {
            Who::Process => self.numbered(self.processes[&caller.pid].number),
            Who::Thread => Some(caller.tid),
            Who::Number(number) => self.numbered(number),
        };
        let tid = tid.ok_or(Errno::ENOENT)?;
        let [pages, resident] = PAGES;
        Ok(match about.file {
            File::Stat => self.stat(caller, tid),
            File::Memory => format!("{pages} {resident} 0 0 0 0 0\n"),
            File::Status => self.status(caller, tid),
            File::Groups => "0::/\n".to_owned(),
        })
    }

    /// The thread with this number. The first thread of a process has that of the process.
    fn numbered(&self, number: i32) -> Option<Tid> {
        self.threads.iter().find(|(_, thread)| thread.number == number).map(|(&tid, _)| tid)
    }

    /// How programs know the process that the host calls `pid`; 0 if they do not.
    fn number_of(&self, pid: Option<Pid>) -> i32 {
        pid.and_then(|pid| self.processes.get(&pid)).map_or(0, |process| process.number)
    }

    /// The number of the process that has made `pid`. Process 1 takes care of those whose parents have ended.
    fn parent_of(&self, pid: Pid) -> i32 {
        self.number_of(self.processes[&pid].parent).max(1)
    }

    /// The letter and word for what a thread does: it runs if it asks, as one runs at a time.
    fn doing(&self, caller: Caller, tid: Tid) -> (char, &'static str) {
        match self.threads[&tid].state {
            _ if tid == caller.tid => ('R', "running"),
            ThreadState::Running | ThreadState::Ready(_) => ('R', "running"),
            ThreadState::Waiting(_) | ThreadState::Vfork => ('S', "sleeping"),
            ThreadState::Gone => ('Z', "zombie"),
        }
    }

    fn threads_of(&self, pid: Pid) -> usize {
        self.threads.values().filter(|thread| thread.pid == pid).count()
    }

    /// The 52 numbers of proc_pid_stat(5).
    fn stat(&self, caller: Caller, tid: Tid) -> String {
        let thread = &self.threads[&tid];
        let host = Some(nix::unistd::Pid::from_raw(thread.pid.0));
        let group = self.number_of(getpgid(host).ok().map(|group| Pid(group.as_raw())));
        let session = self.number_of(getsid(host).ok().map(|session| Pid(session.as_raw())));
        let (number, name, (letter, _)) = (thread.number, name_of(tid), self.doing(caller, tid));
        let (parent, threads) = (self.parent_of(thread.pid), self.threads_of(thread.pid));
        let (computed, started) = (self.computed().0 / TICK, self.processes[&thread.pid].started.0 / TICK);
        let [pages, resident] = PAGES;
        let bytes = pages * KIB_PER_PAGE * 1024;
        // No terminal, no faults; then priority 20, and limits and places that are not told; the last signal to the parent is 17.
        format!(
            "{number} ({name}) {letter} {parent} {group} {session} 0 -1 0 0 0 0 0 {computed} 0 0 0 20 0 {threads} 0 {started} {bytes} \
             {resident} {} 0 0 0 0 0 0 0 0 0 0 0 0 {} 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
            u64::MAX,
            libc::SIGCHLD
        )
    }

    /// The lines of proc_pid_status(5) that programs read.
    fn status(&self, caller: Caller, tid: Tid) -> String {
        let thread = &self.threads[&tid];
        let (name, (letter, word)) = (name_of(tid), self.doing(caller, tid));
        let process = self.processes[&thread.pid].number;
        let (parent, threads) = (self.parent_of(thread.pid), self.threads_of(thread.pid));
        let [size, resident] = PAGES.map(|pages| pages * KIB_PER_PAGE);
        let [blocked, ignored, caught] = Signals::of(tid.0).sets();
        let number = thread.number;
        format!(
            "Name:\t{name}\nState:\t{letter} ({word})\nTgid:\t{process}\nNgid:\t0\nPid:\t{number}\nPPid:\t{parent}\nTracerPid:\t0\n\
             Uid:\t{USER}\t{USER}\t{USER}\t{USER}\nGid:\t{USER}\t{USER}\t{USER}\t{USER}\nFDSize:\t64\nGroups:\t\n\
             VmPeak:\t{size:8} kB\nVmSize:\t{size:8} kB\nVmLck:\t       0 kB\nVmHWM:\t{resident:8} kB\nVmRSS:\t{resident:8} kB\n\
             VmSwap:\t       0 kB\nThreads:\t{threads}\nSigQ:\t0/4096\nSigPnd:\t{none:016x}\nShdPnd:\t{none:016x}\n\
             SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\nCapInh:\t{none:016x}\nCapPrm:\t{none:016x}\n\
             CapEff:\t{none:016x}\nCapBnd:\t{none:016x}\nCapAmb:\t{none:016x}\nNoNewPrivs:\t1\nSeccomp:\t2\n\
             Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n\
             voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
            none = 0,
        )
    }
}

/// The name that a thread has given itself, or that of its program.
fn name_of(tid: Tid) -> String {
    let name = std::fs::read(format!("/proc/{}/comm", tid.0)).unwrap_or_default();
    String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_count_are_ours_or_absent() {
        let about = |who, file| Policy::Process(About { who, file });
        assert_eq!(policy("self/stat"), about(Who::Process, File::Stat));
        assert_eq!(policy("thread-self/status"), about(Who::Thread, File::Status));
        assert_eq!(policy("12/statm"), about(Who::Number(12), File::Memory));
        assert_eq!(policy("self/task/13/stat"), about(Who::Number(13), File::Stat));
        assert_eq!(policy("self/smaps"), Policy::Absent);
        assert_eq!(policy("self/task/13/sched"), Policy::Absent);
        assert_eq!(policy("self/task/x/sched"), Policy::Absent);
        for host in ["self", "self/", "self/maps", "self/task", "self/task/13", "12", "12/cmdline", "self/fd/3"] {
            assert_eq!(policy(host), Policy::Host, "{host}");
        }
        for other in ["", "uptime", "stat", "12x/stat", "selfish"] {
            assert_eq!(parts(other), None, "{other}");
            assert_eq!(policy(other), Policy::Absent, "{other}");
        }
    }
}
