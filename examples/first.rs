//! The shortest program: averages of four samples, computed on a ring of three nodes.
//!
//! `cargo run --locked -p tidelock-examples --bin first`

use std::error::Error;
use tidelock::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = AppBuilder::new("first");
    let ramp = app.source("ramp", |n: Firing, y: &mut [f32; 1]| y[0] = n.index() as f32);
    let mean = app.pipe("mean", ramp, |x: &[f32; 4], y: &mut [f32; 1]| y[0] = x.iter().sum::<f32>() / 4.0);
    app.record("means", mean);

    let compiled = compile(&app.build()?, &Machine::ring(3).latency(2), &Options::default())?;
    println!("{}", compiled.report());
    let means = compiled.run(Iterations(3))?.channel("means").values::<f32>()?;
    println!("means             {means:?}");
    assert_eq!(means, [1.5, 5.5, 9.5]);
    Ok(())
}

#[test]
fn the_means_are_right() -> Result<(), Box<dyn Error>> {
    main()
}
