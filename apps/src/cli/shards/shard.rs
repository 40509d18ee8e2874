//! `shard`: one of several processes of a run.

use super::super::checkpoint::resume;
use super::super::failure::{Exit, Failure};
use super::super::run::Run;
use super::super::session::Session;
use super::super::show;
use super::execute::{Progressed, Shard};
use super::manifest::{MANIFEST_FILE, MadeKey, ManifestFile, make_keys};
use super::network::{NetworkArgs, build};
use super::orders::{Launcher, News};
use super::rank::{Rank, rank};
use super::stop::LastLine;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// Be one shard of a run in several processes
///
/// All shards are given the same arguments. Shard 0 compiles, tells the others, and keeps the results. Which shard a process
/// is follows from --rank and --shards, or from Slurm, PMI, PMIx, Open MPI or Kubernetes.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ShardCommand {
    #[command(subcommand)]
    instead: Option<Instead>,
    #[command(flatten)]
    run: Run,
    /// Which shard this is, from 0
    #[arg(long, value_name = "RANK")]
    rank: Option<u32>,
    #[command(flatten)]
    network: NetworkArgs,
}

/// What else there is to do about shards.
#[derive(clap::Subcommand, Debug)]
enum Instead {
    Keygen(Keygen),
}

impl ShardCommand {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        if let Some(Instead::Keygen(keygen)) = &self.instead {
            return keygen.run(session);
        }
        let manifest = self.network.manifest()?;
        let shards = self.run.shards.or(manifest.as_ref().map(ManifestFile::count));
        let rank = rank(self.rank, shards, |name| std::env::var(name).ok())?;
        let mut progressed = Progressed::default();
        let result = self.execute(session, rank, manifest, &mut progressed);
        // The failure is shown first, then the line for programs.
        match result {
            Ok(exit) => Ok(exit),
            Err(failure) => {
                let exit = failure.exit();
                show(&failure, session.is_json());
                last_line(rank, &failure, &progressed).tell();
                Ok(Some(exit))
            }
        }
    }

    fn execute(
        &self,
        session: &Session,
        rank: Rank,
        manifest: Option<ManifestFile>,
        progressed: &mut Progressed,
    ) -> Result<Option<Exit>, Failure> {
        let (network, patience) = (&self.network, &self.run.patience);
        let trust = network.trust(manifest.as_ref())?;
        let launcher = if network.orders { Launcher::listen() } else { Launcher::default() };
        let port = network.port(rank, manifest.as_ref(), patience)?;
        if let Ok(address) = port.address() {
            launcher.tell(News::Port(address.port()));
        }
        let address = if rank.rank > 0 { Some(network.host(manifest.as_ref(), patience)?) } else { None };
        let shard = Shard { session, rank, port, trust, manifest, build: build()?, launcher, progressed };
        match address {
            Some(address) => shard.take_part(address).map(|()| None),
            // A launcher shows how far all shards are.
            None => self
                .run
                .quietly(network.orders)
                .execute(session, |prepared, ready, display| shard.host(prepared, ready, display)),
        }
    }
}

fn last_line(rank: Rank, failure: &Failure, progressed: &Progressed) -> LastLine {
    let stop = progressed.stop.as_ref();
    LastLine {
        code: failure.exit() as u8,
        shard: Some(rank.rank),
        peer: stop.map(|stop| stop.shard.0),
        window: progressed.windows,
        tick: stop.map_or(0, |stop| stop.tick.0),
        message: failure.to_string(),
        resume: progressed.checkpoints.as_deref().and_then(|folder| resume(folder, rank.shards)),
    }
}

/// Make keys for shards, and a manifest with their certificates
///
/// A shard with a key and the manifest needs no secret: `tidelock shard --manifest DIR/manifest.json …`. The manifest is for
/// all, a key for its shard alone.
#[derive(clap::Args, Debug)]
struct Keygen {
    /// For all of so many shards
    #[arg(long, value_name = "COUNT", conflicts_with = "shard", required_unless_present = "shard",
        value_parser = clap::value_parser!(u32).range(1..=4096))]
    shards: Option<u32>,
    /// For this shard alone; it is added to the manifest if there is one
    #[arg(long, value_name = "RANK", value_parser = clap::value_parser!(u32).range(..4096))]
    shard: Option<u32>,
    /// Where the shard, or the first one, will be found; shard 0 needs one, here or by --rendezvous
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Directory for `shard-RANK.key`, which nobody else will be able to read, and `manifest.json`
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Serialize)]
struct KeysJson {
    manifest: PathBuf,
    keys: Vec<MadeKey>,
}

impl Keygen {
    fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let shards: Vec<u32> = match self.shard {
            Some(shard) => vec![shard],
            None => (0..self.shards.unwrap_or_default()).collect(),
        };
        let keys = make_keys(&self.output, &shards, self.address.as_deref())?;
        let made = KeysJson { manifest: self.output.join(MANIFEST_FILE), keys };
        session.print(|| made.text(), &made)?;
        Ok(None)
    }
}

impl KeysJson {
    fn text(&self) -> String {
        let mut text = format!("manifest  {}\n", self.manifest.display());
        for made in &self.keys {
            writeln!(text, "key       {}", made.key.display()).expect("strings take text");
        }
        text
    }
}
