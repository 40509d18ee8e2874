//! Calendar files: RON, one entry per line, with the version of the format in front.
//!
//! A text that can be read is not a set that can be run: [`verify`](fn@crate::verify) decides that.

use crate::format::CalendarSet;
use ron::ser::PrettyConfig;

/// Why a text is not a calendar file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarFileError {
    /// The text is not RON, or not of this shape.
    #[error("line {line}, column {column}: {source}")]
    Syntax {
        /// Line of the error, from 1.
        line: usize,
        /// Column of the error in characters, from 1.
        column: usize,
        /// What is wrong there.
        source: ron::error::Error,
    },
    /// The file has another version of the format.
    #[error("the calendars have version {found} of the format, this program reads version {known}; compile them again")]
    Version {
        /// Version found.
        found: u32,
        /// Version known.
        known: u32,
    },
}

/// Only the version, of a file of any version.
#[derive(serde::Deserialize)]
struct Head {
    version: u32,
}

/// The text form of `calendars`: equal sets give equal bytes.
#[must_use]
pub fn to_ron(calendars: &CalendarSet) -> String {
    // Set, table of nodes or links, node or link, calendar: what is deeper is an entry and stays on its line.
    let pretty = PrettyConfig::new().depth_limit(4).indentor(" ").new_line("\n");
    let mut text = ron::ser::to_string_pretty(calendars, pretty).expect("calendars are plain data, which RON can hold");
    text.push('\n');
    text
}

/// Reads the text form.
///
/// ```
/// let text = "(version: 2, app: \"a\", machine: \"m\", metacycle: 4, unroll: 1, nodes: [], links: [])";
/// let calendars = calendars::from_ron(text)?;
/// assert_eq!(calendars::from_ron(&calendars::to_ron(&calendars))?, calendars);
/// # Ok::<(), calendars::CalendarFileError>(())
/// ```
///
/// # Errors
/// [`CalendarFileError::Version`] for a file of another version, whatever else it holds; otherwise
/// [`CalendarFileError::Syntax`] with the first place where the text is not RON, lacks a field, or has one too many.
pub fn from_ron(text: &str) -> Result<CalendarSet, CalendarFileError> {
    let known = CalendarSet::VERSION;
    match ron::from_str::<CalendarSet>(text) {
        Ok(calendars) if calendars.version == known => Ok(calendars),
        Ok(calendars) => Err(CalendarFileError::Version { found: calendars.version, known }),
        Err(error) => Err(match ron::from_str::<Head>(text) {
            Ok(head) if head.version != known => CalendarFileError::Version { found: head.version, known },
            _ => syntax(error),
        }),
    }
}

fn syntax(error: ron::error::SpannedError) -> CalendarFileError {
    let at = error.span.start;
    CalendarFileError::Syntax { line: at.line, column: at.col, source: error.code }
}
