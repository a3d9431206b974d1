//! A picture as PNG: marks are painted at four times the size and every 2 × 2 pixels become one.
//!
//! Painting large and shrinking smooths every edge with no special care for any, and gives a file
//! sharp enough for print (two pixels for each of the picture's).

use super::font;
use super::picture::{Ink, Mark, Picture, Point, text_start};

/// Pixels painted per pixel of the picture, each way.
const PAINTED: usize = 4;
/// Painted pixels per pixel of the file, each way.
const SHRINK: usize = 2;

impl Picture {
    /// A PNG of twice the picture's size, on white paper.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        let mut canvas = Canvas::new(self.width, self.height);
        for mark in &self.marks {
            canvas.mark(mark);
        }
        let (width, height, pixels) = canvas.shrink();
        encode(width, height, &pixels).expect("a vector takes all")
    }
}

fn encode(width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Flat surfaces repeat exactly, which filters made for photographs would hide.
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.set_compression(png::Compression::Default);
    // 144 dots per inch: the picture at its own size on paper.
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: 5669, yppu: 5669, unit: png::Unit::Meter }));
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}

/// What is painted on.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

type Color = [u8; 3];

impl Canvas {
    fn new(width: f64, height: f64) -> Canvas {
        let side = |length: f64| (libm::ceil(length) as usize).max(1) * PAINTED;
        let (width, height) = (side(width), side(height));
        Canvas { width, height, pixels: vec![255; width * height * 3] }
    }

    fn mark(&mut self, mark: &Mark) {
        let large = |p: Point| (p.0 * PAINTED as f64, p.1 * PAINTED as f64);
        match mark {
            Mark::Line { points, ink, width, dash } => {
                let points: Vec<Point> = points.iter().map(|&p| large(p)).collect();
                let radius = width * PAINTED as f64 / 2.0;
                let color = rgb(*ink);
                for [from, to] in pieces(&points, dash) {
                    self.stroke(from, to, radius, color);
                    if dash.is_empty() {
                        // Strokes in a row join without gaps; dashes keep theirs.
                        self.disc(to, radius, color);
                    }
                }
            }
            Mark::Shape { points, ink } => {
                let mut points: Vec<Point> = points.iter().map(|&p| large(p)).collect();
                self.fill(&points, rgb(*ink));
                points.extend(points.first().copied());
                for pair in points.windows(2) {
                    self.stroke(pair[0], pair[1], PAINTED as f64 / 2.0, rgb(Ink::Paper));
                }
            }
            Mark::Rect { at, size, ink, .. } => {
                let (x, y) = large(*at);
                let (w, h) = large(*size);
                self.fill(&[(x, y), (x + w, y), (x + w, y + h), (x, y + h)], rgb(*ink));
            }
            Mark::Text { at, text, size, ink, anchor } => {
                let start = large(text_start(*at, text, *size, *anchor));
                let color = rgb(*ink);
                font::draw(text, size * PAINTED as f64, start, |x, y, coverage| {
                    self.blend(x, y, color, coverage);
                });
            }
        }
    }

    fn blend(&mut self, x: i64, y: i64, color: Color, coverage: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if self.width <= x || self.height <= y {
            return;
        }
        let at = (y * self.width + x) * 3;
        for (channel, ink) in self.pixels[at..at + 3].iter_mut().zip(color) {
            let mixed = f32::from(*channel) + (f32::from(ink) - f32::from(*channel)) * coverage.min(1.0);
            *channel = (mixed + 0.5) as u8;
        }
    }

    /// Paints the pixels of row `y` whose centers lie between two places.
    fn span(&mut self, y: i64, from: f64, to: f64, color: Color) {
        let first = (libm::ceil(from - 0.5).max(0.0)) as usize;
        let last = (libm::ceil(to - 0.5).max(0.0) as usize).min(self.width);
        if y < 0 || self.height as i64 <= y || last <= first {
            return;
        }
        let row = y as usize * self.width;
        for pixel in self.pixels[(row + first) * 3..(row + last) * 3].chunks_exact_mut(3) {
            pixel.copy_from_slice(&color);
        }
    }

    /// A straight stroke with square ends.
    fn stroke(&mut self, from: Point, to: Point, radius: f64, color: Color) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = libm::sqrt(dx * dx + dy * dy);
        if length == 0.0 {
            return;
        }
        let (nx, ny) = (-dy / length * radius, dx / length * radius);
        let corners = [
            (from.0 + nx, from.1 + ny),
            (to.0 + nx, to.1 + ny),
            (to.0 - nx, to.1 - ny),
            (from.0 - nx, from.1 - ny),
        ];
        self.fill(&corners, color);
    }

    fn disc(&mut self, center: Point, radius: f64, color: Color) {
        for y in (libm::floor(center.1 - radius) as i64)..=(libm::ceil(center.1 + radius) as i64) {
            let dy = y as f64 + 0.5 - center.1;
            let half = libm::sqrt((radius * radius - dy * dy).max(0.0));
            self.span(y, center.0 - half, center.0 + half, color);
        }
    }

    /// Fills a polygon, holes where it overlaps itself.
    fn fill(&mut self, corners: &[Point], color: Color) {
        let top = corners.iter().map(|p| p.1).fold(f64::INFINITY, f64::min).max(0.0);
        let bottom = corners.iter().map(|p| p.1).fold(0.0, f64::max).min(self.height as f64);
        for y in (libm::floor(top) as i64)..=(libm::ceil(bottom) as i64) {
            let center = y as f64 + 0.5;
            let mut crossings: Vec<f64> = (0..corners.len())
                .filter_map(|i| crossing(corners[i], corners[(i + 1) % corners.len()], center))
                .collect();
            crossings.sort_by(f64::total_cmp);
            for pair in crossings.chunks_exact(2) {
                self.span(y, pair[0], pair[1], color);
            }
        }
    }

    /// Width, height and pixels of the file.
    fn shrink(&self) -> (usize, usize, Vec<u8>) {
        let (width, height) = (self.width / SHRINK, self.height / SHRINK);
        let mut out = Vec::with_capacity(width * height * 3);
        for rows in self.pixels.chunks_exact(self.width * 3 * SHRINK) {
            let (upper, lower) = rows.split_at(self.width * 3);
            for (above, below) in upper.chunks_exact(3 * SHRINK).zip(lower.chunks_exact(3 * SHRINK)) {
                for i in 0..3 {
                    let sum = [above[i], above[i + 3], below[i], below[i + 3]].map(u16::from);
                    out.push((sum.iter().sum::<u16>() / 4) as u8);
                }
            }
        }
        (width, height, out)
    }
}

/// Where an edge crosses the level `y`.
fn crossing(a: Point, b: Point, y: f64) -> Option<f64> {
    ((a.1 <= y) != (b.1 <= y)).then(|| a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0))
}

/// The straight pieces of a line that its dashes leave.
fn pieces(points: &[Point], dash: &[f64]) -> Vec<[Point; 2]> {
    let edges = points.windows(2).map(|pair| [pair[0], pair[1]]);
    if dash.is_empty() {
        return edges.collect();
    }
    let mut out = Vec::new();
    let mut turn = 0;
    let mut left = dash[0] * PAINTED as f64;
    for [from, to] in edges {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = libm::sqrt(dx * dx + dy * dy);
        let at = |d: f64| (from.0 + dx * d / length, from.1 + dy * d / length);
        let mut done = 0.0;
        while done < length {
            let next = (done + left).min(length);
            if turn % 2 == 0 {
                out.push([at(done), at(next)]);
            }
            left -= next - done;
            done = next;
            if left <= 0.0 {
                turn += 1;
                left = dash[turn % dash.len()] * PAINTED as f64;
            }
        }
    }
    out
}

/// A color of the form `#rrggbb`.
fn rgb(ink: Ink) -> Color {
    let text = ink.color();
    let channel = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("colors are #rrggbb");
    [channel(1), channel(3), channel(5)]
}

#[cfg(test)]
mod tests {
    use super::super::picture::Anchor;
    use super::*;

    #[test]
    fn marks_are_painted_where_they_stand() {
        let mut picture = Picture::new("t", 20.0);
        picture.height = 10.0;
        picture.rect((5.0, 2.0), (10.0, 5.0), Ink::Series(0));
        let mut canvas = Canvas::new(picture.width, picture.height);
        canvas.mark(&picture.marks[0]);
        let (width, height, pixels) = canvas.shrink();
        assert_eq!((width, height), (40, 20));
        let pixel = |x: usize, y: usize| &pixels[(y * width + x) * 3..][..3];
        assert_eq!(pixel(9, 5), [255; 3]);
        assert_eq!(pixel(10, 4), [0, 0x72, 0xb2]);
        assert_eq!(pixel(29, 13), [0, 0x72, 0xb2]);
        assert_eq!(pixel(30, 14), [255; 3]);
    }

    #[test]
    fn marks_outside_are_cut_and_the_file_is_a_png() {
        let mut picture = Picture::new("t", 10.0);
        picture.height = 10.0;
        picture.line(vec![(-50.0, -5.0), (50.0, 20.0)], Ink::Text, 2.0, &[3.0, 2.0]);
        picture.text((-20.0, 30.0), "outside", 40.0, Ink::Text, Anchor::Start);
        assert!(picture.png().starts_with(b"\x89PNG"));
    }

    #[test]
    fn dashes_leave_gaps() {
        let parts = pieces(&[(0.0, 0.0), (40.0, 0.0)], &[5.0, 5.0]);
        assert_eq!(parts, [[(0.0, 0.0), (20.0, 0.0)]]);
    }
}
