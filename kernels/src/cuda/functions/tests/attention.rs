use proptest::prelude::*;

use super::device::Noise;
use super::rows::spans_of;
use super::*;

/// Sequences, their heads, and whether each asks with all of its rows, or with its first alone.
#[derive(Debug, Clone)]
struct Case {
    lengths: Vec<u32>,
    heads: usize,
    head_width: usize,
    first_only: bool,
    element: Element,
}

/// Keys and values side by side in rows, as the model has them, and the queries with them, or in a matrix of their own.
struct Inputs {
    query: Vec<f32>,
    query_stride: usize,
    key_value: Vec<f32>,
    key_stride: usize,
}

impl Case {
    fn hidden(&self) -> usize {
        self.heads * self.head_width
    }

    fn inputs(&self, seed: u64) -> Inputs {
        let (hidden, tokens) = (self.hidden(), self.lengths.iter().sum::<u32>() as usize);
        let mut noise = Noise(seed);
        // Scores of several units, so that weights differ much.
        let deviation = 1.5 / (self.head_width as f32).powf(0.25);
        if self.first_only {
            let query = noise.values(self.element, self.lengths.len() * hidden, deviation);
            let key_value = noise.values(self.element, tokens * 2 * hidden, deviation);
            return Inputs { query, query_stride: hidden, key_value, key_stride: 2 * hidden };
        }
        let all = noise.values(self.element, tokens * 3 * hidden, deviation);
        Inputs { query: all.clone(), query_stride: 3 * hidden, key_value: all, key_stride: 3 * hidden }
    }

    /// Where keys begin in a row.
    fn key_column(&self) -> usize {
        if self.first_only { 0 } else { self.hidden() }
    }

    fn queries(&self) -> usize {
        if self.first_only { self.lengths.len() } else { self.lengths.iter().sum::<u32>() as usize }
    }

    /// In f64, as the formula says it.
    fn expected(&self, x: &Inputs) -> Vec<f32> {
        let (starts, _) = spans_of(&self.lengths);
        let mut context = vec![0.0; self.queries() * self.hidden()];
        for (s, bounds) in starts.windows(2).enumerate() {
            let keys = bounds[0] as usize..bounds[1] as usize;
            let rows = if self.first_only { s..s + 1 } else { keys.clone() };
            for (row, head) in rows.flat_map(|row| (0..self.heads).map(move |head| (row, head))) {
                let out = row * self.hidden() + head * self.head_width;
                self.attend(x, row, head, keys.clone(), &mut context[out..out + self.head_width]);
            }
        }
        context
    }

    fn attend(&self, x: &Inputs, row: usize, head: usize, keys: std::ops::Range<usize>, out: &mut [f32]) {
        let query = &x.query[row * x.query_stride + head * self.head_width..][..self.head_width];
        let column = self.key_column() + head * self.head_width;
        let part = |key: usize, column: usize| &x.key_value[key * x.key_stride + column..][..self.head_width];
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let scale = (self.head_width as f64).sqrt();
        let scores: Vec<f64> = keys.clone().map(|key| dot(query, part(key, column)) / scale).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for (c, out) in out.iter_mut().enumerate() {
            let value = |(key, weight): (usize, &f64)| weight * f64::from(part(key, column + self.hidden())[c]);
            *out = (keys.clone().zip(&weights).map(value).sum::<f64>() / sum) as f32;
        }
    }

    /// By the kernel, with every address and stride moved on by `shift` values.
    fn found(&self, x: &Inputs, shift: usize) -> Vec<f32> {
        let moved = |values: &[f32]| Values::of(self.element, &[vec![0.0; shift], values.to_vec()].concat());
        let (query, key_value) = (moved(&x.query), moved(&x.key_value));
        let starts = There::of(&spans_of(&self.lengths).0);
        let context = Values::empty(self.element, self.queries() * self.hidden());
        let longest = self.lengths.iter().max().map_or(0, |length| *length as usize);
        let bytes = self.element.bytes();
        let key = key_value.address() + ((shift + self.key_column()) * bytes) as u64;
        let arguments = Attention {
            element: self.element,
            query: query.address() + (shift * bytes) as u64,
            key,
            value: key + (self.hidden() * bytes) as u64,
            context: context.address(),
            query_starts: (!self.first_only).then(|| starts.address()),
            key_starts: starts.address(),
            sequences: self.lengths.len(),
            heads: self.heads,
            head_width: self.head_width,
            query_stride: x.query_stride,
            key_stride: x.key_stride,
            longest_query: if self.first_only { 1 } else { longest },
            longest_key: longest,
        };
        let device = device();
        // SAFETY: the memory is of these shapes.
        unsafe { device.functions.attention(device.stream(), &arguments) }.unwrap();
        context.read()
    }

    /// Weights are rounded to the type before they are multiplied, and the context is.
    fn tolerance(&self) -> f32 {
        2.0 * unit(self.element) + 2e-5
    }
}

fn head_width() -> impl Strategy<Value = usize> {
    prop_oneof![3 => prop::sample::select(vec![32usize, 64, 96, 128]), 1 => 1usize..97]
}

fn case() -> impl Strategy<Value = Case> {
    let lengths = prop_oneof![prop::collection::vec(1u32..40, 1..5), prop::collection::vec(1u32..150, 1..3)];
    (lengths, 1usize..6, head_width(), any::<bool>(), element()).prop_map(
        |(lengths, heads, head_width, first_only, element)| {
            // Where tensor cores do not have the type, the general kernel has a limit.
            let takes = device().functions.takes_heads(element, head_width);
            let head_width = if takes { head_width } else { 96 };
            Case { lengths, heads, head_width, first_only, element }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn over_packed_sequences(case in case(), seed in 1u64..) {
        let inputs = case.inputs(seed);
        close(&case.found(&inputs, 0), &case.expected(&inputs), case.tolerance())?;
    }
}

#[test]
fn every_length_about_a_tile() {
    for element in [Element::F16, Element::Bf16] {
        for longest in [16, 32, 50] {
            let lengths = (1..=longest).collect();
            let case = Case { lengths, heads: 1, head_width: 64, first_only: false, element };
            let inputs = case.inputs(7);
            close(&case.found(&inputs, 0), &case.expected(&inputs), case.tolerance()).unwrap();
        }
    }
}

#[test]
fn the_longest_text() {
    for first_only in [false, true] {
        let case = Case { lengths: vec![512, 1, 511], heads: 1, head_width: 64, first_only, element: Element::F16 };
        let inputs = case.inputs(11);
        close(&case.found(&inputs, 0), &case.expected(&inputs), case.tolerance()).unwrap();
    }
}

#[test]
fn rows_that_begin_at_no_whole_16_bytes_are_the_general_kernels() {
    for first_only in [false, true] {
        let case = Case { lengths: vec![5, 33, 1], heads: 3, head_width: 32, first_only, element: Element::F16 };
        let inputs = case.inputs(13);
        close(&case.found(&inputs, 1), &case.expected(&inputs), case.tolerance()).unwrap();
    }
}

#[test]
fn a_score_that_is_far_above_the_others_takes_all_and_no_number_stays_none() {
    for (head_width, element) in [(32, Element::F16), (32, Element::Bf16), (1, Element::F32)] {
        let case = Case { lengths: vec![2, 1], heads: 1, head_width, first_only: false, element };
        let mut inputs = case.inputs(17);
        // The first query agrees with the first key, the second with the second, by far; the third is none.
        for (row, sign) in [(0, 100.0), (1, -100.0), (2, f32::NAN)] {
            for c in 0..2 * head_width {
                inputs.query[row * 3 * head_width + c] = sign;
            }
        }
        inputs.key_value.clone_from(&inputs.query);
        let found = case.found(&inputs, 0);
        let value = |row: usize| &inputs.key_value[(3 * row + 2) * head_width..][..head_width];
        assert_eq!(&found[..2 * head_width], [value(0), value(1)].concat(), "{element:?}");
        assert!(found[2 * head_width..].iter().all(|x| x.is_nan()), "{element:?}");
    }
}

#[test]
fn heads_that_no_kernel_takes_are_refused() {
    let functions = &device().functions;
    let takes = |element, width| functions.takes_heads(element, width);
    assert!(takes(Element::F32, 96) && !takes(Element::F32, 128));
    assert!(takes(Element::F16, 128) && !takes(Element::F16, 97));
    let x = Values::of(Element::F32, &[0.0; 1024]);
    let starts = There::of(&[0u32, 1]);
    let arguments = Attention {
        element: Element::F32,
        query: x.address(),
        key: x.address(),
        value: x.address(),
        context: x.address(),
        query_starts: None,
        key_starts: starts.address(),
        sequences: 1,
        heads: 1,
        head_width: 97,
        query_stride: 97,
        key_stride: 97,
        longest_query: 1,
        longest_key: 1,
    };
    // SAFETY: the memory is longer than such a head.
    assert!(unsafe { functions.attention(device().stream(), &arguments) }.is_err());
}
