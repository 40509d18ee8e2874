//! What a user's program needs: `use tidelock::prelude::*;`.

pub use crate::builder::{Actor, ActorHandle, AppBuilder, BuildError, InitialTokens, Input, Output, Rate, Shared};
pub use crate::math;
pub use crate::pipeline::{Compiled, Iterations, Run, compile};
pub use crate::token::{Plain, Token, decode, encode};
pub use scheduler::Options;
pub use sim_core::{App, Firing, Machine, NodeId, Tick};
pub use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
