//! Actors are `Send + Sync`: a firing may be executed by any thread.

use std::cell::Cell;
use tidelock::prelude::*;

fn main() {
    let mut app = AppBuilder::new("capture");
    let next = Cell::new(0);
    let count = app.source("count", move |_: Firing, y: &mut [u32; 1]| y[0] = next.replace(next.get() + 1));
    app.record("count", count);
}
