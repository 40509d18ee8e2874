//! Where in the text of a specification something stands. Looked for only once that something is wrong.

use super::ClockFileError;
use crate::formats::ron_text::Source;
use ron::value::RawValue;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::ops::Range;

/// A step into a RON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Field(&'static str),
    Item(usize),
}

/// An error, and the fields that it may be about: the first one that the text has.
#[derive(Debug)]
pub(super) struct Misplaced {
    pub(super) error: ClockFileError,
    pub(super) paths: Vec<Vec<Step>>,
}

impl Misplaced {
    /// An error of one field.
    pub(super) fn field(name: &'static str, error: impl Into<ClockFileError>) -> Self {
        Self { error: error.into(), paths: vec![vec![Step::Field(name)]] }
    }

    /// An error of a field of an item of a list.
    pub(super) fn item(list: &'static str, item: usize, field: &'static str, error: impl Into<ClockFileError>) -> Self {
        let path = vec![Step::Field(list), Step::Item(item), Step::Field(field)];
        Self { error: error.into(), paths: vec![path] }
    }

    /// The error with its place in `text`, if that has any of the fields, or else what contains them.
    pub(super) fn found_in(self, text: &str) -> ClockFileError {
        let walks: Vec<_> = self.paths.iter().map(|path| walk(text, path)).collect();
        let whole = walks.iter().zip(&self.paths).find(|((steps, _), path)| *steps == path.len());
        let longest = || walks.iter().filter(|(steps, _)| *steps > 0).max_by_key(|(steps, _)| *steps);
        match whole.map(|(walk, _)| walk).or_else(longest) {
            Some((_, span)) => ClockFileError::Placed { error: Box::new(self.error), span: span.clone() },
            None => self.error,
        }
    }
}

/// How many steps of `path` there are in `text`, and where they lead.
fn walk(text: &str, path: &[Step]) -> (usize, Range<usize>) {
    let source = Source { text };
    let mut piece = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, step) in path.iter().enumerate() {
        let next = match *step {
            Step::Field(name) => source.read::<Fields<'_>>(piece).ok().and_then(|fields| fields.get(name)),
            Step::Item(item) => source.read::<Vec<&RawValue>>(piece).ok().and_then(|items| items.get(item).copied()),
        };
        let Some(value) = next else { return (number, source.span(piece)) };
        piece = value.trim().get_ron();
    }
    (path.len(), source.span(piece))
}

/// The fields of any struct.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|&(_, value)| value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_any(FieldsVisitor).map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Field, Item};

    #[test]
    fn paths_lead_to_pieces_of_the_text() {
        let text = "// ä\nClocks(a: 1, list: [(b: \"x\"), Down(at: \"1s\", b: 7)], law: Law(kp: 2e-8), free: Free)";
        let cases: [(&[Step], usize, &str); 7] = [
            (&[Field("a")], 1, "1"),
            (&[Field("list"), Item(0), Field("b")], 3, "\"x\""),
            (&[Field("list"), Item(1), Field("b")], 3, "7"),
            (&[Field("law"), Field("kp")], 2, "2e-8"),
            (&[Field("law"), Field("ki")], 1, "Law(kp: 2e-8)"),
            (&[Field("free"), Field("kp")], 1, "Free"),
            (&[Field("list"), Item(0), Field("c")], 2, "(b: \"x\")"),
        ];
        for (path, steps, piece) in cases {
            let (found, span) = walk(text, path);
            assert_eq!((found, &text[span]), (steps, piece), "{path:?}");
        }
    }
}
