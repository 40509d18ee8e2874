//! How clocks converge: relative frequencies and buffer occupancies over one time axis, as data.
//!
//! The two plots of the field. Up to eight curves are drawn each by itself; of more, the area in which all lie, and the
//! three that stray furthest.

pub(crate) mod draw;

/// Curves that are drawn each by itself; beyond, an envelope and [`WORST`] of them.
pub const CURVES_MOST: usize = 8;
/// Curves that are drawn upon an envelope.
pub const WORST: usize = 3;

/// A value over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The node's name, or the link's as `from → to`.
    pub name: String,
    /// One value per time of the scene; NaN where there is none.
    pub values: Vec<f64>,
}

/// The area in which all curves lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The lowest value per time of the scene.
    pub low: Vec<f64>,
    /// The highest.
    pub high: Vec<f64>,
    /// How many curves lie in it.
    pub curves: usize,
}

/// One plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What the vertical axis means, with its unit.
    pub label: String,
    /// The area of all curves, if they are too many to be drawn each.
    pub band: Option<Band>,
    /// Curves to draw.
    pub curves: Vec<Curve>,
}

/// A picture of clocks that converge.
#[derive(Clone, Debug, PartialEq)]
pub struct ClocksScene {
    /// The heading.
    pub title: String,
    /// The line below it.
    pub subtitle: String,
    /// Times in seconds, ascending.
    pub times: Vec<f64>,
    /// Relative frequencies in ppm.
    pub frequency: Panel,
    /// Occupancies in frames.
    pub occupancy: Panel,
    /// Frames that buffers hold, if all hold the same.
    pub depth: Option<u32>,
    /// From when on all clocks are within the tolerance (seconds), and what that is called.
    pub settled: Option<(f64, String)>,
}

impl Panel {
    /// A plot of `curves`: all of them, or their band and those whose values at the end are furthest from the mean.
    #[must_use]
    pub fn new(label: &str, curves: Vec<Curve>) -> Self {
        if curves.len() <= CURVES_MOST {
            return Self { label: label.to_owned(), band: None, curves };
        }
        let times = curves.iter().map(|curve| curve.values.len()).min().unwrap_or(0);
        let over = |at: usize, pick: fn(f64, f64) -> f64| {
            curves.iter().map(|curve| curve.values[at]).filter(|value| !value.is_nan()).reduce(pick)
        };
        // Where no curve has a value, the band goes on as it was.
        let held = |pick: fn(f64, f64) -> f64| {
            let hold = |last: &mut f64, at| {
                *last = over(at, pick).unwrap_or(*last);
                Some(*last)
            };
            (0..times).scan(0.0, hold).collect()
        };
        let band = Band { low: held(f64::min), high: held(f64::max), curves: curves.len() };
        let mean = |at: usize| {
            let values = || curves.iter().map(|curve| curve.values[at]).filter(|value| !value.is_nan());
            values().sum::<f64>() / values().count().max(1) as f64
        };
        let mean: Vec<f64> = (0..times).map(mean).collect();
        let stray = |curve: &Curve| {
            curve.values.iter().zip(&mean).map(|(value, mean)| (value - mean).abs()).fold(0.0, f64::max)
        };
        let mut order: Vec<(usize, f64)> = curves.iter().map(stray).enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        let worst = order.iter().take(WORST).map(|&(place, _)| curves[place].clone()).collect();
        Self { label: label.to_owned(), band: Some(band), curves: worst }
    }
}
