//! Who held which part of which GPU when: a row per GPU, a lane per slice, a bar per pod.

use super::axis::{self, Scale};
use super::chart::{Key, LABEL, Plot, RIGHT, WIDTH, heading, nothing, x_axis};
use super::font;
use super::human::seconds;
use super::picture::{Anchor, Ink, Mark, Picture, SERIES_COLORS};
use crate::metrics::{Held, SliceRow, VariantResult};
use std::collections::{BTreeMap, BTreeSet};

/// Height of an em of the labels of lanes and bars.
const SMALL: f64 = 9.0;
/// Room for the names of GPUs.
const NAMES: f64 = 150.0;
/// Room between rows.
const GAP: f64 = 10.0;

/// The picture of a variant's GPUs; `None` where the cluster has none to show.
#[must_use]
pub fn slices(variant: &VariantResult) -> Option<Picture> {
    let chart = &variant.slices;
    if chart.gpus.is_empty() {
        return None;
    }
    let shown = chart.gpus.len();
    let title = match chart.hidden {
        0 => format!("Slices of each GPU over time: {}", variant.name),
        hidden => format!("Slices of {shown} of {} GPUs over time: {}", shown + hidden, variant.name),
    };
    let mut picture = Picture::new(&title, WIDTH);
    let colors = Colors::new(variant);
    let top = heading(&mut picture, &colors.legend()) + 6.0;
    let lanes =
        chart.gpus.iter().flat_map(|g| &g.lanes).map(|l| font::width(&l.0, SMALL)).fold(0.0, f64::max);
    // The last tick's label needs room even where no lane has one.
    let right = WIDTH - (lanes.min(110.0) + 14.0).max(RIGHT);
    let heights: Vec<f64> = chart.gpus.iter().map(row_height).collect();
    let bottom = top + heights.iter().map(|h| h + GAP).sum::<f64>();
    let held = || chart.gpus.iter().flat_map(|g| &g.held);
    let timeline = &variant.timeline;
    let end = timeline.start_s + timeline.step_s * timeline.gpus.len() as f64;
    let from = held().map(|h| h.from_s).fold(timeline.start_s, f64::min);
    let to = held().map(|h| h.to_s).fold(end, f64::max);
    let plot = Plot {
        x: Scale { values: (from, to), places: (NAMES, right), log: false },
        y: Scale { values: (0.0, 1.0), places: (bottom, top), log: false },
    };
    x_axis(&mut picture, &plot, &axis::time(from, to, 8), Some("time since the start of the run"));
    let mut y = top;
    for (gpu, height) in chart.gpus.iter().zip(heights) {
        row(&mut picture, gpu, &plot.x, (y, height), &colors);
        y += height + GAP;
    }
    if held().next().is_none() {
        nothing(&mut picture, &plot, "nothing ran on these GPUs");
    }
    picture.height = bottom + 50.0;
    let pods = held().map(|h| h.pod.as_str()).collect::<BTreeSet<_>>().len();
    picture.alt = format!(
        "{title}. {pods} pods held parts of {shown} GPUs between {} and {} of simulated time.",
        seconds(from),
        seconds(to)
    );
    Some(picture)
}

/// Tall enough that the thinnest lane can carry a label, within reason.
fn row_height(gpu: &SliceRow) -> f64 {
    let thinnest = gpu.lanes.iter().map(|l| l.1).fold(1.0, f64::min);
    (11.0 / thinnest.max(0.01)).clamp(22.0, 80.0)
}

fn row(picture: &mut Picture, gpu: &SliceRow, x: &Scale, (top, height): (f64, f64), colors: &Colors) {
    let name = font::fit(&gpu.name, LABEL, NAMES - 18.0);
    picture.text((NAMES - 8.0, top + height / 2.0 + 4.0), name, LABEL, Ink::Text, Anchor::End);
    for bar in bars(&gpu.held, x, height) {
        let (y, tall) = (top + (1.0 - bar.held.high) * height, (bar.held.high - bar.held.low) * height);
        let class = bar.held.class;
        // A line of paper between bars keeps neighbours of one color apart.
        let (wide, inner) = ((bar.to - bar.from - 0.5).max(0.5), (tall - 1.0).max(0.5));
        picture.marks.push(Mark::Rect {
            at: (bar.from, y + 0.5),
            size: (wide, inner),
            ink: colors.ink(class),
            tip: if 2.0 <= wide { tip(bar.held, colors) } else { String::new() },
        });
        if 10.0 <= inner && 24.0 <= wide {
            let label = font::fit(&bar.held.pod, SMALL, wide - 6.0);
            // The first letters of a name and an ellipsis say nothing.
            if bar.held.pod.chars().count() * 2 <= label.chars().count() * 3 {
                let at = (bar.from + 3.0, y + tall / 2.0 + 0.36 * SMALL);
                picture.text(at, label, SMALL, colors.on(class), Anchor::Start);
            }
        }
    }
    lanes(picture, gpu, (x.places.0, x.places.1), (top, height));
}

/// Lines between lanes, and their names at the right where they fit.
fn lanes(picture: &mut Picture, gpu: &SliceRow, (left, right): (f64, f64), (top, height): (f64, f64)) {
    let mut low = 0.0;
    picture.line(
        vec![(left, top), (right, top), (right, top + height), (left, top + height), (left, top)],
        Ink::Muted,
        1.0,
        &[],
    );
    for (name, share) in &gpu.lanes {
        let y = top + (1.0 - low - share) * height;
        if 0.001 < low {
            let line = y + share * height;
            picture.line(vec![(left, line), (right, line)], Ink::Grid, 0.5, &[]);
        }
        if 10.0 <= share * height {
            let at = (right + 6.0, y + share * height / 2.0 + 0.36 * SMALL);
            picture.text(at, font::fit(name, SMALL, 110.0), SMALL, Ink::Muted, Anchor::Start);
        }
        low += share;
    }
}

fn tip(held: &Held, colors: &Colors) -> String {
    let span = seconds(held.to_s - held.from_s);
    format!("{} ({}), from {} for {span}", held.pod, colors.name(held.class), seconds(held.from_s))
}

/// A bar to draw, in pixels along the axis.
struct Bar<'a> {
    held: &'a Held,
    from: f64,
    to: f64,
}

/// The bars that can be seen: of those thinner than a pixel one per pixel and lane, the longest.
fn bars<'a>(held: &'a [Held], x: &Scale, height: f64) -> Vec<Bar<'a>> {
    let mut seen = Vec::new();
    let mut thin: BTreeMap<(i64, i64, i64), &Held> = BTreeMap::new();
    for held in held {
        let (from, to) = (x.at(held.from_s), x.at(held.to_s));
        if 1.0 <= to - from {
            seen.push(Bar { held, from, to });
            continue;
        }
        let place = |share: f64| libm::round(share * height) as i64;
        let kept = thin.entry((from as i64, place(held.low), place(held.high))).or_insert(held);
        if kept.to_s - kept.from_s < held.to_s - held.from_s {
            *kept = held;
        }
    }
    seen.extend(thin.into_iter().map(|((column, ..), held)| Bar {
        held,
        from: column as f64,
        to: (column + 1) as f64,
    }));
    seen
}

/// Colors of classes: each its own while there are enough, a shared one for the rest.
struct Colors {
    names: Vec<String>,
    shown: BTreeSet<usize>,
}

impl Colors {
    fn new(variant: &VariantResult) -> Colors {
        let names = variant.classes.clone();
        let shown = variant.slices.gpus.iter().flat_map(|g| &g.held).map(|h| h.class).collect();
        Colors { names, shown }
    }

    /// Classes with a color of their own, by index, so that they keep it from variant to variant.
    fn own(&self, class: usize) -> bool {
        class < SERIES_COLORS - 1
    }

    fn ink(&self, class: usize) -> Ink {
        Ink::Surface(if self.own(class) { class } else { SERIES_COLORS - 1 })
    }

    fn on(&self, class: usize) -> Ink {
        match self.ink(class) {
            Ink::Surface(i) => Ink::OnSurface(i),
            other => other,
        }
    }

    fn name(&self, class: usize) -> String {
        self.names.get(class).cloned().unwrap_or_else(|| format!("class {}", class + 1))
    }

    fn legend(&self) -> Vec<(Key, String)> {
        let own = self.shown.iter().filter(|c| self.own(**c));
        let mut legend: Vec<(Key, String)> = own.map(|&c| (Key::Bar(self.ink(c)), self.name(c))).collect();
        let rest: Vec<usize> = self.shown.iter().copied().filter(|c| !self.own(*c)).collect();
        match rest[..] {
            [] => {}
            [one] => legend.push((Key::Bar(self.ink(one)), self.name(one))),
            [first, ..] => legend.push((Key::Bar(self.ink(first)), format!("{} other classes", rest.len()))),
        }
        legend
    }
}
