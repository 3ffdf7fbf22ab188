//! The page to try the server, which browsers get at `/`: files of this program, which need nothing from elsewhere.
//!
//! | module | owns |
//! |---|---|
//! | `accept` | whether a client wants a page |
//! | `files` | the files, and the headers that go with them |
//! | `about` | what the page is told of the server |
//!
//! All that it shows it asks the server's other routes for, as every client does.

mod about;
mod accept;
mod files;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::about::About;
use self::files::File;
use crate::readiness::Readiness;

/// Where Flight clients find the server.
#[derive(Debug, Clone)]
pub struct FlightAddress {
    /// What the operator says to clients; where they say nothing, it is the listener.
    pub advertised: Option<String>,
    /// Where it listens.
    pub listener: SocketAddr,
    /// Whether it encrypts.
    pub is_encrypted: bool,
}

/// The page of a server.
pub struct WebPage {
    about: About,
}

impl WebPage {
    /// That of the server of this model. `asks_token`: whether its routes ask for one.
    pub fn new(model: Readiness, flight: FlightAddress, asks_token: bool) -> Self {
        Self { about: About { model, flight: Arc::new(flight), asks_token } }
    }

    /// The same routes, but that a browser gets the page at `/`. For everybody, as nothing of the server is in its files.
    pub fn before(routes: Router) -> Router {
        let files = Router::new().route("/page/{file}", get(file));
        routes.route_layer(middleware::from_fn(root)).merge(files)
    }

    /// What the page asks for, and whoever else likes to know: for those who may ask for something.
    pub fn routes(&self) -> Router {
        Router::new().route("/about", get(about::get)).with_state(self.about.clone())
    }
}

/// Answers at `/` with the page where that is wanted.
async fn root(request: Request, next: Next) -> Response {
    let is_root = request.uri().path() == "/" && [Method::GET, Method::HEAD].contains(request.method());
    if !is_root {
        return next.run(request).await;
    }
    let mut response = if accept::prefers_page(request.headers()) {
        files::index().answer(request.method(), request.headers())
    } else {
        next.run(request).await
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

async fn file(Path(name): Path<String>, method: Method, headers: HeaderMap) -> Response {
    File::named(&name).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |file| file.answer(&method, &headers))
}
