"""`textflight.spark` in a real Spark: types, nulls and empty partitions, tasks that are tried again, servers that go."""
import contextlib
import dataclasses
import datetime
import decimal
import json
import os
import pathlib
import re
import secrets
import signal
import threading
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PythonException
from pyspark.sql import Row
from pyspark.sql import types as T

import server as servers
import textflight
import textflight.spark
from client import wait_until
from textflight._launch import Launch
from textflight._target import Target

WAIT_SECONDS = 60
NOBODY = "grpc://127.0.0.1:1"

FIELDS = [
    ("byte", T.ByteType(), 1),
    ("short", T.ShortType(), 2),
    ("int", T.IntegerType(), 3),
    ("long", T.LongType(), 1 << 40),
    ("float", T.FloatType(), 0.5),
    ("double", T.DoubleType(), -0.25),
    ("boolean", T.BooleanType(), True),
    ("decimal", T.DecimalType(12, 3), decimal.Decimal("1.500")),
    ("date", T.DateType(), datetime.date(2024, 2, 29)),
    ("timestamp", T.TimestampType(), datetime.datetime(2024, 7, 1, 12)),
    ("no zone", T.TimestampNTZType(), datetime.datetime(2024, 7, 1, 12)),
    ("interval", T.DayTimeIntervalType(), datetime.timedelta(days=1, milliseconds=3)),
    ("bytes", T.BinaryType(), b"\xff"),
    ("other text", T.StringType(), "x"),
    ("list", T.ArrayType(T.StringType(), False), ["a", "b"]),
    ("struct", T.StructType([T.StructField("text", T.IntegerType(), False)]), Row(text=1)),
    ("map", T.MapType(T.StringType(), T.DoubleType(), False), {"k": 1.5}),
    ("nested", T.ArrayType(T.StructType([T.StructField("m", T.MapType(T.StringType(), T.ArrayType(T.LongType())))])), [Row(m={"k": [1, None]})]),
]


def address(running):
    return f"grpc://{running.flight}"


@pytest.fixture
def start(tmp_path):
    """Starts servers that a test may stop."""
    with contextlib.ExitStack() as running:
        yield lambda: running.enter_context(servers.serving(tmp_path / secrets.token_hex(4)))


@pytest.fixture(scope="module")
def reviews(spark):
    """872 sentences in eight partitions, two of which are empty."""
    frame = spark.read.parquet(str(servers.REPOSITORY / "data" / "reviews.parquet")).select("id", "text")
    return frame.repartitionByRange(6, "id").union(frame.where("id < 0")).union(frame.where("id < 0"))


@pytest.fixture(scope="module")
def expected(server):
    table = pq.read_table(servers.REPOSITORY / "data" / "reviews.parquet", columns=["id", "text"])
    scored = textflight.score(table, "text", server=address(server)).to_pylist()
    return {row["id"]: (row["label"], row["confidence"]) for row in scored}


def scores(frame):
    return {row.id: (row.label, row.confidence) for row in frame.collect()}


def test_columns_come_back_with_their_types_and_nulls(spark, server):
    schema = T.StructType([T.StructField("id", T.LongType(), False, {"comment": "a key"}), T.StructField("post.text", T.StringType())])
    schema = T.StructType([*schema, *(T.StructField(name, kind) for name, kind, _ in FIELDS)])
    full = Row(1, "a lovely film", *(value for _, _, value in FIELDS))
    frame = spark.createDataFrame([full, Row(2, *[None] * (len(FIELDS) + 1))], schema).repartition(5)
    scored = textflight.spark.score(frame, "post.text", server=address(server), details=True, probabilities=True)
    assert scored.schema[: len(schema)] == schema
    added = [(field.name, field.dataType.simpleString()) for field in scored.schema[len(schema) :]]
    assert added == [("label", "string"), ("confidence", "float"), ("tokens", "int"), ("truncated", "boolean"), ("probabilities", "array<float>")]
    found = {row.id: tuple(row) for row in scored.collect()}
    given = {row.id: tuple(row) for row in frame.collect()}
    assert {id: row[: len(schema)] for id, row in found.items()} == given
    assert found[1][len(schema) :][0] == "POSITIVE" and sum(found[1][-1]) == pytest.approx(1)
    assert found[2][len(schema) :] == (None,) * 5


def test_partitions_are_scored_where_they_are_and_some_are_empty(reviews, server, expected):
    scored = textflight.spark.score(reviews, "text", server=address(server))
    assert scores(scored) == expected
    assert scored.rdd.getNumPartitions() == reviews.rdd.getNumPartitions()
    assert textflight.spark.score(reviews.where("id < 0"), "text", server=address(server)).collect() == []


@pytest.mark.parametrize("columns, names", [("new", ["label", "confidence"]), (["n"], ["n", "label", "confidence"])], ids=str)
def test_chosen_columns(spark, server, columns, names):
    frame = spark.createDataFrame([("x", 1), ("y", 2)], "label string, n int")
    scored = textflight.spark.score(frame, "label", server=address(server), columns=columns)
    assert scored.columns == names and scored.count() == 2


def test_lists_and_structs(spark, server):
    frame = spark.createDataFrame([(["good", None], Row(title="bad")), (None, None)], "texts array<string>, post struct<title: string>")
    scored = textflight.spark.score(frame, ["texts", "post.title"], server=address(server), columns="new", probabilities=True, labels="id")
    first, second = scored.collect()
    assert first["texts_label"] == [1, None] and first["post.title_label"] == 0
    assert len(first["texts_probabilities"][0]) == 2 and first["texts_probabilities"][1] is None
    assert tuple(second) == (None,) * 6


def test_a_name_that_is_there_twice(spark, server):
    frame = spark.createDataFrame([("good", 1, 2)], "text string, a int, b int").toDF("text", "n", "n")
    scored = textflight.spark.score(frame, server=address(server))
    assert scored.columns == ["text", "n", "n", "label", "confidence"]
    assert tuple(scored.collect()[0])[:4] == ("good", 1, 2, "POSITIVE")


WRONG = [
    ({"text": "review"}, ValueError, 'column "review" not found; string columns: title, body'),
    ({}, ValueError, "more than one string column: title, body"),
    ({"text": "n"}, ValueError, 'column "n" is int64, not text'),
    ({"text": "body", "on_error": "skip"}, ValueError, "on_error is 'skip'"),
    ({"text": "body", "label_column": "n"}, ValueError, "already ha.* a column .n."),
    ({"text": "body", "server": NOBODY}, ConnectionError, "127.0.0.1:1"),
]


@pytest.mark.parametrize("options, error, words", WRONG, ids=[str(options) for options, _, _ in WRONG])
def test_what_is_wrong_is_said_before_a_job_begins(spark, server, options, error, words):
    frame = spark.createDataFrame([("x", "y", 1)], "title string, body string, n long")
    with pytest.raises(error, match=words):
        textflight.spark.score(frame, **{"server": address(server), **options})
    with pytest.raises(TypeError, match="dataframe is list, not a pyspark.sql.DataFrame"):
        textflight.spark.score(["x"])


def test_a_row_without_a_score_is_an_error_column_or_an_error(spark, server):
    frame = spark.sql("SELECT X'676F6F64' AS text UNION ALL SELECT X'FF'").coalesce(1)
    rows = textflight.spark.score(frame, "text", server=address(server), on_error="null").collect()
    assert [row.label for row in rows] == ["POSITIVE", None] and "utf-8" in rows[1].error
    with pytest.raises(PythonException, match=r"InvalidError: row 1 \(counted from 0\) is not text: column \"text\": invalid utf-8"):
        textflight.spark.score(frame, "text", server=address(server)).collect()


ROWS, PARTITIONS = 24_000, 12


class Running:
    """A job in a thread of its own."""

    def __init__(self, spark, **options):
        self._tracker = spark.sparkContext.statusTracker()
        frame = spark.range(ROWS, numPartitions=PARTITIONS).selectExpr("id", "concat('film number ', id) AS text")
        self._scored = textflight.spark.score(frame, "text", **options)
        self._seen = set(self._tracker.getJobIdsForGroup())
        self._rows = None
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self):
        self._rows = self._scored.collect()

    def stage(self):
        """What Spark says of its stage; None before it has begun."""
        jobs = set(self._tracker.getJobIdsForGroup()) - self._seen
        stages = [stage for job in jobs for stage in self._tracker.getJobInfo(job).stageIds]
        return self._tracker.getStageInfo(stages[0]) if stages else None

    def wait_for(self, tasks, count):
        wait_until(lambda: (stage := self.stage()) and getattr(stage, tasks) >= count)

    def assert_whole(self, server):
        """Once it is done each row is there once, with its score."""
        self._thread.join()
        table = pa.table({"text": [f"film number {number}" for number in range(ROWS)]})
        expected = textflight.score(table, server=address(server)).to_pylist()
        found = [(row.id, row.text, row.label, row.confidence) for row in self._rows]
        assert found == [(number, *row.values()) for number, row in enumerate(expected)]


def python_workers():
    """Spark's processes for tasks in Python: the last of those that its daemon has forked."""
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"pyspark.daemon" in (folder / "cmdline").read_bytes():
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return [pid for pid, parent in parents.items() if parent in parents and pid not in parents.values()]


def test_a_worker_that_is_killed_costs_no_row(spark, server, start):
    running = start()
    job = Running(spark, server=address(running))
    job.wait_for("numCompletedTasks", 1)
    running.process.send_signal(signal.SIGSTOP)
    try:
        job.wait_for("numActiveTasks", 2)
        # All of them, since some may be idle.
        for worker in python_workers():
            os.kill(worker, signal.SIGKILL)
        job.wait_for("numFailedTasks", 1)
    finally:
        running.process.send_signal(signal.SIGCONT)
    job.assert_whole(server)


def test_tasks_share_a_local_server_that_is_started_again_when_it_is_killed(spark, server, local_servers):
    job = Running(spark)
    job.wait_for("numCompletedTasks", 1)
    [state] = local_servers.glob("*.json")
    killed = json.loads(state.read_text())["running"]
    os.kill(killed["pid"], signal.SIGKILL)
    job.assert_whole(server)
    [state] = local_servers.glob("*.json")
    assert json.loads(state.read_text())["running"] != killed


def test_of_several_servers_another_is_used(spark, server, start):
    two = [start(), start()]
    job = Running(spark, server=[address(running) for running in two])
    job.wait_for("numCompletedTasks", 1)
    two[0].terminate()
    job.assert_whole(server)


def test_a_task_has_its_server_run_on_the_gpus_that_it_is_given(monkeypatch):
    given = types.SimpleNamespace(resources=lambda: {"gpu": types.SimpleNamespace(addresses=["0", "3"])})
    monkeypatch.setattr(textflight.spark.TaskContext, "get", lambda: given)
    monkeypatch.setenv("TEXTFLIGHT_DEVICE", "cpu")
    target = dataclasses.replace(Target.of(None, "bundled", None, None, None, None), device=textflight.spark._gpus())
    launch = Launch.of(target.model, target.dtype, device=target.device)
    assert launch.environment["TEXTFLIGHT_DEVICE"] == "cuda:0,cuda:3" and os.environ["TEXTFLIGHT_DEVICE"] == "cpu"


def test_the_recipe_of_the_page(spark, server, tmp_path, monkeypatch):
    page = (servers.REPOSITORY / "docs" / "engines.md").read_text()
    [code] = [block for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "textflight.spark" in block]
    monkeypatch.chdir(servers.REPOSITORY)
    exec(code.replace("127.0.0.1:8815", server.flight).replace('"scored"', repr(str(tmp_path / "scored"))), {"spark": spark})
    scored = pq.read_table(tmp_path / "scored")
    assert scored.num_rows == 872 and {"label", "confidence", "error"} <= set(scored.column_names)
