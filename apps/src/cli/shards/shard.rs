//! `shard`: one of several processes of a run.

use super::super::checkpoint::resume;
use super::super::failure::{Exit, Failure};
use super::super::run::Run;
use super::super::session::Session;
use super::super::show;
use super::execute::{Host, Progressed, member};
use super::network::{NetworkArgs, build};
use super::rank::{Rank, rank};
use super::stop::LastLine;
use net_runtime::proto::short;
use net_runtime::quic::Identity;
use serde::Serialize;
use std::path::PathBuf;

/// Be one shard of a run in several processes
///
/// All shards are given the same arguments. Shard 0 compiles, tells the others, and keeps the results. Which shard a process
/// is follows from --rank and --shards, or from Slurm, PMI, PMIx, Open MPI or Kubernetes.
#[derive(clap::Args, Debug)]
pub(crate) struct ShardCommand {
    #[command(flatten)]
    run: Run,
    /// Which shard this is, from 0
    #[arg(long, value_name = "RANK")]
    rank: Option<u32>,
    #[command(flatten)]
    network: NetworkArgs,
}

impl ShardCommand {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let rank = rank(self.rank, self.run.shards, |name| std::env::var(name).ok())?;
        let mut progressed = Progressed::default();
        let result = self.execute(session, rank, &mut progressed);
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

    fn execute(&self, session: &Session, rank: Rank, progressed: &mut Progressed) -> Result<Option<Exit>, Failure> {
        let (secret, build) = (self.network.secret()?, build()?);
        let port = self.network.port(rank, &self.run.patience)?;
        if rank.rank > 0 {
            let host = self.network.host()?;
            return member(session, rank, port, host, &secret, build, progressed).map(|()| None);
        }
        let host = Host { session, rank, port, secret, build, progressed };
        self.run.execute(session, |prepared, ready, display| host.execute(prepared, ready, display))
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

/// Make a key for a shard, and print the hash of its certificate
#[derive(clap::Args, Debug)]
pub(crate) struct ShardKey {
    /// File to make; nobody else will be able to read it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Serialize)]
struct KeyJson {
    certificate: String,
}

impl ShardKey {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let identity = Identity::fresh();
        let failed = |error| Failure::new(Exit::Storage, "shard::key", format!("{error}"));
        identity.save(&self.output).map_err(|error: net_runtime::quic::KeyError| failed(error))?;
        let certificate = short(&identity.pin());
        session.print(|| format!("certificate {certificate}\n"), &KeyJson { certificate: certificate.clone() })?;
        Ok(None)
    }
}
