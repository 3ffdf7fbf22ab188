"""Object stores on loopback ports of their own: S3 by moto, Azure by azurite; and relays that watch, count and fail."""
import base64
import contextlib
import datetime
import hashlib
import hmac
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
import typing
import urllib.parse

import boto3

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


def variables(**ours):
    """The environment with these variables, and none that stores or the command read otherwise."""
    read = ("AWS_", "AZURE_", "GOOGLE_", "TEXTFLIGHT_", "OTEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(read)} | ours


@contextlib.contextmanager
def client(endpoint):
    """A client of S3 that is not ours."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    with contextlib.closing(boto3.client("s3", endpoint_url=endpoint, **keys)) as connected:
        yield connected


class Bucket:
    """A new bucket, as a client sees it that is not ours."""

    def __init__(self, connected, name):
        self.client, self.name = connected, name
        self.client.create_bucket(Bucket=name)

    def put(self, key, content):
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def keys(self, prefix=""):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def unfinished(self):
        """Keys of uploads that were begun and not ended."""
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]


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


def ask_azure(method, endpoint, container, query):
    """Signed as Azure asks for it: with the key of the account."""
    url = urllib.parse.urlsplit(endpoint)
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "Content-Length": "0"}
    named = "".join(f"\n{key}:{value}" for key, value in sorted(query.items()))
    canonical = f"x-ms-date:{date}\nx-ms-version:2021-08-06\n/{AZURE_ACCOUNT}{url.path}/{container}{named}"
    signed = method + "\n" * 12 + canonical
    signature = base64.b64encode(hmac.new(base64.b64decode(AZURE_KEY), signed.encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{signature}"
    with contextlib.closing(http.client.HTTPConnection(url.netloc, timeout=30)) as connection:
        connection.request(method, f"{url.path}/{container}?{urllib.parse.urlencode(query)}", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 201), (answer.status, content)
        return content.decode()


def create_container(endpoint, name):
    ask_azure("PUT", endpoint, name, {"restype": "container"})


def blobs(endpoint, container):
    """The names of all blobs there, also of those that are not complete."""
    listed = ask_azure("GET", endpoint, container, {"restype": "container", "comp": "list", "include": "uncommittedblobs"})
    return re.findall("<Name>(.*?)</Name>", listed)


def azure_keys(endpoint):
    """How that server is reached."""
    return {"AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint, "AZURE_ALLOW_HTTP": "true"}


class Request(typing.NamedTuple):
    """What a store was asked for, and how many bytes it gave."""

    method: str
    path: str
    query: str
    given: int = 0


class Answer(typing.NamedTuple):
    """What a store says."""

    status: int
    headers: list
    content: bytes


class BreakOff(Exception):
    """A connection is to end here."""


class Relay(http.server.BaseHTTPRequestHandler):
    """Passes requests on and answers back, and takes note of them."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    requests = []
    # Asked when a request "comes" and when its answer "goes": it may raise BreakOff, or give another answer.
    watch = staticmethod(lambda when, request: None)

    def log_message(self, *_):
        pass

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        request = Request(self.command, urllib.parse.unquote(url.path), url.query)
        try:
            answer = self.watch("comes", request) or self.ask(body)
            self.requests.append(request._replace(given=len(answer.content)))
            self.answer(self.watch("goes", request) or answer)
        except BreakOff:
            self.break_off()

    def ask(self, body):
        with contextlib.closing(http.client.HTTPConnection(self.upstream, timeout=60)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())

    def answer(self, answer):
        self.begin(answer)
        self.wfile.write(answer.content)

    def begin(self, answer):
        self.send_response(answer.status)
        length = len(answer.content)
        for name, value in answer.headers:
            if self.command == "HEAD" and name.lower() == "content-length":
                length = value
            elif name.lower() not in ("connection", "transfer-encoding", "date", "server", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def break_off(self):
        self.close_connection = True
        # The other end may have gone already.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = relay


class Flaky(Relay):
    """Of five requests one is answered with 503, and of another the answer breaks off, if it is a GET of more than 1,000 bytes."""

    chance = random.Random()
    failures = {"refused": 0, "broken": 0}

    def watch(self, when, request):
        if when == "comes":
            self.fate = self.chance.random()
            if self.fate < 0.2:
                self.failures["refused"] += 1
                return Answer(503, [], b"")
        return None

    def answer(self, answer):
        content = answer.content
        if 0.2 <= self.fate < 0.4 and self.command == "GET" and answer.status in (200, 206) and len(content) > 1000:
            self.failures["broken"] += 1
            self.begin(answer)
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            raise BreakOff
        super().answer(answer)


class Patient(http.server.ThreadingHTTPServer):
    """Ends once all that came in is done."""

    daemon_threads = False

    def handle_error(self, *_):
        pass


@contextlib.contextmanager
def relay(endpoint, handler=Relay, **attributes):
    """The URL of a relay to that server, with its handler."""
    handler = type("Handler", (handler,), {"upstream": urllib.parse.urlsplit(endpoint).netloc, "requests": [], **attributes})
    with Patient(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}", handler
        finally:
            proxy.shutdown()
            thread.join()


@contextlib.contextmanager
def flaky(endpoint):
    """The URL of a proxy of that server which fails at random, and what it did so far."""
    # Each begins anew, whichever tests ran before.
    with relay(endpoint, Flaky, chance=random.Random(5), failures=dict.fromkeys(Flaky.failures, 0)) as (url, handler):
        yield url, handler.failures


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
