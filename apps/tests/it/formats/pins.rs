//! Pins files and their resolution.

use sim_core::{App, Link, LogicalLatency, Machine, Node, NodeId};
use tidelock::formats::{read_graph_ron, read_pins};

fn app() -> App {
    let text =
        r#"Graph(version: 1, name: "g", actors: [(name: "fir0"), (name: "fir1"), (name: "sink")], channels: [])"#;
    read_graph_ron(text).unwrap()
}

fn machine() -> Machine {
    let nodes = vec![Node::new("n0", 1), Node::new("n1", 2), Node::new("hub", 0)];
    let link = Link { source: NodeId(0), target: NodeId(1), latency: LogicalLatency(1) };
    Machine::new("line", nodes, vec![link]).unwrap()
}

#[test]
fn pins_become_ids_in_file_order() {
    let pins = read_pins(r#"Pins(version: 1, pins: { "sink": "n1", /* home */ "fir0": "n0", })"#).unwrap();
    let ids: Vec<(u32, u32)> = pins.resolve(&app(), &machine()).unwrap().iter().map(|(a, n)| (a.0, n.0)).collect();
    assert_eq!(ids, [(2, 1), (0, 0)]);
    assert!(read_pins("(version: 1, pins: {})").unwrap().resolve(&app(), &machine()).unwrap().is_empty());
}

#[test]
fn pins_that_do_not_fit_say_so() {
    let check = |pins: &str, message: &str, help: Option<&str>, shown: &str| {
        let text = format!("Pins(version: 1, pins: {{{pins}}})");
        let error = read_pins(&text).unwrap().resolve(&app(), &machine()).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.help().as_deref()), (message, help));
        assert_eq!(&text[error.span()], shown);
        assert!(error.code().starts_with("pins::"));
    };
    check(
        r#""fir0": "n0", "fri1": "n1""#,
        "application `g` has no actor `fri1`",
        Some("did you mean `fir1`?"),
        r#""fri1""#,
    );
    check(r#""firmament": "n1""#, "application `g` has no actor `firmament`", None, r#""firmament""#);
    check(r#""fir": "n1""#, "application `g` has no actor `fir`", Some("did you mean `fir0`?"), r#""fir""#);
    check(
        r#""fir1": "n3""#,
        "actor `fir1` is pinned to node `n3`, which machine `line` does not have",
        Some("did you mean `n0`?"),
        r#""n3""#,
    );
    check(
        r#""sink": "hub""#,
        "actor `sink` is pinned to node `hub`, which is a switch: it has 0 cores",
        Some("pin the actor to a node with cores"),
        r#""hub""#,
    );
}
