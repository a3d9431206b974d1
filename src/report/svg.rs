//! A picture as SVG, drawn by plotters.
//!
//! Its backend writes one element per mark; each is then given what the backend has no word for: the
//! colors of the page around it, dashes, borders, and what a pointer over it shows. Nothing of a text
//! can be taken for an attribute there, since the backend writes its quotes as `&quot;`.

use super::picture::{Anchor, Ink, Mark, Picture, Point};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units per pixel: the backend takes whole numbers only, and a tenth of a pixel is finer than an eye sees.
const UNITS: f64 = 10.0;
/// The backend writes texts as high as their size divided by this.
const SIZE_PER_EM: f64 = 1.24;
/// The backend puts the baseline of a text that hangs from its position so many ems below.
const HANGING: f64 = 0.76;
/// The typeface whose widths [`super::font`] knows, then ones about as wide.
const FAMILY: &str = "DejaVu Sans, Verdana, system-ui, sans-serif";

impl Picture {
    /// A file of its own, on white paper.
    #[must_use]
    pub fn svg(&self) -> String {
        let attributes = format!(
            " xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\"",
            self.width, self.height
        );
        let paper = "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
        self.document(&attributes, paper, hex)
    }

    /// For a page whose style sheet sets `--text`, `--muted`, `--grid` and `--paper`.
    #[must_use]
    pub fn inline_svg(&self) -> String {
        self.document("", "", |ink| ink.property().map_or_else(|| hex(ink), str::to_owned))
    }

    fn document(&self, attributes: &str, paper: &str, color: fn(Ink) -> String) -> String {
        let elements = elements(&self.drawn());
        assert_eq!(elements.len(), self.marks.len(), "one element per mark");
        let mut out = format!(
            "<svg{attributes} viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" font-family=\"{FAMILY}\">\n{paper}",
            units(self.width),
            units(self.height),
            escape(&self.alt)
        );
        for (element, mark) in elements.iter().zip(&self.marks) {
            out.push_str(&finished(element, mark, color));
            out.push('\n');
        }
        out.push_str("</svg>\n");
        out
    }

    /// What the backend writes.
    fn drawn(&self) -> String {
        let mut out = String::new();
        let size = (units(self.width) as u32, units(self.height) as u32);
        let area = SVGBackend::with_string(&mut out, size).into_drawing_area();
        for mark in &self.marks {
            match mark {
                Mark::Line { points, ink, width, .. } => {
                    let style = ink.color().stroke_width(units(*width) as u32);
                    area.draw(&PathElement::new(path(points), style))
                }
                Mark::Shape { points, ink } => area.draw(&Polygon::new(path(points), ink.color())),
                Mark::Rect { at, size, ink, .. } => {
                    let corners = [place(*at), place((at.0 + size.0, at.1 + size.1))];
                    area.draw(&Rectangle::new(corners, ink.color().filled()))
                }
                Mark::Text { at, text, size, ink, anchor } => {
                    let font = ("sans-serif", size * UNITS * SIZE_PER_EM).into_font();
                    let color = ink.color();
                    let style = TextStyle::from(font).color(&color).pos(Pos::new(side(*anchor), VPos::Top));
                    area.draw(&Text::new(printable(text), place((at.0, at.1 - HANGING * size)), style))
                }
            }
            .expect("memory takes all");
        }
        area.present().expect("memory takes all");
        drop(area);
        out
    }
}

fn units(pixels: f64) -> i32 {
    libm::round(pixels * UNITS) as i32
}

fn place((x, y): Point) -> (i32, i32) {
    (units(x), units(y))
}

/// Places of points, without those that are where the one before is.
fn path(points: &[Point]) -> Vec<(i32, i32)> {
    let mut places: Vec<(i32, i32)> = points.iter().map(|p| place(*p)).collect();
    places.dedup();
    places
}

fn side(anchor: Anchor) -> HPos {
    match anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    }
}

fn hex(ink: Ink) -> String {
    let RGBColor(red, green, blue) = ink.color();
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The elements of the backend's document, each on one line.
fn elements(document: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    // The first line opens the document.
    for line in document.lines().skip(1).filter(|line| *line != "</svg>") {
        match all.last_mut() {
            // The backend puts a text and the end of its element on lines of their own.
            Some(open) if line == "</text>" || !line.starts_with('<') => open.push_str(line),
            _ => all.push(line.to_owned()),
        }
    }
    all
}

/// The element of a mark without what SVG assumes anyway, and with what the backend leaves out.
fn finished(element: &str, mark: &Mark, color: fn(Ink) -> String) -> String {
    const ASSUMED: [&str; 4] =
        [" opacity=\"1\"", " stroke=\"none\"", " text-anchor=\"start\"", " font-family=\"sans-serif\""];
    let quoted = |color: String| format!("\"{color}\"");
    let (Mark::Line { ink, .. } | Mark::Shape { ink, .. } | Mark::Rect { ink, .. } | Mark::Text { ink, .. }) =
        mark;
    let mut text = ASSUMED.iter().fold(element.to_owned(), |text, assumed| text.replacen(assumed, "", 1));
    text = text.replacen(&quoted(hex(*ink)), &quoted(color(*ink)), 1);
    let end = match mark {
        Mark::Line { dash, .. } if !dash.is_empty() => {
            let dashes: Vec<String> = dash.iter().map(|length| units(*length).to_string()).collect();
            format!(" stroke-dasharray=\"{}\"/>", dashes.join(" "))
        }
        Mark::Shape { .. } => format!(" stroke=\"{}\" stroke-width=\"{}\"/>", color(Ink::Paper), units(1.0)),
        Mark::Text { size, .. } => {
            // Dividing by the backend's factor leaves some sizes with fifteen decimals.
            let written = size * UNITS * SIZE_PER_EM / SIZE_PER_EM;
            return text.replacen(&quoted(written.to_string()), &quoted(units(*size).to_string()), 1);
        }
        Mark::Rect { tip, .. } if !tip.is_empty() => format!("><title>{}</title></rect>", escape(tip)),
        _ => return text,
    };
    text.truncate(text.len() - "/>".len());
    text + &end
}

/// Text without what XML forbids; line breaks too, since a mark is one line.
fn printable(text: &str) -> String {
    let odd = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect()
}

/// Text that no XML or HTML parser takes for anything else.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out() {
        let mut picture = Picture::new("t", 100.0);
        picture.alt = "\"><script>".to_owned();
        picture.text((0.0, 0.0), "</script>\n</text>\n<b>\u{1}", 10.0, Ink::Text, Anchor::Start);
        picture.text((0.0, 0.0), "", 10.0, Ink::Text, Anchor::Start);
        picture.text((0.0, 0.0), " opacity=\"1\" \"#1B1B1F\"", 10.0, Ink::Text, Anchor::Start);
        let (at, size, tip) = ((0.0, 0.0), (5.0, 5.0), "</title><b>".to_owned());
        picture.marks.push(Mark::Rect { at, size, ink: Ink::Paper, tip });
        let svg = picture.inline_svg();
        assert!(!svg.contains("<script") && !svg.contains("</script") && !svg.contains("<b>"), "{svg}");
        assert!(!svg.contains('\u{1}'));
        assert!(svg.contains("> opacity=&quot;1&quot; &quot;#1B1B1F&quot;</text>"), "{svg}");
    }

    #[test]
    fn a_page_colors_its_charts() {
        let mut picture = Picture { height: 20.0, ..Picture::new("t", 100.0) };
        picture.line(vec![(0.0, 0.0), (5.0, 0.0), (5.0, 0.04), (5.0, 3.04)], Ink::Grid, 1.0, &[2.0, 4.0]);
        picture.text((1.0, 10.0), "x", 12.0, Ink::OnSurface(0), Anchor::End);
        let page = picture.inline_svg();
        assert!(
            page.contains("stroke=\"var(--grid)\"") && page.contains("stroke-dasharray=\"20 40\"/>"),
            "{page}"
        );
        // Text on a surface stays white when paper is black.
        assert!(page.contains("font-size=\"120\" fill=\"#FFFFFF\">x</text>"), "{page}");
        assert!(picture.svg().contains("stroke=\"#DCDEE3\""));
        assert!(picture.svg().contains("points=\"0,0 50,0 50,30 \""), "{}", picture.svg());
    }
}
