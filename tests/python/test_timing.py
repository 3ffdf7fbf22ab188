"""How long an exchange's rows waited and were computed, in its trailers, as pyarrow's middleware and grpcio read them."""
import re
import subprocess
import sys
import threading

import grpc
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import flightdata as raw
import server as servers
from client import score, texts
from metrics import BULK, Deltas

QUEUE, COMPUTE = "x-textflight-queue-seconds", "x-textflight-compute-seconds"


class Middleware(fl.ClientMiddleware):
    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def received_headers(self, headers):
        """Called for the headers, and again for the trailers."""
        self.heard.append(headers)


class Listener(fl.ClientMiddlewareFactory):
    """Keeps the headers and trailers of each call."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def start_call(self, info):
        return Middleware(self.heard)

    def seconds(self):
        """Both times of the last call."""
        said = [{name: values[0] for name, values in headers.items()} for headers in self.heard]
        [times] = [headers for headers in said if QUEUE in headers]
        self.heard.clear()
        return float(times[QUEUE]), float(times[COMPUTE])


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def alone(serve, listener):
    """A server that nobody else asks, and its client."""
    running = serve("--threads", "1")
    with fl.FlightClient(f"grpc+tcp://{running.flight}", middleware=[listener]) as client:
        yield running, client


def test_times_are_those_of_the_metrics(alone, listener):
    running, client = alone
    counted = Deltas(running)
    score(client, texts(*(f"film number {number}" for number in range(200))), max_chunksize=50)
    queue, compute = listener.seconds()
    assert counted["queue_seconds_count", BULK] == 4
    assert 0 < queue == pytest.approx(counted["queue_seconds_sum", BULK], abs=1e-5)
    assert 0 < compute == pytest.approx(counted["compute_seconds_sum", BULK], abs=1e-4)


def test_what_is_not_scored_takes_no_time(alone, listener):
    _, client = alone
    assert score(client, texts(None, None)).num_rows == 2
    assert listener.seconds() == (0, 0)


def test_an_error_has_them_too(alone, listener):
    _, client = alone
    with pytest.raises(pa.ArrowInvalid):
        score(client, texts("a"), nonsense=True)
    assert listener.seconds() == (0, 0)


def test_what_was_scored_before_an_error_counts(alone):
    running, _ = alone
    schema, batch = raw.stream(pa.record_batch({"text": ["a fine film"]}))
    scored = threading.Event()

    def parts():
        yield from raw.messages([schema, batch])
        assert scored.wait(30)
        yield raw.message(b"garbage", b"")

    with grpc.insecure_channel(running.flight) as channel:
        call = channel.stream_stream(raw.METHOD, request_serializer=None, response_deserializer=None)(parts(), timeout=60)
        next(call), next(call)
        scored.set()
        with pytest.raises(grpc.RpcError):
            next(call)
        trailers = dict(call.trailing_metadata())
    assert call.code() == grpc.StatusCode.INVALID_ARGUMENT and trailers["x-textflight-error"] == "invalid"
    assert float(trailers[QUEUE]) > 0 and float(trailers[COMPUTE]) > 0


def test_calls_that_score_nothing_do_not_say(alone, listener):
    _, client = alone
    list(client.list_actions())
    assert not any(QUEUE in headers for headers in listener.heard)


def test_a_data_set_has_them(serve, listener, tmp_path):
    pq.write_table(texts("a fine film", "dull"), tmp_path / "films.parquet")
    running = serve("--threads", "1", "--data", f"films={tmp_path / 'films.parquet'}")
    with fl.FlightClient(f"grpc+tcp://{running.flight}", middleware=[listener]) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_path("films"))
        counted = Deltas(running)
        assert client.do_get(info.endpoints[0].ticket).read_all().num_rows == 2
        queue, compute = listener.seconds()
    assert counted["rows_total", BULK] == 2
    assert 0 < queue == pytest.approx(counted["queue_seconds_sum", BULK], abs=1e-5)
    assert 0 < compute == pytest.approx(counted["compute_seconds_sum", BULK], abs=1e-4)
    done = {"port": "flight", "code": "OK"}
    assert counted["requests_total", done | {"route": "DoGet"}] == 1


def test_the_snippet_of_the_documents_prints_both(server):
    document = (servers.REPOSITORY / "docs/operations.md").read_text()
    [snippet] = re.findall(r"^```python\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    code = snippet.replace("127.0.0.1:8815", server.flight)
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    for name in [QUEUE, COMPUTE]:
        assert re.search(rf"^{name} \d+\.\d{{6}}$", printed, re.MULTILINE), printed
