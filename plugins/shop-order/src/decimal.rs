//! Sums of money without rounding: exact, or refused.
//!
//! Own code because decimal libraries of fixed size round silently where digits run out, and those of any size let a
//! message of ten bytes (`1e999999999`) ask for a gigabyte.

use std::fmt;

use lockgate_sdk::Failure;

/// The failure for `what` that cannot be added exactly.
pub fn out_of_range(what: &str) -> Failure {
    Failure::permanent("amount-out-of-range", format!("{what}: cannot be added without rounding (an exponent, or over 38 digits)"))
}

/// A decimal number: `coefficient` divided by ten to the `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    coefficient: i128,
    scale: u32,
}

impl Decimal {
    pub const ZERO: Decimal = Decimal { coefficient: 0, scale: 0 };

    /// Reads `-12.50`. None for an exponent, or for more digits than fit.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let scale = u32::try_from(fraction.len()).ok()?;
        let digits = format!("{whole}{fraction}");
        let unsigned = digits.strip_prefix('-').unwrap_or(&digits);
        if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Decimal { coefficient: digits.parse().ok()?, scale })
    }

    /// The sum, in the finer of both scales. None if it does not fit.
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let coefficient = self.at_scale(scale)?.checked_add(other.at_scale(scale)?)?;
        Some(Decimal { coefficient, scale })
    }

    /// The difference, in the finer of both scales. None if it does not fit.
    pub fn minus(self, other: Decimal) -> Option<Decimal> {
        self.plus(Decimal { coefficient: other.coefficient.checked_neg()?, scale: other.scale })
    }

    /// The product with a count. None if it does not fit.
    pub fn times(self, count: u64) -> Option<Decimal> {
        Some(Decimal { coefficient: self.coefficient.checked_mul(i128::from(count))?, ..self })
    }

    fn at_scale(self, scale: u32) -> Option<i128> {
        self.coefficient.checked_mul(10_i128.checked_pow(scale - self.scale)?)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale as usize;
        let sign = if self.coefficient < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.coefficient.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if scale > 0 { "." } else { "" };
        write!(out, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn what_cannot_be_exact_is_refused() {
        for text in ["", "-", ".", "1e400", "1E2", "+1", "1.-2", "--1", " 1", "1_0", "1.2.3", "170141183460469231731687303715884105728"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        let most = decimal("170141183460469231731687303715884105727");
        assert_eq!(most.plus(decimal("1")), None);
        assert_eq!(most.plus(decimal("0.1")), None);
        assert_eq!(most.times(2), None);
        assert_eq!(decimal("1").plus(decimal(&format!("0.{}", "0".repeat(60)))), None);
    }

    #[test]
    fn text_comes_back_as_it_was() {
        for text in ["0", "0.00", "10.00", "-10.10", "-0.05", "0.1", "99999999999999999999.99"] {
            assert_eq!(decimal(text).to_string(), text);
        }
    }

    #[test]
    fn sums_have_no_rounding_error() {
        assert_eq!(decimal("0.1").plus(decimal("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(decimal("409.94").minus(decimal("398")).unwrap().to_string(), "11.94");
        assert_eq!(decimal("1").minus(decimal("1.005")).unwrap().to_string(), "-0.005");
        assert_eq!(decimal("19.99").times(3).unwrap().to_string(), "59.97");
    }
}
