"""Hub and cache beside huggingface_hub itself: its variables, its cache, the proxies and certificates that it heeds."""
import contextlib
import hashlib
import http.server
import importlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

import server as servers

constants = pytest.importorskip("huggingface_hub.constants")

FIXTURES = servers.REPOSITORY / "tests" / "fixtures"
TABLE = json.loads((FIXTURES / "hub_environments.json").read_text())
CHECKPOINT = FIXTURES / "golden" / "old-sinusoidal"
FILES = ["config.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"]
TLS = FIXTURES / "tls"
ID = "owner/mini-model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def constants_again():
    yield
    importlib.reload(constants)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: " ".join(f"{name}={value}" for name, value in row["env"].items()))
def test_the_table_is_what_huggingface_hub_says(row, tmp_path, monkeypatch, constants_again):
    """`classifier/hub/settings.rs` is held to the same rows."""
    there = lambda text: text.replace("ROOT", str(tmp_path))
    for path, text in row.get("files", {}).items():
        path = pathlib.Path(there(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "XDG_CACHE")):
            monkeypatch.delenv(name)
    for name, value in {"HOME": "ROOT/me", **row["env"]}.items():
        monkeypatch.setenv(name, there(value))
    importlib.reload(constants)
    from huggingface_hub.utils._headers import get_token_to_send
    assert constants.HF_HUB_CACHE == there(row["cache"])
    assert get_token_to_send(None) == row["token"]
    assert constants.ENDPOINT == row["endpoint"]
    assert constants.HF_HUB_OFFLINE == row["offline"]
    assert (constants.HF_HUB_ETAG_TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT) == (row["answer_timeout"], row["read_timeout"])
    assert (not constants.HF_HUB_DISABLE_SYMLINKS, not constants.HF_HUB_DISABLE_PROGRESS_BARS) == (row["symlinks"], row["progress"])


# --- a hub ----------------------------------------------------------------------------------------------------------

class Hub(http.server.BaseHTTPRequestHandler):
    """A hub of one repository, and a proxy: asked for a whole address it answers as hub.test, and CONNECT leads to `tunnel`."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        path = self.path.removeprefix("http://hub.test")
        if path.startswith(f"/api/models/{ID}/revision/"):
            return self.answer(json.dumps({"id": ID, "sha": COMMIT, "siblings": [{"rfilename": file} for file in FILES]}).encode())
        file = path.rsplit("/", 1)[-1]
        if file not in FILES:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.answer((CHECKPOINT / file).read_bytes(), {"X-Repo-Commit": COMMIT})

    do_HEAD = do_GET

    def answer(self, body, headers={}):
        self.send_response(200)
        for name, value in {"Content-Length": str(len(body)), "ETag": f'"{hashlib.sha1(body).hexdigest()}"', **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            step = len(body) // 5 + 1
            for start in range(0, len(body), step):
                self.wfile.write(body[start:start + step])
                time.sleep(self.server.pause if len(body) > 100_000 else 0)

    def do_CONNECT(self):
        self.server.asked.append(f"CONNECT {self.path}")
        with socket.create_connection(self.server.tunnel) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pump, args=(there, self.connection))
            back.start()
            pump(self.connection, there)
            back.join()
        self.close_connection = True

    def log_message(self, *_):
        pass


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def hub(tls=False, tunnel=None, pause=0):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads, server.asked, server.tunnel, server.pause = True, [], tunnel, pause
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def clean(home, variables):
    """An environment in which nothing of this machine's says where hubs, proxies and certificates are."""
    named = ("HF_", "HUGGING", "TRANSFORMERS_", "SSL_CERT", "REQUESTS_CA", "CURL_CA")
    kept = {name: value for name, value in servers.environment().items()
            if not name.startswith(named) and name.lower() not in PROXIES}
    return {**kept, "HOME": str(home), "HF_HOME": str(home / "hf"), **{name: str(value) for name, value in variables.items()}}


def predict(home, **variables):
    command = [servers.BINARY, "predict", "-i", 'texts=["good"]', "--model", ID]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean(home, variables))


def succeeds(output):
    assert output.returncode == 0 and "predicted_labels" in output.stdout, output.stderr


def python(home, code, **variables):
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=clean(home, variables))
    assert output.returncode == 0, output.stderr
    return output.stdout.strip()


DOWNLOAD = f"""
from huggingface_hub import hf_hub_download
for file in {FILES!r}:
    print(hf_hub_download({ID!r}, file))
"""


def layout(home):
    """Every entry of the repository's folder: a link with its target, a file with its bytes."""
    top = home / "hf" / "hub" / f"models--{ID.replace('/', '--')}"
    what = lambda path: os.readlink(path) if path.is_symlink() else path.read_bytes()
    return {str(path.relative_to(top)): what(path) for path in top.rglob("*") if path.is_symlink() or path.is_file()}


# --- the cache ------------------------------------------------------------------------------------------------------

def test_each_finds_what_the_other_has_fetched_and_lays_it_out_alike(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with hub() as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        succeeds(predict(ours, HF_ENDPOINT=endpoint))
        python(theirs, DOWNLOAD, HF_ENDPOINT=endpoint)
    read = layout(ours)
    assert {name: data for name, data in read.items() if not name.startswith(".no_exist")} == layout(theirs)
    assert f"snapshots/{COMMIT}/model.safetensors" in read and read["refs/main"] == COMMIT.encode()

    paths = python(ours, DOWNLOAD, HF_HUB_OFFLINE=1).splitlines()
    assert [pathlib.Path(path).name for path in paths] == FILES
    for spelling in ("1", "ON", "Yes", "true"):
        succeeds(predict(theirs, HF_HUB_OFFLINE=spelling))
    # Nobody answers: the cache serves.
    succeeds(predict(theirs, HF_ENDPOINT=endpoint))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of Unix")
def test_a_complete_cache_that_cannot_be_written(tmp_path):
    home = tmp_path / "home"
    with hub() as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        python(home, DOWNLOAD, HF_ENDPOINT=endpoint)
        entries = [path for path in home.rglob("*") if not path.is_symlink()]
        for path in entries:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            succeeds(predict(home, HF_ENDPOINT=endpoint))
            succeeds(predict(home, HF_HUB_OFFLINE=1))
        finally:
            for path in entries:
                path.chmod(0o755)


def test_what_another_client_has_begun_is_left_alone(tmp_path):
    blobs = tmp_path / "hf" / "hub" / f"models--{ID.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "0123.incomplete").write_bytes(b"begun")
    with hub() as server:
        succeeds(predict(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}"))
    assert [path.name for path in blobs.iterdir() if path.suffix == ".incomplete"] == ["0123.incomplete"]


def test_a_long_download_shows_how_far_it_is(tmp_path):
    with hub(pause=0.6) as server:
        output = predict(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
    succeeds(output)
    lines = [line for line in output.stderr.splitlines() if "fetching" in line]
    assert lines and all("model.safetensors" in line for line in lines), output.stderr


# --- certificates and proxies ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_another_authority(tmp_path, name):
    with hub(tls=True) as server:
        endpoint = f"https://localhost:{server.server_port}"
        if name == "SSL_CERT_FILE":
            output = predict(tmp_path, HF_ENDPOINT=endpoint)
            assert output.returncode == 1 and "certificate" in output.stderr, output.stderr
        authority = TLS / "ca" if name.endswith("DIR") else TLS / "ca" / "ca.pem"
        succeeds(predict(tmp_path, HF_ENDPOINT=endpoint, **{name: authority}))


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_of_plain_requests(tmp_path, name):
    with hub() as proxy:
        address = f"127.0.0.1:{proxy.server_port}" if name.isupper() else f"http://127.0.0.1:{proxy.server_port}"
        succeeds(predict(tmp_path, HF_ENDPOINT="http://hub.test", **{name: address}))
        assert proxy.asked[0] == f"http://hub.test/api/models/{ID}/revision/main"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_of_encrypted_requests(tmp_path, name):
    with hub(tls=True) as server, hub(tunnel=server.server_address) as proxy:
        endpoint = f"https://localhost:{server.server_port}"
        variables = {"HF_ENDPOINT": endpoint, "SSL_CERT_FILE": TLS / "ca" / "ca.pem", name: f"http://127.0.0.1:{proxy.server_port}"}
        succeeds(predict(tmp_path, **variables))
        assert proxy.asked[0] == f"CONNECT localhost:{server.server_port}"


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "other.test,127.0.0.0/8"])
def test_what_needs_no_proxy(tmp_path, exempt):
    with hub() as server:
        dead = "http://127.0.0.1:9"
        endpoint = f"http://127.0.0.1:{server.server_port}"
        for name in ("NO_PROXY", "no_proxy"):
            succeeds(predict(tmp_path / name, HF_ENDPOINT=endpoint, HTTP_PROXY=dead, **{name: exempt}))
