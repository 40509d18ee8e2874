//! An actor's handle where one of its outputs is meant.

use tidelock::prelude::*;

struct Zeros;

impl Actor for Zeros {
    type State = ();
    type Inputs = ();
    type Outputs = (Rate<u8, 1>,);
    fn fire(&self, (): &mut (), (): (), _: (&mut [u8; 1],)) {}
}

fn main() {
    let mut app = AppBuilder::new("handle");
    let zeros = app.actor("zeros", Zeros, ());
    app.record("out", zeros);
}
