//! What the model threads do, each in its role.

use std::ops::Range;
use std::sync::Arc;

use super::Lane;
use super::job::{Job, Row};
use crate::classifier::batch::Batch;
use crate::classifier::kernels::TeamHandle;

/// What a thread takes from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Windows to tokenize, batches to run, and forwards of others to assist in.
    Both,
    /// Windows alone.
    Tokenize,
    /// Batches alone, for a device of this number.
    Run {
        /// Its number.
        device: usize,
    },
}

/// What a model thread does next.
pub enum Work {
    /// Run a batch of the lane.
    Batch(Lane, Batch<Row>),
    /// Tokenize these rows of the lane's jobs.
    Window(Lane, Vec<(Arc<Job>, Range<usize>)>),
    /// Assist in another thread's forward, as long as there is nothing else to do.
    Assist(Assistance),
}

/// A team to assist, and what was new when that was all there was to do.
pub struct Assistance {
    /// Its handle.
    pub team: TeamHandle,
    /// How often there had been something new.
    pub news: usize,
}
