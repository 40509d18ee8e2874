//! Ports: what an actor takes and gives per firing as types, and the ends that a program connects.

use super::words::{Reading, Writing};
use crate::token::{Token, words_of};
use sim_core::{ActorId, NodeId};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// A port that moves `N` tokens of type `T` per firing.
///
/// A firing sees it as `&[T; N]` or `&mut [T; N]`.
#[derive(Debug)]
pub struct Rate<T, const N: usize>(PhantomData<fn() -> T>);

/// The inputs or the outputs of an actor: a [`Rate`], `()` for none, or tuples and arrays of such.
///
/// The same shape is seen everywhere: with `type Inputs = (Rate<f32, 4>, [Rate<u8, 1>; 2])` a firing takes
/// `(&[f32; 4], [&[u8; 1]; 2])`, and the actor's handle has `(Input<f32>, [Input<u8>; 2])`. Ports are numbered from 0 in
/// reading order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not describe ports",
    label = "not ports",
    note = "ports are `Rate<T, N>`, `()`, tuples of up to 8 of them such as `(Rate<f32, 4>,)`, or arrays `[Rate<T, N>; K]`, and every `T` is a token"
)]
pub trait Ports: sealed::Sealed + Sized + 'static {
    /// What a firing reads.
    type Refs<'a>;
    /// What a firing writes; zeros at its start.
    type Muts<'a>;
    /// The ends to connect, as inputs.
    type Inputs;
    /// The ends to connect, as outputs.
    type Outputs;

    /// Holds what [`Refs`](Self::Refs) borrow from.
    #[doc(hidden)]
    type Reading<'a>;
    /// Holds what [`Muts`](Self::Muts) borrow from.
    #[doc(hidden)]
    type Writing<'a>;
    /// Appends the shape of every port, in order.
    #[doc(hidden)]
    fn shapes(shapes: &mut Vec<PortShape>);
    /// Takes the words of these ports off the front of `words`.
    #[doc(hidden)]
    fn read<'a>(words: &mut &'a [u64]) -> Self::Reading<'a>;
    /// Lends the tokens.
    #[doc(hidden)]
    fn refs<'a>(reading: &'a Self::Reading<'_>) -> Self::Refs<'a>;
    /// Takes the words of these ports off the front of `words`, and clears them.
    #[doc(hidden)]
    fn write<'a>(words: &mut &'a mut [u64]) -> Self::Writing<'a>;
    /// Lends the tokens.
    #[doc(hidden)]
    fn muts<'a>(writing: &'a mut Self::Writing<'_>) -> Self::Muts<'a>;
    /// Makes the tokens canonical and leaves them in their words.
    #[doc(hidden)]
    fn finish(writing: Self::Writing<'_>);
    /// Numbers the ports as inputs.
    #[doc(hidden)]
    fn inputs(numbers: &mut PortNumbers) -> Self::Inputs;
    /// Numbers the ports as outputs.
    #[doc(hidden)]
    fn outputs(numbers: &mut PortNumbers) -> Self::Outputs;
}

mod sealed {
    pub trait Sealed {}
    impl<T, const N: usize> Sealed for super::Rate<T, N> {}
    impl<P: Sealed, const K: usize> Sealed for [P; K] {}
}

/// Rate and token size of one port.
#[derive(Clone, Copy, Debug)]
pub struct PortShape {
    /// Tokens per firing; what does not fit saturates, which is beyond every limit.
    pub(super) rate: u32,
    pub(super) token_bits: u64,
}

impl<T: Token, const N: usize> Ports for Rate<T, N> {
    type Refs<'a> = &'a [T; N];
    type Muts<'a> = &'a mut [T; N];
    type Inputs = Input<T>;
    type Outputs = Output<T>;
    type Reading<'a> = Reading<'a, T, N>;
    type Writing<'a> = Writing<'a, T, N>;

    fn shapes(shapes: &mut Vec<PortShape>) {
        let rate = u32::try_from(N).unwrap_or(u32::MAX);
        shapes.push(PortShape { rate, token_bits: size_of::<T>() as u64 * 8 });
    }
    fn read<'a>(words: &mut &'a [u64]) -> Reading<'a, T, N> {
        Reading::new(words.split_off(..N * words_of::<T>()).expect("a firing is given all words that it consumes"))
    }
    fn refs<'a>(reading: &'a Reading<'_, T, N>) -> &'a [T; N] {
        reading.tokens()
    }
    fn write<'a>(words: &mut &'a mut [u64]) -> Writing<'a, T, N> {
        Writing::new(words.split_off_mut(..N * words_of::<T>()).expect("a firing is given all words that it produces"))
    }
    fn muts<'a>(writing: &'a mut Writing<'_, T, N>) -> &'a mut [T; N] {
        writing.tokens()
    }
    fn finish(writing: Writing<'_, T, N>) {
        writing.finish();
    }
    fn inputs(numbers: &mut PortNumbers) -> Input<T> {
        Input { port: numbers.next(), token: PhantomData }
    }
    fn outputs(numbers: &mut PortNumbers) -> Output<T> {
        Output { port: numbers.next(), settings: Rc::clone(&numbers.settings), token: PhantomData }
    }
}

impl<P: Ports, const K: usize> Ports for [P; K] {
    type Refs<'a> = [P::Refs<'a>; K];
    type Muts<'a> = [P::Muts<'a>; K];
    type Inputs = [P::Inputs; K];
    type Outputs = [P::Outputs; K];
    type Reading<'a> = [P::Reading<'a>; K];
    type Writing<'a> = [P::Writing<'a>; K];

    fn shapes(shapes: &mut Vec<PortShape>) {
        (0..K).for_each(|_| P::shapes(shapes));
    }
    fn read<'a>(words: &mut &'a [u64]) -> Self::Reading<'a> {
        std::array::from_fn(|_| P::read(words))
    }
    fn refs<'a>(reading: &'a Self::Reading<'_>) -> Self::Refs<'a> {
        reading.each_ref().map(|port| P::refs(port))
    }
    fn write<'a>(words: &mut &'a mut [u64]) -> Self::Writing<'a> {
        std::array::from_fn(|_| P::write(words))
    }
    fn muts<'a>(writing: &'a mut Self::Writing<'_>) -> Self::Muts<'a> {
        writing.each_mut().map(|port| P::muts(port))
    }
    fn finish(writing: Self::Writing<'_>) {
        writing.into_iter().for_each(P::finish);
    }
    fn inputs(numbers: &mut PortNumbers) -> Self::Inputs {
        std::array::from_fn(|_| P::inputs(numbers))
    }
    fn outputs(numbers: &mut PortNumbers) -> Self::Outputs {
        std::array::from_fn(|_| P::outputs(numbers))
    }
}

macro_rules! tuples {
    ($(($($P:ident $i:tt)*))*) => {$(
        impl<$($P: Ports),*> sealed::Sealed for ($($P,)*) {}

        #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has no ports")]
        impl<$($P: Ports),*> Ports for ($($P,)*) {
            type Refs<'a> = ($($P::Refs<'a>,)*);
            type Muts<'a> = ($($P::Muts<'a>,)*);
            type Inputs = ($($P::Inputs,)*);
            type Outputs = ($($P::Outputs,)*);
            type Reading<'a> = ($($P::Reading<'a>,)*);
            type Writing<'a> = ($($P::Writing<'a>,)*);

            fn shapes(shapes: &mut Vec<PortShape>) {
                $($P::shapes(shapes);)*
            }
            fn read<'a>(words: &mut &'a [u64]) -> Self::Reading<'a> {
                ($($P::read(words),)*)
            }
            fn refs<'a>(reading: &'a Self::Reading<'_>) -> Self::Refs<'a> {
                ($($P::refs(&reading.$i),)*)
            }
            fn write<'a>(words: &mut &'a mut [u64]) -> Self::Writing<'a> {
                ($($P::write(words),)*)
            }
            fn muts<'a>(writing: &'a mut Self::Writing<'_>) -> Self::Muts<'a> {
                ($($P::muts(&mut writing.$i),)*)
            }
            fn finish(writing: Self::Writing<'_>) {
                $($P::finish(writing.$i);)*
            }
            fn inputs(numbers: &mut PortNumbers) -> Self::Inputs {
                ($($P::inputs(numbers),)*)
            }
            fn outputs(numbers: &mut PortNumbers) -> Self::Outputs {
                ($($P::outputs(numbers),)*)
            }
        }
    )*};
}

tuples! {
    ()
    (A 0)
    (A 0 B 1)
    (A 0 B 1 C 2)
    (A 0 B 1 C 2 D 3)
    (A 0 B 1 C 2 D 3 E 4)
    (A 0 B 1 C 2 D 3 E 4 F 5)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7)
}

/// Which port of which actor of which builder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PortId {
    /// The builder's number in this process: ports of two builders must not meet.
    pub(super) builder: u64,
    pub(super) actor: ActorId,
    pub(super) port: u32,
}

impl fmt::Debug for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.actor, self.port)
    }
}

/// Numbers the ports of one side of an actor.
#[derive(Debug)]
pub struct PortNumbers {
    next: PortId,
    settings: Rc<Cell<Settings>>,
}

impl PortNumbers {
    pub(super) fn new(builder: u64, actor: ActorId, settings: &Rc<Cell<Settings>>) -> Self {
        Self { next: PortId { builder, actor, port: 0 }, settings: Rc::clone(settings) }
    }

    fn next(&mut self) -> PortId {
        let port = self.next;
        self.next.port += 1;
        port
    }
}

/// What an actor's handles can still change after it was declared; shared by the builder and all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) exec: u64,
    pub(super) pin: Option<NodeId>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { exec: 1, pin: None }
    }
}

/// An output that is not connected yet. Connecting moves it; [`share`](Self::share) it to feed several inputs.
#[derive(Debug)]
#[must_use = "an output must be connected; `record` it to look at its tokens"]
pub struct Output<T> {
    pub(super) port: PortId,
    settings: Rc<Cell<Settings>>,
    token: PhantomData<fn() -> T>,
}

impl<T> Output<T> {
    /// Allows this output to feed any number of inputs, at least one: every one gets all tokens.
    pub fn share(self) -> Shared<T> {
        Shared { port: self.port, token: PhantomData }
    }

    /// Sets the duration of a firing of this output's actor in ticks, instead of 1.
    pub fn exec(self, ticks: u64) -> Self {
        set_exec(&self.settings, ticks);
        self
    }

    /// Asks for the node on which this output's actor fires.
    pub fn on(self, node: NodeId) -> Self {
        set_pin(&self.settings, node);
        self
    }
}

/// An output that may feed several inputs. Copied where it is connected.
#[derive(Debug)]
#[must_use = "an output must be connected; `record` it to look at its tokens"]
pub struct Shared<T> {
    port: PortId,
    token: PhantomData<fn() -> T>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

/// An input that is not connected yet. Connecting moves it, so that it has one channel.
#[derive(Debug)]
#[must_use = "an input must be connected"]
pub struct Input<T> {
    port: PortId,
    token: PhantomData<fn(T)>,
}

impl<T> Input<T> {
    pub(super) fn into_port(self) -> PortId {
        self.port
    }
}

/// What can be connected to an input: an [`Output`], which is moved, or a [`Shared`] one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an output",
    label = "not an output",
    note = "an `Output<T>` or `Shared<T>` can be connected; an actor with one output has it in `handle.outputs`"
)]
pub trait Producer: producer::Sealed {
    /// The type of its tokens.
    type Token: Token;
    /// Where its tokens come from; uses up what may be connected once.
    #[doc(hidden)]
    fn into_port(self) -> producer::Port;
}

mod producer {
    pub trait Sealed {}
    impl<T> Sealed for super::Output<T> {}
    impl<T> Sealed for super::Shared<T> {}

    #[derive(Clone, Copy, Debug)]
    pub struct Port(pub(in crate::builder) super::PortId);
}

impl<T: Token> Producer for Output<T> {
    type Token = T;
    fn into_port(self) -> producer::Port {
        producer::Port(self.port)
    }
}

impl<T: Token> Producer for Shared<T> {
    type Token = T;
    fn into_port(self) -> producer::Port {
        producer::Port(self.port)
    }
}

/// An actor that was declared, with its ports to connect: move them out of the fields.
pub struct ActorHandle<I: Ports, O: Ports> {
    /// Its inputs, in the shape of their [`Ports`].
    pub inputs: I::Inputs,
    /// Its outputs, in the shape of their [`Ports`].
    pub outputs: O::Outputs,
    pub(super) settings: Rc<Cell<Settings>>,
}

impl<I: Ports, O: Ports> ActorHandle<I, O> {
    pub(super) fn new(builder: u64, actor: ActorId, settings: Rc<Cell<Settings>>) -> Self {
        let inputs = I::inputs(&mut PortNumbers::new(builder, actor, &settings));
        let outputs = O::outputs(&mut PortNumbers::new(builder, actor, &settings));
        Self { inputs, outputs, settings }
    }

    /// Sets the duration of a firing in ticks, instead of 1.
    pub fn exec(self, ticks: u64) -> Self {
        set_exec(&self.settings, ticks);
        self
    }

    /// Asks for the node on which the actor fires.
    pub fn on(self, node: NodeId) -> Self {
        set_pin(&self.settings, node);
        self
    }
}

impl<I: Ports, O: Ports> fmt::Debug for ActorHandle<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorHandle").field("settings", &self.settings.get()).finish_non_exhaustive()
    }
}

fn set_exec(settings: &Cell<Settings>, exec: u64) {
    settings.set(Settings { exec, ..settings.get() });
}

fn set_pin(settings: &Cell<Settings>, node: NodeId) {
    settings.set(Settings { pin: Some(node), ..settings.get() });
}
