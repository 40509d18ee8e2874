//! What a host is asked to run.

use crate::supervisor::SpawnError;
use nix::errno::Errno;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program with its world.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Name of the node; also its host name.
    pub node: String,
    /// The program: a path, or a name that is looked for in the `PATH` of [`environment`](Self::environment).
    pub command: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// Its environment, all of it, in order. [`default_environment`] is a start.
    pub environment: Vec<(String, String)>,
    /// A directory of the host for this node alone. `work` (the working directory), `tmp`, `stdout`, `stderr` and `trace`
    /// are made in it.
    pub directory: PathBuf,
    /// Files and directories that are copied into the working directory before the program starts: from where, to which name.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// The node's address.
    pub address: Ipv4Addr,
    /// Names and addresses of all nodes, as `/etc/hosts` lists them.
    pub hosts: Vec<(String, Ipv4Addr)>,
    /// What all randomness of the program derives from.
    pub seed: u64,
    /// What is written down of its system calls.
    pub trace: TraceLevel,
    /// Processor time that the program may use at one moment of its own time. Beyond it the host fails: programs that wait
    /// for time to pass by looking at it never see it pass. It fails too if for so long nothing happens at all.
    pub watchdog: Duration,
    /// The processor that the program and its supervisor share; any if not given, or if it may not be used here. It changes
    /// no result; whoever advances the host does so fastest from there.
    pub cpu: Option<usize>,
    /// What every system call costs of the program's own time; 0 if running takes no time.
    pub call_cost: Duration,
    /// Mechanisms that tests switch off.
    #[doc(hidden)]
    pub switches: Switches,
}

impl HostSpec {
    /// `command` without arguments on a node of its own, with what is usual otherwise.
    #[must_use]
    pub fn new(node: impl Into<String>, command: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        let (node, address) = (node.into(), Ipv4Addr::new(10, 0, 0, 1));
        Self {
            hosts: vec![(node.clone(), address)],
            node,
            command: command.into(),
            arguments: Vec::new(),
            environment: default_environment(),
            directory: directory.into(),
            files: Vec::new(),
            address,
            seed: 1,
            trace: TraceLevel::Off,
            watchdog: Duration::from_secs(30),
            cpu: None,
            call_cost: Duration::ZERO,
            switches: Switches::default(),
        }
    }

    /// With these arguments.
    #[must_use]
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// The file of this machine that the command names.
    ///
    /// # Errors
    /// [`SpawnError::NotFound`] or, for a path, [`SpawnError::Exec`].
    pub fn program(&self) -> Result<PathBuf, SpawnError> {
        let (node, command) = (|| self.node.clone(), || self.command.clone());
        if self.command.components().count() > 1 || self.command.is_absolute() {
            let found = std::path::absolute(&self.command).and_then(|path| path.metadata().map(|_| path));
            return found.map_err(|error| SpawnError::Exec { node: node(), command: command(), errno: errno(&error) });
        }
        let path = self.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        let mut candidates = path.split(':').map(|folder| Path::new(folder).join(&self.command));
        let missing = || SpawnError::NotFound { node: node(), command: command(), path: path.to_owned() };
        candidates.find(|candidate| candidate.is_file()).ok_or_else(missing)
    }

    /// Whether all that is needed of this machine's files is there: what is missing is known before anything runs.
    ///
    /// # Errors
    /// Those of [`program`](Self::program), or [`SpawnError::File`].
    pub fn check(&self) -> Result<(), SpawnError> {
        self.program()?;
        let there = |(from, to): &(PathBuf, PathBuf)| match from.metadata() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_copied(from, to, &error)),
        };
        self.files.iter().try_for_each(there)
    }

    pub(crate) fn not_copied(&self, from: &Path, to: &Path, error: &std::io::Error) -> SpawnError {
        SpawnError::File { node: self.node.clone(), from: from.to_owned(), to: to.to_owned(), errno: errno(error) }
    }
}

/// The number of an error; `EIO` if it has none.
pub(crate) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// The environment of a program for which none is given.
#[must_use]
pub fn default_environment() -> Vec<(String, String)> {
    let variables = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", WORKING_DIRECTORY),
        ("PWD", WORKING_DIRECTORY),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("USER", "node"),
        ("LOGNAME", "node"),
        ("SHELL", "/bin/sh"),
        // Without CPUID faults the instruction RDRAND cannot be hidden; OpenSSL does not use it if told so.
        ("OPENSSL_ia32cap", "~0x4000000000000000:~0x40000"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Where programs find themselves, on every machine.
pub const WORKING_DIRECTORY: &str = "/srv";

/// What is written down of a program's system calls. The hash over them is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceLevel {
    /// Nothing.
    #[default]
    Off,
    /// All, with what differs between runs too: ids of the host, and real time.
    Standard,
    /// All that is the same in every run.
    Deterministic,
}

/// Mechanisms that make programs deterministic, each of which a test switches off to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Switches {
    /// Clock reads without a system call see the node's time.
    pub time_page: bool,
    /// Reads of the time-stamp counter see the node's time.
    pub time_stamp_counter: bool,
    /// The 16 random bytes that the kernel hands to every program are seeded.
    pub auxiliary_random: bool,
    /// `getrandom` is seeded.
    pub random_calls: bool,
    /// `/dev/random`, `/dev/urandom` and `/proc/sys/kernel/random` are seeded.
    pub random_files: bool,
    /// No address randomisation.
    pub fixed_addresses: bool,
    /// Clocks that are read by system calls see the node's time.
    pub time_calls: bool,
    /// One runnable thread at any time.
    pub single_runner: bool,
    /// Directories are listed in order of names.
    pub sorted_directories: bool,
    /// Time stamps, inodes and devices of files are the same in every run.
    pub plain_files: bool,
    /// What `/proc` counts for processes is the same in every run.
    pub plain_processes: bool,
    /// The program sees one processor.
    pub one_processor: bool,
    /// Processes are numbered in a namespace of their own.
    pub own_processes: bool,
    /// The machine has the node's name, and a kernel that is the same everywhere.
    pub own_name: bool,
    /// The environment is the one that is given, all of it.
    pub own_environment: bool,
    /// Limits of resources are constants.
    pub own_limits: bool,
    /// Nothing but the standard files is open at first.
    pub own_descriptors: bool,
    /// Ports that programs do not choose are counted.
    pub counted_ports: bool,
    /// Who waits for a futex first is woken first.
    pub wake_order: bool,
    /// Of calls whose deadlines are due at once, the first come is the first to return.
    pub deadline_order: bool,
    /// Events of a set are told in the order of registration.
    pub event_order: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            time_page: true,
            time_stamp_counter: true,
            auxiliary_random: true,
            random_calls: true,
            random_files: true,
            fixed_addresses: true,
            time_calls: true,
            single_runner: true,
            sorted_directories: true,
            plain_files: true,
            plain_processes: true,
            one_processor: true,
            own_processes: true,
            own_name: true,
            own_environment: true,
            own_limits: true,
            own_descriptors: true,
            counted_ports: true,
            wake_order: true,
            deadline_order: true,
            event_order: true,
        }
    }
}
