"""`textflight score` from stores and into stores, against servers of their protocols: the bytes of a local run, and nothing else."""
import itertools
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stores
from lake import Ended, parquet, score, score_here, start, table

TEXT = ["--text", "text"]


@pytest.fixture(scope="module")
def s3():
    """A server of S3, a client of it that is not ours, and buckets."""
    with stores.s3() as endpoint, stores.client(endpoint) as client:
        numbers = itertools.count()

        class S3:
            url = endpoint

            @staticmethod
            def bucket():
                return stores.Bucket(client, f"bucket{next(numbers)}")

        yield S3


@pytest.fixture
def bucket(s3):
    """An empty bucket; no upload may be left in it."""
    made = s3.bucket()
    yield made
    assert made.unfinished() == []


@pytest.fixture(scope="module")
def large():
    """A file of 13 MiB, whose text is a small part of it."""
    return parquet(table(1500, other=9000), row_group_size=600)


@pytest.fixture(scope="module")
def large_scored(large, tmp_path_factory):
    return score_here(large, tmp_path_factory.mktemp("large"), *TEXT)


def given(relay, path):
    """Bytes that GETs of an object gave."""
    return sum(request.given for request in relay.requests if request.method == "GET" and request.path == path)


def changes(relay):
    return [request for request in relay.requests if request.method not in ("GET", "HEAD")]


LAKE = {
    "plain.parquet": 700,
    "year=2025/month=01/part-0.parquet": 30,
    "year=2025/month=01/part-1.parquet": 1,
    "year=2026/month=12/a b+c%3A=ü.parquet": 20,
    "year=2026/deep/er/X.PQ": 10,
    "spark.parquet/part-0.parquet": 5,
}
NOT_READ = ["_SUCCESS", "_temporary/half.parquet", "year=2025/.part-0.parquet.crc", ".hidden/a.parquet",
            "plain.parquet.textflight/0000000000", "notes.txt", "spark.parquet/", "year=2025/", ""]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A folder of partitions, and what a run here makes of it."""
    root = tmp_path_factory.mktemp("lake")
    for seed, (name, rows) in enumerate(LAKE.items()):
        (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "in" / name).write_bytes(parquet(table(rows, seed, other=16_000 if rows > 500 else 10), row_group_size=400))
    score(root / "in", "-o", root / "out", *TEXT)
    return {name: ((root / "in" / name).read_bytes(), (root / "out" / name).read_bytes()) for name in LAKE}


def put_lake(bucket, lake, folder=""):
    for name, (content, _) in lake.items():
        bucket.put(folder + name, content)
    for name in NOT_READ:
        if folder + name:
            bucket.put(folder + name, b"")


def scored(lake, folder=""):
    return {folder + name: content for name, (_, content) in lake.items()}


def contents(bucket, prefix=""):
    return {key: bucket.get(key) for key in bucket.keys(prefix)}


@pytest.mark.parametrize("read, folder", [("reviews/", "reviews/"), ("reviews", "reviews/"), ("", "")])
def test_a_folder_becomes_a_folder(s3, bucket, lake, read, folder):
    put_lake(bucket, lake, folder)
    if read == "reviews":
        # As stores show it which have folders.
        bucket.put("reviews", b"")
    target = s3.bucket()
    summary = score(f"s3://{bucket.name}/{read}", "-o", f"s3://{target.name}/scored", *TEXT, "--json", endpoint=s3.url).summary
    assert (summary["files"]["done"], summary["rows"]) == (len(LAKE), sum(LAKE.values()))
    assert contents(target) == scored(lake, "scored/")
    assert target.unfinished() == []


def test_a_bucket_into_itself(s3, bucket, lake):
    put_lake(bucket, lake)
    before = contents(bucket)
    for outcome in ["done", "skipped"]:
        summary = score(f"s3://{bucket.name}", "-o", f"s3://{bucket.name}/scored/", *TEXT, "--json", endpoint=s3.url).summary
        assert summary["files"][outcome] == len(LAKE)
    assert contents(bucket) == before | scored(lake, "scored/")


@pytest.mark.parametrize("pattern, below, names", [
    ("year=202[56]/*/*.parquet", "", [name for name in LAKE if "/month=" in name]),
    ("**/*.P?", "", ["year=2026/deep/er/X.PQ"]),
    ("year=2025/**", "year=2025/", [name for name in LAKE if "2025" in name]),
    ("*/*12", "", ["year=2026/month=12/a b+c%3A=ü.parquet"]),
])
def test_patterns(s3, bucket, lake, pattern, below, names):
    put_lake(bucket, lake, "reviews/")
    target = s3.bucket()
    score(f"s3://{bucket.name}/reviews/{pattern}", "-o", f"s3://{target.name}", *TEXT, endpoint=s3.url)
    assert contents(target) == {name.removeprefix(below): lake[name][1] for name in names}


def test_shards_cover_a_bucket_once(s3, bucket, lake):
    put_lake(bucket, lake)
    target = s3.bucket()
    command = [f"s3://{bucket.name}/", "-o", f"s3://{target.name}/", *TEXT, "--json"]
    runs = [start(*command, "--shard", f"{shard}/2", endpoint=s3.url) for shard in range(2)]
    summaries = [Ended(run).summary for run in runs]
    assert sum(summary["files"]["done"] for summary in summaries) == len(LAKE)
    assert contents(target) == scored(lake)


def test_row_groups_are_shared_out_where_files_are_few(s3, bucket, large):
    bucket.put("in.parquet", large)
    runs = [start(f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT, "--shard", f"{shard}/3",
                  endpoint=s3.url) for shard in range(3)]
    assert [Ended(run).code for run in runs] == [0, 0, 0]
    parts = [f"out.part-{shard}-of-3.parquet" for shard in range(3)]
    assert bucket.keys() == ["in.parquet", *parts]
    ids = [pq.read_table(pa.BufferReader(bucket.get(part)), columns=["id", "label"]) for part in parts]
    assert pa.concat_tables(ids)["id"].to_pylist() == list(range(1500))


def test_each_byte_is_read_once(s3, bucket, large, large_scored):
    bucket.put("in.parquet", large)
    with stores.relay(s3.url) as (url, relay):
        ended = score(f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT, endpoint=url)
    assert bucket.get("out.parquet") == large_scored
    assert len(large) <= given(relay, f"/{bucket.name}/in.parquet") <= len(large) + 8192
    # In parts, and nothing but the output and the journal.
    assert any("partNumber=" in request.query for request in changes(relay))
    keys = [request.path.split("/")[2:] for request in changes(relay) if "delete" not in request.query]
    assert {key[0] for key in keys} == {"out.parquet", "out.parquet.textflight"}
    assert bucket.keys() == ["in.parquet", "out.parquet"]
    told = re.search(r"object stores.* read=(\d+) written=(\d+) requests=(\d+)", ended.stderr)
    read, written, requests = map(int, told.groups())
    assert read == given(relay, f"/{bucket.name}/in.parquet")
    assert written > len(large_scored) and requests == len(relay.requests)


def test_a_small_file_takes_ten_requests_and_no_journal(s3, bucket):
    """As docs/scale.md counts them."""
    bucket.put("in.parquet", parquet(table(100)))
    with stores.relay(s3.url) as (url, relay):
        score(f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT, endpoint=url)
    lists = [request for request in relay.requests if "list-type" in request.query]
    assert (len(relay.requests), len(lists)) == (10, 2)
    assert [(request.method, request.path) for request in changes(relay)] == [("PUT", f"/{bucket.name}/out.parquet")]


def test_the_text_alone_is_read_where_nothing_else_is_wanted(s3, bucket, large):
    bucket.put("in.parquet", large)
    with stores.relay(s3.url) as (url, relay):
        score(f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT, "--columns", "new", endpoint=url)
    file = pq.ParquetFile(pa.BufferReader(large))
    groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
    text = sum(group.column(1).total_compressed_size for group in groups)
    read = given(relay, f"/{bucket.name}/in.parquet")
    assert text < read <= text + (64 << 10) + 8192 and read < len(large) / 20
    scored = pq.read_table(pa.BufferReader(bucket.get("out.parquet")))
    assert scored.column_names == ["label", "confidence"] and scored.num_rows == 1500


def test_from_here_to_there_and_back(s3, bucket, large, large_scored, tmp_path):
    there, back = f"s3://{bucket.name}/a/out.parquet", tmp_path / "back"
    (tmp_path / "in.parquet").write_bytes(large)
    score(tmp_path / "in.parquet", "-o", there, *TEXT, endpoint=s3.url)
    assert contents(bucket) == {"a/out.parquet": large_scored}
    bucket.put("in.parquet", large)
    score(f"s3://{bucket.name}/in.parquet", "-o", f"{back}/", *TEXT, endpoint=s3.url)
    assert [path.name for path in back.iterdir()] == ["in.parquet"]
    assert (back / "in.parquet").read_bytes() == large_scored


def test_from_a_web_server(s3, bucket, large, large_scored, tmp_path):
    target = tmp_path / "out.parquet"
    with stores.web(large) as url:
        said = [score(url, "-o", place, *TEXT, "--report", tmp_path / "report.json", "--html", tmp_path / "report.html", "--log",
                      "debug", "--progress", "json", endpoint=s3.url) for place in (target, f"s3://{bucket.name}/from-web/")]
    assert target.read_bytes() == large_scored
    # By its name, and not as the URL writes it.
    assert contents(bucket) == {"from-web/a table.parquet": large_scored}
    told = [text for run in said for text in (run.stdout, run.stderr)]
    told += [(tmp_path / name).read_text() for name in ("report.json", "report.html")]
    assert "a%20table.parquet" in told[-2]
    assert not any(secret in text for text in told for secret in ("me:word", "key=1", "bWU6d29yZA"))


def test_google(s3, bucket, large, large_scored):
    bucket.put("in.parquet", large)
    where = {"GOOGLE_BASE_URL": s3.url, "GOOGLE_BEARER_TOKEN": "test"}
    place = f"gs://{bucket.name}"
    for outcome in ("done", "skipped"):
        summary = score(f"{place}/in.parquet", "-o", f"{place}/scored/out.parquet", *TEXT, "--json", **where).summary
        assert summary["files"][outcome] == 1
    assert contents(bucket, "scored/") == {"scored/out.parquet": large_scored}


def test_azure(large, large_scored, tmp_path):
    program = stores.azurite()
    if program is None:
        pytest.skip("npm is not there, which azurite is installed by")
    (tmp_path / "in.parquet").write_bytes(large)
    again = ["--label-column", "second", "--confidence-column", "sure"]
    expected = score_here(large_scored, tmp_path / "here", *TEXT, *again)
    with stores.azure(program) as endpoint:
        stores.create_container(endpoint, "lake")
        where = stores.azure_keys(endpoint)
        score(tmp_path / "in.parquet", "-o", "az://lake/year=2026/in.parquet", *TEXT, **where)
        for outcome in ("done", "skipped"):
            summary = score("az://lake", "-o", "az://lake/scored/", *TEXT, *again, "--json", **where).summary
            assert summary["files"][outcome] == 1
        assert stores.blobs(endpoint, "lake") == ["scored/year=2026/in.parquet", "year=2026/in.parquet"]
        score("abfs://lake/scored/year=2026/in.parquet", "-o", tmp_path / "back.parquet", "--columns", "second,sure", *TEXT, **where)
    assert pq.read_table(tmp_path / "back.parquet").select(["second", "sure"]).equals(
        pq.read_table(pa.BufferReader(expected)).select(["second", "sure"]))


LINES = {
    "a.csv": b'id,text\r\n1,"a ""fine"", film"\r\n2,dull\r\n\r\n3,\r\n',
    "b.jsonl": b'{"text": "a fine film", "id": 1}\n{ "id":2 , "text":"d\\u00fcll" }\n\n{"text": null}',
    "c.tsv": b"text\tid\nfine\t1\nbad\t2",
}


def test_lines_are_kept(s3, bucket, tmp_path):
    expected = {}
    for name, content in LINES.items():
        bucket.put(f"in/{name}", content)
        expected[name] = score_here(content, tmp_path / "here", *TEXT, name=name, out=f"out-{name}")
    target = s3.bucket()
    command = [f"s3://{bucket.name}/in", "-o", f"s3://{target.name}", *TEXT, "--json"]
    assert score(*command, endpoint=s3.url).summary["files"]["done"] == 3
    assert contents(target) == expected
    for line in filter(None, LINES["a.csv"].splitlines()):
        assert line in expected["a.csv"]
    # Nothing says who made them.
    assert score(*command, endpoint=s3.url).summary["files"]["done"] == 3
    assert score(*command, "--skip-existing", endpoint=s3.url).summary["files"]["skipped"] == 3
    assert contents(target) == expected and target.unfinished() == []


def test_other_formats(s3, bucket, tmp_path):
    bucket.put("in.csv", LINES["a.csv"])
    for name in ("out.parquet", "out.arrow", "out.jsonl"):
        outcomes = []
        for _ in range(2):
            command = [f"s3://{bucket.name}/in.csv", "-o", f"s3://{bucket.name}/{name}", *TEXT, "--json"]
            outcomes.append(score(*command, endpoint=s3.url).summary["files"]["done"])
        expected = score_here(LINES["a.csv"], tmp_path / "here", *TEXT, name="in.csv", out=name)
        if name == "out.parquet":
            # Its marks have the input's ETag; a local file's its time.
            assert outcomes == [1, 0]
            assert pq.read_table(pa.BufferReader(bucket.get(name))).equals(pq.read_table(pa.BufferReader(expected)))
        else:
            assert outcomes == [1, 1] and bucket.get(name) == expected
    said = score(f"s3://{bucket.name}/in.csv", "-o", "-", *TEXT, endpoint=s3.url).stdout
    assert said.encode() == score_here(LINES["a.csv"], tmp_path / "here", *TEXT, name="in.csv", out="out.csv").replace(b"\r\n", b"\n")


def test_what_is_finished_is_left_alone(s3, bucket, large, large_scored):
    bucket.put("in.parquet", large)
    command = [f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT, "--json"]
    assert score(*command, endpoint=s3.url).summary["files"]["done"] == 1
    with stores.relay(s3.url) as (url, relay):
        assert score(*command, endpoint=url).summary["files"]["skipped"] == 1
    assert changes(relay) == []
    assert sum(request.given for request in relay.requests) < 200 << 10
    assert score(*command, "--labels", "id", endpoint=s3.url).summary["files"]["done"] == 1
    assert bucket.get("out.parquet") != large_scored
    # Without marks.
    bucket.put("out.parquet", b"something else")
    assert score(*command, endpoint=s3.url).summary["files"]["done"] == 1
    assert bucket.get("out.parquet") == large_scored
    # The same rows in other bytes are another input.
    bucket.put("in.parquet", parquet(table(1500, seed=2, other=9000), row_group_size=600))
    assert score(*command, endpoint=s3.url).summary["files"]["done"] == 1
    assert bucket.keys() == ["in.parquet", "out.parquet"]


def test_what_is_in_the_way_of_one_file_is_not_in_that_of_others(s3, bucket, tmp_path):
    bucket.put("in/bad.parquet", b"no Parquet")
    bucket.put("in/empty.parquet", b"")
    bucket.put("in/good.parquet", parquet(table(10)))
    report = tmp_path / "report.json"
    ended = score(f"s3://{bucket.name}/in", "-o", f"s3://{bucket.name}/out", *TEXT, "--report", report, check=1, endpoint=s3.url)
    assert f"error: s3://{bucket.name}/in/bad.parquet: not a Parquet file" in ended.stderr
    assert bucket.keys("out") == ["out/good.parquet"]
    files = json.loads(report.read_text())["files"]
    assert [(file["input"], file["output"], file["outcome"]) for file in files] == [
        (f"s3://{bucket.name}/in/{name}.parquet", f"s3://{bucket.name}/out/{name}.parquet", outcome)
        for name, outcome in [("bad", "failed"), ("empty", "failed"), ("good", "scored")]]


@pytest.mark.parametrize("source, target, code, said", [
    ("s3://B/gone.parquet", "s3://B/out.parquet", 1, "s3://B/gone.parquet: there is no such object"),
    ("s3://B/gone/", "s3://B/out/", 2, "s3://B/gone/: no .parquet"),
    ("s3://B/gone/*.parquet", "s3://B/out/", 2, "s3://B/gone/*.parquet: no such file"),
    ("s3://nobody/in.parquet", "s3://B/out.parquet", 1, "s3://nobody: there is no such bucket"),
    ("s3://nobody/", "s3://B/out/", 1, "s3://nobody: there is no such bucket"),
    ("s3://B/in.parquet", "s3://nobody/out.parquet", 1, "s3://nobody: there is no such bucket"),
    ("s3://B/in.parquet", "https://host/out.parquet?sig=secret", 2, "https://host/out.parquet: files are read over HTTP, and not written"),
    ("s3://B/in.parquet", "s3://B/in.parquet", 2, "-o s3://B/in.parquet is the input s3://B/in.parquet"),
    ("s3://B/", "s3://B", 2, "-o s3://B is the folder that is read"),
    ("s3://B/in.parquet", "hdfs://host/out.parquet", 2, "hdfs://host/out.parquet: no store is known by hdfs://"),
    ("s3://B/a//b.parquet", "s3://B/out.parquet", 2, "s3://B/a//b.parquet: a key has no empty parts"),
    ("s3://B/in.parquet.gz", "s3://B/out.parquet", 2, "s3://B/in.parquet.gz: tables packed as .gz"),
])
def test_what_cannot_be_is_said(s3, bucket, source, target, code, said):
    content = parquet(table(3))
    bucket.put("in.parquet", content)
    bucket.put("in.parquet.gz", b"")
    here = [place.replace("//B", f"//{bucket.name}") for place in (source, target, said)]
    ended = score(here[0], "-o", here[1], *TEXT, check=code, endpoint=s3.url)
    assert f"error: {here[2]}" in ended.stderr, ended.stderr
    assert "secret" not in ended.stderr
    assert contents(bucket) == {"in.parquet": content, "in.parquet.gz": b""}


@pytest.mark.parametrize("option, said", [
    ("aws_secret_acess_key=word", "--store-option aws_secret_acess_key=…: no such option"),
    ("word", "--store-option: written without ="),
    ("max_retries=many", "--store-option max_retries=many: not a number"),
])
def test_options_that_cannot_be_are_refused(s3, bucket, option, said):
    ended = score(f"s3://{bucket.name}/in.parquet", "-o", "out.parquet", "--store-option", option, check=2, endpoint=s3.url)
    assert said in ended.stderr and "word" not in ended.stderr


def test_help_shows_no_option():
    said = Ended(start("--help", TEXTFLIGHT_STORE_OPTION="secret_access_key=word")).stdout
    assert "TEXTFLIGHT_STORE_OPTION" in said and "=word" not in said


def test_options_say_what_the_environment_does_not(s3, bucket):
    bucket.put("in.parquet", parquet(table(3)))
    options = [f"endpoint={s3.url}", "allow_http=true", "region=us-east-1", "access_key_id=test", "aws_secret_access_key=word"]
    options = [word for option in options for word in ("--store-option", option)]
    ended = score(f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT, *options, "--log", "debug")
    assert bucket.keys() == ["in.parquet", "out.parquet"]
    assert "word" not in ended.stdout + ended.stderr


def test_wrong_credentials(tmp_path):
    with stores.s3(INITIAL_NO_AUTH_ACTION_COUNT="2") as endpoint, stores.client(endpoint) as client:
        bucket = stores.Bucket(client, "bucket")
        bucket.put("in.parquet", parquet(table(3)))
        ended = score("s3://bucket/in.parquet", "-o", tmp_path / "out.parquet", *TEXT, "--log", "debug", check=1, endpoint=endpoint,
                      AWS_SECRET_ACCESS_KEY="word")
    assert "the credentials are not taken: InvalidAccessKeyId; set AWS_ACCESS_KEY_ID" in ended.stderr
    assert "word" not in ended.stderr and "Signature" not in ended.stderr


def test_no_permission(s3, bucket, large):
    """A bucket that may be read and not written, and one that may be listed alone."""
    bucket.put("in.parquet", large)
    words = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    denied = stores.Answer(403, [("Content-Type", "application/xml")], words)
    command = [f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT]
    for methods in (("PUT", "POST", "DELETE"), ("GET", "HEAD")):
        def watch(when, request, methods=methods):
            is_denied = when == "comes" and request.method in methods and "list-type" not in request.query
            return denied._replace(content=b"" if request.method == "HEAD" else words) if is_denied else None
        with stores.relay(s3.url, watch=staticmethod(watch)) as (url, _):
            ended = score(*command, check=1, endpoint=url)
        assert "no permission: " in ended.stderr and "AccessDenied" in ended.stderr, ended.stderr
        assert f"s3://{bucket.name}/{'in' if 'GET' in methods else 'out'}.parquet" in ended.stderr
    assert bucket.keys() == ["in.parquet"]


def test_an_object_that_changes_while_it_is_read(s3, bucket, large):
    """It is another one once the first of the output comes."""
    bucket.put("in.parquet", large)
    other = parquet(table(1500, seed=9, other=9000), row_group_size=600)
    is_changed = []

    def watch(when, request):
        if when == "comes" and request.method in ("PUT", "POST") and not is_changed:
            is_changed.append(bucket.put("in.parquet", other))

    with stores.relay(s3.url, watch=staticmethod(watch)) as (url, _):
        ended = score(f"s3://{bucket.name}/in.parquet", "-o", f"s3://{bucket.name}/out.parquet", *TEXT, check=1, endpoint=url)
    assert f"s3://{bucket.name}/in.parquet: it changed while it was read" in ended.stderr
    assert bucket.keys() == ["in.parquet"]


def test_a_dry_run_and_progress_know_bytes(s3, bucket, lake):
    put_lake(bucket, lake)
    total = sum(len(content) for content, _ in lake.values())
    command = [f"s3://{bucket.name}", "-o", f"s3://{bucket.name}/scored/", *TEXT]
    before = bucket.keys()
    with stores.relay(s3.url) as (url, relay):
        estimate = json.loads(score(*command, "--dry-run", "--json", endpoint=url).stdout)
    assert (estimate["rows"], estimate["bytes"], estimate["files"]["to_do"]) == (sum(LAKE.values()), total, len(LAKE))
    assert changes(relay) == [] and bucket.keys() == before
    # The sample needs no column but the text.
    assert given(relay, f"/{bucket.name}/plain.parquet") < len(lake["plain.parquet"][0]) / 10
    ended = score(*command, "--progress", "json", "--log", "off", endpoint=s3.url)
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    assert events[0]["event"] == "start" and events[-1]["event"] == "end"
    assert events[-1]["bytes"] == {"done": total, "total": total}


def test_through_a_store_that_fails_at_random(s3, bucket, large, large_scored):
    bucket.put("in/a.parquet", large)
    for number in range(4):
        bucket.put(f"in/b{number}.csv", LINES["a.csv"])
    with stores.flaky(s3.url) as (url, failures):
        summary = score(f"s3://{bucket.name}/in", "-o", f"s3://{bucket.name}/out", *TEXT, "--json", endpoint=url).summary
    assert summary["files"]["done"] == 5 and min(failures.values()) > 0, failures
    assert bucket.get("out/a.parquet") == large_scored
    assert bucket.keys("out") == ["out/a.parquet", *(f"out/b{number}.csv" for number in range(4))]
