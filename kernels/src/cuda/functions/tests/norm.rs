use proptest::prelude::*;

use super::device::Noise;
use super::*;

/// LayerNorm of each row of `x`, in f64.
pub fn layer_norm(x: &[f32], affine: &[f32], width: usize, epsilon: f32) -> Vec<f32> {
    let of_row = |row: &[f32]| -> Vec<f32> {
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width as f64;
        let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
        let one = |(i, x): (usize, &f32)| {
            ((f64::from(*x) - mean) * scale * f64::from(affine[i]) + f64::from(affine[width + i])) as f32
        };
        row.iter().enumerate().map(one).collect()
    };
    x.chunks_exact(width).flat_map(of_row).collect()
}

/// A row that registers take, that only the twin takes for its length or because it is of no whole vectors.
pub fn norm_width() -> impl Strategy<Value = usize> {
    prop_oneof![
        prop::sample::select(vec![8usize, 256, 264, 384, 512, 768, 776, 1024, 1032, 2048]),
        5usize..300,
        (1usize..130).prop_map(|n| n * 8)
    ]
}

/// Affine parameters, in f32.
pub fn affine(noise: &mut Noise, width: usize) -> Vec<f32> {
    noise.values(Element::F32, 2 * width, 1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn embeddings(tokens in 1usize..12, width in norm_width(), element in element(), seed in 1u64..) {
        const WORDS: usize = 30;
        const PLACES: usize = 9;
        let mut noise = Noise(seed);
        let (words, table) = (noise.values(element, WORDS * width, 1.0), noise.values(element, PLACES * width, 1.0));
        let affine = affine(&mut noise, width);
        let ids: Vec<u32> = (0..tokens).map(|_| noise.below(WORDS) as u32).collect();
        let positions: Vec<u32> = (0..tokens).map(|_| noise.below(PLACES) as u32).collect();
        let sum = |t: usize, c: usize| words[ids[t] as usize * width + c] + table[positions[t] as usize * width + c];
        let sums: Vec<f32> = (0..tokens * width).map(|i| sum(i / width, i % width)).collect();

        let (there_words, there_table) = (Values::of(element, &words), Values::of(element, &table));
        let (there_ids, there_positions, there_affine) = (There::of(&ids), There::of(&positions), There::of(&affine));
        let out = Values::empty(element, tokens * width);
        let device = device();
        let arguments = EmbedNorm {
            element, tokens, width, epsilon: 1e-12,
            ids: there_ids.address(), positions: there_positions.address(),
            words: there_words.address(), table: there_table.address(),
            affine: there_affine.address(), out: out.address(),
        };
        // SAFETY: the memory is of these shapes, and ids and positions are below the tables' rows.
        unsafe { device.functions.embed_norm(device.stream(), &arguments) }.unwrap();
        close(&out.read(), &layer_norm(&sums, &affine, width, 1e-12), 4.0 * unit(element) + 1e-4)?;
    }

    #[test]
    fn sums_of_rows(
        rows in 1usize..12, width in norm_width(), element in element(), biased in any::<bool>(), seed in 1u64..,
    ) {
        let mut noise = Noise(seed);
        let (x, residual) = (noise.values(element, rows * width, 2.0), noise.values(element, rows * width, 1.0));
        let (bias, affine) = (noise.values(element, width, 1.0), affine(&mut noise, width));
        let sum = |i: usize| x[i] + residual[i] + if biased { bias[i % width] } else { 0.0 };
        let sums: Vec<f32> = (0..rows * width).map(sum).collect();

        let (there_x, there_residual) = (Values::of(element, &x), Values::of(element, &residual));
        let (there_bias, there_affine) = (Values::of(element, &bias), There::of(&affine));
        let device = device();
        let arguments = AddNorm {
            element, rows, width, epsilon: 1e-12,
            x: there_x.address(), residual: there_residual.address(),
            bias: biased.then(|| there_bias.address()), affine: there_affine.address(),
        };
        // SAFETY: the memory is of these shapes.
        unsafe { device.functions.add_norm(device.stream(), &arguments) }.unwrap();
        close(&there_x.read(), &layer_norm(&sums, &affine, width, 1e-12), 4.0 * unit(element) + 1e-4)?;
    }
}

fn add_norm(x: &Values, rows: usize, width: usize, affine: &[f32]) -> Result<(), DriverError> {
    let (zeros, affine) = (Values::of(Element::F32, &vec![0.0; rows * width]), There::of(affine));
    let arguments = AddNorm {
        element: Element::F32,
        x: x.address(),
        residual: zeros.address(),
        bias: None,
        affine: affine.address(),
        rows,
        width,
        epsilon: 1e-12,
    };
    let device = device();
    // SAFETY: the memory is of these shapes.
    unsafe { device.functions.add_norm(device.stream(), &arguments) }
}

#[test]
fn the_widest_row_fits_and_a_wider_one_is_refused() {
    let width = super::super::norm::MAX_NORM_WIDTH;
    let mut noise = Noise(3);
    let (x, affine) = (noise.values(Element::F32, 2 * width, 1.0), affine(&mut noise, width));
    let there = Values::of(Element::F32, &x);
    add_norm(&there, 2, width, &affine).unwrap();
    close(&there.read(), &layer_norm(&x, &affine, width, 1e-12), 1e-4).unwrap();
    assert!(add_norm(&there, 1, width + 1, &affine).is_err());
}

#[test]
fn what_is_no_number_stays_none_in_its_row() {
    for width in [2, 8] {
        let mut x = vec![1.0; 2 * width];
        x[0] = f32::NAN;
        x[width] = 2.0;
        let there = Values::of(Element::F32, &x);
        add_norm(&there, 2, width, &[vec![1.0; width], vec![0.0; width]].concat()).unwrap();
        let found = there.read();
        assert!(found[..width].iter().all(|x| x.is_nan()), "{found:?}");
        assert!(found[width..].iter().all(|x| x.is_finite()), "{found:?}");
    }
}
