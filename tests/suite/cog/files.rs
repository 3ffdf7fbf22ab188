//! Files that are uploaded and named in inputs.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use textflight::cog::http::Options;

use super::client::{Answer, VERSION, ask, body, get, post, send, serve, serve_with};
use super::replicate::check_problem;
use crate::engines::Fake;

/// A form of one field for the file and perhaps one for its metadata.
fn form(field: &str, content: &[u8], metadata: Option<&str>) -> Request<Body> {
    let mut form = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"texts.json\"\r\n\
         Content-Type: application/json\r\n\r\n"
    )
    .into_bytes();
    form.extend_from_slice(content);
    if let Some(metadata) = metadata {
        let head = "\r\n--xyz\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n";
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(metadata.as_bytes());
    }
    form.extend_from_slice(b"\r\n--xyz--\r\n");
    let request = Request::post("/v1/files").header(header::CONTENT_TYPE, "multipart/form-data; boundary=xyz");
    request.body(Body::from(form)).unwrap()
}

async fn upload(service: &Router, content: &[u8]) -> Value {
    let answer = ask(service, form("content", content, None)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn url(file: &Value) -> &str {
    file["urls"]["get"].as_str().unwrap()
}

async fn run(service: &Router, texts: &str) -> Answer {
    let request = json!({ "version": VERSION, "input": { "texts": texts } });
    send(service, "POST", "/v1/predictions", &[("prefer", "wait")], request).await
}

#[tokio::test]
async fn a_file_is_uploaded_read_listed_and_deleted() {
    let service = serve(Fake::engine(8));
    let content = br#"["odd", "even"]"#;
    let answer = ask(&service, form("content", content, Some(r#"{"who": "me"}"#))).await;
    let file = answer.json();
    let id = file["id"].as_str().unwrap();
    assert_eq!((&file["name"], &file["content_type"]), (&json!("texts.json"), &json!("application/json")));
    assert_eq!((&file["size"], &file["metadata"]), (&json!(15), &json!({ "who": "me" })));
    assert_eq!(file["checksums"]["sha256"], "52e6c650f788c0a711701cdf516d589855b1b098f1cd58b7d91b1657e7853cda");
    assert!(file["expires_at"].as_str() > file["created_at"].as_str());
    assert_eq!(url(&file), format!("http://localhost/v1/files/{id}"));
    assert_eq!(get(&service, &format!("/v1/files/{id}")).await.json(), file);
    let other = upload(&service, b"x").await;
    assert_eq!(get(&service, "/v1/files").await.json()["results"], json!([other, file]));
    let download = get(&service, &format!("/v1/files/{id}/download")).await;
    assert_eq!((download.text.as_bytes(), download.content_type.as_deref()), (&content[..], Some("application/json")));

    let path = format!("/v1/files/{id}");
    assert_eq!(send(&service, "DELETE", &path, &[], json!({})).await.status, 204);
    check_problem(&send(&service, "DELETE", &path, &[], json!({})).await, 404, "file");
    check_problem(&get(&service, &path).await, 404, "file");
    check_problem(&get(&service, &format!("{path}/download")).await, 404, "file");
}

#[tokio::test]
async fn an_input_that_names_a_file_is_what_is_in_it() {
    let service = serve(Fake::engine(8));
    for (content, labels) in [
        (&br#"["odd", "even"]"#[..], json!([1, 0])),
        (b"odd", json!([1])),
        (b"\xef\xbb\xbf[\"odd\", \"even\"]", json!([1, 0])),
        (b"[]", json!([])),
        (b"", json!([1])),
    ] {
        let file = upload(&service, content).await;
        let prediction = run(&service, url(&file)).await.json();
        assert_eq!(prediction["output"]["predicted_labels"], labels, "{prediction}");
        assert_eq!(prediction["input"]["texts"], url(&file));
        // Of Cog's routes, too, and by the address of the content.
        let answer = post(&service, body(&format!("{}/download", url(&file)))).await.json();
        assert_eq!(answer["output"]["predicted_labels"], labels, "{answer}");
    }
    let file = upload(&service, b"[\"\xff\"]").await;
    let failed = run(&service, url(&file)).await.json();
    assert_eq!(failed["status"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("UnicodeDecodeError: 'utf-8' codec"), "{failed}");
}

#[tokio::test]
async fn a_file_that_is_gone_is_an_error_and_not_a_text() {
    let service = serve(Fake::engine(8));
    let file = upload(&service, b"odd").await;
    send(&service, "DELETE", &format!("/v1/files/{}", file["id"].as_str().unwrap()), &[], json!({})).await;
    check_problem(&run(&service, url(&file)).await, 422, "not here any more");
    let refused = post(&service, body(url(&file))).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["detail"][0]["loc"][2]), (422, &json!("texts")));
    // An address that is none of ours is a text.
    assert_eq!(run(&service, "http://localhost/v1/files/abc").await.json()["status"], "succeeded");
}

#[tokio::test]
async fn files_are_bounded() {
    let mut options = Options::default();
    options.limits.files.bytes = 10_000;
    options.limits.body_bytes = 20_000;
    let service = serve_with(Fake::engine(8), options);
    let first = upload(&service, &[b'a'; 5000]).await;
    upload(&service, &[b'a'; 5000]).await;
    check_problem(&get(&service, &format!("/v1/files/{}", first["id"].as_str().unwrap())).await, 404, "gone by now");
    check_problem(&ask(&service, form("content", &[b'a'; 10_000], None)).await, 413, "10000");
    assert_eq!(ask(&service, form("content", &b"a".repeat(20_000), None)).await.status, 413);
    assert_eq!(get(&service, "/v1/files").await.json()["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn forms_that_make_no_sense() {
    let service = serve(Fake::engine(8));
    check_problem(&ask(&service, form("file", b"a", None)).await, 422, "content");
    check_problem(&ask(&service, form("content", b"a", Some("[1]"))).await, 422, "metadata");
    check_problem(&send(&service, "POST", "/v1/files", &[], json!({})).await, 415, "boundary");
    let mut broken = form("content", b"a", None);
    *broken.body_mut() = Body::from("--xyz\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nhalf");
    check_problem(&ask(&service, broken).await, 400, "");
    check_problem(&send(&service, "PUT", "/v1/files", &[], json!({})).await, 405, "method");
}
