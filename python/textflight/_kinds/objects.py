"""Python objects that should be texts."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from .._errors import InvalidError
from .._pieces import PIECE_ROWS
from .._plan import Plan

#: What pyarrow raises for objects that are not of the type that is asked for.
_MISFITS = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeError, OverflowError)


_BYTES = (bytes, bytearray, memoryview)


class Texts(Protocol):
    """A column of texts that is turned into Arrow a slice at a time."""

    type: pa.DataType

    def slice(self, start: int, rows: int) -> pa.Array:
        """So many rows from `start` on."""


def batches_of(plan: Plan, columns: Mapping[str, Texts], rows: int) -> Iterator[pa.RecordBatch]:
    """The columns in batches of the rows of a piece: no more than that is there twice."""
    for start in range(0, rows, PIECE_ROWS):
        taken = min(PIECE_ROWS, rows - start)
        yield pa.RecordBatch.from_arrays([column.slice(start, taken) for column in columns.values()], schema=plan.texts_schema())


@dataclass
class Objects:
    """A sequence of Python objects: str, and None, NaN or NA for null; or bytes; or lists and dictionaries of them."""

    values: Any
    #: Of which column they are, for errors.
    name: Any
    type: pa.DataType
    #: Whether objects that are no texts get nulls, and why they are none is kept.
    keeps_causes: bool = False
    #: How rows are called, where they have names.
    index: Any = None
    causes: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Any, name: Any, keeps_causes: bool = False, index: Any = None) -> Objects:
        """The objects, as texts of the kind that the first is."""
        first = next((value for value in values if not is_null(value)), None)
        objects = cls(values, name, pa.large_string(), keeps_causes, index)
        if isinstance(first, _BYTES):
            objects.type = pa.large_binary()
        elif isinstance(first, (list, tuple, dict)) or _has_dimensions(first):
            objects.type = objects._nested_type()
        return objects

    def _nested_type(self) -> pa.DataType:
        try:
            return pa.infer_type(self.values, from_pandas=True)
        except _MISFITS as cause:
            raise InvalidError(f"{self._column()}the values are of different types: {cause}") from None

    def slice(self, start: int, rows: int) -> pa.Array:
        """So many rows as texts; one that is none is an error that names it, or a null whose cause is kept."""
        values = self.values[start : start + rows]
        try:
            return self._array(values)
        except _MISFITS:
            return self._array([self._checked(start + i, value) for i, value in enumerate(values)])

    def _array(self, values: Any) -> pa.Array:
        # pyarrow would take bytes for the text that they are in UTF-8.
        if self.type == pa.large_string() and any(isinstance(value, _BYTES) for value in values):
            raise pa.ArrowTypeError("bytes among strings")
        return pa.array(values, self.type, from_pandas=True)

    def _checked(self, row: int, value: Any) -> Any:
        if is_null(value):
            return None
        try:
            self._array([value])
        except _MISFITS as misfit:
            reason = f"{self._column()}{self._reason(value, misfit)}"
            if not self.keeps_causes:
                raise InvalidError(f"row {row}{self._called(row)} (counted from 0) is not text: {reason}") from None
            self.causes[row] = reason
            return None
        return value

    def _reason(self, value: Any, misfit: Exception) -> str:
        if isinstance(value, str):
            return f"{value!r:.60} has a character that UTF-8 has no form for ({misfit})"
        said = repr(value)
        return f"it is {type(value).__name__} ({said[:60]}{'…' if len(said) > 60 else ''}); str or None would be right"

    def _column(self) -> str:
        return "" if self.name is None else f'column "{self.name}": '

    def _called(self, row: int) -> str:
        return "" if self.index is None else f", index {self.index[row]!r},"

    def with_causes(self, new: pa.Table, column: str) -> pa.Table:
        """The new columns, with the causes of nulls that were not sent."""
        if not self.causes:
            return new
        errors = new[column].to_pylist()
        for row, cause in self.causes.items():
            errors[row] = cause
        return new.set_column(new.column_names.index(column), new.schema.field(column), pa.array(errors, pa.string()))


def is_null(value: Any) -> bool:
    """None, NaN, and what pandas has for them."""
    if value is None:
        return True
    if isinstance(value, (str, bytes, list, tuple, dict)) or _has_dimensions(value):
        return False
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        # Not a number, or no time, whoever's it is.
        return bool(value != value)
    except Exception:
        return False


def _has_dimensions(value: Any) -> bool:
    """Arrays, and not the numbers of numpy."""
    return hasattr(value, "__array__") and bool(getattr(value, "ndim", True))
