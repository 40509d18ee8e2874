//! Drives a session over QUIC: one endpoint per shard, one connection per pair of shards that have something to say.
//!
//! The thread that computes serves the sockets too, between windows and while it waits. During long windows a thread of
//! the port does, so that a shard that computes for long does not look dead (see `io`). A connection carries a stream of
//! control messages and, if the two exchange words, one long-lived stream in each direction for those.

mod figures;
mod gather;
mod identity;
mod io;
mod link;
mod port;
mod probe;
mod run;
mod tls;

pub use figures::{DigestMark, Figures, IoTimes, PairFigures, QueueFigures, Span, WordsDigest};
pub use gather::{Files, JoinError, Membership, host, join};
pub use identity::{Identity, KeyError, read_private, write_private};
pub use port::{Options, Port};
pub use probe::{Path, PathFigures, ProbeError, SIZES, measure, serve};
pub use run::{Agreement, Interrupts, Observer, run};

/// The name in every certificate; nobody checks it.
const SERVER_NAME: &str = "tidelock";
/// Application protocol of those who come to take part in a run.
const JOIN: &[u8] = b"tidelock-join/1";
/// Application protocol of those who do.
const RUN: &[u8] = b"tidelock-run/1";
/// Application protocol of those who measure the way.
const PROBE: &[u8] = b"tidelock-probe/1";
