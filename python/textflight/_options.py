"""What a caller may ask for."""
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict

from ._errors import InvalidError, KindError

Labels = Literal["name", "id"]
OnError = Literal["fail", "null"]
#: A column, a path of fields (`post.title`), or several of these. In pandas a column's name may be anything.
Text = Any
#: "all", "new", or the names of columns.
Columns = Any


class ScoreOptions(TypedDict, total=False):
    """The options of `textflight.score` that say what comes back."""

    labels: Labels | None
    details: bool | None
    probabilities: bool | None
    columns: Columns
    on_error: OnError | None
    label_column: str | None
    confidence_column: str | None


@dataclass(frozen=True)
class Options:
    """The options of a request, as `score` takes them. None is the server's default."""

    text: Text = None
    labels: Labels | None = None
    details: bool | None = None
    probabilities: bool | None = None
    columns: Columns = None
    on_error: OnError | None = None
    label_column: str | None = None
    confidence_column: str | None = None

    @classmethod
    def of(cls, text: Text, options: ScoreOptions) -> Options:
        """Those that were given by their names."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise TypeError(f"there is no option {name!r}; options are {listed(known)}")
        return cls(text, **options)

    def __post_init__(self) -> None:
        self._one_of("labels", ("name", "id"))
        self._one_of("on_error", ("fail", "null"))
        for name in ("details", "probabilities"):
            if not isinstance(getattr(self, name), (bool, type(None))):
                raise InvalidError(f"{name} is {getattr(self, name)!r}; True or False would be right")
        for name in ("label_column", "confidence_column"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise KindError(f"{name} is {type(getattr(self, name)).__name__}, not the name of a column")
        if isinstance(self.columns, str) and self.columns not in ("all", "new"):
            raise InvalidError(f'columns is {self.columns!r}; "all", "new" or a list of names would be right')
        if self.columns is not None and not isinstance(self.columns, Iterable):
            raise KindError(f'columns is {type(self.columns).__name__}; "all", "new" or a list of names would be right')
        if self.columns is not None and not isinstance(self.columns, str):
            # What can be gone through once alone is looked at more than once.
            object.__setattr__(self, "columns", tuple(self.columns))

    def _one_of(self, name: str, right: Sequence[str]) -> None:
        value = getattr(self, name)
        if value is not None and value not in right:
            choices = " or ".join(f'"{choice}"' for choice in right)
            raise InvalidError(f"{name} is {value!r}; {choices} would be right")

    def command(self, texts: str | list[str]) -> bytes:
        """The command of an exchange that sends text columns alone, and is sent new columns alone."""
        options: dict[str, Any] = {"text": texts, "columns": "new"}
        for name in ("labels", "details", "probabilities", "on_error", "label_column", "confidence_column"):
            if (value := getattr(self, name)) is not None:
                options[name] = value
        return json.dumps(options).encode()

    def kept(self, names: Sequence[Any]) -> list[int]:
        """The numbers of the columns that come back before the new ones, in their order."""
        if self.columns is None or isinstance(self.columns, str):
            return [] if self.columns == "new" else list(range(len(names)))
        wanted = list(self.columns)
        for name in wanted:
            if sum(is_same(name, one) for one in wanted) > 1:
                raise InvalidError(f"columns names {name!r} twice")
            if (times := sum(is_same(name, one) for one in names)) != 1:
                what = "not found" if times == 0 else f"there {times} times"
                raise InvalidError(f"column {name!r}, which columns names, is {what}; columns: {listed(names)}")
        return [next(number for number, one in enumerate(names) if is_same(name, one)) for name in wanted]


def is_same(one: object, other: object) -> bool:
    """Whether two names are; one that pandas takes may be such as says nothing of what it is equal to."""
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError):
        return False


def listed(names: Sequence[Any], most: int = 32) -> str:
    """Names as an error lists them."""
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more


def check_new_names(kept: Sequence[Any], new: Sequence[Any], texts: int) -> None:
    """No new column may be called as one that comes back. `texts` is of how many texts the new columns are."""
    each = len(new) // max(texts, 1)
    for number, name in enumerate(new):
        if any(is_same(name, one) for one in kept):
            option = ("label_column", "confidence_column")[number % each] if number % each < 2 else None
            what = f"choose another name with {option}" if option else "rename it"
            raise InvalidError(f"the data already have a column {name!r}; {what}, or leave it out with columns")
