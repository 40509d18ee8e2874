//! Layout of the convergence picture: two plots above one time axis, names of curves at their right.

use super::{Band, ClocksScene, Curve, Panel};
use crate::pictures::canvas::Weight;
use crate::pictures::canvas::{Anchor, Area, Canvas, Paint, Point, Shape};
use crate::pictures::font::fit;
use crate::pictures::palette::{BLACK, GREY_TEXT, GROUND, IDLE, VERMILLION, category};
use crate::pictures::{AXIS_SIZE, TICK_SIZE, TITLE_SIZE, WIDTH, version_line};

const MARGIN: f64 = 24.0;
const LEFT: f64 = 92.0;
/// Room for the names of curves.
const RIGHT: f64 = 150.0;
const TOP: f64 = 96.0;
const PLOT: f64 = 250.0;
const BETWEEN: f64 = 54.0;
const HEIGHT: f64 = TOP + 2.0 * PLOT + BETWEEN + 76.0;
/// Between baselines of names.
const LINE: f64 = 16.0;

/// Colours of curves: vermillion is kept for limits.
const COLOURS: [usize; 6] = [0, 1, 2, 3, 4, 6];

pub(crate) fn canvas(scene: &ClocksScene) -> Canvas {
    let mut canvas = Canvas { width: WIDTH, height: HEIGHT as u32, title: scene.title.clone(), shapes: Vec::new() };
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let title = fit(&scene.title, TITLE_SIZE, Weight::Bold, room);
    canvas.push(Shape::text(title, MARGIN, 36.0, Anchor::Start, TITLE_SIZE, BLACK).bold());
    let subtitle = fit(&scene.subtitle, TICK_SIZE, Weight::Regular, room);
    canvas.push(Shape::text(subtitle, MARGIN, 58.0, Anchor::Start, TICK_SIZE, GREY_TEXT));
    let width = f64::from(WIDTH) - LEFT - RIGHT;
    let area = |number: f64| Area { x: LEFT, y: TOP + number * (PLOT + BETWEEN), width, height: PLOT };
    let end = scene.times.last().copied().unwrap_or(1.0).max(f64::MIN_POSITIVE);
    let (unit, scale) = time_unit(end);
    Plot::new(&mut canvas, scene, &scene.frequency, area(0.0), end, None).draw(scale);
    Plot::new(&mut canvas, scene, &scene.occupancy, area(1.0), end, scene.depth).draw(scale);
    if let Some((at, name)) = &scene.settled {
        settled(&mut canvas, area(0.0), area(1.0), *at / end, &format!("{name} from {}", time(*at, unit, scale)));
    }
    let bottom = area(1.0).bottom();
    let label = format!("time ({unit})");
    canvas.push(Shape::text(label, LEFT + width / 2.0, bottom + 42.0, Anchor::Middle, AXIS_SIZE, BLACK));
    let foot = f64::from(canvas.height) - 12.0;
    canvas.push(Shape::text(version_line(), f64::from(WIDTH) - MARGIN, foot, Anchor::End, TICK_SIZE, GREY_TEXT));
    canvas
}

/// The unit in which a span of seconds reads well, and how many of it make a second.
fn time_unit(end: f64) -> (&'static str, f64) {
    match end {
        end if end >= 1.0 => ("s", 1.0),
        end if end >= 1e-3 => ("ms", 1e3),
        end if end >= 1e-6 => ("µs", 1e6),
        _ => ("ns", 1e9),
    }
}

fn time(at: f64, unit: &str, scale: f64) -> String {
    format!("{} {unit}", short(at * scale))
}

/// A number with at most three digits after the point, and a proper minus.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.replace('-', "−") }
}

/// Round numbers that span from `low` to `high`: multiples of 1, 2 or 5 times a power of ten.
fn ticks(low: f64, high: f64, most: f64) -> Vec<f64> {
    let mut step = 1e-9;
    while (high - low) / step > most {
        step *= if [1.0, 5.0].iter().any(|lead| (leading(step) - lead).abs() < 0.1) { 2.0 } else { 2.5 };
    }
    let first = (low / step).ceil() as i64;
    (first..).map(|number| number as f64 * step).take_while(|&tick| tick <= high + step * 1e-6).collect()
}

/// The first digit of a number that is 1, 2 or 5 times a power of ten.
fn leading(mut number: f64) -> f64 {
    while number < 0.95 {
        number *= 10.0;
    }
    while number >= 9.5 {
        number /= 10.0;
    }
    number
}

struct Plot<'a> {
    canvas: &'a mut Canvas,
    times: &'a [f64],
    panel: &'a Panel,
    area: Area,
    end: f64,
    low: f64,
    high: f64,
    depth: Option<u32>,
}

impl<'a> Plot<'a> {
    fn new(
        canvas: &'a mut Canvas,
        scene: &'a ClocksScene,
        panel: &'a Panel,
        area: Area,
        end: f64,
        depth: Option<u32>,
    ) -> Self {
        let bands = panel.band.iter().flat_map(|band| band.low.iter().chain(&band.high));
        let all = || bands.clone().chain(panel.curves.iter().flat_map(|curve| &curve.values)).copied();
        let depth_top = depth.map(f64::from).into_iter();
        let low = all().chain(depth.map(|_| 0.0)).fold(f64::INFINITY, f64::min);
        let high = all().chain(depth_top).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let slack = ((high - low) * 0.06).max(1e-6);
        Self { canvas, times: &scene.times, panel, area, end, low: low - slack, high: high + slack, depth }
    }

    fn x(&self, time: f64) -> f64 {
        self.area.x + self.area.width * (time / self.end).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        self.area.bottom() - self.area.height * (value - self.low) / (self.high - self.low)
    }

    fn draw(mut self, scale: f64) {
        self.ground(scale);
        self.limits();
        if let Some(band) = &self.panel.band {
            self.band(band);
        }
        for (number, curve) in self.panel.curves.iter().enumerate() {
            let points: Vec<(f64, f64)> = self.times.iter().copied().zip(curve.values.iter().copied()).collect();
            let color = colour(number).color;
            for piece in points.split(|(_, value)| value.is_nan()).filter(|piece| !piece.is_empty()) {
                let points = piece.iter().map(|&(time, value)| Point { x: self.x(time), y: self.y(value) }).collect();
                self.canvas.push(Shape::path(points, color, 1.5).titled(curve.name.as_str()));
            }
        }
        self.names();
    }

    /// Axes, grid, and what they are called.
    fn ground(&mut self, scale: f64) {
        let area = self.area;
        self.canvas.push(Shape::rect(area, GROUND));
        for tick in ticks(self.low, self.high, 6.0) {
            let y = self.y(tick);
            self.canvas.push(Shape::rect(Area { y: y - 0.25, height: 0.5, ..area }, IDLE));
            self.canvas.push(Shape::text(short(tick), area.x - 8.0, y + 4.0, Anchor::End, TICK_SIZE, BLACK));
        }
        for tick in ticks(0.0, self.end * scale, 8.0) {
            let x = self.x(tick / scale);
            self.canvas.push(Shape::rect(Area { x: x - 0.25, width: 0.5, ..area }, IDLE));
            self.canvas.push(Shape::text(short(tick), x, area.bottom() + 18.0, Anchor::Middle, TICK_SIZE, BLACK));
        }
        self.canvas.push(Shape::text(&self.panel.label, MARGIN, area.y - 10.0, Anchor::Start, AXIS_SIZE, BLACK).bold());
    }

    /// What lies beyond the buffer, and its middle.
    fn limits(&mut self) {
        let Some(depth) = self.depth else { return };
        let (full, empty) = (self.y(f64::from(depth)), self.y(0.0));
        let beyond = Paint::from(VERMILLION).faded(0.15);
        let area = self.area;
        let bands = [
            (area.y, full - area.y, format!("above {depth} frames the buffer overflows")),
            (empty, area.bottom() - empty, "below 0 frames the buffer underflows".to_owned()),
        ];
        for (y, height, title) in bands {
            if height > 0.0 {
                self.canvas.push(Shape::rect(Area { y, height, ..area }, beyond).titled(title));
            }
        }
        let middle = self.y(f64::from(depth / 2));
        dashes(self.canvas, Area { y: middle - 0.5, height: 1.0, ..area }, "the buffer's middle");
    }

    fn band(&mut self, band: &Band) {
        let point = |(&time, &value): (&f64, &f64)| Point { x: self.x(time), y: self.y(value) };
        let mut border: Vec<Point> = self.times.iter().zip(&band.high).map(point).collect();
        border.extend(self.times.iter().zip(&band.low).map(point).rev());
        let title = format!("all {} lie in this area", band.curves);
        self.canvas.push(Shape::polygon(border, Paint::from(IDLE).faded(0.6)).titled(title));
    }

    /// Names of curves beside their ends, moved apart where they would overlap.
    fn names(&mut self) {
        let last = |curve: &Curve| curve.values.iter().copied().rfind(|value| !value.is_nan()).unwrap_or(self.low);
        let mut names: Vec<(usize, f64)> =
            self.panel.curves.iter().enumerate().map(|(number, curve)| (number, self.y(last(curve)))).collect();
        names.sort_by(|a, b| a.1.total_cmp(&b.1));
        let room = self.area.height / names.len().max(1) as f64;
        let line = LINE.min(room);
        let mut y = self.area.y + 8.0;
        let mut placed = Vec::new();
        for &(number, wanted) in &names {
            y = wanted.max(y);
            placed.push((number, y));
            y += line;
        }
        // What was pushed below the plot pushes back up.
        let mut bottom = self.area.bottom();
        for (_, y) in placed.iter_mut().rev() {
            *y = y.min(bottom);
            bottom = *y - line;
        }
        let x = self.area.right() + 10.0;
        for (number, y) in placed {
            let chip = Area { x, y: y - 4.0, width: 10.0, height: 4.0 };
            let name = &self.panel.curves[number].name;
            self.canvas.push(Shape::rect(chip, colour(number)));
            let text = fit(name, TICK_SIZE, Weight::Regular, RIGHT - MARGIN - 26.0);
            self.canvas.push(Shape::text(text, x + 16.0, y + 2.0, Anchor::Start, TICK_SIZE, BLACK));
        }
        if let Some(band) = &self.panel.band {
            let text = format!("grey: all {}", band.curves);
            self.canvas.push(Shape::text(
                text,
                self.area.right() + 10.0,
                self.area.y - 10.0,
                Anchor::Start,
                TICK_SIZE,
                GREY_TEXT,
            ));
        }
    }
}

fn colour(number: usize) -> Paint {
    let round = number / COLOURS.len();
    let paint = category(COLOURS[number % COLOURS.len()]);
    // The seventh and the eighth curve are darker versions of the first two.
    let dark = |part: u8| if round == 0 { part } else { part / 2 };
    let crate::pictures::canvas::Rgb(red, green, blue) = paint.color;
    crate::pictures::canvas::Rgb(dark(red), dark(green), dark(blue)).into()
}

/// A horizontal dashed line.
fn dashes(canvas: &mut Canvas, area: Area, title: &str) {
    let mut x = area.x;
    while x < area.right() {
        let width = 6.0_f64.min(area.right() - x);
        canvas.push(Shape::rect(Area { x, width, ..area }, GREY_TEXT).titled(title));
        x += 12.0;
    }
}

/// A dashed line through both plots where clocks have settled, with its time.
fn settled(canvas: &mut Canvas, upper: Area, lower: Area, share: f64, name: &str) {
    let x = upper.x + upper.width * share.clamp(0.0, 1.0);
    for area in [upper, lower] {
        let mut y = area.y;
        while y < area.bottom() {
            let height = 6.0_f64.min(area.bottom() - y);
            canvas.push(Shape::rect(Area { x: x - 0.5, y, width: 1.0, height }, BLACK).titled(name));
            y += 12.0;
        }
    }
    let (at, anchor) = if share > 0.6 { (x - 6.0, Anchor::End) } else { (x + 6.0, Anchor::Start) };
    canvas.push(Shape::text(name, at, upper.y + 14.0, anchor, TICK_SIZE, BLACK));
}
