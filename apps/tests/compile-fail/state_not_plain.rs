//! State that is not plain data, in a closure's actor and in one of the user's own.

use tidelock::prelude::*;

struct History;

impl Actor for History {
    type State = Vec<u8>;
    type Inputs = Rate<u8, 1>;
    type Outputs = Rate<u8, 1>;
    fn fire(&self, history: &mut Vec<u8>, x: &[u8; 1], y: &mut [u8; 1]) {
        history.push(x[0]);
        y[0] = history[0];
    }
}

fn main() {
    let mut app = AppBuilder::new("state");
    let bytes = app.source("bytes", |n: Firing, y: &mut [u8; 1]| y[0] = n.index() as u8);
    let longest = app.pipe_with("longest", bytes, Vec::new(), |seen: &mut Vec<u8>, x: &[u8; 1], y: &mut [u64; 1]| {
        seen.push(x[0]);
        y[0] = seen.len() as u64;
    });
    app.record("out", longest);
    app.actor("history", History, Vec::new());
}
