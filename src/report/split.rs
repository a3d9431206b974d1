//! The chart of where the time of GPUs went: a bar of parts for each variant.

use super::chart::{Key, LABEL, RIGHT, WIDTH, heading};
use super::font;
use super::human::{level, percent};
use super::picture::{Anchor, Ink, Mark, Picture};
use crate::metrics::VariantResult;

/// The color of each part: neighbours differ in luminance, for those who print in grey, and what is
/// idle because nobody asks is the color of nothing.
const INKS: [Ink; 10] = [
    Ink::Surface(0),
    Ink::Surface(7),
    Ink::Surface(4),
    Ink::Surface(2),
    Ink::Surface(1),
    Ink::Surface(6),
    Ink::Surface(5),
    Ink::Grid,
    Ink::Surface(3),
    Ink::Surface(8),
];

/// A bar for each variant: which shares of all GPU time went where.
#[must_use]
pub fn gpu_time(variants: &[VariantResult]) -> Picture {
    const ROW: f64 = 30.0;
    const TITLE: &str = "Where the time of the GPUs went";
    let mut picture = Picture::new(TITLE, WIDTH);
    let shown = |part: usize| variants.iter().any(|v| v.summary.gpu_time.parts()[part].1 != 0.0);
    let parts = variants.first().map(|v| v.summary.gpu_time.parts());
    let terms = parts.into_iter().flatten().enumerate().filter(|(part, _)| shown(*part));
    let legend: Vec<(Key, String)> =
        terms.map(|(part, (term, _))| (Key::Bar(INKS[part]), term.to_owned())).collect();
    let top = heading(&mut picture, &legend) + 6.0;
    let names = variants.iter().map(|v| font::width(&v.name, LABEL)).fold(0.0, f64::max).min(260.0) + 24.0;
    let whole = WIDTH - RIGHT - names;
    for (row, variant) in variants.iter().enumerate() {
        let y = top + row as f64 * ROW;
        let name = font::fit(&variant.name, LABEL, names - 18.0);
        picture.text((names - 8.0, y + 18.0), name, LABEL, Ink::Text, Anchor::End);
        let time = variant.summary.gpu_time;
        if time.total == 0.0 {
            picture.text((names, y + 18.0), "no GPUs", LABEL, Ink::Muted, Anchor::Start);
        }
        let mut x = names;
        for ((term, hours), ink) in time.parts().into_iter().zip(INKS).filter(|((_, hours), _)| *hours != 0.0)
        {
            let width = whole * hours / time.total;
            let share = percent(hours / time.total);
            let tip = format!("{}: {term} {share}, {} GPU-hours", variant.name, level(hours));
            picture.marks.push(Mark::Rect {
                at: (x, y + 3.0),
                size: ((width - 1.0).max(0.5), ROW - 6.0),
                ink,
                tip,
            });
            if font::width(&share, LABEL) + 8.0 < width {
                let on = if let Ink::Surface(i) = ink { Ink::OnSurface(i) } else { Ink::Text };
                picture.text((x + width / 2.0, y + 19.0), share, LABEL, on, Anchor::Middle);
            }
            x += width;
        }
    }
    if variants.is_empty() {
        picture.text((names, top + 16.0), "no variants", 14.0, Ink::Muted, Anchor::Start);
    }
    picture.height = top + variants.len().max(1) as f64 * ROW + 10.0;
    let figures: Vec<String> = variants.iter().map(words).collect();
    picture.alt = format!("{TITLE}: {}.", figures.join("; "));
    picture
}

/// A variant's bar in words.
fn words(variant: &VariantResult) -> String {
    let time = variant.summary.gpu_time;
    let parts = time.parts().into_iter().filter(|(_, hours)| *hours != 0.0);
    let shares: Vec<String> =
        parts.map(|(term, hours)| format!("{term} {}", percent(hours / time.total))).collect();
    format!("{} {}", variant.name, shares.join(", "))
}
