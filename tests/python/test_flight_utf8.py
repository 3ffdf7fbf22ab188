"""Strings that are not UTF-8, which clients that do not check can send: a row's trouble, and not its batch's."""
import pyarrow as pa
import pytest

from client import NEW_COLUMNS, score, score_in_turn, texts

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
