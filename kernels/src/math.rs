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
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    let p = polynomial(r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    let e = p.mul_add(r * r, r) + 1.0;
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
    let p = polynomial(
        s,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024_e-6,
            -5.692_506_5e-5,
            -7.349_906e-4,
            -2.954_6e-3,
            -1.609_603_3e-2,
        ],
    );
    let q = polynomial(s, [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_474e-2]);
    if x.abs() >= 4.0 { 1f32.copysign(x) } else { x * p / q }
}

/// GELU in its exact form, `x · (1 + erf(x / √2)) / 2`.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let half = 0.5 * x;
    half.mul_add(erf(x * std::f32::consts::FRAC_1_SQRT_2), half)
}

/// GELU by the tanh approximation, `x · sigmoid(2 √(2/π) (x + 0.044715 x³))`.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    const TWICE_SQRT_2_PI: f32 = 1.595_769;
    x / (1.0 + exp(-TWICE_SQRT_2_PI * (x + 0.044_715 * x * x * x)))
}

/// By Horner's rule, the highest power's coefficient first. Fused multiply-adds give the same bits on every processor; one
/// without the instruction takes long over them.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().reduce(|sum, c| sum.mul_add(x, c)).unwrap_or(0.0)
}

/// Partial sums that are kept side by side: the order is fixed, and the compiler holds them in one register.
pub const LANES: usize = 16;

/// The sum of `f` over the values, in an order that depends on their number alone.
#[inline(always)]
pub fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    fold(reduce(values, 0.0, |sum, v| sum + f(v)), |a, b| a + b)
}

/// The largest of the values; NaN is passed over, and of no values it is -∞.
#[inline(always)]
pub fn largest(values: &[f32]) -> f32 {
    fold(reduce(values, f32::NEG_INFINITY, larger), larger)
}

/// The least and the largest of the values and 0, and whether all of them are finite; NaN is passed over.
#[inline(always)]
pub fn range(values: &[f32]) -> (f32, f32, bool) {
    const MAGNITUDE: u32 = 0x7fff_ffff;
    const INFINITY: u32 = f32::INFINITY.to_bits();
    let (mut low, mut high, mut magnitude) = ([0f32; LANES], [0f32; LANES], [0u32; LANES]);
    let mut take = |values: &[f32; LANES]| {
        for (i, v) in values.iter().enumerate() {
            low[i] = lesser(low[i], *v);
            high[i] = larger(high[i], *v);
            magnitude[i] = magnitude[i].max(v.to_bits() & MAGNITUDE);
        }
    };
    let (chunks, rest) = values.as_chunks();
    chunks.iter().for_each(&mut take);
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    take(&last);
    (fold(low, lesser), fold(high, larger), fold(magnitude, u32::max) < INFINITY)
}

#[inline(always)]
fn lesser(least: f32, v: f32) -> f32 {
    if v < least { v } else { least }
}

#[inline(always)]
fn larger(largest: f32, v: f32) -> f32 {
    if v > largest { v } else { largest }
}

/// One of all lanes, half of them at a time.
#[inline(always)]
fn fold<T: Copy>(mut lanes: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Takes the values into lanes in turn.
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
    fn range_sees_every_value() {
        for n in 1..70 {
            for at in 0..n {
                let mut values = vec![0.5; n];
                values[at] = -3.0;
                assert_eq!(range(&values), (-3.0, if n == 1 { 0.0 } else { 0.5 }, true));
                values[at] = 7.0;
                assert_eq!(range(&values), (0.0, 7.0, true));
                assert_eq!(largest(&values), 7.0);
                values[at] = f32::NEG_INFINITY;
                assert_eq!(range(&values).0, f32::NEG_INFINITY);
                assert!(!range(&values).2);
                values[at] = f32::NAN;
                assert_eq!(range(&values), (0.0, if n == 1 { 0.0 } else { 0.5 }, false));
            }
        }
        assert_eq!(range(&[]), (0.0, 0.0, true));
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
