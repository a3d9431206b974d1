//! A picture as PNG, drawn by plotters at four times the size; every 2 × 2 pixels then become one.
//!
//! Its backend puts everything at whole pixels; drawn large and shrunk, nothing shows it, and the file is
//! sharp enough for print (two pixels for each of the picture's). Two things are given to plotters in
//! parts: lines by the stroke, since it fills a bent line as one polygon, which has holes where bends are
//! closer than the line is wide; and texts by the pixel, since it sets letters without the room to their
//! left that the typeface asks for.

use super::font;
use super::picture::{Ink, Mark, Picture, Point, text_start};
use plotters::coord::Shift;
use plotters::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Pixels drawn per pixel of the picture, each way.
const DRAWN: usize = 4;
/// Drawn pixels per pixel of the file, each way.
const SHRINK: usize = 2;

/// Colors of a file's palette.
const COLORS: usize = 256;

type Shade = [u8; 3];
type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl Picture {
    /// A PNG of twice the picture's size, on white paper.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        let (width, height, pixels) = self.pixels();
        encode(width, height, &pixels).expect("memory takes all")
    }

    /// Width, height and pixels of the file.
    fn pixels(&self) -> (usize, usize, Vec<u8>) {
        let side = |length: f64| (libm::ceil(length) as usize).max(1) * DRAWN;
        let (width, height) = (side(self.width), side(self.height));
        let mut pixels = vec![255; width * height * 3];
        let area = BitMapBackend::with_buffer(&mut pixels, (width as u32, height as u32)).into_drawing_area();
        for mark in &self.marks {
            draw(&area, mark).expect("memory takes all");
        }
        drop(area);
        (width / SHRINK, height / SHRINK, shrunk(&pixels, width))
    }
}

fn encode(width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let (palette, indices) = indexed(pixels);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    // Flat surfaces repeat exactly, which filters made for photographs would hide.
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.set_compression(png::Compression::Default);
    // 144 dots per inch: the picture at its own size on paper.
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: 5669, yppu: 5669, unit: png::Unit::Meter }));
    encoder.write_header()?.write_image_data(&indices)?;
    Ok(bytes)
}

/// A palette and, for every pixel, the number of its color there.
///
/// Charts have few colors but for blends at edges, of which the rarest become the color nearest to them:
/// files are a third as large, written in half the time, and no eye sees it.
fn indexed(pixels: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let runs = || pixels.as_chunks::<3>().0.chunk_by(|a, b| a == b);
    let mut counts: FxHashMap<Shade, usize> = FxHashMap::default();
    for run in runs() {
        *counts.entry(run[0]).or_default() += run.len();
    }
    let mut colors: Vec<(Shade, usize)> = counts.into_iter().collect();
    colors.sort_unstable_by_key(|&(color, count)| (Reverse(count), color));
    let palette: Vec<Shade> = colors.iter().take(COLORS).map(|c| c.0).collect();
    let numbers: FxHashMap<Shade, u8> =
        colors.iter().map(|&(color, _)| (color, nearest(&palette, color))).collect();
    let mut indices = Vec::with_capacity(pixels.len() / 3);
    for run in runs() {
        indices.resize(indices.len() + run.len(), numbers[&run[0]]);
    }
    (palette.concat(), indices)
}

/// The number of the palette's color that is nearest to `color`.
fn nearest(palette: &[Shade], color: Shade) -> u8 {
    let distance = |other: &Shade| -> u32 {
        other.iter().zip(color).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    (0..palette.len()).min_by_key(|&at| distance(&palette[at])).unwrap_or(0) as u8
}

fn draw<'a>(area: &Area<'a>, mark: &Mark) -> Drawn<'a> {
    let large = |p: Point| (p.0 * DRAWN as f64, p.1 * DRAWN as f64);
    match mark {
        Mark::Line { points, ink, width, dash } => {
            let points: Vec<Point> = points.iter().map(|&p| large(p)).collect();
            let width = width * DRAWN as f64;
            pieces(&points, dash, width / 2.0)
                .into_iter()
                .try_for_each(|piece| stroke(area, piece, width, *ink))
        }
        Mark::Shape { points, ink } => {
            let mut points: Vec<Point> = points.iter().map(|&p| large(p)).collect();
            let corners: Vec<(i32, i32)> = points.iter().map(|&p| place(p)).collect();
            area.draw(&Polygon::new(corners, ink.color()))?;
            points.extend(points.first().copied());
            let border = |piece| stroke(area, piece, DRAWN as f64, Ink::Paper);
            points.windows(2).map(|pair| [pair[0], pair[1]]).try_for_each(border)
        }
        Mark::Rect { at, size, ink, .. } => {
            let corners = [large(*at), large((at.0 + size.0, at.1 + size.1))];
            area.draw(&Rectangle::new(corners.map(place), ink.color().filled()))
        }
        Mark::Text { at, text, size, ink, anchor } => {
            let start = large(text_start(*at, text, *size, *anchor));
            let mut drawn = Ok(());
            font::draw(text, size * DRAWN as f64, start, |place, coverage| {
                if drawn.is_ok() {
                    drawn = area.draw_pixel(place, &ink.color().mix(coverage));
                }
            });
            drawn
        }
    }
}

fn place((x, y): Point) -> (i32, i32) {
    (libm::round(x) as i32, libm::round(y) as i32)
}

/// A straight stroke with square ends.
fn stroke<'a>(area: &Area<'a>, [from, to]: [Point; 2], width: f64, ink: Ink) -> Drawn<'a> {
    if from.0 != to.0 && from.1 != to.1 {
        let style = ink.color().stroke_width(width as u32);
        return area.draw(&PathElement::new([place(from), place(to)], style));
    }
    let (dx, dy) = if from.1 == to.1 { (0.0, width / 2.0) } else { (width / 2.0, 0.0) };
    let corners =
        [(from.0.min(to.0) - dx, from.1.min(to.1) - dy), (from.0.max(to.0) + dx, from.1.max(to.1) + dy)];
    area.draw(&Rectangle::new(corners.map(place), ink.color().filled()))
}

/// The straight pieces of a line that its dashes leave; where it bends they reach so far over, which
/// makes corners whole.
fn pieces(points: &[Point], dash: &[f64], reach: f64) -> Vec<[Point; 2]> {
    let dash_at =
        |turn: usize| dash.get(turn % dash.len().max(1)).map_or(f64::INFINITY, |d| d * DRAWN as f64);
    let mut out = Vec::new();
    let mut turn = 0;
    let mut left = dash_at(turn);
    for [from, to] in points.windows(2).map(|pair| [pair[0], pair[1]]) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = libm::sqrt(dx * dx + dy * dy);
        let at = |d: f64| (from.0 + dx * d / length, from.1 + dy * d / length);
        let mut done = 0.0;
        while done < length {
            let next = (done + left).min(length);
            if turn % 2 == 0 {
                let start = if done == 0.0 { -reach } else { done };
                let end = if next == length { length + reach } else { next };
                out.push([at(start), at(end)]);
            }
            left -= next - done;
            done = next;
            // A rest of a dash that rounding left, too small to move `done`, would never end.
            if left <= 1e-6 {
                turn += 1;
                left = dash_at(turn);
            }
        }
    }
    out
}

/// Every square of [`SHRINK`] × [`SHRINK`] pixels as one, of their mean color.
fn shrunk(pixels: &[u8], width: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() / (SHRINK * SHRINK));
    for rows in pixels.chunks_exact(width * 3 * SHRINK) {
        let (upper, lower) = rows.split_at(width * 3);
        for (above, below) in upper.chunks_exact(3 * SHRINK).zip(lower.chunks_exact(3 * SHRINK)) {
            for i in 0..3 {
                let sum = [above[i], above[i + 3], below[i], below[i + 3]].map(u16::from);
                out.push((sum.iter().sum::<u16>() / 4) as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::picture::Anchor;
    use super::*;

    #[test]
    fn marks_are_drawn_where_they_stand() {
        let mut picture = Picture::new("t", 20.0);
        picture.height = 10.0;
        picture.rect((5.0, 2.0), (10.0, 5.0), Ink::Series(0));
        let (width, height, pixels) = picture.pixels();
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
        picture.rect((-5.0, 8.0), (50.0, 50.0), Ink::Grid);
        picture.text((-20.0, 30.0), "outside", 40.0, Ink::Text, Anchor::Start);
        assert!(picture.png().starts_with(b"\x89PNG"));
    }

    #[test]
    fn the_rarest_colors_give_way() {
        let shade = |i: usize| [i as u8, (i / 256) as u8, 0];
        let mut pixels: Vec<u8> = (0..300).flat_map(|i| [shade(i), shade(i)]).flatten().collect();
        pixels.extend([255, 255, 255]);
        let (palette, indices) = indexed(&pixels);
        assert_eq!((palette.len(), indices.len()), (3 * COLORS, 601));
        assert_eq!(palette[usize::from(indices[0]) * 3..][..3], [0, 0, 0]);
        assert_eq!(palette[usize::from(indices[510]) * 3..][..3], [211, 0, 0], "of 255 red");
    }

    /// A dash of .1 steps ends a rounding error short of its end, which once drew dashes for ever.
    #[test]
    fn every_dash_ends() {
        for n in 1..2_000 {
            let points: Vec<Point> =
                (0..200).map(|i| (0.1 * f64::from(i), libm::sin(f64::from(i * n)))).collect();
            let length: f64 = points.windows(2).map(|p| libm::hypot(p[1].0 - p[0].0, p[1].1 - p[0].1)).sum();
            let most = length / DRAWN as f64 + points.len() as f64 + 1.0;
            assert!((pieces(&points, &[0.7, 0.3], 0.0).len() as f64) <= most);
        }
    }

    #[test]
    fn dashes_leave_gaps_and_corners_are_whole() {
        let bent = [(0.0, 0.0), (30.0, 0.0), (30.0, 20.0)];
        assert_eq!(pieces(&bent, &[], 4.0), [[(-4.0, 0.0), (34.0, 0.0)], [(30.0, -4.0), (30.0, 24.0)]]);
        let dashes = [[(-4.0, 0.0), (8.0, 0.0)], [(16.0, 0.0), (24.0, 0.0)], [(30.0, 2.0), (30.0, 10.0)]];
        assert_eq!(pieces(&bent, &[2.0, 2.0], 4.0)[..3], dashes);
    }
}
