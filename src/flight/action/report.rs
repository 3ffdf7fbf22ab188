//! What the server says of itself, as JSON.

use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::Result;
use crate::classifier::ModelFacts;
use crate::flight::serving::Flight;
use crate::readiness::{Phase, ServedModel};
use crate::table::{ScoreOptions, ScorePlan};

/// What serves, and within which limits.
///
/// # Errors
/// [`crate::Error::Busy`] while the model is loaded.
pub fn model(flight: &Flight) -> Result<Value> {
    let ServedModel { engine, version, .. } = flight.model.served()?;
    let (model, uploads) = (engine.model(), flight.catalog.uploads.limits());
    let mut said = json!(ModelFacts { info: model.clone(), version: version.clone() });
    let of_service = json!({
        "columns": columns(&model.labels)?,
        "limits": {
            "message_bytes": flight.limits.message_bytes,
            "exchanges": flight.limits.streams,
            "in_flight_rows": flight.limits.in_flight.rows,
            "in_flight_bytes": flight.limits.in_flight.bytes,
            "memory_bytes": flight.memory.limit(),
            "uploads": uploads.uploads,
            "upload_rows": uploads.table.rows,
            "upload_bytes": uploads.table.bytes,
            "upload_expiry_seconds": uploads.expiry.as_secs_f64(),
            "stall_seconds": flight.limits.stall_timeout.as_secs_f64(),
        },
        "textflight": env!("CARGO_PKG_VERSION"),
    });
    if let (Value::Object(said), Value::Object(of_service)) = (&mut said, of_service) {
        said.extend(of_service);
    }
    Ok(said)
}

/// The columns that are appended without options, by name and Arrow type.
fn columns(labels: &[String]) -> Result<Value> {
    let text = Schema::new(vec![Field::new("text", DataType::Utf8, true)]);
    let scored = ScorePlan::new(&text, &ScoreOptions::default(), labels)?.schema();
    let new = scored.fields().iter().skip(text.fields().len());
    Ok(new.map(|field| json!({ "name": field.name(), "type": field.data_type().to_string() })).collect())
}

/// What the server is doing, in numbers.
///
/// # Errors
/// [`crate::Error::Busy`] while the model is loaded.
pub fn stats(flight: &Flight) -> Result<Value> {
    let ServedModel { engine, loaded_at, .. } = flight.model.served()?;
    let (queue, uploads) = (engine.queue_depth(), flight.catalog.uploads.counts());
    Ok(json!({
        // A clock that was set back must not fail the call.
        "uptime_seconds": loaded_at.elapsed().unwrap_or_default().as_secs_f64(),
        "exchanges_open": flight.open_streams(),
        "exchanges_limit": flight.limits.streams,
        "queued_rows": queue.interactive.rows + queue.bulk.rows,
        "queued_rows_interactive": queue.interactive.rows,
        "queued_rows_bulk": queue.bulk.rows,
        "uploads_open": uploads.open,
        "uploads_staged": uploads.staged,
        "uploads_committed": uploads.committed,
        "uploads_limit": flight.catalog.uploads.limits().uploads,
        "spool_bytes": flight.catalog.uploads.spool().used(),
        "spool_limit_bytes": flight.catalog.uploads.spool().limit(),
        "memory_bytes": flight.memory.held(),
        "memory_limit_bytes": flight.memory.limit(),
    }))
}

/// Whether calls are taken, in the words of gRPC's health protocol.
pub fn health(flight: &Flight) -> Value {
    let cause = match flight.model.phase() {
        Phase::Serving => return json!({ "status": "SERVING" }),
        Phase::Loading => "the model is being loaded".to_owned(),
        Phase::Dead(cause) => cause,
        Phase::Draining => "the server is stopping".to_owned(),
    };
    json!({ "status": "NOT_SERVING", "cause": cause })
}
