//! What errors of the libraries mean to a user of the command line: exit code, place, and the next thing to try.

use super::failure::{Exit, Failure, SourceText};
use super::load::LoadedApp;
use crate::formats::{FormatError, PinError};
use crate::pipeline::RunError;
use calendars::{Violation, with_names};
use scheduler::CompileError;
use scheduler::analysis::{AnalysisError, Inconsistent};
use sim_core::engine::{EngineError, RestoreError};
use sim_core::machine::{MachineError, SpecError};
use sim_core::{ActorId, App, ChannelId, Machine, SourcePlace};
use std::error::Error;
use std::ops::Range;

/// An error with its causes, in one sentence.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A file that is not what it should be.
pub(crate) fn format(error: &FormatError, source: &SourceText) -> Failure {
    let failure = Failure::new(Exit::Invalid, error.code(), error.to_string()).at(source, error.span());
    match error.help() {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Pins that do not fit.
pub(crate) fn pin(error: &PinError, source: &SourceText) -> Failure {
    let failure = Failure::new(Exit::Invalid, error.code(), error.to_string()).at(source, [error.span()]);
    match error.help() {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// A machine file whose parts make no machine.
pub(crate) fn spec(error: &SpecError, source: &SourceText) -> Failure {
    let (code, name) = match error {
        SpecError::Version { .. } => ("machine::version", Some("version".to_owned())),
        SpecError::NoSuchNode { unknown, .. } => ("machine::no_such_node", Some(quoted(unknown))),
        SpecError::Shape(_) | SpecError::ShapeSize { .. } => ("machine::shape", Some("shape".to_owned())),
        SpecError::Machine(error) => match error {
            MachineError::DuplicateNode { name, .. } => ("machine::duplicate_node", Some(quoted(name))),
            MachineError::NegativeCycle { .. } => ("machine::negative_cycle", None),
            MachineError::Empty => ("machine::empty", None),
            _ => ("machine::limits", None),
        },
    };
    // Parts have no places once they are read: the last mention of the name is the one too many, or the wrong one.
    let place = name.and_then(|name| source.text.rfind(&name).map(|start| start..start + name.len()));
    let failure = Failure::new(Exit::Invalid, code, sentence(error)).at(source, place);
    match error {
        SpecError::NoSuchNode { .. } => failure.help("links name nodes of this file"),
        SpecError::Machine(MachineError::NegativeCycle { .. }) => failure
            .help("latencies may be negative, but not in sum around a cycle: no frame is back before it was sent"),
        _ => failure,
    }
}

fn quoted(name: &str) -> String {
    format!("{name:?}")
}

/// An application that cannot run, whatever the machine.
pub(crate) fn analysis(error: &AnalysisError, app: &LoadedApp) -> Failure {
    let (code, places, label, help) = match error {
        AnalysisError::Inconsistent(Inconsistent::Clash(clash)) => (
            "analysis::inconsistent",
            clash.cycle.iter().filter_map(|&id| channel_place(app, id)).collect(),
            "around this cycle the rates do not balance",
            "change a rate so that what is produced per iteration is consumed".to_owned(),
        ),
        AnalysisError::Inconsistent(Inconsistent::Overflow { actor, .. }) => (
            "analysis::overflow",
            actor_place(app, *actor).into_iter().collect(),
            "noticed here",
            "rates with common factors make iterations shorter".to_owned(),
        ),
        AnalysisError::Deadlocked(deadlock) => {
            let channels: Vec<Range<usize>> =
                deadlock.missing.iter().filter_map(|&(id, _)| channel_place(app, id)).collect();
            let help = "add the initial tokens that the message names, or lower the consumer's rate".to_owned();
            ("analysis::deadlock", channels, "too few initial tokens", help)
        }
        AnalysisError::TooManyFirings(_) => {
            let help = "the repetition vector is huge: rates with common factors make iterations shorter".to_owned();
            ("analysis::too_many_firings", Vec::new(), "", help)
        }
    };
    let failure = Failure::new(Exit::Invalid, code, error.to_string()).help(help);
    match app.source() {
        Some(source) => failure.at(source, places).label(label),
        None => failure,
    }
}

fn place(place: Option<&SourcePlace>) -> Option<Range<usize>> {
    match place {
        Some(SourcePlace::Text(range)) => Some(range.clone()),
        _ => None,
    }
}

fn channel_place(app: &LoadedApp, id: ChannelId) -> Option<Range<usize>> {
    place(app.app.channels()[id].place.as_deref())
}

fn actor_place(app: &LoadedApp, id: ActorId) -> Option<Range<usize>> {
    place(app.app.actors()[id].place.as_deref())
}

/// No calendars.
pub(crate) fn compile(error: &CompileError, app: &LoadedApp) -> Failure {
    let infeasible = |code, help: &str| Failure::new(Exit::Infeasible, code, error.to_string()).help(help);
    match error {
        CompileError::Analysis(error) => analysis(error, app),
        CompileError::TooManyWords { .. } => {
            infeasible("compile::too_many_words", "try --max-unroll 1, smaller tokens, or rates with common factors")
        }
        CompileError::NoCores { .. } => infeasible("compile::no_cores", "give nodes cores: --cores 1"),
        CompileError::Disconnected { .. } => {
            infeasible("compile::disconnected", "add links, one each way, or compile for the parts on their own")
        }
        CompileError::PinnedNowhere { .. } | CompileError::NoSuchActor { .. } => {
            infeasible("compile::pinned_nowhere", "pin actors of the application to nodes of the machine")
        }
        CompileError::PinnedToSwitch { .. } => {
            infeasible("compile::pinned_to_switch", "pin the actor to a node with cores")
        }
        CompileError::Unreachable { .. } => {
            infeasible("compile::unreachable", "add a link back, or pin both actors to one node")
        }
        CompileError::MemoryShort { .. } => infeasible(
            "compile::memory_short",
            "give nodes more memory (--memory), take more nodes, or pin actors with much data to other nodes",
        ),
        CompileError::CalendarShort { .. } => infeasible(
            "compile::calendar_short",
            "allow more entries (--calendar-entries), take more nodes, or try --max-unroll 1",
        ),
        CompileError::NoSlots { .. } => infeasible("compile::no_slots", "please report this graph and machine"),
        CompileError::Unsound(violations) => {
            let message = "the compiler made calendars that break the machine's rules: a fault of this program";
            Failure::new(Exit::Internal, "compile::unsound", message)
                .details(violations.iter().map(ToString::to_string).collect())
                .help("please report this graph and machine")
        }
    }
}

/// Calendars of a file that break the machine's rules.
pub(crate) fn violations(violations: &[Violation], app: &App, machine: &Machine, file: &str) -> Failure {
    let rules = if violations.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", violations.len()) };
    Failure::new(Exit::CheckFailed, "verify::violations", format!("the calendars in `{file}` break {rules}"))
        .details(violations.iter().map(|violation| with_names(&violation.to_string(), app, machine)).collect())
        .help(
            "are application and machine those that the calendars were compiled for? `tidelock compile` makes new ones",
        )
}

/// A run that did not start or did not end.
pub(crate) fn run(error: &RunError) -> Failure {
    let invalid = |code, help: &str| Failure::new(Exit::Invalid, code, error.to_string()).help(help);
    match error {
        RunError::NotFed { name, .. } => invalid("run::not_fed", &format!("feed it from a file: --input {name}=FILE")),
        RunError::FedShort { .. } => invalid("run::fed_short", "run fewer iterations, or feed more tokens"),
        RunError::NoSuchInput { .. } => invalid("run::no_such_input", "inputs are declared with `AppBuilder::input`"),
        RunError::FedPart { .. } => invalid("run::fed_part", "cut the file off after a whole token"),
        RunError::Lower(error) => Failure::new(Exit::Infeasible, "run::lower", error.to_string()),
        RunError::Engine(error) => engine(error),
    }
}

fn engine(error: &EngineError) -> Failure {
    match error {
        EngineError::Firing(_) => Failure::new(Exit::CheckFailed, "run::panic", error.to_string())
            .help("the same firing panics in every run: execute it in a test of your own"),
        EngineError::TooLong { .. } => Failure::new(Exit::Invalid, "run::too_long", error.to_string()),
        EngineError::Memory { .. } => Failure::new(Exit::Invalid, "run::memory", error.to_string())
            .help("record fewer channels, or run fewer iterations"),
        EngineError::OtherApp { .. } | EngineError::NoSuchChannel { .. } => {
            Failure::new(Exit::Internal, "run::engine", error.to_string())
        }
        EngineError::NoOpaqueState { .. } => Failure::new(Exit::Invalid, "run::no_opaque_state", error.to_string()),
        EngineError::Restore(error) => restore(error),
    }
}

/// A state from which a run cannot go on.
pub(crate) fn restore(error: &RestoreError) -> Failure {
    let exit = match error {
        RestoreError::Program { .. } | RestoreError::Iterations { .. } | RestoreError::Level { .. } => Exit::Disagreed,
        _ => Exit::Storage,
    };
    Failure::new(exit, "checkpoint::state", error.to_string())
}
