//! Who executes what: partitions that are made, written, edited and given; and what a sharded run reports.

use super::{folder, json, succeed, tidelock, told};
use serde_json::Value;
use std::fs;

const DENSE: &str = "--app dense --machine torus:8x8 --latency 8";

#[test]
fn a_partition_is_shown_written_edited_and_executed() {
    let folder = folder("partition_file");
    let known = succeed(&format!("partition {DENSE} --shards 4 --assume -o four.ron"), &folder);
    let (matrix, prediction) = (&known["matrix"], &known["prediction"]);
    assert_eq!(matrix["shards"].as_array().unwrap().len(), 4);
    assert!(matrix["shards"].as_array().unwrap().iter().all(|shard| shard["nodes"] == 16));
    assert!(matrix["cuts"].as_array().unwrap().iter().all(|cut| cut["lookahead"].as_i64().unwrap() >= 9));
    assert_eq!(known["imbalance"]["work"], 1.0);
    assert_eq!(known["constants"]["link"]["exchange_ns"], 15_000.0);
    assert_eq!(known["constants"]["link_measured"], false);
    // 64 nodes in 4 ticks are no match for an exchange.
    assert!(prediction["speedup"].as_f64().unwrap() < 0.5, "{prediction}");
    let (one, three) = (format!("run {DENSE} -n 500"), "--shards 3 --partition three.ron");
    // Shard 3 goes to shard 0.
    let text = fs::read_to_string(folder.join("four.ron")).unwrap();
    let (head, last) = text.rsplit_once("        [\n").unwrap();
    let (last, tail) = last.split_once("        ],\n").unwrap();
    fs::write(folder.join("three.ron"), head.replacen("        [\n", &format!("        [\n{last}"), 1) + tail).unwrap();
    let (alone, shards) = (succeed(&one, &folder), succeed(&format!("{one} {three}"), &folder));
    for field in ["digest", "stream_digest", "ticks", "channels"] {
        assert_eq!(shards[field], alone[field], "{field}");
    }
    let nodes = |shard: usize| shards["shards"]["matrix"]["shards"][shard]["nodes"].as_u64().unwrap();
    assert_eq!([nodes(0), nodes(1), nodes(2)], [32, 16, 16]);
    assert_eq!(shards["shards"]["imbalance"]["work"], 1.5);
    // The same partition, looked at.
    let again = succeed(&format!("partition {DENSE} --partition three.ron --assume"), &folder);
    assert_eq!(again["matrix"], shards["shards"]["matrix"]);
}

#[test]
fn a_bad_partition_is_told_with_its_place() {
    let folder = folder("partition_bad");
    let run = "run --app cd2dat --machine ring:4 -n 2 --shards 2 --partition p.ron --quiet --no-results";
    for (shards, told_part) in [
        (r#"["n0", "n1"], ["n2", "m3"]"#, "`m3`, which machine `ring:4` does not have"),
        (r#"["n0", "n1"], ["n2"]"#, "1 of 4 nodes are in no shard, the first of them is `n3`"),
        (r#"["n0", "n1", "n2"], ["n3"], []"#, "shard 2 has no node"),
        (r#"["n0", "n1"], ["n2", "n0", "n3"]"#, "`n0` is in shard 0 and again in shard 1"),
        (r#"["n0"], ["n1"], ["n2", "n3"]"#, "2 shards are asked for, but `p.ron` has 3"),
    ] {
        fs::write(folder.join("p.ron"), format!("Partition(version: 1, shards: [{shards}])")).unwrap();
        let output = tidelock(run, &folder);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        // Messages are broken into lines.
        let words = |text: &str| text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(words(&said).contains(told_part), "{said}");
    }
    let (code, value) = json("run --app cd2dat --machine ring:4 -n 2 --partition p.ron", &folder);
    assert_eq!((code, &value["error"]["code"]), (2, &Value::from("usage::arguments")), "{value}");
    let (code, _) = json("partition --app cd2dat --machine ring:4 --shards 5 --assume", &folder);
    assert_eq!(code, 2);
}

/// All that a run of shards measured is in its results, with the same keys for all of them, and can be drawn.
#[test]
fn what_shards_measured_is_kept_and_drawn() {
    let folder = folder("partition_report");
    let output = tidelock(&format!("run {DENSE} -n 4000 --shards 3"), &folder);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for part in ["divided among", "s per million ticks", "words per metacycle"] {
        assert!(told(&output).contains(part), "{}", told(&output));
    }
    let text = fs::read_to_string(folder.join("out/latest/shards.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let measured = report["measured"].as_array().unwrap();
    assert_eq!(measured.len(), 3);
    assert_eq!(report["rates"]["checksums_agree"], true);
    assert_eq!(report["rates"]["seconds_per_simulated_second"], Value::Null);
    let words = |cut: &Value| cut["words"].as_u64().unwrap();
    for (number, known) in measured.iter().enumerate() {
        assert_eq!((&known["shard"], &known["programs"]), (&number.into(), &0.into()));
        let shard = &known["figures"];
        assert!(shard["windows"].as_u64().unwrap() > 100);
        assert!(shard["resident_bytes"][0].as_u64().unwrap() > 1 << 20);
        assert!(shard["descriptors"].as_u64().unwrap() > 3);
        let time = |key: &str| shard[key].as_u64().unwrap();
        assert!(time("execute_ns") > 0 && time("execute_ns") + time("wait_ns") <= time("run_ns"), "{shard}");
        assert!(shard["io"]["encode_ns"].as_u64().unwrap() > 0 && shard["io"]["decode_ns"].as_u64().unwrap() > 0);
        let spans = shard["spans"].as_array().unwrap();
        let sum = |key: &str| spans.iter().map(|span| span[key].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("windows"), sum("execute_ns")), (time("windows"), time("execute_ns")));
        assert!(spans.iter().any(|span| !span["bound"].is_null()));
        // Words of the run are those of the calendars.
        for cut in report["matrix"]["cuts"].as_array().unwrap().iter().filter(|cut| cut["from"] == number) {
            let pair = &shard["pairs"][cut["to"].to_string()];
            let sent = pair["words_sent"].as_u64().unwrap();
            let metacycles = 4000 / report["matrix"]["metacycle"].as_u64().unwrap();
            // Those of the last few ticks nobody needs any more.
            assert!(sent <= words(cut) * metacycles && sent * 100 > words(cut) * metacycles * 98, "{pair}");
            let sizes: u64 = pair["sizes_sent"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
            assert_eq!(sizes, pair["batches_sent"].as_u64().unwrap());
            assert!(pair["wire_bytes_sent"].as_u64().unwrap() > 8 * sent);
        }
    }
    let shown = told(&tidelock("view shards --width 80", &folder));
    assert!(shown.contains("dense on torus:8x8, in 3 shards") && shown.contains("waits for"), "{shown}");
    for name in ["shards.svg", "shards.png"] {
        let output = tidelock(&format!("view shards out/latest -o {name}"), &folder);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(fs::metadata(folder.join(name)).unwrap().len() > 5_000);
    }
    assert_eq!(succeed("view shards out/latest/shards.json", &folder), report);
    fs::write(folder.join("other.json"), r#"{"version": 1}"#).unwrap();
    for (file, code) in
        [("other.json", "shards::version"), ("out/latest/summary.json", "shards::version"), ("x", "file::unreadable")]
    {
        let (exit, value) = json(&format!("view shards {file}"), &folder);
        assert_eq!((exit, &value["error"]["code"]), (2, &Value::from(code)), "{value}");
    }
}

/// Progress is for people: one line per shard, unless nobody wants to see it.
#[test]
fn a_launcher_says_how_far_every_shard_is() {
    let folder = folder("partition_progress");
    let run = |words: &str| told(&tidelock(&format!("run {DENSE} -n 400000 --shards 2 --no-results {words}"), &folder));
    let shown = run("");
    for shard in ["shard 0 (", "shard 1 ("] {
        assert!(shown.lines().any(|line| line.contains("s: ") && line.contains(shard)), "{shown}");
    }
    assert!(!shown.contains("moment") && !run("--quiet").contains("shard 1 ("));
}
