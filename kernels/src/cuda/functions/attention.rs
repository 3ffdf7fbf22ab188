//! Attention over packed sequences.

use cudarc::driver::{DriverError, sys, sys::CUstream};

use super::element::{Element, OfElement};
use super::module::{Function, Module, REFUSED, Shape, blocks, int, parameters};

/// `context = softmax(query · keyᵀ / √head_width) · value` for each head of each sequence.
pub struct Attention {
    pub element: Element,
    /// `[query rows, query_stride]`: the heads side by side in the first columns
    pub query: u64,
    /// `[rows, key_stride]`, likewise
    pub key: u64,
    /// `[rows, key_stride]`, likewise
    pub value: u64,
    /// `[query rows, heads · head_width]`: written.
    pub context: u64,
    /// `[sequences + 1]`, u32: the query rows of each sequence. Without it each has one: sequence `s` row `s`.
    pub query_starts: Option<u64>,
    /// `[sequences + 1]`, u32: the rows of keys and values of each sequence, of which there is at least one.
    pub key_starts: u64,
    pub sequences: usize,
    pub heads: usize,
    pub head_width: usize,
    /// Values from a row to the next.
    pub query_stride: usize,
    /// Values from a row to the next.
    pub key_stride: usize,
    /// The most query rows of a sequence.
    pub longest_query: usize,
    /// The most keys of a sequence.
    pub longest_key: usize,
}

pub struct Attentions {
    /// For every head that fits, on CUDA cores.
    general: OfElement,
    f16: OnTensorCores,
    /// None below `sm_80`, which has no such products.
    bf16: Option<OnTensorCores>,
}

/// By [`HEAD_WIDTHS`], and how many queries a warp takes.
struct OnTensorCores {
    by_16: [Function; 4],
    by_32: [Function; 2],
}

/// Widths of a head that tensor cores take; of the first two a warp takes 32 queries as well.
const HEAD_WIDTHS: [usize; 4] = [32, 64, 96, 128];
/// The widest head that the general kernel takes: the shared memory of a block holds no more.
pub const MAX_GENERAL_WIDTH: usize = 96;

const WARP: usize = 32;
const WARPS: usize = 4;
/// Queries of a block of the general kernel, and keys of its tiles.
const QUERIES: usize = 32;
const KEYS: usize = 32;

impl OnTensorCores {
    fn of(module: &Module, element: Element) -> Result<Self, DriverError> {
        let one = |queries: usize, width: usize| {
            module.function(&format!("attention_mma_{}_{width}_{queries}", element.suffix()))
        };
        let [w32, w64, w96, w128] = HEAD_WIDTHS;
        Ok(Self {
            by_16: [one(16, w32)?, one(16, w64)?, one(16, w96)?, one(16, w128)?],
            by_32: [one(32, w32)?, one(32, w64)?],
        })
    }

    /// The kernel for such heads, and how many queries its warps take.
    fn get(&self, width: usize, longest_query: usize) -> Option<(Function, usize)> {
        let index = HEAD_WIDTHS.iter().position(|w| *w == width)?;
        match self.by_32.get(index) {
            Some(function) if longest_query > 16 => Some((*function, 32)),
            _ => Some((self.by_16[index], 16)),
        }
    }
}

impl Attentions {
    pub fn of(module: &Module) -> Result<Self, DriverError> {
        let bf16 = match OnTensorCores::of(module, Element::Bf16) {
            Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND)) => None,
            found => Some(found?),
        };
        Ok(Self { general: OfElement::of(module, "attention")?, f16: OnTensorCores::of(module, Element::F16)?, bf16 })
    }

    /// The kernel on tensor cores that takes it. It reads 16 bytes at once, at whole 16 bytes.
    fn on_tensor_cores(&self, x: &Attention) -> Option<(Function, usize)> {
        let kernels = match x.element {
            Element::F32 => return None,
            Element::F16 => &self.f16,
            Element::Bf16 => self.bf16.as_ref()?,
        };
        let whole = [x.query, x.key, x.value, x.context].iter().all(|address| address.is_multiple_of(16))
            && x.query_stride.is_multiple_of(8)
            && x.key_stride.is_multiple_of(8);
        whole.then(|| kernels.get(x.head_width, x.longest_query)).flatten()
    }
}

impl super::Functions {
    /// Whether there is a kernel for heads of this width, if rows of queries, keys and values begin at whole 16 bytes.
    pub fn takes_heads(&self, element: Element, head_width: usize) -> bool {
        let tensor_cores = match element {
            Element::F32 => false,
            Element::F16 => true,
            Element::Bf16 => self.attention.bf16.is_some(),
        };
        head_width <= MAX_GENERAL_WIDTH || tensor_cores && HEAD_WIDTHS.contains(&head_width)
    }

    /// See [`Attention`].
    ///
    /// # Safety
    /// The addresses have as many values behind them as is said there, the starts rise and end with the rows, no sequence is
    /// longer than is said, and the stream is of this device.
    ///
    /// # Errors
    /// The driver's; `CUDA_ERROR_INVALID_VALUE` for heads that [`Self::takes_heads`] says no of.
    pub unsafe fn attention(&self, stream: CUstream, x: &Attention) -> Result<(), DriverError> {
        if x.sequences == 0 || x.heads == 0 || x.head_width == 0 || x.longest_query == 0 {
            return Ok(());
        }
        let kernel = self.attention.on_tensor_cores(x);
        // SAFETY: the caller's, for both.
        unsafe {
            match kernel {
                Some(kernel) => x.on_tensor_cores(stream, kernel),
                None => x.in_general(stream, self.attention.general.get(x.element)),
            }
        }
    }
}

impl Attention {
    /// A warp for so many queries of a head: the warps of a sequence are its heads', one after the other.
    unsafe fn on_tensor_cores(&self, stream: CUstream, (function, each): (Function, usize)) -> Result<(), DriverError> {
        let warps = self.heads * self.longest_query.div_ceil(each);
        let grid = (blocks(self.sequences, 1)?, blocks(warps, WARPS)?, 1);
        let shape = Shape { grid, block: ((WARPS * WARP) as u32, 1, 1), shared: 0 };
        let (heads, query_stride, key_stride) = (int(self.heads)?, int(self.query_stride)?, int(self.key_stride)?);
        let (query_starts, scale) = (self.query_starts.unwrap_or(0), self.scale());
        let parameters = parameters![
            self.query,
            self.key,
            self.value,
            self.context,
            query_starts,
            self.key_starts,
            heads,
            query_stride,
            key_stride,
            scale
        ];
        // SAFETY: the kernel's own parameters, of which the queries' starts may be null; the rest is the caller's.
        unsafe { function.launch(stream, shape, parameters) }
    }

    unsafe fn in_general(&self, stream: CUstream, function: Function) -> Result<(), DriverError> {
        if self.head_width > MAX_GENERAL_WIDTH {
            return Err(REFUSED);
        }
        let pitch = if self.head_width.is_multiple_of(4) { self.head_width + 4 } else { self.head_width + 1 };
        let floats = (QUERIES + KEYS) * self.head_width + KEYS * pitch + QUERIES * KEYS;
        let grid = (blocks(self.sequences, 1)?, blocks(self.heads, 1)?, blocks(self.longest_query, QUERIES)?);
        let shape = Shape { grid, block: ((WARPS * WARP) as u32, 1, 1), shared: (floats * size_of::<f32>()) as u32 };
        let width = int(self.head_width)?;
        let (query_stride, key_stride) = (int(self.query_stride)?, int(self.key_stride)?);
        let (query_starts, scale) = (self.query_starts.unwrap_or(0), self.scale());
        let parameters = parameters![
            self.query,
            self.key,
            self.value,
            self.context,
            query_starts,
            self.key_starts,
            width,
            query_stride,
            key_stride,
            scale
        ];
        // SAFETY: the kernel's own parameters, of which the queries' starts may be null; the rest is the caller's.
        unsafe { function.launch(stream, shape, parameters) }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_width as f32).sqrt()
    }
}
