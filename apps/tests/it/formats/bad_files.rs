//! Every mistake in a file is named, with its numbers, its place and where possible the way out.

use tidelock::formats::{FormatError, read_graph, read_pins, read_ron};

const XML: &str = r#"<sdf3 type="csdf" version="1.0">
  <applicationGraph name="g">
    <csdf name="g" type="g">
      <actor name="src" type="t"><port name="o" type="out" rate="2,1"/></actor>
      <actor name="dst" type="t"><port name="i" type="in" rate="3"/></actor>
      <channel name="c" srcActor="src" srcPort="o" dstActor="dst" dstPort="i" initialTokens="4"/>
    </csdf>
    <csdfProperties>
      <actorProperties actor="src"><processor type="p" default="true"><executionTime time="5,6"/></processor></actorProperties>
      <channelProperties channel="c"><tokenSize sz="32"/></channelProperties>
    </csdfProperties>
  </applicationGraph>
</sdf3>
"#;

const RON: &str = r#"Graph(
    version: 1,
    name: "g",
    actors: [
        (name: "src", exec: [5, 6]),
        (name: "dst"),
    ],
    channels: [
        (name: "c", source: "src", target: "dst", produce: [2, 1], consume: 3, initial_tokens: 4, token_bits: 32),
    ],
)
"#;

fn show(text: &str, error: &FormatError) -> String {
    let place = error.span().map_or("the file", |span| if span.is_empty() { "∅" } else { &text[span] });
    let help = error.help().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    format!("{}: {error} @ {place}{help}", error.code())
}

/// Runs a table of mistakes, given as lines
/// ```text
/// part of the good file → what stands there instead
///     code: message @ place
///     help: …
/// ```
/// in which ∅ is nothing and \n a line break.
fn check(good: &str, table: &str) {
    let unescape = |text: &str| if text == "∅" { String::new() } else { text.replace("\\n", "\n") };
    let mut mistakes: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("    ") {
            Some(expected) => mistakes.last_mut().expect("a table begins with a mistake").1.push(expected),
            None => mistakes.push((line, Vec::new())),
        }
    }
    assert!(mistakes.len() > 5);
    for (mistake, expected) in mistakes {
        let (from, to) = mistake.split_once(" → ").map(|(from, to)| (unescape(from), unescape(to))).unwrap();
        assert!(good.contains(&from), "{from:?} is not in the file");
        let bad = good.replacen(&from, &to, 1);
        match read_graph("graph", bad.as_bytes()) {
            Ok(_) => panic!("accepted: {mistake}"),
            Err(error) => assert_eq!(show(&bad, &error), expected.join("\n"), "{mistake}"),
        }
    }
}

#[test]
fn good_files_are_good() {
    for good in [XML, RON] {
        read_graph("graph", good.as_bytes()).unwrap();
    }
}

#[test]
fn mistakes_in_sdf3() {
    check(
        XML,
        r#"
type="csdf" → type="sadf"
    sdf3::type: the file holds a graph of type `sadf` @ sadf
    help: the types that can be read are `sdf` and `csdf`
type="csdf" → type="sdf"
    sdf3::children: element `applicationGraph` has 0 elements `sdf`, expected 1 @ <applicationGraph name="g">
type="csdf" → ∅
    sdf3::missing_attribute: element `sdf3` has no attribute `type` @ <sdf3  version="1.0">
<sdf3 → <sdf4
    sdf3::xml: expected 'sdf4' tag, not 'sdf3' @ <
</sdf3> → ∅
    sdf3::xml: the root node was opened but never closed @ ∅
</sdf3> → </sdf4>
    sdf3::xml: expected 'sdf3' tag, not 'sdf4' @ <
<sdf3 → <!DOCTYPE x [<!ENTITY y 'z'>]><sdf3
    sdf3::xml: XML with DTD detected @ <!DOCTYPE
    help: remove the document type definition
type="out" → type="aus"
    sdf3::direction: port `o` of actor `src` has type `aus`, expected `in` or `out` @ aus
type="out" → type="in"
    sdf3::wrong_direction: channel `c` needs an `out` port, but port `o` of actor `src` has type `in` @ o
srcPort="o" → srcPort="p"
    sdf3::no_such_port: actor `src` has no port `p` @ p
srcPort="o" → ∅
    sdf3::missing_attribute: element `channel` has no attribute `srcPort` @ <channel name="c" srcActor="src"  dstActor="dst" dstPort="i" initialTokens="4"/>
srcActor="src" → srcActor="scr"
    graph::unknown_name: there is no actor `scr` @ scr
    help: did you mean `src`?
srcActor="src" → srcActor="sr"
    graph::unknown_name: there is no actor `sr` @ sr
    help: did you mean `src`?
rate="2,1" → rate="0,0"
    graph::zero_rates: channel `c` moves no token at actor `src` in any phase @ 0,0
    help: a rate may be 0 in some phases, not in all
rate="2,1" → rate="2,-1"
    graph::number: the rate is `-1`, expected a whole number from 0 to 16777216 @ 2,-1
rate="2,1" → rate="2,"
    graph::number: the rate is ``, expected a whole number from 0 to 16777216 @ 2,
rate="2,1" → rate=""
    graph::number: the rate is ``, expected a whole number from 0 to 16777216 @ ∅
rate="2,1" → rate="16777217"
    graph::number: the rate is `16777217`, expected a whole number from 0 to 16777216 @ 16777217
rate="2,1" → rate="99999999999999999999"
    graph::number: the rate is `99999999999999999999`, expected a whole number from 0 to 16777216 @ 99999999999999999999
rate="3" → rate="x*3"
    graph::number: the count before `*` is `x`, expected a whole number from 0 to 65536 @ x*3
rate="3" → rate="0*3"
    graph::empty_list: the rate is an empty list, expected at least one number @ 0*3
rate="3" → rate="99999*3"
    graph::number: the count before `*` is `99999`, expected a whole number from 0 to 65536 @ 99999*3
rate="3" → rate="0"
    graph::zero_rates: channel `c` moves no token at actor `dst` in any phase @ 0
    help: a rate may be 0 in some phases, not in all
initialTokens="4" → initialTokens="1000000000"
    graph::number: the number of initial tokens is `1000000000`, expected a whole number from 0 to 67108864 @ 1000000000
initialTokens="4" → initialTokens="-4"
    graph::number: the number of initial tokens is `-4`, expected a whole number from 0 to 67108864 @ -4
sz="32" → sz="4194305"
    graph::number: the token size in bits is `4194305`, expected a whole number from 0 to 4194304 @ 4194305
name="dst" → name="src"
    graph::duplicate_name: two actors are called `src` @ src
    help: names tell things apart in messages and digests: choose another
name="dst" → name=""
    graph::empty_name: empty actor name @ ∅
name="dst"  → ∅
    sdf3::missing_attribute: element `actor` has no attribute `name` @ <actor type="t">
<actor name="src" → <actor name="&x;"
    sdf3::xml: unknown entity reference 'x' @ &
<port name="o" → <port name="q" type="out" rate="1"/><port name="o"
    sdf3::unconnected_port: unconnected port: no channel uses port `q` of actor `src` @ q
    help: remove the port, or add the channel that it is for
<port name="o" → <port name="o" type="out" rate="1"/><port name="o"
    graph::duplicate_name: two ports are called `o` @ o
    help: names tell things apart in messages and digests: choose another
<channel  → <channel name="d" srcActor="src" srcPort="o" dstActor="dst" dstPort="i"/><channel 
    sdf3::shared_port: channels `d` and `c` share port `o` of actor `src` @ o
    help: give every channel a port of its own
actor="src" → actor="srx"
    graph::unknown_name: there is no actor `srx` @ srx
    help: did you mean `src`?
channel="c" → channel="d"
    graph::unknown_name: there is no channel `d` @ d
<channelProperties → <channelProperties channel="c"/><channelProperties
    sdf3::properties_twice: a second `channelProperties` for `c` @ c
<actorProperties → <actorProperties actor="src"/><actorProperties
    sdf3::properties_twice: a second `actorProperties` for `src` @ src
time="5,6" → time="5,6x"
    graph::number: the execution time is `6x`, expected a whole number from 0 to 1099511627776 @ 5,6x
time="5,6" → time="1099511627777"
    graph::number: the execution time is `1099511627777`, expected a whole number from 0 to 1099511627776 @ 1099511627777
<applicationGraph name="g"> → <applicationGraph name="g"/><applicationGraph name="h">
    sdf3::children: element `sdf3` has 2 elements `applicationGraph`, expected 1 @ <sdf3 type="csdf" version="1.0">
<csdf name="g" → <csdf name="g" name="h"
    sdf3::xml: attribute 'name' is already defined @ name
applicationGraph name="g" → applicationGraph name="g
    sdf3::xml: expected '"' not '<' @ <
<sdf3 → x<sdf3
    ron::wrong_kind: expected `Graph(…)`, found `x` @ x
rate="3" → rate="3" x:y="1"
    sdf3::xml: an unknown namespace prefix 'x' @ x
name="c" → name="c<"
    sdf3::xml: expected '"' not '<' @ <
"#,
    );
}

#[test]
fn mistakes_in_our_own_form() {
    check(
        RON,
        r#"
Graph( → Pins(
    ron::wrong_kind: expected `Graph(…)`, found `Pins` @ Pins
version: 1 → version: 2
    ron::illegal_value: version 2 is not known, this program reads version 1 @ 2
version: 1,\n → ∅
    ron::missing_field: the field `version` is missing in `Graph` @ Graph(
version: 1 → version: "1"
    ron::syntax: expected integer @ "1"
name: "g" → name: g
    ron::syntax: expected string @ g
name: "g", → ∅
    ron::missing_field: the field `name` is missing in `Graph` @ Graph(
exec: [5, 6] → exec: []
    graph::empty_list: the execution time is an empty list, expected at least one number @ []
exec: [5, 6] → exec: -5
    graph::number: `exec` is `-5`, expected a whole number from 0 to 1099511627776 @ -5
exec: [5, 6] → exec: [5, 1.5]
    graph::number: `exec` is `1.5`, expected a whole number from 0 to 1099511627776 @ 1.5
exec: [5, 6] → exec: [5, [6]]
    graph::number: `exec` is `[6]`, expected a whole number from 0 to 1099511627776 @ [6]
exec: [5, 6] → exec: None
    graph::number: `exec` is `None`, expected a whole number from 0 to 1099511627776 @ None
exec: [5, 6] → exce: 5
    ron::unknown_field: there is no field `exce` in `Actor` @ exce
    help: did you mean `exec`? The legal fields are `name`, `exec`
exec: [5, 6] → exec: 5, exec: 6
    ron::duplicate_field: the field `exec` is given twice in `Actor` @ exec
exec: [5, 6] → exec: [5, 6
    ron::syntax: expected comma @ )
exec: [5, 6] → exec: 1099511627777
    graph::number: `exec` is `1099511627777`, expected a whole number from 0 to 1099511627776 @ 1099511627777
exec: [5, 6] → exec: [5 6]
    ron::syntax: expected comma @ 6
"src", target → "dat", target
    graph::unknown_name: there is no actor `dat` @ "dat"
    help: did you mean `dst`?
target: "dst" → target: "dat"
    graph::unknown_name: there is no actor `dat` @ "dat"
    help: did you mean `dst`?
target: "dst" → target: 1
    ron::syntax: expected string @ 1
produce: [2, 1] → produce: [0, 0]
    graph::zero_rates: channel `c` moves no token at actor `src` in any phase @ [0, 0]
    help: a rate may be 0 in some phases, not in all
produce: [2, 1],  → ∅
    ron::missing_field: the field `produce` is missing in `Channel` @ (name: "c", source: "src", target: "dst", consume: 3, initial_tokens: 4, token_bits: 32)
consume: 3 → consume: 0
    graph::zero_rates: channel `c` moves no token at actor `dst` in any phase @ 0
    help: a rate may be 0 in some phases, not in all
consume: 3 → consume: 16777217
    graph::number: `consume` is `16777217`, expected a whole number from 0 to 16777216 @ 16777217
initial_tokens: 4 → initial_tokens: 1000000000
    graph::number: `initial_tokens` is `1000000000`, expected a whole number from 0 to 67108864 @ 1000000000
initial_tokens: 4 → tokens: 4
    ron::unknown_field: there is no field `tokens` in `Channel` @ tokens
    help: the legal fields are `name`, `source`, `target`, `produce`, `consume`, `initial_tokens`, `token_bits`
initial_tokens: 4, token_bits: 32 → initial_tokens: 67108864, token_bits: 128
    graph::too_large: initial tokens of channel `c` and of the channels before it have 134217728 words, allowed are at most 67108864 @ 67108864
token_bits: 32 → token_bits: 4194305
    graph::number: `token_bits` is `4194305`, expected a whole number from 0 to 4194304 @ 4194305
name: "dst" → name: "src"
    graph::duplicate_name: two actors are called `src` @ "src"
    help: names tell things apart in messages and digests: choose another
name: "dst" → name: ""
    graph::empty_name: empty actor name @ ""
(name: "c" → (name: "c", source: "src", target: "dst", produce: 1, consume: 1), (name: "c"
    graph::duplicate_name: two channels are called `c` @ "c"
    help: names tell things apart in messages and digests: choose another
(name: "c" → (name: "c
    ron::syntax: expected comma @ src
(name: "c" → name: "c"
    ron::syntax: expected comma @ :
(name: "c" → Chanel(name: "c"
    ron::wrong_kind: expected `Channel(…)`, found `Chanel` @ Chanel
],\n) → ],\n
    ron::syntax: the text ends too early @ ∅
],\n) → ]\n))
    ron::syntax: non-whitespace trailing characters @ )
(name: "dst"), → (name: "dst") (name: "x"),
    ron::syntax: expected comma @ (
Graph( → /* Graph(
    ron::syntax: unclosed block comment @ Graph(
Graph( → #![enable(foo)] Graph(
    ron::syntax: no RON extension named `foo` @ foo
"g" → "\q"
    ron::syntax: unknown escape character @ \q
"#,
    );
}

/// Files that are wrong as a whole.
#[test]
fn other_files() {
    check(
        "file",
        r#"
file → ∅
    ron::wrong_kind: expected `Graph(…)` @ ∅
file → Graph()
    ron::missing_field: the field `version` is missing in `Graph` @ Graph()
file → Graph
    ron::wrong_kind: expected `Graph(…)` @ Graph
file → Graph(version: 1, name: "x", actors: [], channels: [])
    graph::no_actors: the application has no actors @ Graph(version: 1, name: "x", actors: [], channels: [])
file → []
    ron::wrong_kind: expected `Graph(…)` @ [
file → 5
    ron::wrong_kind: expected `Graph(…)` @ 5
file → {}
    ron::wrong_kind: expected `Graph(…)` @ {
file → ()
    ron::missing_field: the field `version` is missing in `Graph` @ ()
file → <a/>
    sdf3::wrong_kind: the outermost element is `a`, expected `sdf3` @ <a/>
file → <
    sdf3::xml: invalid name token @ ∅
file → <sdf3 type='sdf'><applicationGraph><sdf/></applicationGraph></sdf3>
    graph::no_actors: the application has no actors @ <sdf/>
file → <sdf3 type='sdf'><applicationGraph/></sdf3>
    sdf3::children: element `applicationGraph` has 0 elements `sdf`, expected 1 @ <applicationGraph/>
file → <sdf3 type='sdf'><applicationGraph><sdf><actor name='a'><port name='p' type='out' rate='1,2'/></actor></sdf></applicationGraph></sdf3>
    sdf3::list_in_sdf: the rate is the list `1,2`, but graphs of type `sdf` have one number here @ 1,2
    help: graphs with lists have type `csdf`
file → PNG
    ron::wrong_kind: expected `Graph(…)`, found `PNG` @ PNG
"#,
    );
    let error = read_graph("graph", b"Graph(\xff").unwrap_err();
    assert_eq!(
        show("", &error),
        "text::not_utf8: byte 0xff at offset 6 is not UTF-8 text @ the file\nhelp: convert the file to UTF-8"
    );
}

#[test]
fn mistakes_in_pins() {
    let check = |pins: &str, expected: &str| {
        let error = read_pins(pins).map(|_| ()).unwrap_err();
        assert_eq!(show(pins, &error), expected);
    };
    check(
        r#"Pins(version: 1, pins: {"a": "b", "a": "c"})"#,
        r#"pins::duplicate: actor `a` is pinned twice, to `b` and to `c` @ "a""#,
    );
    check(r#"Pins(version: 1, pins: ["a"])"#, "ron::syntax: expected opening `{` @ [");
    check(r#"Pins(version: 1, pins: {"a": 1})"#, "ron::syntax: expected string @ 1");
    check(r#"Pins(version: 1, pins: {a: "n"})"#, "ron::syntax: expected string @ a");
    check(
        r#"Pins(version: 2, pins: {})"#,
        "ron::illegal_value: version 2 is not known, this program reads version 1 @ 2",
    );
    check(RON, "ron::wrong_kind: expected `Pins(…)`, found `Graph` @ Graph");
}

/// Spans count bytes of the file as it is, with its byte-order mark, and are right after letters of several bytes.
#[test]
fn places_count_bytes_of_the_file() {
    for good in [XML, RON] {
        let bad = format!(
            "\u{feff}{}",
            good.replace("\"c\"", "\"größe\"").replace("\"dst\"", "\"目標\"").replacen("\"目標\"", "\"目\"", 1)
        );
        let error = read_graph("graph", bad.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "there is no actor `目標`");
        assert_eq!(error.span().map(|span| bad[span].trim_matches('"').to_owned()).as_deref(), Some("目標"));
    }
}

/// Any type can be read with the same kind of errors.
#[test]
fn mistakes_in_other_ron_files() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename = "Spec", deny_unknown_fields)]
    struct Spec {
        latency: i64,
        #[serde(default)]
        memory_words: Option<u32>,
    }
    let spec = |latency, memory_words| Ok(Spec { latency, memory_words });
    assert_eq!(read_ron("Spec(latency: -3)"), spec(-3, None));
    assert_eq!(read_ron("\u{feff}(latency: 3, memory_words: 5)"), spec(3, Some(5)));
    assert_eq!(read_ron("(latency: 3, memory_words: Some(5)) // fast"), spec(3, Some(5)));
    let check = |text: &str, expected: &str| assert_eq!(show(text, &read_ron::<Spec>(text).unwrap_err()), expected);
    check(
        "Spec(\n    latency: 3,\n    latencies: 4,\n)",
        "ron::unknown_field: there is no field `latencies` in `Spec` @ latencies\nhelp: did you mean `latency`? The legal fields are `latency`, `memory_words`",
    );
    check("Spec(latency: 1.5)", "ron::syntax: expected comma @ .");
    check("Spec(latency: 3, memory_words: 5000000000)", "ron::illegal_value: integer is out of bounds @ 5000000000");
    check("Spec(latency: fast)", "ron::syntax: invalid digit 'f' for base 10 integers @ fast");
}
