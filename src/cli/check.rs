//! `slicewise check`: real configuration files and pods, offline.

use super::args::{Check, CheckFormat};
use super::{Failure, Terminal, print};
use crate::check::{self, Imagined, Input, Options};
use crate::diag::Diagnostic;
use crate::gpu::Catalogue;
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Does the verb.
pub(super) fn check(args: &Check, terminal: &Terminal) -> Result<(), Failure> {
    let (_, catalogue) = super::gpus::catalogue(args.gpus.as_deref())?;
    let imagined = models(&args.gpu, &catalogue)?;
    let mut inputs = Vec::new();
    let mut unreadable = Vec::new();
    let nodes = args.nodes.iter().map(|path| (path, Some(crate::formats::Kind::Kubernetes)));
    let kind = args.kind.map(Into::into);
    for (path, kind) in args.files.iter().map(|path| (path, kind)).chain(nodes) {
        match text_of(path) {
            Ok(text) => inputs.push(Input { name: path.display().to_string(), text, kind }),
            Err(Failure::Input(mut diagnostics)) => unreadable.append(&mut diagnostics),
            Err(other) => return Err(other),
        }
    }
    if !unreadable.is_empty() {
        return Err(unreadable.into());
    }
    let strategy = args.mig_strategy.map(Into::into);
    let outcome = check::check(&inputs, &Options { catalogue: &catalogue, imagined, strategy });
    print(&match args.format {
        CheckFormat::Text => check::text(&outcome, terminal.styled_stdout()),
        CheckFormat::Json => check::json(&outcome),
        CheckFormat::Github => check::github(&outcome),
        CheckFormat::Junit => check::junit(&outcome),
    })?;
    let (errors, warnings) = outcome.counts();
    match (outcome.unread, errors, warnings) {
        _ if args.exit_zero => Ok(()),
        (true, ..) => Err(Failure::No(2)),
        (_, 1.., _) => Err(Failure::No(1)),
        (_, _, 1..) if args.strict => Err(Failure::No(1)),
        _ => Ok(()),
    }
}

/// `MODEL` or `MODEL:COUNT`.
fn models(words: &[String], catalogue: &Catalogue) -> Result<Vec<Imagined>, Failure> {
    let mut wrong = Vec::new();
    let mut imagined = Vec::new();
    for word in words {
        let (model, count) = match word.rsplit_once(':') {
            Some((model, count)) => (model, count.parse().ok().filter(|n| (1..=64).contains(n))),
            None => (word.as_str(), Some(1)),
        };
        let Some(count) = count else {
            wrong.push(
                Diagnostic::error("bad-value", word, "no number of GPUs")
                    .help("write `a100-40gb:8`, with 1 to 64"),
            );
            continue;
        };
        if catalogue.find(model).is_none() {
            let help = match catalogue.suggest(model) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`slicewise gpus` lists the models".to_owned(),
            };
            wrong.push(Diagnostic::error("unknown-name", word, "no such GPU in the catalogue").help(help));
        }
        imagined.push(Imagined { model: model.to_owned(), count });
    }
    if wrong.is_empty() { Ok(imagined) } else { Err(wrong.into()) }
}

/// The text of a file, or of standard input.
fn text_of(path: &Path) -> Result<String, Failure> {
    if path != Path::new("-") {
        return super::run::read_text(path);
    }
    if std::io::stdin().is_terminal() {
        let help = "pipe something in, as in `kubectl get nodes -o json | slicewise check -`";
        return Err(Failure::input("unreadable", "-", "standard input is a terminal", help));
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| {
        Failure::input("unreadable", "-", format!("cannot be read: {error}"), "check what is piped in")
    })?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::input("not-utf8", "-", "is not UTF-8 text", "save it as UTF-8"))
}
