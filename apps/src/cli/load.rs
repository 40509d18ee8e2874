//! From arguments to values: applications, machines, calendars.

use super::args::{AppArgs, CompileArgs, MachineArgs, MachineSettings};
use super::failure::{Exit, Failure, SourceText};
use super::files::{read_bytes, read_source};
use super::session::Session;
use super::{builtin, explain, hosts};
use crate::formats::{byte_offset, read_graph, read_pins, read_ron, read_text};
use crate::hosts::Fleet;
use calendars::{CalendarFileError, CalendarSet, Verified};
use scheduler::Options;
use sim_core::machine::MachineSpec;
use sim_core::{App, Machine, Preset};
use std::path::Path;

/// An application and where it comes from.
#[derive(Debug)]
pub(crate) struct LoadedApp {
    pub(crate) app: App,
    pub(crate) origin: Origin,
}

/// Where an application comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A graph file.
    File(SourceText),
    /// The library, by this name with parameters.
    BuiltIn(String),
    /// A fleet file, and the fleet.
    Fleet(SourceText, Box<Fleet>),
    /// The user's own program.
    Own,
}

impl LoadedApp {
    /// The text of the file.
    pub(crate) fn source(&self) -> Option<&SourceText> {
        match &self.origin {
            Origin::File(source) | Origin::Fleet(source, _) => Some(source),
            _ => None,
        }
    }

    /// The fleet, if that is what it is.
    pub(crate) fn fleet(&self) -> Option<&Fleet> {
        match &self.origin {
            Origin::Fleet(_, fleet) => Some(fleet),
            _ => None,
        }
    }
}

/// The application that the arguments name; without any, the user's own, or else the graph kept in `folder`.
pub(crate) fn app(
    session: &Session,
    args: &AppArgs,
    machine: Option<&Machine>,
    folder: Option<&Path>,
) -> Result<LoadedApp, Failure> {
    let mut loaded = match (&args.graph, &args.app, &session.own, folder.map(|folder| folder.join(GRAPH_FILE))) {
        (Some(path), _, _, _) => match hosts::fleet_source(Some(path))? {
            Some(source) => hosts::load(source, machine)?,
            None => graph(path)?,
        },
        (None, Some(name), _, _) => {
            LoadedApp { app: builtin::make(name, machine)?, origin: Origin::BuiltIn(name.clone()) }
        }
        (None, None, Some(own), _) => LoadedApp { app: own()?, origin: Origin::Own },
        (None, None, None, Some(path)) if path.exists() => graph(&path)?,
        (None, None, None, _) => {
            return Err(Failure::new(Exit::Invalid, "usage::no_app", "no application is named").help(
                "name a graph file, or a built-in application such as `--app cd2dat`; `tidelock apps` lists them",
            ));
        }
    };
    if let Some(bits) = args.token_bits {
        // The payload of graph files fits any width, that of typed applications only their own.
        if !matches!(&loaded.origin, Origin::File(_)) {
            let message = format!("--token-bits is for graph files, tokens of `{}` are typed", loaded.app.name());
            return Err(Failure::new(Exit::Invalid, "usage::token_bits", message));
        }
        let error = |error: sim_core::AppError| Failure::new(Exit::Invalid, "usage::token_bits", error.to_string());
        loaded.app = loaded.app.with_token_bits(bits).map_err(error)?;
    }
    Ok(loaded)
}

/// The file in which a folder of calendars keeps its graph.
pub(crate) const GRAPH_FILE: &str = "graph.ron";
/// The file in which a folder of calendars keeps its machine.
pub(crate) const MACHINE_FILE: &str = "machine.ron";
/// The file in which a folder of calendars keeps them.
pub(crate) const CALENDARS_FILE: &str = "calendars.ron";

fn graph(path: &Path) -> Result<LoadedApp, Failure> {
    let name = path.display().to_string();
    let bytes = read_bytes(path)
        .map_err(|failure| failure.help("APP is a graph file; built-in applications are named by --app"))?;
    let text = read_text(&bytes).unwrap_or_default().to_owned();
    let source = SourceText { name, text };
    match read_graph(&source.name, &bytes) {
        Ok(app) => Ok(LoadedApp { app, origin: Origin::File(source) }),
        Err(error) => Err(explain::format(&error, &source)),
    }
}

/// The machine for an application: the one that the arguments name, or the one kept in `folder`, or the one of a fleet file.
pub(crate) fn machine_for(app: &AppArgs, args: &MachineArgs, folder: Option<&Path>) -> Result<Machine, Failure> {
    if args.machine.is_none()
        && folder.is_none()
        && let Some(source) = hosts::fleet_source(app.graph.as_deref())?
    {
        return hosts::machine(&source, &args.settings);
    }
    machine(args, folder)
}

/// The machine that the arguments name; without any, the one kept in `folder`.
pub(crate) fn machine(args: &MachineArgs, folder: Option<&Path>) -> Result<Machine, Failure> {
    match (&args.machine, folder) {
        (Some(name), _) => named_machine(name, &args.settings),
        (None, Some(folder)) => machine_file(&folder.join(MACHINE_FILE), &args.settings),
        (None, None) => Err(Failure::new(Exit::Invalid, "usage::no_machine", "no machine is named").help(
            "add --machine with a preset such as `torus:4x4`, or with a file: `tidelock machine torus:4x4 -o m.ron`",
        )),
    }
}

/// A preset or, if the name looks like one, a file.
pub(crate) fn named_machine(name: &str, settings: &MachineSettings) -> Result<Machine, Failure> {
    match name.parse::<Preset>() {
        Ok(preset) => Ok(set(Machine::from_preset(&preset).latency(settings.latency.unwrap_or(1)), settings)),
        Err(_) if name.ends_with(".ron") || name.contains(['/', '\\']) || Path::new(name).exists() => {
            machine_file(Path::new(name), settings)
        }
        Err(error) => Err(Failure::new(Exit::Invalid, "machine::preset", error.to_string())
            .help("machine files end in .ron; `tidelock machine torus:4x4 -o m.ron` writes one to start from")),
    }
}

fn machine_file(path: &Path, settings: &MachineSettings) -> Result<Machine, Failure> {
    if settings.latency.is_some() {
        return Err(Failure::new(
            Exit::Invalid,
            "usage::latency",
            "--latency is for presets, a machine file has latencies",
        )
        .help(format!("edit the links in `{}`", path.display())));
    }
    let source = read_source(path)?;
    let spec: MachineSpec = read_ron(&source.text).map_err(|error| explain::format(&error, &source))?;
    Ok(set(spec.build().map_err(|error| explain::spec(&error, &source))?, settings))
}

fn set(machine: Machine, settings: &MachineSettings) -> Machine {
    let machine = settings.cores.into_iter().fold(machine, Machine::cores);
    let machine = settings.memory.into_iter().fold(machine, Machine::memory);
    settings.calendar_entries.into_iter().fold(machine, Machine::calendar_entries)
}

/// What the compiler is told.
fn options(args: &CompileArgs, app: &App, machine: &Machine) -> Result<Options, Failure> {
    let mut options = Options { max_unroll: args.max_unroll, ..Options::default() };
    if let Some(path) = &args.pins {
        let source = read_source(path)?;
        let pins = read_pins(&source.text).map_err(|error| explain::format(&error, &source))?;
        options.pins = pins.resolve(app, machine).map_err(|error| explain::pin(&error, &source))?;
    }
    Ok(options)
}

/// Compiles, and says what the user should know. The schedule is `listed` only if somebody will look at it.
pub(crate) fn compile(
    session: &Session,
    args: &CompileArgs,
    app: &LoadedApp,
    machine: &Machine,
    listed: bool,
) -> Result<scheduler::Compiled, Failure> {
    let options = Options { schedule: listed, ..options(args, &app.app, machine)? };
    let compiled = scheduler::compile(&app.app, machine, &options).map_err(|error| explain::compile(&error, app))?;
    if !session.is_json() {
        for warning in &compiled.warnings {
            session.talk(format_args!("warning: {warning}"));
        }
    }
    Ok(compiled)
}

/// The calendars of a folder (or file), unchecked.
pub(crate) fn calendars(folder: &Path) -> Result<CalendarSet, Failure> {
    let path = if folder.is_file() { folder.to_owned() } else { folder.join(CALENDARS_FILE) };
    let source = read_source(&path)
        .map_err(|failure| failure.help("`tidelock compile … -o DIR` and `tidelock run` write such directories"))?;
    calendars::from_ron(&source.text).map_err(|error| match error {
        CalendarFileError::Syntax { line, column, source: cause } => {
            let at = byte_offset(&source.text, line, column);
            Failure::new(Exit::Invalid, "calendars::syntax", cause.to_string()).at(&source, Some(at..at))
        }
        CalendarFileError::Version { .. } => Failure::new(Exit::Invalid, "calendars::version", error.to_string()),
    })
}

/// The calendars of a folder, proved to execute `app` on `machine`.
pub(crate) fn verified(folder: &Path, app: &App, machine: &Machine) -> Result<(CalendarSet, Verified), Failure> {
    let calendars = calendars(folder)?;
    match calendars::verify(app, machine, &calendars) {
        Ok(verified) => Ok((calendars, verified)),
        Err(violations) => Err(explain::violations(&violations, app, machine, &folder.display().to_string())),
    }
}
