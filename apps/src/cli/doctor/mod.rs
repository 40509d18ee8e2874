//! `doctor`: what hosts, and the ways between them, offer to a run; and which of them is not like the others.
//!
//! One file per question: `host.rs` one host, `pair.rs` the way between two, `odd.rs` who stands out, `report.rs` the text.

mod host;
mod odd;
mod pair;
mod report;

use super::failure::{Exit, Failure};
use super::session::Session;
use super::shards::launch::ssh::{Host, Remote, SshArgs};
use host::HostReport;
use pair::PairReport;
use serde::Serialize;
use std::ffi::OsString;
use std::process::Stdio;

/// Measure this host, or several and the ways between them, and name what stands out
///
/// Figures of a host are measured while nothing else should run there. Hosts are reached by ssh, each other by QUIC.
#[derive(clap::Args, Debug)]
pub(crate) struct Doctor {
    /// These hosts instead of this one; `localhost` is this one
    #[arg(long, value_name = "HOST,…", value_delimiter = ',', value_parser = Host::new)]
    hosts: Vec<Host>,
    #[command(flatten)]
    ssh: SshArgs,
    /// Answer those who measure the way to this host; what `doctor --hosts` starts there
    #[arg(long, hide = true, conflicts_with = "hosts")]
    serve: bool,
    /// Measure the way to a host that serves
    #[arg(long, hide = true, value_name = "HOST:PORT", conflicts_with_all = ["hosts", "serve"])]
    measure: Option<String>,
}

/// All that was found.
#[derive(Serialize)]
struct Report {
    version: u32,
    hosts: Vec<HostReport>,
    pairs: Vec<PairReport>,
    /// Hosts and ways that could not be measured.
    failed: Vec<Unmeasured>,
    /// What is not like the others, or should be changed.
    findings: Vec<odd::Finding>,
}

/// A host, or the way between two, that could not be measured.
#[derive(Clone, Debug, Serialize)]
struct Unmeasured {
    who: String,
    why: String,
}

impl Doctor {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        if self.serve {
            return pair::serve().map(|()| None);
        }
        if let Some(address) = &self.measure {
            return pair::measure(address).map(|()| None);
        }
        let mut report =
            Report { version: 1, hosts: Vec::new(), pairs: Vec::new(), failed: Vec::new(), findings: Vec::new() };
        if self.hosts.is_empty() {
            report.hosts.push(HostReport::measure("localhost")?);
        } else {
            self.measure_all(session, &mut report)?;
        }
        report.findings = odd::findings(&report.hosts, &report.pairs);
        session.print(|| report::text(&report), &report)?;
        Ok((!report.failed.is_empty()).then_some(Exit::PeerLost))
    }

    fn measure_all(&self, session: &Session, report: &mut Report) -> Result<(), Failure> {
        let remote = Remote::new(&self.ssh)?;
        // One after the other: names may stand for the same machine.
        for host in &self.hosts {
            if !session.is_json() {
                session.talk(format_args!("measuring {}", host.name()));
            }
            match measured(&remote, host) {
                Ok(found) => report.hosts.push(found),
                Err(why) => report.failed.push(Unmeasured { who: host.name().to_owned(), why }),
            }
        }
        let there = |host: &&Host| report.hosts.iter().any(|found| found.host == host.name());
        let hosts: Vec<&Host> = self.hosts.iter().filter(there).collect();
        for (number, host) in hosts.iter().enumerate() {
            let others = &hosts[number + 1..];
            if others.is_empty() {
                break;
            }
            if !session.is_json() {
                session.talk(format_args!("measuring the ways to {}", host.name()));
            }
            let (pairs, failed) = pair::to(&remote, host, others);
            report.pairs.extend(pairs);
            report.failed.extend(failed);
        }
        Ok(())
    }
}

/// Asks a host about itself.
fn measured(remote: &Remote, host: &Host) -> Result<HostReport, String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        hosts: Vec<HostReport>,
    }
    let words = ["doctor", "--format", "json"].map(OsString::from);
    let output = remote.command(host, &words).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(failed(remote, host, &output));
    }
    let answer: Result<Answer, _> = serde_json::from_slice(&output.stdout);
    let answer = answer.map_err(|error| format!("it does not answer as this version does ({error})"))?;
    let found = answer.hosts.into_iter().next().ok_or("it says nothing about itself")?;
    Ok(HostReport { host: host.name().to_owned(), ..found })
}

/// Why a program on a host has failed.
fn failed(remote: &Remote, host: &Host, output: &std::process::Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    let told = told.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let reason = remote.unreached(host, output.status).map(|(_, reason)| reason);
    let reason = reason.unwrap_or_else(|| format!("it ended with {}", output.status));
    if told.is_empty() { reason } else { format!("{reason}: {told}") }
}
