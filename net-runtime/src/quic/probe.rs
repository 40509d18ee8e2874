//! Measures the way between two hosts: round trips and throughput over QUIC, with the socket and the options of a run.
//!
//! Who measures asks on one stream: a kind, the bytes of a message, a number of messages; then come the messages. The other
//! side sends them back, or says when it has them all, or what time it is.

use super::PROBE;
use super::gather::{keying, protocol};
use super::link::write_all;
use super::port::Port;
use super::tls::Pins;
use crate::proto::Hash;
use crate::proto::rendezvous::{Secret, Side};
use quinn::{Connection, RecvStream, SendStream};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

/// Bytes of the messages that are measured: a few words, a small window's, a large one's.
pub const SIZES: [usize; 3] = [64, 1 << 10, 64 << 10];

/// What was measured between two hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// By size of the messages.
    pub sizes: Vec<PathFigures>,
    /// Bytes of the largest packet that came through.
    pub mtu: u16,
    /// Packets sent by the side that measures.
    pub packets_sent: u64,
    /// How many of them were lost.
    pub packets_lost: u64,
    /// By how many nanoseconds the other side's wall clock is ahead, as NTP estimates it.
    pub clock_ahead_ns: i64,
}

/// What was measured with messages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathFigures {
    /// Bytes of a message.
    pub bytes: usize,
    /// Nanoseconds for it to go there and come back, median.
    pub round_trip_ns: u64,
    /// Bytes per second, in messages that follow each other; median.
    pub bytes_per_second: f64,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody is there, or the way there is shut.
    #[error("{address} does not answer: {reason}")]
    NoAnswer {
        /// Where somebody should be.
        address: SocketAddr,
        /// What the network says.
        reason: String,
    },
    /// The other side does not know the secret, or thinks that we do not.
    #[error("{address} does not know the secret of this measurement")]
    WrongSecret {
        /// Where it is.
        address: SocketAddr,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {reason}")]
    Broken {
        /// Where it leads.
        address: SocketAddr,
        /// What the network says.
        reason: String,
    },
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Every message back.
    Echo,
    /// A byte when all have arrived.
    Sink,
    /// The wall clock, for every message.
    Clock,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Echo, Self::Sink, Self::Clock];

    fn ask(self, bytes: usize, count: usize) -> Vec<u8> {
        let number = |n: usize| u32::try_from(n).expect("measurements are short").to_le_bytes();
        [&[self as u8][..], &number(bytes), &number(count)].concat()
    }
}

/// Bytes of a question, and of a message, at most.
const ASK_BYTES: usize = 9;
const MESSAGE_BYTES: usize = 64 << 10;

/// Serves those who measure and know the secret, one after the other, as long as the port is there.
pub fn serve(port: &Port, secret: &Secret) {
    port.open(Pins::Any);
    let (endpoint, secret) = (port.endpoint.clone(), secret.clone());
    port.spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            if let Ok(connection) = incoming.await
                && protocol(&connection).as_deref() == Some(PROBE)
            {
                // Whoever breaks off, or does not know the secret, is done.
                let _ = answer(&connection, &secret).await;
            }
        }
    });
}

/// Answers one who measures, until it has done so.
async fn answer(connection: &Connection, secret: &Secret) -> Option<()> {
    let keying = keying(connection)?;
    let (mut send, mut receive) = connection.accept_bi().await.ok()?;
    let mut proof: Hash = [0; 32];
    receive.read_exact(&mut proof).await.ok()?;
    if !secret.proves(Side::Member, &keying, &proof) {
        return None;
    }
    write_all(&mut send, secret.proof(Side::Host, &keying).to_vec()).await.ok()?;
    let mut message = vec![0; MESSAGE_BYTES];
    loop {
        let mut ask = [0; ASK_BYTES];
        receive.read_exact(&mut ask).await.ok()?;
        let number = |at: usize| u32::from_le_bytes([ask[at], ask[at + 1], ask[at + 2], ask[at + 3]]) as usize;
        let kind = *Kind::ALL.get(usize::from(ask[0]))?;
        let message = message.get_mut(..number(1))?;
        for _ in 0..number(5) {
            receive.read_exact(message).await.ok()?;
            match kind {
                Kind::Echo => write_all(&mut send, message.to_vec()).await.ok()?,
                Kind::Clock => write_all(&mut send, wall_clock().to_le_bytes().to_vec()).await.ok()?,
                Kind::Sink => {}
            }
        }
        if kind == Kind::Sink {
            write_all(&mut send, vec![0]).await.ok()?;
        }
    }
}

/// Measures the way to whoever serves at `address`.
///
/// # Errors
/// [`ProbeError`].
pub fn measure(port: &Port, address: SocketAddr, secret: &Secret) -> Result<Path, ProbeError> {
    let dialler = port.dialler(address, Pins::Any, PROBE);
    let (secret, patience) = (secret.clone(), port.options.peer_timeout);
    port.call(async move {
        let connection = dialler.dial().await;
        let connection = connection.map_err(|error| ProbeError::NoAnswer { address, reason: error.to_string() })?;
        let broken = |reason: String| ProbeError::Broken { address, reason };
        let mut way = Way::open(&connection, &secret, address).await?;
        let figures = timeout(6 * patience, way.measure()).await;
        let (sizes, clock_ahead_ns) = match figures {
            Ok(Some(figures)) => figures,
            Ok(None) => return Err(broken(connection.closed().await.to_string())),
            Err(_) => return Err(broken("it is too slow to be measured".to_owned())),
        };
        let path = connection.stats().path;
        connection.close(0_u32.into(), b"");
        Ok(Path {
            sizes,
            mtu: path.current_mtu,
            packets_sent: path.sent_packets,
            packets_lost: path.lost_packets,
            clock_ahead_ns,
        })
    })
}

/// The stream on which is measured.
struct Way {
    send: SendStream,
    receive: RecvStream,
}

impl Way {
    async fn open(connection: &Connection, secret: &Secret, address: SocketAddr) -> Result<Self, ProbeError> {
        let wrong = ProbeError::WrongSecret { address };
        let Some(keying) = keying(connection) else { return Err(wrong) };
        let opened = async {
            let (mut send, mut receive) = connection.open_bi().await.ok()?;
            write_all(&mut send, secret.proof(Side::Member, &keying).to_vec()).await.ok()?;
            let mut proof: Hash = [0; 32];
            receive.read_exact(&mut proof).await.ok()?;
            secret.proves(Side::Host, &keying, &proof).then_some(Self { send, receive })
        };
        opened.await.ok_or(wrong)
    }

    async fn measure(&mut self) -> Option<(Vec<PathFigures>, i64)> {
        // Warms up, and lets the connection find the largest packet.
        self.sink(MESSAGE_BYTES, 64).await?;
        let mut sizes = Vec::new();
        for bytes in SIZES {
            let round_trip_ns = self.echo(bytes, 200).await?;
            let count = (8 << 20) / bytes.max(512);
            let mut rates = Vec::new();
            for _ in 0..3 {
                let time = self.sink(bytes, count).await?;
                rates.push((bytes * count) as f64 / time.as_secs_f64().max(1e-9));
            }
            rates.sort_by(f64::total_cmp);
            sizes.push(PathFigures { bytes, round_trip_ns, bytes_per_second: rates[rates.len() / 2] });
        }
        Some((sizes, self.clock(40).await?))
    }

    async fn ask(&mut self, kind: Kind, bytes: usize, count: usize) -> Option<()> {
        write_all(&mut self.send, kind.ask(bytes, count)).await.ok()
    }

    /// Median time for a message there and back.
    async fn echo(&mut self, bytes: usize, count: usize) -> Option<u64> {
        self.ask(Kind::Echo, bytes, count).await?;
        let mut times = Vec::new();
        let mut message = vec![0; bytes];
        for _ in 0..count {
            let begin = Instant::now();
            write_all(&mut self.send, message.clone()).await.ok()?;
            self.receive.read_exact(&mut message).await.ok()?;
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        u64::try_from(times[count / 2].as_nanos()).ok()
    }

    /// Time until `count` messages have arrived.
    async fn sink(&mut self, bytes: usize, count: usize) -> Option<Duration> {
        let begin = Instant::now();
        self.ask(Kind::Sink, bytes, count).await?;
        let message = bytes::Bytes::from(vec![0; bytes]);
        for _ in 0..count {
            self.send.write_chunk(message.clone()).await.ok()?;
        }
        self.receive.read_exact(&mut [0]).await.ok()?;
        Some(begin.elapsed())
    }

    /// How far the other wall clock is ahead, by the shortest of `count` round trips.
    async fn clock(&mut self, count: usize) -> Option<i64> {
        self.ask(Kind::Clock, 1, count).await?;
        let mut best: Option<(Duration, i64)> = None;
        for _ in 0..count {
            let (begin, sent) = (Instant::now(), wall_clock());
            write_all(&mut self.send, vec![0]).await.ok()?;
            let mut time = [0; 8];
            self.receive.read_exact(&mut time).await.ok()?;
            let took = begin.elapsed();
            let half = i64::try_from(took.as_nanos() / 2).ok()?;
            let ahead = i64::from_le_bytes(time).wrapping_sub(sent).wrapping_sub(half);
            best = best.filter(|(least, _)| *least <= took).or(Some((took, ahead)));
        }
        best.map(|(_, ahead)| ahead)
    }
}

/// Nanoseconds since 1970.
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
