//! An actor whose firing does not have the ports that it declares.

use tidelock::prelude::*;

struct Half;

impl Actor for Half {
    type State = ();
    type Inputs = (Rate<f32, 2>,);
    type Outputs = (Rate<f32, 1>,);
    fn fire(&self, (): &mut (), (x,): (&[f64; 2],), (y,): (&mut [f32; 1],)) {
        y[0] = x[0] as f32;
    }
}

fn main() {}
