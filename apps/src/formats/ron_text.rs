//! RON text in general: typed reading with byte spans, and errors in our words.

use super::error::{byte_offset, excerpt, visible};
use super::graph::GraphError;
use super::names::nearest;
use super::{FormatError, Spanned};
use ron::extensions::Extensions;
use ron::value::RawValue;
use serde::de::{self, Deserialize, Deserializer};
use std::fmt;
use std::ops::Range;

/// Reads a value of type `T` from RON text.
///
/// `Some(x)` may be written `x`. A byte-order mark at the start is skipped.
///
/// # Errors
/// [`FormatError::Ron`] with the place and, for a wrong field, the legal names.
pub fn read_ron<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, FormatError> {
    Ok(Source { text }.read(text.strip_prefix('\u{feff}').unwrap_or(text))?)
}

/// Why text is not the RON form of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RonError {
    kind: ron::Error,
    span: Range<usize>,
}

impl RonError {
    /// The bytes of the text that the error is about.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What the user may do about it: the legal names, the nearest first.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        use ron::Error as E;
        let (found, expected, kind) = match &self.kind {
            E::NoSuchStructField { found, expected, .. } => (found, expected, "fields"),
            E::NoSuchEnumVariant { found, expected, .. } => (found, expected, "values"),
            _ => return None,
        };
        let legal = expected.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Some(match nearest(found, expected.iter().copied()) {
            Some(name) => format!("did you mean `{name}`? The legal {kind} are {legal}"),
            None => format!("the legal {kind} are {legal}"),
        })
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        use ron::Error as E;
        match self.kind {
            E::NoSuchStructField { .. } => "ron::unknown_field",
            E::MissingStructField { .. } => "ron::missing_field",
            E::DuplicateStructField { .. } => "ron::duplicate_field",
            E::ExpectedDifferentStructName { .. } | E::ExpectedNamedStructLike(_) => "ron::wrong_kind",
            E::InvalidValueForType { .. } | E::IntegerOutOfBounds | E::NoSuchEnumVariant { .. } | E::Message(_) => {
                "ron::illegal_value"
            }
            _ => "ron::syntax",
        }
    }
}

impl fmt::Display for RonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ron::Error as E;
        let outer = |outer: &Option<String>| outer.as_ref().map(|name| format!(" in `{name}`")).unwrap_or_default();
        match &self.kind {
            E::NoSuchStructField { found, outer: o, .. } => {
                write!(f, "there is no field `{}`{}", excerpt(found), outer(o))
            }
            E::MissingStructField { field, outer: o } => write!(f, "the field `{field}` is missing{}", outer(o)),
            E::DuplicateStructField { field, outer: o } => write!(f, "the field `{field}` is given twice{}", outer(o)),
            E::ExpectedDifferentStructName { expected, found } => {
                write!(f, "expected `{expected}(…)`, found `{}`", excerpt(found))
            }
            E::ExpectedNamedStructLike(expected) => write!(f, "expected `{expected}(…)`"),
            E::Eof => f.write_str("the text ends too early"),
            // Sentences start in lower case here; RON's start in upper case.
            kind => {
                let text = kind.to_string();
                let mut chars = text.chars();
                let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
                write!(f, "{first}{}", chars.as_str())
            }
        }
    }
}

impl std::error::Error for RonError {}

/// RON text whose pieces know where they are.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    /// Reads `piece`, which is a part of the text.
    pub(super) fn read<T: Deserialize<'a>>(self, piece: &'a str) -> Result<T, RonError> {
        let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
        options.from_str(piece).map_err(|error| {
            let span = match error.code {
                // The parser notices only at the closing parenthesis that something is missing between it and the start.
                ron::Error::MissingStructField { .. } => 0..piece.len(),
                _ => {
                    let offset = |at: ron::error::Position| byte_offset(piece, at.line, at.col);
                    offset(error.span.start)..offset(error.span.end)
                }
            };
            let (start, shown) = (self.span(piece).start, visible(piece, span));
            RonError { kind: error.code, span: start + shown.start..start + shown.end }
        })
    }

    /// Where `piece`, which is a part of the text, is.
    pub(super) fn span(self, piece: &str) -> Range<usize> {
        let start = piece.as_ptr().addr() - self.text.as_ptr().addr();
        start..start + piece.len()
    }

    /// Reads a value of any type, with its place.
    pub(super) fn spanned<T: Deserialize<'a>>(self, value: &'a RawValue) -> Result<Spanned<T>, RonError> {
        let piece = value.trim().get_ron();
        Ok(Spanned::new(self.read(piece)?, self.span(piece)))
    }

    /// Reads a whole number from 0 to `limit`; `what` names it in the error.
    pub(super) fn whole(
        self,
        value: &'a RawValue,
        what: &'static str,
        limit: u64,
    ) -> Result<Spanned<u64>, FormatError> {
        let piece = value.trim().get_ron();
        let span = self.span(piece);
        match self.read::<u64>(piece) {
            Ok(number) if number <= limit => Ok(Spanned::new(number, span)),
            _ => Err(GraphError::Number { what, found: excerpt(piece), limit, span }.into()),
        }
    }

    /// Reads one whole number from 0 to `limit`, or a list of them.
    pub(super) fn whole_list(
        self,
        value: &'a RawValue,
        what: &'static str,
        limit: u64,
    ) -> Result<Spanned<Vec<u64>>, FormatError> {
        let piece = value.trim().get_ron();
        let span = self.span(piece);
        if !piece.starts_with('[') {
            return Ok(Spanned::new(vec![self.whole(value, what, limit)?.value], span));
        }
        let items: Vec<&RawValue> = self.read(piece)?;
        let numbers = items.into_iter().map(|item| Ok(self.whole(item, what, limit)?.value));
        Ok(Spanned::new(numbers.collect::<Result<_, FormatError>>()?, span))
    }
}

/// For fields that may be left out: an [`Option`] that is written without `Some`.
pub(super) fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The version of a file's form; reading any other than 1 fails, so that it is noticed before fields of later versions.
pub(super) struct Version1;

impl<'de> Deserialize<'de> for Version1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            1 => Ok(Self),
            found => Err(de::Error::custom(format_args!("version {found} is not known, this program reads version 1"))),
        }
    }
}
