//! The library of applications.
