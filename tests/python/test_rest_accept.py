"""`POST /score` answers tables in the type that their client accepts, and libraries read it."""
import datetime
import decimal
import io
import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rest import ARROW, CSV, NDJSON, PARQUET, TSV, parquet, post, refused, written

TABLE = b'id,text,note\r\n007,"good, fun",0.10\r\n008,,"a ""quoted"" note"\r\n\r\n009,""," x\ty "\n'
COLUMNS = {"id": ["007", "008", "009"], "text": ["good, fun", None, ""], "note": ["0.10", 'a "quoted" note', " x\ty "]}


def answered(server, accept, query=None, body=TABLE, content_type=CSV):
    status, headers, answer = post(server, query or {"text": "text"}, body, content_type, Accept=accept)
    assert status == 200, answer
    return headers["content-type"], answer


def test_an_arrow_stream_of_cells_as_texts(server):
    kind, answer = answered(server, ARROW, {"text": "text", "probabilities": 1})
    table = pa.ipc.open_stream(answer).read_all()
    assert kind == ARROW and table.select(list(COLUMNS)).to_pydict() == COLUMNS
    assert table.schema.field("confidence").type == pa.float32() and table["label"].null_count == 1
    assert pl.read_ipc_stream(io.BytesIO(answer))["id"].to_list() == COLUMNS["id"]


def test_json_lines(server):
    kind, answer = answered(server, f"{NDJSON}, */*;q=0.1")
    frame = pd.read_json(io.BytesIO(answer), lines=True, dtype=False)
    assert kind == NDJSON and frame["id"].tolist() == COLUMNS["id"] and frame["note"].tolist() == COLUMNS["note"]
    assert [json.loads(line)["text"] for line in answer.splitlines()] == COLUMNS["text"] and pl.read_ndjson(io.BytesIO(answer)).height == 3


def test_tabs_for_commas_and_back(server):
    kind, answer = answered(server, TSV)
    assert kind == TSV and answer.startswith(b"id\ttext\tnote\tlabel\tconfidence\n007\tgood, fun\t0.10\t")
    assert b'\n009\t""\t" x\ty "\t' in answer and b'\n008\t\t"a ""quoted"" note"\t\t\n' in answer
    assert pl.read_csv(io.BytesIO(answer), separator="\t", infer_schema=False)["note"].to_list() == COLUMNS["note"]
    kind, answer = answered(server, CSV, {"text": "text", "columns": "note"}, answer.replace(b"label", b"l").replace(b"confidence", b"c"), TSV)
    assert kind == CSV and answer.startswith(b"note,label,confidence\n0.10,")


def test_chosen_columns_and_scores_are_those_of_csv(server):
    kept = answered(server, "*/*", {"text": "text", "columns": "id"})
    table = pa.ipc.open_stream(answered(server, ARROW, {"text": "text", "columns": "id"})[1]).read_all()
    frame = pd.read_csv(io.BytesIO(kept[1]), dtype={"id": str, "confidence": "float32"})
    assert kept[0] == CSV and table.column_names == frame.columns.tolist()
    pd.testing.assert_frame_equal(table.to_pandas(), frame, check_dtype=False)


@pytest.mark.parametrize("accept", [ARROW, NDJSON])
def test_a_table_of_no_rows(server, accept):
    answer = answered(server, accept, body=b"text,n\n")[1]
    assert answer == b"" if accept == NDJSON else pa.ipc.open_stream(answer).read_all().column_names == ["text", "n", "label", "confidence"]


def test_what_is_wrong_is_said(server):
    for query, body, what in [
        ({"text": "a"}, b"a,b\n1,2\n3,\xff\n", 'row 1 (counted from 0) is not text: column "b"'),
        ({"text": "a"}, b"a,b,b\n1,2,3\n", 'more than one column is called "b"'),
        ({"text": "c"}, b"a,b\n1,2\n", 'column "c" not found'),
        ({}, b"", "no line of names"),
    ]:
        status, detail = refused(server, query, body, CSV, Accept=NDJSON)
        assert status == 400 and what in detail, detail
    status, detail = refused(server, {"text": "text"}, TABLE, CSV, Accept="image/png")
    assert status == 406 and all(kind in detail for kind in [CSV, TSV, NDJSON, ARROW])


def every_kind():
    """A table with a column of each kind, and what its values are in JSON."""
    utc = datetime.timezone.utc
    columns = {
        "text": (pa.array(["a joy", None, ""], pa.string_view()), ["a joy", None, ""]),
        "dictionary": (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
        "runs": (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), ["r", None]), ["r", "r", None]),
        "big": (pa.array([2**63 - 1, None, -1]), [2**63 - 1, None, -1]),
        "small": (pa.array([255, 0, None], pa.uint8()), [255, 0, None]),
        "float": (pa.array([0.1, None, float("nan")], pa.float64()), [0.1, None, None]),
        "yes": (pa.array([True, None, False]), [True, None, False]),
        "decimal": (pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-0.05")], pa.decimal128(9, 2)), [1.5, None, -0.05]),
        "bytes": (pa.array([b"\xff\x00", None, b""]), ["ff00", None, ""]),
        "date": (pa.array([datetime.date(2024, 2, 29), None, None]), ["2024-02-29", None, None]),
        "time": (pa.array([datetime.datetime(2024, 2, 29, 1, tzinfo=utc), None, None], pa.timestamp("us", "Europe/Berlin")), ["2024-02-29T01:00:00Z", None, None]),
        "nothing": (pa.nulls(3), [None] * 3),
        "list": (pa.array([["p", None], [], None]), [["p", None], [], None]),
        "struct": (pa.array([{"x": 1, "y": ["q"]}, {"x": None, "y": None}, None]), [{"x": 1, "y": ["q"]}, {"x": None, "y": None}, None]),
        "map": (pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())), [{"k": 1}, {}, None]),
    }
    return pa.table({name: column for name, (column, _) in columns.items()}), {name: values for name, (_, values) in columns.items()}


def test_arrow_as_json_lines(server):
    table, values = every_kind()
    kind, answer = answered(server, NDJSON, body=written(table), content_type=ARROW)
    rows = [json.loads(line) for line in answer.splitlines()]
    assert kind == NDJSON and {name: [row[name] for row in rows] for name in values} == values
    in_kind = pa.ipc.open_stream(answered(server, "*/*", body=written(table), content_type=ARROW)[1]).read_all()
    assert [row["label"] for row in rows] == in_kind["label"].to_pylist() and list(rows[0]) == in_kind.column_names
    assert pl.read_ndjson(io.BytesIO(answer))["struct"].to_list()[0] == values["struct"][0]
    assert pd.read_json(io.BytesIO(answer), lines=True)["dictionary"].tolist() == ["x", "y", "x"]


@pytest.mark.parametrize(("accept", "separator"), [(CSV, ","), (TSV, "\t")])
def test_arrow_as_csv(server, accept, separator):
    table, values = every_kind()
    kind, answer = answered(server, accept, body=written(table), content_type=ARROW)
    frame = pl.read_csv(io.BytesIO(answer), separator=separator, infer_schema=False)
    assert kind == accept and frame["text"].to_list() == ["a joy", None, ""] and frame["runs"].to_list() == ["r", "r", None]
    assert frame["float"].to_list() == ["0.1", None, "NaN"] and frame["bytes"].to_list() == ["ff00", None, ""]
    assert frame["time"].to_list()[0] == "2024-02-29T01:00:00Z" and frame["decimal"].to_list() == ["1.50", None, "-0.05"]
    assert [value and json.loads(value) for value in frame["struct"]] == values["struct"]
    assert pd.read_csv(io.BytesIO(answer), sep=separator, dtype={"big": "Int64"})["big"].tolist()[0] == 2**63 - 1
    # What came back is CSV that is taken.
    names = {"text": "text", "label_column": "l", "confidence_column": "c"}
    again = answered(server, ARROW, names, answer, accept)[1]
    again = pa.ipc.open_stream(again).read_all()
    assert again["l"].to_pylist() == [value and int(value) if value and value.isdigit() else value for value in again["label"].to_pylist()]


def test_arrow_that_is_no_text(server):
    raw = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    body = written(pa.table({"text": raw}))
    query = {"text": "text", "on_error": "null"}
    assert pa.ipc.open_stream(answered(server, ARROW, query, body, ARROW)[1]).read_all()["label"].null_count == 1
    status, detail = refused(server, query, body, ARROW, Accept=NDJSON)
    assert status == 400 and 'column "text" does not fit its type' in detail, detail
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    body = written(pa.table({"text": ["a"], "u": union}))
    status, detail = refused(server, {"text": "text"}, body, ARROW, Accept=CSV)
    assert status == 400 and 'column "u": no text is made of a union' in detail, detail
    assert answered(server, CSV, {"text": "text", "columns": "text"}, body, ARROW)[1].startswith(b"text,label")
    maps = pa.array([[([1], 2)]], pa.map_(pa.list_(pa.int8()), pa.int8()))
    status, detail = refused(server, {"text": "text"}, written(pa.table({"text": ["a"], "m": maps})), ARROW, Accept=CSV)
    assert status == 400 and 'column "m": no text is made of a map whose keys are lists or structs' in detail, detail


def test_a_few_bytes_that_stand_for_many(server):
    long = pa.array(["x" * 300_000])
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), long)
    table = pa.table({"text": ["a"] * 100, "many": many})
    answer = answered(server, CSV, {"text": "text"}, written(table), ARROW)[1]
    assert len(answer) > 30_000_000 and answer.count(b"\n") == 101
    lists = pa.ListArray.from_arrays(pa.array([0, 100, 100]), many)
    body = written(pa.table({"text": ["a", "b"], "many": lists}))
    status, detail = refused(server, {"text": "text"}, body, ARROW, Accept=NDJSON)
    assert status == 413 and "row 0 may become more than" in detail and "--max-message-mib" in detail, detail
    assert pa.ipc.open_stream(answered(server, ARROW, {"text": "text"}, body, ARROW)[1]).read_all().num_rows == 2


def test_names_that_every_line_would_repeat(serve):
    body = b"text,%b\na,b\n" % (b"x" * 200_000)
    status, detail = refused(serve("--max-message-mib", "1"), {"text": "text"}, body, CSV, Accept=NDJSON)
    assert status == 413 and "row 0 may become more than" in detail and "--max-message-mib" in detail, detail


@pytest.mark.parametrize("options", [{}, {"row_group_size": 2, "use_dictionary": False, "store_schema": False}])
def test_parquet_as_what_an_arrow_stream_becomes(server, options):
    table = every_kind()[0].drop_columns("runs")
    body = parquet(table, **options)
    read = pq.read_table(io.BytesIO(body))
    in_kind = pq.read_table(io.BytesIO(answered(server, "*/*", body=body, content_type=PARQUET)[1]))
    kind, answer = answered(server, ARROW, body=body, content_type=PARQUET)
    streamed = pa.ipc.open_stream(answer).read_all()
    assert kind == ARROW and streamed.schema.equals(in_kind.schema)
    for name in in_kind.column_names:
        assert repr(streamed[name].to_pylist()) == repr(in_kind[name].to_pylist()), name
    for accept in [NDJSON, CSV, TSV]:
        assert answered(server, accept, body=body, content_type=PARQUET) == answered(server, accept, body=written(read), content_type=ARROW)
    chosen = answered(server, NDJSON, {"text": "text", "columns": "big"}, body, PARQUET)[1]
    assert list(json.loads(chosen.splitlines()[0])) == ["big", "label", "confidence"]


def test_parquet_of_many_rows_as_others(server, dev_texts):
    texts = (dev_texts * (3000 // len(dev_texts) + 1))[:3000]
    body = parquet(pa.table({"id": range(3000), "text": texts}), row_group_size=1700)
    in_kind = pq.read_table(io.BytesIO(answered(server, PARQUET, body=body, content_type=PARQUET)[1]))
    assert pa.ipc.open_stream(answered(server, ARROW, body=body, content_type=PARQUET)[1]).read_all().combine_chunks() == in_kind.combine_chunks()
    frame = pl.read_ndjson(io.BytesIO(answered(server, NDJSON, body=body, content_type=PARQUET)[1]))
    assert frame["label"].to_list() == in_kind["label"].to_pylist() and frame["text"].to_list() == texts


def test_what_is_wrong_with_parquet_is_said(server):
    body = parquet(pa.table({"text": ["a", "b"], "label": [1, 2]}))
    for query, data, what in [
        ({"text": "text"}, body, 'already has a column "label"'),
        ({"text": "no"}, body, 'column "no" not found'),
        ({"text": "text"}, body[:-1], "the body"),
    ]:
        status, detail = refused(server, query, data, PARQUET, Accept=CSV)
        assert status == 400 and what in detail, detail
    assert answered(server, CSV, {"text": "text", "columns": "new"}, body, PARQUET)[1].startswith(b"label,confidence\n")


def read(kind, answer):
    """A table of whatever kind, with its columns as texts."""
    if kind == NDJSON:
        rows = [json.loads(line) for line in answer.splitlines()]
        return {name: [None if row[name] is None else str(row[name]) for row in rows] for name in rows[0]}
    if kind in (CSV, TSV):
        # Polars tells a blank text from null.
        frame = pl.read_csv(io.BytesIO(answer), separator="," if kind == CSV else "\t", infer_schema=False)
    else:
        table = pa.ipc.open_stream(answer).read_all() if kind == ARROW else pq.read_table(io.BytesIO(answer))
        frame = pl.from_arrow(table).cast(pl.String)
    return frame.to_dict(as_series=False)


@pytest.mark.parametrize(("query", "kept"), [({}, list(COLUMNS)), ({"columns": ["note", "id"]}, ["note", "id"]), ({"columns": "new"}, [])], ids=["all", "chosen", "new"])
def test_every_pair_has_the_same_table(server, query, kept):
    query = {"text": "text", **query}
    table = pa.table({**COLUMNS, "text": ["good, fun", None, "ä 漢 🎉"]})
    bodies = {ARROW: written(table), PARQUET: parquet(table)}
    plain = pl.from_arrow(table)
    bodies[NDJSON] = "".join(f"{json.dumps(row)}\n" for row in table.to_pylist()).encode()
    bodies |= {CSV: plain.write_csv().encode(), TSV: plain.write_csv(separator="\t").encode()}
    tables = {}
    for kind, body in bodies.items():
        for accept in [ARROW, PARQUET, CSV, TSV, NDJSON]:
            given, answer = answered(server, accept, query, body, kind)
            assert given == accept
            columns = read(accept, answer)
            columns["confidence"] = [value and round(float(value), 5) for value in columns["confidence"]]
            tables[kind, accept] = columns
    first = tables[CSV, CSV]
    assert list(first) == kept + ["label", "confidence"]
    for pair, columns in tables.items():
        assert columns == first and list(columns) == list(first), pair


def test_arrow_as_parquet(server):
    table = every_kind()[0].drop_columns("runs")
    seconds = answered(server, PARQUET, body=written(table.append_column("s", pa.array([5, None, 7], pa.timestamp("s")))), content_type=ARROW)[1]
    assert pq.read_schema(io.BytesIO(seconds)).field("s").type == pa.timestamp("ms")
    kind, answer = answered(server, PARQUET, body=written(table), content_type=ARROW)
    scored = pq.read_table(io.BytesIO(answer))
    assert kind == PARQUET and scored.schema.field("time").type == table.schema.field("time").type
    for name in table.column_names:
        assert repr(scored[name].to_pylist()) == repr(table[name].to_pylist()), name
    assert pl.read_parquet(io.BytesIO(answer), columns=["label"]).height == 3
    # Whatever is wrong is said: the answer is complete, or none.
    raw = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    body = written(pa.table({"text": pa.chunked_array([pa.array(["b"] * 2000), raw])}))
    status, detail = refused(server, {"text": "text"}, body, ARROW, Accept=PARQUET)
    assert status == 400 and "row 2001 (counted from 0) is not text" in detail, detail
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    status, detail = refused(server, {"text": "text"}, written(pa.table({"text": ["a"], "u": union})), ARROW, Accept=PARQUET)
    assert status == 400 and "no Parquet file has such columns" in detail, detail


LINES = b'{"id": 7.50, "post": {"title": "a joy"}, "text": "\\u00e4", "tags": ["x", 1], "more": null}\n\n{"text": null, "id": 18446744073709551617}\n'


def test_values_of_json_lines_are_texts_as_they_stood(server):
    table = pa.ipc.open_stream(answered(server, ARROW, {"text": ["text", "post.title"]}, LINES, NDJSON)[1]).read_all()
    assert table.select(["id", "post", "text", "tags", "more"]).to_pydict() == {
        "id": ["7.50", "18446744073709551617"], "post": ['{"title": "a joy"}', None], "text": ["ä", None], "tags": ['["x", 1]', None], "more": [None, None]}
    assert table.column_names[5:] == ["text_label", "text_confidence", "post.title_label", "post.title_confidence"]
    assert answered(server, CSV, {"text": "text", "columns": "id"}, LINES, NDJSON)[1].startswith(b"id,label,confidence\n7.50,")
    many = b"".join(b'{"id": %d, "text": "a joy"}\n' % row for row in range(5000))
    table = pq.read_table(io.BytesIO(answered(server, PARQUET, {"text": "text"}, many, NDJSON)[1]))
    assert table["id"].to_pylist() == [str(row) for row in range(5000)] and table["label"].null_count == 0


def test_a_key_that_has_no_column_is_said(server):
    body = b'{"text": "a"}\n{"text": "b", "late": 1}\n'
    status, detail = refused(server, {"text": "text"}, body, NDJSON, Accept=PARQUET)
    assert status == 400 and 'row 1 (counted from 0) has a key "late"' in detail and '"columns"' in detail, detail
    assert answered(server, CSV, {"text": "text", "columns": "text"}, body, NDJSON)[1].count(b"\n") == 3
    for body, what in [(b"", "no record"), (b'{"text": "a", "label": 1}\n', 'already has a column "label"'), (b'{"text": 1}\n', "not text")]:
        status, detail = refused(server, {"text": "text"}, body, NDJSON, Accept=CSV)
        assert status == 400 and what in detail, detail
