//! Types that are not tokens: one of the user's own without `impl Token`, and `bool`.

use tidelock::prelude::*;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pixel([u8; 3]);

fn main() {
    let mut app = AppBuilder::new("token");
    let pixels = app.source("pixels", |n: Firing, y: &mut [Pixel; 1]| y[0] = Pixel([n.index() as u8; 3]));
    let flags = app.source("flags", |n: Firing, y: &mut [bool; 1]| y[0] = n.index() > 0);
}
