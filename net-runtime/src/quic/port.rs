//! A shard's place in the network: a socket, what serves it, an identity.

use super::SERVER_NAME;
use super::identity::Identity;
use super::io::Io;
use super::tls::{self, Pins};
use quinn::congestion::CubicConfig;
use quinn::{
    AckFrequencyConfig, ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, IdleTimeout,
    MtuDiscoveryConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::time::timeout;

/// Times after which something is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A shard that is silent for so long is lost.
    pub peer_timeout: Duration,
    /// All shards must have come together within this time.
    pub join_timeout: Duration,
    /// A shard that makes no progress for so long is told to be slow.
    pub slow: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { peer_timeout: seconds(10), join_timeout: seconds(60), slow: seconds(5) }
    }
}

/// A socket with what serves it.
#[derive(Debug)]
pub struct Port {
    pub(super) identity: Identity,
    pub(super) endpoint: Endpoint,
    pub(super) options: Options,
    /// Whose certificates are accepted from those who dial.
    pub(super) pins: Arc<RwLock<Pins>>,
    transport: Arc<TransportConfig>,
    io: Io,
}

/// Bytes that the socket buffers in either direction, if the system allows it.
const SOCKET_BYTES: usize = 4 << 20;

/// The largest packet that is tried. Ten of these are sent at once, and they must not exceed 64 KiB.
const MTU_MAX: u16 = 6000;

/// Packets that are acknowledged at once when so many have come, and otherwise with what is sent.
const ACKNOWLEDGED: u32 = 32;

/// How long one attempt to reach a shard takes; fresh ones find those soon that start late.
pub(super) const ATTEMPT: Duration = Duration::from_secs(5);

/// Handshakes under way, at most: those who do not prove who they are get no more memory than this.
const HANDSHAKES_MAX: usize = 64;

impl Port {
    /// Takes the local address `listen`, whose port may be 0.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn bind(listen: SocketAddr, identity: Identity, options: Options) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        let buffers = socket2::SockRef::from(&socket);
        // A smaller buffer costs speed only.
        let _ = buffers.set_recv_buffer_size(SOCKET_BYTES);
        let _ = buffers.set_send_buffer_size(SOCKET_BYTES);
        let transport = Arc::new(transport(&options));
        let pins = Arc::new(RwLock::new(Pins::These(Vec::new())));
        let io = Io::start()?;
        let _context = io.handle().enter();
        let mut config = EndpointConfig::default();
        // Nobody sends larger packets than the other side says it takes.
        config.max_udp_payload_size(MTU_MAX).expect("it is a size that QUIC knows");
        let endpoint = Endpoint::new(config, None, socket, Arc::new(TokioRuntime))?;
        Ok(Self { identity, endpoint, options, pins, transport, io })
    }

    /// Where it can be reached; the address may be that of any interface.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Its identity.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Accepts connections of those with the certificates `pins` from now on.
    pub(super) fn open(&self, pins: Pins) {
        *self.pins.write().expect("nobody panics while holding pins") = pins;
        let crypto = tls::server(&self.identity, self.pins.clone());
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(self.transport.clone()).migration(false).max_incoming(HANDSHAKES_MAX);
        self.endpoint.set_server_config(Some(config));
    }

    /// A way to dial somebody with the certificate `pins`.
    pub(super) fn dialler(&self, address: SocketAddr, pins: Pins, protocol: &[u8]) -> Dialler {
        let mut config = ClientConfig::new(Arc::new(tls::client(&self.identity, pins, protocol)));
        config.transport_config(self.transport.clone());
        Dialler { endpoint: self.endpoint.clone(), config, address }
    }

    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    /// Has `task` done by whoever serves the socket.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.io.handle().spawn(task);
    }

    /// Has `task` done by the thread that serves the socket, and waits for it.
    pub(super) fn call<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        self.io.call(task)
    }
}

/// Dials one shard, again and again, where sockets are served.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    endpoint: Endpoint,
    config: ClientConfig,
    address: SocketAddr,
}

impl Dialler {
    /// One attempt. A silent other side is [`ConnectionError::TimedOut`].
    pub(super) async fn dial(&self) -> Result<Connection, ConnectionError> {
        // The endpoint is closing, or the address is none.
        let connecting = self.endpoint.connect_with(self.config.clone(), self.address, SERVER_NAME);
        let connecting = connecting.map_err(|_| ConnectionError::LocallyClosed)?;
        timeout(ATTEMPT, connecting).await.unwrap_or(Err(ConnectionError::TimedOut))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Whoever was told that a connection is closed has been told why; this is for those who were not.
        self.endpoint.close(VarInt::from_u32(1), b"");
    }
}

fn transport(options: &Options) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MTU_MAX);
    let mut congestion = CubicConfig::default();
    // A window of words at once; shards on one host or in one rack are the usual case.
    congestion.initial_window(512 << 10);
    let mut acknowledgements = AckFrequencyConfig::default();
    // They travel with the words that go the other way.
    acknowledgements
        .ack_eliciting_threshold(VarInt::from_u32(ACKNOWLEDGED))
        .max_ack_delay(Some(Duration::from_millis(5)));
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(options.peer_timeout).expect("timeouts are below 2⁶² ms");
    transport
        // Until it is measured: hosts are near, and a lost first packet should not cost a second.
        .initial_rtt(Duration::from_millis(50))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some((options.peer_timeout / 5).min(Duration::from_secs(1))))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(16 << 20))
        .receive_window(VarInt::from_u32(32 << 20))
        .send_window(32 << 20)
        .mtu_discovery_config(Some(mtu))
        .ack_frequency_config(Some(acknowledgements))
        .congestion_controller_factory(Arc::new(congestion));
    transport
}
