"""Record batches in, scored record batches out: one for one, in order, a bounded number in flight."""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ._errors import InvalidError
from ._options import Options
from ._pieces import size_of
from ._plan import Plan
from ._progress import Progress

if TYPE_CHECKING:
    from ._client import Client
    from ._run import Run


def scored_batches(
    client: Client, schema: pa.Schema, batches: Iterable[pa.RecordBatch], options: Options, progress: Progress
) -> tuple[pa.Schema, Generator[pa.RecordBatch, None, None]]:
    """The scored batches, and their schema, for which the first server is asked at once."""
    plan = Plan.of(schema, options)
    run = client.run(plan.command(), plan.texts_schema(), progress)
    try:
        scored_schema = plan.scored_schema(run.schema())
    except BaseException:
        run.close(is_left=True)
        raise
    scored = _scored(run, plan, scored_schema, _checked(batches, schema))
    # Begun here, so that one that is dropped unread ends its run as well.
    next(scored)
    return scored_schema, scored


def scored_reader(
    client: Client, schema: pa.Schema, batches: Iterable[pa.RecordBatch], options: Options, progress: Progress
) -> pa.RecordBatchReader:
    """A reader of the scored batches."""
    return pa.RecordBatchReader.from_batches(*scored_batches(client, schema, batches, options, progress))


def new_columns(
    client: Client, plan: Plan, texts: Iterable[pa.RecordBatch], progress: Progress, check: Callable[[Sequence[str]], None] | None = None
) -> pa.Table:
    """The new columns of all batches of texts. `check` is told their names before anything is scored."""
    with client.run(plan.command(), plan.texts_schema(), progress) as run:
        schema = run.schema().remove_metadata()
        if check is None:
            plan.scored_schema(schema)
        else:
            check(schema.names)
        return pa.Table.from_batches([new for _, new in run.score((batch, None) for batch in texts)], schema=schema)


def _scored(run: Run, plan: Plan, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    with run:
        yield None
        pairs = ((plan.texts(batch), batch) for batch in batches)
        for batch, new in run.score(pairs, size=size_of):
            yield pa.RecordBatch.from_arrays([*(batch.column(number) for number in plan.kept), *new.columns], schema=schema)


def _checked(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for number, batch in enumerate(batches):
        if not isinstance(batch, pa.RecordBatch):
            raise InvalidError(f"batch {number} is {type(batch).__name__}, not a pyarrow.RecordBatch")
        if not batch.schema.equals(schema):
            raise InvalidError(f"batch {number} has another schema than was said: {batch.schema}, and not {schema}")
        yield batch
