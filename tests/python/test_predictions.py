"""Predictions against a process of its own: asynchronous ones, webhooks, the end, and what a careless client sends."""
import concurrent.futures
import http.server
import json
import socket
import threading

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import server as servers
from client import wait_until
from predictions import asynchronous, body, call


@pytest.fixture
def receiver():
    """A server that webhooks call: its address, and what it heard."""
    heard = []

    class Hears(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hears) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/", heard
        listening.shutdown()
        thread.join()


def test_webhooks_hear_of_an_asynchronous_prediction(server, receiver):
    url, heard = receiver
    assert asynchronous(server, body('["a joy"]', id="hooked", webhook=url)) == (202, {"id": "hooked", "status": "starting"})
    wait_until(lambda: len(heard) == 3)
    assert [event["status"] for event in heard] == ["processing", "processing", "succeeded"]
    assert heard[1]["output"] == [heard[2]["output"]]
    assert call(server, "/predictions/hooked")[1]["output"] == heard[2]["output"]


def test_what_runs_when_the_end_comes_finishes_and_is_told(serve, receiver):
    url, heard = receiver
    server = serve()
    many = json.dumps([f"a film of {n} parts" for n in range(5_000)])
    assert asynchronous(server, body(many, id="last", webhook=url))[0] == 202
    assert call(server, "/shutdown", b"") == (200, {})
    assert server.process.wait(servers.STOP_SECONDS) == 0
    assert heard[-1]["status"] == "succeeded" and len(heard[-1]["output"]["confidences"]) == 5_000


def test_a_client_that_hangs_up_cancels(server):
    many = json.dumps([f"a film of {n} parts" for n in range(50_000)])
    data = json.dumps(body(many, id="left alone")).encode()
    with socket.create_connection(server.http.split(":"), timeout=60) as line:
        line.sendall(f"POST /predictions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        wait_until(lambda: call(server, "/predictions/left%20alone")[1].get("status") == "processing")
    wait_until(lambda: call(server, "/predictions/left%20alone")[1]["status"] == "canceled", seconds=5)


def test_requests_that_never_come_to_an_end_leave_the_others_alone(server):
    lines = [socket.create_connection(server.http.split(":"), timeout=60) for _ in range(50)]
    for number, line in enumerate(lines):
        head = "POST /predictions HTTP/1.1\r\nHost: a\r\n"
        line.sendall((head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"inp" if number % 2 else head).encode())
    assert call(server, "/predictions", body("after"))[1]["status"] == "succeeded"
    for line in lines:
        line.close()


def test_ten_thousand_at_once(serve):
    server = serve("--max-concurrent-predictions", "100")
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda n: asynchronous(server, body(f"text {n}", id=f"many-{n}")), range(10_000)))
    taken = {answer["id"] for status, answer in answers if status == 202}
    refused = [answer for status, answer in answers if status == 409]
    assert len(taken) + len(refused) == 10_000
    assert all(answer["error"] == "At capacity - all prediction slots busy" for answer in refused)
    wait_until(lambda: call(server, "/health-check")[1]["status"] == "READY")
    assert call(server, "/predictions", body("after"))[1]["status"] == "succeeded"
    assert server.peak_memory() < 300 * 2**20


def test_a_million_texts_and_a_text_of_ten_megabytes(serve):
    server = serve()
    status, answer = call(server, "/predictions", body(json.dumps(["fine"] * 1_000_000)))
    assert (status, len(answer["output"]["predicted_labels"])) == (200, 1_000_000)
    status, answer = call(server, "/predictions", body("good " * 2_000_000))
    assert (status, len(answer["output"]["predicted_labels"])) == (200, 1)


def test_cog_s_variables(tmp_path, monkeypatch, receiver):
    url, heard = receiver
    monkeypatch.setenv("COG_MAX_CONCURRENCY", "1")
    monkeypatch.setenv("WEBHOOK_AUTH_TOKEN", "secret")
    monkeypatch.setenv("COG_LOG_LEVEL", "warning")
    with servers.serving(tmp_path / "log") as server:
        assert server.log.read_text() == "", "it says at level info that the model is loaded"
        many = json.dumps([f"a film of {n} parts" for n in range(50_000)])
        assert asynchronous(server, body(many, id="long", webhook=url))[0] == 202
        assert call(server, "/health-check")[1]["status"] == "BUSY"
        assert call(server, "/predictions", body("a"))[0] == 409
        assert call(server, "/predictions/long/cancel", b"") == (200, {})
        wait_until(lambda: heard[-1:] and heard[-1]["status"] == "canceled")
        assert call(server, "/predictions/long")[1]["status"] == "canceled"
        assert call(server, "/predictions/long/cancel", b"")[0] == 404


def test_a_token_guards_flight_too(serve, connect_to):
    client = connect_to(serve("--api-token", "secret"))
    table = pa.table({"text": ["a joy"]})

    def exchange(options):
        writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(b"{}"), options)
        with writer:
            writer.begin(table.schema)
            writer.write_table(table)
            writer.done_writing()
            return reader.read_all()

    bearer = fl.FlightCallOptions(headers=[(b"authorization", b"Bearer secret")])
    assert exchange(bearer)["label"].to_pylist() == ["POSITIVE"]
    for options in [fl.FlightCallOptions(), fl.FlightCallOptions(headers=[(b"authorization", b"Bearer wrong")])]:
        with pytest.raises(fl.FlightUnauthenticatedError, match="token"):
            exchange(options)
