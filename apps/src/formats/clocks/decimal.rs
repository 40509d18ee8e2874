//! Decimals as files state them, through readers that know floating-point numbers only.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use sim_core::clock::Decimal;
use std::fmt;

/// A number of a file, exactly: the shortest decimal that is read as the same floating-point number, which is what
/// stands in the file if that has at most 15 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(pub(super) Decimal);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                number.to_string().parse().map(Number).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                number.to_string().parse().map(Number).map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
                Decimal::try_from(number).map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}
