//! What nobody may read: tokens, in logs, errors and help.

use std::io::{Read, Write};
use std::net::TcpStream;

use textflight::auth::Authenticator;
use textflight::flight::ticket::TicketKey;

use super::CONNECTIONS;
use super::limits::{Process, command};
use crate::support::binary;

#[test]
fn the_configuration_prints_without_its_tokens() {
    let mut config = super::config(CONNECTIONS);
    config.authenticator = Authenticator::new("hush".parse().ok().as_ref(), &[]).unwrap();
    config.cog.webhook_token = "hush".parse().ok();
    let key = b"hush, hush, hush, hush, hush, hush";
    config.catalog.key = TicketKey::new(key).unwrap();
    let printed = format!("{config:?}");
    assert!(!printed.contains("hush") && printed.contains("api-token"), "{printed}");
    // As numbers, neither.
    assert!(!printed.contains(format!("{:?}", &key[..8]).trim_matches(['[', ']'])), "{printed}");
}

#[test]
fn logs_and_answers_do_without_them() {
    let variables = [("TEXTFLIGHT_API_TOKEN", "hush-api"), ("WEBHOOK_AUTH_TOKEN", "hush-hook")];
    let server = Process::start(":", &["--log", "debug"], &variables);
    for header in ["", "authorization: Bearer hush-api\r\n", "authorization: Bearer hush-wrong\r\n"] {
        let mut client = TcpStream::connect(server.http).unwrap();
        let request = format!("GET /predictions/none HTTP/1.1\r\nhost: a\r\n{header}connection: close\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let status = if header.contains("hush-api") { "404" } else { "401" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && !answer.contains("hush"), "{answer}");
    }
    server.terminate();
    let (code, log) = server.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("stopped") && !log.contains("hush"), "{log}");
}

#[test]
fn errors_and_help_do_without_them() {
    for wrong in ["hu\nsh", "hush ", ""] {
        let output = command(":", &["--api-token", wrong], &[]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("--api-token: the token") && !error.contains("hu"), "{error}");
    }
    for subcommand in ["serve", "predict"] {
        let help = binary()
            .args([subcommand, "--help"])
            .env("TEXTFLIGHT_API_TOKEN", "hush")
            .env("WEBHOOK_AUTH_TOKEN", "hush")
            .output()
            .unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains("TEXTFLIGHT_API_TOKEN") && !help.contains("hush"), "{help}");
    }
}
