"""`textflight.score` of pandas: what comes in comes back as it was, index, dtypes and all, with its scores."""
import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import textflight
from client import NEW_COLUMNS

TEXTS = ["a lovely film", None, "dull , dull , dull"]
LABELS = ["POSITIVE", None, "NEGATIVE"]


@pytest.fixture
def score(server):
    return textflight.Client(f"grpc://{server.flight}").score


def labels(frame, column="label"):
    return [None if pd.isna(label) else label for label in frame[column]]


def assert_kept(scored, frame):
    """Every column came back as it was, the new ones behind them."""
    assert list(scored.columns) == [*frame.columns, *NEW_COLUMNS]
    pd.testing.assert_frame_equal(scored.iloc[:, : frame.shape[1]], frame, check_column_type="exact" if frame.columns.nlevels > 1 else False)
    assert scored.index is frame.index or scored.index.equals(frame.index)
    assert scored.attrs == frame.attrs


COLUMNS = {
    "numbers": [1, 2, 3],
    "numbers that may be null": pd.array([1, None, 3], "Int16"),
    "truth": pd.array([True, None, False], "boolean"),
    "objects of many types": pd.Series([{1, 2}, object, "x"], dtype=object),
    "times": pd.to_datetime(["2024-03-31 00:30", None, "2024-10-27 00:30"]).tz_localize("UTC").tz_convert("Europe/Berlin"),
    "periods": pd.PeriodIndex(["2024-01", None, "2024-03"], freq="M"),
    "intervals": pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2), (2, 5)]),
    "categories": pd.Categorical([3, 1, None], categories=[3, 2, 1], ordered=True),
    "lists": [["a", "b"], None, []],
    "dates": [datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)],
    "decimals": [decimal.Decimal("1.10"), None, decimal.Decimal("-7")],
    "complex numbers": [1j, 2j, 3j],
    "sparse": pd.arrays.SparseArray([0, 0, 1]),
    "arrow": pd.array([[1], None, []], pd.ArrowDtype(pa.list_(pa.int8()))),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_other_columns_stay_as_they_are(score, column):
    frame = pd.DataFrame({"review": TEXTS, "it": COLUMNS[column]})
    scored = score(frame, "review")
    assert_kept(scored, frame)
    assert labels(scored) == LABELS and scored["confidence"].dtype == np.float32


STRINGS = ["object", "str", "string[python]", "string[pyarrow]", "category", pd.ArrowDtype(pa.large_string()), pd.ArrowDtype(pa.string()),
           pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))]


@pytest.mark.parametrize("dtype", STRINGS, ids=str)
def test_string_dtypes(score, dtype):
    frame = pd.DataFrame({"n": [1, 2, 3], "review": pd.Series(TEXTS, dtype=dtype)})
    scored = score(frame)
    assert_kept(scored, frame)
    assert labels(scored) == LABELS
    assert scored["confidence"].dropna().tolist() == [one["confidence"] for one in score(TEXTS) if one["label"]]


INDEXES = {
    "a named range": pd.RangeIndex(10, 40, 10, name="row"),
    "numbers that come again": pd.Index([7, 7, 6], name="id"),
    "strings": pd.Index(["x", "y", "x"]),
    "times": pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03"], tz="UTC", name="day"),
    "categories": pd.CategoricalIndex(["b", "a", "b"]),
    "two levels": pd.MultiIndex.from_tuples([(1, "a"), (1, "a"), (2, "b")], names=["a", None]),
}


@pytest.mark.parametrize("index", INDEXES)
def test_the_index_stays(score, index):
    frame = pd.DataFrame({"review": TEXTS, "n": [1, 2, 3]}, index=INDEXES[index])
    scored = score(frame)
    assert_kept(scored, frame)
    assert type(scored.index) is type(frame.index) and scored.index.names == frame.index.names
    scored = score(frame["review"])
    assert scored.index.identical(frame.index) and list(scored.columns) == NEW_COLUMNS and labels(scored) == LABELS


def test_columns_of_several_levels(score):
    columns = pd.MultiIndex.from_tuples([("review", "text"), ("review", "stars"), ("shop", "id")], names=["what", "of"])
    frame = pd.DataFrame([["good", 5, 1], ["bad", 1, 2]], columns=columns)
    for text in (None, ("review", "text")):
        scored = score(frame, text)
        assert list(scored.columns) == [*columns, ("label", ""), ("confidence", "")] and scored.columns.names == ["what", "of"]
        pd.testing.assert_frame_equal(scored[list(columns)], frame)
        assert labels(scored) == ["POSITIVE", "NEGATIVE"]
    with pytest.raises(ValueError, match="more than one column is called 'review'.*name all of its levels"):
        score(frame, "review")
    assert list(score(frame, columns=[("shop", "id")]).columns) == [("shop", "id"), ("label", ""), ("confidence", "")]


@pytest.mark.parametrize("names", [[0, 1], pd.CategoricalIndex(["a", "b"]), pd.to_datetime(["2024-01-01", "2024-01-02"]), [None, True]], ids=str)
def test_columns_with_names_of_other_types(score, names):
    frame = pd.DataFrame([["good", 5], ["bad", 1]], columns=names)
    scored = score(frame)
    assert list(scored.columns) == [*frame.columns, *NEW_COLUMNS] and labels(scored) == ["POSITIVE", "NEGATIVE"]
    assert list(score(frame, frame.columns[0]).columns) == list(scored.columns)
    assert list(frame.columns) == list(pd.Index(names)), "the caller's frame is as it was"


def test_the_callers_frame_is_left_alone(score):
    frame = pd.DataFrame({"review": TEXTS, "n": [1, 2, 3]})
    frame.attrs = {"source": "here"}
    before = frame.copy()
    scored = score(frame)
    scored.loc[0, "n"] = 77
    pd.testing.assert_frame_equal(frame, before)
    assert scored.attrs == {"source": "here"}


def test_a_class_derived_from_a_frame(score):
    class Shop(pd.DataFrame):
        @property
        def _constructor(self):
            return Shop

    assert type(score(Shop({"review": TEXTS}))) is Shop


def test_options(score):
    frame = pd.DataFrame({"id": [1, 2, 3], "title": ["good", None, "bad"], "body": ["bad", "good", "word " * 200]})
    scored = score(frame, "body", labels="id", details=True, probabilities=True, columns=["id"], label_column="l", confidence_column="c", on_error="null")
    assert list(scored.columns) == ["id", "l", "c", "tokens", "truncated", "probabilities", "error"]
    assert {str(dtype) for dtype in scored[["l", "tokens", "truncated"]].dtypes} == {"Int64", "Int32", "boolean"}
    assert scored["l"].tolist() == [0, 1, 1] or scored["l"].tolist() == [0, 1, 0]
    assert scored["truncated"].tolist() == [False, False, True] and scored["tokens"].tolist()[:2] == [3, 3] and scored["error"].isna().all()
    scored = score(frame, ["title", "body"], columns="new", labels="id")
    assert list(scored.columns) == ["title_label", "title_confidence", "body_label", "body_confidence"]
    assert scored["title_label"].dtype == "Int64" and scored["title_label"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("frame", [
    pd.DataFrame({"review": pd.Series([], dtype="str"), "n": pd.Series([], dtype="int8")}),
    pd.DataFrame({"review": []}),
    pd.DataFrame(columns=["review"]),
    pd.DataFrame({"review": ["a"], "n": [1]}).iloc[:0],
    pd.DataFrame({"review": pd.Categorical([])}),
], ids=["str", "no dtype", "no rows", "all rows cut off", "no categories"])
def test_a_frame_without_rows(score, frame):
    for scored in (score(frame), score(frame, "review")):
        assert list(scored.columns) == [*frame.columns, *NEW_COLUMNS] and len(scored) == 0
        assert scored["confidence"].dtype == np.float32


def test_no_text_but_nulls(score):
    for values in ([None, None], [np.nan, pd.NA]):
        frame = pd.DataFrame({"review": pd.Series(values, dtype=object), "n": [1, 2]})
        assert score(frame)["label"].isna().all()
    assert score(pd.Series([None, None], dtype=object))["confidence"].isna().all()


def test_a_frame_without_columns(score):
    for frame in (pd.DataFrame(), pd.DataFrame(index=[1, 2])):
        with pytest.raises(ValueError, match="no text column; columns: none"):
            score(frame)


def test_which_column(score):
    frame = pd.DataFrame({"title": ["a"], "body": ["b"], "n": [1], "tags": [["x"]]})
    with pytest.raises(ValueError, match="more than one text column: title, body; name one with text"):
        score(frame)
    with pytest.raises(ValueError, match='column "review" not found; text columns: title, body'):
        score(frame, "review")
    with pytest.raises(ValueError, match='column "n" is int64, not text; text columns: title, body'):
        score(frame, "n")
    with pytest.raises(ValueError, match=r"no text column; columns: n \(int64\), tags \(object\)"):
        score(frame[["n", "tags"]])
    with pytest.raises(ValueError, match="column 'id', which columns names, is not found; columns: title, body, n, tags"):
        score(frame, "title", columns=["id"])


def test_text_may_be_any_kind_of_list(score):
    frame = pd.DataFrame({"a": ["good"], "b": ["bad"]})
    expected = ["a_label", "a_confidence", "b_label", "b_confidence"]
    for text in (["a", "b"], ("a", "b"), frame.columns, np.array(["a", "b"]), pd.Series(["a", "b"])):
        assert list(score(frame, text, columns="new").columns) == expected
    for text in ([], (), frame.columns[:0]):
        with pytest.raises(ValueError, match="text names no column"):
            score(frame, text)
    for text in (("a", "a"), pd.Index(["a", "a"])):
        with pytest.raises(ValueError, match="names 'a' twice"):
            score(frame, text)
    named = frame.set_axis(pd.Index([("a", "b"), "c"], tupleize_cols=False), axis=1)
    assert list(score(named, ("a", "b"), columns="new").columns) == NEW_COLUMNS


@pytest.mark.parametrize("name", [pd.NA, float("nan"), None, pd.NaT])
def test_a_name_that_says_nothing(score, name):
    frame = pd.DataFrame([["good", 1]], columns=pd.Index([name, "n"], dtype=object))
    for columns in ({}, {"columns": ["n"]}, {"columns": [name]}):
        assert list(score(frame, **columns)["label"]) == ["POSITIVE"]
    with pytest.raises(ValueError, match='column "nope" not found'):
        score(frame, "nope")
    if name is not None:
        assert list(score(frame, name)["label"]) == ["POSITIVE"]


def test_texts_behind_many_nulls(score):
    frame = pd.DataFrame({"a": [None] * 100_000 + ["good"], "n": 1})
    assert list(score(frame)["label"].tail(1)) == ["POSITIVE"]
    with pytest.raises(ValueError, match="no text column"):
        score(pd.DataFrame({"a": [None] * 2000 + [5] * 1001 + ["good"]}))


def test_a_name_that_is_taken(score):
    frame = pd.DataFrame({"review": ["good"], "label": [1]})
    with pytest.raises(ValueError, match="already have a column 'label'; choose another name with label_column"):
        score(frame)
    assert list(score(frame, label_column="sentiment").columns) == ["review", "label", "sentiment", "confidence"]
    assert list(score(frame, columns=["review"]).columns) == ["review", *NEW_COLUMNS]


def test_names_that_come_twice(score):
    frame = pd.DataFrame([["good", 1, 2]], columns=["review", "n", "n"])
    scored = score(frame, "review")
    assert list(scored.columns) == ["review", "n", "n", *NEW_COLUMNS] and scored.iloc[0, :3].tolist() == ["good", 1, 2]
    with pytest.raises(ValueError, match="column 'n', which columns names, is there 2 times"):
        score(frame, columns=["n"])
    with pytest.raises(ValueError, match="more than one column is called 'review'"):
        score(pd.DataFrame([["good", "bad"]], columns=["review", "review"]), "review")


MIXED = {"an int": (5, r"int \(5\)"), "bytes": (b"x", r"bytes \(b'x'\)"), "a list": (["x"], r"list \(\['x'\]\)"), "a time": (pd.Timestamp(0), "Timestamp"),
         "a truth": (True, r"bool \(True\)"), "a number": (1.5, r"float \(1.5\)"), "a surrogate": ("\ud800", "a character that UTF-8 has no form for")}


@pytest.mark.parametrize("kind", MIXED)
def test_objects_of_mixed_types(score, kind):
    value, said = MIXED[kind]
    texts = [*["good"] * 3000, value, None]
    frame = pd.DataFrame({"review": pd.Series(texts, dtype=object)})
    with pytest.raises(ValueError, match=rf'^row 3000 \(counted from 0\) is not text: column "review": .*{said}'):
        score(frame)
    with pytest.raises(ValueError, match=r"^row 3000, index 'r3000', \(counted from 0\)"):
        score(frame.set_index(pd.Index([f"r{i}" for i in range(len(texts))])))
    scored = score(frame, on_error="null")
    assert scored["label"].isna().sum() == 2 and scored["error"].notna().sum() == 1
    assert scored["error"][3000].startswith('column "review": ')


def test_a_category_that_is_not_text(score):
    frame = pd.DataFrame({"review": pd.Categorical(["good", 5, None, "good"])})
    with pytest.raises(ValueError, match=r'column "review": .*int \(5\)'):
        score(frame, "review")


def test_nested_data(score):
    frame = pd.DataFrame({"n": [1, 2, 3], "texts": [["good", "bad"], None, []], "post": [{"title": "good"}, None, {"title": None}]})
    scored = score(frame, "texts")
    assert list(scored["label"][0]) == ["POSITIVE", "NEGATIVE"] and scored["label"][1] is None and len(scored["label"][2]) == 0
    scored = score(frame, "post.title")
    assert labels(scored) == ["POSITIVE", None, None] and scored["post"].tolist() == frame["post"].tolist()
    with pytest.raises(ValueError, match="struct"):
        score(frame, "post")
    with pytest.raises(ValueError, match="nope"):
        score(frame, "post.nope")
    with pytest.raises(ValueError, match='column "mixed"'):
        score(frame.assign(mixed=[["a"], {"b": 1}, 3]), "mixed")


def test_large_frames_are_sent_in_pieces(score):
    texts = [f"film {i} is {'good' if i % 3 else 'bad'}" for i in range(3000)]
    frame = pd.DataFrame({"review": pd.Series(texts, dtype="category"), "plain": texts})
    categories, plain = score(frame, "review", columns="new"), score(frame, "plain", columns="new")
    pd.testing.assert_frame_equal(categories, plain)
