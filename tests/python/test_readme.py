"""Every command of the README, as printed: only the ports are those of the test's server."""
import os
import pathlib
import re
import subprocess
import sys

import pytest

import server as servers

README = (servers.REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

# This test runs within the one; the server of the other is the fixture, which listens elsewhere.
ALL_TESTS = "tools/test\n"
MAIN_JOB = next(block for language, block in BLOCKS if block.startswith("cargo run --release"))
SERVE = "textflight serve --model data/sst2-mini\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with the repository's data, so that what the commands write is not in there; `textflight` is on the path."""
    (tmp_path / "data").symlink_to(servers.REPOSITORY / "data")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "textflight").symlink_to(servers.BINARY)
    return tmp_path


def run(command, folder, cwd=None):
    path = os.pathsep.join([str(folder / "bin"), str(pathlib.Path(sys.executable).parent), servers.environment()["PATH"]])
    done = subprocess.run(command, cwd=cwd or folder, env=servers.environment() | {"PATH": path}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def to_server(block, server):
    return block.replace("127.0.0.1:8815", server.flight).replace("127.0.0.1:5000", server.http)


def test_the_readme_has_the_blocks_that_this_file_knows():
    assert {language for language, _ in BLOCKS} == {"sh", "python"}
    assert sum(language == "python" for language, _ in BLOCKS) == 2
    assert ALL_TESTS in [block for _, block in BLOCKS] and SERVE in [block for _, block in BLOCKS]
    assert os.access(servers.REPOSITORY / "tools/test", os.X_OK)


def test_the_main_job(folder):
    """By cargo, in the repository, as a newcomer runs it."""
    target = servers.REPOSITORY / "scored.parquet"
    target.unlink(missing_ok=True)
    out = run(["sh", "-euc", MAIN_JOB], folder, cwd=servers.REPOSITORY)
    assert re.search(r"^872 rows in .*; accuracy \d+\.\d% \(\d+ of 872\)$", out, re.MULTILINE)
    target.unlink()


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "sh" and block not in (ALL_TESTS, SERVE, MAIN_JOB)])
def test_commands(block, folder, server):
    out = run(["sh", "-euc", to_server(block, server)], folder)
    if "predict" in block:
        assert "predicted_labels" in out and "confidences" in out


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "python"])
def test_snippets(block, folder, server):
    out = run([sys.executable, "-c", to_server(block, server)], folder)
    assert "POSITIVE" in out and "NEGATIVE" in out


def test_the_server_of_the_readme_starts_with_the_printed_options(serve):
    assert serve().flight.startswith("127.0.0.1:")


def test_links_lead_somewhere():
    for link in re.findall(r"\]\((?!https://)([^)#]+)\)", README):
        assert (servers.REPOSITORY / link).exists(), link
