//! The embedded typeface: how wide a text is, and its shape for pictures made of pixels.
//!
//! A subset of DejaVu Sans (`assets/`, with its licence): Latin, Greek, arrows, mathematical signs.
//! What it lacks is drawn as a box, so that nothing vanishes in silence.

use ab_glyph::{Font, FontRef, GlyphId, Point, ScaleFont};
use std::sync::LazyLock;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/DejaVuSans-subset.ttf"))
        .expect("the embedded font is a font")
});

/// The scale at which an em is `size` pixels: ab_glyph scales by ascent plus descent.
fn scale(size: f32) -> f32 {
    size * FONT.height_unscaled() / FONT.units_per_em().expect("the embedded font names its units")
}

/// Calls `place` with every glyph and its distance from the start; gives the width.
fn lay_out(text: &str, size: f32, mut place: impl FnMut(GlyphId, f32)) -> f32 {
    let font = FONT.as_scaled(scale(size));
    let mut x = 0.0;
    let mut last = None;
    for c in text.chars().filter(|c| !c.is_control()) {
        let glyph = font.glyph_id(c);
        if let Some(last) = last {
            x += font.kern(last, glyph);
        }
        place(glyph, x);
        x += font.h_advance(glyph);
        last = Some(glyph);
    }
    x
}

/// The width of a text whose em is `size`.
pub(super) fn width(text: &str, size: f64) -> f64 {
    f64::from(lay_out(text, size as f32, |_, _| {}))
}

/// The longest beginning of `text` that fits in `room` with an ellipsis, or all of it.
pub(super) fn fit(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(400).collect();
    while kept.pop().is_some() {
        let cut = format!("{}…", kept.trim_end());
        if width(&cut, size) <= room {
            return cut;
        }
    }
    String::new()
}

/// Draws a text whose baseline starts at (`x`, `y`): `dot` gets each pixel and how much it is covered.
pub(super) fn draw(text: &str, size: f64, (x, y): (f64, f64), mut dot: impl FnMut((i32, i32), f64)) {
    let size = size as f32;
    lay_out(text, size, |glyph, at| {
        let at = Point { x: x as f32 + at, y: y as f32 };
        if let Some(outline) = FONT.outline_glyph(glyph.with_scale_and_position(scale(size), at)) {
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, coverage| {
                let place = (bounds.min.x as i32 + dx as i32, bounds.min.y as i32 + dy as i32);
                dot(place, f64::from(coverage));
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_fit() {
        assert!((width("Hamburg", 12.0) - 60.0).abs() < 8.0, "{}", width("Hamburg", 12.0));
        assert_eq!(fit("short", 12.0, 100.0), "short");
        let cut = fit("a rather long name of a variant", 12.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0) <= 100.0, "{cut}");
        assert_eq!(fit("anything", 12.0, 1.0), "");
    }

    #[test]
    fn the_font_has_what_charts_write() {
        for c in "0aZ%…–≤·×Σ÷µéñ✓".chars() {
            assert_ne!(FONT.glyph_id(c), GlyphId(0), "{c}");
        }
    }
}
