//! The way between two hosts: one serves, the other measures, both started as the shards of a run are.

use super::super::failure::{Exit, Failure};
use super::super::session::print;
use super::super::shards::launch::ssh::{Host, Remote};
use super::super::shards::{resolve, secret_of_stdin};
use super::{Unmeasured, failed};
use net_runtime::quic::{self, Identity, Options, Path, Port};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

/// What was found between two hosts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PairReport {
    /// The host that measured.
    pub(super) from: String,
    /// The host that answered.
    pub(super) to: String,
    #[serde(flatten)]
    pub(super) path: Path,
}

/// What a host that serves says first.
#[derive(Serialize, Deserialize)]
struct Served {
    port: u16,
}

/// Serves until stdin ends; its first line is the secret.
pub(super) fn serve() -> Result<(), Failure> {
    let secret = secret_of_stdin()?;
    let port = socket()?;
    quic::serve(&port, &secret);
    let address = port.address().map_err(|error| unusable(&error))?;
    print(&serde_json::to_string(&Served { port: address.port() }).expect("a number"))?;
    // Whoever asked for it ends it by going away.
    let _ = std::io::copy(&mut stdin(), &mut std::io::sink());
    Ok(())
}

/// Measures the way to a host that serves; the first line of stdin is the secret.
pub(super) fn measure(address: &str) -> Result<(), Failure> {
    let secret = secret_of_stdin()?;
    let address = resolve(address, Duration::from_secs(5))?;
    let path = quic::measure(&socket()?, address, &secret)
        .map_err(|error| Failure::new(Exit::PeerLost, "doctor::pair", error.to_string()))?;
    print(&serde_json::to_string(&path).expect("numbers"))
}

fn socket() -> Result<Port, Failure> {
    let any = "0.0.0.0:0".parse().expect("it is an address");
    Port::bind(any, Identity::fresh(), Options::default()).map_err(|error| unusable(&error))
}

fn unusable(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Invalid, "doctor::socket", format!("there is no UDP socket to be had: {error}"))
}

/// The ways to `host` from `others`.
pub(super) fn to(remote: &Remote, host: &Host, others: &[&Host]) -> (Vec<PairReport>, Vec<Unmeasured>) {
    let secret = Identity::secret_text();
    let (mut pairs, mut unmeasured) = (Vec::new(), Vec::new());
    let mut note = |who: String, why: String| unmeasured.push(Unmeasured { who, why });
    let (server, port) = match Server::start(remote, host, &secret) {
        Ok(started) => started,
        Err(why) => {
            note(host.name().to_owned(), why);
            return (pairs, unmeasured);
        }
    };
    for other in others {
        let address = format!("{}:{port}", host.address());
        match way(remote, other, &address, &secret) {
            Ok(path) => pairs.push(PairReport { from: other.name().to_owned(), to: host.name().to_owned(), path }),
            Err(why) => note(format!("{} to {}", other.name(), host.name()), why),
        }
    }
    drop(server);
    (pairs, unmeasured)
}

/// A host that serves until this is dropped.
struct Server(Child);

impl Server {
    fn start(remote: &Remote, host: &Host, secret: &str) -> Result<(Self, u16), String> {
        let words = ["doctor", "--serve"].map(OsString::from);
        let mut command = remote.command(host, &words);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut server = Self(child.map_err(|error| error.to_string())?);
        // If it has ended already, it says no port.
        let _ = writeln!(server.0.stdin.as_mut().expect("it is piped"), "{secret}");
        let stdout = server.0.stdout.take().expect("it is piped");
        let line = BufReader::new(stdout).lines().next().and_then(Result::ok).unwrap_or_default();
        let served: Result<Served, _> = serde_json::from_str(&line);
        served.map(|Served { port }| (server, port)).map_err(|_| "it does not serve".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends with its stdin; the way to it is not waited for longer than this program runs.
        let _ = self.0.wait();
    }
}

fn way(remote: &Remote, from: &Host, address: &str, secret: &str) -> Result<Path, String> {
    let words = ["doctor", "--measure", address].map(OsString::from);
    let mut command = remote.command(from, &words);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let _ = writeln!(child.stdin.as_mut().expect("it is piped"), "{secret}");
    let output: Output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(failed(remote, from, &output));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
