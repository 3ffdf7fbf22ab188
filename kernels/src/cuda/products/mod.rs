//! Matrix products by cuBLASLt: `y = f(x · Wᵀ + b)` over rows.
//!
//! What a product needs besides its operands (descriptors, layouts, an algorithm) is its plan. Plans are kept by the layer's
//! shape and the rows, rounded up: see [`padded`]. In f32 nothing is rounded to TF32, sums are f32 in every case but int8's,
//! and parts of sums are never added up in a narrower type.

mod plan;
mod tuning;

use std::collections::HashMap;
use std::sync::Arc;

use cudarc::cublaslt::{result as lt, sys};
use cudarc::driver::CudaStream;

use self::plan::Plan;
use self::tuning::Choices;
use super::functions::EightBits;
use super::memory::Buffer;
use super::trouble::Trouble;

/// Memory that products may work in, by compute capability: as the library's documentation has it.
const fn workspace(capability: (i32, i32)) -> usize {
    if capability.0 >= 9 { 32 << 20 } else { 4 << 20 }
}

/// More plans than a service needs: 8 shapes of layers by 80 numbers of rows, for 25,000 tokens. Beyond it they are made anew.
const MOST_PLANS: usize = 1024;

/// What multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    F32,
    F16,
    Bf16,
    /// i8 into i32
    Int8,
    /// e4m3 into f16, times 2⁻¹⁰: see `EightBits`.
    E4m3,
}

impl Kind {
    /// What its inputs are, if they have 8 bits.
    pub const fn eight_bits(self) -> Option<EightBits> {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => None,
            Self::Int8 => Some(EightBits::Int8),
            Self::E4m3 => Some(EightBits::E4m3),
        }
    }
}

/// What is done with the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum After {
    Nothing,
    Bias,
    BiasRelu,
    /// Its tanh form.
    BiasGelu,
}

/// A product's shape: `[rows, inner]` by the transpose of `[out, inner]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    pub kind: Kind,
    pub out: usize,
    pub inner: usize,
    /// As [`padded`] gives them.
    pub rows: usize,
    pub after: After,
}

/// Where a product's matrices are, and its bias, if it takes one along.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// `[out, inner]`
    pub weight: u64,
    /// `[out]`, of the type of `y`
    pub bias: u64,
    /// `[rows, inner]`
    pub x: u64,
    /// `[rows, out]`: written.
    pub y: u64,
}

/// A shape with what is known of the addresses: the power of two that each is a multiple of, up to 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    shape: Shape,
    /// Of the weights, of `x`, of `y` and of the bias, by which the library chooses as well.
    alignments: [u32; 4],
}

impl Key {
    fn of(shape: Shape, operands: &Operands) -> Self {
        let bias = if shape.after == After::Nothing { 0 } else { operands.bias };
        Self { shape, alignments: [operands.weight, operands.x, operands.y, bias].map(alignment) }
    }
}

/// The products of one stream.
pub struct Products {
    handle: Handle,
    stream: Arc<CudaStream>,
    workspace: Buffer,
    plans: HashMap<Key, Plan>,
    choices: Choices,
    queries: u64,
}

/// So many rows at least are computed for `rows`: a plan serves all numbers of them that round up to the same, and a tile of
/// a tensor core's product has as many anyway. What stands in the rows beyond is of no meaning.
pub const fn padded(rows: usize) -> usize {
    match rows {
        0..=16 => 16,
        17..=128 => rows.next_power_of_two(),
        129..=4096 => rows.next_multiple_of(128),
        // One in eight at most: large budgets have no more plans for it.
        _ => rows.next_multiple_of(512),
    }
}

/// Whether a product of such a layer takes its bias along. Rows that are not a whole number of 16 bytes are not asked for: some
/// cards have no such product.
pub const fn takes_bias(kind: Kind, out: usize, inner: usize) -> bool {
    let each = match kind {
        Kind::F32 => 4,
        Kind::F16 | Kind::Bf16 => 8,
        Kind::Int8 | Kind::E4m3 => return false,
    };
    out.is_multiple_of(each) && inner.is_multiple_of(each)
}

struct Handle(sys::cublasLtHandle_t);

// SAFETY: the library takes its handle from every thread.
unsafe impl Send for Handle {}

impl Products {
    /// # Errors
    /// When the library or the memory is not to be had.
    pub fn new(stream: &Arc<CudaStream>) -> Result<Self, Trouble> {
        let workspace = Buffer::new(stream, workspace(stream.context().compute_capability()?))?;
        Ok(Self {
            handle: Handle(lt::create_handle()?),
            stream: Arc::clone(stream),
            workspace,
            plans: HashMap::new(),
            choices: Choices::default(),
            queries: 0,
        })
    }

    /// How often the library was asked for algorithms.
    pub const fn queries(&self) -> u64 {
        self.queries
    }

    /// Puts a product into the stream.
    ///
    /// # Safety
    /// The matrices are where the operands say, in whole, and the context is this thread's.
    ///
    /// # Errors
    /// [`Trouble::Product`] when there is no such product, or the device fails.
    pub unsafe fn run(&mut self, shape: Shape, operands: Operands) -> Result<(), Trouble> {
        let key = Key::of(shape, &operands);
        if !self.plans.contains_key(&key) {
            let plan = self.plan(&key, operands.bias)?;
            if self.plans.len() >= MOST_PLANS {
                self.plans.clear();
            }
            self.plans.insert(key, plan);
        }
        // SAFETY: the caller's, and the plan is of this shape and these alignments.
        unsafe { self.plans[&key].run(self.handle.0, &operands, &self.workspace, &self.stream) }
    }

    /// With the algorithm that was fastest for about as many rows, if it suits; else with what the library thinks best.
    fn plan(&mut self, key: &Key, bias: u64) -> Result<Plan, Trouble> {
        let mut plan = Plan::new(key, bias)?;
        let chosen =
            self.choices.for_rows(key).filter(|algorithm| plan.takes(self.handle.0, algorithm, self.workspace.bytes()));
        match chosen {
            Some(algorithm) => plan.set(algorithm),
            None => {
                self.queries += 1;
                let best = plan.candidates(self.handle.0, key, self.workspace.bytes(), 1)?[0];
                plan.set(best);
            }
        }
        Ok(plan)
    }
}

/// The largest power of two up to 256 that divides an address.
const fn alignment(address: u64) -> u32 {
    if address == 0 { 256 } else { 1 << if address.trailing_zeros() < 8 { address.trailing_zeros() } else { 8 } }
}
