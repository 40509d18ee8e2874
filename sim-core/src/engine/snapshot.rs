//! The state of a run at the end of an epoch: all that the rest of the run depends on, as plain words.
//!
//! A section per node (live words by address, states of actors, hash of what was seen), per link (frames in flight), and
//! per observed channel. What is live and what has ended follows from the program and the tick (see `sites`), so sections
//! are bare words in canonical order, and nothing in them tells of threads, shards or windows: whoever owns a node, a link
//! or a channel later takes its section. Nor is anything stored that follows from the rest.

use super::extent::Extent;
use crate::digest::{DigestLevel, RunDigest};
use crate::ids::{ActorId, ChannelId, Id, IdVec, LinkId, NodeId};
use crate::program::Program;
use crate::shard::ShardId;
use crate::time::Tick;
use std::collections::BTreeMap;

/// Lists of words by entity, ascending, in flat arrays; entities without words are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sections<I> {
    ids: Vec<I>,
    /// Where the words of every section end.
    ends: Vec<usize>,
    words: Vec<u64>,
}

/// What one shard knows of a run's state; the sections of a whole run, if the shard holds all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardState {
    /// The first tick that has not happened.
    pub tick: Tick,
    /// By node: live words, states of actors, a hash if there is one.
    pub nodes: Sections<NodeId>,
    /// By link out of the shard's nodes: frames in flight.
    pub links: Sections<LinkId>,
    /// By channel that is observed here: number of words, digest, recorded words, words that wait for an earlier firing.
    pub channels: Sections<ChannelId>,
}

/// A run at the end of an epoch, whoever executed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Hash of machine and calendars.
    pub identity: [u8; 32],
    /// Iterations that the run has in all.
    pub iterations: u64,
    /// The run digest of the epochs that are closed.
    pub digest: RunDigest,
    /// Everything else.
    pub state: ShardState,
}

/// Why a state cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Between two epochs.
    #[error("tick {tick} is no end of an epoch before the end of the run")]
    NotAnEpoch {
        /// Where the run stands.
        tick: Tick,
    },
    /// A state that cannot be copied out.
    #[error("the state of actor `{actor}` is opaque: a run with it resumes by executing again from tick 0")]
    Opaque {
        /// The actor's name.
        actor: String,
    },
}

/// Why a run cannot go on from a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The state is of another machine, or of other calendars.
    #[error("machine and calendars differ: {found} in the state, {expected} here")]
    Program {
        /// Hash in the state.
        found: String,
        /// Hash of the program.
        expected: String,
    },
    /// The state is of a run of another length.
    #[error("the state is of a run of {found} iterations, not of {expected}")]
    Iterations {
        /// In the state.
        found: u64,
        /// Asked for.
        expected: u64,
    },
    /// The state has another run digest.
    #[error("the state has a run digest of level {found}, not {expected}")]
    Level {
        /// In the state.
        found: DigestLevel,
        /// Asked for.
        expected: DigestLevel,
    },
    /// A tick at which no state is taken.
    #[error("tick {tick} is no end of an epoch of {epoch} ticks before the end of the run at tick {end}")]
    NotAnEpoch {
        /// In the state.
        tick: Tick,
        /// Ticks from one end of an epoch to the next.
        epoch: i64,
        /// The end of the run.
        end: Tick,
    },
    /// A section that is not that of these calendars.
    #[error("{section} has {found} words, the calendars say {expected}")]
    Words {
        /// Node, link or channel.
        section: String,
        /// Words in the state.
        found: usize,
        /// Words by the calendars.
        expected: usize,
    },
    /// A section that two shards say to own.
    #[error("{section} is there twice")]
    Twice {
        /// Node, link or channel.
        section: String,
    },
    /// Tokens of shards that are missing, or too many.
    #[error("tokens of {channel} are not those that were produced before tick {tick}")]
    Tokens {
        /// The channel.
        channel: ChannelId,
        /// Where the run stands.
        tick: Tick,
    },
    /// Shards that stand at different ticks.
    #[error("{shard} stands at tick {found}, others at tick {expected}")]
    Tick {
        /// The shard.
        shard: ShardId,
        /// Where it stands.
        found: Tick,
        /// Where others stand.
        expected: Tick,
    },
}

impl<I> Default for Sections<I> {
    fn default() -> Self {
        Self { ids: Vec::new(), ends: Vec::new(), words: Vec::new() }
    }
}

impl<I: Id> Sections<I> {
    /// Appends the section of `id`, which is above all that are there; `fill` appends its words.
    ///
    /// # Panics
    /// If it is not above them.
    pub fn push(&mut self, id: I, fill: impl FnOnce(&mut Vec<u64>)) {
        assert!(self.ids.last().is_none_or(|last| last.index() < id.index()), "sections are in order");
        let before = self.words.len();
        fill(&mut self.words);
        if self.words.len() > before {
            self.ids.push(id);
            self.ends.push(self.words.len());
        }
    }

    /// The words of `id`; none if there is no section of it.
    #[must_use]
    pub fn get(&self, id: I) -> &[u64] {
        self.ids.binary_search_by_key(&id.index(), |id| id.index()).map_or(&[], |position| self.at(position))
    }

    /// All sections, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (I, &[u64])> {
        self.ids.iter().enumerate().map(|(position, &id)| (id, self.at(position)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// All sections as words: their number, then id and length of each, then their words.
    pub fn to_words(&self, words: &mut Vec<u64>) {
        words.push(self.ids.len() as u64);
        words.extend(self.iter().flat_map(|(id, section)| [id.index() as u64, section.len() as u64]));
        words.extend_from_slice(&self.words);
    }

    /// Reads what [`Self::to_words`] wrote from the start of `words`, which is moved behind it. `None` if it is none.
    #[must_use]
    pub fn from_words(words: &mut &[u64]) -> Option<Self> {
        let (&count, rest) = words.split_first()?;
        let count = usize::try_from(count).ok()?;
        let (heads, rest) = rest.split_at_checked(count.checked_mul(2)?)?;
        let mut sections = Self::default();
        let mut end = 0_usize;
        for head in heads.as_chunks::<2>().0 {
            let (id, length) = (u32::try_from(head[0]).ok()?, usize::try_from(head[1]).ok()?);
            if length == 0 || sections.ids.last().is_some_and(|last| last.index() >= id as usize) {
                return None;
            }
            end = end.checked_add(length)?;
            sections.ids.push(I::from_index(id as usize));
            sections.ends.push(end);
        }
        let (content, rest) = rest.split_at_checked(end)?;
        sections.words = content.to_vec();
        *words = rest;
        Some(sections)
    }

    fn at(&self, position: usize) -> &[u64] {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.words[start..self.ends[position]]
    }

    /// All sections of `parts`.
    fn merged(parts: &[&Self], name: &str) -> Result<Self, RestoreError> {
        let mut order: Vec<(I, usize, usize)> = Vec::new();
        for (part, sections) in parts.iter().enumerate() {
            order.extend(sections.ids.iter().enumerate().map(|(position, &id)| (id, part, position)));
        }
        order.sort_unstable_by_key(|&(id, ..)| id.index());
        if let Some([(id, ..), _]) = order.array_windows().find(|[a, b]| a.0.index() == b.0.index()) {
            return Err(RestoreError::Twice { section: format!("{name} {}", id.index()) });
        }
        let mut merged = Self::default();
        for (id, part, position) in order {
            merged.push(id, |words| words.extend_from_slice(parts[part].at(position)));
        }
        Ok(merged)
    }
}

impl ShardState {
    /// The state of a whole run from those of its shards, in their order.
    ///
    /// # Errors
    /// [`RestoreError`] if they are not those of one run at one tick.
    ///
    /// # Panics
    /// If there is none.
    pub fn merged(parts: &[Self]) -> Result<Self, RestoreError> {
        let expected = parts.first().expect("there is a shard").tick;
        if let Some(number) = parts.iter().position(|part| part.tick != expected) {
            let found = parts[number].tick;
            return Err(RestoreError::Tick { shard: ShardId::from_index(number), found, expected });
        }
        Ok(Self {
            tick: expected,
            nodes: Sections::merged(&parts.iter().map(|part| &part.nodes).collect::<Vec<_>>(), "node")?,
            links: Sections::merged(&parts.iter().map(|part| &part.links).collect::<Vec<_>>(), "link")?,
            channels: Sections::merged(&parts.iter().map(|part| &part.channels).collect::<Vec<_>>(), "channel")?,
        })
    }

    /// As words: the tick, then nodes, links and channels.
    #[must_use]
    pub fn to_words(&self) -> Vec<u64> {
        let mut words = vec![self.tick.0 as u64];
        self.nodes.to_words(&mut words);
        self.links.to_words(&mut words);
        self.channels.to_words(&mut words);
        words
    }

    /// Reads what [`Self::to_words`] wrote. `None` if it is none.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let (&tick, mut words) = words.split_first()?;
        let tick = Tick(i64::try_from(tick).ok()?);
        let nodes = Sections::from_words(&mut words)?;
        let links = Sections::from_words(&mut words)?;
        let channels = Sections::from_words(&mut words)?;
        words.is_empty().then_some(Self { tick, nodes, links, channels })
    }
}

impl Snapshot {
    /// Whether a run of `program` with these options can go on from here.
    ///
    /// # Errors
    /// [`RestoreError`] that says what differs.
    pub(super) fn check(
        &self,
        program: &Program,
        iterations: u64,
        level: DigestLevel,
        extent: &Extent,
    ) -> Result<(), RestoreError> {
        let short = |hash: &[u8; 32]| hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        if self.identity != program.identity {
            let (found, expected) = (short(&self.identity), short(&program.identity));
            return Err(RestoreError::Program { found, expected });
        }
        if self.iterations != iterations {
            return Err(RestoreError::Iterations { found: self.iterations, expected: iterations });
        }
        if self.digest.level() != level {
            return Err(RestoreError::Level { found: self.digest.level(), expected: level });
        }
        let (tick, epoch) = (self.state.tick, crate::digest::epoch_ticks(program.metacycle));
        if tick.0 < 0 || tick.0 % epoch != 0 || tick >= extent.end {
            return Err(RestoreError::NotAnEpoch { tick, epoch, end: extent.end });
        }
        Ok(())
    }
}

/// Which firings of actors have ended: all before one, and some later ones.
pub(super) struct Ended {
    next: IdVec<ActorId, u64>,
    late: BTreeMap<ActorId, Vec<u64>>,
}

impl Ended {
    /// Before tick `tick`. O(firings of a metacycle, and those that wait for an earlier one).
    pub(super) fn before(program: &Program, extent: &Extent, tick: Tick) -> Self {
        let mut next = IdVec::filled(u64::MAX, program.actors.len());
        let ended = |firing: &crate::program::PlannedFiring| extent.before(firing.last, firing.place, tick) as u64;
        for firing in program.firings.values() {
            let first = ended(firing) * program.actors[firing.actor].firings + u64::from(firing.index);
            next[firing.actor] = first.min(next[firing.actor]);
        }
        let mut late = BTreeMap::<ActorId, Vec<u64>>::new();
        for firing in program.firings.values() {
            let (step, index) = (program.actors[firing.actor].firings, u64::from(firing.index));
            let first = next[firing.actor].saturating_sub(index).div_ceil(step);
            if first < ended(firing) {
                let later = (first..ended(firing)).map(|activation| activation * step + index);
                late.entry(firing.actor).or_default().extend(later);
            }
        }
        late.values_mut().for_each(|late| late.sort_unstable());
        Self { next, late }
    }

    /// The first firing of `actor` that has not ended, and those behind it that have.
    pub(super) fn of(&self, actor: ActorId) -> (u64, &[u64]) {
        (self.next[actor], self.late.get(&actor).map_or(&[], Vec::as_slice))
    }
}
