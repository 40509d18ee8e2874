//! The fast Fourier transform, one actor per butterfly.
//!
//! Source: Cooley & Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series", Math. Comp. 19, 1965
//! (radix 2, decimation in time).

use crate::prelude::*;
use std::f64::consts::PI;
use std::sync::Arc;

/// A complex number, as a token of two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Complex {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

impl Token for Complex {
    fn canonical(&mut self) {
        self.re.canonical();
        self.im.canonical();
    }
}

/// Transforms blocks of 2^`stages` samples, one block per iteration. `signal(n)` is sample n; bin k of the spectrum comes
/// out on channel `bin<k>`.
///
/// A block has one source and one sink per point and `stages` · 2^(`stages` − 1) butterflies.
///
/// # Errors
/// None in practice; the signature is that of every program.
///
/// # Panics
/// If `stages` is 64 or more.
pub fn fft(stages: u32, signal: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Result<App, BuildError> {
    let points = 1_u64.checked_shl(stages).expect("fewer than 64 stages");
    let signal = Arc::new(signal);
    let mut app = AppBuilder::new("fft");
    let mut wires = Vec::new();
    for point in 0..points {
        let signal = Arc::clone(&signal);
        wires.push(app.source(format!("x{point}"), move |block: Firing, x: &mut [Complex; 1]| {
            x[0] = Complex { re: signal(block.index() * points + point), im: 0.0 };
        }));
    }
    let spectrum = transform(&mut app, wires, 0, 1);
    for (k, bin) in spectrum.into_iter().enumerate() {
        app.record(format!("bin{k}"), bin);
    }
    app.build()
}

/// Transforms the samples `first`, `first` + `stride`, `first` + 2 · `stride`, … that `wires` carry.
fn transform(app: &mut AppBuilder, wires: Vec<Output<Complex>>, first: usize, stride: usize) -> Vec<Output<Complex>> {
    let points = wires.len();
    if points == 1 {
        return wires;
    }
    let (mut even, mut odd) = (Vec::new(), Vec::new());
    for (i, wire) in wires.into_iter().enumerate() {
        if i % 2 == 0 { even.push(wire) } else { odd.push(wire) }
    }
    let even = transform(app, even, first, 2 * stride);
    let odd = transform(app, odd, first + stride, 2 * stride);
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for (k, (even, odd)) in even.into_iter().zip(odd).enumerate() {
        let angle = -2.0 * PI * k as f64 / points as f64;
        let twiddle = Complex { re: math::cos(angle), im: math::sin(angle) };
        let butterfly = app.actor(format!("butterfly{points}.{first}.{k}"), Butterfly { twiddle }, ());
        let [from_even, from_odd] = butterfly.inputs;
        app.connect(even, from_even);
        app.connect(odd, from_odd);
        let [sum, difference] = butterfly.outputs;
        low.push(sum);
        high.push(difference);
    }
    low.append(&mut high);
    low
}

struct Butterfly {
    twiddle: Complex,
}

impl Actor for Butterfly {
    type State = ();
    type Inputs = [Rate<Complex, 1>; 2];
    type Outputs = [Rate<Complex, 1>; 2];

    fn fire(&self, (): &mut (), [&[even], &[odd]]: [&[Complex; 1]; 2], [[sum], [difference]]: [&mut [Complex; 1]; 2]) {
        let turned = Complex {
            re: odd.re * self.twiddle.re - odd.im * self.twiddle.im,
            im: odd.re * self.twiddle.im + odd.im * self.twiddle.re,
        };
        *sum = Complex { re: even.re + turned.re, im: even.im + turned.im };
        *difference = Complex { re: even.re - turned.re, im: even.im - turned.im };
    }
}
