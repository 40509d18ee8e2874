//! How a shard ends early: for people, and as the last line for programs.

use super::super::checkpoint::differs;
use super::super::failure::{Exit, Failure};
use net_runtime::proto::{Cause, Stop};
use net_runtime::quic::JoinError;
use serde::{Deserialize, Serialize};

/// The last line that a shard or a launcher writes to stderr when it does not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastLine {
    /// The exit code.
    pub(crate) code: u8,
    /// The shard that says so; none if it is the launcher.
    pub(crate) shard: Option<u32>,
    /// The shard that is named as the reason.
    pub(crate) peer: Option<u32>,
    /// Windows that this shard executed.
    pub(crate) window: u64,
    /// How far it was.
    pub(crate) tick: i64,
    /// What happened.
    pub(crate) message: String,
    /// The command to go on.
    pub(crate) resume: Option<String>,
}

impl LastLine {
    /// Writes it.
    pub(crate) fn tell(&self) {
        eprintln!("{}", serde_json::to_string(self).expect("numbers and texts"));
    }
}

/// The exit code of a class of reasons.
pub(crate) fn exit(cause: Cause) -> Exit {
    match cause {
        Cause::Internal => Exit::Internal,
        Cause::Invalid => Exit::Invalid,
        Cause::CheckFailed => Exit::CheckFailed,
        Cause::Storage => Exit::Storage,
        Cause::HostFailed => Exit::HostFailed,
        Cause::Lost | Cause::Expelled => Exit::PeerLost,
        Cause::Disagreed => Exit::Disagreed,
        Cause::Violated => Exit::Violated,
        Cause::Interrupted => Exit::Interrupted,
        Cause::Terminated => Exit::Terminated,
        Cause::Differs => Exit::DigestsDiffer,
    }
}

/// A run that ended early, as shard `own` sees it.
pub(crate) fn stopped(stop: &Stop, own: u32) -> Failure {
    let whose = if stop.shard.0 == own { "this shard".to_owned() } else { format!("shard {}", stop.shard.0) };
    let Stop { cause, tick, message, .. } = stop;
    let failure = |code, text: String| Failure::new(exit(*cause), code, text);
    match cause {
        Cause::Lost => failure("shard::lost", format!("{whose} is lost at tick {tick}: {message}")),
        Cause::Expelled => failure("shard::expelled", format!("{whose} was given up by the others: {message}")),
        Cause::Disagreed => failure("shard::disagreed", format!("{whose} cannot take part: {message}"))
            .help("run the same program with the same arguments everywhere"),
        Cause::Violated => failure("shard::violated", format!("{whose} broke the protocol at tick {tick}: {message}")),
        Cause::Interrupted | Cause::Terminated => {
            failure("shard::interrupted", format!("the run was interrupted at tick {tick}"))
        }
        Cause::CheckFailed => failure("run::firing", message.clone()),
        Cause::HostFailed => failure("host::failed", message.clone()),
        Cause::Differs => differs(message.clone()),
        Cause::Storage | Cause::Invalid | Cause::Internal => failure("shard::failed", format!("{whose}: {message}")),
    }
}

/// Shards that did not come together.
pub(crate) fn not_joined(error: &JoinError) -> Failure {
    let failure = Failure::new(exit(error.cause()), "shard::join", error.to_string());
    match error {
        JoinError::Missing { .. } | JoinError::NoHost { .. } => {
            failure.help("are all shards started, is --rendezvous right, do firewalls let UDP pass?")
        }
        _ => failure,
    }
}
