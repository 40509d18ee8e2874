//! Shards on several hosts, started by ssh.

use super::super::super::failure::Exit;
use super::super::supervise::Places;
use super::ssh::{Host, Remote};
use super::{line, secret_note};
use std::ffi::OsString;
use std::process::{Command, ExitStatus};

/// A host and its number of shards: `alpha`, `me@beta:2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) host: Host,
    pub(crate) shards: u32,
}

/// Reads a share.
pub(crate) fn share(text: &str) -> Result<Share, String> {
    let (name, shards) = match text.rsplit_once(':') {
        Some((name, count)) => (name, count.parse().ok().filter(|count| (1..=4096).contains(count))),
        None => (text, Some(1)),
    };
    let shards = shards.ok_or("write hosts like `alpha,beta:2`: a name, and the number of its shards")?;
    Ok(Share { host: Host::new(name)?, shards })
}

/// Shards on hosts, in their order.
pub(super) struct Hosts {
    pub(super) remote: Remote,
    /// The host of every shard.
    pub(super) hosts: Vec<Host>,
    /// The words of a shard.
    pub(super) words: Vec<OsString>,
    /// The UDP port of shard 0; any if 0.
    pub(super) port: u16,
    /// Where the others find shard 0.
    pub(super) address: String,
}

impl Hosts {
    /// The commands, as lines for a shell.
    pub(super) fn text(&self) -> String {
        let lines = (0..self.shards()).map(|rank| line(&self.command(rank, None)) + "\n");
        secret_note().to_owned() + &lines.collect::<String>()
    }

    fn host(&self, rank: u32) -> &Host {
        &self.hosts[rank as usize]
    }
}

impl Places for Hosts {
    fn shards(&self) -> u32 {
        u32::try_from(self.hosts.len()).expect("shards are few")
    }

    fn label(&self, rank: u32) -> String {
        format!("{}: shard {rank}", self.host(rank).name())
    }

    fn command(&self, rank: u32, first: Option<u16>) -> Command {
        let mut words = self.words.clone();
        words.extend(["--rank".into(), rank.to_string().into()]);
        if rank == 0 {
            words.extend(["--listen".into(), format!("0.0.0.0:{}", self.port).into()]);
        } else {
            let port = first.or(Some(self.port).filter(|&port| port > 0));
            let port = port.map_or("PORT".to_owned(), |port| port.to_string());
            words.extend(["--rendezvous".into(), format!("{}:{port}", self.address).into()]);
        }
        words.extend(["--secret-file", "-", "--orders"].map(Into::into));
        self.remote.command(self.host(rank), &words)
    }

    fn unreached(&self, rank: u32, status: ExitStatus) -> Option<(Exit, String)> {
        self.remote.unreached(self.host(rank), status)
    }

    fn resume(&self) -> Option<String> {
        // Checkpoints are where shard 0 is, which knows.
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_shares() {
        let check = |text: &str, name: &str, shards: u32| {
            let share = share(text).unwrap();
            assert_eq!((share.host.name(), share.shards), (name, shards), "{text}");
        };
        check("alpha", "alpha", 1);
        check("me@beta:3", "me@beta", 3);
        for text in ["", ":2", "a:", "a:0", "a:x", "-o:1"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
