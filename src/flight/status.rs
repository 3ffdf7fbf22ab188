//! Our errors as gRPC statuses, chosen by what pyarrow raises for them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Response};
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::Error;
use crate::error::{ERROR_KIND, ErrorKind};

/// When a client that found no room may come again.
const RETRY_SECONDS: &str = "1";

/// `ArrowInvalid`, `ArrowKeyError`, `FlightUnauthorizedError`, `FlightUnauthenticatedError`, `FlightUnavailableError`,
/// `FlightTimedOutError`, `FlightCancelledError` and `FlightInternalError` of pyarrow, in this order.
pub fn to_status(error: &Error) -> Status {
    let code = match error {
        Error::Invalid(_) | Error::TooLarge(_) | Error::NotText { .. } => Code::InvalidArgument,
        Error::NotFound(_) => Code::NotFound,
        Error::Denied(_) => Code::PermissionDenied,
        Error::Unauthenticated(_) => Code::Unauthenticated,
        Error::Busy(_) | Error::Stopped(_) => Code::Unavailable,
        Error::Stalled(_) => Code::DeadlineExceeded,
        Error::Cancelled(_) => Code::Cancelled,
        Error::Checkpoint(_)
        | Error::File { .. }
        | Error::Failed(_)
        | Error::OutOfMemory(_)
        | Error::Unscorable { .. } => Code::Internal,
    };
    let mut status = with_kind(code, &error.to_string(), error.kind());
    if matches!(error, Error::Busy(_)) {
        status.metadata_mut().insert("retry-after", MetadataValue::from_static(RETRY_SECONDS));
    }
    status
}

/// What is not to be had here. The text says what is.
pub fn unimplemented(text: &str) -> Status {
    with_kind(Code::Unimplemented, text, ErrorKind::INVALID)
}

fn with_kind(code: Code, text: &str, kind: ErrorKind) -> Status {
    let mut status = Status::new(code, brief(text));
    status.metadata_mut().insert(ERROR_KIND, MetadataValue::from_static(kind.name()));
    status
}

/// As much of a name as an error repeats.
pub fn excerpt(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The answer to a request of one message. What tonic cannot read of it is its sender's fault, which tonic calls INTERNAL: of ours each
/// status says its kind.
pub fn unread_is_invalid(answer: Response<Body>) -> Response<Body> {
    match Status::from_header_map(answer.headers()) {
        Some(status) if status.code() == Code::Internal && status.metadata().get(ERROR_KIND).is_none() => {
            to_status(&Error::Invalid(format!("the request cannot be read: {}", status.message()))).into_http()
        }
        _ => answer,
    }
}

/// How a call ended, behind its answer.
pub fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A text that no header takes is left out; the code is always there.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from(status.code() as i32));
    }
    trailers
}

/// Bytes of an error's text on the wire. Clients take 8 KiB of trailers in all, and lose the error with a connection that
/// sends them more.
const TEXT: usize = 4096;

/// The text without its middle, where it is long: what a client sent may be named in it, as long as it was.
fn brief(text: &str) -> Cow<'_, str> {
    // In trailers most characters but letters and digits become three.
    let on_the_wire = |byte: u8| if byte.is_ascii_alphanumeric() { 1 } else { 3 };
    if text.bytes().map(on_the_wire).sum::<usize>() <= TEXT {
        return text.into();
    }
    let half = |bytes: &mut dyn Iterator<Item = u8>| {
        let mut room = TEXT / 2;
        bytes.take_while(|byte| room.checked_sub(on_the_wire(*byte)).map(|rest| room = rest).is_some()).count()
    };
    let front = text.floor_char_boundary(half(&mut text.bytes()));
    let back = text.ceil_char_boundary(text.len() - half(&mut text.bytes().rev()));
    format!("{} … {} bytes are left out here … {}", &text[..front], back - front, &text[back..]).into()
}

#[cfg(test)]
mod tests {
    use percent_encoding::NON_ALPHANUMERIC as ENCODED;

    use super::*;

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        for name in ["a", "é", "\u{1f389}", "\"", " "] {
            let status = to_status(&Error::Invalid(format!("no column {}; columns: text", name.repeat(1 << 20))));
            let (text, encoded) = (status.message(), percent_encoding::utf8_percent_encode(status.message(), ENCODED));
            assert!(text.starts_with("no column ") && text.ends_with("; columns: text"), "{text}");
            assert!(text.contains("bytes are left out here"), "{text}");
            assert!(
                (TEXT - 100..TEXT + 200).contains(&encoded.to_string().len()),
                "{name:?}: {}",
                encoded.to_string().len()
            );
        }
        let short = "é".repeat(TEXT / 6);
        assert_eq!(to_status(&Error::Invalid(short.clone())).message(), short);
    }

    #[test]
    fn what_may_be_tried_again_is_unavailable() {
        assert_eq!(to_status(&Error::Busy(String::new())).metadata().get("retry-after").unwrap(), "1");
        assert!(to_status(&Error::Stopped(String::new())).metadata().get("retry-after").is_none());
        assert_eq!(to_status(&Error::Busy(String::new())).code(), Code::Unavailable);
        assert_eq!(to_status(&Error::Stopped(String::new())).code(), Code::Unavailable);
        assert_eq!(to_status(&Error::NotFound(String::new())).code(), Code::NotFound);
        assert_eq!(to_status(&Error::Denied(String::new())).code(), Code::PermissionDenied);
        assert_eq!(to_status(&Error::Unauthenticated(String::new())).code(), Code::Unauthenticated);
        assert_eq!(to_status(&Error::Failed(String::new())).code(), Code::Internal);
        assert_eq!(to_status(&Error::Cancelled(String::new())).code(), Code::Cancelled);
    }

    #[test]
    fn the_kind_is_said_beside_the_code() {
        let status = to_status(&Error::TooLarge(String::new()));
        assert_eq!(status.metadata().get("x-textflight-error").unwrap(), "too_large");
        let status = unimplemented(&"x".repeat(2 * TEXT));
        assert_eq!(status.metadata().get("x-textflight-error").unwrap(), "invalid");
        assert!(status.message().len() < TEXT + 200, "{}", status.message());
    }
}
