"""Schemas that writers keep in a file's metadata, beside Parquet's own: their readers find the new columns, and all of the old."""
import base64
import json

import duckdb
import fastavro
import fastparquet
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client import assert_kept
from server import MODEL, run

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "text": ["fun", None, "dull"]})
NEW = ["label", "confidence"]
AVRO = {"type": "record", "name": "Review", "namespace": "films", "fields": [
    {"name": "id", "type": ["null", "long"], "default": None},
    {"name": "text", "type": ["null", {"type": "string", "avro.java.string": "String"}], "default": None},
]}
SPARK = "org.apache.spark.sql.parquet.row.metadata"
SPARK_SCHEMA = {"type": "struct", "fields": [
    {"name": "id", "type": "long", "nullable": True, "metadata": {}},
    {"name": "text", "type": "string", "nullable": True, "metadata": {"comment": "a review"}},
]}
ICEBERG = {"type": "struct", "schema-id": 0, "fields": [
    {"id": 1, "name": "id", "required": False, "type": "long"},
    {"id": 2, "name": "text", "required": False, "type": "string"},
]}


def write(path, table=ROWS, metadata=(), **options):
    """A file with these entries of metadata and none of Arrow's."""
    with pq.ParquetWriter(path, table.schema.remove_metadata(), store_schema=False, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(dict(metadata))


def score(source, target, *options, code=0):
    done = run("score", source, "-o", target, "--model", MODEL, "--text", "text", *options)
    assert done.returncode == code, done.stderr
    return done.stderr


def entries(path):
    return {key.decode(): value.decode() for key, value in pq.read_metadata(path).metadata.items()}


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "in.parquet", tmp_path / "out.parquet"


@pytest.mark.parametrize("key", ["parquet.avro.schema", "avro.schema"])
def test_avro(paths, key):
    source, target = paths
    kept = {"writer.model.name": "avro", "hoodie_bloom_filter_type_code": "DYNAMIC_V0", "org.apache.hudi.bloomfilter": "AAE="}
    write(source, metadata={key: json.dumps(AVRO), **kept})
    score(source, target, "--details", "--probabilities")
    after = entries(target)
    assert {name: after[name] for name in kept} == kept
    schema = fastavro.parse_schema(json.loads(after[key]))
    table = pq.read_table(target)
    assert [field["name"] for field in schema["fields"]] == table.column_names
    assert fastavro.validation.validate_many(table.to_pylist(), schema)


def test_avro_cannot_have_every_name(paths):
    source, target = paths
    write(source, metadata={"parquet.avro.schema": json.dumps(AVRO)})
    assert 'column name "my label": the file has an Avro schema' in score(source, target, "--label-column", "my label", code=2)
    assert not target.exists()


def test_spark(paths):
    source, target = paths
    kept = {"org.apache.spark.version": "3.5.1", "org.apache.spark.timeZone": "Europe/Berlin", "org.apache.spark.legacyDateTime": ""}
    write(source, metadata={SPARK: json.dumps(SPARK_SCHEMA), **kept})
    assert "WARN" not in score(source, target)
    after = entries(target)
    schema = json.loads(after.pop(SPARK))
    assert after == kept
    assert schema["fields"][:2] == SPARK_SCHEMA["fields"]
    assert [(field["name"], field["type"]) for field in schema["fields"][2:]] == [("label", "string"), ("confidence", "float")]


def test_iceberg(paths):
    source, target = paths
    numbered = pa.schema([field.with_metadata({"PARQUET:field_id": str(n + 1)}) for n, field in enumerate(ROWS.schema)])
    write(source, ROWS.cast(numbered), {"iceberg.schema": json.dumps(ICEBERG)})
    score(source, target, "--probabilities")
    schema = json.loads(entries(target)["iceberg.schema"])
    ids = {field["name"]: field["id"] for field in schema["fields"]}
    assert ids == {"id": 1, "text": 2, "label": 3, "confidence": 4, "probabilities": 5}
    columns = pq.read_schema(target)
    assert {field.name: int(field.metadata[b"PARQUET:field_id"]) for field in columns} == ids
    assert schema["fields"][4]["type"]["element-id"] == 6


def test_field_ids_without_iceberg_stay_with_the_old_columns(paths):
    source, target = paths
    numbered = pa.schema([field.with_metadata({"PARQUET:field_id": str(n + 1)}) for n, field in enumerate(ROWS.schema)])
    write(source, ROWS.cast(numbered))
    score(source, target)
    assert [field.metadata for field in pq.read_schema(target)][2:] == [None, None]


FRAMES = {
    "names": pd.DataFrame({"id": [1, 2, 3], "text": ["fun", None, "dull"]}, index=pd.Index(["a", "b", "c"], name="row")),
    "levels": pd.DataFrame([[1, "fun"], [2, None], [3, "dull"]], columns=pd.MultiIndex.from_tuples([("film", "id"), ("film", "text")])),
    "numbers": pd.DataFrame([[1, "fun"], [2, None], [3, "dull"]], columns=[0, 1]),
    "times": pd.DataFrame([[1, "fun"], [2, None], [3, "dull"]], columns=pd.to_datetime(["2026-01-01", "2026-01-02"])),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_frames_of_pandas(paths, frame):
    """pandas could not read a frame any more whose columns are not named by strings."""
    source, target = paths
    frame.to_parquet(source)
    text = pq.read_schema(source).names[1]
    done = run("score", source, "-o", target, "--model", MODEL, "--text", text, "--details", "--probabilities")
    assert done.returncode == 0, done.stderr
    after = pd.read_parquet(target)
    assert after.index.equals(frame.index)
    assert after.iloc[:, :2].to_numpy(object).tolist() == pd.read_parquet(source).to_numpy(object).tolist()
    assert after.iloc[:, 2].isna().tolist() == [False, True, False]
    label = ("label", "") if isinstance(frame.columns, pd.MultiIndex) else "label"
    assert after.columns[2] == label


def test_frames_of_fastparquet(paths):
    source, target = paths
    fastparquet.write(source, FRAMES["names"])
    score(source, target, "--details", "--labels", "id")
    with open(target, "rb") as file:
        after = fastparquet.ParquetFile(file).to_pandas()
    assert after["label"].isna().tolist() == after["tokens"].isna().tolist() == [False, True, False]
    assert after["id"].tolist() == [1, 2, 3] and after.index.name == "row"


def arrow_schema(*fields):
    return base64.b64encode(pa.schema(fields).serialize()).decode()


COLUMNS = [("id", pa.int64()), ("text", pa.large_string())]
STALE = {
    "a column that was dropped": arrow_schema(COLUMNS[0], ("gone", pa.int8()), COLUMNS[1]),
    "a column that came": arrow_schema(COLUMNS[0]),
    "another order": arrow_schema(*reversed(COLUMNS)),
    "another name": arrow_schema(COLUMNS[0], ("review", pa.string())),
    "cut off": arrow_schema(*COLUMNS)[:80],
    "no schema": "aGVsbG8gd29ybGQ=",
    "no base64": "???",
    "empty": "",
}


@pytest.mark.parametrize("value", STALE.values(), ids=STALE)
def test_an_arrow_schema_that_does_not_fit(paths, value):
    """The Parquet schema counts, as for pandas and DuckDB; the output can be read by all, also where the input could not."""
    source, target = paths
    write(source, metadata={"ARROW:schema": value, "other": "stays"})
    warning = score(source, target)
    assert warning.count("WARN") == 1 and "does not fit its columns" in warning and str(source) in warning
    assert entries(target) == {"other": "stays"}
    table = pq.read_table(target)
    assert table.select(["id", "text"]).equals(ROWS) and table["label"].null_count == 1
    assert pl.read_parquet(target).columns == duckdb.read_parquet(str(target)).columns == ["id", "text", *NEW]


UNREADABLE = {
    "spark": (SPARK, "{}"), "avro": ("parquet.avro.schema", "\"string\""), "iceberg": ("iceberg.schema", "{\"fields\": 3}"),
    "pandas": ("pandas", "not JSON"), "empty": (SPARK, ""), "datasets": ("huggingface", "["),
}


@pytest.mark.parametrize("key, value", UNREADABLE.values(), ids=UNREADABLE)
def test_another_schema_that_is_unreadable_stays(paths, key, value):
    source, target = paths
    write(source, metadata={key: value})
    warning = score(source, target)
    assert warning.count("WARN") == 1 and f"the entry {key} in its metadata is unreadable" in warning
    assert entries(target) == {key: value}
    assert pq.read_table(target).column_names == ["id", "text", *NEW]


@pytest.mark.parametrize("key", ["parquet.proto.class", "thrift.class"])
def test_readers_bound_to_a_class_are_warned_of(paths, key):
    source, target = paths
    write(source, metadata={key: "films.Review"})
    assert f"it has the entry {key}" in score(source, target)
    assert entries(target) == {key: "films.Review"}


def test_metadata_that_is_not_utf_8_stays_byte_for_byte(paths):
    source, target = paths
    notes = {b"comment": "étudié".encode("latin-1"), "clé".encode("latin-1"): b"\xff\xfe\x00"}
    write(source, metadata=notes)
    score(source, target)
    assert pq.read_metadata(target).metadata == notes
    assert_kept(pq.read_table(target).replace_schema_metadata(), ROWS)


BYTES = {"binary": pa.binary(), "large": pa.large_binary(), "fixed": pa.binary(4)}


@pytest.mark.parametrize("kind", BYTES.values(), ids=BYTES)
def test_strings_that_nobody_marked_as_some(paths, kind):
    source, target = paths
    table = pa.table({"raw": pa.array([b"fun.", None, b"dull"], kind), "id": [1, 2, 3]})
    pq.write_table(table, source)
    done = run("score", source, "-o", target, "--model", MODEL)
    assert done.returncode == 2 and "bytes that are UTF-8 are scored where" in done.stderr
    done = run("score", source, "-o", target, "--model", MODEL, "--text", "raw")
    assert done.returncode == 0, done.stderr
    after = pq.read_table(target)
    assert_kept(after, table)
    assert after["label"].is_null().to_pylist() == [False, True, False]


def test_bytes_that_are_no_text_name_their_row(paths):
    source, target = paths
    rows = [b"fun"] * 9000 + [b"caf\xe9"] + [b"fun"] * 1000
    pq.write_table(pa.table({"text": pa.array(rows, pa.binary())}), source, row_group_size=4000)
    error = score(source, target, code=1)
    assert f'{source}: row 9000 (counted from 0) is not text: column "text"' in error
    assert not target.exists()
