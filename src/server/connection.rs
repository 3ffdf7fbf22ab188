//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::Patience;
use super::activity::{Activity, Trial};
use super::watched::{WatchedBody, WatchedIo};

/// Serves a client until it goes, tries our patience, or `stop` ends; the requests that it has made may finish.
pub async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    protocol: &Builder<TokioExecutor>,
    router: Router,
    patience: Patience,
    stop: impl Future<Output = ()>,
) {
    let activity = Activity::new();
    let io = TokioIo::new(WatchedIo::new(io, activity.clone()));
    let mut connection = pin!(protocol.serve_connection(io, answer(router, activity.clone())));
    let has_greeted = tokio::select! {
        biased;
        ended = &mut connection => return report(ended),
        () = stop => activity.has_greeted(),
        trial = activity.tries(&patience) => trial == Trial::Idle,
    };
    if !has_greeted {
        debug!("a connection was cut: it did not say in time what it wants");
        return;
    }
    // HTTP/2 says GOAWAY, HTTP/1 closes behind the answer that is being sent.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => report(ended),
        () = activity.rests() => debug!("a connection was cut: it did not go when told"),
    }
}

fn answer(
    router: Router,
    activity: Activity,
) -> impl Service<Request<Incoming>, Response = Response<WatchedBody>, Error = Infallible, Future: Send + 'static> {
    let router = TowerToHyperService::new(router);
    service_fn(move |request| {
        let in_progress = activity.begin();
        let response = router.call(request);
        async move { Ok(response.await?.map(|body| WatchedBody::new(body, in_progress))) }
    })
}

fn report(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(error, "a connection broke off");
    }
}
