"""Object stores on loopback ports of their own: S3 by moto, Azure by azurite; and a proxy that fails."""
import contextlib
import http.client
import http.server
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
NPM = REPOSITORY / "target" / "npm"
AZURITE = "azurite@3.35.0"
START_SECONDS = 60

# What moto takes is anything.
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
# Which azurite has from its makers, as everybody has.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    """Until something listens there."""
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args} does not listen on {port}")


@contextlib.contextmanager
def running(port, *command, **variables):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, **variables}}
    with subprocess.Popen(list(map(str, command)), **quiet) as process:
        try:
            wait_for(port, process)
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def s3(**variables):
    """The URL of a server of S3, which takes variables."""
    port = free_port()
    with running(port, sys.executable, "-c", f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])", **variables):
        yield f"http://127.0.0.1:{port}"


def create_bucket(endpoint, name):
    """What moto needs for that is no signature but its shape."""
    scope = "Credential=test/20260101/us-east-1/s3/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    with contextlib.closing(http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=30)) as connection:
        connection.request("PUT", f"/{name}", headers=headers)
        assert connection.getresponse().status == 200


def azurite():
    """The program, installed by npm if it is not; none without npm."""
    program = NPM / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        if shutil.which("npm") is None:
            return None
        NPM.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--silent", "--prefix", NPM, AZURITE], check=True)
    return program


@contextlib.contextmanager
def azure(program):
    """The URL of a server of Azure's blobs."""
    port = free_port()
    options = ["--silent", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]
    with running(port, program, "--blobHost", "127.0.0.1", "--blobPort", port, *options):
        yield f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"


class Flaky(http.server.BaseHTTPRequestHandler):
    """Passes requests on; of three one is answered with 503, or its answer breaks off in the middle."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    chance = random.Random(5)
    failures = {"refused": 0, "broken": 0}

    def log_message(self, *_):
        pass

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fate = self.chance.random()
        if fate < 0.2:
            self.failures["refused"] += 1
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with contextlib.closing(http.client.HTTPConnection(self.upstream, timeout=60)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if fate < 0.4 and self.command == "GET" and answer.status in (200, 206) and len(content) > 1000:
            self.failures["broken"] += 1
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = relay


@contextlib.contextmanager
def flaky(endpoint):
    """The URL of a proxy of that server which fails at random, and what it did so far."""
    handler = type("Handler", (Flaky,), {"upstream": urllib.parse.urlsplit(endpoint).netloc, "failures": dict.fromkeys(Flaky.failures, 0)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        proxy.handle_error = lambda *_: None
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}", handler.failures
        finally:
            proxy.shutdown()
            thread.join()


class Ranged(http.server.BaseHTTPRequestHandler):
    """Serves one file, whole or by range, to whoever knows the password."""

    protocol_version = "HTTP/1.1"
    content = b""
    gives_ranges = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        content, status, extra = self.content, 200, {}
        if self.headers.get("Authorization") != "Basic bWU6d29yZA==" or "key=1" not in self.path:
            content, status = b"", 401
        elif self.gives_ranges and (wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))):
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(content))
            extra = {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}
            content, status = content[start:end], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


@contextlib.contextmanager
def web(content, gives_ranges=True):
    """Where that file is."""
    handler = type("Handler", (Ranged,), {"content": content, "gives_ranges": gives_ranges})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://me:word@127.0.0.1:{server.server_address[1]}/a%20table.parquet?key=1"
        finally:
            server.shutdown()
            thread.join()
