//! Programs under the supervisor: what they see, that they see it again, and what becomes of bad ones.

mod faults;
mod network;
mod oracle;
mod programs;
mod support;
mod switches;
