//! CSV rows that know where they stand: line, column and the text around them.
//!
//! The csv crate splits and unquotes. It keeps neither the text of a row nor, past a comment, its
//! line, so it reads through [`Lines`], which gives it one line a time and so always holds exactly
//! the lines of the row in hand.

use super::number::{self, Wrong};
use crate::diag::Diagnostic;
use crate::units::Time;
use csv::{ErrorKind, ReaderBuilder, StringRecord, Terminator};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

/// Longest row in bytes, whatever the file: a "CSV" of one endless line is refused, not swallowed.
/// The widest honest row is a few hundred.
const MAX_RECORD: usize = 1 << 20;

/// Latest moment and longest span that a file may say, in microseconds: 285 years, the range in
/// which every JSON reader holds integers exactly. Far below `u64`, so that sums stay inside it.
const MAX_MICROS: u64 = 1 << 53;

/// Most of anything an amount may be: 10¹² MiB or thousandths of a core.
pub(super) const MAX_AMOUNT: u64 = 1_000_000_000_000;

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
    reader: csv::Reader<Lines<R>>,
    fields: StringRecord,
    file: String,
    /// Column names, once known, for messages.
    header: Vec<String>,
}

impl<R: Read> Records<R> {
    pub(super) fn new(file: &str, input: R) -> Records<R> {
        // A terminator other than the line feed would end a row within a line.
        let lone_feed = Terminator::Any(b'\n');
        Records {
            reader: ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .terminator(lone_feed)
                .from_reader(Lines::new(input)),
            fields: StringRecord::new(),
            file: file.to_owned(),
            header: Vec::new(),
        }
    }

    /// From here on a line that starts a row with `#` is a comment.
    pub(super) fn skip_comments(&mut self) {
        self.reader.get_mut().comments = true;
    }

    /// Column names for the messages of the records to come.
    pub(super) fn set_header(&mut self, header: Vec<String>) {
        self.header = header;
    }

    /// SHA-256 of all that was read, in hex.
    pub(super) fn sha256(self) -> String {
        let digest = self.reader.into_inner().input.into_inner().hash.finalize();
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes all text");
            hex
        })
    }

    pub(super) fn next(&mut self) -> Next<'_> {
        self.reader.get_mut().start_row();
        let read = self.reader.read_record(&mut self.fields);
        let lines = self.reader.get_ref();
        let record = Record { raw: &lines.row, fields: &self.fields, line: lines.line, header: &self.header };
        match read {
            Ok(true) if lines.ended => Next::Wrong(record.open_quote(&self.file)),
            Ok(true) => Next::Record(record),
            Ok(false) => Next::End,
            Err(error) => match error.kind() {
                ErrorKind::Utf8 { .. } => Next::Wrong(record.not_utf8(&self.file)),
                _ if lines.is_too_long() => Next::Broken(lines.too_long(&self.file)),
                _ => Next::Broken(Diagnostic::error(
                    "unreadable",
                    &self.file,
                    format!("cannot be read: {error}"),
                )),
            },
        }
    }
}

/// One row of a file.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// Its lines as they stand in the file, the last one always with a line feed.
    raw: &'a [u8],
    fields: &'a StringRecord,
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
        let help = match wanted < found {
            true => "a field with a comma in it stands in double quotes",
            false => "an empty field keeps its comma",
        };
        Err(Complaint::new("wrong-field-count", wanted.min(found - 1), message).help(help))
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn text(&self, column: usize) -> &'a str {
        let text = &self.fields[column];
        match column + 1 == self.fields.len() && self.raw.ends_with(b"\r\n") {
            true => text.strip_suffix('\r').unwrap_or(text),
            false => text,
        }
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
        let help = match wrong {
            Wrong::NotANumber if looks_like_a_date(text) => {
                "dates are not read: convert them to seconds from any zero".to_owned()
            }
            _ => wrong.help(max),
        };
        self.complaint("bad-number", column, wrong.message(&shown(text))).help(help)
    }

    pub(super) fn diagnostic(&self, file: &str, complaint: Complaint) -> Diagnostic {
        let Complaint { code, column, message, help } = complaint;
        let diagnostic = Diagnostic::error(code, file, message);
        let diagnostic = match self.place(column) {
            Some(place) => self.point(diagnostic, place),
            None => Diagnostic { line: self.line, ..diagnostic },
        };
        Diagnostic { help, ..diagnostic }
    }

    /// Where a field stands in `raw`, with its quotes. Exact unless a field up to it has letters
    /// after its closing quote, as in `"a"b"c"`: csv reads those as they are and so loses which of
    /// the quotes were doubled. That is `None`, or else a wrong guess that happens to end at a comma.
    fn place(&self, column: usize) -> Option<Range<usize>> {
        let mut place = 0..0;
        for field in 0..=column {
            place.start = place.end + usize::from(0 < field);
            let text = self.text(field);
            place.end = place.start + text.len();
            if self.raw.get(place.start) == Some(&b'"') {
                place.end += 2 + doubled(text);
            }
        }
        matches!(self.raw.get(place.end), Some(b',' | b'\r' | b'\n')).then_some(place)
    }

    /// Points at `bytes` of the record, which may stand some lines below its first.
    fn point(&self, diagnostic: Diagnostic, bytes: Range<usize>) -> Diagnostic {
        let before = &self.raw[..bytes.start];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |i| i + 1);
        let line = self.line + before.iter().filter(|byte| **byte == b'\n').count();
        // Before `bytes` all is UTF-8, so offsets there are the same in this text.
        let text = String::from_utf8_lossy(&self.raw[line_start..]);
        let in_line = bytes.start - line_start..bytes.end - line_start;
        diagnostic.at_line(line, text.lines().next().unwrap_or(""), in_line)
    }

    /// The last field's quote is open at the end of the file.
    fn open_quote(&self, file: &str) -> Diagnostic {
        let text = &self.fields[self.fields.len() - 1];
        let at = self.raw.len() - text.len() - doubled(text) - 1;
        let diagnostic = Diagnostic::error("open-quote", file, "this quote is never closed");
        self.point(diagnostic, at..at + 1)
            .help("close it; a quote that is part of a field is written twice, `\"\"`, between quotes")
    }

    fn not_utf8(&self, file: &str) -> Diagnostic {
        let error = std::str::from_utf8(self.raw).expect_err("text stays text without its quotes and commas");
        let at = error.valid_up_to();
        let message = format!("byte {:#04x} is not UTF-8", self.raw[at]);
        // Three bytes are the character that stands for a wrong one.
        self.point(Diagnostic::error("not-utf8", file, message), at..at + 3).help("save the file as UTF-8")
    }
}

/// How many quotes are written twice where `text` stands between quotes.
fn doubled(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'"').count()
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

/// The lines of a file as the CSV reader is to see them: no mark at the start of the file, no empty
/// lines and no comments between rows, a line feed at the end. A line is read when the reader has
/// used up the one before it, so `row` is the row in hand, and there is never more of it in memory.
struct Lines<R> {
    input: BufReader<Hashed<R>>,
    comments: bool,
    row: Vec<u8>,
    /// How many bytes of `row` the reader has.
    given: usize,
    /// Line of the row in `row`, from 1, and of the line after it.
    line: usize,
    next_line: usize,
    /// The reader asked for a line and there was none: whatever row it had begun is not complete.
    ended: bool,
}

impl<R: Read> Lines<R> {
    fn new(input: R) -> Lines<R> {
        Lines {
            // 256 KiB: read(2) is then a thousandth of the time of a record's parsing.
            input: BufReader::with_capacity(1 << 18, Hashed { input, hash: Sha256::new() }),
            comments: false,
            row: Vec::new(),
            given: 0,
            line: 0,
            next_line: 1,
            ended: false,
        }
    }

    fn start_row(&mut self) {
        assert!(self.given == self.row.len(), "a row ends with a line");
        self.row.clear();
        self.given = 0;
    }

    /// Adds a line to `row`, if there is one.
    fn add_line(&mut self) -> io::Result<()> {
        let starts_row = self.row.is_empty();
        loop {
            if starts_row {
                self.row.clear();
                self.line = self.next_line;
            }
            let room = (MAX_RECORD + 1).saturating_sub(self.row.len()) as u64;
            self.ended = self.input.by_ref().take(room).read_until(b'\n', &mut self.row)? == 0;
            if self.is_too_long() {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if self.ended {
                return Ok(());
            }
            if !self.row.ends_with(b"\n") {
                self.row.push(b'\n');
            }
            if self.next_line == 1 && self.row.starts_with(b"\xef\xbb\xbf") {
                self.row.drain(..3);
            }
            self.next_line += 1;
            if !starts_row || !self.is_no_row() {
                return Ok(());
            }
        }
    }

    /// Whether `row`, a first line, is none of a row.
    fn is_no_row(&self) -> bool {
        matches!(self.row.as_slice(), b"\n" | b"\r\n") || (self.comments && self.row[0] == b'#')
    }

    fn is_too_long(&self) -> bool {
        MAX_RECORD < self.row.len()
    }

    fn too_long(&self, file: &str) -> Diagnostic {
        let (message, help) = match self.line == self.next_line {
            true => (
                format!("line {} is longer than 1 MiB: is this a CSV?", self.line),
                "the lines of a CSV end in LF or CR LF",
            ),
            false => (
                format!("the row of line {} is longer than 1 MiB", self.line),
                "a quote that is never closed takes the rest of the file with it",
            ),
        };
        Diagnostic { line: self.line, ..Diagnostic::error("line-too-long", file, message).help(help) }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.row.len() {
            self.add_line()?;
        }
        let read = (&self.row[self.given..]).read(buffer)?;
        self.given += read;
        Ok(read)
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
        records.reader.get_mut().comments = comments;
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
        assert!(endless.reader.get_ref().row.capacity() <= 2 * MAX_RECORD + 2);

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
        text[..MAX_RECORD - 1].fill(b',');
        let (rows, wrong) = records(&text, false);
        assert_eq!((rows[0].1.len(), rows.len(), wrong.len()), (MAX_RECORD, 2, 0));
    }

    #[test]
    fn a_return_belongs_to_the_end_of_a_line_only_before_its_feed() {
        let (rows, wrong) = records(b"a,\"b\"\r\n\"x\r\ny\rz\",c\rd\ne,f\r", false);
        assert!(wrong.is_empty());
        let rows: Vec<_> = rows.into_iter().map(|r| r.1).collect();
        assert_eq!(rows, [["a", "b"], ["x\r\ny\rz", "c\rd"], ["e", "f"]]);
    }

    #[test]
    fn a_field_that_cannot_be_placed_is_known_by_its_line() {
        for (row, wanted) in [("1,\"a\"b\"c\",x\n", 0), ("1,\"a\"b,x\n", 8), ("1,a\"b\"c,x\n", 9)] {
            let mut records = Records::new("t.csv", row.as_bytes());
            let Next::Record(record) = records.next() else { panic!("a record") };
            let diagnostic = record.diagnostic("t.csv", Complaint::new("x", 2, "wrong"));
            assert_eq!((diagnostic.line, diagnostic.column), (1, wanted), "{row}");
        }
    }

    #[test]
    fn unreadable_input_is_told_from_its_end() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let mut records = Records::new("t.csv", io::Cursor::new("a\n1").chain(Failing));
        assert!(matches!(records.next(), Next::Record(_)));
        let Next::Broken(diagnostic) = records.next() else { panic!("broken") };
        assert_eq!(
            (diagnostic.code, diagnostic.message.as_str()),
            ("unreadable", "cannot be read: the disk is gone")
        );
    }

    proptest! {
        /// A line at a time or the whole file at once: the csv crate reads the same.
        #[test]
        fn rows_are_those_of_the_file_read_whole(text in "[ab,\"\n]{0,40}") {
            let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let whole: Vec<Vec<String>> = reader.records().map(|r| r.expect("text").iter().map(str::to_owned).collect()).collect();
            let (rows, wrong) = records(text.as_bytes(), false);
            let rows: Vec<Vec<String>> = rows.into_iter().map(|r| r.1).collect();
            // The crate closes an open quote at the end of the file; we complain.
            prop_assert_eq!(&rows[..], &whole[..whole.len() - wrong.len()]);
        }

        #[test]
        fn fields_stand_where_they_are_said_to(rows in prop::collection::vec(prop::collection::vec("[aö,\"\r\n]{0,4}", 1..5), 0..5), crlf: bool) {
            let terminator = if crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().flexible(true).terminator(terminator).from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).expect("a vector takes all bytes"));
            let text = writer.into_inner().expect("a vector takes all bytes");
            let mut records = Records::new("t.csv", text.as_slice());
            for row in &rows {
                let Next::Record(record) = records.next() else { panic!("a record") };
                prop_assert_eq!(&record.texts().collect::<Vec<_>>(), row);
                for (column, text) in row.iter().enumerate() {
                    let place = &record.raw[record.place(column).expect("plain CSV")];
                    let quoted = format!("\"{}\"", text.replace('"', "\"\""));
                    prop_assert!(place == text.as_bytes() || place == quoted.as_bytes());
                }
            }
            prop_assert!(matches!(records.next(), Next::End));
        }
    }
}
