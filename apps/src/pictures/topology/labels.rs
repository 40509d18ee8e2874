//! Places for labels that overlap neither nodes nor links nor each other.

use crate::pictures::canvas::{Area, Point};
use std::f64::consts::{PI, TAU};

/// Directions tried around a node.
const DIRECTIONS: usize = 16;

/// Other nodes are at least this much further from a label than its own.
const PLAIN: f64 = 5.0;

/// What is already on the picture.
#[derive(Default)]
pub(super) struct Obstacles {
    pub(super) areas: Vec<Area>,
    /// Centres and radii.
    pub(super) circles: Vec<(Point, f64)>,
    /// Ends and half the width of thick lines.
    pub(super) lines: Vec<(Point, Point, f64)>,
}

impl Obstacles {
    pub(super) fn is_free(&self, area: Area, bounds: Area) -> bool {
        let inside = area.x >= bounds.x
            && area.y >= bounds.y
            && area.right() <= bounds.right()
            && area.bottom() <= bounds.bottom();
        inside
            && !self.areas.iter().any(|&other| area.overlaps(other))
            && !self.circles.iter().any(|&(center, radius)| distance(area, center) < radius)
            && !self.lines.iter().any(|&(from, to, half)| crosses(grown(area, half), from, to))
    }

    /// A free place of the given size close to a node, away from its links (`angles` are their directions), or `None`.
    pub(super) fn beside(
        &self,
        center: Point,
        radius: f64,
        (width, height): (f64, f64),
        angles: &[f64],
        bounds: Area,
    ) -> Option<Area> {
        let clearance = |direction: f64| angles.iter().map(|&a| apart(a, direction)).fold(PI, f64::min);
        // The lower right comes first among equals.
        let mut directions: Vec<f64> = (0..DIRECTIONS).map(|i| PI / 4.0 + TAU * i as f64 / DIRECTIONS as f64).collect();
        directions.sort_by(|&a, &b| (clearance(b) * 1e6).round().total_cmp(&(clearance(a) * 1e6).round()));
        directions.into_iter().find_map(|direction| {
            let (cos, sin) = (libm::cos(direction), libm::sin(direction));
            let place = |reach: f64| Area {
                x: center.x + cos * reach - width / 2.0,
                y: center.y + sin * reach - height / 2.0,
                width,
                height,
            };
            // As close as the box comes without touching the circle.
            let steps = (radius + width + height).ceil() as u32;
            let area = (0..=steps).map(|step| place(f64::from(step))).find(|&a| distance(a, center) >= radius)?;
            (self.is_free(area, bounds) && self.is_plain(area, center, radius)).then_some(area)
        })
    }

    /// Whether a label clearly belongs to the circle at `center`, and not to one that is hardly further away.
    fn is_plain(&self, area: Area, center: Point, radius: f64) -> bool {
        let own = distance(area, center) - radius + PLAIN;
        self.circles.iter().all(|&(other, size)| other == center || distance(area, other) - size >= own)
    }
}

/// The angle between two directions, from 0 to π.
fn apart(a: f64, b: f64) -> f64 {
    let turn = (a - b).rem_euclid(TAU);
    turn.min(TAU - turn)
}

/// From a rectangle to a point; 0 inside.
fn distance(area: Area, point: Point) -> f64 {
    let dx = (area.x - point.x).max(point.x - area.right()).max(0.0);
    let dy = (area.y - point.y).max(point.y - area.bottom()).max(0.0);
    libm::hypot(dx, dy)
}

fn grown(area: Area, by: f64) -> Area {
    Area { x: area.x - by, y: area.y - by, width: area.width + 2.0 * by, height: area.height + 2.0 * by }
}

/// Whether a segment meets a rectangle (Liang & Barsky's clipping).
fn crosses(area: Area, from: Point, to: Point) -> bool {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    let sides =
        [(-dx, from.x - area.x), (dx, area.right() - from.x), (-dy, from.y - area.y), (dy, area.bottom() - from.y)];
    for (slope, room) in sides {
        if slope == 0.0 {
            if room < 0.0 {
                return false;
            }
        } else if slope < 0.0 {
            enter = enter.max(room / slope);
        } else {
            leave = leave.min(room / slope);
        }
    }
    enter <= leave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_clipped_rightly() {
        let area = Area { x: 10.0, y: 10.0, width: 20.0, height: 10.0 };
        let p = |x, y| Point { x, y };
        assert!(crosses(area, p(0.0, 15.0), p(50.0, 15.0)));
        assert!(crosses(area, p(15.0, 12.0), p(16.0, 13.0)));
        assert!(crosses(area, p(5.0, 5.0), p(40.0, 30.0)));
        assert!(!crosses(area, p(0.0, 0.0), p(50.0, 5.0)));
        assert!(!crosses(area, p(0.0, 15.0), p(9.0, 15.0)));
        assert!(!crosses(area, p(0.0, 12.0), p(12.0, 0.0)));
    }

    #[test]
    fn a_label_avoids_what_is_there() {
        let bounds = Area { x: 0.0, y: 0.0, width: 200.0, height: 200.0 };
        let center = Point { x: 100.0, y: 100.0 };
        let mut obstacles = Obstacles::default();
        let mut found = 0;
        while let Some(area) = obstacles.beside(center, 20.0, (30.0, 14.0), &[0.0], bounds) {
            assert!(obstacles.is_free(area, bounds));
            obstacles.areas.push(area);
            found += 1;
        }
        assert!((4..=DIRECTIONS).contains(&found), "{found}");
    }
}
