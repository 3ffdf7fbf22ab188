"""Bounds of the Flight port as clients meet them: compression, headers, floods of frames, deadlines, the end of the server."""
import http.client
import socket
import time

import grpc
import pyarrow as pa
import pyarrow.flight as fl
import pytest

import flightdata as raw
import server as servers
from client import assert_kept, assert_serving, close, descriptor, score, score_in_turn, take_place, texts

TABLE = pa.table({"id": range(20_000), "text": ["a fine film", "dull , dull"] * 10_000})


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_batches_that_arrow_compresses(client, codec):
    plain = score(client, TABLE)
    options = fl.FlightCallOptions(timeout=60, write_options=pa.ipc.IpcWriteOptions(compression=codec))
    packed = score(client, TABLE, call=options)
    assert_kept(packed, TABLE)
    assert packed.equals(plain)
    words = TABLE.set_column(1, "text", TABLE["text"].dictionary_encode())
    assert_kept(score(client, words, call=options), words)


def compressing(server, algorithm):
    """A client whose every message is compressed by gRPC: 1 is deflate, 2 gzip."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_compression_algorithm", algorithm)]
    return fl.FlightClient(f"grpc+tcp://{server.flight}", generic_options=options)


def test_messages_that_grpc_compresses(server, client):
    with compressing(server, 2) as gzip:
        assert score(gzip, TABLE).equals(score(client, TABLE))
        assert len(list(gzip.list_actions())) > 0


def test_an_encoding_that_is_not_taken_is_named_with_those_that_are(server):
    with compressing(server, 1) as deflate, pytest.raises(pa.ArrowNotImplementedError, match="deflate.*gzip"):
        score_in_turn(deflate, texts("fine"))


def test_a_bomb_of_grpc_is_refused_before_it_is_unpacked(server, client):
    bomb = raw.message(*raw.ipc(texts("a").schema), raw.command(), app_metadata=bytes(300 * 2**20))
    with server.growing_by_less_than(64 * 2**20), grpc.insecure_channel(server.flight, compression=grpc.Compression.Gzip) as channel:
        call = channel.stream_stream(raw.METHOD, request_serializer=None, response_deserializer=None)
        answers = call(iter([bomb]), timeout=60)
        with pytest.raises(grpc.RpcError):
            list(answers)
    assert answers.code() == grpc.StatusCode.INVALID_ARGUMENT and "--max-message-mib" in answers.details()
    assert_serving(client)


def with_token(length):
    return fl.FlightCallOptions(timeout=30, headers=[(b"authorization", b"Bearer " + b"t" * length)])


def test_headers_up_to_their_limit(server, client):
    assert score(client, texts("fine"), call=with_token(50_000))["label"].null_count == 0
    with pytest.raises(pa.ArrowException):
        score_in_turn_with(client, with_token(70_000))
    assert_serving(client)


def score_in_turn_with(client, call):
    writer, reader = client.do_exchange(descriptor(), call)
    try:
        writer.begin(texts("a").schema)
        writer.done_writing()
        return reader.read_all()
    finally:
        close(writer)


def get_with(server, headers):
    connection = http.client.HTTPConnection(server.http, timeout=30)
    connection.request("GET", "/health-check", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_headers_over_http(server):
    assert get_with(server, {"cookie": "c" * 50_000}) == 200
    assert get_with(server, {"cookie": "c" * 70_000}) == 431
    assert get_with(server, {f"x-{i}": "many" for i in range(500)}) == 431
    assert get_with(server, {}) == 200


def test_the_limit_of_headers_is_an_option(serve):
    running = serve("--max-header-bytes", "8192")
    assert get_with(running, {"cookie": "c" * 6_000}) == 200
    assert get_with(running, {"cookie": "c" * 10_000}) == 431


FLOODS = {
    # Headers that never end: a CONTINUATION after the other.
    "continuation": [raw.frame(1, 0, 1, b"\x82")] + [raw.frame(9, 0, 1, b"\x00\x01a\x7f\x81\x7e" + b"b" * 16_000)] * 1000,
    "empty continuations": [raw.frame(1, 0, 1, b"\x82")] + [raw.frame(9, 0, 1)] * 100_000,
    "pings": [raw.frame(6, 0, 0, b"12345678")] * 300_000,
    "settings": [raw.frame(4, 0, 0)] * 300_000,
    "resets": [raw.frame(1, 4, 1 + 2 * i, b"\x82\x86\x84\x41\x01a") + raw.frame(3, 0, 1 + 2 * i, bytes(4)) for i in range(20_000)],
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_frames(server, client, flood):
    """Its connection ends, or its sender has to wait; others are served meanwhile, and memory stays."""
    with server.growing_by_less_than(32 * 2**20):
        with socket.create_connection(server.flight.split(":"), timeout=5) as flooding:
            try:
                flooding.sendall(raw.PREFACE + b"".join(FLOODS[flood]))
            except OSError:
                pass  # Cut off, or nobody reads on.
            assert_serving(client)
        assert_serving(client)


def test_a_place_that_is_not_there_says_when_to_come_again(serve, connect_to):
    running = serve("--max-exchanges", "1")
    writer, reader = take_place(connect_to(running), texts("a"))
    with grpc.insecure_channel(running.flight) as channel:
        answers = channel.stream_stream(raw.METHOD)(iter([raw.message(descriptor=raw.command())]), timeout=30)
        with pytest.raises(grpc.RpcError):
            list(answers)
        assert answers.code() == grpc.StatusCode.UNAVAILABLE
        told = [*answers.initial_metadata(), *answers.trailing_metadata()]
        assert ("retry-after", "1") in [tuple(entry) for entry in told]
    close(writer)


@pytest.mark.parametrize("option", ["--exchange-idle-timeout", "--stream-timeout"])
def test_an_exchange_that_goes_on_too_long(serve, connect_to, option):
    client = connect_to(serve(option, "0.5", "--max-exchanges", "1"))
    writer, reader = take_place(client, texts("a"))
    writer.write_table(texts("a"))
    assert reader.read_chunk().data.num_rows == 1
    with pytest.raises(fl.FlightTimedOutError, match=option):
        reader.read_chunk()
    close(writer)


def test_a_signal_does_not_wait_for_an_exchange_that_rests(tmp_path, connect_to):
    """A notebook's, open over night: it has its scores, and is told to come again."""
    running = servers.Server(tmp_path / "log", "--drain-timeout", "30")
    writer, reader = take_place(connect_to(running), texts("a"))
    writer.write_table(texts("a"))
    assert reader.read_chunk().data.num_rows == 1
    began = time.monotonic()
    running.terminate()
    with pytest.raises(fl.FlightUnavailableError, match="stopping"):
        reader.read_chunk()
    close(writer)
    running.stop()
    assert time.monotonic() - began < 15


def test_a_second_signal_ends_the_server_at_once(tmp_path, connect_to):
    running = servers.Server(tmp_path / "log", "--drain-timeout", "30")
    writer, _ = take_place(connect_to(running), texts("a"))
    running.process.terminate()
    deadline = time.monotonic() + 30
    while "running requests may finish" not in running.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.process.terminate()
    assert running.process.wait(10) == 1
    running.process.stdout.close()
    close(writer)
