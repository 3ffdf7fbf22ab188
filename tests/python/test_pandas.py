"""pandas data frames: what comes back is the frame that was sent, with two columns more."""
import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from client import NEW_COLUMNS, score, score_in_turn

TEXTS = ["a lovely film", None, "dull"]


def round_trip(client, frame, **options):
    """Scores a frame as a pandas user would."""
    return score(client, pa.Table.from_pandas(frame), **options).to_pandas()


def assert_kept(scored, frame):
    """Equal but for the new columns: values, dtypes, the index and its names."""
    assert list(scored.columns) == [*frame.columns, *NEW_COLUMNS]
    pd.testing.assert_frame_equal(scored.drop(columns=NEW_COLUMNS), frame, check_column_type="exact", check_index_type="exact")


def test_the_default_dtypes(client):
    frame = pd.DataFrame({
        "id": [1, 2, 3],
        "review": TEXTS,
        "stars": [4.5, np.nan, -0.0],
        "kept": [True, False, True],
        "at": pd.to_datetime(["2024-02-29", None, "1970-01-01"]),
    })
    scored = round_trip(client, frame)
    assert_kept(scored, frame)
    assert scored["label"].isna().tolist() == scored["confidence"].isna().tolist() == [False, True, False]
    assert scored["confidence"].dtype == np.float32


STRINGS = ["object", "str", "string[python]", "string[pyarrow]", "category", pd.ArrowDtype(pa.large_string()), pd.ArrowDtype(pa.string())]


@pytest.mark.parametrize("dtype", STRINGS, ids=str)
def test_string_dtypes(client, dtype):
    frame = pd.DataFrame({"review": pd.Series(TEXTS, dtype=dtype), "n": [1, 2, 3]})
    plain = pa.Table.from_pandas(frame).to_pandas()  # what pandas and pyarrow keep of it by themselves
    scored = round_trip(client, frame)
    assert_kept(scored, plain)
    expected = score(client, pa.table({"review": TEXTS}))
    assert scored["confidence"].dropna().tolist() == expected["confidence"].drop_null().to_pylist()


COLUMNS = {
    "nullable integer": pd.array([1, None, 3], "Int16"),
    "nullable boolean": pd.array([True, None, False], "boolean"),
    "nullable float": pd.array([0.5, None, 1.5], "Float32"),
    "time zone": pd.to_datetime(["2024-03-31 00:30", None, "2024-10-27 00:30"]).tz_localize("UTC").tz_convert("Europe/Berlin"),
    "time delta": pd.to_timedelta(["1 day", None, "-3 ms"]),
    "period": pd.PeriodIndex(["2024-01", None, "2024-03"], freq="M"),
    "interval": pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2), (2, 5)]),
    "categorical": pd.Categorical([3, 1, None], categories=[3, 2, 1], ordered=True),
    "lists": [["a", "b"], None, []],
    "dates": [datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)],
    "decimals": [decimal.Decimal("1.10"), None, decimal.Decimal("-7")],
    "bytes": [b"\xff\x00", None, b""],
}


@pytest.mark.parametrize("column", COLUMNS)
def test_other_dtypes(client, column):
    frame = pd.DataFrame({"review": TEXTS, "it": COLUMNS[column]})
    plain = pa.Table.from_pandas(frame).to_pandas()
    assert_kept(round_trip(client, frame, text="review"), plain)


INDEXES = {
    "a range": pd.RangeIndex(10, 40, 10),
    "a named range": pd.RangeIndex(3, name="row"),
    "numbers": pd.Index([7, 5, 6]),
    "named numbers": pd.Index([7, 5, 6], name="id"),
    "times": pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03"], tz="UTC", name="day"),
    "two levels": pd.MultiIndex.from_tuples([(1, 0.5), (1, 1.5), (2, 0.5)], names=["a", None]),
}


@pytest.mark.parametrize("index", INDEXES)
def test_indexes(client, index):
    frame = pd.DataFrame({"review": TEXTS}, index=INDEXES[index])
    plain = pa.Table.from_pandas(frame).to_pandas()
    scored = round_trip(client, frame)
    # An index that is a column to Arrow is in front of the new columns there, and an index again here.
    pd.testing.assert_frame_equal(scored.drop(columns=NEW_COLUMNS), plain, check_index_type="exact")
    assert scored.index.names == frame.index.names


def test_an_index_of_strings_is_a_string_column(client):
    frame = pd.DataFrame({"review": TEXTS}, index=pd.Index(["x", "y", "z"], name="key"))
    with pytest.raises(pa.ArrowInvalid, match='more than one string column: review, key; name one with "text"'):
        score_in_turn(client, pa.Table.from_pandas(frame))
    assert round_trip(client, frame, text="review").index.equals(frame.index)


def test_without_the_index(client):
    frame = pd.DataFrame({"review": TEXTS}, index=[5, 6, 7])
    scored = score(client, pa.Table.from_pandas(frame, preserve_index=False)).to_pandas()
    assert_kept(scored, frame.reset_index(drop=True))


def test_attributes(client):
    frame = pd.DataFrame({"review": TEXTS})
    frame.attrs = {"source": "here", "version": 2}
    assert round_trip(client, frame).attrs == frame.attrs


def test_a_frame_without_rows(client):
    frame = pd.DataFrame({"review": pd.Series([], dtype="str"), "n": pd.Series([], dtype="int8")})
    assert_kept(round_trip(client, frame), frame)


def test_grouping_by_label(client):
    """What the columns are for."""
    frame = pd.DataFrame({"review": ["a wonderful film", "a wonderful cast", "an awful mess"], "stars": [5, 4, 1]})
    assert round_trip(client, frame).groupby("label")["stars"].mean().to_dict() == {"NEGATIVE": 1.0, "POSITIVE": 4.5}
