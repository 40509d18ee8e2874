//! Why a file cannot be read, with the place in its text.

use super::clocks::ClockFileError;
use super::graph::GraphError;
use super::pins::PinsFileError;
use super::ron_text::RonError;
use super::sdf3::Sdf3Error;
use std::ops::Range;

/// Why a file cannot be read. Every kind tells the bytes of the text that it is about, and a stable code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Bytes that are not text.
    #[error("byte {byte:#04x} at offset {offset} is not UTF-8 text")]
    NotUtf8 {
        /// Offset of the first byte that is no text.
        offset: usize,
        /// That byte.
        byte: u8,
    },
    /// Text that is not the RON form of what was asked for.
    #[error(transparent)]
    Ron(#[from] RonError),
    /// Text that is not an SDF3 file.
    #[error(transparent)]
    Sdf3(#[from] Sdf3Error),
    /// Actors and channels that do not make a graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Entries that do not make a pins file.
    #[error(transparent)]
    Pins(#[from] PinsFileError),
    /// Entries that do not make a clock simulation.
    #[error(transparent)]
    Clocks(Box<ClockFileError>),
}

impl From<ClockFileError> for FormatError {
    fn from(error: ClockFileError) -> Self {
        Self::Clocks(Box::new(error)) // the largest of them all
    }
}

impl FormatError {
    /// The bytes of the text that the error is about; `None` if it is about the file as a whole.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::NotUtf8 { .. } => None, // what is not text cannot be shown
            Self::Ron(error) => Some(error.span()),
            Self::Sdf3(error) => Some(error.span()),
            Self::Graph(error) => Some(error.span()),
            Self::Pins(error) => Some(error.span()),
            Self::Clocks(error) => error.span(),
        }
    }

    /// What the user may do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotUtf8 { .. } => Some("convert the file to UTF-8".to_owned()),
            Self::Ron(error) => error.help(),
            Self::Sdf3(error) => error.help(),
            Self::Graph(error) => error.help(),
            Self::Pins(_) => None,
            Self::Clocks(error) => error.help(),
        }
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotUtf8 { .. } => "text::not_utf8",
            Self::Ron(error) => error.code(),
            Self::Sdf3(error) => error.code(),
            Self::Graph(error) => error.code(),
            Self::Pins(error) => error.code(),
            Self::Clocks(error) => error.code(),
        }
    }
}

/// A value with the bytes of the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place in the text.
    pub span: Range<usize>,
}

impl<T> Spanned<T> {
    /// `value`, read from the bytes `span`.
    pub const fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }
}

/// The sentence that offers a name, if there is one to offer.
pub(crate) fn did_you_mean(nearest: Option<&String>) -> Option<String> {
    nearest.map(|name| format!("did you mean `{name}`?"))
}

/// At most `LONGEST` characters of `text`, for use in a message.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The byte offset of a line and column, both counted from 1, columns in characters; clamped to the text.
pub(crate) fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[before..];
    before + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(offset, _)| offset)
}

/// The part of `span` that is worth a label: without blanks around it, within one line; the next token if nothing is left.
pub(crate) fn visible(text: &str, span: Range<usize>) -> Range<usize> {
    let blanks = |from: usize| text[from..].len() - text[from..].trim_start().len();
    let start = span.start + blanks(span.start);
    let within = text.get(start..span.end).unwrap_or_default();
    let line = within.lines().next().unwrap_or_default().trim_end();
    if !line.is_empty() {
        return start..start + line.len();
    }
    let rest = text[start..].lines().next().unwrap_or_default();
    let word: usize = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
    let string = rest.strip_prefix('"').and_then(|inner| inner.find('"')).map_or(0, |closing| closing + 2);
    let sign = rest.chars().next().map_or(0, char::len_utf8);
    start..start + word.max(string).max(sign)
}
