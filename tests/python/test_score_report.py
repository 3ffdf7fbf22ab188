"""What `textflight score` tells people and programs: progress on stderr, the closing summary on stdout."""
import json
import os
import pty
import re
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from server import BINARY, MODEL, environment, run


@pytest.fixture
def texts(tmp_path):
    """A file of 40 texts, half of them null."""
    source = tmp_path / "in.parquet"
    texts = [None if i % 2 else f"film {i} is {'fun' if i % 3 else 'dull'}" for i in range(40)]
    pq.write_table(pa.table({"text": texts}), source)
    return source


def on_terminal(*arguments):
    """Runs a command whose stdout and stderr are a terminal; gives back what stands there."""
    ours, theirs = pty.openpty()
    command = [BINARY, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # On Linux that is how a terminal says that nobody writes to it any more.
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return shown.decode().replace("\r\n", "\n")


def test_the_closing_line_stands_alone_for_programs(texts, tmp_path):
    done = run("score", texts, "-o", tmp_path / "out.parquet", "--model", MODEL)
    assert done.returncode == 0, done.stderr
    line = r"40 rows in \d+\.\d s \(\d+ rows/s\): \d+ NEGATIVE, \d+ POSITIVE, 20 null\n"
    assert re.fullmatch(line, done.stdout), done.stdout


def test_people_get_a_histogram(texts, tmp_path):
    shown = on_terminal("score", texts, "-o", tmp_path / "out.parquet", "--model", MODEL)
    assert re.search(r"^40 rows in .*, 20 null$", shown, re.MULTILINE), shown
    assert re.search(r"^  0\.95–1\.00 +\d+ +[\d.]+%  █", shown, re.MULTILINE), shown
    assert re.search(r"^Truncated   0 of 20 texts \(0%\)$", shown, re.MULTILINE), shown


def test_json_has_it_all(texts, tmp_path):
    done = run("score", texts, "-o", tmp_path / "out.parquet", "--model", MODEL, "--json")
    summary = json.loads(done.stdout)
    scored = pq.read_table(tmp_path / "out.parquet")
    sure = sorted(filter(None, scored["confidence"].to_pylist()))
    assert (summary["rows"], summary["nulls"], sum(summary["labels"].values())) == (40, 20, 20)
    assert sum(summary["confidences"]) == sum(length["texts"] for length in summary["lengths"]) == 20
    most, least = summary["most_certain"], summary["least_certain"]
    assert [round(it["confidence"], 6) for it in least] == [round(it, 6) for it in sure[:10]]
    assert [round(it["confidence"], 6) for it in most] == [round(it, 6) for it in sure[:-11:-1]]
    texts_of_rows = scored["text"].to_pylist()
    assert all(it["text"] == texts_of_rows[it["row"]] and it["file"] == str(texts) for it in most + least)


def test_progress_as_json_begins_and_ends(texts, tmp_path):
    done = run("--log", "off", "score", texts, "-o", tmp_path / "out.parquet", "--model", MODEL, "--progress", "json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["start", "end"]
    end = events[-1]
    assert end["rows"] == {"done": 40, "total": 40} and end["bytes"]["done"] == end["bytes"]["total"] > 0
    assert end["files"] == {"total": 1, "done": 1, "skipped": 0, "failed": 0}


def test_progress_may_be_none(texts, tmp_path):
    done = run("--log", "off", "score", texts, "-o", tmp_path / "out.parquet", "--model", MODEL, "--progress", "none")
    assert done.returncode == 0 and done.stderr == ""
