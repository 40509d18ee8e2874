//! Pictures as SVG: text stays text, and every shape with a title says it when the pointer rests on it.

use super::canvas::{Anchor, Canvas, Geometry, Hatch, Paint, Point, Rgb, Shape, Weight};
use std::fmt::Write;

/// Verdana is the widest common font of nearly the same metrics, for hosts without DejaVu Sans.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// The picture as an SVG document. Equal pictures give equal bytes.
pub(crate) fn render(canvas: &Canvas) -> String {
    let Canvas { width, height, title, shapes } = canvas;
    let mut out = String::new();
    let title = escape(title);
    push(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FAMILY}\">\n<title>{title}</title>\n"
        ),
    );
    patterns(&mut out, shapes);
    push(&mut out, format_args!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"));
    for shape in shapes {
        element(&mut out, shape);
    }
    out.push_str("</svg>\n");
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string succeeds");
}

/// Definitions of the hatchings that occur.
fn patterns(out: &mut String, shapes: &[Shape]) {
    let (period, stripe) = (Hatch::PERIOD, Hatch::STRIPE);
    for hatch in Hatch::ALL.into_iter().filter(|&h| h != Hatch::None) {
        if !shapes.iter().any(|shape| shape.paint.hatch == hatch) {
            continue;
        }
        // Every stripe is the band 0 ≤ phase < stripe of `Hatch::covers`, drawn in one tile and in its neighbours.
        let mut bands = String::new();
        for shift in [-period, 0.0, period] {
            let slope = match hatch {
                Hatch::Falling => period,
                Hatch::Rising => -period,
                Hatch::Upright | Hatch::None => 0.0,
            };
            let (top, bottom) = (shift, shift + slope);
            push(&mut bands, format_args!("M{top} 0h{stripe}L{} {period}h-{stripe}z", bottom + stripe));
        }
        push(
            out,
            format_args!(
                "<pattern id=\"{}\" width=\"{period}\" height=\"{period}\" patternUnits=\"userSpaceOnUse\">\
                 <path d=\"{bands}\" fill=\"#ffffff\" fill-opacity=\"{}\"/></pattern>\n",
                pattern(hatch),
                Hatch::OPACITY
            ),
        );
    }
}

fn pattern(hatch: Hatch) -> &'static str {
    match hatch {
        Hatch::None => "",
        Hatch::Falling => "falling",
        Hatch::Rising => "rising",
        Hatch::Upright => "upright",
    }
}

fn element(out: &mut String, shape: &Shape) {
    let title = shape.title.as_ref().map(|title| format!("<title>{}</title>", escape(title))).unwrap_or_default();
    let (name, attributes, content) = describe(&shape.geometry, shape.title.is_none());
    let fill = match shape.geometry {
        Geometry::Path(_) => " fill=\"none\" stroke-linejoin=\"round\"".to_owned(),
        _ => fill(shape.paint),
    };
    let outline = shape
        .outline
        .map(|(color, width)| format!(" stroke=\"{}\" stroke-width=\"{}\"", hex(color), number(width)))
        .unwrap_or_default();
    if shape.paint.hatch == Hatch::None {
        push(out, format_args!("<{name}{attributes}{fill}{outline}>{title}{content}</{name}>\n"));
    } else {
        let over = format!(" fill=\"url(#{})\" fill-opacity=\"{}\"", pattern(shape.paint.hatch), shape.paint.opacity);
        push(
            out,
            format_args!(
                "<g{outline}>{title}<{name}{attributes}{fill}>{content}</{name}><{name}{attributes}{over}/></g>\n"
            ),
        );
    }
}

/// Element name, attributes, and text of a geometry. Text without a title leaves the pointer to what lies below it.
fn describe(geometry: &Geometry, untitled: bool) -> (&'static str, String, String) {
    match geometry {
        Geometry::Rect(area) => {
            let [x, y, w, h] = [area.x, area.y, area.width, area.height].map(number);
            ("rect", format!(" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\""), String::new())
        }
        Geometry::Circle { center, radius } => {
            let [x, y, r] = [center.x, center.y, *radius].map(number);
            ("circle", format!(" cx=\"{x}\" cy=\"{y}\" r=\"{r}\""), String::new())
        }
        Geometry::Polygon(points) => ("polygon", format!(" points=\"{}\"", list(points)), String::new()),
        Geometry::Path(points) => ("polyline", format!(" points=\"{}\"", list(points)), String::new()),
        Geometry::Text(Point { x, y }, text) => {
            let [x, y, size] = [*x, *y, text.size].map(number);
            let anchor = match text.anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let weight = if text.weight == Weight::Bold { " font-weight=\"bold\"" } else { "" };
            let pointer = if untitled { " pointer-events=\"none\"" } else { "" };
            let attributes = format!(" x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{weight}{pointer}");
            ("text", attributes, escape(&text.text))
        }
    }
}

fn list(points: &[Point]) -> String {
    points.iter().map(|p| format!("{},{}", number(p.x), number(p.y))).collect::<Vec<_>>().join(" ")
}

fn fill(paint: Paint) -> String {
    let opacity =
        if paint.opacity < 1.0 { format!(" fill-opacity=\"{}\"", number(paint.opacity)) } else { String::new() };
    format!(" fill=\"{}\"{opacity}", hex(paint.color))
}

fn hex(Rgb(red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A coordinate with at most two decimals.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text as XML may hold it; characters that XML forbids become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0"), (-0.001, "0"), (2.0, "2"), (2.5, "2.5"), (1.0 / 3.0, "0.33"), (100.0, "100")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn any_name_is_legal_xml() {
        let hostile = "a<b & \"c\" ]]> \0\u{1}\u{ffff} λ→µ 日本";
        let mut canvas = Canvas { width: 10, height: 10, title: hostile.to_owned(), shapes: Vec::new() };
        canvas.push(Shape::text(hostile, 0.0, 0.0, Anchor::Start, 12.0, Rgb(0, 0, 0)).titled(hostile));
        let text = render(&canvas);
        let document = roxmltree::Document::parse(&text).expect("well-formed");
        assert!(document.root_element().children().any(|n| n.text().is_some_and(|t| t.contains("λ→µ 日本"))));
    }
}
