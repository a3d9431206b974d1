//! A picture as a list of marks, and that list as SVG.
//!
//! Charts are drawn once, into marks; the SVG here and the PNG of [`super::raster`] replay them. So both
//! show the same, and a test can ask the marks whether two labels overlap.

use super::font;
use std::fmt::Write;

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
const SERIES: [&str; SERIES_COLORS] =
    ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#aa4499", "#7f7f7f"];

/// Colors of surfaces and of text on them: the first four differ in luminance by half and more, for
/// those who print in grey. Yellow is among them, which no line on white could have.
const SURFACES: [(&str, &str); SERIES_COLORS] = [
    ("#0072b2", "#ffffff"),
    ("#e69f00", "#000000"),
    ("#ddd04a", "#000000"),
    ("#009e73", "#000000"),
    ("#56b4e9", "#000000"),
    ("#aa4499", "#ffffff"),
    ("#7f7f7f", "#000000"),
];

/// How many colors there are before they repeat.
pub(super) const SERIES_COLORS: usize = 7;

impl Ink {
    /// Its color on white paper.
    pub(super) fn color(self) -> &'static str {
        match self {
            Ink::Text => "#1b1b1f",
            Ink::Muted => "#5f6368",
            Ink::Grid => "#dcdee3",
            Ink::Paper => "#ffffff",
            Ink::Series(i) => SERIES[i % SERIES_COLORS],
            Ink::Surface(i) => SURFACES[i % SERIES_COLORS].0,
            Ink::OnSurface(i) => SURFACES[i % SERIES_COLORS].1,
        }
    }

    /// The custom property that holds it in a page's style sheet.
    fn property(self) -> Option<&'static str> {
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

    /// A file of its own, on white paper.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut out = self.open(&format!(
            " xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\"",
            self.width, self.height
        ));
        out.push_str("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
        self.body(&mut out, Ink::color);
        out
    }

    /// For a page whose style sheet sets `--text`, `--muted`, `--grid` and `--paper`.
    #[must_use]
    pub fn inline_svg(&self) -> String {
        let mut out = self.open("");
        self.body(&mut out, |ink| ink.property().unwrap_or_else(|| ink.color()));
        out
    }

    fn open(&self, attributes: &str) -> String {
        format!(
            "<svg{attributes} viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" font-family=\"DejaVu Sans, Verdana, system-ui, sans-serif\">\n",
            self.width,
            self.height,
            escape(&self.alt)
        )
    }

    fn body(&self, out: &mut String, color: impl Fn(Ink) -> &'static str) {
        for mark in &self.marks {
            write_mark(out, mark, &color).expect("a string takes all");
        }
        out.push_str("</svg>\n");
    }
}

fn write_mark(out: &mut String, mark: &Mark, color: &impl Fn(Ink) -> &'static str) -> std::fmt::Result {
    match mark {
        Mark::Line { points, ink, width, dash } => {
            write!(
                out,
                "<path fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"",
                color(*ink)
            )?;
            if !dash.is_empty() {
                let dashes: Vec<String> = dash.iter().map(f64::to_string).collect();
                write!(out, " stroke-dasharray=\"{}\"", dashes.join(" "))?;
            }
            writeln!(out, " d=\"{}\"/>", path(points))
        }
        Mark::Shape { points, ink } => writeln!(
            out,
            "<path fill=\"{}\" stroke=\"{}\" d=\"{}Z\"/>",
            color(*ink),
            color(Ink::Paper),
            path(points)
        ),
        Mark::Rect { at, size, ink, tip } => {
            let (x, y, w, h) = (at.0, at.1, size.0, size.1);
            write!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"",
                tenth(x),
                tenth(y),
                tenth(w),
                tenth(h),
                color(*ink)
            )?;
            if tip.is_empty() {
                writeln!(out, "/>")
            } else {
                writeln!(out, "><title>{}</title></rect>", escape(tip))
            }
        }
        Mark::Text { at, text, size, ink, anchor } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" font-size=\"{size}\" fill=\"{}\"{anchor}>{}</text>",
                tenth(at.0),
                tenth(at.1),
                color(*ink),
                escape(text)
            )
        }
    }
}

/// The commands of a path; level and upright pieces, of which steps are made, in their short form.
fn path(points: &[Point]) -> String {
    let mut out = String::new();
    let mut last: Option<(f64, f64)> = None;
    for &(x, y) in points {
        let (x, y) = (tenth(x), tenth(y));
        match last {
            None => out.push_str(&format!("M{x} {y}")),
            Some(before) if before == (x, y) => {}
            Some(before) if before.1 == y => out.push_str(&format!("H{x}")),
            Some(before) if before.0 == x => out.push_str(&format!("V{y}")),
            Some(_) => out.push_str(&format!("L{x} {y}")),
        }
        last = Some((x, y));
    }
    out
}

/// Rounded to a tenth of a pixel, finer than an eye sees.
fn tenth(x: f64) -> f64 {
    libm::round(x * 10.0) / 10.0 + 0.0
}

/// Text that no XML or HTML parser takes for anything else.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML allows none of these.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out() {
        let mut picture = Picture::new("t", 100.0);
        picture.alt = "\"><script>".to_owned();
        picture.text((0.0, 0.0), "</script><b>\u{1}", 10.0, Ink::Text, Anchor::Start);
        let svg = picture.svg();
        assert!(!svg.contains("<script") && !svg.contains("</script") && !svg.contains("<b>"), "{svg}");
        assert!(!svg.contains('\u{1}'));
    }

    #[test]
    fn a_page_colors_its_charts() {
        let mut picture = Picture::new("t", 100.0);
        picture.line(vec![(0.0, 0.0), (5.0, 0.0), (5.0, 3.04)], Ink::Grid, 1.0, &[]);
        assert!(picture.inline_svg().contains("stroke=\"var(--grid)\""));
        assert!(picture.svg().contains("stroke=\"#dcdee3\""));
        assert!(picture.svg().contains("d=\"M0 0H5V3\""), "{}", picture.svg());
    }
}
