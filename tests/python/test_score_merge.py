"""`textflight score --merge` reads many files into one, in order, and no row is lost or there twice."""
import json
import os
import random
import subprocess

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.feather as feather
import pyarrow.json as pj
import pyarrow.parquet as pq
import pytest

import stores
import tables
from server import BINARY, MODEL, environment, run


def command(sources, target, *options):
    return [BINARY, "score", *sources, "--merge", "-o", target, "--text", "text", "--model", MODEL, *options]


def merge(sources, target, *options):
    done = run(*command(sources, target, *options)[1:])
    assert done.returncode == 0, done.stderr
    return done


def refused(code, sources, target, *options):
    done = run(*command(sources, target, *options)[1:])
    assert done.returncode == code, done.stderr
    return done.stderr


def rows(first, count):
    return pa.table({"id": list(range(first, first + count)), "text": [None if n % 5 == 2 else f"film {n} is {'good' if n % 3 else 'bad'}"
                                                                         for n in range(first, first + count)]})


def lake(folder, kind="parquet", count=3, size=40):
    """Files in partitions, of which each has its own rows, and what they are together."""
    parts = [rows(number * size, size + number) for number in range(count)]
    for number, part in enumerate(parts):
        path = folder / f"year={2020 + number}" / f"a.{kind}"
        path.parent.mkdir(parents=True)
        tables.write(path, part, 15)
    return pa.concat_tables(parts)


def read(path):
    kind = path.suffix[1:]
    if kind == "parquet":
        return pq.read_table(path)
    if kind == "csv":
        return pc.read_csv(path, convert_options=pc.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False))
    if kind == "jsonl":
        return pj.read_json(path)
    if kind == "arrow":
        return feather.read_table(path)
    return pa.ipc.open_stream(path).read_all()


@pytest.mark.parametrize("source", ["parquet", "csv", "jsonl", "arrow", "arrows"])
def test_many_files_of_any_format_become_one(source, tmp_path):
    expected = lake(tmp_path / "lake", source)
    for target in ["parquet", "csv", "jsonl", "arrow", "arrows"]:
        out = tmp_path / f"all.{target}"
        done = merge([tmp_path / "lake"], out, "--json")
        found = read(out)
        assert found.column_names == ["id", "text", "label", "confidence"]
        assert [int(n) for n in found["id"].to_pylist()] == expected["id"].to_pylist()
        assert found["text"].to_pylist() == expected["text"].to_pylist()
        assert [label is None for label in found["label"].to_pylist()] == [text is None for text in expected["text"].to_pylist()]
        summary = json.loads(done.stdout)
        assert summary["rows"] == len(expected) and summary["files"]["done"] == 1
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".textflight")]


def test_lines_keep_their_bytes_and_names_stand_once(tmp_path):
    files = {"a.csv": b'\xef\xbb\xbfid,text\r\n1,"good, ""so"""\r\n', "b.csv": b"id,text\n2,bad", "c.csv": b"\xef\xbb\xbfid,text",
             "d.csv": b'"id",text\r3,fun\r', "e.csv": b"id,text\n\n4,\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out" / "all.csv"
    out.parent.mkdir()
    merge([tmp_path / "*.csv"], out)
    lines = [line.rsplit(b",", 2)[0] for line in out.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n") if line]
    assert lines == [b"\xef\xbb\xbfid,text", b'1,"good, ""so"""', b"2,bad", b"3,fun", b"4,"]
    assert out.read_bytes().startswith(b'\xef\xbb\xbfid,text,label,confidence\r\n1,"good, ""so""",')
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text":"good" , "x":1}\n\n{"text":null}')
    (tmp_path / "b.jsonl").write_bytes(b"")
    (tmp_path / "c.jsonl").write_bytes(b'\xef\xbb\xbf{"y":[1], "text":"bad"}\r\n')
    merge([tmp_path / "c.jsonl", tmp_path / "a.jsonl", tmp_path / "b.jsonl"], out.with_suffix(".jsonl"))
    written = out.with_suffix(".jsonl").read_bytes()
    assert written.count(b"\xef\xbb\xbf") == 1 and written.startswith(b'\xef\xbb\xbf{"text":"good" , "x":1,"label":"POSITIVE",')
    found = [json.loads(line) for line in written.decode("utf-8-sig").splitlines() if line]
    assert [row["text"] for row in found] == ["good", None, "bad"] and found[2]["y"] == [1]


def test_it_goes_to_standard_output_too(tmp_path):
    expected = lake(tmp_path / "lake", "csv")
    done = subprocess.run(command([tmp_path / "lake"], "-", "--format", "arrows"), capture_output=True, env=environment())
    assert done.returncode == 0, done.stderr
    found = pa.ipc.open_stream(done.stdout).read_all()
    # Of CSV all is text.
    assert [int(n) for n in found["id"].to_pylist()] == expected["id"].to_pylist()


def test_a_folder_of_a_store_becomes_one_object(tmp_path):
    expected = lake(tmp_path / "lake", "csv")
    with stores.s3() as endpoint, stores.client(endpoint) as client:
        stores.Bucket(client, "bucket")
        variables = {**environment(), **stores.KEYS, "AWS_ENDPOINT": endpoint}

        def merged(sources, target, *options):
            done = subprocess.run(command(sources, target, "--json", *options), capture_output=True, text=True, env=variables)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        for path in (tmp_path / "lake").rglob("*.csv"):
            copied = merged([path], f"s3://bucket/lake/{path.parent.name}/a.csv", "--label-column", "old",
                            "--confidence-column", "sure")
            assert copied["files"]["done"] == 1
        summary = merged(["s3://bucket/lake"], "s3://bucket/lake/all.parquet")
        assert (summary["rows"], summary["files"]) == (len(expected), {"done": 1, "skipped": 0, "failed": 0})
        for source in ["s3://bucket/lake", "s3://bucket/lake/*/*.csv"]:
            assert merged([source], "s3://bucket/lake/all.parquet")["files"] == {"done": 0, "skipped": 1, "failed": 0}
        assert merged(["s3://bucket/lake/*/*.csv"], tmp_path / "all.csv")["rows"] == len(expected)
        found = read(tmp_path / "all.csv")
        assert found["id"].to_pylist() == expected["id"].to_pylist() and found["label"] == found["old"]


def test_the_output_in_the_folder_is_not_read_and_a_finished_one_is_left(tmp_path):
    expected = lake(tmp_path)
    files = lambda: json.loads(merge([tmp_path], tmp_path / "all.parquet", "--json").stdout)["files"]
    assert files() == {"done": 1, "skipped": 0, "failed": 0}
    assert pq.read_metadata(tmp_path / "all.parquet").num_rows == len(expected)
    assert files() == {"done": 0, "skipped": 1, "failed": 0}
    pq.write_table(rows(0, 3), tmp_path / "year=2021" / "b.parquet")
    assert files() == {"done": 1, "skipped": 0, "failed": 0}
    assert pq.read_metadata(tmp_path / "all.parquet").num_rows == len(expected) + 3


def test_what_does_not_go_together_is_refused_and_nothing_is_written(tmp_path):
    def write(name, **columns):
        pq.write_table(pa.table(columns), tmp_path / name)
        return tmp_path / name

    out = tmp_path / "all.parquet"
    a = write("a.parquet", text=["a"], n=[1])
    assert "b.parquet: its column \"n\" is Utf8, and that of the first file Int64" in refused(
        2, [a, write("b.parquet", text=["a"], n=["1"])], out)
    assert "c.parquet: it has 1 columns, and the first file 2, among them \"n\"" in refused(
        2, [a, write("c.parquet", text=["a"])], out)
    (tmp_path / "d.csv").write_text("text,n\na,1\n")
    (tmp_path / "e.csv").write_text("text,m\na,1\n")
    assert "--merge takes files of one format" in refused(2, [a, tmp_path / "d.csv"], out)
    assert "e.csv: its column 1 is \"m\", and that of the first file \"n\"" in refused(
        2, [tmp_path / "d.csv", tmp_path / "e.csv"], out)
    assert "named twice" in refused(2, [a, tmp_path], out)
    assert "is the input" in refused(2, [a], a)
    assert "--merge writes one file" in refused(2, [a], tmp_path)
    assert "standard input comes once" in refused(2, ["-"], out)
    assert "cannot be used with" in refused(2, [a], out, "--shard", "0/2")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no PAR1")
    assert "b.parquet" in refused(1, [a, tmp_path / "b.parquet"], out)
    (tmp_path / "e.csv").write_bytes(b"text,n\na,1\n\xff,2\n")
    assert "e.csv: row 1 (counted from 0) is not text" in refused(1, [tmp_path / "d.csv", tmp_path / "e.csv"], out)
    assert sorted(os.listdir(tmp_path)) == ["a.parquet", "b.parquet", "c.parquet", "d.csv", "e.csv"]


def test_what_is_said_of_a_merge(tmp_path):
    expected = lake(tmp_path / "lake")
    report = tmp_path / "report.json"
    merge([tmp_path / "lake"], tmp_path / "all.csv", "--report", report)
    [file] = json.loads(report.read_text())["files"]
    assert (file["input"], file["outcome"], file["rows"]) == (str(tmp_path / "lake"), "scored", len(expected))
    estimate = json.loads(merge([tmp_path / "lake"], tmp_path / "no.csv", "--dry-run", "--json").stdout)
    assert estimate["rows"] == len(expected) and estimate["files"]["to_do"] == 1
    assert estimate["bytes"] == sum(path.stat().st_size for path in (tmp_path / "lake").rglob("*.parquet"))
    assert not (tmp_path / "no.csv").exists()
    inside = tmp_path / "lake" / "year=2021" / "a.parquet"
    assert "is an input of this run" in refused(2, [tmp_path / "lake"], tmp_path / "all.csv", "--report", inside)


@pytest.mark.parametrize(("source", "target"), [("csv", "csv"), ("parquet", "parquet"), ("jsonl", "arrows")])
def test_a_merge_that_was_killed_goes_on(source, target, tmp_path):
    choose = random.Random(5)
    for number in range(6):
        table = pa.table({"text": [" ".join(choose.choices(tables.WORDS, k=5)) for _ in range(2500)]})
        if source == "parquet":
            pq.write_table(table, tmp_path / f"in-{number}.parquet")
        elif source == "csv":
            pc.write_csv(table, tmp_path / f"in-{number}.csv")
        else:
            lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
            (tmp_path / f"in-{number}.jsonl").write_text(lines)
    sources = [tmp_path / f"in-*.{source}"]
    whole, out = tmp_path / f"whole.{target}", tmp_path / f"out.{target}"
    merge(sources, whole)
    journal, size = tmp_path / f"out.{target}.textflight" / "journal", 0
    for _ in range(3):
        tables.killed_with(journal, size, command(sources, out))
        size = journal.stat().st_size + 1000
    assert json.loads(merge(sources, out, "--json").stdout)["resumed"] > 2000
    assert out.read_bytes() == whole.read_bytes()
    assert not journal.parent.exists()
