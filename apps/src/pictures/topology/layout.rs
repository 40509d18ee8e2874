//! Where nodes lie on the canvas.

use super::{Layout, TopologyScene, stress};
use crate::pictures::canvas::{Area, Point};
use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// Neighbours are at most this far apart, in logical pixels: small machines stay compact.
const SPACING_MAX: f64 = 220.0;
/// One axis may be stretched this much over the other.
const STRETCH_MAX: f64 = 1.6;
/// Largest and smallest radius of a node.
const RADIUS: (f64, f64) = (25.0, 2.0);
/// Radius of a node over the distance to its nearest neighbour.
const RADIUS_SHARE: f64 = 0.28;
/// Room around the outermost nodes: for a label, or for the stubs of links that wrap around a grid.
const LABEL_ROOM: f64 = 18.0;
/// Length of a stub in radii.
pub(super) const STUB: f64 = 1.3;

/// Positions of nodes, and what drawing them and their links needs to know.
pub(super) struct Placed {
    /// Per node.
    pub(super) points: Vec<Point>,
    /// Radius of every node.
    pub(super) radius: f64,
    /// Columns, rows and planes, if nodes lie in a grid.
    pub(super) grid: Option<[usize; 3]>,
}

/// Places the nodes of `scene` within `field`. Quadratic in nodes.
pub(super) fn place(scene: &TopologyScene, field: Area) -> Placed {
    let (unit, stretch, grid) = shape(scene);
    let within = |radius: f64| {
        let room = if grid.is_some() { (radius * STUB).max(LABEL_ROOM) } else { LABEL_ROOM };
        let inset = radius + room + 2.0;
        let (width, height) = (field.width - 2.0 * inset, field.height - 2.0 * inset);
        fit(&unit, Area { x: field.x + inset, y: field.y + inset, width, height }, stretch)
    };
    let radius = |points: &[Point]| (spacing(points) * RADIUS_SHARE).clamp(RADIUS.1, RADIUS.0);
    // Small nodes leave more room to spread than large ones: the second pass uses it.
    let first = radius(&within(RADIUS.0));
    Placed { points: within(first), radius: first, grid }
}

/// Places on a scale of their own, how much more one axis may be scaled than the other, and the sides of the grid.
fn shape(scene: &TopologyScene) -> (Vec<Point>, f64, Option<[usize; 3]>) {
    let count = scene.nodes.len();
    match &scene.layout {
        &Layout::Grid { columns, rows, planes }
            if columns.checked_mul(rows).and_then(|n| n.checked_mul(planes)) == Some(count) =>
        {
            let sides = [columns, rows, planes];
            (lattice(sides), STRETCH_MAX, Some(sides))
        }
        Layout::Line => (line(count), 1.0, None),
        Layout::Circle => (circle(count, if count == 2 { PI } else { -FRAC_PI_2 }), 1.0, None),
        &Layout::Star { hub } if hub < count => (star(count, hub), 1.0, None),
        Layout::Levels(levels) if levels.len() == count => (tree(levels), f64::INFINITY, None),
        &Layout::Circles { first } if first > 0 && first < count => (circles(scene, first), 1.0, None),
        _ => {
            let links: Vec<_> = scene.links.iter().map(|link| (link.from, link.to)).collect();
            (stress::place(count, &links), STRETCH_MAX, None)
        }
    }
}

/// Rows, columns and planes; planes are shifted by less than a cell, so that no two nodes share a line of another plane.
fn lattice([columns, rows, planes]: [usize; 3]) -> Vec<Point> {
    let shift = 1.0 / (planes as f64 + 0.6);
    let mut points = Vec::new();
    for plane in 0..planes {
        let depth = plane as f64 * shift;
        for row in 0..rows {
            points.extend((0..columns).map(|column| Point { x: column as f64 + depth, y: row as f64 - depth }));
        }
    }
    points
}

/// A chain in rows of alternating direction, about as wide as the canvas is.
fn line(count: usize) -> Vec<Point> {
    let columns = (8..).find(|c| c * c * 3 >= count * 5).expect("some square is large enough");
    let place = |i: usize| {
        let (row, step) = (i / columns, i % columns);
        let column = if row.is_multiple_of(2) { step } else { columns - 1 - step };
        Point { x: column as f64, y: row as f64 }
    };
    (0..count).map(place).collect()
}

/// `count` points on the unit circle, clockwise from angle `start`.
fn circle(count: usize, start: f64) -> Vec<Point> {
    if count == 1 {
        return vec![Point { x: 0.0, y: 0.0 }];
    }
    let angle = |i: usize| start + TAU * i as f64 / count as f64;
    (0..count).map(|i| Point { x: libm::cos(angle(i)), y: libm::sin(angle(i)) }).collect()
}

fn star(count: usize, hub: usize) -> Vec<Point> {
    let mut points = if count == 2 { vec![Point { x: 1.0, y: 0.0 }] } else { circle(count - 1, -FRAC_PI_2) };
    if count > 1 {
        points.insert(hub, Point { x: 0.0, y: 0.0 });
    } else {
        points = vec![Point { x: 0.0, y: 0.0 }];
    }
    points
}

fn tree(levels: &[u32]) -> Vec<Point> {
    let level = |node: usize| levels[node] as usize;
    let mut sizes = std::collections::BTreeMap::new();
    for node in 0..levels.len() {
        *sizes.entry(level(node)).or_insert(0_usize) += 1;
    }
    let mut seen = std::collections::BTreeMap::new();
    let place = |node| {
        let position = seen.entry(level(node)).or_insert(0_usize);
        *position += 1;
        Point { x: (*position as f64 - 0.5) / sizes[&level(node)] as f64, y: level(node) as f64 }
    };
    (0..levels.len()).map(place).collect()
}

fn circles(scene: &TopologyScene, first: usize) -> Vec<Point> {
    let count = scene.nodes.len();
    // The bridge decides which node of each circle faces the other circle.
    let bridge = scene.links.iter().map(|link| (link.from.min(link.to), link.from.max(link.to)));
    let (left, right) = bridge.filter(|&(a, b)| a < first && b >= first).min().unwrap_or((0, first));
    let turned = |size: usize, facing: usize, angle: f64| circle(size, angle - TAU * facing as f64 / size as f64);
    let mut points = turned(first, left, 0.0);
    points.extend(turned(count - first, right - first, PI).into_iter().map(|p| Point { x: p.x + 2.9, y: p.y }));
    points
}

/// Scales and moves points into the middle of `area`; the axes keep their proportion up to the factor `stretch`.
fn fit(points: &[Point], area: Area, stretch: f64) -> Vec<Point> {
    let span = |of: fn(&Point) -> f64| {
        let low = points.iter().map(of).fold(f64::INFINITY, f64::min);
        (low, points.iter().map(of).fold(f64::NEG_INFINITY, f64::max) - low)
    };
    let ((left, width), (top, height)) = (span(|p| p.x), span(|p| p.y));
    let scale = |room: f64, extent: f64| if extent > 1e-9 { room / extent } else { f64::INFINITY };
    let (wide, high) = (scale(area.width, width), scale(area.height, height));
    let (x, y) = (wide.min(high * stretch), high.min(wide * stretch));
    // Points that all coincide along an axis leave it unscaled.
    let finite = |scale: f64, other: f64| [scale, other, 1.0].into_iter().find(|s| s.is_finite()).expect("1 is finite");
    let nearest = if stretch.is_finite() { spacing(points) } else { 1.0 };
    let most = if nearest > 1e-9 { SPACING_MAX / nearest } else { f64::INFINITY };
    let (x, y) = (finite(x, y), finite(y, x).min(most));
    let x = if stretch.is_finite() { x.min(most) } else { x };
    let middle = area.center();
    let place = |p: &Point| Point {
        x: middle.x + (p.x - left - width / 2.0) * x,
        y: middle.y + (p.y - top - height / 2.0) * y,
    };
    points.iter().map(place).collect()
}

/// Distance of the closest pair.
fn spacing(points: &[Point]) -> f64 {
    let mut least = f64::INFINITY;
    for (i, a) in points.iter().enumerate() {
        for b in &points[i + 1..] {
            least = least.min(libm::hypot(a.x - b.x, a.y - b.y));
        }
    }
    least
}
