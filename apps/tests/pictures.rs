//! Pictures: what is on them, and that they are sound documents of the right size.

#[path = "pictures/scenes.rs"]
mod scenes;

use ::calendars::{CalendarSet, ComputeEntry, FrameEntry, LinkCalendar, NodeCalendar, Repeat, Rotation, Shared};
use roxmltree::{Document, Node};
use scenes::calendars::{self, blank};
use scenes::topologies;
use sim_core::{Actor, ActorState, App, Channel, ChannelTokens, InitialTokens, mix::Mix};
use sim_core::{ActorId, ChannelId, IdVec, Link, LogicalLatency, Machine, Node as MachineNode, NodeId};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tidelock::pictures::{
    self, Bar, BarDetail, CalendarScene, FrameChannels, LaneKind, Layout, PictureError, TopologyScene,
};

/// A folder of this test alone.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures").join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Elements with a title, and what it says.
fn titled<'a>(document: &'a Document<'_>, element: &str) -> Vec<(Node<'a, 'a>, String)> {
    let title = |node: Node<'a, 'a>| node.children().find(|c| c.has_tag_name(("http://www.w3.org/2000/svg", "title")));
    document
        .descendants()
        .filter(|node| node.tag_name().name() == element)
        .filter_map(|node| Some((node, title(node)?.text()?.to_owned())))
        .collect()
}

fn attribute(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap_or_else(|| panic!("{name} of {node:?}")).parse().unwrap()
}

/// All pictures of the gallery, by name.
fn all() -> Vec<(String, String)> {
    let pages = calendars::all().into_iter().flat_map(|(name, scene)| {
        let pages = pictures::calendar_svg(&scene);
        pages.into_iter().enumerate().map(move |(page, text)| (format!("{name} {page}"), text))
    });
    let machines = topologies::all().into_iter().map(|(name, scene)| (name.to_owned(), pictures::topology_svg(&scene)));
    let runs = scenes::shards::all().into_iter().map(|(name, scene)| (name, pictures::shards_svg(&scene)));
    pages.chain(machines).chain(runs).collect()
}

#[test]
fn every_picture_is_well_formed_and_stays_on_its_canvas() {
    for (name, text) in all() {
        let document = Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let root = document.root_element();
        let (width, height) = (attribute(root, "width"), attribute(root, "height"));
        assert_eq!(width, 1000.0);
        for node in document.descendants().filter(|node| node.parent_element() == Some(root)) {
            match node.tag_name().name() {
                "text" => {
                    let (x, y, size) = (attribute(node, "x"), attribute(node, "y"), attribute(node, "font-size"));
                    let wide = scenes::wide(node.text().unwrap_or_default(), size);
                    let left = match node.attribute("text-anchor") {
                        Some("middle") => x - wide / 2.0,
                        Some("end") => x - wide,
                        _ => x,
                    };
                    assert!(left >= 0.0 && left + wide <= width && y >= size && y <= height, "{name}: {node:?} {wide}");
                }
                "rect" => {
                    let side = |side| node.attribute(side).map_or(0.0, |value| value.parse::<f64>().unwrap());
                    assert!(side("width") > 0.0 && side("height") > 0.0, "{name}: {node:?}");
                    assert!(side("x") >= 0.0 && side("x") + side("width") <= width, "{name}: {node:?}");
                    assert!(side("y") >= 0.0 && side("y") + side("height") <= height, "{name}: {node:?}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn texts_do_not_overlap() {
    for (name, text) in all() {
        let document = Document::parse(&text).unwrap();
        let mut boxes: Vec<(f64, f64, f64, f64, &str)> = Vec::new();
        for node in document.descendants().filter(|node| node.tag_name().name() == "text") {
            let (x, y, size) = (attribute(node, "x"), attribute(node, "y"), attribute(node, "font-size"));
            let wide = scenes::wide(node.text().unwrap_or_default(), size);
            let left = match node.attribute("text-anchor") {
                Some("middle") => x - wide / 2.0,
                Some("end") => x - wide,
                _ => x,
            };
            boxes.push((left, left + wide, y - 0.72 * size, y, node.text().unwrap_or_default()));
        }
        for (i, a) in boxes.iter().enumerate() {
            for b in &boxes[i + 1..] {
                let apart = a.1 <= b.0 || b.1 <= a.0 || a.3 <= b.2 || b.3 <= a.2;
                assert!(apart, "{name}: `{}` and `{}`", a.4, b.4);
            }
        }
    }
}

#[test]
fn equal_scenes_give_equal_bytes() {
    assert_eq!(all(), all());
}

#[test]
fn colours_come_from_the_palette() {
    let palette: BTreeSet<&str> = [
        "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#bebebe", "#f5f5f5", "#ffffff",
        "#000000", "#666666",
    ]
    .into();
    for (name, scene) in calendars::all() {
        for text in pictures::calendar_svg(&scene) {
            let document = Document::parse(&text).unwrap();
            for fill in document.descendants().filter_map(|node| node.attribute("fill")) {
                assert!(palette.contains(fill) || fill.starts_with("url(#"), "{name}: {fill}");
            }
            if scene.categories.len() <= 5 {
                assert!(!text.contains("#d55e00"), "{name}: vermillion stands for trouble");
            }
        }
    }
}

#[test]
fn every_firing_and_frame_of_a_small_calendar_is_one_bar_with_a_title() {
    let scene = calendars::small();
    let [page] = &pictures::calendar_svg(&scene)[..] else { panic!("one page") };
    let document = Document::parse(page).unwrap();
    let titles: Vec<String> = titled(&document, "rect").into_iter().map(|(_, title)| title).collect();
    let firings = titles.iter().filter(|title| title.contains(", firing ")).count();
    // The firing of `sink` wraps: it is drawn at both edges.
    assert_eq!(firings, 3 + 1);
    assert!(titles.contains(&"sink, firing 0: slots 6–7 and 0–0".to_owned()), "{titles:?}");
    // Every run of frames is in the gather lane, in the scatter lane, and in the link's lane.
    assert_eq!(titles.iter().filter(|title| title.starts_with("channel ")).count(), 3 * 2);
    assert!(titles.contains(&"channel source.0, n0→n1: slots 2–3".to_owned()), "{titles:?}");
    for label in
        ["n0", "n1", "scatter", "compute", "gather", "n0→n1", "slot in metacycle (ticks)", "use", "62 %", "38 %"]
    {
        assert!(document.descendants().any(|node| node.text() == Some(label)), "{label}");
    }
}

#[test]
fn a_bar_that_wraps_is_paler_at_the_left() {
    let document = pictures::calendar_svg(&calendars::small()).remove(0);
    let document = Document::parse(&document).unwrap();
    let mut parts: Vec<(f64, Option<&str>)> = titled(&document, "rect")
        .into_iter()
        .filter(|(_, title)| title.starts_with("sink, firing"))
        .map(|(node, _)| (attribute(node, "x"), node.attribute("fill-opacity")))
        .collect();
    parts.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(parts.iter().map(|part| part.1).collect::<Vec<_>>(), [Some("0.55"), None]);
}

#[test]
fn many_nodes_take_pages_and_every_link_is_on_one_of_them() {
    let scene = calendars::many_nodes();
    let pages = pictures::calendar_svg(&scene);
    assert_eq!(pages.len(), 2);
    let text = pages.concat();
    for node in &scene.nodes {
        assert_eq!(
            text.matches(&format!(">{}</text>", node.name)).count(),
            usize::from(!node.is_idle()),
            "{}",
            node.name
        );
    }
    for link in scene.links.iter().filter(|link| !link.bars.is_empty()) {
        let label = format!(">{}→{}</text>", scene.nodes[link.from].name, scene.nodes[link.to].name);
        assert_eq!(text.matches(&label).count(), 1, "{label}");
    }
    assert!(text.contains("2 idle nodes not shown"));
}

#[test]
fn a_long_metacycle_costs_no_more_than_its_bars() {
    let pages = pictures::calendar_svg(&calendars::long());
    assert!(pages.concat().len() < 800_000);
    assert!(pages[0].contains("5\u{2009}000\u{2009}000\u{2009}000"));
}

#[test]
fn the_longest_metacycle_is_drawn() {
    let mut scene = calendars::single();
    scene.metacycle = i64::MAX;
    scene.nodes[0].lanes[1].bars[0].length = i64::MAX;
    scene.nodes[0].lanes[1].bars[0].start = 1;
    let page = pictures::calendar_svg(&scene).remove(0);
    assert!(
        page.contains("100 %") && page.contains("9\u{2009}223\u{2009}372\u{2009}036\u{2009}854\u{2009}775\u{2009}807")
    );
}

#[test]
fn nothing_at_all_is_a_picture_too() {
    let pages = pictures::calendar_svg(&blank("nothing", 1));
    assert!(pages[0].contains("no unit acts in any slot"));
}

#[test]
fn every_node_and_link_of_a_machine_has_its_shape() {
    for (name, scene) in topologies::all() {
        let text = pictures::topology_svg(&scene);
        let document = Document::parse(&text).unwrap();
        let count = |element: &str, prefix: &str| {
            let titles = titled(&document, element).into_iter().map(|(_, title)| title);
            titles.filter(|title| title == prefix || title.starts_with(&format!("{prefix}: "))).count()
        };
        for node in scene.nodes.iter().filter(|_| scene.nodes.len() < 40) {
            let element = if node.switch { "rect" } else { "circle" };
            assert_eq!(count(element, &node.name), 1, "{name}: {}", node.name);
        }
        let ends: BTreeSet<_> = scene.links.iter().map(|link| (link.from, link.to)).collect();
        let arrows = titled(&document, "polygon");
        let wraps = arrows.iter().filter(|(_, title)| title.contains("wraps around")).count();
        assert_eq!(arrows.len() - wraps / 2, ends.len(), "{name}");
    }
}

#[test]
fn a_png_has_two_pixels_per_logical_pixel() {
    let folder = folder("size");
    let size = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(&bytes[1..4], b"PNG");
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        (number(16), number(20))
    };
    let path = pictures::topology(&topologies::torus(), &folder.join("torus.png")).unwrap();
    assert_eq!(size(&path), (2000, 1200));
    let paths = pictures::calendar(&calendars::small(), &folder.join("small.PNG")).unwrap();
    let page = pictures::calendar_svg(&calendars::small()).remove(0);
    let height = attribute(Document::parse(&page).unwrap().root_element(), "height") as u32;
    assert_eq!(paths.iter().map(|path| size(path)).collect::<Vec<_>>(), [(2000, 2 * height)]);
}

#[test]
fn pages_go_to_numbered_files_and_bad_paths_are_errors() {
    let folder = folder("pages");
    let paths = pictures::calendar(&calendars::many_nodes(), &folder.join("many.svg")).unwrap();
    assert_eq!(paths, [folder.join("many.svg"), folder.join("many-p2.svg")]);
    let small = calendars::small();
    assert!(matches!(pictures::calendar(&small, Path::new("x.gif")), Err(PictureError::Extension { .. })));
    let nowhere = folder.join("no such folder/x");
    let failure = |extension: &str| pictures::calendar(&small, &nowhere.with_extension(extension)).unwrap_err();
    assert!(matches!(failure("svg"), PictureError::Write { .. }));
    assert!(matches!(failure("png"), PictureError::Encode { .. }));
}

/// An actor on node 0 sends two words to one on node 1, over a link of latency 2.
fn pipeline() -> (App, Machine, CalendarSet, FrameChannels) {
    let actor = |name: &str| Actor {
        name: name.to_owned().into(),
        exec: [3].into(),
        state: ActorState::None,
        behaviour: std::sync::Arc::new(Mix::new(name, Vec::new())),
        pin: None,
        fed: false,
        place: None,
    };
    let channel = Channel {
        name: "c".into(),
        source: ActorId(0),
        source_port: 0,
        target: ActorId(1),
        target_port: 0,
        tokens: ChannelTokens { produce: [2].into(), consume: [2].into(), bits: 64, initial: InitialTokens::none() }
            .into(),
        place: None,
    };
    let app = App::new("pair", vec![actor("a"), actor("b")], vec![channel]).unwrap();
    let link = |source, target| Link { source: NodeId(source), target: NodeId(target), latency: LogicalLatency(2) };
    let nodes = vec![MachineNode::new("n0", 1), MachineNode::new("n1", 1)];
    let machine = Machine::new("line:2", nodes, vec![link(0, 1), link(1, 0)]).unwrap();
    let firing = |actor, slot| NodeCalendar {
        compute: vec![ComputeEntry {
            slot,
            first: 0,
            place: 0,
            core: 0,
            actor: ActorId(actor),
            index: 0,
            exec: 3,
            repeat: Repeat::ONCE,
            inputs: Shared::default(),
            outputs: Shared::default(),
        }],
    };
    let frames = |slot| vec![FrameEntry { slot, length: 2, first: 0, place: 0, address: Rotation::fixed(0) }];
    let calendars = CalendarSet {
        version: CalendarSet::VERSION,
        app: "pair".to_owned(),
        machine: "line:2".to_owned(),
        metacycle: 10,
        unroll: 2,
        nodes: vec![firing(0, 0), firing(1, 8)].into(),
        links: vec![LinkCalendar { gather: frames(3), scatter: frames(5) }.into(), Shared::default()].into(),
    };
    let carried: IdVec<_, _> = vec![vec![ChannelId(0)], Vec::new()].into();
    (app, machine, calendars, FrameChannels { gather: carried.clone(), scatter: carried })
}

#[test]
fn a_scene_holds_what_the_calendars_say() {
    let (app, machine, calendars, frames) = pipeline();
    let scene = CalendarScene::new(&app, &machine, &calendars, &frames);
    assert_eq!(scene.title, "pair on line:2");
    assert_eq!(scene.subtitle, "metacycle 10 ticks · 2 iterations per metacycle");
    assert_eq!((scene.categories, scene.channels), (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]));
    let lanes = |node: usize| scene.nodes[node].lanes.iter().map(|lane| (lane.kind, lane.bars.clone())).collect();
    let frames = |start| Bar { start, length: 2, category: 0, detail: BarDetail::Frames { channel: 0, link: 0 } };
    let firing = |start, category| Bar { start, length: 3, category, detail: BarDetail::Firing(0) };
    let (scatter, compute, gather) = (LaneKind::Scatter, LaneKind::Compute { core: 0 }, LaneKind::Gather);
    let first: Vec<_> = lanes(0);
    assert_eq!(first, [(scatter, vec![]), (compute, vec![firing(0, 0)]), (gather, vec![frames(3)])]);
    let second: Vec<_> = lanes(1);
    assert_eq!(second, [(scatter, vec![frames(5)]), (compute, vec![firing(8, 1)]), (gather, vec![])]);
    assert_eq!(scene.links.iter().map(|link| link.bars.clone()).collect::<Vec<_>>(), [vec![frames(3)], vec![]]);
}

#[test]
fn a_topology_scene_tells_the_use_of_nodes_and_links() {
    let (_, machine, calendars, _) = pipeline();
    let scene = TopologyScene::new(&machine, Some(&calendars), Layout::Line);
    assert_eq!(scene.nodes.iter().map(|node| node.busy).collect::<Vec<_>>(), [0.3, 0.3]);
    assert_eq!(scene.links.iter().map(|link| link.busy).collect::<Vec<_>>(), [0.2, 0.0]);
    let bare = TopologyScene::new(&machine, None, Layout::Line);
    assert!(bare.nodes.iter().all(|node| node.busy == 0.0) && bare.links.iter().all(|link| link.busy == 0.0));
}

/// Layouts that do not fit the machine, links from a node to itself, and an empty machine are drawn all the same.
#[test]
fn any_topology_scene_is_drawn() {
    let good = topologies::torus();
    let layouts = [
        Layout::Grid { columns: 0, rows: usize::MAX, planes: 2 },
        Layout::Grid { columns: 16, rows: 1, planes: 1 },
        Layout::Star { hub: 99 },
        Layout::Levels(vec![0, 1]),
        Layout::Circles { first: 16 },
        Layout::Circles { first: 0 },
    ];
    for layout in layouts {
        let mut scene = TopologyScene { layout, ..good.clone() };
        scene.links[0].to = scene.links[0].from;
        Document::parse(&pictures::topology_svg(&scene)).unwrap();
        (scene.nodes, scene.links) = (Vec::new(), Vec::new());
        Document::parse(&pictures::topology_svg(&scene)).unwrap();
    }
}

/// Writes all scenes as PNG and SVG, to be looked at.
#[test]
#[ignore = "draws the gallery for human eyes"]
fn gallery() {
    let folder = folder("gallery");
    for (name, scene) in calendars::all() {
        for extension in ["png", "svg"] {
            pictures::calendar(&scene, &folder.join(format!("calendar-{name}.{extension}"))).unwrap();
        }
    }
    for (name, scene) in topologies::all() {
        for extension in ["png", "svg"] {
            pictures::topology(&scene, &folder.join(format!("topology-{name}.{extension}"))).unwrap();
        }
    }
}
