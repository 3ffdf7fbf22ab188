//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::activity::{Activity, Patience, Trial};
use super::tls::{self, PortTls};
use super::watched::{hold, watch};

/// How clients are answered.
pub struct Manner {
    pub protocol: Builder<TokioExecutor>,
    pub router: Router,
    pub patience: Patience,
    /// How they encrypt, where they must.
    pub tls: Option<PortTls>,
}

/// Serves a client until it goes, tries our patience, or `stop` ends; the requests that it has made may finish.
pub async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    manner: Manner,
    stop: impl Future<Output = ()>,
) {
    let (activity, mut stop) = (Activity::new(), pin!(stop));
    let Some(tls) = &manner.tls else {
        return converse(io, None, activity, manner, stop).await;
    };
    let encrypted = tokio::select! {
        biased;
        encrypted = tls.accept(io) => encrypted,
        () = &mut stop => return,
        _ = activity.tries(&manner.patience) => return debug!("a connection was cut: TLS was not agreed upon in time (--handshake-timeout)"),
    };
    match encrypted {
        Ok(stream) => {
            let peer = tls::peer(&stream);
            converse(stream, peer, activity, manner, stop).await;
        }
        Err(error) => debug!(%error, "a connection was cut: TLS was not agreed upon"),
    }
}

/// The same, once it is settled how bytes come. `peer` is in the client's certificate.
async fn converse(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<Arc<str>>,
    activity: Activity,
    manner: Manner,
    stop: impl Future<Output = ()>,
) {
    let Manner { protocol, router, patience, .. } = manner;
    let io = TokioIo::new(watch(io, &activity));
    let mut connection = pin!(protocol.serve_connection(io, answer(router, activity.clone(), peer)));
    let has_greeted = tokio::select! {
        biased;
        ended = &mut connection => return report(ended),
        () = stop => activity.has_greeted(),
        trial = activity.tries(&patience) => trial == Trial::Idle,
    };
    if !has_greeted {
        debug!("a connection was cut: it did not say in time what it wants (--handshake-timeout)");
        return;
    }
    // HTTP/2 says GOAWAY, HTTP/1 closes behind the answer that is being sent.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => report(ended),
        () = activity.rests() => debug!("a connection was cut: it did not go when told"),
    }
}

/// The name of a client that has shown a certificate, on each of its requests.
#[derive(Clone)]
pub struct Peer(pub Arc<str>);

fn answer(
    router: Router,
    activity: Activity,
    peer: Option<Arc<str>>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<impl HttpBody<Data = Bytes, Error = axum::Error>>,
    Error = Infallible,
    Future: Send + 'static,
> {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(Peer(Arc::clone(peer)));
        }
        let in_progress = activity.begin();
        let response = router.call(request);
        async move { Ok(response.await?.map(|body| hold(body, in_progress))) }
    })
}

fn report(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(error, "a connection broke off");
    }
}
