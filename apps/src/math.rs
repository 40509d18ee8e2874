//! Mathematics that is the same on every processor, for `f32` and `f64`.
//!
//! The platform's library is not: its `sin` differs between processors and versions, and one unit in the last place is
//! another token stream. These are the functions of the crate `libm`, written in Rust. `+ - * /` are safe as they are.

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($x:ident $(, $y:ident)*) = $single:ident, $double:ident;)*) => {
        /// `f32` and `f64`: the numbers that the functions of this module take.
        pub trait Real: sealed::Sealed + Copy {
            $($(#[$doc])* #[must_use] fn $name($x: Self $(, $y: Self)*) -> Self;)*
        }

        impl Real for f32 {
            $(fn $name($x: Self $(, $y: Self)*) -> Self { libm::$single($x $(, $y)*) })*
        }

        impl Real for f64 {
            $(fn $name($x: Self $(, $y: Self)*) -> Self { libm::$double($x $(, $y)*) })*
        }

        $($(#[$doc])* #[must_use] pub fn $name<R: Real>($x: R $(, $y: R)*) -> R { R::$name($x $(, $y)*) })*
    };
}

functions! {
    /// Sine of `x` radians.
    sin(x) = sinf, sin;
    /// Cosine of `x` radians.
    cos(x) = cosf, cos;
    /// Tangent of `x` radians.
    tan(x) = tanf, tan;
    /// Arc sine in radians, in [−π/2, π/2]; NaN outside of [−1, 1].
    asin(x) = asinf, asin;
    /// Arc cosine in radians, in [0, π]; NaN outside of [−1, 1].
    acos(x) = acosf, acos;
    /// Arc tangent in radians, in [−π/2, π/2].
    atan(x) = atanf, atan;
    /// Angle of the point (`x`, `y`) in radians, in [−π, π]. Like `f32::atan2`, `y` comes first.
    atan2(y, x) = atan2f, atan2;
    /// Hyperbolic sine.
    sinh(x) = sinhf, sinh;
    /// Hyperbolic cosine.
    cosh(x) = coshf, cosh;
    /// Hyperbolic tangent.
    tanh(x) = tanhf, tanh;
    /// e to the power of `x`.
    exp(x) = expf, exp;
    /// 2 to the power of `x`.
    exp2(x) = exp2f, exp2;
    /// e to the power of `x`, minus 1; exact also for small `x`.
    exp_m1(x) = expm1f, expm1;
    /// Natural logarithm.
    ln(x) = logf, log;
    /// Natural logarithm of 1 + `x`; exact also for small `x`.
    ln_1p(x) = log1pf, log1p;
    /// Logarithm to base 2.
    log2(x) = log2f, log2;
    /// Logarithm to base 10.
    log10(x) = log10f, log10;
    /// `x` to the power of `y`.
    pow(x, y) = powf, pow;
    /// Square root.
    sqrt(x) = sqrtf, sqrt;
    /// Cube root.
    cbrt(x) = cbrtf, cbrt;
    /// √(x² + y²) without overflow on the way.
    hypot(x, y) = hypotf, hypot;
    /// `x` · `y` + `z`, rounded once.
    mul_add(x, y, z) = fmaf, fma;
    /// Largest integer that is not above `x`.
    floor(x) = floorf, floor;
    /// Smallest integer that is not below `x`.
    ceil(x) = ceilf, ceil;
    /// Nearest integer, halves away from 0.
    round(x) = roundf, round;
    /// The integer part of `x`.
    trunc(x) = truncf, trunc;
    /// `x` without its sign.
    abs(x) = fabsf, fabs;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type of the argument chooses the precision, and literals follow it.
    #[test]
    fn precision_follows_the_argument() {
        let n = 3_u64;
        assert_eq!(sin(0.1 * n as f32).to_bits(), libm::sinf(0.1_f32 * 3.0).to_bits());
        assert_eq!(sin(0.1 * n as f64).to_bits(), libm::sin(0.1_f64 * 3.0).to_bits());
    }

    /// Values that no version of the library may change, not even for the better: they are in token streams.
    #[test]
    fn known_bits() {
        assert_eq!(sin(1.0_f32).to_bits(), 0x3f57_6aa4);
        assert_eq!(sin(1.0_f64).to_bits(), 0x3fea_ed54_8f09_0cee);
        assert_eq!(exp(1.0_f64).to_bits(), 0x4005_bf0a_8b14_576a);
        assert_eq!(sqrt(2.0_f64).to_bits(), 0x3ff6_a09e_667f_3bcd);
    }

    /// Arguments stand in the order of the standard library.
    #[test]
    fn argument_order() {
        assert_eq!(atan2(1.0_f64, 0.0), std::f64::consts::FRAC_PI_2);
        assert_eq!(pow(2.0_f32, 3.0), 8.0);
        assert_eq!(mul_add(2.0_f64, 3.0, 4.0), 10.0);
    }
}
