"""`textflight score` that is killed and run again: nothing is lost, nothing is left, and the bytes are the same."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from server import BINARY, MODEL, environment, run
from tables import WORDS, killed_with

KILLS = 50


def command(source, target, *options):
    return [BINARY, "score", source, "-o", target, "--text", "text", "--model", MODEL, "--json", *options]


def score(source, target, *options):
    done = run(*command(source, target, *options)[1:])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def table(rows, seed=1):
    random_words = random.Random(seed)
    texts = [" ".join(random_words.choices(WORDS, k=random_words.randrange(3, 20))) + f" {row}" for row in range(rows)]
    noise = np.random.default_rng(seed).bytes(rows * 64)
    others = [noise[64 * row:64 * row + 64] for row in range(rows)]
    return pa.table({"id": range(rows), "text": texts, "other": others})


def killed_after(seconds, source, target):
    """Whether the run was still at it."""
    process = subprocess.Popen(command(source, target), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


def test_a_job_that_is_killed_at_random_moments(tmp_path):
    source, target, whole = (tmp_path / name for name in ["in.parquet", "out.parquet", "whole.parquet"])
    pq.write_table(table(20_000), source, row_group_size=9_000)
    began = time.monotonic()
    expected = score(source, whole)
    took = time.monotonic() - began
    moments = random.Random(7)
    kills = 0
    while kills < KILLS:
        # Most are short: many kills within one run of the job.
        if not killed_after(moments.uniform(0.0, min(took / 4, 1.0)), source, target):
            target.unlink()
            continue
        kills += 1
        assert not target.exists() or target.read_bytes() == whole.read_bytes()
        left = {path.name for path in tmp_path.iterdir()}
        assert left <= {"in.parquet", "whole.parquet", "out.parquet", "out.parquet.textflight"}
        folder = tmp_path / "out.parquet.textflight"
        assert not folder.exists() or {path.name for path in folder.iterdir()} <= {"journal", "output"}
    summary = score(source, target)
    assert target.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet", "whole.parquet", "out.parquet"}
    if not summary["files"]["skipped"]:
        for count in ["rows", "labels", "nulls", "tokens", "confidences"]:
            assert summary[count] == expected[count], count


def test_what_a_killed_run_has_scored_is_not_scored_again(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(30_000, seed=2), source)
    report = tmp_path / "report.json"
    killed_with(tmp_path / "out.parquet.textflight" / "journal", 60_000, command(source, target))
    summary = score(source, target, "--report", str(report))
    [file] = json.loads(report.read_text())["files"]
    assert file["outcome"] == "scored" and file["resumed"] == summary["resumed"] > 5_000


def test_the_journal_of_another_job_is_refused_until_it_is_dropped(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(20_000, seed=3), source)
    journal = tmp_path / "out.parquet.textflight" / "journal"
    killed_with(journal, 0, command(source, target))
    kept = journal.read_bytes()
    refused = run(*command(source, target, "--details")[1:])
    assert refused.returncode == 2
    assert "journal of another job: options.details was false and is true" in refused.stderr
    assert "--force" in refused.stderr and journal.read_bytes() == kept and not target.exists()
    os.utime(source, (1, 1))
    refused = run(*command(source, target)[1:])
    assert refused.returncode == 2 and "input.version was" in refused.stderr
    assert score(source, target, "--force")["resumed"] == 0
    assert pq.ParquetFile(target).metadata.num_rows == 20_000
    assert not journal.parent.exists()


def test_a_full_disk_is_told_and_costs_no_scores(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", small], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        source, target = tmp_path / "in.parquet", small / "out.parquet"
        pq.write_table(table(20_000, seed=4), source)
        assert source.stat().st_size > 1 << 20
        killed_with(small / "out.parquet.textflight" / "journal", 20_000, command(source, target))
        (small / "out.parquet.textflight" / "output").unlink()
        (small / "fill").write_bytes(bytes(shutil.disk_usage(small).free - (512 << 10)))
        failed = run(*command(source, target)[1:])
        assert failed.returncode == 1 and "No space left on device" in failed.stderr, failed.stderr
        assert not target.exists()
        (small / "fill").unlink()
        assert score(source, target)["resumed"] > 2_000
        assert pq.ParquetFile(target).metadata.num_rows == 20_000
        assert [path.name for path in small.iterdir()] == ["out.parquet"]
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_is_finished_says_so(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(3000), source, row_group_size=1000)
    first = score(source, target)
    made = target.stat().st_mtime_ns
    again = score(source, target)
    assert (first["files"]["done"], again["files"]["skipped"]) == (1, 1)
    assert target.stat().st_mtime_ns == made
    assert score(source, target, "--labels", "id")["files"]["done"] == 1
    # Rewritten by another tool: without the marks it is made again.
    pq.write_table(pq.read_table(target), target)
    assert score(source, target, "--labels", "id")["files"]["done"] == 1


def test_two_runs_of_one_output_at_a_time(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(10_000), source)
    runs = [subprocess.Popen(command(source, target), stdout=subprocess.PIPE, text=True, env=environment()) for _ in range(2)]
    summaries = [json.loads(process.communicate(timeout=120)[0]) for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    assert sorted(summary["files"]["done"] for summary in summaries) == [0, 1]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out.parquet"]
