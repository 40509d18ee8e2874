//! The applications of the library against programs that do the same in one piece.

use crate::token_game::play;
use scheduler::{Options, compile};
use sim_core::engine::Engine;
use sim_core::{App, Machine, RunOptions};
use std::collections::BTreeSet;
use std::f64::consts::PI;
use tidelock::library::{Complex, GLIDER, cd2dat, dense, fft, life, sparse};

/// What a node does is kept once for all that do the same: a node costs no more where there are more of them, and at most a
/// KiB with its words and its share of the digest.
#[test]
fn a_node_of_many_costs_no_more_than_one_of_few() {
    let bytes = |side| {
        let machine = Machine::torus([side, side]).latency(8);
        let app = dense(&machine).unwrap();
        let compiled = compile(&app, &machine, &Options::default()).unwrap();
        let program = calendars::lower(&app, &machine, &compiled.calendars).unwrap();
        let options = RunOptions { iterations: 100, ..RunOptions::default() };
        let engine = Engine::new(&app, &program, &options).unwrap();
        engine.bytes() / machine.nodes().len()
    };
    let (few, many) = (bytes(8), bytes(40));
    assert!(many <= few && many <= 1024, "{few} bytes per node of 64, {many} of 1600");
}

/// One stage of the converter by its definition: every output is an integral of the whole input with a windowed sinc.
fn resample(x: &[f64], up: usize, down: usize) -> Vec<f64> {
    let half = 32.0;
    let cutoff = 0.92 * (up as f64 / down as f64).min(1.0);
    let kernel = |t: f64| {
        let window =
            if t.abs() < half { 0.42 + 0.5 * (PI * t / half).cos() + 0.08 * (2.0 * PI * t / half).cos() } else { 0.0 };
        if t == 0.0 { window } else { (PI * cutoff * t).sin() / (PI * cutoff * t) * window }
    };
    let output = |n: usize| {
        let time = (n * down) as f64 / up as f64 - half;
        // Weights are normalised over all taps, also those before the first sample.
        let all = (-100..x.len() as i64).map(|k| (k, kernel(time - k as f64)));
        let (sum, weight) = all
            .fold((0.0, 0.0), |(sum, weight), (k, w)| (sum + w * usize::try_from(k).map_or(0.0, |k| x[k]), weight + w));
        sum / weight
    };
    (0..x.len() * up / down).map(output).collect()
}

/// Firing by firing, with state, gives what the definition gives for the whole signal at once.
#[test]
fn cd2dat_equals_the_converter_in_one_piece() {
    let app = cd2dat().unwrap();
    let iterations = 3;
    let game = play(&app, |actor| if actor == "cd" { 147 * iterations } else { u64::MAX });
    let firings = ["cd", "a", "b", "c", "d", "dat"].map(|actor| game.firings(actor) / iterations);
    assert_eq!(firings, [147, 147, 98, 28, 32, 160]);

    let cd: Vec<f64> = (0..147 * iterations).map(|n| (2.0 * PI * n as f64 / 44.1).sin()).collect();
    let expected = [(2, 1), (2, 3), (8, 7), (5, 7)].iter().fold(cd, |x, &(up, down)| resample(&x, up, down));
    let dat = game.tokens::<f32>("dat");
    assert_eq!(dat.len(), expected.len());
    for (n, (y, expected)) in dat.iter().zip(expected).enumerate() {
        assert!((f64::from(*y) - expected).abs() < 1e-5, "sample {n} is {y}, expected {expected}");
    }
}

/// A tone of 1 kHz is a tone of 1 kHz afterwards, late by half the taps of each stage.
#[test]
fn cd2dat_keeps_the_tone() {
    let app = cd2dat().unwrap();
    let game = play(&app, |actor| if actor == "cd" { 147 * 20 } else { u64::MAX });
    let delay: f64 = [44_100.0, 88_200.0, 58_800.0, 67_200.0].iter().map(|rate| 32.0 / rate).sum();
    for (n, y) in game.tokens::<f32>("dat").into_iter().enumerate().skip(300) {
        let expected = (2.0 * PI * 1_000.0 * (n as f64 / 48_000.0 - delay)).sin();
        assert!((f64::from(y) - expected).abs() < 1e-3, "sample {n} is {y}, expected {expected}");
    }
}

/// Every block of a signal has the spectrum that the definition gives it.
#[test]
fn fft_equals_the_discrete_fourier_transform() {
    let signal = |n: u64| ((n * n * 7 + n) % 23) as f64 - 11.0;
    for stages in 0..6 {
        let points = 1_u64 << stages;
        let app = fft(stages, signal).unwrap();
        let game = play(&app, |actor| if actor.starts_with('x') { 2 } else { u64::MAX });
        for bin in 0..points {
            let blocks = game.tokens::<Complex>(&format!("bin{bin}"));
            assert_eq!(blocks.len(), 2);
            for (block, value) in (0..).zip(blocks) {
                let (mut re, mut im) = (0.0, 0.0);
                for n in 0..points {
                    let angle = -2.0 * PI * (bin * n) as f64 / points as f64;
                    re += signal(block * points + n) * angle.cos();
                    im += signal(block * points + n) * angle.sin();
                }
                assert!((value.re - re).abs() < 1e-9 && (value.im - im).abs() < 1e-9, "bin {bin} of {points} points");
            }
        }
    }
}

/// The next generation of a board (rows of cells) whose edges are joined.
fn next_board(board: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let (height, width) = (board.len(), board[0].len());
    let cell = |x: usize, y: usize| {
        let around =
            (0..9).filter(|i| *i != 4 && board[(y + height + i / 3 - 1) % height][(x + width + i % 3 - 1) % width]);
        matches!((board[y][x], around.count()), (_, 3) | (true, 2))
    };
    (0..height).map(|y| (0..width).map(|x| cell(x, y)).collect()).collect()
}

/// Plays a board in blocks and in one piece, and compares every cell of every generation.
fn check_life<const SIDE: usize>(
    width: usize,
    height: usize,
    generations: usize,
    alive: impl Fn(usize, usize) -> bool,
) {
    let app = life::<SIDE>(width, height, &alive).unwrap();
    let game = play(&app, |actor| if actor.starts_with("block") { generations as u64 } else { u64::MAX });
    let blocks: Vec<Vec<[u64; SIDE]>> =
        (0..width * height).map(|i| game.tokens(&format!("cells {},{}", i % width, i / width))).collect();
    let mut board: Vec<Vec<bool>> =
        (0..height * SIDE).map(|y| (0..width * SIDE).map(|x| alive(x, y)).collect()).collect();
    for generation in 1..=generations {
        board = next_board(&board);
        for (y, row) in board.iter().enumerate() {
            for (x, &expected) in row.iter().enumerate() {
                let rows = blocks[y / SIDE * width + x / SIDE][generation - 1];
                let found = rows[y % SIDE] >> (x % SIDE) & 1 == 1;
                assert_eq!(found, expected, "cell {x},{y} in generation {generation}");
            }
        }
    }
}

#[test]
fn life_in_blocks_is_life_on_one_board() {
    let soup = |x: usize, y: usize| sim_core::mix::mix64((x * 1000 + y) as u64).is_multiple_of(3);
    check_life::<4>(3, 2, 30, soup);
    check_life::<8>(1, 1, 20, soup);
    check_life::<5>(2, 1, 20, soup);
    check_life::<1>(6, 5, 20, soup);
    check_life::<64>(2, 2, 5, soup);
}

/// A glider that crosses a corner, where four blocks meet, is after four generations the same one cell further.
#[test]
fn a_glider_crosses_block_corners() {
    let glider = |x: usize, y: usize| GLIDER.contains(&(x, y));
    check_life::<4>(3, 3, 50, glider);
    let app = life::<8>(2, 2, glider).unwrap();
    let game = play(&app, |actor| if actor.starts_with("block") { 32 } else { u64::MAX });
    let there = game.tokens::<[u64; 8]>("cells 1,1")[31];
    assert_eq!(there, [0b010, 0b100, 0b111, 0, 0, 0, 0, 0]);
    assert_eq!(game.tokens::<[u64; 8]>("cells 0,0")[31], [0; 8]);
}

/// Machines of all kinds: links of several lengths, switches, several cores, parallel links, no link at all.
fn machines() -> impl Iterator<Item = Machine> {
    let presets = ["single", "line:3", "ring:5", "torus:4x4", "torus:2x3", "star:4", "fat-tree:2", "complete:4"];
    let machine = |preset: &str| Machine::from_preset(&preset.parse().unwrap());
    let alike = presets.into_iter().flat_map(move |preset| {
        let latencies = [0, 1, 8].into_iter();
        latencies.map(move |latency| machine(preset).latency(latency).cores(1 + latency % 3))
    });
    let mut mixed = Machine::torus([3, 5]);
    let links = mixed.links().iter().map(|(id, &link)| sim_core::Link {
        latency: sim_core::LogicalLatency(1 + i64::from(id.0 / 2 * 7 % 8)),
        ..link
    });
    mixed = Machine::new("mixed", mixed.nodes().clone(), links.collect::<sim_core::IdVec<_, _>>()).unwrap();
    alike.chain([mixed])
}

/// Compiles a load and returns the slots in which actors start.
fn slots(app: &App, machine: &Machine, period: i64) -> Vec<i64> {
    let compiled = compile(app, machine, &Options::default()).unwrap();
    let report = compiled.report;
    assert_eq!(report.iteration_period, period.into(), "{} on {}: {report}", app.name(), machine.name());
    compiled.schedule.unwrap().firings.iter().map(|firing| firing.start % report.metacycle).collect()
}

#[test]
fn dense_uses_every_tick() {
    for machine in machines() {
        let app = dense(&machine).unwrap();
        if !app.channels().is_empty() {
            slots(&app, &machine, 1);
        }
    }
}

#[test]
fn sparse_has_exactly_its_period() {
    for (machine, period) in machines().zip([1, 2, 3, 7, 100].into_iter().cycle()) {
        slots(&sparse(&machine, period.try_into().unwrap()).unwrap(), &machine, period.into());
    }
}

/// Along a line everybody starts at another tick, but for the one who sets the pace: no slot is used twice before all are.
#[test]
fn sparse_spreads_its_starts() {
    for (latency, period) in [(0, 7), (1, 10), (8, 100), (9, 64), (3, 5)] {
        let machine = Machine::line(1 + period).latency(latency);
        let slots = slots(&sparse(&machine, period.try_into().unwrap()).unwrap(), &machine, period.into());
        assert_eq!(slots[1..].iter().collect::<BTreeSet<_>>().len() as u32, period, "λ {latency}: {slots:?}");
    }
}
