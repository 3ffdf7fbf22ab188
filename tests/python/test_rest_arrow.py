"""Arrow streams in `POST /score`, as pyarrow, Polars, pandas and DuckDB write and read them."""
import http.client
import io

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from client import assert_kept
from rest import ARROW, begun, chunk, post, refused, written

TEXTS = ["a joy", None, "", "a bore", "ä 漢 🎉"]


def score(server, table, query=None, **options):
    status, headers, answer = post(server, query or {}, written(table, **options), ARROW)
    assert (status, headers["content-type"]) == (200, ARROW), answer
    # Whoever reads this knows that it is complete.
    assert answer.endswith(b"\xff\xff\xff\xff\0\0\0\0")
    return pa.ipc.open_stream(answer).read_all()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_rows_come_back_in_order_with_their_scores(server, dev_texts, compression):
    texts = dev_texts[:60]
    table = pa.table({"id": range(60), "text": texts, "kind": pa.array(["a", "b", "c"] * 20).dictionary_encode()}, metadata={"k": "v"})
    scored = score(server, table, {"text": "text"}, chunk_rows=7, compression=compression)
    assert_kept(scored, table)
    assert scored["confidence"].null_count == 0
    # A batch in is a batch out, also of no rows.
    batches = pa.ipc.open_stream(post(server, {}, written(pa.table({"t": ["a", "b"]}), chunk_rows=1), ARROW)[2])
    assert [batch.num_rows for batch in batches] == [1, 1]


def test_as_flight_scores_it(server, client, dev_texts):
    from client import score as exchange

    table = pa.table({"text": dev_texts[:20] + TEXTS, "other": range(25)})
    for options in [{}, {"columns": "new"}, {"columns": ["other"], "details": True}, {"labels": "id", "probabilities": True, "on_error": "null"}]:
        query = {key: str(value).lower() if isinstance(value, bool) else value for key, value in options.items()}
        assert score(server, table, query).equals(exchange(client, table, **options), check_metadata=True)


def test_a_stream_of_no_rows(server):
    table = pa.table({"t": pa.array([], pa.string())})
    assert score(server, table).schema.names == ["t", "label", "confidence"]
    empty = pa.record_batch({"t": pa.array([], pa.string())})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, empty.schema) as writer:
        writer.write_batch(empty)
    assert len(list(pa.ipc.open_stream(post(server, {}, sink.getvalue(), ARROW)[2]))) == 1


def test_what_data_frames_write(server):
    frame = pl.DataFrame({"t": TEXTS, "n": [1.5, None, 3, 4, 5], "c": pl.Series(["x", "y", "x", "y", "x"], dtype=pl.Categorical)})
    for compression in ["uncompressed", "lz4", "zstd"]:
        sink = io.BytesIO()
        frame.write_ipc_stream(sink, compression=compression)
        answer = post(server, {"text": "t"}, sink.getvalue(), ARROW)[2]
        scored = pl.read_ipc_stream(io.BytesIO(answer))
        assert scored.select(frame.columns).equals(frame) and scored["label"].null_count() == 1
    table = pa.Table.from_pandas(pd.DataFrame({"t": TEXTS, "d": pd.date_range("2026-01-01", periods=5)}))
    assert score(server, table).to_pandas()["d"].equals(table.to_pandas()["d"])
    duckdb = pytest.importorskip("duckdb")
    reader = pa.ipc.open_stream(answer)
    assert duckdb.sql("select count(*), count(label) from reader").fetchall() == [(5, 4)]


CATEGORICAL = pa.dictionary(pa.int8(), pa.string())
CHANGES = {
    "replaced": [(["a", "b"], [0, 1]), (["other", "words"], [1, 0])],
    "grown": [(["a"], [0]), (["a", "b"], [1, 0])],
    "emptied": [(["a"], [0]), ([], [None])],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("deltas", [False, True])
def test_a_dictionary_that_changes_between_batches(server, change, deltas):
    column = [pa.DictionaryArray.from_arrays(pa.array(keys, pa.int8()), pa.array(values, pa.string())) for values, keys in CHANGES[change]]
    table = pa.table({"t": pa.chunked_array(column)})
    scored = score(server, table, emit_dictionary_deltas=deltas)
    assert scored["t"].type == CATEGORICAL and scored["t"].to_pylist() == table["t"].to_pylist()


def test_what_is_wrong_is_said(server):
    good = written(pa.table({"t": TEXTS, "n": range(5)}))
    schema_only = written(pa.table({"t": pa.array([], pa.string())}))[:-8]
    for query, body, what in [
        ({"text": "v"}, good, 'column "v" not found; string columns: t'),
        ({"columns": ["w", "t"]}, good, 'column "w", which "columns" names, not found'),
        ({}, b"", "it has no schema"),
        ({}, b"not Arrow", "it does not begin as an Arrow stream does"),
        ({}, b"ARROW1\0\0", "it is a file of Arrow IPC; send a stream"),
        ({}, good[:-9], "it ends inside of a message"),
        ({}, schema_only + good, "a second schema in one stream"),
        ({}, written(pa.table({"t": ["a"], "label": ["b"]})), 'already has a column "label"'),
    ]:
        query = query or {"text": "t"}
        status, detail = refused(server, query, body, ARROW)
        assert status == 400 and what in detail, detail
    # The scores of the first batch are on their way.
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        post(server, {"text": "t"}, good + good, ARROW)
    assert len(post(server, {}, schema_only, ARROW)[2]) > 0


def test_a_bomb_is_refused_before_it_is_unpacked(server):
    bomb = written(pa.table({"t": ["a" * (300 << 20)]}), compression="zstd")
    assert len(bomb) < 1 << 20
    with server.growing_by_less_than(64 << 20):
        status, detail = refused(server, {}, bomb, ARROW)
    assert status == 413 and "--max-message-mib" in detail


def test_an_answer_that_breaks_off_does_not_look_complete(server):
    good = written(pa.table({"t": ["a joy"]}))[:-8]
    bad = written(pa.table({"t": ["a joy"]}))
    for rest in [chunk(bad[:300]) + b"0\r\n\r\n", chunk(b"\x10\0\0\0" + bytes(16)) + b"0\r\n\r\n"]:
        connection, answer = begun(server, good, "", ARROW)
        first = answer.read(8)
        assert first.startswith(b"\xff\xff\xff\xff")
        connection.send(rest)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        connection.close()
    assert score(server, pa.table({"t": ["a joy"]})).num_rows == 1


def test_the_answer_is_on_its_way_while_the_body_is(server):
    stream = written(pa.table({"t": ["a joy"]}))
    connection, answer = begun(server, stream[:-8], "", ARROW)
    reader = pa.ipc.open_stream(pa.PythonFile(answer, "r"))
    assert reader.read_next_batch()["label"].null_count == 0
    connection.send(chunk(stream[-8:]) + b"0\r\n\r\n")
    with pytest.raises(StopIteration):
        reader.read_next_batch()
    connection.close()
