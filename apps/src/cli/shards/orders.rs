//! What a shard and the launcher that started it say to each other, wherever the shard is: the secret and orders come in on
//! stdin, news go out on stderr between the lines for people.
//!
//! So a secret is on no command line and in no file, and a shard whose launcher is gone ends instead of running on alone.

use super::super::failure::Exit;
use super::progress::Moment;
use net_runtime::proto::Cause;
use net_runtime::quic::Interrupts;
use serde::{Deserialize, Serialize};
use std::io::{Write, stderr, stdin};
use std::sync::{Arc, OnceLock};

/// What a launcher wants to know of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum News {
    /// The UDP port at which it can be reached.
    Port(u16),
    /// All shards have come together. From now on they know by themselves when one of them is lost.
    Joined,
    /// How far it is.
    Moment(Moment),
}

/// What a launcher may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The user wants the run to end.
    Interrupt,
    /// The system does, or there is nobody any more who could want anything.
    Terminate,
}

impl Order {
    /// The line on stdin.
    pub(super) fn line(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Terminate => "terminate",
        }
    }

    fn cause(self) -> Cause {
        match self {
            Self::Interrupt => Cause::Interrupted,
            Self::Terminate => Cause::Terminated,
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

/// A shard's side.
#[derive(Clone, Debug, Default)]
pub(super) struct Launcher {
    /// Whether there is one that listens.
    listens: bool,
    /// The run that its orders are for, once there is one.
    run: Arc<OnceLock<Interrupts>>,
}

impl Launcher {
    /// Takes orders from now on. The secret must have been read before.
    pub(super) fn listen() -> Self {
        let launcher = Self { listens: true, run: Arc::default() };
        let run = launcher.run.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            loop {
                line.clear();
                let ended = !matches!(stdin().read_line(&mut line), Ok(1..));
                let known = [Order::Interrupt, Order::Terminate].into_iter().find(|order| order.line() == line.trim());
                let Some(order) = known.or(ended.then_some(Order::Terminate)) else { continue };
                match run.get() {
                    Some(interrupts) => interrupts.ask(order.cause()),
                    // There is nothing yet that could be lost, and nobody whom it could be told.
                    None => std::process::exit(order.exit() as i32),
                }
                if ended {
                    return;
                }
            }
        });
        launcher
    }

    /// Says something, if anybody listens.
    pub(super) fn tell(&self, news: News) {
        if self.listens {
            let line = serde_json::to_string(&news).expect("plain data has a form");
            // If it is gone, the end of stdin tells.
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// Says that all shards have come together. Orders are for the run from now on.
    pub(super) fn joined(&self, interrupts: &Interrupts) {
        // A shard runs once.
        let _ = self.run.set(interrupts.clone());
        self.tell(News::Joined);
    }
}
