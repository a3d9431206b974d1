//! Figures as text: for people here, for machines in [`number`].
//!
//! One writer for every file, so that the same figure reads the same everywhere.

use crate::units::Span;

/// What stands where there is no figure.
pub(super) const NONE: &str = "-";

/// Seconds as people say them: `12m30s`.
pub(super) fn seconds(secs: f64) -> String {
    Span::from_secs_f64(secs).map_or_else(|| NONE.to_owned(), |span| span.to_string())
}

/// A whole number with its thousands apart: `10,866`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A level to about three figures: `0.25`, `51.2`, `1,024`.
pub(super) fn level(value: f64) -> String {
    let value = if value.is_finite() { value + 0.0 } else { return NONE.to_owned() };
    if value == libm::round(value) || 100.0 <= value.abs() {
        let whole = libm::round(value);
        let sign = if whole < 0.0 { "-" } else { "" };
        format!("{sign}{}", count(whole.abs() as u64))
    } else if 10.0 <= value.abs() {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A share of one as a percentage: `85%`, and `<1%` and `>99%` rather than a rounded 0 or 100.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if !p.is_finite() => NONE.to_owned(),
        p if 0.0 < p && p < 1.0 => "<1%".to_owned(),
        p if 99.0 < p && p < 100.0 => ">99%".to_owned(),
        p => format!("{p:.0}%"),
    }
}

/// A share of requests, to a hundredth of a percent and rounded down, so that what misses 99 % does not read
/// as 99 %: `98.99%`.
pub(super) fn fine_percent(share: f64) -> String {
    // 0.29 × 100 is less than 29 in floats.
    let hundredths = libm::floor(share * 1e4 + 1e-7);
    let text = format!("{:.2}", hundredths / 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `one pod`, `3 pods`.
pub(super) fn pods(n: u64) -> String {
    if n == 1 { "1 pod".to_owned() } else { format!("{} pods", count(n)) }
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 3;
    let rest = names.len().saturating_sub(SHOWN);
    let mut parts: Vec<String> = names.iter().take(SHOWN).map(|n| n.as_ref().to_owned()).collect();
    if rest != 0 {
        parts.push(format!("{rest} more"));
    }
    match parts.pop() {
        None => String::new(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
    }
}

/// The shortest text that reads back as the same number; empty where there is none.
///
/// For CSV: `-0` becomes `0`, and what is not finite stays out of the file.
#[must_use]
pub fn number(value: f64) -> String {
    if value.is_finite() { (value + 0.0).to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (value, text) in
            [(0.0, "0"), (-0.0, "0"), (0.25, "0.25"), (51.24, "51.2"), (1024.4, "1,024"), (f64::NAN, "-")]
        {
            assert_eq!(level(value), text);
        }
        for (share, text) in [(0.0, "0%"), (0.001, "<1%"), (0.854, "85%"), (0.9999, ">99%"), (1.0, "100%")] {
            assert_eq!(percent(share), text);
        }
        for (share, text) in [(0.98999, "98.99%"), (0.99, "99%"), (0.29, "29%"), (1.0, "100%"), (0.0, "0%")] {
            assert_eq!(fine_percent(share), text);
        }
        assert_eq!([0, 999, 1_000, 10_866, 1_234_567].map(count).join(" "), "0 999 1,000 10,866 1,234,567");
        assert_eq!(list(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
        assert_eq!(list(&["a", "b"]), "a and b");
    }

    #[test]
    fn numbers_for_machines_are_finite_and_have_one_zero() {
        assert_eq!([0.0, -0.0, 0.1, 1e16, f64::NAN].map(number).join(" "), "0 0 0.1 10000000000000000 ");
    }
}
