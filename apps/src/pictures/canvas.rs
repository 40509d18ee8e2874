//! A picture as a list of shapes, in logical pixels: what the SVG and the PNG writer both read.
//!
//! Five shapes are enough for every picture here. Each may carry a title, which SVG viewers show when the pointer rests on it.

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rgb(pub(crate) u8, pub(crate) u8, pub(crate) u8);

/// White stripes over a colour, which tell apart categories that share it. They are anchored to the canvas, so that
/// they run on from one shape to its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hatch {
    None,
    Falling,
    Rising,
    Upright,
}

impl Hatch {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Falling, Self::Rising, Self::Upright];
    /// Distance between stripes along either axis.
    pub(crate) const PERIOD: f64 = 6.0;
    /// Width of a stripe along either axis.
    pub(crate) const STRIPE: f64 = 2.0;
    /// Opacity of the stripes.
    pub(crate) const OPACITY: f64 = 0.55;

    /// Whether a stripe covers the point.
    pub(crate) fn covers(self, x: f64, y: f64) -> bool {
        let phase = match self {
            Self::None => return false,
            Self::Falling => x - y,
            Self::Rising => x + y,
            Self::Upright => x,
        };
        phase.rem_euclid(Self::PERIOD) < Self::STRIPE
    }
}

/// How an area is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paint {
    pub(crate) color: Rgb,
    /// 0 (invisible) to 1.
    pub(crate) opacity: f64,
    pub(crate) hatch: Hatch,
}

impl Paint {
    pub(crate) fn faded(self, opacity: f64) -> Self {
        Self { opacity: self.opacity * opacity, ..self }
    }
}

impl From<Rgb> for Paint {
    fn from(color: Rgb) -> Self {
        Self { color, opacity: 1.0, hatch: Hatch::None }
    }
}

/// A place on the canvas, from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// An upright rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    pub(crate) fn right(self) -> f64 {
        self.x + self.width
    }

    pub(crate) fn bottom(self) -> f64 {
        self.y + self.height
    }

    pub(crate) fn center(self) -> Point {
        Point { x: self.x + self.width / 2.0, y: self.y + self.height / 2.0 }
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }
}

/// Which point of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Weight of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

/// One line of text; `size` is that of an em, in logical pixels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) anchor: Anchor,
    pub(crate) size: f64,
    pub(crate) weight: Weight,
}

/// What a shape looks like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Geometry {
    Rect(Area),
    Circle {
        center: Point,
        radius: f64,
    },
    Polygon(Vec<Point>),
    /// Straight lines from point to point, in the outline's colour and width; not filled.
    Path(Vec<Point>),
    /// The point is the anchor on the baseline.
    Text(Point, Text),
}

/// One element of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) geometry: Geometry,
    pub(crate) paint: Paint,
    /// Colour and width of a line along the border, half of it outside.
    pub(crate) outline: Option<(Rgb, f64)>,
    /// What a viewer tells about it.
    pub(crate) title: Option<String>,
}

impl Shape {
    fn new(geometry: Geometry, paint: impl Into<Paint>) -> Self {
        Self { geometry, paint: paint.into(), outline: None, title: None }
    }

    pub(crate) fn rect(area: Area, paint: impl Into<Paint>) -> Self {
        Self::new(Geometry::Rect(area), paint)
    }

    pub(crate) fn circle(center: Point, radius: f64, paint: impl Into<Paint>) -> Self {
        Self::new(Geometry::Circle { center, radius }, paint)
    }

    pub(crate) fn polygon(points: Vec<Point>, paint: impl Into<Paint>) -> Self {
        Self::new(Geometry::Polygon(points), paint)
    }

    /// Straight lines from point to point.
    pub(crate) fn path(points: Vec<Point>, color: Rgb, width: f64) -> Self {
        Self::new(Geometry::Path(points), color).outlined(color, width)
    }

    /// Regular text with its anchor at (`x`, `baseline`).
    pub(crate) fn text(text: impl Into<String>, x: f64, baseline: f64, anchor: Anchor, size: f64, color: Rgb) -> Self {
        let text = Text { text: text.into(), anchor, size, weight: Weight::Regular };
        Self::new(Geometry::Text(Point { x, y: baseline }, text), color)
    }

    pub(crate) fn bold(mut self) -> Self {
        if let Geometry::Text(_, text) = &mut self.geometry {
            text.weight = Weight::Bold;
        }
        self
    }

    pub(crate) fn outlined(self, color: Rgb, width: f64) -> Self {
        Self { outline: Some((color, width)), ..self }
    }

    pub(crate) fn titled(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }
}

/// A picture: later shapes lie on top of earlier ones. The ground is white.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Canvas {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) title: String,
    pub(crate) shapes: Vec<Shape>,
}

impl Canvas {
    pub(crate) fn push(&mut self, shape: Shape) {
        self.shapes.push(shape);
    }
}
