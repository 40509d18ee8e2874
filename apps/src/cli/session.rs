//! What a command may talk to: stdout for data, stderr for talk.

use super::failure::{Exit, Failure};
use crate::pipeline::Iterations;
use serde::Serialize;
use sim_core::App;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// The form of a command's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    #[default]
    Text,
    Json,
}

/// One invocation of the command line.
pub(crate) struct Session {
    pub(crate) format: OutputFormat,
    /// Makes the user's own application, in the user's own binary.
    pub(crate) own: Option<OwnApp>,
}

/// What makes the user's own application.
pub(crate) type OwnApp = Box<dyn Fn() -> Result<App, Failure>>;

impl Session {
    pub(crate) fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Whether data may be coloured.
    pub(crate) fn colour() -> bool {
        io::stdout().is_terminal() && no_colour_unwanted()
    }

    /// Writes data: `text`, or the JSON of `value`.
    pub(crate) fn print(&self, text: impl FnOnce() -> String, value: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Text => print(&text()),
            OutputFormat::Json => print_json(value),
        }
    }

    /// Says something beside the data.
    pub(crate) fn talk(&self, text: impl Display) {
        // Nobody may be listening; the command goes on.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

fn no_colour_unwanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether talk may be coloured.
pub(crate) fn colour_of_talk() -> bool {
    io::stderr().is_terminal() && no_colour_unwanted()
}

/// Writes a text to stdout, with a line break at its end.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    match write!(stdout, "{text}{end}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        // The reader has seen enough, as in `tidelock apps | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::Storage, "file::not_written", format!("cannot write to stdout: {error}"))),
    }
}

/// Writes a value to stdout as one JSON document.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value).expect("output is plain data"))
}

/// A JSON object whose keys stay in order.
pub(crate) struct Object<K, V>(pub(crate) Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Object<K, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Lines of a name and a fact, aligned. Further lines of a fact are indented.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, fact): &(&str, String)| {
        let indented = fact.replace('\n', &format!("\n{:width$}  ", ""));
        format!("{name:width$}  {indented}\n")
    };
    facts.iter().map(line).collect()
}

/// Rows of cells, aligned; the first row is the heading. Numbers, which all columns in `right` hold, end in one line.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A number with its digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A rate with a unit prefix, such as "2.13 M".
pub(crate) fn scaled(number: f64) -> String {
    let (divisor, prefix) = match number {
        n if n >= 1e9 => (1e9, "G"),
        n if n >= 1e6 => (1e6, "M"),
        n if n >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    format!("{:.3} {prefix}", number / divisor)
}

/// "1 tick", "7/2 ticks".
pub(crate) fn ticks(number: &str) -> String {
    format!("{number} tick{}", if number == "1" { "" } else { "s" })
}

/// "1 iteration", "2 iterations".
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// "1 iteration", "2 iterations".
pub(crate) fn iterations(number: Iterations) -> String {
    counted(number.0, "iteration")
}
