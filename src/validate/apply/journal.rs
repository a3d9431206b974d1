//! What may be ours on a GPU: one JSON object a line, on disk before the call that it announces.
//!
//! The journal never says what stands. A call may have taken effect without its `done`, or not at all:
//! whoever restores reads the device and asks the journal only whose an instance may be.

use super::snapshot::{Spot, sync_folder};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The number of the format.
pub(super) const SCHEMA: u32 = 1;

/// A change of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Sets the MIG mode.
    SetMode {
        /// On or off.
        on: bool,
    },
    /// Destroys a compute instance.
    DestroyCi {
        /// Its GPU instance.
        gi: Spot,
        /// It.
        ci: Spot,
    },
    /// Destroys a GPU instance.
    DestroyGi {
        /// It.
        gi: Spot,
    },
    /// Creates a GPU instance.
    CreateGi {
        /// It.
        gi: Spot,
    },
    /// Creates a compute instance.
    CreateCi {
        /// Its GPU instance.
        gi: Spot,
        /// It.
        ci: Spot,
    },
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(super) enum Line {
    /// The snapshot is on disk and nothing has changed.
    Begin {
        seq: u64,
        schema: u32,
        boot: String,
        uuid: String,
        driver: String,
        level: u8,
        /// Hash of the snapshot.
        snapshot: String,
        /// The target, as it was written.
        plan: String,
    },
    /// A call comes next.
    Intent {
        seq: u64,
        #[serde(flatten)]
        op: Op,
    },
    /// The call of this number took effect; NVML's number of what it made.
    Done { seq: u64, instance: Option<u32> },
    /// The call of this number failed.
    Failed { seq: u64, code: u32 },
    /// The way back begins.
    Restore { reason: String },
    /// Nothing is left to do.
    End { outcome: String },
}

/// A journal being written.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    seq: u64,
    /// Intents so far.
    pub(super) ops: Vec<Op>,
}

/// A journal as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) lines: Vec<Line>,
    /// Bytes of whole lines.
    whole: u64,
}

impl Found {
    /// Reads one; `None` where there is none. A torn last line is no line.
    pub(super) fn read(path: &Path) -> Result<Option<Found>, String> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
            Ok(bytes) => bytes,
        };
        let mut found = Found { lines: Vec::new(), whole: 0 };
        let mut pieces = text.split_inclusive(|b| *b == b'\n').peekable();
        let mut number = 0;
        while let Some(piece) = pieces.next() {
            number += 1;
            match serde_json::from_slice(piece) {
                Ok(line) if piece.ends_with(b"\n") => found.lines.push(line),
                _ if pieces.peek().is_none() => break,
                Ok(_) => unreachable!("a line that does not end is the last"),
                Err(error) => return Err(format!("{}:{number}: {error}", path.display())),
            }
            found.whole += piece.len() as u64;
        }
        Ok(Some(found))
    }

    /// Whether nothing is left to do.
    pub(super) fn is_finished(&self) -> bool {
        self.lines.is_empty() || self.lines.iter().any(|l| matches!(l, Line::End { .. }))
    }

    /// Every change that was announced.
    pub(super) fn ops(&self) -> Vec<Op> {
        let op = |line: &Line| match line {
            Line::Intent { op, .. } => Some(*op),
            _ => None,
        };
        self.lines.iter().filter_map(op).collect()
    }

    /// Goes on writing where it ends.
    pub(super) fn go_on(&self, path: &Path) -> io::Result<Journal> {
        let file = File::options().append(true).open(path)?;
        file.set_len(self.whole)?;
        let seq = |line: &Line| match line {
            Line::Begin { seq, .. } | Line::Intent { seq, .. } => *seq,
            _ => 0,
        };
        let seq = self.lines.iter().map(seq).max().unwrap_or(0);
        Ok(Journal { file, path: path.to_owned(), seq, ops: self.ops() })
    }
}

impl Journal {
    /// Begins a new one in the place of a finished one.
    pub(super) fn begin(path: &Path, begin: &Line) -> io::Result<(Journal, String)> {
        let text = line(begin);
        crate::report::atomic(path, |out| out.write_all(text.as_bytes())).map_err(|error| error.source)?;
        sync_folder(path)?;
        let file = File::options().append(true).open(path)?;
        Ok((Journal { file, path: path.to_owned(), seq: 0, ops: Vec::new() }, text))
    }

    /// Writes a line, and returns once the disk has it.
    pub(super) fn write(&mut self, what: &Line) -> Result<String, String> {
        let text = line(what);
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|error| format!("{}: {error}", self.path.display()))?;
        Ok(text)
    }

    /// The number of a new intent.
    pub(super) fn next(&mut self, op: Op) -> u64 {
        self.seq += 1;
        self.ops.push(op);
        self.seq
    }
}

fn line(what: &Line) -> String {
    format!("{}\n", serde_json::to_string(what).expect("plain values"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_ignored_and_written_over() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("j");
        assert!(Found::read(&path).expect("readable").is_none());
        let gi = Spot { start: 4, size: 4, profile: 9 };
        let begin = Line::Restore { reason: "a test".to_owned() };
        let (mut journal, _) = Journal::begin(&path, &begin).expect("writable");
        let op = Op::CreateGi { gi };
        let seq = journal.next(op);
        journal.write(&Line::Intent { seq, op }).expect("writable");
        let whole = fs::read_to_string(&path).expect("readable");
        for torn in ["{\"line\":\"do", "x", "{\"line\":\"end\",\"outcome\":\"done\"}"] {
            fs::write(&path, format!("{whole}{torn}")).expect("writable");
            let found = Found::read(&path).expect("readable").expect("there");
            assert!(found.lines.len() == 2 && !found.is_finished(), "{torn}");
            let mut again = found.go_on(&path).expect("writable");
            assert_eq!((again.seq, again.ops.as_slice()), (1, &[op][..]));
            again.write(&Line::End { outcome: "done".to_owned() }).expect("writable");
            assert!(Found::read(&path).expect("readable").expect("there").is_finished());
        }
        fs::write(&path, format!("{{}}\n{whole}")).expect("writable");
        assert!(Found::read(&path).expect_err("no line of ours").contains("j:1"));
    }
}
