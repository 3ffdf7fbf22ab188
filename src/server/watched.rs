//! What passes through a connection, reported to its [`Activity`].

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{InspectReader, InspectWriter};

use super::activity::{Activity, InProgress};
use super::frames::Frames;

/// Reports what passes through `io`.
pub fn watch<IO>(io: IO, activity: &Activity) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static + use<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut frames, hearing, taking) = (Frames::default(), activity.clone(), activity.clone());
    let io = InspectReader::new(io, move |bytes: &[u8]| {
        frames.hear(bytes);
        // Whatever an HTTP/1 client says between its requests begins the next.
        hearing.heard(frames.has_greeted(), frames.is_http1() || frames.is_midway());
    });
    InspectWriter::new(io, move |_: &[u8]| taking.took())
}

/// The body of a response: the request that it answers is in progress until it is dropped.
pub fn hold(body: Body, request: InProgress) -> impl HttpBody<Data = Bytes, Error = axum::Error> {
    body.map_err(move |error| {
        let _held = &request;
        error
    })
}
