//! `slicewise fit`: measured step times to parameters of the sharing models.

use super::args::{Fit, FitFormat};
use super::{Failure, Terminal, print};
use crate::diag::Diagnostic;
use crate::fit::{self, Options, Source};
use crate::gpu::Product;
use crate::report;
use crate::trace::steps::{Columns, Mode, Steps, open_steps, read_steps};
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;

/// Compute slices of a full instance where no GPU is named: those of every product since A100 but A30.
const FULL: u8 = 7;
/// Smaller slices of different size that two parameters are fitted to, where the product has so many.
const NEEDED: usize = 3;

/// Does the verb.
pub(super) fn fit(args: &Fit, terminal: &Terminal) -> Result<(), Failure> {
    let (full, needed) = slices(args)?;
    let columns = Columns {
        class: args.class.clone(),
        slice: args.slice.clone(),
        neighbours: args.neighbours.clone(),
        mode: args.mode_column.clone(),
        time: args.time.clone(),
        rate: args.rate.clone(),
        by: args.by.clone(),
        assume: args.mode.map(Mode::from),
        full,
    };
    let mut wrong: Vec<Diagnostic> = Vec::new();
    let (mut files, mut rows, mut notes) = (Vec::new(), Vec::new(), BTreeSet::new());
    for path in &args.files {
        let name = path.display().to_string();
        match read(&columns, &name, path) {
            Ok(steps) => {
                let (sha256, measurements, empty) = (steps.sha256, steps.rows.len(), steps.empty);
                files.push(Source { name, sha256, measurements, empty });
                rows.extend(steps.rows);
                notes.extend(steps.notes);
            }
            Err(more) => wrong.extend(more),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.into());
    }
    let (kappa, alpha, epsilon) = (args.kappa, args.alpha, args.epsilon);
    let mut fit = fit::fit(&rows, &Options { full, needed, kappa, alpha, epsilon });
    fit.files = files;
    fit.notes = notes.into_iter().collect();
    if let Some(folder) = &args.out {
        write(&fit, args.pairs, folder, terminal)?;
    }
    match args.format {
        FitFormat::Text => print(&fit::text(&fit)),
        FitFormat::Json => print(&format!("{:#}\n", fit::json(&fit))),
        FitFormat::Csv => print(&fit::csv(&fit)),
        FitFormat::Yaml => print(&fit::yaml(&fit, args.pairs)),
    }
}

/// Compute slices of the full instance, and how many smaller ones a class must have.
fn slices(args: &Fit) -> Result<(u8, usize), Failure> {
    let Some(model) = &args.gpu else { return Ok((FULL, NEEDED)) };
    let (_, catalogue) = super::gpus::catalogue(args.gpus.as_deref())?;
    let product = catalogue.find(model).ok_or_else(|| {
        let help = match catalogue.suggest(model) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`slicewise gpus` lists them".to_owned(),
        };
        Failure::input("unknown-gpu", "--gpu", format!("the catalogue has no GPU `{model}`"), &help)
    })?;
    if !product.is_mig() {
        return Ok((FULL, NEEDED));
    }
    let full = product.compute_slices();
    Ok((full, smaller(product).min(NEEDED)))
}

/// Sizes of slices below the full instance.
fn smaller(product: &Product) -> usize {
    let sizes = product.profiles().iter().map(|profile| profile.compute_slices());
    sizes.filter(|slices| *slices < product.compute_slices()).collect::<BTreeSet<u8>>().len()
}

fn read(columns: &Columns, name: &str, path: &Path) -> Result<Steps, Vec<Diagnostic>> {
    if path != Path::new("-") {
        return open_steps(columns, name, path);
    }
    if std::io::stdin().is_terminal() {
        let help = "slicewise fit - < steps.csv, or name a file";
        return Err(vec![Diagnostic::error("unreadable", "-", "standard input is a terminal").help(help)]);
    }
    read_steps(columns, name, std::io::stdin().lock())
}

/// Writes the folder of a fit.
fn write(fit: &fit::Fit, pairs: bool, folder: &Path, terminal: &Terminal) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::Output(format!("{}: {e}; name another folder", folder.display())))?;
    let mut files = vec![
        ("fit.json".to_owned(), format!("{:#}\n", fit::json(fit)).into_bytes()),
        ("models.yaml".to_owned(), fit::yaml(fit, pairs).into_bytes()),
        ("residuals.csv".to_owned(), fit::residuals_csv(fit).into_bytes()),
    ];
    for (name, picture) in fit::pictures(fit) {
        files.push((format!("{name}.svg"), picture.svg().into_bytes()));
        files.push((format!("{name}.png"), picture.png()));
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        report::atomic(&path, |file| file.write_all(&bytes))
            .map_err(|error| Failure::Output(error.to_string()))?;
        terminal.say(&format!("wrote {}", path.display()));
    }
    Ok(())
}
