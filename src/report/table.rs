//! The comparison of variants as a table: for eyes (`text`, `wide`, `md`) and for programs (`json`,
//! `yaml`, `csv`).

use super::figures::{Column, Shown, answer, best, columns, lost};
use super::human::number;
use super::{Page, compared, figures, summary};
use crate::metrics::{Regret, Summary, VariantResult};
use crate::yaml;
use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The form of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// At most 80 columns.
    #[default]
    Text,
    /// Every figure, as wide as it gets.
    Wide,
    /// The document that `summary.json` holds.
    Json,
    /// The same as YAML.
    Yaml,
    /// One row per variant: seconds, ratios and counts in full precision.
    Csv,
    /// For a ticket or a README.
    Md,
}

/// Columns of a terminal.
const WIDTH: usize = 80;
/// A rule under the header and nothing else: a table that survives being pasted anywhere.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('-').junction('-'));
/// Least room for the names of variants.
const NAME_WIDTH: usize = 12;

/// Compares the variants of a page.
#[must_use]
pub fn table(page: &Page, format: Format) -> String {
    match format {
        Format::Text => text(page, &fitting(&page.variants), Some(WIDTH)),
        Format::Wide => text(page, &columns(&page.variants, true), None),
        Format::Json => {
            serde_json::to_string_pretty(&summary(page)).expect("a tree of plain values prints") + "\n"
        }
        Format::Yaml => yaml::emit(&summary(page)),
        Format::Csv => csv(&page.variants),
        Format::Md => markdown(page),
    }
}

/// The columns that fit 80 beside the names: the least important ones give way.
fn fitting(variants: &[VariantResult]) -> Vec<Column> {
    let mut columns = columns(variants, false);
    let rank = |c: &Column| match c.shown {
        Shown::Always(rank) | Shown::NonZero(rank) => rank,
        Shown::Wide => u8::MAX,
    };
    let longest = variants.iter().map(|v| v.name.chars().count()).max().unwrap_or(0);
    let names = longest.clamp("variant".len(), NAME_WIDTH);
    while WIDTH < names + columns.iter().map(|c| 2 + width(c, variants)).sum::<usize>() {
        let Some(least) = (0..columns.len()).max_by_key(|&i| rank(&columns[i])) else { break };
        columns.remove(least);
    }
    columns
}

/// The width of a column, with room for the mark of the best.
fn width(column: &Column, variants: &[VariantResult]) -> usize {
    let texts = variants.iter().flat_map(|v| [Some(column.text(v)), column.spread(v)]).flatten();
    let cells = texts.map(|text| text.chars().count() + 1).max().unwrap_or(0);
    cells.max(column.head.chars().count() + 1).max(column.aspect.chars().count() + 1)
}

fn text(page: &Page, columns: &[Column], limit: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let heads = columns.iter().map(|c| right(format!("{} \n{} ", c.head, c.aspect)));
    table.set_header(std::iter::once(Cell::new("variant")).chain(heads));
    let marks: Vec<Vec<bool>> = columns.iter().map(|c| best(c, &page.variants)).collect();
    for (row, variant) in page.variants.iter().enumerate() {
        let cells = columns.iter().zip(&marks).map(|(column, best)| {
            right(format!("{}{}", column.text(variant), if best[row] { "*" } else { " " }))
        });
        table.add_row(std::iter::once(Cell::new(plain(&variant.name))).chain(cells));
        if 1 < variant.replications.len() {
            let spread = |c: &Column| right(format!("{} ", c.spread(variant).unwrap_or_default()));
            table.add_row(std::iter::once(Cell::new("  ±")).chain(columns.iter().map(spread)));
        }
    }
    if let Some(limit) = limit {
        let widths: Vec<usize> = columns.iter().map(|c| width(c, &page.variants)).collect();
        let room = limit.saturating_sub(widths.iter().map(|w| 2 + w).sum()).max("variant".len());
        let longest = page.variants.iter().map(|v| v.name.chars().count()).max().unwrap_or(0);
        let names = longest.clamp("variant".len(), room);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(limit as u16);
        let fixed = |width: usize| ColumnConstraint::Absolute(Width::Fixed(width as u16));
        // The border between columns is blank and counts for one of the two between them.
        table.set_constraints(std::iter::once(names).chain(widths.iter().map(|w| w + 1)).map(fixed));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if at == 0 { (0, 0) } else { (1, 0) });
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push('\n');
    if marks.iter().flatten().any(|best| *best) {
        out.push_str("* best of its column\n");
    }
    for sentence in page.partial.iter().map(|why| format!("PARTIAL: {why}")).chain(answer(&page.variants)) {
        wrap(&mut out, &plain(&sentence), limit.unwrap_or(usize::MAX));
    }
    steps_text(&mut out, page, limit);
    out
}

/// Timed steps beside the model's, as columns, and who timed them.
fn steps_text(out: &mut String, page: &Page, limit: Option<usize>) {
    let rows = compared::rows(&page.variants);
    if rows.is_empty() {
        return;
    }
    let head = |at: usize| compared::HEADS[at].chars().count();
    let figures: Vec<usize> = (0..5)
        .map(|at| rows.iter().map(|r| r.figures[at].chars().count()).chain([head(at + 2)]).max().unwrap_or(0))
        .collect();
    let class = rows.iter().map(|r| r.class.chars().count()).chain([head(1)]).max().unwrap_or(0).min(16);
    let room =
        limit.unwrap_or(usize::MAX).saturating_sub(figures.iter().map(|w| w + 2).sum::<usize>() + class + 2);
    let name = rows.iter().map(|r| r.variant.chars().count()).chain([head(0)]).max().unwrap_or(0).min(room);
    out.push('\n');
    let mut line = |variant: &str, of: &str, cells: [&str; 5]| {
        let cut = |text: &str, width: usize| plain(text).chars().take(width).collect::<String>();
        write!(out, "{:<name$}  {:<class$}", cut(variant, name), cut(of, class)).expect("to a string");
        for (cell, width) in cells.iter().zip(&figures) {
            write!(out, "  {cell:>width$}").expect("to a string");
        }
        out.push('\n');
    };
    let [variant, of, cells @ ..] = compared::HEADS;
    line(variant, of, cells);
    for row in &rows {
        line(&row.variant, &row.class, row.figures.each_ref().map(String::as_str));
    }
    for source in compared::sources(&page.variants) {
        wrap(out, &format!("measured by: {}", plain(source)), limit.unwrap_or(usize::MAX));
    }
}

/// Names without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Adds `text` in lines of at most `width` characters, where its words allow.
fn wrap(out: &mut String, text: &str, width: usize) {
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used != 0 && width < used + 1 + length {
            out.push('\n');
            used = 0;
        } else if used != 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out.push('\n');
}

fn markdown(page: &Page) -> String {
    let columns = columns(&page.variants, false);
    let marks: Vec<Vec<bool>> = columns.iter().map(|c| best(c, &page.variants)).collect();
    let heads = columns.iter().map(|c| match c.term {
        "slowdown" => c.term.to_owned(),
        _ => format!("{} {}", c.head, c.aspect).trim().to_owned(),
    });
    let mut out = format!("| variant | {} |\n|---|", heads.collect::<Vec<_>>().join(" | "));
    out.push_str(&"---:|".repeat(columns.len()));
    out.push('\n');
    for (row, variant) in page.variants.iter().enumerate() {
        let cells = columns.iter().zip(&marks).map(|(column, best)| {
            let spread = column.spread(variant).map_or_else(String::new, |spread| format!(" ± {spread}"));
            let text = column.text(variant) + &spread;
            if best[row] { format!("**{text}**") } else { text }
        });
        let name = markdown_text(&variant.name);
        out.push_str(&format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | ")));
    }
    out.push('\n');
    for sentence in page.partial.iter().map(|why| format!("PARTIAL: {why}")).chain(answer(&page.variants)) {
        out.push_str(&markdown_text(&sentence));
        out.push('\n');
    }
    let steps = compared::rows(&page.variants);
    if !steps.is_empty() {
        out.push_str(&format!("\n| {} |\n|---|---|---:|---:|---:|---:|---:|\n", compared::HEADS.join(" | ")));
    }
    for row in steps {
        let names = [row.variant, row.class].map(|name| markdown_text(&name));
        out.push_str(&format!("| {} | {} |\n", names.join(" | "), row.figures.join(" | ")));
    }
    for source in compared::sources(&page.variants) {
        out.push_str(&format!("\nmeasured by: {}\n", markdown_text(source)));
    }
    out
}

/// Text in which Markdown finds nothing to interpret.
fn markdown_text(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        if "\\`*_[]<>|#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A figure of `csv`.
type Field = (&'static str, fn(&Summary) -> f64);

fn regret(summary: &Summary) -> Option<Regret> {
    summary.recuts?.regret
}

/// The fields of a row: every figure of [`crate::metrics::Summary`] that is one number.
const FIELDS: &[Field] = &[
    ("from_s", |s| s.from_s),
    ("to_s", |s| s.to_s),
    ("pods", |s| figures::all(s).counts.total as f64),
    ("finished", |s| figures::all(s).counts.finished as f64),
    ("running", |s| figures::all(s).counts.running as f64),
    ("waiting", |s| figures::all(s).counts.waiting as f64),
    ("lost", |s| lost(&figures::all(s).counts) as f64),
    ("gave_up", |s| figures::all(s).counts.gave_up as f64),
    ("turned_away", |s| figures::all(s).counts.turned_away as f64),
    ("failed", |s| figures::all(s).counts.failed as f64),
    ("never_fit", |s| figures::all(s).counts.never_fit as f64),
    ("bound", |s| s.bound as f64),
    ("attempts", |s| s.attempts as f64),
    ("wait_mean_s", |s| figures::all(s).wait_s.mean),
    ("wait_p50_s", |s| figures::all(s).wait_s.p50),
    ("wait_p90_s", |s| figures::all(s).wait_s.p90),
    ("wait_p95_s", |s| figures::all(s).wait_s.p95),
    ("wait_p99_s", |s| figures::all(s).wait_s.p99),
    ("wait_max_s", |s| figures::all(s).wait_s.max),
    ("waited", |s| figures::all(s).waited),
    ("slowdown_mean", |s| figures::all(s).slowdown.mean),
    ("slowdown_p50", |s| figures::all(s).slowdown.p50),
    ("slowdown_p95", |s| figures::all(s).slowdown.p95),
    ("slowdown_max", |s| figures::all(s).slowdown.max),
    ("gpus_mean", |s| s.gpus.mean),
    ("gpus_peak", |s| s.gpus.peak),
    ("gpus_capacity", |s| s.gpus.capacity),
    ("gpus_touched_mean", |s| s.gpus_touched.mean),
    ("gpu_compute_mean", |s| s.gpu_compute.mean),
    ("gpu_memory_mean", |s| s.gpu_memory.mean),
    ("useful_gpu_hours", |s| s.useful_gpu_hours),
    ("gpu_hours", |s| s.gpu_time.total),
    ("gpu_hours_useful", |s| s.gpu_time.useful),
    ("gpu_hours_lost", |s| s.gpu_time.lost),
    ("gpu_hours_stalled", |s| s.gpu_time.stalled),
    ("gpu_hours_slowed", |s| s.gpu_time.slowed),
    ("gpu_hours_unneeded", |s| s.gpu_time.unneeded),
    ("gpu_hours_unscheduled", |s| s.gpu_time.unscheduled),
    ("gpu_hours_fragmented", |s| s.gpu_time.fragmented),
    ("gpu_hours_unclaimed", |s| s.gpu_time.unclaimed),
    ("gpu_hours_unavailable", |s| s.gpu_time.unavailable),
    ("gpu_hours_failed", |s| s.gpu_time.failed),
    ("requests", |s| s.services.iter().map(|x| x.requests).sum::<u64>() as f64),
    ("requests_lost", |s| figures::requests_lost(s).unwrap_or(f64::NAN)),
    ("requests_in_time", |s| figures::in_time(s).unwrap_or(f64::NAN)),
    ("request_latency_p99_s", |s| figures::slowest(s).unwrap_or(f64::NAN)),
    ("plans", |s| s.recuts.map_or(f64::NAN, |r| r.plans as f64)),
    ("recuts", |s| s.recuts.map_or(f64::NAN, |r| r.applications as f64)),
    ("recuts_partial", |s| s.recuts.map_or(f64::NAN, |r| r.partial as f64)),
    ("plans_judged", |s| regret(s).map_or(f64::NAN, |r| r.plans as f64)),
    ("plans_judged_exactly", |s| regret(s).map_or(f64::NAN, |r| r.exact as f64)),
    ("plans_behind", |s| regret(s).map_or(f64::NAN, |r| r.behind as f64)),
    ("pods_served", |s| regret(s).map_or(f64::NAN, |r| r.served as f64)),
    ("pods_served_at_best", |s| regret(s).map_or(f64::NAN, |r| r.best as f64)),
    ("gpu_hours_without_plugin", |s| s.recuts.map_or(f64::NAN, |r| r.gpu_hours_without_plugin)),
    ("cpus_mean", |s| s.cpus.mean),
    ("cpus_capacity", |s| s.cpus.capacity),
    ("memory_gib_mean", |s| s.memory_gib.mean),
    ("memory_gib_capacity", |s| s.memory_gib.capacity),
    ("queue_mean", |s| s.queue.mean),
    ("queue_max", |s| s.queue.peak),
    ("running_mean", |s| s.running.mean),
    ("running_max", |s| s.running.peak),
    // Not a number, and so an empty field, where there are no groups to compare and no prices.
    ("fairness_namespaces", |s| s.fairness.namespaces.unwrap_or(f64::NAN)),
    ("fairness_classes", |s| s.fairness.classes.unwrap_or(f64::NAN)),
    ("cost", |s| s.cost.unwrap_or(f64::NAN)),
    ("cost_per_useful_gpu_hour", |s| s.cost_per_useful_gpu_hour.unwrap_or(f64::NAN)),
];

/// A field of a variant: the mean of its runs.
fn mean(field: &Field, variant: &VariantResult) -> f64 {
    variant.mean(|s| Some((field.1)(s)).filter(|x| x.is_finite())).unwrap_or(f64::NAN)
}

/// Half the width of the interval around it; not a number where the variant ran once.
fn half_width(field: &Field, variant: &VariantResult) -> f64 {
    let interval = variant.interval(|s| Some((field.1)(s)).filter(|x| x.is_finite()));
    interval.map_or(f64::NAN, |interval| interval.half_width)
}

/// Means and half-widths by field, where a variant ran several times.
pub(super) fn replications(variant: &VariantResult) -> Option<Value> {
    let both = |f: &Field| json!({"mean": mean(f, variant), "half_width_95": half_width(f, variant)});
    let fields: Map<String, Value> = FIELDS.iter().map(|f| (f.0.to_owned(), both(f))).collect();
    (1 < variant.replications.len()).then(|| json!({"runs": variant.replications.len(), "figures": fields}))
}

fn csv(variants: &[VariantResult]) -> String {
    let several = variants.iter().any(|v| 1 < v.replications.len());
    let widths = if several { FIELDS } else { &[] };
    let mut out = csv::Writer::from_writer(Vec::new());
    let head = ["variant", "runs"].into_iter().chain(FIELDS.iter().map(|f| f.0)).map(str::to_owned);
    let head = head.chain(widths.iter().map(|f| format!("{}_half_width_95", f.0)));
    out.write_record(head).expect("a vector takes all");
    for variant in variants {
        let runs = variant.replications.len().max(1).to_string();
        let figures = FIELDS.iter().map(|f| number(mean(f, variant)));
        let figures = figures.chain(widths.iter().map(|f| number(half_width(f, variant))));
        let row = [variant.name.clone(), runs].into_iter().chain(figures);
        out.write_record(row).expect("a vector takes all");
    }
    String::from_utf8(out.into_inner().expect("a vector takes all")).expect("fields are text")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn widest(text: &str) -> usize {
        text.lines().map(|l| l.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn a_table_says_which_variant_is_better() {
        let text = table(&sample::page(), Format::Text);
        let expected = "\
variant                GPUs     GPUs    wait     wait   slow-   finished   lost
                  allocated   useful    mean      p95    down
--------------------------------------------------------------------------------
whole          54.4/64  85%      51%*  3h20m   10h20m   4.33x     10,746    120
mig-3g2g1g1g   39.7/64  62%      37%     12m   37m12s   1.20x     10,863      3
mps            35.2/64  55%      33%      5m*  15m30s*  1.08x*    10,866*     0*
time-slicing-    32/64  50%      30%   5m10s    16m1s   1.09x     10,866*     0*
4

* best of its column
mps waits least: p95 15m30s against 37m12s for mig-3g2g1g1g.
whole serves fewer pods than the others; its waits are those of the served ones
only, and are not compared.
Pods not served: whole leaves 120 of 10,866 (120 never fit); mig-3g2g1g1g leaves
3 of 10,866 (3 never fit); the others serve all.
GPUs are allocated 50% (time-slicing-4) to 85% (whole) on average.

variant         class    pods  slowdown    model  measured   error
whole           all    10,866    1.850x  163.1ms   147.0ms  +10.9%
mig-3g2g1g1g    all    10,866    1.620x  142.8ms   147.0ms   -2.9%
mps             all    10,866    1.550x  136.6ms   147.0ms   -7.1%
time-slicing-4  all    10,866    1.500x  132.2ms   147.0ms  -10.1%
measured by: a demonstration on another GPU, read from its diagram
";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn any_page_fits_80_columns() {
        let mut page = sample::page();
        page.variants = (0..12)
            .map(|i| sample::variant(&format!("{i} {}", "long-name ".repeat(8)), 0.1, 4e6, 9_000))
            .collect();
        for v in &mut page.variants {
            v.summary.gpus.capacity = 10_000.0;
            v.summary.gpus.mean = 8_765.4;
            v.summary.classes[0].counts.total = 22_345_678;
            v.summary.classes[0].counts.finished = 12_345_678;
            v.summary.classes[0].counts.waiting = 1_234_567;
            v.summary.cost = Some(1_234_567.89);
            v.summary.queue.peak = 1_234_567.0;
        }
        let text = table(&page, Format::Text);
        assert!(widest(&text) <= 80, "{text}");
        page.variants[0].name = "x".repeat(300);
        let text = table(&page, Format::Text);
        assert!(widest(text.split("\n\n").next().expect("a table")) <= 80, "{text}");
    }

    #[test]
    fn forms_for_programs_hold_every_variant() {
        let page = sample::page();
        let json: serde_json::Value = serde_json::from_str(&table(&page, Format::Json)).expect("JSON");
        assert_eq!(json["variants"][1]["summary"]["classes"][0]["counts"]["total"], 10_866);
        let mut rows = csv::Reader::from_reader(std::io::Cursor::new(table(&page, Format::Csv)));
        assert_eq!(
            rows.records().map(|r| r.expect("a row").len()).collect::<Vec<_>>(),
            [FIELDS.len() + 2; 4]
        );
        assert!(table(&page, Format::Yaml).contains("- name: mig-3g2g1g1g\n"));
        assert!(table(&page, Format::Wide).contains("touched"));
    }

    #[test]
    fn markdown_takes_odd_names_as_they_are() {
        let mut page = sample::page();
        page.variants[0].name = "a|b <b>*".to_owned();
        let text = table(&page, Format::Md);
        assert!(text.contains("| a\\|b \\<b\\>\\* | "), "{text}");
    }

    #[test]
    fn nothing_to_compare_is_said() {
        let mut page = sample::page();
        page.variants.truncate(1);
        page.variants[0] = VariantResult { name: "idle".to_owned(), ..VariantResult::default() };
        assert!(table(&page, Format::Text).ends_with("\nNo pod arrived.\n"));
        page.variants.clear();
        assert!(table(&page, Format::Text).contains("no variants"));
    }
}
