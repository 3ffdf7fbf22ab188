"""`POST /score` answers CSV in the type that its client accepts, and libraries read it."""
import io
import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rest import post, refused

CSV, TSV = "text/csv", "text/tab-separated-values"
NDJSON, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"

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
