"""How far a call is: a line in a terminal, a bar in a notebook, or a function of the caller's."""
from __future__ import annotations

from collections.abc import Callable


class Progress:
    """Told of the rows that are done."""

    def __init__(self, show: bool | Callable[[int, int | None], object] | None = None, total: int | None = None) -> None:
        self._show = show
        self._total = total

    def at(self, rows: int) -> None:
        """So many rows are done."""

    def end(self) -> None:
        """All is done, or has failed."""
