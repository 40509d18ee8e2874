//! What this machine allows, found by trying.

use crate::host::{Host, Input};
use crate::spec::HostSpec;
use crate::supervisor::{HostError, SpawnError};
use crate::sys::bootstrap::Stage;
use nix::errno::Errno;
use std::sync::atomic::{AtomicU32, Ordering};

/// Something that a machine lacks, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The kernel is too old.
    #[error("Linux {found} is too old: 6.0 is needed, which lets a tracer interrupt calls that wait for their answer")]
    Kernel {
        /// Its version.
        found: String,
    },
    /// Another processor.
    #[error("process hosts are for x86-64, this is {0}")]
    Architecture(&'static str),
    /// Namespaces are not to be had.
    #[error(
        "namespaces are not to be had ({0}): run as root, or allow them (`sysctl kernel.unprivileged_userns_clone=1`, \
         `sysctl kernel.apparmor_restrict_unprivileged_userns=0`); in a container, start it with \
         `--security-opt seccomp=unconfined --cap-add SYS_ADMIN`"
    )]
    Namespaces(Errno),
    /// Mounts are not to be had.
    #[error("{stage} failed ({errno}): in a container, start it with `--security-opt systempaths=unconfined`")]
    Mounts {
        /// The step.
        stage: Stage,
        /// What the kernel says.
        errno: Errno,
    },
    /// Filters with notifications are not to be had.
    #[error("filters of system calls are not to be had ({0}): the kernel needs CONFIG_SECCOMP_FILTER")]
    Filter(Errno),
    /// Tracing is not to be had.
    #[error("programs cannot be traced ({0}): allow it (`sysctl kernel.yama.ptrace_scope=1`)")]
    Trace(Errno),
    /// Something else.
    #[error("a first program does not run: {0}")]
    Other(HostError),
}

/// What this machine allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Version of the kernel.
    pub kernel: String,
    /// Why programs cannot be hosted here; `None` if they can.
    pub lack: Option<Lack>,
}

impl std::fmt::Display for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.lack {
            None => write!(f, "Linux {}: programs can be hosted", self.kernel),
            Some(lack) => write!(f, "Linux {}: programs cannot be hosted: {lack}", self.kernel),
        }
    }
}

/// Finds out what this machine allows, by hosting a program that ends at once.
#[must_use]
pub fn capabilities() -> Capabilities {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    Capabilities { lack: lack(&kernel), kernel }
}

fn lack(kernel: &str) -> Option<Lack> {
    if !cfg!(target_arch = "x86_64") {
        return Some(Lack::Architecture(std::env::consts::ARCH));
    }
    let major = kernel.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < 6) {
        return Some(Lack::Kernel { found: kernel.to_owned() });
    }
    // Several threads may ask at once.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tidelock-capabilities-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    let tried = Host::spawn(HostSpec::new("probe", "/bin/true", &directory))
        .map_err(HostError::from)
        .and_then(|mut host| host.advance(Input::default()));
    // A probe's directory is nothing that anyone misses.
    let _ = std::fs::remove_dir_all(&directory);
    match tried.err()? {
        HostError::Spawn(SpawnError::Stage { stage: Stage::Namespaces | Stage::Identity, errno, .. }) => {
            Some(Lack::Namespaces(errno))
        }
        HostError::Spawn(SpawnError::Stage { stage: Stage::Filter, errno, .. }) => Some(Lack::Filter(errno)),
        HostError::Spawn(SpawnError::Stage { stage, errno, .. }) => Some(Lack::Mounts { stage, errno }),
        HostError::Spawn(SpawnError::Trace { errno, .. }) | HostError::Trace { errno, .. } => Some(Lack::Trace(errno)),
        other => Some(Lack::Other(other)),
    }
}
