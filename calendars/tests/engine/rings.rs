//! Random systems, valid by construction: a ring of mixing actors with initial tokens, firings that overlap and end out
//! of order, words in scattered slots, rotating buffers, and a stateful sink beside one of the producers.

use crate::support::{Plan, Planned, Tally, actor, app, channel, machine, operand};
use calendars::{CalendarSet, Rotation};
use sim_core::mix::mix64;
use sim_core::{ActorState, App, Machine};
use std::sync::Arc;

/// Draws from a seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = mix64(self.0);
        (self.0 % bound as u64) as i64
    }
}

pub(crate) struct Ring {
    pub(crate) app: App,
    pub(crate) machine: Machine,
    pub(crate) set: CalendarSet,
}

/// Node i executes actor i, whose token goes on link i to node i + 1; the sink is fed from the last actor's port.
pub(crate) fn ring(seed: u64) -> Ring {
    let draws = &mut Draws(seed);
    let nodes = 2 + draws.below(3);
    let unroll = 1 + draws.below(3);
    let words: Vec<u32> = (0..nodes).map(|_| 1 + draws.below(3) as u32).collect();
    // A link must have room for all words of all tokens.
    let metacycle = unroll * 3 + draws.below(if seed.is_multiple_of(3) { 2000 } else { 6 });
    let latencies: Vec<i64> =
        (0..nodes).map(|_| [0, 1, draws.below(9), draws.below(60)][draws.below(4) as usize]).collect();
    let execs: Vec<i64> = (0..nodes).map(|_| 1 + draws.below(metacycle)).collect();
    let links: Vec<_> = (0..nodes).map(|i| (i as u32, ((i + 1) % nodes) as u32, latencies[i as usize])).collect();
    let machine = machine(&vec![8; nodes as usize], &links);
    let mut plan = Plan::new(&machine, metacycle, unroll as u32);

    // When every firing of the first metacycle starts. Those of one actor end in any order.
    let mut taken = vec![vec![false; metacycle as usize]; nodes as usize];
    let mut visible = vec![0; unroll as usize]; // tick from which a token can be consumed
    let mut starts = vec![Vec::new(); nodes as usize];
    let mut sends = vec![Vec::new(); nodes as usize];
    for node in 0..nodes as usize {
        for start in &mut visible {
            let at = *start + draws.below(2 * metacycle);
            starts[node].push(at);
            let mut last = 0;
            let mut ticks = Vec::new();
            for _ in 0..words[node] {
                let mut tick = at + execs[node] + draws.below(metacycle);
                while taken[node][(tick % metacycle) as usize] {
                    tick += 1;
                }
                taken[node][(tick % metacycle) as usize] = true;
                last = last.max(tick);
                ticks.push(tick);
            }
            sends[node].push(ticks);
            *start = last + latencies[node] + 1;
        }
    }
    // The ring closes with so many tokens that the first actor never waits.
    let slack = visible.iter().max().unwrap() / metacycle + 2;
    let tokens = slack * unroll + draws.below(unroll);
    let last = nodes - 1;

    // Buffers of consumers, indexed by node and place. Away from the ring's end they have no copy to spare: a word may be
    // overwritten in the very tick in which it is last read.
    let mut inputs: Vec<Vec<Rotation>> = Vec::new();
    for node in 0..nodes as usize {
        let producer = (node + nodes as usize - 1) % nodes as usize;
        let mut places = Vec::new();
        for place in 0..unroll as usize {
            let stored = sends[producer][place].iter().min().unwrap() + latencies[producer];
            let copies = match node {
                0 => tokens / unroll + 4 + slack,
                _ => copies(stored, starts[node][place] + execs[node] - 1, metacycle) + draws.below(2),
            };
            places.push(plan.buffer(node as u32, words[producer], copies as u32));
        }
        inputs.push(places);
    }
    let sink_ready = starts[last as usize].iter().max().unwrap() + execs[last as usize];
    for node in 0..nodes {
        for place in 0..unroll {
            let (n, u) = (node as usize, place as usize);
            let written = starts[n][u] + execs[n] - 1;
            let kept = copies(written, *sends[n][u].iter().max().unwrap(), metacycle);
            let output = plan.buffer(node as u32, words[n], kept as u32);
            // Firing j produces the token that firing j + skip consumes.
            let skip = if node == last { tokens } else { 0 };
            let consumer = inputs[((node + 1) % nodes) as usize][((place + skip) % unroll) as usize];
            let turns = u32::try_from((place + skip) / unroll).unwrap();
            for (word, &tick) in (0..).zip(&sends[n][u]) {
                let to = Rotation { base: consumer.base + word, phase: turns, ..consumer };
                plan.send(node as u32, tick, 1, place as u32, Rotation { base: output.base + word, ..output }, to);
            }
            let mut outputs = vec![operand(output, words[n])];
            if node == last {
                let start = sink_ready + place;
                let tap = plan.buffer(node as u32, words[n], copies(written, start, metacycle) as u32);
                outputs.push(operand(tap, words[n]));
                let (place, actor) = (place as u32, nodes as u32);
                let sink = Planned { node: node as u32, core: 7, actor, index: place, place, start, exec: 1 };
                plan.fire(sink, vec![operand(tap, words[n])], Vec::new());
            }
            let (core, start, exec) = (place as u32, starts[n][u], execs[n]);
            let (node, place) = (node as u32, place as u32);
            let planned = Planned { node, core, actor: node, index: place, place, start, exec };
            plan.fire(planned, vec![operand(inputs[n][u], words[(n + nodes as usize - 1) % nodes as usize])], outputs);
        }
    }
    Ring { app: ring_app(&execs, &words, tokens as u64), machine, set: plan.done() }
}

/// Copies that a word needs which is written in one tick and last read in a later one.
fn copies(written: i64, read: i64, metacycle: i64) -> i64 {
    (read - written + metacycle - 1) / metacycle
}

fn ring_app(execs: &[i64], words: &[u32], tokens: u64) -> App {
    let nodes = execs.len() as u32;
    let mut actors: Vec<_> =
        execs.iter().enumerate().map(|(i, &exec)| actor(&format!("a{i}"), &[exec as u64])).collect();
    let mut sink = actor("sink", &[1]);
    sink.state = ActorState::Plain(vec![7]);
    sink.behaviour = Arc::new(Tally);
    actors.push(sink);
    let mut channels: Vec<_> = (0..nodes)
        .map(|i| {
            let tokens = if i + 1 == nodes { tokens } else { 0 };
            channel(&format!("c{i}"), [i, (i + 1) % nodes], [0, 0], words[i as usize], tokens)
        })
        .collect();
    channels.push(channel("tap", [nodes - 1, nodes], [0, 0], words[nodes as usize - 1], 0));
    app(actors, channels)
}
