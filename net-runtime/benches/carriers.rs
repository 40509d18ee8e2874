//! What an exchange of words costs, by who carries it: the window protocol over QUIC, the same words over plain TCP, and over
//! MPI, in shared memory and on TCP. `cargo bench -p tidelock-net-runtime`; MPI needs `mpicc` and `mpirun`. A
//! number as an argument is the only size that is measured.
//!
//! Two shards send each other the words of a window and wait for those of the other's: nothing is computed, and nobody is
//! ahead. A round trip is two windows. All carriers take turns, several times, and each figure is a median: ratios within a
//! row mean something, absolute times do not travel.

use sim_core::{Tick, Ticks};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tidelock_net_runtime::proto::rendezvous::{Secret, Trust};
use tidelock_net_runtime::proto::{Cause, Neighbour, Schedule, ShardId, Worker};
use tidelock_net_runtime::quic::{Agreement, Files, Identity, Interrupts, Observer, Options, Port, host, join, run};

/// Bytes of a window, and how many windows are measured at once.
const SIZES: [(usize, u64); 4] = [(64, 8_000), (1 << 10, 8_000), (1 << 16, 1_500), (1 << 20, 120)];
const REPEATS: usize = 9;

fn main() {
    let mpi = Mpi::build();
    if let Err(reason) = &mpi {
        println!("without MPI: {reason}");
    }
    println!("round trip in µs            bytes     QUIC      TCP  QUIC ÷ TCP   MPI on TCP  MPI in memory");
    let only = std::env::args().find_map(|word| word.parse::<usize>().ok());
    for (bytes, windows) in SIZES.into_iter().filter(|(bytes, _)| only.is_none_or(|only| only == *bytes)) {
        let mut all: [Vec<f64>; 4] = Default::default();
        let mut ratios = Vec::new();
        for _ in 0..REPEATS {
            let (quic, tcp) = (over_quic(bytes / 8, windows), over_tcp(bytes, windows));
            all[0].push(quic);
            all[1].push(tcp);
            ratios.push(quic / tcp);
            if let Ok(mpi) = &mpi {
                all[2].push(mpi.measure("tcp,self", bytes, windows));
                all[3].push(mpi.measure("vader,self", bytes, windows));
            }
        }
        let [quic, tcp, on_tcp, in_memory] = all.map(|times| median(times) * 2e6);
        let ratio = median(ratios);
        println!("{bytes:>33} {quic:>8.1} {tcp:>8.1} {ratio:>11.2} {on_tcp:>12.1} {in_memory:>14.1}");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Sends so many words in every tick and needs, for every tick, what the other sent in the one before.
struct Exchange {
    words: Vec<u64>,
    position: Tick,
    end: Tick,
    /// All words sent before this tick have come.
    received_before: Tick,
    /// Ticks that are executed and whose words are not sent.
    unsent: usize,
}

#[derive(Debug)]
struct Words(u64);

impl Schedule for Words {
    fn words(&self, ticks: Range<Tick>) -> u64 {
        self.0 * (ticks.end.0 - ticks.start.0) as u64
    }
}

impl Worker for Exchange {
    type Fault = String;

    fn position(&self) -> Tick {
        self.position
    }

    fn end(&self) -> Tick {
        self.end
    }

    fn ready(&self, limit: Tick) -> Option<Tick> {
        let next = Tick(self.position.0 + 1);
        (self.position < limit.min(self.end) && self.received_before >= self.position).then_some(next)
    }

    fn advance(&mut self, _limit: Tick) -> Result<(), String> {
        self.position.0 += 1;
        self.unsent += 1;
        Ok(())
    }

    fn reached(&self, limit: Tick) -> bool {
        self.position >= limit.min(self.end)
    }

    fn boundary(&self, tick: Tick) -> Tick {
        tick
    }

    fn send(&mut self, _to: ShardId, words: &mut Vec<u64>) -> Tick {
        (0..std::mem::take(&mut self.unsent)).for_each(|_| words.extend_from_slice(&self.words));
        self.position
    }

    fn receive(&mut self, _from: ShardId, sent_before: Tick, _words: &[u64]) -> Result<(), String> {
        self.received_before = sent_before;
        Ok(())
    }

    fn parts(&mut self, _parts: &mut Vec<Vec<u8>>, _last: bool) {}
}

struct Nothing;

impl Observer for Nothing {
    fn part(&mut self, _from: ShardId, _bytes: Vec<u8>) -> Result<(), (Cause, String)> {
        Ok(())
    }
}

/// Seconds per window of two shards under the window protocol, in threads of this process.
fn over_quic(words: usize, windows: u64) -> f64 {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options { peer_timeout: Duration::from_secs(60), ..Options::default() };
    let ports = [0, 1].map(|_| Port::bind(address, Identity::fresh(), options).expect("there is a port"));
    let first = ports[0].address().expect("it is bound");
    let shard = |id: u32, port: Port| {
        let (trust, build) = (Trust::Secret(Secret::new(b"of a benchmark")), [0; 32]);
        let membership = match id {
            0 => host(port, &trust, 2, build, Files::new()).expect("the other comes"),
            _ => join(port, first, &trust, ShardId(id), 2, build).expect("the first is there").0,
        };
        let schedule = || Arc::new(Words(words as u64));
        let neighbour = Neighbour {
            id: ShardId(1 - id),
            inbound: schedule(),
            outbound: schedule(),
            lookahead: Some(Ticks(1)),
            credit: Ticks(16),
            stride: Ticks(1),
        };
        let start = Tick(0);
        let worker = Exchange {
            words: vec![0x0123_4567_89AB_CDEF; words],
            position: start,
            end: Tick(windows as i64),
            received_before: start,
            unsent: 0,
        };
        let agreement = Agreement { build, configuration: [0; 32], calendars: [0; 32], seed: 0 };
        let ended = run(membership, &agreement, vec![neighbour], worker, &Interrupts::default(), &mut Nothing);
        let Ok((_, figures)) = ended else { panic!("it ended early") };
        figures.run_ns as f64 / 1e9 / windows as f64
    };
    thread::scope(|scope| {
        let [first, second] = ports;
        let other = scope.spawn(move || shard(1, second));
        let own = shard(0, first);
        own.max(other.join().expect("it does not panic"))
    })
}

/// What both ends of a connection can hold on their way, at least: nobody writes more without reading.
const CHUNK: usize = 1 << 16;

/// Seconds per window of two threads that exchange it over TCP.
fn over_tcp(bytes: usize, windows: u64) -> f64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let exchange = |mut stream: TcpStream| {
        stream.set_nodelay(true).expect("it is a TCP socket");
        let (words, mut buffer) = (vec![0xA5_u8; bytes], vec![0_u8; bytes]);
        let begin = Instant::now();
        for _ in 0..windows {
            for (sent, received) in words.chunks(CHUNK).zip(buffer.chunks_mut(CHUNK)) {
                stream.write_all(sent).expect("the other side is there");
                stream.read_exact(received).expect("the other side is there");
            }
        }
        begin.elapsed().as_secs_f64() / windows as f64
    };
    thread::scope(|scope| {
        let other = scope.spawn(move || exchange(listener.accept().expect("the other side comes").0));
        let own = exchange(TcpStream::connect(address).expect("somebody listens"));
        own.max(other.join().expect("it does not panic"))
    })
}

/// Two processes that exchange windows by `MPI_Sendrecv`.
struct Mpi {
    program: PathBuf,
}

const SOURCE: &str = r#"
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int rank, bytes = atoi(argv[1]);
    long windows = atol(argv[2]);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    char *out = calloc(bytes, 1), *in = calloc(bytes, 1);
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime();
    for (long window = 0; window < windows; window++)
        MPI_Sendrecv(out, bytes, MPI_CHAR, 1 - rank, 0, in, bytes, MPI_CHAR, 1 - rank, 0, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
    double took = MPI_Wtime() - begin;
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) printf("%.12f\n", took / windows);
    MPI_Finalize();
}
"#;

impl Mpi {
    fn build() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("tidelock-carriers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mpi = Self { program: folder.join("exchange") };
        let mut compiler = Command::new("mpicc");
        compiler.args(["-O2", "-x", "c", "-", "-o"]).arg(&mpi.program).stdin(Stdio::piped());
        let mut compiling = compiler.spawn().map_err(|error| format!("mpicc: {error}"))?;
        compiling.stdin.take().expect("it is piped").write_all(SOURCE.as_bytes()).map_err(|error| error.to_string())?;
        match compiling.wait() {
            Ok(status) if status.success() => Ok(mpi),
            _ => Err("mpicc fails".to_owned()),
        }
    }

    /// Seconds per window.
    fn measure(&self, carrier: &str, bytes: usize, windows: u64) -> f64 {
        let mut launcher = Command::new("mpirun");
        launcher.args(["-n", "2", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]);
        launcher.args(["--mca", "pml", "ob1", "--mca", "btl", carrier]);
        launcher.arg(&self.program).args([bytes.to_string(), windows.to_string()]).stderr(Stdio::null());
        let output = launcher.output().ok().filter(|output| output.status.success());
        let seconds = output.and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok());
        seconds.unwrap_or(f64::NAN)
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        let folder = self.program.parent().expect("it is in a folder of its own");
        let _ = std::fs::remove_dir_all(folder);
    }
}
