"""All that clients have the server hold comes out of one budget, and goes back to the system when they are gone."""
import concurrent.futures
import http.client
import json
import pathlib
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from client import CALL, NEW_COLUMNS, assert_serving, close, descriptor, score, score_in_turn, take_place, texts, wait_until
from conftest import connect
from rest import NDJSON, PARQUET, parquet, post, refused
from uploads import commit, put, stats

MIB = 1024 * 1024
# Less what predictions and files may keep (uploads keep nothing), and what small requests have for themselves, 136 MiB are left.
LIMIT = 192 * MIB
# Beside the budget: what the model works with, threads, and the buffers of connections.
BESIDE = 96 * MIB


def small(stall):
    """A small budget, and how long a client may stall, in seconds."""
    return "--memory-limit", f"{LIMIT // MIB}MiB", "--stall-timeout", str(stall), "--upload-memory", "0"


@pytest.fixture
def bounded(serve, connect_to):
    """A server with a small budget that has scored something, and what it had resident then."""
    running = serve(*small(stall=3))
    score(connect_to(running), texts(*[f"a film about {i} dogs" for i in range(64)]))
    return running, resident(running)


def resident(running):
    status = pathlib.Path(f"/proc/{running.process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def assert_given_back(running, before, seconds=20):
    """The system has the memory again, though the server was not asked for anything since."""
    deadline = time.monotonic() + seconds
    while (now := resident(running)) > before + 48 * MIB:
        assert time.monotonic() < deadline, f"{now / MIB:.0f} MiB are resident, {before / MIB:.0f} were"
        time.sleep(0.1)


def assert_bounded(running, before):
    peak = running.peak_memory()
    assert peak < before + LIMIT + BESIDE, f"{peak / MIB:.0f} MiB at the peak, {before / MIB:.0f} before"


def wide(mib, rows=64):
    """A batch of so many MiB, with little to score."""
    payload = pa.scalar(bytes(mib * MIB // rows), pa.binary())
    return pa.table({"text": [f"a fine film, number {i}" for i in range(rows)], "payload": pa.repeat(payload, rows)})


def hold(running, length, sent=0):
    """An upload that has its place in the budget: the server goes on to ask for the body only then."""
    return Upload(running, length, sent, expect=True)


class Upload:
    """A request over a socket, of which only a part is sent."""

    def __init__(self, running, length, sent, path="/predictions", chunked=False, expect=False):
        host, port = running.http.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        framing = "transfer-encoding: chunked" if chunked else f"content-length: {length}"
        framing += "\r\nexpect: 100-continue" if expect else ""
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{framing}\r\n\r\n".encode())
        if expect:
            head = self.socket.recv(65536)
            assert head.startswith(b"HTTP/1.1 100"), head
        try:
            for _ in range(sent // MIB):
                self.socket.sendall(f"{MIB:x}\r\n".encode() + b" " * MIB + b"\r\n" if chunked else b" " * MIB)
        except OSError:
            pass  # Refused; the answer says why.

    def answer(self):
        """The head of the answer."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.socket.recv(65536)
            assert piece, f"no answer but {head!r}"
            head += piece
        self.socket.close()
        return head.decode().lower()

    def is_answered(self):
        self.socket.settimeout(0.05)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(30)


def predict(running, text, path="/predictions", **more):
    request = urllib.request.Request(
        f"http://{running.http}{path}", json.dumps({"input": {"texts": text}, **more}).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("chunked", [False, True])
def test_many_connections_that_hold_large_bodies(bounded, chunked):
    running, before = bounded
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        uploads = list(threads.map(lambda _: Upload(running, 20 * MIB, 19 * MIB, chunked=chunked), range(16)))
    refused = [upload for upload in uploads if upload.is_answered()]
    assert refused and (chunked or len(refused) < 16), "some find room, and all of them do not"
    for upload in refused:
        head = upload.answer()
        assert head.startswith("http/1.1 409") and "retry-after: " in head, head
    assert predict(running, '["I hate apple"]')["status"] == "succeeded"
    assert_bounded(running, before)
    for upload in uploads:
        upload.socket.close()
    assert_given_back(running, before)
    assert predict(running, "a" * 20 * MIB)["status"] == "succeeded"


def test_replicate_is_told_to_come_again(bounded):
    running, _ = bounded
    held = hold(running, 25 * MIB, MIB)
    refused = Upload(running, 25 * MIB, 0, "/v1/predictions").answer()
    assert refused.startswith("http/1.1 503") and "retry-after: " in refused and "problem+json" in refused, refused
    held.socket.close()


def test_a_body_that_no_budget_would_do_for(bounded):
    running, _ = bounded
    assert Upload(running, 90 * MIB, 0).answer().startswith("http/1.1 413")


def test_a_body_that_trickles_is_given_up(bounded):
    running, _ = bounded
    held = hold(running, 25 * MIB)
    assert Upload(running, 25 * MIB, 0).answer().startswith("http/1.1 409")
    assert held.answer().startswith("http/1.1 408")  # after ten seconds
    assert predict(running, "a" * 20 * MIB)["status"] == "succeeded"


def test_many_exchanges_with_large_batches_wait_for_one_another(bounded):
    """Each gets all of its rows; then they stay open and say nothing, as a notebook does, and hold nothing."""
    running, before = bounded
    table = wide(24)
    opened = threading.Barrier(13)

    def exchange(_):
        with connect(running) as client:
            writer, reader = client.do_exchange(descriptor(), CALL)
            writer.begin(table.schema)
            pump = threading.Thread(target=writer.write_table, args=[table])
            pump.start()
            rows = reader.read_chunk().data.num_rows
            pump.join()
            opened.wait(60)
            opened.wait(60)
            writer.done_writing()
            close(writer)
            return rows

    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        exchanges = threads.map(exchange, range(12))
        opened.wait(60)
        assert_bounded(running, before)
        assert_given_back(running, before)
        assert predict(running, '["I hate apple"]')["status"] == "succeeded"
        opened.wait(60)
        assert list(exchanges) == [table.num_rows] * 12
    assert_given_back(running, before)


def test_a_table_that_waits_holds_up_nobody_who_is_small(serve, connect_to):
    running = serve(*small(stall=30))
    held = hold(running, 25 * MIB, MIB)
    waiting = threading.Thread(target=lambda: score(connect_to(running), wide(24), max_chunksize=None))
    waiting.start()
    # So that it stands in line before the small ones come.
    time.sleep(0.3)
    assert_serving(connect_to(running))
    assert predict(running, '["I hate apple"]')["status"] == "succeeded"
    assert waiting.is_alive()
    held.socket.close()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_batch_that_no_budget_would_do_for(bounded, connect_to):
    running, _ = bounded
    client = connect_to(running)
    with pytest.raises(pa.ArrowInvalid, match="--memory-limit"):
        score_in_turn(client, wide(80))
    assert_serving(client)


@pytest.mark.parametrize("table", [
    pa.table({"text": pa.nulls(20_000_000)}),
    pa.table({"text": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), 5_000_000), ["a" * MIB])}),
    pa.table({"text": pa.RunEndEncodedArray.from_arrays(pa.array([20_000_000], pa.int32()), ["a" * MIB])}),
    pa.table({"text": pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int64()), ["fine"])}),
    pa.table({"text": pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), pa.nulls(20_000_000))}),
    pa.table({"text": pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), pa.RunEndEncodedArray.from_arrays(pa.array([20_000_000], pa.int32()), ["fine"]))}),
    pa.table({"text": pa.FixedSizeListArray.from_arrays(pa.nulls(20_000_000), 20_000_000)}),
], ids=["nulls", "dictionary", "runs", "a run of two milliards", "lists of nulls", "lists of runs", "a list of one length"])
def test_rows_of_few_bytes_are_counted(bounded, connect_to, table):
    """A small message of which much would be made."""
    running, before = bounded
    client = connect_to(running)
    with pytest.raises(pa.ArrowInvalid, match="--memory-limit"):
        score_in_turn(client, table, text="text")
    assert_bounded(running, before)
    assert_serving(client)


def test_texts_of_few_bytes_are_counted(bounded):
    """4 MiB of JSON of which a hundred times as much would be made."""
    running, before = bounded
    with pytest.raises(urllib.error.HTTPError) as refused:
        predict(running, "[" + "1," * (2 * MIB) + "1]")
    refused.value.close()
    assert refused.value.code in (409, 413)
    assert_bounded(running, before)


def test_metadata_is_counted_and_echoed(bounded, connect_to):
    running, before = bounded
    table = texts("fine")
    writer, reader = take_place(connect_to(running), table)
    metadata = bytes(24 * MIB)
    thread = threading.Thread(target=lambda: writer.write_with_metadata(table.to_batches()[0], metadata))
    thread.start()
    chunk = reader.read_chunk()
    thread.join()
    assert chunk.data.schema.names == ["text", *NEW_COLUMNS] and chunk.app_metadata.to_pybytes() == metadata
    writer.done_writing()
    close(writer)
    assert_bounded(running, before)


def test_many_large_tables_over_http(bounded):
    """Some find room and are scored, the others are told so, or break off; then all is given back."""
    running, before = bounded
    line = json.dumps({"text": "a fine film", "pad": "x" * 12 * MIB}).encode() + b"\n"
    packed = parquet(pa.table({"text": ["a fine film " * (MIB // 2)] * 2 + ["dull"], "n": [1, 2, 3]}), compression="zstd", use_dictionary=False)
    bodies = [(line * 2, NDJSON), (packed, PARQUET)]

    def ask(number):
        body, kind = bodies[number % 2]
        try:
            return post(running, {"text": "text"}, body, kind)[0]
        except (http.client.IncompleteRead, ConnectionError):
            return "broken off"

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(32)))
    assert set(answers) <= {200, 503, "broken off"}, answers
    assert_bounded(running, before)
    assert_given_back(running, before)
    assert [ask(number) for number in range(2)] == [200, 200]


def test_a_file_that_unpacks_to_more_than_there_is(bounded):
    running, before = bounded
    packed = parquet(pa.table({"text": ["a" * 80 * MIB]}), compression="zstd", use_dictionary=False)
    assert len(packed) < MIB
    status, detail = refused(running, {"text": "text"}, packed, PARQUET)
    assert status == 413 and "--memory-limit" in detail
    assert_bounded(running, before)
    assert_given_back(running, before)


def test_clients_that_never_read_hold_nothing_for_long(bounded, connect_to):
    """Of exchanges and of data sets: each is let go, with what is held for it."""
    running, before = bounded
    client = connect_to(running)
    table = wide(60, 3840)
    put(client, "unread", table, 256)
    commit(client, "unread", table.num_rows)
    info = client.get_flight_info(descriptor(data="unread", partitions=1), CALL)
    unread, pumps = [], []
    patient = fl.FlightCallOptions(timeout=600)

    def pump(writer):
        try:
            writer.write_table(table, max_chunksize=64)
        except (pa.ArrowException, OSError):
            pass  # Let go.

    for number in range(12):
        # A connection of its own: clients of one share its window.
        other = connect_to(running)
        if number % 2:
            unread.append(other.do_get(info.endpoints[0].ticket, patient))
        else:
            writer, reader = other.do_exchange(descriptor(columns=["text", "payload"]), patient)
            writer.begin(table.schema)
            pumps.append(threading.Thread(target=pump, args=[writer]))
            pumps[-1].start()
            unread.append(reader)
    wait_until(lambda: stats(client)["exchanges_open"] == 0, 60)
    wait_until(lambda: stats(client)["memory_bytes"] < MIB)
    assert_bounded(running, before)
    assert_serving(client)
    for reader in unread:
        reader.cancel()
    for thread in pumps:
        thread.join()
    assert_given_back(running, before + 16 * MIB)
