//! The typed application builder: ordinary Rust in, an [`App`](sim_core::App) out.
//!
//! Token type and rate of a port are one fact, written once, in the signature of a closure or of an [`Actor`], and checked
//! by the compiler. Nothing can fail before [`AppBuilder::build`], which names the line of each mistake.
//!
//! Channels are named `from->to` after their actors; where several join the same two, `from.0->to.1` with their ports. The
//! channel into a [`record`](AppBuilder::record) has its name. Ids of actors and channels follow the program's order.

mod build;
mod firing;
mod ports;
mod words;

pub use build::{BuildError, Side, UnconnectedPort};
pub use firing::{Actor, PipeFn, SourceFn};
pub use ports::{ActorHandle, Input, Output, Ports, Producer, Rate, Shared};

use crate::token::{Plain, Token, encode, state_words};
use firing::{Body, ByActor, ByPipe, BySource, Erased, ErasedOpaque, Idle, Stateful, Stateless};
use ports::{PortId, PortShape, Settings};
use sim_core::{ActorId, ActorState, Behaviour, Id, InitialValues};
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Collects actors and channels.
///
/// ```
/// use tidelock::prelude::*;
///
/// # fn main() -> Result<(), BuildError> {
/// let mut app = AppBuilder::new("decimate");
/// let noise = app.source("noise", |n: Firing, y: &mut [f32; 1]| y[0] = math::sin(0.1 * n.index() as f32));
/// let mean = app.pipe("mean", noise, |x: &[f32; 4], y: &mut [f32; 1]| y[0] = x.iter().sum::<f32>() / 4.0).exec(2);
/// let total = app.pipe_with("total", mean, 0.0, |sum: &mut f32, x: &[f32; 1], y: &mut [f32; 1]| {
///     *sum += x[0];
///     y[0] = *sum;
/// });
/// app.record("totals", total);
/// let app: App = app.build()?;
/// assert_eq!(app.actors().len(), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AppBuilder {
    name: String,
    /// Its number in this process, to know its own ports.
    id: u64,
    /// Indexed by actor id.
    actors: Vec<Declared>,
    channels: Vec<Connection>,
    /// Where a port of another builder was connected.
    foreign: Option<Place>,
}

/// A line of the user's program.
type Place = &'static Location<'static>;

struct Declared {
    name: String,
    settings: Rc<Cell<Settings>>,
    state: ActorState,
    behaviour: Arc<dyn Behaviour>,
    fed: bool,
    inputs: Vec<PortShape>,
    outputs: Vec<PortShape>,
    place: Place,
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.name, self.place)
    }
}

#[derive(Debug)]
struct Connection {
    /// The name that the user gave.
    name: Option<String>,
    from: PortId,
    to: PortId,
    initial: sim_core::InitialTokens,
    place: Place,
}

/// Tokens present on a channel before tick 0.
///
/// ```
/// use tidelock::prelude::*;
///
/// struct Sum;
///
/// impl Actor for Sum {
///     type State = ();
///     type Inputs = (Rate<u32, 1>, Rate<u32, 1>);
///     type Outputs = Rate<u32, 1>;
///
///     fn fire(&self, (): &mut (), (a, b): (&[u32; 1], &[u32; 1]), sum: &mut [u32; 1]) {
///         sum[0] = a[0].wrapping_add(b[0]);
///     }
/// }
///
/// # fn main() -> Result<(), BuildError> {
/// let mut app = AppBuilder::new("fibonacci");
/// let sum = app.actor("sum", Sum, ());
/// let number = sum.outputs.share(); // One output, three inputs.
/// app.connect_with(number, sum.inputs.0, InitialTokens::repeat(1, 1));
/// app.connect_with(number, sum.inputs.1, InitialTokens::list([0, 1]));
/// app.record("numbers", number);
/// let app = app.build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct InitialTokens<T> {
    tokens: Vec<T>,
    /// Each of `tokens` stands for this many.
    repeat: usize,
}

impl<T: Token> InitialTokens<T> {
    /// `count` tokens of one value.
    #[must_use]
    pub fn repeat(value: T, count: usize) -> Self {
        Self { tokens: vec![value], repeat: count }
    }

    /// The given tokens; the first is consumed first.
    #[must_use]
    pub fn list(tokens: impl IntoIterator<Item = T>) -> Self {
        Self { tokens: tokens.into_iter().collect(), repeat: 1 }
    }

    fn erase(self) -> sim_core::InitialTokens {
        let words = encode(&self.tokens).into();
        let values = if self.repeat == 1 { InitialValues::List(words) } else { InitialValues::Repeat(words) };
        sim_core::InitialTokens { count: self.tokens.len() as u64 * self.repeat as u64, values }
    }
}

impl AppBuilder {
    /// Starts an application called `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        static BUILDERS: AtomicU64 = AtomicU64::new(0);
        let id = BUILDERS.fetch_add(1, Ordering::Relaxed);
        Self { name: name.into(), id, actors: Vec::new(), channels: Vec::new(), foreign: None }
    }

    /// Adds an actor without inputs or state: firing n computes its `M` tokens from n.
    #[track_caller]
    pub fn source<U, const M: usize, F>(&mut self, name: impl Into<String>, fire: F) -> Output<U>
    where
        U: Token,
        F: SourceFn<U, M> + Send + Sync + 'static,
    {
        self.stateless::<(), Rate<U, M>>(name.into(), BySource(fire)).outputs
    }

    /// Adds an actor without inputs that makes its `M` tokens from a state, in order, on one node.
    #[track_caller]
    pub fn source_with<S, U, const M: usize, F>(&mut self, name: impl Into<String>, state: S, fire: F) -> Output<U>
    where
        S: Plain,
        U: Token,
        F: Fn(&mut S, &mut [U; M]) + Send + Sync + 'static,
    {
        self.stateful::<S, (), Rate<U, M>>(name.into(), state, fire).outputs
    }

    /// Adds a source whose `M` tokens per firing come from outside: a file, given to the run under this name.
    #[track_caller]
    pub fn input<U: Token, const M: usize>(&mut self, name: impl Into<String>) -> Output<U> {
        let output = self.stateless::<(), Rate<U, M>>(name.into(), Idle).outputs;
        self.actors[output.port.actor.index()].fed = true;
        output
    }

    /// Adds an actor that turns `N` tokens into `M`, without state: its firings may overlap and spread over nodes.
    #[track_caller]
    pub fn pipe<P, U, const N: usize, const M: usize, F>(
        &mut self,
        name: impl Into<String>,
        input: P,
        fire: F,
    ) -> Output<U>
    where
        P: Producer,
        U: Token,
        F: PipeFn<P::Token, N, U, M> + Send + Sync + 'static,
    {
        let handle = self.stateless::<Rate<P::Token, N>, Rate<U, M>>(name.into(), ByPipe(fire));
        self.connect(input, handle.inputs);
        handle.outputs
    }

    /// Adds an actor that turns `N` tokens into `M` and keeps a state: its firings are in order, on one node.
    #[track_caller]
    pub fn pipe_with<P, S, U, const N: usize, const M: usize, F>(
        &mut self,
        name: impl Into<String>,
        input: P,
        state: S,
        fire: F,
    ) -> Output<U>
    where
        P: Producer,
        S: Plain,
        U: Token,
        F: Fn(&mut S, &[P::Token; N], &mut [U; M]) + Send + Sync + 'static,
    {
        let handle = self.stateful::<S, Rate<P::Token, N>, Rate<U, M>>(name.into(), state, fire);
        self.connect(input, handle.inputs);
        handle.outputs
    }

    /// Adds an actor without outputs: what it makes of its `N` tokens per firing stays in its state.
    #[track_caller]
    pub fn sink_with<P, S, const N: usize, F>(
        &mut self,
        name: impl Into<String>,
        input: P,
        state: S,
        fire: F,
    ) -> ActorHandle<(), ()>
    where
        P: Producer,
        S: Plain,
        F: Fn(&mut S, &[P::Token; N]) + Send + Sync + 'static,
    {
        let handle = self.stateful::<S, Rate<P::Token, N>, ()>(name.into(), state, fire);
        self.connect(input, handle.inputs);
        ActorHandle { inputs: (), outputs: (), settings: handle.settings }
    }

    /// Adds a sink whose tokens can be read after the run. Its channel has this name too; each firing takes one token.
    #[track_caller]
    pub fn record<P: Producer>(&mut self, name: impl Into<String>, input: P) -> ActorHandle<(), ()> {
        let name = name.into();
        let handle = self.stateless::<Rate<P::Token, 1>, ()>(name.clone(), Idle);
        self.join(Some(name), input.into_port().0, handle.inputs.into_port(), sim_core::InitialTokens::none());
        ActorHandle { inputs: (), outputs: (), settings: handle.settings }
    }

    /// Adds an actor with any ports and plain state, `()` for none. The handle has its ports to connect.
    #[track_caller]
    pub fn actor<A: Actor>(
        &mut self,
        name: impl Into<String>,
        actor: A,
        state: A::State,
    ) -> ActorHandle<A::Inputs, A::Outputs>
    where
        A::State: Plain,
    {
        self.stateful::<A::State, A::Inputs, A::Outputs>(name.into(), state, ByActor(actor))
    }

    /// Adds an actor whose state cannot be copied out: a library's object, a connection to a process. `make` makes it for
    /// each run. Such a state cannot be hashed or restored: a resumed run executes it again from tick 0.
    #[track_caller]
    pub fn opaque<A: Actor>(
        &mut self,
        name: impl Into<String>,
        actor: A,
        make: impl Fn() -> A::State + Send + Sync + 'static,
    ) -> ActorHandle<A::Inputs, A::Outputs>
    where
        A::State: Send,
    {
        let behaviour = ErasedOpaque::<A::State, A::Inputs, A::Outputs, _, _>::new(ByActor(actor), make);
        self.declare(name.into(), ActorState::Opaque, Arc::new(behaviour))
    }

    /// Adds a channel without initial tokens.
    #[track_caller]
    pub fn connect<P: Producer>(&mut self, from: P, to: Input<P::Token>) {
        self.join(None, from.into_port().0, to.into_port(), sim_core::InitialTokens::none());
    }

    /// Adds a channel with initial tokens: a delay. Every feedback loop needs one that is long enough.
    #[track_caller]
    pub fn connect_with<P: Producer>(&mut self, from: P, to: Input<P::Token>, initial: InitialTokens<P::Token>) {
        self.join(None, from.into_port().0, to.into_port(), initial.erase());
    }

    #[track_caller]
    fn stateless<I: Ports, O: Ports>(
        &mut self,
        name: String,
        body: impl Body<Stateless, I, O> + Send + Sync + 'static,
    ) -> ActorHandle<I, O> {
        self.declare(name, ActorState::None, Arc::new(Erased::<Stateless, I, O, _>::new(body)))
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "the initial state is handed over, as bytes")]
    fn stateful<S: Plain, I: Ports, O: Ports>(
        &mut self,
        name: String,
        state: S,
        body: impl Body<Stateful<S>, I, O> + Send + Sync + 'static,
    ) -> ActorHandle<I, O> {
        let words = state_words(&state);
        let state = if words.is_empty() { ActorState::None } else { ActorState::Plain(words) };
        self.declare(name, state, Arc::new(Erased::<Stateful<S>, I, O, _>::new(body)))
    }

    #[track_caller]
    fn declare<I: Ports, O: Ports>(
        &mut self,
        name: String,
        state: ActorState,
        behaviour: Arc<dyn Behaviour>,
    ) -> ActorHandle<I, O> {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        I::shapes(&mut inputs);
        O::shapes(&mut outputs);
        let settings = Rc::new(Cell::new(Settings::default()));
        let place = Location::caller();
        let declared =
            Declared { name, settings: Rc::clone(&settings), state, behaviour, fed: false, inputs, outputs, place };
        self.actors.push(declared);
        ActorHandle::new(self.id, ActorId::from_index(self.actors.len() - 1), settings)
    }

    #[track_caller]
    fn join(&mut self, name: Option<String>, from: PortId, to: PortId, initial: sim_core::InitialTokens) {
        let place = Location::caller();
        if from.builder != self.id || to.builder != self.id {
            self.foreign.get_or_insert(place);
            return;
        }
        self.channels.push(Connection { name, from, to, initial, place });
    }
}
