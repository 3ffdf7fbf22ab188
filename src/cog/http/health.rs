//! `GET /health-check`: always 200, the state is in the body.

use std::time::SystemTime;

use serde::Serialize;

use super::COG_VERSION;
use super::time::rfc3339;
use crate::cog::predictions::Predictions;
use crate::engine::Health;

/// When the model was loaded, as the health check reports it.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Loading began.
    pub started_at: SystemTime,
    /// The model was ready.
    pub completed_at: SystemTime,
}

#[derive(Serialize)]
pub(super) struct HealthCheck {
    status: &'static str,
    setup: SetupReport,
    version: Version,
    /// Beyond Cog: why the server is of no more use.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct SetupReport {
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<String>,
}

/// Cog adds its build and its Python, which have no counterpart here.
#[derive(Serialize)]
struct Version {
    coglet: &'static str,
    python_sdk: &'static str,
    textflight: &'static str,
}

const VERSION: Version =
    Version { coglet: COG_VERSION, python_sdk: COG_VERSION, textflight: env!("CARGO_PKG_VERSION") };

impl HealthCheck {
    /// While the model loads.
    pub(super) fn starting(started_at: SystemTime) -> Self {
        let started_at = rfc3339(started_at);
        let setup = SetupReport { started_at, completed_at: None, status: "starting", logs: None };
        Self { status: "STARTING", setup, version: VERSION, error: None }
    }

    /// When the model is there.
    pub(super) fn new(predictions: &Predictions, health: Health, logs: String, setup: Setup) -> Self {
        let (status, error) = match health {
            Health::Dead(cause) => ("DEFUNCT", Some(cause)),
            Health::Serving if predictions.is_busy() => ("BUSY", None),
            Health::Serving => ("READY", None),
        };
        let setup = SetupReport {
            started_at: rfc3339(setup.started_at),
            completed_at: Some(rfc3339(setup.completed_at)),
            status: "succeeded",
            logs: Some(logs),
        };
        Self { status, setup, version: VERSION, error }
    }
}
