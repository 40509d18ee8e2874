//! Eight oscillators, up to 100 ppm apart, become a machine: they settle, boot, and carry an application, tick by tick.
//!
//! `cargo run --locked -p tidelock-examples --bin clocks`

use std::error::Error;
use tidelock::clocks::{BootOptions, ClockEngine, Coupling, EngineOptions, boot};
use tidelock::formats::read_clocks;
use tidelock::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let spec = read_clocks(include_bytes!("clocks/eight.ron"))?;
    let mut engine = ClockEngine::new(&spec.network, spec.control, EngineOptions::new(spec.network.nominal()));
    let booted = boot(&mut engine, &BootOptions::default())?;
    println!("settled at {}, booted at {}", booted.settled_at, booted.at);

    let mut app = AppBuilder::new("sums");
    let count = app.source("count", |n: Firing, y: &mut [u64; 1]| y[0] = n.index());
    let sum = app.pipe_with("sum", count, 0, |total: &mut u64, x: &[u64; 1], y: &mut [u64; 1]| {
        *total += x[0];
        y[0] = *total;
    });
    app.record("sums", sum);
    let app = app.build()?;

    // The latencies that clocks have settled to are what calendars are made for.
    let machine = spec.booted_machine(&booted)?;
    let run = compile(&app, &machine, &Options::default())?.run(Iterations(10_000))?;
    assert_eq!(run.channel("sums").values::<u64>()?[9_999], 49_995_000);

    // Every tick has a physical time, and no buffer fails, so that the run on clocks is the one above.
    let offsets = machine.nodes().values().map(|node| node.offset).collect();
    let carried = Coupling::new(engine, &offsets).run(Tick(run.ticks()), 1_000);
    assert_eq!(carried.fault, None);
    println!("{} ticks from {} to {}", run.ticks(), carried.begin, carried.end);
    Ok(())
}

#[test]
fn eight_clocks_carry_a_run() -> Result<(), Box<dyn Error>> {
    main()
}
