//! Clients that take their time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use futures::StreamExt;
use textflight::server::ConnectionLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;

use super::{CONNECTIONS, PREFACE, Running, SETTINGS, SOON, ask, rest, say, serve};
use crate::flight::client::{batch, exchange, messages, read};

const SHORT: Duration = Duration::from_millis(300);

/// Says the words, then a byte now and then: the server cuts, but not before its time.
async fn check_cut(port: SocketAddr, words: &[u8], more: &[u8]) {
    let begun = Instant::now();
    let mut client = say(port, words).await;
    let (mut read, mut write) = client.split();
    let talk = async {
        for byte in more {
            tokio::time::sleep(SHORT / 6).await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        tokio::time::sleep(SOON).await;
    };
    let mut all = Vec::new();
    tokio::select! {
        _ = read.read_to_end(&mut all) => {}
        () = talk => panic!("{:?} stays open", String::from_utf8_lossy(words)),
    }
    assert!(begun.elapsed() >= SHORT, "{:?} was cut at once", String::from_utf8_lossy(words));
}

#[tokio::test]
async fn who_does_not_say_what_it_wants_is_cut() {
    let running = serve(ConnectionLimits { handshake: SHORT, ..CONNECTIONS }).await;
    let greeting = [PREFACE, SETTINGS].concat();
    // Headers that go on in another frame, which does not come.
    let open_headers = [&greeting[..], &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    let both: [(&[u8], &[u8]); 6] = [
        (b"", b""),
        (b"P", b"RI * HTTP/2.0\r\n"),
        (PREFACE, b""),
        (PREFACE, &SETTINGS[..8]),
        (&greeting, &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7]),
        (&open_headers, b""),
    ];
    let http: [(&[u8], &[u8]); 3] = [
        (b"GET / HTTP/1.1\r\nhost: ", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        (b"G", b"ET / HTTP/1.1\r\nx: aaaaaaaaaaaaaaaaaaaaaaaa"),
        (b"GET / HTTP/1.0\r\n", b""),
    ];
    let on_flight = both.iter().map(|(words, more)| check_cut(running.flight, words, more));
    let on_http = both.iter().chain(&http).map(|(words, more)| check_cut(running.http, words, more));
    futures::future::join(futures::future::join_all(on_flight), futures::future::join_all(on_http)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_connection_without_requests_is_told_to_go() {
    let running = serve(ConnectionLimits { idle: SHORT, ..CONNECTIONS }).await;
    for port in [running.flight, running.http] {
        let begun = Instant::now();
        let all = rest(&mut say(port, &[PREFACE, SETTINGS].concat()).await).await;
        assert!(begun.elapsed() >= SHORT);
        // Frame type 7 for the whole connection, without an error.
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0];
        assert!(all.windows(goaway.len()).any(|frame| frame == goaway), "{all:?}");
    }
    // HTTP/1 closes, but not before.
    let begun = Instant::now();
    let mut client = say(running.http, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = rest(&mut client).await;
    assert!(begun.elapsed() >= SHORT && answer.starts_with(b"HTTP/1.1 200"));
    running.stop().await;
}

#[tokio::test]
async fn a_connection_with_an_open_exchange_is_not_idle() {
    let running = serve(ConnectionLimits { idle: SHORT / 3, ..CONNECTIONS }).await;
    let mut client = running.client().await;
    let sent: Vec<FlightData> = messages("", vec![batch(&[Some("a")]), batch(&[Some("b")])]).collect().await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let reply = exchange(&mut client, ReceiverStream::new(receive)).await.unwrap();
    for message in sent {
        send.send(message).await.unwrap();
        // The pause is what is tested: it is shorter than the stall timeout.
        tokio::time::sleep(SHORT / 2).await;
    }
    drop(send);
    assert_eq!(read(reply).await.unwrap().len(), 2);
    // The client was told to go meanwhile, or will be; it comes again by itself.
    tokio::time::sleep(SHORT).await;
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
    drop(client);
    running.stop().await;
}

/// As many connections as the port takes, which have done nothing since they introduced themselves.
async fn fill(port: SocketAddr, connections: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut client = say(port, &[PREFACE, SETTINGS].concat()).await;
        // The server's settings: it has taken the connection.
        client.read_exact(&mut [0; 9]).await.unwrap();
        open.push(client);
    }
    open
}

async fn answers(running: &Running, connections: usize) {
    let open = fill(running.http, connections).await;
    assert!(running.get("/health-check").await.contains("READY"));
    drop(open);
    let open = fill(running.flight, connections).await;
    let mut client = running.client().await;
    let reply = exchange(&mut client, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
    drop(open);
}

#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let running = serve(ConnectionLimits { connections: 4, handshake: SHORT, ..CONNECTIONS }).await;
    answers(&running, 4).await;
    running.stop().await;
}

#[tokio::test]
async fn one_port_does_not_lock_the_other() {
    let running = serve(ConnectionLimits { connections: 4, ..CONNECTIONS }).await;
    let crowd = async |port| {
        let mut open = Vec::new();
        for _ in 0..50 {
            open.push(TcpStream::connect(port).await.unwrap());
        }
        open
    };
    let flight = crowd(running.flight).await;
    for version in ["1.0", "1.1"] {
        let request = format!("GET /health-check HTTP/{version}\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert!(ask(running.http, &request).await.contains("READY"));
    }
    drop(flight);
    let http = crowd(running.http).await;
    let reply = exchange(&mut running.client().await, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
    drop(http);
    running.stop().await;
}

#[tokio::test]
async fn many_that_say_nothing_do_not_lock_their_own_port_for_long() {
    let running = serve(ConnectionLimits { connections: 16, ..CONNECTIONS }).await;
    let begun = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(running.flight).await.unwrap());
    }
    let reply = exchange(&mut running.client().await, messages("", vec![batch(&[Some("a")])])).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), 1);
    // Three of four would each have had the time for a handshake, one after another.
    assert!(begun.elapsed() < CONNECTIONS.handshake, "{:?}", begun.elapsed());
    drop(silent);
    running.stop().await;
}

#[tokio::test]
async fn a_thousand_streams_on_one_connection_wait_their_turn() {
    let running = serve(CONNECTIONS).await;
    let client = running.client().await;
    let calls = (0..1000).map(|_| {
        let mut client = client.clone();
        async move { client.list_actions(arrow_flight::Empty {}).await.map(drop) }
    });
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    drop(client);
    running.stop().await;
}
