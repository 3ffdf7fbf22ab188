"""What breaks Flight servers in the field, a test each."""
import pyarrow as pa
import pytest

from client import CALL, NEW_COLUMNS, assert_kept, assert_serving, descriptor, finish, heavy, score, score_in_turn, texts

MIB = 1024 * 1024


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


def test_a_batch_above_the_four_mebibytes_of_grpc(client):
    table = heavy(128)
    assert table.nbytes > 2 * 4 * MIB
    assert_kept(score(client, table, max_chunksize=None), table)


def test_a_batch_above_the_limit_names_the_limit_and_the_way_out(serve, connect_to):
    running = serve("--max-message-mib", "2")
    client, table = connect_to(running), heavy(64)
    with pytest.raises(pa.ArrowInvalid) as raised:
        score_in_turn(client, table)
    for part in (str(2 * MIB), "write_table(table, max_chunksize=", "--max-message-mib"):
        assert part in str(raised.value)
    assert_kept(score(client, table, max_chunksize=16), table)


def test_a_batch_of_no_rows_is_answered_like_any_other(client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.begin(texts("a").schema)
    for rows in [0, 1, 0, 0, 2, 0]:
        writer.write_batch(pa.record_batch({"text": pa.array(["a"] * rows, pa.string())}))
        assert reader.read_chunk().data.num_rows == rows
    finish(writer, reader)


def test_lockstep_one_batch_out_for_one_in(client):
    """Write one, read one: a batch that is split, merged or held back would hang or miscount."""
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.begin(texts("a").schema)
    for rows in [1, 31, 32, 33, 1, 1023, 1024, 1025, 2, 5000, 1]:
        batch = pa.record_batch({"text": [f"film {i}" for i in range(rows)]})
        writer.write_batch(batch)
        answer = reader.read_chunk().data
        assert answer.select(["text"]).equals(batch) and answer["label"].null_count == 0
    finish(writer, reader)


def test_a_large_batch_is_not_split(client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    table = heavy(320)
    writer.begin(table.schema)
    writer.write_table(table)
    assert reader.read_chunk().data.num_rows == 320
    finish(writer, reader)


def test_the_schema_comes_before_the_first_row(client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    table = texts("good")
    writer.begin(table.schema)
    assert reader.schema.names == ["text", *NEW_COLUMNS]
    writer.write_table(table)
    assert_kept(pa.Table.from_batches([reader.read_chunk().data]), table)
    finish(writer, reader)


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
