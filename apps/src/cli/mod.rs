//! The command line: the same commands in the `tidelock` binary and in every user's own.
//!
//! A command is a file: its arguments, what it does, what it prints. stdout is data, stderr is talk. All that can fail becomes
//! a [`failure::Failure`] with its exit code; nothing else ends a command.

mod apps;
mod args;
mod bench;
mod boot;
mod builtin;
mod channels;
mod check;
mod checkpoint;
mod clocks;
mod compile;
mod coupled;
mod diff;
mod doctor;
mod explain;
mod failure;
mod files;
mod hosts;
mod load;
mod machine;
mod new;
mod partition;
mod prepare;
mod progress;
mod results;
mod run;
mod schedule_json;
mod session;
mod shards;
mod spec;
mod tokens;
mod tree;
mod verify;
mod view;
mod view_json;
mod view_shards;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use failure::{Exit, Failure, FailureJson};
use serde::Serialize;
use session::{OutputFormat, OwnApp, Session, colour_of_talk, print_json};
use sim_core::App;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Compiles synchronous-dataflow applications into calendars for a bittide-style machine, and runs them.
#[derive(Parser, Debug)]
#[command(name = "tidelock", version, max_term_width = 100)]
struct Cli {
    /// Output for people or for programs
    #[arg(long, value_enum, global = true, default_value_t)]
    format: OutputFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Check(check::Check),
    Compile(compile::Compile),
    Run(run::Run),
    Launch(Box<shards::Launch>),
    Shard(Box<shards::ShardCommand>),
    Partition(Box<partition::PartitionCommand>),
    Verify(verify::Verify),
    View(view::View),
    Apps(apps::Apps),
    Machine(machine::MachineCommand),
    Diff(diff::DiffCommand),
    New(new::New),
    Clocks(clocks::Clocks),
    Boot(boot::BootCommand),
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
}

impl Command {
    /// Does what was asked for; an exit code if that is not success although all was said.
    fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        match self {
            Self::Check(command) => command.run(session),
            Self::Compile(command) => command.run(session),
            Self::Run(command) => command.run(session),
            Self::Launch(command) => command.run(session),
            Self::Shard(command) => command.run(session),
            Self::Partition(command) => command.run(session),
            Self::Verify(command) => command.run(session),
            Self::View(command) => command.run(session),
            Self::Apps(command) => command.run(session),
            Self::Machine(command) => command.run(session),
            Self::Diff(command) => command.run(session),
            Self::New(command) => command.run(session),
            Self::Clocks(command) => command.run(session),
            Self::Boot(command) => command.run(session),
            Self::Bench(command) => command.run(session),
            Self::Doctor(command) => command.run(session),
        }
    }
}

/// The whole command line for your own application: `check`, `compile`, `run`, `view`, …, without naming a graph.
///
/// ```no_run
/// use std::process::ExitCode;
/// use tidelock::prelude::*;
///
/// fn doubler() -> Result<App, BuildError> {
///     let mut app = AppBuilder::new("doubler");
///     let count = app.source("count", |n: Firing, y: &mut [u64; 1]| y[0] = n.index());
///     let double = app.pipe("double", count, |x: &[u64; 1], y: &mut [u64; 1]| y[0] = 2 * x[0]);
///     app.record("doubled", double);
///     app.build()
/// }
///
/// fn main() -> ExitCode {
///     tidelock::main(doubler)
/// }
/// ```
pub fn main<E: Error>(app: impl Fn() -> Result<App, E> + 'static) -> ExitCode {
    execute(Some(Box::new(move || {
        app().map_err(|error| Failure::new(Exit::Invalid, "app::build", explain::sentence(&error)))
    })))
}

/// The command line of the `tidelock` binary, which has no application of its own.
pub fn command_line() -> ExitCode {
    execute(None)
}

fn execute(own: Option<OwnApp>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let session = Session { format: cli.format, own };
    // A broken invariant of ours must not look like an error of the user's.
    match catch_unwind(AssertUnwindSafe(|| cli.command.run(&session))) {
        Ok(Ok(None)) => ExitCode::SUCCESS,
        Ok(Ok(Some(exit))) => exit.into(),
        Ok(Err(failure)) => fail(&failure, session.is_json()),
        Err(_) => {
            let failure =
                Failure::new(Exit::Internal, "internal::panic", "tidelock broke off: a fault of this program");
            fail(&failure.help("please report the command and its files"), session.is_json())
        }
    }
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    error: FailureJson<'a>,
}

fn fail(failure: &Failure, json: bool) -> ExitCode {
    show(failure, json);
    failure.exit().into()
}

/// Says why a command failed.
pub(crate) fn show(failure: &Failure, json: bool) {
    if json {
        // If stdout is gone as well, the exit code still tells.
        let _ = print_json(&ErrorJson { error: failure.json() });
    } else {
        eprint!("{}", failure.render(colour_of_talk(), width_of_talk()));
    }
}

/// Arguments that are none, or a request for help.
fn usage(error: &clap::Error) -> ExitCode {
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let words: Vec<_> = std::env::args_os().collect();
    let json = words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    if json && !help {
        let text = error.render().to_string();
        let mut lines =
            text.lines().map(|line| line.trim_start_matches("error: ").trim()).filter(|line| !line.is_empty());
        let message = lines.next().unwrap_or("wrong arguments").to_owned();
        let failure =
            Failure::new(Exit::Invalid, "usage::arguments", message).details(lines.map(str::to_owned).collect());
        return fail(&failure, true);
    }
    // Help goes to stdout, errors go to stderr; if that fails, nobody reads it.
    let _ = error.print();
    if help { ExitCode::SUCCESS } else { Exit::Invalid.into() }
}

/// Columns for messages.
fn width_of_talk() -> usize {
    let columns = terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0));
    columns.unwrap_or(100).clamp(40, 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{AppBuilder, BuildError};
    use sim_core::Firing;

    fn run(own: impl Fn() -> Result<App, BuildError> + 'static, words: &[&str]) -> Result<Option<Exit>, Failure> {
        let own: OwnApp = Box::new(move || Ok(own().unwrap()));
        let cli = Cli::try_parse_from([&["own"], words].concat()).unwrap();
        cli.command.run(&Session { format: OutputFormat::Json, own: Some(own) })
    }

    #[test]
    fn the_arguments_are_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    /// A panic in a user's firing is a failed check, told with actor, firing, node and tick.
    #[test]
    fn a_panicking_firing_is_told() {
        let own = || {
            let mut app = AppBuilder::new("fragile");
            let count = app.source("count", |n: Firing, y: &mut [u64; 1]| y[0] = n.index());
            let checked = app.pipe("checked", count, |x: &[u64; 1], y: &mut [u64; 1]| {
                assert!(x[0] < 5, "no more than five");
                *y = *x;
            });
            app.record("out", checked);
            app.build()
        };
        let failure = run(own, &["run", "--machine", "single", "--iterations", "9"]).unwrap_err();
        assert_eq!(failure.exit(), Exit::CheckFailed);
        let told = failure.to_string();
        for part in ["firing 5 of actor `checked`", "on node `n0`", "no more than five"] {
            assert!(told.contains(part), "{told}");
        }
    }

    /// A user's actor that is not deterministic makes runs differ: that has an exit code of its own.
    #[test]
    fn runs_that_differ_are_told_by_the_exit_code() {
        let own = |deterministic: bool| {
            move || {
                let mut app = AppBuilder::new("own");
                let count = app.source("count", move |n: Firing, y: &mut [u64; 1]| {
                    let keys: std::collections::HashMap<u64, ()> = (0..64).map(|key| (key, ())).collect();
                    y[0] = if deterministic {
                        n.index()
                    } else {
                        keys.keys().fold(0, |all: u64, key| all.rotate_left(7) ^ key)
                    };
                });
                app.record("out", count);
                app.build()
            }
        };
        let words = ["verify", "--machine", "line:2", "--iterations", "9", "--threads", "1,2", "--windows", "any,4"];
        assert_eq!(run(own(false), &words).unwrap(), Some(Exit::DigestsDiffer));
        assert_eq!(run(own(true), &words).unwrap(), None);
    }

    /// The user's own application needs no name; a source that is not fed is an error with the way to feed it.
    #[test]
    fn an_unfed_source_is_told() {
        let own = || {
            let mut app = AppBuilder::new("fed");
            let mic = app.input::<f32, 1>("mic");
            app.record("out", mic);
            app.build()
        };
        let failure = run(own, &["run", "--machine", "single", "--iterations", "9"]).unwrap_err();
        assert_eq!(failure.exit(), Exit::Invalid);
        assert!(failure.to_string().contains("`mic` is not fed"), "{failure}");
    }

    /// A file of values goes in through a declared source, and what the application makes of it comes out as a file.
    #[test]
    fn values_from_a_file_are_fed() {
        let own = || {
            let mut app = AppBuilder::new("fed");
            let mic = app.input::<f32, 2>("mic");
            let sums = app.pipe("sums", mic, |x: &[f32; 2], y: &mut [f32; 1]| y[0] = x[0] + x[1]);
            app.record("out", sums);
            app.build()
        };
        let folder = std::env::temp_dir().join(format!("tidelock-fed-{}", std::process::id()));
        let _removed_in_the_end = Removed(folder.clone());
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let (file, results) = (folder.join("mic.f32"), folder.join("results"));
        std::fs::write(&file, bytes(&[1.0, 2.0, -4.0, 0.5, 8.0, 8.0])).unwrap();
        let input = format!("mic={}", file.display());
        let words = |iterations, machine, results: &str| {
            let words = ["run", "--machine", machine, "--iterations", iterations, "--input", &input, "-o", results];
            run(own, &words)
        };
        words("3", "line:2", results.to_str().unwrap()).unwrap();
        assert_eq!(std::fs::read(results.join("channels/out.bin")).unwrap(), bytes(&[3.0, -3.5, 16.0]));
        let failure = words("4", "single", folder.join("none").to_str().unwrap()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Invalid);
        assert!(failure.to_string().contains("`mic` is fed 6 tokens, 4 iterations need 8"), "{failure}");
    }

    /// A folder that goes away with the test, also if it fails.
    struct Removed(std::path::PathBuf);

    impl Drop for Removed {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
