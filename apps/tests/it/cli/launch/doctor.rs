//! The doctor, with hosts that a stub of ssh plays.

use super::hosts::{another_program, stub, with_stub};
use super::{command, folder, told};
use serde_json::Value;

#[test]
fn one_host_is_measured() {
    let folder = folder("doctor_one");
    let output = command("doctor --format json", &folder).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let host = &report["hosts"][0];
    for figure in
        ["cores", "memory_bytes", "engine_node_ticks_per_second", "copy_bytes_per_second", "socket_send_bytes"]
    {
        assert!(host[figure].as_f64().unwrap() > 0.0, "{figure}: {host}");
    }
    assert_eq!(host["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(host["hosts_programs"], host["lack"].is_null());
    let output = command("doctor", &folder).output().unwrap();
    assert!(output.status.success() && told(&output).contains("node-ticks/s"), "{}", told(&output));
}

#[test]
fn hosts_and_the_ways_between_them_are_measured_and_the_odd_one_is_named() {
    let folder = stub("doctor_hosts");
    // One of them has another program.
    another_program(&folder, "127.0.0.3");
    let words = "doctor --hosts 127.0.0.2,127.0.0.3,127.0.0.4,nowhere --format json";
    let output = with_stub(words, &folder).output().unwrap();
    // Not all could be reached.
    assert_eq!(output.status.code(), Some(6), "{}", told(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |list: &str, field: &str| -> Vec<String> {
        report[list].as_array().unwrap().iter().map(|entry| entry[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("hosts", "host"), ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    assert_eq!(names("failed", "who"), ["nowhere"]);
    assert!(report["failed"][0]["why"].as_str().unwrap().contains("Could not resolve hostname"), "{report}");
    assert_eq!(names("pairs", "to"), ["127.0.0.2", "127.0.0.2", "127.0.0.3"]);
    assert_eq!(names("pairs", "from"), ["127.0.0.3", "127.0.0.4", "127.0.0.4"]);
    for pair in report["pairs"].as_array().unwrap() {
        let sizes = pair["sizes"].as_array().unwrap();
        assert_eq!(sizes.iter().map(|size| size["bytes"].as_u64().unwrap()).collect::<Vec<_>>(), [64, 1024, 65536]);
        assert!(sizes.iter().all(|size| size["round_trip_ns"].as_u64().unwrap() > 0), "{pair}");
        assert!(sizes.iter().all(|size| size["bytes_per_second"].as_f64().unwrap() > 0.0), "{pair}");
    }
    let odd = |who: &str, what: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().any(|finding| finding["who"] == who && finding["what"].as_str().unwrap().contains(what))
    };
    assert!(odd("127.0.0.3", "build ") && !odd("127.0.0.2", "build ") && !odd("127.0.0.4", "build "), "{report}");
}
