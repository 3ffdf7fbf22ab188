//! One GPU: opened, its one stream, and what its errors mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, CudaStream, DriverError, sys};
use tracing::info;

use super::event::Event;
use super::functions::{Functions, refused};
use super::libraries;
use super::memory::{self, Arena};
use super::products::Products;
use super::record::Record;
use super::staging::Slots;
use super::trouble::{Trouble, driver_text};
use super::wait::Watch;
use crate::{Fault, GpuCounters};

/// A GPU that is ready for use. Threads may share it; who puts a forward into its stream holds its workshop.
pub struct Gpu {
    index: usize,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    functions: Functions,
    slots: Slots,
    watch: Watch,
    workshop: Mutex<Workshop>,
}

/// What forwards use one after the other.
pub struct Workshop {
    pub products: Products,
    pub arena: Arena,
    pub record: Record,
}

impl Workshop {
    /// What was counted by each part.
    pub fn counters(&self) -> GpuCounters {
        let (allocations, heuristics) = (self.arena.allocations(), self.products.queries());
        GpuCounters { allocations, heuristics, ..self.record.counters }
    }
}

impl Gpu {
    /// The GPU of this number, with CUDA's libraries from `folder` or where the system has them. It is opened once, and stays
    /// open until the process ends: to close it then would race with the driver, which ends as well.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when there is no driver, no such GPU, or a library is missing.
    pub fn get(index: usize, folder: Option<&Path>) -> Result<Arc<Self>, Fault> {
        static OPEN: Mutex<BTreeMap<usize, Arc<Gpu>>> = Mutex::new(BTreeMap::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = open.get(&index) {
            return Ok(Arc::clone(gpu));
        }
        libraries::load(folder)?;
        let gpu = Arc::new(Self::open(index)?);
        info!(device = gpu.name(), card = gpu.card(), "the GPU is open");
        open.insert(index, Arc::clone(&gpu));
        Ok(gpu)
    }

    fn open(index: usize) -> Result<Self, Fault> {
        let wrong = |why: Trouble| Fault::Unavailable(format!("the GPU cuda:{index} cannot be used: {why}"));
        let count = CudaContext::device_count().map_err(|e| wrong(e.into()))?;
        if index >= count.unsigned_abs() as usize {
            return Err(Fault::Unavailable(format!(
                "there is no cuda:{index}: the driver finds {count} GPU(s), from cuda:0"
            )));
        }
        Self::with_context(index).map_err(wrong)
    }

    fn with_context(index: usize) -> Result<Self, Trouble> {
        let context = CudaContext::new(index)?;
        // SAFETY: the events would order several streams; all work of this context goes through one.
        unsafe { context.disable_event_tracking() };
        memory::keep_freed_memory(&context)?;
        let stream = context.new_stream()?;
        Ok(Self {
            index,
            functions: Functions::load(&context).map_err(|e| cannot_load(e, &context))?,
            slots: Slots::new(&context),
            watch: Watch::from_environment()?,
            workshop: Mutex::new(Workshop {
                products: Products::new(&stream)?,
                arena: Arena::default(),
                record: Record::default(),
            }),
            context,
            stream,
        })
    }

    /// `cuda:0`
    pub fn name(&self) -> String {
        format!("cuda:{}", self.index)
    }

    /// What the card is called.
    pub fn card(&self) -> String {
        self.context.name().unwrap_or_else(|_| "unknown".to_owned())
    }

    /// Its compute capability: (7, 5) for a T4, (9, 0) for an H100.
    ///
    /// # Errors
    /// [`Fault::Failed`] when the driver does not say.
    pub fn capability(&self) -> Result<(i32, i32), Fault> {
        self.context.compute_capability().map_err(|e| Fault::Failed(driver_text(e)))
    }

    /// Its context.
    pub const fn context(&self) -> &Arc<CudaContext> {
        &self.context
    }

    /// Its stream, as the driver knows it.
    pub fn stream(&self) -> sys::CUstream {
        self.stream.cu_stream()
    }

    /// The same, as memory is asked for in it.
    pub const fn queue(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Its kernels.
    pub const fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Pinned memory for copies.
    pub const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Who waits for it.
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Makes its context that of this thread. Where that fails the GPU is lost, and the next call says so.
    pub fn enter(&self) {
        let _ = self.context.bind_to_thread();
    }

    /// The turn to put a forward into the stream, whole, in a thread that has entered.
    ///
    /// # Errors
    /// When the GPU is known to hang.
    pub fn workshop(&self) -> Result<MutexGuard<'_, Workshop>, Trouble> {
        self.watch.check()?;
        self.enter();
        // Whoever panicked in it left a forward unfinished, which nobody waits for.
        Ok(self.workshop.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What went wrong means to whoever was `doing` something: a smaller batch may do, this batch failed, or the GPU is lost.
    pub fn fault(&self, trouble: &Trouble, doing: &str) -> Fault {
        let text = format!("{doing} on {} failed: {trouble}", self.name());
        if trouble.is_out_of_memory() {
            return Fault::OutOfMemory(text);
        }
        // An error that stays makes the context useless: everything after it fails the same way. Asked twice, since the
        // first answer may be about what had been put off.
        let is_lost = || self.settle().is_err() && self.settle().is_err();
        if matches!(trouble, Trouble::Hangs(_)) || is_lost() {
            return Fault::Lost(format!("{text}; the GPU takes no more work in this process"));
        }
        Fault::Failed(text)
    }

    /// Waits for all that is in the stream.
    ///
    /// # Errors
    /// When the GPU fails, or hangs.
    pub fn settle(&self) -> Result<(), Trouble> {
        self.context.bind_to_thread()?;
        let end = Event::new(&self.context)?;
        end.record(self.stream())?;
        self.watch.wait(&end)
    }
}

fn cannot_load(error: DriverError, context: &CudaContext) -> Trouble {
    let capability = context.compute_capability().unwrap_or_default();
    Trouble::Refused(refused(error, capability, libraries::driver_version()))
}
