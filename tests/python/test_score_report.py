"""What `textflight score` tells people and programs: progress on stderr, the closing summary on stdout."""
import html.parser
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


def test_a_page_is_written_whole_and_needs_nothing_else(texts, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("of an earlier run")
    done = run("score", texts, "-o", tmp_path / "out.parquet", "--model", MODEL, "--html", page)
    assert done.returncode == 0, done.stderr
    shown = page.read_text()
    assert shown.startswith("<!doctype html>") and shown.endswith("</html>\n")
    assert "<h1>40 rows scored</h1>" in shown and "film 0 is dull" in shown and str(texts) in shown
    assert not re.search(r"<script|https?://|\b(src|href)=|url\(", shown)
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet", "out.parquet", "report.html"}


def test_texts_in_a_page_stay_texts(tmp_path):
    hostile = ["</p><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\x1b[31m \x00 \u202e", "שלום <b>", '"\'&amp;']
    source, page = tmp_path / "in.parquet", tmp_path / "report.html"
    pq.write_table(pa.table({"text": hostile}), source)
    assert run("score", source, "-o", tmp_path / "out.parquet", "--model", MODEL, "--html", page).returncode == 0

    class Reader(html.parser.HTMLParser):
        tags, text = set(), []

        def handle_starttag(self, tag, attributes):
            self.tags.add(tag)
            assert not any(name.startswith("on") for name, _ in attributes)

        def handle_data(self, data):
            self.text.append(data)

    reader = Reader()
    reader.feed(page.read_text())
    assert not reader.tags & {"script", "img", "link", "iframe"}
    shown = [hostile[0], hostile[1], "␛[31m ␀ \ufffd", hostile[3], hostile[4]]
    assert all(text in reader.text for text in shown)


@pytest.mark.parametrize("page", ["in.parquet", "missing/report.html", "."])
def test_a_page_that_cannot_be_is_said_at_the_start(texts, tmp_path, page):
    before = texts.read_bytes()
    done = run("score", texts, "-o", tmp_path / "out.parquet", "--model", "nowhere/at-all", "--html", tmp_path / page)
    assert done.returncode == 2 and done.stderr.startswith(f"error: --html {tmp_path / page}: "), done.stderr
    assert texts.read_bytes() == before and not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("name", ["in.parquet", "out.parquet", "report.html"])
def test_a_report_is_no_table_and_no_page(texts, tmp_path, name):
    before = texts.read_bytes()
    files = ["-o", tmp_path / "out.parquet", "--html", tmp_path / "report.html", "--report", tmp_path / name]
    done = run("score", texts, *files, "--model", "nowhere/at-all")
    assert done.returncode == 2 and done.stderr.startswith("error: --"), done.stderr
    assert texts.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_files_that_fail_are_on_the_page_and_the_rest_is_scored(texts, tmp_path):
    (tmp_path / "bad.parquet").write_text("no Parquet")
    (tmp_path / "out").mkdir()
    page = tmp_path / "report.html"
    done = run("score", texts, tmp_path / "bad.parquet", "-o", tmp_path / "out", "--model", MODEL, "--html", page)
    assert done.returncode == 1 and "1 of 2 files failed" in done.stderr
    assert done.stdout.endswith("; 1 file failed\n")
    assert "<h2>1 file failed</h2>" in page.read_text() and "bad.parquet: not a Parquet file" in page.read_text()


def test_a_dry_run_says_what_a_run_would_come_to(texts, tmp_path):
    options = ["-o", tmp_path / "out.parquet", "--model", MODEL, "--html", tmp_path / "a.html", "--dry-run"]
    done = run("score", texts, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 file, 40 rows, ") and "\nDuplicates  0% of the texts" in done.stdout
    assert re.search(r"^Time +about \d+(\.\d)? s$", done.stdout, re.MULTILINE), done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
    estimate = json.loads(run("score", texts, *options, "--json").stdout)
    assert (estimate["rows"], estimate["bytes"]) == (40, texts.stat().st_size)
    assert estimate["files"] == {"to_do": 1, "skipped": 0, "failed": 0}
    assert estimate["sample"]["texts"] == 20 and estimate["tokens"] == estimate["sample"]["tokens"] > 0
    assert estimate["rows_per_second"] > 0 and estimate["seconds"] > 0


def test_a_dry_run_leaves_out_what_is_done_and_tells_of_what_cannot_be(tmp_path):
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir(), out.mkdir()
    for number in range(3):
        pq.write_table(pa.table({"text": ["the same text"] * 500}), inputs / f"{number}.parquet")
    assert run("score", inputs / "0.parquet", "-o", out, "--model", MODEL).returncode == 0
    (inputs / "bad.parquet").write_text("no Parquet")
    done = run("score", inputs, "-o", out, "--model", MODEL, "--dry-run", "--json")
    assert done.returncode == 1 and "bad.parquet: not a Parquet file" in done.stderr
    estimate = json.loads(done.stdout)
    assert estimate["files"] == {"to_do": 2, "skipped": 1, "failed": 1} and estimate["rows"] == 1000
    sample = estimate["sample"]
    assert sample["rows"] == sample["texts"] == 1000 and sample["duplicates"] == 999


def test_a_dry_run_refuses_what_a_run_would(texts, tmp_path):
    done = run("score", texts, "-o", tmp_path / "out.parquet", "--model", MODEL, "--dry-run", "--text", "body")
    assert done.returncode == 2 and "column \"body\" not found" in done.stderr
