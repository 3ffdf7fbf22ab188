//! Calls whose answer begins in time, or not at all: a client that does not send its request holds nothing for long.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::request::too_late;
use super::status::to_status;
use crate::Result;

/// A service whose answers begin within its patience. How long they go on is not its concern.
#[derive(Clone)]
pub struct Prompt<S> {
    service: S,
    patience: Duration,
}

impl<S> Prompt<S> {
    /// The same service, whose clients have so long to send their request.
    pub const fn new(service: S, patience: Duration) -> Self {
        Self { service, patience }
    }
}

impl<S: NamedService> NamedService for Prompt<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Prompt<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answer, patience) = (self.service.call(request), self.patience);
        let late = move || to_status(&too_late(patience)).into_http();
        async move { timeout(patience, answer).await.unwrap_or_else(|_| Ok(late())) }.boxed()
    }
}
