//! Tests of the package as its users see it.

mod formats;
