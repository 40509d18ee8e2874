//! Calendar files and differences between calendars.

use crate::cases::good_case;
use crate::verify::settings;
use crate::written::{feedback, relay};
use calendars::{CalendarFileError, diff, from_ron, to_ron};
use proptest::prelude::*;
use sim_core::ids::{LinkId, NodeId};

proptest! {
    #![proptest_config(settings())]

    /// Writing and reading is the identity, and equal sets differ in nothing.
    #[test]
    fn files_keep_calendars(seed: u64) {
        let calendars = good_case(seed).calendars;
        let read = from_ron(&to_ron(&calendars));
        prop_assert_eq!(read.as_ref(), Ok(&calendars));
        prop_assert!(diff(&calendars, &read.unwrap()).is_empty());
    }

    /// No text panics.
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = from_ron(&text);
    }

    /// No damage to a file panics: a piece cut out, another put in.
    #[test]
    fn damaged_files_are_read_or_refused(seed: u64, from: prop::sample::Index, length in 0..40_usize, text in "[-0-9a-z(),:\\[\\]]{0,6}") {
        let mut file: Vec<char> = to_ron(&good_case(seed).calendars).chars().collect();
        let start = from.index(file.len());
        let end = (start + length).min(file.len());
        file.splice(start..end, text.chars());
        let _ = from_ron(&file.into_iter().collect::<String>());
    }
}

/// Nesting without end is refused, not followed.
#[test]
fn deep_nesting_is_refused() {
    for opening in ["[", "(", "(a:", "Some("] {
        assert!(from_ron(&opening.repeat(100_000)).is_err());
        assert!(from_ron(&format!("(version: 2, x: {}", opening.repeat(100_000))).is_err());
    }
}

#[test]
fn a_file_has_one_entry_per_line() {
    assert_eq!(to_ron(&feedback().calendars), "\
(
 version: 2,
 app: \"test\",
 machine: \"test\",
 metacycle: 4,
 unroll: 2,
 nodes: [
  (
   compute: [
    (slot: 0, first: 0, place: 0, core: 0, actor: 0, index: 0, exec: 3, inputs: [(address: (base: 0, stride: 1, count: 2, phase: 0), words: 1)], outputs: [(address: (base: 0, stride: 1, count: 2, phase: 0), words: 1)]),
    (slot: 2, first: 0, place: 1, core: 1, actor: 0, index: 1, exec: 3, inputs: [(address: (base: 2, stride: 1, count: 2, phase: 0), words: 1)], outputs: [(address: (base: 2, stride: 1, count: 2, phase: 0), words: 1)]),
   ],
  ),
 ],
 links: [],
)
");
}

#[test]
fn errors_say_where() {
    let refuse = |from: &str, to: &str| from_ron(&to_ron(&relay().calendars).replacen(from, to, 1)).unwrap_err();
    let places = [
        refuse("unroll: 1", "unroll: -1"),
        refuse("unroll: 1", "unrol: 1"),
        refuse("unroll: 1,", ""),
        refuse("place: 0", "place: 0, colour: 3"),
        from_ron("").unwrap_err(),
    ];
    assert_eq!(
        places.map(|error| error.to_string()),
        [
            "line 6, column 11: Integer is out of bounds",
            "line 6, column 2: Unexpected field named `unrol` in `CalendarSet`, expected one of `version`, `app`, \
             `machine`, `metacycle`, `unroll`, `nodes`, or `links` instead",
            "line 48, column 1: Unexpected missing field named `unroll` in `CalendarSet`",
            "line 10, column 35: Unexpected field named `colour` in `ComputeEntry`, expected one of `slot`, `first`, \
             `place`, `core`, `actor`, `index`, `exec`, `repeat`, `inputs`, or `outputs` instead",
            "line 1, column 1: Expected opening `(` for struct `CalendarSet`",
        ]
    );
    let other = CalendarFileError::Version { found: 3, known: 2 };
    assert_eq!(refuse("version: 2", "version: 3"), other);
    assert_eq!(from_ron("(version: 3, new: [(unknown)])").unwrap_err(), other);
    assert_eq!(
        other.to_string(),
        "the calendars have version 3 of the format, this program reads version 2; compile them again"
    );
}

#[test]
fn differences_are_listed_by_calendar() {
    let case = relay();
    let mut other = case.calendars.clone();
    other.metacycle = 5;
    other.links[LinkId(1)].gather[0].slot = 1;
    other.links[LinkId(1)].scatter.clear();
    other.nodes[NodeId(2)].compute[0].inputs[0].address.count = 2;
    let found = diff(&case.calendars, &other);
    assert_eq!(
        found.to_string(),
        "\
metacycle: 4 → 5
node#2 compute:
  - slot 0 from metacycle 2: actor#1 firing 0, core 0, 2 ticks, in [3..5]
  + slot 0 from metacycle 2: actor#1 firing 0, core 0, 2 ticks, in [3..5 +0×2 @0]
link#1 gather:
  - slot 0 from metacycle 1: [5..7]
  + slot 1 from metacycle 1: [5..7]
link#1 scatter:
  - slot 2 from metacycle 1: [3..5]
"
    );
    assert_eq!(
        found.named(&case.app, &case.machine).to_string(),
        "\
metacycle: 4 → 5
n2 compute:
  - slot 0 from metacycle 2: b firing 0, core 0, 2 ticks, in [3..5]
  + slot 0 from metacycle 2: b firing 0, core 0, 2 ticks, in [3..5 +0×2 @0]
link#1 n1→n2 gather:
  - slot 0 from metacycle 1: [5..7]
  + slot 1 from metacycle 1: [5..7]
link#1 n1→n2 scatter:
  - slot 2 from metacycle 1: [3..5]
"
    );
}
