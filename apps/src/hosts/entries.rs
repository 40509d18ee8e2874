//! From the entries of a fleet file to nodes: names, addresses, files, places on the machine, and who reaches whom.

use super::fleet::{Expectation, FleetError, HostNode, Stop, bounded};
use super::fleet_file::{ExpectText, FleetText, NodeText};
use shim::{ExitStatus, HostSpec, Nanos, default_environment, signal_number};
use sim_core::{Machine, NodeId, mix};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The nodes of all entries, without places.
pub(super) fn expand(text: &FleetText, folder: &Path) -> Result<Vec<HostNode>, FleetError> {
    let mut nodes = Vec::new();
    let mut names = BTreeSet::new();
    for entry in &text.nodes {
        let last_port = u64::from(entry.port) + u64::from(entry.count.unwrap_or(1).saturating_sub(1));
        bounded("the port of the last node of an entry", last_port, 0, u64::from(u16::MAX))?;
        for index in 0..entry.count.unwrap_or(1) {
            let name = match entry.count {
                None => entry.name.clone(),
                Some(_) => format!("{}{index}", entry.name),
            };
            if !is_host_name(&name) {
                return Err(FleetError::Name { name });
            }
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(FleetError::DuplicateName { name });
            }
            nodes.push(node(text, entry, folder, (name, index), nodes.len())?);
        }
    }
    Ok(nodes)
}

/// Whether programs can ask for a node by this name: the rule of RFC 952. RFC 1123 lets names begin with digits too, but what
/// looks like a number is an address to many programs.
fn is_host_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(legal)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.ends_with('-')
        && !name.eq_ignore_ascii_case("localhost")
}

/// Node `number` of the fleet, which is node `index` of its entry.
fn node(
    text: &FleetText,
    entry: &NodeText,
    folder: &Path,
    (name, index): (String, u32),
    number: usize,
) -> Result<HostNode, FleetError> {
    let [_, _, high, low] = (number as u32 + 1).to_be_bytes();
    let address = Ipv4Addr::new(10, 0, high, low);
    let port = u32::from(entry.port) + index;
    let key = key(text.seed, &name);
    let fill = |pattern: &str| {
        let values = [
            ("{name}", name.as_str()),
            ("{index}", &index.to_string()),
            ("{address}", &address.to_string()),
            ("{port}", &port.to_string()),
            ("{key}", &key),
        ];
        values.iter().fold(pattern.to_owned(), |text, (what, value)| text.replace(what, value))
    };
    let signal = |signal: &str| {
        signal_number(signal).ok_or_else(|| FleetError::Signal { node: name.clone(), name: signal.to_owned() })
    };
    let mut environment: BTreeMap<String, String> = default_environment().into_iter().collect();
    environment.extend(entry.env.iter().map(|(variable, value)| (variable.clone(), fill(value))));
    let mut files = Vec::new();
    for (to, from) in &entry.files {
        let to = PathBuf::from(fill(to));
        if !to.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            return Err(FleetError::File { node: name, name: to.display().to_string() });
        }
        files.push((folder.join(fill(from)), to));
    }
    let command = Path::new(&entry.command);
    let command = if command.components().count() > 1 { folder.join(command) } else { command.to_owned() };
    let millis = |ms: u64| Nanos(ms.saturating_mul(1_000_000));
    let stop = match &entry.stop {
        None => None,
        Some(stop) => Some(Stop { at: millis(stop.at_ms), signal: signal(&stop.signal)? }),
    };
    let expect = match &entry.expect {
        ExpectText::Exited(code) => Expectation::Ended(ExitStatus::Exited(*code)),
        ExpectText::Signalled(name) => Expectation::Ended(ExitStatus::Signalled(signal(name)?)),
        ExpectText::Running => Expectation::Running,
        ExpectText::Any => Expectation::Any,
    };
    let mut spec = HostSpec::new(&name, command, PathBuf::new()).arguments(entry.args.iter().map(|text| fill(text)));
    spec.environment = environment.into_iter().collect();
    spec.files = files;
    spec.address = address;
    spec.seed = text.seed;
    spec.call_cost = Duration::from_nanos(entry.call_cost_ns);
    Ok(HostNode { spec, entry: entry.name.clone(), on: NodeId(0), start: millis(entry.start_ms), stop, expect })
}

/// 64 hexadecimal digits that belong to the node `name` alone.
fn key(seed: u64, name: &str) -> String {
    let mut word = mix::mix64(mix::fnv(name) ^ mix::mix64(seed ^ mix::fnv("key")));
    let mut digits = String::new();
    for _ in 0..4 {
        word = mix::mix64(word);
        digits += &format!("{word:016x}");
    }
    digits
}

/// Gives every node its place: those that ask for one first, the others in order.
pub(super) fn place(nodes: &mut [HostNode], text: &FleetText, machine: &Machine) -> Result<(), FleetError> {
    let mut taken: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut open = Vec::new();
    let mut at = 0;
    for entry in &text.nodes {
        for index in 0..entry.count.unwrap_or(1) {
            match entry.on.as_ref().filter(|_| index == 0) {
                None => open.push(at),
                Some(on) => {
                    let name = nodes[at].spec.node.clone();
                    let node = machine.node_named(on).filter(|&node| machine.nodes()[node].cores > 0);
                    let node = node.ok_or_else(|| FleetError::NoSuchNode { node: name.clone(), on: on.clone() })?;
                    if let Some(first) = taken.insert(node, at) {
                        let first = nodes[first].spec.node.clone();
                        return Err(FleetError::Shared { first, second: name, on: on.clone() });
                    }
                    nodes[at].on = node;
                }
            }
            at += 1;
        }
    }
    let free = machine.nodes().iter().filter(|(id, node)| node.cores > 0 && !taken.contains_key(id));
    let free: Vec<NodeId> = free.map(|(id, _)| id).collect();
    if free.len() < open.len() {
        return Err(FleetError::TooManyNodes { needed: open.len(), found: free.len() });
    }
    for (at, node) in open.into_iter().zip(free) {
        nodes[at].on = node;
    }
    Ok(())
}

/// Ordered pairs of nodes that can reach each other, both ways.
pub(super) fn connections(text: &FleetText, nodes: &[HostNode]) -> Result<BTreeSet<(usize, usize)>, FleetError> {
    let all = || (0..nodes.len()).flat_map(|a| (0..nodes.len()).map(move |b| (a, b)));
    let Some(entries) = &text.connections else { return Ok(all().filter(|(a, b)| a != b).collect()) };
    let mut wanted = BTreeSet::new();
    for (a, b) in entries {
        for name in [a, b] {
            if !text.nodes.iter().any(|entry| entry.name == *name) {
                return Err(FleetError::Connection { name: name.clone() });
            }
        }
        wanted.insert((a.as_str(), b.as_str()));
        wanted.insert((b.as_str(), a.as_str()));
    }
    let joined =
        |&(a, b): &(usize, usize)| a != b && wanted.contains(&(nodes[a].entry.as_str(), nodes[b].entry.as_str()));
    Ok(all().filter(joined).collect())
}
