"""`textflight.score_parquet`: the command, with its summary, its errors and its progress in Python."""
import contextlib
import http.server
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme

import textflight
from client import NEW_COLUMNS, wait_until
from interrupts import assert_interrupted
from programs import COMMAND, environ
from server import BINARY, MODEL
from test_security import Pki


@pytest.fixture(autouse=True)
def binary(monkeypatch):
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(BINARY))


def test_a_file(reviews, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTFLIGHT_TEXT", "what was said")  # What is said here goes before.
    out = tmp_path / "out.parquet"
    told = []
    summary = textflight.score_parquet(reviews, out, "text", truth="truth", progress=lambda rows, of: told.append((rows, of)))
    assert summary["rows"] == 872 and summary["files"] == {"done": 1, "skipped": 0, "failed": 0} and told[-1] == (872, 872)
    assert pq.read_table(out).drop_columns(NEW_COLUMNS) == pq.read_table(reviews)
    assert textflight.score_parquet(reviews, out, "text")["files"]["skipped"] == 1, "it is there"


def test_options(reviews, tmp_path, server):
    out = tmp_path / "out.parquet"
    options = {"labels": "id", "details": True, "probabilities": True, "on_error": "null", "label_column": "l", "confidence_column": "c"}
    textflight.score_parquet([str(reviews)], str(out), ["text"], model=MODEL, dtype="f32", columns=["id", "stars"], **options)
    here = pq.read_table(out)
    assert here.column_names == ["id", "stars", "l", "c", "tokens", "truncated", "probabilities", "error"]
    textflight.score_parquet(reviews, out, "text", server=f"grpc://{server.flight}", columns=["id", "stars"], args=["--force"], **options)
    assert pq.read_table(out) == here
    textflight.score_parquet(reviews, out, "text", columns="new")
    assert pq.read_schema(out).names == NEW_COLUMNS
    textflight.score_parquet(reviews, out, "text", columns=(name for name in ["id", "stars"]), args=(name for name in ["--force"]))
    assert pq.read_schema(out).names == ["id", "stars", *NEW_COLUMNS]


def test_a_folder(reviews, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        shutil.copy(reviews, tmp_path / "in" / f"{name}.parquet")
    (tmp_path / "in" / "c.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(textflight.JobError, match="c.parquet: not a Parquet file.*\n1 of 3 files failed") as raised:
        textflight.score_parquet(tmp_path / "in", tmp_path / "out", "text")
    assert isinstance(raised.value, RuntimeError) and len(list((tmp_path / "out").glob("*.parquet"))) == 2
    summary = textflight.score_parquet(str(tmp_path / "in" / "[ab].parquet"), tmp_path / "merged.parquet", "text", args=["--merge"])
    assert summary["rows"] == 2 * 872


def test_what_is_wrong(reviews, tmp_path, serve):
    out = tmp_path / "out.parquet"
    for arguments, kind, said in [
        ((reviews, out, "nope"), ValueError, 'column "nope" not found; string columns: text, length'),
        ((reviews, out), ValueError, "more than one string column"),
        ((tmp_path / "none.parquet", out), FileNotFoundError, "none.parquet"),
        (([], out), ValueError, "name no file"),
        ((pa.table({"a": [1]}), out), TypeError, "inputs have a ChunkedArray|Table"),
        ((reviews, 5), TypeError, "output is int"),
        ((5, out), TypeError, "inputs are int"),
        ((reviews, out, 5), TypeError, "text is 5, not the name"),
        ((reviews, out, ["text", 5]), TypeError, "text is .*, not the name"),
        ((reviews, "-"), ValueError, "command line alone"),
    ]:
        with pytest.raises(kind, match=said):
            textflight.score_parquet(*arguments)
    for options, kind, said in [
        ({"labels": "names"}, ValueError, "labels is 'names'"),
        ({"columns": ["a,b"]}, ValueError, "comma"),
        ({"columns": ["nope"]}, ValueError, '"nope"'),
        ({"dtype": "f8"}, ValueError, "f8"),
        ({"model": tmp_path}, Exception, "config.json|checkpoint"),
        ({"args": ["--nope"]}, ValueError, "--nope"),
        ({"args": "--shard 0/8"}, TypeError, "args is '--shard 0/8'; a list of strings"),
        ({"args": [5]}, TypeError, "args has 5, which is int"),
        ({"columns": [5]}, TypeError, "columns names 5, which is int"),
        ({"server": "grpc://127.0.0.1:1", "timeout": 0.2}, ConnectionError, "127.0.0.1:1"),
        ({"server": "nowhere"}, ValueError, "no address"),
    ]:
        with pytest.raises(kind, match=said):
            textflight.score_parquet(reviews, out, "text", **options)
    running = serve("--api-token", "hush-hush")
    with pytest.raises(PermissionError, match="token"):
        textflight.score_parquet(reviews, out, "text", server=f"grpc://{running.flight}", token="hush-hus")
    assert textflight.score_parquet(reviews, out, "text", server=f"grpc://{running.flight}", token="hush-hush")["rows"] == 872
    out.unlink()
    assert not list(tmp_path.glob("out*")), "nothing is left of what failed"


@pytest.fixture
def long(dev_texts, tmp_path):
    """A file that takes long, and where its scores go."""
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": [f"{text} {i}" for i in range(60) for text in dev_texts]}), source)
    return source, tmp_path / "out.parquet"


def test_control_c_stops_the_command(long):
    source, out = long
    call = 'textflight.score_parquet(sys.argv[1], sys.argv[2], args=["--threads", "1"], progress=told)'
    assert_interrupted(call, source, out, TEXTFLIGHT_BIN=str(BINARY))
    assert not out.exists()


def commands(out):
    """The commands that write there, by the numbers of their processes."""
    found = []
    for process in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
            if f"--output={out}".encode() in arguments:
                found.append(int(process.name))
    return found


CALL = """
import os, sys, textflight, threading

def told(rows, of):
    if rows:
        print("scores", flush=True)

call = threading.Thread(target=textflight.score_parquet, args=sys.argv[1:], kwargs={"args": ["--threads", "1"], "progress": told})
call.start()
"""


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL", "SIGKILL with a forked child"])
def test_the_command_ends_with_its_caller(long, how):
    """Also where a thread has called, and where a child of the caller lives on."""
    source, out = long
    fork = 'import time\nif os.fork() == 0: print(os.getpid(), flush=True); time.sleep(600)\n' if "forked" in how else ""
    code = CALL + fork + "call.join()"
    with subprocess.Popen([*COMMAND, code, source, out], stdout=subprocess.PIPE, text=True, env=environ()) as caller:
        child = int(caller.stdout.readline()) if fork else None
        try:
            wait_until(lambda: caller.stdout.readline() == "scores\n")
            [command] = commands(out)
            caller.send_signal(signal.Signals[how.split()[0]])
            wait_until(lambda: command not in commands(out), 30, what="the command ends")
            assert not out.exists()
        finally:
            caller.kill()
            if child:
                os.kill(child, signal.SIGKILL)


class Handler(http.server.BaseHTTPRequestHandler):
    """A file, or a range of it."""

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        content, asked = self.server.content, self.headers.get("range")
        begin, _, end = asked.removeprefix("bytes=").partition("-") if asked else ("0", "", "")
        begin, end = (int(begin), int(end or len(content) - 1) + 1) if begin else (len(content) - int(end), len(content))
        part = content[begin:end]
        self.send_response(206 if asked else 200)
        self.send_header("content-length", str(len(part)))
        self.send_header("content-range", f"bytes {begin}-{begin + len(part) - 1}/{len(content)}")
        self.send_header("accept-ranges", "bytes")
        self.send_header("last-modified", "Thu, 26 Nov 2026 12:00:00 GMT")
        self.end_headers()
        if with_body:
            self.wfile.write(part)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def store(content, authority):
    """A file that is read over HTTPS, of a certificate of this authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.content = content
        listener.handle_error, listener.daemon_threads = lambda *_: None, True
        listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.server_port}/in.parquet"
        finally:
            listener.shutdown()
            thread.join()


def test_an_authority_is_for_servers_alone(reviews, tmp_path, serve, monkeypatch):
    """A store has its own, as the environment says; neither counts for the other."""
    servers_, stores_ = Pki(tmp_path), trustme.CA()
    running = serve(*servers_.options())
    ca = tmp_path / "stores.pem"
    stores_.cert_pem.write_to_path(ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    where = {"server": f"grpc+tls://{running.flight}", "timeout": 2}
    with store(reviews.read_bytes(), stores_) as url:
        out = tmp_path / "out.parquet"
        for given in (servers_.ca.cert_pem.bytes(), tmp_path / "ca.pem"):
            assert textflight.score_parquet(url, out, "text", ca=given, **where)["rows"] == 872
            out.unlink()
        with pytest.raises(textflight.Error, match="certificate"):
            textflight.score_parquet(url, out, "text", ca=ca, **where)
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(textflight.Error, match="certificate|https://"):
            textflight.score_parquet(url, out, "text", ca=tmp_path / "ca.pem", **where)
