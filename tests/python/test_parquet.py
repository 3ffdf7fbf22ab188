"""`textflight score` on files that Python's libraries write."""
import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import server as servers
from client import NEW_COLUMNS

TEXTS = ["a lovely film", None, "dull , dull , dull", ""] * 25


def score(source, target, *options):
    return servers.run("score", source, "-o", target, "--model", servers.MODEL, *options)


def scored(source, tmp_path, *options):
    target = tmp_path / "scored.parquet"
    done = score(source, target, *options)
    assert done.returncode == 0, done.stderr
    return pq.read_table(target), done


def assert_kept(table, source):
    before = pq.read_table(source)
    rest = table.drop_columns(NEW_COLUMNS)
    assert rest.schema.equals(before.schema, check_metadata=True)
    assert rest.equals(before)


def nested():
    return pa.table({
        "id": pa.array(range(100), pa.int32()),
        "text": pa.array(TEXTS),
        "tags": pa.array([["a", "b"], [], None, ["c"]] * 25),
        "place": pa.array([{"x": 1, "y": "e"}, None] * 50),
        "map": pa.array([[("k", 1)], []] * 50, pa.map_(pa.string(), pa.int64())),
        "kind": pa.array(["p", "q"] * 50).dictionary_encode(),
    })


@pytest.mark.parametrize("options", [
    dict(compression="none"), dict(compression="snappy"), dict(compression="zstd"), dict(compression="gzip"),
    dict(compression="brotli"), dict(compression="lz4"), dict(data_page_version="2.0"), dict(use_dictionary=False),
    dict(row_group_size=7), dict(write_page_index=True), dict(write_statistics=False),
], ids=str)
def test_what_pyarrow_writes(tmp_path, options):
    source = tmp_path / "in.parquet"
    pq.write_table(nested(), source, **options)
    table, _ = scored(source, tmp_path, "--text", "text")
    assert_kept(table, source)
    assert [label is None for label in table["label"].to_pylist()] == [text is None for text in TEXTS]
    before, after = pq.ParquetFile(source).metadata, pq.ParquetFile(tmp_path / "scored.parquet").metadata
    for group in range(before.num_row_groups):
        for column in range(before.num_columns):
            assert after.row_group(group).column(column).to_dict() == before.row_group(group).column(column).to_dict()


def test_what_pandas_and_polars_write(tmp_path):
    frame = pd.DataFrame({"text": TEXTS, "n": range(100)}, index=pd.Index(range(100), name="key"))
    frame.to_parquet(tmp_path / "pandas.parquet")
    table, _ = scored(tmp_path / "pandas.parquet", tmp_path)
    pd.testing.assert_frame_equal(table.to_pandas().drop(columns=NEW_COLUMNS), pd.read_parquet(tmp_path / "pandas.parquet"))

    pl.DataFrame({"text": TEXTS, "n": range(100)}).write_parquet(tmp_path / "polars.parquet")
    scored(tmp_path / "polars.parquet", tmp_path)
    assert pl.read_parquet(tmp_path / "scored.parquet").drop(NEW_COLUMNS).equals(pl.read_parquet(tmp_path / "polars.parquet"))


def test_no_rows(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "in.parquet")
    table, done = scored(tmp_path / "in.parquet", tmp_path)
    assert table.num_rows == 0 and table.column_names == ["text", *NEW_COLUMNS]
    assert done.stdout.startswith("0 rows")


def test_the_accuracy_is_transformers_own_row_for_row(tmp_path, reviews):
    expected = json.loads((servers.REPOSITORY / "tests/fixtures/sst2_dev.json").read_text())
    table, done = scored(reviews, tmp_path, "--text", "text", "--truth", "truth", "--labels", "id", "--json")
    assert table["label"].to_pylist() == [row["label"] for row in expected]
    summary = json.loads(done.stdout)
    right = sum(row["label"] == row["truth"] for row in expected)
    assert (summary["rows"], summary["accuracy"]["right"]) == (872, right)
    assert right / 872 >= 0.83


@pytest.mark.parametrize("code, message, options", [
    (2, "more than one string column", ()),
    (2, 'column "body" not found; string columns: text', ("--text", "body")),
    (2, "--max-length 5000", ("--text", "text", "--max-length", "5000")),
    (2, "no CUDA support", ("--text", "text", "--device", "cuda:0")),
    (2, "expected auto or f32", ("--text", "text", "--dtype", "f64")),
], ids=str)
def test_what_is_asked_for_wrongly(tmp_path, reviews, code, message, options):
    done = score(reviews, tmp_path / "out.parquet", *options)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_input_or_argument(tmp_path):
    done = score(tmp_path / "nope.parquet", tmp_path / "out.parquet")
    assert done.returncode == 1 and "nope.parquet" in done.stderr
    assert servers.run("score", "-o", tmp_path / "out.parquet").returncode == 2


def test_a_file_that_is_no_parquet(tmp_path):
    (tmp_path / "in.parquet").write_bytes(b"not a Parquet file at all")
    done = score(tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert done.returncode == 1 and "in.parquet" in done.stderr
    assert not (tmp_path / "out.parquet").exists()
