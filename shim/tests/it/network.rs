//! Nodes that talk to each other: slots of words between hosts, as calendars carry them.

use super::support::{Folder, can_host, has, spec};
use shim::wire::{Egress, Ingress};
use shim::{ExitStatus, Host, Input, Nanos};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Words of a slot, and nanoseconds from one to the next.
const SLOT: usize = 8;
const PERIOD: u64 = 50_000;

struct Node {
    host: Host,
    egress: Egress,
    ingress: Ingress,
    slot: Vec<u64>,
    deadline: Option<Nanos>,
    status: Option<ExitStatus>,
    hash: u64,
    fresh: bool,
    address: Ipv4Addr,
}

/// Two nodes, `a` and `b`, each with a Python program, until both have ended. What they print, and their trace hashes.
fn pair(programs: [&str; 2]) -> [(String, u64); 2] {
    let folder = Folder::new();
    let names = ["a", "b"];
    let addresses = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
    let mut nodes: Vec<Node> = (0..2)
        .map(|i| {
            let mut spec = spec("python3", &["-u", "-c", programs[i]]);
            spec.node = names[i].to_owned();
            spec.address = addresses[i];
            spec.hosts = names.iter().map(|name| (*name).to_owned()).zip(addresses).collect();
            spec.directory = folder.path().join(names[i]);
            Node {
                host: Host::spawn(spec).unwrap(),
                egress: Egress::default(),
                ingress: Ingress::new(addresses[1 - i], addresses[i]),
                slot: vec![0; SLOT],
                deadline: None,
                status: None,
                hash: 0,
                fresh: true,
                address: addresses[1 - i],
            }
        })
        .collect();
    for iteration in 0..2_000_000 {
        let now = Nanos(iteration * PERIOD);
        let slots = [nodes[1].slot.clone(), nodes[0].slot.clone()];
        for (node, slot) in nodes.iter_mut().zip(slots) {
            let mut packets = Vec::new();
            node.ingress.take(&slot, &mut packets).unwrap();
            let due = node.deadline.is_some_and(|deadline| deadline <= now);
            if node.fresh || due || !packets.is_empty() {
                let backlog = BTreeMap::from([(node.address, node.egress.length() as u64)]);
                let output = node.host.advance(Input { now, packets, backlog, ..Input::default() }).unwrap();
                output.packets.iter().for_each(|packet| node.egress.push(packet));
                (node.deadline, node.status, node.hash, node.fresh) =
                    (output.deadline, output.status, output.trace_hash, output.congested);
            }
            node.egress.fill(&mut node.slot);
        }
        if nodes.iter().all(|node| node.status.is_some()) {
            break;
        }
    }
    let end = |(name, node): (&str, &Node)| {
        let read = |file: &str| std::fs::read_to_string(folder.path().join(name).join(file)).unwrap();
        assert_eq!(node.status, Some(ExitStatus::Exited(0)), "{name}: {}{}", read("stdout"), read("stderr"));
        (read("stdout"), node.hash)
    };
    let ends: Vec<(String, u64)> = names.into_iter().zip(&nodes).map(end).collect();
    ends.try_into().unwrap()
}

/// Runs twice, and expects the same.
fn check(programs: [&str; 2], expected: [&str; 2]) {
    if !can_host() || !has("python3") {
        return;
    }
    let first = pair(programs);
    assert_eq!([first[0].0.as_str(), first[1].0.as_str()], expected);
    assert_eq!(pair(programs), first);
}

/// Datagrams there and back: the round trip is two slots, by both clocks.
#[test]
fn ping_pong() {
    let a = "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
time.sleep(0.01)
for i in range(3):
    start = time.monotonic_ns()
    s.sendto(b'ping %d' % i, ('b', 5000))
    print(s.recvfrom(100), time.monotonic_ns() - start)
";
    let b = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 5000))
for i in range(3):
    data, peer = s.recvfrom(100)
    s.sendto(data.replace(b'ping', b'pong'), peer)
print(peer)
";
    let answer = |i: u32, time: u64| format!("(b'pong {i}', ('10.0.0.2', 5000)) {time}\n");
    let expected: String = (0..3).map(|i| answer(i, 2 * PERIOD)).collect();
    check([a, b], [&expected, "('10.0.0.1', 32768)\n"]);
}

/// A stream that is larger than every window and buffer, and then half closed.
#[test]
fn a_long_stream() {
    let a = "
import socket, hashlib, time
time.sleep(0.01)
s = socket.create_connection(('b', 80))
data = bytes(i * 7 & 255 for i in range(400_000))
s.sendall(data)
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode() == hashlib.sha256(data).hexdigest(), s.recv(100))
";
    let b = "
import socket, hashlib
l = socket.create_server(('', 80))
s, peer = l.accept()
h, n = hashlib.sha256(), 0
while data := s.recv(65536):
    h.update(data); n += len(data)
s.sendall(h.hexdigest().encode())
s.close()
print(n, peer[0])
";
    check([a, b], ["True b''\n", "400000 10.0.0.1\n"]);
}

/// A program may end before all it has written has left: its node sends the rest.
#[test]
fn what_was_written_last_arrives() {
    let a = "
import socket, time
time.sleep(0.01)
s = socket.create_connection(('b', 80))
s.sendall(bytes(300_000))
";
    let b = "
import socket
s, peer = socket.create_server(('', 80)).accept()
n = 0
while data := s.recv(65536): n += len(data)
print(n)
";
    check([a, b], ["", "300000\n"]);
}

/// Nobody listens; a backlog that is full holds others back until there is room; a stream that is broken off.
#[test]
fn refusal_backlog_and_reset() {
    let a = "
import socket, time, select
def attempt(port):
    s = socket.socket(); s.setblocking(False)
    s.connect_ex(('b', port))
    return s
refused = attempt(81)
select.select([], [refused], [], 1)
print(refused.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
time.sleep(0.01)
streams = [attempt(80) for _ in range(4)]
time.sleep(0.01)
print([bool(select.select([], [s], [], 0)[1]) for s in streams])
time.sleep(0.1)
print([bool(select.select([], [s], [], 0)[1]) for s in streams])
streams[0].send(b'unread')
time.sleep(0.1)
try: print(streams[0].recv(10))
except ConnectionResetError as e: print('reset')
";
    let b = "
import socket, time
l = socket.socket(); l.bind(('', 80)); l.listen(1)
time.sleep(0.06)
accepted = [l.accept()[0] for _ in range(4)]
time.sleep(0.1)
accepted[0].close()
time.sleep(0.1)
print(len(accepted))
";
    check([a, b], ["111\n[True, True, False, False]\n[True, True, True, True]\nreset\n", "4\n"]);
}
