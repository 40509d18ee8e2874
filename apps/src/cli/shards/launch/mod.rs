//! `launch`: starts all shards of a run, here or elsewhere. One file per place.

mod hosts;
mod kubernetes;
mod local;
mod slurm;
pub(crate) mod ssh;
mod template;
mod words;

use super::super::failure::{Exit, Failure};
use super::super::results::quoted;
use super::super::run::Run;
use super::super::session::{Session, print};
use super::supervise::supervise;
use hosts::{Hosts, Share, share};
pub(crate) use local::local;
use std::path::PathBuf;
use std::process::Command;

/// Start all shards of a run: on this host, on others, or by a cluster's scheduler
///
/// All options of `run` are passed on to the shards. Shard 0 is on the first host: it needs the files that are named, and keeps
/// the results. The others need this program and nothing else.
#[derive(clap::Args, Debug)]
pub(crate) struct Launch {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    place: PlaceArgs,
    /// Only print the commands or the script that would start them
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    ssh: ssh::SshArgs,
    /// UDP port of shard 0 [default: any; 7411 on Kubernetes]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// With --hosts: name or address by which the others find the first host [default: its name]
    #[arg(long, value_name = "HOST", requires = "hosts")]
    address: Option<String>,
    /// With --slurm: how long the job may take
    #[arg(long, value_name = "TIME", default_value = "01:00:00", value_parser = time)]
    time: String,
    /// With --kubernetes: the image with this program, at --remote-program, and the files that are named
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// With --kubernetes: the Secret with the secret of the run
    #[arg(long, value_name = "NAME", default_value = "tidelock-secret")]
    secret: String,
    /// With --slurm and --kubernetes: name of the job
    #[arg(long, value_name = "NAME", default_value = "tidelock")]
    name: String,
}

/// Where shards are to be.
#[derive(clap::Args, Clone, Debug)]
#[group(multiple = false)]
struct PlaceArgs {
    /// As so many processes of this host (`run --shards` does the same)
    #[arg(long, value_name = "SHARDS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    local: Option<u32>,
    /// On these hosts, by ssh; `alpha,beta:2` are three shards. `localhost` is this one, without ssh
    #[arg(long, value_name = "HOST[:SHARDS],…", value_delimiter = ',', value_parser = share)]
    hosts: Vec<Share>,
    /// Print a batch script for Slurm, which starts --shards tasks
    #[arg(long)]
    slurm: bool,
    /// Print an Indexed Job and its Service for Kubernetes, which starts --shards pods
    #[arg(long)]
    kubernetes: bool,
}

fn time(text: &str) -> Result<String, String> {
    let good = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '-');
    if good { Ok(text.to_owned()) } else { Err("write minutes, or like `02:30:00` or `1-12`".to_owned()) }
}

impl Launch {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let PlaceArgs { local, hosts, slurm, kubernetes } = &self.place;
        match (local, slurm, kubernetes) {
            (Some(count), ..) => self.on_this_host(session, self.shards(Some(*count))?),
            (None, true, _) => self.by_slurm(),
            (None, _, true) => self.by_kubernetes(),
            _ if !hosts.is_empty() => self.on_hosts(session),
            _ => {
                let failure = Failure::new(Exit::Invalid, "launch::where", "it is not said where the shards are to be");
                Err(failure.help(
                    "add --local 4 (processes of this host), --hosts alpha,beta (by ssh), --slurm (prints a batch script) \
                     or --kubernetes (prints a Job)",
                ))
            }
        }
    }

    /// The number of shards, by the place if that says it.
    fn shards(&self, of_place: Option<u32>) -> Result<u32, Failure> {
        let invalid = |message: String| Failure::new(Exit::Invalid, "launch::shards", message);
        match (of_place, self.run.shards) {
            (Some(place), Some(shards)) if place != shards => {
                let message = format!("--shards says {shards} shards, the places are for {place}");
                Err(invalid(message).help("leave --shards out"))
            }
            (Some(shards), _) | (None, Some(shards)) => Ok(shards),
            (None, None) => Err(invalid("the number of shards is not given".to_owned()).help("add --shards 4")),
        }
    }

    fn on_this_host(&self, session: &Session, shards: u32) -> Result<Option<Exit>, Failure> {
        let place = local::Local::new(&self.run, shards)?;
        if self.print { print(&place.text()).map(|()| None) } else { supervise(session, &place, self.run.quiet) }
    }

    fn on_hosts(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let shares = &self.place.hosts;
        let shards = self.shards(Some(shares.iter().map(|share| share.shards).sum()))?;
        let each = |share: &Share| std::iter::repeat_n(share.host.clone(), share.shards as usize);
        let place = Hosts {
            remote: ssh::Remote::new(&self.ssh)?,
            hosts: shares.iter().flat_map(each).collect(),
            words: words::shard_words(shards),
            port: self.port,
            address: self.address.clone().unwrap_or_else(|| shares[0].host.address()),
        };
        if self.print { print(&place.text()).map(|()| None) } else { supervise(session, &place, self.run.quiet) }
    }

    fn by_slurm(&self) -> Result<Option<Exit>, Failure> {
        let shards = self.shards(None)?;
        let (name, here) = (self.name()?, program()?);
        let program = self.ssh.remote_program.as_deref().unwrap_or(&here);
        let words = words::shard_words(shards);
        let job = slurm::Job { shards, name, time: &self.time, port: self.port, program, words: &words };
        print(&job.script()).map(|()| None)
    }

    fn by_kubernetes(&self) -> Result<Option<Exit>, Failure> {
        let Some(image) = &self.image else {
            let failure = Failure::new(Exit::Invalid, "launch::image", "pods need an image with this program");
            return Err(failure.help("add --image, such as --image registry.example/me/tidelock:1"));
        };
        let shards = self.shards(None)?;
        let (name, here) = (self.name()?, program()?);
        let file = || here.file_name().map(PathBuf::from).unwrap_or_default();
        let program = self.ssh.remote_program.clone().unwrap_or_else(file).display().to_string();
        let port = if self.port == 0 { 7411 } else { self.port };
        let (words, secret) = (words::shard_words(shards), checked(&self.secret, "--secret")?);
        let job = kubernetes::IndexedJob { shards, name, image, secret, port, program: &program, words: &words };
        print(&job.manifests()).map(|()| None)
    }

    fn name(&self) -> Result<&str, Failure> {
        checked(&self.name, "--name")
    }
}

fn checked<'a>(name: &'a str, option: &str) -> Result<&'a str, Failure> {
    if kubernetes::is_name(name) {
        return Ok(name);
    }
    let message = format!("`{name}` of {option} is no name of a job");
    let help = "at most 50 lower-case letters, digits and `-`, the first a letter";
    Err(Failure::new(Exit::Invalid, "launch::name", message).help(help))
}

/// This program.
fn program() -> Result<PathBuf, Failure> {
    let unknown = |error| Failure::new(Exit::Internal, "launch::program", format!("cannot find this program: {error}"));
    std::env::current_exe().map_err(unknown)
}

/// A command as a line for a shell.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// What is to be known about commands that are printed.
fn secret_note() -> &'static str {
    "# The first line of every stdin is the secret of the run. Shard 0 says its PORT on stderr; then the others are started.\n"
}
