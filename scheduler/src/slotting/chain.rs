//! Firings of one actor that run behind each other on one node: actors with state or with a self-channel.

use super::Slotter;
use crate::analysis::FiringId;
use sim_core::Id;

/// Attempts to stay close to the arrivals before the arrivals are ignored and whole metacycles are waited instead.
const ATTEMPTS: usize = 4;

impl Slotter<'_> {
    /// Places `members`, in index order, each not before its `earliest` tick, all within one metacycle.
    pub(super) fn place_chain(&mut self, members: &[FiringId], earliest: &[i64]) -> bool {
        if self.turns[members[0].index()].is_some() {
            for &firing in members {
                let (slot, core) = self.turns[firing.index()].expect("all firings of a node take turns or none");
                self.put(firing, slot, core);
            }
            self.wait_for(members, earliest);
            return true;
        }
        let mut first = earliest[0];
        for _ in 0..ATTEMPTS {
            match self.lay(members, first, |k| earliest[k]) {
                Laid::Done => return true,
                Laid::TooLong { first_needed } => first = first_needed,
                Laid::NoRoom => break,
            }
        }
        // Around the ring once, from every gap in turn: there the chain fits behind itself if there is room at all.
        let (group, _) = self.group_of[members[0].index()];
        for from in self.groups[group as usize].gap_starts() {
            if matches!(self.lay(members, from, |_| i64::MIN), Laid::Done) {
                self.wait_for(members, earliest);
                return true;
            }
        }
        false
    }

    /// Puts the chain down in order, the first firing not before `first`; leaves nothing behind unless it is done.
    fn lay(&mut self, members: &[FiringId], first: i64, earliest: impl Fn(usize) -> i64) -> Laid {
        let mut at = first;
        for (k, &firing) in members.iter().enumerate() {
            let Some((start, core)) = self.find(firing, at.max(earliest(k)), i64::MAX - 1) else {
                members[..k].iter().for_each(|&m| self.unput(m));
                return Laid::NoRoom;
            };
            self.put(firing, start, core);
            at = self.end(firing);
        }
        let late = at - self.metacycle;
        if late <= self.starts[members[0].index()] {
            return Laid::Done;
        }
        members.iter().for_each(|&m| self.unput(m));
        Laid::TooLong { first_needed: late }
    }
}

enum Laid {
    Done,
    /// The last firing would end after the first one's next turn: the first must not start before this tick.
    TooLong {
        first_needed: i64,
    },
    NoRoom,
}
