//! Packing: how long a metacycle must be so that firings, which nobody interrupts, find room on the cores of a node.
//!
//! To share out whole durations among equal cores is the problem P||Cmax. It is decided by best-fit decreasing, by counting,
//! or by a search, where that does not take too long. Source: Dell'Amico & Martello, "Optimal scheduling of tasks on identical
//! parallel processors", ORSA J. Computing 7(2), 1995 (bounds by counting).

use crate::problem::Problem;
use num_rational::Ratio;
use sim_core::{Id, Machine, NodeId};
use std::collections::BTreeMap;

/// Firings up to which packing is looked at: the more there are, the less is lost.
const FEW: usize = 4_000;
/// Steps of one search.
const STEPS: u32 = 20_000;
/// Different durations times cores up to which there is a search: as deep it may go.
const DEPTH: usize = 1_000;
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
    let kinds: Vec<(i64, usize)> = jobs.chunk_by(|a, b| a == b).map(|alike| (alike[0], alike.len())).collect();
    if kinds.len() * cores as usize > DEPTH {
        return Packing::Unknown;
    }
    let free = i64::from(cores) * length - jobs.iter().sum::<i64>();
    let taken = vec![vec![0; kinds.len()]; cores as usize];
    let mut search = Search { kinds, length, taken, steps: STEPS };
    match search.fill(0, free) {
        Some(true) => Packing::Found(search.core_of_jobs(jobs)),
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

/// A search core after core: each is filled, with the longest job that is left among others, in all ways that leave no more
/// room than may stay free.
///
/// Source: Korf, "A new algorithm for optimal bin packing", AAAI 2002 (bin completion).
struct Search {
    /// Durations, falling, and how many jobs of each are left.
    kinds: Vec<(i64, usize)>,
    length: i64,
    /// How many jobs of each kind every core has.
    taken: Vec<Vec<usize>>,
    steps: u32,
}

impl Search {
    /// Whether the cores from `core` on can take what is left if `free` ticks may stay free; `None` after too many steps.
    fn fill(&mut self, core: usize, free: i64) -> Option<bool> {
        match self.kinds.iter().position(|&(_, left)| left > 0) {
            None => Some(true),
            Some(_) if core == self.taken.len() => Some(false),
            Some(longest) => self.add(core, longest, 1, self.length, free),
        }
    }

    /// Adds at least `least` jobs of a kind, and then shorter ones, to a core that has `room`.
    fn add(&mut self, core: usize, kind: usize, least: usize, room: i64, free: i64) -> Option<bool> {
        self.steps = self.steps.checked_sub(1)?;
        let Some(&(duration, left)) = self.kinds.get(kind) else {
            return if room > free { Some(false) } else { self.fill(core + 1, free - room) };
        };
        let shorter: i64 = self.kinds[kind + 1..].iter().map(|&(duration, left)| duration * left as i64).sum();
        for count in (least..=left.min((room / duration) as usize)).rev() {
            let room = room - duration * count as i64;
            if room - shorter > free {
                break;
            }
            self.kinds[kind].1 -= count;
            self.taken[core][kind] = count;
            if self.add(core, kind + 1, 0, room, free)? {
                return Some(true);
            }
            self.taken[core][kind] = 0;
            self.kinds[kind].1 += count;
        }
        Some(false)
    }

    /// The core of every one of `jobs`, which are falling, as the kinds are.
    fn core_of_jobs(&self, jobs: &[i64]) -> Vec<u32> {
        let kinds = 0..self.kinds.len();
        let of_kind = |kind: usize| (0..).zip(&self.taken).flat_map(move |(core, taken)| vec![core; taken[kind]]);
        let cores: Vec<u32> = kinds.flat_map(of_kind).collect();
        assert_eq!(cores.len(), jobs.len(), "every job has a core");
        cores
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
