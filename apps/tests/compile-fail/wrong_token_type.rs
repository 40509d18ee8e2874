//! A closure and a connection that expect another token type than the output's.

use tidelock::prelude::*;

struct Mixer;

impl Actor for Mixer {
    type State = ();
    type Inputs = (Rate<f32, 1>, Rate<u16, 1>);
    type Outputs = Rate<f32, 1>;
    fn fire(&self, (): &mut (), (x, gain): (&[f32; 1], &[u16; 1]), y: &mut [f32; 1]) {
        y[0] = x[0] * f32::from(gain[0]);
    }
}

fn main() {
    let mut app = AppBuilder::new("wrong");
    let samples = app.source("samples", |n: Firing, y: &mut [f32; 1]| y[0] = n.index() as f32);
    let louder = app.pipe("louder", samples, |x: &[f64; 2], y: &mut [f64; 2]| *y = x.map(|x| 2.0 * x));

    let mixer = app.actor("mixer", Mixer, ());
    app.connect(louder, mixer.inputs.1);
}
