//! The protocol alone, in every order; under virtual time and bad weather; over real sockets.

mod batches;
mod every_order;
mod messages;
#[cfg(feature = "quic")]
mod network;
#[cfg(feature = "quic")]
mod relay;
mod toy;
mod weather;
