//! Scenes made by hand, for tests and for the gallery.

use ab_glyph::{Font, FontRef, ScaleFont};

/// Width of a text in DejaVu Sans at `size` pixels per em.
pub(crate) fn wide(text: &str, size: f64) -> f64 {
    let font = FontRef::try_from_slice(include_bytes!("../../assets/fonts/DejaVuSans-subset.ttf")).unwrap();
    let em = font.units_per_em().unwrap();
    let scaled = font.as_scaled(size as f32 * font.height_unscaled() / em);
    text.chars().map(|c| f64::from(scaled.h_advance(font.glyph_id(c)))).sum()
}

/// A sequence of numbers that look random and are always the same.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = sim_core::mix::mix64(self.0);
        self.0 % below
    }
}

pub(crate) mod calendars {
    use super::Dice;
    use tidelock::pictures::{Bar, BarDetail, CalendarScene, Lane, LaneKind, LinkLane, NodeLanes};

    pub(crate) fn blank(title: &str, metacycle: i64) -> CalendarScene {
        CalendarScene {
            title: title.to_owned(),
            subtitle: format!("metacycle {metacycle} ticks · 1 iteration per metacycle"),
            footer: "tidelock".to_owned(),
            metacycle,
            categories: Vec::new(),
            channels: Vec::new(),
            nodes: Vec::new(),
            links: Vec::new(),
        }
    }

    fn add_node(scene: &mut CalendarScene, name: &str, cores: u32) -> usize {
        let mut lanes = vec![Lane { kind: LaneKind::Scatter, bars: Vec::new() }];
        lanes.extend((0..cores).map(|core| Lane { kind: LaneKind::Compute { core }, bars: Vec::new() }));
        lanes.push(Lane { kind: LaneKind::Gather, bars: Vec::new() });
        scene.nodes.push(NodeLanes { name: name.to_owned(), lanes });
        scene.nodes.len() - 1
    }

    fn add_actor(scene: &mut CalendarScene, name: &str) -> usize {
        scene.categories.push(name.to_owned());
        scene.channels.push(format!("{name}.0"));
        scene.categories.len() - 1
    }

    fn add_link(scene: &mut CalendarScene, from: usize, to: usize) -> usize {
        scene.links.push(LinkLane { from, to, bars: Vec::new() });
        scene.links.len() - 1
    }

    fn fire(scene: &mut CalendarScene, node: usize, core: usize, actor: usize, start: i64, length: i64) {
        let bars = &mut scene.nodes[node].lanes[1 + core].bars;
        let index = bars.iter().filter(|bar| bar.category == actor).count() as u32;
        bars.push(Bar { start, length, category: actor, detail: BarDetail::Firing(index) });
    }

    fn send(scene: &mut CalendarScene, link: usize, actor: usize, start: i64, length: i64) {
        let bar = Bar { start, length, category: actor, detail: BarDetail::Frames { channel: actor, link } };
        let arrival = Bar { start: (start + 1) % scene.metacycle, ..bar };
        let LinkLane { from, to, bars } = &mut scene.links[link];
        bars.push(bar);
        scene.nodes[*from].lanes.last_mut().unwrap().bars.push(bar);
        scene.nodes[*to].lanes[0].bars.push(arrival);
    }

    /// Two nodes, three actors, eight slots; one firing wraps.
    pub(crate) fn small() -> CalendarScene {
        let mut scene = blank("fir on line:2", 8);
        let [n0, n1] = ["n0", "n1"].map(|name| add_node(&mut scene, name, 1));
        let [source, filter, sink] = ["source", "filter", "sink"].map(|name| add_actor(&mut scene, name));
        let link = add_link(&mut scene, n0, n1);
        add_link(&mut scene, n1, n0);
        fire(&mut scene, n0, 0, source, 0, 2);
        send(&mut scene, link, source, 2, 2);
        fire(&mut scene, n0, 0, filter, 3, 3);
        send(&mut scene, link, filter, 6, 1);
        fire(&mut scene, n1, 0, sink, 6, 3);
        scene
    }

    fn machine(scene: &mut CalendarScene, nodes: usize, columns: usize) -> Vec<usize> {
        for node in 0..nodes {
            add_node(scene, &format!("n{node}"), 1);
        }
        let mut links = Vec::new();
        for node in 0..nodes {
            let right = if node % columns + 1 == columns { node + 1 - columns } else { node + 1 };
            for other in [right, (node + columns) % nodes] {
                if other < nodes && other != node {
                    links.push(add_link(scene, node, other));
                    links.push(add_link(scene, other, node));
                }
            }
        }
        links
    }

    /// Fills cores with firings of random length, and links with frames.
    fn fill(scene: &mut CalendarScene, links: &[usize], actors: usize, bars: usize, exec: u64, gap: u64, pause: u64) {
        let mut dice = Dice(7);
        let nodes = scene.nodes.len();
        let mut free = vec![0; nodes];
        for _ in 0..bars {
            let node = dice.roll(nodes as u64) as usize;
            let start = free[node] + dice.roll(gap) as i64;
            let length = 1 + dice.roll(exec) as i64;
            if start < scene.metacycle && start + length - scene.metacycle < 1 {
                fire(scene, node, 0, dice.roll(actors as u64) as usize, start, length);
                free[node] = start + length;
            }
        }
        let mut free = vec![0; scene.links.len()];
        for _ in 0..bars {
            let link = links[dice.roll(links.len() as u64) as usize];
            let start = free[link] + dice.roll(pause) as i64;
            let length = 1 + dice.roll(4) as i64;
            if start + length <= scene.metacycle {
                send(scene, link, dice.roll(actors as u64) as usize, start, length);
                free[link] = start + length;
            }
        }
    }

    /// 16 nodes in a torus, about 400 firings and as many runs of frames in 1 000 slots.
    pub(crate) fn torus() -> CalendarScene {
        let mut scene = blank("modem on torus:4x4", 1000);
        for actor in 0..12 {
            add_actor(&mut scene, &format!("stage{actor}"));
        }
        let links = machine(&mut scene, 16, 4);
        fill(&mut scene, &links, 12, 400, 60, 24, 300);
        scene
    }

    /// 30 nodes, two of them idle.
    pub(crate) fn many_nodes() -> CalendarScene {
        let mut scene = blank("stencil on mesh:5x6", 64);
        for actor in ["load", "compute", "exchange", "reduce", "store"] {
            add_actor(&mut scene, actor);
        }
        let links = machine(&mut scene, 30, 6);
        fill(&mut scene, &links, 5, 600, 10, 5, 12);
        for node in [7, 29] {
            for lane in &mut scene.nodes[node].lanes {
                lane.bars.clear();
            }
        }
        for link in &mut scene.links {
            if [7, 29].contains(&link.from) {
                link.bars.clear();
            }
        }
        scene
    }

    /// A metacycle of five thousand million ticks.
    pub(crate) fn long() -> CalendarScene {
        let mut scene = blank("satellite receiver on ring:3", 5_000_000_000);
        for actor in ["antenna", "demodulate", "decode", "sink"] {
            add_actor(&mut scene, actor);
        }
        let links = machine(&mut scene, 3, 3);
        fill(&mut scene, &links[..4], 4, 1200, 3_000_000, 5_000_000, 5_000_000);
        send(&mut scene, links[5], 3, 2_499_999_999, 1);
        fire(&mut scene, 1, 0, 1, 3_200_000_000, 1_000_000_000);
        scene.nodes[0].lanes[1].bars.retain(|bar| bar.start > 200_000_000);
        fire(&mut scene, 0, 0, 2, 4_600_000_000, 600_000_000);
        scene
    }

    /// Names of forty characters, names in other scripts, markup in names.
    pub(crate) fn names() -> CalendarScene {
        let mut scene = blank("an application whose name is very long, <&> \"λ→µ\" and so on and on", 40);
        scene.title = scene.title.repeat(2);
        let names = ["rack-07-chassis-03-board-12-processor-01", "Größe <λ> & µ", "节点", "n3"];
        let nodes = names.map(|name| add_node(&mut scene, name, 1));
        let actors = ["matched_filter_bank_with_forty_characters", "Σ(x·y)", "a<b>&c", "Überträger", "f"];
        let actors = actors.map(|name| add_actor(&mut scene, name));
        let links = [(0, 1), (1, 2), (2, 3), (3, 0), (1, 0)].map(|(a, b)| add_link(&mut scene, nodes[a], nodes[b]));
        for (i, &node) in nodes.iter().enumerate() {
            fire(&mut scene, node, 0, actors[i], i as i64 * 3, 18);
            fire(&mut scene, node, 0, actors[i + 1], i as i64 * 3 + 20, 8);
        }
        for (i, &link) in links.iter().enumerate() {
            send(&mut scene, link, actors[i], 8 * i as i64 % 40, 6);
        }
        scene
    }

    /// Four cores, two of which work, and more actors than colours.
    pub(crate) fn cores() -> CalendarScene {
        let mut scene = blank("wide on single", 100);
        let node = add_node(&mut scene, "n0", 4);
        for actor in 0..30 {
            add_actor(&mut scene, &format!("a{actor}"));
            fire(&mut scene, node, if actor < 15 { 0 } else { 2 }, actor, actor as i64 % 15 * 6, 6);
        }
        scene
    }

    /// A star whose hub relays what eight nodes send at the same time.
    pub(crate) fn switch() -> CalendarScene {
        let mut scene = blank("gossip on star:8", 24);
        let hub = add_node(&mut scene, "hub", 0);
        for i in 0..8 {
            let actor = add_actor(&mut scene, &format!("peer{i}"));
            let node = add_node(&mut scene, &format!("n{i}"), 1);
            fire(&mut scene, node, 0, actor, 0, 4);
            let (up, down) = (add_link(&mut scene, node, hub), add_link(&mut scene, hub, node));
            send(&mut scene, up, actor, 4, 4);
            send(&mut scene, down, (actor + 7) % 8, 9 + i / 2, 4);
        }
        scene
    }

    /// One node without links.
    pub(crate) fn single() -> CalendarScene {
        let mut scene = blank("loop on single", 1);
        let node = add_node(&mut scene, "n0", 1);
        let actor = add_actor(&mut scene, "counter");
        fire(&mut scene, node, 0, actor, 0, 1);
        scene
    }

    pub(crate) fn all() -> Vec<(&'static str, CalendarScene)> {
        vec![
            ("small", small()),
            ("torus", torus()),
            ("many-nodes", many_nodes()),
            ("long", long()),
            ("names", names()),
            ("cores", cores()),
            ("switch", switch()),
            ("single", single()),
            ("blank", blank("nothing", 8)),
        ]
    }
}

pub(crate) mod topologies {
    use super::Dice;
    use tidelock::pictures::{Layout, TopologyLink, TopologyNode, TopologyScene};

    /// Joins pairs both ways, with use that varies.
    fn scene(title: &str, count: usize, layout: Layout, pairs: &[(usize, usize)]) -> TopologyScene {
        let mut dice = Dice(count as u64);
        let mut share = |idle: u64| if dice.roll(idle) == 0 { 0.0 } else { dice.roll(1001) as f64 / 1000.0 };
        let node = |i| TopologyNode { name: format!("n{i}"), switch: false, busy: share(7) };
        let nodes = (0..count).map(node).collect();
        let mut links = Vec::new();
        for &(a, b) in pairs {
            links.push(TopologyLink { from: a, to: b, busy: share(5) });
            links.push(TopologyLink { from: b, to: a, busy: share(5) });
        }
        TopologyScene {
            title: title.to_owned(),
            subtitle: format!("{count} nodes · {} links · use in a metacycle of 64 ticks", links.len()),
            footer: "tidelock".to_owned(),
            layout,
            measured: true,
            nodes,
            links,
        }
    }

    /// Pairs of a grid; `wrap` joins its ends.
    fn grid(sides: [usize; 3], wrap: bool) -> Vec<(usize, usize)> {
        let [columns, rows, planes] = sides;
        let stride = [1, columns, columns * rows];
        let mut pairs = Vec::new();
        for node in 0..columns * rows * planes {
            for axis in 0..3 {
                let at = node / stride[axis] % sides[axis];
                if at + 1 < sides[axis] {
                    pairs.push((node, node + stride[axis]));
                } else if wrap && sides[axis] > 2 {
                    pairs.push((node, node - at * stride[axis]));
                }
            }
        }
        pairs
    }

    fn lattice(title: &str, sides: [usize; 3], wrap: bool) -> TopologyScene {
        let [columns, rows, planes] = sides;
        scene(title, columns * rows * planes, Layout::Grid { columns, rows, planes }, &grid(sides, wrap))
    }

    pub(crate) fn torus() -> TopologyScene {
        lattice("modem on torus:4x4", [4, 4, 1], true)
    }

    fn complete(first: usize, count: usize) -> Vec<(usize, usize)> {
        (first..first + count).flat_map(|b| (first..b).map(move |a| (a, b))).collect()
    }

    fn ring(count: usize) -> Vec<(usize, usize)> {
        (0..count).map(|i| (i, (i + 1) % count)).collect()
    }

    fn tree(levels: u32) -> (Vec<u32>, Vec<(usize, usize)>) {
        let count = (1_usize << levels) - 1;
        ((0..count).map(|i| (i + 1).ilog2()).collect(), (1..count).map(|i| ((i - 1) / 2, i)).collect())
    }

    fn star() -> TopologyScene {
        let pairs: Vec<_> = (1..9).map(|i| (0, i)).collect();
        let mut star = scene("gossip on star:8", 9, Layout::Star { hub: 0 }, &pairs);
        star.nodes[0] = TopologyNode { name: "hub".to_owned(), switch: true, busy: 0.0 };
        star
    }

    fn fat_tree() -> TopologyScene {
        let (levels, pairs) = tree(4);
        let parallel = |&(a, b): &(usize, usize)| vec![(a, b); 1 << (3 - levels[b])];
        let pairs: Vec<_> = pairs.iter().flat_map(parallel).collect();
        let mut scene = scene("sort on fat-tree:3", 15, Layout::Levels(levels), &pairs);
        for node in &mut scene.nodes[..7] {
            *node = TopologyNode { switch: true, busy: 0.0, ..node.clone() };
        }
        scene
    }

    fn names() -> TopologyScene {
        let mut scene = scene("long names", 6, Layout::Force, &[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5)]);
        let names = ["rack-07-chassis-03-board-12-processor-01", "Größe <λ> & µ", "节点", "n3", "compute-node-4", "x"];
        for (node, name) in scene.nodes.iter_mut().zip(names) {
            name.clone_into(&mut node.name);
        }
        scene
    }

    fn hypercube(bits: u32) -> TopologyScene {
        let pairs: Vec<_> = (0..1_usize << bits)
            .flat_map(|i| (0..bits).map(move |bit| (i, i ^ (1 << bit))))
            .filter(|(a, b)| a < b)
            .collect();
        scene("fft on hypercube:4", 1 << bits, Layout::Force, &pairs)
    }

    fn random() -> TopologyScene {
        let mut dice = Dice(3);
        let mut pairs: Vec<(usize, usize)> = (1..40).map(|i| (dice.roll(i) as usize, i as usize)).collect();
        pairs.extend((0..12).map(|_| (dice.roll(20) as usize, 20 + dice.roll(20) as usize)));
        pairs.sort_unstable();
        pairs.dedup();
        scene("random", 40, Layout::Force, &pairs)
    }

    pub(crate) fn all() -> Vec<(&'static str, TopologyScene)> {
        let bridge = [complete(0, 4), complete(4, 4), vec![(3, 4)]].concat();
        let (levels, pairs) = tree(4);
        let chain: Vec<_> = (0..29).map(|i| (i, i + 1)).collect();
        vec![
            ("torus", torus()),
            ("mesh", lattice("stencil on mesh:3x4", [4, 3, 1], false)),
            ("torus-3d", lattice("stencil on torus:4x4x4", [4, 4, 4], true)),
            ("mesh-big", lattice("stencil on mesh:32x32", [32, 32, 1], false)),
            ("torus-big", lattice("stencil on torus:12x10", [12, 10, 1], true)),
            ("ring", scene("token on ring:8", 8, Layout::Circle, &ring(8))),
            ("ring-big", scene("token on ring:100", 100, Layout::Circle, &ring(100))),
            ("complete", scene("gossip on complete:8", 8, Layout::Circle, &complete(0, 8))),
            ("two", scene("fir on line:2", 2, Layout::Line, &[(0, 1)])),
            ("line", scene("fir on line:30", 30, Layout::Line, &chain)),
            ("star", star()),
            ("tree", scene("sort on tree:2x3", 15, Layout::Levels(levels), &pairs)),
            ("fat-tree", fat_tree()),
            ("hourglass", scene("gossip on hourglass:4", 8, Layout::Circles { first: 4 }, &bridge)),
            ("hypercube", hypercube(4)),
            ("random", random()),
            ("names", names()),
            ("bare", TopologyScene { measured: false, ..fat_tree() }),
            ("single", scene("loop on single", 1, Layout::Circle, &[])),
            ("apart", scene("three nodes without links", 3, Layout::Force, &[])),
        ]
    }
}

pub(crate) mod shards {
    use super::Dice;
    use tidelock::pictures::{Crossing, ShardLane, ShardsScene, Stretch};

    /// A run of so many shards, each of so many stretches; neighbours in a ring exchange words.
    pub(crate) fn scene(shards: u32, stretches: u32, seconds: f64) -> ShardsScene {
        let mut dice = Dice(u64::from(shards) << 16 | u64::from(stretches));
        let mut share = |whole: f64| whole * dice.roll(1000) as f64 / 1000.0;
        let lane = |shard: u32| {
            let stretch = |number: u32| {
                let (execute, encode) = (0.3 + share(0.5), share(0.3));
                let (wait, send, decode) = (share(1.0 - execute), share(0.3), share(0.3));
                let at = |number: u32| seconds * f64::from(number) / f64::from(stretches.max(1));
                let side = if (number / 5).is_multiple_of(3) { 1 } else { shards - 1 };
                Stretch {
                    start: at(number),
                    end: at(number + 1),
                    windows: 1,
                    ticks: (i64::from(number) * 8, i64::from(number + 1) * 8),
                    computing: [execute, 1.0 - execute - wait, wait],
                    serving: [encode, send, decode],
                    bound: (shards > 1).then(|| ((shard + side) % shards, 9)),
                }
            };
            let stretches: Vec<Stretch> = (0..stretches).map(stretch).collect();
            ShardLane { shard, nodes: 1 << (20 - shard % 20), seconds, computing: [0.7, 0.1, 0.2], stretches }
        };
        let lanes = (0..shards).map(lane).collect();
        let pairs = (0..shards).flat_map(|from| (0..shards).map(move |to| (from, to)));
        let linked =
            pairs.filter(|&(from, to)| from != to && [1, shards - 1].contains(&((to + shards - from) % shards)));
        let crossing = |(from, to): (u32, u32)| Crossing {
            from,
            to,
            words: 1 << (from * 3 % 40),
            lookahead: (from != 3).then_some(9_i64 << (to % 40)),
        };
        ShardsScene {
            title: format!(
                "dense on a torus with a name that is long enough to need cutting off somewhere, in {shards} shards"
            ),
            subtitle: "4 000 ticks in 0.051 s · 12 % of the shards' time idle".to_owned(),
            shards,
            lanes,
            crossings: linked.map(crossing).collect(),
        }
    }

    pub(crate) fn all() -> Vec<(String, ShardsScene)> {
        let cases =
            [(1, 4, 2.5), (2, 256, 0.05), (3, 1, 1e-5), (4, 40, 70.0), (8, 200, 0.3), (20, 9, 1.0), (70, 3, 4000.0)];
        let mut all: Vec<_> = cases
            .map(|(shards, stretches, seconds)| (format!("{shards} shards"), scene(shards, stretches, seconds)))
            .into();
        // A run that ended before anything was told.
        all.push(("no lanes".to_owned(), ShardsScene { lanes: Vec::new(), ..scene(4, 0, 0.0) }));
        all
    }
}
