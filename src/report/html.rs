//! The page: one file that needs no network, no script and no other file.
//!
//! It opens with what was run, gives the answer, then the evidence. Everything that comes from a
//! scenario or a trace passes through maud, which escapes it; charts escape their own text
//! ([`super::svg`]) and are the only thing put in as it is.

use super::figures::{answer, best, columns};
use super::human::{count, fine_percent, level, list, percent, seconds};
use super::{
    Page, Picture, allocation, chart, compared, definition, definitions, gpu_time, queue, slices, waits,
};
use crate::metrics::{Counts, Failures, Group, Holds, Refusal, ServiceFigures, Summary, VariantResult};
use crate::perf::Printed;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Variants whose details stand open: more of them, and the page is a list to choose from.
const OPEN: usize = 2;

/// The page of a report.
#[must_use]
pub fn html(page: &Page) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "slicewise " (page.version) };
                title { (page.title) " – slicewise" }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                main {
                    (header(page))
                    (comparison(page))
                    (requests(&page.variants))
                    (evidence(page))
                    @for (at, variant) in page.variants.iter().enumerate() {
                        (details(at + 1, variant, page.variants.len() <= OPEN))
                    }
                    (small_print(page))
                }
            }
        }
    };
    markup.into_string()
}

/// What was run.
fn header(page: &Page) -> Markup {
    html! {
        header {
            h1 { (page.title) }
            @if !page.question.is_empty() { p.question { (page.question) } }
            @if let Some(why) = &page.partial {
                p.partial role="alert" { strong { "Partial: " } (why) ". The figures count only what ran until then." }
            }
            dl.run {
                div { dt { "command" } dd { code { (page.command) } } }
                div { dt { "seed" } dd { (page.seed) } }
                div { dt { "slicewise" } dd { (page.version) } }
                @for (name, hash) in &page.trace_hashes {
                    div { dt { "trace" } dd { (name) " " code title={ "SHA-256 " (hash) } { (short(hash)) } } }
                }
            }
        }
    }
}

/// The beginning of a hash, enough to compare by eye; the rest is in the tooltip and the summary.
fn short(hash: &str) -> String {
    const SHOWN: usize = 12;
    if hash.chars().count() <= SHOWN {
        hash.to_owned()
    } else {
        hash.chars().take(SHOWN).chain(['…']).collect()
    }
}

/// A term with its definition under the pointer.
fn term(text: &str, name: &str) -> Markup {
    html! {
        @match definition(name) {
            Some(meaning) => abbr title=(meaning) { (text) },
            None => (text),
        }
    }
}

/// The answer: sentences, then the table they rest on.
fn comparison(page: &Page) -> Markup {
    let columns = columns(&page.variants, false);
    let marks: Vec<Vec<bool>> = columns.iter().map(|c| best(c, &page.variants)).collect();
    let single = page.variants.len() == 1;
    html! {
        section {
            h2 { "Answer" }
            div.answer { @for sentence in answer(&page.variants) { p { (sentence) } } }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "variant" }
                    @for column in &columns {
                        th.n scope="col" { (term(&heading(column.head, column.aspect), column.term)) }
                    }
                } }
                tbody { @for (row, variant) in page.variants.iter().enumerate() { tr {
                    th scope="row" { @if single { (variant.name) } @else { a href={ "#v" (row + 1) } { (variant.name) } } }
                    @for (column, marks) in columns.iter().zip(&marks) {
                        td.n.best[marks[row]] {
                            (column.text(variant))
                            @if marks[row] { " " span.mark { "best" } }
                            @if let Some(spread) = column.spread(variant) { br; (term("±", "±")) " " (spread) }
                        }
                    }
                } } }
            } }
            @if 1 < page.variants.len() && page.variants.iter().all(|v| v.replications.is_empty()) {
                p.fine { "Each variant ran once, with one seed: small differences may be chance." }
            }
            (timed_steps(page))
        }
    }
}

/// Steps that somebody timed on real GPUs, beside the model's.
fn timed_steps(page: &Page) -> Markup {
    let rows = compared::rows(&page.variants);
    html! {
        @if !rows.is_empty() {
            h3 { "Measured on real GPUs, beside the model" }
            div.scroll { table {
                thead { tr {
                    @for (at, head) in compared::HEADS.iter().enumerate() {
                        th.n[1 < at] scope="col" { (head) }
                    }
                } }
                tbody { @for row in &rows { tr {
                    th scope="row" { (row.variant) }
                    td { (row.class) }
                    @for figure in &row.figures { td.n { (figure) } }
                } } }
            } }
            p.fine {
                "Slowdown: mean time of finished pods on their places ÷ their time alone on a full GPU. Model: that times the \
                 measured step alone. Error: model ÷ measured − 1."
                @for source in compared::sources(&page.variants) { " Measured by: " (source) "." }
            }
        }
    }
}

/// A column's name on one line.
fn heading(head: &str, aspect: &str) -> String {
    match head.strip_suffix('-') {
        Some(half) => format!("{half}{aspect}"),
        None => format!("{head} {aspect}").trim().to_owned(),
    }
}

/// A figure of a service.
type OfService = fn(&ServiceFigures) -> f64;
const REQUESTS: [OfService; 2] = [|s| s.requests as f64, |s| s.lost as f64];
const LATENCIES: [OfService; 4] =
    [|s| s.latency_s.mean, |s| s.latency_s.p50, |s| s.latency_s.p95, |s| s.latency_s.p99];

/// What became of requests to pods that serve, under each variant.
fn requests(variants: &[VariantResult]) -> Markup {
    let sign = |holds: Holds| match holds {
        Holds::Met => "✓",
        Holds::Missed => "✗",
        Holds::Undecided => "?",
    };
    let rows = variants.iter().flat_map(|v| v.summary.services.iter().map(move |s| (v, s)));
    let of = |v: &VariantResult, class: &str, figure: OfService| {
        v.mean(|s| s.service(class).map(figure)).unwrap_or(0.0)
    };
    html! {
        @if variants.iter().any(|v| !v.summary.services.is_empty()) {
            section {
                h2 { "Requests" }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "variant" }
                        th scope="col" { "class" }
                        th.n scope="col" { "requests" }
                        th.n scope="col" { (term("lost", "requests lost")) }
                        th.n scope="col" { (term("latency mean", "latency")) }
                        @for name in ["p50", "p95", "p99"] { th.n scope="col" { (name) } }
                        th scope="col" { "target" }
                        th.n scope="col" { (term("in time", "in time")) }
                        th scope="col" { "holds" }
                    } }
                    tbody { @for (v, s) in rows { tr {
                        th scope="row" { (v.name) }
                        td { (s.class) }
                        @for figure in REQUESTS {
                            td.n { (level(of(v, &s.class, figure))) }
                        }
                        @for figure in LATENCIES {
                            td.n { @if s.served == 0 { "-" } @else { (seconds(of(v, &s.class, figure))) } }
                        }
                        @match s.target {
                            None => { td { "-" } td.n { "-" } td { "-" } }
                            Some(target) => {
                                td { (fine_percent(target.quantile)) " in " (seconds(target.within_s)) }
                                td.n {
                                    (v.mean(|x| x.service(&s.class)?.target?.share).map_or("-".to_owned(), fine_percent))
                                    @if let Some(i) = v.interval(|x| x.service(&s.class)?.target?.share) {
                                        br; (term("±", "±")) " " (format!("{:.2}%", 100.0 * i.half_width))
                                    }
                                }
                                td { @if let Some(holds) = v.holds(&s.class) { (sign(holds)) "\u{a0}" (holds.word()) } }
                            }
                        }
                    } } }
                } }
                p.fine {
                    "Requests come to each pod whether it has a place or not; those that come without one are lost, and \
                     count as late. A target holds where at least its share of the requests is answered in time"
                    @if variants.iter().any(|v| 1 < v.replications.len()) {
                        ": met or missed where the whole 95% interval of the share says so, else undecided, which counts as no"
                    }
                    ". On a time-sliced GPU a request takes turns with the pods that are busy when it starts; otherwise it goes \
                     as fast as its pod at each moment. To their neighbours, pods that serve are always busy."
                }
            }
        }
    }
}

fn evidence(page: &Page) -> Markup {
    let step = page.variants.iter().map(|v| chart::step(&v.timeline)).fold(0.0, f64::max);
    let mean = if step == 0.0 { String::new() } else { format!("Mean of every {}. ", seconds(step)) };
    html! {
        section {
            h2 { "Evidence" }
            (figure(&allocation(&page.variants), &format!(
                "{mean}Allocated is not busy: a pod may hold a whole GPU and use a tenth of it."
            )))
            (figure(&gpu_time(&page.variants),
                "Useful: work done. Slowed: held and needed, lost to slow slices and neighbours. Unneeded: held \
                 beyond the need. Unscheduled, fragmented: idle while pods waited, that could and could not have \
                 used it where it stood. Unclaimed: idle, and nobody waited for it. Unavailable: idle on nodes that were \
                 cordoned or being re-cut. Lost: work done that had to be done again. Stalled: held by pods that started or \
                 wrote a checkpoint. Failed: down after a fault."))
            (parts(&page.variants))
            (figure(&waits(&page.variants),
                "The higher and the further left a line, the shorter the waits. Pods that were never bound are not counted here."))
            (figure(&queue(&page.variants), &format!(
                "{mean}Pods that have arrived and neither run nor left; short peaks may be higher."
            )))
        }
    }
}

fn figure(picture: &Picture, caption: &str) -> Markup {
    html! {
        figure {
            div.scroll { (PreEscaped(picture.inline_svg())) }
            figcaption { (caption) }
        }
    }
}

/// One variant: classes, refusals, slices.
fn details(number: usize, variant: &VariantResult, open: bool) -> Markup {
    let summary = &variant.summary;
    html! {
        details.variant open[open] {
            summary { h2 { (variant.name) } }
            // A link to something inside opens the details around it.
            p.what id={ "v" (number) } { (variant.what) }
            @if !summary.classes.is_empty() { (groups("class", &summary.classes)) }
            @if 1 < summary.namespaces.len() { (groups("namespace", &summary.namespaces)) }
            (levels(variant))
            (refusals(&summary.refusals))
            @if let Some(picture) = slices(variant) {
                (figure(&picture, "A bar is a pod on its slice; bars thinner than a pixel are drawn a pixel wide. \
                    Point at a bar for the pod's name."))
            }
            (models(&variant.models))
            @if !variant.notes.is_empty() {
                h3 { "Notes" }
                ul { @for note in &variant.notes { li { (note) } } }
            }
        }
    }
}

/// A fate of pods that a table shows only where some pod met it.
type Fate = (&'static str, fn(&Counts) -> u64);
const FATES: [Fate; 6] = [
    ("running", |c| c.running),
    ("waiting", |c| c.waiting),
    ("gave up", |c| c.gave_up),
    ("turned away", |c| c.turned_away),
    ("never fit", |c| c.never_fit),
    ("failed", |c| c.failed),
];

fn groups(what: &str, groups: &[Group]) -> Markup {
    let span = |g: &Group, secs: f64| if g.wait_s.count == 0 { "-".to_owned() } else { seconds(secs) };
    let ratio =
        |g: &Group, x: f64| if g.slowdown.count == 0 { "-".to_owned() } else { format!("{}x", level(x)) };
    let met: Vec<Fate> = FATES.into_iter().filter(|f| groups.iter().any(|g| (f.1)(&g.counts) != 0)).collect();
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { (what) }
                th.n scope="col" { "pods" }
                th.n scope="col" { (term("finished", "finished")) }
                @for (name, _) in &met { th.n scope="col" { (term(name, name)) } }
                th.n scope="col" { (term("wait mean", "wait")) }
                @for name in ["p50", "p95", "p99", "max"] { th.n scope="col" { (term(name, name)) } }
                th.n scope="col" { (term("waited", "waited")) }
                th.n scope="col" { (term("slowdown", "slowdown")) }
                th.n scope="col" { (term("p95", "p95")) }
                th.n scope="col" { (term("service", "service")) }
            } }
            tbody { @for g in groups { tr {
                th scope="row" { (g.name) }
                td.n { (count(g.counts.total)) }
                td.n { (count(g.counts.finished)) }
                @for (_, pods) in &met { td.n { (count(pods(&g.counts))) } }
                @for secs in [g.wait_s.mean, g.wait_s.p50, g.wait_s.p95, g.wait_s.p99, g.wait_s.max] {
                    td.n { (span(g, secs)) }
                }
                td.n { @if g.wait_s.count == 0 { "-" } @else { (percent(g.waited)) } }
                td.n { (ratio(g, g.slowdown.mean)) }
                td.n { (ratio(g, g.slowdown.p95)) }
                td.n { (g.service.map_or_else(|| "-".to_owned(), percent)) }
            } } }
        } }
    }
}

/// Levels over the whole window.
fn levels(variant: &VariantResult) -> Markup {
    let s = &variant.summary;
    let rows = [
        ("GPUs allocated", s.gpus),
        ("GPU compute held", s.gpu_compute),
        ("GPU memory held", s.gpu_memory),
        ("GPUs touched", s.gpus_touched),
        ("CPUs requested", s.cpus),
        ("GiB of memory requested", s.memory_gib),
        ("pods running", s.running),
        ("pods waiting", s.queue),
    ];
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "level" }
                @for head in ["mean", "peak", "capacity", "mean share"] { th.n scope="col" { (head) } }
            } }
            tbody { @for (name, l) in rows { tr {
                th scope="row" { (term(name, name)) }
                td.n { (level(l.mean)) }
                td.n { (level(l.peak)) }
                td.n { @if l.capacity == 0.0 { "-" } @else { (level(l.capacity)) } }
                td.n { @if l.capacity == 0.0 { "-" } @else { (percent(l.mean / l.capacity)) } }
            } } }
        } }
        p.fine {
            "Measured from " (seconds(s.from_s)) " to " (seconds(s.to_s)) " of simulated time; "
            (level(s.useful_gpu_hours)) " " (term("useful GPU-hours", "useful GPU-hours")) "; "
            (count(s.attempts)) " scheduling attempts, " (count(s.bound)) " of which bound a pod."
            @if s.gpu_time.total != 0.0 {
                " Of the GPUs' " (level(s.gpu_time.total)) " hours "
                @for (at, (part, hours)) in s.gpu_time.parts().into_iter().filter(|p| p.1 != 0.0).enumerate() {
                    @if at != 0 { ", " }
                    (percent(hours / s.gpu_time.total)) " were " (term(part, part))
                }
                "."
            }
            @if let Some(r) = s.recuts {
                " The partitioner made " (count(r.plans)) " plans for " (count(r.pods_planned_for))
                " waiting pods (a pod once for each) and had a place for " (count(r.pods_placed)) "; "
                (count(r.plans_that_change)) " plans changed something, and "
                (count(r.nodes_written)) " times a node was written to. GPUs were worked on "
                (count(r.applications)) " times: " (count(r.created)) " slices created, "
                (count(r.destroyed)) " destroyed, " (count(r.refused)) " refused by the device, which left "
                (count(r.partial)) " re-cuts partial. Device plugins restarted " (count(r.restarts))
                " times, which took " (level(r.gpu_hours_without_plugin)) " GPU-hours."
                @if let Some(regret) = r.regret {
                    @let each = |sum: u64| level(sum as f64 / regret.plans as f64);
                    " The best plan was sought beside " (count(regret.plans)) " of them, for the same pods and GPUs: "
                    (each(regret.served)) " pods could run after a plan on average and " (each(regret.best))
                    " after the best one, which re-cuts " (each(regret.best_recuts)) " GPUs against "
                    (each(regret.recuts)) "; " (count(regret.behind)) " plans fell short. For "
                    (count(regret.exact)) " the best one is proven; no plan serves more than "
                    (each(regret.bound)) " on average."
                }
            }
            @if let Some(f) = &s.failures { " " (broken(f)) }
            @for (what, index) in [("namespaces", s.fairness.namespaces), ("classes", s.fairness.classes)] {
                @if let Some(index) = index { " " (term("Fairness", "fairness")) " between " (what) ": " (level(index)) "." }
            }
            @if let Some(cost) = s.cost {
                " " (term("Cost", "cost")) " of the cluster: " (format!("{cost:.2}"))
                @if let Some(each) = s.cost_per_useful_gpu_hour {
                    ", " (format!("{each:.2}")) " " (term("per useful GPU-hour", "cost per useful hour"))
                }
                "."
            }
        }
    }
}

/// Where the time of GPUs went over all runs of each variant: shares, with their intervals.
fn parts(variants: &[VariantResult]) -> Markup {
    if variants.iter().all(|variant| variant.replications.is_empty()) {
        return html! {};
    }
    let names = variants[0].summary.gpu_time.parts().map(|(name, _)| name);
    let share = |part: usize| {
        move |s: &Summary| {
            let time = s.gpu_time;
            (0.0 < time.total).then(|| time.parts()[part].1 / time.total)
        }
    };
    let shown: Vec<usize> = (0..names.len())
        .filter(|part| variants.iter().any(|v| v.mean(share(*part)).is_some_and(|mean| mean != 0.0)))
        .collect();
    let fine = |share: f64| format!("{:.1} %", share * 100.0);
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "share of all GPU time" }
                @for part in &shown { th.n scope="col" { (term(names[*part], names[*part])) } }
            } }
            tbody { @for variant in variants { tr {
                th scope="row" { (variant.name) }
                @for part in &shown {
                    td.n {
                        @match variant.mean(share(*part)) {
                            Some(mean) => (fine(mean)),
                            None => "-",
                        }
                        @if let Some(interval) = variant.interval(share(*part)) {
                            br; (term("±", "±")) " " (fine(interval.half_width))
                        }
                    }
                }
            } } }
        } }
        p.fine { "Means over all runs of a variant, ± half the width of their 95 % interval." }
    }
}

/// What broke, in a sentence or two.
fn broken(failures: &Failures) -> String {
    let mut parts = Vec::new();
    for (number, one, several) in [
        (failures.gpu_faults, "GPU fault", "GPU faults"),
        (failures.node_faults, "node fault", "node faults"),
        (failures.server_restarts, "restart of an MPS server", "restarts of MPS servers"),
        (failures.evictions, "eviction", "evictions"),
    ] {
        if number != 0 {
            parts.push(format!("{} {}", count(number), if number == 1 { one } else { several }));
        }
    }
    for (cause, pods) in &failures.pods {
        let s = if *pods == 1 { "" } else { "s" };
        parts.push(format!("{} pod{s} lost by {cause}", count(*pods)));
    }
    let lost = level(failures.lost_hours);
    format!("What broke: {}; {lost} hours of work had to be done again.", parts.join(", "))
}

/// The numbers that a run rests on, with where they come from.
fn models(rows: &[Printed]) -> Markup {
    html! {
        @if !rows.is_empty() {
            details {
                summary { "Numbers of the models, their sources and confidence" }
                div.scroll { table {
                    thead { tr {
                        @for head in ["model", "parameter", "value", "confidence", "source of the default"] {
                            th scope="col" { (head) }
                        }
                    } }
                    tbody { @for row in rows { tr {
                        td { (row.model) }
                        td { code { (row.key) } }
                        td { (row.value) @if !row.default { " " span.mark { "set" } } }
                        td { (row.confidence) }
                        td { (row.source) }
                    } } }
                } }
                p.fine {
                    "A: raw measurements, recomputed. B: an official document or source code. C: recalled or second-hand. Assumed: no source, a choice."
                }
            }
        }
    }
}

fn refusals(refusals: &[Refusal]) -> Markup {
    const SHOWN: usize = 10;
    html! {
        @if !refusals.is_empty() {
            h3 { "Why pods were refused" }
            ul.refusals { @for r in refusals.iter().take(SHOWN) {
                li {
                    strong { (count(r.pods)) @if r.pods == 1 { " pod" } @else { " pods" } }
                    @if r.for_ever { " (for ever)" }
                    ": " (r.message)
                    @if !r.examples.is_empty() { span.fine { " For example " (list(&r.examples)) "." } }
                }
            } }
            @if SHOWN < refusals.len() {
                p.fine { "And " (refusals.len() - SHOWN) " rarer reasons; summary.json has them all." }
            }
        }
    }
}

fn small_print(page: &Page) -> Markup {
    html! {
        @if !page.limits.is_empty() {
            section {
                h2 { "What these figures rest on" }
                ul { @for limit in &page.limits { li { (limit) } } }
            }
        }
        section {
            h2 { "Definitions" }
            dl.terms { @for (name, meaning) in definitions() { dt { (name) } dd { (meaning) } } }
        }
        section {
            h2 { "Scenario" }
            p { "Every setting that was used, defaults included. Saved as scenario.resolved.yaml, it gives this report again." }
            details { summary { "scenario.resolved.yaml" } pre { code { (page.scenario_yaml) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn names_cannot_break_the_page() {
        let mut page = sample::page();
        let evil = "</script><b>\"'&";
        page.title = evil.to_owned();
        page.trace_hashes = vec![(evil.to_owned(), evil.to_owned())];
        page.variants[0].name = evil.to_owned();
        page.variants[0].notes = vec![evil.to_owned()];
        page.variants[0].slices.gpus[0].name = evil.to_owned();
        page.variants[0].slices.gpus[0].held[0].pod = evil.to_owned();
        let text = html(&page);
        assert!(!text.contains("<script") && !text.contains("</script") && !text.contains("<b>"));
        assert!(text.contains("&lt;/script&gt;"));
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let text = html(&sample::page());
        for outside in ["http", "src=", "url(", "@import", "<link"] {
            assert!(!text.contains(outside), "{outside}");
        }
        assert_eq!(text, html(&sample::page()));
    }

    #[test]
    fn a_partial_run_says_so() {
        let mut page = sample::page();
        page.partial = Some("interrupted at 2d".to_owned());
        assert!(html(&page).contains("interrupted at 2d"));
    }
}
