//! Which function answers which call.

use super::bytes::Buffers;
use super::files::Transfer;
use super::sockets::{Movement, NamePlace};
use super::{After, Attempt, Call, Caller, Flow, Kernel, Outcome};
use crate::time::Nanos;
use nix::errno::Errno;
use std::borrow::Cow;
use syscalls::Sysno;

/// `MEMBARRIER_CMD_QUERY` of `linux/membarrier.h`: which barriers there are.
const MEMBARRIER_QUERY: i32 = 0;

/// The name of a call; its number if it has none.
pub(crate) fn name(number: i32) -> Cow<'static, str> {
    let known = usize::try_from(number).ok().and_then(Sysno::new);
    known.map_or_else(|| format!("call {number}").into(), |call| call.name().into())
}

/// What the host's kernel is told of a waiting call that a signal interrupts, as a number of `include/linux/errno.h`.
pub(crate) fn interruption(number: i32) -> i64 {
    /// Attempted again if the handler is installed with `SA_RESTART`, or there is none.
    const RESTART: i64 = 512;
    /// Attempted again only if there is no handler.
    const RESTART_WITHOUT_HANDLER: i64 = 514;
    match usize::try_from(number).ok().and_then(Sysno::new) {
        Some(
            Sysno::read
            | Sysno::readv
            | Sysno::write
            | Sysno::writev
            | Sysno::accept
            | Sysno::accept4
            | Sysno::connect
            | Sysno::recvfrom
            | Sysno::recvmsg
            | Sysno::sendto
            | Sysno::sendmsg
            | Sysno::wait4
            | Sysno::waitid
            | Sysno::futex,
        ) => RESTART,
        _ => RESTART_WITHOUT_HANDLER,
    }
}

impl Kernel {
    /// Attempts a call.
    pub(crate) fn attempt(&mut self, caller: Caller, call: &Call, attempt: &mut Attempt) -> Outcome {
        match usize::try_from(call.number).ok().and_then(Sysno::new) {
            Some(number) => self.dispatch(number, caller, call, attempt),
            None => self.refuse(caller, call.number),
        }
    }

    /// Answers a call that is not supported, and keeps its name for the end.
    fn refuse(&mut self, caller: Caller, number: i32) -> Outcome {
        let program = std::fs::read_link(format!("/proc/{}/exe", caller.pid.0)).unwrap_or_default();
        let program = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        *self.refused.entry((program, name(number))).or_default() += 1;
        Err(Errno::ENOSYS)
    }

    fn dispatch(&mut self, number: Sysno, caller: Caller, call: &Call, attempt: &mut Attempt) -> Outcome {
        let [a, b, c, d, e, _] = call.arguments;
        let (fd, native) = (a as i32, Ok(Flow::Native(After::Nothing)));
        match number {
            // Time
            Sysno::clock_gettime | Sysno::gettimeofday | Sysno::time if !self.config.switches.time_calls => native,
            Sysno::clock_gettime => self.clock_gettime(caller, a as i32, b),
            Sysno::clock_getres => self.clock_getres(caller, a as i32, b),
            Sysno::gettimeofday => self.gettimeofday(caller, a, b),
            Sysno::time => self.time(caller, a),
            Sysno::nanosleep => self.sleep(caller, (libc::CLOCK_MONOTONIC, false), a, attempt),
            Sysno::clock_nanosleep => self.sleep(caller, (a as i32, b as i32 & libc::TIMER_ABSTIME != 0), c, attempt),
            Sysno::times => self.process_times(caller, a),
            Sysno::getrusage => self.usage(caller, b),
            Sysno::setitimer => self.setitimer(caller, a, b, c),
            Sysno::getitimer => self.getitimer(caller, a, b),
            Sysno::alarm => {
                let old = self.set_alarm(caller, Some((Nanos(a * Nanos::SECOND), Nanos(0))));
                Ok(Flow::Return(old.map_or(0, |(left, _)| left.0.div_ceil(Nanos::SECOND) as i64)))
            }
            Sysno::timerfd_create => self.timerfd_create(a as i32, b as i32),
            Sysno::timerfd_settime => self.timerfd_settime(caller, fd, b as i32, c, d),
            Sysno::timerfd_gettime => self.timerfd_gettime(caller, fd, b),

            // Threads and processes
            Sysno::futex => self.futex(caller, call, attempt),
            Sysno::sched_yield => Ok(Flow::Yield),
            Sysno::clone => self.clone(a, d),
            Sysno::clone3 => self.clone3(caller, call),
            Sysno::fork => self.clone(0, 0),
            Sysno::vfork => self.clone((libc::CLONE_VFORK | libc::CLONE_VM) as u64, 0),
            Sysno::execve => Ok(Flow::Exec),
            Sysno::exit => Ok(Flow::Exit { whole: false }),
            Sysno::exit_group => Ok(Flow::Exit { whole: true }),
            Sysno::wait4 => self.wait_for_child(caller, c as i32 & libc::WNOHANG != 0, d),
            Sysno::waitid => self.wait_for_child(caller, d as i32 & libc::WNOHANG != 0, e),
            Sysno::set_tid_address => self.set_tid_address(caller, a),
            Sysno::getpgid | Sysno::getsid | Sysno::setpgid | Sysno::setsid | Sysno::capget | Sysno::getgroups => {
                native
            }
            Sysno::prlimit64 => self.limits(caller, b, d),
            Sysno::getrlimit => self.limits(caller, a, b),
            Sysno::setrlimit | Sysno::setpriority | Sysno::sched_setaffinity | Sysno::sched_setscheduler => {
                Ok(Flow::Return(0))
            }
            Sysno::sched_getscheduler | Sysno::ioprio_get | Sysno::ioprio_set => Ok(Flow::Return(0)),
            Sysno::getpriority => Ok(Flow::Return(20)),
            Sysno::sched_getaffinity => self.affinity(caller, b, c),
            Sysno::getcpu => self.getcpu(caller, a, b),
            Sysno::uname => self.uname(caller, a),
            Sysno::sysinfo => self.sysinfo(caller, a),
            Sysno::prctl => self.prctl(a as i32),
            // No barrier is on offer, and none is needed: of the threads of a node one runs at a time.
            Sysno::membarrier if a as i32 == MEMBARRIER_QUERY && b == 0 => Ok(Flow::Return(0)),
            Sysno::membarrier => Err(Errno::EINVAL),
            // The C library asks for it at the start of every thread, and does without it on older kernels. Such a kernel
            // this one is on purpose: the memory that is shared by `rseq` tells on which processor a thread runs, and when it was
            // preempted. So this answer is no refusal to be told.
            Sysno::rseq => Err(Errno::ENOSYS),
            Sysno::personality => native,

            // Signals
            Sysno::kill | Sysno::tkill | Sysno::tgkill | Sysno::rt_sigqueueinfo | Sysno::rt_tgsigqueueinfo => {
                Ok(Flow::Native(After::Signalled))
            }
            Sysno::pause => Ok(Flow::Block),
            Sysno::rt_sigsuspend => {
                let blocked = self.memory(caller.pid).u64(a)?;
                let deliverable = crate::signals::Signals::of(caller.tid.0).deliverable_with(blocked);
                Ok(if deliverable { Flow::Suspend } else { Flow::Block })
            }
            Sysno::rt_sigtimedwait => self.sigtimedwait(caller, c, attempt),

            // Random numbers
            Sysno::getrandom => self.getrandom(caller, a, b),

            // Waiting for descriptors
            Sysno::poll => {
                let timeout = u64::try_from(c as i32).ok().map(|ms| Nanos(ms * 1_000_000));
                self.poll(caller, (a, b), timeout, attempt)
            }
            Sysno::ppoll => {
                let timeout = self.optional_timespec(caller, c, attempt)?;
                self.poll(caller, (a, b), timeout, attempt)
            }
            Sysno::select => {
                let timeout = match (e, attempt.again) {
                    (0, _) | (_, true) => None,
                    (at, false) => Some(self.timeval(caller, at)?),
                };
                self.select(caller, a, [b, c, d], timeout, attempt)
            }
            Sysno::pselect6 => {
                let timeout = self.optional_timespec(caller, e, attempt)?;
                self.select(caller, a, [b, c, d], timeout, attempt)
            }
            Sysno::epoll_create => self.epoll_create(0),
            Sysno::epoll_create1 => self.epoll_create(a as i32),
            Sysno::epoll_ctl => self.epoll_ctl(caller, fd, b as i32, c as i32, d),
            Sysno::epoll_wait | Sysno::epoll_pwait => {
                let timeout = u64::try_from(d as i32).ok().map(|ms| Nanos(ms * 1_000_000));
                self.epoll_wait(caller, fd, (b, c as i32), timeout, attempt)
            }
            Sysno::epoll_pwait2 => {
                let timeout = self.optional_timespec(caller, d, attempt)?;
                self.epoll_wait(caller, fd, (b, c as i32), timeout, attempt)
            }
            Sysno::eventfd => self.eventfd(a, 0),
            Sysno::eventfd2 => self.eventfd(a, b as i32),
            Sysno::pipe => self.pipe(a, 0),
            Sysno::pipe2 => self.pipe(a, b as i32),

            // Bytes
            Sysno::read => self.read(caller, fd, &Buffers::one(b, c), attempt),
            Sysno::readv => {
                let buffers = self.buffers(caller, b, c)?;
                self.read(caller, fd, &buffers, attempt)
            }
            Sysno::write => self.write(caller, fd, &Buffers::one(b, c), attempt),
            Sysno::writev => {
                let buffers = self.buffers(caller, b, c)?;
                self.write(caller, fd, &buffers, attempt)
            }
            Sysno::pread64 | Sysno::preadv | Sysno::pwrite64 | Sysno::pwritev => {
                self.on_file(caller, fd, Errno::ESPIPE)
            }
            Sysno::lseek => self.seek(caller, fd, b as i64, c as i32),
            Sysno::close => self.close(caller, fd),
            Sysno::close_range => Ok(Flow::Native(After::CloseRange {
                first: i32::try_from(a).unwrap_or(i32::MAX),
                last: i32::try_from(b).unwrap_or(i32::MAX),
                only_mark: c & u64::from(libc::CLOSE_RANGE_CLOEXEC) != 0,
            })),
            Sysno::dup | Sysno::dup2 => self.copy(caller, fd, false),
            Sysno::dup3 => self.copy(caller, fd, c as i32 & libc::O_CLOEXEC != 0),
            Sysno::fcntl => self.fcntl(caller, fd, b as i32, c),
            Sysno::ioctl => self.ioctl(caller, fd, b, c),
            _ => self.dispatch_files(number, caller, call, attempt),
        }
    }

    fn dispatch_files(&mut self, number: Sysno, caller: Caller, call: &Call, attempt: &mut Attempt) -> Outcome {
        let [a, b, c, d, _, _] = call.arguments;
        let (fd, native) = (a as i32, Ok(Flow::Native(After::Nothing)));
        match number {
            Sysno::open => self.open(caller, a, b as i32),
            Sysno::creat => self.open(caller, a, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
            Sysno::openat => self.open(caller, b, c as i32),
            Sysno::stat | Sysno::lstat => self.about_path(caller, a, After::Status { address: b, extended: false }),
            Sysno::newfstatat => {
                let empty =
                    d as i32 & libc::AT_EMPTY_PATH != 0 && self.memory(caller.pid).text(b).is_ok_and(|p| p.is_empty());
                match empty && fd >= 0 {
                    true => self.fstat(caller, fd, c),
                    false => self.about_path(caller, b, After::Status { address: c, extended: false }),
                }
            }
            Sysno::fstat => self.fstat(caller, fd, b),
            Sysno::statx => self.about_path(caller, b, After::Status { address: call.arguments[4], extended: true }),
            Sysno::access | Sysno::readlink | Sysno::chdir => self.about_path(caller, a, After::Nothing),
            Sysno::faccessat | Sysno::faccessat2 | Sysno::readlinkat => self.about_path(caller, b, After::Nothing),
            Sysno::statfs => self.about_path(caller, a, After::FileSystem { address: b }),
            Sysno::fstatfs => self.fstatfs(caller, fd, b),
            Sysno::getdents64 => self.getdents(caller, fd, b, c),
            Sysno::getcwd
            | Sysno::mkdir
            | Sysno::mkdirat
            | Sysno::rmdir
            | Sysno::unlink
            | Sysno::unlinkat
            | Sysno::rename
            | Sysno::renameat
            | Sysno::renameat2
            | Sysno::link
            | Sysno::linkat
            | Sysno::symlink
            | Sysno::symlinkat
            | Sysno::truncate
            | Sysno::chmod
            | Sysno::fchmodat
            | Sysno::chown
            | Sysno::lchown
            | Sysno::fchownat
            | Sysno::utime
            | Sysno::utimes
            | Sysno::futimesat
            | Sysno::utimensat
            | Sysno::sync => native,
            Sysno::fchdir
            | Sysno::ftruncate
            | Sysno::fsync
            | Sysno::fdatasync
            | Sysno::fchmod
            | Sysno::fchown
            | Sysno::flock => self.on_file(caller, fd, Errno::EINVAL),
            Sysno::fadvise64 | Sysno::readahead | Sysno::sync_file_range => Ok(Flow::Return(0)),
            Sysno::fallocate => Err(Errno::EOPNOTSUPP),
            Sysno::getxattr | Sysno::lgetxattr | Sysno::fgetxattr => Err(Errno::ENODATA),
            Sysno::listxattr | Sysno::llistxattr | Sysno::flistxattr => Ok(Flow::Return(0)),
            Sysno::mlockall | Sysno::munlockall => Ok(Flow::Return(0)),
            // Programs read and write themselves instead.
            Sysno::sendfile | Sysno::splice => Err(Errno::EINVAL),
            Sysno::copy_file_range => Err(Errno::EXDEV),
            _ => self.dispatch_sockets(number, caller, call, attempt),
        }
    }

    fn dispatch_sockets(&mut self, number: Sysno, caller: Caller, call: &Call, attempt: &mut Attempt) -> Outcome {
        let [a, b, c, d, e, f] = call.arguments;
        let fd = a as i32;
        match number {
            Sysno::socket => self.socket(a as i32, b as i32, c as i32),
            Sysno::socketpair => self.socketpair(a as i32, b as i32, d),
            Sysno::bind => self.bind(caller, fd, b, c),
            Sysno::listen => self.listen(caller, fd, b as i32),
            Sysno::accept => self.accept(caller, fd, (b, c), 0, attempt),
            Sysno::accept4 => self.accept(caller, fd, (b, c), d as i32, attempt),
            Sysno::connect => self.connect(caller, fd, (b, c), attempt),
            Sysno::getsockname => self.socket_name(caller, fd, b, c, false),
            Sysno::getpeername => self.socket_name(caller, fd, b, c, true),
            Sysno::setsockopt => self.setsockopt(caller, fd, (b as i32, c as i32), d, e),
            Sysno::getsockopt => self.getsockopt(caller, fd, (b as i32, c as i32), d, e),
            Sysno::shutdown => self.shutdown(caller, fd, b as i32),
            Sysno::sendto => {
                let id = self.description_id(caller, fd)?;
                let target = if e == 0 { None } else { Some(self.read_address(caller, e, f)?) };
                let (buffers, transfer) = (&Buffers::one(b, c), transfer(d as i32));
                self.send(Movement { caller, id, buffers, transfer }, target, attempt)
            }
            Sysno::recvfrom => {
                let id = self.description_id(caller, fd)?;
                let place = self.name_place(caller, e, f)?;
                let (buffers, transfer) = (&Buffers::one(b, c), transfer(d as i32));
                self.receive(Movement { caller, id, buffers, transfer }, attempt, Some(place))
            }
            Sysno::sendmsg => self.sendmsg(caller, fd, b, c as i32, attempt),
            Sysno::recvmsg => self.recvmsg(caller, fd, b, c as i32, attempt),
            Sysno::sendmmsg => self.several(caller, (b, c), d as i32, attempt, |kernel, at, flags, attempt| {
                kernel.sendmsg(caller, fd, at, flags, attempt)
            }),
            Sysno::recvmmsg => self.several(caller, (b, c), d as i32, attempt, |kernel, at, flags, attempt| {
                kernel.recvmsg(caller, fd, at, flags, attempt)
            }),
            _ => self.refuse(caller, call.number),
        }
    }

    fn optional_timespec(&self, caller: Caller, address: u64, attempt: &Attempt) -> Result<Option<Nanos>, Errno> {
        match (address, attempt.again) {
            (0, _) | (_, true) => Ok(None),
            (address, false) => self.timespec(caller, address).map(Some),
        }
    }

    fn getcpu(&self, caller: Caller, processor: u64, node: u64) -> Outcome {
        for address in [processor, node].into_iter().filter(|&address| address != 0) {
            self.memory(caller.pid).put_u32(address, 0)?;
        }
        Ok(Flow::Return(0))
    }

    /// Of what processes can ask for themselves, names and the signal at their parent's death are harmless.
    fn prctl(&self, option: i32) -> Outcome {
        match option {
            libc::PR_SET_NAME
            | libc::PR_GET_NAME
            | libc::PR_SET_PDEATHSIG
            | libc::PR_GET_PDEATHSIG
            | libc::PR_CAPBSET_READ
            | libc::PR_GET_NO_NEW_PRIVS
            | libc::PR_SET_NO_NEW_PRIVS
            | libc::PR_GET_KEEPCAPS => Ok(Flow::Native(After::Nothing)),
            libc::PR_SET_DUMPABLE | libc::PR_SET_TIMERSLACK | libc::PR_SET_THP_DISABLE => Ok(Flow::Return(0)),
            libc::PR_GET_DUMPABLE => Ok(Flow::Return(1)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn sigtimedwait(&self, caller: Caller, timeout: u64, attempt: &mut Attempt) -> Outcome {
        if !attempt.again && timeout != 0 {
            attempt.deadline = Some(self.now.after(self.timespec(caller, timeout)?));
        }
        if crate::signals::is_pending(caller.tid.0) {
            // The host's kernel answers at once.
            return Ok(Flow::Native(After::Nothing));
        }
        if attempt.expired || attempt.deadline == Some(self.now) { Err(Errno::EAGAIN) } else { Ok(Flow::Block) }
    }

    fn message(&self, caller: Caller, address: u64) -> Result<(NamePlace, Buffers), Errno> {
        let memory = self.memory(caller.pid);
        let [name, length, list, count] = memory.words(address)?;
        let room = length as u32;
        Ok((NamePlace { address: name, length_at: address + 8, room }, self.buffers(caller, list, count)?))
    }

    fn sendmsg(&mut self, caller: Caller, fd: i32, message: u64, flags: i32, attempt: &mut Attempt) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let (place, buffers) = self.message(caller, message)?;
        if self.memory(caller.pid).u64(message + 40)? != 0 {
            // Descriptors and credentials do not travel.
            return Err(Errno::EINVAL);
        }
        let target = match place.address {
            0 => None,
            address => Some(self.read_address(caller, address, u64::from(place.room))?),
        };
        self.send(Movement { caller, id, buffers: &buffers, transfer: transfer(flags) }, target, attempt)
    }

    fn recvmsg(&mut self, caller: Caller, fd: i32, message: u64, flags: i32, attempt: &mut Attempt) -> Outcome {
        let id = self.description_id(caller, fd)?;
        let (place, buffers) = self.message(caller, message)?;
        let movement = Movement { caller, id, buffers: &buffers, transfer: transfer(flags) };
        let flow = self.receive(movement, attempt, Some(place))?;
        if matches!(flow, Flow::Return(_)) {
            // No control data, no flags.
            self.memory(caller.pid).put_words(message + 40, &[0])?;
            self.memory(caller.pid).put_u32(message + 48, 0)?;
        }
        Ok(flow)
    }

    /// `sendmmsg` and `recvmmsg`: `one` message, at its address and with its flags, after the other. The first one may wait, the
    /// others go as far as they can at once.
    fn several(
        &mut self,
        caller: Caller,
        (address, count): (u64, u64),
        flags: i32,
        attempt: &mut Attempt,
        one: impl Fn(&mut Self, u64, i32, &mut Attempt) -> Outcome,
    ) -> Outcome {
        /// Bytes of `struct mmsghdr`.
        const ENTRY: u64 = 64;
        let mut done = 0;
        while done < count.min(1024) {
            let at = address + done * ENTRY;
            let flags = if done == 0 { flags } else { flags | libc::MSG_DONTWAIT };
            match one(self, at, flags, attempt) {
                Ok(Flow::Return(length)) => self.memory(caller.pid).put_u32(at + 56, length as u32)?,
                other if done == 0 => return other,
                _ => break,
            }
            done += 1;
        }
        Ok(Flow::Return(done as i64))
    }
}

fn transfer(flags: i32) -> Transfer {
    Transfer {
        nonblocking: flags & libc::MSG_DONTWAIT != 0,
        peek: flags & libc::MSG_PEEK != 0,
        all: flags & libc::MSG_WAITALL != 0,
        no_signal: flags & libc::MSG_NOSIGNAL != 0,
    }
}
