//! Packing: how long a metacycle must be so that firings, which nobody interrupts, find room on the cores of a node.
//!
//! To share out whole durations among equal cores is the problem P||Cmax. Small cases are decided by search, longest firing
//! first; for large ones simple bounds must do. Source: Dell'Amico & Martello, "Optimal scheduling of tasks on identical
//! parallel processors", ORSA J. Computing 7(2), 1995 (bounds by counting, depth-first search).

use crate::problem::Problem;
use num_rational::Ratio;
use sim_core::{Id, Machine, NodeId};
use std::collections::BTreeMap;

/// Firings up to which packing is looked at: the more there are, the less is lost.
const FEW: usize = 4_000;
/// Durations up to which packing is decided by search.
const SEARCHED: usize = 128;
/// Steps of one search.
const STEPS: u32 = 20_000;
/// Lengths that are tried.
const LENGTHS: usize = 64;

/// The firings of a placement on the nodes that have several cores; none if there are very many.
pub(crate) struct Jobs {
    /// Cores, and the durations of one repetition of the placement, falling.
    nodes: Vec<(u32, Vec<i64>)>,
}

impl Jobs {
    /// Those of `node_of`, which places every firing of `problem` and consists of `repeats` repetitions.
    pub(crate) fn new(problem: &Problem<'_>, machine: &Machine, node_of: &[NodeId], repeats: u32) -> Self {
        let graph = &problem.graph;
        let mut nodes: BTreeMap<NodeId, Vec<i64>> = BTreeMap::new();
        for firing in graph.firings().filter(|_| graph.len() <= FEW) {
            let node = node_of[firing.index()];
            let firings = graph.firings_of(graph.actor_of(firing)).len() as u32;
            if machine.nodes()[node].cores > 1 && graph.index_of(firing) < firings / repeats {
                nodes.entry(node).or_default().push(graph.duration(firing));
            }
        }
        let sorted = |(node, mut jobs): (NodeId, Vec<i64>)| {
            jobs.sort_unstable_by(|a, b| b.cmp(a));
            (machine.nodes()[node].cores, jobs)
        };
        Self { nodes: nodes.into_iter().map(sorted).collect() }
    }

    /// The least metacycle, from `length` on, for which it is not proved that `repeats` repetitions do not fit.
    pub(crate) fn least_metacycle(&self, repeats: u32, length: i64) -> i64 {
        let repeated = |jobs: &[i64]| jobs.iter().flat_map(|&job| (0..repeats).map(move |_| job)).collect::<Vec<i64>>();
        self.nodes.iter().fold(length, |length, (cores, jobs)| least_length(&repeated(jobs), *cores, length))
    }
}

/// What is known of a packing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// The core of every job.
    Found(Vec<u32>),
    /// There is none.
    Impossible,
    /// None was found.
    Unknown,
}

/// Shares `jobs`, in ticks and falling, out among `cores` such that none gets more than `length`.
pub(crate) fn pack(jobs: &[i64], cores: u32, length: i64) -> Packing {
    if count_bound(jobs, cores) > length {
        return Packing::Impossible;
    }
    if let Some(found) = best_fit(jobs, cores, length) {
        return Packing::Found(found);
    }
    if jobs.len() > SEARCHED {
        return Packing::Unknown;
    }
    let free = i64::from(cores) * length - jobs.iter().sum::<i64>();
    let mut search = Search { jobs, left: vec![length; cores as usize], core_of: Vec::new(), free, steps: STEPS };
    match search.place() {
        Some(true) => Packing::Found(search.core_of),
        Some(false) => Packing::Impossible,
        None => Packing::Unknown,
    }
}

/// The least length, from `length` on, for which it is not proved that `jobs`, falling, do not fit on `cores`.
pub(crate) fn least_length(jobs: &[i64], cores: u32, length: i64) -> i64 {
    let mut length = length.max(count_bound(jobs, cores));
    let unit = jobs.iter().copied().fold(0, gcd).max(1);
    for _ in 0..LENGTHS {
        if pack(jobs, cores, length) != Packing::Impossible {
            break;
        }
        // What a core holds is a multiple of the unit.
        length = (length / unit + 1) * unit;
    }
    length
}

/// The average; and, as some core gets k + 1 of the first k · cores + 1 jobs, what the k + 1 shortest of these take.
fn count_bound(jobs: &[i64], cores: u32) -> i64 {
    let average = Ratio::new(jobs.iter().sum::<i64>(), i64::from(cores.max(1))).ceil().to_integer();
    let together = |k: usize| {
        let last = k * cores as usize;
        jobs.get(last).map(|_| jobs[last - k..=last].iter().sum::<i64>())
    };
    (0..).map_while(together).max().unwrap_or(0).max(average)
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Best-fit decreasing.
fn best_fit(jobs: &[i64], cores: u32, length: i64) -> Option<Vec<u32>> {
    let mut left = vec![length; cores as usize];
    let place = |&job: &i64| {
        let fitting = (0..left.len()).filter(|&core| left[core] >= job);
        let core = fitting.min_by_key(|&core| (left[core], core))?;
        left[core] -= job;
        Some(core as u32)
    };
    jobs.iter().map(place).collect()
}

/// A depth-first search: job after job, on every core that differs from those tried before.
struct Search<'a> {
    jobs: &'a [i64],
    left: Vec<i64>,
    core_of: Vec<u32>,
    /// Ticks that may stay free on all cores together.
    free: i64,
    steps: u32,
}

impl Search<'_> {
    /// Whether the jobs that are left fit; `None` if that takes too many steps.
    fn place(&mut self) -> Option<bool> {
        let Some(&job) = self.jobs.get(self.core_of.len()) else { return Some(true) };
        self.steps = self.steps.checked_sub(1)?;
        // What is less than the shortest job stays free.
        let shortest = self.jobs[self.jobs.len() - 1];
        if self.left.iter().filter(|&&left| left < shortest).sum::<i64>() > self.free {
            return Some(false);
        }
        for core in 0..self.left.len() {
            let left = self.left[core];
            if left < job || self.left[..core].contains(&left) {
                continue;
            }
            self.left[core] -= job;
            self.core_of.push(core as u32);
            if self.place()? {
                return Some(true);
            }
            self.core_of.pop();
            self.left[core] += job;
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All ways to share out, one after the other.
    fn least(jobs: &[i64], cores: usize) -> i64 {
        let ways = cores.pow(jobs.len() as u32);
        let longest = |way: usize| {
            let mut load = vec![0; cores];
            jobs.iter().fold(way, |way, job| {
                load[way % cores] += job;
                way / cores
            });
            load.into_iter().max().unwrap()
        };
        (0..ways).map(longest).min().unwrap()
    }

    proptest! {
        /// Neither a length too long nor one too short, and cores hold what they are said to hold.
        #[test]
        fn the_least_length_is_exact(mut jobs in proptest::collection::vec(1..20_i64, 1..8), cores in 1..=3_u32) {
            jobs.sort_unstable_by(|a, b| b.cmp(a));
            let length = least_length(&jobs, cores, 1);
            prop_assert_eq!(length, least(&jobs, cores as usize));
            let Packing::Found(core_of) = pack(&jobs, cores, length) else { panic!("it fits") };
            for core in 0..cores {
                let held = jobs.iter().zip(&core_of).filter(|&(_, &on)| on == core).map(|(job, _)| job);
                prop_assert!(held.sum::<i64>() <= length);
            }
        }
    }
}
