//! What is behind a path, and what files are called by numbers.
//!
//! Files of the host are as they are. Those that would tell of the host, or of the moment, are replaced by content that is
//! the same in every run; the rest of `/proc` and `/sys` is absent. What is about processes is in [`super::procfs`].

use super::Config;
use super::procfs::{self, About};
use crate::time::{Nanos, Times};
use std::collections::BTreeMap;

/// What becomes of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// It is the host's.
    Host,
    /// There is no such file.
    Absent,
    /// Random bytes without end.
    Random,
    /// Zeros without end. The host gives a page of them to whoever a signal waits for, as it does while it is traced.
    Zero,
    /// A random identifier, another one at every opening.
    Identifier,
    /// A file of ours.
    Content(Content),
    /// A file of ours about a process.
    Process(About),
}

/// Files of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Hosts,
    Hostname,
    Resolver,
    Users,
    Groups,
    Uptime,
    Load,
    Memory,
    Processor,
    ProcessorList,
    Statistics,
    Version,
    Entropy,
    Maximum(&'static str),
}

impl Content {
    /// The text of the file.
    pub(super) fn text(self, config: &Config, times: Times) -> String {
        let Nanos(up) = times.monotonic;
        match self {
            Self::Hosts => config.hosts.clone(),
            Self::Hostname => format!("{}\n", config.node),
            Self::Resolver => "# names are those of /etc/hosts\n".to_owned(),
            Self::Users => {
                "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000:node:/srv:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
                    .to_owned()
            }
            Self::Groups => "root:x:0:\nnode:x:1000:\nnogroup:x:65534:\n".to_owned(),
            Self::Uptime => {
                let (seconds, hundredths) = (up / Nanos::SECOND, up % Nanos::SECOND / 10_000_000);
                format!("{seconds}.{hundredths:02} 0.00\n")
            }
            Self::Load => "0.00 0.00 0.00 1/1 1\n".to_owned(),
            Self::Memory => "MemTotal:        1048576 kB\nMemFree:          524288 kB\nMemAvailable:     524288 kB\n\
                             Buffers:               0 kB\nCached:                0 kB\nSwapTotal:             0 kB\n\
                             SwapFree:              0 kB\n"
                .to_owned(),
            Self::Processor => "processor\t: 0\nvendor_id\t: tidelock\nmodel name\t: node\ncpu MHz\t\t: 1000.000\n\n".to_owned(),
            Self::ProcessorList => "0\n".to_owned(),
            Self::Statistics => "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nbtime 946684800\n".to_owned(),
            Self::Version => "Linux version 6.1.0 (tidelock) #1 SMP\n".to_owned(),
            Self::Entropy => "256\n".to_owned(),
            Self::Maximum(value) => format!("{value}\n"),
        }
    }
}

/// What becomes of `path`.
pub(super) fn policy(path: &[u8]) -> Policy {
    let Ok(path) = std::str::from_utf8(path) else { return Policy::Host };
    match path {
        "/dev/random" | "/dev/urandom" => Policy::Random,
        "/dev/zero" => Policy::Zero,
        "/proc/sys/kernel/random/uuid" | "/proc/sys/kernel/random/boot_id" => Policy::Identifier,
        "/proc/sys/kernel/random/entropy_avail" | "/proc/sys/kernel/random/poolsize" => {
            Policy::Content(Content::Entropy)
        }
        "/etc/hosts" => Policy::Content(Content::Hosts),
        "/etc/hostname" | "/proc/sys/kernel/hostname" => Policy::Content(Content::Hostname),
        "/etc/resolv.conf" => Policy::Content(Content::Resolver),
        "/etc/passwd" => Policy::Content(Content::Users),
        "/etc/group" => Policy::Content(Content::Groups),
        "/proc/uptime" => Policy::Content(Content::Uptime),
        "/proc/loadavg" => Policy::Content(Content::Load),
        "/proc/meminfo" => Policy::Content(Content::Memory),
        "/proc/cpuinfo" => Policy::Content(Content::Processor),
        "/proc/stat" => Policy::Content(Content::Statistics),
        "/proc/version" => Policy::Content(Content::Version),
        "/proc/sys/net/core/somaxconn" => Policy::Content(Content::Maximum("4096")),
        "/proc/sys/vm/overcommit_memory" => Policy::Content(Content::Maximum("1")),
        "/proc/sys/kernel/pid_max" => Policy::Content(Content::Maximum("32768")),
        "/proc/sys/kernel/cap_last_cap" => Policy::Content(Content::Maximum("40")),
        "/sys/devices/system/cpu/online" | "/sys/devices/system/cpu/possible" | "/sys/devices/system/cpu/present" => {
            Policy::Content(Content::ProcessorList)
        }
        "/sys/kernel/mm/transparent_hugepage/enabled" => Policy::Content(Content::Maximum("always madvise [never]")),
        "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size" => Policy::Content(Content::Maximum("2097152")),
        "/proc" | "/proc/" | "/sys" | "/sys/" | "/proc/filesystems" => Policy::Host,
        _ => match path.strip_prefix("/proc/") {
            Some(rest) => procfs::policy(rest),
            None if path.starts_with("/sys/") => Policy::Absent,
            None => Policy::Host,
        },
    }
}

/// Numbers of files: the host's inodes are replaced by the order in which the program has seen them.
#[derive(Debug, Default)]
pub(super) struct Identities {
    seen: BTreeMap<(u64, u64), u64>,
}

impl Identities {
    /// The number of the file that the host calls (`device`, `inode`).
    pub(super) fn number(&mut self, device: u64, inode: u64) -> u64 {
        let next = self.seen.len() as u64 + 1;
        *self.seen.entry((device, inode)).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_the_host_is_replaced_or_absent() {
        assert_eq!(policy(b"/usr/lib/libc.so.6"), Policy::Host);
        assert_eq!(policy(b"relative"), Policy::Host);
        assert_eq!(policy(b"/dev/urandom"), Policy::Random);
        assert_eq!(policy(b"/proc/self/maps"), Policy::Host);
        assert_eq!(policy(b"/proc/interrupts"), Policy::Absent);
        assert_eq!(policy(b"/sys/class/net"), Policy::Absent);
    }

    #[test]
    fn files_are_numbered_as_they_are_seen() {
        let mut identities = Identities::default();
        assert_eq!([(5, 7), (5, 8), (5, 7)].map(|(device, inode)| identities.number(device, inode)), [1, 2, 1]);
    }
}
