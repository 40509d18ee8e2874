//! Physical quantities of the clock model as integers: time, frequency, phase, and decimals on their way to them.
//!
//! Interfaces count femtoseconds, engines attoseconds: clocks that have settled lock where floors change, and there a
//! grain of a femtosecond, a millionth of a frame at 1 GHz, was seen to change readings. One attosecond times one
//! microhertz is 10⁻²⁴ frames, the unit of phase. So phase = frequency · time is exact, and the floor of a phase, which
//! every logical result depends on, is never a matter of rounding.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

/// Physical time, or a span of it, in femtoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Femtos(pub i128);

impl Femtos {
    /// Femtoseconds of a nanosecond.
    pub const PER_NANOSECOND: i128 = 1_000_000;
    /// Femtoseconds of a second.
    pub const PER_SECOND: i128 = 1_000_000_000_000_000;

    /// Attoseconds.
    pub(super) const fn grains(self) -> i128 {
        self.0 * GRAINS
    }

    /// The first femtosecond that is not before an instant in attoseconds.
    pub(super) const fn of_grains(grains: i128) -> Self {
        Self(-(-grains).div_euclid(GRAINS))
    }

    /// A whole number of nanoseconds.
    #[must_use]
    pub const fn nanos(nanos: i64) -> Self {
        Self(nanos as i128 * Self::PER_NANOSECOND)
    }

    /// For output: nanoseconds, rounded.
    #[must_use]
    pub fn as_nanos(self) -> f64 {
        // Whole and part apart, so that a long time does not cost the digits below a nanosecond twice.
        let (whole, part) = (self.0.div_euclid(Self::PER_NANOSECOND), self.0.rem_euclid(Self::PER_NANOSECOND));
        whole as f64 + part as f64 / Self::PER_NANOSECOND as f64
    }

    /// For output: seconds, rounded.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.as_nanos() / 1e9
    }
}

impl Add for Femtos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Femtos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Display for Femtos {
    /// With the largest unit that leaves at least one digit before the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(15, "s"), (12, "ms"), (9, "µs"), (6, "ns"), (3, "ps")];
        let size = |power: u32| 10_i128.pow(power);
        let (power, unit) = units.into_iter().find(|&(power, _)| self.0.abs() >= size(power)).unwrap_or((0, "fs"));
        let (whole, part) = (self.0 / size(power), (self.0 % size(power)).unsigned_abs());
        let digits = if power == 0 { String::new() } else { format!(".{part:0width$}", width = power as usize) };
        write!(f, "{whole}{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A frequency or a difference of frequencies, in microhertz: frames per second / 10⁶.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frequency(pub i64);

impl Frequency {
    /// Microhertz of a hertz.
    pub const PER_HERTZ: i64 = 1_000_000;

    /// A whole number of hertz.
    #[must_use]
    pub const fn hertz(hertz: i64) -> Self {
        Self(hertz * Self::PER_HERTZ)
    }

    /// For output: frames per nanosecond.
    #[must_use]
    pub fn per_nanosecond(self) -> f64 {
        self.0 as f64 / 1e15
    }

    /// For output: how far this frequency is from `nominal`, in parts per million.
    #[must_use]
    pub fn ppm_of(self, nominal: Self) -> f64 {
        (self.0 - nominal.0) as f64 / nominal.0 as f64 * 1e6
    }

    /// This frequency made `parts` · 10⁻¹² larger, rounded half to even.
    #[must_use]
    pub fn shifted(self, parts_per_trillion: i64) -> Self {
        let change = round_half_even(i128::from(self.0) * i128::from(parts_per_trillion), 1_000_000_000_000);
        Self(self.0 + change as i64)
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(15, "GHz"), (12, "MHz"), (9, "kHz"), (6, "Hz")];
        let size = |power: u32| 10_i64.pow(power);
        let (power, unit) = units
            .into_iter()
            .find(|&(power, _)| self.0.unsigned_abs() >= size(power).unsigned_abs())
            .unwrap_or((6, "Hz"));
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.unsigned_abs() / size(power) as u64, self.0.unsigned_abs() % size(power) as u64);
        let digits = format!(".{part:0width$}", width = power as usize);
        write!(f, "{sign}{whole}{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A clock's phase, or a span of it, in 10⁻²⁴ frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phase(pub i128);

/// Units of phase in a frame.
pub(super) const FRAME: i128 = 1_000_000_000_000_000_000_000_000;

/// Attoseconds in a femtosecond.
pub(super) const GRAINS: i128 = 1_000;

impl Phase {
    /// A whole number of frames.
    #[must_use]
    pub const fn frames(frames: i64) -> Self {
        Self(frames as i128 * FRAME)
    }

    /// Frames that are complete: the floor.
    #[must_use]
    pub fn whole(self) -> i64 {
        whole_frames(self.0)
    }

    /// For output: frames, rounded.
    #[must_use]
    pub fn as_frames(self) -> f64 {
        self.whole() as f64 + (self.0 - i128::from(self.whole()) * FRAME) as f64 / FRAME as f64
    }
}

/// Phases beyond this are not reached: that is 47 hours at 1 GHz. What is left of 128 bits are some seconds.
pub(super) const PHASE_LIMIT: i128 = i128::MAX - (1 << 115);

/// The floor of a phase in frames, without a division.
#[inline]
pub(super) fn whole_frames(phase: i128) -> i64 {
    frames_of_half((phase >> 64) as i64).unwrap_or_else(|| frames_beside(phase))
}

/// Bits of fraction in the upper half of half a phase times the reciprocal.
const FRACTION: u32 = 14;

/// 2¹²⁷⁺¹⁵ / FRAME, in two steps, because the dividend is too long.
const RECIPROCAL: i64 = {
    let (high, frame) = (1_u128 << 127, FRAME as u128);
    ((high / frame) << 15) as i64 + (((high % frame) << 15) / frame) as i64
};

#[inline]
fn scaled(half: i64) -> i64 {
    ((i128::from(half) * i128::from(RECIPROCAL)) >> 64) as i64
}

/// The floor in frames of a phase whose upper 64 bits are `half` or one more; `None` where the lower ones decide.
///
/// What is neglected, and the rounding of two products, is less than three units of the fraction. So only where this
/// is next to a whole number the floor could be the neighbour's.
#[inline]
pub(super) fn frames_of_half(half: i64) -> Option<i64> {
    const DOUBTFUL: i64 = 4;
    let scaled = scaled(half);
    let certain = (scaled + DOUBTFUL) & ((1 << FRACTION) - 2 * DOUBTFUL) != 0;
    certain.then_some(scaled >> FRACTION)
}

/// The floor of a phase that is next to a whole number of frames, or on it: the remainder decides.
#[cold]
fn frames_beside(phase: i128) -> i64 {
    let frames = scaled((phase >> 64) as i64) >> FRACTION;
    let rest = phase - i128::from(frames) * FRAME;
    frames + i64::from(rest >= FRAME) - i64::from(rest < 0)
}

/// A divisor of many dividends: ⌈dividend / divisor⌉ by multiplications, after one division of 64 bits.
///
/// The dividend times a reciprocal that is a little too small is the quotient, or a little less: the low words of the
/// remainder tell by how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Divisor {
    divisor: u64,
    /// How far the divisor is shifted for its leading bit to be at the top: it is then *normal*.
    shift: u32,
    /// At most 2¹²⁶ / normal divisor, and by less than 2⁻⁵⁸ of it smaller.
    reciprocal: u64,
}

impl Divisor {
    /// # Panics
    /// If the divisor is not positive.
    #[inline]
    pub(super) fn new(divisor: i64) -> Self {
        assert!(divisor > 0, "clocks that are asked when they reach a phase run forward");
        let divisor = divisor as u64;
        let shift = divisor.leading_zeros();
        let normal = divisor << shift;
        // 2⁹⁶ / normal to 30 bits, and to twice as many by a step of Newton's; both rounded down.
        let rough = u64::MAX / ((normal >> 32) + 1);
        let missing = (1 << 63) - 1 - (product(normal, rough) >> 33) as u64;
        Self { divisor, shift, reciprocal: (rough << 30) + ((rough * (missing >> 3)) >> 30) }
    }

    /// The smallest quotient whose product is not below `dividend`; 0 for negative ones.
    #[inline]
    pub(super) fn ceil(self, dividend: i128) -> i64 {
        self.ceil_and_excess(dividend).0
    }

    /// The same, and by how much its product is above `dividend`.
    #[inline]
    pub(super) fn ceil_and_excess(self, dividend: i128) -> (i64, i64) {
        if dividend <= 0 {
            return (0, (-dividend) as i64);
        }
        debug_assert!(dividend.leading_zeros() > self.shift, "{dividend} is too long for this divisor");
        let normal = (dividend as u128) << self.shift;
        let (high, low) = ((normal >> 64) as u64, normal as u64);
        let mut quotient = ((product(high, self.reciprocal) + (product(low, self.reciprocal) >> 64)) >> 62) as u64;
        // The remainder is short as long as quotients have less than 60 bits.
        let mut rest = (dividend as u64).wrapping_sub(quotient.wrapping_mul(self.divisor));
        // Hardly ever.
        while rest >= self.divisor {
            quotient += 1;
            rest -= self.divisor;
        }
        if rest == 0 { (quotient as i64, 0) } else { (quotient as i64 + 1, (self.divisor - rest) as i64) }
    }
}

#[inline]
fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// `numerator / denominator`, rounded half to even.
///
/// # Panics
/// If the denominator is not positive.
#[must_use]
#[inline]
pub fn round_half_even(numerator: i128, denominator: i128) -> i128 {
    if denominator == 1 {
        return numerator;
    }
    assert!(denominator > 0, "a denominator is positive");
    let (quotient, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    match (2 * rest).cmp(&denominator) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

/// A decimal number as it is written, exactly: `digits` · 10^`exponent`.
///
/// ```
/// use sim_core::clock::Decimal;
///
/// let kp: Decimal = "2e-8".parse()?;
/// assert_eq!(kp.scaled(15), Some(20_000_000));
/// assert_eq!(Decimal::try_from(1.000_036)?.scaled(15), Some(1_000_036_000_000_000));
/// # Ok::<(), sim_core::clock::DecimalError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: i64,
    exponent: i32,
}

/// Why a text is not a decimal number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Other characters, or none.
    #[error("`{text}` is not a decimal number")]
    Syntax {
        /// The text.
        text: String,
    },
    /// More digits than are kept.
    #[error("`{text}` has too many digits, 18 are kept")]
    TooLong {
        /// The text.
        text: String,
    },
}

impl Decimal {
    /// A whole number.
    #[must_use]
    pub const fn whole(number: i64) -> Self {
        Self { digits: number, exponent: 0 }
    }

    /// This number times 10^`power`, rounded half to even; `None` if that does not fit.
    #[must_use]
    pub fn scaled(self, power: i32) -> Option<i128> {
        let power = self.exponent.checked_add(power)?;
        let size = 10_i128.checked_pow(power.unsigned_abs());
        match (power >= 0, size) {
            (true, Some(size)) => i128::from(self.digits).checked_mul(size),
            (true, None) if self.digits == 0 => Some(0),
            (true, None) => None,
            (false, Some(size)) => Some(round_half_even(self.digits.into(), size)),
            (false, None) => Some(0),
        }
    }

    /// Whether scaling by 10^`power` gives a whole number.
    #[must_use]
    pub fn is_whole(self, power: i32) -> bool {
        let power = self.exponent.saturating_add(power);
        power >= 0 || 10_i128.checked_pow(power.unsigned_abs()).is_some_and(|size| i128::from(self.digits) % size == 0)
    }

    /// The number as a fraction in lowest terms, times 10^`power`; `None` if a part does not fit 64 bits.
    #[must_use]
    pub fn fraction(self, power: i32) -> Option<(i64, i64)> {
        let power = self.exponent.checked_add(power)?;
        let size = 10_i128.checked_pow(power.unsigned_abs())?;
        let (numerator, denominator) =
            if power >= 0 { (i128::from(self.digits).checked_mul(size)?, 1) } else { (self.digits.into(), size) };
        let common = gcd(numerator.unsigned_abs(), denominator.unsigned_abs()).max(1) as i128;
        Some((i64::try_from(numerator / common).ok()?, i64::try_from(denominator / common).ok()?))
    }

    /// For output: the nearest floating-point number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().expect("digits and an exponent are a number")
    }
}

pub(super) fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let syntax = || DecimalError::Syntax { text: text.to_owned() };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| syntax())?),
            None => (text, 0),
        };
        let (negative, unsigned) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = || whole.bytes().chain(part.bytes());
        if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit() || byte == b'_') {
            return Err(syntax());
        }
        let too_long = || DecimalError::TooLong { text: text.to_owned() };
        let part = part.replace('_', "");
        let kept = part.trim_end_matches('0');
        let digits = whole
            .bytes()
            .chain(kept.bytes())
            .filter(u8::is_ascii_digit)
            .try_fold(0_i64, |digits, byte| digits.checked_mul(10)?.checked_add(i64::from(byte - b'0')));
        let digits = digits.filter(|&digits| digits < 1_000_000_000_000_000_000).ok_or_else(too_long)?;
        let places = i32::try_from(kept.len()).map_err(|_| too_long())?;
        let exponent = exponent.checked_sub(places).ok_or_else(too_long)?;
        Ok(Self { digits: if negative { -digits } else { digits }, exponent })
    }
}

impl TryFrom<f64> for Decimal {
    type Error = DecimalError;

    /// The shortest decimal that is read as `number`, which is the one that a file or a program states.
    fn try_from(number: f64) -> Result<Self, DecimalError> {
        format!("{number:e}").parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_are_the_floor(frames in -85_000_000_000_000_i64..85_000_000_000_000, near in -3_i128..3, far in 0..FRAME) {
            for phase in [i128::from(frames) * FRAME + near, i128::from(frames) * FRAME + far] {
                prop_assert_eq!(i128::from(whole_frames(phase)), phase.div_euclid(FRAME));
            }
        }

        /// A carry into the upper half may be left out, next to whole frames too.
        #[test]
        fn upper_halves_are_the_floor_or_nothing(frames in -85_000_000_000_000_i64..85_000_000_000_000, near in -8_i64..8, low: u64, carry in 0..2_i64) {
            let half = ((i128::from(frames) * FRAME) >> 64) as i64 + near;
            let phase = (i128::from(half) << 64) + i128::from(low);
            if let Some(floor) = frames_of_half(half - carry) {
                prop_assert_eq!(i128::from(floor), phase.div_euclid(FRAME));
            }
            // Hardly ever nothing: only within a few units of a whole number.
            let middle = (((i128::from(frames) * FRAME) + FRAME / 2) >> 64) as i64;
            prop_assert_eq!(frames_of_half(middle + near), Some(frames));
        }

        #[test]
        fn quotients_are_exact(dividend in -5_i128..1 << 100, short in 0..90_u32, divisor in 1_i64..1 << 60, trim in 0..58_u32) {
            let (dividend, divisor) = (dividend >> short, (divisor >> trim).max(1));
            let expected = if dividend <= 0 { 0 } else { (dividend + i128::from(divisor) - 1) / i128::from(divisor) };
            prop_assume!(expected < 1 << 60 && dividend.leading_zeros() > divisor.leading_zeros());
            let (quotient, excess) = Divisor::new(divisor).ceil_and_excess(dividend);
            prop_assert_eq!(i128::from(quotient), expected);
            prop_assert_eq!(i128::from(excess), expected * i128::from(divisor) - dividend);
        }
    }

    #[test]
    fn decimals_are_exact() {
        let cases = [("1.000036", 15, 1_000_036_000_000_000), ("2e-08", 15, 20_000_000), ("-0.5", 0, 0), ("1.5", 0, 2)];
        for (text, power, value) in cases {
            assert_eq!(text.parse::<Decimal>().unwrap().scaled(power), Some(value), "{text}");
        }
        assert_eq!("1e-15".parse::<Decimal>().unwrap().fraction(12), Some((1, 1000)));
        assert_eq!(Decimal::try_from(100_000.0).unwrap().scaled(0), Some(100_000));
        for bad in ["", ".", "e5", "1e", "0x1", "1.2.3", "nan", "1234567890123456789012"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
        assert!(Decimal::try_from(f64::INFINITY).is_err());
    }

    #[test]
    fn quantities_read_well() {
        assert_eq!(Femtos::nanos(1_500).to_string(), "1.5 µs");
        assert_eq!(Femtos(-7).to_string(), "-7 fs");
        assert_eq!(Frequency::hertz(125_000_000).to_string(), "125 MHz");
        assert_eq!(Frequency(-1).to_string(), "-0.000001 Hz");
    }
}
