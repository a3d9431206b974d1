//! The command line by files in, files and words out: results on stdout, everything else on stderr,
//! and an exit code that means something.
//!
//! `SLICEWISE_BLESS=1 cargo test --test cli` writes the expected files anew; read what it changed.

mod check;
mod errors;
mod fit;
mod plan;
mod verbs;

use assert_cmd::Command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// A folder of files for one test, and the program run in it.
struct Stage {
    folder: TempDir,
}

/// What the program said.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Stage {
    fn new() -> Stage {
        Stage { folder: TempDir::new().expect("a temporary folder") }
    }

    /// A folder with these files.
    fn with(files: &[(&str, &str)]) -> Stage {
        let stage = Stage::new();
        for (name, text) in files {
            stage.write(name, text.as_bytes());
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file in a temporary folder");
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slicewise"));
        command.current_dir(self.folder.path()).args(words);
        // What the tester has set must not matter.
        for name in [
            "NO_COLOR",
            "CLICOLOR_FORCE",
            "SLICEWISE_QUIET",
            "SLICEWISE_SEED",
            "SLICEWISE_REPLICATIONS",
            "SLICEWISE_THREADS",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        Said::of(self.command(words).output().expect("the program starts"))
    }
}

impl Said {
    fn of(output: Output) -> Said {
        Said {
            code: output.status.code().expect("the program ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    #[track_caller]
    fn ok(self) -> Said {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Failed with `code`, nothing on stdout, and all of `parts` on stderr.
    #[track_caller]
    fn fails(self, code: i32, parts: &[&str]) -> Said {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(self.stdout, "", "what failed has no result");
        self.says(parts)
    }

    /// Has all of `parts` on stderr, and no sign of a panic.
    #[track_caller]
    fn says(self, parts: &[&str]) -> Said {
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("bug in slicewise") && !self.stderr.contains("panicked"));
        self
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares with an expected file, or writes it where that is asked for.
#[track_caller]
fn golden(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os("SLICEWISE_BLESS").is_some() {
        fs::write(&file, text).expect("an expected file");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(text == expected, "{path} is not what is printed (SLICEWISE_BLESS=1 writes it anew):\n{text}");
}
