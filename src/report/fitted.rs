//! A chart of a fit: measured against modelled speeds, and how far each is off.

use super::axis::{self, Scale, Tick};
use super::chart::{Key, LABEL, Plot, RIGHT, WIDTH, heading, label_room, nothing, shape, y_axis};
use super::font;
use super::human::number;
use super::picture::{Anchor, Ink, Picture, Point};

/// One measurement with what models say of it, as speeds against being alone on a whole GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitPoint {
    /// Which of the groups it is of.
    pub group: usize,
    /// Measured speed.
    pub measured: f64,
    /// Speed by the model that was fitted to it among others.
    pub modelled: f64,
    /// Speed by a model that did not see it.
    pub unseen: Option<f64>,
}

/// Height of both plots.
const HEIGHT: f64 = 340.0;
/// The right end of the left plot.
const MIDDLE: f64 = 440.0;
/// The band around the line of equality, as a factor either way.
const BAND: f64 = 1.10;
/// Factors that an axis of ratios may end at.
const FACTORS: [f64; 10] = [1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0, 1e3, 1e6];
const BAND_DASH: &[f64] = &[4.0, 4.0];

/// Measured against modelled speed, both logarithmic, with the line of equality and a band of 10 % around
/// it; beside it each group's errors. `groups` are at most seven slices, or numbers of neighbours.
#[must_use]
pub fn fitted(title: &str, groups: &[String], points: &[FitPoint]) -> Picture {
    let mut picture = Picture::new(title, WIDTH);
    let mut legend: Vec<(Key, String)> =
        groups.iter().enumerate().map(|(i, name)| (Key::Mark(Ink::Series(i), i), name.clone())).collect();
    if points.iter().any(|point| point.unseen.is_some()) {
        legend.push((Key::Mark(Ink::Muted, 0), "not seen by the fit".to_owned()));
    }
    let top = heading(&mut picture, &legend) + 26.0;
    scatter(&mut picture, top, points);
    errors(&mut picture, top, groups, points);
    picture.height = top + HEIGHT + 50.0;
    let near = |p: &&FitPoint| off(p.modelled / p.measured) <= BAND;
    let within = points.iter().filter(near).count();
    picture.alt = format!("{title}: {within} of {} measurements are within 10% of the model.", points.len());
    picture
}

/// A factor that is 1 or more, whichever way a ratio is off.
fn off(ratio: f64) -> f64 {
    ratio.max(1.0 / ratio)
}

/// How far markers reach: less where they would hide each other.
fn radius(points: &[FitPoint]) -> f64 {
    const MANY: usize = 150;
    if points.len() <= MANY { 4.0 } else { 2.5 }
}

fn scatter(picture: &mut Picture, top: f64, points: &[FitPoint]) {
    let speeds = || points.iter().flat_map(|p| [p.measured, p.modelled]);
    let (least, most) = (speeds().fold(f64::INFINITY, f64::min), speeds().fold(0.0, f64::max));
    let (ends, ticks) = if points.is_empty() { axis::log(0.1, 1.0) } else { axis::log(least, most) };
    let plot = Plot {
        x: Scale { values: ends, places: (label_room(&ticks), MIDDLE), log: true },
        y: Scale { values: ends, places: (top + HEIGHT, top), log: true },
    };
    picture.text((10.0, top - 12.0), "speed by the model (logarithmic)", LABEL, Ink::Muted, Anchor::Start);
    y_axis(picture, &plot, &ticks);
    for (value, label) in &ticks {
        let x = plot.x.at(*value);
        picture.line(vec![(x, plot.top()), (x, plot.bottom())], Ink::Grid, 1.0, &[]);
        picture.text((x, plot.bottom() + 17.0), label, LABEL, Ink::Muted, Anchor::Middle);
    }
    let middle = (plot.left() + plot.right()) / 2.0;
    let name = "measured speed (logarithmic)";
    picture.text((middle, plot.bottom() + 38.0), name, LABEL, Ink::Muted, Anchor::Middle);
    for (factor, width, dash) in [(1.0, 1.5, &[][..]), (1.0 / BAND, 1.0, BAND_DASH), (BAND, 1.0, BAND_DASH)] {
        picture.line(diagonal(&plot, ends, factor), Ink::Muted, width, dash);
    }
    for point in points {
        let at = (plot.x.at(point.measured), plot.y.at(point.modelled));
        shape(picture, Ink::Series(point.group), point.group, radius(points), at);
    }
    if points.is_empty() {
        nothing(picture, &plot, "nothing was fitted");
    }
}

/// The line on which the model is `factor` times the measurement, within the plot.
fn diagonal(plot: &Plot, (least, most): (f64, f64), factor: f64) -> Vec<Point> {
    let from = least.max(least / factor);
    let to = most.min(most / factor);
    [from, to].map(|x| (plot.x.at(x), plot.y.at(x * factor))).to_vec()
}

/// A column for each group, with those that the fit saw at its left and those it did not at its right.
fn errors(picture: &mut Picture, top: f64, groups: &[String], points: &[FitPoint]) {
    let ratios =
        |p: &FitPoint| off(p.modelled / p.measured).max(p.unseen.map_or(1.0, |u| off(u / p.measured)));
    let most = points.iter().map(ratios).fold(BAND, f64::max);
    let last = FACTORS.iter().position(|factor| most <= *factor).unwrap_or(FACTORS.len() - 1).max(1);
    let end = FACTORS[last];
    let mut ticks: Vec<Tick> = vec![(1.0, "1".to_owned())];
    for factor in &FACTORS[..=last] {
        // Labels of factors close to 1 would stand on each other.
        if 0.12 < libm::log(*factor) / libm::log(end) {
            ticks.push((*factor, format!("×{}", number(*factor))));
            ticks.push((1.0 / factor, format!("÷{}", number(*factor))));
        }
    }
    let left = MIDDLE + 24.0 + label_room(&ticks);
    let plot = Plot {
        x: Scale { values: (0.0, groups.len().max(1) as f64), places: (left, WIDTH - RIGHT), log: false },
        y: Scale { values: (1.0 / end, end), places: (top + HEIGHT, top), log: true },
    };
    let name = "model ÷ measured (logarithmic)";
    picture.text((MIDDLE + 24.0, top - 12.0), name, LABEL, Ink::Muted, Anchor::Start);
    y_axis(picture, &plot, &ticks);
    for (value, width, dash) in [(1.0, 1.5, &[][..]), (1.0 / BAND, 1.0, BAND_DASH), (BAND, 1.0, BAND_DASH)] {
        let y = plot.y.at(value);
        picture.line(vec![(plot.left(), y), (plot.right(), y)], Ink::Muted, width, dash);
    }
    let column = (plot.right() - plot.left()) / groups.len().max(1) as f64;
    for (group, name) in groups.iter().enumerate() {
        let mut of_group: Vec<&FitPoint> = points.iter().filter(|p| p.group == group).collect();
        of_group.sort_by(|a, b| a.measured.total_cmp(&b.measured));
        // Side by side by speed, so that equal errors do not hide each other.
        let place = |i: usize, from: f64| {
            let share = (i as f64 + 0.5) / of_group.len() as f64;
            plot.left() + (group as f64 + from + 0.42 * share) * column
        };
        for (i, point) in of_group.iter().enumerate() {
            if let Some(unseen) = point.unseen {
                let at = (place(i, 0.52), plot.y.at(unseen / point.measured));
                shape(picture, Ink::Muted, 0, radius(points), at);
            }
            let at = (place(i, 0.06), plot.y.at(point.modelled / point.measured));
            shape(picture, Ink::Series(group), group, radius(points), at);
        }
        let middle = plot.x.at(group as f64 + 0.5);
        let name = font::fit(name, LABEL, column - 8.0);
        picture.text((middle, plot.bottom() + 17.0), name, LABEL, Ink::Muted, Anchor::Middle);
    }
}
