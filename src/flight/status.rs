//! Our errors as gRPC statuses, chosen by what pyarrow raises for them.

use arrow_flight::error::FlightError;
use tonic::{Code, Status};

use crate::Error;

/// `ArrowInvalid`, `FlightUnavailableError`, `FlightTimedOutError` and `FlightInternalError` of pyarrow, in this order.
pub fn to_status(error: &Error) -> Status {
    let code = match error {
        Error::Invalid(_) | Error::TooLarge(_) | Error::NotText { .. } => Code::InvalidArgument,
        Error::Busy(_) | Error::Stopped(_) => Code::Unavailable,
        Error::Stalled(_) => Code::DeadlineExceeded,
        Error::Cancelled(_) => Code::Cancelled,
        Error::Checkpoint(_)
        | Error::File { .. }
        | Error::Failed(_)
        | Error::OutOfMemory(_)
        | Error::Unscorable { .. } => Code::Internal,
    };
    Status::new(code, error.to_string())
}

/// What went wrong while a client's messages were read and decoded, as an error of ours.
pub fn from_flight(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => from_inbound(&status),
        FlightError::ExternalError(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => Error::Invalid(format!("the stream cannot be decoded: {error}")),
        },
        FlightError::NotYetImplemented(what) => Error::Invalid(format!("not supported: {what}")),
        error => Error::Invalid(format!("the stream cannot be decoded: {error}")),
    }
}

/// Why a client's messages ended, as an error of ours.
pub fn from_inbound(status: &Status) -> Error {
    match status.code() {
        // tonic says so of a message above the limit, with both sizes in the text.
        Code::OutOfRange | Code::ResourceExhausted => Error::TooLarge(format!(
            "a record batch is larger than the server takes in one message ({}); send smaller ones, in Python with \
             write_table(table, max_chunksize=8192), or raise --max-message-mib",
            status.message()
        )),
        _ => Error::Invalid(format!("the client's stream broke off: {}", status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_large_says_what_to_do() {
        let inbound = FlightError::Tonic(Box::new(Status::out_of_range("found 9 bytes, the limit is: 4 bytes")));
        let status = to_status(&from_flight(inbound));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("max_chunksize") && status.message().contains("the limit is: 4 bytes"));
    }

    #[test]
    fn what_may_be_tried_again_is_unavailable() {
        assert_eq!(to_status(&Error::Busy(String::new())).code(), Code::Unavailable);
        assert_eq!(to_status(&Error::Stopped(String::new())).code(), Code::Unavailable);
        assert_eq!(to_status(&Error::Failed(String::new())).code(), Code::Internal);
        assert_eq!(to_status(&Error::Cancelled(String::new())).code(), Code::Cancelled);
    }
}
