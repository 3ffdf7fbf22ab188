"""Webhooks and `predict --url` as processes meet the world: certificates, proxies, receivers that do not answer."""
import contextlib
import http.server
import json
import socket
import ssl
import threading
import time

import pytest

import server as servers
from client import wait_until
from predictions import asynchronous, body, call

TLS = servers.REPOSITORY / "tests" / "fixtures" / "tls"
ANSWER = {"status": "succeeded", "output": {"predicted_labels": [1]}}


@contextlib.contextmanager
def receiver(certificate=None):
    """A server that hears everything: its port, and the lines of the requests with their bodies and authorizations."""
    heard = []

    class Hears(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            text = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, json.loads(text), self.headers["Authorization"]))
            answer = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hears) as listening:
        # A client that does not trust us breaks off, which is no news.
        listening.handle_error = lambda *_: None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening.server_port, heard
        listening.shutdown()
        thread.join()


def test_https_with_another_authority(serve, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    with receiver(TLS / "server.pem") as (port, heard):
        for host in ["localhost", "127.0.0.1"]:
            url = f"https://{host}:{port}"
            assert call(serve(), "/predictions", body("a", webhook=f"{url}/hook"))[0] == 200
            wait_until(lambda: len(heard) == 3)
            assert [path for path, _, _ in heard] == ["/hook"] * 3 and heard[-1][1]["status"] == "succeeded"
            heard.clear()
            asked = servers.run("predict", "--url", url, "-i", "texts=a")
            assert asked.returncode == 0 and json.loads(asked.stdout) == ANSWER["output"]
            heard.clear()


def test_a_certificate_that_nobody_vouches_for(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with receiver(TLS / "server.pem") as (port, heard):
        asked = servers.run("predict", "--url", f"https://localhost:{port}", "-i", "texts=a")
    assert (asked.returncode, heard) == (1, [])
    assert "invalid peer certificate" in asked.stderr


def test_certificates_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    asked = servers.run("predict", "--url", "https://localhost:1", "-i", "texts=a")
    assert asked.returncode == 1 and "certificate" in asked.stderr, asked.stderr


def test_a_proxy(serve, monkeypatch):
    with receiver() as (proxy, through), receiver() as (direct, past):
        monkeypatch.setenv("HTTP_PROXY", f"http://me:word@127.0.0.1:{proxy}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for host, heard, path in [("models.invalid", through, "http://models.invalid/hook"), (f"127.0.0.1:{direct}", past, "/hook")]:
            assert call(serve(), "/predictions", body("a", webhook=f"http://{host}/hook"))[0] == 200
            wait_until(lambda: len(heard) == 3)
            assert {heard[0][0], heard[-1][0]} == {path}
        asked = servers.run("predict", "--url", "http://models.invalid", "-i", "texts=a")
        assert asked.returncode == 0 and through[-1][0] == "http://models.invalid/predictions"


def test_a_name_and_a_password_are_sent_and_not_shown():
    with receiver() as (port, heard):
        asked = servers.run("predict", "--url", f"http://me:word@127.0.0.1:{port}", "-i", "texts=a")
    assert asked.returncode == 0 and heard[0][2] == "Basic bWU6d29yZA=="
    asked = servers.run("predict", "--url", f"http://me:word@127.0.0.1:{port}", "-i", "texts=a")
    assert asked.returncode == 1 and "cannot connect" in asked.stderr and "word" not in asked.stderr


@pytest.mark.parametrize("way", ["signal", "shutdown"])
def test_receivers_that_do_not_answer_do_not_hold_up_the_end(serve, way):
    server = serve()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        for port in [deaf.getsockname()[1], 1]:
            hook = f"http://me:word@127.0.0.1:{port}/hook?token=secret"
            assert asynchronous(server, body("a", webhook=hook))[0] == 202
        wait_until(lambda: call(server, "/health-check")[1]["status"] == "READY")
        began = time.monotonic()
        if way == "signal":
            server.terminate()
        else:
            call(server, "/shutdown", b"")
        assert server.process.wait(servers.STOP_SECONDS) == 0
        assert time.monotonic() - began < 5
    log = server.log.read_text()
    assert "a webhook was not reached" in log and "word" not in log and "secret" not in log
