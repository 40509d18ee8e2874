//! An input and an output that are connected twice.

use tidelock::prelude::*;

fn main() {
    let mut app = AppBuilder::new("twice");
    let count = app.source("count", |n: Firing, y: &mut [u64; 1]| y[0] = n.index());
    app.record("first", count);
    app.record("second", count);

    let one = app.source("one", |_: Firing, y: &mut [u64; 1]| y[0] = 1);
    let two = app.source("two", |_: Firing, y: &mut [u64; 1]| y[0] = 2);
    let first = app.actor("first", First, ());
    app.connect(one, first.inputs);
    app.connect(two, first.inputs);
}

struct First;

impl Actor for First {
    type State = ();
    type Inputs = Rate<u64, 1>;
    type Outputs = ();
    fn fire(&self, (): &mut (), _: &[u64; 1], (): ()) {}
}
