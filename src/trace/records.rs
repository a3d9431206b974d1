//! CSV records that know where they stand: line, column and the text around them.
//!
//! The csv crate reads as fast but keeps neither the column nor the text of a field, and gives the
//! line of a comment to the record after it, so records are framed here. A record is never longer
//! than [`MAX_RECORD`], whatever the file: a "CSV" of one endless line is refused, not swallowed.

use super::number::{self, Wrong};
use crate::diag::Diagnostic;
use crate::units::Time;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

/// Longest record in bytes. The widest honest row is a few hundred.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// Latest moment and longest span that a file may say, in microseconds: 285 years, the range in
/// which every JSON reader holds integers exactly. Far below `u64`, so that sums stay inside it.
const MAX_MICROS: u64 = 1 << 53;

/// What is wrong with one field of a record; its place is added by [`Record::diagnostic`].
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) code: &'static str,
    pub(super) column: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Complaint {
    pub(super) fn new(code: &'static str, column: usize, message: impl Into<String>) -> Complaint {
        Complaint { code, column, message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Complaint {
        Complaint { help: Some(help.into()), ..self }
    }
}

/// What the file holds next.
pub(super) enum Next<'a> {
    Record(Record<'a>),
    /// A record that cannot be read; the ones after it can.
    Wrong(Diagnostic),
    /// Nothing after this can be read.
    Broken(Diagnostic),
    End,
}

/// Records of one file, one at a time in one buffer.
pub(super) struct Records<R> {
    input: BufReader<Hashed<R>>,
    file: String,
    /// Whether lines that start with `#` are skipped.
    pub(super) comments: bool,
    /// Column names, once known, for messages.
    header: Vec<String>,
    /// Line of the record in `text`, from 1, and of the line after it.
    line: usize,
    next_line: usize,
    text: Vec<u8>,
    split: Split,
}

impl<R: Read> Records<R> {
    pub(super) fn new(file: &str, input: R) -> Records<R> {
        Records {
            // 256 KiB: read(2) is then a thousandth of the time of a record's parsing.
            input: BufReader::with_capacity(1 << 18, Hashed { input, hash: Sha256::new() }),
            file: file.to_owned(),
            comments: false,
            header: Vec::new(),
            line: 0,
            next_line: 1,
            text: Vec::new(),
            split: Split::default(),
        }
    }

    /// Column names for the messages of the records to come.
    pub(super) fn set_header(&mut self, header: Vec<String>) {
        self.header = header;
    }

    /// SHA-256 of all that was read, in hex.
    pub(super) fn sha256(self) -> String {
        let digest = self.input.into_inner().hash.finalize();
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes all text");
            hex
        })
    }

    pub(super) fn next(&mut self) -> Next<'_> {
        match self.frame() {
            Ok(true) => {}
            Ok(false) => return Next::End,
            Err(broken) => return Next::Broken(*broken),
        }
        let text = match std::str::from_utf8(&self.text) {
            Ok(text) => text,
            Err(error) => return Next::Wrong(self.not_utf8(error.valid_up_to())),
        };
        let clean = match self.split.quoted {
            false => text,
            true => std::str::from_utf8(&self.split.clean).expect("UTF-8 cut at ASCII bytes is UTF-8"),
        };
        let record =
            Record { text, clean, fields: &self.split.fields, line: self.line, header: &self.header };
        match self.split.open_quote() {
            None => Next::Record(record),
            Some(at) => Next::Wrong(record.diagnostic_at(
                &self.file,
                "open-quote",
                at..at + 1,
                "this quote is never closed",
            )),
        }
    }

    /// Reads and splits the next record; false at the end of the file.
    fn frame(&mut self) -> Result<bool, Box<Diagnostic>> {
        loop {
            self.text.clear();
            self.line = self.next_line;
            if self.append_line()? == 0 {
                return Ok(false);
            }
            if self.line == 1 && self.text.starts_with(b"\xef\xbb\xbf") {
                self.text.drain(..3);
            }
            let comment = self.comments && self.text.first() == Some(&b'#');
            if !comment && !matches!(self.text.as_slice(), b"" | b"\n" | b"\r\n") {
                break;
            }
        }
        self.split.start();
        let mut fed = 0;
        loop {
            self.split.feed(&self.text, fed);
            fed = self.text.len();
            if self.split.open_quote().is_none() || self.append_line()? == 0 {
                return Ok(true);
            }
        }
    }

    /// Adds one line, with its end, to `text`: the bytes read, 0 at the end of the file.
    fn append_line(&mut self) -> Result<usize, Box<Diagnostic>> {
        let room = (MAX_RECORD + 1 - self.text.len()) as u64;
        let read = self.input.by_ref().take(room).read_until(b'\n', &mut self.text);
        let read = read.map_err(|error| {
            Box::new(Diagnostic::error("unreadable", &self.file, format!("cannot be read: {error}")))
        })?;
        if MAX_RECORD < self.text.len() {
            return Err(Box::new(self.too_long()));
        }
        self.next_line += usize::from(0 < read);
        Ok(read)
    }

    fn too_long(&self) -> Diagnostic {
        let (message, help) = match self.line == self.next_line {
            true => (format!("line {} is longer than 1 MiB: is this a CSV?", self.line), None),
            false => (
                format!("the row of line {} is longer than 1 MiB", self.line),
                Some("a quote that is never closed takes the rest of the file with it"),
            ),
        };
        let mut diagnostic = Diagnostic::error("line-too-long", &self.file, message);
        diagnostic.line = self.line;
        diagnostic.help = help.map(str::to_owned);
        diagnostic
    }

    fn not_utf8(&self, at: usize) -> Diagnostic {
        let text = String::from_utf8_lossy(&self.text);
        // Up to `at` the bytes are UTF-8, so offsets there are the same in both.
        let place = Record { text: &text, clean: "", fields: &[], line: self.line, header: &[] };
        place
            .diagnostic_at(
                &self.file,
                "not-utf8",
                at..at + 3,
                format!("byte {:#04x} is not UTF-8", self.text[at]),
            )
            .help("save the file as UTF-8")
    }
}

/// One row of a file.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// As it stands in the file.
    text: &'a str,
    /// Where the fields' values are: `text` itself, or without its quotes.
    clean: &'a str,
    fields: &'a [Field],
    line: usize,
    header: &'a [String],
}

impl<'a> Record<'a> {
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether the record has as many fields as the header.
    pub(super) fn check_width(&self) -> Result<(), Complaint> {
        let (found, wanted) = (self.fields.len(), self.header.len());
        if found == wanted {
            return Ok(());
        }
        let message = format!("{found} fields where the header has {wanted}");
        Err(Complaint::new("wrong-field-count", wanted.min(found - 1), message))
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn text(&self, column: usize) -> &'a str {
        let field = &self.fields[column];
        &self.clean[field.value.start as usize..field.value.end as usize]
    }

    /// The text of a column that the file may lack: empty then.
    pub(super) fn optional(&self, column: Option<usize>) -> &'a str {
        column.map_or("", |column| self.text(column))
    }

    /// The same; `None` where it is empty.
    pub(super) fn given(&self, column: Option<usize>) -> Option<&'a str> {
        column.map(|column| self.text(column)).filter(|text| !text.is_empty())
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(|column| self.text(column))
    }

    /// A whole number up to `max`.
    pub(super) fn integer(&self, column: usize, max: u64) -> Result<u64, Complaint> {
        let found = number::integer(self.text(column));
        let checked = found.and_then(|n| if n <= max { Ok(n) } else { Err(Wrong::TooLarge) });
        checked.map_err(|wrong| self.wrong_number(column, wrong, max))
    }

    /// A whole number, 0 where the column is absent or the field is empty.
    pub(super) fn optional_integer(&self, column: Option<usize>, max: u64) -> Result<u64, Complaint> {
        match column {
            Some(column) if !self.text(column).is_empty() => self.integer(column, max),
            _ => Ok(0),
        }
    }

    /// A signed priority, 0 where the column is absent or the field is empty.
    pub(super) fn priority(&self, column: Option<usize>) -> Result<i32, Complaint> {
        let Some((column, text)) = column.map(|c| (c, self.text(c).trim())).filter(|c| !c.1.is_empty())
        else {
            return Ok(0);
        };
        text.parse().map_err(|_| {
            self.complaint("bad-number", column, format!("`{}` is not a whole number", shown(text)))
                .help("priorities go from -2147483648 to 2147483647")
        })
    }

    /// A decimal number in units of 1/`scale`, rounded to the nearest.
    pub(super) fn decimal(&self, column: usize, scale: u64, max: u64) -> Result<u64, Complaint> {
        let found = number::decimal(self.text(column), scale);
        let checked = found.and_then(|n| if n <= max { Ok(n) } else { Err(Wrong::TooLarge) });
        checked.map_err(|wrong| self.wrong_number(column, wrong, max / scale))
    }

    /// A moment or a span in microseconds, written in units of `unit` microseconds.
    pub(super) fn time(&self, column: usize, unit: u64) -> Result<Time, Complaint> {
        self.decimal(column, unit, MAX_MICROS).map(Time)
    }

    pub(super) fn complaint(&self, code: &'static str, column: usize, message: impl AsRef<str>) -> Complaint {
        match self.header.get(column) {
            Some(name) => Complaint::new(code, column, format!("{name}: {}", message.as_ref())),
            None => Complaint::new(code, column, message.as_ref()),
        }
    }

    fn wrong_number(&self, column: usize, wrong: Wrong, max: u64) -> Complaint {
        let text = self.text(column).trim();
        let complaint = self.complaint("bad-number", column, wrong.message(&shown(text)));
        match wrong {
            Wrong::TooLarge => complaint.help(format!("the largest is {max}")),
            Wrong::NotANumber if looks_like_a_date(text) => {
                complaint.help("dates are not read: convert them to seconds from any zero")
            }
            _ => complaint,
        }
    }

    pub(super) fn diagnostic(&self, file: &str, complaint: Complaint) -> Diagnostic {
        let place = self.fields.get(complaint.column).map_or(0..0, |f| f.at as usize..f.end as usize);
        let diagnostic = self.diagnostic_at(file, complaint.code, place, complaint.message);
        Diagnostic { help: complaint.help, ..diagnostic }
    }

    /// Points at `bytes` of the record, which may stand some lines below its first.
    fn diagnostic_at(
        &self,
        file: &str,
        code: &'static str,
        bytes: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        let before = &self.text[..bytes.start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let text = self.text[line_start..].lines().next().unwrap_or("");
        let line = self.line + before.matches('\n').count();
        let in_line = bytes.start - line_start..bytes.end - line_start;
        Diagnostic::error(code, file, message).at_line(line, text, in_line)
    }
}

/// A field's text for a message: a broken file may hold a megabyte of it.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn looks_like_a_date(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(['-', ':', '/'])
}

/// One field: its value within the clean text, its place within the record.
#[derive(Debug)]
struct Field {
    value: Range<u32>,
    at: u32,
    end: u32,
}

/// Splits a record into fields as RFC 4180 has it; a quote inside a plain field is a letter.
#[derive(Debug, Default)]
struct Split {
    fields: Vec<Field>,
    /// The values end to end; filled only where the record has a quote.
    clean: Vec<u8>,
    quoted: bool,
    state: State,
    /// Start of the field in hand, in the record and in `clean`.
    at: usize,
    value_at: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Plain,
    Quoted,
    /// A quote inside a quoted field: its end, or half of a doubled one.
    Closing,
}

impl Split {
    fn start(&mut self) {
        self.fields.clear();
        self.clean.clear();
        self.quoted = false;
        self.state = State::Start;
        self.at = 0;
        self.value_at = 0;
    }

    /// Where the quote stands that is still open.
    fn open_quote(&self) -> Option<usize> {
        (self.state == State::Quoted).then_some(self.at)
    }

    /// Takes the bytes of `text` from `from` on: whole lines, of which only the last may end it.
    fn feed(&mut self, text: &[u8], from: usize) {
        let line_end = text.len() - line_end_len(text);
        if from == 0 && !text.contains(&b'"') {
            self.feed_plain(&text[..line_end]);
            return;
        }
        self.quoted = true;
        for (i, byte) in text.iter().enumerate().skip(from) {
            if i == line_end && self.state != State::Quoted {
                break;
            }
            self.state = match (self.state, byte) {
                (State::Start, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::Closing,
                (State::Quoted, _) => self.keep(*byte, State::Quoted),
                (State::Closing, b'"') => self.keep(b'"', State::Quoted),
                (_, b',') => self.end_field(i),
                _ => self.keep(*byte, State::Plain),
            };
        }
        if self.state != State::Quoted {
            self.end_field(line_end);
        }
    }

    fn keep(&mut self, byte: u8, state: State) -> State {
        self.clean.push(byte);
        state
    }

    fn end_field(&mut self, end: usize) -> State {
        let value = self.value_at as u32..self.clean.len() as u32;
        self.fields.push(Field { value, at: self.at as u32, end: end as u32 });
        self.at = end + 1;
        self.value_at = self.clean.len();
        State::Start
    }

    /// A line without quotes, which is nearly every line: its values are where they stand.
    fn feed_plain(&mut self, line: &[u8]) {
        let mut at = 0_u32;
        for (i, byte) in line.iter().enumerate() {
            if *byte == b',' {
                self.fields.push(Field { value: at..i as u32, at, end: i as u32 });
                at = i as u32 + 1;
            }
        }
        let end = line.len() as u32;
        self.fields.push(Field { value: at..end, at, end });
    }
}

fn line_end_len(text: &[u8]) -> usize {
    match text {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

/// Hashes what passes through.
struct Hashed<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Line and values of each record, and the complaints.
    fn records(text: &[u8], comments: bool) -> (Vec<(usize, Vec<String>)>, Vec<Diagnostic>) {
        let mut records = Records::new("t.csv", text);
        records.comments = comments;
        let (mut rows, mut wrong) = (Vec::new(), Vec::new());
        loop {
            match records.next() {
                Next::Record(r) => rows.push((r.line(), r.texts().map(str::to_owned).collect())),
                Next::Wrong(diagnostic) => wrong.push(diagnostic),
                Next::Broken(diagnostic) => return (rows, [wrong, vec![diagnostic]].concat()),
                Next::End => return (rows, wrong),
            }
        }
    }

    #[test]
    fn lines_are_right_after_comments_blanks_and_quoted_newlines() {
        let text = "\u{feff}a,b\r\n\n# x,\"y\n1,\"p\nq\"\"r\"\r\n2,\n3,x\"y";
        let (rows, wrong) = records(text.as_bytes(), true);
        assert!(wrong.is_empty());
        let lines: Vec<_> = rows.iter().map(|r| r.0).collect();
        assert_eq!(lines, [1, 4, 6, 7]);
        assert_eq!(rows[0].1, ["a", "b"]);
        assert_eq!(rows[1].1, ["1", "p\nq\"r"]);
        assert_eq!(rows[2].1, ["2", ""]);
        assert_eq!(rows[3].1, ["3", "x\"y"]);
    }

    #[test]
    fn a_field_below_its_first_line_is_pointed_at() {
        let mut records = Records::new("t.csv", "\"a\nö\",bad".as_bytes());
        let Next::Record(record) = records.next() else { panic!("a record") };
        let diagnostic = record.diagnostic("t.csv", Complaint::new("x", 1, "wrong"));
        assert_eq!((diagnostic.line, diagnostic.column), (2, 4));
        assert_eq!(diagnostic.excerpt.expect("a short line").0, "ö\",bad");
    }

    #[test]
    fn bytes_that_are_not_text_are_located_and_the_rest_is_read() {
        let (rows, wrong) = records(b"a\nx,\xffy\nb\n", false);
        assert_eq!(rows.len(), 2);
        assert_eq!((wrong[0].code, wrong[0].line, wrong[0].column), ("not-utf8", 2, 3));
        let _ = wrong[0].render(false);
    }

    #[test]
    fn an_open_quote_is_pointed_at() {
        let (rows, wrong) = records(b"a,b\n1,\"2\n3,4\n", false);
        assert_eq!(rows.len(), 1);
        assert_eq!((wrong[0].code, wrong[0].line, wrong[0].column), ("open-quote", 2, 3));
    }

    #[test]
    fn endless_lines_and_rows_are_refused_in_bounded_memory() {
        let mut endless = Records::new("t.csv", io::Cursor::new("a\n").chain(io::repeat(b'x')));
        assert!(matches!(endless.next(), Next::Record(_)));
        let Next::Broken(diagnostic) = endless.next() else { panic!("refused") };
        assert_eq!(diagnostic.message, "line 2 is longer than 1 MiB: is this a CSV?");
        assert!(endless.text.capacity() <= 2 * MAX_RECORD + 2);

        let rows = "1,2\n".repeat(MAX_RECORD / 2);
        let mut quoted = Records::new("t.csv", io::Cursor::new("\"").chain(rows.as_bytes()));
        let Next::Broken(diagnostic) = quoted.next() else { panic!("refused") };
        assert_eq!((diagnostic.code, diagnostic.line), ("line-too-long", 1));
        assert!(diagnostic.help.is_some());
    }

    #[test]
    fn a_line_may_be_one_mebibyte() {
        let mut text = vec![b'x'; MAX_RECORD - 1];
        text.extend_from_slice(b"\ny\n");
        let (rows, wrong) = records(&text, false);
        assert_eq!((rows.len(), wrong.len()), (2, 0));
    }

    proptest! {
        #[test]
        fn fields_are_those_of_the_csv_crate(text in "[ab,\"\n]{0,40}") {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let theirs: Vec<Vec<String>> = reader.records().map(|r| r.expect("text").iter().map(str::to_owned).collect()).collect();
            let (ours, wrong) = records(text.as_bytes(), false);
            let ours: Vec<Vec<String>> = ours.into_iter().map(|r| r.1).collect();
            // The crate closes an open quote at the end of the file; we complain.
            prop_assert_eq!(&ours[..], &theirs[..theirs.len() - wrong.len()]);
        }
    }
}
