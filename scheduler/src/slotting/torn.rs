//! Chains that are divided among the cores of a node because no core has room for a whole one.
//!
//! Firings of one duration are interchangeable in a packing. So chains are dealt out core after core, as in McNaughton's
//! wrap-around rule ("Scheduling with deadlines and loss functions", Management Science 6(1), 1959), and a chain is torn
//! where a core is full. Its part on the next core starts when the one before ends: a chain that fits a metacycle never
//! meets itself. On every core the parts of torn chains follow each other without a gap, and the rest finds room behind
//! them, because what is left of a ring without one arc is one arc. That works out as long as no circle of torn chains and
//! cores closes.

use crate::analysis::FiringId;
use crate::packing::{Packing, pack};
use std::collections::BTreeMap;
use std::mem::take;

/// Slot and core of a firing. Slots of a chain rise, and may pass the metacycle's end.
pub(super) struct Fixed {
    pub(super) firing: FiringId,
    pub(super) slot: i64,
    pub(super) core: u32,
}

/// Firings of one chain, of equal durations, and how many of them every core has.
struct Dealt<'u> {
    members: &'u [FiringId],
    duration: i64,
    parts: Vec<(u32, usize)>,
}

/// Fixes slots and cores for `units`, each a single firing or a chain in order, on a node with `cores` cores. `None` if the
/// firings do not fit one by one, if a chain has firings of several durations, or if torn chains close a circle.
pub(super) fn lay_out<'u>(
    units: impl Iterator<Item = &'u [FiringId]>,
    duration: impl Fn(FiringId) -> i64,
    cores: u32,
    metacycle: i64,
) -> Option<Vec<Fixed>> {
    let (mut torn, whole): (Vec<_>, Vec<_>) =
        deal(units, duration, cores, metacycle)?.into_iter().partition(|unit| unit.parts.len() > 1);
    let mut layout = Layout { ends: vec![None; cores as usize], fixed: Vec::new() };
    while !torn.is_empty() {
        // One that continues what lies somewhere already, so that a circle is noticed when it closes.
        let next = torn.iter().position(|unit| layout.begun(unit) > 0).unwrap_or(0);
        let mut unit = torn.swap_remove(next);
        if layout.begun(&unit) > 1 {
            return None;
        }
        let first = unit.parts.iter().position(|&(core, _)| layout.ends[core as usize].is_some());
        unit.parts.rotate_left(first.unwrap_or(0));
        layout.add(&unit);
    }
    whole.iter().for_each(|unit| layout.add(unit));
    Some(layout.fixed)
}

/// Deals the firings of every duration out to cores, as many as a packing gives each, long chains first.
fn deal<'u>(
    units: impl Iterator<Item = &'u [FiringId]>,
    duration: impl Fn(FiringId) -> i64,
    cores: u32,
    metacycle: i64,
) -> Option<Vec<Dealt<'u>>> {
    let mut by_duration: BTreeMap<i64, Vec<&[FiringId]>> = BTreeMap::new();
    for members in units {
        let of_first = duration(members[0]);
        if members.iter().any(|&member| duration(member) != of_first) {
            return None;
        }
        by_duration.entry(of_first).or_default().push(members);
    }
    let count = |units: &[&[FiringId]]| units.iter().map(|members| members.len()).sum();
    let jobs = by_duration.iter().rev().flat_map(|(&duration, units)| std::iter::repeat_n(duration, count(units)));
    let jobs: Vec<i64> = jobs.collect();
    let Packing::Found(core_of) = pack(&jobs, cores, metacycle) else { return None };
    let mut dealt = Vec::new();
    let mut rest = core_of.as_slice();
    for (&duration, units) in by_duration.iter_mut().rev() {
        let (here, others) = rest.split_at(count(units));
        rest = others;
        let mut here = here.to_vec();
        here.sort_unstable();
        units.sort_by_key(|members| std::cmp::Reverse(members.len()));
        let mut here = here.as_slice();
        for &members in units.iter() {
            let (of_unit, others) = here.split_at(members.len());
            here = others;
            let parts = of_unit.chunk_by(|a, b| a == b).map(|part| (part[0], part.len())).collect();
            dealt.push(Dealt { members, duration, parts });
        }
    }
    Some(dealt)
}

/// What lies on the cores so far: on each one arc without a gap.
struct Layout {
    /// Where the arc of every core ends.
    ends: Vec<Option<i64>>,
    fixed: Vec<Fixed>,
}

impl Layout {
    /// How many cores of `unit` hold something already.
    fn begun(&self, unit: &Dealt<'_>) -> usize {
        unit.parts.iter().filter(|&&(core, _)| self.ends[core as usize].is_some()).count()
    }

    /// Lays the parts of `unit` one behind the other, the first behind what its core holds.
    fn add(&mut self, unit: &Dealt<'_>) {
        let mut slot = self.ends[unit.parts[0].0 as usize].unwrap_or(0);
        let mut members = unit.members;
        for &(core, count) in &unit.parts {
            let (here, others) = take(&mut members).split_at(count);
            members = others;
            for &firing in here {
                self.fixed.push(Fixed { firing, slot, core });
                slot += unit.duration;
            }
            self.ends[core as usize] = Some(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sim_core::Id;

    proptest! {
        /// No core holds two firings at a time, and chains run in order and end before they start again.
        #[test]
        fn layouts_are_sound(
            sizes in proptest::collection::vec((1..6_usize, 1..5_i64), 1..8),
            cores in 1..4_u32,
            spare in 0..4_i64,
        ) {
            let mut next = 0;
            let mut durations = Vec::new();
            let units: Vec<Vec<FiringId>> = sizes
                .iter()
                .map(|&(count, duration)| {
                    durations.extend(std::iter::repeat_n(duration, count));
                    next += count;
                    (next - count..next).map(FiringId::from_index).collect()
                })
                .collect();
            let duration = |firing: FiringId| durations[firing.index()];
            let load = |members: &[FiringId]| members.iter().map(|&m| duration(m)).sum::<i64>();
            let longest = units.iter().map(|members| load(members)).max().unwrap();
            let total: i64 = durations.iter().sum();
            let metacycle = longest.max((total + i64::from(cores) - 1) / i64::from(cores) + spare);
            let Some(fixed) = lay_out(units.iter().map(Vec::as_slice), duration, cores, metacycle) else { return Ok(()) };
            let of: BTreeMap<FiringId, &Fixed> = fixed.iter().map(|fixed| (fixed.firing, fixed)).collect();
            prop_assert_eq!(of.len(), durations.len());
            let mut held = std::collections::BTreeSet::new();
            for fixed in &fixed {
                for tick in fixed.slot..fixed.slot + duration(fixed.firing) {
                    prop_assert!(held.insert((fixed.core, tick % metacycle)));
                }
            }
            for members in &units {
                let (first, last) = (members[0], members[members.len() - 1]);
                let follows = |a: FiringId, b: FiringId, later: i64| of[&a].slot + duration(a) <= of[&b].slot + later;
                prop_assert!(members.windows(2).all(|pair| follows(pair[0], pair[1], 0)));
                prop_assert!(follows(last, first, metacycle));
            }
        }
    }
}
