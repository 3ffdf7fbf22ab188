//! Weights of int8: signed integers with a scale for each output channel.

use std::borrow::Cow;

use super::int8::{Affine, PER_WORD, ROUND, quantize_row};
use super::{math, multiversion, pairs};

/// How large integer weights may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightBound {
    /// ±127
    Single,
    /// Those of one sign in a pair are 128 together at most: see [`super::pairs`].
    Paired,
}

/// What integer weights stand for.
pub struct Channels {
    inputs: usize,
    bound: WeightBound,
    /// What each input is multiplied by, as its weights are divided by it: see [`smoothing`].
    factors: Option<Vec<f32>>,
    /// Inputs that are read again after all others: see [`Channels::quantize`].
    copies: Vec<usize>,
    /// For each output, what one step of its weights is worth.
    pub scales: Vec<f32>,
    /// For each output, the sum of its weights.
    pub sums: Vec<i32>,
}

/// The largest weight that stays in one integer, in standard deviations of its output's weights, the first choice first.
const REACH: [f32; 5] = [5.0, 6.0, 8.0, 12.0, 20.0];

/// One copy for so many inputs at most: what they cost.
const INPUTS_PER_COPY: usize = 32;

impl Channels {
    /// Quantizes `weight [out, in]` into rows of [`Channels::steps`] words each, one after the other.
    ///
    /// `reach [in]` says, where it is known, how far from 0 each input goes.
    ///
    /// A few weights far larger than the rest would leave those few steps. They are split over copies of their input
    /// instead (Zhao et al., "Improving Neural Network Quantization without Retraining using Outlier Channel Splitting",
    /// 2019): an integer beyond what one may be is the sum of several, exactly.
    pub fn quantize(weight: &[f32], inner: usize, reach: Option<&[f32]>, bound: WeightBound) -> (Self, Vec<u32>) {
        let mut smooth = Cow::Borrowed(weight);
        let mut factors = None;
        if let Some(reach) = reach {
            let smoothing = smoothing(weight, reach);
            for (weights, smooth) in weight.chunks_exact(inner).zip(smooth.to_mut().chunks_exact_mut(inner)) {
                multiply(weights, &smoothing, smooth);
            }
            factors = Some(smoothing.into_iter().map(f32::recip).collect());
        }
        let (reach, copies) = split(&peaks(&smooth, inner), bound);
        let mut channels = Self { inputs: inner, bound, factors, copies, scales: Vec::new(), sums: Vec::new() };
        let mut words = vec![0; smooth.len() / inner * channels.steps()];
        for (weights, words) in smooth.chunks_exact(inner).zip(words.chunks_exact_mut(channels.steps())) {
            let (low, high, finite) = math::range(weights);
            let single = high.max(-low).min(reach * deviation(weights));
            let (value, steps) = bound.largest(weights, single);
            let inverse = if value >= f32::MIN_POSITIVE * 127.0 { steps / value } else { 0.0 };
            let integers = bytemuck::cast_slice_mut::<u32, i8>(words);
            channels.sums.push(channels.quantize_channel(weights, inverse, (single * inverse).min(127.0), integers));
            channels.scales.push(if finite { value / steps } else { f32::NAN });
        }
        (channels, words)
    }

    /// Words of a row of inputs or weights.
    pub const fn steps(&self) -> usize {
        (self.first_copy() + self.copies.len()).div_ceil(PER_WORD)
    }

    /// Where copies begin, after the inputs.
    const fn first_copy(&self) -> usize {
        self.inputs.next_multiple_of(self.bound.inputs())
    }

    /// The integers of one output, each of at most `± most`; gives their sum.
    fn quantize_channel(&self, weights: &[f32], inverse: f32, most: f32, integers: &mut [i8]) -> i32 {
        round_scaled(weights, inverse, most, integers);
        let (first, part_of_copy) = (self.first_copy(), self.bound.of_copy());
        let mut left = None;
        for (copy, input) in self.copies.iter().enumerate() {
            // Copies of one input follow each other: each takes what those before it left.
            let whole = (weights[*input] * inverse).round_ties_even() as i32;
            let rest = match left {
                Some((last, rest)) if last == *input => rest,
                _ => whole - i32::from(integers[*input]),
            };
            let part = rest.clamp(-part_of_copy, part_of_copy);
            integers[first + copy] = part as i8;
            left = Some((*input, rest - part));
        }
        integers.iter().map(|q| i32::from(*q)).sum()
    }

    /// Quantizes a row of inputs into words; `scratch` is memory for as many.
    pub fn quantize_row(&self, x: &[f32], words: &mut [u32], scratch: &mut [f32]) -> Affine {
        let mut affine = Affine::default();
        match &self.factors {
            Some(factors) => {
                multiply(x, factors, scratch);
                quantize_row(scratch, words, &mut affine);
            }
            None => quantize_row(x, words, &mut affine),
        }
        let (elements, copies) = bytemuck::cast_slice_mut::<u32, u8>(words).split_at_mut(self.first_copy());
        for (copy, input) in copies.iter_mut().zip(&self.copies) {
            *copy = elements[*input];
        }
        affine
    }
}

impl WeightBound {
    /// Inputs that share a bound.
    const fn inputs(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Paired => pairs::PAIR,
        }
    }

    /// What sets the scale of an output's weights, each held to `± single`: a value, and the number of steps that it is.
    fn largest(self, weights: &[f32], single: f32) -> (f32, f32) {
        match self {
            Self::Single => (single, 127.0),
            Self::Paired => {
                let mut half = 0.0;
                pairs::largest_half(weights, single, &mut half);
                (half, 63.5)
            }
        }
    }

    /// The largest integer of a copy, whatever stands beside it.
    const fn of_copy(self) -> i32 {
        match self {
            Self::Single => 127,
            Self::Paired => pairs::HALF,
        }
    }
}

/// For each input its largest weight, in standard deviations of the weights of its output.
fn peaks(weight: &[f32], inner: usize) -> Vec<f32> {
    let mut peaks = vec![0f32; inner];
    for weights in weight.chunks_exact(inner) {
        let deviation = deviation(weights);
        if deviation > 0.0 {
            raise(weights, 1.0 / deviation, &mut peaks);
        }
    }
    peaks
}

/// The root of the mean square.
fn deviation(weights: &[f32]) -> f32 {
    (math::sum(weights, |w| w * w) / weights.len() as f32).sqrt()
}

/// How far one integer reaches, and which inputs need copies for what lies beyond.
fn split(peaks: &[f32], bound: WeightBound) -> (f32, Vec<usize>) {
    for reach in REACH {
        let copies = |peak: &f32| ((peak / reach - 1.0) * bound.inputs() as f32).ceil() as usize;
        let all: usize = peaks.iter().map(copies).sum();
        if all <= peaks.len() / INPUTS_PER_COPY {
            let copies = peaks.iter().map(copies).enumerate();
            return (reach, copies.flat_map(|(input, n)| std::iter::repeat_n(input, n)).collect());
        }
    }
    (f32::INFINITY, Vec::new())
}

/// Which share of the difference between inputs goes from the inputs to their weights; Xiao et al. call it α.
const SHARE: f32 = 0.6;

/// By what to divide each input, and multiply its weights, so that both share the rounding.
///
/// An input that reaches further than the others would leave them few of the 256 steps of their token (Xiao et al.,
/// "`SmoothQuant`: Accurate and Efficient Post-Training Quantization for Large Language Models", 2022). `weight` is
/// `[out, in]`, `reach` `[in]`.
fn smoothing(weight: &[f32], reach: &[f32]) -> Vec<f32> {
    let shared =
        reach.iter().zip(peaks(weight, reach.len())).map(|(reach, peak)| reach.powf(SHARE) / peak.powf(1.0 - SHARE));
    // An input without weights, or that is always 0, needs none.
    shared.map(|s| if s.is_normal() { s.clamp(1e-6, 1e6) } else { 1.0 }).collect()
}

multiversion! {
    fn multiply(a: &[f32], b: &[f32], ab: &mut [f32]) {
        for ((a, b), ab) in a.iter().zip(b).zip(ab) {
            *ab = a * b;
        }
    }
}

multiversion! {
    fn raise(weights: &[f32], inverse: f32, peaks: &mut [f32]) {
        for (peak, w) in peaks.iter_mut().zip(weights) {
            let w = w.abs() * inverse;
            *peak = if w > *peak { w } else { *peak };
        }
    }
}

multiversion! {
    fn round_scaled(weights: &[f32], inverse: f32, most: f32, integers: &mut [i8]) {
        for (integer, w) in integers.iter_mut().zip(weights) {
            *integer = ((w * inverse).clamp(-most, most) + ROUND).to_bits() as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_shares_what_is_far_apart() {
        let weight = [1.0, -7.0, 5.0, 5.0];
        assert_eq!(peaks(&weight, 2), [1.0, 1.4]);
        let factors = smoothing(&weight, &[4.0, 0.7]);
        assert!((factors[0] - 4f32.powf(0.6)).abs() < 1e-6, "{factors:?}");
        assert!((factors[1] - 0.7f32.powf(0.6) / 1.4f32.powf(0.4)).abs() < 1e-6, "{factors:?}");
        assert_eq!(smoothing(&[0.0, 1.0, f32::NAN, 1.0], &[1.0, 0.0]), [1.0; 2]);
    }

    const BOUNDS: [WeightBound; 2] = [WeightBound::Single, WeightBound::Paired];

    /// The weights that the integers of the only output stand for, copies added to what they are copies of.
    fn restored(weights: &[f32], bound: WeightBound) -> (Vec<f32>, Channels) {
        let (channels, words) = Channels::quantize(weights, weights.len(), None, bound);
        let integers = bytemuck::cast_slice::<u32, i8>(&words);
        let mut sums: Vec<i32> = integers[..weights.len()].iter().map(|q| i32::from(*q)).collect();
        let (gap, copies) = integers[weights.len()..].split_at(channels.first_copy() - weights.len());
        for (input, q) in channels.copies.iter().zip(copies) {
            sums[*input] += i32::from(*q);
        }
        assert!(gap.iter().chain(&copies[channels.copies.len()..]).all(|q| *q == 0));
        assert_eq!(sums.iter().sum::<i32>(), channels.sums[0]);
        let pairs = integers.as_chunks().0.iter().map(|[a, b]| 255 * (i32::from(*a) + i32::from(*b)));
        assert!(
            bound == WeightBound::Single || pairs.into_iter().all(|pair| i16::try_from(pair).is_ok()),
            "{integers:?}"
        );
        (sums.iter().map(|q| channels.scales[0] * *q as f32).collect(), channels)
    }

    fn assert_close(weights: &[f32], restored: &[f32], scale: f32) {
        for (w, back) in weights.iter().zip(restored) {
            assert!((w - back).abs() <= scale * 0.5001, "{w} came back as {back}, steps of {scale}");
        }
    }

    #[test]
    fn weights_come_back_within_half_a_step() {
        let rows = [vec![0.5, -1.27, 0.004, 0.0, 1.0, 0.1], vec![-3.0], vec![1e-20, 1e20], vec![0.0; 5], vec![1.0; 19]];
        for weights in rows {
            let most = weights.iter().fold(0f32, |most, w: &f32| most.max(w.abs()));
            for bound in BOUNDS {
                let (back, channels) = restored(&weights, bound);
                assert_close(&weights, &back, channels.scales[0]);
                assert!(channels.copies.is_empty());
                assert!(channels.scales[0] <= most / 127.0 * bound.inputs() as f32, "{}", channels.scales[0]);
            }
        }
        // Larger than any pair that f32 can add.
        let (back, channels) = restored(&[2e38, 3e38, -1e38], WeightBound::Paired);
        assert_close(&[2e38, 3e38, -1e38], &back, channels.scales[0]);
        for bound in BOUNDS {
            assert!(Channels::quantize(&[f32::NAN, 1.0], 2, None, bound).0.scales[0].is_nan());
            assert!(Channels::quantize(&[f32::INFINITY, 1.0], 2, None, bound).0.scales[0].is_nan());
        }
    }

    #[test]
    fn a_weight_that_towers_is_split_over_copies() {
        let mut weights: Vec<f32> = (0_u16..512).map(|i| f32::from(i % 7) - 3.0).collect();
        let plain = weights.clone();
        weights[100] = -30.0;
        weights[300] = 11.0;
        for (bound, copies) in [(WeightBound::Single, 2), (WeightBound::Paired, 3)] {
            let (back, channels) = restored(&weights, bound);
            assert_eq!(channels.copies, vec![100; copies]);
            assert_close(&weights, &back, channels.scales[0]);
            let alone = restored(&plain, bound).1.scales[0];
            // 2 and 3 are a pair.
            assert_eq!(alone, if bound == WeightBound::Single { 3.0 } else { 5.0 } / 127.0);
            assert!(channels.scales[0] < 5.0 * alone, "{}", channels.scales[0]);
        }
    }

    #[test]
    fn copies_make_no_pair_with_the_last_input() {
        let mut weights: Vec<f32> = (0..513).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        (weights[0], weights[512]) = (15.0, 6.0);
        for bound in BOUNDS {
            let (back, channels) = restored(&weights, bound);
            assert!(channels.copies.contains(&0) && channels.steps() * PER_WORD > 513);
            assert_close(&weights, &back, channels.scales[0]);
        }
    }

    #[test]
    fn any_weights_leave_their_pairs_room() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 16) as u16) / 32_768.0 - 1.0
        };
        for length in [1, 2, 3, 100, 101, 513] {
            for power in [1, 3, 9, 27] {
                let weights: Vec<f32> = (0..length).map(|_| next().powi(power)).collect();
                let (back, channels) = restored(&weights, WeightBound::Paired);
                assert_close(&weights, &back, channels.scales[0]);
            }
        }
    }
}
