//! The rendezvous over QUIC: shard 0 waits at a known address, the others come and are told who takes part and in what.

use super::JOIN;
use super::identity::pin;
use super::link::{read_first, write_all};
use super::port::Port;
use super::tls::Pins;
use crate::proto::control::{CHUNK_BYTES, ControlDecoder, encode};
use crate::proto::hello::Refusal;
use crate::proto::rendezvous::{Gathering, Join, Manifest, Member, Side, Trust};
use crate::proto::{Cause, Hash, ShardId, Stop};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sim_core::Tick;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// What is to be run, as named files: shard 0 sends them to all others.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A shard that takes part in a run.
#[derive(Debug)]
pub struct Membership {
    /// Its place in the network.
    pub port: Port,
    /// Which shard it is.
    pub shard: ShardId,
    /// All that take part.
    pub manifest: Manifest,
}

/// Why shards did not come together.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Some are missing.
    #[error("{} of {shards} shards did not come within {waited:?}: {missing:?}", missing.len())]
    Missing {
        /// Which.
        missing: Vec<ShardId>,
        /// Number of shards.
        shards: u32,
        /// How long they were waited for.
        waited: Duration,
    },
    /// Shard 0 does not answer.
    #[error("shard 0 does not answer at {address} within {waited:?}")]
    NoHost {
        /// Where it should be.
        address: SocketAddr,
        /// How long it was tried.
        waited: Duration,
    },
    /// Shard 0 refuses this shard, or the other way round.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The connection broke while the run was described.
    #[error("the connection to shard 0 broke: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
    /// The interface cannot be used.
    #[error("cannot use the network: {reason}")]
    Network {
        /// Why.
        reason: String,
    },
}

impl JoinError {
    /// The class of reasons.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Missing { .. } | Self::NoHost { .. } | Self::Broken { .. } => Cause::Lost,
            Self::Refused { .. } => Cause::Disagreed,
            Self::Network { .. } => Cause::Invalid,
        }
    }
}

/// What shard 0 answers to those who may take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Welcome {
    /// All have come; and shard 0 knows the secret, or what is pinned, too.
    Manifest { proof: Hash, manifest: Manifest },
    /// Bytes of a file; of the next one after the `last`.
    File { name: String, bytes: Vec<u8>, last: bool },
    /// There are no more files.
    End,
}

/// Somebody who speaks must say something within this time.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// Bytes of all files, at most.
const FILES_BYTES: usize = 1 << 31;

/// As shard 0: waits for all others, and sends them `files`.
///
/// # Errors
/// [`JoinError`].
pub fn host(port: Port, trust: &Trust, shards: u32, build: Hash, files: Files) -> Result<Membership, JoinError> {
    let address = port.address().map_err(|error| JoinError::Network { reason: error.to_string() })?;
    check_own(trust, ShardId(0), shards, &port)?;
    let member = Member { address, pin: port.identity().pin() };
    let hall = Arc::new(Hall {
        trust: trust.clone(),
        gathering: Mutex::new(Gathering::new(trust.clone(), shards, build, member)),
        guests: Mutex::default(),
        changed: Notify::new(),
    });
    port.open(match trust {
        Trust::Secret(_) => Pins::Any,
        Trust::Pinned { pins, .. } => Pins::These(pins.values().copied().collect()),
    });
    let (endpoint, pins, waited) = (port.endpoint.clone(), port.pins.clone(), port.options.join_timeout);
    let manifest = port.call(async move {
        let manifest = hall.wait(&endpoint, shards, waited).await?;
        // Whoever comes now is a stranger.
        let members = manifest.members.values().map(|member| member.pin).collect();
        *pins.write().expect("nobody panics while holding pins") = Pins::These(members);
        hall.welcome(&manifest, &files, waited).await?;
        Ok(manifest)
    })?;
    Ok(Membership { port, shard: ShardId(0), manifest })
}

/// Where shards wait for each other.
struct Hall {
    trust: Trust,
    gathering: Mutex<Gathering>,
    guests: Mutex<BTreeMap<ShardId, Guest>>,
    changed: Notify,
}

/// A shard that has come.
struct Guest {
    connection: Connection,
    /// What it is told, and what it says: when it knows everything, its stream ends.
    stream: SendStream,
    asks: RecvStream,
    keying: Hash,
}

impl Hall {
    async fn wait(self: &Arc<Self>, endpoint: &Endpoint, shards: u32, waited: Duration) -> Result<Manifest, JoinError> {
        let deadline = tokio::time::Instant::now() + waited;
        loop {
            if let Some(manifest) = self.gathering.lock().expect("nobody panics while holding it").manifest() {
                return Ok(manifest);
            }
            tokio::select! {
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { return Err(missing(self, shards, waited)) };
                    let hall = self.clone();
                    tokio::spawn(async move {
                        // Who cannot make a connection, or says nothing, is nobody.
                        if let Ok(Ok(connection)) = timeout(waited, incoming).await {
                            hall.receive(connection).await;
                        }
                    });
                }
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(deadline) => return Err(missing(self, shards, waited)),
            }
        }
    }

    /// Somebody has come.
    async fn receive(self: Arc<Self>, connection: Connection) {
        match self.seat(&connection).await {
            Ok(shard) => {
                self.changed.notify_one();
                // Until the run begins, who has come may leave again.
                let reason = connection.closed().await;
                let guests = &mut *self.guests.lock().expect("nobody panics while holding it");
                let finished =
                    matches!(&reason, ConnectionError::ApplicationClosed(close) if close.error_code == 0_u32.into());
                if !finished
                    && guests.get(&shard).is_some_and(|guest| guest.connection.stable_id() == connection.stable_id())
                {
                    guests.remove(&shard);
                    self.gathering.lock().expect("nobody panics while holding it").leave(shard);
                }
            }
            Err(Some(refusal)) => refuse(&connection, &refusal),
            Err(None) => connection.close(VarInt::from_u32(u32::from(Cause::Violated.exit_code())), b""),
        }
    }

    async fn seat(&self, connection: &Connection) -> Result<ShardId, Option<Refusal>> {
        if protocol(connection).as_deref() != Some(JOIN) {
            return Err(Some(Refusal::NotTidelock));
        }
        let first = timeout(FIRST_WORD, async {
            let (stream, mut asks) = connection.accept_bi().await.map_err(|_| None)?;
            let bytes = read_first(&mut asks).await?;
            Ok::<_, Option<Refusal>>((stream, asks, Join::decode(&bytes).map_err(Some)?))
        });
        let (stream, asks, join) = first.await.map_err(|_| None)??;
        let keying = keying(connection).ok_or(None)?;
        let pin = peer_pin(connection).ok_or(None)?;
        let mut gathering = self.gathering.lock().expect("nobody panics while holding it");
        gathering.join(&join, &keying, connection.remote_address(), pin).map_err(Some)?;
        let guest = Guest { connection: connection.clone(), stream, asks, keying };
        self.guests.lock().expect("nobody panics while holding it").insert(join.shard, guest);
        Ok(join.shard)
    }

    /// Tells all who have come what they need to know, and waits until they know it.
    async fn welcome(&self, manifest: &Manifest, files: &Files, waited: Duration) -> Result<(), JoinError> {
        let guests = std::mem::take(&mut *self.guests.lock().expect("nobody panics while holding it"));
        let mut tasks = Vec::new();
        let files: Arc<Vec<Vec<u8>>> = Arc::new(file_messages(files));
        for (shard, Guest { connection, mut stream, mut asks, keying }) in guests {
            // Seen from there, shard 0 is where they found it.
            let proof = self.trust.proof(Side::Host, &keying);
            let first = encode(&Welcome::Manifest { proof, manifest: manifest.clone() });
            let files = files.clone();
            tasks.push(tokio::spawn(async move {
                let sent = async {
                    write_all(&mut stream, first).await?;
                    for message in files.iter() {
                        write_all(&mut stream, message.clone()).await?;
                    }
                    Ok::<_, quinn::WriteError>(())
                };
                // The end of a stream is sent until it arrives; the end of a connection may get lost.
                let known = async { sent.await.is_ok() && ended(&mut asks, &connection).await };
                if timeout(waited, known).await == Ok(true) { None } else { Some(shard) }
            }));
        }
        for task in tasks {
            if let Ok(Some(shard)) = task.await {
                return Err(JoinError::Missing { missing: vec![shard], shards: manifest.members.len() as u32, waited });
            }
        }
        Ok(())
    }
}

/// As any other shard: goes to shard 0 at `address`; what is to be run comes back.
///
/// # Errors
/// [`JoinError`].
pub fn join(
    port: Port,
    address: SocketAddr,
    trust: &Trust,
    shard: ShardId,
    shards: u32,
    build: Hash,
) -> Result<(Membership, Files), JoinError> {
    check_own(trust, shard, shards, &port)?;
    let network = |reason: String| JoinError::Network { reason };
    let own = port.address().map_err(|error| network(error.to_string()))?;
    let started = Instant::now();
    let expected = match trust {
        Trust::Secret(_) => Pins::Any,
        Trust::Pinned { pins, .. } => Pins::These(vec![pins[ShardId(0)]]),
    };
    loop {
        let dialler = port.dialler(address, expected.clone(), JOIN);
        let (trust, waited) = (trust.clone(), port.options.join_timeout);
        let joined = port.call(async move {
            let connection = match dialler.dial().await {
                Ok(connection) => connection,
                Err(ConnectionError::TimedOut) => return Ok(None),
                Err(error) => return Err(broken(&error)),
            };
            let ask = |keying: &Hash| {
                let proof = trust.proof(Side::Member, keying);
                Join { shard, shards, build, port: own.port(), proof }
            };
            let answer = be_welcomed(&connection, ask, &trust);
            let Ok(answer) = timeout(waited, answer).await else {
                return Err(JoinError::NoHost { address, waited });
            };
            let code = if answer.is_ok() { 0 } else { u32::from(Cause::Disagreed.exit_code()) };
            connection.close(VarInt::from_u32(code), b"");
            let host = connection.remote_address();
            answer.map(|(manifest, files)| Some((manifest, files, host)))
        })?;
        match joined {
            Some((mut manifest, files, host)) => {
                manifest.members[ShardId(0)].address = host;
                // From now on only those who take part; they may dial at once.
                port.open(Pins::These(manifest.members.values().map(|member| member.pin).collect()));
                return Ok((Membership { port, shard, manifest }, files));
            }
            None if started.elapsed() >= port.options.join_timeout => {
                return Err(JoinError::NoHost { address, waited: port.options.join_timeout });
            }
            None => {}
        }
    }
}

/// Whether this shard is who it is to be.
fn check_own(trust: &Trust, shard: ShardId, shards: u32, port: &Port) -> Result<(), JoinError> {
    if let Trust::Pinned { pins, .. } = trust
        && pins.len() != shards as usize
    {
        let reason = format!("the manifest is for {} shards, this run has {shards}", pins.len());
        return Err(JoinError::Refused { reason });
    }
    let refused = |refusal: Refusal| JoinError::Refused { reason: refusal.to_string() };
    trust.check(shard, &port.identity().pin()).map_err(refused)
}

async fn be_welcomed(
    connection: &Connection,
    ask: impl Fn(&Hash) -> Join,
    trust: &Trust,
) -> Result<(Manifest, Files), JoinError> {
    let lost = || JoinError::Broken { reason: "it was closed without a reason".to_owned() };
    let keying = keying(connection).ok_or_else(lost)?;
    let (mut asks, mut answers) = connection.open_bi().await.map_err(|error| broken(&error))?;
    if write_all(&mut asks, ask(&keying).encode()).await.is_err() {
        return Err(broken(&connection.closed().await));
    }
    let mut reader = Reader { decoder: ControlDecoder::default(), stream: &mut answers, ready: Vec::new() };
    let Some(Welcome::Manifest { proof, manifest }) = reader.next().await else {
        return Err(broken(&connection.closed().await));
    };
    let refused = |refusal: Refusal| JoinError::Refused { reason: format!("shard 0: {refusal}") };
    if !trust.proves(Side::Host, &keying, &proof)
        || manifest.members.get(ShardId(0)).map(|m| m.pin) != peer_pin(connection)
    {
        return Err(refused(Refusal::WrongSecret));
    }
    manifest.members.iter().try_for_each(|(shard, member)| trust.check(shard, &member.pin)).map_err(refused)?;
    let (mut files, mut arriving, mut bytes_left) = (Files::new(), Vec::new(), FILES_BYTES);
    loop {
        match reader.next().await {
            Some(Welcome::End) => {
                // Shard 0 must hear that all has come: the end of the stream is repeated until it does.
                let _ = asks.finish();
                let _ = asks.stopped().await;
                return Ok((manifest, files));
            }
            Some(Welcome::File { name, bytes, last }) if bytes.len() <= bytes_left => {
                bytes_left -= bytes.len();
                arriving.extend(bytes);
                if last {
                    files.insert(name, std::mem::take(&mut arriving));
                }
            }
            Some(_) => return Err(JoinError::Broken { reason: "what it describes is no run".to_owned() }),
            None => return Err(broken(&connection.closed().await)),
        }
    }
}

/// Reads messages one by one.
struct Reader<'a> {
    decoder: ControlDecoder,
    stream: &'a mut RecvStream,
    ready: Vec<Welcome>,
}

impl Reader<'_> {
    async fn next(&mut self) -> Option<Welcome> {
        while self.ready.is_empty() {
            let chunk = self.stream.read_chunk(1 << 20, true).await.ok()??;
            self.decoder.push(&chunk.bytes, &mut self.ready).ok()?;
        }
        Some(self.ready.remove(0))
    }
}

fn file_messages(files: &Files) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for (name, content) in files {
        let room = CHUNK_BYTES - name.len();
        let chunks = content.len().div_ceil(room).max(1);
        for number in 0..chunks {
            let bytes = content[number * room..content.len().min((number + 1) * room)].to_vec();
            messages.push(encode(&Welcome::File { name: name.clone(), bytes, last: number + 1 == chunks }));
        }
    }
    messages.push(encode(&Welcome::End));
    messages
}

fn missing(hall: &Hall, shards: u32, waited: Duration) -> JoinError {
    let missing = hall.gathering.lock().expect("nobody panics while holding it").missing().collect();
    JoinError::Missing { missing, shards, waited }
}

/// Closes a connection to somebody who may not take part.
pub(super) fn refuse(connection: &Connection, refusal: &Refusal) {
    let stop = Stop { cause: Cause::Disagreed, shard: ShardId(0), tick: Tick(0), message: refusal.to_string() };
    connection.close(VarInt::from_u32(u32::from(stop.cause.exit_code())), &stop.encode());
}

/// Whether the other side has ended the stream, or the connection, without complaint.
async fn ended(asks: &mut RecvStream, connection: &Connection) -> bool {
    match asks.read_chunk(1, true).await {
        Ok(chunk) => chunk.is_none(),
        Err(_) => closed_well(&connection.closed().await),
    }
}

fn closed_well(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(0))
}

fn broken(error: &ConnectionError) -> JoinError {
    match error {
        ConnectionError::ApplicationClosed(close) => match Stop::decode(&close.reason) {
            Some(stop) => JoinError::Refused { reason: stop.message },
            None => JoinError::Broken { reason: error.to_string() },
        },
        // A certificate that is not accepted, or no common protocol.
        ConnectionError::ConnectionClosed(_) | ConnectionError::TransportError(_) => {
            JoinError::Refused { reason: error.to_string() }
        }
        _ => JoinError::Broken { reason: error.to_string() },
    }
}

/// The application protocol that both sides have settled on.
pub(super) fn protocol(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}

/// Hash of the other side's certificate.
pub(super) fn peer_pin(connection: &Connection) -> Option<Hash> {
    let certificates = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    certificates.first().map(pin)
}

/// Material that only the two ends of this connection have.
pub(super) fn keying(connection: &Connection) -> Option<Hash> {
    let mut keying = [0; 32];
    connection.export_keying_material(&mut keying, b"EXPORTER-tidelock-rendezvous", b"").ok()?;
    Some(keying)
}
