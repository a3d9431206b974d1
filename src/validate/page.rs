//! The report as a page: one file that needs no network, no script and no other file.

use super::apply::{Applied, Remains, Stands};
use super::sharing::{Shared, Timed};
use super::text::worst;
use super::{Answer, Finding, Judged, Report, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The report as HTML.
#[must_use]
pub fn page(report: &Report) -> String {
    let outcome = report.outcome();
    let level = match report.level {
        0 => "0, offline",
        1 => "1, read-only",
        2 => "2, re-cut and restored",
        _ => "3, re-cut and restored, MIG mode included",
    };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "slicewise " (report.version) };
                title { "Validation – slicewise" }
                style { (PreEscaped(include_str!("../report/page.css"))) }
            }
            body { main {
                header {
                    h1 { "Will the device take it?" }
                    p.question { (outcome.sentence()) }
                    dl.run {
                        div { dt { "level" } dd { (level) } }
                        div { dt { "values from" } dd { (report.source) } }
                        @if let Some(driver) = &report.driver { div { dt { "driver" } dd { (driver) } } }
                        @if let Some(nvml) = &report.nvml { div { dt { "NVML" } dd { (nvml) } } }
                        div { dt { "slicewise" } dd { (report.version) } }
                        div { dt { "exit code" } dd { (outcome.exit_code()) } }
                    }
                }
                @for why in &report.blocked { p.partial role="alert" { strong { "Blocked: " } (why) } }
                (findings(&report.findings))
                @if !report.recovered.is_empty() {
                    section {
                        h2 { "Put right first" }
                        @for recovered in &report.recovered {
                            p { (recovered.uuid) ": an earlier run had ended unfinished." }
                            (steps(&recovered.steps))
                            (findings(&recovered.findings))
                            @if let Some(remains) = &recovered.remains { (self::remains(remains)) }
                        }
                    }
                }
                @for judged in &report.judged { (device(judged)) }
                @for shared in &report.shared { (self::shared(shared)) }
                section {
                    h2 { "How to read this" }
                    p { "Profiles are compared with the catalogue: ids, counts and places exactly, memory within 2 %, "
                        "SMs and engines as warnings. A target is then planned on the values that the device itself "
                        "reported, from what stands on it. Whether tools that give no places get there is a model of "
                        "the driver's choice, fitted to listings from real machines." }
                }
            } }
        }
    };
    markup.into_string()
}

fn findings(findings: &[Finding]) -> Markup {
    html! {
        @if !findings.is_empty() {
            ul.refusals { @for finding in findings { li {
                strong { (finding.severity.word()) } " " code { (finding.code) } ": " (finding.message)
                @if let Some(help) = &finding.help { span.fine { " " (help) "." } }
            } } }
        }
    }
}

fn device(judged: &Judged) -> Markup {
    let (compared, same) = judged.profiles;
    html! {
        section {
            h2 { (judged.name) @if let Some(worst) = worst(judged) { " " span.mark { (worst) } } }
            dl.run {
                @if let Some(uuid) = &judged.uuid { div { dt { "UUID" } dd { code { (uuid) } } } }
                @if let Some(pci) = &judged.pci { div { dt { "PCI" } dd { code { (pci) } } } }
                @if let Some(product) = &judged.product { div { dt { "catalogue" } dd { (product)
                    @if let Some(confidence) = judged.confidence { ", " (confidence.word()) " confidence" } } } }
                div { dt { "MIG" } dd { (judged.mig) } }
                @if let Some(stands) = &judged.stands {
                    div { dt { "stands" } dd { @if stands.is_empty() { "nothing" } @else { code { (stands) } } } }
                }
                @if 0 < compared { div { dt { "profiles" } dd { (same) " of " (compared) " as the catalogue has them" } } }
                div { dt { "judged by" } dd { (judged.basis) } }
            }
            (findings(&judged.findings))
            @if !judged.targets.is_empty() {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "target" }
                        th scope="col" { "answer" }
                        th scope="col" { "layout, or why not" }
                        th scope="col" { "steps, or what is near" }
                    } }
                    tbody { @for answer in &judged.targets { (target(answer)) } }
                } }
            }
            @for answer in &judged.targets {
                @if let Some(applied) = &answer.applied { (self::applied(answer, applied)) }
            }
        }
    }
}

fn shared(shared: &Shared) -> Markup {
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    html! {
        section {
            h2 { (shared.sharing.describe()) }
            dl.run {
                div { dt { "UUID" } dd { code { (shared.uuid) } } }
                div { dt { "memory" } dd { (shared.total_mib) " MiB" } }
            }
            p { "Real client processes took memory at the same time, each until it was refused, and held it." }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "client" }
                    th.n scope="col" { "limit, MiB" }
                    th.n scope="col" { "taken, MiB" }
                    th.n scope="col" { "SMs" }
                    th scope="col" { "error" }
                } }
                tbody { @for (at, client) in shared.clients.iter().enumerate() { tr {
                    th scope="row" { (at) }
                    td.n { (number(client.limit_mib)) }
                    td.n { (number(client.taken_mib)) }
                    td.n { (number(client.sms.map(u64::from))) }
                    td { @if let Some(error) = &client.error { (error) } }
                } } }
            } }
            (timed(&shared.timed))
            (findings(&shared.findings))
        }
    }
}

fn timed(timed: &[Timed]) -> Markup {
    html! {
        @if !timed.is_empty() {
            div.scroll { table {
                thead { tr {
                    th scope="col" { "work" }
                    th scope="col" { "slice" }
                    th.n scope="col" { "neighbours" }
                    th.n scope="col" { "client" }
                    th.n scope="col" { "median step, us" }
                } }
                tbody { @for t in timed { tr {
                    th scope="row" { (t.class) }
                    td { (t.slice) }
                    td.n { (t.neighbours) }
                    td.n { (t.client) }
                    td.n { (t.step_us) }
                } } }
            } }
        }
    }
}

fn target(answer: &Answer) -> Markup {
    html! {
        tr {
            th scope="row" { (answer.target) br; span.fine { (answer.origin) } }
            @match &answer.verdict {
                Verdict::Feasible { layout, destroys, creates, without_places, driver_model, confidence } => {
                    @if answer.was_refused() { td { strong { "no" } ", the device refused it" } } @else { td.best { "yes" } }
                    td { code { (layout) } br; span.fine { (confidence.word()) " confidence" } }
                    td {
                        @if !destroys.is_empty() { "destroy " (destroys.join(", ")) "; " }
                        @if creates.is_empty() { "it stands already" } @else { "create in this order: " (creates.join(", ")) }
                        br; span.fine { (without_places.describe()) " (model, " (driver_model.word()) " confidence)" }
                    }
                }
                Verdict::Infeasible { why, help, confidence } => {
                    td { strong { "no" } }
                    td { (why) br; span.fine { (confidence.word()) " confidence" } }
                    td { @if let Some(help) = help { (help) } }
                }
                Verdict::Unknown { why } => {
                    td { "unknown" }
                    td { (why) }
                    td {}
                }
            }
        }
    }
}

fn applied(answer: &Answer, applied: &Applied) -> Markup {
    html! {
        h3 { "Tried: " (answer.target) }
        p { (applied.outcome.sentence()) @if let Some(error) = &applied.error { " " (error) "." } }
        (steps(&applied.steps))
        (timed(&applied.timed))
        (findings(&applied.findings))
        @if let Some(remains) = &applied.remains { (self::remains(remains)) }
    }
}

fn steps(steps: &[String]) -> Markup {
    html! { @if !steps.is_empty() { ol { @for step in steps { li { (step) } } } } }
}

fn remains(remains: &Remains) -> Markup {
    let each = |stands: &Stands| {
        let parts: Vec<String> = stands
            .compute
            .iter()
            .map(|c| format!("profile {} at {}:{}", c.profile, c.start, c.size))
            .collect();
        let gi = stands.gi;
        format!("GPU instance of profile {} at {}:{} ({})", gi.profile, gi.start, gi.size, parts.join(", "))
    };
    html! {
        p.partial role="alert" { strong { "Not as it was: " } (remains.why) }
        ul {
            @for stands in &remains.missing { li { "missing: " (each(stands)) } }
            @for stands in &remains.extra { li { "stands though it did not: " (each(stands)) } }
            @if let Some(mig) = remains.mig { li { "MIG was " @if mig { "on" } @else { "off" } } }
        }
        @if !remains.commands.is_empty() {
            pre { code { @for command in &remains.commands { (command) "\n" } } }
        }
    }
}
