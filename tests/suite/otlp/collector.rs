//! A collector of traces, by OTLP over HTTP.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use prost::Message;
use tokio::net::TcpListener;

use super::protocol::{Attribute, Export, Kind, Span, value};

/// What came: the headers and the spans of each request.
type Received = Arc<Mutex<Vec<(HeaderMap, Export)>>>;

/// What each request is answered with.
type Answer = &'static [u8];

pub struct Collector {
    pub endpoint: String,
    received: Received,
}

impl Collector {
    pub async fn start() -> Self {
        Self::answering(b"").await
    }

    pub async fn answering(answer: Answer) -> Self {
        let received = Received::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take)).with_state((Arc::clone(&received), answer));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { endpoint, received }
    }

    /// All that has come.
    pub fn spans(&self) -> Spans {
        let received = self.received.lock().unwrap();
        let resources = received.iter().flat_map(|(_, export)| &export.resources);
        let resource = resources.clone().filter_map(|spans| spans.resource.as_ref()).next_back();
        let attributes = resource.map(|resource| resource.attributes.clone()).unwrap_or_default();
        let spans = resources.flat_map(|spans| &spans.scopes).flat_map(|scope| &scope.spans).cloned().collect();
        Spans { spans, attributes }
    }

    /// A header of the last request.
    pub fn header(&self, name: &str) -> String {
        let received = self.received.lock().unwrap();
        received.last().unwrap().0[name].to_str().unwrap().to_owned()
    }
}

async fn take(State((received, answer)): State<(Received, Answer)>, headers: HeaderMap, body: Bytes) -> Answer {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    received.lock().unwrap().push((headers, Export::decode(body).unwrap()));
    answer
}

/// The spans of a server.
#[derive(Debug)]
pub struct Spans {
    spans: Vec<Span>,
    /// What they all are of.
    attributes: Vec<Attribute>,
}

impl Deref for Spans {
    type Target = [Span];

    fn deref(&self) -> &[Span] {
        &self.spans
    }
}

impl Spans {
    /// The only span of this name.
    #[track_caller]
    pub fn named(&self, name: &str) -> &Span {
        let found: Vec<_> = self.iter().filter(|span| span.name == name).collect();
        let [one] = found[..] else { panic!("{name}: {:?}", self.spans) };
        one
    }

    /// Those of a name that stand below a span, with any others between.
    pub fn below(&self, above: &Span, name: &str) -> Vec<&Span> {
        self.iter().filter(|span| span.name == name && self.is_below(span, above)).collect()
    }

    fn is_below(&self, span: &Span, above: &Span) -> bool {
        let parent = self.iter().find(|other| other.id == span.parent_id);
        parent.is_some_and(|parent| parent.id == above.id || self.is_below(parent, above))
    }

    /// An attribute of the service.
    #[track_caller]
    pub fn resource(&self, key: &str) -> String {
        match value(&self.attributes, key) {
            Kind::Text(text) => text,
            other => panic!("{key} is {other:?}"),
        }
    }

    /// Whether a word is anywhere in them.
    pub fn says(&self, word: &str) -> bool {
        format!("{self:?}").contains(word)
    }
}
