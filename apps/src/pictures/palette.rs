//! Colours: the Okabe–Ito palette for categories, viridis for quantities, greys for everything else.
//!
//! Source: Okabe & Ito, "Color Universal Design", 2008: colours that stay apart for colour-blind eyes. Vermillion stands
//! for trouble while there are at most five categories; the order of [`CATEGORIES`] sees to that.

use super::canvas::{Hatch, Paint, Rgb};
use plotters::style::RGBColor;
use plotters::style::colors::colormaps::ViridisRGB;

pub(crate) const BLACK: Rgb = Rgb(0x00, 0x00, 0x00);
pub(crate) const WHITE: Rgb = Rgb(0xff, 0xff, 0xff);
/// Text of lower rank.
pub(crate) const GREY_TEXT: Rgb = Rgb(0x66, 0x66, 0x66);
/// The ground of a lane.
pub(crate) const GROUND: Rgb = Rgb(0xf5, 0xf5, 0xf5);
/// Idle units, unused links and grid lines.
pub(crate) const IDLE: Rgb = Rgb(0xbe, 0xbe, 0xbe);
/// The first colour of the palette, the only one dark enough for white text.
pub(crate) const BLUE: Rgb = Rgb(0x00, 0x72, 0xb2);

/// Colours of categories, in the order in which they are given out.
const CATEGORIES: [Rgb; 7] = [
    BLUE,
    Rgb(0xe6, 0x9f, 0x00),
    Rgb(0x00, 0x9e, 0x73),
    Rgb(0xcc, 0x79, 0xa7),
    Rgb(0x56, 0xb4, 0xe9),
    Rgb(0xd5, 0x5e, 0x00),
    Rgb(0xf0, 0xe4, 0x42),
];

/// Trouble, and limits.
pub(crate) const VERMILLION: Rgb = CATEGORIES[5];

/// The paint of category `index`: after seven colours they return with another hatching.
pub(crate) fn category(index: usize) -> Paint {
    let hatch = Hatch::ALL[index / CATEGORIES.len() % Hatch::ALL.len()];
    Paint { color: CATEGORIES[index % CATEGORIES.len()], opacity: 1.0, hatch }
}

/// The colour of text on a solid `ground`.
pub(crate) fn text_on(ground: Rgb) -> Rgb {
    if ground == BLUE { WHITE } else { BLACK }
}

/// The colour of a share between 0 (dark blue) and 1 (yellow).
pub(crate) fn viridis(share: f64) -> Rgb {
    let RGBColor(red, green, blue) = ViridisRGB::get_color(share.clamp(0.0, 1.0));
    Rgb(red, green, blue)
}
