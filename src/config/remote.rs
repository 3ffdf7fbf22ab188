//! Which servers score for a command, if any do.

use std::time::Duration;

use textflight::remote::{RemoteOptions, ServerAccess};
use textflight::stream::InFlight;

use super::defaults::JOB_IN_FLIGHT;
use crate::cli::RemoteArgs;

impl RemoteArgs {
    /// Where the model is, unless it is here.
    pub fn options(&self) -> Option<RemoteOptions> {
        (!self.server.is_empty()).then(|| RemoteOptions {
            servers: self.server.clone(),
            access: ServerAccess {
                token: self.server_token.clone(),
                token_file: self.server_token_file.clone(),
                ca: self.server_ca.clone(),
            },
            timeout: Duration::from_secs_f64(self.server_timeout),
        })
    }

    /// What a file may have on its way: of each server as much as of an engine here, and as much again that is there when a
    /// server has room.
    pub fn in_flight(&self) -> InFlight {
        let times = if self.server.is_empty() { 1 } else { self.server.len() + 1 };
        InFlight { rows: times * JOB_IN_FLIGHT.rows, bytes: times * JOB_IN_FLIGHT.bytes }
    }
}
