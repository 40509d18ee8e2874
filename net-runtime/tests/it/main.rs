//! The protocol alone, in every order; under virtual time and bad weather; over real sockets.

mod batches;
mod every_order;
mod messages;
mod toy;
mod weather;
