//! Logarithm and exponential out of sums, products and quotients alone. Those are the same on
//! every machine; what a system's library gives may differ in the last bit, and a replay that
//! differs in one bit is not the same.

/// ln 2.
const LN_2: f64 = std::f64::consts::LN_2;

/// The natural logarithm of a positive, finite, normal number.
pub(super) fn ln(x: f64) -> f64 {
    assert!(x.is_normal() && x > 0.0, "ln of {x}");
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1_023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1_023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), whose argument is below 0.172 here.
    let part = (mantissa - 1.0) / (mantissa + 1.0);
    let square = part * part;
    let mut sum = 0.0;
    for odd in (0..=10).rev() {
        sum = sum * square + 1.0 / f64::from(2 * odd + 1);
    }
    f64::from(exponent) * LN_2 + 2.0 * part * sum
}

/// e to a power; 0 far below, and as large as there is a number far above.
pub(super) fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let x = x.min(700.0);
    let whole = (x / LN_2).round();
    let rest = x - whole * LN_2;
    let mut sum = 1.0;
    for step in (1..=14).rev() {
        sum = 1.0 + sum * rest / f64::from(step);
    }
    sum * f64::from_bits(((whole as i64 + 1_023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_agree_with_the_library(x in 1e-12_f64..1e12, y in -600.0_f64..600.0) {
            prop_assert!((ln(x) - x.ln()).abs() <= 1e-14 * x.ln().abs().max(1.0));
            prop_assert!((exp(y) / y.exp() - 1.0).abs() <= 1e-12);
        }
    }

    #[test]
    fn the_ends_are_kept() {
        assert_eq!((ln(1.0), exp(0.0), exp(-1e9)), (0.0, 1.0, 0.0));
        assert!(exp(1e9).is_finite());
    }
}
