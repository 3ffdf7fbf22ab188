//! What goes wrong with a server, by what can be done about it.

use std::error::Error as _;

use arrow_flight::error::FlightError;
use tonic::{Code, Status};

use crate::Error;
use crate::error::{ERROR_KIND, ErrorKind};
use crate::http_client::chain;

/// Why a server does not answer.
#[derive(Debug)]
pub enum ServerFault {
    /// The connection is not there, or the server goes: what it has not answered can be asked again.
    Lost(String),
    /// It has no room now, or no model yet.
    Busy(String),
    /// It failed at something that it was sent.
    Failed(String),
    /// It would say the same again.
    Final(Error),
}

/// What becomes of a call by a fault of this kind.
type Remedy = fn(String) -> ServerFault;

impl ServerFault {
    /// What a reply ended with.
    pub fn of(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Self::of_status(&status),
            // An answer that is cut off is one that cannot be read.
            other => Self::Lost(format!("its answer cannot be read: {other}")),
        }
    }

    /// What a call ended with. A server of ours says of which kind its error is; what has no kind is the network's, or of
    /// what stands in between, whose bounds may be such that they never have room.
    pub fn of_status(status: &Status) -> Self {
        let kind = status.metadata().get(ERROR_KIND).and_then(|kind| ErrorKind::named(kind.to_str().ok()?));
        let remedy: Remedy = match kind {
            Some(kind) => Self::remedy(kind),
            None => match status.code() {
                Code::InvalidArgument | Code::Unimplemented | Code::NotFound | Code::OutOfRange => {
                    |text| Self::Final(Error::Failed(text))
                }
                Code::Unauthenticated => |text| Self::Final(Error::Unauthenticated(text)),
                Code::PermissionDenied => |text| Self::Final(Error::Denied(text)),
                Code::ResourceExhausted => Self::Failed,
                _ => Self::Lost,
            },
        };
        let message =
            if status.message().is_empty() { format!("{:?}", status.code()) } else { status.message().to_owned() };
        remedy(match status.source() {
            Some(source) => format!("{message}: {}", chain(source)),
            None => message,
        })
    }

    fn remedy(kind: ErrorKind) -> Remedy {
        match kind {
            ErrorKind::BUSY => Self::Busy,
            // The last two are of calls that went on for as long as the server allows.
            ErrorKind::STOPPED | ErrorKind::CANCELLED | ErrorKind::STALLED => Self::Lost,
            ErrorKind::INVALID | ErrorKind::NOT_TEXT => |text| Self::Final(Error::Invalid(text)),
            ErrorKind::TOO_LARGE => |text| Self::Final(Error::TooLarge(text)),
            ErrorKind::UNAUTHENTICATED => |text| Self::Final(Error::Unauthenticated(text)),
            ErrorKind::DENIED => |text| Self::Final(Error::Denied(text)),
            ErrorKind::NOT_FOUND => |text| Self::Final(Error::NotFound(text)),
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    fn status(code: Code, kind: Option<ErrorKind>) -> Status {
        let mut status = Status::new(code, "why");
        if let Some(kind) = kind {
            status.metadata_mut().insert(ERROR_KIND, MetadataValue::from_static(kind.name()));
        }
        status
    }

    #[test]
    fn what_a_server_of_ours_says_counts_more_than_the_code() {
        let of = |kind| ServerFault::of_status(&status(Code::Unavailable, Some(kind)));
        assert!(matches!(of(ErrorKind::BUSY), ServerFault::Busy(text) if text == "why"));
        assert!(matches!(of(ErrorKind::STOPPED), ServerFault::Lost(_)));
        assert!(matches!(of(ErrorKind::OUT_OF_MEMORY), ServerFault::Failed(_)));
        assert!(matches!(of(ErrorKind::INVALID), ServerFault::Final(Error::Invalid(_))));
        assert!(matches!(of(ErrorKind::UNAUTHENTICATED), ServerFault::Final(Error::Unauthenticated(_))));
    }

    #[test]
    fn what_stands_in_between_says_only_a_code() {
        let of = |code| ServerFault::of_status(&status(code, None));
        for code in [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled, Code::DataLoss] {
            assert!(matches!(of(code), ServerFault::Lost(_)), "{code:?}");
        }
        assert!(matches!(of(Code::ResourceExhausted), ServerFault::Failed(_)));
        assert!(matches!(of(Code::PermissionDenied), ServerFault::Final(Error::Denied(_))));
        assert!(matches!(of(Code::Unimplemented), ServerFault::Final(_)));
        assert!(
            matches!(ServerFault::of_status(&Status::new(Code::Unavailable, "")), ServerFault::Lost(text) if text == "Unavailable")
        );
    }
}
