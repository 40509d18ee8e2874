//! Arguments that say how a shard finds the others, and what follows from them.

use super::super::failure::{Exit, Failure};
use super::super::files;
use super::manifest::{self, ManifestFile};
use super::rank::Rank;
use net_runtime::proto::Hash;
use net_runtime::proto::rendezvous::{Secret, Trust};
use net_runtime::quic::{Identity, KeyError, Options, Port, read_private};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How shards find each other.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct NetworkArgs {
    /// Where shard 0 is found: a name or address, and a UDP port
    #[arg(long, value_name = "HOST:PORT", env = "TIDELOCK_RENDEZVOUS")]
    pub(crate) rendezvous: Option<String>,
    /// File with the secret of the run, the same for all shards; nobody else may read it. `-` is the first line of stdin
    #[arg(long, value_name = "FILE", env = "TIDELOCK_SECRET_FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Instead of a secret: a file with the certificates of all shards, made by `shard keygen`
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    pub(crate) manifest: Option<PathBuf>,
    /// Local address of this shard's socket [default: any address; on shard 0 the port of --rendezvous]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Key of this shard, made by `shard keygen` [default: a fresh one; with --manifest, `shard-RANK.key` beside it]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Where shard 0 writes its address once it can be reached
    #[arg(long, value_name = "FILE")]
    pub(crate) address_file: Option<PathBuf>,
    /// Behind the secret, stdin brings orders, `interrupt` or `terminate`, and its end is one; for whoever starts shards
    #[arg(long)]
    pub(crate) orders: bool,
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
    /// The certificates of all shards, if they are known beforehand.
    pub(crate) fn manifest(&self) -> Result<Option<ManifestFile>, Failure> {
        self.manifest.as_deref().map(ManifestFile::load).transpose()
    }

    /// A socket for the shard `rank`. Shard 0 says where it is.
    pub(crate) fn port(
        &self,
        rank: Rank,
        manifest: Option<&ManifestFile>,
        patience: &Patience,
    ) -> Result<Port, Failure> {
        let beside = self.manifest.as_deref().map(|path| path.with_file_name(manifest::key_file(rank.rank)));
        let identity = match self.key.as_ref().or(beside.as_ref()) {
            Some(path) => Identity::load(path).map_err(|error| key(&error))?,
            None => Identity::fresh(),
        };
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let own = manifest.and_then(|manifest| manifest.address(rank.rank));
        let known = own.or(self.rendezvous.as_deref().filter(|_| rank.rank == 0));
        let listen = match (&self.listen, known) {
            (Some(listen), _) => *listen,
            (None, Some(address)) => SocketAddr::new(any, port_of(address)?),
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

    /// By what the shards of the run know each other.
    pub(crate) fn trust(&self, manifest: Option<&ManifestFile>) -> Result<Trust, Failure> {
        match (manifest, self.secret_file.as_deref()) {
            (Some(manifest), _) => Ok(manifest.trust()),
            (None, Some(path)) if path.as_os_str() == "-" => secret_of_stdin().map(Trust::Secret),
            (None, Some(path)) => Ok(Trust::Secret(Secret::new(&read_private(path).map_err(|error| key(&error))?))),
            (None, None) => {
                let failure = Failure::new(Exit::Invalid, "shard::secret", "the secret of the run is not given");
                Err(failure
                    .help("give all shards the same --secret-file, or --manifest; `tidelock launch` does so itself"))
            }
        }
    }

    /// Where shard 0 is, as soon as that is known: names of hosts that are just being set up come up late.
    pub(crate) fn host(&self, manifest: Option<&ManifestFile>, patience: &Patience) -> Result<SocketAddr, Failure> {
        let Some(text) = self.rendezvous.as_deref().or(manifest.and_then(|manifest| manifest.address(0))) else {
            let failure = Failure::new(Exit::Invalid, "shard::rendezvous", "it is not known where shard 0 is");
            return Err(failure.help("add --rendezvous HOST:PORT, the same for all shards"));
        };
        resolve(text, patience.options().join_timeout)
    }
}

/// The first line of stdin, which a launcher writes.
pub(crate) fn secret_of_stdin() -> Result<Secret, Failure> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(_) if !line.trim().is_empty() => Ok(Secret::new(line.as_bytes())),
        _ => Err(Failure::new(Exit::Invalid, "shard::secret", "the first line of stdin is no secret")),
    }
}

/// The address of `HOST:PORT`, if the name comes up within `patience`.
pub(crate) fn resolve(text: &str, patience: Duration) -> Result<SocketAddr, Failure> {
    port_of(text)?;
    let begin = Instant::now();
    loop {
        let found = text.to_socket_addrs().map(|mut addresses| addresses.next());
        let why = match found {
            Ok(Some(address)) => return Ok(address),
            Ok(None) => "the name has no address".to_owned(),
            Err(error) => error.to_string(),
        };
        if begin.elapsed() >= patience {
            let message = format!("`{text}` is no address of shard 0: {why}");
            return Err(Failure::new(Exit::Invalid, "shard::rendezvous", message));
        }
        std::thread::sleep(Duration::from_millis(200));
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
