//! The operating system below: everything that needs `unsafe`, as small safe functions.
//!
//! Nothing here decides anything. Who may run, what a call returns and what time it is are the business of
//! [`crate::supervisor`] and [`crate::kernel`].

pub(crate) mod bootstrap;
pub(crate) mod listener;
pub(crate) mod process;
pub(crate) mod stub;
pub(crate) mod trace;
