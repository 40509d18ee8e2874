//! One connection: HELLO in both directions, then control messages and words, each on streams of their own.

use super::RUN;
use super::figures::IoCounters;
use super::gather::{peer_pin, protocol, refuse};
use super::port::Dialler;
use crate::proto::batch::{Batch, BatchDecoder};
use crate::proto::control::{Control, ControlDecoder, encode};
use crate::proto::hello::{Hello, PREFIX_BYTES, Refusal, message_length};
use crate::proto::rendezvous::Manifest;
use crate::proto::session::{Input, Message};
use crate::proto::{Cause, ShardId, Stop};
use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt, WriteError};
use sim_core::Tick;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

/// Where what computes and what serves the sockets hand over.
pub(super) struct Hub {
    inbox: ArrayQueue<(ShardId, Input)>,
    /// There is room in the inbox again.
    room: Notify,
    /// Something has come in.
    arrived: Notify,
    /// A [`Cause`] for which the run is to end, as its exit code; 0 if there is none.
    pub(super) alarm: AtomicU8,
    pub(super) links: Mutex<BTreeMap<ShardId, Link>>,
    /// When this process was last seen to run.
    awake: Mutex<Instant>,
    /// What serving the socket takes.
    pub(super) io: Arc<IoCounters>,
}

/// Messages that wait for the thread that computes, at most. Who sends more waits.
const INBOX: usize = 1024;

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            inbox: ArrayQueue::new(INBOX),
            room: Notify::new(),
            arrived: Notify::new(),
            alarm: AtomicU8::new(0),
            links: Mutex::default(),
            awake: Mutex::new(Instant::now()),
            io: Arc::default(),
        }
    }

    /// Whether this process has stood still for longer than `limit`; from then on for good. To be asked more often than that.
    pub(super) fn overslept(&self, limit: Duration) -> bool {
        let mut awake = self.awake.lock().expect("nobody panics while holding it");
        let overslept = awake.elapsed() > limit;
        if !overslept {
            *awake = Instant::now();
        }
        overslept
    }

    /// For the thread that computes: what has come in.
    pub(super) fn take(&self) -> Option<(ShardId, Input)> {
        let item = self.inbox.pop();
        // Whoever waits for room may have found none after this thread last looked: so it is told every time.
        if item.is_some() {
            self.room.notify_waiters();
        }
        item
    }

    /// For the thread that computes: how many messages have come in.
    pub(super) fn waiting(&self) -> usize {
        self.inbox.len()
    }

    /// Bytes of all packets that were sent to each shard.
    pub(super) fn wire_bytes(&self) -> Vec<(ShardId, u64)> {
        let links = self.links.lock().expect("nobody panics while holding links");
        links.iter().map(|(&peer, link)| (peer, link.connection.stats().udp_tx.bytes)).collect()
    }

    fn is_quiet(&self) -> bool {
        self.inbox.is_empty() && self.alarm.load(Ordering::Acquire) == 0
    }

    /// For the thread that computes: until something has come in, or it is to look up.
    pub(super) async fn arrival(&self) {
        /// How long sockets are looked at before the thread sleeps: to be woken up takes about as long.
        const AWAKE: Duration = Duration::from_micros(200);
        let begin = Instant::now();
        while begin.elapsed() < AWAKE {
            if !self.is_quiet() {
                return;
            }
            // There may be more shards than processors.
            std::thread::yield_now();
            yield_now().await;
        }
        if self.is_quiet() {
            self.arrived.notified().await;
        }
    }

    /// For whoever serves the socket: something has come in.
    pub(super) async fn put(&self, from: ShardId, input: Input) {
        let mut item = (from, input);
        loop {
            let room = self.room.notified();
            match self.inbox.push(item) {
                Ok(()) => break self.arrived.notify_one(),
                Err(back) => {
                    item = back;
                    room.await;
                }
            }
        }
    }

    /// Ends the wait of the thread that computes.
    pub(super) fn look_up(&self) {
        self.arrived.notify_one();
    }

    /// Raises the alarm.
    pub(super) fn alarm(&self, cause: Cause) {
        self.alarm.store(cause.exit_code(), Ordering::Release);
        self.arrived.notify_one();
    }

    /// Gives messages to their connections.
    pub(super) fn send(&self, messages: impl Iterator<Item = (ShardId, Message)>) {
        let links = self.links.lock().expect("nobody panics while holding links");
        for (to, message) in messages {
            if let Some(link) = links.get(&to) {
                link.send(message, &self.io);
            }
        }
    }
}

/// A connection that both sides have agreed on.
pub(super) struct Link {
    pub(super) connection: Connection,
    control: UnboundedSender<Bytes>,
    words: Option<UnboundedSender<Bytes>>,
    /// Ends when nothing more is to be said, and all of it has arrived.
    pub(super) told: JoinHandle<()>,
    /// How far this shard was when it last said so: what the other side may have heard.
    executed: Arc<AtomicI64>,
}

impl Link {
    fn send(&self, message: Message, io: &IoCounters) {
        // A link that is closed says so by itself.
        let _ = match message {
            Message::Control(control) => self.control.send(encode(&control).into()),
            Message::Batch(batch) => {
                self.executed.store(batch.executed.0, Ordering::Release);
                let words = self.words.as_ref().expect("words are for neighbours");
                let begin = Instant::now();
                let bytes = batch.encode();
                io.encoded(begin);
                words.send(bytes.into())
            }
        };
    }
}

/// What all connections of a shard need to know.
pub(super) struct Plan {
    pub(super) hello: Hello,
    pub(super) manifest: Manifest,
    /// Fresh decoders for the words of neighbours.
    pub(super) decoders: BTreeMap<ShardId, BatchDecoder>,
    /// Who is to be connected: neighbours and shard 0; everybody on shard 0.
    pub(super) peers: Vec<ShardId>,
    pub(super) join_timeout: Duration,
    pub(super) peer_timeout: Duration,
}

/// Somebody who speaks must say something within this time.
const FIRST_WORD: Duration = Duration::from_secs(5);

impl Plan {
    fn stop(&self, cause: Cause, shard: ShardId, message: String) -> Stop {
        Stop { cause, shard, tick: self.hello.start, message }
    }

    /// Somebody has dialled. Strangers are sent away, and nobody hears of them.
    pub(super) async fn answer(self: Arc<Self>, hub: Arc<Hub>, connection: Connection) {
        let pinned = peer_pin(&connection).and_then(|pin| self.manifest.shard_of(&pin));
        let Some(peer) = pinned.filter(|_| protocol(&connection).as_deref() == Some(RUN)) else {
            return refuse(&connection, &Refusal::WrongSecret);
        };
        let first = timeout(FIRST_WORD, async {
            let (send, mut receive) = connection.accept_bi().await.ok()?;
            Some((send, read_first(&mut receive).await, receive))
        });
        let Ok(Some((mut send, bytes, receive))) = first.await else {
            return connection.close(code(Cause::Violated), b"");
        };
        let agreed = bytes.map_err(|refusal| refusal.unwrap_or(Refusal::Malformed { bytes: 0 }));
        let agreed = agreed.and_then(|bytes| self.hello.check(&bytes, peer));
        let known = hub.links.lock().expect("nobody panics while holding links").contains_key(&peer);
        match agreed {
            Ok(_) if known || !self.peers.contains(&peer) => refuse(&connection, &Refusal::Duplicate { shard: peer }),
            Ok(_) => {
                if write_all(&mut send, self.hello.encode()).await.is_ok() {
                    self.serve(hub, connection, peer, send, receive).await;
                }
            }
            Err(refusal) => {
                // The other side finds out by itself, in its own words, before the connection is closed.
                let _ = write_all(&mut send, self.hello.encode()).await;
                let _ = timeout(Duration::from_secs(1), connection.closed()).await;
                refuse(&connection, &refusal);
                if !known {
                    hub.put(peer, Input::Lost(self.stop(Cause::Disagreed, peer, refusal.to_string()))).await;
                }
            }
        }
    }

    /// Dials a shard until it answers, then says HELLO.
    pub(super) async fn call(self: Arc<Self>, hub: Arc<Hub>, peer: ShardId, dialler: Dialler) {
        let deadline = tokio::time::Instant::now() + self.join_timeout;
        let connection = loop {
            match dialler.dial().await {
                Ok(connection) => break connection,
                Err(ConnectionError::TimedOut) if tokio::time::Instant::now() < deadline => {}
                Err(error) => return hub.put(peer, self.lost(peer, &error)).await,
            }
        };
        let greeting = timeout(self.join_timeout, async {
            let (mut send, mut receive) = connection.open_bi().await.map_err(|error| self.lost(peer, &error))?;
            let written = write_all(&mut send, self.hello.encode()).await;
            let bytes = match (written, read_first(&mut receive).await) {
                (Ok(()), Ok(bytes)) => bytes,
                (_, Err(Some(refusal))) => {
                    return Err(Input::Lost(self.stop(Cause::Disagreed, peer, refusal.to_string())));
                }
                _ => return Err(self.lost(peer, &connection.closed().await)),
            };
            match self.hello.check(&bytes, peer) {
                Ok(_) => Ok((send, receive)),
                Err(refusal) => {
                    refuse(&connection, &refusal);
                    Err(Input::Lost(self.stop(Cause::Disagreed, peer, refusal.to_string())))
                }
            }
        });
        match greeting.await {
            Ok(Ok((send, receive))) => self.serve(hub, connection, peer, send, receive).await,
            Ok(Err(input)) => hub.put(peer, input).await,
            Err(_) => {
                let silent = self.stop(Cause::Lost, peer, "it does not say who it is".to_owned());
                hub.put(peer, Input::Lost(silent)).await;
            }
        }
    }

    /// Reads and writes until the connection ends.
    async fn serve(
        self: Arc<Self>,
        hub: Arc<Hub>,
        connection: Connection,
        peer: ShardId,
        send: SendStream,
        receive: RecvStream,
    ) {
        let (control, messages) = unbounded_channel();
        let told = tokio::spawn(write_stream(send, messages, None));
        let executed = Arc::new(AtomicI64::new(self.hello.start.0));
        let mut words = None;
        if let Some(decoder) = self.decoders.get(&peer) {
            let (sender, batches) = unbounded_channel();
            words = Some(sender);
            let (opened, io) = (connection.clone(), hub.io.clone());
            tokio::spawn(async move {
                if let Ok(stream) = opened.open_uni().await {
                    write_stream(stream, batches, Some(io)).await;
                }
            });
            let reader = read_words(connection.clone(), decoder.clone(), executed.clone(), hub.clone(), peer);
            self.watch(&hub, &connection, peer, reader);
        }
        let reader = read_control(receive, hub.clone(), peer);
        self.watch(&hub, &connection, peer, reader);
        let link = Link { connection: connection.clone(), control, words, told, executed };
        hub.links.lock().expect("nobody panics while holding links").insert(peer, link);
        hub.put(peer, Input::Connected).await;
        let ended = connection.closed().await;
        if hub.overslept(self.peer_timeout) {
            // It is not the other side that was silent.
            return hub.alarm(Cause::Expelled);
        }
        hub.put(peer, self.lost(peer, &ended)).await;
    }

    /// Runs a reader; what it objects to ends the connection.
    fn watch(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        connection: &Connection,
        peer: ShardId,
        reader: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let (plan, hub, connection) = (self.clone(), hub.clone(), connection.clone());
        tokio::spawn(async move {
            if let Err(message) = reader.await {
                let stop = plan.stop(Cause::Violated, peer, message);
                hub.put(peer, Input::Lost(stop.clone())).await;
                // The session may want to tell others first; the offender is told at once.
                connection.close(code(stop.cause), &stop.encode());
            }
        });
    }

    /// What the end of a connection means.
    fn lost(&self, peer: ShardId, error: &ConnectionError) -> Input {
        let stop = |cause, message: String| Input::Lost(self.stop(cause, peer, message));
        match error {
            ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(0) => Input::Closed,
            ConnectionError::ApplicationClosed(close) => match Stop::decode(&close.reason) {
                // A refusal names nobody: it is ours.
                Some(reason) if reason.cause == Cause::Disagreed => stop(Cause::Disagreed, reason.message),
                Some(reason) => Input::Lost(reason),
                None => stop(Cause::Lost, format!("it ended the connection with code {}", close.error_code)),
            },
            ConnectionError::TimedOut => stop(Cause::Lost, format!("it was silent for {:?}", self.peer_timeout)),
            ConnectionError::Reset => stop(Cause::Lost, "it has forgotten the connection".to_owned()),
            ConnectionError::ConnectionClosed(close) => {
                // TLS alerts: a certificate that is not accepted.
                let refused = (0x100..0x200).contains(&u64::from(close.error_code));
                let cause = if refused { Cause::Disagreed } else { Cause::Violated };
                stop(cause, error.to_string())
            }
            ConnectionError::TransportError(cause) if (0x100..0x200).contains(&u64::from(cause.code)) => {
                stop(Cause::Disagreed, error.to_string())
            }
            ConnectionError::TransportError(_) | ConnectionError::VersionMismatch => {
                stop(Cause::Violated, error.to_string())
            }
            ConnectionError::LocallyClosed => stop(Cause::Lost, "this shard has ended the connection".to_owned()),
            ConnectionError::CidsExhausted => stop(Cause::Internal, error.to_string()),
        }
    }
}

/// The code with which a connection is closed.
pub(super) fn code(cause: Cause) -> VarInt {
    VarInt::from_u32(u32::from(cause.exit_code()))
}

/// Reads a first message. `None` as an error: the stream broke.
pub(super) async fn read_first(stream: &mut RecvStream) -> Result<Vec<u8>, Option<Refusal>> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await.map_err(|_| None)?;
    let length = message_length(&prefix).map_err(Some)?;
    let mut bytes = prefix.to_vec();
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[PREFIX_BYTES..]).await.map_err(|_| None)?;
    Ok(bytes)
}

/// Writes a message.
pub(super) async fn write_all(stream: &mut SendStream, bytes: Vec<u8>) -> Result<(), WriteError> {
    stream.write_chunk(bytes.into()).await
}

/// Writes messages, and counts the time in `io` if they are words.
async fn write_stream(mut stream: SendStream, mut messages: UnboundedReceiver<Bytes>, io: Option<Arc<IoCounters>>) {
    while let Some(bytes) = messages.recv().await {
        let begin = Instant::now();
        if stream.write_chunk(bytes).await.is_err() {
            // The connection has ended, which its reader tells.
            return;
        }
        io.iter().for_each(|io| io.sent(begin));
    }
    if stream.finish().is_ok() {
        // Whether all of it has arrived.
        let _ = stream.stopped().await;
    }
}

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

async fn read_control(mut stream: RecvStream, hub: Arc<Hub>, peer: ShardId) -> Result<(), String> {
    let (mut decoder, mut messages) = (ControlDecoder::default(), Vec::<Control>::new());
    loop {
        match stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => decoder.push(&chunk.bytes, &mut messages).map_err(|error| error.to_string())?,
            Ok(None) => return decoder.finish().map_err(|error| error.to_string()),
            // The end of the connection is told elsewhere; a stream alone is never reset.
            Err(quinn::ReadError::ConnectionLost(_)) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        for message in messages.drain(..) {
            hub.put(peer, Input::Control(message)).await;
        }
    }
}

async fn read_words(
    connection: Connection,
    mut decoder: BatchDecoder,
    executed: Arc<AtomicI64>,
    hub: Arc<Hub>,
    peer: ShardId,
) -> Result<(), String> {
    let Ok(mut stream) = connection.accept_uni().await else { return Ok(()) };
    let mut batches: Vec<Batch> = Vec::new();
    loop {
        let chunk = match stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return decoder.finish().map_err(|error| error.to_string()),
            Err(quinn::ReadError::ConnectionLost(_)) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        decoder.grant(Tick(executed.load(Ordering::Acquire)));
        let begin = Instant::now();
        decoder.push(&chunk.bytes, &mut batches).map_err(|error| error.to_string())?;
        hub.io.decoded(begin);
        for batch in batches.drain(..) {
            hub.put(peer, Input::Batch(batch)).await;
        }
    }
}
