//! Measured step times: which class ran on which slice, or beside which neighbours, and how long a step
//! took.
//!
//! Any CSV with a header will do. Columns go by the names that people give them ([`Columns`] renames
//! them), so that what `slicewise validate --measure` writes and the public measurements of MISO and
//! Gavel are read as they are. Rows of a rate of 0, or without a time, are measurements that nobody
//! could take: they are left out and counted.

use super::read::{Header, each_row, start};
use super::records::{Complaint, Record, Records, shown};
use crate::diag::{self, Diagnostic};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Names of columns that are known without being named, best first.
const CLASS: &[&[&str]] = &[
    &["class"],
    &["workload", "batch_size"],
    &["workload", "batch"],
    &["workload"],
    &["model", "batch_size"],
    &["model", "batch"],
    &["model"],
    &["job"],
];
const SLICE: &[&str] = &["slice", "mig_profile", "profile"];
const NEIGHBOURS: &[&str] = &["neighbours", "neighbors"];
const MODE: &[&str] = &["mode", "sharing"];
const TIME: &[&str] = &[
    "time",
    "time_s",
    "time_ms",
    "time_us",
    "step_s",
    "step_ms",
    "step_us",
    "seconds",
    "mean_step_s",
    "median_step_s",
];
const RATE: &[&str] = &["rate", "throughput", "steps_s"];
/// A row of two jobs that ran beside each other: names, rates alone, rates together.
const PAIR: [&str; 6] =
    ["job_a", "job_b", "a_alone_steps_s", "b_alone_steps_s", "a_shared_steps_s", "b_shared_steps_s"];
/// What such rows are told apart by, if they have it.
const PAIR_BY: &str = "gpu";

/// Processes on one GPU, at most: beyond any limit of MPS.
const COPIES_MOST: u64 = 1_000;

/// How a GPU was shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Not at all: a whole GPU with one class on it.
    Whole,
    /// A MIG slice.
    Mig,
    /// MPS.
    Mps,
    /// Time-slicing.
    TimeSlicing,
}

impl Mode {
    /// Every mode by its words, the usual one first.
    pub const WORDS: [(&'static [&'static str], Mode); 4] = [
        (&["whole", "exclusive", "alone"], Mode::Whole),
        (&["mig"], Mode::Mig),
        (&["mps"], Mode::Mps),
        (&["time-slicing", "time_slicing", "timeslicing"], Mode::TimeSlicing),
    ];

    fn parse(text: &str) -> Option<Mode> {
        let text = text.to_lowercase();
        Mode::WORDS.iter().find(|(words, _)| words.contains(&text.as_str())).map(|(_, mode)| *mode)
    }

    /// The word that scenarios use.
    #[must_use]
    pub fn word(self) -> &'static str {
        Mode::WORDS.iter().find(|(_, mode)| *mode == self).expect("every mode has words").0[0]
    }
}

/// How a file's columns are called where not by a name that is known, and what it leaves unsaid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Columns that together name the class.
    pub class: Vec<String>,
    /// Column of the MIG slice.
    pub slice: Option<String>,
    /// Column of the neighbours: names joined by `+`, or a number of copies.
    pub neighbours: Option<String>,
    /// Column of the mode.
    pub mode: Option<String>,
    /// Column of the time of a step; a name that ends in `_ms` or `_us` says its unit, else seconds.
    pub time: Option<String>,
    /// Column of steps in a unit of time.
    pub rate: Option<String>,
    /// Columns whose values are fitted apart: GPUs, say.
    pub by: Vec<String>,
    /// The mode of rows that name none.
    pub assume: Option<Mode>,
    /// Compute slices of the full instance; a slice of more is refused.
    pub full: u8,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it is fitted apart by; empty where nothing.
    pub by: String,
    /// What ran.
    pub class: String,
    /// How the GPU was shared.
    pub mode: Mode,
    /// Its slice as the file has it; empty where it has none.
    pub slice: String,
    /// Compute slices of it; 0 without a slice.
    pub slices: u8,
    /// What ran beside it, in order of name.
    pub neighbours: Vec<String>,
    /// Time of a step in seconds, above 0; of a rate, its inverse.
    pub seconds: f64,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Its measurements, in its order.
    pub rows: Vec<Step>,
    /// Rows in which nothing could be measured.
    pub empty: u64,
    /// What was assumed.
    pub notes: Vec<String>,
    /// SHA-256 of the file in hex.
    pub sha256: String,
}

/// Reads measured steps from a file, called `name` in complaints.
///
/// # Errors
/// Everything that is wrong with it, up to 20 rows and the number of the rest.
pub fn open_steps(columns: &Columns, name: &str, path: &Path) -> Result<Steps, Vec<Diagnostic>> {
    let file = File::open(path).map_err(|error| {
        let help = "`slicewise validate --measure FILE` writes one";
        vec![Diagnostic::error("unreadable", name, format!("cannot be opened: {error}")).help(help)]
    })?;
    read_steps(columns, name, file)
}

/// The same of anything that can be read.
///
/// # Errors
/// As [`open_steps`].
pub fn read_steps(columns: &Columns, name: &str, reader: impl Read) -> Result<Steps, Vec<Diagnostic>> {
    let mut records = Records::new(name, reader);
    let layout = start(name, &mut records, |header| Layout::new(columns, header))?;
    let (mut rows, mut empty, mut seen) = (Vec::new(), 0, 0_u64);
    let mut diagnostics = each_row(name, &mut records, |record| {
        seen += 1;
        empty += u64::from(!layout.row(record, &mut rows)?);
        Ok(())
    });
    if diagnostics.is_empty() && seen == 0 {
        let help = "each line below the header is one measurement";
        diagnostics.push(Diagnostic::error("no-rows", name, "the file has a header and no row").help(help));
    }
    match diagnostics.is_empty() {
        true => Ok(Steps { rows, empty, notes: layout.notes(), sha256: records.sha256() }),
        false => Err(diagnostics),
    }
}

/// Where the columns of a file are.
#[derive(Debug)]
struct Layout {
    by: Vec<usize>,
    of: Of,
    assume: Option<Mode>,
    full: u8,
}

#[derive(Debug)]
enum Of {
    /// A row is one measurement.
    One {
        class: Vec<usize>,
        slice: Option<usize>,
        neighbours: Option<usize>,
        mode: Option<usize>,
        time: usize,
        /// Seconds of one unit; `None` of a rate.
        unit: Option<f64>,
    },
    /// A row is two jobs, with rates alone and together.
    Pair([usize; 6]),
}

impl Layout {
    fn new(columns: &Columns, header: &Header<'_>) -> Result<Layout, Vec<Diagnostic>> {
        let mut missing = Vec::new();
        let mut named = |name: &String| {
            let at = header.position(name);
            if at.is_none() {
                missing.push(header.missing(name));
            }
            at
        };
        let known = |names: &[&str]| names.iter().find_map(|name| header.position(name));
        let mut by: Vec<usize> = columns.by.iter().filter_map(&mut named).collect();
        let nothing_named = columns.class.is_empty() && columns.time.is_none() && columns.rate.is_none();
        let pair = PAIR.map(|name| header.position(name));
        if nothing_named && pair.iter().all(Option::is_some) {
            if columns.by.is_empty() {
                by.extend(header.position(PAIR_BY));
            }
            let of = Of::Pair(pair.map(|at| at.expect("all are there")));
            let assume = columns.assume.or(Some(Mode::Mps));
            return if missing.is_empty() {
                Ok(Layout { by, of, assume, full: columns.full })
            } else {
                Err(missing)
            };
        }
        let class: Vec<usize> = match columns.class.is_empty() {
            false => columns.class.iter().filter_map(&mut named).collect(),
            true => {
                let all =
                    |names: &&[&str]| names.iter().map(|n| header.position(n)).collect::<Option<Vec<_>>>();
                CLASS.iter().find_map(all).unwrap_or_default()
            }
        };
        let mut one = |given: &Option<String>, names: &[&str]| match given {
            Some(name) => named(name),
            None => known(names),
        };
        let slice = one(&columns.slice, SLICE);
        let neighbours = one(&columns.neighbours, NEIGHBOURS);
        let mode = one(&columns.mode, MODE);
        let (time, rate) = match (&columns.time, &columns.rate) {
            (None, Some(_)) => (None, one(&columns.rate, RATE)),
            (Some(_), _) => (one(&columns.time, TIME), None),
            (None, None) => match known(TIME) {
                Some(time) => (Some(time), None),
                None => (None, known(RATE)),
            },
        };
        let lacking = |what: &str, option: &str, names: &str| {
            let complaint = Complaint::new("missing-column", 0, format!("no column is known to be {what}"));
            let listed: Vec<String> = header.record.texts().take(16).map(|n| shown(n.trim())).collect();
            let help =
                format!("name it by `{option}`, or call it {names}; the columns are: {}", listed.join(", "));
            header.complain(complaint.help(help))
        };
        if class.is_empty() && columns.class.is_empty() {
            missing.push(lacking("the class", "--class", "`class`, `workload` or `model`"));
        }
        if time.is_none() && rate.is_none() && columns.time.is_none() && columns.rate.is_none() {
            missing.push(lacking(
                "the time of a step",
                "--time",
                "`time`, `step_s`, `step_us` or `mean_step_s`",
            ));
        }
        if slice.is_none() && neighbours.is_none() && columns.slice.is_none() && columns.neighbours.is_none()
        {
            let what = "the slice or the neighbours";
            missing.push(lacking(
                what,
                "--slice` or `--neighbours",
                "`slice`, `mig_profile` or `neighbours`",
            ));
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let assume = columns.assume.or(match (mode, neighbours) {
            (None, None) => Some(Mode::Mig),
            _ => None,
        });
        if mode.is_none() && assume.is_none() {
            let at = neighbours.expect("else it is MIG");
            let message = "the file has neighbours and does not say how they share the GPU";
            let complaint = Complaint::new("missing-mode", at, message);
            let help = "say `--mode mps` or `--mode time-slicing`, or add a column `mode`";
            return Err(vec![header.complain(complaint.help(help))]);
        }
        let column = time.or(rate).expect("one of both, or it is missing");
        let unit = time.map(|at| unit_of(header.record.text(at).trim()));
        let of = Of::One { class, slice, neighbours, mode, time: column, unit };
        Ok(Layout { by, of, assume, full: columns.full })
    }

    fn notes(&self) -> Vec<String> {
        match (&self.of, self.assume) {
            (Of::Pair(_), Some(Mode::Mps)) => {
                vec!["The file does not say how its pairs shared the GPU: read as MPS (`--mode` says otherwise).".to_owned()]
            }
            _ => Vec::new(),
        }
    }

    /// Adds the measurements of a row; whether there were any.
    fn row(&self, record: &Record<'_>, rows: &mut Vec<Step>) -> Result<bool, Complaint> {
        let by = joined(record, &self.by);
        match &self.of {
            Of::Pair(columns) => self.pair(record, columns, by, rows),
            Of::One { class, slice, neighbours, mode, time, unit } => {
                let (class, at) = (joined(record, class), class[0]);
                if class.is_empty() {
                    return Err(record.complaint("empty-name", at, "is empty").help("the class has a name"));
                }
                let mode = self.mode(record, *mode)?;
                let (label, slices) = match slice.map(|at| (at, record.text(at).trim())) {
                    None | Some((_, "")) => (String::new(), 0),
                    Some((at, text)) => (text.to_owned(), self.slices(record, at, text)?),
                };
                if mode == Mode::Mig && slices == 0 {
                    let at = slice.unwrap_or(*time);
                    let complaint = record.complaint("no-slice", at, "a row of MIG names no slice");
                    return Err(
                        complaint.help("name it as `2g.10gb`, `2g` or 2; a whole GPU has the mode `whole`")
                    );
                }
                let neighbours = match (mode, neighbours) {
                    (Mode::Mps | Mode::TimeSlicing, Some(at)) => beside(record, *at, &class)?,
                    _ => Vec::new(),
                };
                let Some(value) = measured(record, *time)? else { return Ok(false) };
                let seconds = match unit {
                    Some(unit) => value * unit,
                    None if value == 0.0 => return Ok(false),
                    None => 1.0 / value,
                };
                if seconds <= 0.0 {
                    let complaint = record.complaint("bad-number", *time, "a step takes time, and this is 0");
                    return Err(complaint.help("leave the field empty where nothing could be measured"));
                }
                rows.push(Step { by, class, mode, slice: label, slices, neighbours, seconds });
                Ok(true)
            }
        }
    }

    /// Both sides of a pair, alone and together.
    fn pair(
        &self,
        record: &Record<'_>,
        columns: &[usize; 6],
        by: String,
        rows: &mut Vec<Step>,
    ) -> Result<bool, Complaint> {
        let [a, b] = [columns[0], columns[1]].map(|at| record.text(at).trim().to_owned());
        for (name, at) in [(&a, columns[0]), (&b, columns[1])] {
            if name.is_empty() {
                return Err(record.complaint("empty-name", at, "is empty").help("the class has a name"));
            }
        }
        let mut rates = [0.0; 4];
        for (rate, at) in rates.iter_mut().zip(&columns[2..]) {
            *rate = measured(record, *at)?.unwrap_or(0.0);
        }
        if rates.contains(&0.0) {
            return Ok(false);
        }
        let mode = self.assume.expect("pairs have one");
        let mut push = |class: &String, neighbours: Vec<String>, rate: f64| {
            let (by, class, slice) = (by.clone(), class.clone(), String::new());
            rows.push(Step { by, class, mode, slice, slices: 0, neighbours, seconds: 1.0 / rate });
        };
        push(&a, Vec::new(), rates[0]);
        push(&a, vec![b.clone()], rates[2]);
        // A pair with itself is one measurement, told twice.
        if a != b {
            push(&b, Vec::new(), rates[1]);
            push(&b, vec![a.clone()], rates[3]);
        }
        Ok(true)
    }

    fn mode(&self, record: &Record<'_>, column: Option<usize>) -> Result<Mode, Complaint> {
        let text = column.map_or("", |at| record.text(at).trim());
        match (column, self.assume) {
            (_, Some(mode)) if text.is_empty() => Ok(mode),
            (Some(at), _) => Mode::parse(text).ok_or_else(|| {
                let words = || Mode::WORDS.iter().map(|(words, _)| words[0]);
                let complaint =
                    record.complaint("unknown-name", at, format!("`{}` is no way of sharing", shown(text)));
                complaint.help(match diag::nearest(text, words()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are `{}`", words().collect::<Vec<_>>().join("`, `")),
                })
            }),
            (None, None) => unreachable!("a file without modes has one that is assumed"),
            (None, Some(mode)) => Ok(mode),
        }
    }

    /// Compute slices of a profile's name: the number before its `g`.
    fn slices(&self, record: &Record<'_>, column: usize, text: &str) -> Result<u8, Complaint> {
        let lower = text.to_lowercase();
        let name = lower.trim_start_matches("nvidia.com/").trim_start_matches("mig-");
        let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
        let rest = &name[digits.len()..];
        let known = rest.is_empty() || rest == "g" || rest.starts_with("g.");
        let number = digits.parse::<u8>().ok().filter(|n| known && 0 < *n);
        let Some(slices) = number else {
            let complaint =
                record.complaint("bad-profile", column, format!("`{}` is no MIG slice", shown(text)));
            return Err(complaint.help("name it as `2g.10gb`, `2g` or 2"));
        };
        if self.full < slices {
            let message = format!("`{}` has more than the GPU's {} compute slices", shown(text), self.full);
            let complaint = record.complaint("bad-profile", column, message);
            return Err(complaint.help("`--gpu MODEL` says which GPU it was"));
        }
        Ok(slices)
    }
}

/// Seconds of one unit of a column of this name.
fn unit_of(name: &str) -> f64 {
    match name.rsplit('_').next() {
        Some("us") => 1e-6,
        Some("ms") => 1e-3,
        _ => 1.0,
    }
}

/// The texts of columns, joined to one name.
fn joined(record: &Record<'_>, columns: &[usize]) -> String {
    let texts = columns.iter().map(|at| record.text(*at).trim()).filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join("-")
}

/// A number that is not negative; `None` of an empty field.
fn measured(record: &Record<'_>, column: usize) -> Result<Option<f64>, Complaint> {
    let text = record.text(column).trim();
    if text.is_empty() || text.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && 0.0 <= value => Ok(Some(value)),
        _ => {
            let message = format!("`{}` is no measured number", shown(text));
            let complaint = record.complaint("bad-number", column, message);
            Err(complaint
                .help("write a number from 0, as 0.0125 or 1.25e-2; an empty field is no measurement"))
        }
    }
}

/// Who ran beside a class: so many copies of it, or names joined by `+`.
fn beside(record: &Record<'_>, column: usize, class: &str) -> Result<Vec<String>, Complaint> {
    let text = record.text(column).trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if let Ok(copies) = text.parse::<u64>() {
        if COPIES_MOST < copies {
            let message = format!("{copies} neighbours are more than a GPU takes");
            return Err(record.complaint("out-of-range", column, message).help("at most 1000"));
        }
        return Ok(vec![class.to_owned(); copies as usize]);
    }
    let mut names: Vec<String> = text.split('+').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        let complaint = record.complaint(
            "empty-name",
            column,
            format!("`{}` has a neighbour without a name", shown(text)),
        );
        return Err(complaint.help("write `a+b`, or a number of copies"));
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(columns: &Columns, text: &str) -> Result<Steps, Vec<Diagnostic>> {
        read_steps(&Columns { full: 7, ..columns.clone() }, "m.csv", text.as_bytes())
    }

    /// A row as one line.
    fn line(step: &Step) -> String {
        let Step { by, class, mode, slice, slices, neighbours, seconds } = step;
        let (mode, neighbours) = (mode.word(), neighbours.join("+"));
        format!("{by}|{class}|{mode}|{slice}|{slices}|{neighbours}|{seconds}")
    }

    #[track_caller]
    fn reads(columns: &Columns, text: &str, expected: &[&str]) {
        let steps = read(columns, text).expect("it is right");
        assert_eq!(steps.rows.iter().map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn known_columns_need_no_names() {
        let plain = Columns::default();
        reads(
            &plain,
            "class,slice,time\na,2g.10gb,0.5\na,MIG-7g,2.5e-1\nb,3,1\n",
            &["|a|mig|2g.10gb|2||0.5", "|a|mig|MIG-7g|7||0.25", "|b|mig|3|3||1"],
        );
        reads(
            &plain,
            "model,batch_size,mig_profile,n_steps,mean_step_s,median_step_s\nbert,2,2g.10gb,9,0.125,9\n",
            &["|bert-2|mig|2g.10gb|2||0.125"],
        );
        // What `validate --measure` writes.
        let timed = "class,sharing,slice,neighbours,client,step_us\n\
                     matmul,mig,1g.5gb,0,0,1000000\nmatmul,mps,,2,1,2000000\nmatmul,time-slicing,,0,0,500000\n";
        reads(
            &plain,
            timed,
            &["|matmul|mig|1g.5gb|1||1", "|matmul|mps||0|matmul+matmul|2", "|matmul|time-slicing||0||0.5"],
        );
        // Gavel's pairs; a row of 0 could not run.
        let header = "gpu,job_a,job_b,a_alone_steps_s,b_alone_steps_s,a_shared_steps_s,b_shared_steps_s,a_norm,b_norm\n";
        let steps = read(
            &plain,
            &format!("{header}v100,x,y,4,2,2,1,.5,.5\nv100,x,x,4,4,2,2,.5,.5\nv100,y,y,2,2,0,0,0,0\n"),
        );
        let steps = steps.expect("it is right");
        let lines: Vec<String> = steps.rows.iter().map(line).collect();
        assert_eq!(
            lines[..4],
            ["v100|x|mps||0||0.25", "v100|x|mps||0|y|0.5", "v100|y|mps||0||0.5", "v100|y|mps||0|x|1"]
        );
        assert_eq!((lines.len(), steps.empty, steps.notes.len()), (6, 1, 1));
    }

    #[test]
    fn columns_can_be_named() {
        let columns = Columns {
            class: vec!["net".to_owned(), "b".to_owned()],
            neighbours: Some("with".to_owned()),
            rate: Some("ips".to_owned()),
            by: vec!["card".to_owned()],
            assume: Some(Mode::TimeSlicing),
            ..Columns::default()
        };
        reads(
            &columns,
            "card,net,b,with,ips\nT4,r,8,v-1 + r-8,4\nT4,r,8,,8\nT4,r,8,1,0\n",
            &["T4|r-8|time-slicing||0|r-8+v-1|0.25", "T4|r-8|time-slicing||0||0.125"],
        );
    }

    #[test]
    fn mistakes_are_told_all_at_once_and_where() {
        let text = "class,mode,slice,neighbours,time\n\
                    a,mgi,1g,,1\n,mig,1g,,1\na,mig,9g,,1\na,mig,1c.3g,,1\na,mig,,,1\na,mps,,b+,1\na,mps,,,-1\na,mps,,,0\na,mps,,9999,1\na,mps\n";
        let wrong = read(&Columns::default(), text).expect_err("much is wrong");
        let told: Vec<_> = wrong.iter().map(|d| (d.line, d.code)).collect();
        assert_eq!(
            told,
            [
                (2, "unknown-name"),
                (3, "empty-name"),
                (4, "bad-profile"),
                (5, "bad-profile"),
                (6, "no-slice"),
                (7, "empty-name"),
                (8, "bad-number"),
                (9, "bad-number"),
                (10, "out-of-range"),
                (11, "wrong-field-count"),
            ]
        );
        assert!(wrong.iter().all(|d| d.help.is_some()), "{wrong:?}");
    }

    #[test]
    fn missing_columns_are_told_all_at_once() {
        let wrong = read(&Columns::default(), "name,foo\na,b\n").expect_err("nothing is known");
        assert_eq!(wrong.iter().map(|d| d.code).collect::<Vec<_>>(), ["missing-column"; 3]);
        let named =
            Columns { class: vec!["nme".to_owned()], time: Some("foo".to_owned()), ..Columns::default() };
        let wrong = read(&named, "name,foo,slice\na,1,1g\n").expect_err("one is misspelt");
        assert!(wrong[0].help.as_deref().is_some_and(|help| help.contains("`name`")), "{wrong:?}");
        let wrong =
            read(&Columns::default(), "class,neighbours,time\na,1,1\n").expect_err("how do they share?");
        assert_eq!(wrong[0].code, "missing-mode");
        for text in ["", "class,slice,time\n"] {
            assert_eq!(read(&Columns::default(), text).expect_err("empty").len(), 1);
        }
    }
}
