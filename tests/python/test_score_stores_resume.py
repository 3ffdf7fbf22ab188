"""`textflight score` into a store, killed and run again: nothing is lost, nothing is left, and the bytes are the same."""
import json
import re
import signal
import threading

import pytest

import stores
from lake import Ended, parquet, score, score_here, start, table

# A kill costs 8,192 rows at most, so that a journal of so many has three entries on the fastest machine.
ROWS = 32_000
TEXT = ["--text", "text", "--json"]
# How long a run may take to get where it is killed.
PATIENCE = 120


@pytest.fixture(scope="module")
def s3():
    with stores.s3() as endpoint, stores.client(endpoint) as client:
        yield endpoint, client


@pytest.fixture(scope="module")
def content():
    """A file of 11 MiB: its copy is written in two parts."""
    return parquet(table(ROWS, other=350), row_group_size=20_000)


@pytest.fixture(scope="module")
def whole(content, tmp_path_factory):
    return score_here(content, tmp_path_factory.mktemp("whole"), *TEXT)


@pytest.fixture
def bucket(s3, content, request):
    made = stores.Bucket(s3[1], re.sub("[^a-z]+", "-", request.node.name)[:60].strip("-"))
    made.put("in.parquet", content)
    return made


def command(bucket, *options, name="parquet"):
    return [f"s3://{bucket.name}/in.{name}", "-o", f"s3://{bucket.name}/out.{name}", *TEXT, *options]


class Killing:
    """Ends a run with a signal when the nth such request comes, or when its answer goes.

    Between the request that begins an upload and the note of it nobody but the store knows of the upload: a run that is ended by
    chance at that moment leaves it. No run is: its end waits for the note.
    """

    def __init__(self, when, method, wanted, nth=1, by=signal.SIGKILL):
        self.when, self.method, self.wanted, self.left, self.by = when, method, re.compile(wanted), nth, by
        self.process = None
        self.is_noted, self.changed = True, threading.Condition()
        self.started, self.done = threading.Event(), threading.Event()

    def __call__(self, when, request):
        with self.changed:
            if self.is_it(when, request):
                self.left -= 1
                if self.left == 0:
                    self.started.wait(PATIENCE)
                    assert self.changed.wait_for(lambda: self.is_noted, PATIENCE)
                    self.process.send_signal(self.by)
                    self.done.set()
            # The dead send and hear nothing more.
            if self.done.is_set() and self.by == signal.SIGKILL:
                raise stores.BreakOff
            if when == "comes" and request.method == "POST" and request.query.startswith("uploads"):
                self.is_noted = False
            if when == "goes" and request.method == "PUT" and request.path.endswith(".textflight/upload"):
                self.is_noted = True
                self.changed.notify_all()

    def is_it(self, when, request):
        return when == self.when and request.method == self.method and self.wanted.search(f"{request.path}?{request.query}")

    def run(self, endpoint, *arguments):
        """Gives back the run, which must have come so far."""
        with stores.relay(endpoint, watch=self) as (url, _):
            self.process = start(*arguments, endpoint=url)
            self.started.set()
            ended = Ended(self.process)
        assert self.done.is_set(), (self.wanted.pattern, ended.code, ended.stdout, ended.stderr)
        return ended


PIECE = r"/out\.\w+\.textflight/\d+\?"
MOMENTS = [
    ("comes", "PUT", PIECE),
    ("goes", "PUT", PIECE),
    ("comes", "PUT", PIECE),
    ("goes", "PUT", PIECE),
    ("comes", "POST", r"/out\.parquet\?uploads"),
    ("goes", "PUT", r"/out\.parquet\?.*partNumber=1"),
    ("comes", "POST", r"/out\.parquet\?.*uploadId="),
    ("goes", "POST", r"/out\.parquet\?.*uploadId="),
    ("comes", "POST", r"\?delete"),
    # Several at once are under way.
    ("goes", "POST", r"\?delete"),
]


def test_a_job_that_is_killed_at_every_kind_of_moment(s3, bucket, whole):
    """The moments are met one after the other: each run goes on from what the one before had left."""
    for moment in MOMENTS:
        ended = Killing(*moment).run(s3[0], *command(bucket))
        assert ended.code == -signal.SIGKILL, (moment, ended.stderr)
        left = set(bucket.keys())
        assert "in.parquet" in left and all(re.fullmatch(r"(in|out)\.parquet|out\.parquet\.textflight/(\d+|upload)", key) for key in left)
        assert "out.parquet" not in left or bucket.get("out.parquet") == whole
        assert len(bucket.unfinished()) <= 1, "the next run takes back what the last has left"
    summary = score(*command(bucket), endpoint=s3[0]).summary
    assert summary["files"]["skipped"] == 1
    assert bucket.get("out.parquet") == whole and bucket.keys() == ["in.parquet", "out.parquet"]
    assert bucket.unfinished() == []


@pytest.mark.parametrize("name", ["parquet", "csv"])
def test_what_a_killed_run_has_scored_is_not_scored_again(s3, bucket, whole, tmp_path, name):
    expected = whole
    if name == "csv":
        lines = b"id,text\n" + b"".join(f"{row},film {row} is {'fun' if row % 3 else 'dull'}\n".encode() for row in range(ROWS))
        bucket.put("in.csv", lines)
        expected = score_here(lines, tmp_path / "here", *TEXT, name="in.csv", out="out.csv")
    Killing("goes", "PUT", PIECE, 2).run(s3[0], *command(bucket, name=name))
    pieces = bucket.keys(f"out.{name}.textflight/")
    assert len(pieces) >= 2 and f"out.{name}" not in bucket.keys()
    report = tmp_path / "report.json"
    with stores.flaky(s3[0]) as (url, _):
        summary = score(*command(bucket, "--report", report, name=name), endpoint=url).summary
    [file] = json.loads(report.read_text())["files"]
    assert file["outcome"] == "scored" and file["resumed"] == summary["resumed"] >= 4096
    assert summary["rows"] == ROWS and bucket.get(f"out.{name}") == expected
    assert not bucket.keys(f"out.{name}.textflight")


def test_a_run_that_is_stopped_takes_back_what_it_has_written(s3, bucket, whole):
    """But for the journal."""
    ended = Killing("goes", "PUT", PIECE, 2, by=signal.SIGTERM).run(s3[0], *command(bucket))
    assert ended.code == 1, ended.stderr
    assert bucket.unfinished() == [] and bucket.keys("out.parquet.textflight/") and "out.parquet" not in bucket.keys()
    assert score(*command(bucket), endpoint=s3[0]).summary["resumed"] > 0
    assert bucket.get("out.parquet") == whole and bucket.keys() == ["in.parquet", "out.parquet"]


def test_the_journal_of_another_job_is_refused_until_it_is_dropped(s3, bucket, tmp_path):
    Killing("goes", "PUT", PIECE, 1).run(s3[0], *command(bucket))
    before = {key: bucket.get(key) for key in bucket.keys()}
    refused = score(*command(bucket, "--details"), check=2, endpoint=s3[0])
    assert "journal of another job: options.details was false and is true" in refused.stderr and "--force" in refused.stderr
    assert {key: bucket.get(key) for key in bucket.keys()} == before
    other = parquet(table(ROWS, seed=2, other=350), row_group_size=20_000)
    bucket.put("in.parquet", other)
    refused = score(*command(bucket), check=2, endpoint=s3[0])
    assert "journal of another job: input" in refused.stderr
    summary = score(*command(bucket, "--force"), endpoint=s3[0]).summary
    assert (summary["rows"], summary["resumed"]) == (ROWS, 0)
    assert bucket.get("out.parquet") == score_here(other, tmp_path, *TEXT)
    assert bucket.keys() == ["in.parquet", "out.parquet"]


def test_the_same_bytes_written_anew_are_the_same_input(s3, bucket, content, whole):
    """Their ETag is the same."""
    Killing("goes", "PUT", PIECE, 3).run(s3[0], *command(bucket))
    bucket.put("in.parquet", content)
    assert score(*command(bucket), endpoint=s3[0]).summary["resumed"] > 0
    assert bucket.get("out.parquet") == whole and bucket.keys() == ["in.parquet", "out.parquet"]


def test_what_is_behind_a_gap_in_a_journal_is_nothing(s3, bucket, whole):
    Killing("goes", "PUT", PIECE, 3).run(s3[0], *command(bucket))
    bucket.client.delete_object(Bucket=bucket.name, Key="out.parquet.textflight/0000000001")
    # The first entry has 2,048 rows at most; the third lies behind the gap.
    assert 0 < score(*command(bucket), endpoint=s3[0]).summary["resumed"] <= 2048
    assert bucket.get("out.parquet") == whole and bucket.keys() == ["in.parquet", "out.parquet"]


def test_a_journal_that_another_run_appends_to_is_left_to_it(s3, bucket):
    """The other run's piece is there when ours comes."""
    theirs = []

    def watch(when, request):
        if when == "comes" and request.method == "PUT" and request.path.endswith(".textflight/0000000001") and not theirs:
            theirs.append("out.parquet.textflight/0000000001")
            bucket.put(theirs[0], b"theirs")

    with stores.relay(s3[0], watch=staticmethod(watch)) as (url, _):
        failed = score(*command(bucket), check=1, endpoint=url)
    assert theirs and "another run writes there: wait for it to end" in failed.stderr
    assert bucket.get(theirs[0]) == b"theirs" and "out.parquet" not in bucket.keys() and bucket.unfinished() == []


def test_an_append_whose_answer_is_lost_is_no_other_run(s3, bucket, whole):
    lost = []

    def watch(when, request):
        if when == "goes" and request.method == "PUT" and request.path.endswith(".textflight/0000000001") and not lost:
            lost.append(request)
            raise stores.BreakOff

    with stores.relay(s3[0], watch=staticmethod(watch)) as (url, _):
        score(*command(bucket), endpoint=url)
    assert lost and bucket.get("out.parquet") == whole
    assert bucket.keys() == ["in.parquet", "out.parquet"] and bucket.unfinished() == []
