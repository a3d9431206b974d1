//! The house rules as a test: whatever breaks one is named as `file:line: what, use instead`.
//!
//! The floors are read out of src/lib.rs, the banned methods out of clippy.toml; a new rule is a few
//! lines here. Code is compared by tokens, so comments and texts may say what code may not.
#![expect(clippy::print_stdout, reason = "what is skipped is said")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A file of the repository.
struct File {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

impl File {
    /// The top module that it belongs to; none for the roots of crates and for tests.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let name = inside.split('/').next()?.trim_end_matches(".rs");
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    /// Names on the way from the crate to its module: `["sched", "row"]`.
    fn names(&self) -> Vec<&str> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.split('/').collect()
    }

    fn is_in(&self, module: &str) -> bool {
        self.module() == Some(module)
    }
}

/// All text files of these endings, in order of path; build outputs and reports are left out.
fn files(endings: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "reports" {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).expect("UTF-8 text");
                let path = path.strip_prefix(root).expect("below the root");
                found.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Complaints of one rule.
#[derive(Default)]
struct Complaints(String);

impl Complaints {
    fn add(&mut self, file: &str, line: usize, what: &str, instead: &str) {
        writeln!(self.0, "{file}:{line}: {what}, {instead}").expect("to a string");
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

/// A word or a sign of code, with its line.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// The tokens of Rust code without comments and literals. `::` is one token.
fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut tokens, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => i += chars[i..].iter().take_while(|c| **c != '\n').count(),
            '/' if at(i + 1) == '*' => i = end_of_comment(&chars, i),
            '"' => i = end_of_text(&chars, i + 1, '"'),
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => i = end_of_text(&chars, i + 1, '\''),
            'r' | 'b' if let Some(end) = end_of_raw(&chars, i) => i = end,
            c if c.is_alphanumeric() || c == '_' => {
                i += chars[i..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                tokens.push(Token { text: chars[start..i].iter().collect(), line });
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                tokens.push(Token { text: "::".to_owned(), line });
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.to_string(), line });
                }
            }
        }
        line += chars[start..i].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn end_of_text(chars: &[char], mut i: usize, quote: char) -> usize {
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// The end of `r"…"`, `r#"…"#`, `b"…"` or `br"…"` if one begins here.
fn end_of_raw(chars: &[char], start: usize) -> Option<usize> {
    let mut i = start + usize::from(chars[start] == 'b');
    let raw = chars.get(i) == Some(&'r');
    i += usize::from(raw);
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    if chars.get(i + hashes) != Some(&'"') || (!raw && 0 < hashes) {
        return None;
    }
    if !raw {
        return Some(end_of_text(chars, i + 1, '"'));
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = i + hashes + 1;
    let length = chars[body..].windows(close.len()).position(|w| w == close)?;
    Some(body + length + close.len())
}

/// Floors as the `mod` lines of src/lib.rs have them, lowest first.
fn floors_of_code(lib: &str) -> Vec<BTreeSet<&str>> {
    let mut floors = vec![BTreeSet::new()];
    for line in lib.lines() {
        match line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            Some(module) => {
                floors.last_mut().expect("one at least").insert(module);
            }
            None => floors.push(BTreeSet::new()),
        }
    }
    floors.retain(|floor| !floor.is_empty());
    floors
}

/// Floors as the picture in the crate's page has them, lowest first: `3 state  cluster  who holds …`.
fn floors_of_picture(lib: &str) -> Vec<BTreeSet<&str>> {
    let mut floors = BTreeMap::new();
    for line in lib.lines() {
        let Some(line) = line.strip_prefix("//! ") else { continue };
        let Some((number, rest)) = line.split_once(' ') else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        let Some((_, rest)) = rest.split_once(' ') else { continue };
        let modules = rest.trim_start().split("  ").next().expect("a first part");
        floors.insert(number, modules.split_whitespace().collect());
    }
    floors.into_values().collect()
}

/// Heights by module.
fn heights(lib: &str) -> BTreeMap<&str, usize> {
    let floors = floors_of_code(lib).into_iter().enumerate();
    floors.flat_map(|(height, modules)| modules.into_iter().map(move |m| (m, height))).collect()
}

/// What a file reaches by `crate::…` (the modules, with lines) and where `super::` leaves its module.
fn reached(file: &File, tokens: &[Token]) -> (Vec<(String, usize)>, Vec<usize>) {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let (mut modules, mut climbs) = (Vec::new(), Vec::new());
    // Braces of inline modules: `super` climbs out of these first.
    let (mut depth, mut inline) = (0_usize, Vec::new());
    let mut i = 0;
    while i < tokens.len() {
        match text(i) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|at| *at <= depth);
            }
            "mod" if text(i + 2) == "{" => inline.push(depth + 1),
            "crate" if text(i + 1) == "::" && text(i + 2) == "{" => {
                let (mut level, mut at) = (1, i + 3);
                while 0 < level {
                    let starts = matches!(text(at - 1), "{" | ",") && level == 1;
                    match text(at) {
                        "{" => level += 1,
                        "}" => level -= 1,
                        name if starts => modules.push((name.to_owned(), tokens[at].line)),
                        _ => {}
                    }
                    at += 1;
                }
            }
            // `pub(in crate::x)` and plain paths alike.
            "crate" if text(i + 1) == "::" => modules.push((text(i + 2).to_owned(), tokens[i].line)),
            "super" if text(i + 1) == "::" && text(i.wrapping_sub(1)) != "::" => {
                let ups = (i..).step_by(2).take_while(|at| text(*at) == "super").count();
                if file.names().len() + inline.len() <= ups {
                    climbs.push(tokens[i].line);
                }
            }
            _ => {}
        }
        i += 1;
    }
    (modules, climbs)
}

fn lib() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("src/lib.rs")
}

#[test]
fn the_picture_shows_the_floors_of_the_code() {
    let lib = lib();
    let floors = floors_of_code(&lib);
    assert!(8 < floors.len() && floors[0].contains("units"), "{floors:?}");
    assert_eq!(floors_of_picture(&lib), floors, "the picture and the `mod` lines of src/lib.rs");
    let modules: BTreeSet<String> =
        files(&[".rs"]).iter().filter_map(|file| file.module().map(str::to_owned)).collect();
    let named: BTreeSet<String> = floors.iter().flatten().map(|m| (*m).to_owned()).collect();
    assert_eq!(modules, named, "modules under src/ and those of src/lib.rs");
}

#[test]
fn modules_name_only_lower_floors() {
    let lib = lib();
    let heights = heights(&lib);
    let mut complaints = Complaints::default();
    for file in files(&[".rs"]) {
        let Some(module) = file.module() else { continue };
        let (modules, climbs) = reached(&file, &tokens(&file.text));
        for (named, line) in modules.iter().filter(|(named, _)| named != module) {
            let instead = match heights.get(named.as_str()) {
                None => "name one of the modules of src/lib.rs".to_owned(),
                Some(height) if *height < heights[module] => continue,
                Some(height) => {
                    let relation = if *height == heights[module] { "its own" } else { "a higher" };
                    format!("which stands on {relation} floor: put the word they share a floor lower")
                }
            };
            complaints.add(&file.path, *line, &format!("`{module}` names `crate::{named}`"), &instead);
        }
        for line in climbs {
            complaints.add(&file.path, line, "`super::` climbs out of the module", "use `crate::`");
        }
    }
    complaints.none();
}

#[test]
fn the_reader_of_paths_sees_what_it_should() {
    let file = File { path: "src/sched/row.rs".to_owned(), text: String::new() };
    let code = r##"
        //! crate::comment
        use crate::cluster::{Cluster, Grant};
        use crate::{id::NodeId, units::{Time, Span}, cli};
        use super::filter::Shape; /* crate::no /* nested */ crate::no */
        use super::super::report;
        fn f<'a>(c: char) -> &'a str { if c == '"' || c == '\'' { r#"crate::raw"# } else { "crate::text" } }
        mod tests { use super::super::super::trace; use super::super::spec; use super::*; }
        fn g() { crate::sim::run(b"crate::bytes") }"##;
    let (modules, climbs) = reached(&file, &tokens(code));
    let expected = [("cluster", 3), ("id", 4), ("units", 4), ("cli", 4), ("sim", 9)];
    assert_eq!(modules, expected.map(|(module, line)| (module.to_owned(), line)));
    assert_eq!(climbs, [6, 8]);
}

#[test]
fn every_file_says_what_it_is() {
    let mut complaints = Complaints::default();
    for file in files(&[".rs"]) {
        if !file.text.starts_with("//! ") {
            complaints.add(&file.path, 1, "no `//!` on the first line", "say what this file is");
        }
    }
    complaints.none();
}

/// Method names that clippy.toml disallows.
fn disallowed_methods() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clippy.toml");
    let text = fs::read_to_string(path).expect("clippy.toml");
    let names: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(r#"{ path = "f64::"#)?.split('"').next())
        .map(str::to_owned)
        .collect();
    assert!(names.contains("powf") && names.contains("ln"), "clippy.toml was not understood");
    names
}

#[test]
fn floats_come_out_equal_on_every_processor() {
    let banned = disallowed_methods();
    let mut complaints = Complaints::default();
    for file in files(&[".rs"]).iter().filter(|file| file.path.starts_with("src/")) {
        for window in tokens(&file.text).windows(4) {
            let [of, by, name, call] = window else { unreachable!("windows of four") };
            let by_path = by.text == "::" && matches!(of.text.as_str(), "f64" | "f32");
            let method = (by.text == "." && call.text == "(") || by_path;
            if method && banned.contains(&name.text) {
                complaints.add(
                    &file.path,
                    name.line,
                    &format!("`{}` of std differs between processors", name.text),
                    "use `libm`",
                );
            }
        }
    }
    complaints.none();
}

/// A word that code may not use, but in some modules.
struct Ban {
    word: &'static str,
    /// What follows the word, if that matters: `!` of a macro.
    then: &'static str,
    /// The module that may.
    except: &'static str,
    instead: &'static str,
}

const BANS: [Ban; 10] = [
    Ban {
        word: "HashMap",
        then: "",
        except: "",
        instead: "use `BTreeMap`, or `FxHashMap` and never iterate it",
    },
    Ban {
        word: "HashSet",
        then: "",
        except: "",
        instead: "use `BTreeSet`, or `FxHashSet` and never iterate it",
    },
    Ban { word: "SystemTime", then: "", except: "cli", instead: "time is a value the engine hands out" },
    Ban { word: "Instant", then: "", except: "cli", instead: "time is a value the engine hands out" },
    Ban { word: "println", then: "!", except: "cli", instead: "return the text: only `cli` prints" },
    Ban { word: "eprintln", then: "!", except: "cli", instead: "return a diagnostic: only `cli` prints" },
    Ban { word: "print", then: "!", except: "cli", instead: "return the text: only `cli` prints" },
    Ban { word: "eprint", then: "!", except: "cli", instead: "return a diagnostic: only `cli` prints" },
    Ban { word: "dbg", then: "!", except: "", instead: "take it out" },
    Ban { word: "todo", then: "!", except: "", instead: "do it or say in an error that it cannot be done" },
];

/// The tokens of a file before its tests, which stand last.
fn shipped(file: &File) -> Vec<Token> {
    let mut tokens = tokens(&file.text);
    let tests = ["cfg", "(", "test", ")", "]", "mod", "tests"];
    let begin = tokens.windows(tests.len()).position(|w| w.iter().map(|t| t.text.as_str()).eq(tests));
    tokens.truncate(if file.path.ends_with("/tests.rs") { 0 } else { begin.unwrap_or(tokens.len()) });
    tokens
}

#[test]
fn banned_words_do_not_occur() {
    let mut complaints = Complaints::default();
    for file in files(&[".rs"]).iter().filter(|file| file.path.starts_with("src/")) {
        let tokens = shipped(file);
        for (at, token) in tokens.iter().enumerate() {
            let next = tokens.get(at + 1).map_or("", |token| token.text.as_str());
            let ban = |ban: &&Ban| token.text == ban.word && next.starts_with(ban.then);
            let Some(ban) = BANS.iter().find(ban) else { continue };
            if ban.except.is_empty() || !file.is_in(ban.except) {
                complaints.add(&file.path, token.line, &format!("`{}`", ban.word), ban.instead);
            }
        }
    }
    complaints.none();
}

#[test]
fn no_policy_knows_the_truth() {
    let mut complaints = Complaints::default();
    for file in files(&[".rs"]).iter().filter(|file| file.is_in("sched")) {
        for (at, line) in file.text.lines().enumerate() {
            if line.contains("Truth") || line.contains(".truths") {
                let instead = "a policy sees what a real scheduler would see: use the request";
                complaints.add(&file.path, at + 1, "a scheduler looks at the truth", instead);
            }
        }
    }
    complaints.none();
}

#[test]
fn nothing_is_left_for_later() {
    // In halves, so that this file may be searched too.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("#[ign", "ore")];
    let mut complaints = Complaints::default();
    for file in files(&[".rs", ".md", ".yaml", ".toml"]) {
        for (at, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.add(&file.path, at + 1, &format!("`{word}`"), "do it, or write down why not");
            }
        }
    }
    complaints.none();
}

/// Paths of this repository that a text names: below one of its folders, and with an ending.
fn named_files(text: &str) -> Vec<(&str, usize)> {
    const FOLDERS: [&str; 10] = [
        "src/",
        "tests/",
        "examples/",
        "benches/",
        "scenarios/",
        "traces/",
        "data/",
        "docs/",
        "schema/",
        "assets/",
    ];
    const ENDINGS: [&str; 8] = [".rs", ".yaml", ".csv", ".md", ".json", ".toml", ".css", ".ttf"];
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '*' | '<');
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for word in line.split(|c| !part(c)) {
            let word = word.trim_end_matches('.').trim_start_matches("../");
            let ours = FOLDERS.iter().any(|folder| word.starts_with(folder));
            if ours && ENDINGS.iter().any(|e| word.ends_with(e)) && !word.contains(['*', '<']) {
                found.push((word, at + 1));
            }
        }
    }
    found
}

#[test]
fn files_that_are_named_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join("README.md").exists() {
        println!("README.md is not there yet: what it will name is not checked");
    }
    let mut complaints = Complaints::default();
    for file in files(&[".rs", ".md", ".yaml", ".toml"]) {
        // This file makes up names.
        if file.path == "tests/tidy.rs" {
            continue;
        }
        for (named, line) in named_files(&file.text) {
            // `include_str!` names files from where it stands.
            let beside = root.join(&file.path).with_file_name(named);
            if !root.join(named).exists() && !beside.exists() {
                complaints.add(&file.path, line, &format!("`{named}` does not exist"), "name what does");
            }
        }
    }
    complaints.none();
}
