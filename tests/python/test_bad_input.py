"""Where each kind of bad input, and each trap of the protocol, has its test; and those that have no better place than here.

Each bad input is an error that says what is wrong, the server serves on, and its memory returns: `tests/suite/fuzz` says so of all
that is damaged at random, these of what is known by name.
"""
import contextlib
import re
import socket
import struct
import threading
import time

import grpc
import pyarrow as pa
import pyarrow.flight as fl
import pytest

import flightdata as raw
import server as servers
from client import assert_serving, score, texts

TESTS = servers.REPOSITORY / "tests"

BAD_INPUT = {
    "no header": "python/test_flight_hostile.py: test_only_messages_without_a_header",
    "a truncated or garbage header": "python/test_flight_hostile.py: test_a_garbage_header",
    "a batch before the schema": "python/test_flight_hostile.py: test_a_batch_before_the_schema",
    "a second schema": "python/test_flight_hostile.py: test_a_second_schema",
    "a missing descriptor": "python/test_flight_hostile.py: test_no_descriptor",
    "invalid UTF-8": "python/test_flight_hostile.py: test_an_invalid_utf8_text",
    "bad offsets": "python/test_flight_hostile.py: test_bad_offsets",
    "negative lengths": "python/test_flight_hostile.py: test_a_wrong_length",
    "a dictionary key out of range": "python/test_flight_hostile.py: test_a_dictionary_key_out_of_range",
    "deep nesting": "python/test_flight_hostile.py: test_deep_nesting",
    "zero columns": "python/test_flight_options.py: test_no_string_column",
    "no rows": "python/test_flight_traps.py: test_a_batch_of_no_rows_is_answered_like_any_other",
    "a missing text column": "python/test_flight_options.py: test_a_wrong_option_says_what_would_be_right",
    "two text columns of one name": "python/test_flight_options.py: test_two_text_columns_of_one_name",
    "a label column that is there": "python/test_flight_options.py: test_a_new_column_that_is_there_already",
    "a row of 10 MB": "python/test_flight_text.py: test_a_text_of_ten_megabytes",
    "NUL, emoji, right-to-left text": "python/test_flight_text.py: test_string_types",
    "a length that is declared, and then nothing": "python/test_bad_input.py: test_a_length_and_then_nothing_holds_no_memory",
    "compression bombs": "python/test_flight_hostile.py: test_a_bomb_is_refused_before_it_is_unpacked",
    "header floods": "python/test_bad_input.py: test_a_flood_of_headers",
    "a reset in mid-stream": "python/test_bad_input.py: test_a_reset_in_mid_message",
    "a client that dies in mid-stream": "python/test_flight_load.py: test_a_client_killed_in_mid_exchange",
    "forged tickets": "suite/fuzz/calls.rs: tickets_of_others",
    "expired and replayed tickets": "suite/fuzz/calls.rs: tickets_of_yesterday",
    "a file changed between GetFlightInfo and DoGet": "suite/fuzz/calls.rs: tickets_of_yesterday",
    "../": "suite/flight/datasets.rs: what_is_not_there_is_refused_in_words",
    "symbolic links": "../src/flight/datasets/tests.rs: links_are_followed_inside_only",
    "a client that never reads": "python/test_flight_stall.py: test_a_client_that_writes_on_and_never_reads_is_let_go",
}

TRAPS = {
    "1: a first message of a descriptor alone": "python/test_flight_traps.py: test_first_message_of_a_descriptor_alone",
    "3: all is written, then read": "python/test_flight_stall.py: test_writing_all_then_reading_gets_an_error_that_says_so",
    "4: metadata without data": "python/test_flight_traps.py: test_metadata_alone_does_not_end_the_reading",
    "5: more than 4 MiB in a message": "python/test_flight_traps.py: test_a_batch_above_the_four_mebibytes_of_grpc",
    "6: batches of no rows": "python/test_flight_traps.py: test_a_batch_of_no_rows_is_answered_like_any_other",
    "6: batches that are split": "python/test_flight_traps.py: test_a_large_batch_is_not_split",
    "7: dictionaries": "python/test_flight_dictionaries.py: test_categoricals_stay_dictionaries",
    "8: the schema comes first": "python/test_flight_traps.py: test_the_schema_comes_before_the_first_row",
    "9: streams share a connection": "python/test_bad_input.py: test_an_unread_exchange_leaves_others_of_its_connection_theirs",
    "10: compute starves keep-alives": "python/test_bad_input.py: test_keep_alives_are_answered_while_the_model_works",
    "11: time runs for streams": "python/test_connections.py: test_an_exchange_that_says_nothing_is_ended",
    "12: bombs": "python/test_flight_hostile.py: test_a_bomb_is_refused_before_it_is_unpacked",
}


@pytest.mark.parametrize("place", {**BAD_INPUT, **TRAPS}.values(), ids={**BAD_INPUT, **TRAPS})
def test_each_has_its_test(place):
    file, name = place.split(": ")
    assert re.search(rf"^ *(async )?(def|fn) {name}\(", (TESTS / file).read_text(), re.MULTILINE), place


class RawConnection:
    """HTTP/2 frame by frame."""

    def __init__(self, address):
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.sendall(raw.PREFACE)

    @staticmethod
    def header(name, value):
        """A field that stands for itself, in no table."""
        return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    def begin(self):
        """An exchange on stream 1."""
        fields = [(":method", "POST"), (":scheme", "http"), (":path", raw.METHOD), (":authority", "a"), ("te", "trailers"), ("content-type", "application/grpc")]
        self.socket.sendall(raw.frame(1, 4, 1, b"".join(self.header(*field) for field in fields)))

    def data(self, payload):
        self.socket.sendall(raw.frame(0, 0, 1, payload))

    def reset(self):
        self.socket.sendall(raw.frame(3, 0, 1, struct.pack(">I", 8)))


@pytest.fixture
def connect_raw(server):
    with contextlib.ExitStack() as opened:
        def connect():
            connection = RawConnection(server.flight)
            opened.enter_context(contextlib.closing(connection.socket))
            return connection
        yield connect


def start_of_exchange():
    """Messages up to the schema's."""
    schema, _ = raw.stream(pa.record_batch({"text": ["a"]}))
    message = raw.message(*schema, descriptor=raw.command())
    return b"\0" + struct.pack(">I", len(message)) + message


@pytest.mark.parametrize("seen", [0, 4096], ids=["nothing", "its beginning"])
def test_a_length_and_then_nothing_holds_no_memory(connect_raw, client, seen):
    """Together they declare four times what the server has."""
    length = 128 * 2**20
    for _ in range(32):
        connection = connect_raw()
        connection.begin()
        connection.data(start_of_exchange() + b"\0" + struct.pack(">I", length) + bytes(seen))
    # More than the reserve of small requests, so that it waits if anybody holds what is declared.
    table = pa.table({"text": ["a fine film"] * 4, "it": [b"x" * 2**20] * 4})
    writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(b"{}"), fl.FlightCallOptions(timeout=30))
    writer.begin(table.schema)
    writer.write_table(table)
    writer.done_writing()
    assert reader.read_all().num_rows == 4
    writer.close()


def test_a_reset_in_mid_message(connect_raw, client):
    for cut in [0, 3, 5, 1000]:
        connection = connect_raw()
        connection.begin()
        connection.data(start_of_exchange() + (b"\0" + struct.pack(">I", 2000) + bytes(1000))[:cut])
        connection.reset()
    assert_serving(client)


FLOODS = {
    "a long one": [("x-flood", "a" * 2**20)],
    "many": [(f"x-flood-{i}", "a" * 100) for i in range(20_000)],
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_of_headers(server, client, flood):
    with grpc.insecure_channel(server.flight, [("grpc.max_metadata_size", 2**26), ("grpc.absolute_max_metadata_size", 2**26)]) as channel:
        call = channel.stream_stream(raw.METHOD, request_serializer=None, response_deserializer=None)
        answers = call(iter([]), metadata=flood, timeout=30)
        # A flood this size costs its sender the connection (ENHANCE_YOUR_CALM), which gRPC calls unavailable.
        with pytest.raises(grpc.RpcError):
            list(answers)
        assert answers.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL), answers.code()
    assert_serving(client)


def test_an_unread_exchange_leaves_others_of_its_connection_theirs(client):
    table = pa.table({"text": ["a fine film"] * 64, "it": [b"x" * 2**14] * 64})
    unread, never_read = client.do_exchange(fl.FlightDescriptor.for_command(b"{}"))
    unread.begin(table.schema)
    stop = threading.Event()

    def write():
        # It ends when the server, or the end of the test, cuts it off.
        with contextlib.suppress(pa.ArrowException):
            while not stop.is_set():
                unread.write_table(table)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(10):
            assert_serving(client)
    finally:
        stop.set()
        never_read.cancel()
        writing.join(30)
    assert not writing.is_alive()


def test_keep_alives_are_answered_while_the_model_works(server):
    """A ping a second, each to be answered within two, while all cores score: for longer than a ping may take, on any machine."""
    options = [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 2000), ("grpc.http2.max_pings_without_data", 0), ("grpc.use_local_subchannel_pool", 1)]
    rows, took = 64, 0
    with fl.FlightClient(f"grpc+tcp://{server.flight}", generic_options=options) as pinging:
        while took < 4:
            rows *= 2
            # Of each, since equal texts are scored once.
            table = texts(*[f"review {i} of a film that goes" + " on and on" * 100 for i in range(rows)])
            began = time.monotonic()
            assert score(pinging, table).num_rows == rows
            took = time.monotonic() - began
