//! What the queue keeps behind its lock.

use std::time::{Duration, Instant};

use super::Lane;
use super::device::Device;
use super::teams::Teams;
use super::waiting::Waiting;

/// How long after a request no batch of a table is put behind another that a device computes: the next request would wait for
/// both, as the first one does.
const REQUESTS_OF_LATE: Duration = Duration::from_secs(3);

/// What waits, and who is free.
#[derive(Default)]
pub struct QueueState {
    /// Jobs of requests.
    pub interactive: Waiting,
    /// Jobs of tables.
    pub bulk: Waiting,
    /// The forwards that run.
    pub teams: Teams,
    /// Threads that wait, and would run batches on a core of their own. Those that assist are none of them.
    pub idle_cores: usize,
    /// What each device computes.
    pub devices: Vec<Device>,
    /// When the last request came.
    pub requested: Option<Instant>,
    /// Whether nothing is taken any more.
    pub closed: bool,
}

impl QueueState {
    /// One of the lanes.
    pub const fn lane(&mut self, lane: Lane) -> &mut Waiting {
        match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// Devices that compute nothing.
    pub fn idle_devices(&self) -> usize {
        self.devices.iter().filter(|device| device.is_idle()).count()
    }

    /// Whether a whole batch of the lane may be put behind one that a device computes, so that the device never waits.
    pub fn may_follow(&self, lane: Lane) -> bool {
        lane == Lane::Interactive || self.requested.is_none_or(|last| last.elapsed() > REQUESTS_OF_LATE)
    }
}
