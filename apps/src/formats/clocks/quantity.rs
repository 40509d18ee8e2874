//! Numbers with units, exactly: `"125MHz"`, `"-100ppm"`, `"5 ms"`.

use serde::de::{self, Deserialize, Deserializer};
use sim_core::clock::{Decimal, Femtos, Frequency};

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what} with a unit, such as {example}")]
pub struct QuantityError {
    /// The text.
    pub text: String,
    /// "a time", …
    pub what: &'static str,
    /// One that is.
    pub example: &'static str,
}

/// A time: `fs`, `ps`, `ns`, `us` or `µs`, `ms`, `s`.
///
/// # Errors
/// [`QuantityError`].
pub fn time(text: &str) -> Result<Femtos, QuantityError> {
    let units = [("fs", 0), ("ps", 3), ("ns", 6), ("us", 9), ("µs", 9), ("ms", 12), ("s", 15)];
    quantity(text, &units, 100, "a time", "`5ms`").map(Femtos)
}

/// A frequency: `uHz`, `mHz`, `Hz`, `kHz`, `MHz`, `GHz`.
///
/// # Errors
/// [`QuantityError`].
pub fn frequency(text: &str) -> Result<Frequency, QuantityError> {
    let units = [("uHz", 0), ("mHz", 3), ("kHz", 9), ("MHz", 12), ("GHz", 15), ("Hz", 6)];
    quantity(text, &units, 62, "a frequency", "`125MHz`").map(|number| Frequency(number as i64))
}

/// A share, in parts of 10¹²: `ppm`, `ppb`, `ppt`, `%`.
///
/// # Errors
/// [`QuantityError`].
pub fn parts_per_trillion(text: &str) -> Result<i64, QuantityError> {
    let units = [("ppm", 6), ("ppb", 3), ("ppt", 0), ("%", 10)];
    quantity(text, &units, 62, "a share", "`100ppm`").map(|number| number as i64)
}

/// The number before one of `units`, times 10 to its power; below 2^`bits`.
fn quantity(
    text: &str,
    units: &[(&str, i32)],
    bits: u32,
    what: &'static str,
    example: &'static str,
) -> Result<i128, QuantityError> {
    let trimmed = text.trim();
    let found = units.iter().find_map(|&(unit, power)| {
        let number = trimmed.strip_suffix(unit)?.trim_end();
        number.parse::<Decimal>().ok()?.scaled(power)
    });
    found.filter(|number| number.unsigned_abs() >> bits == 0).ok_or_else(|| QuantityError {
        text: text.to_owned(),
        what,
        example,
    })
}

/// For fields of a file that hold a quantity as text.
macro_rules! fields {
    ($($name:ident($text:ident: $given:ty) -> $value:ty = $read:expr;)*) => {$(
        pub(super) fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$value, D::Error> {
            let $text = <$given>::deserialize(deserializer)?;
            $read.map_err(de::Error::custom)
        }
    )*};
}

fields! {
    in_time(text: String) -> Femtos = time(&text);
    in_time_maybe(text: String) -> Option<Femtos> = time(&text).map(Some);
    in_times(texts: Vec<String>) -> Vec<Femtos> = texts.iter().map(|text| time(text)).collect::<Result<_, _>>();
    in_frequency(text: String) -> Frequency = frequency(&text);
    in_parts(text: String) -> i64 = parts_per_trillion(&text);
    in_parts_maybe(text: String) -> Option<i64> = parts_per_trillion(&text).map(Some);
    in_parts_or_zero(text: String) -> i64 = parts_per_trillion(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_scale_exactly() {
        assert_eq!(time("5 ms").unwrap(), Femtos::nanos(5_000_000));
        assert_eq!(time("0.1ns").unwrap(), Femtos(100_000));
        assert_eq!(time("2s").unwrap(), Femtos(2 * Femtos::PER_SECOND));
        assert_eq!(frequency("125MHz").unwrap(), Frequency::hertz(125_000_000));
        assert_eq!(parts_per_trillion("-100ppm").unwrap(), -100_000_000);
        for bad in ["", "5", "ms", "5 minutes", "1e99s", "fast", "5Hz"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(frequency("1e30GHz").is_err() && parts_per_trillion("3s").is_err());
    }
}
