//! Draws a topology scene: arrows, then nodes, then labels where there is room.

use super::labels::Obstacles;
use super::layout::{self, Placed, STUB};
use super::{TopologyNode, TopologyScene};
use crate::pictures::axis::{counted, percent};
use crate::pictures::canvas::{Anchor, Area, Canvas, Point, Rgb, Shape, Weight};
use crate::pictures::font::{CAP_HEIGHT, fit, squeeze, width};
use crate::pictures::palette::{self, BLACK, BLUE, GREY_TEXT, IDLE, WHITE};
use crate::pictures::{AXIS_SIZE, TICK_SIZE, TITLE_SIZE, WIDTH};
use std::collections::BTreeMap;

const HEIGHT: u32 = 600;
const MARGIN: f64 = 16.0;
/// Text where there is little room.
const SMALL: f64 = 10.0;
const TINY: f64 = 8.0;
/// Where nodes and their labels lie.
const FIELD: Area = Area { x: MARGIN, y: 72.0, width: 830.0, height: 492.0 };
/// Names outside of nodes are cut to this width.
const NAME_WIDTH_MAX: f64 = 130.0;
/// From this use on, links have their figure beside them.
const CROWDED: f64 = 0.9;
/// Machines beyond this size have names and figures in titles alone.
const LABELLED_NODES_MAX: usize = 150;

/// The picture.
pub(crate) fn canvas(scene: &TopologyScene) -> Canvas {
    let mut canvas = Canvas { width: WIDTH, height: HEIGHT, title: scene.title.clone(), shapes: Vec::new() };
    head(&mut canvas, scene);
    if !scene.nodes.is_empty() {
        let picture = Picture::new(scene);
        let mut obstacles = Obstacles::default();
        let arrows = picture.arrows();
        for arrow in &arrows {
            picture.arrow(&mut canvas, &mut obstacles, arrow);
        }
        picture.nodes(&mut canvas, &mut obstacles);
        picture.labels(&mut canvas, &mut obstacles, &arrows);
    }
    key(&mut canvas, scene);
    canvas
}

fn head(canvas: &mut Canvas, scene: &TopologyScene) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let title = fit(&scene.title, TITLE_SIZE, Weight::Bold, room);
    canvas.push(Shape::text(title, MARGIN, 36.0, Anchor::Start, TITLE_SIZE, BLACK).bold().titled(scene.title.as_str()));
    let subtitle = fit(&scene.subtitle, TICK_SIZE, Weight::Regular, room);
    canvas.push(Shape::text(subtitle, MARGIN, 58.0, Anchor::Start, TICK_SIZE, GREY_TEXT));
}

/// Parallel links of one direction.
struct Arrow {
    from: usize,
    to: usize,
    /// How many links.
    count: usize,
    /// Use of the busiest of them.
    busy: f64,
    /// The direction of its stubs, if it wraps around the grid.
    wraps: Option<Point>,
}

struct Picture<'a> {
    scene: &'a TopologyScene,
    placed: Placed,
    /// Radius of every node.
    radius: f64,
    /// Whether names stand in nodes, at which size; else beside them.
    name_size: Option<f64>,
    /// Size of arrows relative to those of a large picture.
    scale: f64,
}

impl<'a> Picture<'a> {
    fn new(scene: &'a TopologyScene) -> Self {
        let placed = layout::place(scene, FIELD);
        let radius = placed.radius;
        let widest = |size| scene.nodes.iter().map(|n| width(&n.name, size, Weight::Regular)).fold(0.0, f64::max);
        let fits = |&size: &f64| size * CAP_HEIGHT < 1.2 * radius && widest(size) <= 2.0 * radius - 2.0;
        let name_size = [TICK_SIZE, SMALL, TINY].into_iter().find(fits);
        Self { scene, placed, radius, name_size, scale: (radius / 22.0).clamp(0.15, 1.0) }
    }

    /// Links by their ends, in order of ends.
    fn arrows(&self) -> Vec<Arrow> {
        let mut by_ends: BTreeMap<(usize, usize), (usize, f64)> = BTreeMap::new();
        for link in &self.scene.links {
            let entry = by_ends.entry((link.from, link.to)).or_insert((0, 0.0));
            let busy = if self.scene.measured { link.busy } else { 0.0 };
            *entry = (entry.0 + 1, entry.1.max(busy));
        }
        let arrow = |((from, to), (count, busy))| Arrow { from, to, count, busy, wraps: self.wraps(from, to) };
        by_ends.into_iter().map(arrow).collect()
    }

    /// The direction in which a link leaves the grid to come back at its other side.
    fn wraps(&self, from: usize, to: usize) -> Option<Point> {
        let sides = self.placed.grid?;
        let place = |node: usize| [node % sides[0], node / sides[0] % sides[1], node / (sides[0] * sides[1])];
        let (a, b) = (place(from), place(to));
        let mut differing = (0..3).filter(|&axis| a[axis] != b[axis]);
        let (axis, None) = (differing.next()?, differing.next()) else { return None };
        if a[axis].abs_diff(b[axis]) + 1 != sides[axis] || sides[axis] < 3 {
            return None;
        }
        // The next node along the axis shows its direction on paper, also in oblique projection.
        let stride = [1, sides[0], sides[0] * sides[1]][axis];
        let low = from.min(to);
        let step = unit(self.placed.points[low], self.placed.points[low + stride]);
        Some(if from < to { Point { x: -step.x, y: -step.y } } else { step })
    }

    fn arrow(&self, canvas: &mut Canvas, obstacles: &mut Obstacles, arrow: &Arrow) {
        let (from, to) = (self.placed.points[arrow.from], self.placed.points[arrow.to]);
        let names = [arrow.from, arrow.to].map(|node| self.scene.nodes[node].name.as_str());
        let around = if arrow.wraps.is_some() { ", wraps around" } else { "" };
        let many = if arrow.count > 1 { format!(", {} links", arrow.count) } else { String::new() };
        let busiest = if arrow.count > 1 { "at most " } else { "" };
        let figure = if self.scene.measured { format!(": {busiest}{}", percent(arrow.busy)) } else { String::new() };
        let title = format!("{}→{}{around}{many}{figure}", names[0], names[1]);
        let (color, thickness) = self.look(arrow.busy);
        let mut push = |tail: Point, tip: Point| {
            let mut shape = Shape::polygon(arrow_outline(tail, tip, thickness), color).titled(title.as_str());
            if arrow.busy > 0.0 && self.scale > 0.4 {
                // The light end of the colour scale needs a border to be seen on white.
                shape = shape.outlined(GREY_TEXT, 0.5);
            }
            canvas.push(shape);
            obstacles.lines.push((tail, tip, thickness / 2.0 + 1.0));
        };
        let aside = 3.0 * self.scale + thickness / 2.0;
        let Some(out) = arrow.wraps else {
            if arrow.from == arrow.to {
                return;
            }
            let along = unit(from, to);
            let (tail, tip) = (self.edge(arrow.from, along, aside, 1.0), self.edge(arrow.to, along, aside, -1.0));
            return push(tail, tip);
        };
        let stub = self.radius * STUB;
        let tail = self.edge(arrow.from, out, aside, 1.0);
        push(tail, Point { x: tail.x + out.x * stub, y: tail.y + out.y * stub });
        // It comes back from the opposite side, in the direction in which it left.
        let tip = self.edge(arrow.to, out, aside, -1.0);
        push(Point { x: tip.x - out.x * stub, y: tip.y - out.y * stub }, tip);
    }

    /// Colour and thickness of a link by its use.
    fn look(&self, busy: f64) -> (Rgb, f64) {
        let color = if busy > 0.0 { palette::viridis(busy) } else { IDLE };
        (color, (2.0 + 7.0 * busy.clamp(0.0, 1.0)) * self.scale)
    }

    /// Where a line along the unit vector `along`, shifted to its right by `aside`, leaves the border of a node (`side` 1)
    /// or enters it (−1), with a little air.
    fn edge(&self, node: usize, along: Point, aside: f64, side: f64) -> Point {
        let center = self.placed.points[node];
        let reach = if self.scene.nodes[node].switch {
            self.radius * 0.9 / along.x.abs().max(along.y.abs())
        } else {
            (self.radius * self.radius - aside * aside).max(0.0).sqrt()
        };
        let reach = side * (reach + 1.5 * self.scale + 0.5);
        Point { x: center.x + along.x * reach - along.y * aside, y: center.y + along.y * reach + along.x * aside }
    }

    fn nodes(&self, canvas: &mut Canvas, obstacles: &mut Obstacles) {
        for (node, &at) in self.scene.nodes.iter().zip(&self.placed.points) {
            let look = Look::of(self.scene, node);
            let ink = palette::text_on(look.color());
            let what = match look {
                Look::Switch => ": a switch".to_owned(),
                _ if self.scene.measured => format!(": compute {}", percent(node.busy)),
                _ => String::new(),
            };
            canvas.push(look.shape(at, self.radius).titled(format!("{}{what}", node.name)));
            let figure = self.figure_inside(node);
            if let Some(size) = self.name_size {
                let rise = if figure.is_some() { 4.0 } else { -CAP_HEIGHT * size / 2.0 };
                canvas.push(Shape::text(node.name.as_str(), at.x, at.y - rise, Anchor::Middle, size, ink));
            }
            if let Some(figure) = figure {
                canvas.push(Shape::text(figure, at.x, at.y + 11.0, Anchor::Middle, SMALL, ink));
            }
            let reach = if node.switch { 1.15 * self.radius } else { self.radius };
            obstacles.circles.push((at, reach));
        }
    }

    /// The use of a node that computes.
    fn figure(&self, node: &TopologyNode) -> Option<String> {
        (self.scene.measured && !node.switch && node.busy > 0.0).then(|| percent(node.busy))
    }

    /// The use of a node, if it stands in the node, below the name.
    fn figure_inside(&self, node: &TopologyNode) -> Option<String> {
        if self.name_size.is_some() && self.radius >= 20.0 { self.figure(node) } else { None }
    }

    /// Names and use of nodes that do not stand in them, use of crowded links, numbers of parallel links.
    fn labels(&self, canvas: &mut Canvas, obstacles: &mut Obstacles, arrows: &[Arrow]) {
        if self.scene.nodes.len() > LABELLED_NODES_MAX || self.radius < 7.0 {
            return;
        }
        for arrow in arrows.iter().filter(|arrow| arrow.busy >= CROWDED) {
            self.beside_arrow(canvas, obstacles, arrow, &percent(arrow.busy), BLACK);
        }
        for arrow in arrows.iter().filter(|arrow| arrow.count > 1 && arrow.from < arrow.to) {
            self.beside_arrow(canvas, obstacles, arrow, &format!("×{}", arrow.count), GREY_TEXT);
        }
        let angles = self.angles(arrows);
        let mut nodes = self.scene.nodes.iter().zip(&self.placed.points).zip(&angles);
        if self.name_size.is_some() {
            // Figures tell something only if all are there.
            let mark = (canvas.shapes.len(), obstacles.areas.len());
            let complete = nodes.all(|((node, &at), angles)| match self.figure_beside(node) {
                Some(line) => self.beside_node(canvas, obstacles, node, at, angles, &[line]),
                None => true,
            });
            if !complete {
                canvas.shapes.truncate(mark.0);
                obstacles.areas.truncate(mark.1);
            }
            return;
        }
        for ((node, &at), angles) in nodes {
            let name = squeeze(&node.name, self.label_size(), Weight::Regular, NAME_WIDTH_MAX).into_owned();
            let mut lines = vec![(name, BLACK)];
            lines.extend(self.figure_beside(node));
            // Where there is no room for both lines, there may be for the name.
            let both = self.beside_node(canvas, obstacles, node, at, angles, &lines);
            if !both && lines.len() > 1 {
                self.beside_node(canvas, obstacles, node, at, angles, &lines[..1]);
            }
        }
    }

    fn label_size(&self) -> f64 {
        if self.radius < 14.0 { SMALL } else { TICK_SIZE }
    }

    fn figure_beside(&self, node: &TopologyNode) -> Option<(String, Rgb)> {
        if self.figure_inside(node).is_some() { None } else { self.figure(node).map(|figure| (figure, GREY_TEXT)) }
    }

    /// Puts lines of text beside a node; whether there was room.
    fn beside_node(
        &self,
        canvas: &mut Canvas,
        obstacles: &mut Obstacles,
        node: &TopologyNode,
        at: Point,
        angles: &[f64],
        lines: &[(String, Rgb)],
    ) -> bool {
        let size = self.label_size();
        let reach = if node.switch { self.radius * 1.15 } else { self.radius } + 1.5;
        let widest = lines.iter().map(|(text, _)| width(text, size, Weight::Regular)).fold(0.0, f64::max);
        let extent = (widest + 4.0, (size + 2.0) * lines.len() as f64);
        let Some(area) = obstacles.beside(at, reach, extent, angles, FIELD) else { return false };
        for (row, (text, color)) in lines.iter().enumerate() {
            let baseline = area.y + (size + 2.0) * row as f64 + size - 1.0;
            canvas.push(Shape::text(text.as_str(), area.center().x, baseline, Anchor::Middle, size, *color));
        }
        obstacles.areas.push(area);
        true
    }

    /// Per node the directions of its links.
    fn angles(&self, arrows: &[Arrow]) -> Vec<Vec<f64>> {
        let mut angles = vec![Vec::new(); self.scene.nodes.len()];
        for arrow in arrows {
            let (from, to) = (self.placed.points[arrow.from], self.placed.points[arrow.to]);
            let out = arrow.wraps.unwrap_or_else(|| unit(from, to));
            angles[arrow.from].push(libm::atan2(out.y, out.x));
            angles[arrow.to].push(libm::atan2(-out.y, -out.x));
        }
        angles
    }

    /// A label on an arrow's own outer side, a third of the way or where there is room.
    fn beside_arrow(&self, canvas: &mut Canvas, obstacles: &mut Obstacles, arrow: &Arrow, text: &str, color: Rgb) {
        let font = self.label_size();
        let (wide, high) = (width(text, font, Weight::Regular) + 2.0, font);
        let (from, to) = (self.placed.points[arrow.from], self.placed.points[arrow.to]);
        let along = arrow.wraps.unwrap_or_else(|| unit(from, to));
        let (_, thickness) = self.look(arrow.busy);
        let aside = 3.0 * self.scale + thickness + 4.0 + along.y.abs() * wide / 2.0 + along.x.abs() * high / 2.0;
        let length = match arrow.wraps {
            Some(_) => self.radius * (1.0 + STUB) * 2.0,
            None => libm::hypot(to.x - from.x, to.y - from.y),
        };
        let free = [0.3, 0.4, 0.5, 0.6, 0.7].into_iter().find_map(|part| {
            let at = part * length;
            let x = from.x + along.x * at - along.y * aside;
            let y = from.y + along.y * at + along.x * aside;
            let area = Area { x: x - wide / 2.0, y: y - high / 2.0, width: wide, height: high };
            obstacles.is_free(area, FIELD).then_some(area)
        });
        if let Some(area) = free {
            let baseline = area.center().y + CAP_HEIGHT * font / 2.0;
            canvas.push(Shape::text(text, area.center().x, baseline, Anchor::Middle, font, color));
            obstacles.areas.push(area);
        }
    }
}

/// What a node looks like: circles compute, squares relay, what could compute and does not is pale.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Computes,
    Idle,
    Switch,
}

impl Look {
    fn of(scene: &TopologyScene, node: &TopologyNode) -> Self {
        match (node.switch, scene.measured && node.busy <= 0.0) {
            (true, _) => Self::Switch,
            (false, true) => Self::Idle,
            (false, false) => Self::Computes,
        }
    }

    fn color(self) -> Rgb {
        match self {
            Self::Computes => BLUE,
            Self::Idle => IDLE,
            Self::Switch => WHITE,
        }
    }

    fn shape(self, at: Point, radius: f64) -> Shape {
        if self != Self::Switch {
            return Shape::circle(at, radius, self.color());
        }
        let half = radius * 0.9;
        let area = Area { x: at.x - half, y: at.y - half, width: 2.0 * half, height: 2.0 * half };
        Shape::rect(area, self.color()).outlined(BLACK, if radius > 9.0 { 1.5 } else { 0.5 })
    }
}

fn unit(from: Point, to: Point) -> Point {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let length = libm::hypot(dx, dy).max(1e-9);
    Point { x: dx / length, y: dy / length }
}

/// Shaft and head of an arrow in one outline.
fn arrow_outline(tail: Point, tip: Point, thickness: f64) -> Vec<Point> {
    let along = unit(tail, tip);
    let length = libm::hypot(tip.x - tail.x, tip.y - tail.y);
    let head = (1.5 * thickness + 4.0).min(5.0 * thickness).min(length * 0.45);
    let (half, wing) = (thickness / 2.0, (thickness * 0.9 + 1.5).min(1.8 * thickness));
    let neck = length - head;
    [(0.0, -half), (neck, -half), (neck, -wing), (length, 0.0), (neck, wing), (neck, half), (0.0, half)]
        .map(|(forth, aside)| Point {
            x: tail.x + along.x * forth - along.y * aside,
            y: tail.y + along.y * forth + along.x * aside,
        })
        .to_vec()
}

/// Colour bar, signs and the foot.
fn key(canvas: &mut Canvas, scene: &TopologyScene) {
    let bar = Area { x: 888.0, y: 150.0, width: 16.0, height: 300.0 };
    let has_bar = scene.measured && !scene.links.is_empty();
    if has_bar {
        color_bar(canvas, bar);
    }
    signs(canvas, scene, Point { x: bar.x + 8.0, y: if has_bar { bar.bottom() + 28.0 } else { bar.y } });
    let right = f64::from(WIDTH) - MARGIN;
    let baseline = f64::from(HEIGHT) - MARGIN;
    canvas.push(Shape::text(scene.footer.as_str(), right, baseline, Anchor::End, TICK_SIZE, GREY_TEXT));
}

fn color_bar(canvas: &mut Canvas, bar: Area) {
    let steps = 100;
    let step = bar.height / f64::from(steps);
    for i in 0..steps {
        let color = palette::viridis((f64::from(i) + 0.5) / f64::from(steps));
        let y = bar.bottom() - f64::from(i + 1) * step;
        canvas.push(Shape::rect(Area { y, height: step, ..bar }, color));
    }
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = bar.bottom() - share * bar.height;
        canvas.push(Shape::rect(Area { x: bar.right(), y: y - 0.5, width: 4.0, height: 1.0 }, IDLE));
        let baseline = y + CAP_HEIGHT * TICK_SIZE / 2.0;
        canvas.push(Shape::text(percent(share), bar.right() + 8.0, baseline, Anchor::Start, TICK_SIZE, GREY_TEXT));
    }
    canvas.push(Shape::text("link use", bar.x, bar.y - 30.0, Anchor::Start, AXIS_SIZE, BLACK));
    canvas.push(Shape::text("(% of slots)", bar.x, bar.y - 14.0, Anchor::Start, TICK_SIZE, GREY_TEXT));
}

/// What circles, squares and grey stand for, as far as they occur.
fn signs(canvas: &mut Canvas, scene: &TopologyScene, mut at: Point) {
    let computes = if scene.measured { "computes" } else { "node" };
    for (look, text) in [(Look::Computes, computes), (Look::Idle, "idle node"), (Look::Switch, "switch")] {
        let count = scene.nodes.iter().filter(|node| Look::of(scene, node) == look).count();
        if count > 0 {
            canvas.push(look.shape(at, 7.0).titled(counted(count, "node")));
            let baseline = at.y + CAP_HEIGHT * TICK_SIZE / 2.0;
            canvas.push(Shape::text(text, at.x + 16.0, baseline, Anchor::Start, TICK_SIZE, GREY_TEXT));
            at.y += 22.0;
        }
    }
    if scene.measured && scene.links.iter().any(|link| link.busy <= 0.0) {
        let (tail, tip) = (Point { x: at.x - 8.0, ..at }, Point { x: at.x + 8.0, ..at });
        canvas.push(Shape::polygon(arrow_outline(tail, tip, 2.0), IDLE));
        let baseline = at.y + CAP_HEIGHT * TICK_SIZE / 2.0;
        canvas.push(Shape::text("idle link", at.x + 16.0, baseline, Anchor::Start, TICK_SIZE, GREY_TEXT));
    }
}
