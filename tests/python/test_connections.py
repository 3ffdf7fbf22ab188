"""Connections that lie idle: a notebook's is told to go and comes again, and nobody notices."""
import http.client
import os
import time

import pyarrow.flight as fl
import pytest

from client import CALL, assert_serving, descriptor, finish, texts


def sockets(running):
    """How many sockets the server has open."""
    folder = f"/proc/{running.process.pid}/fd"
    targets = []
    for name in os.listdir(folder):
        try:
            targets.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            pass  # Closed meanwhile.
    return sum(target.startswith("socket:") for target in targets)


def wait_for_sockets(running, number):
    deadline = time.monotonic() + 30
    while sockets(running) > number:
        assert time.monotonic() < deadline, f"{sockets(running)} sockets are open, not {number}"
        time.sleep(0.02)


def test_an_idle_notebook_comes_again_unasked(serve, connect_to):
    running = serve("--idle-timeout", "0.3")
    before = sockets(running)
    client = connect_to(running)
    for _ in range(3):
        assert_serving(client)
        assert sockets(running) == before + 1
        wait_for_sockets(running, before)


def test_an_exchange_that_rests_is_not_idle(serve, connect_to):
    client = connect_to(serve("--idle-timeout", "0.2"))
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.begin(texts("a").schema)
    for _ in range(2):
        writer.write_table(texts("a"))
        assert reader.read_chunk().data.num_rows == 1
        time.sleep(0.5)  # The pause is what is tested.
    finish(writer, reader)
    assert_serving(client)


def test_an_exchange_that_says_nothing_is_ended(serve, connect_to):
    running = serve("--stall-timeout", "0.3", "--max-exchanges", "1")
    client = connect_to(running)
    # pyarrow sends the descriptor at once, and then nothing.
    writer, reader = client.do_exchange(descriptor(), CALL)
    with pytest.raises(fl.FlightTimedOutError, match="no schema came within 0.3 s .--stall-timeout"):
        reader.read_all()
    assert_serving(client)
    with pytest.raises(fl.FlightTimedOutError):
        writer.close()


def test_http_clients_keep_their_connection_for_a_while(serve):
    running = serve("--idle-timeout", "1", "--handshake-timeout", "0.2")
    before = sockets(running)
    client = http.client.HTTPConnection(running.http, timeout=60)
    for _ in range(3):
        client.request("GET", "/health-check")
        assert client.getresponse().read()
        time.sleep(0.4)  # Longer than the handshake may take: it is over.
    assert sockets(running) == before + 1
    wait_for_sockets(running, before)
    client.close()
