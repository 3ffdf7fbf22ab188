//! `GET /health-check`: always 200, the state is in the body.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::COG_VERSION;
use crate::engine::{Engine, Health};

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
    completed_at: String,
    status: &'static str,
    logs: String,
}

/// Cog adds its build and its Python, which have no counterpart here.
#[derive(Serialize)]
struct Version {
    coglet: &'static str,
    python_sdk: &'static str,
    textflight: &'static str,
}

impl HealthCheck {
    pub(super) fn new(engine: &Engine, setup: Setup) -> Self {
        let (status, error) = match engine.health() {
            Health::Serving => ("READY", None),
            Health::Dead(cause) => ("DEFUNCT", Some(cause)),
        };
        let model = engine.model();
        Self {
            status,
            setup: SetupReport {
                started_at: rfc3339(setup.started_at),
                completed_at: rfc3339(setup.completed_at),
                status: "succeeded",
                logs: format!("{} on {} in {}\n", model.name, model.device, model.dtype),
            },
            version: Version { coglet: COG_VERSION, python_sdk: COG_VERSION, textflight: env!("CARGO_PKG_VERSION") },
            error,
        }
    }
}

/// `time` as Cog writes it. A time out of its range, from a clock that is centuries off, reads as the epoch.
fn rfc3339(time: SystemTime) -> String {
    let nanoseconds =
        time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
    arrow::temporal_conversions::timestamp_ns_to_datetime(nanoseconds)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.9f+00:00").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_cog_writes_them() {
        let time = UNIX_EPOCH + Duration::new(1_795_505_235, 577_425_584);
        assert_eq!(rfc3339(time), "2026-11-24T07:27:15.577425584+00:00");
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00.000000000+00:00");
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(rfc3339(before), rfc3339(UNIX_EPOCH));
    }
}
