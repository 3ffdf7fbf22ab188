"""Uploads that no Arrow client sends, and clients that are killed: nothing of them is seen, and nothing stays."""
import signal
import subprocess
import sys
import threading

import grpc
import pyarrow as pa
import pyarrow.flight as fl
import pytest

import flightdata as raw
from client import CALL, assert_serving, texts, wait_until
from uploads import commit, drop, get, names, put, stats

METHOD = "/arrow.flight.protocol.FlightService/DoPut"
BATCH = pa.record_batch({"text": ["fine", "dull", "good"]})
SCHEMA, PLAIN = raw.stream(BATCH)
CODES = pa.record_batch({"text": pa.array(["good", "bad", "good"]).dictionary_encode()})


def path(*names):
    """A descriptor of the kind that carries a path (1)."""
    return b"\x08\x01" + b"".join(raw.field(3, name.encode()) for name in names)


@pytest.fixture
def upload(server):
    """Sends raw messages in one upload; gives back the status and what was told."""
    with grpc.insecure_channel(server.flight) as channel:
        call = channel.stream_stream(METHOD, request_serializer=None, response_deserializer=None)

        def send(messages):
            answers, told = call(iter(messages), timeout=30), []
            try:
                told.extend(answers)
            except grpc.RpcError:
                pass  # The status says it.
            return answers.code(), answers.details(), told

        yield send


def messages(parts, descriptor):
    return [raw.message(header, body, descriptor if i == 0 else None) for i, (header, body) in enumerate(parts)]


def told(*rows):
    """The PutResult messages of these numbers."""
    return [raw.field(1, b'{"rows":%d}' % n) for n in rows]


def nothing_is_kept(client, name="raw"):
    with pytest.raises(KeyError, match="no upload"):
        commit(client, name, 3)
    assert name not in names(client)
    assert_serving(client)


def test_the_messages_themselves_are_good(upload, client):
    assert upload(messages([SCHEMA, PLAIN], path("raw"))) == (grpc.StatusCode.OK, "", told(3))
    commit(client, "raw", 3)
    assert get(client, "raw")["text"].to_pylist() == ["fine", "dull", "good"]
    drop(client, "raw")


@pytest.mark.parametrize("descriptor, said", [
    (None, "no descriptor"), (raw.command(), "carries a command"), (path(), "0 parts"), (path("a", "raw"), "2 parts"),
    (path("raw") + b"\x08\x00", "of no kind"), (path("raw") + b"\x08\x07", "of no kind"), (b"", "of no kind"),
    (path(""), "name"), (path("textflight_raw"), "functions of SQL"), (path("raw\0"), "name"),
], ids=str)
def test_a_descriptor_of_another_kind(upload, client, descriptor, said):
    code, details, _ = upload(messages([SCHEMA, PLAIN], descriptor))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and said in details, details
    nothing_is_kept(client)


def test_no_message_and_no_schema(upload, client):
    for parts, said in [([], "no message"), ([raw.message(descriptor=path("raw"))], "before its schema"),
                        ([raw.message(descriptor=path("raw")), raw.message(app_metadata=b"x")], "before its schema")]:
        code, details, _ = upload(parts)
        assert code == grpc.StatusCode.INVALID_ARGUMENT and said in details, details
        nothing_is_kept(client)


def test_messages_in_the_wrong_order(upload, client):
    codes_schema, dictionary, coded = raw.stream(CODES)
    for parts, said in [([PLAIN, SCHEMA], "a message before the schema"), ([SCHEMA, PLAIN, SCHEMA], "second schema"),
                        ([codes_schema, coded], "out of bounds"), ([dictionary, codes_schema], "a message before the schema")]:
        code, details, _ = upload(messages(parts, path("raw")))
        assert code == grpc.StatusCode.INVALID_ARGUMENT and said.lower() in details.lower(), details
        nothing_is_kept(client)


def test_garbage(upload, client):
    for parts in [[(b"\xff" * 64, b"")], [SCHEMA, (b"this is not a flatbuffer", b"")], [SCHEMA, (PLAIN[0], PLAIN[1][:8])]]:
        code, details, _ = upload(messages(parts, path("raw")))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, details
        nothing_is_kept(client)
    assert upload([b"\xff\xff\xff"])[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_metadata_without_data_is_passed_over(upload, client):
    """As C++ sends the descriptor, and `write_metadata` what it writes."""
    parts = [raw.message(descriptor=path("raw")), raw.message(*SCHEMA), raw.message(app_metadata=b"x"),
             raw.message(*PLAIN, app_metadata=b"y"), raw.message(app_metadata=b"z"), raw.message(*PLAIN)]
    assert upload(parts) == (grpc.StatusCode.OK, "", told(3, 6))
    commit(client, "raw", 6)
    drop(client, "raw")


def test_no_rows_and_no_columns(upload, client):
    for batch, rows in [(BATCH.slice(0, 0), 0), (pa.RecordBatch.from_struct_array(pa.array([{}] * 4, pa.struct([]))), 4)]:
        assert upload(messages(raw.stream(batch), path("raw")))[::2] == (grpc.StatusCode.OK, told(rows))
        assert upload(messages(raw.stream(batch)[:1], path("raw")))[::2] == (grpc.StatusCode.OK, told(0))
        commit(client, "raw", 0)
        drop(client, "raw")


def test_dictionaries_that_change_and_bodies_that_are_compressed(client):
    batches = [pa.record_batch({"text": pa.array(words).dictionary_encode()}) for words in (["a", "b"], ["c"], ["c", "d", "c"], ["a"])]
    for codec in [None, "lz4", "zstd"]:
        options = fl.FlightCallOptions(timeout=60, write_options=pa.ipc.IpcWriteOptions(compression=codec))
        writer, _ = client.do_put(fl.FlightDescriptor.for_path("codes"), batches[0].schema, options)
        with writer:
            for batch in batches:
                writer.write_batch(batch)
        commit(client, "codes", 7)
        got = get(client, "codes")["text"]
        assert got.type == batches[0].schema.field("text").type
        assert got.to_pylist() == ["a", "b", "c", "c", "d", "c", "a"]
        drop(client, "codes")


def test_an_exception_in_the_writer_is_no_whole_upload(client):
    """Python half-closes: to the server that is an end like any other, and the number of rows tells."""
    with pytest.raises(ZeroDivisionError):
        writer, _ = client.do_put(fl.FlightDescriptor.for_path("half"), BATCH.schema, CALL)
        with writer:
            writer.write_batch(BATCH)
            raise ZeroDivisionError
    with pytest.raises(pa.ArrowInvalid, match="has 3 rows, and the commit says 6"):
        commit(client, "half", 6)
    nothing_is_kept(client, "half")


def test_a_call_that_is_cancelled_leaves_nothing(server, client):
    before = stats(client)
    with grpc.insecure_channel(server.flight) as channel:
        call = channel.stream_stream(METHOD, request_serializer=None, response_deserializer=None)
        for sent in range(4):
            ends = threading.Event()

            def some():
                yield from messages([SCHEMA, PLAIN, PLAIN, PLAIN], path("raw"))[:sent + 1]
                ends.wait(30)

            answers = call(some(), timeout=30)
            if sent:
                next(answers)
            answers.cancel()
            ends.set()
            wait_until(lambda: stats(client)["uploads_open"] == before["uploads_open"])
            nothing_is_kept(client)
    assert stats(client)["spool_bytes"] == before["spool_bytes"]


KILLED = """
import os, sys
import pyarrow as pa, pyarrow.flight as fl
client = fl.connect(f"grpc://{sys.argv[1]}")
moment = int(sys.argv[2])
batch = pa.record_batch({"text": ["fine"] * 1000, "payload": [bytes(1024)] * 1000})
def here(number):
    if number == moment:
        print("here", flush=True)
        sys.stdin.read()
writer, told = client.do_put(fl.FlightDescriptor.for_path("killed"), batch.schema)
here(0)
writer.write_batch(batch)
told.read()
here(1)
for _ in range(20):
    writer.write_batch(batch)
here(2)
writer.done_writing()
here(3)
writer.close()
here(4)
"""


@pytest.mark.parametrize("moment", range(5))
def test_a_client_that_is_killed_leaves_nothing_half_visible(serve, connect_to, tmp_path, moment):
    """At its beginning, between batches, behind the last, behind its end, and before its commit, when it is whole and unseen."""
    running = serve("--upload-memory", "64KiB", "--upload-expiry", "2", "--spool-dir", str(tmp_path))
    client = connect_to(running)
    killed = subprocess.Popen([sys.executable, "-c", KILLED, running.flight, str(moment)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert killed.stdout.readline() == b"here\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdin.close()
    killed.stdout.close()
    wait_until(lambda: stats(client)["uploads_open"] == 0)
    assert names(client) == []
    wait_until(lambda: stats(client)["uploads_staged"] == 0)
    wait_until(lambda: (stats(client)["spool_bytes"], stats(client)["exchanges_open"]) == (0, 0))
    put(client, "killed", texts("a"))
    commit(client, "killed", 1)


def test_staged_data_leave_room_for_others(serve, connect_to):
    """More is uploaded than requests may hold in memory, and small ones go on."""
    client = connect_to(serve("--memory-limit", "32MiB", "--max-uploads", "4"))
    table = pa.table({"text": ["fine"] * 640, "payload": [bytes(64 * 1024)] * 640})
    for name in "abc":
        put(client, name, table, 16)
        assert_serving(client)
    now = stats(client)
    assert now["spool_bytes"] > 100 * 1024 * 1024 > now["memory_limit_bytes"]
    # What this call itself takes is among it.
    assert now["memory_bytes"] <= 1024 * 1024
    commit(client, "a", 640)
