//! A linear layer whose weights lie on a GPU.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::cublaslt::{Activation as Epilogue, CudaBlasLT, Matmul, MatmulConfig};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, CudaStorage, CudaStorageSlice};
use candle_core::{CpuStorage, CustomOp3, DType, InplaceOp2, Layout, Result, Shape, Tensor, bail};

use super::{Activation, Gpu, bias_activation};

/// `y = f(x · Wᵀ + b)` in the weights' type, with sums in f32.
pub struct GpuLinear {
    /// `[out, in]`, as PyTorch stores it.
    weight: Tensor,
    /// `[out]`
    bias: Tensor,
    activation: Activation,
    products: Arc<CudaBlasLT>,
}

/// cuBLASLt is asked for no product whose rows are not a whole number of 16 bytes of f16: some cards have none.
const ALIGNED: usize = 8;

impl GpuLinear {
    /// Takes a layer of `weight [out, in]` and `bias [out]` to the GPU, in type `dtype`.
    ///
    /// # Errors
    /// When the shapes disagree, or the GPU fails.
    pub fn new(weight: &Tensor, bias: &Tensor, dtype: DType, gpu: &Gpu) -> Result<Self> {
        let (out, _) = weight.dims2()?;
        if bias.dims() != [out] {
            bail!("linear: weight {:?}, bias {:?}", weight.shape(), bias.shape());
        }
        let there = |tensor: &Tensor| tensor.to_dtype(dtype)?.contiguous()?.to_device(gpu.device());
        Ok(Self { weight: there(weight)?, bias: there(bias)?, activation: Activation::None, products: gpu.products() })
    }

    /// Puts an activation after it.
    pub const fn set_activation(&mut self, activation: Activation) {
        self.activation = activation;
    }

    /// The layer of some of the outputs, sharing the weights.
    ///
    /// # Errors
    /// When there are not as many outputs.
    pub fn outputs(&self, outputs: std::ops::Range<usize>) -> Result<Self> {
        Ok(Self {
            weight: self.weight.narrow(0, outputs.start, outputs.len())?,
            bias: self.bias.narrow(0, outputs.start, outputs.len())?,
            activation: self.activation,
            products: Arc::clone(&self.products),
        })
    }

    /// `x [rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// When `x` is of another type or width, or the GPU fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if let Some(biased) = self.biased()? {
            return x.apply_op3_no_bwd(&self.weight, &self.bias, &biased);
        }
        let y = x.matmul(&self.weight.t()?)?;
        y.inplace_op2(&self.bias, &BiasActivation(self.activation))?;
        Ok(y)
    }

    /// Whether cuBLASLt takes the bias along, and the activation. Not in f32, which it would round to TF32; and its GELU
    /// is the tanh approximation.
    fn biased(&self) -> Result<Option<Biased<'_>>> {
        let (out, inner) = self.weight.dims2()?;
        let aligned = out.is_multiple_of(ALIGNED) && inner.is_multiple_of(ALIGNED);
        let epilogue = match self.activation {
            Activation::None => None,
            Activation::Relu => Some(Epilogue::Relu),
            Activation::Gelu | Activation::GeluTanh | Activation::Silu => return Ok(None),
        };
        let takes = self.weight.dtype() != DType::F32 && aligned;
        Ok(takes.then_some(Biased { products: &self.products, epilogue }))
    }
}

/// A product that takes the bias, and perhaps an activation, along.
struct Biased<'a> {
    products: &'a CudaBlasLT,
    epilogue: Option<Epilogue>,
}

impl CustomOp3 for Biased<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        bail!("this layer lies on a GPU")
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (rows, inner) = x_layout.shape().dims2()?;
        let (out, width) = weight_layout.shape().dims2()?;
        let whole = [x_layout, weight_layout, bias_layout].iter().all(|layout| layout.is_contiguous());
        if !whole || inner != width || bias_layout.dims() != [out] {
            bail!("linear: {x_layout:?} into {weight_layout:?} with {bias_layout:?}");
        }
        let device = x.device.clone();
        let y = match (&x.slice, &weight.slice, &bias.slice) {
            (CudaStorageSlice::F16(x), CudaStorageSlice::F16(w), CudaStorageSlice::F16(b)) => {
                let y =
                    self.multiply((x, x_layout), (w, weight_layout), (b, bias_layout), [rows, inner, out], &device)?;
                CudaStorage::wrap_cuda_slice(y, device)
            }
            (CudaStorageSlice::BF16(x), CudaStorageSlice::BF16(w), CudaStorageSlice::BF16(b)) => {
                let y =
                    self.multiply((x, x_layout), (w, weight_layout), (b, bias_layout), [rows, inner, out], &device)?;
                CudaStorage::wrap_cuda_slice(y, device)
            }
            _ => bail!("linear: the input, the weights and the bias are not all f16, or all bf16"),
        };
        Ok((y, Shape::from((rows, out))))
    }
}

impl Biased<'_> {
    fn multiply<T: CudaDType + DeviceRepr>(
        &self,
        (x, x_layout): (&CudaSlice<T>, &Layout),
        (weight, weight_layout): (&CudaSlice<T>, &Layout),
        (bias, bias_layout): (&CudaSlice<T>, &Layout),
        [rows, inner, out]: [usize; 3],
        device: &candle_core::CudaDevice,
    ) -> Result<CudaSlice<T>>
    where
        CudaBlasLT: Matmul<T>,
    {
        // SAFETY: the product writes all of it.
        let mut y = unsafe { device.alloc::<T>((rows * out).max(1)) }?;
        if rows == 0 {
            return Ok(y);
        }
        // cuBLAS reads columns where we have rows: it sees Wᵀ as [in, out], x as [in, rows] and makes y as [out, rows].
        let config = MatmulConfig {
            transa: true,
            transb: false,
            transc: false,
            m: out as u64,
            n: rows as u64,
            k: inner as u64,
            alpha: 1.0,
            lda: inner as i64,
            ldb: inner as i64,
            beta: 0.0,
            ldc: out as i64,
            stride_a: None,
            stride_b: None,
            stride_c: None,
            stride_bias: None,
            batch_size: None,
        };
        let weight = weight.slice(weight_layout.start_offset()..);
        let x = x.slice(x_layout.start_offset()..);
        let bias = bias.slice(bias_layout.start_offset()..);
        // SAFETY: the layouts are contiguous and have these shapes, and `y` has room for rows × out values.
        unsafe { self.products.matmul(config, &weight, &x, &mut y, Some(&bias), self.epilogue.as_ref()) }
            .map_err(|e| candle_core::Error::Cuda(format!("cuBLASLt: {e:?}").into()))?;
        Ok(y)
    }
}

struct BiasActivation(Activation);

impl InplaceOp2 for BiasActivation {
    fn name(&self) -> &'static str {
        "bias-activation"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<()> {
        bail!("this layer lies on a GPU")
    }

    fn cuda_fwd(&self, y: &mut CudaStorage, y_layout: &Layout, bias: &CudaStorage, bias_layout: &Layout) -> Result<()> {
        bias_activation(y, y_layout, bias, bias_layout, self.0)
    }
}
