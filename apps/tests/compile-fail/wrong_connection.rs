//! A connection of an output and an input of different token types.

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
    let gain = app.source("gain", |_: Firing, y: &mut [f32; 1]| y[0] = 2.0);
    let mixer = app.actor("mixer", Mixer, ());
    app.connect(gain, mixer.inputs.1);
    app.connect_with(mixer.outputs, mixer.inputs.0, InitialTokens::repeat(0_u16, 1));
}
