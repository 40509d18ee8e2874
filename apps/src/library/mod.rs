//! The library of applications: programs of the [builder](crate::builder) that do real work, of any size.

mod cd2dat;
mod dense;
mod fft;
mod life;

pub use cd2dat::cd2dat;
pub use dense::{dense, sparse};
pub use fft::{Complex, fft};
pub use life::{GLIDER, life};
