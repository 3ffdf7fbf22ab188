"""Spark: scores the texts of a data frame where its partitions are, with one server a node that they share.

    import textflight.spark
    reviews = spark.read.parquet("s3://lake/reviews/")
    textflight.spark.score(reviews, text="body").write.parquet("s3://lake/scored/")
"""
from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import StructField, StructType

from ._errors import KindError
from ._job import Job
from ._options import Options, ScoreOptions, Text
from ._target import Target

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["score"]


def score(
    dataframe: DataFrame,
    text: Text = None,
    *,
    model: str | PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | PathLike[str] | None = None,
    timeout: float | None = None,
    **options: Unpack[ScoreOptions],
) -> DataFrame:
    """The data frame with a label and a confidence for each row, in its partitions. Rows are scored when an action asks for them.

    A server is asked at once which columns it appends, so that what is wrong with the options is said here. Without `server`
    it is one on the driver's machine, and rows are scored by one on each node that its tasks share; where Spark gives tasks
    GPUs (`spark.task.resource.gpu.amount`), by one for those with the same GPUs, which runs on these. All else is as in
    `textflight.score`.
    """
    if not isinstance(dataframe, DataFrame):
        raise KindError(f"dataframe is {type(dataframe).__name__}, not a pyspark.sql.DataFrame; textflight.score takes tables and frames")
    job = Job(Target.of(server, model, dtype, token, ca, timeout), Options.of(text, options))
    names = dataframe.columns
    # mapInArrow looks columns up by their names, and finds none that has a dot.
    numbered = dataframe.toDF(*map(str, range(len(names))))

    def partition(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _scored(job, names, batches)

    return numbered.mapInArrow(partition, _schema(job, dataframe))


def _schema(job: Job, dataframe: DataFrame) -> StructType:
    """The schema of the scored data frame: fields of its own as they are, and those that a server appends."""
    given = dataframe.schema
    arrow = dataframe.sparkSession.createDataFrame([], StructType([_named(field, str(n)) for n, field in enumerate(given)])).toArrow().schema
    arrow = pa.schema([field.with_name(name) for field, name in zip(arrow, given.names)])
    kept = [given[number] for number in job.options.kept(given.names)]
    with job.score(arrow, []) as reader:
        new = list(reader.schema)[len(kept) :]
    return StructType([*kept, *(StructField(field.name, from_arrow_type(_as_spark_has_it(field.type))) for field in new)])


def _named(field: StructField, name: str) -> StructField:
    return StructField(name, field.dataType, field.nullable)


def _scored(job: Job, names: list[str], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a task does with a partition, which may be empty."""
    named = (batch.rename_columns(names) for batch in batches)
    first = next(named, None)
    if first is None:
        return
    here = Job(dataclasses.replace(job.target, device=_gpus()), job.options)
    for scored in here.score(first.schema, itertools.chain([first], named)):
        # Spark goes by places, and takes two columns of one name for one.
        fields = [field.with_name(str(number)).with_type(_as_spark_has_it(field.type)) for number, field in enumerate(scored.schema)]
        columns = [column if column.type == field.type else column.cast(field.type) for column, field in zip(scored.columns, fields)]
        yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _gpus() -> str | None:
    """Those that Spark has given this task."""
    task = TaskContext.get()
    given = task.resources().get("gpu") if task is not None else None
    return ",".join(f"cuda:{address}" for address in given.addresses) or None if given is not None else None


def _as_spark_has_it(kind: pa.DataType) -> pa.DataType:
    """Spark has no lists of a fixed size, as probabilities are."""
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_as_spark_has_it(kind.value_type)))
    return kind
