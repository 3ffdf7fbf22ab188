"""`textflight.score` of polars: frames, lazy frames and series."""
import datetime

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import textflight
from client import NEW_COLUMNS

TEXTS = ["a lovely film", None, "dull , dull , dull"]
LABELS = ["POSITIVE", None, "NEGATIVE"]


@pytest.fixture
def score(server):
    return textflight.Client(f"grpc://{server.flight}").score


COLUMNS = {
    "numbers": pl.Series([1, None, 3], dtype=pl.Int8),
    "times": pl.Series([datetime.datetime(2024, 2, 29), None, datetime.datetime(1, 1, 1)], dtype=pl.Datetime("us", "Europe/Berlin")),
    "durations": pl.Series([datetime.timedelta(1), None, datetime.timedelta(milliseconds=-3)]),
    "decimals": pl.Series(["1.10", None, "-7"]).str.to_decimal(scale=2),
    "categories": pl.Series(["a", None, "b"], dtype=pl.Categorical),
    "an enum": pl.Series(["a", None, "b"], dtype=pl.Enum(["b", "a"])),
    "lists": pl.Series([["a"], None, []]),
    "arrays": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int8, 2)),
    "structs": pl.Series([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    "bytes": pl.Series([b"\xff", None, b""]),
    "nothing": pl.Series([None, None, None]),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_other_columns_stay_as_they_are(score, column):
    frame = pl.DataFrame({"review": TEXTS, "it": COLUMNS[column]})
    scored = score(frame, "review")
    assert scored.columns == ["review", "it", *NEW_COLUMNS]
    assert_frame_equal(scored.drop(NEW_COLUMNS), frame, categorical_as_str=False)
    assert scored["label"].to_list() == LABELS and scored.schema["confidence"] == pl.Float32


def test_objects_that_are_no_texts_come_back(score):
    frame = pl.DataFrame({"review": TEXTS, "it": pl.Series([{1}, None, object], dtype=pl.Object)})
    scored = score(frame)
    assert scored["label"].to_list() == LABELS and scored["it"].to_list() == frame["it"].to_list()


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(sorted(filter(None, TEXTS))), pl.Object], ids=str)
def test_string_dtypes(score, dtype):
    frame = pl.DataFrame({"review": pl.Series(TEXTS, dtype=dtype)})
    scored = score(frame, "review")
    assert scored["label"].to_list() == LABELS and scored.schema["review"] == dtype
    assert scored["confidence"].to_list() == [one["confidence"] for one in score(TEXTS)]


def test_a_series(score):
    scored = score(pl.Series("label", TEXTS), details=True)
    assert isinstance(scored, pl.DataFrame) and scored.columns == [*NEW_COLUMNS, "tokens", "truncated"]
    assert scored["label"].to_list() == LABELS
    with pytest.raises(ValueError, match="leave it out"):
        score(pl.Series(TEXTS), "text")


def test_options(score):
    frame = pl.DataFrame({"id": [1, 2, 3], "review": TEXTS})
    scored = score(frame, "review", labels="id", probabilities=True, columns=["id"], on_error="null")
    assert dict(scored.schema) == {"id": pl.Int64, "label": pl.Int64, "confidence": pl.Float32, "probabilities": pl.Array(pl.Float32, 2), "error": pl.String}
    assert score(frame, columns="new").columns == NEW_COLUMNS
    assert score(frame, ["review"]).columns == ["id", "review", "review_label", "review_confidence"]


def test_frames_without_rows_or_columns(score):
    for values in (pl.Series([], dtype=pl.String), pl.Series([])):
        frame = pl.DataFrame({"review": values})
        for scored in (score(frame), score(frame, "review"), score(frame.lazy()).collect()):
            assert scored.shape == (0, 3) and scored.schema["review"] == values.dtype
    with pytest.raises(ValueError, match="no string column; columns: none"):
        score(pl.DataFrame())


def test_what_is_no_text(score):
    frame = pl.DataFrame({"n": [1], "title": ["a"], "body": ["b"], "it": pl.Series([5], dtype=pl.Object)})
    with pytest.raises(ValueError, match="more than one string column: title, body"):
        score(frame.drop("it"))
    with pytest.raises(ValueError, match='column "n" is int64, not text; string columns: title, body'):
        score(frame.drop("it"), "n")
    with pytest.raises(ValueError, match='column "nope" not found'):
        score(frame.lazy(), "nope")
    with pytest.raises(ValueError, match=r'^row 0 \(counted from 0\) is not text: column "it": it is int \(5\)'):
        score(frame, "it")
    assert score(frame, "it", on_error="null")["error"].to_list() == ['column "it": it is int (5); str or None would be right']
    with pytest.raises(ValueError, match="already have a column 'label'"):
        score(pl.DataFrame({"review": ["a"], "label": [1]}))


def test_nested_data(score):
    frame = pl.DataFrame({"texts": [["good", None], [], None], "post": [{"title": "good"}, None, {"title": "bad"}]})
    assert score(frame, "texts")["label"].to_list() == [["POSITIVE", None], [], None]
    assert score(frame, "post.title")["label"].to_list() == ["POSITIVE", None, "NEGATIVE"]


LARGE = pl.DataFrame({"id": range(3_000), "review": [f"film {i} is {'good' if i % 3 else 'bad'}" for i in range(3_000)]})


def test_a_lazy_frame_stays_lazy(score):
    scored = score(LARGE.lazy().filter(pl.col("id") % 5 == 0))
    assert isinstance(scored, pl.LazyFrame)
    assert scored.collect_schema() == {"id": pl.Int64, "review": pl.String, "label": pl.String, "confidence": pl.Float32}
    eager = score(LARGE.filter(pl.col("id") % 5 == 0))
    assert_frame_equal(scored.collect(), eager)
    assert_frame_equal(scored.collect(engine="streaming"), eager)


def test_a_lazy_frame_takes_part_in_a_query(score):
    scored = score(LARGE.lazy())
    counts = scored.group_by("label").agg(pl.len(), pl.col("id").min()).collect()
    assert counts["len"].sum() == 3_000 and set(counts["label"]) == {"POSITIVE", "NEGATIVE"}
    assert scored.select("confidence").head(3).collect().shape == (3, 1)
    assert scored.filter(pl.col("label") == "NEGATIVE").select("id").head(2).collect()["id"].to_list() == [0, 3]
    assert scored.select("id").collect()["id"].to_list() == LARGE["id"].to_list()


NEED_NO_SCORES = {
    "a column": lambda scored: scored.select("id"),
    "a number of rows": lambda scored: scored.select(pl.len()),
    "a filter": lambda scored: scored.filter(pl.col("review").str.contains("good")).select("id"),
    "the first rows": lambda scored: scored.select("review", "id").head(7),
}


@pytest.mark.parametrize("query", NEED_NO_SCORES.values(), ids=NEED_NO_SCORES)
def test_what_needs_no_scores_is_not_scored(server, query):
    counted = []
    scored = textflight.score(LARGE.lazy(), server=f"grpc://{server.flight}", progress=lambda rows, of: counted.append(rows))
    assert_frame_equal(query(scored).collect(), query(LARGE.lazy()).collect())
    assert not counted
    assert scored.filter(pl.col("label") == "NEGATIVE").select(pl.len()).collect().item() and counted


def test_a_lazy_frame_is_not_held_in_memory(score, tmp_path):
    LARGE.write_parquet(tmp_path / "in.parquet")
    score(pl.scan_parquet(tmp_path / "in.parquet")).sink_parquet(tmp_path / "out.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "out.parquet"), score(LARGE))


def test_a_lazy_frame_whose_server_has_gone(serve):
    running = serve()
    scored = textflight.Client(f"grpc://{running.flight}", timeout=1).score(LARGE.lazy())
    running.stop()
    with pytest.raises(Exception, match=f"grpc://{running.flight}"):
        scored.collect()


def test_to_arrow_and_back(score):
    frame = pl.DataFrame({"review": TEXTS})
    assert score(frame).to_arrow()["label"].to_pylist() == score(pa.table(frame))["label"].to_pylist()
