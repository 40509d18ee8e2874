//! `verify` on applications that are the same in every run; those that are not are users' own, and tested with the library.

use super::{folder, json, succeed, tidelock, told};

#[test]
fn all_runs_and_the_reference_are_listed() {
    let folder = folder("verify");
    let words = "verify DATA/modem.xml --machine ring:3 --iterations 4 --threads 1,2,8 --windows any,5 --repeats 2";
    let output = tidelock(words, &folder);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("12 runs and the untimed reference: no difference"), "{told}");
    assert!(told.contains("3 threads (of 8)"), "{told}");

    let verdict = succeed(words, &folder);
    let run = succeed("run DATA/modem.xml --machine ring:3 --iterations 4 --digest events", &folder);
    assert_eq!((&verdict["equal"], &verdict["difference"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(verdict["reference"]["stream_digest"], run["stream_digest"]);
    let runs = verdict["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 12);
    for other in runs {
        assert_eq!((&other["stream_digest"], &other["digest"]), (&run["stream_digest"], &run["digest"]));
        assert_eq!((&other["ticks"], &other["equal"]), (&run["ticks"], &true.into()));
    }
    assert_eq!((&runs[11]["workers"], &runs[11]["workers_used"]), (&8.into(), &3.into()));
    assert_eq!((&runs[11]["window"], &runs[11]["repeat"]), (&5.into(), &2.into()));
}

#[test]
fn shards_are_modes_too() {
    let folder = folder("verify-shards");
    let words = "verify DATA/modem.xml --machine ring:3 --iterations 4 --threads 1 --shards 2,3 --repeats 1";
    let output = tidelock(words, &folder);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("2 shards over QUIC") && told.contains("3 shards in memory"), "{told}");
    assert!(told.contains("5 runs and the untimed reference: no difference"), "{told}");
    let verdict = succeed(words, &folder);
    let carriers: Vec<&str> =
        verdict["runs"].as_array().unwrap().iter().flat_map(|run| run["carrier"].as_str()).collect();
    assert_eq!(carriers, ["threads", "memory", "quic", "memory", "quic"]);
}

#[test]
fn modes_that_are_none_are_refused() {
    let folder = folder("verify-modes");
    for (words, part) in
        [("--threads 0", "0"), ("--shards 0", "0"), ("--windows 0", "a number of ticks, from 1"), ("--repeats 0", "0")]
    {
        let (code, error) = json(&format!("verify DATA/modem.xml --machine ring:3 --iterations 4 {words}"), &folder);
        assert_eq!(code, 2, "{error}");
        assert!(error["error"]["message"].as_str().unwrap().contains(part), "{error}");
    }
}
