use candle_core::{DType, Device};
use proptest::prelude::*;

use super::*;
use crate::testing::max_difference;

const PRECISIONS: [Precision; 3] = [Precision::Float32, Precision::Bfloat16, Precision::Int8];

fn kernels() -> impl Iterator<Item = Kernel> {
    PRECISIONS.into_iter().flat_map(Kernel::all)
}

fn name(kernel: Kernel) -> String {
    let precision = match kernel {
        Kernel::Float32(_) => Precision::Float32,
        Kernel::Bfloat16(_) | Kernel::Widened(_) => Precision::Bfloat16,
        Kernel::Int8(_) | Kernel::PairedInt8(_) => Precision::Int8,
    };
    format!("{precision} by {}", kernel.name())
}

/// Input `[rows, inner]`, weight `[out, inner]`, bias `[out]`.
fn random(rows: usize, inner: usize, out: usize) -> Result<[Tensor; 3]> {
    let device = &Device::Cpu;
    Ok([
        Tensor::randn(0f32, 1f32, (rows, inner), device)?,
        Tensor::randn(0f32, 1f32, (out, inner), device)?,
        Tensor::randn(0f32, 1f32, out, device)?,
    ])
}

/// The weights that a layer multiplies by.
fn as_packed(weight: &Tensor, kernel: Kernel) -> Result<Tensor> {
    let (out, inner) = weight.dims2()?;
    let layer = PackedLinear::with_kernel(weight, &Tensor::zeros(out, DType::F32, &Device::Cpu)?, None, kernel)?;
    layer.forward(&Tensor::eye(inner, DType::F32, &Device::Cpu)?, &Team::alone())?.t()?.contiguous()
}

/// The layer by candle's own operations, its operands rounded as the precision does, and how far sums may be off.
fn plain(x: &Tensor, weight: &Tensor, bias: &Tensor, kernel: Kernel) -> Result<(Tensor, f32)> {
    let inner = x.dim(1)? as f32;
    let (x, weight, tolerance) = match kernel {
        Kernel::Float32(_) => (x.clone(), weight.clone(), 1e-5 * inner.sqrt()),
        Kernel::Bfloat16(_) => {
            let round = |x: &Tensor| x.to_dtype(DType::BF16)?.to_dtype(DType::F32);
            (round(x)?, round(weight)?, 1e-5 * inner.sqrt())
        }
        Kernel::Widened(_) => (x.clone(), as_packed(weight, kernel)?, 1e-5 * inner.sqrt()),
        // Half a step of either operand, on values of about 1 whose range is within 10.
        Kernel::Int8(_) | Kernel::PairedInt8(_) => (x.clone(), weight.clone(), 0.15 * inner.sqrt()),
    };
    Ok((x.matmul(&weight.t()?)?.broadcast_add(bias)?, tolerance))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_kernel_equals_candle(rows in 1usize..110, inner in 1usize..200, out in 1usize..150, with_gelu in any::<bool>()) {
        let [x, w, b] = random(rows, inner, out).unwrap();
        for kernel in kernels() {
            let (mut expected, tolerance) = plain(&x, &w, &b, kernel).unwrap();
            let mut layer = PackedLinear::with_kernel(&w, &b, None, kernel).unwrap();
            if with_gelu {
                expected = expected.gelu_erf().unwrap();
                layer = layer.with_activation(Activation::Gelu);
            }
            let worst = max_difference(&layer.forward(&x, &Team::alone()).unwrap(), &expected).unwrap();
            prop_assert!(worst < tolerance, "{}: off by {}", name(kernel), worst);
        }
    }

    #[test]
    fn a_row_has_the_same_bits_among_any_neighbours(rows in 2usize..300, inner in 1usize..900, out in 1usize..200) {
        let [x, w, b] = random(rows, inner, out).unwrap();
        for kernel in kernels() {
            let layer = PackedLinear::with_kernel(&w, &b, None, kernel).unwrap();
            let all = layer.forward(&x, &Team::alone()).unwrap().to_vec2::<f32>().unwrap();
            for row in [0, rows / 2, rows - 1] {
                for count in [1, 2, 7] {
                    let count = count.min(rows - row);
                    let some = layer.forward(&x.narrow(0, row, count).unwrap(), &Team::alone()).unwrap().to_vec2::<f32>().unwrap();
                    prop_assert_eq!(&some[0], &all[row], "{}", name(kernel));
                }
            }
        }
    }

    #[test]
    fn kernels_of_one_kind_give_the_same_bits(
        rows in 1usize..20, inner in 1usize..300, out in 1usize..100, smooth in any::<bool>(), outlier in any::<prop::sample::Index>(),
    ) {
        let [x, w, b] = random(rows, inner, out).unwrap();
        let mut large = vec![1f32; inner];
        large[outlier.index(inner)] = 20.0;
        let large = Tensor::new(large.as_slice(), &Device::Cpu).unwrap();
        let (w, reach) = (w.broadcast_mul(&large).unwrap(), smooth.then_some(&large));
        let widened = widened::kernels().into_iter().map(Kernel::Widened).collect();
        let int8 = int8::kernels().into_iter().map(Kernel::Int8).collect();
        // Any kernel can multiply what is small enough for pairs.
        let pairs = [pairs::kernels(), int8::kernels()].concat().into_iter().map(Kernel::PairedInt8).collect();
        let kinds: [Vec<Kernel>; 3] = [widened, int8, pairs];
        for kernels in kinds {
            let outputs = kernels.into_iter().map(|kernel| {
                let layer = PackedLinear::with_kernel(&w, &b, reach, kernel).unwrap();
                layer.forward(&x, &Team::alone()).unwrap().to_vec2::<f32>().unwrap()
            });
            let outputs: Vec<_> = outputs.collect();
            prop_assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}

#[test]
fn what_is_fetched_ahead_changes_no_bit() -> Result<()> {
    let [x, w, b] = random(13, 1100, 256)?;
    for kernel in kernels() {
        let layer = PackedLinear::with_kernel(&w, &b, None, kernel)?;
        assert!(layer.panels.bytes() > multiply::STAYS, "{}: nothing is fetched", name(kernel));
        let all = layer.forward(&x, &Team::alone())?.to_vec2::<f32>()?;
        for (row, expected) in all.iter().enumerate() {
            // Of a row alone there is no whole tile.
            let alone = layer.forward(&x.narrow(0, row, 1)?, &Team::alone())?.to_vec2::<f32>()?;
            assert_eq!(&alone[0], expected, "{}", name(kernel));
        }
    }
    Ok(())
}

#[test]
fn widened_weights_are_within_half_a_step() -> Result<()> {
    let [_, w, _] = random(1, 75, 130)?;
    for kernel in kernels().filter(|kernel| matches!(kernel, Kernel::Widened(_))) {
        let bound = (w.abs()? / 256.0)?;
        let beyond = ((as_packed(&w, kernel)? - &w)?.abs()? - bound)?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        assert!(beyond <= 0.0, "{}: {beyond}", name(kernel));
    }
    Ok(())
}

#[test]
fn smoothing_keeps_int8_exact_where_one_input_towers() -> Result<()> {
    let inner = 256;
    let [x, w, b] = random(20, inner, 30)?;
    let mut reach = vec![3f32; inner];
    reach[17] = 3000.0;
    let reach = Tensor::new(reach.as_slice(), &Device::Cpu)?;
    let x = x.broadcast_mul(&(&reach / 3.0)?)?;
    let exact = x.matmul(&w.t()?)?.broadcast_add(&b)?;
    let mean_error = |reach: Option<&Tensor>| {
        let layer = PackedLinear::new(&w, &b, reach, Precision::Int8)?;
        (layer.forward(&x, &Team::alone())? - &exact)?.abs()?.mean_all()?.to_scalar::<f32>()
    };
    let (smooth, rough) = (mean_error(Some(&reach))?, mean_error(None)?);
    assert!(smooth * 2.0 < rough, "smoothed {smooth}, as it is {rough}");
    Ok(())
}

#[test]
fn integers_at_their_limits_sum_exactly() -> Result<()> {
    // 255 or 0, and 127 or -127 (half of it in pairs), in every place: what saturates somewhere would show.
    let inner = 3072;
    let ones = Tensor::ones((7, inner), DType::F32, &Device::Cpu)?;
    let w = Tensor::ones((3, inner), DType::F32, &Device::Cpu)?;
    let b = Tensor::zeros(3, DType::F32, &Device::Cpu)?;
    for kernel in Kernel::all(Precision::Int8) {
        // 64 stand for 63.5 where a pair of weights has room for 127.
        let rounding = if matches!(kernel, Kernel::PairedInt8(_)) { 64.0 / 63.5 } else { 1.0 };
        for (of_x, of_w) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
            let (x, sign) = ((&ones * of_x)?, of_x * of_w);
            let y = PackedLinear::with_kernel(&(&w * of_w)?, &b, None, kernel)?
                .forward(&x, &Team::alone())?
                .to_vec2::<f32>()?;
            for y in y.iter().flatten() {
                assert!((f64::from(*y) - sign * rounding * inner as f64).abs() < 0.01, "{}: {y}", name(kernel));
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_not_finite_stays_so_in_its_row_alone() -> Result<()> {
    let [_, w, b] = random(1, 40, 5)?;
    for kernel in kernels() {
        let layer = PackedLinear::with_kernel(&w, &b, None, kernel)?;
        for poison in [f32::NAN, f32::INFINITY] {
            let mut x = vec![0.5f32; 3 * 40];
            x[57] = poison;
            let y = layer.forward(&Tensor::from_vec(x, (3, 40), &Device::Cpu)?, &Team::alone())?.to_vec2::<f32>()?;
            assert!(y[1].iter().all(|y| !y.is_finite()), "{}: {:?}", name(kernel), y[1]);
            assert!(y[0].iter().chain(&y[2]).all(|y| y.is_finite()), "{}", name(kernel));
        }
    }
    Ok(())
}

#[test]
fn extreme_values() -> Result<()> {
    let x = Tensor::new(&[[1e20f32, -1e20, 1e-20, 0.0]], &Device::Cpu)?;
    let w = Tensor::new(&[[1e10f32, 1e10, 1e10, 1e10], [1e-10, 0.0, 0.0, 0.0]], &Device::Cpu)?;
    let b = Tensor::zeros(2, DType::F32, &Device::Cpu)?;
    for kernel in kernels() {
        let y = PackedLinear::with_kernel(&w, &b, None, kernel)?.forward(&x, &Team::alone())?.to_vec2::<f32>()?;
        assert!(y[0][0].abs() < 1e28 && (y[0][1] / 1e10 - 1.0).abs() < 0.02, "{}: {y:?}", name(kernel));
    }
    Ok(())
}

#[test]
fn no_rows_and_wrong_shapes() -> Result<()> {
    let [_, w, b] = random(1, 4, 3)?;
    let none = Tensor::zeros((0, 4), DType::F32, &Device::Cpu)?;
    let wide = Tensor::zeros((2, 5), DType::F32, &Device::Cpu)?;
    for kernel in kernels() {
        let layer = PackedLinear::with_kernel(&w, &b, None, kernel)?;
        assert_eq!(layer.forward(&none, &Team::alone())?.dims(), [0, 3]);
        assert!(layer.forward(&wide, &Team::alone()).is_err());
        assert!(PackedLinear::with_kernel(&wide, &b, None, kernel).is_err());
    }
    let long = Tensor::zeros((3, int8::MAX_INNER + 1), DType::F32, &Device::Cpu)?;
    let error = PackedLinear::new(&long, &b, None, Precision::Int8).err().map(|e| e.to_string());
    assert!(error.is_some_and(|e| e.contains("32768")));
    Ok(())
}
