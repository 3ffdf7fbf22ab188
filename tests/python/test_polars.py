"""polars data frames, by both of their ways to Arrow."""
import datetime

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from client import NEW_COLUMNS, score

TEXTS = ["a lovely film", None, "dull", "a lovely film"]
ENUM = pl.Enum(["dull", "a lovely film", "unused"])
# `to_arrow` gives large strings, `pa.table` string views.
WAYS = {"to_arrow": lambda frame: frame.to_arrow(), "pa.table": pa.table}


@pytest.fixture(params=WAYS)
def round_trip(request, client):
    """Scores a frame as a polars user would."""
    return lambda frame, **options: pl.from_arrow(score(client, WAYS[request.param](frame), **options))


def assert_kept(scored, frame):
    """Equal but for the new columns, with every dtype; categories may be numbered anew."""
    assert scored.columns == [*frame.columns, *NEW_COLUMNS]
    assert_frame_equal(scored.drop(NEW_COLUMNS), frame, check_exact=True)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, ENUM], ids=str)
def test_string_dtypes(round_trip, dtype):
    frame = pl.DataFrame({"review": pl.Series(TEXTS, dtype=dtype), "n": [1, 2, 3, 4]})
    scored = round_trip(frame)
    assert_kept(scored, frame)
    assert scored.schema["label"] == pl.String and scored.schema["confidence"] == pl.Float32
    assert scored["label"].is_null().to_list() == [False, True, False, False]
    assert scored["confidence"][0] == scored["confidence"][3]


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Null], ids=str)
def test_a_column_of_nulls(round_trip, dtype):
    scored = round_trip(pl.DataFrame({"review": pl.Series([None] * 3, dtype=dtype)}), text="review")
    assert scored["label"].null_count() == scored["confidence"].null_count() == 3


def test_other_dtypes(round_trip):
    frame = pl.DataFrame({
        "review": TEXTS,
        "genre": pl.Series(["drama", None, "crime", "drama"], dtype=pl.Categorical),
        "medium": pl.Series(["dvd", "dvd", None, "film"], dtype=pl.Enum(["film", "dvd"])),
        "small": pl.Series([1, None, -3, 127], dtype=pl.Int8),
        "large": pl.Series([2**64 - 1, 0, None, 1], dtype=pl.UInt64),
        "real": [0.5, float("inf"), None, -0.0],
        "flag": [True, None, False, True],
        "price": pl.Series(["1.10", None, "-7.00", "0.00"]).cast(pl.Decimal(10, 2)),
        "day": [datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1), datetime.date(9999, 12, 31)],
        "at": pl.Series([datetime.datetime(2024, 3, 31, 12)] * 4).dt.replace_time_zone("Europe/Berlin"),
        "time": [datetime.time(23, 59, 59, 999999), None, datetime.time(0), datetime.time(12)],
        "took": [datetime.timedelta(days=1), None, datetime.timedelta(microseconds=-1), datetime.timedelta(0)],
        "raw": [b"\xff", None, b"", b"\x00"],
        "tags": [["a", None], [], None, ["b"]],
        "pair": pl.Series([[1, 2]] * 4, dtype=pl.Array(pl.Int16, 2)),
        "nested": [{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}, {"a": 2, "b": None}],
        "nothing": pl.Series([None] * 4, dtype=pl.Null),
    })
    assert_kept(round_trip(frame, text="review"), frame)


def test_a_slice_and_several_chunks(round_trip):
    frame = pl.concat([pl.DataFrame({"review": TEXTS, "n": range(4)})] * 5, rechunk=False).slice(3, 11)
    assert_kept(round_trip(frame), frame)


def test_a_frame_without_rows(round_trip):
    frame = pl.DataFrame(schema={"review": pl.String, "n": pl.Int8})
    assert_kept(round_trip(frame), frame)


def test_both_ways_score_alike(client):
    frame = pl.DataFrame({"review": TEXTS})
    one, other = (pl.from_arrow(score(client, way(frame))) for way in WAYS.values())
    assert_frame_equal(one, other, check_exact=True)
