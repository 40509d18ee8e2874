//! A whole run of one shard: connections, the loop that computes, the end.

use super::RUN;
use super::figures::{Figures, Measured, Recorder, Told, nanoseconds, told};
use super::gather::Membership;
use super::io::{Driver, Io};
use super::link::{Hub, Plan, code};
use super::port::Port;
use super::tls::Pins;
use crate::proto::batch::{BatchDecoder, HEADER_BYTES};
use crate::proto::hello::Hello;
use crate::proto::session::{Config, Event, HOST, Input, Message, Phase};
use crate::proto::{Cause, Hash, Neighbour, Session, ShardId, Stop, Worker};
use quinn::VarInt;
use sim_core::Tick;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// What all shards of a run must agree on, besides who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Hash of the program.
    pub build: Hash,
    /// Hash of all that is configured.
    pub configuration: Hash,
    /// Hash of calendars and machine.
    pub calendars: Hash,
    /// Seed of all randomness.
    pub seed: u64,
}

/// Whoever wants to know how a run goes. On shard 0, this is who puts the result together.
pub trait Observer {
    /// All shards agree, and execute.
    fn started(&mut self) {}

    /// A part of the result, on shard 0.
    ///
    /// # Errors
    /// The part is not what `from` may send, or cannot be stored.
    fn part(&mut self, from: ShardId, bytes: Vec<u8>) -> Result<(), (Cause, String)>;

    /// A neighbour makes no progress.
    fn slow(&mut self, _neighbour: ShardId, _waited: Duration) {}

    /// From time to time: how far this shard is, and what it has measured so far.
    fn progress(&mut self, _position: Tick, _figures: &Figures) {}

    /// On shard 0: what a shard has measured, once it has executed everything. A run that stops early may leave some out.
    fn figures(&mut self, _from: ShardId, _figures: Figures) {}
}

/// Asks a run to end, from another thread or by a signal.
#[derive(Clone, Debug, Default)]
pub struct Interrupts(Arc<AtomicU8>);

impl Interrupts {
    /// Those of the user (SIGINT) and the system (SIGTERM), from now on.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn from_signals(port: &Port) -> std::io::Result<Self> {
        Self::listen(port.io(), false)
    }

    /// Those of the user and the system, for a process that has no port.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn from_signals_of_process() -> std::io::Result<Self> {
        Self::of_process(false)
    }

    /// The same; a second one ends the process at once.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn from_signals_or_exit() -> std::io::Result<Self> {
        Self::of_process(true)
    }

    fn of_process(impatient: bool) -> std::io::Result<Self> {
        let io = Io::start()?;
        let interrupts = Self::listen(&io, impatient);
        // The thread lives as long as the process.
        std::mem::forget(io);
        interrupts
    }

    fn listen(io: &Io, impatient: bool) -> std::io::Result<Self> {
        let interrupts = Self::default();
        let shared = interrupts.clone();
        let asked = Arc::new(AtomicBool::new(false));
        io.call(async move {
            for (kind, cause) in
                [(SignalKind::interrupt(), Cause::Interrupted), (SignalKind::terminate(), Cause::Terminated)]
            {
                let (mut signals, shared, asked) = (signal(kind)?, shared.clone(), asked.clone());
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        if asked.swap(true, Ordering::AcqRel) && impatient {
                            std::process::exit(i32::from(cause.exit_code()));
                        }
                        shared.ask(cause);
                    }
                });
            }
            Ok(interrupts)
        })
    }

    /// Asks the run to end.
    pub fn ask(&self, cause: Cause) {
        self.0.store(cause.exit_code(), Ordering::Release);
    }

    /// Whether the run was asked to end since the last call.
    #[must_use]
    pub fn take(&self) -> Option<Cause> {
        match self.0.swap(0, Ordering::AcqRel) {
            130 => Some(Cause::Interrupted),
            143 => Some(Cause::Terminated),
            _ => None,
        }
    }
}

/// Executes a shard to its end, whatever that is.
///
/// # Errors
/// [`Stop`] if the run ended early; the same on all shards that can still be reached.
pub fn run<W: Worker>(
    membership: Membership,
    agreement: &Agreement,
    neighbours: Vec<Neighbour>,
    worker: W,
    interrupts: &Interrupts,
    observer: &mut impl Observer,
) -> Result<(W, Box<Figures>), (Stop, Box<Figures>)> {
    let hub = Arc::new(Hub::new());
    let Membership { port, shard, manifest } = membership;
    let shards = u32::try_from(manifest.members.len()).expect("shards are few");
    let options = port.options;
    let start = worker.position();
    let hello = Hello {
        run: manifest.run,
        shard,
        shards,
        build: agreement.build,
        configuration: agreement.configuration,
        calendars: agreement.calendars,
        seed: agreement.seed,
        start,
    };
    let decoder = |n: &Neighbour| (n.id, BatchDecoder::new(n.inbound.clone(), start, worker.end(), n.credit));
    let mut peers: BTreeSet<ShardId> = neighbours.iter().map(|neighbour| neighbour.id).collect();
    peers.extend((shard != HOST).then_some(HOST));
    if shard == HOST {
        peers.extend((1..shards).map(ShardId));
    }
    let plan = Plan {
        hello,
        decoders: neighbours.iter().map(decoder).collect(),
        peers: peers.into_iter().collect(),
        join_timeout: options.join_timeout,
        peer_timeout: options.peer_timeout,
        manifest,
    };
    connect(&port, &hub, &Arc::new(plan));
    let config = Config { id: shard, shards, neighbours, slow: options.slow, verdict: options.peer_timeout };
    let recorder = Rc::new(RefCell::new(Recorder::new(hub.clone())));
    let mut turns = Loop {
        session: Session::new(config, Measured { worker, recorder: recorder.clone() }),
        hub: &hub,
        driver: port.io().driver(),
        recorder,
        epoch: Instant::now(),
        join_timeout: options.join_timeout,
        waiting: None,
        outgoing: Vec::new(),
        polled: Instant::now(),
        long: false,
    };
    turns.run(interrupts, observer);
    let phase = turns.session.phase().clone();
    let mut figures = Box::new(std::mem::take(&mut turns.recorder.borrow_mut().figures));
    turns.driver.lend();
    close(&port, &hub, &phase, shard, options.peer_timeout, &mut figures);
    match phase {
        Phase::Stopped(stop) => Err((stop, figures)),
        _ => Ok((turns.session.into_worker().worker, figures)),
    }
}

/// Makes connections, and watches the time, where the socket is served.
fn connect(port: &Port, hub: &Arc<Hub>, plan: &Arc<Plan>) {
    let own = plan.hello.shard;
    for &peer in plan.peers.iter().filter(|&&peer| peer < own) {
        let member = plan.manifest.members[peer].clone();
        let dialler = port.dialler(member.address, Pins::These(vec![member.pin]), RUN);
        port.spawn(plan.clone().call(hub.clone(), peer, dialler));
    }
    let (endpoint, accepting, answered) = (port.endpoint.clone(), hub.clone(), plan.clone());
    port.spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let (plan, hub) = (answered.clone(), accepting.clone());
            tokio::spawn(async move {
                if let Ok(Ok(connection)) = timeout(plan.join_timeout, incoming).await {
                    plan.answer(hub, connection).await;
                }
            });
        }
    });
    let ticking = hub.clone();
    port.spawn(async move {
        loop {
            tokio::time::sleep(TICK).await;
            ticking.look_up();
        }
    });
    let (watching, limit) = (hub.clone(), plan.peer_timeout);
    port.spawn(async move {
        // Whoever was stopped for longer than others wait finds out here, before anything else is done.
        loop {
            tokio::time::sleep((limit / 8).min(Duration::from_millis(250))).await;
            if watching.overslept(limit) {
                return watching.alarm(Cause::Expelled);
            }
        }
    });
}

/// The loop that computes.
struct Loop<'a, W> {
    session: Session<Measured<W>>,
    hub: &'a Hub,
    driver: Driver<'a>,
    recorder: Rc<RefCell<Recorder>>,
    epoch: Instant,
    join_timeout: Duration,
    /// Since when, and for whom, this shard waits.
    waiting: Option<(Instant, Option<ShardId>)>,
    /// What is to be sent.
    outgoing: Vec<(ShardId, Message)>,
    /// When sockets were last looked at.
    polled: Instant,
    /// The last window took long.
    long: bool,
}

/// Sockets are looked at this often, or when there is something to send.
const POLL: Duration = Duration::from_micros(50);

/// A window that takes so long is worth a change of who serves the sockets meanwhile.
const LONG: Duration = Duration::from_millis(1);

/// A shard that waits looks this often whether it is interrupted, or has waited for too long.
const TICK: Duration = Duration::from_millis(50);

/// The observer hears of progress this often.
const PROGRESS: Duration = Duration::from_millis(100);

impl<W: Worker> Loop<'_, W> {
    fn run(&mut self, interrupts: &Interrupts, observer: &mut impl Observer) {
        let mut told = Instant::now();
        loop {
            self.take(interrupts, observer);
            self.step();
            self.pass_on(observer);
            if matches!(self.session.phase(), Phase::Finished | Phase::Stopped(_)) {
                return self.serve();
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                observer.progress(self.session.worker().position(), &self.recorder.borrow().figures);
            }
            if !self.session.runnable() {
                self.wait();
            } else if !self.outgoing.is_empty() || self.polled.elapsed() >= POLL {
                self.serve();
            }
        }
    }

    /// Takes in all that has happened.
    fn take(&mut self, interrupts: &Interrupts, observer: &mut impl Observer) {
        let begin = Instant::now();
        let now = begin - self.epoch;
        match self.hub.alarm.swap(0, Ordering::AcqRel) {
            0 => {}
            _ => self.session.fail(now, Cause::Expelled, "it was stopped for longer than the others wait".to_owned()),
        }
        if let Some(cause) = interrupts.take() {
            self.session.interrupt(now, cause);
        }
        self.recorder.borrow_mut().look(self.hub.waiting());
        while let Some((from, input)) = self.hub.take() {
            if let Input::Batch(batch) = &input {
                let mut recorder = self.recorder.borrow_mut();
                let pair = recorder.pair(from);
                pair.batches_received += 1;
                pair.words_received += batch.words.len() as u64;
                pair.bytes_received += (HEADER_BYTES + 8 * batch.words.len()) as u64;
            }
            self.session.handle(now, from, input);
            // What the owner objects to counts before what was sent after it.
            self.report(observer);
        }
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
        }
        if *self.session.phase() == Phase::Starting && now > self.join_timeout {
            let missing = "not all shards are connected in time".to_owned();
            self.session.fail(now, Cause::Lost, missing);
        }
        self.recorder.borrow_mut().figures.receive_ns += nanoseconds(begin.elapsed());
    }

    fn step(&mut self) {
        if !self.session.runnable() {
            // So that it knows that it waits.
            return self.session.step(self.epoch.elapsed());
        }
        if let Some((since, whom)) = self.waiting.take() {
            self.recorder.borrow_mut().waited(since, whom);
        }
        if self.long {
            self.driver.lend();
        }
        let begin = Instant::now();
        self.session.step(begin - self.epoch);
        self.long = begin.elapsed() >= LONG;
    }

    fn pass_on(&mut self, observer: &mut impl Observer) {
        while let Some((to, message)) = self.session.poll_transmit() {
            if let Message::Batch(batch) = &message {
                self.recorder.borrow_mut().pair(to).batch_sent(batch.words.len(), HEADER_BYTES);
            }
            self.outgoing.push((to, message));
        }
        self.report(observer);
        self.recorder.borrow_mut().tick();
    }

    /// Tells the owner what happened.
    fn report(&mut self, observer: &mut impl Observer) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Started => {
                    self.recorder.borrow_mut().start();
                    observer.started();
                }
                Event::Slow { neighbour, waited } => observer.slow(neighbour, waited),
                Event::Part { from, bytes } => {
                    let taken = told(bytes).and_then(|told| match told {
                        Told::Part(bytes) => observer.part(from, bytes),
                        Told::Figures(figures) => {
                            observer.figures(from, *figures);
                            Ok(())
                        }
                    });
                    if let Err((cause, message)) = taken {
                        self.session.fail(self.epoch.elapsed(), cause, message);
                    }
                }
            }
        }
    }

    /// Serves the sockets until something has come in.
    fn wait(&mut self) {
        if self.recorder.borrow().has_started() {
            self.waiting.get_or_insert_with(|| (Instant::now(), self.session.waits_for()));
        }
        let Self { hub, outgoing, .. } = self;
        self.driver.drive(async {
            hub.send(outgoing.drain(..));
            hub.arrival().await;
        });
        self.polled = Instant::now();
    }

    /// Sends what is to be sent, takes in what has come.
    fn serve(&mut self) {
        let Self { hub, outgoing, .. } = self;
        self.driver.poll(|| hub.send(outgoing.drain(..)));
        self.polled = Instant::now();
    }
}

/// Whoever has heard that all are done ends the connection within this time.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Ends all connections, so that the others know why.
fn close(port: &Port, hub: &Arc<Hub>, phase: &Phase, shard: ShardId, patience: Duration, figures: &mut Figures) {
    let (endpoint, phase, hub) = (port.endpoint.clone(), phase.clone(), hub.clone());
    let wire_bytes = port.call(async move {
        let links = std::mem::take(&mut *hub.links.lock().expect("nobody panics while holding links"));
        // This drops what feeds the streams, so that they end when all is sent.
        let connections: Vec<_> = links.into_iter().map(|(peer, link)| (peer, link.connection, link.told)).collect();
        let wire_bytes: Vec<_> =
            connections.iter().map(|(peer, connection, _)| (*peer, connection.stats().udp_tx.bytes)).collect();
        match phase {
            Phase::Stopped(stop) => endpoint.close(code(stop.cause), &stop.encode()),
            _ => {
                if shard == HOST {
                    // The others close their connections when they have heard that all are done.
                    let heard = async {
                        for (_, connection, told) in connections {
                            // That they do so may get lost, but not what they were told.
                            let told = async {
                                let _ = told.await;
                                tokio::time::sleep(LAST_WORD).await;
                            };
                            tokio::select! {
                                _ = connection.closed() => {}
                                () = told => {}
                            }
                        }
                    };
                    let _ = timeout(patience, heard).await;
                }
                endpoint.close(VarInt::from_u32(0), b"");
            }
        }
        // So that the last packets are answered if they get lost.
        let _ = timeout(Duration::from_secs(2), endpoint.wait_idle()).await;
        wire_bytes
    });
    for (peer, bytes) in wire_bytes {
        figures.pairs.entry(peer).or_default().wire_bytes_sent = bytes;
    }
}
