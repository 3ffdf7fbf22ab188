//! Calls that end in time, by what their client asks (`grpc-timeout`) and by what the server allows: answers as well, however
//! long they go on. What was still to be done for a call is dropped with it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::status::{to_status, trailers};
use crate::Error;

/// A service whose calls end in time.
#[derive(Clone)]
pub struct Deadline<S> {
    service: S,
    longest: Duration,
}

impl<S> Deadline<S> {
    /// The same service, whose calls take no longer than this.
    pub const fn new(service: S, longest: Duration) -> Self {
        Self { service, longest }
    }
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible, Future: Send + 'static>,
    R: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + Unpin + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let bound = match Bound::of(request.headers(), self.longest) {
            Ok(bound) => bound,
            Err(status) => return std::future::ready(Ok(status.into_http())).boxed(),
        };
        let answer = self.service.call(request);
        let end = Box::pin(sleep(bound.time));
        async move {
            let Ok(answer) = timeout(bound.time, answer).await else { return Ok(bound.passed().into_http()) };
            Ok(answer?.map(|body| Body::new(BoundBody { body: Some(body), end, bound })))
        }
        .boxed()
    }
}

/// How long a call may take, and who says so.
struct Bound {
    time: Duration,
    says: String,
}

impl Bound {
    /// The shorter one of the client's time and the server's.
    fn of(headers: &HeaderMap, longest: Duration) -> Result<Self, Status> {
        let server = || format!("the {} s that --stream-timeout gives a call have passed", longest.as_secs_f32());
        let Some(header) = headers.get("grpc-timeout") else { return Ok(Self { time: longest, says: server() }) };
        let text = String::from_utf8_lossy(header.as_bytes());
        let time = parse(&text).ok_or_else(|| {
            to_status(&Error::Invalid(format!(
                "the header grpc-timeout is {text:?}; it is at most 8 digits and a unit of H, M, S, m, u, n, like 30S"
            )))
        })?;
        let client = || format!("the time that the client gives the call has passed (grpc-timeout: {text})");
        Ok(if time <= longest { Self { time, says: client() } } else { Self { time: longest, says: server() } })
    }

    fn passed(&self) -> Status {
        to_status(&Error::Stalled(self.says.clone()))
    }
}

/// A time as gRPC writes it.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// An answer until its end, or that of its time.
struct BoundBody<B> {
    body: Option<B>,
    end: Pin<Box<Sleep>>,
    bound: Bound,
}

impl<B> http_body::Body for BoundBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { body: Some(body), end, .. } = &mut *self else { return Poll::Ready(None) };
        // Asked first: a client that reads slowly always finds more of its answer.
        if end.as_mut().poll(context).is_pending() {
            return Pin::new(body).poll_frame(context);
        }
        // Whoever makes the answer ends with it.
        self.body = None;
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&self.bound.passed())))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Code;

    use super::*;

    #[test]
    fn times_as_grpc_writes_them() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("00000003S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for text in ["", "S", "1", "1s", "1 S", "+1S", "-1S", "1.5S", "100000000S", "1ä", "ä", "１S"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_always_there_ends_in_time_too() {
        let time = Duration::from_secs(10);
        let endless =
            StreamBody::new(stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"row")))));
        let bound = Bound { time, says: "it has passed".to_owned() };
        let mut body = BoundBody { body: Some(endless), end: Box::pin(sleep(time)), bound };
        for _ in 0..9 {
            assert!(body.frame().await.unwrap().unwrap().is_data());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], (Code::DeadlineExceeded as i32).to_string());
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn the_shorter_time_holds_and_its_owner_is_named() {
        let bound = |header: Option<&'static str>| {
            let headers = header.map(|header| (http::HeaderName::from_static("grpc-timeout"), header.parse().unwrap()));
            Bound::of(&headers.into_iter().collect(), Duration::from_secs(10))
        };
        for (header, seconds, says) in
            [(None, 10, "--stream-timeout"), (Some("3S"), 3, "grpc-timeout: 3S"), (Some("1H"), 10, "--stream-timeout")]
        {
            let bound = bound(header).unwrap();
            assert_eq!(bound.time, Duration::from_secs(seconds));
            assert!(bound.passed().message().contains(says), "{}", bound.says);
        }
        let status = bound(Some("soon")).err().unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("\"soon\""), "{status:?}");
    }
}
