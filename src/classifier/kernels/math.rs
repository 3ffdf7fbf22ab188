//! Elementary functions in plain arithmetic, which the compiler turns into vector code where a loop inlines them.
#![expect(clippy::inline_always, reason = "the kernels' loops vectorise only around inlined bodies")]

/// e^x within 2 units in the last place for `x <= 88`; below -87 the result is 0.
///
/// Cody and Waite range reduction to `[-ln2/2, ln2/2]`, then the degree-6 polynomial of Cephes `expf`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer in the default rounding mode.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.0);
    let rounded = clamped * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    // The integer stands in the lowest bits of the rounded sum: with the bias added it is the exponent of 2^n.
    let two_to_n = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { e * two_to_n }
}

/// The error function, within 5e-7 of the exact value; exactly ±1 from ±4 on, as its nearest float is there.
///
/// The rational minimax approximation that Eigen uses for floats: odd degree 13 over even degree 8 on `[-4, 4]`.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let s = x * x;
    let mut p = -2.726_142_3e-10;
    p = p * s + 2.770_681_4e-8;
    p = p * s - 2.101_024_e-6;
    p = p * s - 5.692_506_5e-5;
    p = p * s - 7.349_906e-4;
    p = p * s - 2.954_6e-3;
    p = p * s - 1.609_603_3e-2;
    let mut q = -1.456_607_2e-5;
    q = q * s - 2.133_740_6e-4;
    q = q * s - 1.682_827e-3;
    q = q * s - 7.373_329e-3;
    q = q * s - 1.426_474e-2;
    if x.abs() >= 4.0 { 1f32.copysign(x) } else { x * p / q }
}

/// GELU in its exact form, `x · (1 + erf(x / √2)) / 2`.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// GELU by the tanh approximation, `x · sigmoid(2 √(2/π) (x + 0.044715 x³))`.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    const TWICE_SQRT_2_PI: f32 = 1.595_769;
    x / (1.0 + exp(-TWICE_SQRT_2_PI * (x + 0.044_715 * x * x * x)))
}

/// Partial sums that are kept side by side: the order is fixed, and the compiler holds them in one register.
pub const LANES: usize = 16;

/// The sum of `f` over the values, in an order that depends on their number alone.
#[inline(always)]
pub fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    reduce(values, 0.0, |sum, v| sum + f(v)).into_iter().sum()
}

/// The least of the values; NaN is passed over, and of no values it is +∞.
#[inline(always)]
pub fn least(values: &[f32]) -> f32 {
    let lesser = |least, v| if v < least { v } else { least };
    reduce(values, f32::INFINITY, lesser).into_iter().fold(f32::INFINITY, lesser)
}

/// The largest of the values; NaN is passed over, and of no values it is -∞.
#[inline(always)]
pub fn largest(values: &[f32]) -> f32 {
    let larger = |largest, v| if v > largest { v } else { largest };
    reduce(values, f32::NEG_INFINITY, larger).into_iter().fold(f32::NEG_INFINITY, larger)
}

/// Takes the values into lanes in turn. One array of lanes a loop: with two, the compiler keeps both in memory.
#[inline(always)]
fn reduce(values: &[f32], first: f32, f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut lanes = [first; LANES];
    let chunks = values.chunks_exact(LANES);
    for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = f(*lane, *v);
    }
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, *v);
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_standard_library() {
        for i in -8_700_i16..=8_800 {
            let x = f32::from(i) * 0.01;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "exp({x}) is off by {error:e}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sum_adds_every_value_once() {
        for n in 0_u8..100 {
            let values: Vec<f32> = (0..n).map(f32::from).collect();
            let exact: u32 = (0..u32::from(n)).sum();
            assert_eq!(sum(&values, |v| v), exact as f32);
        }
    }

    #[test]
    fn erf_is_close_to_its_series() {
        for i in -600_i16..=600 {
            let x = f64::from(i) * 0.01;
            let error = (f64::from(erf(x as f32)) - erf_series(x)).abs();
            assert!(error < 5e-7, "erf({x}) is off by {error:e}");
        }
        assert!(erf(f32::NAN).is_nan());
    }

    /// Abramowitz and Stegun 7.1.6, which has terms of one sign only.
    fn erf_series(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..400_i16 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        (2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum).clamp(-1.0, 1.0)
    }
}
