//! Servers of Flight in this process, each in a runtime of its own, so that one can be killed.

use std::num::NonZeroUsize;

use arrow::array::StringViewArray;
use futures::stream::unfold;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::{Request, Status};

use super::*;
use crate::auth::Authenticator;
use crate::engine::testing::{Fake, limits};
use crate::engine::{Engine, Lane};
use crate::flight::catalog::Catalog;
use crate::flight::ticket::TicketKey;
use crate::flight::{FlightLimits, routes};
use crate::memory::Memory;
use crate::readiness::{Readiness, ServedModel};
use crate::stream::InFlight;

const LIMITS: FlightLimits = FlightLimits {
    message_bytes: 1024 * 1024,
    streams: 4,
    in_flight: InFlight { rows: 8192, bytes: 1 << 26 },
    stall_timeout: Duration::from_secs(20),
    idle_timeout: Duration::from_mins(1),
    stream_timeout: Duration::from_mins(1),
};

/// Long enough for a machine that is busy with a build.
const SOON: Duration = Duration::from_secs(30);

struct Running {
    address: ServerAddress,
    runtime: Option<Runtime>,
}

impl Running {
    /// A server on a port; 0 takes a free one.
    async fn start(engine: Engine, port: u16, limits: FlightLimits) -> Self {
        Self::asking(Authenticator::anonymous(), engine, port, limits).await
    }

    async fn asking(authenticator: Authenticator, engine: Engine, port: u16, limits: FlightLimits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap().into_std().unwrap();
        let address = format!("grpc://{}", listener.local_addr().unwrap()).parse().unwrap();
        let model = Readiness::loading();
        model.serve(ServedModel::new(engine, "0af3".to_owned()));
        let catalog = Catalog { partitions: NonZeroUsize::MIN, ..Catalog::empty(TicketKey::random().unwrap()) };
        let routes = routes(model, limits, Memory::default(), authenticator.clone(), catalog);
        // As the listeners ask each call.
        let admission = InterceptorLayer::new(move |call: Request<()>| {
            let denied = |_| Status::unauthenticated("no token of ours");
            authenticator.admit(call.metadata().as_ref()).map_err(denied)?;
            Ok(call)
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let incoming = unfold(TcpListener::from_std(listener).unwrap(), async |listener| {
                let accepted = listener.accept().await.map(|(stream, _)| stream);
                Some((accepted, listener))
            });
            Server::builder().layer(admission).add_routes(routes).serve_with_incoming(incoming).await
        });
        Self { address, runtime: Some(runtime) }
    }

    async fn of(fake: Fake) -> (Self, Arc<Fake>) {
        let fake = Arc::new(fake);
        (Self::start(Arc::clone(&fake).start(limits(100_000)), 0, LIMITS).await, fake)
    }

    /// Ends it as `kill -9` does: connections break, and nothing is said.
    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Ends it so, and gives its port once it has let go of it.
    async fn gone(&mut self) -> u16 {
        self.kill();
        let port = self.address.0.port;
        let free = async || {
            while TcpListener::bind(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, free()).await.expect("the port is not let go of");
        port
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn connect(servers: &[&Running], timeout: Duration) -> Result<RemoteScorer> {
    connect_with(ServerAccess::default(), servers, timeout).await
}

async fn connect_with(access: ServerAccess, servers: &[&Running], timeout: Duration) -> Result<RemoteScorer> {
    let servers = servers.iter().map(|server| server.address.clone()).collect();
    let options = RemoteOptions { servers, access, timeout };
    tokio::time::timeout(SOON, RemoteScorer::connect(options)).await.expect("nothing is connected")
}

async fn score(remote: &RemoteScorer, texts: StringViewArray) -> Result<Scores> {
    tokio::time::timeout(SOON, remote.score(texts)).await.expect("nothing is scored")
}

/// Texts of different lengths, and so of different labels, with nulls between them.
fn texts(rows: usize) -> StringViewArray {
    (0..rows).map(|row| (row % 7 != 3).then(|| format!("text {row} {}", "x".repeat(row % 150)))).collect()
}

async fn here(texts: StringViewArray) -> Scores {
    Fake::engine(100_000).score_rows(texts, Lane::Bulk).await.unwrap()
}

#[tokio::test]
async fn scores_are_those_of_an_engine_here() {
    let (server, _) = Running::of(Fake::default()).await;
    let remote = connect(&[&server], SOON).await.unwrap();
    assert_eq!((remote.facts().version.as_str(), remote.facts().info.name.as_str()), ("0af3", "fake"));
    let odd = [Some(""), None, Some(" \t"), Some("unscorable"), Some("\0"), Some("🎬"), Some("untokenizable")];
    for column in [texts(2000), odd.iter().copied().collect(), texts(0), [None::<&str>; 3].into_iter().collect()] {
        assert_eq!(score(&remote, column.clone()).await.unwrap(), here(column).await);
    }
    let long = "x".repeat(LIMITS.message_bytes);
    let scores = score(&remote, [Some("a"), Some(&long), None].into_iter().collect()).await.unwrap();
    assert_eq!((scores.label(0), scores.label(1)), (Some(1), None));
    let cause = &scores.missed()[&1];
    assert!(cause.contains("1048576 bytes") && cause.contains("--max-message-mib"), "{cause}");
}

#[tokio::test]
async fn work_goes_to_whoever_has_room() {
    let (slow, open) = Fake::default().gated();
    let one = Running::start(Arc::clone(&slow).start(limits(100_000)), 0, LIMITS).await;
    let (other, fast) = Running::of(Fake::default()).await;
    let remote = connect(&[&one, &other], SOON).await.unwrap();
    let column = texts(10_000);
    let scoring = tokio::spawn({
        let (remote, column) = (remote.clone(), column.clone());
        async move { score(&remote, column).await }
    });
    slow.has_begun(1).await;
    // all but the two errands of the one that does not answer.
    let scored = async || {
        while fast.scored.lock().unwrap().len() < 8100 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(SOON, scored()).await;
    assert!(done.is_ok(), "the other scored {} texts", fast.scored.lock().unwrap().len());
    drop(open);
    assert_eq!(scoring.await.unwrap().unwrap(), here(column).await);
    assert!(!slow.scored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_costs_time_alone() {
    let (fake, open) = Fake::default().gated();
    let mut server = Running::start(Arc::clone(&fake).start(limits(100_000)), 0, LIMITS).await;
    let remote = connect(&[&server], SOON).await.unwrap();
    let column = texts(3000);
    let scoring = tokio::spawn({
        let (remote, column) = (remote.clone(), column.clone());
        async move { score(&remote, column).await }
    });
    fake.has_begun(1).await;
    server.kill();
    drop(open);
    let again = Running::start(Fake::engine(100_000), server.gone().await, LIMITS).await;
    assert_eq!(scoring.await.unwrap().unwrap(), here(column).await);
    drop(again);
}

#[tokio::test]
async fn without_any_server_for_too_long_the_work_fails() {
    let (mut one, _) = Running::of(Fake::default()).await;
    let (mut other, _) = Running::of(Fake::default()).await;
    let remote = connect(&[&one, &other], Duration::from_millis(700)).await.unwrap();
    score(&remote, texts(10)).await.unwrap();
    one.kill();
    other.kill();
    let error = score(&remote, texts(10)).await.unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "no fault of a file: {error:?}");
    let error = error.to_string();
    for expected in
        ["no server answered for 0.7 s (--server-timeout)", &one.address.to_string(), &other.address.to_string()]
    {
        assert!(error.contains(expected), "{error}");
    }
    assert!(error.contains("Connection refused"), "{error}");
    let again = score(&remote, texts(1)).await.unwrap_err().to_string();
    assert_eq!(again, error, "it stays so");
    let never = connect(&[&one], Duration::from_millis(100)).await.map(drop).unwrap_err().to_string();
    assert!(never.contains("no server answered for 0.1 s") && never.contains("Connection refused"), "{never}");
}

#[tokio::test]
async fn servers_of_different_models_are_refused() {
    let (one, _) = Running::of(Fake::default()).await;
    let mut fake = Fake::default();
    fake.info.max_length = 64;
    let (other, _) = Running::of(fake).await;
    let error = connect(&[&one, &other], SOON).await.map(drop).unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("max_length: 128, 64")), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_back_with_another_model_ends_the_work() {
    let (mut server, _) = Running::of(Fake::default()).await;
    let remote = connect(&[&server], SOON).await.unwrap();
    score(&remote, texts(1)).await.unwrap();
    let mut fake = Fake::default();
    fake.info.dtype = "int8".to_owned();
    let _other = Running::start(Arc::new(fake).start(limits(1000)), server.gone().await, LIMITS).await;
    let error = score(&remote, texts(1)).await.unwrap_err().to_string();
    assert!(error.contains("another model than the job began with; dtype: f32, int8"), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_later_and_takes_less_gets_nothing() {
    let (mut server, _) = Running::of(Fake::default()).await;
    let remote = connect(&[&server], Duration::from_millis(700)).await.unwrap();
    let limits = FlightLimits { message_bytes: LIMITS.message_bytes / 2, ..LIMITS };
    let _other = Running::start(Fake::engine(1000), server.gone().await, limits).await;
    let error = score(&remote, texts(1)).await.unwrap_err().to_string();
    assert!(
        error.contains("it takes messages of 524288 bytes, and the servers that the job began with 1048576"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_that_changes_in_its_file_is_waited_for() {
    let asking = |token: &str| Authenticator::new(Some(&token.parse().unwrap()), &[]).unwrap();
    let mut server = Running::asking(asking("old"), Fake::engine(1000), 0, LIMITS).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "old\n").unwrap();
    let access = ServerAccess { token_file: Some(file.path().to_owned()), ..ServerAccess::default() };
    let remote = connect_with(access, &[&server], SOON).await.unwrap();
    score(&remote, texts(3)).await.unwrap();
    let _again = Running::asking(asking("new"), Fake::engine(1000), server.gone().await, LIMITS).await;
    let mut waiting = Box::pin(score(&remote, texts(30)));
    assert!(
        tokio::time::timeout(Duration::from_millis(500), &mut waiting).await.is_err(),
        "the file is not written yet"
    );
    std::fs::write(file.path(), "new\n").unwrap();
    assert_eq!(waiting.await.unwrap(), here(texts(30)).await);
}

#[tokio::test]
async fn a_server_without_room_is_waited_for() {
    let limits = FlightLimits { streams: 1, ..LIMITS };
    let server = Running::start(Fake::engine(1000), 0, limits).await;
    let first = connect(&[&server], SOON).await.unwrap();
    score(&first, texts(3)).await.unwrap();
    // Longer than it may be without any server: it is there.
    let second = connect(&[&server], Duration::from_millis(300)).await.unwrap();
    let mut waiting = Box::pin(score(&second, texts(30)));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut waiting).await.is_err());
    drop(first);
    assert_eq!(waiting.await.unwrap(), here(texts(30)).await);
}

#[tokio::test]
async fn what_a_server_fails_at_each_time_fails_the_work() {
    let (server, _) = Running::of(Fake::default()).await;
    let remote = connect(&[&server], SOON).await.unwrap();
    let error = score(&remote, ["a", "fail"].into_iter().map(Some).collect()).await.unwrap_err().to_string();
    assert!(error.contains("the device failed") && error.contains("3 times"), "{error}");
}
