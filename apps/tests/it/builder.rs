//! Programs as users write them, and what becomes of them.

use crate::token_game::play;
use sim_core::{ActorState, Id};
use std::sync::Arc;
use tidelock::builder::Side;
use tidelock::prelude::*;

/// A moving average over the last samples, as explicit state.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
struct Fir<const N: usize, const M: usize>([f32; N]);

impl<const N: usize, const M: usize> Default for Fir<N, M> {
    fn default() -> Self {
        Self([0.0; N])
    }
}

impl<const N: usize, const M: usize> Fir<N, M> {
    fn step(&mut self, x: &[f32; N], y: &mut [f32; M]) {
        for (j, y) in y.iter_mut().enumerate() {
            *y = 0.5 * (x[j * N / M] + self.0[j * N / M]);
        }
        self.0 = *x;
    }
}

fn cd2dat() -> Result<App, BuildError> {
    let mut app = AppBuilder::new("cd2dat");
    let cd = app.source("cd", |n: Firing, y: &mut [f32; 1]| y[0] = math::sin(0.1 * n.index() as f32));
    let a = app.pipe("a", cd, |x: &[f32; 1], y: &mut [f32; 2]| *y = [x[0]; 2]);
    let b = app.pipe("b", a, |x: &[f32; 3], y: &mut [f32; 2]| *y = [x[0], x[2]]);
    let c = app.pipe_with("c", b, Fir::<7, 8>::default(), Fir::step).exec(4);
    let d = app.pipe("d", c, |x: &[f32; 7], y: &mut [f32; 5]| y.copy_from_slice(&x[..5]));
    app.record("dat", d);
    app.build()
}

#[test]
fn cd2dat_has_the_published_rates() {
    let app = cd2dat().unwrap();
    let rates: Vec<_> =
        app.channels().values().map(|c| (c.name.as_str(), c.tokens.produce[0], c.tokens.consume[0])).collect();
    assert_eq!(rates, [("cd->a", 1, 1), ("a->b", 2, 3), ("b->c", 2, 7), ("c->d", 8, 7), ("dat", 5, 1)]);
    let c = &app.actors()[app.actor_named("c").unwrap()];
    assert_eq!((&c.exec[..], &c.state), ([4].as_slice(), &ActorState::Plain(vec![0; 4])));
    assert!(app.actors().values().filter(|actor| actor.name != "c").all(|actor| actor.state == ActorState::None));

    let game = play(&app, |actor| if actor == "cd" { 147 } else { u64::MAX });
    let firings = ["cd", "a", "b", "c", "d", "dat"].map(|actor| game.firings(actor));
    assert_eq!(firings, [147, 147, 98, 28, 32, 160]);
    assert_eq!(game.tokens::<f32>("dat").len(), 160);
    assert_eq!(game.tokens::<f32>("cd->a")[146], math::sin(0.1 * 146.0_f32));
}

struct Crossover;

impl Actor for Crossover {
    type State = f32;
    type Inputs = (Rate<f32, 4>,);
    type Outputs = (Rate<f32, 1>, Rate<f32, 4>);
    fn fire(&self, low_pass: &mut f32, (x,): (&[f32; 4],), (low, high): (&mut [f32; 1], &mut [f32; 4])) {
        *low_pass = 0.5 * (*low_pass + x.iter().sum::<f32>() / 4.0);
        low[0] = *low_pass;
        *high = x.map(|x| x - *low_pass);
    }
}

struct Add<T, const N: usize>(std::marker::PhantomData<T>);

impl<T: Token + std::ops::Add<Output = T>, const N: usize> Actor for Add<T, N> {
    type State = ();
    type Inputs = (Rate<T, N>, Rate<T, N>);
    type Outputs = (Rate<T, N>, Rate<T, N>);
    fn fire(&self, (): &mut (), (a, b): (&[T; N], &[T; N]), (sum, copy): (&mut [T; N], &mut [T; N])) {
        *sum = std::array::from_fn(|i| a[i] + b[i]);
        *copy = *sum;
    }
}

/// Several ports, state, and a loop that initial tokens make live.
#[test]
fn feedback_runs_on_initial_tokens() {
    let mut app = AppBuilder::new("crossover");
    let ramp = app.source("ramp", |n: Firing, y: &mut [f32; 4]| *y = [4.0 * n.index() as f32; 4]);
    let split = app.actor("split", Crossover, 0.0);
    let sum = app.actor("sum", Add::<f32, 4>(std::marker::PhantomData), ());
    app.connect(ramp, split.inputs.0);
    app.connect(split.outputs.1, sum.inputs.0);
    app.connect_with(sum.outputs.0, sum.inputs.1, InitialTokens::repeat(0.0, 4));
    app.record("low", split.outputs.0);
    app.record("total", sum.outputs.1);
    let app = app.build().unwrap();

    let game = play(&app, |actor| if actor == "ramp" { 3 } else { u64::MAX });
    assert_eq!(game.tokens::<f32>("low"), [0.0, 2.0, 5.0]);
    assert_eq!(game.tokens::<f32>("total"), [[0.0; 4], [2.0; 4], [5.0; 4]].concat());
    assert_eq!(game.state("split"), encode(&[5.0_f32]));
    assert!(game.state("sum").is_empty());
}

/// Passes a token to the right and one down.
struct Cell;

impl Actor for Cell {
    type State = u32;
    type Inputs = [Rate<u32, 1>; 2];
    type Outputs = [Rate<u32, 1>; 2];
    fn fire(&self, state: &mut u32, [a, b]: [&[u32; 1]; 2], [right, down]: [&mut [u32; 1]; 2]) {
        *state = state.wrapping_add(a[0] ^ b[0]);
        (right[0], down[0]) = (*state, *state + 1);
    }
}

/// Handles borrow nothing: a loop makes a torus of 4096 actors.
#[test]
fn a_loop_builds_64_by_64_actors() {
    const SIDE: usize = 64;
    let mut app = AppBuilder::new("torus");
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for index in 0..SIDE * SIDE {
        let cell = app.actor(format!("cell{},{}", index % SIDE, index / SIDE), Cell, index as u32);
        inputs.push(cell.inputs);
        outputs.push(cell.outputs.map(Output::share));
    }
    for (index, [from_left, from_above]) in inputs.into_iter().enumerate() {
        let (x, y) = (index % SIDE, index / SIDE);
        let at = |x: usize, y: usize| (y % SIDE) * SIDE + x % SIDE;
        app.connect_with(outputs[at(x + SIDE - 1, y)][0], from_left, InitialTokens::repeat(0, 1));
        app.connect_with(outputs[at(x, y + SIDE - 1)][1], from_above, InitialTokens::repeat(0, 1));
    }
    let app = app.build().unwrap();
    assert_eq!((app.actors().len(), app.channels().len()), (4096, 8192));
    let game = play(&app, |_| 2);
    assert!(app.actors().values().all(|actor| game.firings(&actor.name) == 2));
    assert_eq!(game.tokens::<u32>("cell5,0->cell6,0"), [5, 5_u32.wrapping_add(4 ^ (63 * 64 + 5 + 1))]);
}

/// Closures may capture what they only read.
#[test]
fn captures_are_read() {
    let table: Arc<[u16]> = [3, 1, 4, 1].into();
    let scale = 10;
    let mut app = AppBuilder::new("captures");
    let shared = Arc::clone(&table);
    let digits = app.source("digits", move |n: Firing, y: &mut [u16; 1]| y[0] = shared[n.index() as usize % 4]);
    let scaled = app.pipe("scaled", digits, move |x: &[u16; 1], y: &mut [u16; 1]| y[0] = scale * x[0] + table[0]);
    app.record("out", scaled);
    let app = app.build().unwrap();
    let game = play(&app, |actor| if actor == "digits" { 4 } else { u64::MAX });
    assert_eq!(game.tokens::<u16>("out"), [33, 13, 43, 13]);
}

/// A shared output gives every input all of its tokens, from one port.
#[test]
fn a_shared_output_feeds_several_inputs() {
    let mut app = AppBuilder::new("multicast");
    let count = app.source_with("count", 0_u8, |n, y: &mut [u8; 2]| {
        *y = [*n, *n + 1];
        *n += 2;
    });
    let count = count.share();
    let even = app.pipe("even", count, |x: &[u8; 2], y: &mut [u8; 1]| y[0] = x[0]);
    let sum = app.pipe("sum", count, |x: &[u8; 4], y: &mut [u8; 1]| y[0] = x.iter().sum());
    app.record("all", count);
    app.record("evens", even);
    app.record("sums", sum);
    let app = app.build().unwrap();
    assert!(app.outputs(app.actor_named("count").unwrap()).iter().all(|&c| app.channels()[c].source_port == 0));
    let game = play(&app, |actor| if actor == "count" { 2 } else { u64::MAX });
    assert_eq!(game.tokens::<u8>("all"), [0, 1, 2, 3]);
    assert_eq!(game.tokens::<u8>("evens"), [0, 2]);
    assert_eq!(game.tokens::<u8>("sums"), [6]);
}

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pixel {
    red: u8,
    green: u8,
    blue: u8,
}

impl Token for Pixel {}

/// A token without padding in its words, and therefore read in place.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Reading {
    value: f64,
    station: u32,
    flags: [u8; 4],
}

impl Token for Reading {
    fn canonical(&mut self) {
        self.value.canonical();
    }
}

#[test]
fn tokens_of_users_travel() {
    let mut app = AppBuilder::new("pixels");
    let grey = app.source("grey", |n: Firing, y: &mut [Pixel; 2]| {
        let level = n.index() as u8;
        *y = [Pixel { red: level, green: level, blue: level }, Pixel { red: 1, green: 2, blue: level }];
    });
    let read = app.pipe("read", grey, |x: &[Pixel; 2], y: &mut [Reading; 2]| {
        *y = x.map(|p| Reading { value: -f64::NAN, station: u32::from(p.blue), flags: [p.red, 0, 0, 1] });
    });
    app.record("readings", read);
    let app = app.build().unwrap();
    assert_eq!(app.channels().values().map(|c| c.tokens.bits).collect::<Vec<_>>(), [24, 128]);
    let game = play(&app, |actor| if actor == "grey" { 6 } else { u64::MAX });
    assert_eq!(game.words("grey->read")[10..], [0x05_0505, 0x05_0201]);
    assert_eq!(
        game.words("readings")[20..],
        [0x7ff8_0000_0000_0000, 0x0100_0005_0000_0005, 0x7ff8_0000_0000_0000, 0x0100_0001_0000_0005]
    );
    assert_eq!(game.tokens::<Reading>("readings")[11].station, 5);
}

/// Whatever the layout of a token (in place, copied, on the heap), an actor that copies its inputs copies the words.
#[test]
fn copying_tokens_copies_their_words() {
    fn check<T: Token, const N: usize>() {
        let size = size_of::<T>().div_ceil(8);
        let mut words: Vec<u64> = (0..(5 * N * size) as u64).map(sim_core::mix::mix64).collect();
        let padding = 8 * (8 * size - size_of::<T>()) as u32;
        words.iter_mut().skip(size - 1).step_by(size).for_each(|word| *word &= u64::MAX >> padding);

        let mut app = AppBuilder::new("copy");
        let input = app.input::<T, 1>("input");
        let piped = app.pipe("piped", input, |x: &[T; N], y: &mut [T; N]| *y = *x);
        app.record("out", piped);
        let app = app.build().unwrap();
        let input = app.actor_named("input").unwrap();
        let app = app.feed(input, words.as_slice().into());
        let game = play(&app, |actor| if actor == "input" { 5 * N as u64 } else { u64::MAX });
        assert_eq!(game.words("out"), words);
    }
    check::<u8, 1>();
    check::<u8, 7>();
    check::<u64, 3>();
    check::<i32, 300>();
    check::<u128, 1>();
    check::<u128, 3>();
    check::<[u8; 3], 2>();
    check::<[u8; 300], 2>();
    check::<[u16; 12], 5>();
}

/// Takes and gives ports of every shape, in another order.
struct Shapes;

impl Actor for Shapes {
    type State = ();
    type Inputs = (Rate<u8, 3>, [Rate<u64, 2>; 2], (Rate<u128, 1>, ()));
    type Outputs = [(Rate<u128, 1>, Rate<u8, 3>); 2];
    fn fire(
        &self,
        (): &mut (),
        (bytes, [a, b], (wide, ())): (&[u8; 3], [&[u64; 2]; 2], (&[u128; 1], ())),
        [first, second]: [(&mut [u128; 1], &mut [u8; 3]); 2],
    ) {
        (*first.0, *first.1) = ([u128::from(a[0] + 10 * a[1])], *bytes);
        (*second.0, *second.1) = ([u128::from(b[0] + 10 * b[1]) + wide[0]], [bytes[2]; 3]);
    }
}

/// Ports are numbered, and their words lie, in reading order.
#[test]
fn ports_lie_in_reading_order() {
    let mut app = AppBuilder::new("shapes");
    let shapes = app.actor("shapes", Shapes, ());
    let (bytes, [a, b], (wide, ())) = shapes.inputs;
    let [first, second] = shapes.outputs;
    app.connect_with(first.0, wide, InitialTokens::repeat(0, 1));
    app.connect_with(first.1, bytes, InitialTokens::repeat(0, 3));
    let numbers = app.source("numbers", |_: Firing, y: &mut [u64; 2]| *y = [0; 2]).share();
    app.connect(numbers, a);
    app.connect(numbers, b);
    app.record("wide", second.0);
    app.record("bytes", second.1);
    let app = app.build().unwrap();
    let id = app.actor_named("shapes").unwrap();
    let ports: Vec<_> = app.inputs(id).iter().map(|&c| app.channels()[c].tokens.consume[0]).collect();
    assert_eq!(ports, [3, 2, 2, 1]);
    let inputs = [[1, 2, 3].as_slice(), &[4, 5], &[6, 7], &[1000, 1]].concat();
    let mut outputs = [u64::MAX; 10];
    let firing = Firing { index: 0, phase: 0 };
    app.actors()[id].behaviour.fire(firing, sim_core::State::Words(&mut []), &inputs, &mut outputs);
    assert_eq!(outputs, [54, 0, 1, 2, 3, 1076, 1, 3, 3, 3]);
}

/// However a NaN came about, one NaN is sent: in place or copied, computed or initial.
#[test]
fn nan_is_canonical_on_every_channel() {
    fn check<T: Token + Default>(nan: [T; 2], expected: u64) {
        let mut app = AppBuilder::new("nan");
        let pass = app.actor("pass", Pass(nan), ());
        let output = pass.outputs.share();
        app.connect_with(output, pass.inputs, InitialTokens::list(nan));
        app.record("nan", output);
        let app = app.build().unwrap();
        let game = play(&app, |actor| if actor == "pass" { 1 } else { u64::MAX });
        assert_eq!(game.words("nan"), [expected; 2]);
        assert_eq!(game.words("pass->pass"), [expected; 4]);
    }
    check([f32::from_bits(0xffc0_0001), f32::from_bits(0x7f80_0001)], 0x7fc0_0000);
    check([f64::from_bits(u64::MAX), -f64::NAN], 0x7ff8_0000_0000_0000);
}

struct Pass<T>([T; 2]);

impl<T: Token> Actor for Pass<T> {
    type State = ();
    type Inputs = Rate<T, 2>;
    type Outputs = Rate<T, 2>;
    fn fire(&self, (): &mut (), _: &[T; 2], y: &mut [T; 2]) {
        *y = self.0;
    }
}

/// Keeps what cannot be copied out.
struct Sort;

impl Actor for Sort {
    type State = std::collections::BinaryHeap<u32>;
    type Inputs = (Rate<u32, 1>,);
    type Outputs = (Rate<u32, 1>,);
    fn fire(&self, heap: &mut Self::State, (x,): (&[u32; 1],), (y,): (&mut [u32; 1],)) {
        heap.push(x[0]);
        y[0] = *heap.peek().unwrap();
    }
}

/// Opaque state is asked for by name, and made anew for each run.
#[test]
fn opaque_state_is_made_for_each_run() {
    let mut app = AppBuilder::new("opaque");
    let numbers = app.source("numbers", |n: Firing, y: &mut [u32; 1]| y[0] = [5, 3, 8, 1][n.index() as usize]);
    let sort = app.opaque("sort", Sort, || std::collections::BinaryHeap::from([4]));
    app.connect(numbers, sort.inputs.0);
    app.record("largest", sort.outputs.0);
    let app = app.build().unwrap();
    assert_eq!(app.actors()[app.actor_named("sort").unwrap()].state, ActorState::Opaque);
    for _ in 0..2 {
        let game = play(&app, |actor| if actor == "numbers" { 4 } else { u64::MAX });
        assert_eq!(game.tokens::<u32>("largest"), [5, 5, 8, 8]);
    }
}

/// What a firing does not write is zero; ports larger than a thread's stack are no problem; a state is changed in place.
#[test]
fn large_ports_and_states_fit_small_stacks() {
    const LARGE: usize = 1 << 20;
    let mut app = AppBuilder::new("large");
    let zeros = app.source("zeros", |_: Firing, y: &mut [f32; LARGE]| y[LARGE - 1] = 1.0);
    app.sink_with("sum", zeros, [0.0; 4096], |sums: &mut [f64; 4096], x: &[f32; LARGE]| {
        for (sum, x) in sums.iter_mut().zip(x.chunks_exact(256)) {
            *sum += f64::from(x.iter().sum::<f32>());
        }
    });
    let app = app.build().unwrap();
    let run = || play(&app, |actor| if actor == "zeros" { 2 } else { u64::MAX }).state("sum").to_vec();
    let state = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, run).unwrap();
        thread.join().unwrap()
    });
    assert_eq!(decode::<f64>(&state), [[0.0; 4095].as_slice(), &[2.0]].concat());
}

/// Sources whose tokens come from outside are declared, silent until fed, and then replay.
#[test]
fn a_declared_input_is_fed() {
    let mut app = AppBuilder::new("fed");
    let mic = app.input::<f32, 2>("mic");
    app.record("out", mic);
    let app = app.build().unwrap();
    let mic = app.actor_named("mic").unwrap();
    assert!(app.actors()[mic].fed);
    let twice = |actor: &str| if actor == "mic" { 2 } else { u64::MAX };
    assert_eq!(play(&app, twice).tokens::<f32>("out"), [0.0; 4]);
    let app = app.feed(mic, encode(&[1.0_f32, 2.0, 3.0, 4.0]).into());
    assert_eq!(play(&app, twice).tokens::<f32>("out"), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn durations_and_pins_reach_the_application() {
    let mut app = AppBuilder::new("settings");
    let zeros = app.source("zeros", |_: Firing, _: &mut [u8; 1]| {}).exec(3).on(NodeId(2));
    let pass = app.actor("pass", Pass([0_u8; 2]), ()).on(NodeId(1)).exec(5);
    app.connect(zeros, pass.inputs);
    app.record("out", pass.outputs.exec(6)).exec(2);
    let app = app.build().unwrap();
    let settings: Vec<_> = app.actors().values().map(|actor| (actor.exec[0], actor.pin)).collect();
    assert_eq!(settings, [(3, Some(NodeId(2))), (6, Some(NodeId(1))), (2, None)]);
}

/// Channels that join the same two actors are told apart by their ports.
#[test]
fn channel_names_are_unique() {
    let mut app = AppBuilder::new("names");
    let split = app.actor("split", Crossover, 0.0);
    let sum = app.actor("sum", Add::<f32, 4>(std::marker::PhantomData), ());
    let high = split.outputs.1.share();
    app.connect(high, sum.inputs.0);
    app.connect(high, sum.inputs.1);
    app.connect_with(sum.outputs.0, split.inputs.0, InitialTokens::list([1.0, 2.0, 3.0, 4.0]));
    app.record("low", split.outputs.0);
    app.record("sum out", sum.outputs.1);
    let app = app.build().unwrap();
    let names: Vec<_> = app.channels().values().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["split.1->sum.0", "split.1->sum.1", "sum->split", "low", "sum out"]);
}

/// All unconnected ports are named, each with the line on which its actor was declared.
#[test]
fn unconnected_ports_are_named_with_their_line() {
    let mut app = AppBuilder::new("loose");
    let line = line!() + 1;
    let split = app.actor("split", Crossover, 0.0);
    app.record("low", split.outputs.0);
    drop(app.source("lost", |_: Firing, _: &mut [u8; 1]| {}));
    let error = app.build().unwrap_err();
    let file = file!();
    let expected = format!(
        "not connected: input 0 of actor `split` ({file}:{line}:21), output 1 of actor `split` ({file}:{line}:21), \
         output 0 of actor `lost` ({file}:{}:14)",
        line + 2
    );
    assert_eq!(error.to_string(), expected);
    let BuildError::Unconnected { ports } = error else { panic!("expected unconnected ports") };
    assert_eq!((ports[0].side, ports[1].port, ports[1].place.line()), (Side::Input, 1, line));
}

#[test]
fn mistakes_of_the_whole_program_are_typed_errors() {
    let zeros = |_: Firing, _: &mut [u8; 1]| {};

    let mut app = AppBuilder::new("twice");
    for _ in 0..2 {
        let lost = app.source("zeros", zeros);
        app.record(format!("sink{}", line!()), lost);
    }
    assert!(
        matches!(app.build(), Err(BuildError::DuplicateActor { name, first, second }) if name == "zeros" && first == second)
    );

    let mut other = AppBuilder::new("other");
    let foreign = other.source("zeros", zeros);
    let mut app = AppBuilder::new("foreign");
    app.record("out", foreign);
    assert!(matches!(app.build(), Err(BuildError::ForeignPort { place }) if place.line() == line!() - 1));

    assert!(matches!(AppBuilder::new("empty").build(), Err(BuildError::App(sim_core::AppError::Empty))));

    let mut app = AppBuilder::new("no rate");
    let none = app.source("none", |_: Firing, _: &mut [u8; 0]| {});
    app.record("out", none);
    let error = app.build().unwrap_err().to_string();
    assert_eq!(error, "channel `out` moves no token at actor `none` in any phase");
}

/// Places of actors and channels are lines of this file.
#[test]
fn places_are_the_users_lines() {
    let app = cd2dat().unwrap();
    let places = app.actors().values().map(|actor| &actor.place).chain(app.channels().values().map(|c| &c.place));
    for place in places {
        let Some(sim_core::SourcePlace::Code(location)) = place.as_deref() else { panic!("a place in code") };
        assert_eq!(location.file(), file!());
    }
    assert_eq!(app.actors().ids().last().unwrap().index(), 5);
}
