//! Bad input: one clear error with its exit code, never a panic.

use super::{folder, json, tidelock, told};
use std::path::Path;

/// A graph file of one channel.
fn graph(channel: &str) -> String {
    format!(
        r#"Graph(version: 1, name: "g", actors: [(name: "a"), (name: "b")],
        channels: [(name: "x", source: "a", target: "b", {channel})])"#
    )
}

fn write_files(folder: &Path) {
    let modem = std::fs::read_to_string(format!("{}/../data/sdf/modem.xml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let two_ways = |first: &str, second: &str| {
        format!(
            r#"Machine(version: 1, name: "m", nodes: [(name: "n0"), (name: "n1")],
            links: [(source: "n0", target: "n1", latency: {first}), (source: "{second}", target: "n0", latency: 1)])"#
        )
    };
    let many = "Graph(version: 1, name: \"g\", actors: [(name: \"a\"), (name: \"b\"), (name: \"c\"), (name: \"d\"), \
                (name: \"e\")], channels: [(name: \"x\", source: \"a\", target: \"b\", produce: 16777213, consume: 1), \
                (name: \"y\", source: \"b\", target: \"c\", produce: 16777199, consume: 1), \
                (name: \"z\", source: \"c\", target: \"d\", produce: 16777199, consume: 1), \
                (name: \"w\", source: \"d\", target: \"e\", produce: 16777199, consume: 1)])";
    let files = [
        ("truncated.xml", modem[..modem.len() / 2].to_owned()),
        ("other.xml", "<html/>".to_owned()),
        ("empty.xml", String::new()),
        ("empty.ron", r#"Graph(version: 1, name: "g", actors: [], channels: [])"#.to_owned()),
        ("field.ron", graph("produce: 1, consume: 1, colour: 3")),
        ("negative.ron", graph("produce: -1, consume: 1")),
        ("zero.ron", graph("produce: [0, 0], consume: 1")),
        ("tokens.ron", graph("produce: 1, consume: 1, initial_tokens: 1000000000")),
        ("fine.ron", graph("produce: 1, consume: 1")),
        ("overflow.ron", many.to_owned()),
        ("node.ron", r#"Pins(version: 1, pins: {"a": "n7"})"#.to_owned()),
        ("actor.ron", r#"Pins(version: 1, pins: {"q": "n0"})"#.to_owned()),
        ("hub.ron", r#"Pins(version: 1, pins: {"a": "n0"})"#.to_owned()),
        ("apart.ron", r#"Pins(version: 1, pins: {"a": "n1", "b": "n0"})"#.to_owned()),
        ("negative-cycle.ron", two_ways("-2", "n1")),
        ("no-node.ron", two_ways("1", "n2")),
        ("one-way.ron", two_ways("1", "n0")),
        ("islands.ron", r#"Machine(version: 1, name: "m", nodes: [(name: "n0"), (name: "n1")], links: [])"#.to_owned()),
        ("no-machine.ron", r#"Machine(version: 1, name: "m", nodes: [], links: [])"#.to_owned()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("latin.xml"), b"<sdf3 type=\"\xe4\"/>").unwrap();
    std::fs::write(folder.join("three.bin"), [1, 2, 3]).unwrap();
}

const CASES: [(&str, i32, &str); 44] = [
    // Graph files.
    ("check truncated.xml", 2, "sdf3::xml"),
    ("check other.xml", 2, "sdf3::wrong_kind"),
    ("check empty.xml", 2, "sdf3::xml"),
    ("check latin.xml", 2, "text::not_utf8"),
    ("check missing.xml", 2, "file::unreadable"),
    ("check .", 2, "file::unreadable"),
    ("check empty.ron", 2, "graph::no_actors"),
    ("check field.ron", 2, "ron::unknown_field"),
    ("check negative.ron", 2, "graph::number"),
    ("check zero.ron", 2, "graph::zero_rates"),
    ("check tokens.ron", 2, "graph::number"),
    ("check overflow.ron", 2, "analysis::overflow"),
    ("check DATA/inconsistent_triangle.xml", 2, "analysis::inconsistent"),
    ("compile DATA/deadlock_ring.xml --machine ring:3", 2, "analysis::deadlock"),
    // Machines.
    ("compile fine.ron", 2, "usage::no_machine"),
    ("compile fine.ron --machine rong:3", 2, "machine::preset"),
    ("compile fine.ron --machine ring:0", 2, "machine::preset"),
    ("compile fine.ron --machine missing.ron", 2, "file::unreadable"),
    ("compile fine.ron --machine fine.ron", 2, "ron::wrong_kind"),
    ("compile fine.ron --machine negative-cycle.ron", 2, "machine::negative_cycle"),
    ("compile fine.ron --machine no-node.ron", 2, "machine::no_such_node"),
    ("compile fine.ron --machine no-machine.ron", 2, "machine::empty"),
    ("compile fine.ron --machine one-way.ron --latency 3", 2, "usage::latency"),
    ("compile fine.ron --machine islands.ron", 3, "compile::disconnected"),
    ("compile fine.ron --machine one-way.ron --pins apart.ron", 3, "compile::unreachable"),
    ("compile fine.ron --machine ring:3 --cores 0", 3, "compile::no_cores"),
    ("compile fine.ron --machine ring:3 --memory 0", 3, "compile::memory_short"),
    ("compile fine.ron --machine ring:3 --calendar-entries 0", 3, "compile::calendar_short"),
    // Pins.
    ("compile fine.ron --machine ring:3 --pins node.ron", 2, "pins::no_such_node"),
    ("compile fine.ron --machine ring:3 --pins actor.ron", 2, "pins::no_such_actor"),
    ("compile fine.ron --machine star:3 --pins hub.ron", 2, "pins::switch"),
    // Runs.
    ("run fine.ron --machine ring:3", 2, "usage::arguments"),
    ("run --machine ring:3 --iterations 1", 2, "usage::no_app"),
    ("run fine.ron --machine ring:3 --iterations 99999999999999999999", 2, "usage::arguments"),
    ("run fine.ron --machine ring:3 --iterations 18446744073709551615", 2, "run::too_long"),
    ("run fine.ron --machine ring:3 --iterations 1 --channels q", 2, "usage::no_such_channel"),
    ("run fine.ron --machine ring:3 --iterations 1 --input a=three.bin", 2, "run::no_such_input"),
    ("run fine.ron --machine ring:3 --iterations 1 --record x", 2, "usage::no_results"),
    ("run fine.ron --machine ring:3 --iterations 1 --token-bits 99999999999", 2, "usage::token_bits"),
    ("run --app cd2dat --machine ring:3 --iterations 1 --token-bits 8", 2, "usage::token_bits"),
    ("run --app lief --machine ring:3 --iterations 1", 2, "app::unknown"),
    ("run --app fft:99 --machine ring:3 --iterations 1", 2, "app::parameters"),
    ("run fine.ron --calendars missing --iterations 1", 2, "file::unreadable"),
    ("view topology --machine ring:3 -o x.pdf", 2, "picture::extension"),
];

/// Programs get the code, people a sentence; both the exit code.
#[test]
fn bad_input_is_one_clear_error() {
    let folder = folder("bad-input");
    write_files(&folder);
    for (words, exit, code) in CASES {
        let (found, error) = json(words, &folder);
        let error = &error["error"];
        assert_eq!((found, error["code"].as_str()), (exit, Some(code)), "{words}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    for (words, exit, code) in CASES.iter().step_by(5) {
        let output = tidelock(words, &folder);
        assert_eq!(output.status.code(), Some(*exit), "{words}: {}", told(&output));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(code) || *code == "usage::arguments", "{words}: {text}");
        assert!(!text.contains("panicked") && !text.contains('\u{1b}'), "{words}: {text}");
    }
}

/// What cannot be stored is told as such, before any work.
#[test]
fn nothing_is_overwritten() {
    let folder = folder("overwritten");
    std::fs::create_dir(folder.join("full")).unwrap();
    std::fs::write(folder.join("full/precious"), "x").unwrap();
    std::fs::write(folder.join("file"), "x").unwrap();
    for words in [
        "compile DATA/modem.xml --machine ring:3 -o full",
        "compile DATA/modem.xml --machine ring:3 -o file",
        "run DATA/modem.xml --machine ring:3 --iterations 1 -o full",
        "compile DATA/modem.xml --machine ring:3 -o file/below",
        "view topology --machine ring:3 -o missing/x.svg",
        "machine ring:3 -o missing/m.ron",
    ] {
        let (code, error) = json(words, &folder);
        assert_eq!(code, 5, "{words}: {error}");
    }
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// An error in a file is shown at its place.
#[test]
fn errors_show_their_place() {
    let folder = folder("place");
    write_files(&folder);
    let text = told(&tidelock("check field.ron", &folder));
    assert!(text.contains("field.ron:2:") && text.contains("colour: 3"), "{text}");
    let (_, error) = json("check field.ron", &folder);
    assert_eq!((&error["error"]["place"]["line"], &error["error"]["place"]["file"]), (&2.into(), &"field.ron".into()));
}
