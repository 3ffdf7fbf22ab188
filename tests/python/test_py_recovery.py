"""Servers that are not there, go, come back or keep still, under a stream of the Python package's."""
import signal
import socket
import threading
import time

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import server as servers
import textflight
from client import take_place, texts, wait_until
from textflight import _run
from uploads import stats

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
ROWS = 400


def address(running):
    return f"grpc://{running.flight}"


def batch(number):
    ids = range(number * ROWS, (number + 1) * ROWS)
    return pa.record_batch([pa.array(ids, pa.int64()), pa.array([f"film number {i} is fine" for i in ids])], SCHEMA)


class Killed(servers.Server):
    """One that a test may kill."""

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def end(self):
        """Whatever has become of it."""
        if not self.process.stdout.closed:
            self.kill()


@pytest.fixture
def killable(tmp_path):
    started = []

    def start(*options, flight="127.0.0.1:0"):
        started.append(Killed(tmp_path / f"killable{len(started)}", *options, flight=flight))
        return started[-1]

    yield start
    for running in started:
        running.end()


@pytest.fixture
def free_address():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def stream(client, batches=24, at=lambda number: None, **options):
    """Scores so many batches; `at` is called before each is given."""

    def made():
        for number in range(batches):
            at(number)
            yield batch(number)

    return client.score_reader(SCHEMA, made(), "text", **options)


def expected(server, batches=24):
    with textflight.Client(address(server)) as client:
        return stream(client, batches).read_all()


def test_a_server_that_is_killed_and_comes_back_costs_no_rows(server, killable):
    running = [killable()]

    def kill(number):
        if number in (5, 20):
            running[-1].kill()
            running.append(killable(flight=running[-1].flight))

    with textflight.Client(address(running[0])) as client:
        assert stream(client, at=kill).read_all() == expected(server)
    assert len(running) == 3


def test_one_of_several_that_is_killed_costs_no_rows(server, killable):
    several = [killable(), killable()]
    with textflight.Client([address(one) for one in several]) as client:
        scored = stream(client, at=lambda number: several[0].kill() if number == 20 else None).read_all()
        assert scored == expected(server)
        assert client.score(batch(0)) == scored.to_batches()[0], "a later call asks the one that is left"


def test_work_is_shared_among_several(server, killable):
    several = [killable(), killable()]
    with textflight.Client([address(one) for one in several]) as client:
        assert stream(client).read_all() == expected(server)
    assert all("an exchange ended" in one.log.read_text() for one in several)


def test_one_that_is_not_there_from_the_start_does_no_harm(server, free_address):
    with textflight.Client([f"grpc://{free_address}", address(server)]) as client:
        assert stream(client, 3).read_all().num_rows == 3 * ROWS


def test_no_server_at_the_address(free_address):
    began = time.monotonic()
    for call in (lambda: textflight.score(["a"], server=f"grpc://{free_address}"), lambda: textflight.Client([f"grpc://{free_address}"]).info()):
        with pytest.raises(textflight.ConnectError, match=f"grpc://{free_address}: .*[Cc]onnect") as raised:
            call()
        assert isinstance(raised.value, ConnectionError)
    assert time.monotonic() - began < 20, "it is not waited for"


def test_a_server_that_is_killed_and_stays_away(killable):
    running = killable()
    with textflight.Client(address(running), timeout=2) as client:
        with pytest.raises(ConnectionError, match=f"grpc://{running.flight}: "):
            stream(client, at=lambda number: running.kill() if number == 5 else None).read_all()


def test_a_server_that_was_stopped_is_done_by_another(server, killable):
    """SIGTERM: what has begun may finish, and what comes then goes elsewhere."""
    running = killable()
    with textflight.Client([address(running), address(server)]) as client:
        scored = stream(client, at=lambda number: running.terminate() if number == 10 else None).read_all()
    assert scored == expected(server)
    assert running.process.wait(60) == 0


def test_a_server_that_keeps_still(killable):
    running = killable()
    with textflight.Client(address(running), timeout=1) as client:
        client.info()
        running.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError, match=rf"no answer from grpc://{running.flight} in 1 s \(timeout\)"):
                stream(client).read_all()
        finally:
            running.process.send_signal(signal.SIGCONT)


def test_a_server_without_room_is_waited_for(serve, connect_to):
    running = serve("--max-exchanges", "1")
    held, told = take_place(connect_to(running), texts("a"))
    with textflight.Client(address(running)) as client:
        timer = threading.Timer(0.5, told.cancel)
        timer.start()
        assert stream(client, 3).read_all().num_rows == 3 * ROWS
        timer.join()
    with pytest.raises((pa.ArrowException, OSError)):
        held.close()


def test_a_stream_that_nobody_reads_for_a_while(serve, monkeypatch):
    """The server ends what is idle, and is asked again; the time that a reader takes is none that a server kept still."""
    monkeypatch.setattr(_run, "_ROWS_AHEAD", 1000)
    running = serve("--exchange-idle-timeout", "1")
    with textflight.Client(address(running), timeout=2) as client:
        reader = stream(client, 20)
        rows = reader.read_next_batch().num_rows
        with fl.connect(address(running)) as other:
            wait_until(lambda: stats(other)["exchanges_open"] == 0)
        time.sleep(2.5)  # Longer than the client's own patience: it does not begin to run for what it has not been asked.
        assert rows + reader.read_all().num_rows == 20 * ROWS


def test_a_server_that_comes_back_with_another_model(killable):
    running = [killable()]

    def replace(number):
        if number == 5:
            running[0].kill()
            running.append(killable("--max-length", "64", flight=running[0].flight))

    with textflight.Client(address(running[0])) as client:
        with pytest.raises(ValueError, match="serves another model than before.*its max_length is 64, not 128"):
            stream(client, at=replace).read_all()


def test_servers_of_different_models(server, serve):
    other = serve("--max-length", "64")
    with textflight.Client([address(server), address(other)]) as client:
        with pytest.raises(ValueError, match="max_length"):
            stream(client).read_all()


def test_what_is_not_a_flight_server(server):
    with pytest.raises(ValueError, match=f"grpc://{server.http}: .*404.*Flight port"):
        textflight.score(["a"], server=server.http)
    with pytest.raises(ConnectionError):
        textflight.score(["a"], server=f"grpc+tls://{server.flight}")
