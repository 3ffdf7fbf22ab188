//! What clients learn of functions before they call them: their signatures, as flights without endpoints.

use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo, SchemaAsIpc, SchemaResult};

use super::datasets::Datasets;
use crate::udf::{Function, is_kept, names};
use crate::{Error, Result};

/// The function that a descriptor names. None for one that can only be of a data set.
///
/// # Errors
/// [`Error::NotFound`] for a name that is kept for functions and that none has, [`Error::Invalid`] for a path with more in it.
pub fn named(descriptor: &FlightDescriptor) -> Result<Option<Function>> {
    match (descriptor.r#type(), &descriptor.path[..]) {
        (DescriptorType::Path, [name]) if is_kept(name) => Function::named(name).map(Some),
        (DescriptorType::Path, [name, ..]) if is_kept(name) => Err(Error::Invalid(format!(
            "the path has {} parts: a function is asked for by its name alone; functions: {}",
            descriptor.path.len(),
            names()
        ))),
        _ => Ok(None),
    }
}

/// All about a function: what it takes and gives is the schema, and `total_records` says how many of the fields are arguments.
///
/// # Errors
/// [`Error::Failed`] for a bug of ours.
pub fn info(function: Function) -> Result<FlightInfo> {
    let descriptor = FlightDescriptor::new_path(vec![function.name().to_owned()]);
    let info = FlightInfo::new().with_descriptor(descriptor).try_with_schema(&function.signature());
    let arguments = i64::try_from(function.arguments().len()).unwrap_or(i64::MAX);
    Ok(info.map_err(unwritable)?.with_total_records(arguments).with_total_bytes(0))
}

/// The schema of [`info`].
///
/// # Errors
/// [`Error::Failed`] for a bug of ours.
pub fn schema(function: Function) -> Result<SchemaResult> {
    SchemaAsIpc::new(&function.signature(), &IpcWriteOptions::default()).try_into().map_err(unwritable)
}

/// The same as [`info`] for who polls: that is all.
///
/// # Errors
/// [`Error::Failed`] for a bug of ours.
pub fn poll(function: Function) -> Result<PollInfo> {
    Ok(PollInfo { info: Some(info(function)?), progress: Some(1.0), ..PollInfo::default() })
}

/// The error about a name that no data set has, for who may have meant a function.
pub fn or_function(error: Error, descriptor: &FlightDescriptor, datasets: &Datasets) -> Error {
    match (error, &descriptor.path[..]) {
        (Error::NotFound(cause), [name]) if datasets.get(name).is_err() => {
            Error::NotFound(format!("{cause}; functions of SQL: {}", names()))
        }
        (other, _) => other,
    }
}

fn unwritable(cause: arrow::error::ArrowError) -> Error {
    Error::Failed(format!("a signature cannot be written: {cause}"))
}
