//! One product's descriptors and algorithm.

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::cublaslt::result::{self as lt, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::CudaStream;

use super::super::memory::Buffer;
use super::super::trouble::Trouble;
use super::{After, Key, Kind, Operands};

/// cuBLASLt reads columns where we have rows: it sees `Wᵀ` as `[inner, out]`, `x` as `[inner, rows]` and makes `y` as
/// `[out, rows]`.
pub struct Plan {
    description: Description,
    weight: Layout,
    x: Layout,
    y: Layout,
    algorithm: sys::cublasLtMatmulAlgo_t,
    kind: Kind,
    has_bias: bool,
}

/// What e4m3's sums are multiplied with. f16 then holds those of 334 products of the two largest values, 448 each, all of one
/// sign; what a layer sums is far below.
const E4M3_SCALE: f32 = 1.0 / 1024.0;

/// `CUBLAS_OP_T` and `CUBLAS_OP_N` of cuBLAS, whose header cuBLASLt shares.
const TRANSPOSED: i32 = 1;
const AS_IT_IS: i32 = 0;

/// Parts of a sum may be added up in the type that sums are computed in, and in no other.
const REDUCTION: u32 = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;

/// The types of the inputs, of the outputs, of sums and of what multiplies them.
const fn types(kind: Kind) -> (sys::cudaDataType, sys::cudaDataType, sys::cublasComputeType_t, sys::cudaDataType) {
    use sys::cublasComputeType_t::{CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32I};
    use sys::cudaDataType_t::{CUDA_R_8F_E4M3, CUDA_R_8I, CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F, CUDA_R_32I};
    match kind {
        Kind::F32 => (CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        Kind::F16 => (CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        Kind::Bf16 => (CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        Kind::Int8 => (CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I, CUDA_R_32I),
        Kind::E4m3 => (CUDA_R_8F_E4M3, CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F),
    }
}

impl Plan {
    /// Of a shape; `bias` is that of any of its layers.
    ///
    /// # Errors
    /// The library's, here as in all below.
    pub fn new(key: &Key, bias: u64) -> Result<Self, CublasError> {
        let shape = key.shape;
        let (input, output, compute, scale) = types(shape.kind);
        let description = Description(lt::create_matmul_desc(compute, scale)?);
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, TRANSPOSED)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, AS_IT_IS)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue(shape.after) as u32)?;
        let has_bias = shape.after != After::Nothing;
        if has_bias {
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)?;
        }
        Ok(Self {
            description,
            weight: Layout::new(input, shape.inner, shape.out)?,
            x: Layout::new(input, shape.inner, shape.rows)?,
            y: Layout::new(output, shape.out, shape.rows)?,
            algorithm: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
            kind: shape.kind,
            has_bias,
        })
    }

    /// Up to so many algorithms, that which the library thinks fastest first: at least one.
    pub fn candidates(
        &self,
        handle: sys::cublasLtHandle_t,
        key: &Key,
        workspace: usize,
        most: usize,
    ) -> Result<Vec<sys::cublasLtMatmulAlgo_t>, CublasError> {
        let preference = Preference::new(key, workspace)?;
        let mut results = vec![no_result(); most];
        let mut found = 0;
        // SAFETY: all handles are alive, and there is room for as many results as are asked for.
        unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                handle,
                self.description.0,
                self.weight.0,
                self.x.0,
                self.y.0,
                self.y.0,
                preference.0,
                most as i32,
                results.as_mut_ptr(),
                &raw mut found,
            )
        }
        .result()?;
        results.truncate(found.unsigned_abs() as usize);
        results.retain(|result| result.state == SUCCESS && result.workspaceSize <= workspace);
        if results.is_empty() {
            return Err(CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED));
        }
        Ok(results.iter().map(|result| result.algo).collect())
    }

    /// Whether an algorithm of another number of rows suits.
    pub fn takes(
        &self,
        handle: sys::cublasLtHandle_t,
        algorithm: &sys::cublasLtMatmulAlgo_t,
        workspace: usize,
    ) -> bool {
        let mut result = no_result();
        // SAFETY: all handles are alive, and the result is written there.
        let status = unsafe {
            let [weight, x, y] = [self.weight.0, self.x.0, self.y.0];
            sys::cublasLtMatmulAlgoCheck(handle, self.description.0, weight, x, y, y, algorithm, &raw mut result)
        };
        status == SUCCESS && result.state == SUCCESS && result.workspaceSize <= workspace
    }

    /// Runs by this algorithm from now on.
    pub const fn set(&mut self, algorithm: sys::cublasLtMatmulAlgo_t) {
        self.algorithm = algorithm;
    }

    /// Puts the product into the stream.
    ///
    /// # Safety
    /// The operands are of the plan's shape and alignments, the algorithm is set, and nobody else uses the plan meanwhile.
    pub unsafe fn run(
        &self,
        handle: sys::cublasLtHandle_t,
        operands: &Operands,
        workspace: &Buffer,
        stream: &Arc<CudaStream>,
    ) -> Result<(), Trouble> {
        if self.has_bias {
            self.description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.bias)?;
        }
        let (one, zero): (f32, f32) = (if self.kind == Kind::E4m3 { E4M3_SCALE } else { 1.0 }, 0.0);
        let (whole_one, whole_zero): (i32, i32) = (1, 0);
        let [alpha, beta]: [*const c_void; 2] = match self.kind {
            Kind::Int8 => [(&raw const whole_one).cast(), (&raw const whole_zero).cast()],
            _ => [(&raw const one).cast(), (&raw const zero).cast()],
        };
        // SAFETY: the caller's; the workspace is that of this stream, whose products run one after the other.
        unsafe {
            lt::matmul(
                handle,
                self.description.0,
                alpha,
                beta,
                operands.weight as *const c_void,
                self.weight.0,
                operands.x as *const c_void,
                self.x.0,
                operands.y as *const c_void,
                self.y.0,
                operands.y as *mut c_void,
                self.y.0,
                &raw const self.algorithm,
                workspace.address() as *mut c_void,
                workspace.bytes(),
                stream.cu_stream().cast(),
            )
        }?;
        Ok(())
    }
}

const SUCCESS: sys::cublasStatus_t = sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS;

const fn no_result() -> sys::cublasLtMatmulHeuristicResult_t {
    sys::cublasLtMatmulHeuristicResult_t {
        algo: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
        workspaceSize: 0,
        state: sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED,
        wavesCount: 0.0,
        reserved: [0; 4],
    }
}

const fn epilogue(after: After) -> sys::cublasLtEpilogue_t {
    match after {
        After::Nothing => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT,
        After::Bias => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
        After::BiasRelu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_RELU_BIAS,
        After::BiasGelu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU_BIAS,
    }
}

use sys::cublasLtMatmulDescAttributes_t as Attribute;
use sys::cublasLtMatmulPreferenceAttributes_t as Wish;

struct Description(sys::cublasLtMatmulDesc_t);

// SAFETY: whoever has it is alone in using it.
unsafe impl Send for Description {}

impl Description {
    fn set<T: Copy>(&self, attribute: Attribute, value: T) -> Result<(), CublasError> {
        // SAFETY: the handle is alive, and the value has the type of the attribute.
        unsafe { lt::set_matmul_desc_attribute(self.0, attribute, (&raw const value).cast(), size_of::<T>()) }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        let _ = unsafe { lt::destroy_matmul_desc(self.0) };
    }
}

struct Layout(sys::cublasLtMatrixLayout_t);

// SAFETY: as above.
unsafe impl Send for Layout {}

impl Layout {
    /// Columns without gaps.
    fn new(of: sys::cudaDataType, rows: usize, columns: usize) -> Result<Self, CublasError> {
        lt::create_matrix_layout(of, rows as u64, columns as u64, rows as i64).map(Self)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        let _ = unsafe { lt::destroy_matrix_layout(self.0) };
    }
}

/// What an algorithm must keep to.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new(key: &Key, workspace: usize) -> Result<Self, CublasError> {
        let preference = Self(lt::create_matmul_pref()?);
        let [weight, x, y, _] = key.alignments;
        preference.set(Wish::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace as u64)?;
        preference.set(Wish::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, REDUCTION)?;
        preference.set(Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, weight)?;
        preference.set(Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, x)?;
        preference.set(Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, y)?;
        preference.set(Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, y)?;
        Ok(preference)
    }

    fn set<T: Copy>(&self, wish: Wish, value: T) -> Result<(), CublasError> {
        // SAFETY: the handle is alive, and the value has the type of the attribute.
        unsafe { lt::set_matmul_pref_attribute(self.0, wish, (&raw const value).cast(), size_of::<T>()) }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        let _ = unsafe { lt::destroy_matmul_pref(self.0) };
    }
}
