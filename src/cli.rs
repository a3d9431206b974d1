//! Words on the command line, to a verb, to its output. The only module that prints.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 the answer is no, 2 usage
//! or input, 3 could not write, 70 a bug of ours, 130 interrupted.
#![expect(clippy::print_stderr, reason = "this is the module that prints")]

mod args;
mod check;
mod export;
mod fit;
mod gpus;
mod plan;
mod probe;
mod run;
mod trace;
mod validate;

use crate::diag::{self, Diagnostic};
use crate::{experiment, scenario};
use args::{Args, Colors, TraceVerb, Verb};
use clap::{CommandFactory, Parser};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why a verb did not do what was asked.
enum Failure {
    /// Something that a person wrote is wrong.
    Input(Vec<Diagnostic>),
    /// Something could not be written.
    Output(String),
    /// The answer, which was printed, is no: the exit code that says so.
    No(u8),
}

impl Failure {
    fn input(code: &'static str, file: &str, message: impl Into<String>, help: &str) -> Failure {
        Failure::Input(vec![Diagnostic::error(code, file, message).help(help)])
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::Input(diagnostics)
    }
}

/// Everything that is asked of all verbs.
struct Terminal {
    colors: Colors,
    quiet: bool,
    json: bool,
}

impl Terminal {
    /// Prints complaints to stderr, in the order of a reader.
    fn complain(&self, mut diagnostics: Vec<Diagnostic>) {
        if diagnostics.is_empty() {
            return;
        }
        diag::sort(&mut diagnostics);
        if self.json {
            let text = serde_json::to_string_pretty(&diagnostics).expect("diagnostics are plain values");
            eprintln!("{text}");
            return;
        }
        let styled = self.styled();
        for diagnostic in &diagnostics {
            eprintln!("{}\n", diagnostic.render(styled));
        }
        let errors = diagnostics.iter().filter(|d| d.severity == diag::Severity::Error).count();
        if 1 < errors {
            eprintln!("{errors} errors");
        }
    }

    /// Whether complaints on stderr have colors.
    fn styled(&self) -> bool {
        self.colored(io::stderr().is_terminal())
    }

    /// Whether a result on stdout has colors.
    fn styled_stdout(&self) -> bool {
        self.colored(io::stdout().is_terminal())
    }

    fn colored(&self, on_terminal: bool) -> bool {
        let asked = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.colors {
            Colors::Always => true,
            Colors::Never => false,
            Colors::Auto if asked("NO_COLOR") => false,
            Colors::Auto => asked("CLICOLOR_FORCE") || on_terminal,
        }
    }

    /// A sentence for the person at the terminal.
    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

/// Parses the command line, does it, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("slicewise: this is a bug in slicewise, not in your input: {panic}");
        eprintln!(
            "please report it with the scenario and the command line; nothing half-written was left behind"
        );
    }));
    std::panic::catch_unwind(|| dispatch(Args::parse())).unwrap_or(ExitCode::from(70))
}

fn dispatch(args: Args) -> ExitCode {
    let terminal = Terminal { colors: args.color, quiet: args.quiet, json: args.verb.wants_json() };
    if let Some(threads) = args.threads {
        // Fails only when a pool exists already, which nobody has made yet.
        let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        built.expect("the first thread pool of the process");
    }
    let done = match &args.verb {
        Verb::Run(verb) => run::run(verb, &terminal),
        Verb::Trace(TraceVerb::Inspect(verb)) => trace::inspect(verb, &terminal),
        Verb::Trace(TraceVerb::Generate(verb)) => trace::generate(verb, &terminal),
        Verb::Gpus(verb) => gpus::gpus(verb, &terminal),
        Verb::Fit(verb) => fit::fit(verb, &terminal),
        Verb::Check(verb) => check::check(verb, &terminal),
        Verb::Plan(verb) => plan::plan(verb, &terminal),
        Verb::Validate(verb) => validate::validate(verb, &terminal),
        Verb::Device(verb) => validate::device(verb, &terminal),
        Verb::ProbeClient(verb) => probe::probe(verb),
        Verb::Init { folder } => init(folder, &terminal),
        Verb::Schema => print(&format!("{:#}\n", scenario::schema())),
        Verb::Completions { shell } => completions(*shell),
        Verb::Man => man(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Input(diagnostics)) => {
            terminal.complain(diagnostics);
            ExitCode::from(2)
        }
        Err(Failure::Output(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(3)
        }
        Err(Failure::No(code)) => ExitCode::from(code),
    }
}

/// Prints a result. A reader that closed the pipe has seen enough.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes the quickstart with its trace as a start for one's own.
fn init(folder: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let files = [("scenario.yaml", init_scenario()), ("trace.csv", experiment::QUICKSTART_TRACE.to_owned())];
    for (name, _) in &files {
        let path = folder.join(name);
        if path.exists() {
            let help = "name another folder: slicewise does not overwrite what you made";
            return Err(Failure::input("exists", &path.display().to_string(), "is there already", help));
        }
    }
    std::fs::create_dir_all(folder).map_err(|e| Failure::Output(format!("{}: {e}", folder.display())))?;
    for (name, text) in &files {
        let path = folder.join(name);
        crate::report::atomic(&path, |out| out.write_all(text.as_bytes()))
            .map_err(|error| Failure::Output(error.to_string()))?;
        terminal.say(&format!("wrote {}", path.display()));
    }
    terminal.say(&format!("next: slicewise run {}", folder.join("scenario.yaml").display()));
    Ok(())
}

/// The quickstart with its trace beside it and no schema of this repository.
fn init_scenario() -> String {
    let text = experiment::QUICKSTART.replace("builtin:quickstart", "trace.csv");
    let schema =
        "# yaml-language-server: $schema=scenario.schema.json (slicewise schema > scenario.schema.json)";
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("# yaml-language-server") => format!("{schema}\n{rest}"),
        _ => text,
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "slicewise", &mut text);
    print(&String::from_utf8_lossy(&text))
}

fn man() -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut text).expect("a page in memory");
    print(&String::from_utf8_lossy(&text))
}
