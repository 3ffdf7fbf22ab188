"""Ray Data: scores the texts of a data set, on actors that share one server a node.

    import ray, textflight.ray
    reviews = ray.data.read_parquet("s3://lake/reviews/")
    textflight.ray.score(reviews, text="body").write_parquet("s3://lake/scored/")
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset

from ._errors import InvalidError, KindError
from ._job import Job
from ._options import Options, ScoreOptions, Text
from ._target import Target

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["score"]

# Rows that Ray is given at a time.
_ROWS_A_BATCH = 8192
# Ray wants to know how many rows a call on a GPU gets: enough to keep one at work for a second.
_ROWS_A_CALL_ON_GPUS = 65_536


def score(
    dataset: Dataset,
    text: Text = None,
    *,
    model: str | PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | PathLike[str] | None = None,
    timeout: float | None = None,
    concurrency: int | tuple[int, int] | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    preserve_order: bool = True,
    **options: Unpack[ScoreOptions],
) -> Dataset:
    """The data set with a label and a confidence for each row. It is as lazy as it was, and its rows are in their order.

    `concurrency` is how many actors score: so many, from so many to so many, or by default as many as find room, each of which
    reserves `num_cpus` (1) and `num_gpus` (none). Without `server` they start one on each node that they share. Where they reserve
    GPUs it runs on these, and those that have other GPUs have another server. With `preserve_order=False` blocks come as they are
    done; where it is True, `dataset` itself keeps its order from now on, too. All else is as in `textflight.score`.
    """
    if not isinstance(dataset, Dataset):
        raise KindError(f"dataset is {type(dataset).__name__}, not a ray.data.Dataset; textflight.score takes tables and frames")
    if server is not None and num_gpus:
        raise InvalidError(f"num_gpus is {num_gpus:g}, but the servers of server run elsewhere: leave out one of the two")
    job = Job(Target.of(server, model, dtype, token, ca, timeout), Options.of(text, options))
    scored = dataset.map_batches(
        _Scorer,
        fn_constructor_args=(job,),
        batch_format="pyarrow",
        batch_size=_ROWS_A_CALL_ON_GPUS if num_gpus else None,
        compute=_pool(concurrency),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        udf_modifying_row_count=False,
    )
    if preserve_order:
        scored.context.execution_options.preserve_order = True
    return scored


def _pool(concurrency: int | tuple[int, int] | None) -> ActorPoolStrategy:
    if concurrency is None:
        return ActorPoolStrategy()
    least, most = concurrency if isinstance(concurrency, tuple) and len(concurrency) == 2 else (concurrency, concurrency)
    for number in (least, most):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InvalidError(f"concurrency is {concurrency!r}; a number of actors above 0, or two as in (1, 8), would be right")
    if least > most:
        raise InvalidError(f"concurrency is {concurrency!r}; the smaller number comes first")
    return ActorPoolStrategy(min_size=least, max_size=most)


class _Scorer:
    """What an actor does. It connects with the first block: the error of an actor that cannot begin would be Ray's and not ours."""

    def __init__(self, job: Job) -> None:
        gpus = ",".join(f"cuda:{number}" for number in range(len(ray.get_gpu_ids()))) or None
        # Ray shows an actor the GPUs that it has reserved, and no others.
        self._job = dataclasses.replace(job, target=dataclasses.replace(job.target, device=gpus))

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        for batch in self._job.score(block.schema, block.to_batches(_ROWS_A_BATCH)):
            yield pa.Table.from_batches([batch])
