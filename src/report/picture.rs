//! A picture as a list of marks.
//!
//! Charts are laid out once, into marks; [`super::svg`] and [`super::bitmap`] have plotters draw them. So
//! both show the same, and a test can ask the marks whether two labels overlap.

use super::font;
use plotters::style::RGBColor;

/// A point: pixels right of and below the upper left corner.
pub(super) type Point = (f64, f64);

/// A color by its role; a page lends the roles its own colors for light and dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ink {
    /// Text, and what must be seen first.
    Text,
    /// Labels of axes, limits, what is left over.
    Muted,
    /// Lines of a grid.
    Grid,
    /// Background.
    Paper,
    /// A line.
    Series(usize),
    /// A surface.
    Surface(usize),
    /// Text on a surface.
    OnSurface(usize),
}

/// Colors of lines: Okabe and Ito's, which colour-blind people tell apart, ordered so that neighbours
/// differ in luminance; all show on white and on black.
const SERIES: [RGBColor; SERIES_COLORS] =
    [rgb(0x0072b2), rgb(0xe69f00), rgb(0x009e73), rgb(0xd55e00), rgb(0x56b4e9), rgb(0xaa4499), rgb(0x7f7f7f)];

/// Colors of surfaces and of text on them: the first four differ in luminance by half and more, for
/// those who print in grey. Yellow is among them, which no line on white could have.
///
/// The last two are for what went wrong, which stands beside all others.
const SURFACES: [(RGBColor, RGBColor); SERIES_COLORS + 2] = [
    (rgb(0x0072b2), rgb(0xffffff)),
    (rgb(0xe69f00), rgb(0x000000)),
    (rgb(0xddd04a), rgb(0x000000)),
    (rgb(0x009e73), rgb(0x000000)),
    (rgb(0x56b4e9), rgb(0x000000)),
    (rgb(0xaa4499), rgb(0xffffff)),
    (rgb(0x7f7f7f), rgb(0x000000)),
    (rgb(0xd55e00), rgb(0x000000)),
    (rgb(0x3f3f4a), rgb(0xffffff)),
];

/// A color as style sheets write it: `0xrrggbb`.
const fn rgb(code: u32) -> RGBColor {
    let [_, red, green, blue] = code.to_be_bytes();
    RGBColor(red, green, blue)
}

/// How many colors there are before they repeat.
pub(super) const SERIES_COLORS: usize = 7;

impl Ink {
    /// Its color on white paper.
    pub(super) fn color(self) -> RGBColor {
        match self {
            Ink::Text => rgb(0x1b1b1f),
            Ink::Muted => rgb(0x5f6368),
            Ink::Grid => rgb(0xdcdee3),
            Ink::Paper => rgb(0xffffff),
            Ink::Series(i) => SERIES[i % SERIES_COLORS],
            Ink::Surface(i) => SURFACES[i % SURFACES.len()].0,
            Ink::OnSurface(i) => SURFACES[i % SURFACES.len()].1,
        }
    }

    /// The custom property that holds it in a page's style sheet.
    pub(super) fn property(self) -> Option<&'static str> {
        match self {
            Ink::Text => Some("var(--text)"),
            Ink::Muted => Some("var(--muted)"),
            Ink::Grid => Some("var(--grid)"),
            Ink::Paper => Some("var(--paper)"),
            // Mid-tones that do on light and dark alike.
            Ink::Series(_) | Ink::Surface(_) | Ink::OnSurface(_) => None,
        }
    }
}

/// Which point of a text its position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// One thing drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    /// A line through points; `dash` is lengths drawn and left out by turns, empty for a full line.
    Line {
        /// Where.
        points: Vec<Point>,
        /// Color.
        ink: Ink,
        /// Thickness.
        width: f64,
        /// Dashes.
        dash: &'static [f64],
    },
    /// A filled shape with a thin border of paper.
    Shape {
        /// Corners.
        points: Vec<Point>,
        /// Color.
        ink: Ink,
    },
    /// A filled rectangle.
    Rect {
        /// Upper left corner.
        at: Point,
        /// Width and height.
        size: Point,
        /// Color.
        ink: Ink,
        /// What a pointer over it shows; empty for nothing.
        tip: String,
    },
    /// One line of text.
    Text {
        /// Baseline and anchor.
        at: Point,
        /// What it says.
        text: String,
        /// Height of an em.
        size: f64,
        /// Color.
        ink: Ink,
        /// Which point of it stands at `at`.
        anchor: Anchor,
    },
}

/// A chart: as SVG for a file, as SVG within a page, as PNG.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// What it shows, in a few words.
    pub title: String,
    /// What a reader who cannot see it must know.
    pub alt: String,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) marks: Vec<Mark>,
}

impl Picture {
    pub(super) fn new(title: &str, width: f64) -> Picture {
        Picture { title: title.to_owned(), alt: String::new(), width, height: 0.0, marks: Vec::new() }
    }

    pub(super) fn line(&mut self, points: Vec<Point>, ink: Ink, width: f64, dash: &'static [f64]) {
        self.marks.push(Mark::Line { points, ink, width, dash });
    }

    pub(super) fn rect(&mut self, at: Point, size: Point, ink: Ink) {
        self.marks.push(Mark::Rect { at, size, ink, tip: String::new() });
    }

    pub(super) fn text(&mut self, at: Point, text: impl Into<String>, size: f64, ink: Ink, anchor: Anchor) {
        self.marks.push(Mark::Text { at, text: text.into(), size, ink, anchor });
    }
}

/// The box that a text takes: left, top, right, bottom.
#[cfg(test)]
pub(super) fn text_box(mark: &Mark) -> Option<[f64; 4]> {
    let Mark::Text { at, text, size, anchor, .. } = mark else { return None };
    let width = font::width(text, *size);
    let left = match anchor {
        Anchor::Start => at.0,
        Anchor::Middle => at.0 - width / 2.0,
        Anchor::End => at.0 - width,
    };
    Some([left, at.1 - 0.76 * size, left + width, at.1 + 0.2 * size])
}

/// Where a text starts.
pub(super) fn text_start(at: Point, text: &str, size: f64, anchor: Anchor) -> Point {
    match anchor {
        Anchor::Start => at,
        Anchor::Middle => (at.0 - font::width(text, size) / 2.0, at.1),
        Anchor::End => (at.0 - font::width(text, size), at.1),
    }
}
