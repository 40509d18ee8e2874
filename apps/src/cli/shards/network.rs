//! Arguments that say how a shard finds the others, and what follows from them.

use super::super::failure::{Exit, Failure};
use super::super::files;
use super::rank::Rank;
use net_runtime::proto::Hash;
use net_runtime::proto::rendezvous::Secret;
use net_runtime::quic::{Identity, KeyError, Options, Port, read_private};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// How shards find each other.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct NetworkArgs {
    /// Where shard 0 is found: a name or address, and a UDP port
    #[arg(long, value_name = "HOST:PORT", env = "TIDELOCK_RENDEZVOUS")]
    pub(crate) rendezvous: Option<String>,
    /// File with the secret of the run, the same for all shards; nobody else may read it
    #[arg(long, value_name = "FILE", env = "TIDELOCK_SECRET_FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Local address of this shard's socket [default: any address; on shard 0 the port of --rendezvous]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Key of this shard, made by `shard-key` [default: a fresh one]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Where shard 0 writes its address once it can be reached
    #[arg(long, value_name = "FILE")]
    pub(crate) address_file: Option<PathBuf>,
}

/// For how long shards wait for each other. Whoever starts shards passes these on.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Patience {
    /// A shard that is silent for so long is lost, and the run stops [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    peer_timeout: Option<f64>,
    /// All shards must have come together within this time [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    join_timeout: Option<f64>,
}

impl Patience {
    /// Refuses what is given to a run that has no other shards to wait for.
    pub(crate) fn refuse(&self) -> Result<(), Failure> {
        let Some(name) =
            self.peer_timeout.map(|_| "--peer-timeout").or_else(|| self.join_timeout.map(|_| "--join-timeout"))
        else {
            return Ok(());
        };
        let message = format!("{name} says how long shards wait for each other, but this run is one process");
        Err(Failure::new(Exit::Invalid, "usage::arguments", message).help("add --shards, or leave it out"))
    }

    fn options(&self) -> Options {
        let default = Options::default();
        let given = |seconds: Option<f64>, default| seconds.map_or(default, Duration::from_secs_f64);
        Options {
            peer_timeout: given(self.peer_timeout, default.peer_timeout),
            join_timeout: given(self.join_timeout, default.join_timeout),
            ..default
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("write seconds, from 0.1 to 1000000".to_owned()),
    }
}

impl NetworkArgs {
    /// A socket for the shard `rank`. Shard 0 says where it is.
    pub(crate) fn port(&self, rank: Rank, patience: &Patience) -> Result<Port, Failure> {
        let identity = match &self.key {
            Some(path) => Identity::load(path).map_err(|error| key(&error))?,
            None => Identity::fresh(),
        };
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let listen = match (&self.listen, &self.rendezvous) {
            (Some(listen), _) => *listen,
            (None, Some(rendezvous)) if rank.rank == 0 => SocketAddr::new(any, port_of(rendezvous)?),
            _ => SocketAddr::new(any, 0),
        };
        let unusable = |error: std::io::Error| {
            Failure::new(Exit::Invalid, "shard::listen", format!("cannot use the address {listen}: {error}"))
        };
        let port = Port::bind(listen, identity, patience.options()).map_err(unusable)?;
        if let (0, Some(path)) = (rank.rank, &self.address_file) {
            // Whoever waits for the file must find it whole.
            let partial = path.with_extension("partial");
            files::write(&partial, port.address().map_err(unusable)?.to_string())?;
            std::fs::rename(&partial, path).map_err(|error| files::not_stored(path, &error))?;
        }
        Ok(port)
    }

    /// The secret of the run.
    pub(crate) fn secret(&self) -> Result<Secret, Failure> {
        let Some(path) = &self.secret_file else {
            let failure = Failure::new(Exit::Invalid, "shard::secret", "the secret of the run is not given");
            return Err(failure.help("give all shards the same --secret-file; `tidelock launch` makes one"));
        };
        Ok(Secret::new(&read_private(path).map_err(|error| key(&error))?))
    }

    /// Where shard 0 is.
    pub(crate) fn host(&self) -> Result<SocketAddr, Failure> {
        let Some(text) = &self.rendezvous else {
            let failure = Failure::new(Exit::Invalid, "shard::rendezvous", "it is not known where shard 0 is");
            return Err(failure.help("add --rendezvous HOST:PORT, the same for all shards"));
        };
        let unknown = |why: String| {
            Failure::new(Exit::Invalid, "shard::rendezvous", format!("`{text}` is no address of shard 0: {why}"))
        };
        let mut addresses = text.to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
        addresses.next().ok_or_else(|| unknown("the name has no address".to_owned()))
    }
}

fn port_of(rendezvous: &str) -> Result<u16, Failure> {
    let port = rendezvous.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.ok_or_else(|| {
        let message = format!("`{rendezvous}` has no port");
        Failure::new(Exit::Invalid, "shard::rendezvous", message).help("write it like `node1:7411`")
    })
}

fn key(error: &KeyError) -> Failure {
    Failure::new(Exit::Invalid, "shard::key", error.to_string())
}

/// Hash of the program that runs: firings are code.
pub(crate) fn build() -> Result<Hash, Failure> {
    let path = std::env::current_exe();
    let bytes = path.and_then(std::fs::read);
    let unreadable = |error| Failure::new(Exit::Internal, "shard::build", format!("cannot read this program: {error}"));
    bytes.map(|bytes| *blake3::hash(&bytes).as_bytes()).map_err(unreadable)
}
