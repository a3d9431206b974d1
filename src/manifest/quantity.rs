//! Quantities as Kubernetes reads them: `2`, `500m`, `1.5Gi`, `12e6`.
//!
//! The grammar and the rounding are those of `resource.ParseQuantity` (k8s.io/apimachinery
//! `pkg/api/resource/quantity.go`): exact decimals, rounded away from zero to 10⁻⁹, capped at 2⁶³ - 1.

use std::fmt;

/// Billionths in one.
const NANO: i128 = 1_000_000_000;

/// Largest amount that Kubernetes keeps; more is cut to it.
const MOST: i128 = (i64::MAX as i128) * NANO;

/// Beyond this power of ten every digit is cut off or makes the amount the largest.
const EXPONENT_MOST: i64 = 60;

/// An exact amount of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nano: i128,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { nano: 0 };

    /// A whole number.
    #[must_use]
    pub const fn whole(number: i64) -> Quantity {
        Quantity { nano: number as i128 * NANO }
    }

    /// Reads what `resource.ParseQuantity` reads. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Quantity> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let whole_len = digits(unsigned);
        let (whole, rest) = unsigned.split_at(whole_len);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (binary, exponent) = scale(suffix)?;
        let nano = magnitude(whole, fraction, binary, exponent);
        Some(Quantity { nano: if negative { -nano } else { nano } })
    }

    /// In whole units, rounded away from zero as `Quantity.Value` does.
    #[must_use]
    pub fn value(self) -> i64 {
        i64::try_from(div_away(self.nano, NANO)).expect("amounts are capped at 64 bits")
    }

    /// In thousandths, rounded away from zero as `Quantity.MilliValue` does; cut at 64 bits.
    #[must_use]
    pub fn milli(self) -> i64 {
        let milli = div_away(self.nano, NANO / 1_000);
        i64::try_from(milli).unwrap_or(if milli < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether it is a whole number.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// The sum, cut at the largest amount.
    #[must_use]
    pub fn plus(self, other: Quantity) -> Quantity {
        Quantity { nano: (self.nano + other.nano).clamp(-MOST, MOST) }
    }
}

/// In the largest binary unit that divides it, or as a decimal: `8Gi`, `1.5`.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(i128, &str); 4] = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
        let (whole, part) = (self.nano / NANO, (self.nano % NANO).abs());
        if part != 0 {
            let sign = if self.nano < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{part:09}", whole.abs());
            return f.pad(text.trim_end_matches('0'));
        }
        match UNITS.iter().find(|(size, _)| whole != 0 && whole % size == 0) {
            Some((size, unit)) => f.pad(&format!("{}{unit}", whole / size)),
            None => f.pad(&whole.to_string()),
        }
    }
}

fn div_away(number: i128, by: i128) -> i128 {
    let rest = number % by;
    number / by + rest.signum()
}

/// What a suffix multiplies by: 2 to the first power times 10 to the second.
fn scale(suffix: &str) -> Option<(u32, i64)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        other => {
            let digits = other.strip_prefix(['e', 'E'])?;
            let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let exponent: i64 = digits.parse().ok()?;
            (0, exponent.clamp(-EXPONENT_MOST, EXPONENT_MOST))
        }
    })
}

/// `whole.fraction` × 2^`binary` × 10^`exponent` in billionths, rounded up and capped.
fn magnitude(whole: &str, fraction: &str, binary: u32, exponent: i64) -> i128 {
    match binary {
        0 => decimal(&format!("{whole}{fraction}"), exponent - fraction.len() as i64 + 9),
        _ => binary_magnitude(whole, fraction, binary),
    }
}

/// `digits` × 10^`exponent`, rounded up and capped.
fn decimal(digits: &str, exponent: i64) -> i128 {
    /// As many digits as always fit 128 bits.
    const KEPT: usize = 38;
    let digits = digits.trim_start_matches('0');
    let (kept, cut) = digits.split_at(digits.len().min(KEPT));
    let number: i128 = if kept.is_empty() { 0 } else { kept.parse().expect("few digits") };
    let more = i128::from(cut.bytes().any(|b| b != b'0'));
    let exponent = exponent + cut.len() as i64;
    match u32::try_from(exponent) {
        _ if number == 0 => 0,
        Ok(power) => {
            let scaled = 10_i128.checked_pow(power).and_then(|by| number.checked_mul(by));
            scaled.map_or(MOST, |n| (n + more).min(MOST))
        }
        Err(_) => match 10_i128.checked_pow(exponent.unsigned_abs().min(100) as u32) {
            Some(by) => (number / by + i128::from(number % by != 0 || more != 0)).min(MOST),
            None => 1,
        },
    }
}

/// `whole.fraction` × 2^`power` in billionths, rounded up and capped.
fn binary_magnitude(whole: &str, fraction: &str, power: u32) -> i128 {
    /// As many digits as fit 128 bits beside 2^60; further ones count less than a billionth of a KiB.
    const KEPT: usize = 20;
    let whole = whole.trim_start_matches('0');
    let number: i128 = match whole.len() {
        0 => 0,
        1..=38 => whole.parse().expect("few digits"),
        _ => return MOST,
    };
    let Some(above) = number.checked_mul(NANO << power) else { return MOST };
    let (kept, cut) = fraction.split_at(fraction.len().min(KEPT));
    let part: i128 = if kept.is_empty() { 0 } else { kept.parse().expect("few digits") };
    let by = 10_i128.pow(kept.len() as u32);
    let (scaled, by) = match by <= NANO {
        true => ((part << power) * (NANO / by), 1),
        false => (part << power, by / NANO),
    };
    let more = scaled % by != 0 || cut.bytes().any(|b| b != b'0');
    above.saturating_add(scaled / by + i128::from(more)).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, nano: i128) {
        assert_eq!(Quantity::parse(text), Some(Quantity { nano }), "{text}");
    }

    #[test]
    fn what_kubernetes_reads_is_read_exactly() {
        for (text, nano) in [
            ("0", 0),
            ("2", 2 * NANO),
            ("+2", 2 * NANO),
            ("500m", NANO / 2),
            (".5", NANO / 2),
            ("1.", NANO),
            ("100k", 100_000 * NANO),
            ("12e6", 12_000_000 * NANO),
            ("12E-1", 12 * NANO / 10),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("1u", 1_000),
            ("8Gi", (8 << 30) * NANO),
            ("80Gi", (80 << 30) * NANO),
            ("1.5Gi", (3 << 29) * NANO),
            ("0.1Ki", 102_400_000_000),
            ("-500m", -NANO / 2),
            ("1e-12", 1),
            ("-1e-12", -1),
            ("0.1n", 1),
            ("1.0000000001", NANO + 1),
            ("9Ei", MOST),
            ("7.999Ei", 9_222_219_115_350_168_961_024_000_000),
            ("1e40", MOST),
            ("1e999999", MOST),
            ("0e999999", 0),
            ("1e-999999", 1),
            ("99999999999999999999999999999999999999999999", MOST),
            ("0.00000000000000000000000000000000000000000001Ki", 1),
        ] {
            check(text, nano);
        }
        for bad in
            ["", ".", "-", "Gi", "1 Gi", "1GiB", "1K", "1ki", "0x10", "1e", "1e+", "1e1.5", "1_000", "½"]
        {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn values_round_away_from_zero() {
        let of = |text| Quantity::parse(text).expect("a quantity");
        assert_eq!((of("1.1").value(), of("-1.1").value(), of("100m").value()), (2, -2, 1));
        assert_eq!((of("1500u").milli(), of("2").milli(), of("9E").milli()), (2, 2_000, i64::MAX));
        assert_eq!(of("500m").plus(of("1.5")), Quantity::whole(2));
        let shown: Vec<String> =
            ["8Gi", "1536Mi", "1.50", "-0.5", "7", "0"].map(|t| of(t).to_string()).into();
        assert_eq!(shown, ["8Gi", "1536Mi", "1.5", "-0.5", "7", "0"]);
    }
}
