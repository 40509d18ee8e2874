//! Closures that change what they capture, although their firings may overlap.

use tidelock::prelude::*;

fn main() {
    let mut app = AppBuilder::new("capture");
    let mut next = 0;
    let count = app.source("count", move |_: Firing, y: &mut [u32; 1]| {
        next += 1;
        y[0] = next;
    });
    let mut sum = 0;
    let sums = app.pipe("sums", count, move |x: &[u32; 1], y: &mut [u32; 1]| {
        sum += x[0];
        y[0] = sum;
    });
    app.record("sums", sums);
}
