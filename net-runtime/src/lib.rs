//! Shards of one run in several processes or on several hosts.
//!
//! [`proto`] is the protocol, without any socket, task or clock; [`memory`] drives it in one process under virtual time.

pub mod memory;
pub mod proto;
