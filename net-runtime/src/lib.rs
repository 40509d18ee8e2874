//! Shards of one run in several processes or on several hosts.
//!
//! [`proto`] is the protocol, without any socket, task or clock; [`engine`] is what it executes; [`memory`] drives it in one process under virtual time,
//! and [`quic`] over the network. Nobody here schedules anything: a shard is handed calendars.

pub mod engine;
pub mod memory;
pub mod proto;
#[cfg(feature = "quic")]
pub mod quic;
