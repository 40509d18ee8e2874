//! Positions for graphs without a shape of their own: distances on paper approach numbers of hops.
//!
//! A first guess by pivot MDS (Brandes & Pich, GD 2006), then stress majorisation, node by node (Gansner, Koren & North,
//! GD 2004). No randomness: equal graphs lie equally.

use crate::pictures::canvas::Point;
use std::collections::VecDeque;

/// Distances are quadratic in nodes; larger machines stay with a plain grid.
const NODES_MAX: usize = 2500;
const PIVOTS: usize = 24;
const POWER_STEPS: usize = 60;

/// Positions of `count` nodes joined by `links`, in hops. Quadratic in nodes.
pub(super) fn place(count: usize, links: &[(usize, usize)]) -> Vec<Point> {
    let columns = (1..).find(|c| c * c >= count).expect("a square holds all nodes");
    if count > NODES_MAX {
        return (0..count).map(|i| Point { x: (i % columns) as f64, y: (i / columns) as f64 }).collect();
    }
    let hops = distances(count, links);
    let mut points = pivot_mds(count, &hops);
    // Nodes that no distance tells apart get different places all the same.
    for (i, point) in points.iter_mut().enumerate() {
        let angle = i as f64 * 2.399_963_229_728_653;
        point.x += 0.05 * libm::cos(angle);
        point.y += 0.05 * libm::sin(angle);
    }
    let rounds = (60_000_000 / (count * count).max(1)).clamp(20, 300);
    for _ in 0..rounds {
        relax(&mut points, &hops);
    }
    level(&mut points);
    points
}

/// Hops between all pairs, row by row; parts that no link joins lie a little further apart than any two of one part.
fn distances(count: usize, links: &[(usize, usize)]) -> Vec<f32> {
    let mut neighbours = vec![Vec::new(); count];
    for &(from, to) in links {
        neighbours[from].push(to);
        neighbours[to].push(from);
    }
    let mut hops = vec![f32::INFINITY; count * count];
    for start in 0..count {
        let row = &mut hops[start * count..(start + 1) * count];
        row[start] = 0.0;
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &next in &neighbours[node] {
                if row[next].is_infinite() {
                    row[next] = row[node] + 1.0;
                    queue.push_back(next);
                }
            }
        }
    }
    let longest = hops.iter().copied().filter(|d| d.is_finite()).fold(0.0, f32::max);
    for distance in &mut hops {
        *distance = distance.min(longest + 1.5);
    }
    hops
}

/// Coordinates along the two directions in which squared distances to pivots vary most.
fn pivot_mds(count: usize, hops: &[f32]) -> Vec<Point> {
    let pivots = count.min(PIVOTS);
    let pivot = |k: usize| k * count / pivots;
    let square = |node: usize, k: usize| {
        let distance = f64::from(hops[node * count + pivot(k)]);
        distance * distance
    };
    let row_mean: Vec<f64> =
        (0..count).map(|i| (0..pivots).map(|k| square(i, k)).sum::<f64>() / pivots as f64).collect();
    let column_mean: Vec<f64> =
        (0..pivots).map(|k| (0..count).map(|i| square(i, k)).sum::<f64>() / count as f64).collect();
    let mean = row_mean.iter().sum::<f64>() / count as f64;
    let centred = |i: usize, k: usize| (row_mean[i] + column_mean[k] - square(i, k) - mean) / 2.0;
    let project =
        |v: &[f64]| -> Vec<f64> { (0..count).map(|i| (0..pivots).map(|k| centred(i, k) * v[k]).sum()).collect() };
    let mut first: Vec<f64> = Vec::new();
    let mut direction = |seed: usize| {
        let mut v: Vec<f64> = (0..pivots).map(|k| if k == seed { 1.0 } else { 0.1 / (k + 2) as f64 }).collect();
        for _ in 0..POWER_STEPS {
            let along: f64 = v.iter().zip(&first).map(|(a, b)| a * b).sum();
            for (a, b) in v.iter_mut().zip(&first) {
                *a -= along * b;
            }
            let shadow = project(&v);
            v = (0..pivots).map(|k| (0..count).map(|i| centred(i, k) * shadow[i]).sum()).collect();
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            if norm < 1e-12 {
                break;
            }
            v.iter_mut().for_each(|x| *x /= norm);
        }
        first.clone_from(&v);
        let coordinates = project(&v);
        let size = coordinates.iter().map(|x| x * x).sum::<f64>().sqrt();
        let hop = (count as f64).sqrt() / size.max(1e-9);
        coordinates.into_iter().map(|x| x * hop).collect::<Vec<f64>>()
    };
    let (xs, ys) = (direction(0), direction(pivots - 1));
    xs.into_iter().zip(ys).map(|(x, y)| Point { x, y }).collect()
}

/// Moves every node to where its distances to all others, weighted by 1/d², want it.
fn relax(points: &mut [Point], hops: &[f32]) {
    let count = points.len();
    for i in 0..count {
        let (mut x, mut y, mut weights) = (0.0, 0.0, 0.0);
        let here = points[i];
        for (j, there) in points.iter().enumerate() {
            if i == j {
                continue;
            }
            let wanted = f64::from(hops[i * count + j]);
            let weight = 1.0 / (wanted * wanted);
            let (dx, dy) = (here.x - there.x, here.y - there.y);
            let pull = wanted / (dx * dx + dy * dy).sqrt().max(1e-6);
            x += weight * (there.x + pull * dx);
            y += weight * (there.y + pull * dy);
            weights += weight;
        }
        if weights > 0.0 {
            points[i] = Point { x: x / weights, y: y / weights };
        }
    }
}

/// Turns the cloud of points so that its longest direction is level.
fn level(points: &mut [Point]) {
    let count = points.len() as f64;
    let middle = Point {
        x: points.iter().map(|p| p.x).sum::<f64>() / count,
        y: points.iter().map(|p| p.y).sum::<f64>() / count,
    };
    let moment = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|p| of(p.x - middle.x, p.y - middle.y)).sum::<f64>();
    let (xx, yy, xy) = (moment(&|x, _| x * x), moment(&|_, y| y * y), moment(&|x, y| x * y));
    let angle = -0.5 * libm::atan2(2.0 * xy, xx - yy);
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    for p in points {
        let (x, y) = (p.x - middle.x, p.y - middle.y);
        *p = Point { x: x * cos - y * sin, y: x * sin + y * cos };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: Point, b: Point) -> f64 {
        libm::hypot(a.x - b.x, a.y - b.y)
    }

    #[test]
    fn a_path_is_laid_out_straight() {
        let links: Vec<_> = (0..9).map(|i| (i, i + 1)).collect();
        let points = place(10, &links);
        for i in 0..9 {
            assert!((distance(points[i], points[i + 1]) - 1.0).abs() < 0.05);
        }
        assert!((distance(points[0], points[9]) - 9.0).abs() < 0.2);
    }

    #[test]
    fn no_two_nodes_coincide() {
        let complete: Vec<_> = (0..12).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
        let cube: Vec<_> = (0..16_usize).flat_map(|i| (0..4).map(move |bit| (i, i ^ (1 << bit)))).collect();
        for (count, links) in [(12, complete), (16, cube), (7, Vec::new()), (1, Vec::new()), (2, vec![(0, 1)])] {
            let points = place(count, &links);
            for (i, &a) in points.iter().enumerate() {
                assert!(a.x.is_finite() && a.y.is_finite());
                assert!(points[i + 1..].iter().all(|&b| distance(a, b) > 0.1), "{count}");
            }
        }
    }
}
