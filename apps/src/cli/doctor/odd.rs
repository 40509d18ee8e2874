//! Who stands out: a run is as fast as its slowest shard, and shards must be the same program.
//!
//! Pure: figures in, findings out.

use super::host::HostReport;
use super::pair::PairReport;
use serde::Serialize;

/// A host is odd if a figure is worse than the median of all by more than this.
const HOST_FACTOR: f64 = 1.5;
/// The same for the way between two hosts.
const PAIR_FACTOR: f64 = 2.0;
/// Wall clocks may differ by this, in nanoseconds.
const CLOCK_NS: i64 = 1_000_000_000;
/// Bytes that sockets are asked to buffer.
const SOCKET_BYTES: u64 = 4 << 20;

/// Something that stands out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The host, or the way.
    pub(super) who: String,
    /// What about it, with the numbers found and usual.
    pub(super) what: String,
}

/// All that stands out.
pub(super) fn findings(hosts: &[HostReport], pairs: &[PairReport]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |who: &str, what: String| findings.push(Finding { who: who.to_owned(), what });
    same(hosts, "version", |host| &host.version, &mut find);
    same(hosts, "build", |host| &host.build, &mut find);
    less(hosts, "engine: node-ticks/s", |host| host.engine_node_ticks_per_second, &mut find);
    less(hosts, "copies: bytes/s", |host| host.copy_bytes_per_second, &mut find);
    less(hosts, "cores", |host| host.cores as f64, &mut find);
    less(hosts, "memory: bytes", |host| host.memory_bytes as f64, &mut find);
    let programs = hosts.iter().any(|host| host.hosts_programs);
    for host in hosts {
        if let Some(lack) = host.lack.as_ref().filter(|_| programs) {
            find(&host.host, format!("programs cannot be nodes here: {lack}"));
        }
        for (name, bytes) in [("rmem_max", host.socket_receive_bytes), ("wmem_max", host.socket_send_bytes)] {
            if bytes < SOCKET_BYTES {
                let advice = format!("`sysctl -w net.core.{name}={SOCKET_BYTES}`");
                find(&host.host, format!("sockets may buffer {bytes} bytes, {SOCKET_BYTES} are asked for: {advice}"));
            }
        }
    }
    for (at, bytes) in
        pairs.first().map_or(&[][..], |pair| &pair.path.sizes[..]).iter().map(|size| size.bytes).enumerate()
    {
        // The wait for a small message, and the rate of large ones, are what a run feels.
        let round_trips: Vec<f64> = pairs.iter().map(|pair| pair.path.sizes[at].round_trip_ns as f64).collect();
        let rates: Vec<f64> = pairs.iter().map(|pair| pair.path.sizes[at].bytes_per_second).collect();
        let (usual_trip, usual_rate) = (median(&round_trips), median(&rates));
        for ((pair, trip), rate) in pairs.iter().zip(round_trips).zip(rates) {
            if trip > usual_trip * PAIR_FACTOR {
                let (trip, usual) = (trip / 1e3, usual_trip / 1e3);
                find(&way(pair), format!("round trip at {bytes} bytes: {trip:.0} µs, the median is {usual:.0} µs"));
            }
            if rate < usual_rate / PAIR_FACTOR {
                let (rate, usual) = (rate / 1e6, usual_rate / 1e6);
                find(&way(pair), format!("rate at {bytes} bytes: {rate:.0} MB/s, the median is {usual:.0} MB/s"));
            }
        }
    }
    for pair in pairs {
        let ahead = pair.path.clock_ahead_ns;
        if ahead.abs() > CLOCK_NS {
            find(&way(pair), format!("wall clocks differ by {:.1} s", ahead as f64 / 1e9));
        }
    }
    findings
}

fn way(pair: &PairReport) -> String {
    format!("{} to {}", pair.from, pair.to)
}

/// Hosts that differ from most in what must be the same; from the first one if there is no majority.
fn same(hosts: &[HostReport], name: &str, value: fn(&HostReport) -> &String, find: &mut impl FnMut(&str, String)) {
    let count = |wanted: &String| hosts.iter().filter(|host| value(host) == wanted).count();
    let Some(usual) = hosts.iter().map(value).rev().max_by_key(|wanted| count(wanted)) else { return };
    for host in hosts.iter().filter(|host| value(host) != usual) {
        find(&host.host, format!("{name} {} differs from {usual}: shards must be the same program", value(host)));
    }
}

/// Hosts that offer less than is usual.
fn less(hosts: &[HostReport], name: &str, value: fn(&HostReport) -> f64, find: &mut impl FnMut(&str, String)) {
    let usual = median(&hosts.iter().map(value).collect::<Vec<_>>());
    for host in hosts.iter().filter(|host| value(host) < usual / HOST_FACTOR) {
        find(&host.host, format!("{name} {:.4e}, the median is {usual:.4e}", value(host)));
    }
}

/// The mean of the middle two, so that of two values neither is the usual one. 0 of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count => f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use net_runtime::quic::{Path, PathFigures};

    fn host(name: &str) -> HostReport {
        HostReport {
            host: name.to_owned(),
            name: name.to_owned(),
            kernel: "6.1".to_owned(),
            version: "1".to_owned(),
            build: "ab".to_owned(),
            cores: 8,
            memory_bytes: 1 << 34,
            memory_available_bytes: 1 << 33,
            engine_node_ticks_per_second: 1e9,
            copy_bytes_per_second: 1e10,
            clock_source: "tsc".to_owned(),
            socket_receive_bytes: SOCKET_BYTES,
            socket_send_bytes: SOCKET_BYTES,
            hosts_programs: true,
            lack: None,
        }
    }

    fn pair(from: &str, to: &str, round_trip_ns: u64, clock_ahead_ns: i64) -> PairReport {
        let sizes = vec![PathFigures { bytes: 64, round_trip_ns, bytes_per_second: 1e8 }];
        let path = Path { sizes, mtu: 1452, packets_sent: 9, packets_lost: 0, clock_ahead_ns };
        PairReport { from: from.to_owned(), to: to.to_owned(), path }
    }

    #[track_caller]
    fn check(hosts: &[HostReport], pairs: &[PairReport], expected: &[(&str, &str)]) {
        let found = findings(hosts, pairs);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, (who, what)) in found.iter().zip(expected) {
            assert!(found.who == *who && found.what.contains(what), "{found:?}");
        }
    }

    #[test]
    fn who_is_like_the_others_is_not_named() {
        let hosts = [host("a"), HostReport { engine_node_ticks_per_second: 0.7e9, ..host("b") }, host("c")];
        let pairs = [pair("b", "a", 100, 0), pair("c", "a", 150, 5), pair("c", "b", 90, -5)];
        check(&hosts, &pairs, &[]);
        check(&[host("alone")], &[], &[]);
        check(&[], &[], &[]);
    }

    #[test]
    fn who_stands_out_is_named() {
        let slow = HostReport { engine_node_ticks_per_second: 0.6e9, ..host("b") };
        check(&[host("a"), slow.clone(), host("c")], &[], &[("b", "node-ticks/s")]);
        // Of two, the slower one: by more than twice the factor to the other.
        check(&[host("a"), HostReport { cores: 3, ..host("b") }], &[], &[("b", "cores")]);
        let other = HostReport { build: "cd".to_owned(), ..host("b") };
        check(&[host("a"), other.clone(), host("c")], &[], &[("b", "build cd differs from ab")]);
        check(&[other, host("a"), host("c")], &[], &[("b", "build cd differs from ab")]);
        let small = HostReport { socket_send_bytes: 212_992, ..host("a") };
        check(&[small], &[], &[("a", "net.core.wmem_max=4194304")]);
        let lack = Some("no namespaces".to_owned());
        check(&[host("a"), HostReport { hosts_programs: false, lack, ..host("b") }], &[], &[("b", "no namespaces")]);
        let pairs = [pair("b", "a", 100, 0), pair("c", "a", 900, 0), pair("c", "b", 110, 2_000_000_000)];
        check(&[], &pairs, &[("c to a", "round trip at 64 bytes"), ("c to b", "2.0 s")]);
    }
}
