//! Pictures as data for other programs.

use crate::pictures::{Bar, BarDetail, CalendarScene, LaneKind, TopologyScene};
use serde::Serialize;
use sim_core::Machine;

/// What every unit does in each slot of a metacycle.
#[derive(Serialize)]
pub(crate) struct CalendarJson<'a> {
    title: &'a str,
    metacycle: i64,
    nodes: Vec<NodeJson<'a>>,
    links: Vec<LinkJson<'a>>,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    name: &'a str,
    lanes: Vec<LaneJson<'a>>,
}

#[derive(Serialize)]
struct LaneJson<'a> {
    kind: &'static str,
    core: Option<u32>,
    bars: Vec<BarJson<'a>>,
}

#[derive(Serialize)]
struct LinkJson<'a> {
    source: usize,
    target: usize,
    bars: Vec<BarJson<'a>>,
}

/// Slots from `start` on; past the metacycle's end they go on at slot 0.
#[derive(Serialize)]
struct BarJson<'a> {
    start: i64,
    length: i64,
    actor: &'a str,
    firing: Option<u32>,
    channel: Option<&'a str>,
    link: Option<usize>,
}

impl<'a> CalendarJson<'a> {
    pub(crate) fn new(scene: &'a CalendarScene) -> Self {
        let bars = |bars: &[Bar]| bars.iter().map(|bar| bar_json(scene, bar)).collect();
        let node = |node: &'a crate::pictures::NodeLanes| NodeJson {
            name: &node.name,
            lanes: node
                .lanes
                .iter()
                .map(|lane| {
                    let (kind, core) = match lane.kind {
                        LaneKind::Scatter => ("scatter", None),
                        LaneKind::Compute { core } => ("compute", Some(core)),
                        LaneKind::Gather => ("gather", None),
                    };
                    LaneJson { kind, core, bars: bars(&lane.bars) }
                })
                .collect(),
        };
        Self {
            title: &scene.title,
            metacycle: scene.metacycle,
            nodes: scene.nodes.iter().map(node).collect(),
            links: scene
                .links
                .iter()
                .map(|link| LinkJson { source: link.from, target: link.to, bars: bars(&link.bars) })
                .collect(),
        }
    }
}

fn bar_json<'a>(scene: &'a CalendarScene, bar: &Bar) -> BarJson<'a> {
    let (firing, channel, link) = match bar.detail {
        BarDetail::Firing(index) => (Some(index), None, None),
        BarDetail::Frames { channel, link } => (None, Some(scene.channels[channel].as_str()), Some(link)),
    };
    let actor = scene.categories[bar.category].as_str();
    BarJson { start: bar.start, length: bar.length, actor, firing, channel, link }
}

/// Nodes and links, and how busy they are.
#[derive(Serialize)]
pub(crate) struct TopologyJson<'a> {
    title: &'a str,
    nodes: Vec<TopologyNodeJson<'a>>,
    links: Vec<TopologyLinkJson>,
}

#[derive(Serialize)]
struct TopologyNodeJson<'a> {
    name: &'a str,
    cores: u32,
    busy: f64,
}

#[derive(Serialize)]
struct TopologyLinkJson {
    source: usize,
    target: usize,
    latency: i64,
    busy: f64,
}

impl<'a> TopologyJson<'a> {
    pub(crate) fn new(machine: &Machine, scene: &'a TopologyScene) -> Self {
        let nodes = machine.nodes().values().zip(&scene.nodes);
        let links = machine.links().values().zip(&scene.links);
        Self {
            title: &scene.title,
            nodes: nodes
                .map(|(node, shown)| TopologyNodeJson { name: &shown.name, cores: node.cores, busy: shown.busy })
                .collect(),
            links: links
                .map(|(link, shown)| TopologyLinkJson {
                    source: shown.from,
                    target: shown.to,
                    latency: link.latency.0,
                    busy: shown.busy,
                })
                .collect(),
        }
    }
}
