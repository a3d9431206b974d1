//! A fit as text, JSON, CSV, YAML for a scenario, and pictures.

use super::{Fit, Mig, Part, Point, Shared};
use crate::perf::fit::Errors;
use crate::report::{self, FitPoint, Picture, number};
use crate::trace::steps::Mode;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Digits of a parameter after the point: measurements have no more.
const DIGITS: i32 = 4;

/// For people: parameters, errors, and who was passed over.
#[must_use]
pub fn text(fit: &Fit) -> String {
    let mut text = String::new();
    for file in &fit.files {
        let empty = match file.empty {
            0 => String::new(),
            n => format!(", {n} rows in which nothing could be measured"),
        };
        writeln!(text, "{}: {} measurements{empty}", file.name, file.measurements).expect("to a string");
    }
    for part in &fit.parts {
        let of = if part.by.is_empty() { String::new() } else { format!(" · {}", part.by) };
        if let Some(mig) = &part.mig {
            text += &mig_text(mig, fit.full, &of);
        }
        for shared in &part.shared {
            text += &shared_text(shared, &of);
        }
        if !part.passed_over.is_empty() {
            text += &format!("\nnot fitted{of}\n");
        }
        let rows =
            part.passed_over.iter().map(|p| [p.mode.word().to_owned(), p.class.clone(), p.why.clone()]);
        text += &table(&[], rows.map(Vec::from).collect(), &[false, false, false]);
    }
    if fit.parts.iter().all(|part| part.mig.is_none() && part.shared.is_empty()) {
        text += "\nnothing could be fitted\n";
    }
    for note in &fit.notes {
        writeln!(text, "\nnote: {note}").expect("to a string");
    }
    text
}

/// `1.1 (given)`.
fn shared_number(value: f64, fitted: bool) -> String {
    format!("{} ({})", rounded(value), if fitted { "fitted" } else { "given" })
}

fn mig_text(mig: &Mig, full: u8, of: &str) -> String {
    let kappa = shared_number(mig.kappa, mig.kappa_fitted);
    let mut text = format!("\nMIG{of}: S = h + (1-h)·max(1, d/f), f = min(1, κ·k/{full}), κ = {kappa}\n");
    let rows = mig.classes.iter().map(|class| {
        let errors =
            |of: &dyn Fn(&Point) -> f64| Errors::of(&class.points.iter().map(of).collect::<Vec<_>>());
        let open = class.fill - class.fill_least > 0.01;
        vec![
            class.class.clone(),
            format!("{:.3}", class.host),
            format!("{}{:.3}", if open { "≤ " } else { "" }, class.fill),
            class.points.len().to_string(),
            percent(errors(&Point::error)),
            percent(errors(&|point| point.unseen_error().unwrap_or(0.0))),
        ]
    });
    let head = ["class", "host", "fill", "slices", "RMS", "left out"];
    text += &table(&head, rows.collect(), &[false, true, true, true, true, true]);
    let rivals = mig.rivals.iter().map(|r| (r.name, r.errors));
    text + &errors_text(mig.in_sample, mig.left_out, "a slice left out", rivals)
}

fn shared_text(shared: &Shared, of: &str) -> String {
    let number = shared_number(shared.shared, shared.shared_fitted);
    let (mut text, demand) = match shared.mode {
        Mode::Mps => {
            (format!("\nMPS{of}: S = max(1 + α·Σ u of the others, Σ u of all), α = {number}\n"), "demand u")
        }
        _ => (format!("\nTime-slicing{of}: closed network of equal turns, ε = {number}\n"), "wants GPU t"),
    };
    let rows = shared.classes.iter().map(|class| {
        let of_class =
            || shared.points.iter().filter(|p| (&p.class, &p.slice) == (&class.class, &class.slice));
        let errors: Vec<f64> = of_class().map(Point::error).collect();
        let unseen: Vec<f64> = of_class().filter_map(Point::unseen_error).collect();
        vec![
            class.class.clone(),
            if class.slice.is_empty() { "-".to_owned() } else { class.slice.clone() },
            format!("{:.3}", class.demand),
            errors.len().to_string(),
            percent(Errors::of(&errors)),
            percent(Errors::of(&unseen)),
        ]
    });
    let head = ["class", "slice", demand, "points", "RMS", "left out"];
    text += &table(&head, rows.collect(), &[false, false, true, true, true, true]);
    let rivals = shared.rivals.iter().map(|r| (r.name, r.errors));
    text + &errors_text(shared.in_sample, shared.left_out, "a company left out", rivals)
}

fn errors_text(
    in_sample: Option<Errors>,
    left_out: Option<Errors>,
    how: &str,
    rivals: impl Iterator<Item = (&'static str, Errors)>,
) -> String {
    let own = [("this model, in sample".to_owned(), in_sample), (format!("this model, {how}"), left_out)];
    let own = own.into_iter().filter_map(|(name, errors)| Some((name, errors?)));
    let all = own.chain(rivals.map(|(name, errors)| (name.to_owned(), errors)));
    let rows =
        all.map(|(name, e)| vec![name, e.points.to_string(), share(e.rms), share(e.median), share(e.p95)]);
    let head = ["error: size of ln(model/measured)", "points", "RMS", "median", "p95"];
    format!("\n{}", table(&head, rows.collect(), &[false, true, true, true, true]))
}

fn percent(errors: Option<Errors>) -> String {
    errors.map_or_else(|| "-".to_owned(), |errors| share(errors.rms))
}

fn share(value: f64) -> String {
    format!("{:.1}%", 100.0 * value)
}

/// Columns of text, numbers to the right.
fn table(head: &[&str], rows: Vec<Vec<String>>, right: &[bool]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain(head.get(column).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..right.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), right) in cells.zip(&widths).zip(right) {
            let room = " ".repeat(width - cell.chars().count());
            line += &if *right { format!("{room}{cell}  ") } else { format!("{cell}{room}  ") };
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = String::new();
    if !head.is_empty() {
        text += &line(&mut head.iter().copied());
        text += &format!("{}\n", "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
    }
    for row in &rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// Everything, for scripts.
#[must_use]
pub fn json(fit: &Fit) -> Value {
    serde_json::to_value(fit).expect("a fit is plain values")
}

/// Parameters, a row for each class, mode and slice.
#[must_use]
pub fn csv(fit: &Fit) -> String {
    let mut text = "by,mode,class,slice,host,fill,demand,step_s,points,rms,rms_left_out\n".to_owned();
    let mut row = |cells: [String; 11]| {
        writeln!(text, "{}", cells.map(|cell| quoted(&cell)).join(",")).expect("to a string");
    };
    for part in &fit.parts {
        let rms = |points: &[&Point]| {
            let errors: Vec<f64> = points.iter().map(|p| p.error()).collect();
            let unseen: Vec<f64> = points.iter().filter_map(|p| p.unseen_error()).collect();
            [errors, unseen].map(|errors| Errors::of(&errors).map_or_else(String::new, |e| number(e.rms)))
        };
        for class in part.mig.iter().flat_map(|mig| &mig.classes) {
            let [seen, unseen] = rms(&class.points.iter().collect::<Vec<_>>());
            let (by, mode, slice) = (part.by.clone(), Mode::Mig.word().to_owned(), String::new());
            let (host, fill, step) = (number(class.host), number(class.fill), number(class.step_s));
            let points = class.points.len().to_string();
            row([
                by,
                mode,
                class.class.clone(),
                slice,
                host,
                fill,
                String::new(),
                step,
                points,
                seen,
                unseen,
            ]);
        }
        for shared in &part.shared {
            for class in &shared.classes {
                let points: Vec<&Point> = shared
                    .points
                    .iter()
                    .filter(|p| (&p.class, &p.slice) == (&class.class, &class.slice))
                    .collect();
                let [seen, unseen] = rms(&points);
                let (by, mode) = (part.by.clone(), shared.mode.word().to_owned());
                let step = class.step_s.map_or_else(String::new, number);
                let (demand, count, none) = (number(class.demand), points.len().to_string(), String::new);
                let (class, slice) = (class.class.clone(), class.slice.clone());
                row([by, mode, class, slice, none(), none(), demand, step, count, seen, unseen]);
            }
        }
    }
    text
}

/// Every measurement beside what the models say.
#[must_use]
pub fn residuals_csv(fit: &Fit) -> String {
    let head =
        "by,mode,class,slice,neighbours,measured_speed,modelled_speed,error,unseen_speed,unseen_error\n";
    let mut text = head.to_owned();
    for part in &fit.parts {
        for (mode, point) in points(part) {
            let optional = |value: Option<f64>| value.map_or_else(String::new, number);
            let cells = [
                part.by.clone(),
                mode.word().to_owned(),
                point.class.clone(),
                point.slice.clone(),
                point.neighbours.join("+"),
                number(point.measured),
                number(point.modelled),
                number(point.error()),
                optional(point.unseen),
                optional(point.unseen_error()),
            ];
            writeln!(text, "{}", cells.map(|cell| quoted(&cell)).join(",")).expect("to a string");
        }
    }
    text
}

/// All measurements of a part, with the mode they are of.
fn points(part: &Part) -> impl Iterator<Item = (Mode, &Point)> {
    let mig = part.mig.iter().flat_map(|mig| &mig.classes).flat_map(|class| &class.points);
    let shared = part.shared.iter().flat_map(|shared| shared.points.iter().map(|p| (shared.mode, p)));
    mig.map(|point| (Mode::Mig, point)).chain(shared)
}

/// A field of a CSV.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// The models of a scenario with what was found, to paste into one; with `pairs` also every measured pair
/// as a row of the table that wins over the formula.
#[must_use]
pub fn yaml(fit: &Fit, pairs: bool) -> String {
    let mut text = String::new();
    for file in &fit.files {
        writeln!(text, "# fitted by slicewise {} to {}", env!("CARGO_PKG_VERSION"), comment(&file.name))
            .expect("to a string");
    }
    let many = 1 < fit.parts.len();
    for part in &fit.parts {
        if many {
            // What is fitted apart is no one scenario's.
            text += "---\n";
        }
        if !part.by.is_empty() {
            writeln!(text, "# {}", comment(&part.by)).expect("to a string");
        }
        let unmeasured = unmeasured(part);
        for line in &unmeasured {
            writeln!(text, "# {line}").expect("to a string");
        }
        text += &crate::yaml::emit(&json!({ "models": models(part, pairs) }));
    }
    text
}

/// A text that stays within its line of comment.
fn comment(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// What a scenario's behaviors hold though nothing measured it.
fn unmeasured(part: &Part) -> Vec<&'static str> {
    let has = |mode| part.shared.iter().any(|shared| shared.mode == mode);
    match (&part.mig, has(Mode::Mps), has(Mode::TimeSlicing)) {
        (None, true, false) => {
            vec!["host is not known from MPS: 0 lets time-slicing cost most; fill is then the demand"]
        }
        (None, false, true) => vec!["fill is not known from time-slicing: 1 lets slices and MPS cost most"],
        (None, true, true) => vec!["fill is the demand under MPS ÷ the share of time that wants the GPU"],
        (Some(_), _, true) => vec!["host is that of MIG's fit; time-slicing alone gives the t of the table"],
        _ => Vec::new(),
    }
}

fn models(part: &Part, pairs: bool) -> Value {
    let mut models = Map::new();
    models.insert("sharing".to_owned(), true.into());
    let mut classes: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for class in part.mig.iter().flat_map(|mig| &mig.classes) {
        let numbers = classes.entry(&class.class).or_default();
        numbers.insert("host".to_owned(), json!(rounded(class.host)));
        numbers.insert("fill".to_owned(), json!(rounded(class.fill).max(1e-4)));
    }
    let demands = |mode| {
        let of_mode = part.shared.iter().filter(move |shared| shared.mode == mode);
        let whole = of_mode.flat_map(|shared| &shared.classes).filter(|class| class.slice.is_empty());
        whole.map(|class| (class.class.as_str(), class.demand)).collect::<BTreeMap<&str, f64>>()
    };
    let (u, t) = (demands(Mode::Mps), demands(Mode::TimeSlicing));
    for name in u.keys().chain(t.keys()) {
        let numbers = classes.entry(name).or_default();
        let (u, t) = (u.get(name).copied(), t.get(name).copied());
        if !numbers.contains_key("host") {
            let busy = t.unwrap_or(1.0);
            numbers.insert("host".to_owned(), json!(rounded(1.0 - busy)));
            let fill = u.map_or(1.0, |u| (u / busy).min(1.0));
            numbers.insert("fill".to_owned(), json!(rounded(fill).max(1e-4)));
            // Only what host and fill do not say already.
            if u.is_none_or(|u| u <= busy) {
                continue;
            }
        }
        if let Some(u) = u {
            numbers.insert("demand".to_owned(), json!(rounded(u)));
        }
    }
    let classes: Map<String, Value> =
        classes.into_iter().map(|(name, numbers)| (name.to_owned(), numbers.into())).collect();
    models.insert("classes".to_owned(), classes.into());
    let mut number = |model: &str, key: &str, value: f64, fitted: bool| {
        if fitted {
            models.insert(model.to_owned(), json!({ key: rounded(value) }));
        }
    };
    if let Some(mig) = &part.mig {
        number("mig", "kappa", mig.kappa, mig.kappa_fitted);
    }
    for shared in &part.shared {
        match shared.mode {
            Mode::Mps => number("mps", "alpha", shared.shared, shared.shared_fitted),
            _ => number("time_slicing", "loss", shared.shared, shared.shared_fitted),
        }
    }
    if pairs {
        let rows = part.shared.iter().flat_map(|shared| {
            let pair = |p: &&Point| p.neighbours.len() == 1 && p.slice.is_empty();
            shared.points.iter().filter(pair).map(|p| {
                json!({ "mode": shared.mode.word(), "class": p.class, "beside": p.neighbours[0], "slowdown": rounded(1.0 / p.measured) })
            })
        });
        models.insert("pairs".to_owned(), rows.collect());
    }
    models.into()
}

fn rounded(value: f64) -> f64 {
    let scale = libm::pow(10.0, f64::from(DIGITS));
    libm::round(value * scale) / scale
}

/// A picture for each model of each part, with a name for its file.
#[must_use]
pub fn pictures(fit: &Fit) -> Vec<(String, Picture)> {
    let mut pictures = Vec::new();
    for part in &fit.parts {
        let (of, ending) = match part.by.as_str() {
            "" => (String::new(), String::new()),
            by => (format!(" · {by}"), format!("-{}", slug(by))),
        };
        if let Some(mig) = &part.mig {
            let points: Vec<&Point> = mig.classes.iter().flat_map(|class| &class.points).collect();
            let group = |p: &Point| (usize::from(p.slices), format!("{}g", p.slices));
            let title = format!("MIG{of}: measured and modelled speed on slices");
            pictures.push((format!("fit-mig{ending}"), picture(&title, &points, group)));
        }
        for shared in &part.shared {
            const MANY: usize = 8;
            let points: Vec<&Point> = shared.points.iter().collect();
            let group = |p: &Point| match p.neighbours.len() + 1 {
                many if MANY <= many => (MANY, format!("{MANY} pods or more")),
                pods => (pods, format!("{pods} pods")),
            };
            let mode = if shared.mode == Mode::Mps { "MPS" } else { "Time-slicing" };
            let title = format!("{mode}{of}: measured and modelled speed beside neighbours");
            pictures.push((format!("fit-{}{ending}", shared.mode.word()), picture(&title, &points, group)));
        }
    }
    pictures
}

fn picture(title: &str, points: &[&Point], group: impl Fn(&Point) -> (usize, String)) -> Picture {
    let groups: BTreeMap<usize, String> = points.iter().map(|p| group(p)).collect();
    let names: Vec<String> = groups.values().cloned().collect();
    let at: BTreeMap<usize, usize> = groups.keys().enumerate().map(|(at, key)| (*key, at)).collect();
    let points: Vec<FitPoint> = points
        .iter()
        .map(|p| {
            let (measured, modelled, unseen) = (p.measured, p.modelled, p.unseen);
            FitPoint { group: at[&group(p).0], measured, modelled, unseen }
        })
        .collect();
    report::fitted(title, &names, &points)
}

/// A name as a part of a file's name.
fn slug(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(plain).collect()
}
