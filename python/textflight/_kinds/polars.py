"""Frames, lazy frames and series of polars."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from .._errors import InvalidError, KindError
from .._options import Options
from .._plan import Plan
from .._progress import Progress, ProgressOption
from .._stream import new_columns
from .objects import Objects, Texts, batches_of

if TYPE_CHECKING:
    from .._client import Client


def score(client: Client, data: Any, options: Options, progress: ProgressOption) -> Any:
    """A frame as a frame, a lazy one as a lazy one, a series as a frame of what is new."""
    if isinstance(data, pl.LazyFrame):
        return _score_lazily(client, data, options, progress)
    if isinstance(data, pl.Series):
        if options.text is not None:
            raise InvalidError(f"text is {options.text!r}, but the data are one column: leave it out")
        options = replace(options, text="text", columns="new")
        data = data.alias("text").to_frame()
    return _score_frame(client, data, options, Progress(progress, data.height))


def _score_frame(client: Client, frame: pl.DataFrame, options: Options, progress: Progress) -> pl.DataFrame:
    plan = _plan(frame.schema, options)
    columns = _texts_of(frame, plan)
    new = new_columns(client, plan, batches_of(plan, columns, frame.height), progress)
    for name, column in columns.items():
        if isinstance(column, Objects):
            new = column.with_causes(new, plan.error_column(name))
    return _attached(frame, plan, new)


def _attached(frame: pl.DataFrame, plan: Plan, new: pa.Table) -> pl.DataFrame:
    scores = pl.DataFrame(pl.from_arrow(new))
    if not plan.kept:
        return scores
    return frame.select(frame.columns[number] for number in plan.kept).hstack(scores)


class _Column:
    """A series of which slices are sent: it is not there twice."""

    def __init__(self, series: pl.Series, kind: pa.DataType) -> None:
        self._series = series
        self.type = kind

    def slice(self, start: int, rows: int) -> pa.Array:
        """So many rows from `start` on."""
        array = self._series.slice(start, rows).to_arrow()
        return array if array.type == self.type else array.cast(self.type)


def _texts_of(frame: pl.DataFrame, plan: Plan) -> dict[str, Texts]:
    texts: dict[str, Texts] = {}
    for number in plan.sent:
        series = frame.to_series(number)
        if series.dtype == pl.Object:
            texts[series.name] = Objects(series.to_list(), series.name, pa.large_string(), plan.options.on_error == "null")
        else:
            texts[series.name] = _Column(series, plan.schema.types[number])
    return texts


def _plan(schema: Mapping[str, Any], options: Options) -> Plan:
    plan = Plan.of(_schema_of(schema), options)
    for number in plan.sent:
        if schema[plan.schema.names[number]] == pl.Object:
            strings = pa.field(plan.schema.names[number], pa.large_string())
            plan = replace(plan, schema=plan.schema.set(number, strings))
    return plan


def _schema_of(schema: Mapping[str, Any]) -> pa.Schema:
    """The columns as they are sent. What Python objects are is known once they are: they may be texts where they are named."""
    kinds = ((name, _OBJECTS if dtype == pl.Object else pl.Series([], dtype=dtype).to_arrow().type) for name, dtype in schema.items())
    return pa.schema(list(kinds))


# They are not taken for texts unasked.
_OBJECTS = pa.large_binary()


def _score_lazily(client: Client, frame: pl.LazyFrame, options: Options, progress: ProgressOption) -> pl.LazyFrame:
    """A lazy frame that is scored as it is collected, a batch at a time. The server is asked for the schema now."""
    if not hasattr(frame, "collect_batches"):
        raise KindError(f"a LazyFrame is scored a batch at a time, which polars {pl.__version__} has not: 1.34 or later does, or collect it")
    from polars.io.plugins import register_io_source

    schema = frame.collect_schema()
    plan = _plan(schema, options)
    new = new_columns(client, plan, [], Progress(False))
    scores = pl.DataFrame(pl.from_arrow(new)).schema
    kept = [plan.schema.names[number] for number in plan.kept]

    def source(wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch: int | None) -> Iterator[pl.DataFrame]:
        names = [name for name in kept if wanted is None or name in wanted]
        needed = list(dict.fromkeys([*names, *(plan.schema.names[number] for number in plan.sent)]))
        inputs = frame.select(needed) if rows is None else frame.head(rows).select(needed)
        if not _asks_for(scores, wanted, predicate):
            yield from _filtered(inputs.select(names).collect_batches(maintain_order=True), names, predicate)
            return
        part = _plan({name: schema[name] for name in needed}, replace(options, text=plan.text, columns=names))
        yield from _filtered(_scored_batches(client, inputs, part, Progress(progress)), wanted, predicate)

    return register_io_source(source, schema={**{name: schema[name] for name in kept}, **scores})


def _asks_for(new: Mapping[str, Any], wanted: list[str] | None, predicate: pl.Expr | None) -> bool:
    """Whether any of the new columns is, or is to be looked at."""
    named = [] if predicate is None else predicate.meta.root_names()
    return wanted is None or any(name in new for name in (*wanted, *named))


def _filtered(batches: Iterable[pl.DataFrame], wanted: list[str] | None, predicate: pl.Expr | None) -> Iterator[pl.DataFrame]:
    for batch in batches:
        selected = batch if predicate is None else batch.filter(predicate)
        yield selected if wanted is None else selected.select(wanted)


def _scored_batches(client: Client, frame: pl.LazyFrame, plan: Plan, progress: Progress) -> Iterator[pl.DataFrame]:
    def pairs() -> Iterator[tuple[pa.RecordBatch, pl.DataFrame]]:
        for batch in frame.collect_batches(maintain_order=True):
            columns = [column.slice(0, batch.height) for column in _texts_of(batch, plan).values()]
            yield pa.RecordBatch.from_arrays(columns, schema=plan.texts_schema()), batch

    with client.run(plan.command(), plan.texts_schema(), progress) as run:
        for batch, new in run.score(pairs(), size=lambda batch: int(batch.estimated_size())):
            yield _attached(batch, plan, pa.Table.from_batches([new]))
