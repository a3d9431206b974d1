//! Charts of lines: levels over time, and the distribution of waits.
//!
//! Up to four variants share one plot, told apart by color, dashes and markers at once; more get a
//! strip each, and so do lines that go up and down a lot: on one another they tell nothing, in color or not.

use super::axis::{self, Scale, Tick};
use super::human::{level, list, percent, seconds};
use super::picture::{Anchor, Ink, Picture, Point, SERIES_COLORS};
use super::{figures, font};
use crate::metrics::{Timeline, VariantResult};

/// Width of every picture.
pub(super) const WIDTH: f64 = 900.0;
/// Room at the right, for half of the last tick's label.
pub(super) const RIGHT: f64 = 24.0;
/// Height of an em of labels.
pub(super) const LABEL: f64 = 12.0;
/// Variants that share one plot.
const SHARED: usize = 4;
/// Heights of a plot that its lines may go up and down in all before they get a strip each: four queues that
/// grow and shrink once or twice with small steps stay below, allocations near a full cluster do not.
const TRAVEL: f64 = 30.0;
/// Points of a line: more would not be seen at [`WIDTH`].
const STEPS: usize = 300;

/// What tells the lines of a legend apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// A line of variant number so many.
    Line(usize),
    /// The line of a capacity.
    Limit,
    /// A bar.
    Bar(Ink),
    /// A marker of this color and form.
    Mark(Ink, usize),
}

const DASHES: [&[f64]; 4] = [&[], &[9.0, 4.0], &[3.0, 3.0], &[12.0, 3.0, 3.0, 3.0]];
const LIMIT_DASH: &[f64] = &[2.0, 4.0];

/// The legend of lines; one alone needs none.
fn line_keys<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Vec<(Key, String)> {
    if names.len() < 2 {
        return Vec::new();
    }
    names.enumerate().map(|(i, name)| (Key::Line(i), name.to_owned())).collect()
}

fn dash(line: usize) -> &'static [f64] {
    // Lines of one color differ in their dashes.
    DASHES[(line + 2 * (line / SERIES_COLORS)) % DASHES.len()]
}

/// How far a marker of a line reaches from its point.
const MARKER: f64 = 4.5;

/// A marker's corners around a point.
fn marker(form: usize, radius: f64, (x, y): Point) -> Vec<Point> {
    let around = |corners: usize, turn: f64, r: f64| -> Vec<Point> {
        (0..corners)
            .map(|i| (i as f64 / corners as f64 + turn) * std::f64::consts::TAU)
            .map(|angle| (x + r * libm::sin(angle), y - r * libm::cos(angle)))
            .collect()
    };
    match form % 6 {
        0 => around(16, 0.0, radius),
        1 => around(4, 0.125, radius * 1.2),
        2 => around(3, 0.0, radius * 1.35),
        3 => around(4, 0.0, radius * 1.25),
        4 => around(3, 0.5, radius * 1.35),
        _ => around(5, 0.0, radius * 1.2),
    }
}

/// Title and legend; gives the height they take.
pub(super) fn heading(picture: &mut Picture, legend: &[(Key, String)]) -> f64 {
    const ROW: f64 = 20.0;
    const SAMPLE: f64 = 34.0;
    let title = font::fit(&picture.title, 15.0, WIDTH - 20.0);
    picture.text((10.0, 22.0), title, 15.0, Ink::Text, Anchor::Start);
    if legend.is_empty() {
        return 34.0;
    }
    let (mut x, mut y) = (10.0, 46.0);
    for (key, name) in legend {
        let name = font::fit(name, LABEL, WIDTH - SAMPLE - 30.0);
        // A reader's own typeface may be wider than ours.
        let taken = SAMPLE + 1.1 * font::width(&name, LABEL) + 18.0;
        if x != 10.0 && WIDTH - 10.0 < x + taken {
            (x, y) = (10.0, y + ROW);
        }
        sample(picture, *key, (x, y - 4.0));
        let start = if matches!(key, Key::Bar(_) | Key::Mark(..)) { 20.0 } else { SAMPLE };
        picture.text((x + start, y), name, LABEL, Ink::Text, Anchor::Start);
        x += taken - SAMPLE + start;
    }
    y + 12.0
}

fn sample(picture: &mut Picture, key: Key, (x, y): Point) {
    match key {
        Key::Line(line) => {
            picture.line(vec![(x, y), (x + 28.0, y)], Ink::Series(line), 2.0, dash(line));
            shape(picture, Ink::Series(line), line, MARKER, (x + 14.0, y));
        }
        Key::Limit => picture.line(vec![(x, y), (x + 28.0, y)], Ink::Muted, 1.5, LIMIT_DASH),
        Key::Bar(ink) => picture.rect((x, y - 6.0), (14.0, 12.0), ink),
        Key::Mark(ink, form) => shape(picture, ink, form, MARKER, (x + 7.0, y)),
    }
}

/// A marker of one of six forms.
pub(super) fn shape(picture: &mut Picture, ink: Ink, form: usize, radius: f64, at: Point) {
    picture.marks.push(super::picture::Mark::Shape { points: marker(form, radius, at), ink });
}

/// A plot's rectangle and scales.
pub(super) struct Plot {
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Plot {
    pub(super) fn left(&self) -> f64 {
        self.x.places.0
    }
    pub(super) fn right(&self) -> f64 {
        self.x.places.1
    }
    pub(super) fn top(&self) -> f64 {
        self.y.places.1
    }
    pub(super) fn bottom(&self) -> f64 {
        self.y.places.0
    }
}

/// The room that labels of a vertical axis take.
pub(super) fn label_room(ticks: &[Tick]) -> f64 {
    ticks.iter().map(|t| font::width(&t.1, LABEL)).fold(0.0, f64::max) + 20.0
}

/// The grid's level lines with their labels.
pub(super) fn y_axis(picture: &mut Picture, plot: &Plot, ticks: &[Tick]) {
    for (value, label) in ticks {
        let y = plot.y.at(*value);
        picture.line(vec![(plot.left(), y), (plot.right(), y)], Ink::Grid, 1.0, &[]);
        picture.text((plot.left() - 8.0, y + 4.0), label, LABEL, Ink::Muted, Anchor::End);
    }
}

/// Upright lines of a time axis; with `labels` also what stands below them.
pub(super) fn x_axis(picture: &mut Picture, plot: &Plot, ticks: &[Tick], labels: Option<&str>) {
    let mut free = f64::NEG_INFINITY;
    for (value, label) in ticks {
        let x = plot.x.at(*value);
        let half = font::width(label, LABEL) / 2.0;
        if x - half < free {
            continue;
        }
        picture.line(vec![(x, plot.top()), (x, plot.bottom())], Ink::Grid, 1.0, &[]);
        if labels.is_some() {
            picture.text((x, plot.bottom() + 17.0), label, LABEL, Ink::Muted, Anchor::Middle);
            free = x + half + 12.0;
        }
    }
    if let Some(name) = labels {
        let middle = (plot.left() + plot.right()) / 2.0;
        picture.text((middle, plot.bottom() + 38.0), name, LABEL, Ink::Muted, Anchor::Middle);
    }
}

/// Words in the middle of a plot that has nothing to show.
pub(super) fn nothing(picture: &mut Picture, plot: &Plot, words: &str) {
    let middle = ((plot.left() + plot.right()) / 2.0, (plot.top() + plot.bottom()) / 2.0);
    let width = font::width(words, 14.0) + 24.0;
    picture.rect((middle.0 - width / 2.0, middle.1 - 18.0), (width, 28.0), Ink::Paper);
    picture.text(middle, words, 14.0, Ink::Muted, Anchor::Middle);
}

/// One line of a chart over time: pieces (from, to, mean), seconds.
#[derive(Clone)]
struct Steps {
    pieces: Vec<(f64, f64, f64)>,
}

impl Steps {
    /// The means of equal steps, merged until there are at most [`STEPS`].
    fn new(values: &[f64], start: f64, step: f64) -> Steps {
        let merged = merged(values.len());
        let pieces = values.chunks(merged).enumerate().map(|(at, chunk)| {
            let from = start + (at * merged) as f64 * step;
            (from, from + chunk.len() as f64 * step, chunk.iter().sum::<f64>() / chunk.len() as f64)
        });
        Steps { pieces: pieces.collect() }
    }

    fn end(&self) -> f64 {
        self.pieces.last().map_or(0.0, |p| p.1)
    }

    fn most(&self) -> f64 {
        self.pieces.iter().map(|p| p.2).fold(0.0, f64::max)
    }

    /// How much it goes up and down in all.
    fn travel(&self) -> f64 {
        self.pieces.windows(2).map(|pair| (pair[1].2 - pair[0].2).abs()).sum()
    }

    fn points(&self, plot: &Plot) -> Vec<Point> {
        let places =
            |p: &(f64, f64, f64)| [(plot.x.at(p.0), plot.y.at(p.2)), (plot.x.at(p.1), plot.y.at(p.2))];
        self.pieces.iter().flat_map(places).collect()
    }
}

/// Draws a line; with several on the plot, markers of its own, staggered, tell it from the others.
fn draw_line(picture: &mut Picture, plot: &Plot, points: Vec<Point>, line: usize, lines: usize) {
    const MARKERS: usize = 7;
    let marked = if lines < 2 { 0 } else { MARKERS };
    let places: Vec<Point> = (0..marked)
        .filter_map(|i| {
            let share = (i as f64 + (line as f64 + 0.5) / lines as f64) / MARKERS as f64;
            height_at(&points, plot.left() + share * (plot.right() - plot.left()))
        })
        .collect();
    let pattern = if lines < 2 { &[] } else { dash(line) };
    picture.line(points, Ink::Series(line), 2.0, pattern);
    for place in places {
        shape(picture, Ink::Series(line), line, MARKER, place);
    }
}

/// The point of a line at `x`, where it has one.
fn height_at(points: &[Point], x: f64) -> Option<Point> {
    let pair = points.windows(2).find(|pair| pair[0].0 <= x && x < pair[1].0)?;
    let share = (x - pair[0].0) / (pair[1].0 - pair[0].0);
    Some((x, pair[0].1 + share * (pair[1].1 - pair[0].1)))
}

/// A level of every variant over time.
struct OverTime<'a> {
    title: &'a str,
    unit: &'a str,
    empty: &'a str,
    names: Vec<&'a str>,
    lines: Vec<Steps>,
    /// The capacity of each line, where it is shown.
    limits: Vec<Option<f64>>,
}

impl OverTime<'_> {
    fn draw(&self) -> Picture {
        let mut picture = Picture::new(self.title, WIDTH);
        let split = are_apart(&self.lines);
        let mut legend = if split { Vec::new() } else { line_keys(self.names.iter().copied()) };
        let mut limits: Vec<f64> = self.limits.iter().copied().flatten().collect();
        limits.sort_by(f64::total_cmp);
        limits.dedup();
        if !limits.is_empty() {
            let mut texts: Vec<String> = limits.iter().map(|l| level(*l)).collect();
            texts.dedup();
            // Where nodes change their mode, or come and go, it is a mean: each strip shows its own.
            let text = match texts.len() {
                1..=3 => format!("capacity: {}", list(&texts)),
                _ => "mean capacity".to_owned(),
            };
            legend.push((Key::Limit, text));
        }
        let top = heading(&mut picture, &legend);
        picture.text((10.0, top + 12.0), self.unit, LABEL, Ink::Muted, Anchor::Start);

        let most = self.lines.iter().map(Steps::most).chain(limits.last().copied()).fold(0.0, f64::max);
        // Few strips are as high as they can be.
        let (few, intervals) = (self.lines.len() <= SHARED, if split { 2 } else { 5 });
        let y_ticks = axis::from_zero(most, if split && few { 3 } else { intervals });
        let end = self.lines.iter().map(Steps::end).fold(0.0, f64::max);
        let start = self.lines.iter().filter_map(|l| Some(l.pieces.first()?.0)).fold(end, f64::min);
        let x = Scale { values: (start, end), places: (label_room(&y_ticks), WIDTH - RIGHT), log: false };
        let y_values = (0.0, y_ticks.last().map_or(1.0, |t| t.0));
        let plot = |top: f64, height: f64| Plot {
            x,
            y: Scale { values: y_values, places: (top + height, top), log: false },
        };
        let bottom = if split {
            self.strips(&mut picture, top + 20.0, &y_ticks, &plot)
        } else {
            let plot = plot(top + 24.0, 250.0);
            self.frame(&mut picture, &plot, &y_ticks, true, &limits);
            for (line, steps) in self.lines.iter().enumerate() {
                draw_line(&mut picture, &plot, steps.points(&plot), line, self.lines.len());
            }
            if most_of(&self.lines) == 0.0 {
                nothing(&mut picture, &plot, self.empty);
            }
            plot.bottom()
        };
        picture.height = bottom + 50.0;
        picture
    }

    fn frame(&self, picture: &mut Picture, plot: &Plot, y_ticks: &[Tick], last: bool, limits: &[f64]) {
        let ticks = axis::time(plot.x.values.0, plot.x.values.1, 9);
        x_axis(picture, plot, &ticks, last.then_some("time since the start of the run"));
        y_axis(picture, plot, y_ticks);
        for limit in limits {
            let y = plot.y.at(*limit);
            picture.line(vec![(plot.left(), y), (plot.right(), y)], Ink::Muted, 1.5, LIMIT_DASH);
        }
    }

    /// A strip per variant, all with the same scales; gives the bottom of the last.
    fn strips(
        &self,
        picture: &mut Picture,
        top: f64,
        y_ticks: &[Tick],
        plot: &dyn Fn(f64, f64) -> Plot,
    ) -> f64 {
        const NAME: f64 = 24.0;
        let height = if self.lines.len() <= SHARED { 96.0 } else { 64.0 };
        let mut bottom = top;
        for (at, steps) in self.lines.iter().enumerate() {
            let plot = plot(bottom + NAME, height);
            let name = font::fit(self.names[at], LABEL, plot.right() - plot.left());
            picture.text((plot.left(), plot.top() - 7.0), name, LABEL, Ink::Text, Anchor::Start);
            let last = at + 1 == self.lines.len();
            self.frame(picture, &plot, y_ticks, last, self.limits[at].as_slice());
            picture.line(steps.points(&plot), Ink::Series(0), 2.0, &[]);
            if steps.most() == 0.0 {
                nothing(picture, &plot, self.empty);
            }
            bottom = plot.bottom();
        }
        bottom
    }
}

/// How many of so many steps share one piece of a line.
fn merged(steps: usize) -> usize {
    steps.div_ceil(STEPS).max(1)
}

/// Seconds that one piece of a chart's line stands for.
pub(super) fn step(timeline: &Timeline) -> f64 {
    timeline.step_s * merged(timeline.gpus.len()) as f64
}

/// Whether each line gets a strip of its own.
fn are_apart(lines: &[Steps]) -> bool {
    let travel: f64 = lines.iter().map(Steps::travel).sum();
    SHARED < lines.len() || (1 < lines.len() && TRAVEL * most_of(lines) < travel)
}

fn most_of(lines: &[Steps]) -> f64 {
    lines.iter().map(Steps::most).fold(0.0, f64::max)
}

fn over_time<'a>(
    variants: &'a [VariantResult],
    values: impl Fn(&'a VariantResult) -> &'a [f64],
) -> (Vec<&'a str>, Vec<Steps>) {
    let names = variants.iter().map(|v| v.name.as_str()).collect();
    let lines = variants.iter().map(|v| Steps::new(values(v), v.timeline.start_s, v.timeline.step_s));
    (names, lines.collect())
}

/// GPUs allocated over time, a line per variant, and one per mode of a variant that has several.
#[must_use]
pub fn allocation(variants: &[VariantResult]) -> Picture {
    let modes: Vec<(String, Steps, f64)> = variants.iter().flat_map(by_mode).collect();
    let (mut names, mut lines) = over_time(variants, |v| &v.timeline.gpus);
    names.extend(modes.iter().map(|(name, ..)| name.as_str()));
    lines.extend(modes.iter().map(|(_, steps, _)| steps.clone()));
    // A capacity far above all lines would press them flat; the table has it anyway.
    const ROOM: f64 = 3.0;
    let most = lines.iter().map(Steps::most).fold(0.0, f64::max);
    let shown = |limit: f64| (0.0 < limit && (most == 0.0 || limit <= ROOM * most)).then_some(limit);
    let mut limits: Vec<Option<f64>> = variants.iter().map(|v| shown(v.summary.gpus.capacity)).collect();
    // On a shared plot the capacities of modes would be more lines than anybody reads.
    let split = are_apart(&lines);
    limits.extend(modes.iter().map(|(.., limit)| shown(*limit).filter(|_| split)));
    let chart = OverTime {
        title: "GPUs allocated over time",
        unit: "GPUs held by pods (whole-GPU equivalents)",
        empty: "nothing ran on a GPU",
        names,
        lines,
        limits,
    };
    let figures = variants.iter().map(|v| {
        format!("{} {} of {} on average", v.name, level(v.summary.gpus.mean), level(v.summary.gpus.capacity))
    });
    Picture { alt: alt("GPUs allocated over time", figures), ..chart.draw() }
}

/// The lines of a variant's modes, each with the GPUs that it has.
fn by_mode(variant: &VariantResult) -> impl Iterator<Item = (String, Steps, f64)> {
    let timeline = &variant.timeline;
    timeline.gpus_by_mode.iter().map(|(mode, gpus)| {
        let name = format!("{} · {}", variant.name, mode.word());
        let of_mode = variant.summary.gpus_by_mode.iter().find(|level| level.mode == *mode);
        let limit = of_mode.map_or(0.0, |level| level.gpus.capacity);
        (name, Steps::new(gpus, timeline.start_s, timeline.step_s), limit)
    })
}

/// Pods waiting over time, a line per variant.
#[must_use]
pub fn queue(variants: &[VariantResult]) -> Picture {
    let (names, lines) = over_time(variants, |v| &v.timeline.queue);
    let chart = OverTime {
        title: "Queue length over time",
        unit: "pods waiting",
        empty: "no pod waited",
        names,
        lines,
        limits: vec![None; variants.len()],
    };
    let figures = variants.iter().map(|v| {
        let queue = v.summary.queue;
        format!("{} {} on average, {} at most", v.name, level(queue.mean), level(queue.peak))
    });
    Picture { alt: alt("Pods waiting over time", figures), ..chart.draw() }
}

fn alt(what: &str, figures: impl Iterator<Item = String>) -> String {
    format!("{what}: {}.", figures.collect::<Vec<_>>().join("; "))
}

/// The share of bound pods that waited at most so long, a line per variant.
#[must_use]
pub fn waits(variants: &[VariantResult]) -> Picture {
    /// Room for "no wait", which a log axis lacks.
    const ZERO: f64 = 56.0;
    /// Waits so much shorter than the longest are drawn together: a few of a millisecond would
    /// squeeze those of hours into a corner.
    const DECADES: f64 = 1e5;
    let mut picture = Picture::new("How long pods waited", WIDTH);
    let top = heading(&mut picture, &line_keys(variants.iter().map(|v| v.name.as_str())));
    let unit = "share of the bound pods that waited no longer";
    picture.text((10.0, top + 12.0), unit, LABEL, Ink::Muted, Anchor::Start);

    let y_ticks: Vec<Tick> = (0..=4).map(|i| f64::from(i) / 4.0).map(|s| (s, percent(s))).collect();
    let positive = || variants.iter().flat_map(|v| &v.waits.points).map(|p| p.0).filter(|s| 0.0 < *s);
    let least = positive().fold(f64::INFINITY, f64::min);
    let most = positive().fold(0.0, f64::max);
    let (ends, mut x_ticks) = if most == 0.0 {
        axis::log_time(1.0, 3_600.0)
    } else {
        axis::log_time(least.max(most / DECADES), most)
    };
    if let Some(first) = x_ticks.first_mut().filter(|first| least < first.0) {
        first.1 = format!("≤ {}", first.1);
    }
    let left = label_room(&y_ticks);
    let plot = Plot {
        x: Scale { values: ends, places: (left, WIDTH - RIGHT), log: true },
        y: Scale { values: (0.0, 1.0), places: (top + 274.0, top + 24.0), log: false },
    };
    y_axis(&mut picture, &plot, &y_ticks);
    // The axis starts right of the strip that stands for no wait at all.
    let spans = Plot { x: Scale { places: (left + ZERO, WIDTH - RIGHT), ..plot.x }, ..plot };
    x_axis(&mut picture, &spans, &x_ticks, Some("wait, from arrival to binding (logarithmic)"));
    picture.text((left, spans.bottom() + 17.0), "0", LABEL, Ink::Muted, Anchor::Middle);
    picture.line(vec![(left, spans.top()), (left, spans.bottom())], Ink::Grid, 1.0, &[]);

    let full = Plot { x: Scale { places: (left, WIDTH - RIGHT), ..spans.x }, ..spans };
    for (line, variant) in variants.iter().enumerate().filter(|(_, v)| !v.waits.points.is_empty()) {
        let points = distribution(&variant.waits.points, &spans, left);
        draw_line(&mut picture, &full, points, line, variants.len());
    }
    if variants.iter().all(|v| v.waits.points.is_empty()) {
        nothing(&mut picture, &full, "no pod was bound");
    } else if most == 0.0 {
        nothing(&mut picture, &full, "no pod waited");
    }
    picture.height = spans.bottom() + 50.0;
    let figures = variants.iter().map(|v| {
        let wait = figures::all(&v.summary).wait_s;
        if wait.count == 0 {
            return format!("{}: no pod bound", v.name);
        }
        format!("{} half at most {}, 95% at most {}", v.name, seconds(wait.p50), seconds(wait.p95))
    });
    picture.alt = alt("Distribution of waits", figures);
    picture
}

/// The steps of a distribution: level until the next wait, then up.
fn distribution(points: &[(f64, f64)], plot: &Plot, zero: f64) -> Vec<Point> {
    let mut share = 0.0;
    let mut out = vec![(zero, plot.y.at(share))];
    for &(wait, reached) in points {
        let x = if wait <= 0.0 { zero } else { plot.x.at(wait) };
        out.push((x, plot.y.at(share)));
        share = reached;
        out.push((x, plot.y.at(share)));
    }
    out.push((plot.right(), plot.y.at(share)));
    out
}
