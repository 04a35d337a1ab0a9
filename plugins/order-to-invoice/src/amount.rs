//! Amounts in the smallest unit of their currency, without rounding.

use lockgate_sdk::Failure;

/// How many digits each currency has behind the point (ISO 4217), for those that invoices are written in.
const CURRENCIES: [(&str, usize); 9] =
    [("EUR", 2), ("USD", 2), ("GBP", 2), ("CHF", 2), ("SEK", 2), ("NOK", 2), ("DKK", 2), ("PLN", 2), ("JPY", 0)];

/// `64.85` in EUR is 6485.
///
/// # Errors
///
/// Permanent: `currency-unknown`; `amount-invalid` where `amount` is no plain decimal, is finer than the currency's smallest unit, or does not fit.
pub fn in_minor_units(amount: &str, currency: &str) -> Result<i64, Failure> {
    let known = CURRENCIES.iter().find(|(code, _)| *code == currency);
    let (_, digits) = known.ok_or_else(|| {
        Failure::permanent("currency-unknown", format!("/currency is {currency:?}: add it to the plugin's table with its number of digits"))
    })?;
    scaled(amount, *digits).ok_or_else(|| {
        let detail =
            format!("/total is {amount}, which is no exact amount in {currency}: at most {digits} digits behind the point, no exponent");
        Failure::permanent("amount-invalid", detail)
    })
}

/// `amount` times ten to the `digits`, if that is a whole number of 64 bits. Zeros behind the last digit that counts are none.
fn scaled(amount: &str, digits: usize) -> Option<i64> {
    let (sign, unsigned) = amount.strip_prefix('-').map_or((1, amount), |unsigned| (-1, unsigned));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    if whole.is_empty() || fraction.is_empty() {
        return None;
    }
    let (counting, beyond) = fraction.split_at_checked(digits).unwrap_or((fraction, ""));
    if beyond.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let padding = std::iter::repeat_n(b'0', digits - counting.len());
    whole.bytes().chain(counting.bytes()).chain(padding).try_fold(0_i64, |sum, digit| {
        let value = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(sign * value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        for amount in ["", "-", ".", "1.", ".5", "1e2", "1E2", "+1", "--1", "1.005", "1.-2", "1.2.3", " 1", "1_0", "92233720368547758.08"] {
            assert_eq!(scaled(amount, 2), None, "{amount}");
        }
        assert_eq!(scaled("1.5", 0), None);
    }

    #[test]
    fn amounts_are_exact_to_the_last_digit() {
        for (amount, digits, minor) in [
            ("64.85", 2, 6_485),
            ("64.8", 2, 6_480),
            ("64", 2, 6_400),
            ("64.8500", 2, 6_485),
            ("-0.05", 2, -5),
            ("0.00", 2, 0),
            ("1200", 0, 1_200),
            ("1200.00", 0, 1_200),
            ("92233720368547758.07", 2, i64::MAX),
            ("-92233720368547758.08", 2, i64::MIN),
        ] {
            assert_eq!(scaled(amount, digits), Some(minor), "{amount}");
        }
    }
}
