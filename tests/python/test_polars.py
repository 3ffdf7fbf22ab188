"""Data frames of polars, by both ways that they become Arrow tables."""
import polars as pl
import pyarrow as pa
import pytest

from client import NEW_COLUMNS, score

TEXTS = ["a lovely film", None, "dull , dull , dull", "a lovely film"]


@pytest.fixture(params=["to_arrow", "pa.table"])
def arrow(request):
    return (lambda frame: frame.to_arrow()) if request.param == "to_arrow" else pa.table


def check(client, table):
    scored = pl.from_arrow(score(client, table, text="text"))
    assert scored.drop(NEW_COLUMNS).equals(pl.from_arrow(table))
    assert scored["label"].is_null().to_list() == [text is None for text in TEXTS]
    assert scored["confidence"][0] == scored["confidence"][3]
    return scored


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(sorted({t for t in TEXTS if t}))], ids=str)
def test_every_kind_of_string(client, arrow, dtype):
    frame = pl.DataFrame({"text": pl.Series(TEXTS, dtype=pl.String).cast(dtype)})
    scored = check(client, arrow(frame))
    assert scored["text"].cast(pl.String).to_list() == TEXTS


def test_columns_of_other_types_come_back(client, arrow):
    check(client, arrow(pl.DataFrame({
        "id": [1, 2, 3, 4],
        "text": TEXTS,
        "tags": [["a"], [], None, ["b", "c"]],
        "place": [{"x": 1, "y": None}, None, {"x": 2, "y": 0.5}, {"x": 3, "y": 1.0}],
        "when": pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 4), "1d", eager=True),
        "price": pl.Series(["1.50", None, "2.25", "3.00"]).cast(pl.Decimal(10, 2)),
    })))


def test_many_chunks(client, arrow):
    frame = pl.concat([pl.DataFrame({"text": TEXTS})] * 50, rechunk=False)
    scored = pl.from_arrow(score(client, arrow(frame)))
    assert scored.height == 200 and scored["text"].to_list() == TEXTS * 50
