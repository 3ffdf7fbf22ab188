"""How far a call is: a line in a terminal, a bar in a notebook, or a function of the caller's."""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from ._errors import KindError

#: True shows it at once and False never; a function is called with the rows that are done and the rows there are, None if that
#: is not known. Without it a terminal or a notebook is told after two seconds.
ProgressOption = bool | Callable[[int, "int | None"], object] | None

# What takes no longer needs no telling.
_QUIET_SECONDS = 2.0
_EVERY_SECONDS = 0.25
_BAR = 30


class Display(Protocol):
    """Where a line is shown, each in the place of the last."""

    def show(self, line: str, share: float | None) -> None:
        """Shows it; `share` is how much is done, if that is known."""

    def end(self) -> None:
        """No more lines come."""


class Progress:
    """Is told of the rows that are done, and tells of them now and then."""

    def __init__(self, option: ProgressOption = None, total: int | None = None) -> None:
        if not (option is None or isinstance(option, bool) or callable(option)):
            raise KindError(f"progress is {option!r}; True, False or a function of two numbers would be right")
        self._total = total
        self._callback = option if callable(option) else None
        self._display = None if callable(option) or option is False else _display(wanted=option is True)
        self._began = self._told = time.monotonic()
        self._quiet = 0.0 if option is True else _QUIET_SECONDS
        self._last = -1
        self._is_shown = False

    def of(self, total: int | None) -> None:
        """So many rows there are, if that has become known."""
        self._total = total

    def at(self, rows: int) -> None:
        """So many rows are done. Called now and then also where nothing has changed."""
        if self._callback and rows != self._last:
            self._callback(rows, self._total)
        self._last = rows
        now = time.monotonic()
        if self._display and now - self._began >= self._quiet and now - self._told >= _EVERY_SECONDS:
            self._told, self._is_shown = now, True
            self._display.show(self._line(rows, now - self._began), self._share(rows))

    def end(self) -> None:
        """All is done, or has failed."""
        if self._display and self._is_shown:
            self._display.show(self._line(self._last, time.monotonic() - self._began), self._share(self._last))
            self._display.end()
            self._is_shown = False

    def _share(self, rows: int) -> float | None:
        return rows / self._total if self._total else None

    def _line(self, rows: int, seconds: float) -> str:
        speed = rows / max(seconds, 1e-9)
        of = f" of {self._total:,}" if self._total is not None else ""
        left = ""
        if self._total and 0 < rows < self._total:
            left = f", about {_duration((self._total - rows) / speed)} left"
        return f"{rows:,}{of} rows, {speed:,.0f} rows/s{left}"


class Terminal:
    """A line of stderr that is written over."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._width = 0

    def show(self, line: str, share: float | None) -> None:
        """The bar, and the line behind it."""
        if share is not None:
            full = int(_BAR * min(share, 1.0))
            line = f"{'█' * full}{'░' * (_BAR - full)} {share:4.0%} {line}"
        self._stream.write(f"\r{line:<{self._width}}")
        self._stream.flush()
        self._width = len(line)

    def end(self) -> None:
        """The line stays."""
        self._stream.write("\n")
        self._stream.flush()


class Notebook:
    """An output of the cell that is replaced."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def show(self, line: str, share: float | None) -> None:
        """A bar of HTML, and the line behind it."""
        value = "" if share is None else f' value="{share:.4f}"'
        bundle = {"text/plain": line, "text/html": f'<progress max="1"{value} aria-label="rows scored"></progress> {line}'}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def end(self) -> None:
        """The output stays."""


def _display(wanted: bool) -> Display | None:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import display

        return Notebook(display)
    if sys.stderr is not None and (wanted or sys.stderr.isatty()):
        return Terminal(sys.stderr)
    return None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
