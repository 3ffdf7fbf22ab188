"""What is not the text column comes back as it was sent: values, types, fields and metadata."""
import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest

from client import NEW_COLUMNS, assert_kept, score, score_in_turn, without_scores

DAY = datetime.date(2024, 2, 29)
TIME = datetime.datetime(2024, 2, 29, 23, 59, 59, 999999)
LENGTH = datetime.timedelta(days=3, microseconds=1)
NUMBER = decimal.Decimal("-123.45")
STRUCT = pa.struct([pa.field("a", pa.int32(), nullable=False), pa.field("b", pa.list_(pa.string()))])


def column(type, *values):
    """Three rows of a type, the last one null, and what its test is called."""
    return pytest.param(pa.array([*values, None], type), id=str(type))


COLUMNS = [
    *[column(t, 0, 127) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())],
    column(pa.uint64(), 0, 2**64 - 1),
    *[column(t, -0.0, 1.5) for t in (pa.float32(), pa.float64())],
    column(pa.float16(), np.float16(-0.0), np.float16(1.5)),
    column(pa.bool_(), True, False),
    *[column(t, NUMBER, -NUMBER) for t in (pa.decimal32(5, 2), pa.decimal64(12, 2), pa.decimal128(38, 2), pa.decimal256(76, 2))],
    *[column(t, DAY, DAY) for t in (pa.date32(), pa.date64())],
    *[column(pa.timestamp(unit), TIME.replace(microsecond=0), TIME.replace(year=1904, microsecond=0)) for unit in ("s", "ms", "us", "ns")],
    *[column(pa.timestamp("us", zone), TIME, TIME) for zone in ("UTC", "Europe/Lisbon", "+05:30")],
    *[column(t, datetime.time(23, 59), datetime.time(0)) for t in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))],
    *[column(pa.duration(unit), LENGTH, -LENGTH) for unit in ("us", "ns")],
    column(pa.month_day_nano_interval(), pa.MonthDayNano([1, -2, 3]), pa.MonthDayNano([0, 0, 0])),
    *[column(t, b"", b"\xff\x00") for t in (pa.binary(), pa.large_binary(), pa.binary_view())],
    column(pa.binary(2), b"ab", b"\x00\xff"),
    *[column(t, [1, None], []) for t in (pa.list_(pa.int64()), pa.large_list(pa.int64()), pa.list_view(pa.int64()), pa.large_list_view(pa.int64()))],
    column(pa.list_(pa.list_(pa.string())), [["a"], None], []),
    column(pa.list_(pa.float32(), 2), [0.5, 1.5], [None, 2.5]),
    column(STRUCT, {"a": 1, "b": ["x"]}, {"a": 2, "b": None}),
    column(pa.list_(STRUCT), [{"a": 1, "b": []}], []),
    column(pa.map_(pa.string(), pa.int32()), [("k", 1), ("l", None)], []),
    column(pa.null(), None, None),
    column(pa.dictionary(pa.int8(), pa.int64()), 7, 7),
    column(pa.uuid(), bytes(16), bytes(range(16))),
    pytest.param(pa.array(["a", None, "a"]).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string(), ordered=True)), id="ordered dictionary"),
    pytest.param(pa.ListArray.from_arrays([0, 2, 2, 3], pa.array(["a", "b", "a"]).dictionary_encode()), id="list of dictionary"),
    pytest.param(pa.StructArray.from_arrays([pa.array(["a", "b", None]).dictionary_encode()], ["d"]), id="struct of dictionary"),
    pytest.param(pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", None])), id="run-end encoded"),
    pytest.param(pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [pa.array([1, 0, 2]), pa.array(["", "b", ""])]), id="sparse union"),
    pytest.param(pa.UnionArray.from_dense(pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["b"])]), id="dense union"),
]


def with_text(values):
    """A table of the column, and of texts to score."""
    return pa.table({"it": values, "text": pa.array(["good", "bad", None])})


@pytest.mark.parametrize("values", COLUMNS)
def test_comes_back_equal(client, values):
    table = with_text(values)
    assert_kept(score(client, table, text="text"), table)


@pytest.mark.parametrize("values", COLUMNS)
def test_comes_back_equal_from_a_slice_and_in_single_rows(client, values):
    table = pa.concat_tables([with_text(values)] * 3).combine_chunks().slice(2, 5)
    assert_kept(score(client, table, max_chunksize=1, text="text"), table)


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_every_bit_of_a_float_comes_back(client, bits):
    """NaN payloads, infinities and the signs of zeros, which a comparison of values would miss."""
    quiet = {16: 0x7E01, 32: 0x7FC0_0001, 64: 0x7FF8_0000_0000_0001}[bits]
    infinity = {16: 0x7C00, 32: 0x7F80_0000, 64: 0x7FF0_0000_0000_0000}[bits]
    unsigned = np.array([quiet, infinity, infinity + 1, 1 << (bits - 1), 1], f"uint{bits}")
    table = pa.table({"it": pa.array(unsigned.view(f"float{bits}")), "text": ["t"] * 5})
    back = without_scores(score(client, table))["it"].to_numpy()
    assert (back.view(f"uint{bits}") == unsigned).all()


def test_metadata_of_schema_and_fields_is_kept(client):
    schema = pa.schema(
        [pa.field("text", pa.string(), metadata={"language": "en"}), pa.field("n", pa.struct([pa.field("m", pa.int8(), metadata={"unit": "kg"})]))],
        metadata={"source": "here", "empty": "", b"bytes": "ü".encode()},
    )
    table = pa.table({"text": ["t"], "n": [{"m": 1}]}, schema=schema)
    assert_kept(score(client, table), table)


@pytest.mark.parametrize("entry, said", [({"k": b"\xff"}, 'under the key "k" what is not UTF-8'), ({b"\xff": "v"}, "a key in the metadata of")])
@pytest.mark.parametrize("where", ["the schema", 'field "text"', 'field "n.m"'])
def test_metadata_that_is_not_utf_8_is_told_with_its_field_and_key(client, entry, said, where):
    def at(place):
        return entry if place == where else None

    inner = pa.struct([pa.field("m", pa.int8(), metadata=at('field "n.m"'))])
    fields = [pa.field("text", pa.string(), metadata=at('field "text"')), pa.field("n", inner)]
    table = pa.table({"text": ["t"], "n": [{"m": 1}]}, schema=pa.schema(fields, metadata=at("the schema")))
    with pytest.raises(pa.ArrowInvalid) as refused:
        score_in_turn(client, table, text="text")
    assert all(part in str(refused.value) for part in (said, where, "remove_metadata()", "base64")), refused.value


def test_columns_of_one_name_and_of_odd_names(client):
    names = ["n", "n", "", "text", "LABEL", "a.b", "💬", "nul\0"]
    table = pa.Table.from_arrays([pa.array([f"{i}"] if name == "text" else [i]) for i, name in enumerate(names)], names)
    scored = score(client, table)
    assert scored.column_names == names + NEW_COLUMNS
    assert scored.select(range(len(names))).equals(table)


def test_a_thousand_columns(client):
    table = pa.table({f"c{i}": [i, None] for i in range(1000)} | {"text": ["a", "b"]})
    assert_kept(score(client, table), table)
