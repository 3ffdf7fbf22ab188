//! The page for browsers: who gets it, with which headers, and that nobody else's answer has changed.

use std::collections::BTreeMap;

use serde_json::Value;
use textflight::auth::Authenticator;
use textflight::readiness::ServedModel;
use textflight::server::ServerConfig;

use super::{CONNECTIONS, Running, ask, config, eventually, serve, start};
use crate::engines::{Fake, VERSION};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// An answer of HTTP/1.1.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn is_page(&self) -> bool {
        self.header("content-type") == "text/html; charset=utf-8"
    }
}

async fn request(running: &Running, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let lines: String = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
    let said =
        ask(running.http, &format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n")).await;
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let mut head = head.lines();
    let status = head.next().unwrap()[9..12].parse().unwrap();
    let headers = head.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

async fn get(running: &Running, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(running, "GET", path, headers).await
}

#[tokio::test]
async fn browsers_get_a_page_and_all_others_what_cog_says() {
    let running = serve(CONNECTIONS).await;
    let cogs = get(&running, "/", &[]).await;
    assert!(cogs.body.starts_with(r#"{"cog_version":"#) && cogs.header("content-type") == "application/json");
    for accept in
        ["*/*", "application/json", "application/json, text/plain, */*", "text/html;q=0.5, application/json", "x"]
    {
        let answer = get(&running, "/", &[("accept", accept)]).await;
        assert_eq!((answer.status, &answer.body), (200, &cogs.body), "{accept}");
        assert_eq!((answer.header("vary"), answer.header("content-type")), ("accept", "application/json"), "{accept}");
    }
    for accept in [BROWSER, "text/html", "text/*;q=0.3, */*;q=0.1"] {
        let answer = get(&running, "/", &[("accept", accept)]).await;
        assert!(answer.status == 200 && answer.is_page() && answer.body.starts_with("<!doctype html>"), "{accept}");
        assert_eq!(answer.header("vary"), "accept");
    }
    // Only at its root.
    let health = get(&running, "/health-check", &[("accept", BROWSER)]).await;
    assert!(health.body.contains("READY") && health.header("vary").is_empty());
    for path in
        ["/page/", "/page/none.js", "/page/index.html/", "/page/../page/app.js", "/page/%2e%2e", "/page", "/index.html"]
    {
        assert_eq!(get(&running, path, &[("accept", BROWSER)]).await.status, 404, "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn files_say_what_browsers_may_do_and_keep() {
    let running = serve(CONNECTIONS).await;
    let page = get(&running, "/", &[("accept", BROWSER)]).await;
    let loaded = page.body.split('"').filter_map(|part| part.strip_prefix("page/")).map(|name| format!("/page/{name}"));
    let mut files: Vec<String> = loaded.collect();
    assert!(files.len() > 2, "{files:?}");
    let mut seen = 0;
    while let Some(path) = files.get(seen).cloned() {
        seen += 1;
        let file = get(&running, &path, &[]).await;
        let imported = file.body.split('\'').filter_map(|part| part.strip_prefix("./"));
        let imported: Vec<_> =
            imported.map(|name| format!("/page/{name}")).filter(|name| !files.contains(name)).collect();
        files.extend(imported);
        check_file(&running, &path, &[]).await;
    }
    assert!(files.len() > 10, "{files:?}");
    check_file(&running, "/", &[("accept", BROWSER)]).await;
    running.stop().await;
}

/// A file is whole, guarded, and sent once to who keeps it.
async fn check_file(running: &Running, path: &str, accept: &[(&str, &str)]) {
    let file = get(running, path, accept).await;
    assert_eq!(file.status, 200, "{path}");
    let policy = file.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
        "{path}: {policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
    assert_eq!((file.header("x-content-type-options"), file.header("referrer-policy")), ("nosniff", "no-referrer"));
    assert_eq!(
        (file.header("cache-control"), file.header("content-length")),
        ("no-cache", &*file.body.len().to_string())
    );
    let tag = file.header("etag");
    assert!(tag.len() > 20 && tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
    for (known, status) in
        [(tag, 304), (&*format!("W/{tag}"), 304), (&*format!("\"a\", {tag}"), 304), ("*", 304), ("\"a\"", 200)]
    {
        let again = get(running, path, &[accept, &[("if-none-match", known)]].concat()).await;
        assert_eq!((again.status, again.body.is_empty()), (status, status == 304), "{path}: {known}");
        assert_eq!((again.header("etag"), again.header("content-security-policy")), (tag, policy));
    }
    let head = request(running, "HEAD", path, accept).await;
    assert_eq!(
        (head.status, &*head.body, head.header("content-type")),
        (200, "", file.header("content-type")),
        "{path}"
    );
    assert_eq!((head.header("content-length"), head.header("etag")), (file.header("content-length"), tag), "{path}");
    for method in ["POST", "PUT", "DELETE"] {
        let refused = request(running, method, path, &[accept, &[("content-length", "0")]].concat()).await;
        assert_eq!((refused.status, refused.header("allow")), (405, "GET,HEAD"), "{method} {path}");
    }
}

#[tokio::test]
async fn the_page_is_for_all_and_what_it_asks_for_is_not() {
    let authenticator = Authenticator::new(Some(&"hush".parse().unwrap()), &[]).unwrap();
    let mut running = start(ServerConfig { authenticator, ..config(CONNECTIONS) }).await;
    assert!(get(&running, "/", &[("accept", BROWSER)]).await.is_page());
    assert_eq!(get(&running, "/page/app.js", &[]).await.status, 200);
    for path in ["/about", "/score/accounts/a-random-name", "/metrics"] {
        assert_eq!(get(&running, path, &[]).await.status, 401, "{path}");
        assert_eq!(get(&running, path, &[("authorization", "Bearer wrong")]).await.status, 401, "{path}");
    }
    assert_eq!(request(&running, "POST", "/score/columns", &[("content-length", "0")]).await.status, 401);
    let token = ("authorization", "Bearer hush");
    let about: Value = serde_json::from_str(&get(&running, "/about", &[token]).await.body).unwrap();
    assert_eq!(
        (&about["phase"], &about["model"], &about["asks_token"]),
        (&"loading".into(), &Value::Null, &true.into())
    );
    running.bring(Ok(ServedModel::new(Fake::engine(1000), VERSION.to_owned())));
    eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    let about = get(&running, "/about", &[token]).await;
    assert_eq!(about.header("cache-control"), "no-store");
    let about: Value = serde_json::from_str(&about.body).unwrap();
    assert_eq!((&about["phase"], &about["model"]["version"]), (&"serving".into(), &VERSION.into()));
    let flight =
        serde_json::json!({ "uri": null, "scheme": "grpc", "host": "127.0.0.1", "port": running.flight.port() });
    assert_eq!(about["flight"], flight);
    running.stop().await;
}

#[tokio::test]
async fn a_server_may_have_no_page() {
    let mut running = start(ServerConfig { page: false, ..config(CONNECTIONS) }).await;
    running.bring(Ok(ServedModel::new(Fake::engine(1000), VERSION.to_owned())));
    eventually("the model", async || running.get("/health-check").await.contains("READY")).await;
    let root = get(&running, "/", &[("accept", BROWSER)]).await;
    assert!(root.body.starts_with(r#"{"cog_version":"#) && root.header("vary").is_empty());
    for path in ["/page/app.js", "/about"] {
        assert_eq!(get(&running, path, &[]).await.status, 404, "{path}");
    }
    running.stop().await;
}
