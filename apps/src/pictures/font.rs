//! The embedded font: how wide a text is, and how to cut it to a width.
//!
//! Subsets of DejaVu Sans are compiled in, so that pictures do not depend on the fonts of a host.

use super::canvas::Weight;
use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::LazyLock;

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/fonts/DejaVuSans-subset.ttf")).expect("the font is embedded")
});
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/fonts/DejaVuSans-Bold-subset.ttf"))
        .expect("the font is embedded")
});

/// Height of a capital letter over the size of an em.
pub(crate) const CAP_HEIGHT: f64 = 0.73;

pub(crate) fn face(weight: Weight) -> &'static FontRef<'static> {
    match weight {
        Weight::Regular => &REGULAR,
        Weight::Bold => &BOLD,
    }
}

/// The scale at which an em has `size` pixels; `ab_glyph` counts from the lowest descender to the highest ascender.
pub(crate) fn scale(face: &FontRef<'static>, size: f64) -> PxScale {
    let units = face.units_per_em().expect("the embedded font has a unit");
    PxScale::from((size * f64::from(face.height_unscaled() / units)) as f32)
}

/// Width of `text` in logical pixels.
pub(crate) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let face = face(weight);
    let scaled = face.as_scaled(scale(face, size));
    text.chars().map(|c| f64::from(scaled.h_advance(face.glyph_id(c)))).sum()
}

/// `text` if it is at most `limit` wide, else as much of it as fits with an ellipsis; empty if not even that fits.
pub(crate) fn fit(text: &str, size: f64, weight: Weight, limit: f64) -> Cow<'_, str> {
    if width(text, size, weight) <= limit {
        return Cow::Borrowed(text);
    }
    let mut room = limit - width("…", size, weight);
    if room < 0.0 {
        return Cow::Borrowed("");
    }
    let mut kept = String::new();
    for c in text.chars() {
        room -= width(c.encode_utf8(&mut [0; 4]), size, weight);
        if room < 0.0 {
            break;
        }
        kept.push(c);
    }
    Cow::Owned(kept.trim_end().to_owned() + "…")
}

/// Like [`fit`], but cuts in the middle: names often differ in their last characters.
pub(crate) fn squeeze(text: &str, size: f64, weight: Weight, limit: f64) -> Cow<'_, str> {
    if width(text, size, weight) <= limit {
        return Cow::Borrowed(text);
    }
    let mut room = limit - width("…", size, weight);
    let mut rest: VecDeque<char> = text.chars().collect();
    let (mut head, mut tail) = (String::new(), Vec::new());
    let mut next_is_head = true;
    while let Some(c) = if next_is_head { rest.pop_front() } else { rest.pop_back() } {
        room -= width(c.encode_utf8(&mut [0; 4]), size, weight);
        if room < 0.0 {
            break;
        }
        if next_is_head {
            head.push(c);
        } else {
            tail.push(c);
        }
        next_is_head = !next_is_head;
    }
    if head.is_empty() {
        return fit(text, size, weight, limit);
    }
    head.push('…');
    head.extend(tail.iter().rev());
    Cow::Owned(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitted_text_is_never_wider_than_its_limit() {
        for text in ["n0", "a name that is forty characters long, yes", "Ωµ→≤ größer", ""] {
            for limit in [0.0, 5.0, 12.0, 40.0, 400.0] {
                for cut in [fit, squeeze] {
                    let fitted = cut(text, 12.0, Weight::Regular, limit);
                    assert!(width(&fitted, 12.0, Weight::Regular) <= limit + 1e-3, "{fitted} in {limit}");
                }
            }
        }
        assert_eq!(fit("gather", 12.0, Weight::Bold, 100.0), "gather");
    }

    #[test]
    fn both_faces_hold_every_sign_that_the_pictures_use() {
        for weight in [Weight::Regular, Weight::Bold] {
            for c in "AZaz09äß→−×≤≥µ·…–\u{2009}λΩ%".chars() {
                assert_ne!(face(weight).glyph_id(c).0, 0, "{c}");
            }
        }
    }
}
