"""`textflight score` reads and writes every format: lines keep their bytes, and whole tables are what pandas and pyarrow read."""
import json
import os
import random
import re
import subprocess

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import tables
from server import BINARY, MODEL, environment, run

FORMATS = ["parquet", "csv", "tsv", "jsonl", "arrow", "arrows"]
TEXTS = ["a great film", None, 'she said "no, never"', "dull\tand long", "é – 電影", "two\nlines", "fun"]


def command(source, target, *options):
    return [BINARY, "score", source, "-o", target, "--text", "text", "--model", MODEL, *options]


def score(source, target, *options):
    done = run(*command(source, target, *options)[1:])
    assert done.returncode == 0, done.stderr
    return done


def refused(code, source, target, *options):
    done = run(*command(source, target, *options)[1:])
    assert done.returncode == code, done.stderr
    return done.stderr


def table(rows=300):
    return pa.table({"id": [f"n{row}" for row in range(rows)], "text": [TEXTS[row % len(TEXTS)] for row in range(rows)]})


def write(path, rows):
    tables.write(path, rows, 70)


def read(path):
    kind = path.suffix[1:]
    if kind == "parquet":
        return pq.read_table(path).to_pandas()
    if kind in tables.SEPARATORS:
        return pd.read_csv(path, sep=tables.SEPARATORS[kind], dtype={"confidence": "float32"})
    if kind == "jsonl":
        return pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    if kind == "arrow":
        return feather.read_table(path).to_pandas()
    return pa.ipc.open_stream(path).read_all().to_pandas()


def same(one, other):
    assert list(one.columns) == list(other.columns)
    for name in one.columns:
        left, right = ([None if pd.isna(value) else value for value in frame[name]] for frame in (one, other))
        if name == "confidence":
            left, right = ([value and round(float(value), 6) for value in values] for values in (left, right))
        assert left == right, name


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    write(folder / "in.parquet", table())
    score(folder / "in.parquet", folder / "out.parquet")
    return read(folder / "out.parquet")


@pytest.mark.parametrize("source", FORMATS)
def test_every_format_becomes_every_other(source, expected, tmp_path):
    write(tmp_path / f"in.{source}", table())
    for target in FORMATS:
        score(tmp_path / f"in.{source}", tmp_path / f"out.{target}")
        same(read(tmp_path / f"out.{target}"), expected)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".textflight")]


def test_chosen_columns_alone_are_written(expected, tmp_path):
    for kind in FORMATS:
        write(tmp_path / f"in.{kind}", table())
        score(tmp_path / f"in.{kind}", tmp_path / f"new.{kind}", "--columns", "new")
        same(read(tmp_path / f"new.{kind}"), expected[["label", "confidence"]])
        score(tmp_path / f"in.{kind}", tmp_path / f"keys.{kind}", "--columns", "id")
        same(read(tmp_path / f"keys.{kind}"), expected[["id", "label", "confidence"]])


LINES = {
    "csv": b'\xef\xbb\xbfid,"text",x\r\n1,"a ""great""\r\nfilm",  7 \r\n\r\n2,,""\r\n3,"",\'\r\n4,last,',
    "jsonl": b'\xef\xbb\xbf {"text" : "great","x":1.50}\r\n\n  \n{}\n{"text":null, "y":[1, 2] } \n{"text":"last"}',
}


@pytest.mark.parametrize("kind", LINES)
def test_lines_keep_their_bytes(kind, tmp_path):
    source, target = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    source.write_bytes(LINES[kind])
    score(source, target)
    written = target.read_bytes()
    # What was added, taken away, is the input.
    added = {"csv": rb',(label,confidence|[A-Z]+,[0-9.e-]+|,)(?=\r|\Z)', "jsonl": rb',?"label":[^,]+,"confidence":[^}]+'}
    assert re.sub(added[kind], b"", written) == LINES[kind]
    frame = pd.read_csv(target) if kind == "csv" else read_json(written)
    assert len(frame) == 4
    labels = [None if pd.isna(label) else label for label in frame["label"]]
    assert labels[0] == "POSITIVE" and labels[-1] is not None and None in labels


def read_json(written):
    return pd.DataFrame([json.loads(line) for line in written.decode("utf-8-sig").splitlines() if line.strip()])


def test_a_pipe_has_nothing_but_the_table(expected, tmp_path):
    write(tmp_path / "in.csv", table())
    source = (tmp_path / "in.csv").read_bytes()
    options = ["--format", "csv", "--progress", "json"]
    done = subprocess.run(command("-", "-", *options), input=source, capture_output=True, env=environment())
    assert done.returncode == 0, done.stderr
    moments = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
    lines = len(source) - source.index(b"\n") - 1
    assert moments[-1]["event"] == "end" and moments[-1]["bytes"] == {"done": lines, "total": None}
    score(tmp_path / "in.csv", tmp_path / "out.csv")
    assert done.stdout == (tmp_path / "out.csv").read_bytes()
    assert b"300 rows" in done.stderr
    write(tmp_path / "in.arrows", table())
    source = (tmp_path / "in.arrows").read_bytes()
    done = subprocess.run(command("-", "-", "--format", "arrows"), input=source, capture_output=True, env=environment())
    assert done.returncode == 0, done.stderr
    same(pa.ipc.open_stream(done.stdout).read_all().to_pandas(), expected)


def long_table(rows=15_000):
    choose = random.Random(3)
    return pa.table({"id": [f"n{row}" for row in range(rows)],
                     "text": [" ".join(choose.choices(tables.WORDS, k=5)) if row % 7 else None for row in range(rows)]})


def test_parquet_goes_to_standard_output(tmp_path):
    source = tmp_path / "in.parquet"
    write(source, table())
    score(source, tmp_path / "out.parquet")
    done = subprocess.run(command(source, "-"), capture_output=True, env=environment(), check=True)
    assert done.stdout == (tmp_path / "out.parquet").read_bytes()


@pytest.mark.parametrize(("source", "target", "columns"), [
    ("csv", "csv", "all"), ("jsonl", "parquet", "all"), ("csv", "parquet", "all"), ("parquet", "parquet", "id"),
    ("arrows", "arrow", "all"), ("parquet", "arrows", "all"), ("parquet", "jsonl", "all")])
def test_a_job_that_was_killed_goes_on(source, target, columns, tmp_path):
    write(tmp_path / f"in.{source}", long_table())
    whole, out = tmp_path / f"whole.{target}", tmp_path / f"out.{target}"
    score(tmp_path / f"in.{source}", whole, "--columns", columns)
    journal = tmp_path / f"out.{target}.textflight" / "journal"
    size = 0
    for _ in range(3):
        tables.killed_with(journal, size, command(tmp_path / f"in.{source}", out, "--columns", columns))
        size = journal.stat().st_size + 2000
    done = score(tmp_path / f"in.{source}", out, "--columns", columns, "--json")
    assert json.loads(done.stdout)["resumed"] > 0
    assert out.read_bytes() == whole.read_bytes()
    assert not journal.parent.exists()


@pytest.mark.parametrize(("source", "columns"), [("parquet", "new"), ("parquet", "id"), ("csv", "all"), ("jsonl", "all"), ("arrow", "all")])
def test_every_parquet_file_that_is_finished_says_so(source, columns, tmp_path):
    def files():
        done = score(tmp_path / f"in.{source}", tmp_path / "out.parquet", "--columns", columns, "--json")
        return json.loads(done.stdout)["files"]

    write(tmp_path / f"in.{source}", table())
    assert files() == {"done": 1, "skipped": 0, "failed": 0}
    made = (tmp_path / "out.parquet").stat().st_mtime_ns
    assert files() == {"done": 0, "skipped": 1, "failed": 0}
    assert (tmp_path / "out.parquet").stat().st_mtime_ns == made
    os.utime(tmp_path / f"in.{source}", (1, 1))
    # A footer says what the file is; other files are known by when they were written.
    assert files()["skipped"] == (source == "parquet")
    score(tmp_path / f"in.{source}", tmp_path / "out.parquet", "--columns", columns, "--labels", "id")
    assert files()["done"] == 1


def test_what_is_wrong_is_said_with_its_line(tmp_path):
    def error(code, name, content, *options):
        (tmp_path / name).write_bytes(content)
        return refused(code, tmp_path / name, tmp_path / "out.csv", *options)

    assert "line 3 has 1 cells, and the line of names has 2" in error(1, "a.csv", b"text,x\na,b\nc\n")
    assert "line 2: a quote is not closed" in error(1, "a.csv", b'text,x\n"a,b\n')
    assert "row 1 (counted from 0) is not text" in error(1, "a.csv", b"text\na\n\xff\n")
    assert "line 2: the object does not end" in error(1, "a.jsonl", b'{"text":"a"}\n{"text":\n')
    assert "column \"text\" not found; string columns: t, x" in error(2, "a.csv", b"t,x\na,b\n")
    assert "it is cut short" in error(1, "a.arrow", b"ARROW1\0\0\xff\xff\xff\xff\x10\0\0\0abc")
    assert "nothing says what comes on standard input" in refused(2, "-", tmp_path / "out.csv")
    assert "--format jsonl" in error(2, "a.csv", b"text\na\n", "--format", "jsonl")
    assert sorted(os.listdir(tmp_path)) == ["a.arrow", "a.csv", "a.jsonl"]
    (tmp_path / "a.csv").write_bytes(b"text\na\n\xff\n")
    score(tmp_path / "a.csv", tmp_path / "out.csv", "--on-error", "null")
    lines = (tmp_path / "out.csv").read_bytes().split(b"\n")
    assert lines[0] == b"text,label,confidence,error" and lines[2].startswith(b"\xff,,,")


def test_an_output_that_is_there_is_left_alone_if_that_is_wished(tmp_path):
    (tmp_path / "a.csv").write_text("text\ngood\n")
    (tmp_path / "out.csv").write_text("mine")
    score(tmp_path / "a.csv", tmp_path / "out.csv", "--skip-existing")
    assert (tmp_path / "out.csv").read_text() == "mine"
    score(tmp_path / "a.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().startswith("text,label,confidence\ngood,POSITIVE,")


def test_a_truth_column_of_lines_counts(tmp_path):
    (tmp_path / "a.csv").write_text("text,truth\ngood,1\nbad,NEGATIVE\n,\n")
    done = score(tmp_path / "a.csv", tmp_path / "out.csv", "--truth", "truth", "--json")
    assert json.loads(done.stdout)["accuracy"] == {"share": 1.0, "right": 2, "judged": 2}
    (tmp_path / "a.jsonl").write_text('{"text":"good","truth":1}\n{"text":"bad"}\n')
    done = score(tmp_path / "a.jsonl", tmp_path / "out.jsonl", "--truth", "truth", "--json")
    assert json.loads(done.stdout)["accuracy"] == {"share": 1.0, "right": 1, "judged": 1}


@pytest.mark.parametrize("content", [b"\n", b"\xef\xbb\xbf", b"\n \r\n", b""])
def test_json_lines_without_a_record_are_a_table_without_rows(content, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(content)
    score(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_bytes() == content
    score(tmp_path / "a.jsonl", tmp_path / "b.csv", "--columns", "id", "--truth", "truth")
    assert (tmp_path / "b.csv").read_text() == "id,label,confidence\n"
    score(tmp_path / "a.jsonl", tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "b.parquet").column_names == ["text", "label", "confidence"]


def test_a_text_that_is_none_ends_a_table_only_where_it_has_to_come_back(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"id,text\n1,good\n2,\xff\n")
    for target in ["b.parquet", "b.jsonl", "b.arrow", "b.tsv"]:
        score(tmp_path / "a.csv", tmp_path / target, "--columns", "id", "--on-error", "null")
        frame = read(tmp_path / target)
        assert frame["label"][0] == "POSITIVE" and pd.isna(frame["label"][1])
        assert frame["error"][1] == "invalid utf-8 sequence of 1 bytes from index 0"
        score(tmp_path / "a.csv", tmp_path / target, "--columns", "new", "--on-error", "null")
        error = refused(1, tmp_path / "a.csv", tmp_path / f"all.{target}", "--on-error", "null")
        assert "a.csv: row 1 (counted from 0) is not text: column \"text\"" in error


def test_what_is_wrong_with_a_row_is_no_wrong_option(tmp_path):
    strings = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    pq.write_table(pa.table({"text": ["good", "bad"], "other": strings}), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"text":"a"}\n{"text":"b","new":1}\n')
    for source, said in [("a.parquet", 'column "other" does not fit its type'), ("a.jsonl", 'has a key "new"')]:
        for target in [tmp_path / "out.csv", "-"]:
            told = refused(1, tmp_path / source, target, *(["--format", "csv"] if target == "-" else []))
            assert f"{source}: " in told and said in told, told
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "a.parquet"]


def test_dictionaries_in_structs_may_change(tmp_path):
    schema = pa.schema({"text": pa.string(), "tags": pa.list_(pa.dictionary(pa.int32(), pa.string()))})
    with pa.ipc.new_stream(tmp_path / "a.arrows", schema) as writer:
        for name in "xyz":
            tags = pa.ListArray.from_arrays([0, 2, 3], pa.array([name, "all", name]).dictionary_encode())
            writer.write_batch(pa.record_batch([pa.array(["good", "bad"]), tags], schema=schema))
    score(tmp_path / "a.arrows", tmp_path / "a.arrow")
    written = feather.read_table(tmp_path / "a.arrow")
    assert written["tags"].to_pylist() == [tags for name in "xyz" for tags in ([name, "all"], [name])]


def test_a_stream_without_its_end_is_told_of(tmp_path):
    write(tmp_path / "a.arrows", table())
    assert "the mark of its end" not in score(tmp_path / "a.arrows", tmp_path / "b.csv").stderr
    whole = (tmp_path / "a.arrows").read_bytes()
    (tmp_path / "a.arrows").write_bytes(whole[:-8])
    assert "a.arrows: the Arrow stream ends without the mark of its end" in score(tmp_path / "a.arrows", tmp_path / "c.csv").stderr
    assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_dry_run_counts_about_the_rows_of_messages(tmp_path):
    rows = pa.table({"id": list(range(20_000)), "text": ["a great film"] * 20_000})
    with pa.ipc.new_file(tmp_path / "a.arrow", rows.schema) as writer:
        writer.write_table(rows)
    for columns in ["all", "new"]:
        done = score(tmp_path / "a.arrow", tmp_path / "b.arrow", "--columns", columns, "--dry-run", "--json")
        assert 18_000 < json.loads(done.stdout)["rows"] < 22_000
