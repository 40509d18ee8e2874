//! Pictures as PNG, at two device pixels per logical one.
//!
//! `plotters` keeps the pixels and encodes them. Its own text drops the left bearing of every glyph and its polygons
//! blend edges with negative shares, so glyphs and areas are covered exactly here, by the rasteriser of `ab_glyph`.

use super::canvas::{Anchor, Canvas, Geometry, Hatch, Paint, Point, Rgb, Shape, Text};
use super::font;
use ab_glyph::{Font, ScaleFont};
use ab_glyph_rasterizer::{Rasterizer, point};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::{Color, RGBColor};
use std::error::Error;
use std::path::Path;

/// Device pixels per logical pixel.
const SCALE: f64 = 2.0;

type Failure = Box<dyn Error + Send + Sync>;

/// Draws the picture into the file `path`, which ends in `.png`.
///
/// # Errors
/// What the encoder or the file system reports.
pub(crate) fn write(canvas: &Canvas, path: &Path) -> Result<(), Failure> {
    let size = (canvas.width * SCALE as u32, canvas.height * SCALE as u32);
    let mut target = BitMapBackend::new(path, size);
    // The fast path of this backend leaves the lower right corner itself out.
    let corner = (size.0 as i32, size.1 as i32);
    target.draw_rect((0, 0), corner, &plotters::style::WHITE.to_backend_color(), true)?;
    for shape in &canvas.shapes {
        draw(&mut target, shape)?;
    }
    target.present()?;
    Ok(())
}

fn draw(target: &mut BitMapBackend<'_>, shape: &Shape) -> Result<(), Failure> {
    let border = match &shape.geometry {
        Geometry::Rect(area) => {
            let (left, right, top, bottom) = (area.x, area.right(), area.y, area.bottom());
            [(left, top), (right, top), (right, bottom), (left, bottom)].map(|(x, y)| Point { x, y }).to_vec()
        }
        Geometry::Circle { center, radius } => circle(*center, *radius),
        Geometry::Polygon(points) => points.clone(),
        Geometry::Path(points) => return draw_path(target, points, shape.outline),
        Geometry::Text(at, text) => return draw_text(target, *at, text, shape.paint),
    };
    fill(target, &border, shape.paint)?;
    if let Some((color, width)) = shape.outline {
        for (i, &from) in border.iter().enumerate() {
            fill(target, &stroke(from, border[(i + 1) % border.len()], width), color.into())?;
        }
    }
    Ok(())
}

/// Lines that overlap where they meet; that shows only with transparent paint, which they do not have.
fn draw_path(target: &mut BitMapBackend<'_>, points: &[Point], line: Option<(Rgb, f64)>) -> Result<(), Failure> {
    let Some((color, width)) = line else { return Ok(()) };
    for pair in points.windows(2) {
        fill(target, &stroke(pair[0], pair[1], width), color.into())?;
    }
    Ok(())
}

/// A circle as a polygon whose sides are below a device pixel from it.
fn circle(center: Point, radius: f64) -> Vec<Point> {
    let sides = 64;
    let angle = |i| f64::from(i) * std::f64::consts::TAU / f64::from(sides);
    (0..sides)
        .map(|i| Point { x: center.x + radius * libm::cos(angle(i)), y: center.y + radius * libm::sin(angle(i)) })
        .collect()
}

/// A line as a rectangle, a quarter of its width longer at both ends so that corners close.
fn stroke(from: Point, to: Point, width: f64) -> Vec<Point> {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let length = libm::hypot(dx, dy);
    if length == 0.0 {
        return Vec::new();
    }
    let (ux, uy) = (dx / length * width / 2.0, dy / length * width / 2.0);
    [(from, -0.5, -1.0), (from, -0.5, 1.0), (to, 0.5, 1.0), (to, 0.5, -1.0)]
        .map(|(at, along, across)| Point { x: at.x + along * ux - across * uy, y: at.y + along * uy + across * ux })
        .to_vec()
}

/// Fills a polygon with exact coverage at its edges.
fn fill(target: &mut BitMapBackend<'_>, border: &[Point], paint: Paint) -> Result<(), Failure> {
    let Some(first) = border.first() else { return Ok(()) };
    let (mut low, mut high) = (*first, *first);
    for p in border {
        low = Point { x: low.x.min(p.x), y: low.y.min(p.y) };
        high = Point { x: high.x.max(p.x), y: high.y.max(p.y) };
    }
    let (left, top) = ((low.x * SCALE).floor(), (low.y * SCALE).floor());
    let (width, height) = ((high.x * SCALE).ceil() - left, (high.y * SCALE).ceil() - top);
    let mut cover = Rasterizer::new(width as usize + 1, height as usize + 1);
    let local = |p: Point| point((p.x * SCALE - left) as f32, (p.y * SCALE - top) as f32);
    for (i, &from) in border.iter().enumerate() {
        cover.draw_line(local(from), local(border[(i + 1) % border.len()]));
    }
    let mut result = Ok(());
    cover.for_each_pixel_2d(|x, y, share| {
        if result.is_ok() {
            result = blend(target, (left as i32 + x as i32, top as i32 + y as i32), share, paint);
        }
    });
    result
}

fn draw_text(target: &mut BitMapBackend<'_>, at: Point, text: &Text, paint: Paint) -> Result<(), Failure> {
    let face = font::face(text.weight);
    let scale = font::scale(face, text.size * SCALE);
    let width = font::width(&text.text, text.size * SCALE, text.weight);
    let start = at.x * SCALE
        - match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
    // The baseline is put on a whole device pixel: feet of letters are then sharp.
    let (mut x, y) = (start as f32, (at.y * SCALE).round() as f32);
    for c in text.text.chars() {
        let id = face.glyph_id(c);
        if let Some(outline) = face.outline_glyph(id.with_scale_and_position(scale, ab_glyph::point(x, y))) {
            let corner = outline.px_bounds().min;
            let mut result = Ok(());
            outline.draw(|dx, dy, share| {
                if result.is_ok() {
                    result = blend(target, (corner.x as i32 + dx as i32, corner.y as i32 + dy as i32), share, paint);
                }
            });
            result?;
        }
        x += face.as_scaled(scale).h_advance(id);
    }
    Ok(())
}

/// Lays `share` of a pixel's area of paint over the pixel; outside of the picture nothing happens.
fn blend(target: &mut BitMapBackend<'_>, (x, y): (i32, i32), share: f32, paint: Paint) -> Result<(), Failure> {
    let (width, height) = target.get_size();
    if share <= 0.0 || x < 0 || y < 0 || x >= width as i32 || y >= height as i32 {
        return Ok(());
    }
    let alpha = f64::from(share.min(1.0)) * paint.opacity;
    let striped = paint.hatch.covers((f64::from(x) + 0.5) / SCALE, (f64::from(y) + 0.5) / SCALE);
    let Rgb(red, green, blue) = if striped { lighten(paint.color) } else { paint.color };
    Ok(target.draw_pixel((x, y), RGBColor(red, green, blue).mix(alpha).to_backend_color())?)
}

/// The colour below a white stripe of a hatching.
fn lighten(Rgb(red, green, blue): Rgb) -> Rgb {
    let mix = |c: u8| (f64::from(c) + (255.0 - f64::from(c)) * Hatch::OPACITY).round() as u8;
    Rgb(mix(red), mix(green), mix(blue))
}
