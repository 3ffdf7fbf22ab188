"""`textflight.score_parquet`: the command, with its summary, its errors and its progress in Python."""
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import textflight
from client import NEW_COLUMNS
from interrupts import assert_interrupted
from server import BINARY, MODEL


@pytest.fixture(autouse=True)
def binary(monkeypatch):
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(BINARY))


def test_a_file(reviews, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTFLIGHT_TEXT", "what was said")  # What is said here goes before.
    out = tmp_path / "out.parquet"
    told = []
    summary = textflight.score_parquet(reviews, out, "text", truth="truth", progress=lambda rows, of: told.append((rows, of)))
    assert summary["rows"] == 872 and summary["files"] == {"done": 1, "skipped": 0, "failed": 0} and told[-1] == (872, 872)
    assert pq.read_table(out).drop_columns(NEW_COLUMNS) == pq.read_table(reviews)
    assert textflight.score_parquet(reviews, out, "text")["files"]["skipped"] == 1, "it is there"


def test_options(reviews, tmp_path, server):
    out = tmp_path / "out.parquet"
    options = {"labels": "id", "details": True, "probabilities": True, "on_error": "null", "label_column": "l", "confidence_column": "c"}
    textflight.score_parquet([str(reviews)], str(out), ["text"], model=MODEL, dtype="f32", columns=["id", "stars"], **options)
    here = pq.read_table(out)
    assert here.column_names == ["id", "stars", "l", "c", "tokens", "truncated", "probabilities", "error"]
    textflight.score_parquet(reviews, out, "text", server=f"grpc://{server.flight}", columns=["id", "stars"], args=["--force"], **options)
    assert pq.read_table(out) == here
    textflight.score_parquet(reviews, out, "text", columns="new")
    assert pq.read_schema(out).names == NEW_COLUMNS
    textflight.score_parquet(reviews, out, "text", columns=(name for name in ["id", "stars"]), args=(name for name in ["--force"]))
    assert pq.read_schema(out).names == ["id", "stars", *NEW_COLUMNS]


def test_a_folder(reviews, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        shutil.copy(reviews, tmp_path / "in" / f"{name}.parquet")
    (tmp_path / "in" / "c.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(textflight.JobError, match="c.parquet: not a Parquet file.*\n1 of 3 files failed") as raised:
        textflight.score_parquet(tmp_path / "in", tmp_path / "out", "text")
    assert isinstance(raised.value, RuntimeError) and len(list((tmp_path / "out").glob("*.parquet"))) == 2
    summary = textflight.score_parquet(str(tmp_path / "in" / "[ab].parquet"), tmp_path / "merged.parquet", "text", args=["--merge"])
    assert summary["rows"] == 2 * 872


def test_what_is_wrong(reviews, tmp_path, serve):
    out = tmp_path / "out.parquet"
    for arguments, kind, said in [
        ((reviews, out, "nope"), ValueError, 'column "nope" not found; string columns: text, length'),
        ((reviews, out), ValueError, "more than one string column"),
        ((tmp_path / "none.parquet", out), FileNotFoundError, "none.parquet"),
        (([], out), ValueError, "name no file"),
        ((pa.table({"a": [1]}), out), TypeError, "inputs have a ChunkedArray|Table"),
        ((reviews, 5), TypeError, "output is int"),
        ((5, out), TypeError, "inputs are int"),
        ((reviews, out, 5), TypeError, "text is 5, not the name"),
        ((reviews, out, ["text", 5]), TypeError, "text is .*, not the name"),
        ((reviews, "-"), ValueError, "command line alone"),
    ]:
        with pytest.raises(kind, match=said):
            textflight.score_parquet(*arguments)
    for options, kind, said in [
        ({"labels": "names"}, ValueError, "labels is 'names'"),
        ({"columns": ["a,b"]}, ValueError, "comma"),
        ({"columns": ["nope"]}, ValueError, '"nope"'),
        ({"dtype": "f8"}, ValueError, "f8"),
        ({"model": tmp_path}, Exception, "config.json|checkpoint"),
        ({"args": ["--nope"]}, ValueError, "--nope"),
        ({"args": "--shard 0/8"}, TypeError, "args is '--shard 0/8'; a list of strings"),
        ({"args": [5]}, TypeError, "args has 5, which is int"),
        ({"columns": [5]}, TypeError, "columns names 5, which is int"),
        ({"server": "grpc://127.0.0.1:1", "timeout": 0.2}, ConnectionError, "127.0.0.1:1"),
        ({"server": "nowhere"}, ValueError, "no address"),
    ]:
        with pytest.raises(kind, match=said):
            textflight.score_parquet(reviews, out, "text", **options)
    running = serve("--api-token", "hush-hush")
    with pytest.raises(PermissionError, match="token"):
        textflight.score_parquet(reviews, out, "text", server=f"grpc://{running.flight}", token="hush-hus")
    assert textflight.score_parquet(reviews, out, "text", server=f"grpc://{running.flight}", token="hush-hush")["rows"] == 872
    out.unlink()
    assert not list(tmp_path.glob("out*")), "nothing is left of what failed"


def test_control_c_stops_the_command(dev_texts, tmp_path):
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": [f"{text} {i}" for i in range(60) for text in dev_texts]}), source)
    call = 'textflight.score_parquet(sys.argv[1], sys.argv[2], args=["--threads", "1"], progress=told)'
    assert_interrupted(call, source, out, TEXTFLIGHT_BIN=str(BINARY))
    assert not out.exists()
