//! From the supervisor to the first instruction of the program, in namespaces of its own.
//!
//! ```text
//! supervisor ──clone──► init (process 1: mounts, hostname; then only reaps) ──fork──► program (process 2: filter, exec)
//! ```
//!
//! Both children are copies of a process with other threads, so until `exec` they call nothing but the kernel: no
//! allocation, no locks, no panics. All strings are made beforehand, and what fails is told through a pipe as a [`Stage`].
//! When the supervisor's thread ends, the kernel kills init, and with it all processes of its namespace.

use crate::spec::Switches;
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A step of the way to `exec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Making the namespaces.
    Namespaces = 1,
    /// Mapping user and group of the supervisor into the namespace.
    Identity,
    /// Taking the mounts out of the host's sight.
    PrivateMounts,
    /// Mounting the node's own directories.
    Directories,
    /// Mounting `/proc` of the process namespace.
    Proc,
    /// Making everything else read-only.
    ReadOnly,
    /// Setting the host name.
    Hostname,
    /// Entering the working directory.
    WorkingDirectory,
    /// Making the program's process.
    Fork,
    /// Fixed addresses.
    Personality,
    /// Resource limits.
    Limits,
    /// Faults on reading the time-stamp counter.
    TimeStampCounter,
    /// Standard input and output.
    StandardFiles,
    /// The filter of system calls.
    Filter,
}

const STAGES: [Stage; 14] = [
    Stage::Namespaces,
    Stage::Identity,
    Stage::PrivateMounts,
    Stage::Directories,
    Stage::Proc,
    Stage::ReadOnly,
    Stage::Hostname,
    Stage::WorkingDirectory,
    Stage::Fork,
    Stage::Personality,
    Stage::Limits,
    Stage::TimeStampCounter,
    Stage::StandardFiles,
    Stage::Filter,
];

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "making namespaces for user, processes, mounts, network",
            Self::Identity => "mapping the user into the namespace",
            Self::PrivateMounts => "making mounts private",
            Self::Directories => "mounting the node's directories",
            Self::Proc => "mounting /proc",
            Self::ReadOnly => "making the host's files read-only",
            Self::Hostname => "setting the host name",
            Self::WorkingDirectory => "entering the working directory",
            Self::Fork => "making the program's process",
            Self::Personality => "switching address randomisation off",
            Self::Limits => "setting resource limits",
            Self::TimeStampCounter => "making reads of the time-stamp counter fault",
            Self::StandardFiles => "opening standard input and output",
            Self::Filter => "installing the filter of system calls",
        })
    }
}

/// A step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) stage: Stage,
    pub(crate) errno: Errno,
}

/// A directory or file of the host that the program sees in another place.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) source: CString,
    pub(crate) target: CString,
    pub(crate) writable: bool,
}

/// Everything that the children need.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) command: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) hostname: CString,
    /// In this order.
    pub(crate) binds: Vec<Bind>,
    /// As the program sees it.
    pub(crate) working_directory: CString,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
    pub(crate) filter: Vec<libc::sock_filter>,
    pub(crate) switches: Switches,
}

/// The user and group that programs see themselves as.
pub(crate) const USER: u32 = 1000;
/// Where the program finds the listener of its filter before `exec`; it is the lowest descriptor that is free then.
pub(crate) const LISTENER: RawFd = 4;
/// Where the children find the pipe through which they tell what failed.
const TOLD: RawFd = 3;
/// Bytes of stack; the layout of memory depends on it.
pub(crate) const STACK_BYTES: u64 = 8 << 20;
/// Descriptors of a process.
pub(crate) const FILES_MAX: u64 = 1024;

/// Init as the supervisor sees it.
#[derive(Debug)]
pub(crate) struct Init {
    /// Its process id.
    pub(crate) pid: i32,
    /// Written to once it is traced: it waits for that.
    go: File,
    /// What it or the program says has failed.
    told: File,
}

impl Init {
    /// Lets it go on.
    pub(crate) fn go(&mut self) -> Result<(), Errno> {
        self.go.write_all(&[1]).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }

    /// The step that failed, once one of the children has ended before `exec`.
    pub(crate) fn failed(&mut self) -> Option<Failed> {
        let mut message = [0; 5];
        self.told.read_exact(&mut message).ok()?;
        let stage = *STAGES.get(usize::from(message[0]).checked_sub(1)?)?;
        let errno = i32::from_le_bytes([message[1], message[2], message[3], message[4]]);
        Some(Failed { stage, errno: Errno::from_raw(errno) })
    }

    /// Kills it and, with it, all processes of its namespace.
    pub(crate) fn kill(&self) {
        // SAFETY: takes its arguments by value. The process is a child that nobody has waited for, so its id is its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

/// Starts init, which waits for [`Init::go`].
pub(crate) fn start(plan: &Plan) -> Result<Init, Failed> {
    let failed = |errno| Failed { stage: Stage::Namespaces, errno };
    let (waits, go) = pipe().map_err(failed)?;
    let (told, tells) = pipe().map_err(failed)?;
    let arguments = pointers(&plan.arguments);
    let environment = pointers(&plan.environment);
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let maps = [c_line(user.as_raw()), c_line(group.as_raw())];
    // The user namespace is what gives everyone the right to the others.
    let processes = if plan.switches.own_processes { libc::CLONE_NEWPID } else { 0 };
    let flags = libc::CLONE_NEWUSER
        | processes
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has its own copy of memory and this stack. It calls only `init`, which neither
    // allocates nor takes locks, and which does not return.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match Errno::result(pid).map_err(failed)? {
        0 => init(plan, &maps, &arguments, &environment, waits.as_raw_fd(), tells.as_raw_fd()),
        pid => Ok(Init { pid: pid as i32, go, told }),
    }
}

fn pipe() -> Result<(File, File), Errno> {
    let mut ends = [0; 2];
    // SAFETY: the call writes two integers, which `ends` are.
    Errno::result(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel made this descriptor for us just now; nobody else owns it.
    let reads = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let writes = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    Ok((reads.into(), writes.into()))
}

/// A line of a map of users: inside, outside, count.
fn c_line(outside: u32) -> CString {
    CString::new(format!("{USER} {outside} 1\n")).expect("digits hold no zero byte")
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// What happens in process 1.
fn init(
    plan: &Plan,
    maps: &[CString; 2],
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    waits: RawFd,
    tells: RawFd,
) -> ! {
    let mut byte = 0_u8;
    // SAFETY: the call writes at most one byte, which `byte` is.
    let told = unsafe { libc::read(waits, (&raw mut byte).cast(), 1) };
    if told != 1 {
        exit(0); // The supervisor is gone.
    }
    // SAFETY: takes its arguments by value.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let child = match prepare(plan, maps) {
        Ok(child) => child,
        Err(failed) => tell(tells, failed),
    };
    if child == 0 {
        let failed = match program(plan, tells) {
            // A trap tells the supervisor that the filter is there.
            Ok(()) => {
                // SAFETY: the instruction touches neither memory nor registers; the tracer takes its signal away.
                unsafe { std::arch::asm!("int3") };
                // SAFETY: all three are C strings and lists of them, which end in null.
                unsafe { libc::execve(plan.command.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
                exit(Errno::last_raw())
            }
            Err(failed) => failed,
        };
        tell(TOLD, failed);
    }
    // Init holds nothing that the supervisor waits for the end of, and reaps whoever has no parent any more.
    // SAFETY: takes its arguments by value.
    unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
    loop {
        let mut status = 0;
        // SAFETY: the call writes one integer, which `status` is.
        if unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) } == -1 {
            // SAFETY: takes no arguments.
            unsafe { libc::pause() };
        }
    }
}

fn exit(code: i32) -> ! {
    // SAFETY: takes its argument by value, and ends this process without running anything of it.
    unsafe { libc::_exit(code) }
}

fn tell(pipe: RawFd, failed: Failed) -> ! {
    let errno = (failed.errno as i32).to_le_bytes();
    let message = [failed.stage as u8, errno[0], errno[1], errno[2], errno[3]];
    // SAFETY: the call reads as many bytes as `message` has.
    unsafe { libc::write(pipe, message.as_ptr().cast(), message.len()) };
    exit(1)
}

fn checked<T: nix::errno::ErrnoSentinel + PartialEq>(stage: Stage, result: T) -> Result<T, Failed> {
    Errno::result(result).map_err(|errno| Failed { stage, errno })
}

/// Makes the world of the program, then its process: 0 in that process.
fn prepare(plan: &Plan, maps: &[CString; 2]) -> Result<i32, Failed> {
    write_file(c"/proc/self/setgroups", c"deny")?;
    write_file(c"/proc/self/uid_map", &maps[0])?;
    write_file(c"/proc/self/gid_map", &maps[1])?;
    mount(Stage::PrivateMounts, None, c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
    for bind in &plan.binds {
        mount(Stage::Directories, Some(&bind.source), &bind.target, None, libc::MS_BIND | libc::MS_REC)?;
    }
    if plan.switches.own_processes {
        let hardened = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        mount(Stage::Proc, Some(c"proc"), c"/proc", Some(c"proc"), hardened)?;
    }
    set_read_only(c"/", true)?;
    for bind in plan.binds.iter().filter(|bind| bind.writable) {
        set_read_only(&bind.target, false)?;
    }
    if plan.switches.own_name {
        // SAFETY: the call reads as many bytes as it is told from the string.
        let result = unsafe { libc::sethostname(plan.hostname.as_ptr(), plan.hostname.as_bytes().len()) };
        checked(Stage::Hostname, result)?;
    }
    // SAFETY: the path is a C string.
    checked(Stage::WorkingDirectory, unsafe { libc::chdir(plan.working_directory.as_ptr()) })?;
    // SAFETY: as for the first child: no CLONE_VM, and what follows neither allocates nor takes locks.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    checked(Stage::Fork, child).map(|child| child as i32)
}

fn write_file(path: &CStr, content: &CStr) -> Result<(), Failed> {
    // SAFETY: the path is a C string.
    let fd = checked(Stage::Identity, unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) })?;
    let content = content.to_bytes();
    // SAFETY: the call reads as many bytes as `content` has.
    checked(Stage::Identity, unsafe { libc::write(fd, content.as_ptr().cast(), content.len()) })?;
    // SAFETY: `fd` was opened above and is used nowhere else.
    unsafe { libc::close(fd) };
    Ok(())
}

fn mount(
    stage: Stage,
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
) -> Result<(), Failed> {
    let pointer = |string: Option<&CStr>| string.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: all strings are C strings or null.
    let result = unsafe { libc::mount(pointer(source), target.as_ptr(), pointer(kind), flags, ptr::null()) };
    checked(stage, result).map(drop)
}

/// Makes the mount at `path` read-only, with all below it, or writable, alone.
fn set_read_only(path: &CStr, read_only: bool) -> Result<(), Failed> {
    let (set, clear, flags) = match read_only {
        true => (libc::MOUNT_ATTR_RDONLY, 0, libc::AT_RECURSIVE),
        false => (0, libc::MOUNT_ATTR_RDONLY, 0),
    };
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let (here, size) = (libc::AT_FDCWD, size_of_val(&attributes));
    // SAFETY: the path is a C string, and the call reads as many bytes as `attributes` has.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, here, path.as_ptr(), flags, &raw const attributes, size) };
    checked(Stage::ReadOnly, result).map(drop)
}

/// What happens in process 2 before `exec`. The filter comes last: after it every call is the supervisor's.
fn program(plan: &Plan, tells: RawFd) -> Result<(), Failed> {
    // SAFETY: takes its argument by value.
    unsafe { libc::umask(0o022) };
    // SAFETY: takes no arguments.
    unsafe { libc::setsid() };
    for signal in 1..=64 {
        // SAFETY: the default disposition is no function of ours. Signals that cannot be set are none that were changed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: all-zero bytes are a value of this plain structure, the empty set.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the call reads one set, which `none` is.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
    if plan.switches.fixed_addresses {
        // SAFETY: takes its argument by value.
        checked(Stage::Personality, unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) })?;
    }
    if plan.switches.own_limits {
        limit(libc::RLIMIT_STACK, STACK_BYTES)?;
        limit(libc::RLIMIT_NOFILE, FILES_MAX)?;
        limit(libc::RLIMIT_CORE, 0)?;
    }
    let mode = if plan.switches.time_stamp_counter { libc::PR_TSC_SIGSEGV } else { libc::PR_TSC_ENABLE };
    // SAFETY: takes its arguments by value.
    checked(Stage::TimeStampCounter, unsafe { libc::prctl(libc::PR_SET_TSC, mode) })?;
    standard_files(plan, tells)?;
    install(&plan.filter)
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> Result<(), Failed> {
    let limits = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the call reads one `rlimit`, which `limits` is.
    checked(Stage::Limits, unsafe { libc::setrlimit(resource, &raw const limits) }).map(drop)
}

/// 0, 1, 2 are standard; 3 is the pipe that tells; nothing else is open.
fn standard_files(plan: &Plan, tells: RawFd) -> Result<(), Failed> {
    let stage = Stage::StandardFiles;
    // The descriptors that are to be moved may have low numbers themselves: first they all go high.
    let mut high = [0; 4];
    // SAFETY: the path is a C string.
    let null = checked(stage, unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) })?;
    for (fd, high) in [null, plan.stdout.as_raw_fd(), plan.stderr.as_raw_fd(), tells].into_iter().zip(&mut high) {
        // SAFETY: takes its arguments by value.
        *high = checked(stage, unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 64) })?;
    }
    for (target, high) in high.into_iter().enumerate() {
        let flags = if target as RawFd == TOLD { libc::O_CLOEXEC } else { 0 };
        // SAFETY: takes its arguments by value. What has been open there belongs to a copy of a process that ends here.
        checked(stage, unsafe { libc::dup3(high, target as RawFd, flags) })?;
    }
    // The listener's number has to be free in any case.
    let last = if plan.switches.own_descriptors { u32::MAX } else { LISTENER as u32 };
    // SAFETY: takes its arguments by value, as above.
    let result = unsafe { libc::syscall(libc::SYS_close_range, TOLD + 1, last, 0) };
    checked(stage, result).map(drop)
}

fn install(filter: &[libc::sock_filter]) -> Result<(), Failed> {
    // SAFETY: takes its arguments by value.
    checked(Stage::Filter, unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
        | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the call reads the program, which has as many instructions as it says.
    let listener =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    // From here on no other system call may be made before the trap.
    checked(Stage::Filter, listener).map(drop)
}
