//! An encoder with its classification head whose weights lie on a GPU.

mod dense;
mod forward;
mod layout;
mod quantized;
mod weights;

use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use self::forward::{Device, Forward};
use self::layout::{Batch, Layout};
use self::weights::DeviceWeights;
pub use self::weights::on_device;
use super::event::Event;
use super::functions::Element;
use super::gpu::Workshop;
use super::memory::{self, Arena};
use super::products::Kind;
use super::record::Step;
use super::staging::{Download, Transfer};
use super::trouble::Trouble;
use super::{Gpu, products};
use crate::{Affine, EmbeddingWeights, EncoderShape, Fault, LayerWeights, Precision};

/// In what an encoder multiplies, and what it keeps between its products.
#[derive(Debug, Clone, Copy)]
pub struct Arithmetic {
    /// What activations are in memory.
    pub element: Element,
    /// What the products of the layers are of.
    pub kind: Kind,
}

impl Arithmetic {
    /// Between products of 8 bits activations are f16.
    pub const fn of(precision: Precision) -> Self {
        match precision {
            Precision::Float32 => Self { element: Element::F32, kind: Kind::F32 },
            Precision::Float16 => Self { element: Element::F16, kind: Kind::F16 },
            Precision::Bfloat16 => Self { element: Element::Bf16, kind: Kind::Bf16 },
            Precision::Int8 => Self { element: Element::F16, kind: Kind::Int8 },
            Precision::Float8 => Self { element: Element::F16, kind: Kind::E4m3 },
        }
    }
}

/// Tokens for each multiprocessor that algorithms are timed with, from large batches, which have a card's clocks rise, to small ones.
const TUNED: [usize; 5] = [128, 64, 32, 16, 8];

/// The largest budgets that are usual, and half of them: small cards have them as well.
const TUNED_TOKENS: [usize; 2] = [16_384, 8192];

/// An encoder on a GPU. A forward of it is one upload, a list of launches and one copy back.
pub struct GpuEncoder {
    gpu: Arc<Gpu>,
    shape: EncoderShape,
    arithmetic: Arithmetic,
    weights: DeviceWeights,
}

impl GpuEncoder {
    /// Takes the weights to the GPU, one layer after the other, in the type of the precision; the head in f32.
    ///
    /// # Errors
    /// Those of `layers` and `head`; what the GPU says when it fails; [`Fault::Failed`] for shapes that it has no kernels for.
    pub fn new<E: From<Fault>>(
        gpu: &Arc<Gpu>,
        shape: EncoderShape,
        precision: Precision,
        embeddings: EmbeddingWeights,
        layers: impl Iterator<Item = Result<LayerWeights, E>>,
        head: impl FnOnce() -> Result<[Affine; 2], E>,
    ) -> Result<Self, E> {
        let fault = |trouble: Trouble| E::from(gpu.fault(&trouble, "laying out the weights"));
        let arithmetic = Arithmetic::of(precision);
        Self::check(gpu, &shape, arithmetic).map_err(fault)?;
        gpu.enter();
        let mut weights = DeviceWeights::new(gpu.queue(), arithmetic, &embeddings).map_err(fault)?;
        drop(embeddings);
        for layer in layers {
            weights.add(&layer?).map_err(fault)?;
        }
        weights.finish(&head()?).map_err(fault)?;
        let encoder = Self { gpu: Arc::clone(gpu), shape, arithmetic, weights };
        encoder.tune().map_err(fault)?;
        Ok(encoder)
    }

    fn check(gpu: &Gpu, shape: &EncoderShape, arithmetic: Arithmetic) -> Result<(), Trouble> {
        let width = shape.hidden / shape.heads.max(1);
        if !gpu.functions().takes_heads(arithmetic.element, width) {
            let element = arithmetic.element.suffix();
            return Err(Trouble::Refused(format!(
                "attention heads of {width} columns: in {element} there is no kernel"
            )));
        }
        // As tensor cores take them.
        let each = match arithmetic.kind {
            Kind::F32 | Kind::F16 | Kind::Bf16 => 1,
            Kind::Int8 => 4,
            Kind::E4m3 => 16,
        };
        if !shape.hidden.is_multiple_of(each) || !shape.wide.is_multiple_of(each) {
            let (hidden, wide) = (shape.hidden, shape.wide);
            return Err(Trouble::Refused(format!(
                "layers of {hidden} and {wide}: in 8 bits both must be multiples of {each}"
            )));
        }
        Ok(())
    }

    /// Puts a forward into the GPU's stream, and a copy of its logits `[sequences, labels]` back behind it.
    ///
    /// # Errors
    /// [`Fault::OutOfMemory`] when fewer sequences may pass, [`Fault::Failed`] for what is no batch of this model, and
    /// [`Fault::Lost`] when the GPU takes no more work.
    pub fn forward(&self, sequences: &[&[u32]]) -> Result<Download, Fault> {
        let fault =
            |trouble: Trouble| self.gpu.fault(&trouble, &format!("the forward of {} sequences", sequences.len()));
        self.shape.check(sequences).map_err(|why| fault(Trouble::Refused(why)))?;
        self.begin(sequences).map_err(fault)
    }

    fn begin(&self, sequences: &[&[u32]]) -> Result<Download, Trouble> {
        let lengths: Vec<u32> = sequences.iter().map(|sequence| sequence.len() as u32).collect();
        let batch = Batch::of(&lengths);
        let mut workshop = self.gpu.workshop()?;
        let began = Instant::now();
        let Workshop { products, arena, record } = &mut *workshop;
        let (context, stream) = (self.gpu.context(), self.gpu.stream());
        let bytes = Layout::new(0, &self.shape, self.arithmetic, &batch).bytes();
        let base = arena.get(self.gpu.queue(), bytes)?;
        let at = Layout::new(base, &self.shape, self.arithmetic, &batch);
        let logits = batch.sequences * self.shape.labels;
        let parts = sequences.iter().copied().chain(std::iter::once(lengths.as_slice()));
        record.begin(context, stream)?;
        // SAFETY: the arena has room for what the layout says, ids and lengths included.
        let transfer = unsafe { Transfer::upload(&self.gpu, parts, at.ids, [batch.tokens + batch.sequences, logits]) }?;
        record.step(Step::Upload, context, stream)?;
        let (shape, weights) = (&self.shape, &self.weights);
        let on = Device { functions: self.gpu.functions(), context, stream, products, record };
        let mut forward = Forward { on, shape, arithmetic: self.arithmetic, weights, batch: &batch, at: &at };
        // SAFETY: the layout is of this batch and this model, whose weights were checked when they were laid out, and so were
        // the ids and lengths, which are on their way in the same stream.
        unsafe { forward.run() }?;
        // SAFETY: the forward puts as many logits there.
        let download = unsafe { transfer.download(at.logits, logits) }?;
        record.step(Step::Download, context, stream)?;
        record.counters.host += began.elapsed();
        Ok(download)
    }

    /// Times the algorithms of the products of a layer for batches of several sizes, as far as there is memory.
    fn tune(&self) -> Result<(), Trouble> {
        use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        let multiprocessors = self.gpu.context().attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let of_card = TUNED.map(|each| multiprocessors.unsigned_abs() as usize * each);
        let mut sizes: Vec<usize> = TUNED_TOKENS.into_iter().chain(of_card).map(products::padded).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        for rows in sizes {
            match self.tune_for(rows) {
                Err(trouble) if trouble.is_out_of_memory() => {
                    info!(rows, "no memory to time algorithms for as many tokens");
                }
                done => done?,
            }
        }
        self.gpu.workshop()?.arena = Arena::default();
        Ok(memory::give_back_freed_memory(self.gpu.context())?)
    }

    fn tune_for(&self, rows: usize) -> Result<(), Trouble> {
        let mut workshop = self.gpu.workshop()?;
        let workshop = &mut *workshop;
        let batch = Batch { tokens: rows, sequences: 1, longest: rows };
        let bytes = Layout::new(0, &self.shape, self.arithmetic, &batch).bytes();
        let base = workshop.arena.get(self.gpu.queue(), bytes)?;
        let at = Layout::new(base, &self.shape, self.arithmetic, &batch);
        let events = [Event::timed(self.gpu.context())?, Event::timed(self.gpu.context())?];
        for (shape, operands) in dense::products_of_a_layer(&self.shape, &self.weights, &at, rows) {
            // SAFETY: the arena has room for these products.
            unsafe { workshop.products.tune(shape, operands, self.gpu.watch(), events.each_ref()) }?;
        }
        Ok(())
    }
}

impl Drop for GpuEncoder {
    /// Weights are given back in the GPU's context, which the thread that drops them may never have entered.
    fn drop(&mut self) {
        self.gpu.enter();
    }
}
