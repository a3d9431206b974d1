//! Who held which part of which GPU when: a row per GPU, a lane per slice, a bar per pod.

use super::axis::{self, Scale};
use super::chart::{Key, LABEL, Plot, RIGHT, WIDTH, heading, nothing, x_axis};
use super::font;
use super::human::seconds;
use super::picture::{Anchor, Ink, Mark, Picture, SERIES_COLORS};
use crate::metrics::{Cut, Held, SliceChart, SliceRow, VariantResult};
use std::collections::BTreeSet;

/// Height of an em of the labels of lanes and bars.
const SMALL: f64 = 9.0;
/// Room for the names of GPUs.
const NAMES: f64 = 150.0;
/// Bytes that bars may take of a picture's SVG, which then stays below some 150 kB.
const BYTES: usize = 125_000;
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
    let names =
        chart.gpus.iter().flat_map(|g| &g.lanes).map(|l| font::width(&l.0, SMALL)).fold(0.0, f64::max);
    // The last tick's label needs room even where no lane has one.
    let right = WIDTH - (names.min(110.0) + 14.0).max(RIGHT);
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
    let column = column(chart, &plot.x);
    let name = match column {
        1.0 => "time since the start of the run".to_owned(),
        wide => format!(
            "time since the start of the run (pods shorter than {} drawn together)",
            seconds(wide * (to - from) / (right - NAMES))
        ),
    };
    x_axis(&mut picture, &plot, &axis::time(from, to, 8), Some(&name));
    let mut y = top;
    for (gpu, height) in chart.gpus.iter().zip(heights) {
        row(&mut picture, gpu, (y, height), (&plot.x, column), &bars(&gpu.held, &plot.x, column), &colors);
        lanes(&mut picture, gpu, plot.x.places, (y, height));
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
    let shares = gpu.lanes.iter().map(|l| l.1).chain(gpu.cuts.iter().map(|cut| cut.high - cut.low));
    let thinnest = shares.fold(1.0, f64::min);
    (11.0 / thinnest.max(0.01)).clamp(22.0, 80.0)
}

fn row(
    picture: &mut Picture,
    gpu: &SliceRow,
    (top, height): (f64, f64),
    x: (&Scale, f64),
    bars: &[Bar],
    colors: &Colors,
) {
    let name = font::fit(&gpu.name, LABEL, NAMES - 18.0);
    picture.text((NAMES - 8.0, top + height / 2.0 + 4.0), name, LABEL, Ink::Text, Anchor::End);
    cuts(picture, gpu, (top, height), x, bars);
    for bar in bars {
        let (y, tall) = (top + (1.0 - bar.held.high) * height, (bar.held.high - bar.held.low) * height);
        let class = bar.held.class;
        // A line of paper between bars keeps neighbours of one color apart.
        let (wide, inner) = ((bar.to - bar.from).max(1.0) - 0.5, (tall - 1.0).max(0.5));
        picture.marks.push(Mark::Rect {
            at: (bar.from, y + 0.5),
            size: (wide, inner),
            ink: colors.ink(class),
            tip: if bar.column.is_none() && 2.0 <= wide { tip(bar.held, colors) } else { String::new() },
        });
        // The first letters of a name and an ellipsis say nothing: a name is there whole or not at all.
        if bar.column.is_none() && 10.0 <= inner && font::width(&bar.held.pod, SMALL) <= wide - 6.0 {
            let at = (bar.from + 3.0, y + tall / 2.0 + 0.36 * SMALL);
            picture.text(at, &bar.held.pod, SMALL, colors.on(class), Anchor::Start);
        }
    }
}

/// What stood on a GPU that was cut anew: outlines, with a name where no pod is in its way.
fn cuts(
    picture: &mut Picture,
    gpu: &SliceRow,
    (top, height): (f64, f64),
    (x, column): (&Scale, f64),
    bars: &[Bar],
) {
    for cut in gpu.cuts.iter().filter(|cut| is_wide(cut, x, column)) {
        let (left, right) = (x.at(cut.from_s), x.at(cut.to_s));
        let (above, below) = (top + (1.0 - cut.high) * height, top + (1.0 - cut.low) * height);
        let corners = vec![(left, above), (right, above), (right, below), (left, below), (left, above)];
        picture.line(corners, Ink::Muted, 0.5, &[]);
        let named = left + 3.0 + font::width(&cut.label, SMALL);
        let covered = |bar: &Bar| {
            let beside = bar.held.high <= cut.low || cut.high <= bar.held.low;
            !beside && bar.from < named && left < bar.to
        };
        if named <= right - 3.0 && 10.0 <= below - above && !bars.iter().any(covered) {
            let at = (left + 3.0, (above + below) / 2.0 + 0.36 * SMALL);
            picture.text(at, &cut.label, SMALL, Ink::Muted, Anchor::Start);
        }
    }
}

/// Whether a cut stood long enough to be drawn.
fn is_wide(cut: &Cut, x: &Scale, column: f64) -> bool {
    column.max(2.0) <= x.at(cut.to_s) - x.at(cut.from_s)
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

/// A bar to draw, in pixels along the axis: a pod's, or that of many too thin to be told apart.
struct Bar<'a> {
    /// The pod, or the one of many that held its place longest.
    held: &'a Held,
    from: f64,
    to: f64,
    /// The column of pixels that it started in, if it was thinner.
    column: Option<i64>,
}

impl<'a> Bar<'a> {
    fn new(held: &'a Held, x: &Scale, column: f64) -> Bar<'a> {
        let (from, to) = (x.at(held.from_s), x.at(held.to_s));
        let thin = to - from < column;
        Bar { held, from, to, column: thin.then_some(libm::floor(from / column) as i64) }
    }

    fn lane(&self) -> (f64, f64) {
        (self.held.low, self.held.high)
    }

    /// Takes `next` in, if both are thin and belong `together`.
    fn take(&mut self, next: &Bar<'a>, together: impl Fn(&Bar, &Bar) -> bool) -> bool {
        let thin = self.column.is_some() && next.column.is_some();
        let takes = thin && self.lane() == next.lane() && together(self, next);
        if takes {
            self.to = self.to.max(next.to);
            let span = |held: &Held| held.to_s - held.from_s;
            if span(self.held) < span(next.held) {
                self.held = next.held;
            }
        }
        takes
    }
}

/// The bars of a GPU: those thinner than a `column` become one per column and lane, and one with its
/// neighbours of the same class.
fn bars<'a>(held: &'a [Held], x: &Scale, column: f64) -> Vec<Bar<'a>> {
    let mut all: Vec<Bar> = held.iter().map(|held| Bar::new(held, x, column)).collect();
    let by = |a: &Bar, b: &Bar, key: fn(&Bar) -> f64| key(a).total_cmp(&key(b));
    all.sort_by(|a, b| {
        by(a, b, |bar| bar.held.low).then(by(a, b, |bar| bar.held.high)).then(by(a, b, |bar| bar.from))
    });
    all.dedup_by(|next, bar| bar.take(next, |a, b| a.column == b.column));
    all.dedup_by(|next, bar| {
        bar.take(next, |a, b| a.held.class == b.held.class && b.from - a.to < column / 2.0)
    });
    all
}

/// The width, in pixels, below which bars are drawn together so that all fit in [`BYTES`].
fn column(chart: &SliceChart, x: &Scale) -> f64 {
    const WIDEST: f64 = 64.0;
    // About what an element takes, alone and with the words that a pointer over it shows.
    let size = |bar: &Bar| if bar.column.is_some() { 65 } else { 150 };
    let outline = 150;
    let all = |column: f64| -> usize {
        let bars = chart.gpus.iter().flat_map(|gpu| bars(&gpu.held, x, column));
        let cuts = chart.gpus.iter().flat_map(|gpu| &gpu.cuts).filter(|cut| is_wide(cut, x, column));
        bars.map(|bar| size(&bar)).sum::<usize>() + outline * cuts.count()
    };
    let mut column = 1.0;
    while column < WIDEST && BYTES < all(column) {
        column *= 1.5;
    }
    column
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

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn thin_bars_of_a_lane_are_drawn_together() {
        let x = Scale { values: (0.0, 100.0), places: (0.0, 100.0), log: false };
        let held = |from_s: f64, to_s: f64, class: usize| Held {
            low: 0.0,
            high: 1.0,
            from_s,
            to_s,
            class,
            pod: format!("{from_s}"),
        };
        let held = [
            held(0.0, 0.2, 0),
            held(0.2, 0.9, 1),
            held(1.0, 1.9, 1),
            held(2.0, 2.9, 2),
            held(3.0, 9.0, 2),
            held(20.2, 20.3, 2),
        ];
        let drawn: Vec<_> =
            bars(&held, &x, 1.0).iter().map(|b| (b.held.pod.clone(), b.held.class, b.to)).collect();
        let expected = [("1", 1, 1.9), ("2", 2, 2.9), ("3", 2, 9.0), ("20.2", 2, 20.3)]
            .map(|(p, c, t)| (p.to_owned(), c, t));
        assert_eq!(drawn, expected);
        assert_eq!(bars(&held, &x, 0.01).len(), held.len());
    }

    #[test]
    fn the_busiest_chart_is_small_and_says_that_it_is_coarse() {
        let picture = slices(&sample::busy()).expect("GPUs");
        let svg = picture.svg();
        assert!(svg.len() < 150_000, "{}", svg.len());
        assert!(svg.contains("drawn together"));
    }
}
