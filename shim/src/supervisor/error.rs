//! Why a host does not start or cannot go on, and how a program ends.

use crate::image::ImageError;
use crate::sys::bootstrap::Stage;
use nix::errno::Errno;
use std::path::PathBuf;

/// Why a program did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// The command is no file that can be executed.
    #[error("node `{node}`: `{command}` cannot be executed: {errno}")]
    Exec {
        /// The node.
        node: String,
        /// The command.
        command: PathBuf,
        /// What the kernel says.
        errno: Errno,
    },
    /// The command is not to be found.
    #[error("node `{node}`: no program `{command}` in {path}")]
    NotFound {
        /// The node.
        node: String,
        /// The command.
        command: PathBuf,
        /// Where it was looked for.
        path: String,
    },
    /// A step before the program failed.
    #[error("node `{node}`: {stage} failed: {errno}")]
    Stage {
        /// The node.
        node: String,
        /// The step.
        stage: Stage,
        /// What the kernel says.
        errno: Errno,
    },
    /// The node's directory cannot be prepared.
    #[error("node `{node}`: `{path}` cannot be prepared: {errno}")]
    Directory {
        /// The node.
        node: String,
        /// The directory or file.
        path: PathBuf,
        /// What the kernel says.
        errno: Errno,
    },
    /// A file for the working directory is missing, or cannot be copied there.
    #[error(
        "node `{node}`: the file `{from}`, which is to be `{to}` in its working directory, cannot be copied: {errno}"
    )]
    File {
        /// The node.
        node: String,
        /// The file of the host.
        from: PathBuf,
        /// Its name in the working directory.
        to: PathBuf,
        /// What the kernel says.
        errno: Errno,
    },
    /// A text with a zero byte in it.
    #[error("node `{node}`: {what} holds a zero byte")]
    ZeroByte {
        /// The node.
        node: String,
        /// Which text.
        what: &'static str,
    },
    /// Tracing failed, or the program ended before its first instruction.
    #[error("node `{node}`: the program cannot be traced: {errno}")]
    Trace {
        /// The node.
        node: String,
        /// What the kernel says.
        errno: Errno,
    },
    /// The image cannot be prepared.
    #[error("node `{node}`: {error}")]
    Image {
        /// The node.
        node: String,
        /// Why.
        error: ImageError,
    },
    /// The thread of the supervisor cannot be made.
    #[error("node `{node}`: no thread for the supervisor: {errno}")]
    Thread {
        /// The node.
        node: String,
        /// What the kernel says.
        errno: Errno,
    },
}

/// Why a host cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A thread computed longer than the watchdog allows.
    #[error(
        "node `{node}`: the program ran for {seconds} s without waiting for anything at {now} ns of its own time; \
         a program that looks at the clock until time has passed never sees it pass"
    )]
    Hung {
        /// The node.
        node: String,
        /// Seconds of a processor.
        seconds: u64,
        /// The node's time.
        now: u64,
    },
    /// The host's kernel does not return from a call.
    #[error(
        "node `{node}`: nothing has happened for {seconds} s at {now} ns of the program's own time: it waits for a file or \
         device of this machine"
    )]
    Stuck {
        /// The node.
        node: String,
        /// Real seconds.
        seconds: u64,
        /// The node's time.
        now: u64,
    },
    /// The kernel does something that is not expected.
    #[error("node `{node}`: tracing the program failed: {errno}")]
    Trace {
        /// The node.
        node: String,
        /// What the kernel says.
        errno: Errno,
    },
    /// All processes of the node were killed from outside.
    #[error("node `{node}`: the program was killed from outside")]
    Killed {
        /// The node.
        node: String,
    },
    /// A new image cannot be prepared.
    #[error("node `{node}`: {error}")]
    Image {
        /// The node.
        node: String,
        /// Why.
        error: ImageError,
    },
    /// The supervisor's thread is gone.
    #[error("node `{node}`: its supervisor has ended")]
    Gone {
        /// The node.
        node: String,
    },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}
