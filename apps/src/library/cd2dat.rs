//! CD to DAT: a signal at 44.1 kHz becomes one at 48 kHz, by the factor 160/147 = 2 · 2/3 · 8/7 · 5/7.
//!
//! The rates are those of the classic multirate example: Bhattacharyya, Murthy & Lee, "Synthesis of Embedded Software from
//! Synchronous Dataflow Specifications", J. VLSI Signal Processing 21, 1999. Every stage is a windowed-sinc interpolator in
//! polyphase form: only the taps that meet an input sample are computed.

use crate::prelude::*;
use std::f64::consts::PI;

/// Input samples that one output sample is made of.
const TAPS: usize = 64;
/// Where the pass band ends, as a part of the lower of a stage's two Nyquist frequencies.
const PASS_BAND: f64 = 0.92;

/// Converts a tone of 1 kHz. The samples come out on channel `dat`, with the sum of the four stages' delays.
///
/// Actors `cd`, `a`, `b`, `c`, `d`, `dat` fire 147, 147, 98, 28, 32, 160 times per iteration, which is 1/300 s of sound.
///
/// # Errors
/// None in practice; the signature is that of every program.
pub fn cd2dat() -> Result<App, BuildError> {
    let mut app = AppBuilder::new("cd2dat");
    let cd = app.source("cd", |n: Firing, y: &mut [f32; 1]| {
        let cycles = (n.index() % 441) as f64 * 1_000.0 / 44_100.0;
        y[0] = math::sin(2.0 * PI * cycles) as f32;
    });
    let a = stage::<1, 2>(&mut app, "a", cd);
    let b = stage::<3, 2>(&mut app, "b", a);
    let c = stage::<7, 8>(&mut app, "c", b);
    let d = stage::<7, 5>(&mut app, "d", c);
    app.record("dat", d);
    app.build()
}

/// Adds an actor that makes `OUT` samples of every `IN`, delayed by `TAPS / 2` input samples.
fn stage<const IN: usize, const OUT: usize>(app: &mut AppBuilder, name: &str, input: Output<f32>) -> Output<f32> {
    let weights = weights::<IN, OUT>();
    let fire = move |past: &mut [f32; TAPS], x: &[f32; IN], y: &mut [f32; OUT]| {
        for (j, (y, weights)) in y.iter_mut().zip(&weights).enumerate() {
            let newest = j * IN / OUT;
            let sample = |age: usize| if age <= newest { x[newest - age] } else { past[TAPS + newest - age] };
            *y = weights.iter().enumerate().map(|(age, weight)| weight * sample(age)).sum();
        }
        past.rotate_left(IN);
        past[TAPS - IN..].copy_from_slice(x);
    };
    app.pipe_with(name, input, [0.0; TAPS], fire)
}

/// For every output of a firing the weights of the inputs, newest first. They add up to 1: a constant stays what it is.
fn weights<const IN: usize, const OUT: usize>() -> [[f32; TAPS]; OUT] {
    let cutoff = PASS_BAND * (OUT as f64 / IN as f64).min(1.0);
    std::array::from_fn(|j| {
        // Output j lies j · IN / OUT input samples after the first input, this much after its newest input.
        let fraction = (j * IN % OUT) as f64 / OUT as f64;
        let impulse: [f64; TAPS] = std::array::from_fn(|age| {
            let distance = fraction + age as f64 - (TAPS / 2) as f64;
            sinc(cutoff * distance) * blackman(distance / (TAPS / 2) as f64)
        });
        let sum: f64 = impulse.iter().sum();
        impulse.map(|weight| (weight / sum) as f32)
    })
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { math::sin(PI * x) / (PI * x) }
}

/// The Blackman window over [−1, 1]; 0 outside.
fn blackman(x: f64) -> f64 {
    if math::abs(x) >= 1.0 {
        return 0.0;
    }
    0.42 + 0.5 * math::cos(PI * x) + 0.08 * math::cos(2.0 * PI * x)
}
