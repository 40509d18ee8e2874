//! One shard's side of a run: executes its worker as far as is safe, and keeps its neighbours and shard 0 informed.
//!
//! There is no barrier and nobody on the critical path: a shard runs ahead of each neighbour by what the calendars allow
//! (see [`Worker`]), and by no more than the credit of the pair. Workers never wait for each other in a circle, so that
//! somebody can always go on once what was sent has arrived. Shard 0 only starts the run, gathers parts of the result,
//! and ends it; it is the one that names the reason when the run cannot go on, so that all give the same.
//!
//! A driver feeds [`handle`](Session::handle) and [`handle_timeout`](Session::handle_timeout), calls
//! [`step`](Session::step) while [`runnable`](Session::runnable), and carries what [`poll_transmit`](Session::poll_transmit)
//! and [`poll_event`](Session::poll_event) give out.

mod pair;

use super::batch::Batch;
use super::control::{CHUNK_BYTES, Control};
use super::{Cause, Neighbour, ShardId, Stop, Worker};
use pair::Pair;
use sim_core::Tick;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Shard 0, which everybody talks to.
pub const HOST: ShardId = ShardId(0);

/// Bytes of a part of the result, at most.
pub const PART_BYTES: usize = 1 << 30;

/// What a session needs to know beforehand.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which shard it is.
    pub id: ShardId,
    /// Number of shards.
    pub shards: u32,
    /// Those that it exchanges words with.
    pub neighbours: Vec<Neighbour>,
    /// A neighbour that makes no progress for so long is reported as slow.
    pub slow: Duration,
    /// How long shard 0's word is waited for after a neighbour was lost.
    pub verdict: Duration,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Both sides of a connection have agreed (see [`hello`](super::hello)).
    Connected,
    /// Words.
    Batch(Batch),
    /// A control message.
    Control(Control),
    /// The other side ended the connection and said why, or it cannot be reached any more, or sent what it must not.
    Lost(Stop),
    /// The other side ended the connection because all is done.
    Closed,
}

/// What goes out, to one shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Words.
    Batch(Batch),
    /// A control message.
    Control(Control),
}

/// What the owner of a session is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// All shards agree, and execute.
    Started,
    /// On shard 0: a part of the result.
    Part {
        /// Whose.
        from: ShardId,
        /// What its worker gave out.
        bytes: Vec<u8>,
    },
    /// A neighbour that is waited for makes no progress.
    Slow {
        /// Which.
        neighbour: ShardId,
        /// Since when.
        waited: Duration,
    },
}

/// How far a session is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waiting for connections, and for shard 0's word.
    Starting,
    /// Executing.
    Running,
    /// All is executed here; others are not done.
    Draining,
    /// All is done everywhere.
    Finished,
    /// The run has ended early.
    Stopped(Stop),
}

/// One shard's side of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session<W> {
    id: ShardId,
    shards: u32,
    worker: W,
    pairs: BTreeMap<ShardId, Pair>,
    phase: Phase,
    /// Shards that are connected; of all shards on shard 0, of neighbours and shard 0 elsewhere.
    connected: BTreeSet<ShardId>,
    /// On shard 0: who has said what is waited for at present (that it is ready, paused, done).
    reported: BTreeSet<ShardId>,
    /// On shard 0: parts that are arriving.
    arriving: BTreeMap<ShardId, Vec<u8>>,
    interruption: Interruption,
    /// Why the run will stop, and when shard 0's word on it is no longer waited for.
    suspicion: Option<(Stop, Duration)>,
    /// On shard 0: when an interruption is over, whether all have stopped or not.
    deadline: Option<Duration>,
    /// Since when nothing could be executed, and how often that was said.
    stalled: Option<(Duration, u32)>,
    slow: Duration,
    verdict: Duration,
    windows: u64,
    outgoing: VecDeque<(ShardId, Message)>,
    events: VecDeque<Event>,
}

/// How far an interruption is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Interruption {
    None,
    /// Nothing is executed until shard 0 knows how far everybody is. There, with the reason, and the furthest position.
    Paused(Option<(Stop, Tick)>),
    /// The run ends here.
    StopAt(Tick, Stop),
    /// There, too late: somebody is so far that the run ends by itself.
    TooLate(Stop),
}

impl<W: Worker> Session<W> {
    /// A session that waits for connections.
    #[must_use]
    pub fn new(config: Config, worker: W) -> Self {
        let Config { id, shards, neighbours, slow, verdict } = config;
        let pairs = neighbours.into_iter().map(|n| (n.id, Pair::new(&n, worker.position()))).collect();
        let mut session = Self {
            id,
            shards,
            worker,
            pairs,
            phase: Phase::Starting,
            connected: BTreeSet::new(),
            reported: BTreeSet::new(),
            arriving: BTreeMap::new(),
            interruption: Interruption::None,
            suspicion: None,
            deadline: None,
            stalled: None,
            slow,
            verdict,
            windows: 0,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        };
        session.check_ready();
        session
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What it executes.
    #[must_use]
    pub fn worker(&self) -> &W {
        &self.worker
    }

    /// What it has executed.
    #[must_use]
    pub fn into_worker(self) -> W {
        self.worker
    }

    /// Windows executed so far.
    #[must_use]
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// The neighbour whose words, or whose room, the next tick waits for.
    #[must_use]
    pub fn waits_for(&self) -> Option<ShardId> {
        if self.phase != Phase::Running || self.runnable() {
            return None;
        }
        let by_words = self.worker.ready(self.limit()).is_none();
        let behind = |pair: &&(&ShardId, &Pair)| if by_words { pair.1.received_before() } else { pair.1.executed() };
        self.pairs.iter().min_by_key(|pair| behind(&pair)).map(|(&id, _)| id)
    }

    /// Takes what has come in from `from` at time `now`.
    pub fn handle(&mut self, now: Duration, from: ShardId, input: Input) {
        if matches!(self.phase, Phase::Finished | Phase::Stopped(_)) {
            return;
        }
        match input {
            Input::Connected => {
                self.connected.insert(from);
                self.check_ready();
            }
            Input::Batch(batch) => self.receive(now, from, &batch),
            Input::Control(control) => self.control(now, from, control),
            // Shard 0 has decided, or can no longer decide anything.
            Input::Lost(stop) if from == HOST => self.end(stop),
            Input::Lost(stop) => self.suspect(now, stop),
            Input::Closed => {
                // Among members, whoever has heard first that all are done may leave first.
                if from == HOST || self.id == HOST || self.phase != Phase::Draining {
                    let message = "it ended the connection before the run was done".to_owned();
                    self.suspect(now, self.stop(Cause::Violated, from, message));
                }
            }
        }
    }

    /// The user or the system asks to end the run. Shard 0 stops everybody at a common tick; others only ask it to.
    pub fn interrupt(&mut self, now: Duration, cause: Cause) {
        let stop = self.stop(cause, self.id, "interrupted".to_owned());
        match (&self.phase, &self.interruption) {
            (Phase::Running | Phase::Draining, Interruption::None) if self.id == HOST => {
                // Who cannot stop together with the others is not waited for longer than a lost shard is.
                self.deadline = Some(now + self.verdict);
                self.interruption = Interruption::Paused(Some((stop, self.worker.position())));
                self.reported.clear();
                self.broadcast(&Control::Pause);
                self.pass_on();
                self.check_paused();
            }
            (Phase::Running | Phase::Draining, Interruption::None) => {
                self.send(HOST, Message::Control(Control::Report(stop)));
            }
            // A second time, or before the start: at once.
            _ => self.end(stop),
        }
    }

    /// Something outside of the protocol makes it impossible to go on, such as a full disk.
    pub fn fail(&mut self, now: Duration, cause: Cause, message: String) {
        self.suspect(now, self.stop(cause, self.id, message));
    }

    /// Whether [`step`](Self::step) can execute a window.
    #[must_use]
    pub fn runnable(&self) -> bool {
        if self.phase != Phase::Running || self.suspicion.is_some() {
            return false;
        }
        let room = self.pairs.values().map(Pair::room).min();
        // What executes nothing needs no room.
        let fits = |end: Tick| end <= self.worker.position() || room.is_none_or(|room| end <= room);
        self.worker.ready(self.limit()).is_some_and(fits)
    }

    /// Executes a window and passes on what came of it.
    pub fn step(&mut self, now: Duration) {
        if self.runnable() {
            self.windows += 1;
            self.stalled = None;
            match self.worker.advance(self.limit()) {
                Ok(()) => self.pass_on(),
                Err(fault) => self.suspect(now, self.stop(W::cause(&fault), self.id, fault.to_string())),
            }
        }
        if self.phase == Phase::Running && !self.runnable() {
            self.stalled.get_or_insert((now, 0));
        }
    }

    /// What is to be sent next.
    pub fn poll_transmit(&mut self) -> Option<(ShardId, Message)> {
        self.outgoing.pop_front()
    }

    /// What the owner should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let verdict = self.suspicion.as_ref().map(|&(_, deadline)| deadline).into_iter().chain(self.deadline).min();
        // Said at 1, 2, 4, … times the limit.
        let slow = self.stalled.map(|(since, said)| since + self.slow * 2_u32.saturating_pow(said));
        if matches!(self.phase, Phase::Finished | Phase::Stopped(_)) {
            None
        } else {
            verdict.into_iter().chain(slow).min()
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some((stop, deadline)) = &self.suspicion
            && *deadline <= now
        {
            self.end(stop.clone());
        } else if self.deadline.is_some_and(|deadline| deadline <= now)
            && let Interruption::Paused(Some((stop, _))) | Interruption::StopAt(_, stop) | Interruption::TooLate(stop) =
                &self.interruption
        {
            self.end(stop.clone());
        } else if self.poll_timeout().is_some_and(|at| at <= now)
            && let Some((since, said)) = &mut self.stalled
        {
            *said += 1;
            let waited = now - *since;
            if let Some(neighbour) = self.waits_for() {
                self.events.push_back(Event::Slow { neighbour, waited });
            }
        }
    }

    fn stop(&self, cause: Cause, shard: ShardId, message: String) -> Stop {
        Stop { cause, shard, tick: self.worker.position(), message }
    }

    fn send(&mut self, to: ShardId, message: Message) {
        self.outgoing.push_back((to, message));
    }

    fn broadcast(&mut self, control: &Control) {
        for shard in (1..self.shards).map(ShardId) {
            self.send(shard, Message::Control(control.clone()));
        }
    }

    /// How far the end or an interruption allow to execute.
    fn limit(&self) -> Tick {
        match self.interruption {
            Interruption::None | Interruption::TooLate(_) => self.worker.end(),
            Interruption::Paused(_) => self.worker.position(),
            Interruption::StopAt(tick, _) => tick,
        }
    }

    fn check_ready(&mut self) {
        if self.phase != Phase::Starting {
            return;
        }
        if self.id != HOST {
            let all = self.connected.contains(&HOST) && self.pairs.keys().all(|id| self.connected.contains(id));
            if all && self.reported.insert(self.id) {
                self.send(HOST, Message::Control(Control::Ready));
            }
        } else if self.reported.len() + 1 == self.shards as usize {
            self.broadcast(&Control::Start);
            self.start();
        }
    }

    fn start(&mut self) {
        self.reported.clear();
        self.phase = Phase::Running;
        self.events.push_back(Event::Started);
        // What is known before anything is executed may already let neighbours go on.
        self.pass_on();
    }

    fn receive(&mut self, now: Duration, from: ShardId, batch: &Batch) {
        let violated = |message: String| (Cause::Violated, from, message);
        let result = match self.pairs.get_mut(&from) {
            _ if !matches!(self.phase, Phase::Running | Phase::Draining) && self.id == HOST => {
                Err(violated("it sent words before the start".to_owned()))
            }
            None => Err(violated("it sent words, but shares no link".to_owned())),
            Some(pair) => match pair.receive(batch) {
                Err(error) => Err(violated(error.to_string())),
                Ok(()) => {
                    let taken = self.worker.receive(from, batch.sent_before, &batch.words);
                    taken.map_err(|fault| violated(fault.to_string()))
                }
            },
        };
        match result {
            Err((cause, shard, message)) => self.suspect(now, self.stop(cause, shard, message)),
            Ok(()) => {
                if self.runnable() {
                    self.stalled = None;
                }
                if matches!(self.phase, Phase::Running | Phase::Draining) {
                    // Words that are only relayed go on at once.
                    self.pass_on();
                }
            }
        }
    }

    /// Gives out what became known: words at once, mere progress when it matters to the other side.
    fn pass_on(&mut self) {
        let (position, end) = (self.worker.position(), self.worker.end());
        for (&to, pair) in &mut self.pairs {
            pair.collect(|words| self.worker.send(to, words));
        }
        let idle = !self.runnable();
        for (&to, pair) in &mut self.pairs {
            if let Some(batch) = pair.flush(position, end, idle) {
                self.outgoing.push_back((to, Message::Batch(batch)));
            }
        }
        let last = match self.interruption {
            Interruption::None | Interruption::TooLate(_) => self.worker.reached(end),
            Interruption::Paused(_) => false,
            Interruption::StopAt(tick, _) => self.worker.reached(tick),
        };
        let mut parts = Vec::new();
        self.worker.parts(&mut parts, last);
        parts.into_iter().for_each(|part| self.pass_part(part));
        self.check_done();
    }

    fn pass_part(&mut self, part: Vec<u8>) {
        if self.id == HOST {
            self.events.push_back(Event::Part { from: HOST, bytes: part });
            return;
        }
        let chunks = part.len().div_ceil(CHUNK_BYTES).max(1);
        for number in 0..chunks {
            let bytes = part[number * CHUNK_BYTES..part.len().min((number + 1) * CHUNK_BYTES)].to_vec();
            let last = number + 1 == chunks;
            self.send(HOST, Message::Control(Control::Part { bytes, last }));
        }
    }

    fn check_done(&mut self) {
        match self.interruption.clone() {
            Interruption::StopAt(tick, stop) if self.worker.reached(tick) && self.phase != Phase::Starting => {
                if self.id != HOST {
                    if self.reported.insert(self.id) {
                        self.send(HOST, Message::Control(Control::Stopped));
                    }
                } else if self.reported.len() + 1 == self.shards as usize {
                    self.end(stop);
                }
            }
            Interruption::None | Interruption::TooLate(_)
                if self.phase == Phase::Running && self.worker.reached(self.worker.end()) =>
            {
                self.phase = Phase::Draining;
                self.stalled = None;
                if self.id != HOST {
                    self.send(HOST, Message::Control(Control::Done));
                }
                self.check_finished();
            }
            _ => {}
        }
    }

    /// On shard 0: whether everybody is done.
    fn check_finished(&mut self) {
        if self.id == HOST && self.phase == Phase::Draining && self.reported.len() + 1 == self.shards as usize {
            self.broadcast(&Control::Finished);
            self.phase = Phase::Finished;
        }
    }

    /// On shard 0: whether everybody has said how far it is.
    fn check_paused(&mut self) {
        if let Interruption::Paused(Some((stop, tick))) = self.interruption.clone()
            && self.reported.len() + 1 == self.shards as usize
        {
            self.reported.clear();
            let tick = self.worker.boundary(tick);
            if tick < self.worker.end() {
                self.broadcast(&Control::StopAt { tick, stop: stop.clone() });
                self.interruption = Interruption::StopAt(tick, Stop { tick, ..stop });
            } else {
                self.broadcast(&Control::GoOn);
                self.interruption = Interruption::TooLate(stop);
            }
            self.pass_on();
        }
    }

    fn control(&mut self, now: Duration, from: ShardId, control: Control) {
        let taken = if self.id == HOST { self.member_says(now, from, control) } else { self.host_says(from, control) };
        if let Err(control) = taken {
            let message = format!("it sent {} when it must not", name(&control));
            self.suspect(now, self.stop(Cause::Violated, from, message));
        }
    }

    /// What shard 0 is told by `from`. A message that is not due comes back.
    fn member_says(&mut self, now: Duration, from: ShardId, control: Control) -> Result<(), Control> {
        let active = matches!(self.phase, Phase::Running | Phase::Draining);
        match control {
            Control::Ready if self.phase == Phase::Starting && self.reported.insert(from) => self.check_ready(),
            Control::Part { bytes, last } if active => {
                let part = self.arriving.entry(from).or_default();
                if part.len() + bytes.len() > PART_BYTES {
                    return Err(Control::Part { bytes, last });
                }
                part.extend(bytes);
                if last {
                    let bytes = std::mem::take(part);
                    self.events.push_back(Event::Part { from, bytes });
                }
            }
            // A member may be done before it hears that the run is to pause; it says so again if the run goes on.
            Control::Done
                if active && matches!(self.interruption, Interruption::Paused(_) | Interruption::StopAt(..)) => {}
            Control::Done if active && self.reported.insert(from) => self.check_finished(),
            Control::Paused { position } if active && self.reported.insert(from) => {
                let Interruption::Paused(Some((_, furthest))) = &mut self.interruption else {
                    return Err(Control::Paused { position });
                };
                *furthest = position.max(*furthest);
                self.check_paused();
            }
            Control::Stopped if matches!(self.interruption, Interruption::StopAt(..)) && self.reported.insert(from) => {
                self.check_done();
            }
            Control::Report(stop) => match stop.cause {
                Cause::Interrupted | Cause::Terminated if self.interruption != Interruption::None => {}
                Cause::Interrupted | Cause::Terminated => self.interrupt(now, stop.cause),
                _ => self.suspect(now, stop),
            },
            other => return Err(other),
        }
        Ok(())
    }

    /// What a member is told by shard 0. A message that is not due comes back.
    fn host_says(&mut self, from: ShardId, control: Control) -> Result<(), Control> {
        if from != HOST {
            return Err(control);
        }
        let active = matches!(self.phase, Phase::Running | Phase::Draining);
        match control {
            Control::Start if self.phase == Phase::Starting && self.reported.contains(&self.id) => self.start(),
            Control::Finished if self.phase == Phase::Draining => self.phase = Phase::Finished,
            Control::Pause if active && self.interruption == Interruption::None => {
                self.interruption = Interruption::Paused(None);
                self.reported.clear();
                let position = self.worker.position();
                self.send(HOST, Message::Control(Control::Paused { position }));
                // Nothing may be held back: others may still have to catch up.
                self.pass_on();
            }
            Control::StopAt { tick, stop } if matches!(self.interruption, Interruption::Paused(None)) => {
                self.interruption = Interruption::StopAt(tick, stop);
                self.pass_on();
            }
            Control::GoOn if matches!(self.interruption, Interruption::Paused(None)) => {
                self.interruption = Interruption::None;
                if self.phase == Phase::Draining {
                    self.send(HOST, Message::Control(Control::Done));
                }
                self.pass_on();
            }
            other => return Err(other),
        }
        Ok(())
    }

    /// The run cannot go on. Shard 0 decides so at once; others tell it, and wait for its word.
    fn suspect(&mut self, now: Duration, stop: Stop) {
        let alone = stop.cause == Cause::Expelled || !self.connected.contains(&HOST);
        if self.id == HOST || stop.shard == HOST || alone {
            self.end(stop);
        } else if self.suspicion.is_none() {
            self.send(HOST, Message::Control(Control::Report(stop.clone())));
            self.suspicion = Some((stop, now + self.verdict));
        }
    }

    /// The run ends early. The driver tells the others by the reason with which it closes connections.
    fn end(&mut self, stop: Stop) {
        if !matches!(self.phase, Phase::Finished | Phase::Stopped(_)) {
            self.phase = Phase::Stopped(stop);
        }
    }
}

/// A control message's name.
fn name(control: &Control) -> &'static str {
    match control {
        Control::Ready => "`ready`",
        Control::Start => "`start`",
        Control::Part { .. } => "a part of the result",
        Control::Done => "`done`",
        Control::Finished => "`finished`",
        Control::Report(_) => "a report",
        Control::Pause => "`pause`",
        Control::Paused { .. } => "`paused`",
        Control::StopAt { .. } => "`stop at`",
        Control::Stopped => "`stopped`",
        Control::GoOn => "`go on`",
    }
}
