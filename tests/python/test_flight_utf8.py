"""Strings that are not UTF-8, which clients that do not check can send: a row's trouble, and not its batch's."""
import base64

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client import CALL, NEW_COLUMNS, descriptor, score, score_in_turn, texts
from server import MODEL, run

ROWS = [b"a warm , funny film", None, b"caf\xe9", b"a bore", b"\xff", b"a warm , funny film"]
IS_TEXT = [True, False, False, True, False, True]


def unchecked(array, type):
    """The array of bytes as one of strings, whatever it holds."""
    return pa.Array.from_buffers(type, len(array), array.buffers(), array.null_count, array.offset)


BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}


def strings(rows, type=pa.string()):
    return unchecked(pa.array(rows, BYTES[type]), type)


def keyed(rows, type=pa.string()):
    values = [*dict.fromkeys(row for row in rows if row is not None), b"\xfe that no row has"]
    keys = pa.array([None if row is None else values.index(row) for row in rows], pa.int8())
    return pa.DictionaryArray.from_arrays(keys, strings(values, type), safe=False)


def runs(values, run_ends=pa.int32()):
    """A run for each value: built of buffers, since pyarrow looks at what it encodes."""
    ends = pa.array(range(1, len(values) + 1), run_ends)
    return pa.Array.from_buffers(pa.run_end_encoded(run_ends, values.type), len(values), [None], children=[ends, values])


COLUMNS = {
    **{str(type): strings(ROWS, type) for type in BYTES},
    **{f"dictionary of {type}": keyed(ROWS, type) for type in BYTES},
    "runs": runs(strings(ROWS)),
    "runs of a dictionary": runs(keyed(ROWS), pa.int16()),
    "a slice": strings([b"\xf0", *ROWS, b"\xf0"]).slice(1, 6),
}


def as_bytes(array):
    """What each row has, which may not be looked at as text."""
    if pa.types.is_run_end_encoded(array.type):
        return as_bytes(array.values)  # of one row each
    if pa.types.is_dictionary(array.type):
        values = as_bytes(array.dictionary)
        return [None if key is None else values[key] for key in array.indices.to_pylist()]
    buffers = [value.as_buffer() for value in array]
    return [None if buffer is None else buffer.to_pybytes() for buffer in buffers]


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_such_rows_get_nulls(client, column):
    table = pa.table({"text": column, "id": range(6)})
    scored = score(client, table, on_error="null")
    assert scored.schema.field("text").type == column.type and scored["id"].equals(table["id"])
    assert as_bytes(scored["text"].chunk(0)) == ROWS
    expected = score(client, texts("a warm , funny film", None, None, "a bore", None, "a warm , funny film"))
    assert scored.select(NEW_COLUMNS).equals(expected.select(NEW_COLUMNS))
    reasons = scored["error"].to_pylist()
    assert [reason is None for reason in reasons] == [True, True, False, True, False, True]
    assert reasons[2].startswith("incomplete utf-8") and reasons[4].startswith("invalid utf-8")


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_the_first_such_row_fails_its_request_and_is_named(client, column):
    with pytest.raises(pa.ArrowInvalid, match=r'row 2 \(counted from 0\) is not text: column "text": incomplete utf-8'):
        score_in_turn(client, pa.table({"text": column}))


def test_rows_are_counted_from_the_beginning_of_the_stream(client):
    batches = pa.table({"text": pa.chunked_array([["fine"] * 5, strings([b"fine", b"\xff"])])})
    with pytest.raises(pa.ArrowInvalid, match=r'row 6 \(counted from 0\) is not text: column "text": invalid utf-8'):
        score_in_turn(client, batches)


def test_items_of_lists_and_fields_of_structs(client):
    items = pa.ListArray.from_arrays([0, 3, 6], strings(ROWS))
    posts = pa.StructArray.from_arrays([strings(ROWS[:2]), pa.array([1, 2])], ["title", "n"])
    table = pa.table({"tags": items, "post": posts})
    scored = score(client, table, text=["tags", "post.title"], columns="new", on_error="null")
    assert [[item is not None for item in row] for row in scored["tags_label"].to_pylist()] == [IS_TEXT[:3], IS_TEXT[3:]]
    assert scored["post.title_error"].null_count == 2
    with pytest.raises(pa.ArrowInvalid, match='row 0 .*column "tags"'):
        score_in_turn(client, table, text=["tags", "post.title"])


def test_other_columns_are_text(client):
    """What is not scored is held to Arrow's rules, by which a batch of it is none."""
    table = pa.table({"text": ["fine"], "other": strings([b"\xff"])})
    with pytest.raises(pa.ArrowInvalid, match="cannot be decoded.*utf-8"):
        score_in_turn(client, table, text="text", on_error="null")


def write(path, column, by_note=False):
    """A file of two row groups, of which Parquet or only Arrow's note says that the column has strings."""
    schema = pa.schema({"text": column.type, "other": pa.list_(pa.string()), "id": pa.int64()})
    table = pa.table({"text": column, "other": [["x"]] * len(column), "id": range(len(column))}, schema=schema)
    if by_note:
        table = table.set_column(0, "text", unchecked(table["text"].chunk(0), BYTES[column.type]))
    with pq.ParquetWriter(path, table.schema, store_schema=not by_note) as writer:
        writer.write_table(table, row_group_size=4)
        if by_note:
            writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(schema.serialize().to_pybytes()).decode()})


FILES = {**{str(type): (strings(ROWS, type), False) for type in BYTES}, "a note alone": (strings(ROWS), True), "a dictionary": (keyed(ROWS), False)}


@pytest.mark.parametrize("column, by_note", FILES.values(), ids=FILES)
def test_files(tmp_path, serve, connect_to, column, by_note):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write(source, column, by_note)
    done = run("score", source, "-o", target, "--model", MODEL, "--text", "text")
    assert done.returncode == 1 and not target.exists()
    assert f'{source}: row 2 (counted from 0) is not text: column "text": incomplete utf-8' in done.stderr
    done = run("score", source, "-o", target, "--model", MODEL, "--text", "text", "--on-error", "null")
    assert done.returncode == 0, done.stderr
    expected = [label for label in pq.read_table(target, columns=["label"])["label"].to_pylist()]
    assert [label is not None for label in expected] == IS_TEXT

    client = connect_to(serve("--data", f"set={source}"))
    flight = lambda **options: client.get_flight_info(descriptor(data="set", text="text", partitions=1, **options), CALL).endpoints[0].ticket
    scored = client.do_get(flight(on_error="null"), CALL).read_all()
    assert scored["label"].to_pylist() == expected and [error is None for error in scored["error"].to_pylist()] == [True, True, False, True, False, True]
    assert scored.schema.field("text").type == column.type
    assert [value for chunk in scored["text"].chunks for value in as_bytes(chunk)] == ROWS
    with pytest.raises(pa.ArrowInvalid, match=r'row 2 \(counted from 0\) is not text: column "text"'):
        client.do_get(flight(), CALL).read_all()


def test_other_columns_of_files_are_text(tmp_path, serve, connect_to):
    pq.write_table(pa.table({"text": ["fine"], "other": strings([b"\xff"]), "list": pa.ListArray.from_arrays([0, 1], strings([b"\xff"]))}), tmp_path / "in.parquet")
    client = connect_to(serve("--data", f"set={tmp_path / 'in.parquet'}"))
    for columns, said in [("new", None), (["other"], 'column "other"'), (["list"], 'column "list"')]:
        info = client.get_flight_info(descriptor(data="set", text="text", columns=columns), CALL)
        if said:
            with pytest.raises(pa.ArrowInvalid, match=f"{said} does not fit its type.*(?i:utf-?8)"):
                client.do_get(info.endpoints[0].ticket, CALL).read_all()
        else:
            assert client.do_get(info.endpoints[0].ticket, CALL).read_all().num_rows == 1
