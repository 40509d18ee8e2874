//! All interleavings of two and three sessions: whatever the order in which shards compute and messages arrive, nobody
//! waits forever, nobody reads a word that is not there, and the result is the same.

use crate::toy::{Toy, Wire, expected, shards};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;
use tidelock_net_runtime::proto::session::{Input, Message, Phase};
use tidelock_net_runtime::proto::{Cause, Session, ShardId};

/// Sessions and all that is under way: words and control messages overtake each other, but not themselves.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    sessions: Vec<Session<Toy>>,
    flight: BTreeMap<(ShardId, ShardId, bool), VecDeque<Message>>,
    interrupted: bool,
}

impl World {
    fn new(count: u32, wires: &[Wire], end: i64, credit: i64) -> Self {
        let mut sessions: Vec<_> =
            shards(count, wires, end, credit).into_iter().map(|(config, toy)| Session::new(config, toy)).collect();
        for (id, session) in sessions.iter_mut().enumerate() {
            for other in (0..count).filter(|&other| other != id as u32) {
                session.handle(Duration::ZERO, ShardId(other), Input::Connected);
            }
        }
        let mut world = Self { sessions, flight: BTreeMap::new(), interrupted: false };
        world.settle();
        world
    }

    /// Puts what sessions have to say on its way.
    fn settle(&mut self) {
        for (id, session) in self.sessions.iter_mut().enumerate() {
            while let Some((to, message)) = session.poll_transmit() {
                let control = matches!(message, Message::Control(_));
                self.flight.entry((ShardId(id as u32), to, control)).or_default().push_back(message);
            }
            while session.poll_event().is_some() {}
        }
        self.flight.retain(|_, queue| !queue.is_empty());
    }

    /// All worlds that may come next.
    fn successors(&self, interrupt: bool) -> Vec<Self> {
        let mut next = Vec::new();
        for id in 0..self.sessions.len() {
            if self.sessions[id].runnable() {
                let mut world = self.clone();
                world.sessions[id].step(Duration::ZERO);
                next.push(world);
            }
        }
        for &(from, to, control) in self.flight.keys() {
            let mut world = self.clone();
            let message = world.flight.get_mut(&(from, to, control)).unwrap().pop_front().unwrap();
            let input = match message {
                Message::Batch(batch) => Input::Batch(batch),
                Message::Control(control) => Input::Control(control),
            };
            world.sessions[to.0 as usize].handle(Duration::ZERO, from, input);
            next.push(world);
        }
        let active = |phase: &Phase| matches!(phase, Phase::Running | Phase::Draining);
        if interrupt && !self.interrupted && active(self.sessions[0].phase()) {
            let mut world = self.clone();
            world.interrupted = true;
            world.sessions[0].interrupt(Duration::ZERO, Cause::Interrupted);
            next.push(world);
        }
        next.iter_mut().for_each(Self::settle);
        next
    }

    fn over(&self) -> bool {
        let ended = |phase: &Phase| matches!(phase, Phase::Finished | Phase::Stopped(_));
        ended(self.sessions[0].phase())
    }
}

/// Visits every world that can be reached; returns how many, and those after which nothing can happen.
fn explore(start: World, interrupt: bool) -> (usize, Vec<World>) {
    let (mut seen, mut open, mut last) = (HashSet::new(), vec![start.clone()], Vec::new());
    seen.insert(start);
    while let Some(world) = open.pop() {
        let next = world.successors(interrupt);
        if next.is_empty() {
            last.push(world);
            continue;
        }
        for world in next {
            if seen.insert(world.clone()) {
                open.push(world);
            }
        }
    }
    (seen.len(), last)
}

/// Checks a run to its end in every order, and returns the number of worlds.
fn check(count: u32, wires: &[Wire], end: i64, credit: i64) -> usize {
    let (worlds, last) = explore(World::new(count, wires, end, credit), false);
    for world in &last {
        assert!(world.over(), "nobody can do anything, but the run is not done");
        assert!(world.flight.is_empty());
        assert!(world.sessions.iter().all(|session| *session.phase() == Phase::Finished));
        let states: Vec<u64> = world.sessions.iter().map(|session| session.worker().state).collect();
        assert_eq!(states, expected(count, wires, end));
    }
    assert!(!last.is_empty());
    worlds
}

#[test]
fn two_that_talk_to_each_other() {
    let wires = [Wire::dense(0, 1, 1), Wire::dense(1, 0, 1)];
    assert_eq!(check(2, &wires, 6, 8), GOLDEN[0]);
}

#[test]
fn two_of_which_one_only_listens() {
    // The credit alone holds the first one back.
    assert_eq!(check(2, &[Wire::dense(0, 1, 0)], 8, 2), GOLDEN[1]);
}

#[test]
fn two_with_latency_zero_and_sparse_words() {
    let sparse = Wire { from: 1, to: 0, latency: 0, period: 3, offset: 1 };
    assert_eq!(check(2, &[Wire::dense(0, 1, 0), sparse], 6, 1), GOLDEN[2]);
}

#[test]
fn three_in_a_ring() {
    let wires = [Wire::dense(0, 1, 0), Wire::dense(1, 2, 0), Wire::dense(2, 0, 1)];
    assert_eq!(check(3, &wires, 3, 2), GOLDEN[3]);
}

#[test]
fn three_in_a_line() {
    let wires = [Wire::dense(0, 1, 0), Wire::dense(1, 0, 1), Wire::dense(1, 2, 0)];
    assert_eq!(check(3, &wires, 3, 2), GOLDEN[4]);
}

/// An interruption at any moment ends all at one tick, or comes too late: then the run ends as if there had been none.
#[test]
fn an_interruption_stops_all_at_one_tick() {
    let wires = [Wire::dense(0, 1, 1), Wire::dense(1, 0, 0)];
    let (worlds, last) = explore(World::new(2, &wires, 4, 4), true);
    let mut ends = BTreeSet::new();
    for world in &last {
        assert!(world.over(), "nobody can do anything, but the run has not ended");
        let positions: BTreeSet<_> = world.sessions.iter().map(|session| session.worker().position_now()).collect();
        assert_eq!(positions.len(), 1, "all stop at one tick");
        let finished: BTreeSet<_> = world.sessions.iter().map(|session| *session.phase() == Phase::Finished).collect();
        let at_end = positions.contains(&4);
        assert!(finished.contains(&at_end) && (!at_end || finished.len() == 1), "who is at the end has finished");
        ends.extend(positions);
    }
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(worlds, GOLDEN[5]);
}

/// Numbers of worlds. They change only with the protocol.
const GOLDEN: [usize; 6] = [270, 198, 95, 30_727, 2201, 1269];
