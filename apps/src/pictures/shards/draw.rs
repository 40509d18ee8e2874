//! Layout of the picture of a sharded run: lanes of time above, the cut matrix and the shares of time below.

use super::{Crossing, Doing, ShardLane, ShardsScene, Stretch};
use crate::pictures::axis::{counted, grouped, percent};
use crate::pictures::canvas::{Anchor, Area, Canvas, Rgb, Shape, Weight};
use crate::pictures::font::{fit, width};
use crate::pictures::palette::{BLACK, BLUE, GREY_TEXT, GROUND, IDLE, WHITE, category, viridis};
use crate::pictures::{AXIS_SIZE, TICK_SIZE, TITLE_SIZE, WIDTH, version_line};

const MARGIN: f64 = 24.0;
/// Where lanes begin: room for names.
const LEFT: f64 = 168.0;
const RIGHT: f64 = 976.0;
const COMPUTE_HEIGHT: f64 = 34.0;
const SERVE_HEIGHT: f64 = 18.0;
const BOUND_HEIGHT: f64 = 15.0;
const LANE_GAP: f64 = 2.0;
const SHARD_GAP: f64 = 16.0;
/// Shards with lanes; of more, those that wait the longest are left out.
const LANES_MOST: usize = 32;
/// Cells of the matrix are at most so large, and get text from [`CELL_TEXT`] on.
const CELL: f64 = 62.0;
const CELL_TEXT: f64 = 44.0;
/// The matrix is no wider than this.
const MATRIX_WIDTH: f64 = 520.0;

const DOINGS: [(Doing, &str); 6] = [
    (Doing::Execute, "executing"),
    (Doing::Exchange, "taking in, passing on"),
    (Doing::Wait, "waiting"),
    (Doing::Encode, "encoding"),
    (Doing::Send, "sending"),
    (Doing::Decode, "decoding"),
];

fn color(doing: Doing) -> Rgb {
    match doing {
        Doing::Execute => BLUE,
        Doing::Exchange => category(1).color,
        Doing::Wait => IDLE,
        Doing::Encode => category(2).color,
        Doing::Send => category(3).color,
        Doing::Decode => category(4).color,
    }
}

pub(crate) fn canvas(scene: &ShardsScene) -> Canvas {
    let canvas = Canvas { width: WIDTH, height: 0, title: scene.title.clone(), shapes: Vec::new() };
    let mut page = Page { scene, canvas, y: 0.0, seconds: scene.seconds().max(1e-9) };
    page.head();
    page.lanes();
    page.foot();
    page.canvas
}

struct Page<'a> {
    scene: &'a ShardsScene,
    canvas: Canvas,
    /// Height that is taken.
    y: f64,
    seconds: f64,
}

impl Page<'_> {
    fn text(&mut self, text: impl Into<String>, x: f64, y: f64, anchor: Anchor, color: Rgb) {
        self.canvas.push(Shape::text(text, x, y, anchor, TICK_SIZE, color));
    }

    fn head(&mut self) {
        let room = f64::from(WIDTH) - 2.0 * MARGIN;
        let title = fit(&self.scene.title, TITLE_SIZE, Weight::Bold, room);
        self.canvas.push(Shape::text(title, MARGIN, 36.0, Anchor::Start, TITLE_SIZE, BLACK).bold());
        let subtitle = fit(&self.scene.subtitle, TICK_SIZE, Weight::Regular, room);
        self.text(subtitle, MARGIN, 58.0, Anchor::Start, GREY_TEXT);
        let mut x = MARGIN;
        for (doing, name) in DOINGS {
            let chip = Area { x, y: 74.0, width: 12.0, height: 12.0 };
            self.canvas.push(Shape::rect(chip, color(doing)));
            self.text(name, x + 18.0, 84.0, Anchor::Start, BLACK);
            x += 18.0 + width(name, TICK_SIZE, Weight::Regular) + 22.0;
        }
        self.y = 108.0;
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds / self.seconds).clamp(0.0, 1.0)
    }

    fn lanes(&mut self) {
        for lane in self.scene.lanes.iter().take(LANES_MOST) {
            self.lane(lane);
        }
        let hidden = self.scene.lanes.len().saturating_sub(LANES_MOST);
        if hidden > 0 {
            self.text(format!("and {}", counted(hidden, "more shard")), MARGIN, self.y + 4.0, Anchor::Start, GREY_TEXT);
            self.y += 22.0;
        }
        self.axis();
        let top = self.y + 30.0;
        let below = self.matrix(top).max(self.shares(top));
        self.y = below;
    }

    fn lane(&mut self, lane: &ShardLane) {
        let top = self.y;
        let name = format!("shard {}", lane.shard);
        self.canvas.push(Shape::text(name, MARGIN, top + 14.0, Anchor::Start, AXIS_SIZE, BLACK).bold());
        let nodes = counted(usize::try_from(lane.nodes).unwrap_or(usize::MAX), "node");
        let nodes = fit(&nodes, TICK_SIZE, Weight::Regular, 74.0).into_owned();
        self.text(nodes, MARGIN, top + 30.0, Anchor::Start, GREY_TEXT);
        let places = [("computing", COMPUTE_HEIGHT), ("socket", SERVE_HEIGHT), ("bound by", BOUND_HEIGHT)];
        let mut y = top;
        let areas = places.map(|(name, height)| {
            let area = Area { x: LEFT, y, width: RIGHT - LEFT, height };
            self.text(name, LEFT - 8.0, y + height / 2.0 + 4.0, Anchor::End, GREY_TEXT);
            self.canvas.push(Shape::rect(area, GROUND));
            y += height + LANE_GAP;
            area
        });
        for stretch in &lane.stretches {
            let title = told(stretch);
            self.stack(stretch, areas[0], &stretch.computing, [Doing::Execute, Doing::Exchange, Doing::Wait], &title);
            self.stack(stretch, areas[1], &stretch.serving, [Doing::Encode, Doing::Send, Doing::Decode], &title);
        }
        self.bounds(lane, areas[2]);
        self.y = y - LANE_GAP + SHARD_GAP;
    }

    /// Shares of a stretch upon each other, from the bottom.
    fn stack(&mut self, stretch: &Stretch, area: Area, shares: &[f64; 3], doings: [Doing; 3], title: &str) {
        let (x, right) = (self.x(stretch.start), self.x(stretch.end));
        let mut bottom = area.bottom();
        for (share, doing) in shares.iter().zip(doings) {
            let height = (share * area.height).min(bottom - area.y);
            if height > 0.01 && right - x > 0.01 {
                bottom -= height;
                let part = Area { x, y: bottom, width: right - x, height };
                self.canvas.push(Shape::rect(part, color(doing)).titled(title));
            }
        }
    }

    /// Stretches that one neighbour bounded, one after the other, with its number.
    fn bounds(&mut self, lane: &ShardLane, area: Area) {
        let most = f64::from(self.scene.shards.max(2) - 1);
        for run in lane.stretches.chunk_by(|a, b| a.bound.map(|bound| bound.0) == b.bound.map(|bound| bound.0)) {
            let Some((shard, _)) = run[0].bound else { continue };
            let (x, right) = (self.x(run[0].start), self.x(run[run.len() - 1].end));
            if right - x <= 0.01 {
                continue;
            }
            let ahead = run.iter().filter_map(|stretch| stretch.bound).map(|(_, ticks)| ticks);
            let (least, most_ahead) = (ahead.clone().min().unwrap_or(0), ahead.max().unwrap_or(0));
            let title = format!("shard {shard} allowed the least: {} to {} ticks", grouped(least), grouped(most_ahead));
            let share = f64::from(shard) / most;
            let part = Area { x, width: right - x, ..area };
            self.canvas.push(Shape::rect(part, viridis(share)).titled(title));
            let names = [format!("shard {shard}"), shard.to_string()];
            let fits = |name: &&String| width(name, TICK_SIZE, Weight::Regular) + 6.0 <= right - x;
            if let Some(name) = names.iter().find(fits) {
                self.text(name, (x + right) / 2.0, area.y + 11.5, Anchor::Middle, text_on_share(share));
            }
        }
    }

    fn axis(&mut self) {
        let (unit, scale) = unit(self.seconds);
        let y = self.y - SHARD_GAP + 6.0;
        self.canvas.push(Shape::rect(Area { x: LEFT, y, width: RIGHT - LEFT, height: 0.8 }, GREY_TEXT));
        let end = self.seconds * scale;
        let step = step(end / 8.0);
        let mut tick = 0.0;
        while tick <= end * 1.000_001 {
            let x = self.x(tick / scale);
            self.canvas
                .push(Shape::rect(Area { x: (x - 0.4).min(RIGHT - 0.8), y, width: 0.8, height: 5.0 }, GREY_TEXT));
            let label = short(tick);
            let anchor = if x + 20.0 > RIGHT { Anchor::End } else { Anchor::Middle };
            self.text(label, x, y + 18.0, anchor, BLACK);
            tick += step;
        }
        let label = format!("time from the common start ({unit})");
        let middle = (LEFT + RIGHT) / 2.0;
        self.canvas.push(Shape::text(label, middle, y + 38.0, Anchor::Middle, AXIS_SIZE, BLACK));
        self.y = y + 44.0;
    }

    /// What crosses: rows send, columns receive. Returns where it ends.
    fn matrix(&mut self, top: f64) -> f64 {
        let shards = self.scene.shards;
        let heading = "words per metacycle, and ticks ahead";
        self.canvas.push(Shape::text(heading, MARGIN, top, Anchor::Start, AXIS_SIZE, BLACK).bold());
        let left = MARGIN + 34.0;
        let cell = ((MATRIX_WIDTH - 34.0) / f64::from(shards.max(1))).min(CELL);
        let y0 = top + 40.0;
        self.text("to shard", left, top + 20.0, Anchor::Start, GREY_TEXT);
        // Numbers keep clear of each other.
        let every = (16.0 / cell).ceil().max(1.0) as u32;
        for shard in (0..shards).step_by(every as usize) {
            let middle = (f64::from(shard) + 0.5) * cell;
            self.text(shard.to_string(), left + middle, y0 - 6.0, Anchor::Middle, BLACK);
            self.text(shard.to_string(), left - 6.0, y0 + middle + 4.0, Anchor::End, BLACK);
        }
        let side = cell * f64::from(shards);
        self.canvas.push(Shape::rect(Area { x: left, y: y0, width: side, height: side }, GROUND));
        let most = self.scene.crossings.iter().map(|crossing| crossing.words).max().unwrap_or(1).max(1);
        for crossing in &self.scene.crossings {
            let area = Area {
                x: left + f64::from(crossing.to) * cell,
                y: y0 + f64::from(crossing.from) * cell,
                width: cell,
                height: cell,
            };
            self.cell(crossing, area, crossing.words as f64 / most as f64);
        }
        y0 + side
    }

    fn cell(&mut self, crossing: &Crossing, area: Area, share: f64) {
        let Crossing { from, to, words, lookahead } = *crossing;
        let ahead = lookahead.map_or("∞".to_owned(), grouped);
        let words = i64::try_from(words).unwrap_or(i64::MAX);
        let title = format!("shard {from} → shard {to}: {} words per metacycle, {ahead} ticks ahead", grouped(words));
        let inner = Area { x: area.x + 0.5, y: area.y + 0.5, width: area.width - 1.0, height: area.height - 1.0 };
        self.canvas.push(Shape::rect(inner, viridis(share)).titled(title));
        if area.width < CELL_TEXT {
            return;
        }
        let color = text_on_share(share);
        let room = area.width - 6.0;
        let middle = area.center();
        for (text, y) in [(grouped(words), middle.y - 3.0), (format!("+{ahead}"), middle.y + 13.0)] {
            let text = fit(&text, TICK_SIZE, Weight::Regular, room).into_owned();
            self.text(text, middle.x, y, Anchor::Middle, color);
        }
    }

    /// Shares of each shard's time. Returns where they end.
    fn shares(&mut self, top: f64) -> f64 {
        const X: f64 = 640.0;
        let heading = "time of each shard";
        self.canvas.push(Shape::text(heading, X - 34.0, top, Anchor::Start, AXIS_SIZE, BLACK).bold());
        let right = RIGHT - 44.0;
        let mut y = top + 40.0;
        for lane in self.scene.lanes.iter().take(LANES_MOST) {
            self.text(lane.shard.to_string(), X - 6.0, y + 12.0, Anchor::End, BLACK);
            let mut x = X;
            for (share, doing) in lane.computing.iter().zip([Doing::Execute, Doing::Exchange, Doing::Wait]) {
                let wide = share * (right - X);
                if wide > 0.01 {
                    let title = format!("shard {}: {} {}", lane.shard, percent(*share), name(doing));
                    let part = Area { x, y, width: wide, height: 16.0 };
                    self.canvas.push(Shape::rect(part, color(doing)).titled(title));
                    let label = percent(*share);
                    if width(&label, TICK_SIZE, Weight::Regular) + 8.0 <= wide {
                        let ink = if doing == Doing::Execute { WHITE } else { BLACK };
                        self.text(label, x + wide / 2.0, y + 12.0, Anchor::Middle, ink);
                    }
                }
                x += wide;
            }
            y += 22.0;
        }
        y
    }

    fn foot(&mut self) {
        self.y += 34.0;
        self.text(version_line(), f64::from(WIDTH) - MARGIN, self.y - 12.0, Anchor::End, GREY_TEXT);
        self.canvas.height = self.y.ceil() as u32;
    }
}

fn name(doing: Doing) -> &'static str {
    DOINGS.iter().find(|known| known.0 == doing).map_or("", |known| known.1)
}

fn told(stretch: &Stretch) -> String {
    let Stretch { windows, ticks, computing: [execute, exchange, wait], .. } = stretch;
    format!(
        "{}, ticks {} to {}: {} executing, {} taking in and passing on, {} waiting",
        counted(usize::try_from(*windows).unwrap_or(usize::MAX), "window"),
        grouped(ticks.0),
        grouped(ticks.1),
        percent(*execute),
        percent(*exchange),
        percent(*wait)
    )
}

fn text_on_share(share: f64) -> Rgb {
    if share < 0.6 { WHITE } else { BLACK }
}

/// The unit in which a span of seconds reads well, and how many of it make a second.
fn unit(seconds: f64) -> (&'static str, f64) {
    match seconds {
        seconds if seconds >= 1.0 => ("s", 1.0),
        seconds if seconds >= 1e-3 => ("ms", 1e3),
        _ => ("µs", 1e6),
    }
}

/// The least of 1, 2, 5 times a power of ten that is not below `least`.
fn step(least: f64) -> f64 {
    let mut power = 1e-6;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if factor * power >= least {
                return factor * power;
            }
        }
        power *= 10.0;
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
