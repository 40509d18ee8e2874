//! CD to DAT: a signal at 44.1 kHz becomes one at 48 kHz, in four stages on a torus of nodes.
//!
//! 48 000 / 44 100 = 2/1 · 2/3 · 8/7 · 5/7. A stage interpolates linearly between neighbouring samples; its rates are the
//! lengths of the arrays in its closure, and all counts follow from them: cd, a, b, c, d, dat fire 147, 147, 98, 28, 32, 160
//! times per iteration. (A converter for real sound, with long filters, is the built-in application `cd2dat`.)
//!
//! `cargo run --locked -p tidelock-examples --bin cd2dat`

use std::error::Error;
use std::f32::consts::PI;
use tidelock::prelude::*;

const ITERATIONS: u64 = 20;

/// The application: a source, four stages one behind the other, a record of what comes out.
fn cd2dat() -> Result<App, BuildError> {
    let mut app = AppBuilder::new("cd2dat");
    let cd = app.source("cd", |n: Firing, y: &mut [f32; 1]| y[0] = tone(n.index()));
    let a = stage::<1, 2>(&mut app, "a", cd);
    let b = stage::<3, 2>(&mut app, "b", a);
    let c = stage::<7, 8>(&mut app, "c", b).exec(4); // A firing of 4 ticks, as it makes the most samples.
    let d = stage::<7, 5>(&mut app, "d", c).exec(3);
    app.record("dat", d);
    app.build()
}

/// Sample `n` of a tone of 1 kHz on the CD. `math` gives the same bits on every processor.
fn tone(n: u64) -> f32 {
    math::sin(2.0 * PI * (n % 441) as f32 / 44.1)
}

/// Adds an actor that makes `OUT` samples of every `IN`. Its state is the last sample of the firing before.
fn stage<const IN: usize, const OUT: usize>(app: &mut AppBuilder, name: &str, input: Output<f32>) -> Output<f32> {
    app.pipe_with(name, input, 0.0, |last: &mut f32, x: &[f32; IN], y: &mut [f32; OUT]| {
        for (j, y) in y.iter_mut().enumerate() {
            let (whole, part) = (j * IN / OUT, j * IN % OUT);
            let before = if whole == 0 { *last } else { x[whole - 1] };
            *y = before + part as f32 / OUT as f32 * (x[whole] - before);
        }
        *last = x[IN - 1];
    })
}

/// The same conversion without any dataflow: the whole signal at once, stage after stage.
fn straight_line(cd: Vec<f32>) -> Vec<f32> {
    [(2, 1), (2, 3), (8, 7), (5, 7)].iter().fold(cd, |x, &(up, down)| {
        let sample = |n: usize| {
            let after = x[n * down / up];
            let before = (n * down / up).checked_sub(1).map_or(0.0, |i| x[i]);
            before + (n * down % up) as f32 / up as f32 * (after - before)
        };
        (0..x.len() * up / down).map(sample).collect()
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let machine = Machine::torus([4, 4]).latency(3);
    let compiled = compile(&cd2dat()?, &machine, &Options::default())?;
    println!("{}", compiled.report());

    let run = compiled.run(Iterations(ITERATIONS))?;
    let dat: Vec<f32> = run.channel("dat").values()?;
    println!("run               {} samples in {} ticks", dat.len(), run.ticks());
    println!("first samples     {:.3?}", &dat[..8]);

    assert_eq!(dat.len() as u64, 160 * ITERATIONS);
    assert_eq!(dat, straight_line((0..147 * ITERATIONS).map(tone).collect()), "equal to the bit");
    Ok(())
}

#[test]
fn the_converter_equals_the_straight_line() -> Result<(), Box<dyn Error>> {
    main()
}
