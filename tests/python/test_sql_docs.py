"""What docs/sql.md and the modules that it is about show, as it is printed there but for the server's address. Its statements for Databend are
run by tools/udf-client-test."""
import doctest
import re
import subprocess
import sys

import pytest

import textflight.duckdb
import textflight.polars
from server import BINARY, REPOSITORY, environment

PAGE = (REPOSITORY / "docs" / "sql.md").read_text()
BLOCKS = [(m[1], m[2], PAGE[: m.start()].count("\n") + 2) for m in re.finditer(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
PYTHON = [(code, line) for language, code, line in BLOCKS if language == "python"]


def test_the_page_has_blocks_of_known_languages():
    assert {language for language, _, _ in BLOCKS} == {"sql", "toml", "python"}
    assert PAGE.count("\n```") == 2 * len(BLOCKS), "a fence that is not matched"


@pytest.mark.parametrize("code", [code for code, _ in PYTHON], ids=[f"line {line}" for _, line in PYTHON])
def test_block(server, code):
    environ = {**environment(), "PYTHONPATH": str(REPOSITORY / "python")}
    command = [sys.executable, "-W", "error", "-c", code.replace("127.0.0.1:8815", server.flight)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "POSITIVE" in done.stdout and "NEGATIVE" in done.stdout


def test_functions_of_the_page_are_those_of_the_server(client):
    listed = {info.descriptor.path[0].decode() for info in client.list_flights()}
    assert listed == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    used = set(re.findall(r"(?:AS|HANDLER =) '?(\w+_\w+)'?", "".join(code for language, code, _ in BLOCKS if language == "sql")))
    assert {"textflight_label", "textflight_score"} <= used <= listed


@pytest.mark.parametrize("module", [textflight.duckdb, textflight.polars], ids=lambda module: module.__name__)
def test_examples_of_the_modules(module, monkeypatch, tmp_path):
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(BINARY))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = doctest.testmod(module)
    assert found.attempted > 2 and found.failed == 0
