"""What is written of the Python package is so: each block of docs/python.md, each example in a docstring, and each type."""
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import textflight
from server import BINARY, REPOSITORY, environment

PAGE = (REPOSITORY / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environ(tmp_path):
    """The package, the binary, and a folder of its own for local servers."""
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    package = {"PYTHONPATH": str(REPOSITORY / "python"), "TEXTFLIGHT_BIN": str(BINARY), "XDG_RUNTIME_DIR": str(tmp_path)}
    return {**environment(), **package}


def test_the_page_has_blocks_of_python_alone():
    assert len(BLOCKS) >= 7 and PAGE.count("\n```") == 2 * len(BLOCKS)


def test_blocks(server, environ, tmp_path):
    """In one process after the other, so that one local server does for all."""
    with subprocess.Popen([sys.executable, "-c", "import textflight; textflight.score(['a']); print('up', flush=True); input()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as holder:
        assert holder.stdout.readline() == "up\n"
        for block in BLOCKS:
            code = block.replace("127.0.0.1:8815", server.flight)
            done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environ)
            assert done.returncode == 0, f"{block}\n{done.stderr}"
            for said in re.findall(r"print\(error\)    # (.*)", block):
                assert said in done.stdout
        holder.communicate("\n", timeout=30)


def modules():
    """Those of the package itself, without what belongs to engines that may not be here."""
    engines = {"textflight.ray", "textflight.spark", "textflight.duckdb", "textflight.polars", "textflight.__main__"}
    names = (found.name for found in pkgutil.walk_packages(textflight.__path__, "textflight."))
    return ["textflight", *(name for name in names if name not in engines)]


def test_docstrings(environ, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    for name in ("TEXTFLIGHT_BIN", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, environ[name])
    tried = {}
    for name in modules():
        results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
        assert results.failed == 0, name
        tried[name] = results.attempted
    assert tried["textflight._score"] and tried["textflight._parquet"] and tried["textflight.aio"] and tried["textflight._client"], tried


def test_every_public_thing_is_described():
    for name in textflight.__all__:
        public = getattr(textflight, name)
        if callable(public):
            assert public.__doc__, name
            for method, what in vars(public).items() if isinstance(public, type) else ():
                assert method.startswith("_") or not callable(what) or what.__doc__, f"{name}.{method}"


def test_types(tmp_path):
    """mypy, in its strictest mode; pyarrow has no types to hold it to."""

    command = [sys.executable, "-m", "mypy", "--strict", "--disable-error-code=import-untyped", "--disable-error-code=import-not-found",
               "--cache-dir", tmp_path, "-p", "textflight"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=REPOSITORY / "python", env=environment())
    assert done.returncode == 0, done.stdout
