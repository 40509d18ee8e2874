//! A bad network: a relay for UDP datagrams that loses, delays, reorders, repeats and damages them, from a seed.
//!
//! What happens to the n-th datagram follows from the seed; which datagram that is depends on the moment, as it should.

use sim_core::mix::mix64;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What happens to datagrams, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) seed: u64,
    pub(crate) lost: u64,
    /// Delayed by up to 5 ms, so that later ones overtake them.
    pub(crate) reordered: u64,
    pub(crate) repeated: u64,
    pub(crate) damaged: u64,
}

/// Relays between whoever writes to its address and one target.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// While set, nothing passes.
    pub(crate) cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(target: SocketAddr, faults: Faults) -> Self {
        let front = socket();
        let address = front.local_addr().unwrap();
        let (stop, cut) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let mut pump =
            Pump { faults, front, target, clients: BTreeMap::new(), late: BTreeMap::new(), count: 0, cut: cut.clone() };
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if !pump.turn() {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        Self { address, cut, stop, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

struct Pump {
    faults: Faults,
    front: UdpSocket,
    target: SocketAddr,
    /// For each that writes to the front, a socket that the target answers to.
    clients: BTreeMap<SocketAddr, UdpSocket>,
    /// Delayed datagrams by (time, number): who sent or shall get them, whether towards the target.
    late: BTreeMap<(Instant, u64), (SocketAddr, bool, Vec<u8>)>,
    count: u64,
    cut: Arc<AtomicBool>,
}

impl Pump {
    /// Moves what there is; false if there was nothing.
    fn turn(&mut self) -> bool {
        let mut buffer = vec![0; 65536];
        let mut arrived = Vec::new();
        while let Some((length, client)) = receive(&self.front, &mut buffer) {
            self.clients.entry(client).or_insert_with(socket);
            arrived.push((client, true, buffer[..length].to_vec()));
        }
        for (&client, back) in &self.clients {
            while let Some((length, _)) = receive(back, &mut buffer) {
                arrived.push((client, false, buffer[..length].to_vec()));
            }
        }
        let busy = !arrived.is_empty();
        for (client, forth, bytes) in arrived {
            self.decide(client, forth, bytes);
        }
        while let Some(entry) = self.late.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let (client, forth, bytes) = entry.remove();
            self.pass(client, forth, &bytes);
        }
        busy
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.count += 1;
        mix64(self.faults.seed ^ mix64(self.count)) % below
    }

    fn decide(&mut self, client: SocketAddr, forth: bool, mut bytes: Vec<u8>) {
        let Faults { lost, reordered, repeated, damaged, .. } = self.faults;
        if self.cut.load(Ordering::Relaxed) || self.draw(100) < lost {
            return;
        }
        if self.draw(100) < damaged && !bytes.is_empty() {
            let bit = self.draw(8 * bytes.len() as u64) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if self.draw(100) < repeated {
            self.pass(client, forth, &bytes);
        }
        if self.draw(100) < reordered {
            let at = Instant::now() + Duration::from_micros(self.draw(5000));
            self.late.insert((at, self.count), (client, forth, bytes));
        } else {
            self.pass(client, forth, &bytes);
        }
    }

    fn pass(&self, client: SocketAddr, forth: bool, bytes: &[u8]) {
        // A datagram that cannot be sent is one more that is lost.
        let _ =
            if forth { self.clients[&client].send_to(bytes, self.target) } else { self.front.send_to(bytes, client) };
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        // The other side of an earlier datagram is gone.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}
