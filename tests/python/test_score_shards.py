"""Machines that share a table without knowing of one another: shards of files, and of row groups where files are few."""
import concurrent.futures
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import server as servers

ROWS = 90


def table(first, rows=ROWS):
    texts = [f"film number {row} was {['fine', 'dull', 'a bore'][row % 3]}" for row in range(first, first + rows)]
    return pa.table({"id": pa.array(range(first, first + rows), pa.int64()), "text": texts})


def score(*arguments, check=0, cwd=None):
    done = servers.run("score", *arguments, "--model", servers.MODEL, cwd=cwd)
    assert done.returncode == check, done.stderr
    return done


def at_once(*runs):
    """Runs commands at the same time; gives back what they printed."""
    with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
        return list(pool.map(lambda run: score(*run), runs))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if path.is_file())


@pytest.fixture
def lake(tmp_path):
    """Partitions of a table, with what others leave in such folders."""
    for number in range(9):
        partition = tmp_path / "lake" / f"year={2024 + number % 2}" / f"month={number:02}"
        partition.mkdir(parents=True)
        pq.write_table(table(number * ROWS), partition / f"part-{number}.parquet")
        (partition / "_SUCCESS").touch()
        (partition / f".part-{number}.parquet.crc").touch()
    (tmp_path / "lake" / "_temporary").mkdir()
    (tmp_path / "lake" / "_temporary" / "half.parquet").touch()
    return tmp_path / "lake"


def ids(paths):
    return sorted(row for path in paths for row in pq.ParquetFile(path).read(["id"])["id"].to_pylist())


def test_three_shards_one_of_them_twice(lake, tmp_path):
    out = tmp_path / "scored"
    runs = at_once(*[(lake, "-o", out, "--shard", f"{number}/3", "--json") for number in [0, 1, 2, 1]])
    tables = [name for name in files(lake) if name.endswith(".parquet") and not name.startswith("_")]
    assert files(out) == tables
    assert ids(out / name for name in tables) == list(range(9 * ROWS))
    summaries = [json.loads(run.stdout) for run in runs]
    assert sum(summary["files"]["done"] for summary in summaries) == 9
    # The second of the two waited for each file, and found it done.
    done, again = summaries[1], summaries[3]
    assert done["files"]["done"] + done["files"]["skipped"] == again["files"]["done"] + again["files"]["skipped"]
    assert done["files"]["skipped"] + again["files"]["skipped"] == done["files"]["done"] + again["files"]["done"]
    for name in tables:
        scored = pq.ParquetFile(out / name).read()
        assert scored.drop_columns(["label", "confidence"]).equals(pq.ParquetFile(lake / name).read())
        assert scored["label"].null_count == 0


def test_a_shard_has_the_same_files_whatever_comes_and_from_wherever(lake, tmp_path):
    score(lake, "-o", tmp_path / "one", "--shard", "1/3")
    before = files(tmp_path / "one")
    pq.write_table(table(0), lake / "year=2024" / "late.parquet")
    score("**/*.parquet", "-o", tmp_path / "two", "--shard", "1/3", cwd=lake)
    after = files(tmp_path / "two")
    assert 0 < len(before) < 9 and set(before) <= set(after) and set(after) - set(before) <= {"year=2024/late.parquet"}


def test_row_groups_are_shared_out_where_files_are_few(tmp_path):
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(0, 700), source, row_group_size=100, write_page_index=True, compression="zstd")
    runs = at_once(*[(source, "-o", out, "--shard", f"{number}/3", "--json") for number in [0, 1, 2, 0]])
    parts = [tmp_path / f"out.part-{number}-of-3.parquet" for number in range(3)]
    assert files(tmp_path) == ["in.parquet", *(part.name for part in parts)]
    assert sorted(json.loads(run.stdout)["rows"] for run in runs) == [0, 200, 200, 300]
    whole = tmp_path / "whole.parquet"
    score(source, "-o", whole)
    assert pa.concat_tables(pq.read_table(part) for part in parts).equals(pq.read_table(whole))
    assert [pq.ParquetFile(part).num_row_groups for part in parts] == [2, 2, 3]


def test_a_file_of_one_row_group_stays_whole(tmp_path):
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(0), source)
    runs = [score(source, "-o", out, "--shard", f"{number}/3") for number in range(3)]
    assert files(tmp_path) == ["in.parquet", "out.parquet"]
    assert sum("none of the 1 files is for it" in run.stderr for run in runs) == 2


def test_what_is_no_shard_is_refused(tmp_path):
    for shard, words in [("3/3", "the first is 0 and the last 2"), ("0/0", "at least"), ("one", "such as 0/8")]:
        error = score("in.parquet", "-o", "out.parquet", "--shard", shard, check=2, cwd=tmp_path).stderr
        assert words in error and "--shard" in error


def test_outputs_in_the_folder_that_is_read_are_left_out(lake):
    for _ in range(2):
        score(lake, "-o", lake / "scored")
    scored = [name for name in files(lake) if name.startswith("scored/")]
    assert len(scored) == 9 and not any("scored/scored" in name for name in scored)
    assert "is read: name another one" in score(lake, "-o", lake, check=2).stderr


def test_options_that_fit_no_file_of_any_shard_are_refused_and_others_fail_alone(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["good"]}), folder / "a.parquet")
    pq.write_table(pa.table({"words": ["good"]}), folder / "c.parquet")
    for shard, codes in enumerate([(0, 2), (1, 2)]):
        for column, code in zip(["text", "nothing"], codes, strict=True):
            score(folder, "-o", tmp_path / column, "--text", column, "--shard", f"{shard}/2", check=code)
