//! No bytes make reading panic, hang, or fill the memory.

use super::{cases, published};
use proptest::prelude::*;
use std::time::{Duration, Instant};
use tidelock::formats::{LIST_ENTRIES, read_graph, read_pins, read_text, to_ron};

/// Reads `bytes` as everything that they could be. What is refused must name a place inside the text, and what is read
/// must come back from our own form.
fn read_all(bytes: &[u8]) {
    let start = Instant::now();
    match read_graph("graph.xml", bytes) {
        Ok(app) => {
            let own = to_ron(&app);
            let again = read_graph("graph.ron", own.as_bytes()).expect("our own form is read");
            assert_eq!(to_ron(&again), own);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = (error.help(), error.code());
            if let (Some(span), Ok(text)) = (error.span(), read_text(bytes)) {
                assert!(text.get(span.clone()).is_some(), "{span:?} is no part of {text:?}");
            }
        }
    }
    if let Ok(text) = read_text(bytes)
        && let Err(error) = read_pins(text)
    {
        let span = error.span().expect("text has places");
        assert!(text.get(span.clone()).is_some(), "{span:?} is no part of {text:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "reading {} bytes took too long", bytes.len());
}

/// Good files of all forms.
fn good_files() -> Vec<String> {
    let xml = published().into_iter().map(|(_, text)| text).filter(|text| text.len() < 4000);
    let mut files: Vec<String> = xml.collect();
    files.extend(files.clone().iter().map(|text| to_ron(&read_graph("", text.as_bytes()).unwrap())));
    files.push(r#"Pins(version: 1, pins: {"a": "n0", "b": "n1"})"#.to_owned());
    files
}

/// Pieces that mean something in one of the forms.
const PIECES: &[&str] = &[
    "<",
    ">",
    "/>",
    "</",
    "\"",
    "'",
    "&",
    "&#0;",
    "&lt;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x?>",
    "<!DOCTYPE a>",
    "xmlns=\"\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "\\",
    "\\u{",
    "//",
    "/*",
    "*/",
    "#![enable(unwrap_newtypes)]",
    "#",
    "r#\"",
    "Some(",
    "None",
    "-",
    "-1",
    "0",
    "1e9",
    "99999999999999999999",
    "1.5",
    "NaN",
    "3*2",
    "65536*1",
    "*",
    "\u{feff}",
    "\0",
    "é",
    "\u{1f600}",
    "\n",
];

#[derive(Clone, Debug)]
enum Change {
    Cut(prop::sample::Index, usize),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, &'static str),
    Swap(prop::sample::Index, prop::sample::Index),
    Truncate(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 1..40_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (at(), 1..=255_u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        (at(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        at().prop_map(Change::Truncate),
    ]
}

/// The ranges of words, numbers and single signs.
fn tokens(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut tokens: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        match tokens.last_mut() {
            Some(last) if byte.is_ascii_alphanumeric() && last.end == at && bytes[at - 1].is_ascii_alphanumeric() => {
                last.end += 1;
            }
            _ => tokens.push(at..at + 1),
        }
    }
    tokens
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Cut(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Change::Flip(at, bits) => {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        Change::Insert(at, piece) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, piece.bytes());
        }
        Change::Swap(a, b) => {
            let tokens = tokens(bytes);
            let (a, b) = (a.index(tokens.len()), b.index(tokens.len()));
            let (a, b) = (tokens[a.min(b)].clone(), tokens[a.max(b)].clone());
            if a != b {
                let (first, second) = (bytes[a.clone()].to_vec(), bytes[b.clone()].to_vec());
                bytes.splice(b, first);
                bytes.splice(a, second);
            }
        }
        Change::Truncate(at) => bytes.truncate(at.index(bytes.len())),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn arbitrary_pieces_are_survived(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        read_all(pieces.concat().as_bytes());
        read_all(format!("Graph(version: 1, name: \"g\", actors: [{}], channels: [])", pieces.concat()).as_bytes());
        read_all(format!("Pins(version: 1, pins: {{{}}})", pieces.concat()).as_bytes());
        read_all(format!("<sdf3 type=\"csdf\">{}</sdf3>", pieces.concat()).as_bytes());
    }

    #[test]
    fn damaged_files_are_survived(
        file in prop::sample::select(good_files()),
        changes in prop::collection::vec(change(), 1..5),
    ) {
        let mut bytes = file.into_bytes();
        for change in &changes {
            apply(&mut bytes, change);
        }
        read_all(&bytes);
    }
}

/// Deep nesting ends in an error, not at the end of the stack.
#[test]
fn nesting_is_limited() {
    for (open, close) in [("<a>", "</a>"), ("[", "]"), ("(", ")"), ("{", "}"), ("Some(", ")"), ("/*", "*/")] {
        for depth in [200, 20_000] {
            let nested = open.repeat(depth) + &close.repeat(depth);
            read_all(nested.as_bytes());
            read_all(open.repeat(depth).as_bytes());
            read_all(format!("Graph(version: 1, name: \"g\", actors: [{nested}], channels: [])").as_bytes());
        }
    }
}

fn csdf(rates: &[String]) -> String {
    let ports = rates.iter().enumerate().map(|(i, rate)| format!("<port name='o{i}' type='out' rate='{rate}'/>"));
    let channels = (0..rates.len())
        .map(|i| format!("<channel name='c{i}' srcActor='a' srcPort='o{i}' dstActor='b' dstPort='i{i}'/>"));
    let inputs = (0..rates.len()).map(|i| format!("<port name='i{i}' type='in' rate='1'/>"));
    format!(
        "<sdf3 type='csdf'><applicationGraph name='g'><csdf name='g'><actor name='a'>{}</actor><actor name='b'>{}</actor>{}</csdf></applicationGraph></sdf3>",
        ports.collect::<String>(),
        inputs.collect::<String>(),
        channels.collect::<String>(),
    )
}

/// A few kilobytes never ask for gigabytes.
#[test]
fn list_bombs_are_refused() {
    let code =
        |rates: &[String]| read_graph("bomb.xml", csdf(rates).as_bytes()).map(|_| ()).map_err(|error| error.code());
    // Run lengths.
    assert_eq!(code(&vec!["65536*1".to_owned(); 1000]), Err("graph::too_many_list_entries"));
    assert_eq!(code(&[vec!["65536*1"; 300].join(",")]), Err("graph::too_many_list_entries"));
    assert_eq!(code(&["4294967296*1".to_owned()]), Err("graph::number"));
    // Lengths without common divisors.
    let lengths = [251, 241, 239].map(|length: u32| format!("{length}*1"));
    assert_eq!(code(&lengths), Err("graph::too_many_phases"));
    // One actor with many phases and many channels of rate 1.
    let mut rates = vec!["1".to_owned(); 300];
    rates.push("65536*1".to_owned());
    const { assert!(301 * 65_536 > LIST_ENTRIES) }
    assert_eq!(code(&rates), Err("graph::too_many_list_entries"));
    // And what is only large is read.
    assert_eq!(code(&vec!["1024*1".to_owned(); 100]), Ok(()));
}
