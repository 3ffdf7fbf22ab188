//! What is counted of forwards, and how long their kernels took where somebody asks.

use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys::CUstream;
use cudarc::driver::{CudaContext, DriverError};

use super::event::Event;
use super::trouble::Trouble;
use super::wait::Watch;
use crate::{GpuCounters, KernelTime};

/// What a step of a forward does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Upload,
    Embed,
    Product,
    Attention,
    Activation,
    Norm,
    Rows,
    Quantize,
    Download,
}

impl Step {
    const ALL: [Self; 9] = [
        Self::Upload,
        Self::Embed,
        Self::Product,
        Self::Attention,
        Self::Activation,
        Self::Norm,
        Self::Rows,
        Self::Quantize,
        Self::Download,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Embed => "embed",
            Self::Product => "product",
            Self::Attention => "attention",
            Self::Activation => "activation",
            Self::Norm => "norm",
            Self::Rows => "rows",
            Self::Quantize => "quantize",
            Self::Download => "download",
        }
    }
}

/// Steps that are timed at most, before they are asked for.
const MOST: usize = 1 << 14;

/// Events that are made beforehand where steps are timed: for dozens of forwards.
const SPARE: usize = 2048;

/// Of one stream.
#[derive(Default)]
pub struct Record {
    pub counters: GpuCounters,
    timed: Option<Vec<(Option<Step>, Event)>>,
    /// Events to use again: to make one between two launches would hold the stream up.
    spare: Vec<Event>,
}

impl Record {
    /// Takes note that a forward begins.
    ///
    /// # Errors
    /// The driver's, here as below, where steps are timed.
    pub fn begin(&mut self, context: &Arc<CudaContext>, stream: CUstream) -> Result<(), DriverError> {
        self.counters.forwards += 1;
        self.mark(None, context, stream)
    }

    /// Takes note of a step that is in the stream.
    pub fn step(&mut self, step: Step, context: &Arc<CudaContext>, stream: CUstream) -> Result<(), DriverError> {
        let counter = match step {
            Step::Upload => &mut self.counters.uploads,
            Step::Download => &mut self.counters.downloads,
            Step::Product => &mut self.counters.products,
            _ => &mut self.counters.launches,
        };
        *counter += 1;
        self.mark(Some(step), context, stream)
    }

    fn mark(&mut self, step: Option<Step>, context: &Arc<CudaContext>, stream: CUstream) -> Result<(), DriverError> {
        let Some(timed) = self.timed.as_mut().filter(|timed| timed.len() < MOST) else { return Ok(()) };
        let event = self.spare.pop().map_or_else(|| Event::timed(context), Ok)?;
        event.record(stream)?;
        timed.push((step, event));
        Ok(())
    }

    /// What was timed since this was last called; from now on steps are timed, or not.
    pub fn timings(&mut self, on: bool, context: &Arc<CudaContext>, watch: &Watch) -> Result<Vec<KernelTime>, Trouble> {
        let timed = std::mem::replace(&mut self.timed, on.then(Vec::new)).unwrap_or_default();
        if let Some((_, last)) = timed.last() {
            watch.wait(last)?;
        }
        let mut all = Vec::new();
        for step in Step::ALL {
            let (mut calls, mut time) = (0, Duration::ZERO);
            for ((_, before), (what, event)) in timed.iter().zip(&timed[1.min(timed.len())..]) {
                if *what == Some(step) {
                    calls += 1;
                    time += event.since(before)?;
                }
            }
            if calls > 0 {
                all.push(KernelTime { kind: step.name(), calls, time });
            }
        }
        self.spare.extend(timed.into_iter().map(|(_, event)| event));
        while on && self.spare.len() < SPARE {
            self.spare.push(Event::timed(context)?);
        }
        Ok(all)
    }
}
