"""`textflight score` on files that pyarrow, pandas and polars write, read back by pyarrow."""
import json
import re

import pandas as pd
import polars as pl
import polars.testing
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client import assert_kept
from server import MODEL, REPOSITORY, run

ROWS = 500
TABLE = pa.table({
    "id": pa.array(range(ROWS), pa.int32()),
    "text": [None if i % 50 == 7 else f"film {i} is {'fun' if i % 2 else 'dull'}" for i in range(ROWS)],
    "genre": pa.array([["drama", "crime", None][i % 3] for i in range(ROWS)]).dictionary_encode(),
    "tags": [[["a", "b"], [], None, [None]][i % 4] for i in range(ROWS)],
    "nested": [{"n": i, "m": [{"k": "v"}] * (i % 3)} if i % 5 else None for i in range(ROWS)],
    "at": pa.array(range(ROWS), pa.timestamp("us", "UTC")),
}).replace_schema_metadata({"source": "a test"})

WRITTEN = {
    **{codec: dict(compression=codec) for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]},
    "second data pages": dict(data_page_version="2.0", compression="zstd"),
    "small pages": dict(data_page_size=256, write_batch_size=32, dictionary_pagesize_limit=128),
    "no dictionary": dict(use_dictionary=False),
    "delta": dict(use_dictionary=False, column_encoding={"id": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"}),
    "lengths": dict(use_dictionary=False, column_encoding={"text": "DELTA_LENGTH_BYTE_ARRAY"}),
    "many row groups": dict(row_group_size=37),
    "page index and checksums": dict(write_page_index=True, write_page_checksum=True),
    "first format": dict(version="1.0"),
    "no Arrow schema": dict(store_schema=False),
}


def score(source, target, *options, check=0):
    """Runs the command; gives back what it printed."""
    done = run("score", source, "-o", target, "--model", MODEL, *options)
    assert done.returncode == check, done.stderr
    return done


def assert_scored(source, target):
    before, after = (without_pandas(pq.read_table(path)) for path in (source, target))
    assert_kept(after, before)
    assert after["label"].is_null().equals(before["text"].is_null())
    assert pq.ParquetFile(target).num_row_groups == pq.ParquetFile(source).num_row_groups


def without_pandas(table):
    """Without the entry that lists the columns once more: it has learned of the new ones."""
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
    return table.replace_schema_metadata(metadata)


@pytest.mark.parametrize("options", WRITTEN.values(), ids=WRITTEN)
def test_files_of_pyarrow(tmp_path, options):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(TABLE, source, **options)
    score(source, target, "--text", "text")
    assert_scored(source, target)


def test_all_of_a_file_has_the_scores_of_an_exchange(tmp_path, client):
    from client import score as exchange

    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(TABLE, source)
    score(source, target, "--text", "text", "--details", "--probabilities", "--labels", "id")
    scored = exchange(client, TABLE, text="text", details=True, probabilities=True, labels="id")
    names = ["label", "confidence", "tokens", "truncated"]
    file = pq.read_table(target)
    assert file.select(names).equals(scored.select(names))
    assert file["probabilities"].to_pylist() == scored["probabilities"].to_pylist()


def test_files_of_pandas(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    frame = pd.DataFrame({"text": ["fun", None, "dull"], "c": pd.Categorical(["x", "y", "x"])}, index=pd.Index([3, 1, 2], name="row"))
    frame.to_parquet(source)
    score(source, target, "--text", "text")
    assert_scored(source, target)
    pd.testing.assert_frame_equal(pd.read_parquet(target).drop(columns=["label", "confidence"]), pd.read_parquet(source))


def test_files_of_polars(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    frame = pl.DataFrame({"text": ["fun", None, "dull"], "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical), "l": [[1], [], None]})
    frame.write_parquet(source, row_group_size=2)
    score(source, target, "--text", "text")
    assert_scored(source, target)
    pl.testing.assert_frame_equal(pl.read_parquet(target).drop("label", "confidence"), pl.read_parquet(source))


def test_a_file_of_no_rows(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(TABLE.slice(0, 0), source)
    assert "0 rows" in score(source, target, "--text", "text").stdout
    assert_scored(source, target)


def test_a_folder_of_files(tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    target.mkdir()
    for i in range(3):
        pq.write_table(TABLE.slice(100 * i, 100), source / f"{i}.parquet")
    assert json.loads(score(source, target, "--text", "text", "--json").stdout)["rows"] == 300
    for i in range(3):
        assert_scored(source / f"{i}.parquet", target / f"{i}.parquet")


def test_the_reviews_and_their_accuracy(tmp_path, reviews):
    """The bundled model's promise, counted by our own binary; its labels are those that transformers gives."""
    target = tmp_path / "scored.parquet"
    summary = json.loads(score(reviews, target, "--text", "text", "--truth", "truth", "--json").stdout)
    assert summary["rows"] == summary["accuracy"]["judged"] == 872 and summary["nulls"] == 0
    assert summary["accuracy"]["share"] >= 0.83
    assert_scored(reviews, target)
    scored = pq.read_table(target)
    names = list(summary["labels"])
    labels = [names.index(label) for label in scored["label"].to_pylist()]
    truth = scored["truth"].to_pylist()
    assert summary["accuracy"]["right"] == sum(map(int.__eq__, labels, truth))
    assert summary["labels"] == {name: labels.count(i) for i, name in enumerate(names)}
    transformers = json.loads((REPOSITORY / "tests" / "fixtures" / "sst2_dev.json").read_text())
    assert labels == [row["label"] for row in transformers]


def test_the_closing_line(tmp_path, reviews):
    done = score(reviews, tmp_path / "scored.parquet", "--text", "text", "--truth", "truth")
    assert done.stdout.startswith("872 rows in ") and " POSITIVE; accuracy 8" in done.stdout
    assert done.stdout.count("\n") == 1


WRONG = {
    "a column that is not there": (2, ["--text", "review"], 'column "review" not found; string columns: text, genre'),
    "several string columns": (2, [], 'more than one string column: text, genre; name one with "text"'),
    "an option that nobody knows": (2, ["--txet", "text"], "--txet"),
    "a folder that is no model": (2, ["--text", "text", "--model", "/nowhere/at/all"], "/nowhere/at/all"),
}


@pytest.mark.parametrize("code, options, message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_and_leaves_no_file(tmp_path, code, options, message):
    source, target = tmp_path / "in.parquet", tmp_path / "out" / "out.parquet"
    target.parent.mkdir()
    pq.write_table(TABLE, source)
    arguments = ["score", source, "-o", target, *([] if "--model" in options else ["--model", MODEL]), *options]
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut short", "no Parquet", "damaged pages"])
def test_a_broken_file_fails_and_leaves_no_output(tmp_path, damage):
    source, target = tmp_path / "in.parquet", tmp_path / "out" / "out.parquet"
    target.parent.mkdir()
    pq.write_table(TABLE, source, compression="zstd")
    good = source.read_bytes()
    middle = good.index(b"\x28\xb5\x2f\xfd")  # the first page's zstd frame
    bytes_ = {"cut short": good[: len(good) // 2], "no Parquet": b"text\nfun\n", "damaged pages": good[:middle] + bytes(2000) + good[middle + 2000:]}
    source.write_bytes(bytes_[damage])
    done = score(source, target, "--text", "text", check=1)
    assert str(source) in done.stderr and done.stdout == ""
    assert list(target.parent.iterdir()) == []


FUZZED = REPOSITORY / "tests" / "fixtures" / "arrow-testing"

FOUND = [
    ("4550303804620800", "text", "damaged footer: .*Insufficient bytes to parse min statistic"),
    ("4680774947569664", "text", "damaged footer: it ends in mid-value"),
    ("4747568180101120", "c1", 'damaged: column "c1" of row group 0: no page header at byte 199'),
    ("4866999088447488", "c_last_name", 'damaged: column "c_last_name" of row group 0: a page has more values than its header says'),
    ("4866999088447488", "c_birth_country", 'damaged: column "c_birth_country" of row group 0 cannot be decoded: .*eof decoding'),
    ("4866999088447488", "c_login", 'damaged: column "c_login" of row group 0: no page header at byte 35983'),
    ("5068991573000192", "text", "damaged footer: .*FIXED_LEN_BYTE_ARRAY as DECIMAL"),
    ("5634349073694720", "text", "damaged footer: .*Unexpected Encoding 15"),
    ("5640198106120192", "text", "damaged footer: .*Integer overflow"),
    ("5674948678123520", "text", 'damaged or cut off: column "value" of row group 0 reaches beyond the data'),
    ("5742713808093184", "text", "damaged footer: .*Unexpected CompressionCodec 16"),
    ("5747222405447680", "c1", 'damaged: column "c1" of row group 0 cannot be decoded: .*num_values is missing'),
    ("5913005913407488", "text", "damaged footer: a value of an unknown type"),
    ("5992530547310592", "text", 'damaged or cut off: column "name" of row group 0 reaches beyond the data'),
]


@pytest.mark.parametrize(("case", "column", "said"), FOUND)
def test_what_fuzzers_found_elsewhere_is_told_by_its_place(tmp_path, case, column, said):
    done = score(FUZZED / f"{case}.parquet", tmp_path / "out.parquet", "--text", column, check=1)
    assert re.search(f"error: .*{case}.parquet: {said}", done.stderr), done.stderr
    assert done.stdout == "" and "panicked" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_columns_that_are_decoded_together_are_named_together(tmp_path):
    both = ["--text", "c_customer_id", "--text", "c_birth_country"]
    done = score(FUZZED / "4866999088447488.parquet", tmp_path / "out.parquet", *both, check=1)
    said = 'damaged: one of the columns "c_customer_id", "c_birth_country" of row group 0 cannot be decoded: '
    assert said in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_fuzzers_found_elsewhere_is_here():
    assert {path.stem for path in FUZZED.glob("*.parquet")} == {case for case, _, _ in FOUND}


def test_an_output_that_is_there_stays_until_the_new_one_is_complete(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    target.write_bytes(b"yesterday's")
    source.write_bytes(b"not Parquet")
    score(source, target, check=1)
    assert target.read_bytes() == b"yesterday's"
    pq.write_table(TABLE, source)
    score(source, target, "--text", "text")
    assert_scored(source, target)
