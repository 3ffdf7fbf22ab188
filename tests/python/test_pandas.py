"""Data frames of pandas: a round trip equal but for the new columns, dtypes and index kept."""
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from client import NEW_COLUMNS, score

TEXTS = ["a lovely film", "dull , dull , dull", "it 's fine"]


def round_trip(client, frame, **options):
    return score(client, pa.Table.from_pandas(frame), **options).to_pandas()


def check(client, frame, **options):
    scored = round_trip(client, frame, **options)
    assert list(scored.columns) == [*frame.columns, *NEW_COLUMNS]
    pd.testing.assert_frame_equal(scored.drop(columns=NEW_COLUMNS), frame)
    return scored


@pytest.mark.parametrize("index", [
    pd.RangeIndex(3),
    pd.RangeIndex(10, 16, 2),
    pd.Index([7, 8, 9], name="key"),
    pd.Index(["x", "y", "z"], name="name"),
    pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")], names=["n", "l"]),
    pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin", name="day"),
], ids=["range", "range-step", "named", "strings", "multi", "dates"])
def test_the_index_is_kept(client, index):
    check(client, pd.DataFrame({"text": TEXTS}, index=index), text="text")


def test_dtypes_are_kept(client):
    check(client, pd.DataFrame({
        "text": TEXTS,
        "int8": np.array([1, 2, 3], dtype="int8"),
        "float32": np.array([0.5, np.nan, 2.0], dtype="float32"),
        "bool": [True, False, True],
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "boolean": pd.array([True, None, False], dtype="boolean"),
        "when": pd.to_datetime(["2026-01-01", None, "2026-01-03"]).tz_localize("UTC"),
        "took": pd.to_timedelta(["1s", "2s", None]),
        "kind": pd.Categorical(["a", "b", "a"], categories=["b", "a"], ordered=True),
    }), text="text")


@pytest.mark.parametrize("dtype", ["object", "string", "string[pyarrow]", "str"])
def test_string_dtypes(client, dtype):
    frame = pd.DataFrame({"text": pd.Series([TEXTS[0], None, TEXTS[2]], dtype=dtype)})
    scored = check(client, frame)
    assert list(scored["label"].isna()) == [False, True, False]


def test_a_categorical_is_scored_and_stays_one(client):
    scored = check(client, pd.DataFrame({"text": pd.Categorical(TEXTS * 2)}))
    assert list(scored["confidence"][:3]) == list(scored["confidence"][3:])


def test_no_rows(client):
    assert round_trip(client, pd.DataFrame({"text": pd.Series([], dtype="string")})).empty
