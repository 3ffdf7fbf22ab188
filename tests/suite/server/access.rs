//! Who may come in: by which header, to which call, and who is asked nothing.

use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{BasicAuth, Empty, HandshakeRequest, HandshakeResponse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt, stream};
use prost::Message;
use textflight::auth::Authenticator;
use textflight::readiness::ServedModel;
use textflight::server::ServerConfig;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;

use super::{CONNECTIONS, Running, ask, config, start};
use crate::engines::{Fake, VERSION};
use crate::support::binary;

const CALL: &str = "POST /predictions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n";

/// A server that knows `ann` and `bob`.
async fn guarded() -> (Running, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "ann hush-a\nbob hush-b\n").unwrap();
    let authenticator = Authenticator::new(None, &[file.path().to_owned()]).unwrap();
    let mut running = start(ServerConfig { authenticator, ..config(CONNECTIONS) }).await;
    running.bring(Ok(ServedModel::new(Fake::engine(1000), VERSION.to_owned())));
    super::eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    (running, file)
}

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

/// The answer to a prediction that brings these headers.
async fn predict(running: &Running, headers: &[(&str, &str)]) -> String {
    let body = r#"{"input": {"texts": "a"}}"#;
    let lines: String = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
    ask(running.http, &format!("{CALL}{lines}content-length: {}\r\n\r\n{body}", body.len())).await
}

/// The status of a prediction and the code of a call that bring these headers: they must agree.
async fn enter(running: &Running, headers: &[(&str, &str)]) -> bool {
    let answer = predict(running, headers).await;
    let mut call = Request::new(Empty {});
    *call.metadata_mut() = metadata(headers);
    let called = running.client().await.list_actions(call).await.map(drop);
    match (&answer[..12], &called) {
        ("HTTP/1.1 200", Ok(())) => true,
        ("HTTP/1.1 401", Err(status)) if status.code() == Code::Unauthenticated => {
            assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
            // Both say what would be right, and nothing of what was sent.
            for words in [&answer, status.message()] {
                assert!(words.contains("authorization: Bearer TOKEN") && !words.contains("hush"), "{words}");
            }
            false
        }
        (http, grpc) => panic!("{headers:?}: {http} and {grpc:?}"),
    }
}

fn metadata(headers: &[(&str, &str)]) -> MetadataMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    MetadataMap::from_headers(map)
}

#[tokio::test]
async fn both_ports_know_the_same_dialects() {
    let (running, _file) = guarded().await;
    let handed = BASE64_STANDARD.encode("hush-b");
    for headers in [
        &[("authorization", "Bearer hush-a")][..],
        &[("authorization", "bEARER hush-b")],
        &[("authorization", "Token hush-a")],
        &[("authorization", &basic("ann:hush-a"))],
        &[("authorization", &basic(":hush-b"))],
        &[("auth-token-bin", &handed)],
        &[("auth-token-bin", handed.trim_end_matches('='))],
        &[("authorization", "Bearer hush-a"), ("auth-token-bin", &handed)],
    ] {
        assert!(enter(&running, headers).await, "{headers:?}");
    }
    let long = format!("Bearer {}", "hush".repeat(2000));
    for headers in [
        &[][..],
        &[("authorization", "")],
        &[("authorization", "hush-a")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer hush-")],
        &[("authorization", "Bearer hush-a hush-b")],
        &[("authorization", "Bearer hush-a,Bearer hush-b")],
        &[("authorization", "Bearer HUSH-A")],
        &[("authorization", "Bearer ann")],
        &[("authorization", "Digest hush-a")],
        &[("authorization", &long)],
        &[("authorization", "Bearer h\u{fc}sh")],
        &[("authorization", &basic("bob:hush-a"))],
        &[("authorization", &basic("hush-a"))],
        &[("authorization", "Basic hush-a")],
        &[("authorization", "Bearer hush-a"), ("authorization", "Bearer hush-a")],
        &[("authorization", "Bearer hush-a"), ("authorization", "Bearer wrong")],
        &[("authorization", "Bearer wrong"), ("auth-token-bin", &handed)],
        &[("authorization", "Bearer hush-a"), ("auth-token-bin", "d3Jvbmc=")],
        &[("auth-token-bin", "hush-a?")],
        &[("proxy-authorization", "Bearer hush-a")],
        &[("x-api-key", "hush-a")],
        &[("cookie", "authorization=Bearer hush-a")],
    ] {
        assert!(!enter(&running, headers).await, "{headers:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_token_as_long_as_a_novel_is_refused_and_the_server_goes_on() {
    let (running, _file) = guarded().await;
    let long = format!("Bearer {}", "x".repeat(1 << 20));
    let answer = ask(running.http, &format!("{CALL}authorization: {long}\r\n\r\n")).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let mut call = Request::new(Empty {});
    *call.metadata_mut() = metadata(&[("authorization", &long)]);
    assert!(running.client().await.list_actions(call).await.is_err());
    assert!(enter(&running, &[("authorization", "Bearer hush-a")]).await);
    running.stop().await;
}

#[tokio::test]
async fn every_path_but_those_of_probes_asks() {
    let (running, _file) = guarded().await;
    for path in ["/", "/health-check"] {
        assert!(running.get(path).await.starts_with("HTTP/1.1 200"), "{path}");
    }
    for path in ["/openapi.json", "/predictions/a", "/v1/models", "/v1/files/a", "/health-check/../predictions/a"] {
        let answer = running.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 401") || answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(path.contains("..") || answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    let channel =
        tonic::transport::Endpoint::new(format!("http://{}", running.flight)).unwrap().connect().await.unwrap();
    let service = String::new();
    assert!(HealthClient::new(channel.clone()).check(HealthCheckRequest { service }).await.is_ok());
    // Calls that nobody answers are asked all the same.
    for path in
        ["/arrow.flight.protocol.FlightService/DoMagic", "/no.such.Service/Call", "/grpc.health.v1.Health/Magic"]
    {
        let request = http::Request::post(format!("http://a{path}")).header("content-type", "application/grpc");
        let answer = channel.clone().oneshot(request.body(tonic::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "16", "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn tokens_that_change_are_heard_of() {
    let (running, file) = guarded().await;
    let new: [(&str, &str); 1] = [("authorization", "Bearer hush-c")];
    assert!(!enter(&running, &new).await);
    std::fs::write(file.path(), "cyd hush-c\n").unwrap();
    // One port alone is asked: the tokens may change between two questions.
    super::eventually("the new token", async || predict(&running, &new).await.starts_with("HTTP/1.1 200")).await;
    assert!(enter(&running, &new).await);
    assert!(!enter(&running, &[("authorization", "Bearer hush-a")]).await);
    running.stop().await;
}

/// What a handshake is answered with: the header, and all messages.
async fn shake(
    client: &mut FlightServiceClient<Channel>,
    headers: &[(&str, &str)],
    payloads: &[Vec<u8>],
) -> Result<(Option<String>, Vec<HandshakeResponse>), Status> {
    let messages =
        payloads.iter().map(|payload| HandshakeRequest { protocol_version: 0, payload: payload.clone().into() });
    let mut request = Request::new(stream::iter(messages.collect::<Vec<_>>()));
    *request.metadata_mut() = metadata(headers);
    let response = client.handshake(request).await?;
    let header = response.metadata().get("authorization").map(|header| header.to_str().unwrap().to_owned());
    let messages: Vec<_> = response.into_inner().collect().await;
    Ok((header, messages.into_iter().collect::<Result<_, _>>()?))
}

fn message(name: &str, token: &str) -> Vec<u8> {
    BasicAuth { username: name.to_owned(), password: token.to_owned() }.encode_to_vec()
}

#[tokio::test]
async fn a_handshake_hands_the_token_back() {
    let (running, _file) = guarded().await;
    let mut client = running.client().await;
    let bearer = Some("Bearer hush-a".to_owned());
    for pair in ["ann:hush-a", ":hush-a"] {
        let (header, messages) = shake(&mut client, &[("authorization", &basic(pair))], &[]).await.unwrap();
        assert_eq!((header, messages.len()), (bearer.clone(), 0));
    }
    // Clients that say something wait for an answer.
    let (header, messages) = shake(&mut client, &[("authorization", &basic("ann:hush-a"))], &[vec![]]).await.unwrap();
    assert_eq!((header, &messages[0].payload[..], messages.len()), (bearer, &b"hush-a"[..], 1));
    for name in ["ann", ""] {
        let (_, messages) = shake(&mut client, &[], &[message(name, "hush-a"), vec![]]).await.unwrap();
        assert_eq!((&messages[0].payload[..], messages.len()), (&b"hush-a"[..], 1));
    }
    let long = "x".repeat(100_000);
    for (headers, payloads) in [
        (&[][..], &[][..]),
        (&[("authorization", &*basic("ann:wrong"))], &[]),
        (&[("authorization", &basic("bob:hush-a"))], &[message("ann", "hush-a")]),
        (&[("authorization", "Digest x")], &[message("ann", "hush-a")]),
        (&[], &[message("ann", "wrong")]),
        (&[], &[message("bob", "hush-a")]),
        (&[], &[vec![]]),
        (&[], &[b"hush-a".to_vec()]),
        (&[], &[vec![0xff; 100]]),
        (&[], &[vec![], message("ann", "hush-a")]),
    ] {
        let status = shake(&mut client, headers, payloads).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{headers:?} {payloads:?}: {status:?}");
        assert!(status.message().contains("BasicAuth") && !status.message().contains("hush"), "{status:?}");
    }
    let status = shake(&mut client, &[], &[message("ann", &long)]).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let (running, _file) = guarded().await;
    let mut client = running.client().await;
    for messages in [vec![], vec![message("ann", "hush-a")]] {
        let is_unsaid = messages.is_empty();
        let said =
            messages.into_iter().map(|payload| HandshakeRequest { protocol_version: 0, payload: payload.into() });
        let request = Request::new(stream::iter(said).chain(stream::pending()));
        let answered = tokio::time::timeout(Duration::from_secs(20), async {
            Ok::<_, Status>(client.handshake(request).await?.into_inner().count().await)
        });
        match answered.await.expect("it goes on") {
            Err(status) => assert!(is_unsaid && status.code() == Code::DeadlineExceeded, "{status:?}"),
            Ok(messages) => assert_eq!((is_unsaid, messages), (false, 1)),
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn where_nobody_is_asked_handshakes_pass() {
    let running = super::serve(CONNECTIONS).await;
    let mut client = running.client().await;
    let (header, _) = shake(&mut client, &[("authorization", &basic("who:ever"))], &[]).await.unwrap();
    assert_eq!(header.as_deref(), Some("Bearer ever"));
    assert_eq!(shake(&mut client, &[], &[]).await.unwrap().1.len(), 0);
    assert_eq!(shake(&mut client, &[], &[message("who", "ever")]).await.unwrap().1.len(), 1);
    // Nor does anybody ask for one that can be read.
    for headers in [&[][..], &[("authorization", "Negotiate abc")]] {
        for payload in [&b""[..], b"abc", &[0xff; 100]] {
            assert_eq!(shake(&mut client, headers, &[payload.to_vec()]).await.unwrap().1.len(), 1, "{payload:?}");
        }
        assert_eq!(shake(&mut client, headers, &[]).await.unwrap().1.len(), 0);
    }
    running.stop().await;
}

/// A folder without a model ends a server that is let begin, with another code.
#[test]
fn a_variable_lets_whoever_comes_in_or_says_no() {
    let empty = tempfile::tempdir().unwrap();
    for (value, code, expected) in [
        ("1", 1, "config.json"),
        ("true", 1, "config.json"),
        ("0", 2, "--flight 0.0.0.0:0 can be reached from other machines"),
        ("false", 2, "--flight 0.0.0.0:0 can be reached from other machines"),
        ("", 2, "expected true or false"),
        ("perhaps", 2, "expected true or false"),
    ] {
        let output = binary()
            .args(["serve", "--flight", "0.0.0.0:0", "--http", "127.0.0.1:0", "--model"])
            .arg(empty.path())
            .env("TEXTFLIGHT_ALLOW_ANONYMOUS", value)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && error.contains(expected), "{value:?}: {error}");
    }
}

/// What is asked for and is not there is not passed over.
#[cfg(not(feature = "otlp"))]
#[test]
fn a_build_without_traces_says_so() {
    let refused = super::limits::command(":", &["--otlp-endpoint", "http://localhost:4318"], &[]).output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("--otlp-endpoint: this build") && error.contains("--features otlp"), "{error}");
}
