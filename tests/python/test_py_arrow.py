"""`textflight.score` of pyarrow, of whatever speaks its PyCapsule interface, and of lists."""
import collections
import decimal

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pytest

import textflight
from client import NEW_COLUMNS, assert_kept
from textflight._options import Options
from textflight._plan import Plan

TEXTS = ["a lovely film", None, "dull , dull , dull"]
LABELS = ["POSITIVE", None, "NEGATIVE"]


@pytest.fixture
def score(server):
    return textflight.Client(f"grpc://{server.flight}").score


class Stream:
    """Another library's: it has no more than the interface."""

    def __init__(self, data):
        self._data = data

    def __arrow_c_stream__(self, requested_schema=None):
        return self._data.__arrow_c_stream__(requested_schema)


class Array:
    def __init__(self, data):
        self._data = data

    def __arrow_c_array__(self, requested_schema=None):
        return self._data.__arrow_c_array__(requested_schema)


TABLE = pa.table(
    {"text": pa.chunked_array([TEXTS[:1], [], TEXTS[1:]]), "n": pa.array([1, None, 3], pa.int8())},
    schema=pa.schema([pa.field("text", pa.string(), metadata={"a": "b"}), pa.field("n", pa.int8())], metadata={"pandas": "not quite"}),
)


def test_a_table(score):
    assert_kept(score(TABLE), TABLE)
    assert score(TABLE)["label"].to_pylist() == LABELS


def test_a_batch(score):
    batch = TABLE.combine_chunks().to_batches()[0]
    scored = score(batch)
    assert isinstance(scored, pa.RecordBatch) and scored.select(["text", "n"]).equals(batch, check_metadata=True)
    assert scored["label"].to_pylist() == LABELS
    assert score(batch.slice(0, 0)).num_rows == 0


def test_a_reader(score):
    scored = score(TABLE.to_reader())
    assert isinstance(scored, pa.RecordBatchReader)
    assert [batch.num_rows for batch in scored] == [1, 0, 2]
    assert_kept(score(TABLE.to_reader()).read_all(), TABLE)
    assert score(TABLE.slice(0, 0).to_reader()).read_all().column_names == ["text", "n", *NEW_COLUMNS]


def test_columns(score):
    for column in (TABLE["text"], TABLE["text"].combine_chunks(), TABLE["text"].dictionary_encode()):
        scored = score(column, details=True)
        assert isinstance(scored, pa.Table) and scored.column_names == [*NEW_COLUMNS, "tokens", "truncated"]
        assert scored["label"].to_pylist() == LABELS
    with pytest.raises(ValueError, match="int64"):
        score(pa.array([1]))


def test_other_libraries(score):
    scored = score(Stream(TABLE))
    assert isinstance(scored, pa.RecordBatchReader)
    assert_kept(scored.read_all(), TABLE)
    assert score(Stream(TABLE["text"]))["label"].to_pylist() == LABELS
    assert score(Array(TABLE.to_batches()[0]))["label"].to_pylist() == LABELS[:1]
    assert score(Array(TABLE["text"].combine_chunks()))["label"].to_pylist() == LABELS
    relation = duckdb.sql("SELECT 'film ' || i || ' is good' AS review, i FROM range(5000) t(i)")
    assert score(relation).read_all().num_rows == 5000


def test_types_of_texts(score):
    decoded = pa.array(TEXTS)
    for column in (
        decoded.cast(pa.large_string()),
        decoded.cast(pa.string_view()),
        decoded.cast(pa.large_binary()),
        decoded.dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.uint8()), pa.array([TEXTS[0], TEXTS[2]], pa.large_string()), ordered=True),
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3], pa.int16()), decoded),
        pa.ExtensionArray.from_storage(pa.json_(pa.string()), decoded),
    ):
        table = pa.table({"text": column, "n": [1, 2, 3]})
        scored = score(table, "text")
        assert_kept(scored, table)
        assert scored["label"].to_pylist() == LABELS
    assert score(pa.table({"text": pa.nulls(3)}), "text")["label"].null_count == 3


def test_types_that_cannot_be_sent_come_back(score):
    """Columns that are not scored stay here, whatever they are."""
    union = pa.UnionArray.from_sparse(pa.array([0, 0, 1], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])])
    inner = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", "b"]).dictionary_encode())
    table = pa.table({"text": TEXTS, "union": union, "dictionaries": inner, "text2": pa.array([b"\xff", b"", None]).view(pa.string())})
    scored = score(table, "text")
    assert scored.drop_columns(NEW_COLUMNS).schema == table.schema and scored["label"].to_pylist() == LABELS
    assert scored["union"].equals(table["union"]) and scored["text2"].cast(pa.binary(), safe=False) == table["text2"].cast(pa.binary(), safe=False)


def test_large_dictionaries_and_rows(score):
    """Each piece of a column with a large dictionary brings what it has of it; a row that fits in no piece goes alone."""
    texts = [f"film {i} is {'good' if i % 3 else 'bad'}" for i in range(3000)]
    column = pa.array(texts).dictionary_encode()
    assert score(column) == score(pa.chunked_array([texts]))
    texts = ["good", "fine " * 400_000, "bad", *["good"] * 3000]
    assert score(pa.array(texts), details=True)["tokens"].to_pylist()[:3] == [3, 400_002, 3]


def test_of_views_a_slice_is_sent(score):
    """As polars gives its strings: each slice of them shows what all may."""
    views = polars.DataFrame({"text": [f"film {i} is {'good' if i % 3 else 'bad'}, and more is to be said" for i in range(3000)]})
    table = pa.table(views)
    assert table.schema.field("text").type == pa.string_view()
    plan = Plan.of(table.schema, Options())
    assert plan.texts(table.to_batches(max_chunksize=100)[0]).nbytes < 10_000
    scored = score(table.to_reader(100)).read_all()
    assert scored["label"] == score(table["text"].cast(pa.string()))["label"] and scored["text"] == table["text"]


def test_wide_rows(score):
    """What is not scored is not sent: 200 MiB of it take no longer than none."""
    payload = pa.repeat(pa.scalar(bytes(1024 * 1024)), 200)
    table = pa.table({"text": ["good"] * 200, "payload": payload})
    assert score(table.to_reader(10)).read_all()["payload"].nbytes == table["payload"].nbytes


def test_which_column(score):
    table = pa.table({"id": ["a"], "text": ["b"], "n": [1], "post": [{"title": "good", "n": 1}], "tags": [["bad"]]})
    with pytest.raises(ValueError, match="more than one string column: id, text; name one with text"):
        score(table)
    with pytest.raises(ValueError, match='column "review" not found; string columns: id, text, post.title'):
        score(table, "review")
    with pytest.raises(ValueError, match='column "n" is int64, not text; string columns: id, text, post.title'):
        score(table, "n")
    with pytest.raises(ValueError, match='column "post" is struct.*, not text'):
        score(table, "post")
    with pytest.raises(ValueError, match="post.n"):
        score(table, "post.n")
    with pytest.raises(ValueError, match=r'no string column; columns: n \(int64\), post.*a field in a struct is named by its path'):
        score(table.select(["n", "post"]))
    assert score(table, "post.title")["label"].to_pylist() == ["POSITIVE"]
    assert score(table, "tags")["label"].to_pylist() == [["NEGATIVE"]]
    assert score(table, ["post.title", "tags"], columns="new").column_names == ["post.title_label", "post.title_confidence", "tags_label", "tags_confidence"]


def test_names_that_come_twice(score):
    table = pa.table([["good"], [1], [2]], names=["text", "n", "n"])
    assert score(table).column_names == ["text", "n", "n", *NEW_COLUMNS]
    assert score(table.to_reader()).read_all().column_names == ["text", "n", "n", *NEW_COLUMNS]
    with pytest.raises(ValueError, match='more than one column is called "text"'):
        score(pa.table([["good"], ["bad"]], names=["text", "text"]), "text")
    with pytest.raises(ValueError, match="there 2 times"):
        score(table, columns=["n"])


def test_options_that_nobody_knows(server, tmp_path):
    said = "there is no option 'label'; options are text, labels, details"
    with textflight.Client(f"grpc://{server.flight}") as client:
        for call in (client.score, lambda texts, **options: client.score_reader(pa.schema([]), [], **options)):
            with pytest.raises(TypeError, match=said):
                call(["fine"], label="id")
    with pytest.raises(TypeError, match=said):
        textflight.score_parquet(tmp_path / "in.parquet", tmp_path / "out.parquet", label="id")


def test_options_that_are_none(score):
    for options, said in [
        ({"labels": "names"}, 'labels is \'names\'; "name" or "id" would be right'),
        ({"on_error": "skip"}, "on_error is 'skip'"),
        ({"details": "yes"}, "details is 'yes'; True or False"),
        ({"columns": "text"}, "columns is 'text'"),
        ({"label_column": 5}, "label_column is int"),
        ({"columns": 5}, "columns is int"),
        ({"progress": "yes"}, "progress is 'yes'"),
        ({"text": 5}, "text is 5, not the name of a column"),
        ({"text": []}, "text names no column"),
        ({"text": ["text", "text"]}, 'text names "text" twice'),
        ({"columns": ["n", "n"]}, "columns names 'n' twice"),
        ({"label_column": "x", "confidence_column": "x"}, "x"),
    ]:
        with pytest.raises(ValueError, match=said):
            score(TABLE, **options)


def test_a_row_that_cannot_be_scored_is_named_as_the_caller_counts(score):
    texts = [b"good"] * 5000 + [b"\xff\xfe"] + [b"good"] * 5000
    for data in (pa.table({"text": texts}), pa.table({"text": texts}).to_reader(1000)):
        with pytest.raises(ValueError, match=r"^row 5000 \(counted from 0\) is not text"):
            score(data, "text").to_pylist() if isinstance(data, pa.Table) else score(data, "text").read_all()
    scored = score(pa.table({"text": texts}), "text", on_error="null")
    assert [i for i, error in enumerate(scored["error"].to_pylist()) if error] == [5000]


def test_a_reader_that_gives_something_else(server):
    client = textflight.Client(f"grpc://{server.flight}")
    schema = pa.schema([("text", pa.string())])
    for batches, said in [([5], "batch 0 is int"), ([pa.record_batch({"other": ["a"]})], "batch 0 has another schema")]:
        with pytest.raises(ValueError, match=said):
            client.score_reader(schema, batches).read_all()


def test_lists(score):
    scored = score(TEXTS)
    assert [one["label"] for one in scored] == LABELS and scored[1] == {"label": None, "confidence": None}
    for other in (tuple(TEXTS), np.array(TEXTS, dtype=object), [float("nan") if text is None else text for text in TEXTS]):
        assert score(other) == scored
    assert score(np.array(["good", "bad"]))[0]["label"] == "POSITIVE"
    assert score([]) == [] and score([None])[0]["label"] is None
    assert score([["good", "bad"], None])[0]["label"] == ["POSITIVE", "NEGATIVE"]
    assert score(["good"], labels="id", details=True, probabilities=True)[0].keys() == {"label", "confidence", "tokens", "truncated", "probabilities"}


def test_lists_that_are_no_texts(score):
    for texts, said in [(["a", 5], r"^row 1 \(counted from 0\) is not text: it is int \(5\)"), (["a", b"b"], "bytes"), ([1], "row 0 .*int"),
                        (["a", decimal.Decimal(1)], "Decimal"), (["a", ["b"]], "row 1 .*list"), ([["a"], 5], "different types|int")]:
        with pytest.raises(ValueError, match=said):
            score(texts)
    scored = score(["good", 5, None], on_error="null")
    assert [one["label"] for one in scored] == ["POSITIVE", None, None] and "int (5)" in scored[1]["error"] and scored[2]["error"] is None
    with pytest.raises(ValueError, match="leave it out"):
        score(["a"], "text")
    with pytest.raises(ValueError, match="details is array"):
        score(["a"], details=np.array([True, False]))
    with pytest.raises(ValueError, match="2 dimensions"):
        score(np.array([["a"]]))


@pytest.mark.parametrize("other", [np.int64(5), np.bool_(True), np.datetime64("2026-01-01"), 5, 5.0, decimal.Decimal(5)])
def test_numbers_before_texts(score, other):
    none, good = score([other, "good"], on_error="null")
    assert none["label"] is None and f"it is {type(other).__name__}" in none["error"] and good["label"] == "POSITIVE"
    with pytest.raises(ValueError, match=rf"^row 0 \(counted from 0\) is not text: it is {type(other).__name__}"):
        score([other, "good"])


@pytest.mark.parametrize("null", [np.float32("nan"), np.float64("nan"), float("nan"), decimal.Decimal("nan"), np.datetime64("NaT")])
def test_what_is_no_number_is_null(score, null):
    assert [one["label"] for one in score([null, "good", null])] == [None, "POSITIVE", None]


@pytest.mark.parametrize("kind", [list, tuple, collections.deque, collections.UserList, np.array])
def test_sequences(score, kind):
    assert [one["label"] for one in score(kind(["good"] * 2000 + ["bad"]))][1999:] == ["POSITIVE", "NEGATIVE"]


def test_data_of_no_kind(score):
    for data in ("one text", b"bytes", 5, None, {"text": ["a"]}, {"a"}, iter(["a"]), object()):
        with pytest.raises(TypeError, match=f"data are {type(data).__name__}") as raised:
            score(data)
        assert isinstance(raised.value, ValueError)


def test_predict(server):
    address = f"grpc://{server.flight}"
    [good, none, bad] = textflight.predict(TEXTS, server=address)
    assert (good.label, none.label, bad.label) == tuple(LABELS) and good.confidence > 0.9 and none.confidence is None
    assert textflight.predict("good", server=address)[0].label == "POSITIVE"
    with pytest.raises(TypeError, match="texts are int"):
        textflight.predict(5, server=address)
