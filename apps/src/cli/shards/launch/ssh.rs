//! Other hosts, reached by ssh, and this one, reached without.
//!
//! A program on another host is started by one command, with its words quoted for the shell there. It is handed what nobody
//! else may see on its stdin, and knows by the end of it that nobody waits for it any more.

use super::super::super::failure::{Exit, Failure};
use super::super::super::results::quoted;
use super::program;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// How hosts are reached.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SshArgs {
    /// Command instead of `ssh`; options and the host follow it
    #[arg(long, value_name = "COMMAND", default_value = "ssh")]
    ssh: String,
    /// This program on the other hosts [default: the same path as here]
    #[arg(long, value_name = "PATH")]
    pub(crate) remote_program: Option<PathBuf>,
}

/// A host, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// As ssh takes it: `name`, `user@name`.
    name: String,
}

impl Host {
    /// One that must have a name.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        // ssh would take it for an option.
        if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
            return Err(format!("`{name}` is no name of a host"));
        }
        Ok(Self { name: name.to_owned() })
    }

    /// As the user named it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name or address by which other hosts find it.
    pub(crate) fn address(&self) -> String {
        let name = self.name.rsplit_once('@').map_or(self.name.as_str(), |(_, name)| name);
        let own = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
        if name == "localhost" { own().unwrap_or(name.to_owned()) } else { name.to_owned() }
    }

    /// Whether it is this one.
    fn is_here(&self) -> bool {
        self.name == "localhost"
    }
}

/// A way to start programs on hosts.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    ssh: Vec<String>,
    here: PathBuf,
    there: PathBuf,
    folder: Option<PathBuf>,
}

impl Remote {
    pub(crate) fn new(arguments: &SshArgs) -> Result<Self, Failure> {
        let ssh: Vec<String> = arguments.ssh.split_whitespace().map(str::to_owned).collect();
        if ssh.is_empty() {
            return Err(Failure::new(Exit::Invalid, "launch::ssh", "the command of --ssh is empty"));
        }
        let here = program()?;
        let there = arguments.remote_program.clone().unwrap_or(here.clone());
        Ok(Self { ssh, here, there, folder: std::env::current_dir().ok() })
    }

    /// This program with `words` on `host`, in the folder of the same name as this one if there is one there.
    pub(crate) fn command(&self, host: &Host, words: &[OsString]) -> Command {
        if host.is_here() {
            let mut command = Command::new(&self.here);
            command.args(words);
            return command;
        }
        let mut there = String::new();
        if let Some(folder) = &self.folder {
            write!(there, "cd {} 2>/dev/null; ", quoted(&folder.to_string_lossy())).expect("strings take text");
        }
        write!(there, "exec {}", quoted(&self.there.to_string_lossy())).expect("strings take text");
        for word in words {
            write!(there, " {}", quoted(&word.to_string_lossy())).expect("strings take text");
        }
        let mut command = Command::new(&self.ssh[0]);
        // Nobody is there to type a password.
        command.args(&self.ssh[1..]).args(["-o", "BatchMode=yes", host.name()]).arg(there);
        command
    }

    /// What it means that a program on `host`, which said nothing, ended with `status`.
    pub(crate) fn unreached(&self, host: &Host, status: ExitStatus) -> Option<(Exit, String)> {
        let there = self.there.display();
        match status.code() {
            _ if host.is_here() => None,
            Some(255) => Some((Exit::PeerLost, format!("`{}` did not reach the host, or lost it", self.ssh.join(" ")))),
            Some(126 | 127) => {
                let message = format!("the host has no program `{there}`; say where it is by --remote-program");
                Some((Exit::Invalid, message))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> Remote {
        let ssh = vec!["ssh".to_owned(), "-p".to_owned(), "2222".to_owned()];
        Remote { ssh, here: "/here/t".into(), there: "/there/t".into(), folder: Some("/a b".into()) }
    }

    fn words(command: &Command) -> Vec<String> {
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn words_reach_the_other_shell_as_they_are() {
        let command = remote().command(&Host::new("me@far").unwrap(), &["shard".into(), "it's $HOME".into()]);
        let there = r"cd '/a b' 2>/dev/null; exec /there/t shard 'it'\''s $HOME'";
        assert_eq!(words(&command), ["ssh", "-p", "2222", "-o", "BatchMode=yes", "me@far", there]);
        let command = remote().command(&Host::new("localhost").unwrap(), &["shard".into()]);
        assert_eq!(words(&command), ["/here/t", "shard"]);
    }

    #[test]
    fn names_are_no_options() {
        assert_eq!(Host::new("me@far").map(|host| host.address()), Ok("far".to_owned()));
        for name in ["", "-oProxyCommand=x", "a b"] {
            assert!(Host::new(name).is_err(), "{name}");
        }
    }
}
