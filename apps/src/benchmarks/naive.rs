//! The engine that one writes first, as denominator: a queue per link, a boxed actor per node, one tick after the other.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Instant;

/// What a node does with the words that it got; the same work as the load `dense`.
trait Actor {
    fn fire(&mut self, inputs: &[u64; 4], outputs: &mut [u64; 4]);
}

struct Stir {
    seed: u64,
}

impl Actor for Stir {
    fn fire(&mut self, inputs: &[u64; 4], outputs: &mut [u64; 4]) {
        let mut word = inputs.iter().fold(self.seed, |word, input| word.rotate_left(7) ^ input);
        for output in outputs {
            *output = word;
            word = word.wrapping_add(self.seed);
        }
    }
}

/// A torus whose every link carries a word in every tick.
pub(super) struct NaiveTorus {
    actors: Vec<Box<dyn Actor>>,
    /// By link: words on their way. Link 4·v + d leads from node v in direction d.
    links: Vec<VecDeque<u64>>,
    /// By node: its incoming links.
    incoming: Vec<[usize; 4]>,
}

impl NaiveTorus {
    pub(super) fn new(side: u32, latency: usize) -> Self {
        let (side, nodes) = (side as usize, (side * side) as usize);
        let neighbour = |v: usize, direction: usize| {
            let (x, y) = (v % side, v / side);
            match direction {
                0 => (x + 1) % side + side * y,
                1 => (x + side - 1) % side + side * y,
                2 => x + side * ((y + 1) % side),
                _ => x + side * ((y + side - 1) % side),
            }
        };
        let mut incoming = vec![[0; 4]; nodes];
        for v in 0..nodes {
            for d in 0..4 {
                incoming[neighbour(v, d)][d] = 4 * v + d;
            }
        }
        Self {
            actors: (0..nodes).map(|seed| Box::new(Stir { seed: seed as u64 | 1 }) as Box<dyn Actor>).collect(),
            // As many words as the load has initial tokens.
            links: (0..4 * nodes).map(|link| (0..latency + 2).map(|word| (link * word) as u64).collect()).collect(),
            incoming,
        }
    }

    /// Nanoseconds for `ticks` ticks.
    pub(super) fn run(&mut self, ticks: u64) -> f64 {
        let start = Instant::now();
        let mut outputs = [0; 4];
        for _ in 0..ticks {
            for (v, actor) in self.actors.iter_mut().enumerate() {
                let inputs = self.incoming[v].map(|link| self.links[link].pop_front().unwrap_or(0));
                actor.fire(&inputs, &mut outputs);
                for (d, &word) in outputs.iter().enumerate() {
                    self.links[4 * v + d].push_back(word);
                }
            }
        }
        black_box(&self.links);
        start.elapsed().as_secs_f64() * 1e9
    }
}
