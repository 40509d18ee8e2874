//! Every mistake in a file is named, with its numbers, its place and where possible the way out.

use tidelock::formats::{FormatError, read_graph, read_pins};

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
    let place = error.span().map_or("the file", |span| &text[span]);
    let help = error.help().map(|help| format!(" | help: {help}")).unwrap_or_default();
    format!("{}: {error} @ {place}{help}", error.code())
}

/// Replaces `from` by `to` in a good file and expects `code: message @ place | help: …`.
#[track_caller]
fn check(good: &str, from: &str, to: &str, expected: &str) {
    assert!(good.contains(from), "{from:?} is not in the file");
    let bad = good.replacen(from, to, 1);
    match read_graph("graph", bad.as_bytes()) {
        Ok(_) => panic!("{from:?} → {to:?} is accepted"),
        Err(error) => assert_eq!(show(&bad, &error), expected, "{from:?} → {to:?}"),
    }
}

#[test]
fn explore() {
    let mut n = 0;
    let mut c = |good: &str, from: &str, to: &str| {
        assert!(good.contains(from), "{from:?} is not in the file");
        let bad = good.replacen(from, to, 1);
        n += 1;
        match read_graph("graph", bad.as_bytes()) {
            Ok(_) => println!("    OK        ({from:?}, {to:?})"),
            Err(error) => println!("    check(X, {from:?}, {to:?}, r#\"{}\"#);", show(&bad, &error)),
        }
    };
    for (f, t) in [
        ("type=\"csdf\"", "type=\"sadf\""), ("type=\"csdf\"", "type=\"sdf\""), ("type=\"csdf\"", ""),
        ("<sdf3", "<sdf4"), ("</sdf3>", ""), ("</sdf3>", "</sdf4>"), ("<sdf3", "<!DOCTYPE x><sdf3"), ("<sdf3", "<!DOCTYPE x [<!ENTITY y 'z'>]><sdf3"), ("type=\"out\"", "type=\"aus\""),
        ("type=\"out\"", "type=\"in\""), ("srcPort=\"o\"", "srcPort=\"p\""), ("srcPort=\"o\"", ""), ("srcActor=\"src\"", "srcActor=\"scr\""), ("srcActor=\"src\"", "srcActor=\"sr\""),
        ("rate=\"2,1\"", "rate=\"0,0\""), ("rate=\"2,1\"", "rate=\"2,-1\""), ("rate=\"2,1\"", "rate=\"2,\""), ("rate=\"2,1\"", "rate=\"\""), ("rate=\"2,1\"", "rate=\"1.5\""), ("rate=\"2,1\"", "rate=\"16777217\""), ("rate=\"2,1\"", "rate=\"99999999999999999999\""), ("rate=\"3\"", "rate=\"x*3\""), ("rate=\"3\"", "rate=\"0*3\""), ("rate=\"3\"", "rate=\"99999*3\""),
        ("rate=\"3\"", "rate=\"0\""),
        ("initialTokens=\"4\"", "initialTokens=\"1000000000\""), ("initialTokens=\"4\"", "initialTokens=\"-4\""), ("sz=\"32\"", "sz=\"640\" "), ("sz=\"32\"", "sz=\"4194305\""),
        ("name=\"dst\"", "name=\"src\""), ("name=\"dst\"", "name=\"\""), ("name=\"dst\" ", ""), ("<actor name=\"src\"", "<actor name=\"&x;\""),
        ("<port name=\"o\"", "<port name=\"q\" type=\"out\" rate=\"1\"/><port name=\"o\""), ("<port name=\"o\"", "<port name=\"o\" type=\"out\" rate=\"1\"/><port name=\"o\""),
        ("<channel ", "<channel name=\"d\" srcActor=\"src\" srcPort=\"o\" dstActor=\"dst\" dstPort=\"i\"/><channel "),
        ("actor=\"src\"", "actor=\"srx\""), ("channel=\"c\"", "channel=\"d\""), ("<channelProperties", "<channelProperties channel=\"c\"/><channelProperties"), ("<actorProperties", "<actorProperties actor=\"src\"/><actorProperties"),
        ("time=\"5,6\"", "time=\"5,6x\""), ("time=\"5,6\"", "time=\"1099511627777\""), ("<applicationGraph name=\"g\">", "<applicationGraph name=\"g\"/><applicationGraph name=\"h\">"), ("<csdf name=\"g\"", "<csdf name=\"g\" name=\"h\""),
        ("<csdf name=\"g\" type=\"g\">", "<csdf name=\"g\" type=\"g\"><"), ("applicationGraph name=\"g\"", "applicationGraph name=\"g"),
        ("<sdf3", "x<sdf3"), ("rate=\"3\"", "rate=\"3\" x:y=\"1\""), ("name=\"c\"", "name=\"c<\""), 
    ] { c(XML, f, t); }
    for (f, t) in [
        ("Graph(", "Pins("), ("version: 1", "version: 2"), ("    version: 1,\n", ""), ("version: 1", "version: \"1\""), ("name: \"g\"", "name: g"), ("name: \"g\"", "name: 5"), ("name: \"g\",", ""),
        ("exec: [5, 6]", "exec: []"), ("exec: [5, 6]", "exec: -5"), ("exec: [5, 6]", "exec: [5, 1.5]"), ("exec: [5, 6]", "exec: [5, [6]]"), ("exec: [5, 6]", "exec: \"5\""), ("exec: [5, 6]", "exec: None"), ("exec: [5, 6]", "exce: 5"), ("exec: [5, 6]", "exec: 5, exec: 6"), ("exec: [5, 6]", "exec: [5, 6"), ("exec: [5, 6]", "exec: 1099511627777"), ("exec: [5, 6]", "exec: [5 6]"),
        ("\"src\", target", "\"dat\", target"), ("target: \"dst\"", "target: \"dat\""), ("target: \"dst\"", "target: 1"), ("produce: [2, 1]", "produce: [0, 0]"), ("produce: [2, 1], ", ""), ("consume: 3", "consume: 0"), ("consume: 3", "consume: 16777217"), ("initial_tokens: 4", "initial_tokens: 1000000000"), ("initial_tokens: 4", "tokens: 4"), ("initial_tokens: 4, token_bits: 32", "initial_tokens: 67108864, token_bits: 128"), ("token_bits: 32", "token_bits: 4194305"), 
        ("name: \"dst\"", "name: \"src\""), ("name: \"dst\"", "name: \"\""), ("(name: \"c\"", "(name: \"c\", source: \"src\", target: \"dst\", produce: 1, consume: 1), (name: \"c\""), ("(name: \"c\"", "(name: \"c"), ("(name: \"c\"", "name: \"c\""), ("(name: \"c\"", "Chanel(name: \"c\""), ("    ],\n)", "    ],\n"), ("    ],\n)", "    ]\n))"), ("        (name: \"dst\"),", "        (name: \"dst\") (name: \"x\"),"), ("channels: [", "channels: ["), ("Graph(", "/* Graph("), ("Graph(", "#![enable(foo)] Graph("), ("\"g\"", "\"\\q\""),
    ] { c(RON, f, t); }
    for t in ["", "Graph()", "Graph", "Graph(version: 1, name: \"x\", actors: [], channels: [])", "[]", "5", "{}", "()", "<a/>", "<", "<sdf3 type='sdf'><applicationGraph><sdf/></applicationGraph></sdf3>", "<sdf3 type='sdf'><applicationGraph/></sdf3>"] { c("¤", "¤", t); }
    for t in ["Pins(version: 1, pins: {\"a\": \"b\", \"a\": \"c\"})", "Pins(version: 1, pins: [])", "Pins(version: 1, pins: {\"a\": 1})", "Pins(version: 1, pins: {a: \"n\"})", "Pins(version: 1, pin: {})"] {
        match read_pins(t) { Ok(_) => println!("OK {t}"), Err(e) => println!("    {t:?} => {}", show(t, &e)) }
    }
    panic!("explore {n}");
}
