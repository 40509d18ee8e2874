//! Runs over real sockets, all shards in this process, each with its own port and threads.

use crate::relay::{Faults, Relay};
use crate::toy::{Toy, Wire, expected, shards};
use sim_core::IdVec;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use tidelock_net_runtime::proto::rendezvous::{Secret, Trust};
use tidelock_net_runtime::proto::session::Config;
use tidelock_net_runtime::proto::{Cause, ShardId, Stop};
use tidelock_net_runtime::quic::{
    Agreement, Figures, Files, Identity, Interrupts, JoinError, Membership, Observer, Options, Port, ProbeError, SIZES,
    host, join, measure, run, serve,
};

const BUILD: [u8; 32] = [1; 32];
const SECOND: Duration = Duration::from_secs(1);

fn agreement() -> Agreement {
    Agreement { build: BUILD, configuration: [2; 32], calendars: [3; 32], seed: 4 }
}

fn port(options: Options) -> Port {
    Port::bind("127.0.0.1:0".parse().unwrap(), Identity::fresh(), options).unwrap()
}

fn secret() -> Trust {
    Trust::Secret(Secret::new(b"secret"))
}

/// Collects parts, and does something when a run is under way.
struct Watch<'a> {
    parts: BTreeMap<ShardId, Vec<u8>>,
    slow: Vec<ShardId>,
    started: &'a (dyn Fn() + Sync),
}

impl Observer for Watch<'_> {
    fn part(&mut self, from: ShardId, bytes: Vec<u8>) -> Result<(), (Cause, String)> {
        self.parts.insert(from, bytes);
        Ok(())
    }

    fn started(&mut self) {
        (self.started)();
    }

    fn slow(&mut self, neighbour: ShardId, _waited: Duration) {
        self.slow.push(neighbour);
    }
}

type Ended = Result<(Toy, Box<Figures>), (Stop, Box<Figures>)>;

/// A system of shards that is to run over sockets, and what happens to it.
struct Case<'a> {
    count: u32,
    wires: Vec<Wire>,
    end: i64,
    options: Options,
    /// Changes a shard before it runs.
    change: &'a (dyn Fn(&mut Config, &mut Toy, &mut Agreement) + Sync),
    /// What the network does to datagrams for a shard.
    faults: Option<Faults>,
    /// Called on shard 0 when all have started, with the address of every shard and the relays.
    started: &'a (dyn Fn(&[SocketAddr], &[Relay]) + Sync),
    interrupts: Interrupts,
}

fn case(count: u32, wires: Vec<Wire>, end: i64) -> Case<'static> {
    Case {
        count,
        wires,
        end,
        options: Options { peer_timeout: 10 * SECOND, ..Options::default() },
        change: &|_, _, _| {},
        faults: None,
        started: &|_, _| {},
        interrupts: Interrupts::default(),
    }
}

impl Case<'_> {
    /// All shards come together and run, each in a thread; how each ended, and the parts on shard 0.
    fn run(&self) -> (Vec<Ended>, Vec<u64>) {
        let ports: Vec<Port> = (0..self.count).map(|_| port(self.options)).collect();
        let addresses: Vec<SocketAddr> = ports.iter().map(|port| port.address().unwrap()).collect();
        let relays: Vec<Relay> =
            self.faults.iter().flat_map(|&faults| addresses.iter().map(move |&to| Relay::start(to, faults))).collect();
        let seen =
            if relays.is_empty() { addresses.clone() } else { relays.iter().map(|relay| relay.address).collect() };
        let size = if self.faults.is_some() { 5000 } else { 3_000_000 };
        let files = Files::from([("a".to_owned(), vec![7; size]), ("b".to_owned(), Vec::new())]);
        let parts = Mutex::default();
        let all = shards(self.count, &self.wires, self.end, 50).into_iter().zip(ports);
        let (seen, files, addresses, relays) = (&seen, &files, &addresses, &relays);
        let shard = |((mut config, mut toy), port): ((Config, Toy), Port)| {
            let (id, parts) = (config.id, &parts);
            move || {
                let mut membership = if id == ShardId(0) {
                    host(port, &secret(), self.count, BUILD, files.clone()).unwrap()
                } else {
                    let (membership, received) = join(port, seen[0], &secret(), id, self.count, BUILD).unwrap();
                    assert_eq!(received, *files);
                    membership
                };
                for (member, address) in membership.manifest.members.values_mut().zip(seen) {
                    member.address = *address;
                }
                let mut agreement = agreement();
                toy.window = 3;
                (self.change)(&mut config, &mut toy, &mut agreement);
                let started = || (self.started)(addresses, relays);
                let mut watch = Watch { parts: BTreeMap::new(), slow: Vec::new(), started: &|| {} };
                if id == ShardId(0) {
                    watch.started = &started;
                }
                let none = Interrupts::default();
                let interrupts = if id == ShardId(0) { &self.interrupts } else { &none };
                let ended = run(membership, &agreement, config.neighbours, toy, interrupts, &mut watch);
                if id == ShardId(0) {
                    *parts.lock().unwrap() = watch.parts;
                }
                ended
            }
        };
        let ended = thread::scope(|scope| {
            let threads: Vec<_> = all.map(|one| scope.spawn(shard(one))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let word = |part: Vec<u8>| u64::from_le_bytes(part[..].try_into().unwrap());
        (ended, parts.into_inner().unwrap().into_values().map(word).collect())
    }

    /// The run ends as it should.
    fn finishes(&self) -> Vec<Figures> {
        let (ended, parts) = self.run();
        let expected = expected(self.count, &self.wires, self.end);
        assert_eq!(parts, expected);
        let figures = ended.into_iter().zip(&expected).map(|(ended, expected)| {
            let (toy, figures) = ended.unwrap();
            assert_eq!(toy.state, *expected);
            *figures
        });
        figures.collect()
    }

    /// All shards but those in `except` stop with one reason.
    fn stops(&self, except: &[usize]) -> Stop {
        let (ended, _) = self.run();
        let stops = ended.into_iter().enumerate().filter(|(id, _)| !except.contains(id));
        let stops: Vec<Stop> = stops.map(|(_, ended)| ended.map(|_| ()).unwrap_err().0).collect();
        let same = stops.iter().all(|stop| (stop.cause, stop.shard) == (stops[0].cause, stops[0].shard));
        assert!(same, "{stops:?}");
        stops[0].clone()
    }
}

fn ring(count: u32) -> Vec<Wire> {
    let pairs = (0..count).flat_map(|id| [(id, (id + 1) % count, 3), ((id + 1) % count, id, 2)]);
    pairs.filter(|(from, to, _)| from != to).map(|(from, to, latency)| Wire::dense(from, to, latency)).collect()
}

#[test]
fn shards_come_together_and_run() {
    for count in [1, 2, 3, 5] {
        let figures = case(count, ring(count), 500).finishes();
        assert!(figures.iter().all(|figures| figures.windows > 0));
        // Every word is sent once, and received.
        let words = |of: fn(&Figures) -> u64| figures.iter().map(of).sum::<u64>();
        let sent = words(|figures| figures.pairs.values().map(|pair| pair.words_sent).sum());
        let received = words(|figures| figures.pairs.values().map(|pair| pair.words_received).sum());
        assert_eq!((sent, received), (500 * ring(count).len() as u64, sent));
    }
}

#[test]
fn a_bad_network_costs_time_only() {
    let faults = Faults { seed: 1, lost: 10, reordered: 20, repeated: 5, damaged: 2 };
    let options = Options { peer_timeout: 60 * SECOND, join_timeout: 120 * SECOND, slow: 60 * SECOND };
    case_with(faults, options, 60).finishes();
}

/// A promise of correctness, not of speed.
#[test]
#[ignore = "takes minutes"]
fn a_terrible_network_costs_time_only() {
    let faults = Faults { seed: 0, lost: 30, reordered: 20, repeated: 5, damaged: 5 };
    let options = Options { peer_timeout: 120 * SECOND, join_timeout: 300 * SECOND, slow: 60 * SECOND };
    // 200 windows.
    case_with(faults, options, 600).finishes();
}

fn case_with(faults: Faults, options: Options, end: i64) -> Case<'static> {
    Case { faults: Some(faults), options, ..case(4, ring(4), end) }
}

/// Ticks of runs that do not end by themselves.
const LONG: i64 = 100_000_000;

#[test]
fn a_cut_shorter_than_the_timeout_costs_time_only() {
    let options = Options { peer_timeout: 8 * SECOND, ..Options::default() };
    let started = |_: &[SocketAddr], relays: &[Relay]| {
        let cut = relays[1].cut.clone();
        cut.store(true, Ordering::Relaxed);
        thread::spawn(move || {
            thread::sleep(SECOND);
            cut.store(false, Ordering::Relaxed);
        });
    };
    let begin = Instant::now();
    Case { started: &started, ..case_with(Faults::default(), options, 200) }.finishes();
    assert!(begin.elapsed() >= SECOND);
}

#[test]
fn a_cut_longer_than_the_timeout_stops_all() {
    let options = Options { peer_timeout: 2 * SECOND, ..Options::default() };
    // Shard 3 dials all others, and nobody dials it: what is cut is the way to shards 0 and 2, its neighbours.
    let started = |_: &[SocketAddr], relays: &[Relay]| {
        relays.iter().for_each(|relay| relay.cut.store(true, Ordering::Relaxed));
    };
    let (ended, _) = Case { started: &started, ..case_with(Faults::default(), options, LONG) }.run();
    for ended in ended {
        let (stop, _) = ended.map(|_| ()).unwrap_err();
        assert_eq!(stop.cause, Cause::Lost, "{stop}");
    }
}

#[test]
fn a_disagreement_is_told_by_both_sides() {
    let change = |config: &mut Config, _: &mut Toy, agreement: &mut Agreement| {
        if config.id == ShardId(1) {
            agreement.configuration[0] ^= 1;
        }
    };
    let (ended, _) = Case { change: &change, ..case(2, ring(2), LONG) }.run();
    for (ended, (ours, theirs)) in ended.into_iter().zip([("0202", "0302"), ("0302", "0202")]) {
        let (stop, _) = ended.map(|_| ()).unwrap_err();
        assert_eq!(stop.cause, Cause::Disagreed);
        let place = |what: &str| stop.message.find(what).unwrap_or_else(|| panic!("{stop}"));
        assert!(place("configuration differs") < place(ours) && place(ours) < place(theirs), "{stop}");
    }
}

/// A shard that believes in other calendars sends words that are not due.
#[test]
fn words_that_are_not_due_end_the_run() {
    let change = |config: &mut Config, toy: &mut Toy, _: &mut Agreement| {
        if config.id == ShardId(2) {
            let wires: Vec<Wire> = ring(3).into_iter().chain([Wire::dense(2, 1, 3)]).collect();
            *toy = Toy::new(2, &wires, LONG);
        }
    };
    let stop = Case { change: &change, ..case(3, ring(3), LONG) }.stops(&[]);
    assert_eq!((stop.cause, stop.shard), (Cause::Violated, ShardId(2)), "{stop}");
}

#[test]
fn a_failing_firing_ends_the_run_everywhere() {
    let change = |config: &mut Config, toy: &mut Toy, _: &mut Agreement| {
        toy.panics_at = (config.id == ShardId(1)).then_some(700);
    };
    let stop = Case { change: &change, ..case(3, ring(3), LONG) }.stops(&[]);
    assert_eq!((stop.cause, stop.shard), (Cause::CheckFailed, ShardId(1)));
    assert!(stop.message.contains("tick 700"), "{stop}");
}

#[test]
fn an_interruption_ends_the_run_everywhere() {
    let interrupts = Interrupts::default();
    let asks = interrupts.clone();
    let started = move |_: &[SocketAddr], _: &[Relay]| asks.ask(Cause::Interrupted);
    let stop = Case { started: &started, interrupts, ..case(3, ring(3), LONG) }.stops(&[]);
    assert_eq!((stop.cause, stop.shard), (Cause::Interrupted, ShardId(0)));
}

/// Strangers, second comers and noise are kept out of a run that is under way; it goes on.
#[test]
fn nobody_disturbs_a_run() {
    let quick = Options { join_timeout: 3 * SECOND, ..Options::default() };
    let refused = Mutex::new(Vec::new());
    let started = |addresses: &[SocketAddr], _: &[Relay]| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for length in [1, 20, 1200, 1400, 65_000] {
            for noise in 0..200_u8 {
                let first = if noise.is_multiple_of(2) { 0xC0 } else { 0x40 };
                let bytes: Vec<u8> = (0..length).map(|at| if at == 0 { first } else { noise }).collect();
                socket.send_to(&bytes, addresses[0]).unwrap();
            }
        }
        let stranger = |address| join(port(quick), address, &secret(), ShardId(1), 3, BUILD).map(|_| ()).unwrap_err();
        refused.lock().unwrap().extend(addresses.iter().map(|&address| stranger(address)));
    };
    Case { started: &started, ..case(3, ring(3), 2000) }.finishes();
    let refused = refused.into_inner().unwrap();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|error| error.cause() == Cause::Disagreed), "{refused:?}");
}

/// Those who may not take part are told why, and do not keep others from coming.
#[test]
fn the_wrong_ones_are_refused() {
    let first = port(Options::default());
    let address = first.address().unwrap();
    thread::scope(|scope| {
        let hosting = scope.spawn(|| host(first, &secret(), 2, BUILD, Files::new()));
        let refused = |secret: &[u8], shard: u32, shards: u32, build: [u8; 32]| {
            let trust = Trust::Secret(Secret::new(secret));
            let result = join(port(Options::default()), address, &trust, ShardId(shard), shards, build);
            match result.map(|_| ()).unwrap_err() {
                JoinError::Refused { reason } => reason,
                other => panic!("{other}"),
            }
        };
        assert!(refused(b"guess", 1, 2, BUILD).contains("secret"));
        assert!(refused(b"secret", 1, 3, BUILD).contains("number of shards differs: 2 here, 3 there"));
        assert!(refused(b"secret", 1, 2, [9; 32]).contains("build differs"));
        assert!(refused(b"secret", 2, 2, BUILD).contains("shard#2 of 2"));
        assert!(refused(b"secret", 0, 2, BUILD).contains("already a shard#0"));
        let member = join(port(Options::default()), address, &secret(), ShardId(1), 2, BUILD);
        let (Membership { manifest, .. }, _) = member.unwrap();
        assert_eq!(hosting.join().unwrap().unwrap().manifest.run, manifest.run);
    });
}

/// Where certificates are pinned beforehand, keys alone decide who takes part, on both sides.
#[test]
fn pinned_certificates_are_all_that_counts() {
    let keys: Vec<Identity> = (0..3).map(|_| Identity::fresh()).collect();
    let pins: IdVec<ShardId, _> = keys.iter().map(Identity::pin).collect();
    let trust = Trust::Pinned { run: [5; 16], pins: pins.clone() };
    let mut ports =
        keys.into_iter().map(|key| Port::bind("127.0.0.1:0".parse().unwrap(), key, Options::default()).unwrap());
    let (first, second, third) = (ports.next().unwrap(), ports.next().unwrap(), ports.next().unwrap());
    let address = first.address().unwrap();
    let refused = |port, trust: &Trust, shard| match join(port, address, trust, ShardId(shard), 3, BUILD) {
        Err(JoinError::Refused { reason }) => reason,
        other => panic!("{:?}", other.map(|_| ())),
    };
    thread::scope(|scope| {
        let hosting = scope.spawn(|| host(first, &trust, 3, BUILD, Files::new()));
        // Somebody with a manifest of its own, in which shard 0 is the true one: its certificate is not accepted.
        let stranger = port(Options::default());
        let mut own = pins.clone();
        own[ShardId(1)] = stranger.identity().pin();
        refused(stranger, &Trust::Pinned { run: [5; 16], pins: own }, 1);
        // The secret of another run, and no pinned certificate.
        refused(port(Options::default()), &secret(), 1);
        // Somebody else in the place of shard 0.
        let mut other = pins.clone();
        let guest = port(Options::default());
        other[ShardId(0)] = port(Options::default()).identity().pin();
        other[ShardId(1)] = guest.identity().pin();
        refused(guest, &Trust::Pinned { run: [5; 16], pins: other }, 1);
        // A shard that says to be another one finds out by itself, and who does not is found out.
        let swapped = port(Options::default());
        assert!(refused(swapped, &trust, 1).contains("none of those in the manifest"));
        let come = |port, shard| join(port, address, &trust, ShardId(shard), 3, BUILD).unwrap().0.manifest;
        let (second, third) = (scope.spawn(move || come(second, 1)), scope.spawn(move || come(third, 2)));
        let manifest = hosting.join().unwrap().unwrap().manifest;
        assert_eq!(manifest.run, [5; 16]);
        assert_eq!(manifest.members.values().map(|member| member.pin).collect::<IdVec<_, _>>(), pins);
        assert_eq!((second.join().unwrap().run, third.join().unwrap().run), ([5; 16], [5; 16]));
    });
}

/// The way between two hosts is measured by those who know a secret.
#[test]
fn a_way_is_measured() {
    let (here, there) = (port(Options::default()), port(Options::default()));
    serve(&there, &Secret::new(b"known"));
    let address = there.address().unwrap();
    let path = measure(&here, address, &Secret::new(b"known")).unwrap();
    assert_eq!(path.sizes.iter().map(|figures| figures.bytes).collect::<Vec<_>>(), SIZES);
    for figures in &path.sizes {
        assert!(figures.round_trip_ns > 0 && figures.bytes_per_second > 0.0, "{path:?}");
    }
    // The same clock, up to a round trip.
    assert!(path.clock_ahead_ns.abs() < 1_000_000_000, "{path:?}");
    let wrong = measure(&here, address, &Secret::new(b"guessed"));
    assert!(matches!(wrong, Err(ProbeError::WrongSecret { .. })), "{wrong:?}");
}

#[test]
fn who_does_not_come_is_named() {
    let options = Options { join_timeout: SECOND, ..Options::default() };
    let error = host(port(options), &secret(), 3, BUILD, Files::new()).unwrap_err();
    assert_eq!(error.cause(), Cause::Lost);
    assert!(error.to_string().contains("[shard#1, shard#2]"), "{error}");
    let nobody = "127.0.0.1:9".parse().unwrap();
    let error = join(port(options), nobody, &secret(), ShardId(1), 2, BUILD).unwrap_err();
    assert!(matches!(error, JoinError::NoHost { .. }), "{error}");
}
