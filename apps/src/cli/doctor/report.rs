//! What was found, for people.

use super::super::session::{scaled, table};
use super::host::HostReport;
use super::pair::PairReport;
use super::{Report, Unmeasured, odd};
use std::fmt::Write;

/// The report as tables, findings last.
pub(super) fn text(report: &Report) -> String {
    let head = ["host", "cores", "memory", "engine", "copies", "version", "build", "kernel", "clock", "programs"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(report.hosts.iter().map(host));
    let mut text = table(&rows, &[1, 2, 3, 4]);
    if !report.pairs.is_empty() {
        let mut rows = vec![pair_head(&report.pairs[0])];
        rows.extend(report.pairs.iter().map(pair));
        let columns = rows[0].len();
        text.push('\n');
        text += &table(&rows, &(1..columns).collect::<Vec<_>>());
    }
    for Unmeasured { who, why } in &report.failed {
        write!(text, "\n{who} could not be measured: {why}\n").expect("strings take text");
    }
    text.push('\n');
    if report.findings.is_empty() {
        text += if report.hosts.len() > 1 { "nothing stands out\n" } else { "nothing is to be changed\n" };
    }
    for odd::Finding { who, what } in &report.findings {
        writeln!(text, "{who}: {what}").expect("strings take text");
    }
    text
}

fn host(host: &HostReport) -> Vec<String> {
    vec![
        host.host.clone(),
        host.cores.to_string(),
        format!("{:.1} GiB", host.memory_bytes as f64 / f64::from(1 << 30)),
        format!("{}node-ticks/s", scaled(host.engine_node_ticks_per_second)),
        format!("{:.1} GB/s", host.copy_bytes_per_second / 1e9),
        host.version.clone(),
        host.build.clone(),
        host.kernel.clone(),
        host.clock_source.clone(),
        if host.hosts_programs { "yes" } else { "no" }.to_owned(),
    ]
}

fn pair_head(first: &PairReport) -> Vec<String> {
    let mut head = vec!["way".to_owned()];
    for size in &first.path.sizes {
        head.extend([format!("µs, {} B", size.bytes), "MB/s".to_owned()]);
    }
    head.extend(["packets up to", "lost", "clock ahead"].map(str::to_owned));
    head
}

fn pair(pair: &PairReport) -> Vec<String> {
    let mut row = vec![format!("{} to {}", pair.from, pair.to)];
    for size in &pair.path.sizes {
        row.push(format!("{:.1}", size.round_trip_ns as f64 / 1e3));
        row.push(format!("{:.1}", size.bytes_per_second / 1e6));
    }
    let path = &pair.path;
    row.extend([
        format!("{} B", path.mtu),
        format!("{} of {}", path.packets_lost, path.packets_sent),
        format!("{:.3} ms", path.clock_ahead_ns as f64 / 1e6),
    ]);
    row
}
