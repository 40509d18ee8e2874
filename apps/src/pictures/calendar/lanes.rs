//! From bars in slots to what one lane shows in pixels.
//!
//! Bars that overlap share the height of their lane in rows. Bars too narrow to be seen are gathered into pixel columns,
//! each of which shows the category that is busiest there; work is proportional to bars, never to slots.

use super::Bar;
use std::collections::BTreeMap;

/// Rows of a lane at most; bars beyond them are drawn over others.
const ROWS_MAX: usize = 12;
/// Bars narrower than this many pixels are gathered into columns.
const NARROW: f64 = 2.0;
/// Shades that tell how busy a column is.
const SHADES: f64 = 4.0;
/// Opacity of the least busy column.
const FAINTEST: f64 = 0.5;

/// A bar, or the part of it at one edge of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) bar: Bar,
    pub(super) row: usize,
    /// Left edge in pixels from the first slot's.
    pub(super) x: f64,
    pub(super) width: f64,
    /// Whether it is the rest, at the left edge, of a bar that wraps.
    pub(super) wrapped: bool,
}

/// Neighbouring pixel columns of one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) category: usize,
    pub(super) row: usize,
    pub(super) x: usize,
    pub(super) width: usize,
    pub(super) opacity: f64,
    /// Firings or runs of frames gathered here.
    pub(super) bars: usize,
}

/// What one lane shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LaneView {
    /// Rows that share the lane's height, at least 1.
    pub(super) rows: usize,
    pub(super) columns: Vec<Columns>,
    pub(super) pieces: Vec<Piece>,
}

/// Lays `bars` of a metacycle out over `width` pixels.
pub(super) fn view(bars: &[Bar], metacycle: i64, width: usize) -> LaneView {
    let scale = width as f64 / metacycle as f64;
    let mut bars = bars.to_vec();
    bars.sort_by_key(|bar| (bar.start, bar.length, bar.category));
    let mut parts: Vec<(i64, i64, Bar, bool)> = Vec::new();
    for &bar in &bars {
        let end = bar.start.saturating_add(bar.length);
        if end > metacycle {
            parts.push((0, (end - metacycle).min(metacycle), bar, true));
        }
        parts.push((bar.start, end.min(metacycle), bar, false));
    }
    parts.sort_by_key(|&(start, end, bar, wrapped)| (start, end, bar.category, wrapped));
    let mut view = LaneView { rows: 1, ..LaneView::default() };
    let mut free = Vec::new();
    let mut narrow = BTreeMap::new();
    for (start, end, bar, wrapped) in parts {
        let row = place(&mut free, start, end);
        view.rows = view.rows.max(row + 1);
        let (x, right) = (start as f64 * scale, end as f64 * scale);
        if right - x >= NARROW {
            view.pieces.push(Piece { bar, row, x, width: right - x, wrapped });
        } else {
            gather(&mut narrow, width, (row, bar.category), (x, right));
        }
    }
    view.columns = merge(&narrow);
    view
}

/// The first row that is free at `start`, or the one that is free soonest if there are enough rows.
fn place(free: &mut Vec<i64>, start: i64, end: i64) -> usize {
    let row = match free.iter().position(|&from| from <= start) {
        Some(row) => row,
        None if free.len() < ROWS_MAX => {
            free.push(end);
            free.len() - 1
        }
        None => (0..free.len()).min_by_key(|&row| free[row]).expect("there are rows"),
    };
    free[row] = free[row].max(end);
    row
}

/// Per (row, column), per category: the share of the column that is busy, and the bars that begin there.
type Narrow = BTreeMap<(usize, usize), BTreeMap<usize, (f64, usize)>>;

fn gather(narrow: &mut Narrow, width: usize, (row, category): (usize, usize), (x, right): (f64, f64)) {
    let first = (x as usize).min(width - 1);
    let last = (right.ceil() as usize).clamp(first + 1, width);
    for column in first..last {
        let share = (right.min((column + 1) as f64) - x.max(column as f64)).max(0.0);
        let entry = narrow.entry((row, column)).or_default().entry(category).or_default();
        entry.0 += share;
        entry.1 += usize::from(column == first);
    }
}

/// Chooses the busiest category of every column and joins neighbours that look alike.
fn merge(narrow: &Narrow) -> Vec<Columns> {
    let mut out: Vec<Columns> = Vec::new();
    for (&(row, x), categories) in narrow {
        let mut best = (0, -1.0);
        for (&category, &(share, _)) in categories {
            if share > best.1 {
                best = (category, share);
            }
        }
        let busy: f64 = categories.values().map(|&(share, _)| share).sum();
        let shade = (busy.min(1.0) * SHADES).ceil().max(1.0);
        let opacity = FAINTEST + (1.0 - FAINTEST) * (shade - 1.0) / (SHADES - 1.0);
        let bars = categories.values().map(|&(_, bars)| bars).sum();
        match out.last_mut() {
            Some(last)
                if (last.row, last.x + last.width, last.category) == (row, x, best.0) && last.opacity == opacity =>
            {
                last.width += 1;
                last.bars += bars;
            }
            _ => out.push(Columns { category: best.0, row, x, width: 1, opacity, bars }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::BarDetail;

    fn bar(start: i64, length: i64, category: usize) -> Bar {
        Bar { start, length, category, detail: BarDetail::Firing(0) }
    }

    #[test]
    fn a_bar_that_wraps_is_there_twice_and_covers_its_length() {
        let view = view(&[bar(6, 4, 0)], 8, 800);
        let found: Vec<_> = view.pieces.iter().map(|p| (p.x, p.width, p.wrapped)).collect();
        assert_eq!(found, [(0.0, 200.0, true), (600.0, 200.0, false)]);
    }

    #[test]
    fn bars_that_overlap_lie_in_different_rows() {
        let view = view(&[bar(0, 4, 0), bar(2, 4, 1), bar(4, 2, 2), bar(5, 1, 3)], 8, 800);
        assert_eq!(view.rows, 3);
        for (i, a) in view.pieces.iter().enumerate() {
            for b in &view.pieces[i + 1..] {
                assert!(a.row != b.row || a.x + a.width <= b.x || b.x + b.width <= a.x, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn narrow_bars_never_vanish_and_the_busiest_category_wins() {
        let million: Vec<Bar> = (0..1000).map(|i| bar(i * 5_000_000, 1, 3)).collect();
        let thin = view(&million, 5_000_000_000, 800);
        assert!(thin.pieces.is_empty());
        assert_eq!(thin.columns.iter().map(|c| c.width).sum::<usize>(), 800);
        assert_eq!(thin.columns.iter().map(|c| c.bars).sum::<usize>(), 1000);
        let mixed = view(&[bar(0, 3, 1), bar(3, 6, 0)], 10_000, 800);
        assert_eq!(mixed.columns.iter().map(|c| c.category).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_busy_lane_of_narrow_bars_is_one_solid_run() {
        let all: Vec<Bar> = (0..10_000).map(|i| bar(i, 1, 0)).collect();
        let view = view(&all, 10_000, 800);
        assert_eq!(view.columns, [Columns { category: 0, row: 0, x: 0, width: 800, opacity: 1.0, bars: 10_000 }]);
    }
}
