"""How far a call is: on terminals and in notebooks after two seconds, to a function always, elsewhere when asked for."""
import io
import os
import pty
import subprocess
import sys
import textwrap
import types

import pyarrow as pa
import pytest

import textflight
from server import REPOSITORY, environment
from textflight import _progress


@pytest.fixture
def score(server):
    return textflight.Client(f"grpc://{server.flight}").score


def test_a_function_is_told(score):
    told = []
    table = pa.table({"text": ["good"] * 5000})
    score(table, progress=lambda rows, of: told.append((rows, of)))
    assert told[-1] == (5000, 5000) and told == sorted(told)
    score(table.to_reader(1000), progress=lambda rows, of: told.append((rows, of))).read_all()
    assert told[-1] == (5000, None)


def test_an_error_of_the_function_is_the_callers(score):
    def broken(rows, of):
        raise LookupError("no such bar")

    with pytest.raises(LookupError, match="no such bar"):
        score(pa.table({"text": ["good"]}), progress=broken)


def test_nothing_is_shown_where_nobody_looks(score, capfd, monkeypatch):
    monkeypatch.setattr(_progress, "_QUIET_SECONDS", 0.0)
    score(pa.table({"text": ["good"] * 3000}))
    score(pa.table({"text": ["good"] * 3000}), progress=False)
    assert capfd.readouterr() == ("", "")


def test_it_is_shown_where_it_is_asked_for(score, capfd, monkeypatch):
    monkeypatch.setattr(_progress, "_EVERY_SECONDS", 0.0)
    score(["good"] * 3000, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and err.endswith("\n") and "100% 3,000 of 3,000 rows, " in err.split("\r")[-1]


@pytest.mark.parametrize("quiet", [True, False])
def test_a_terminal(server, quiet):
    """stderr is one. What takes less than two seconds is not told."""
    code = f"""
        import textflight
        from textflight import _progress
        _progress._EVERY_SECONDS = 0.0
        {"" if quiet else "_progress._QUIET_SECONDS = 0.0"}
        textflight.score(["good"] * {10 if quiet else 3000}, server="grpc://{server.flight}")
    """
    terminal, stderr = pty.openpty()
    environ = {**environment(), "PYTHONPATH": str(REPOSITORY / "python")}
    try:
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], stderr=stderr, timeout=60, check=True, env=environ)
        os.write(stderr, b"END")
        said = b""
        while not said.endswith(b"END"):
            said += os.read(terminal, 65536)
    finally:
        os.close(terminal)
        os.close(stderr)
    text = said.decode().removesuffix("END")
    assert text == "" if quiet else "3,000 of 3,000 rows" in text and text.endswith("\r\n")


def test_a_notebook(score, monkeypatch):
    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    def display(bundle, raw, display_id):
        shown.append(bundle)
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    monkeypatch.setattr(_progress, "_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(_progress, "_QUIET_SECONDS", 0.0)
    score(["good"] * 3000)
    assert len(shown) > 1 and '<progress max="1" value="1.0000"' in shown[-1]["text/html"] and shown[-1]["text/plain"].startswith("3,000 of 3,000 rows")


def test_lines_do_not_leave_what_was_longer():
    stream = io.StringIO()
    terminal = _progress.Terminal(stream)
    terminal.show("a longer line", None)
    terminal.show("short", 0.5)
    last = stream.getvalue().split("\r")[-1]
    assert len(last) >= len("a longer line") and " 50% short" in last
