//! Requests to a service, as Azure's LLM inference traces have them: moments and tokens.

use super::number;
use super::read::{Header, each_row, start};
use super::records::{Complaint, Record, Records, shown};
use crate::diag::Diagnostic;
use crate::perf::service::{RequestTrace, Requests};
use crate::units::Span;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most tokens of a prompt or an answer: beyond any model's context.
const TOKENS_MOST: u64 = 100_000_000;

/// Reads a trace of requests; `tokens` says whether their tokens are wanted. Also its SHA-256 in hex.
///
/// # Errors
/// Everything that is wrong with it, up to 20 rows and the number of the rest.
pub fn open_requests(
    trace: &RequestTrace,
    tokens: bool,
    path: &Path,
) -> Result<(Requests, String), Vec<Diagnostic>> {
    let file = File::open(path).map_err(|error| {
        vec![
            Diagnostic::error("unreadable", &trace.file, format!("cannot be opened: {error}"))
                .help(format!("it was looked for at {}", path.display())),
        ]
    })?;
    read_requests(trace, tokens, file)
}

/// The same of anything that can be read.
///
/// # Errors
/// As [`open_requests`].
pub fn read_requests(
    trace: &RequestTrace,
    tokens: bool,
    reader: impl Read,
) -> Result<(Requests, String), Vec<Diagnostic>> {
    let name = &trace.file;
    let mut records = Records::new(name, reader);
    let layout = start(name, &mut records, |header| Layout::new(trace, tokens, header))?;
    let mut rows = Vec::new();
    let mut diagnostics = each_row(name, &mut records, |record| {
        rows.push(layout.row(record)?);
        Ok(())
    });
    rows.sort_by_key(|row| row.0);
    let span = rows.last().map_or(Span::ZERO, |last| last.0 - rows[0].0);
    if diagnostics.is_empty() && span == Span::ZERO {
        let message = "two requests or more, at different times, make a stream";
        diagnostics.push(Diagnostic::error("no-rows", name, message).help("each line is one request"));
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let first = rows[0].0;
    rows.iter_mut().for_each(|row| row.0 = row.0 - first);
    let period = Span(span.0 + (span.0 / (rows.len() as u64 - 1)).max(1));
    Ok((Requests { rows, period }, records.sha256()))
}

/// Where the columns are.
#[derive(Debug)]
struct Layout {
    arrival: usize,
    tokens: Option<(usize, usize)>,
}

impl Layout {
    fn new(trace: &RequestTrace, tokens: bool, header: &Header<'_>) -> Result<Layout, Vec<Diagnostic>> {
        if !tokens {
            let [arrival] = header.require([trace.arrival.as_str()])?;
            return Ok(Layout { arrival, tokens: None });
        }
        let [arrival, prompt, output] =
            header.require([trace.arrival.as_str(), trace.prompt.as_str(), trace.output.as_str()])?;
        Ok(Layout { arrival, tokens: Some((prompt, output)) })
    }

    fn row(&self, record: &Record<'_>) -> Result<(Span, u32, u32), Complaint> {
        let text = record.text(self.arrival);
        let at = match date(text) {
            Some(at) => at,
            None if text.contains(':') => {
                let message = format!("`{}` is neither seconds nor a date", shown(text));
                let help = "write `1700158623.98` or `2023-11-16 18:17:03.98`";
                return Err(record.complaint("bad-number", self.arrival, message).help(help));
            }
            None => Span(record.time(self.arrival, 1_000_000)?.0),
        };
        let count = |column| record.integer(column, TOKENS_MOST).map(|n| n as u32);
        let (prompt, output) = match self.tokens {
            None => (0, 0),
            Some((prompt, output)) => (count(prompt)?, count(output)?),
        };
        Ok((at, prompt, output))
    }
}

/// Microseconds since 1970 of a date such as `2023-11-16 18:17:03.9799600`, in UTC; `T` and a last `Z` are
/// read as well, and so is `+00:00`.
fn date(text: &str) -> Option<Span> {
    let text = text.trim();
    let text = text.strip_suffix("+00:00").or(text.strip_suffix('Z')).unwrap_or(text);
    let (day, time) = text.split_once(['T', ' '])?;
    let numbers = |text: &str, by: char| -> Option<[u64; 2]> {
        let (a, b) = text.split_once(by)?;
        let digits =
            |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse().ok());
        Some([digits(a)??, digits(b)??])
    };
    let (year, month_day) = day.split_once('-')?;
    let year: u64 = (year.len() == 4).then(|| year.parse().ok())??;
    let [month, day] = numbers(month_day, '-')?;
    let (hour, rest) = time.split_once(':')?;
    let hour: u64 = (hour.len() == 2).then(|| hour.parse().ok())??;
    let (minute, second) = rest.split_once(':')?;
    let minute: u64 = (minute.len() == 2).then(|| minute.parse().ok())??;
    let second = number::decimal(second, 1_000_000).ok()?;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let known = (1970..=9_999).contains(&year) && (1..=12).contains(&month) && hour < 24 && minute < 60;
    if !known || !(1..=lengths[month as usize - 1]).contains(&day) || 61_000_000 <= second {
        return None;
    }
    let days = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum::<u64>()
        + lengths[..month as usize - 1].iter().sum::<u64>()
        + day
        - 1;
    Some(Span(((days * 24 + hour) * 60 + minute) * 60_000_000 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> RequestTrace {
        RequestTrace {
            file: "r.csv".to_owned(),
            arrival: "TIMESTAMP".to_owned(),
            prompt: "ContextTokens".to_owned(),
            output: "GeneratedTokens".to_owned(),
            speed: 1.0,
            sha256: None,
            requests: None,
        }
    }

    #[test]
    fn dates_are_moments() {
        assert_eq!(date("1970-01-01 00:00:00"), Some(Span::ZERO));
        // `date -u -d '2024-03-01 12:30:45' +%s` prints 1709296245.
        assert_eq!(date("2024-03-01T12:30:45.5Z"), Some(Span(1_709_296_245_500_000)));
        assert_eq!(date("2024-03-01 12:30:45.5000000+00:00"), date("2024-03-01T12:30:45.5Z"));
        for wrong in ["2023-02-29 00:00:00", "2023-13-01 00:00:00", "2023-1-1 0:0:0", "12:30", "17", ""] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn files_of_requests_are_read() {
        let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                    2023-11-16 18:17:04.5,10,2\n2023-11-16 18:17:03.5,4808,10\n2023-11-16 18:17:06.5,1,1\n";
        let (requests, hash) = read_requests(&trace(), true, text.as_bytes()).expect("good");
        let expected = [(Span::ZERO, 4_808, 10), (Span::from_secs(1), 10, 2), (Span::from_secs(3), 1, 1)];
        assert_eq!(requests.rows, expected);
        assert_eq!((requests.period, hash.len()), (Span(4_500_000), 64));
        let plain = RequestTrace { arrival: "t".to_owned(), ..trace() };
        let (requests, _) = read_requests(&plain, false, "t\n0.5\n2\n".as_bytes()).expect("good");
        assert_eq!(requests.rows, [(Span::ZERO, 0, 0), (Span(1_500_000), 0, 0)]);
    }

    #[test]
    fn wrong_files_say_where() {
        let complaints = |text: &str| {
            let errors = read_requests(&trace(), true, text.as_bytes()).expect_err("wrong");
            errors.iter().map(|e| format!("{}:{} {}", e.line, e.code, e.message)).collect::<Vec<_>>()
        };
        let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n25:00:00,1,1\n3,x,1\n3,1\n";
        let found = complaints(text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("2:bad-number TIMESTAMP: `25:00:00` is neither"), "{found:?}");
        assert!(complaints("TIMESTAMP,ContextTokens\n")[0].contains("no column `GeneratedTokens`"));
        let one = "TIMESTAMP,ContextTokens,GeneratedTokens\n3,1,1\n";
        assert!(complaints(one)[0].contains("two requests"));
    }

    /// The published file against its README: 8,819 requests, medians of 1,469 and 13 tokens.
    #[test]
    fn azures_trace_is_as_published() {
        let path = Path::new("../shared/traces/azure-llm-2023/AzureLLMInferenceTrace_code.csv");
        // Beside a checkout without the shared traces there is nothing to check.
        if !path.exists() {
            return;
        }
        let (requests, _) = open_requests(&trace(), true, path).expect("good");
        let median = |of: fn(&(Span, u32, u32)) -> u32| {
            let mut all: Vec<u32> = requests.rows.iter().map(of).collect();
            all.sort_unstable();
            all[all.len() / 2]
        };
        assert_eq!((requests.rows.len(), median(|r| r.1), median(|r| r.2)), (8_819, 1_469, 13));
    }
}
