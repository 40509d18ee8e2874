//! A closure that expects another token type than the output's.

use tidelock::prelude::*;

fn main() {
    let mut app = AppBuilder::new("wrong");
    let samples = app.source("samples", |n: Firing, y: &mut [f32; 1]| y[0] = n.index() as f32);
    let louder = app.pipe("louder", samples, |x: &[f64; 2], y: &mut [f64; 2]| *y = x.map(|x| 2.0 * x));
    app.record("out", louder);
}
