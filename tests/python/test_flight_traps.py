"""What breaks Flight servers in the field, a test each."""
import threading

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from client import CALL, NEW_COLUMNS, assert_kept, assert_serving, close, descriptor, score, texts

MIB = 1024 * 1024
# Batches of 16 rows and 1 MiB: much to carry, little to score.
PAYLOAD = pa.scalar(bytes(64 * 1024), pa.binary())


def heavy(rows):
    """A table of 64 KiB a row."""
    return pa.table({"text": ["a fine film"] * rows, "payload": pa.repeat(PAYLOAD, rows)})


def test_first_message_of_a_descriptor_alone(client):
    """C++ and Python send the descriptor at once, in a message without Arrow data, and the schema after it."""
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.write_metadata(b"also without Arrow data, before the schema")
    table = texts("good")
    writer.begin(table.schema)
    writer.write_metadata(b"and after it")
    writer.write_table(table)
    writer.write_metadata(b"and at the end")
    writer.done_writing()
    assert_kept(reader.read_all(), table)
    writer.close()


def test_metadata_alone_does_not_end_the_reading(client):
    """pyarrow's `read_all` takes a message of metadata alone for the end: none may come back between the batches."""
    writer, reader = client.do_exchange(descriptor(), CALL)
    table = texts("good")
    writer.begin(table.schema)
    for _ in range(3):
        writer.write_table(table)
        writer.write_metadata(b"between batches")
    writer.done_writing()
    assert reader.read_all().num_rows == 3
    writer.close()


class WriteAllThenRead:
    """A client that reads only after it has written everything: its writes stop once every window is full."""

    def __init__(self, client, table):
        self.writer, self.reader = client.do_exchange(descriptor(), CALL)
        self.writer.begin(table.schema)
        self.thread = threading.Thread(target=self._write, args=[table])
        self.thread.start()

    def _write(self, table):
        try:
            self.writer.write_table(table, max_chunksize=16)
            self.writer.done_writing()
        except (pa.ArrowException, OSError):
            pass  # The reader is told why.

    def read(self):
        self.thread.join()
        try:
            return self.reader.read_all()
        finally:
            close(self.writer)


def test_writing_all_then_reading_gets_an_error_that_says_so(serve, connect_to):
    running = serve("--stall-timeout", "1")
    stalled = WriteAllThenRead(connect_to(running), heavy(2048))
    other = connect_to(running)
    while stalled.thread.is_alive():
        assert_serving(other)  # while the first one hangs, and while the server lets go of it
        stalled.thread.join(0.1)
    with pytest.raises(fl.FlightTimedOutError, match="read while you write"):
        stalled.read()
    assert_serving(other)


def test_a_client_that_never_reads_is_let_go(serve, connect_to):
    running = serve("--stall-timeout", "0.5", "--max-exchanges", "1")
    writer, _ = connect_to(running).do_exchange(descriptor(), CALL)
    table = heavy(16)
    writer.begin(table.schema)
    writer.write_table(table)
    # The one place is free again once the server has given up, at the latest after the call's own time limit.
    other = connect_to(running)
    with pytest.raises((pa.ArrowException, OSError)):
        while True:
            writer.write_table(table)
    close(writer)
    assert_serving(other)


def test_a_pause_shorter_than_the_limit_is_none_of_the_servers_business(serve, connect_to):
    """A client that thinks between its batches is slow, not stalled: the limit is for results that lie unread."""
    client = connect_to(serve("--stall-timeout", "0.2"))
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.begin(texts("a").schema)
    for _ in range(3):
        writer.write_table(texts("a"))
        assert reader.read_chunk().data.num_rows == 1
        threading.Event().wait(0.5)  # the pause is what is tested
    writer.done_writing()
    assert reader.read_all().num_rows == 0
    writer.close()


def test_reading_while_writing_carries_any_amount(client):
    table = heavy(2048)
    assert_kept(score(client, table, max_chunksize=16), table)


def test_a_batch_above_the_four_mebibytes_of_grpc(client):
    table = heavy(128)
    assert table.nbytes > 2 * 4 * MIB
    assert_kept(score(client, table, max_chunksize=None), table)


def test_a_batch_above_the_limit_names_the_limit_and_the_way_out(serve, connect_to):
    running = serve("--max-message-mib", "2")
    client, table = connect_to(running), heavy(64)
    with pytest.raises(pa.ArrowInvalid) as raised:
        score(client, table, max_chunksize=None)
    for part in (str(2 * MIB), "write_table(table, max_chunksize=", "--max-message-mib"):
        assert part in str(raised.value)
    assert_kept(score(client, table, max_chunksize=16), table)


def test_a_batch_of_no_rows_is_answered_like_any_other(client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.begin(texts("a").schema)
    for rows in [0, 1, 0, 0, 2, 0]:
        writer.write_batch(pa.record_batch({"text": pa.array(["a"] * rows, pa.string())}))
        assert reader.read_chunk().data.num_rows == rows
    writer.done_writing()
    assert reader.read_all().num_rows == 0
    writer.close()


def test_lockstep_one_batch_out_for_one_in(client):
    """Write one, read one: a batch that is split, merged or held back would hang or miscount."""
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.begin(texts("a").schema)
    for rows in [1, 31, 32, 33, 1, 1023, 1024, 1025, 2, 5000, 1]:
        batch = pa.record_batch({"text": [f"film {i}" for i in range(rows)]})
        writer.write_batch(batch)
        answer = reader.read_chunk().data
        assert answer.select(["text"]).equals(batch) and answer["label"].null_count == 0
    writer.done_writing()
    assert reader.read_all().num_rows == 0
    writer.close()


def test_a_large_batch_is_not_split(client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    table = heavy(320)
    writer.begin(table.schema)
    writer.write_table(table)
    assert reader.read_chunk().data.num_rows == 320
    close_cleanly(writer, reader)


def test_the_schema_comes_before_the_first_row(client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    table = texts("good")
    writer.begin(table.schema)
    assert reader.schema.names == ["text", *NEW_COLUMNS]
    writer.write_table(table)
    assert_kept(pa.Table.from_batches([reader.read_chunk().data]), table)
    close_cleanly(writer, reader)


def test_a_stream_without_batches_has_a_schema(client):
    table = pa.table({"text": pa.array([], pa.string()), "n": pa.array([], pa.int8())}).replace_schema_metadata({"k": "v"})
    assert_kept(score(client, table), table)


def test_an_exchange_without_a_schema_ends_quietly(client):
    writer, _ = client.do_exchange(descriptor(), CALL)
    writer.close()
    assert_serving(client)


def test_metadata_of_a_batch_is_echoed_with_it(client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    batch = pa.record_batch({"text": ["a", "b"]})
    writer.begin(batch.schema)
    sent = [b"first", b"", "zweites ü".encode(), bytes(range(256)), b"x" * 100_000]
    for metadata in sent:
        writer.write_with_metadata(batch, metadata)
    writer.done_writing()
    chunks = list(reader)
    assert [c.app_metadata.to_pybytes() if c.app_metadata else b"" for c in chunks] == sent
    assert all(c.data.num_rows == 2 for c in chunks)
    writer.close()


def close_cleanly(writer, reader):
    writer.done_writing()
    assert reader.read_all().num_rows == 0
    writer.close()
