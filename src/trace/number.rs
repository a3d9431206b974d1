//! Numbers from text without a float in between: what a file says is what is kept.

/// What is wrong with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Empty,
    Negative,
    NotFinite,
    NotANumber,
    Fraction,
    TooLarge,
}

impl Wrong {
    /// A sentence about `text`.
    pub(super) fn message(self, text: &str) -> String {
        match self {
            Wrong::Empty => "is empty".to_owned(),
            Wrong::Negative => format!("`{text}` is negative"),
            Wrong::NotFinite => format!("`{text}` is not a finite number"),
            Wrong::NotANumber => format!("`{text}` is not a number"),
            Wrong::Fraction => format!("`{text}` is not a whole number"),
            Wrong::TooLarge => format!("`{text}` is too large"),
        }
    }

    /// What would be right instead, where the largest is `max`.
    pub(super) fn help(self, max: u64) -> String {
        match self {
            Wrong::Empty => "a number is required here".to_owned(),
            Wrong::Negative => "the smallest is 0".to_owned(),
            Wrong::NotFinite | Wrong::NotANumber => "write plain digits, as in 3600 or 12.5".to_owned(),
            Wrong::Fraction => "write it without decimals".to_owned(),
            Wrong::TooLarge => format!("the largest is {max}"),
        }
    }
}

/// A whole number; zeros after a point are accepted, since some tools write `3.0`.
pub(super) fn integer(text: &str) -> Result<u64, Wrong> {
    let (whole, fraction) = split(text)?;
    match fraction.iter().all(|digit| *digit == b'0') {
        true => Ok(whole),
        false => Err(Wrong::Fraction),
    }
}

/// A decimal number × `scale`, exact where that is whole and rounded to the nearest elsewhere
/// (halves up).
pub(super) fn decimal(text: &str, scale: u64) -> Result<u64, Wrong> {
    let (whole, fraction) = split(text)?;
    let whole = whole.checked_mul(scale).ok_or(Wrong::TooLarge)?;
    if fraction.is_empty() {
        return Ok(whole);
    }
    // 18 digits fit 64 bits; the ones after them are below any tick of ours.
    let digits = &fraction[..fraction.len().min(18)];
    let part = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let unit = 10_u64.pow(digits.len() as u32);
    let ticks = match part.checked_mul(scale).and_then(|ticks| ticks.checked_add(unit / 2)) {
        Some(ticks) => ticks / unit,
        None => ((u128::from(part) * u128::from(scale) + u128::from(unit / 2)) / u128::from(unit)) as u64,
    };
    whole.checked_add(ticks).ok_or(Wrong::TooLarge)
}

/// The whole part and the digits after the point.
fn split(text: &str) -> Result<(u64, &[u8]), Wrong> {
    let bytes = text.trim_ascii().as_bytes();
    let mut whole = 0_u64;
    for (i, byte) in bytes.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            whole = whole
                .checked_mul(10)
                .and_then(|w| w.checked_add(u64::from(digit)))
                .ok_or_else(|| overflow(bytes))?;
        } else {
            let fraction = &bytes[i + 1..];
            let numeric = 1 < bytes.len() && *byte == b'.' && fraction.iter().all(u8::is_ascii_digit);
            return if numeric { Ok((whole, fraction)) } else { Err(what(bytes)) };
        }
    }
    if bytes.is_empty() { Err(Wrong::Empty) } else { Ok((whole, &[])) }
}

fn overflow(bytes: &[u8]) -> Wrong {
    match bytes.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
        true => Wrong::TooLarge,
        false => Wrong::NotANumber,
    }
}

/// Why text that is not plain digits is no number of ours.
fn what(bytes: &[u8]) -> Wrong {
    match std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<f64>().ok()) {
        None => Wrong::NotANumber,
        Some(number) if !number.is_finite() => Wrong::NotFinite,
        Some(number) if number.is_sign_negative() => Wrong::Negative,
        // `+5` and `1e5`: numbers, but not as people count pods and seconds.
        Some(_) => Wrong::NotANumber,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, micros) in [
            ("0", 0),
            ("12", 12_000_000),
            ("1.5", 1_500_000),
            (".25", 250_000),
            ("7.", 7_000_000),
            ("9007199254.740993", 9_007_199_254_740_993),
            ("0.0000004", 0),
            ("0.0000005", 1),
            ("0.300000000000000004440892", 300_000),
            (" 3 ", 3_000_000),
        ] {
            assert_eq!(decimal(text, 1_000_000), Ok(micros), "{text}");
        }
        assert_eq!(decimal("0.999999999999999999", 3_600_000_000), Ok(3_600_000_000));
        assert_eq!((integer("3.000"), integer("18446744073709551615")), (Ok(3), Ok(u64::MAX)));
    }

    #[test]
    fn wrong_numbers_say_why() {
        for (text, wrong) in [
            ("", Wrong::Empty),
            ("-1", Wrong::Negative),
            ("-0.5", Wrong::Negative),
            ("NaN", Wrong::NotFinite),
            ("inf", Wrong::NotFinite),
            ("-Infinity", Wrong::NotFinite),
            ("1e5", Wrong::NotANumber),
            (".", Wrong::NotANumber),
            ("1.2.3", Wrong::NotANumber),
            ("12x", Wrong::NotANumber),
            ("99999999999999999999", Wrong::TooLarge),
            ("99999999999999999999x", Wrong::NotANumber),
            ("18446744073709551615", Wrong::TooLarge),
        ] {
            assert_eq!(decimal(text, 1_000_000), Err(wrong), "{text}");
        }
        assert_eq!(integer("0.5"), Err(Wrong::Fraction));
    }
}
