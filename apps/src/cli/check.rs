//! `check`: the three verdicts about an application, without scheduling it.

use super::args::{AppArgs, MachineArgs};
use super::explain;
use super::failure::{Exit, Failure, FailureJson};
use super::load::{self, LoadedApp};
use super::session::{Object, Session, colour_of_talk, counted, facts, grouped, table, ticks};
use scheduler::analysis::{Analysis, AnalysisError, Deadlock, Inconsistent, Repetition, analyse, repetition};
use serde::Serialize;
use sim_core::{ActorState, App};

/// Tell whether an application is consistent, live, and how fast at best
#[derive(clap::Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    app: AppArgs,
    // Built-in applications may be made for a machine.
    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Serialize)]
struct Verdicts<'a> {
    app: &'a str,
    actors: usize,
    channels: usize,
    /// `None` if numbers leave the range before it is known.
    consistent: Option<bool>,
    repetition_vector: Option<Object<&'a str, u64>>,
    firings_per_iteration: Option<u64>,
    deadlock: Option<Object<&'a str, u64>>,
    missing_tokens: Option<Object<&'a str, u64>>,
    period: Option<String>,
    critical_actors: Vec<&'a str>,
    warnings: Vec<String>,
    error: Option<FailureJson<'a>>,
}

impl Check {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let machine = match self.machine.machine {
            Some(_) => Some(load::machine(&self.machine, None)?),
            None => None,
        };
        let loaded = load::app(session, &self.app, machine.as_ref(), None)?;
        let repetition = repetition(&loaded.app);
        let analysis = analyse(&loaded.app);
        let failure = analysis.as_ref().err().map(|error| explain::analysis(error, &loaded));
        let verdicts = verdicts(&loaded, repetition.as_ref(), analysis.as_ref(), failure.as_ref());
        session.print(|| text(&loaded.app, repetition.as_ref().ok(), analysis.as_ref()), &verdicts)?;
        if !session.is_json() {
            for warning in &verdicts.warnings {
                session.talk(format_args!("warning: {warning}"));
            }
            if let Some(failure) = &failure {
                session.talk(failure.render(colour_of_talk(), super::width_of_talk()).trim_end());
            }
        }
        Ok(failure.map(|failure| failure.exit()))
    }
}

fn verdicts<'a>(
    loaded: &'a LoadedApp,
    repetition: Result<&Repetition, &Inconsistent>,
    analysis: Result<&Analysis, &AnalysisError>,
    failure: Option<&'a Failure>,
) -> Verdicts<'a> {
    let app = &loaded.app;
    let name = |actor| app.actors()[actor].name.as_str();
    let counts = |repetition: &Repetition| {
        Object(app.actors().ids().map(|actor| (name(actor), repetition.cycles(actor))).collect())
    };
    let deadlock = match analysis {
        Err(AnalysisError::Deadlocked(deadlock)) => Some(deadlock),
        _ => None,
    };
    let missing = |deadlock: &Deadlock| {
        Object(deadlock.missing.iter().map(|&(id, count)| (app.channels()[id].name.as_str(), count)).collect())
    };
    let critical = analysis.ok().and_then(|analysis| analysis.critical.as_ref());
    Verdicts {
        app: app.name(),
        actors: app.actors().len(),
        channels: app.channels().len(),
        consistent: match repetition {
            Ok(_) => Some(true),
            Err(Inconsistent::Clash(_)) => Some(false),
            Err(Inconsistent::Overflow { .. }) => None,
        },
        repetition_vector: repetition.ok().map(counts),
        firings_per_iteration: repetition.ok().map(Repetition::total_firings),
        deadlock: deadlock.map(|deadlock| Object(deadlock.left.iter().map(|&(actor, n)| (name(actor), n)).collect())),
        missing_tokens: deadlock.map(missing),
        period: analysis.ok().map(|analysis| analysis.period.to_string()),
        critical_actors: critical.map(|critical| critical.actors().into_iter().map(name).collect()).unwrap_or_default(),
        warnings: warnings(app),
        error: failure.map(Failure::json),
    }
}

fn warnings(app: &App) -> Vec<String> {
    let zero = app.actors().values().filter(|actor| actor.exec.contains(&0));
    let zero = zero.map(|actor| format!("actor `{}` has an exec of 0 ticks, which will be compiled as 1", actor.name));
    let opaque = app.actors().values().filter(|actor| actor.state == ActorState::Opaque);
    let opaque =
        opaque.map(|actor| format!("actor `{}` has opaque state: resuming a run executes it from tick 0", actor.name));
    zero.chain(opaque).collect()
}

fn text(app: &App, repetition: Option<&Repetition>, analysis: Result<&Analysis, &AnalysisError>) -> String {
    let size = format!(
        "{}, {}, {}",
        app.name(),
        counted(app.actors().len() as u64, "actor"),
        counted(app.channels().len() as u64, "channel")
    );
    let mut lines = vec![("application", size)];
    let (consistent, live, period) = match analysis {
        Ok(analysis) => ("yes", "yes", period(app, analysis)),
        Err(AnalysisError::Inconsistent(Inconsistent::Clash(_))) => ("no", "-", "-".to_owned()),
        Err(AnalysisError::Inconsistent(Inconsistent::Overflow { .. })) => ("not known", "-", "-".to_owned()),
        Err(AnalysisError::Deadlocked(_)) => ("yes", "no: deadlock", "-".to_owned()),
        Err(AnalysisError::TooManyFirings(_)) => ("yes", "not known", "-".to_owned()),
    };
    lines.push(("consistent", consistent.to_owned()));
    lines.push(("live", live.to_owned()));
    lines.push(("period", period));
    let mut text = facts(&lines);
    if let Some(repetition) = repetition {
        let left = |actor| match analysis {
            Err(AnalysisError::Deadlocked(deadlock)) => {
                deadlock.left.iter().find(|(starved, _)| *starved == actor).map(|(_, left)| grouped(*left))
            }
            _ => None,
        };
        let mut rows = vec![vec!["actor".to_owned(), "q".to_owned(), "firings".to_owned(), "exec".to_owned()]];
        for (id, actor) in app.actors().iter() {
            let firings = grouped(repetition.firings(id));
            let mut row = vec![actor.name.to_string(), grouped(repetition.cycles(id)), firings, exec(&actor.exec)];
            row.extend(left(id).map(|left| format!("{left} left: starved")));
            rows.push(row);
        }
        text.push('\n');
        text += &table(&rows, &[1, 2]);
    }
    text
}

/// Durations per phase; of many only the first.
fn exec(exec: &[u64]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = exec.iter().take(SHOWN).map(u64::to_string).collect();
    shown.join(",") + if exec.len() > SHOWN { ",…" } else { "" }
}

fn period(app: &App, analysis: &Analysis) -> String {
    const SHOWN: usize = 8;
    let Some(critical) = &analysis.critical else {
        return "0 ticks: no cycle bounds it on unlimited processors".to_owned();
    };
    let actors = critical.actors();
    let names: Vec<&str> = actors.iter().take(SHOWN).map(|&actor| app.actors()[actor].name.as_str()).collect();
    let more = if actors.len() > SHOWN { " → …" } else { "" };
    let period = ticks(&analysis.period.to_string());
    format!("{period} per iteration on unlimited processors\nby the cycle {}{more}", names.join(" → "))
}
