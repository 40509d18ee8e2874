//! Changes of a network between rounds: faults, centring, recapture. Every frame that is inserted or dropped is reported.
//!
//! A link is *up* while it is not down by itself and both its ends tick. When it comes up it is recaptured: its counter
//! starts at the set point and its buffer half full, and the frames by which its logical latency changed are reported.
//! A change takes effect on every correction that acts at its time or later.

use super::super::controller::Controller;
use super::super::network::ClockNetwork;
use super::super::units::{Femtos, Frequency, GRAINS, whole_frames};
use super::shard::{Class, Ramp, Wire};
use super::{BufferFault, ClockEngine};
use crate::ids::{LinkId, NodeId};
use std::collections::BTreeMap;

/// What goes wrong, or is changed, at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A link carries nothing any more, and its receiver's controller ignores it.
    LinkDown(LinkId),
    /// A link is repaired.
    LinkUp(LinkId),
    /// A node stops ticking.
    NodeStop(NodeId),
    /// A stopped node ticks again.
    NodeStart(NodeId),
    /// An oscillator changes its frequency.
    FrequencyStep {
        /// The node.
        node: NodeId,
        /// By how much.
        by: Frequency,
    },
    /// A link's latency changes, evenly.
    Latency {
        /// The link.
        link: LinkId,
        /// The new latency.
        to: Femtos,
        /// How long the change takes.
        over: Femtos,
    },
}

/// Why a fault cannot be scheduled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Too late.
    #[error("a fault at {at} cannot be scheduled, the simulation is at {now}")]
    Past {
        /// When the fault should be.
        at: Femtos,
        /// Where the simulation is.
        now: Femtos,
    },
    /// There is no such node or link.
    #[error("a fault concerns {what} number {number}, but there are {count}")]
    Nowhere {
        /// "node" or "link".
        what: &'static str,
        /// The number.
        number: u32,
        /// How many there are.
        count: usize,
    },
    /// A step to a frequency that no clock has.
    #[error("the oscillator of {node} would step by {by} to {to}, which no clock has")]
    Frequency {
        /// The node.
        node: NodeId,
        /// The step.
        by: Frequency,
        /// Its frequency after all steps that are scheduled.
        to: Frequency,
    },
    /// A latency that no link has.
    #[error("the latency of {link} would become {latency}")]
    Latency {
        /// The link.
        link: LinkId,
        /// The latency.
        latency: Femtos,
    },
    /// Later frames would overtake earlier ones, or arrive with them.
    #[error(
        "the latency of {link} would change by {change} within {over}: frames would not stay in order; take longer, or take the link down and up"
    )]
    Overtaking {
        /// The link.
        link: LinkId,
        /// By how much.
        change: Femtos,
        /// How long it would take.
        over: Femtos,
    },
}

/// What changed a link's logical latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditKind {
    /// Frames were inserted or dropped to fill the buffer to its middle. Of a buffer that was drained, this counts what
    /// it discarded or lacked meanwhile, too.
    Centred,
    /// The buffer was emptied, and is kept empty: the frames that it held were dropped.
    Drained,
    /// The link came up.
    Recaptured,
    /// Frames were inserted to give the link a logical latency that was asked for.
    Groomed,
    /// The buffer over- or underflowed.
    Fault(BufferFault),
}

/// A change of a link's logical latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// When.
    pub at: Femtos,
    /// Which link.
    pub link: LinkId,
    /// Why.
    pub kind: EditKind,
    /// Frames inserted; dropped ones are negative. λ has changed by this number.
    pub frames: i64,
}

/// Faults to come, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    faults: BTreeMap<(i128, u32), Fault>,
}

impl Agenda {
    fn add(&mut self, at: i128, fault: Fault) {
        let same_time = self.faults.range((at, 0)..=(at, u32::MAX)).count() as u32;
        self.faults.insert((at, same_time), fault);
    }

    pub(super) fn start(&mut self, node: NodeId, at: i128) {
        self.add(at, Fault::NodeStart(node));
    }

    pub(super) fn next(&self) -> Option<i128> {
        self.faults.keys().next().map(|&(at, _)| at)
    }

    fn take(&mut self, at: i128) -> Vec<Fault> {
        let later = self.faults.split_off(&(at, u32::MAX));
        std::mem::replace(&mut self.faults, later).into_values().collect()
    }
}

/// How far back phases are asked for, and how many segments that takes.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// Time besides the latency, the longest latency, and the shortest segment.
    besides: i128,
    latency: i128,
    shortest: i128,
    /// Segments beyond those that an undisturbed network needs.
    spare: i128,
    /// Cuts that may still be asked back to.
    cuts: Vec<i128>,
}

impl Reach {
    pub(super) fn of(network: &ClockNetwork) -> Self {
        let latency = network.longest_latency();
        Self {
            besides: network.longest() - latency,
            latency,
            shortest: network.shortest_segment(),
            spare: network.segments() - 2 - network.longest() / network.shortest_segment(),
            cuts: Vec::new(),
        }
    }

    /// Older segments to keep, besides the two newest.
    fn depth(&self) -> usize {
        usize::try_from((self.besides + self.latency) / self.shortest + self.spare).expect("latencies are limited")
            + self.cuts.len()
    }

    /// One more segment begins at `now`, out of turn.
    fn cut(&mut self, now: i128) {
        let oldest = now - 3 * (self.besides + self.latency);
        self.cuts.retain(|&cut| cut > oldest);
        self.cuts.push(now);
    }
}

impl<C: Controller> ClockEngine<C> {
    /// Lets `fault` happen at `at`.
    ///
    /// # Errors
    /// [`EditError`]; then nothing is scheduled.
    pub fn schedule(&mut self, at: Femtos, fault: Fault) -> Result<(), EditError> {
        if at.grains() < self.now {
            return Err(EditError::Past { at, now: self.now() });
        }
        let node = |node: NodeId| ("node", node.0, self.shards.iter().map(super::Shard::nodes).sum());
        let link = |link: LinkId| ("link", link.0, self.links());
        let (what, number, count) = match fault {
            Fault::NodeStop(id) | Fault::NodeStart(id) | Fault::FrequencyStep { node: id, .. } => node(id),
            Fault::LinkDown(id) | Fault::LinkUp(id) | Fault::Latency { link: id, .. } => link(id),
        };
        if number as usize >= count {
            return Err(EditError::Nowhere { what, number, count });
        }
        if let Fault::Latency { link, to, over } = fault {
            if to.0 < 0 || to.0 > super::super::network::limits::LATENCY {
                return Err(EditError::Latency { link, latency: to });
            }
            // The greatest change that may be due then: from any latency that the link has, or is given before.
            let mut before =
                self.agenda.faults.range(..(at.grains(), u32::MAX)).filter_map(|(_, fault)| match *fault {
                    Fault::Latency { link: same, to, .. } if same == link => Some(to.0),
                    _ => None,
                });
            let from = before.next_back().unwrap_or_else(|| i128::from(self.class(link).latency) / GRAINS);
            if over.0 < 0 || to.0 - from >= over.0 && to.0 > from || over.0 == 0 && !self.down_then(link, at) {
                return Err(EditError::Overtaking { link, change: Femtos(to.0 - from), over });
            }
        }
        if let Fault::FrequencyStep { node, by } = fault {
            let steps = self.agenda.faults.values().filter_map(|fault| match *fault {
                Fault::FrequencyStep { node: same, by } if same == node => Some(i128::from(by.0)),
                _ => None,
            });
            let (shard, place) = self.node_place(node);
            let now = i128::from(self.shards[shard].loops[place].uncorrected);
            let (least, most) = super::super::network::limits::FREQUENCY;
            let to = now + steps.sum::<i128>() + i128::from(by.0);
            if !(i128::from(least)..=i128::from(most)).contains(&to) {
                let to = Frequency(to.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
                return Err(EditError::Frequency { node, by, to });
            }
        }
        self.agenda.add(at.grains(), fault);
        Ok(())
    }

    /// Whether a link will be down at `at`, by itself.
    fn down_then(&self, link: LinkId, at: Femtos) -> bool {
        let mut changes = self.agenda.faults.range(..(at.grains(), u32::MAX)).filter_map(|(_, fault)| match *fault {
            Fault::LinkDown(same) if same == link => Some(true),
            Fault::LinkUp(same) if same == link => Some(false),
            _ => None,
        });
        changes.next_back().unwrap_or_else(|| self.down.contains(&link))
    }

    /// Fills every buffer to its middle (unlimited ones to the set point), by changing logical latencies. Counters, and
    /// with them all corrections, stay what they are. Buffers that were drained pass frames from now on.
    pub fn centre(&mut self) {
        self.draining = false;
        for link in self.link_ids() {
            self.fill(link, self.middle(link), EditKind::Centred);
        }
    }

    /// Empties every buffer and keeps it empty until [`centre`](Self::centre): what arrives is discarded, as the
    /// hardware's buffers do in their mode *drain*, which lasts until clocks have settled. Counters go on.
    ///
    /// Meanwhile occupancies are 0, there is no over- or underflow, and logical latencies change with every frame.
    pub fn drain(&mut self) {
        for link in self.link_ids() {
            self.fill(link, 0, EditKind::Drained);
        }
        self.draining = true;
    }

    /// Whether buffers are drained.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Leaves `frames` in a link's buffer.
    fn fill(&mut self, link: LinkId, frames: i64, kind: EditKind) {
        let (shard, wire) = self.wire_place(link);
        let reading = self.reading_now(link);
        self.set_centring(link, shard, wire, frames - reading, kind);
    }

    /// Inserts frames into a link's buffer (drops them, if negative): its logical latency grows by that number.
    pub fn insert_frames(&mut self, link: LinkId, frames: i64) {
        let (shard, wire) = self.wire_place(link);
        let centring = i64::from(self.shards[shard].wires[wire].centring) + frames;
        self.set_centring(link, shard, wire, centring, EditKind::Groomed);
    }

    /// Every change of a logical latency so far, in order.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Whether a link carries frames.
    #[must_use]
    pub fn is_up(&self, link: LinkId) -> bool {
        self.class(link).up
    }

    pub(super) fn apply_due_edits(&mut self) {
        for fault in self.agenda.take(self.now) {
            match fault {
                Fault::LinkDown(link) => {
                    self.down.insert(link);
                    self.update_link(link);
                }
                Fault::LinkUp(link) => {
                    self.down.remove(&link);
                    self.update_link(link);
                }
                Fault::NodeStop(node) => {
                    if self.stopped.insert(node) {
                        self.change_clock(node, |shared, shard, place, now| shard.stop(shared, place, now));
                        self.update_links_of(node);
                    }
                }
                Fault::NodeStart(node) => {
                    if self.stopped.remove(&node) {
                        self.change_clock(node, |shared, shard, place, now| shard.restart(shared, place, now));
                        self.update_links_of(node);
                    }
                }
                Fault::FrequencyStep { node, by } => {
                    if self.stopped.contains(&node) {
                        let (shard, place) = self.node_place(node);
                        self.shards[shard].step_stopped(place, by.0);
                    } else {
                        self.change_clock(node, |shared, shard, place, now| {
                            shard.step_frequency(shared, place, now, by.0);
                        });
                    }
                }
                Fault::Latency { link, to, over } => self.change_latency(link, to, over),
            }
        }
        self.shared.steady = self.is_steady();
    }

    /// Changes one clock at this very time.
    fn change_clock(
        &mut self,
        node: NodeId,
        change: impl FnOnce(&super::Shared<C>, &mut super::Shard<C::State>, usize, i64),
    ) {
        self.reach.cut(self.now);
        self.deepen();
        let (shard, place) = self.node_place(node);
        change(&self.shared, &mut self.shards[shard], place, (self.now - self.shared.origin) as i64);
        self.exchange();
    }

    /// Makes room for as much of the past as is asked for.
    fn deepen(&mut self) {
        let depth = self.reach.depth();
        for shard in self.shards.iter_mut().filter(|shard| shard.depth < depth) {
            shard.deepen(depth);
        }
    }

    fn change_latency(&mut self, link: LinkId, to: Femtos, over: Femtos) {
        self.reach.latency = self.reach.latency.max(to.grains());
        self.deepen();
        let class = *self.class(link);
        let from = class.latency_at(self.shared.origin, (self.now - self.shared.origin) as i64);
        let ramp = (over.0 > 0).then_some(Ramp { begin: self.now, end: self.now + over.grains(), from });
        self.set_class(
            link,
            Class { latency: to.grains() as i64, plain: class.gear == 1 && ramp.is_none(), ramp, ..class },
        );
    }

    /// Whether no oscillator varies, no detector is on, and all links are up, have one frame per tick, and keep their
    /// latencies.
    pub(super) fn is_steady(&self) -> bool {
        let classes = &self.shared.classes;
        let plain = |wire: &Wire| classes[wire.class as usize].up && classes[wire.class as usize].plain;
        self.shared.detectors.iter().all(Option::is_none)
            && self.shards.iter().all(|shard| shard.varying.is_empty() && shard.wires.iter().all(plain))
    }

    pub(super) fn class(&self, link: LinkId) -> &Class {
        let (shard, wire) = self.wire_place(link);
        &self.shared.classes[{ self.shards[shard].wires[wire].class } as usize]
    }

    fn set_class(&mut self, link: LinkId, class: Class) {
        let classes = &mut self.shared.classes;
        let number = classes.iter().position(|&same| same == class).unwrap_or_else(|| {
            classes.push(class);
            classes.len() - 1
        });
        let (shard, wire) = self.wire_place(link);
        self.shards[shard].wires[wire].class = number as u32;
    }

    fn update_links_of(&mut self, node: NodeId) {
        for link in self.link_ids() {
            if self.target(link) == node || self.source(link) == node {
                self.update_link(link);
            }
        }
    }

    /// Takes a link down, or up with a recapture, as it and its ends are.
    fn update_link(&mut self, link: LinkId) {
        let ends = [self.source(link), self.target(link)];
        let up = !self.down.contains(&link) && ends.iter().all(|end| !self.stopped.contains(end));
        let class = *self.class(link);
        if up == class.up {
            return;
        }
        self.set_class(link, Class { up, ..class });
        if up {
            self.recapture(link);
        }
    }

    /// Lets a link's counter start at its set point and its buffer half full, or empty if it is drained.
    fn recapture(&mut self, link: LinkId) {
        let middle = if self.draining { 0 } else { self.middle(link) };
        let (shard, wire) = self.wire_place(link);
        let reading = self.reading_now(link);
        let old = self.shards[shard].wires[wire];
        self.shards[shard].wires[wire].base = old.base - reading;
        // λ is base plus centring, and the reading is now 0.
        let kept = i64::from(old.centring) + reading;
        self.shards[shard].wires[wire].centring = kept as i32;
        self.set_centring(link, shard, wire, middle, EditKind::Recaptured);
        self.detect_anew(link);
    }

    fn set_centring(&mut self, link: LinkId, shard: usize, wire: usize, centring: i64, kind: EditKind) {
        let frames = centring - i64::from(self.shards[shard].wires[wire].centring);
        let wire = &mut self.shards[shard].wires[wire];
        wire.centring = i32::try_from(centring).expect("buffers are centred by less than 2³¹ frames");
        (wire.least, wire.most) = (i32::MAX, i32::MIN);
        if frames != 0 {
            self.edits.push(Edit { at: self.now(), link, kind, frames });
        }
    }

    /// What the controller would read off a link now.
    pub(super) fn reading_now(&self, link: LinkId) -> i64 {
        let now = (self.now - self.shared.origin) as i64;
        let (shard, wire) = self.wire_place(link);
        let (_, place) = self.target_place(link);
        let shard = &self.shards[shard];
        let wire = shard.wires[wire];
        let class = &self.shared.classes[wire.class as usize];
        let (source, gear) = (wire.source as usize, i128::from(class.gear));
        let sent = shard.clocks[source].phase_at(shard.past(source), now - class.latency_at(self.shared.origin, now));
        let read = shard.clocks[place].phase_at(shard.past(place), now);
        wire.base + whole_frames(sent * gear) - whole_frames(read * gear)
    }
}
