//! From typed firings to [`Behaviour`]: where token types are erased.

use super::ports::{Ports, Rate};
use crate::token::{Plain, Token, change_state};
use sim_core::{Behaviour, Firing, State};
use std::any::Any;
use std::marker::PhantomData;

/// An actor with any number of ports. For one input and one output, a closure does: [`pipe`](super::AppBuilder::pipe).
///
/// A firing is deterministic: it depends on nothing but its arguments and `self`, which never changes.
///
/// ```
/// use tidelock::prelude::*;
///
/// /// Splits a signal into a slow part, one token for every four, and the rest.
/// struct Crossover;
///
/// impl Actor for Crossover {
///     type State = f32;
///     type Inputs = (Rate<f32, 4>,);
///     type Outputs = (Rate<f32, 1>, Rate<f32, 4>);
///
///     fn fire(&self, mean: &mut f32, (x,): (&[f32; 4],), (low, high): (&mut [f32; 1], &mut [f32; 4])) {
///         *mean += 0.5 * (x.iter().sum::<f32>() / 4.0 - *mean);
///         low[0] = *mean;
///         *high = x.map(|x| x - *mean);
///     }
/// }
///
/// # fn main() -> Result<(), BuildError> {
/// let mut app = AppBuilder::new("crossover");
/// let split = app.actor("split", Crossover, 0.0);
/// let noise = app.source("noise", |n: Firing, y: &mut [f32; 1]| y[0] = math::sin(n.index() as f32));
/// app.connect(noise, split.inputs.0);
/// app.record("low", split.outputs.0);
/// app.record("high", split.outputs.1);
/// let app = app.build()?;
/// # Ok(())
/// # }
/// ```
pub trait Actor: Send + Sync + 'static {
    /// What it keeps between firings: plain data, `()` for none, anything if declared [`opaque`](super::AppBuilder::opaque).
    type State: 'static;
    /// What it consumes.
    type Inputs: Ports;
    /// What it produces.
    type Outputs: Ports;

    /// Executes one firing: reads all of `inputs`, writes `outputs` (zeros until then), changes `state`.
    fn fire(
        &self,
        state: &mut Self::State,
        inputs: <Self::Inputs as Ports>::Refs<'_>,
        outputs: <Self::Outputs as Ports>::Muts<'_>,
    );
}

/// A closure that is the firing of a source: `Fn(Firing, &mut [U; M])`.
///
/// It exists beside `Fn` only so that the compiler's message for a closure that changes its captures says what to do.
#[diagnostic::on_unimplemented(
    message = "this closure cannot be a firing without state, because it changes what it captures",
    label = "this closure is not `Fn`",
    note = "firings without state may overlap and be spread over nodes, so that their closure may read what it captures but not change it",
    note = "compute the tokens from the firing's number: `|n: Firing, y: &mut [U; M]| … n.index() …`",
    note = "or declare what changes as state: `app.source_with(name, state, |state: &mut S, y: &mut [U; M]| …)`"
)]
pub trait SourceFn<U, const M: usize> {
    /// Executes one firing.
    fn fire(&self, firing: Firing, y: &mut [U; M]);
}

#[diagnostic::do_not_recommend]
impl<U, const M: usize, F: Fn(Firing, &mut [U; M])> SourceFn<U, M> for F {
    fn fire(&self, firing: Firing, y: &mut [U; M]) {
        self(firing, y);
    }
}

/// A closure that is the firing of an actor without state: `Fn(&[T; N], &mut [U; M])`.
///
/// It exists beside `Fn` only so that the compiler's message for a closure that changes its captures says what to do.
#[diagnostic::on_unimplemented(
    message = "this closure cannot be a firing without state, because it changes what it captures",
    label = "this closure is not `Fn`",
    note = "firings without state may overlap and be spread over nodes, so that their closure may read what it captures but not change it",
    note = "declare what changes as state: `app.pipe_with(name, input, state, |state: &mut S, x: &[T; N], y: &mut [U; M]| …)`"
)]
pub trait PipeFn<T, const N: usize, U, const M: usize> {
    /// Executes one firing.
    fn fire(&self, x: &[T; N], y: &mut [U; M]);
}

#[diagnostic::do_not_recommend]
impl<T, const N: usize, U, const M: usize, F: Fn(&[T; N], &mut [U; M])> PipeFn<T, N, U, M> for F {
    fn fire(&self, x: &[T; N], y: &mut [U; M]) {
        self(x, y);
    }
}

/// Whether firings have state, and which.
pub(super) trait Memory: 'static {
    /// What a firing may change; `()` if nothing.
    type State: 'static;
}

/// Marks firings without state.
pub(super) struct Stateless;

impl Memory for Stateless {
    type State = ();
}

/// Marks firings with state.
pub(super) struct Stateful<S>(PhantomData<fn(S)>);

impl<S: 'static> Memory for Stateful<S> {
    type State = S;
}

/// What can be executed as a firing with inputs `I` and outputs `O`: closures of the right signature, and actors.
pub(super) trait Body<K: Memory, I: Ports, O: Ports> {
    fn fire(&self, firing: Firing, state: &mut K::State, inputs: I::Refs<'_>, outputs: O::Muts<'_>);
}

/// The firing of a source.
pub(super) struct BySource<F>(pub(super) F);

impl<U: Token, const M: usize, F: SourceFn<U, M>> Body<Stateless, (), Rate<U, M>> for BySource<F> {
    fn fire(&self, firing: Firing, (): &mut (), (): (), outputs: &mut [U; M]) {
        self.0.fire(firing, outputs);
    }
}

/// The firing of an actor without state.
pub(super) struct ByPipe<F>(pub(super) F);

impl<T: Token, U: Token, const N: usize, const M: usize, F> Body<Stateless, Rate<T, N>, Rate<U, M>> for ByPipe<F>
where
    F: PipeFn<T, N, U, M>,
{
    fn fire(&self, _: Firing, (): &mut (), inputs: &[T; N], outputs: &mut [U; M]) {
        self.0.fire(inputs, outputs);
    }
}

impl<S: 'static, U: Token, const M: usize, F> Body<Stateful<S>, (), Rate<U, M>> for F
where
    F: Fn(&mut S, &mut [U; M]),
{
    fn fire(&self, _: Firing, state: &mut S, (): (), outputs: &mut [U; M]) {
        self(state, outputs);
    }
}

impl<S: 'static, T: Token, U: Token, const N: usize, const M: usize, F> Body<Stateful<S>, Rate<T, N>, Rate<U, M>> for F
where
    F: Fn(&mut S, &[T; N], &mut [U; M]),
{
    fn fire(&self, _: Firing, state: &mut S, inputs: &[T; N], outputs: &mut [U; M]) {
        self(state, inputs, outputs);
    }
}

impl<S: 'static, T: Token, const N: usize, F> Body<Stateful<S>, Rate<T, N>, ()> for F
where
    F: Fn(&mut S, &[T; N]),
{
    fn fire(&self, _: Firing, state: &mut S, inputs: &[T; N], (): ()) {
        self(state, inputs);
    }
}

/// Fires an [`Actor`].
pub(super) struct ByActor<A>(pub(super) A);

impl<A: Actor> Body<Stateful<A::State>, A::Inputs, A::Outputs> for ByActor<A> {
    fn fire(
        &self,
        _: Firing,
        state: &mut A::State,
        inputs: <A::Inputs as Ports>::Refs<'_>,
        outputs: <A::Outputs as Ports>::Muts<'_>,
    ) {
        self.0.fire(state, inputs, outputs);
    }
}

/// Does nothing: inputs vanish, outputs are zeros.
pub(super) struct Idle;

impl<I: Ports, O: Ports> Body<Stateless, I, O> for Idle {
    fn fire(&self, _: Firing, (): &mut (), _: I::Refs<'_>, _: O::Muts<'_>) {}
}

/// A typed body behind the interface of the engines, its state plain or none.
pub(super) struct Erased<K, I, O, B> {
    body: B,
    types: PhantomData<fn(K, I, O)>,
}

impl<K, I, O, B> Erased<K, I, O, B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, types: PhantomData }
    }
}

impl<K, I, O, B> Behaviour for Erased<K, I, O, B>
where
    K: Memory<State: Plain>,
    I: Ports,
    O: Ports,
    B: Body<K, I, O> + Send + Sync,
{
    fn fire(&self, firing: Firing, state: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        let State::Words(words) = state else { panic!("an actor with plain state is fired with words") };
        change_state(words, |state| call(&self.body, firing, state, inputs, outputs));
    }
}

/// A typed body behind the interface of the engines, its state made anew for each run.
pub(super) struct ErasedOpaque<S, I, O, B, M> {
    body: B,
    make: M,
    types: PhantomData<fn(S, I, O)>,
}

impl<S, I, O, B, M> ErasedOpaque<S, I, O, B, M> {
    pub(super) fn new(body: B, make: M) -> Self {
        Self { body, make, types: PhantomData }
    }
}

impl<S, I, O, B, M> Behaviour for ErasedOpaque<S, I, O, B, M>
where
    S: Send + 'static,
    I: Ports,
    O: Ports,
    B: Body<Stateful<S>, I, O> + Send + Sync,
    M: Fn() -> S + Send + Sync,
{
    fn fire(&self, firing: Firing, state: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        let State::Opaque(state) = state else { panic!("an actor with opaque state is fired with it") };
        let state = state.downcast_mut().expect("an actor is fired with the state that its behaviour made");
        call(&self.body, firing, state, inputs, outputs);
    }

    fn opaque_state(&self) -> Option<Box<dyn Any + Send>> {
        Some(Box::new((self.make)()))
    }
}

fn call<K: Memory, I: Ports, O: Ports>(
    body: &impl Body<K, I, O>,
    firing: Firing,
    state: &mut K::State,
    mut inputs: &[u64],
    mut outputs: &mut [u64],
) {
    let reading = I::read(&mut inputs);
    let mut writing = O::write(&mut outputs);
    body.fire(firing, state, I::refs(&reading), O::muts(&mut writing));
    O::finish(writing);
}
