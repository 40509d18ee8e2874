//! The calendar picture: what every unit of every node does in each slot of the metacycle.
//!
//! A scene is what the picture says, free of coordinates; [`CalendarScene::new`] reads it off a set of calendars.

pub(crate) mod draw;
mod lanes;

use super::axis::{counted, grouped};
use calendars::{CalendarSet, ComputeEntry, FrameEntry, LinkCalendar, Verified};
use sim_core::{App, ChannelId, Id, IdVec, LinkId, Machine, NodeId};

/// What a bar stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarDetail {
    /// A firing, with its number among the actor's firings of a metacycle.
    Firing(u32),
    /// A run of frames that carry words of a channel over a link: indices into [`CalendarScene::channels`] and
    /// [`CalendarScene::links`].
    Frames {
        /// Index of the channel.
        channel: usize,
        /// Index of the link.
        link: usize,
    },
}

/// A stretch of slots in which a unit is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// First slot, from 0 to below the metacycle.
    pub start: i64,
    /// Slots that it takes, from 1; past the metacycle's end it goes on at slot 0.
    pub length: i64,
    /// Whose colour and name it bears: an index into [`CalendarScene::categories`].
    pub category: usize,
    /// What it stands for.
    pub detail: BarDetail,
}

/// A unit of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// All incoming links.
    Scatter,
    /// One core.
    Compute {
        /// Its number.
        core: u32,
    },
    /// All outgoing links.
    Gather,
}

/// What one unit of a node does in a metacycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The unit.
    pub kind: LaneKind,
    /// When it is busy, in any order. Bars may overlap where a unit serves several links.
    pub bars: Vec<Bar>,
}

/// A node with its lanes from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLanes {
    /// The node's name.
    pub name: String,
    /// Scatter, then compute by core, then gather.
    pub lanes: Vec<Lane>,
}

impl NodeLanes {
    /// Whether no unit of it ever acts.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.bars.is_empty())
    }
}

/// A directed link with the frames that it carries, in ticks of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkLane {
    /// The sending node: an index into [`CalendarScene::nodes`].
    pub from: usize,
    /// The receiving node.
    pub to: usize,
    /// Its frames; they do not overlap.
    pub bars: Vec<Bar>,
}

/// All that a calendar picture says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarScene {
    /// The heading.
    pub title: String,
    /// A grey line below the heading.
    pub subtitle: String,
    /// A grey line at the foot.
    pub footer: String,
    /// Slots of the metacycle, at least 1.
    pub metacycle: i64,
    /// Names of the actors, in the order in which they get colours.
    pub categories: Vec<String>,
    /// Names of the channels that bars refer to.
    pub channels: Vec<String>,
    /// All nodes; the picture leaves idle ones out and says how many.
    pub nodes: Vec<NodeLanes>,
    /// All links; the picture leaves idle ones out.
    pub links: Vec<LinkLane>,
}

/// Which channel the frames of each link's calendar entries carry. Calendars do not say it; the scheduler and the verifier do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameChannels {
    /// Per link, per gather entry.
    pub gather: IdVec<LinkId, Vec<ChannelId>>,
    /// Per link, per scatter entry.
    pub scatter: IdVec<LinkId, Vec<ChannelId>>,
}

impl FrameChannels {
    /// What the verifier found out about `calendars`: a run of frames counts as the channel of its first word. A run of
    /// stores counts as the run of frames that sent its first word.
    ///
    /// # Panics
    /// If `verified` is not about these calendars on this machine.
    #[must_use]
    pub fn new(machine: &Machine, calendars: &CalendarSet, verified: &Verified) -> Self {
        let mut channels = Self::default();
        for (link, calendar) in calendars.links.iter() {
            let sent: Vec<ChannelId> = verified.frames.row(link).iter().map(|word| word.channel).collect();
            let latency = machine.links()[link].latency.0;
            let of_store = |store: &FrameEntry| {
                let slot = (store.slot - latency).rem_euclid(calendars.metacycle);
                // Gather entries are sorted by slot: the last one that has begun sends the frame.
                let entry = calendar.gather.partition_point(|entry| entry.slot <= slot);
                sent[entry.checked_sub(1).expect("verified stores have a frame")]
            };
            channels.scatter.push(calendar.scatter.iter().map(of_store).collect());
            channels.gather.push(sent);
        }
        channels
    }
}

impl CalendarScene {
    /// The scene of `calendars`, which were made (or checked) for `app` on `machine`. Linear in entries, nodes and links.
    ///
    /// # Panics
    /// If calendars, machine, app and `frames` do not belong together.
    #[must_use]
    pub fn new(app: &App, machine: &Machine, calendars: &CalendarSet, frames: &FrameChannels) -> Self {
        let bars = |link: LinkId, entries: &[FrameEntry], channels: &[ChannelId]| -> Vec<Bar> {
            assert_eq!(entries.len(), channels.len(), "every entry of {link} has a channel");
            let bar = |(entry, &channel): (&FrameEntry, &ChannelId)| Bar {
                start: entry.slot,
                length: i64::from(entry.length),
                category: app.channels()[channel].source.index(),
                detail: BarDetail::Frames { channel: channel.index(), link: link.index() },
            };
            entries.iter().zip(channels).map(bar).collect()
        };
        let gathered = |link: LinkId, calendar: &LinkCalendar| bars(link, &calendar.gather, &frames.gather[link]);
        let scattered = |link: LinkId, calendar: &LinkCalendar| bars(link, &calendar.scatter, &frames.scatter[link]);
        let join = |links: &[LinkId], side: &dyn Fn(LinkId, &LinkCalendar) -> Vec<Bar>| -> Vec<Bar> {
            links.iter().flat_map(|&link| side(link, &calendars.links[link])).collect()
        };
        let node = |id: NodeId| {
            let mut lanes = vec![Lane { kind: LaneKind::Scatter, bars: join(machine.incoming(id), &scattered) }];
            lanes.extend(compute_lanes(machine, calendars, id));
            lanes.push(Lane { kind: LaneKind::Gather, bars: join(machine.outgoing(id), &gathered) });
            NodeLanes { name: machine.nodes()[id].name.to_string(), lanes }
        };
        let link = |(id, link): (LinkId, &sim_core::Link)| LinkLane {
            from: link.source.index(),
            to: link.target.index(),
            bars: gathered(id, &calendars.links[id]),
        };
        let ticks = if calendars.metacycle == 1 { "tick" } else { "ticks" };
        let metacycle = format!("metacycle {} {ticks}", grouped(calendars.metacycle));
        Self {
            title: format!("{} on {}", app.name(), machine.name()),
            subtitle: format!("{metacycle} · {} per metacycle", counted(calendars.unroll as usize, "iteration")),
            footer: super::version_line(),
            metacycle: calendars.metacycle,
            categories: app.actors().values().map(|actor| actor.name.to_string()).collect(),
            channels: app.channels().values().map(|channel| channel.name.to_string()).collect(),
            nodes: machine.nodes().ids().map(node).collect(),
            links: machine.links().iter().map(link).collect(),
        }
    }
}

/// One lane per core of a node.
fn compute_lanes(machine: &Machine, calendars: &CalendarSet, node: NodeId) -> Vec<Lane> {
    let lane = |core| Lane { kind: LaneKind::Compute { core }, bars: Vec::new() };
    let mut lanes: Vec<Lane> = (0..machine.nodes()[node].cores).map(lane).collect();
    for firing in calendars.nodes[node].compute.iter().flat_map(ComputeEntry::firings) {
        lanes[firing.entry.core as usize].bars.push(Bar {
            start: firing.slot,
            length: firing.entry.exec,
            category: firing.entry.actor.index(),
            detail: BarDetail::Firing(firing.index),
        });
    }
    lanes
}
