"""`textflight.polars`: an expression of polars."""
import polars as pl
import pytest

import textflight
import textflight.polars
from server import BINARY

SCORE = pl.Struct({"label": pl.String, "confidence": pl.Float32})


@pytest.fixture
def sentiment(server):
    return lambda expr: textflight.polars.sentiment(expr, server=f"grpc://{server.flight}")


@pytest.fixture
def frame(dev_texts):
    return pl.DataFrame({"id": range(300), "review": dev_texts[:300]}).with_columns(
        pl.when(pl.col("id") % 10 == 3).then(None).otherwise(pl.col("review")).alias("review")
    )


@pytest.fixture
def expected(server, frame):
    return textflight.score(frame["review"], server=f"grpc://{server.flight}", progress=False)


def test_an_eager_frame(sentiment, frame, expected):
    scored = frame.with_columns(sentiment(pl.col("review")).alias("score"))
    assert scored.schema == {"id": pl.Int64, "review": pl.String, "score": SCORE}
    assert scored["score"].struct.unnest().equals(expected)
    assert scored["score"].null_count() == frame["review"].null_count() > 0
    assert scored.drop("score").equals(frame)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_lazy_frame(sentiment, frame, expected, engine):
    query = frame.lazy().with_columns(sentiment("review").alias("score")).unnest("score")
    assert query.collect_schema() == {"id": pl.Int64, "review": pl.String, "label": pl.String, "confidence": pl.Float32}
    assert query.collect(engine=engine).select("label", "confidence").equals(expected)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_filters_and_groups(sentiment, frame, expected, engine):
    label = sentiment(pl.col("review")).struct.field("label")
    counted = frame.lazy().filter(pl.col("review").is_not_null()).group_by(label.alias("label")).len().collect(engine=engine)
    assert dict(counted.iter_rows()) == dict(expected.drop_nulls()["label"].value_counts().iter_rows())
    sure = frame.lazy().filter(sentiment("review").struct.field("confidence") > 0.9).collect(engine=engine)
    assert sure["id"].to_list() == frame.filter(expected["confidence"] > 0.9)["id"].to_list()


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_within_groups(sentiment, frame, expected, engine):
    query = frame.lazy().group_by(pl.col("id") % 7, maintain_order=True).agg(sentiment("review").struct.field("confidence").mean())
    by_hand = frame.with_columns(expected["confidence"]).group_by(pl.col("id") % 7, maintain_order=True).agg(pl.col("confidence").mean())
    found = query.collect(engine=engine).sort("id")
    assert found["id"].equals(by_hand.sort("id")["id"])
    assert found["confidence"].to_list() == pytest.approx(by_hand.sort("id")["confidence"].to_list())
    over = frame.select(sentiment("review").struct.field("label").n_unique().over(pl.col("id") % 7))
    assert over.height == frame.height


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["a lovely film", "dull , dull , dull"])], ids=str)
def test_texts_of_every_type(sentiment, dtype):
    texts = pl.Series("review", ["a lovely film", None, "dull , dull , dull", "a lovely film"], dtype=dtype)
    scored = texts.to_frame().select(sentiment("review").struct.field("label")).to_series()
    assert scored.to_list() == ["POSITIVE", None, "NEGATIVE", "POSITIVE"]


def test_nulls_blanks_and_nothing(sentiment):
    scored = pl.DataFrame({"review": [None, "", "  "]}).select(sentiment("review"))["review"]
    assert scored[0] is None and scored[1]["label"] == scored[2]["label"]
    assert pl.DataFrame({"review": [None, None]}).select(sentiment("review"))["review"].to_list() == [None, None]
    assert pl.DataFrame({"review": []}, schema={"review": pl.String}).select(sentiment("review")).schema == {"review": SCORE}


def test_expressions_of_texts(sentiment):
    frame = pl.DataFrame({"title": ["a lovely", "a dull , dull"], "noun": ["film", "film"]})
    scored = frame.select(sentiment(pl.concat_str("title", "noun", separator=" ")).struct.field("label"))
    assert scored["label"].to_list() == ["POSITIVE", "NEGATIVE"]
    several = frame.select(sentiment(pl.col("title", "noun")))
    assert several.schema == {"title": SCORE, "noun": SCORE}


def test_a_method_of_every_expression(server, sentiment, frame):
    method = pl.col("review").textflight.sentiment(server=f"grpc://{server.flight}")
    assert frame.select(method).equals(frame.select(sentiment("review")))


@pytest.mark.parametrize("values", [[1, 2], [["a"]], [b"a"]], ids=["numbers", "lists", "bytes"])
def test_what_is_no_text_is_an_error_that_names_the_column(sentiment, values):
    with pytest.raises((textflight.InvalidError, pl.exceptions.ComputeError), match='column "review" is .*, not text'):
        pl.DataFrame({"review": values}).select(sentiment("review"))


def test_what_is_no_expression_is_an_error():
    with pytest.raises(textflight.InvalidError, match=r'expr is Series; .*pl\.col\("review"\)'):
        textflight.polars.sentiment(pl.Series(["a"]))


def test_a_column_that_is_not_there_is_polars_own_error(sentiment, frame):
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        frame.select(sentiment("body"))


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_server_that_is_not_there(engine, frame):
    query = frame.lazy().select(textflight.polars.sentiment("review", server="grpc://127.0.0.1:1"))
    with pytest.raises((ConnectionError, pl.exceptions.ComputeError), match=r"127\.0\.0\.1:1"):
        query.collect(engine=engine)


def test_without_a_server_one_is_started(monkeypatch, tmp_path):
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(BINARY))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    scored = pl.DataFrame({"review": ["a lovely film"]}).select(textflight.polars.sentiment("review"))
    assert scored["review"][0]["label"] == "POSITIVE"
