//! The fast Fourier transform of 16 points, one actor per butterfly, on a hypercube: where the butterflies' wires fit best.
//!
//! A loop builds the graph, tokens are complex numbers of our own, and every block of samples is one iteration.
//! Source: Cooley & Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series", Math. Comp. 19, 1965.
//!
//! `cargo run --locked -p tidelock-examples --bin fft`

use std::error::Error;
use std::f64::consts::PI;
use tidelock::prelude::*;

const POINTS: usize = 16;
const BLOCKS: u64 = 5;

/// A complex number: a token of two words. The derives prove that it is plain data of a fixed size.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[zerocopy(crate = "tidelock::zerocopy")]
#[repr(C)]
struct Complex {
    re: f64,
    im: f64,
}

impl Token for Complex {
    fn canonical(&mut self) {
        self.re.canonical();
        self.im.canonical();
    }
}

/// e^(−2πi · `turns`).
fn unit(turns: f64) -> Complex {
    Complex { re: math::cos(2.0 * PI * turns), im: -math::sin(2.0 * PI * turns) }
}

/// Two inputs to their sum and difference, the second one turned first.
struct Butterfly {
    twiddle: Complex,
}

impl Actor for Butterfly {
    type State = ();
    type Inputs = [Rate<Complex, 1>; 2];
    type Outputs = [Rate<Complex, 1>; 2];

    fn fire(&self, (): &mut (), [[even], [odd]]: [&[Complex; 1]; 2], [[sum], [difference]]: [&mut [Complex; 1]; 2]) {
        let Complex { re, im } = self.twiddle;
        let turned = Complex { re: odd.re * re - odd.im * im, im: odd.re * im + odd.im * re };
        *sum = Complex { re: even.re + turned.re, im: even.im + turned.im };
        *difference = Complex { re: even.re - turned.re, im: even.im - turned.im };
    }
}

/// Sample `n` of the signal: two tones, the second one growing louder.
fn signal(n: u64) -> f64 {
    let time = n as f64 / POINTS as f64;
    math::cos(2.0 * PI * 3.0 * time) + 0.01 * n as f64 * math::sin(2.0 * PI * 5.0 * time)
}

/// The application: samples come in with the bits of their numbers reversed; after stage s, runs of 2^s wires hold transforms.
fn fft() -> Result<App, BuildError> {
    let mut app = AppBuilder::new("fft");
    let mut wires: Vec<Output<Complex>> = Vec::new();
    for i in 0..POINTS {
        let point = (i as u64).reverse_bits() >> (64 - POINTS.ilog2());
        wires.push(app.source(format!("x{point}"), move |block: Firing, x: &mut [Complex; 1]| {
            x[0] = Complex { re: signal(block.index() * POINTS as u64 + point), im: 0.0 };
        }));
    }
    for half in (0..POINTS.ilog2()).map(|stage| 1 << stage) {
        let mut joined = Vec::new();
        while !wires.is_empty() {
            let odd: Vec<_> = wires.drain(half..2 * half).collect();
            let (mut low, mut high) = (Vec::new(), Vec::new());
            for (k, (even, odd)) in wires.drain(..half).zip(odd).enumerate() {
                let twiddle = unit(k as f64 / (2 * half) as f64);
                let butterfly = app.actor(format!("b{half}.{}", joined.len() + k), Butterfly { twiddle }, ()).exec(4);
                let ([from_even, from_odd], [sum, difference]) = (butterfly.inputs, butterfly.outputs);
                app.connect(even, from_even);
                app.connect(odd, from_odd);
                low.push(sum);
                high.push(difference);
            }
            joined.extend(low.into_iter().chain(high));
        }
        wires = joined;
    }
    for (k, wire) in wires.into_iter().enumerate() {
        app.record(format!("bin{k}"), wire);
    }
    app.build()
}

/// Bin `k` of a block of the signal, by definition.
fn bin(block: u64, k: usize) -> Complex {
    (0..POINTS).fold(Complex { re: 0.0, im: 0.0 }, |sum, n| {
        let (x, turn) = (signal(block * POINTS as u64 + n as u64), unit((k * n % POINTS) as f64 / POINTS as f64));
        Complex { re: sum.re + x * turn.re, im: sum.im + x * turn.im }
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let compiled = compile(&fft()?, &Machine::hypercube(3), &Options::default())?;
    println!("{}", compiled.report());
    let run = compiled.run(Iterations(BLOCKS))?;

    println!("\nbin  magnitude in the last block");
    for k in 0..POINTS {
        let spectrum: Vec<Complex> = run.channel(&format!("bin{k}")).values()?;
        assert_eq!(spectrum.len() as u64, BLOCKS);
        for (block, found) in (0..BLOCKS).zip(&spectrum) {
            let wanted = bin(block, k);
            let error = math::hypot(found.re - wanted.re, found.im - wanted.im);
            assert!(error < 1e-12, "bin {k} of block {block} is {found:?}, by definition {wanted:?}");
        }
        let last = spectrum[BLOCKS as usize - 1];
        println!("{k:>3}  {}", "▬".repeat((4.0 * math::hypot(last.re, last.im)) as usize));
    }
    Ok(())
}

#[test]
fn the_transform_equals_its_definition() -> Result<(), Box<dyn Error>> {
    main()
}
