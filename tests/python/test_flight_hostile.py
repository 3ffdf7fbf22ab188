"""Messages that no Arrow client sends: each gets an error of the caller's, and the server goes on serving.

The caller's, because INTERNAL and UNKNOWN are what a panic would give.
"""
import random
import struct

import grpc
import pyarrow as pa
import pytest

import flightdata as raw
from client import assert_serving

# A number of rows that occurs nowhere else in a header, so that its length fields can be found.
ROWS = 30011
BATCH = pa.record_batch({"text": ["fine"] * ROWS})
SCHEMA, PLAIN = raw.stream(BATCH)
CODES = pa.record_batch({"text": pa.array(["good", "bad", "good"]).dictionary_encode()})
CODES_SCHEMA, DICTIONARY, CODED = raw.stream(CODES)


@pytest.fixture
def exchange(server):
    with raw.raw_exchange(server.flight) as send:
        yield send


def assert_refused(answer, client, details=""):
    code, said, _ = answer
    assert code == grpc.StatusCode.INVALID_ARGUMENT and details in said, (code, said)
    assert_serving(client)


def with_body(part, offset, values):
    """The part with bytes of its body replaced."""
    header, body = part
    return header, body[:offset] + values + body[offset + len(values):]


def with_number(part, old, new, which):
    """The part with one 64-bit number of its header replaced: a length, since `old` is one."""
    header, body = part
    at = [i for i in range(0, len(header) - 7, 4) if header[i:i + 8] == struct.pack("<q", old)]
    assert len(at) > which, f"{old} is not in the header {which + 1} times"
    return header[:at[which]] + struct.pack("<q", new) + header[at[which] + 8:], body


def test_the_messages_themselves_are_good(exchange):
    assert exchange(raw.messages([SCHEMA, PLAIN]))[::2] == (grpc.StatusCode.OK, 2)
    assert exchange(raw.messages([CODES_SCHEMA, DICTIONARY, CODED]))[0] == grpc.StatusCode.OK


def test_no_message(exchange, client):
    assert_refused(exchange([]), client, "no message")


@pytest.mark.parametrize("first", [b"", raw.message(*SCHEMA), raw.message(app_metadata=b"x")])
def test_no_descriptor(exchange, client, first):
    assert_refused(exchange([first, raw.message(*PLAIN)]), client, "descriptor")


@pytest.mark.parametrize("kind", [b"", b"\x08\x00", b"\x08\x07"], ids=["none", "unknown", "of the future"])
def test_a_descriptor_of_no_kind(exchange, client, kind):
    assert_refused(exchange([raw.message(*SCHEMA, descriptor=kind + raw.field(2, b"{}"))]), client, "command descriptor")


def test_only_messages_without_a_header(exchange, client):
    code, _, received = exchange([raw.message(descriptor=raw.command()), raw.message(body=b"body without a header"), raw.message()])
    assert (code, received) == (grpc.StatusCode.OK, 0)
    assert_serving(client)


GARBAGE = {
    "one byte": b"\0",
    "text": b"this is not a flatbuffer",
    "ones": b"\xff" * 256,
    "a far root": struct.pack("<I", 0xFFFF_FFF0) + bytes(64),
    "half a schema": SCHEMA[0][: len(SCHEMA[0]) // 2],
    "half a batch": PLAIN[0][: len(PLAIN[0]) // 2],
}


@pytest.mark.parametrize("header", GARBAGE.values(), ids=GARBAGE)
def test_a_garbage_header(exchange, client, header):
    assert_refused(exchange(raw.messages([(header, b"")])), client)
    assert_refused(exchange(raw.messages([SCHEMA, (header, PLAIN[1])])), client)


def test_not_even_protobuf(exchange, client):
    code, *_ = exchange([b"\xff\xff\xff\xff"])
    assert code != grpc.StatusCode.OK
    assert_serving(client)


def test_a_batch_before_the_schema(exchange, client):
    assert_refused(exchange(raw.messages([PLAIN, SCHEMA])), client, "a message before the schema")


def test_a_dictionary_before_the_schema(exchange, client):
    assert_refused(exchange(raw.messages([DICTIONARY, CODES_SCHEMA, CODED])), client, "a message before the schema")


def test_a_second_schema(exchange, client):
    assert_refused(exchange(raw.messages([SCHEMA, PLAIN, SCHEMA, PLAIN])), client, "second schema")


def test_a_batch_of_another_schema(exchange, client):
    """Fewer buffers than the schema needs."""
    numbers = raw.stream(pa.record_batch({"n": [1, 2, 3]}))[1]
    assert_refused(exchange(raw.messages([SCHEMA, numbers])), client)


def test_an_invalid_utf8_text(exchange, client):
    text = PLAIN[1].index(b"fine")
    for broken in (b"\xff", b"\xc3\x28", b"\xed\xa0\x80"):
        assert_refused(exchange(raw.messages([SCHEMA, with_body(PLAIN, text, broken)])), client, "utf-8")


@pytest.mark.parametrize("offsets", [(-4, 4), (8, 4), (0, 2**31 - 1), (2**30, 2**30)], ids=str)
def test_bad_offsets(exchange, client, offsets):
    first = PLAIN[1].index(struct.pack("<iii", 0, 4, 8))
    assert_refused(exchange(raw.messages([SCHEMA, with_body(PLAIN, first, struct.pack("<ii", *offsets))])), client)


# The header holds the batch's length, the column's, and the lengths of the buffers of offsets and of text.
LENGTHS = [(ROWS, 0), (ROWS, 1), (4 * (ROWS + 1), 0), (4 * ROWS, 0)]


@pytest.mark.parametrize("length, which", LENGTHS, ids=["batch", "column", "offsets", "text"])
@pytest.mark.parametrize("new", [-1, -(2**63), 2**63 - 1, 2**40, 2**31, ROWS * 40])
def test_a_wrong_length(exchange, client, length, which, new):
    assert_refused(exchange(raw.messages([SCHEMA, with_number(PLAIN, length, new, which)])), client)


@pytest.mark.parametrize("size", [0, 1, 64, len(PLAIN[1]) // 2])
def test_a_truncated_body(exchange, client, size):
    assert_refused(exchange(raw.messages([SCHEMA, (PLAIN[0], PLAIN[1][:size])])), client)


@pytest.mark.parametrize("key", [2, 127, 2**31 - 1, -1, -(2**31)])
def test_a_dictionary_key_out_of_range(exchange, client, key):
    keys = CODED[1].index(struct.pack("<iii", 0, 1, 0))
    broken = with_body(CODED, keys, struct.pack("<i", key))
    assert_refused(exchange(raw.messages([CODES_SCHEMA, DICTIONARY, broken])), client)


def test_a_batch_without_its_dictionary(exchange, client):
    assert_refused(exchange(raw.messages([CODES_SCHEMA, CODED])), client)


CODECS = pytest.mark.parametrize("codec", ["lz4", "zstd"])
# 100 MB of zeros in one row.
ZEROS = pa.record_batch({"text": ["fine"], "zeros": [bytes(100_000_000)]})


def packed(batch, codec):
    return raw.stream(batch, pa.ipc.IpcWriteOptions(compression=codec))


@CODECS
@pytest.mark.parametrize("batch", [BATCH, CODES, BATCH.slice(0, 0)], ids=["texts", "dictionary", "no rows"])
def test_a_compressed_batch_is_taken(exchange, codec, batch):
    code, said, _ = exchange(raw.messages(packed(batch, codec)))
    assert code == grpc.StatusCode.OK, said


@CODECS
def test_a_bomb_is_refused_before_it_is_unpacked(server, exchange, client, codec):
    """Each of its columns is within the limit of a message."""
    parts = packed(ZEROS.append_column("more", ZEROS["zeros"]), codec)
    assert len(parts[1][1]) < 2**20
    with server.growing_by_less_than(64 * 2**20):
        assert_refused(exchange(raw.messages(parts)), client, "unpacked it has 200000")


@CODECS
@pytest.mark.parametrize("says", [1, 4 * ROWS, 4 * ROWS + 8, 2**40, 2**63 - 1, -2, -(2**63)])
def test_a_compressed_buffer_that_says_another_length(server, exchange, client, codec, says):
    schema, (header, body) = packed(BATCH, codec)
    offsets = body.index(struct.pack("<q", 4 * (ROWS + 1)))
    with server.growing_by_less_than(64 * 2**20):
        assert_refused(exchange(raw.messages([schema, with_body((header, body), offsets, struct.pack("<q", says))])), client)


@CODECS
def test_a_compressed_buffer_that_is_more_than_it_says(server, exchange, client, codec):
    schema, (header, body) = packed(ZEROS, codec)
    says = body.rindex(struct.pack("<q", 100_000_000))
    with server.growing_by_less_than(64 * 2**20):
        assert_refused(exchange(raw.messages([schema, with_body((header, body), says, struct.pack("<q", 64))])), client)


@CODECS
@pytest.mark.parametrize("damage", ["cut", "garbage", "short"])
def test_a_broken_compressed_buffer(exchange, client, codec, damage):
    schema, (header, body) = packed(BATCH, codec)
    offsets = body.index(struct.pack("<q", 4 * (ROWS + 1)))
    broken = {
        "cut": body[:offsets + 12],
        "garbage": body[:offsets + 8] + b"\xff" * (len(body) - offsets - 8),
        "short": body[:4],
    }[damage]
    assert_refused(exchange(raw.messages([schema, (header, broken)])), client)


def nested(depth):
    """A list of lists of lists, so deep."""
    kind = pa.int8()
    for _ in range(depth):
        kind = pa.list_(kind)
    return pa.schema([("text", pa.string()), ("it", kind)])


@pytest.mark.parametrize("depth", [10, 50, 60])
def test_deep_nesting(exchange, client, depth):
    code, said, _ = exchange(raw.messages([raw.ipc(nested(depth))]))
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT), (code, said)
    assert_serving(client)


@pytest.mark.parametrize("part", ["schema", "batch", "dictionary"])
def test_random_damage(exchange, client, part):
    """Bytes of a header changed at random, from a fixed seed: an answer each, and never a panic."""
    seed = random.Random(part)
    parts = [list(p) for p in raw.stream(pa.record_batch({"text": CODES["text"], "it": [[1], None, [2, 3]]}))]
    at = {"schema": 0, "dictionary": 1, "batch": -1}[part]
    good = parts[at][0]
    for _ in range(300):
        header = bytearray(good)
        for _ in range(seed.choice([1, 1, 2, 8])):
            header[seed.randrange(len(header))] = seed.choice([0, 1, 0x7F, 0x80, 0xFF, seed.randrange(256)])
        parts[at][0] = bytes(header)
        code, said, _ = exchange(raw.messages(parts, b'{"text": "text"}'))
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT), (code, said, bytes(header))
    assert_serving(client)
