//! Charts of bars, for looking at a trace: arrivals over time, run times, sizes.

use super::axis::{self, Scale, Tick};
use super::chart::{LABEL, Plot, RIGHT, WIDTH, heading, label_room, nothing, x_axis, y_axis};
use super::font;
use super::human::{count, pods, seconds};
use super::picture::{Anchor, Ink, Picture};

/// Bars of a chart over time, at most.
const BARS: usize = 120;

/// How many of the moments (in seconds) fall into each of equal spans.
#[must_use]
pub fn arrivals(title: &str, moments: &[f64]) -> Picture {
    let from = moments.iter().copied().fold(f64::INFINITY, f64::min);
    let to = moments.iter().copied().fold(0.0, f64::max);
    let from = from.min(to);
    let step = axis::time_step(((to - from) / BARS as f64).max(1.0));
    let first = libm::floor(from / step) * step;
    let mut bins = vec![0_u64; (libm::floor((to - first) / step) as usize) + 1];
    for moment in moments {
        bins[libm::floor((moment - first) / step) as usize] += 1;
    }
    let x =
        Scale { values: (first, first + step * bins.len() as f64), places: (0.0, WIDTH - RIGHT), log: false };
    let ticks = axis::time(x.values.0, x.values.1, 9);
    let edges = (0..bins.len()).map(|i| (first + i as f64 * step, first + (i + 1) as f64 * step));
    let unit = format!("pods per {}", seconds(step));
    let mut picture = columns(title, &unit, ("time", x, ticks), &edges.collect::<Vec<_>>(), &bins);
    picture.alt = format!(
        "{title}: {} between {} and {}; at most {} {unit}.",
        pods(moments.len() as u64),
        seconds(from),
        seconds(to),
        count(bins.iter().copied().max().unwrap_or(0))
    );
    picture
}

/// How many of the spans (in seconds) fall into each step of a logarithmic axis.
///
/// Spans of no length are named under the title, since a logarithmic axis has no place for them.
#[must_use]
pub fn durations(title: &str, what: &str, spans: &[f64]) -> Picture {
    const PER_DECADE: f64 = 8.0;
    let positive = || spans.iter().copied().filter(|s| 0.0 < *s);
    let (least, most) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
    let (ends, ticks) = if most == 0.0 { axis::log_time(1.0, 3_600.0) } else { axis::log_time(least, most) };
    let decades = libm::log10(ends.1 / ends.0);
    let bars = (libm::ceil(decades * PER_DECADE) as usize).max(1);
    let edge = |i: usize| ends.0 * libm::pow(10.0, decades * i as f64 / bars as f64);
    let mut bins = vec![0_u64; bars];
    for span in positive() {
        let at = libm::log10(span / ends.0) / decades * bars as f64;
        bins[(libm::floor(at).max(0.0) as usize).min(bars - 1)] += 1;
    }
    let x = Scale { values: ends, places: (0.0, WIDTH - RIGHT), log: true };
    let edges: Vec<(f64, f64)> = (0..bars).map(|i| (edge(i), edge(i + 1))).collect();
    let zeros = spans.len() - positive().count();
    let unit = match zeros {
        0 => "pods".to_owned(),
        n => format!("pods ({} more of no length)", count(n as u64)),
    };
    let mut picture = columns(title, &unit, (&format!("{what} (logarithmic)"), x, ticks), &edges, &bins);
    picture.alt = match most {
        0.0 => format!("{title}: nothing to show."),
        _ => format!("{title}: {} from {} to {}.", pods(spans.len() as u64), seconds(least), seconds(most)),
    };
    picture
}

/// Upright bars over a scale of time.
fn columns(
    title: &str,
    unit: &str,
    (name, x, x_ticks): (&str, Scale, Vec<Tick>),
    edges: &[(f64, f64)],
    bins: &[u64],
) -> Picture {
    let mut picture = Picture::new(title, WIDTH);
    let top = heading(&mut picture, &[]);
    picture.text((10.0, top + 10.0), unit, LABEL, Ink::Muted, Anchor::Start);
    let most = bins.iter().copied().max().unwrap_or(0);
    let y_ticks: Vec<Tick> = axis::from_zero(most.max(4) as f64, 4);
    let y_values = (0.0, y_ticks.last().map_or(1.0, |t| t.0));
    let plot = Plot {
        x: Scale { places: (label_room(&y_ticks), WIDTH - RIGHT), ..x },
        y: Scale { values: y_values, places: (top + 212.0, top + 22.0), log: false },
    };
    x_axis(&mut picture, &plot, &x_ticks, Some(name));
    y_axis(&mut picture, &plot, &y_ticks);
    for ((from, to), n) in edges.iter().zip(bins).filter(|(_, n)| **n != 0) {
        let (left, right) = (plot.x.at(*from), plot.x.at(*to));
        // A bar too low to see would look like an empty span.
        let y = plot.y.at(*n as f64).min(plot.bottom() - 1.0);
        picture.rect((left, y), ((right - left - 1.0).max(0.8), plot.bottom() - y), Ink::Surface(0));
    }
    if most == 0 {
        nothing(&mut picture, &plot, "no pods");
    }
    picture.height = plot.bottom() + 50.0;
    picture
}

/// A bar for each name, with its count: sizes, classes, namespaces.
#[must_use]
pub fn categories(title: &str, counts: &[(String, u64)]) -> Picture {
    const SHOWN: usize = 20;
    const ROW: f64 = 24.0;
    let mut rows: Vec<(String, u64)> = counts.iter().take(SHOWN).cloned().collect();
    if let [_, ..] = &counts[rows.len()..] {
        let rest = &counts[rows.len()..];
        rows.push((format!("{} others", rest.len()), rest.iter().map(|r| r.1).sum()));
    }
    let total: u64 = counts.iter().map(|r| r.1).sum();
    let mut picture = Picture::new(title, WIDTH);
    let top = heading(&mut picture, &[]) + 4.0;
    let names = rows.iter().map(|r| font::width(&r.0, LABEL)).fold(0.0, f64::max).min(260.0) + 24.0;
    let most = rows.iter().map(|r| r.1).max().unwrap_or(0).max(1);
    let bar = Scale { values: (0.0, most as f64), places: (names, WIDTH - 150.0), log: false };
    for (at, (name, n)) in rows.iter().enumerate() {
        let y = top + at as f64 * ROW;
        let end = bar.at(*n as f64).max(names + if *n == 0 { 0.0 } else { 1.0 });
        picture.rect((names, y + 3.0), (end - names, ROW - 6.0), Ink::Surface(0));
        let name = font::fit(name, LABEL, names - 18.0);
        picture.text((names - 8.0, y + 16.0), name, LABEL, Ink::Text, Anchor::End);
        let share = super::human::percent(*n as f64 / total.max(1) as f64);
        picture.text(
            (end + 6.0, y + 16.0),
            format!("{} ({share})", count(*n)),
            LABEL,
            Ink::Muted,
            Anchor::Start,
        );
    }
    if rows.is_empty() {
        picture.text((names, top + 16.0), "no pods", 14.0, Ink::Muted, Anchor::Start);
    }
    picture.height = top + rows.len().max(1) as f64 * ROW + 10.0;
    let parts: Vec<String> = rows.iter().map(|(name, n)| format!("{name} {}", count(*n))).collect();
    picture.alt = format!("{title}: {}.", parts.join(", "));
    picture
}
