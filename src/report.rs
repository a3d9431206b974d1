//! Results, rendered: tables, charts, one self-contained page, a folder of files.
//!
//! A run's figures are computed once ([`crate::metrics`]) and gathered in a [`Page`]; everything here
//! only shows them. No file holds the time of day, a host's name or an order that depends on a hash:
//! the same page gives the same bytes.
//!
//! | file | shows |
//! |---|---|
//! | `figures` | what variants are compared by, what is best, the answer in sentences |
//! | `compared` | steps that were timed on real GPUs, beside the model's |
//! | `table` | the comparison as text, JSON, YAML, CSV or Markdown |
//! | `chart`, `split`, `slices`, `histogram`, `fitted` | pictures, as [`Picture`]s |
//! | `gpu` | one product's MIG places, as text and as a picture |
//! | `picture` | what a picture is made of |
//! | `svg`, `bitmap` | a picture as SVG and as PNG, drawn by plotters |
//! | `html` | the page |
//! | `folder` | files, each written whole or not at all |

mod axis;
mod bitmap;
mod chart;
mod compared;
mod figures;
mod fitted;
mod folder;
mod font;
mod gpu;
mod histogram;
mod html;
mod human;
mod picture;
mod slices;
mod split;
mod summary;
mod svg;
mod table;

#[cfg(test)]
mod sample;

pub use chart::{allocation, queue, waits};
pub use fitted::{FitPoint, fitted};
pub use folder::{WriteError, atomic, writable, write};
pub use gpu::{layout_text, placements, placements_text};
pub use histogram::{arrivals, categories, durations};
pub use html::html;
pub use human::number;
pub use picture::Picture;
pub use slices::slices;
pub use split::gpu_time;
pub use summary::summary;
pub use table::{Format, table};

use crate::metrics::VariantResult;

/// All that a report tells: what was run, and what came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Name of the scenario.
    pub title: String,
    /// The question it answers; may be empty.
    pub question: String,
    /// The command that gives this report again.
    pub command: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// Version of this program.
    pub version: String,
    /// The scenario with every default filled in.
    pub scenario_yaml: String,
    /// Name and hash of each trace that was read.
    pub trace_hashes: Vec<(String, String)>,
    /// What a reader must know about all variants: assumptions, limits of the model.
    pub limits: Vec<String>,
    /// Why this is not the whole run, if so: `interrupted at 3d of simulated time`.
    pub partial: Option<String>,
    /// The results, in the scenario's order.
    pub variants: Vec<VariantResult>,
}

/// Definitions of terms that the page uses beyond [`crate::metrics::DEFINITIONS`].
const MORE_DEFINITIONS: &[(&str, &str)] = &[
    (
        "p50, p90, p95, p99, max",
        "The value that so many percent of the pods did not exceed (nearest rank), and the largest.",
    ),
    ("waited", "Share of the bound pods that waited at all."),
    ("GPUs touched", "Time average of the number of GPUs with at least one pod."),
    ("CPUs requested", "Time average of the CPUs that running pods requested."),
    ("finished", "Pods that ran to their end."),
    ("running", "Pods still running when the run ended."),
    ("waiting", "Pods still waiting when the run ended."),
    ("lost", "Pods that gave up, were turned away, never fit, or failed for good."),
];

/// Terms and definitions, those of the metrics first.
fn definitions() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    crate::metrics::DEFINITIONS.iter().chain(MORE_DEFINITIONS)
}

/// The definition of a term, exact or one of a list of terms such as `p50, p90`.
fn definition(term: &str) -> Option<&'static str> {
    let known = |names: &str| names == term || names.split(", ").any(|name| name == term);
    definitions().find(|(names, _)| known(names)).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_defined() {
        for column in figures::COLUMNS.iter().filter(|c| c.term != "pods") {
            assert!(definition(column.term).is_some(), "{}", column.term);
        }
    }

    /// Pages at the ends of what there can be, by name.
    fn gallery() -> Vec<(&'static str, Page)> {
        let four = sample::page();
        let with = |variants: Vec<VariantResult>| Page { variants, ..four.clone() };
        let idle = VariantResult { name: "idle".to_owned(), ..VariantResult::default() };
        let mut one_gpu = sample::variant("one GPU", 0.9, 60.0, 0);
        one_gpu.summary.gpus.capacity = 1.0;
        one_gpu.summary.gpus.mean = 0.9;
        one_gpu.timeline.gpus.iter_mut().for_each(|g| *g /= 64.0);
        one_gpu.slices.gpus.truncate(1);
        one_gpu.slices.hidden = 0;
        let mut no_wait = sample::variant("no wait", 0.2, 0.0, 0);
        no_wait.timeline.queue.iter_mut().for_each(|q| *q = 0.0);
        let long = |i: u32| {
            let name =
                format!("{i} a name of eighty characters that somebody's template made out of four settings");
            let wait = 100.0 * libm::pow(2.0, f64::from(i));
            sample::variant(&name, 0.2 + 0.06 * f64::from(i), wait, 5 * u64::from(i))
        };
        vec![
            ("four", four.clone()),
            ("idle", with(vec![idle])),
            ("one", with(vec![one_gpu])),
            ("no-wait", with(vec![no_wait])),
            ("twelve", with((1..=12).map(long).collect())),
            ("three-long", with((1..=3).map(long).collect())),
            ("busy", with(vec![sample::busy()])),
            ("none", with(Vec::new())),
        ]
    }

    fn charts(page: &Page) -> Vec<Picture> {
        let variants = &page.variants;
        let moments: Vec<f64> = (0..5_000).map(|i| 86_400.0 * libm::sqrt(f64::from(i))).collect();
        let sizes = [("1 GPU", 9_000), ("0.5 GPU", 400), ("8 GPUs", 3)].map(|(n, c)| (n.to_owned(), c));
        let mut all = vec![allocation(variants), gpu_time(variants), waits(variants), queue(variants)];
        all.extend(variants.iter().filter_map(slices));
        all.extend([arrivals("Arrivals", &moments), durations("Run times", "run time alone", &moments)]);
        all.extend([arrivals("Arrivals", &[]), durations("Run times", "run time", &[0.0])]);
        all.extend([categories("Sizes", &sizes), categories("Sizes", &[])]);
        let groups: Vec<String> = (1..=7).map(|i| format!("{i}g.{}gb", 5 * i)).collect();
        let point = |i: u32| FitPoint {
            group: i as usize % 7,
            measured: 0.1 + 0.009 * f64::from(i),
            modelled: (0.1 + 0.009 * f64::from(i)) * (1.0 + 0.1 * libm::sin(f64::from(i))),
            unseen: i
                .is_multiple_of(2)
                .then(|| (0.1 + 0.009 * f64::from(i)) * (1.0 + 0.4 * libm::sin(f64::from(i)))),
        };
        let points: Vec<FitPoint> = (0..100).map(point).collect();
        all.extend([fitted("A fit", &groups, &points), fitted("No fit", &[], &[])]);
        all
    }

    #[test]
    fn labels_stay_inside_and_apart() {
        for (page, chart) in gallery().iter().flat_map(|(n, p)| charts(p).into_iter().map(move |c| (n, c))) {
            let boxes: Vec<[f64; 4]> = chart.marks.iter().filter_map(picture::text_box).collect();
            for (i, a) in boxes.iter().enumerate() {
                let inside = 0.0 <= a[0] && 0.0 <= a[1] && a[2] <= chart.width && a[3] <= chart.height;
                assert!(inside, "{page}, {}: {a:?}", chart.title);
                let overlaps = |b: &&[f64; 4]| a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
                let other = boxes[..i].iter().find(overlaps);
                assert_eq!(other, None, "{page}, {}: {a:?}", chart.title);
            }
        }
    }

    /// Writes the gallery to the folder that `SLICEWISE_GALLERY` names, for eyes to judge.
    #[test]
    fn the_gallery_is_written_where_asked() {
        let Some(folder) = std::env::var_os("SLICEWISE_GALLERY").map(std::path::PathBuf::from) else {
            return;
        };
        for (name, page) in gallery() {
            let folder = folder.join(name);
            write(&folder, &page).expect("written");
            for format in [("txt", Format::Text), ("wide", Format::Wide), ("md", Format::Md)] {
                std::fs::write(folder.join(format!("table.{}", format.0)), table(&page, format.1))
                    .expect("written");
            }
            for (at, chart) in charts(&page).iter().rev().take(6).enumerate() {
                std::fs::write(folder.join(format!("trace-{at}.png")), chart.png()).expect("written");
            }
        }
    }
}
