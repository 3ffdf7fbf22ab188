"""`textflight score` on texts that come again: each is scored once, and nobody can tell by the scores."""
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tables
from server import BINARY, MODEL, run


def score(source, target, *options):
    done = run("score", source, "-o", target, "--model", MODEL, "--text", "text", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write(path, texts, **options):
    pq.write_table(pa.table({"text": texts}), path, **options)


def scores(path):
    return pq.read_table(path, columns=["label", "confidence"])


@pytest.mark.parametrize("is_dictionary", [True, False])
def test_a_text_is_scored_once(tmp_path, is_dictionary):
    """Also where a batch begins while the one before is scored. The same text, the same score."""
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    values = [f"film {number} is {'fun' if number % 2 else 'dull'}" for number in range(50)]
    texts = pa.array([values[row * 7 % 50] for row in range(100_000)])
    write(source, texts.dictionary_encode() if is_dictionary else texts, row_group_size=30_000)
    assert score(source, target)["duplicates_saved"] == 100_000 - 50
    once = tmp_path / "once.parquet"
    write(source, pa.array(values))
    assert score(source, once)["duplicates_saved"] == 0
    expected = scores(once).take([row * 7 % 50 for row in range(100_000)])
    assert scores(target).equals(expected.combine_chunks())


def test_files_share_what_is_remembered(tmp_path):
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    target.mkdir()
    for name in "abc":
        write(folder / f"{name}.parquet", ["good", None, "bad", "", "good"])
    assert score(folder, target)["duplicates_saved"] == 12 - 3


def test_nobody_can_tell(tmp_path):
    """Texts that come again late, when little memory has forgotten them, and soon."""
    source, target, plain = (tmp_path / name for name in ["in.parquet", "out.parquet", "plain.parquet"])
    texts = [None if row % 97 == 0 else f"a film of {row % 2000 + row % 3} stars" for row in range(4000)]
    write(source, texts)
    assert score(source, plain, "--dedup-memory", "0", "--batch-rows", "7")["duplicates_saved"] == 0
    repeated = len(texts) - texts.count(None) - len(set(texts) - {None})
    for memory, least in [("64KiB", 1), ("4MiB", repeated)]:
        assert least <= score(source, target, "--dedup-memory", memory)["duplicates_saved"] <= repeated
        assert target.read_bytes() == plain.read_bytes()
        target.unlink()


def test_a_run_that_goes_on_counts_nothing_twice(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write(source, [f"film {row // 2} is fun" for row in range(60_000)])
    journal = tmp_path / "out.parquet.textflight" / "journal"
    tables.killed_with(journal, 50_000, [BINARY, "score", source, "-o", target, "--model", MODEL, "--text", "text"])
    summary = score(source, target)
    assert summary["resumed"] > 0
    assert (summary["rows"], summary["duplicates_saved"]) == (60_000, 30_000)


def test_little_memory_is_refused(tmp_path):
    done = run("score", "in", "-o", "out", "--dedup-memory", "4")
    assert done.returncode == 2 and "4 bytes is less than 64KiB; the unit may be missing" in done.stderr
