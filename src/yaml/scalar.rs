//! Scalars: how words, quantities and numbers are written, and what is said when they are not.

use super::tree::clip;
use super::{Interval, Kind, Value};
use crate::units::{Span, parse as quantity};

/// Longest [`Kind::Name`]: file systems end at 255 bytes, and a name is only part of a file's.
const NAME: usize = 100;

/// Longest [`Kind::Line`], generous for paths.
const LINE: usize = 4_000;

/// Why a scalar is refused. An empty message stands for "expected …, found …".
pub(super) struct Mistake {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Mistake {
    fn new(code: &'static str, message: impl Into<String>) -> Mistake {
        Mistake { code, message: message.into(), help: None }
    }

    pub(super) fn other() -> Mistake {
        Mistake::new("bad-value", "")
    }

    fn help(self, help: impl Into<String>) -> Mistake {
        Mistake { help: Some(help.into()), ..self }
    }

    /// From a sentence of [`crate::units::parse`], whose second half says what would be right.
    fn sentence(sentence: &str) -> Mistake {
        let code = if sentence.contains("out of range") { "out-of-range" } else { "bad-value" };
        match sentence.split_once("; ") {
            Some((message, help)) => Mistake::new(code, message).help(help),
            None => Mistake::new(code, sentence),
        }
    }
}

/// A scalar as a value of `kind`; `None` if the kind is none of scalars.
pub(super) fn scalar(text: &str, plain: bool, kind: &Kind) -> Option<Result<Value, Mistake>> {
    Some(match kind {
        Kind::Bool => truth(text, plain).map(Value::Bool),
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Line => line(text, LINE, &[]).map(Value::Text),
        Kind::Path => line(text, LINE, &[]).map(Value::Text),
        // These would break paths and the rows of CSV files that other programs read.
        Kind::Name => line(text, NAME, &['/', '\\', ',', '"']).map(Value::Text),
        Kind::Span { positive } => span(text, *positive).map(Value::Span),
        Kind::Memory => quantity::mib(text).map(Value::Memory).map_err(|e| Mistake::sentence(&e)),
        Kind::Cpu => quantity::milli_cpu(text).map(Value::Cpu).map_err(|e| Mistake::sentence(&e)),
        Kind::Integer(low, high) => unquoted(text, plain).and_then(|()| integer(text, *low, *high)),
        Kind::Number(range) => unquoted(text, plain).and_then(|()| number(text, *range)),
        _ => return None,
    })
}

fn unquoted(text: &str, plain: bool) -> Result<(), Mistake> {
    match plain || text.parse::<f64>().is_err() {
        true => Ok(()),
        false => Err(Mistake::other().help(format!("without quotes it is a number: `{}`", clip(text)))),
    }
}

fn truth(text: &str, plain: bool) -> Result<bool, Mistake> {
    match (text, text.to_lowercase().as_str()) {
        ("true", _) if plain => Ok(true),
        ("false", _) if plain => Ok(false),
        (_, "yes" | "y" | "on" | "true") => Err(Mistake::other().help("write `true`")),
        (_, "no" | "n" | "off" | "false") => Err(Mistake::other().help("write `false`")),
        _ => Err(Mistake::other()),
    }
}

fn line(text: &str, most: usize, refused: &[char]) -> Result<String, Mistake> {
    if text.trim().is_empty() {
        Err(Mistake::new("bad-value", "this must not be empty"))
    } else if most < text.chars().count() {
        Err(Mistake::new("bad-value", format!("this is longer than {most} characters")))
    } else if let Some(odd) = text.chars().find(|c| c.is_control() || refused.contains(c)) {
        let shown = odd.escape_debug();
        Err(Mistake::new("bad-value", format!("this must not contain `{shown}`")))
    } else if !refused.is_empty() && (text.trim() != text || text.starts_with('.')) {
        Err(Mistake::new("bad-value", "a name must not begin with `.`, nor begin or end with a space"))
    } else {
        Ok(text.to_owned())
    }
}

fn span(text: &str, positive: bool) -> Result<Span, Mistake> {
    let span = match exact_span(text) {
        Some(span) => span,
        None => quantity::span(text).map_err(|e| Mistake::sentence(&e))?,
    };
    match positive && span == Span::ZERO {
        true => Err(Mistake::new("out-of-range", "this duration must be above 0")),
        false => Ok(span),
    }
}

/// A whole number of one unit without a detour over floats, which are exact only up to some 70
/// years: what [`crate::units::exact_span`] writes must be read back as it was.
fn exact_span(text: &str) -> Option<Span> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    // The same end as that of the other road, so that both refuse the same spans.
    let span = number.parse::<u64>().ok()?.checked_mul(micros)?;
    (span < 9_200_000_000_000_000_000).then_some(Span(span))
}

fn integer(text: &str, low: i128, high: i128) -> Result<Value, Mistake> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let plain = text.replace('_', "");
        let whole = text.parse::<f64>().ok().filter(|f| f.fract() == 0.0 && f.abs() < 1e15);
        return Err(match whole {
            Some(number) => Mistake::other().help(format!("write `{number}`")),
            None if plain.parse::<i128>().is_ok() => Mistake::other().help(format!("write `{plain}`")),
            None => Mistake::other(),
        });
    }
    if 1 < digits.len() && digits.starts_with('0') {
        let help = "to some YAML readers that is octal; write the number without the leading 0";
        return Err(Mistake::other().help(help));
    }
    match text.parse::<i128>() {
        Ok(number) if low <= number && number <= high => Ok(Value::Integer(number)),
        _ => {
            let range = match high == i128::from(u64::MAX) {
                true => format!("at least {low} and fit 64 bits"),
                false => format!("{low} to {high}"),
            };
            Err(Mistake::new("out-of-range", format!("`{}` is out of range; it must be {range}", clip(text))))
        }
    }
}

fn number(text: &str, range: Interval) -> Result<Value, Mistake> {
    // Rust also reads `inf`, `nan` and `infinity`, and YAML `.inf` and `.nan`.
    if !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return Err(Mistake::other());
    }
    match text.parse::<f64>() {
        // `-0.0` would be printed as such by reports.
        Ok(number) if range.contains(number) => Ok(Value::Number(number + 0.0)),
        Ok(_) => {
            let message = format!("`{}` is out of range; it must be {}", clip(text), range.describe());
            Err(Mistake::new("out-of-range", message))
        }
        Err(_) => Err(Mistake::other()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_spans_are_exact() {
        for micros in [9_007_199_254_740_993, 9_199_999_999_999_999_999, 31_557_600_000_000_001] {
            let text = crate::units::exact_span(Span(micros));
            assert_eq!(span(&text, true).ok(), Some(Span(micros)), "{text}");
        }
        assert!(span("9300000000000000000us", false).is_err());
    }
}
