//! The real binary where the system gives few file descriptors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::task::JoinSet;

use crate::flight::client::{batch, messages, read};
use crate::support::{repository, without_settings};

/// A server as a process of its own. It ends with the value.
pub struct Process {
    pub child: Child,
    pub flight: SocketAddr,
    pub http: SocketAddr,
}

impl Process {
    /// Starts the server under `ulimit` options of the shell.
    pub fn start(ulimit: &str, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(ulimit, options, variables).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready = line.trim().strip_prefix("ready flight=").and_then(|rest| rest.split_once(" http="));
        let (flight, http) = ready.unwrap_or_else(|| panic!("no ready line: {line:?}"));
        Self { flight: flight.parse().unwrap(), http: http.parse().unwrap(), child }
    }

    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for the end, and gives the exit code and the log.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `textflight serve` of the bundled model.
pub fn command(ulimit: &str, options: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = without_settings(Command::new("bash"));
    command.args(["-c", &format!("{ulimit}; exec \"$@\""), "bash", env!("CARGO_BIN_EXE_textflight"), "serve"]);
    command.arg("--model").arg(repository("data/sst2-mini"));
    command.args(["--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]).args(options);
    command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// This process needs descriptors, too.
fn raise() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// Clients that connect and say nothing. Those for whom the system has no room try on.
async fn crowd(port: SocketAddr) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let connected = Arc::new(AtomicUsize::new(0));
    for _ in 0..3500 {
        let connected = Arc::clone(&connected);
        clients.spawn(async move {
            let _stream = tokio::net::TcpStream::connect(port).await;
            connected.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
    }
    // As many as the port may hold of 512 descriptors, and some that wait.
    super::eventually("a crowd", async || connected.load(Ordering::Relaxed) > 200).await;
    clients
}

fn health(port: SocketAddr) -> String {
    let mut client = TcpStream::connect(port).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"GET /health-check HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

async fn exchange(port: SocketAddr) -> usize {
    let mut client = super::connect(port).await;
    let reply = client.do_exchange(messages("", vec![batch(&[Some("a lovely film")])])).await;
    read(reply.unwrap().into_inner()).await.unwrap().len()
}

#[tokio::test]
async fn with_512_descriptors_neither_port_locks_the_other() {
    raise();
    let server = Process::start("ulimit -n 512", &[], &[]);
    let port = server.http;
    let flight = crowd(server.flight).await;
    for _ in 0..3 {
        let health = tokio::task::spawn_blocking(move || health(port)).await.unwrap();
        assert!(health.contains("READY"), "{health}");
    }
    drop(flight);
    let _http = crowd(server.http).await;
    assert_eq!(exchange(server.flight).await, 1);

    // The end does not wait for them.
    let begun = Instant::now();
    server.terminate();
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(log.contains("fewer connections than --max-connections"), "{log}");
    assert!(!log.contains("no connection is accepted"), "{log}");
}

#[tokio::test]
async fn the_most_that_may_be_said_serves() {
    let most = [
        ("--max-exchanges", "65536"),
        ("--max-uploads", "65536"),
        ("--max-score-requests", "65536"),
        ("--max-concurrent-predictions", "65536"),
        ("--max-connections", "1048576"),
        ("--queue-rows", "1000000000"),
        ("--batch-rows", "1048576"),
        ("--batch-tokens", "16777216"),
        ("--memory-limit", "4TiB"),
        ("--spool-limit", "4TiB"),
        ("--max-header-bytes", "16777216"),
        ("--max-message-mib", "2048"),
        ("--max-length", "512"),
    ];
    let options: Vec<&str> = most.iter().flat_map(|(option, value)| [*option, *value]).collect();
    let server = Process::start(":", &options, &[]);
    assert_eq!(exchange(server.flight).await, 1);
    let answer = super::ask(server.http, "GET /health-check HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("READY"), "{answer}");
    server.terminate();
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn the_soft_limit_is_raised() {
    let server = Process::start("ulimit -S -n 64", &[], &[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{files}");
}

#[test]
fn too_few_descriptors_are_an_error() {
    let output = command("ulimit -n 40", &[], &[]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("allows 40 open files"), "{error}");
}
