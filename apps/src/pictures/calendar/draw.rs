//! Lays a calendar scene out on pages of canvas.

use super::lanes::{self, LaneView, Piece};
use super::{Bar, BarDetail, CalendarScene, Lane, LaneKind, LinkLane};
use crate::pictures::axis::{counted, grouped, percent, round_ticks};
use crate::pictures::canvas::{Anchor, Area, Canvas, Hatch, Paint, Shape, Weight};
use crate::pictures::font::{CAP_HEIGHT, fit, squeeze, width};
use crate::pictures::palette::{self, BLACK, GREY_TEXT, GROUND, IDLE, WHITE};
use crate::pictures::{AXIS_SIZE, TICK_SIZE, TITLE_SIZE, WIDTH};
use std::collections::BTreeSet;

const NODES_PER_PAGE: usize = 24;
const LANES_PER_PAGE: usize = 100;
const LINKS_PER_PAGE: usize = 160;
const LANE_HEIGHT: f64 = 20.0;
const LINK_HEIGHT: f64 = 14.0;
/// Least height of a row; lanes with many rows grow.
const ROW_HEIGHT_MIN: f64 = 4.0;
const LANE_GAP: f64 = 2.0;
const GROUP_GAP: f64 = 12.0;
/// From the last node to the first link.
const LINKS_HEADING: f64 = 34.0;
/// Distance of everything from the picture's border.
const MARGIN: f64 = 16.0;
/// Room right of the lanes, for their use.
const USE_WIDTH: f64 = 48.0;
const NAME_WIDTH_MAX: f64 = 150.0;
const LEGEND_ROWS_MAX: usize = 3;
/// Strength of the rest, at the left edge, of a bar that wraps.
const WRAPPED: f64 = 0.55;

/// The pages of the picture, at least one.
pub(crate) fn pages(scene: &CalendarScene) -> Vec<Canvas> {
    let plan = Plan::new(scene);
    (0..plan.pages.len()).map(|page| Page::new(&plan, page).draw()).collect()
}

/// What all pages share.
struct Plan<'a> {
    scene: &'a CalendarScene,
    /// Per page the nodes that it shows, with the lanes of each.
    pages: Vec<Vec<(usize, Vec<&'a Lane>)>>,
    idle_nodes: usize,
    idle_cores: usize,
    /// Categories of all bars, ascending.
    categories: Vec<usize>,
    plot_x: f64,
    plot_width: f64,
}

impl<'a> Plan<'a> {
    fn new(scene: &'a CalendarScene) -> Self {
        let mut pages: Vec<Vec<(usize, Vec<&Lane>)>> = vec![Vec::new()];
        let (mut lanes_on_page, mut idle_nodes, mut idle_cores) = (0, 0, 0);
        for (index, node) in scene.nodes.iter().enumerate() {
            if node.is_idle() {
                idle_nodes += 1;
                continue;
            }
            let (lanes, hidden) = shown_lanes(scene, &node.lanes);
            idle_cores += hidden;
            let page = pages.last().expect("there is a page");
            if !page.is_empty() && (page.len() == NODES_PER_PAGE || lanes_on_page + lanes.len() > LANES_PER_PAGE) {
                pages.push(Vec::new());
                lanes_on_page = 0;
            }
            lanes_on_page += lanes.len();
            pages.last_mut().expect("there is a page").push((index, lanes));
        }
        let shown = || pages.iter().flatten();
        let widest = |widths: &mut dyn Iterator<Item = f64>| widths.fold(0.0, f64::max).ceil();
        let names = widest(&mut shown().map(|(n, _)| width(&scene.nodes[*n].name, AXIS_SIZE, Weight::Bold)));
        let mut labels = shown().flat_map(|(_, lanes)| lanes.iter().map(|lane| lane_label(lane, lanes)));
        let labels = widest(&mut labels.by_ref().map(|label| width(&label, TICK_SIZE, Weight::Regular)));
        let plot_x = MARGIN + names.min(NAME_WIDTH_MAX) + 12.0 + labels + 8.0;
        let frame_lanes = scene.links.iter().map(|link| &link.bars);
        let bars = scene.nodes.iter().flat_map(|node| node.lanes.iter().map(|lane| &lane.bars)).chain(frame_lanes);
        let categories: BTreeSet<usize> = bars.flatten().map(|bar| bar.category).collect();
        Self {
            scene,
            idle_nodes,
            idle_cores,
            categories: categories.into_iter().collect(),
            plot_x,
            plot_width: (f64::from(WIDTH) - MARGIN - USE_WIDTH - plot_x).floor(),
            pages,
        }
    }
}

/// The lanes worth showing of a node that is not idle, and how many cores are left out: idle ones, unless it is the only
/// one, and those beyond what one page can hold.
fn shown_lanes<'a>(scene: &CalendarScene, lanes: &'a [Lane]) -> (Vec<&'a Lane>, usize) {
    let is_core = |lane: &Lane| matches!(lane.kind, LaneKind::Compute { .. });
    let cores = lanes.iter().filter(|lane| is_core(lane)).count();
    let mut kept = 0;
    let mut keep = |lane: &Lane| {
        if !is_core(lane) {
            return !scene.links.is_empty() || !lane.bars.is_empty();
        }
        let wanted = (cores == 1 || !lane.bars.is_empty()) && kept + 2 < LANES_PER_PAGE;
        kept += usize::from(wanted);
        wanted
    };
    let shown = lanes.iter().filter(|&lane| keep(lane)).collect();
    (shown, cores - kept)
}

fn lane_label(lane: &Lane, beside: &[&Lane]) -> String {
    let cores = beside.iter().filter(|lane| matches!(lane.kind, LaneKind::Compute { .. })).count();
    match lane.kind {
        LaneKind::Scatter => "scatter".to_owned(),
        LaneKind::Compute { core } if cores > 1 || core > 0 => format!("compute {core}"),
        LaneKind::Compute { .. } => "compute".to_owned(),
        LaneKind::Gather => "gather".to_owned(),
    }
}

/// A lane in its place.
struct Row {
    label: String,
    view: LaneView,
    area: Area,
    /// Share of slots that are busy, if it is told.
    busy: Option<f64>,
}

/// One page in the making.
struct Page<'a> {
    plan: &'a Plan<'a>,
    number: usize,
    canvas: Canvas,
    /// Height that is already taken.
    y: f64,
    links_hidden: usize,
}

impl<'a> Page<'a> {
    fn new(plan: &'a Plan<'a>, number: usize) -> Self {
        let canvas = Canvas { width: WIDTH, height: 0, title: plan.scene.title.clone(), shapes: Vec::new() };
        Self { plan, number, canvas, y: 0.0, links_hidden: 0 }
    }

    fn draw(mut self) -> Canvas {
        self.head();
        self.legend();
        let nodes = &self.plan.pages[self.number];
        if nodes.is_empty() {
            let middle = f64::from(WIDTH) / 2.0;
            let note = "no unit acts in any slot";
            self.canvas.push(Shape::text(note, middle, self.y + 40.0, Anchor::Middle, AXIS_SIZE, GREY_TEXT));
            self.y += 56.0;
        } else {
            let links = self.links();
            self.y += 22.0;
            let top = self.y;
            let mut rows = self.node_rows(nodes);
            let nodes_bottom = self.y;
            if !links.is_empty() {
                self.y += LINKS_HEADING;
                self.canvas.push(
                    Shape::text("links", MARGIN, self.y - 8.0, Anchor::Start, AXIS_SIZE, BLACK)
                        .bold()
                        .titled("frames by the tick of sending"),
                );
                rows.extend(self.link_rows(&links));
            }
            let plot = Area { x: self.plan.plot_x, y: top, width: self.plan.plot_width, height: self.y - top };
            self.grid(plot, &rows, (!links.is_empty()).then_some(nodes_bottom));
            for row in &rows {
                self.row(row);
            }
        }
        self.foot();
        self.canvas.height = self.y.ceil() as u32;
        self.canvas
    }

    fn head(&mut self) {
        let scene = self.plan.scene;
        let room = f64::from(WIDTH) - 2.0 * MARGIN;
        let title = fit(&scene.title, TITLE_SIZE, Weight::Bold, room);
        self.canvas.push(
            Shape::text(title, MARGIN, 36.0, Anchor::Start, TITLE_SIZE, BLACK).bold().titled(scene.title.as_str()),
        );
        let mut subtitle = scene.subtitle.clone();
        if self.plan.pages.len() > 1 {
            let nodes = &self.plan.pages[self.number];
            let name = |at: Option<&(usize, _)>| at.map_or("", |(node, _)| scene.nodes[*node].name.as_str());
            let (first, last) = (name(nodes.first()), name(nodes.last()));
            let page = format!("page {} of {}", self.number + 1, self.plan.pages.len());
            subtitle = format!("{subtitle} · {page}: {first} … {last}");
        }
        let subtitle = fit(&subtitle, TICK_SIZE, Weight::Regular, room);
        self.canvas.push(Shape::text(subtitle, MARGIN, 58.0, Anchor::Start, TICK_SIZE, GREY_TEXT));
        self.y = 72.0;
    }

    /// A chip and a name per actor, in as many rows as are allowed.
    fn legend(&mut self) {
        let right = f64::from(WIDTH) - MARGIN;
        let (mut x, mut row) = (MARGIN, 0);
        for (position, &category) in self.plan.categories.iter().enumerate() {
            let full = &self.plan.scene.categories[category];
            let name = squeeze(full, TICK_SIZE, Weight::Regular, 180.0);
            let taken = 18.0 + width(&name, TICK_SIZE, Weight::Regular);
            let left = self.plan.categories.len() - position;
            let more = format!("and {} more", grouped(left as i64));
            // In the last row a name must leave room for the note that others follow.
            let is_last_row = row + 1 == LEGEND_ROWS_MAX;
            let reserve = if is_last_row && left > 1 { 18.0 + width(&more, TICK_SIZE, Weight::Regular) } else { 0.0 };
            if x + taken + reserve > right && x > MARGIN {
                if is_last_row {
                    let y = self.y + 10.0;
                    self.canvas.push(Shape::text(more, x, y, Anchor::Start, TICK_SIZE, GREY_TEXT));
                    break;
                }
                (x, row) = (MARGIN, row + 1);
                self.y += 20.0;
            }
            let chip = Area { x, y: self.y, width: 12.0, height: 12.0 };
            self.canvas.push(Shape::rect(chip, palette::category(category)).titled(full.as_str()));
            self.canvas.push(Shape::text(name, x + 18.0, self.y + 10.0, Anchor::Start, TICK_SIZE, BLACK));
            x += taken + 18.0;
        }
        self.y += 20.0;
    }

    /// The links that this page shows: those that carry frames, of its nodes if there are several pages, and the busiest
    /// of them if they are many.
    fn links(&mut self) -> Vec<&'a LinkLane> {
        let here: BTreeSet<usize> = self.plan.pages[self.number].iter().map(|(node, _)| *node).collect();
        let links = &self.plan.scene.links;
        let mut shown: Vec<usize> =
            (0..links.len()).filter(|&i| !links[i].bars.is_empty() && here.contains(&links[i].from)).collect();
        if shown.len() > LINKS_PER_PAGE {
            self.links_hidden = shown.len() - LINKS_PER_PAGE;
            shown.sort_by_key(|&link| (std::cmp::Reverse(busy(&links[link].bars, self.plan.scene.metacycle)), link));
            shown.truncate(LINKS_PER_PAGE);
            shown.sort_unstable();
        }
        shown.into_iter().map(|link| &links[link]).collect()
    }

    /// The next lane down.
    fn lane(&mut self, label: String, bars: &[Bar], height: f64, shows_use: bool) -> Row {
        let (metacycle, width) = (self.plan.scene.metacycle, self.plan.plot_width);
        let view = lanes::view(bars, metacycle, width as usize);
        let height = height.max(view.rows as f64 * ROW_HEIGHT_MIN);
        let area = Area { x: self.plan.plot_x, y: self.y, width, height };
        self.y += height + LANE_GAP;
        Row { label, view, area, busy: shows_use.then(|| busy(bars, metacycle) as f64 / metacycle as f64) }
    }

    fn node_rows(&mut self, nodes: &[(usize, Vec<&'a Lane>)]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (position, (node, lanes)) in nodes.iter().enumerate() {
            self.y += if position > 0 { GROUP_GAP - LANE_GAP } else { 0.0 };
            let top = self.y;
            for lane in lanes {
                let shows_use = matches!(lane.kind, LaneKind::Compute { .. });
                rows.push(self.lane(lane_label(lane, lanes), &lane.bars, LANE_HEIGHT, shows_use));
            }
            let name = &self.plan.scene.nodes[*node].name;
            let baseline = (top + self.y - LANE_GAP) / 2.0 + CAP_HEIGHT * AXIS_SIZE / 2.0;
            let short = squeeze(name, AXIS_SIZE, Weight::Bold, NAME_WIDTH_MAX);
            self.canvas.push(
                Shape::text(short, MARGIN, baseline, Anchor::Start, AXIS_SIZE, BLACK).bold().titled(name.as_str()),
            );
        }
        self.y -= LANE_GAP;
        rows
    }

    fn link_rows(&mut self, links: &[&'a LinkLane]) -> Vec<Row> {
        let names = |node: usize| self.plan.scene.nodes[node].name.as_str();
        let room = self.plan.plot_x - 8.0 - MARGIN;
        let labels: Vec<String> = links.iter().map(|link| link_label(names(link.from), names(link.to), room)).collect();
        let rows = links.iter().zip(labels);
        let rows = rows.map(|(link, label)| self.lane(label, &link.bars, LINK_HEIGHT, true)).collect();
        self.y -= LANE_GAP;
        rows
    }

    /// Grounds of the lanes, lines at round slots, and the axis. `split` is the bottom of the nodes if links follow: the
    /// lines leave the heading between them free.
    fn grid(&mut self, plot: Area, rows: &[Row], split: Option<f64>) {
        for row in rows {
            self.canvas.push(Shape::rect(row.area, GROUND));
        }
        let spans = match split {
            Some(bottom) => vec![(plot.y, bottom), (bottom + LINKS_HEADING, plot.bottom())],
            None => vec![(plot.y, plot.bottom())],
        };
        let marks = marks(plot, self.plan.scene.metacycle);
        for (x, _) in &marks {
            for &(top, bottom) in &spans {
                let line = Area { x: x - 0.5, y: top - 4.0, width: 1.0, height: bottom - top + 8.0 };
                self.canvas.push(Shape::rect(line, Paint::from(IDLE).faded(0.6)));
            }
        }
        self.axis(plot, &marks);
    }

    /// Numbers below the lanes and, on tall pages, above them too.
    fn axis(&mut self, plot: Area, marks: &[(f64, i64)]) {
        let is_tall = plot.height > 600.0;
        let above = is_tall.then_some(plot.y - 8.0);
        for y in above.into_iter().chain([plot.bottom() + 18.0]) {
            for &(x, slot) in marks {
                let text = grouped(slot);
                let rightmost = f64::from(WIDTH) - 4.0 - width(&text, TICK_SIZE, Weight::Regular) / 2.0;
                self.canvas.push(Shape::text(text, x.min(rightmost), y, Anchor::Middle, TICK_SIZE, GREY_TEXT));
            }
        }
        let (text, middle) = ("slot in metacycle (ticks)", plot.center().x);
        self.canvas.push(Shape::text(text, middle, plot.bottom() + 38.0, Anchor::Middle, AXIS_SIZE, BLACK));
        // The heading of the column of figures keeps clear of the numbers.
        let y = plot.y - if is_tall { 22.0 } else { 8.0 };
        self.canvas.push(Shape::text("use", f64::from(WIDTH) - MARGIN, y, Anchor::End, TICK_SIZE, GREY_TEXT));
    }

    fn row(&mut self, row: &Row) {
        let Row { label, view, area, busy } = row;
        let baseline = area.center().y + CAP_HEIGHT * TICK_SIZE / 2.0;
        let label = Shape::text(label.as_str(), area.x - 8.0, baseline, Anchor::End, TICK_SIZE, GREY_TEXT);
        self.canvas.push(label);
        if let &Some(share) = busy {
            let right = f64::from(WIDTH) - MARGIN;
            self.canvas.push(Shape::text(percent(share), right, baseline, Anchor::End, TICK_SIZE, BLACK));
        }
        self.columns(view, *area);
        for piece in &view.pieces {
            self.piece(piece, row_area(*area, view, piece.row));
        }
    }

    fn columns(&mut self, view: &LaneView, area: Area) {
        let slots_per_column = self.plan.scene.metacycle as f64 / area.width;
        for run in &view.columns {
            let row = row_area(area, view, run.row);
            let from = (run.x as f64 * slots_per_column) as i64;
            let to = (((run.x + run.width) as f64 * slots_per_column).ceil() as i64 - 1).max(from);
            let name = &self.plan.scene.categories[run.category];
            let when = slots(from, to - from + 1, None);
            let title = format!("mostly {name}, {}: {when}", counted(run.bars, "bar"));
            let place = Area { x: area.x + run.x as f64, width: run.width as f64, ..row };
            let paint = palette::category(run.category).faded(run.opacity);
            self.canvas.push(Shape::rect(place, paint).titled(title));
        }
    }

    fn piece(&mut self, piece: &Piece, row: Area) {
        let gap = if piece.width >= 4.0 { 1.0 } else { 0.5 };
        let (left, right) = (snap(row.x + piece.x), snap(row.x + piece.x + piece.width) - gap);
        let place = Area { x: left, width: right - left, ..row };
        let solid = palette::category(piece.bar.category);
        let paint = if piece.wrapped { solid.faded(WRAPPED) } else { solid };
        self.canvas.push(Shape::rect(place, paint).titled(self.describe(&piece.bar)));
        let size = if row.height >= 18.0 { TICK_SIZE } else { TICK_SIZE - 2.0 };
        let name = &self.plan.scene.categories[piece.bar.category];
        let wide = width(name, size, Weight::Regular);
        if row.height < LINK_HEIGHT || wide + 8.0 > place.width {
            return;
        }
        let at = place.center();
        if paint.hatch != Hatch::None {
            let chip =
                Area { x: at.x - wide / 2.0 - 3.0, y: place.y + 1.0, width: wide + 6.0, height: place.height - 2.0 };
            self.canvas.push(Shape::rect(chip, WHITE));
        }
        let color = if piece.wrapped || paint.hatch != Hatch::None { BLACK } else { palette::text_on(paint.color) };
        let baseline = at.y + CAP_HEIGHT * size / 2.0;
        self.canvas.push(Shape::text(name.as_str(), at.x, baseline, Anchor::Middle, size, color));
    }

    fn describe(&self, bar: &Bar) -> String {
        let scene = self.plan.scene;
        let when = slots(bar.start, bar.length, Some(scene.metacycle));
        match bar.detail {
            BarDetail::Firing(index) => format!("{}, firing {index}: {when}", scene.categories[bar.category]),
            BarDetail::Frames { channel, link } => {
                let LinkLane { from, to, .. } = &scene.links[link];
                let (from, to) = (&scene.nodes[*from].name, &scene.nodes[*to].name);
                format!("channel {}, {from}→{to}: {when}", scene.channels[channel])
            }
        }
    }

    /// What is left out, and the version.
    fn foot(&mut self) {
        self.y += if self.plan.pages[self.number].is_empty() { 16.0 } else { 62.0 };
        let mut notes = Vec::new();
        for (count, noun) in
            [(self.plan.idle_nodes, "idle node"), (self.plan.idle_cores, "core"), (self.links_hidden, "less used link")]
        {
            if count > 0 {
                notes.push(format!("{} not shown", counted(count, noun)));
            }
        }
        let footer = &self.plan.scene.footer;
        let right = f64::from(WIDTH) - MARGIN;
        let room = right - MARGIN - 24.0;
        let footer = fit(footer, TICK_SIZE, Weight::Regular, room / 2.0);
        let notes = notes.join(" · ");
        let notes = fit(&notes, TICK_SIZE, Weight::Regular, room - width(&footer, TICK_SIZE, Weight::Regular));
        self.canvas.push(Shape::text(notes, MARGIN, self.y, Anchor::Start, TICK_SIZE, GREY_TEXT));
        self.canvas.push(Shape::text(footer, right, self.y, Anchor::End, TICK_SIZE, GREY_TEXT));
        self.y += MARGIN;
    }
}

/// Positions of round slots with their numbers. The end is always marked; a round number too close before it gives way.
fn marks(plot: Area, metacycle: i64) -> Vec<(f64, i64)> {
    let label = width(&grouped(metacycle), TICK_SIZE, Weight::Regular);
    let most = ((plot.width / (label + 28.0)) as usize).clamp(2, 10);
    let at = |slot: i64| snap(plot.x + plot.width * (slot as f64 / metacycle as f64));
    let mut marks: Vec<_> = round_ticks(metacycle, most).into_iter().map(|slot| (at(slot), slot)).collect();
    let end = (plot.right(), metacycle);
    marks.retain(|&(x, slot)| slot == 0 || end.0 - x >= label + 12.0);
    marks.push(end);
    marks
}

/// Slots in which some bar is busy, if bars do not overlap.
fn busy(bars: &[Bar], metacycle: i64) -> i64 {
    bars.iter().map(|bar| bar.length.min(metacycle)).fold(0, i64::saturating_add)
}

/// The strip of a lane that row `row` takes.
fn row_area(lane: Area, view: &LaneView, row: usize) -> Area {
    let height = lane.height / view.rows as f64;
    let gap = if view.rows > 1 { 0.5 } else { 0.0 };
    Area { y: lane.y + row as f64 * height, height: height - gap, ..lane }
}

/// The nearest edge of a device pixel of the PNG.
fn snap(x: f64) -> f64 {
    (x * 2.0).round() / 2.0
}

/// "n0→n1", with both names cut to half the room if they are long together.
fn link_label(from: &str, to: &str, room: f64) -> String {
    let full = format!("{from}→{to}");
    if width(&full, TICK_SIZE, Weight::Regular) <= room {
        return full;
    }
    let half = (room - width("→", TICK_SIZE, Weight::Regular)) / 2.0;
    let cut = |name| squeeze(name, TICK_SIZE, Weight::Regular, half);
    format!("{}→{}", cut(from), cut(to))
}

/// "slot 3" or "slots 3–5"; a run that wraps past `metacycle` says so.
fn slots(start: i64, length: i64, metacycle: Option<i64>) -> String {
    let last = start.saturating_add(length - 1);
    match metacycle {
        _ if length == 1 => format!("slot {}", grouped(start)),
        Some(metacycle) if last >= metacycle => {
            format!("slots {}–{} and 0–{}", grouped(start), grouped(metacycle - 1), grouped(last - metacycle))
        }
        _ => format!("slots {}–{}", grouped(start), grouped(last)),
    }
}
