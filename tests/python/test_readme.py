"""Every code block of the README runs, as it is printed but for the ports, which are those of the test's server.

`textflight` is on the path, and the package is there. They stand for an installation, too, which would build everything once more, and
which test_wheel.py tries.
"""
import os
import re
import select
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

import server as servers
from server import BINARY, REPOSITORY, START_SECONDS, environment

README = (REPOSITORY / "README.md").read_text()
# Language, code, and the line where it begins, for people who read a failure.
BLOCKS = [(m[1], m[2], README[: m.start()].count("\n") + 2) for m in re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]
INSTALL, INSTALLED = "python3 -m venv .venv && .venv/bin/pip install . pandas && ", ".venv/bin/"
SHELL, PYTHON = {"sh", "bash", "console"}, {"python"}


@pytest.fixture
def scratch(tmp_path):
    """A folder like a fresh clone, that a block may write to: the data, and the binary under its name on the path."""
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "textflight").symlink_to(BINARY)
    return tmp_path


@pytest.fixture(scope="module")
def readers_server(tmp_path_factory):
    """The one that the README has its reader start."""
    reviews = REPOSITORY / "data" / "reviews.parquet"
    with servers.serving(tmp_path_factory.mktemp("readme") / "log", "--data", f"reviews={reviews}") as running:
        yield running


def environ(scratch):
    package = {"PYTHONPATH": str(REPOSITORY / "python"), "TEXTFLIGHT_BIN": str(BINARY), "XDG_RUNTIME_DIR": str(scratch)}
    return {**environment(), **package, "PATH": f"{scratch / 'bin'}:{os.environ['PATH']}"}


def start(scratch, language, code):
    """The block as a process."""
    command = [sys.executable, "-W", "error", "-c", code] if language in PYTHON else ["bash", "-euo", "pipefail", "-c", code]
    return subprocess.Popen(command, cwd=scratch, env=environ(scratch), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def starts_a_server(code):
    return code.startswith("textflight serve")


def is_this_run(code):
    """The command that runs all tests, these among them."""
    return code.strip() == "tools/test"


def builds_for_gpus(code):
    """A second release build, of a quarter of an hour, for a card that is not here. `tools/test` builds the same unoptimized."""
    return "--features cuda" in code


def test_the_readme_has_blocks_of_known_languages():
    assert {language for language, _, _ in BLOCKS} <= SHELL | PYTHON
    assert README.count("\n```") == 2 * len(BLOCKS), "a fence that is not matched"


@pytest.mark.parametrize("start_of_heading", ["## Quick start", "### Python", "### A server", "### Arrow Flight", "### Data sets", "### Files over HTTP", "### curl", "### Command line"])
def test_the_readme_shows(start_of_heading):
    section = re.search(rf"^{start_of_heading}$(.*?)(^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert section and "```" in section[1]


@pytest.mark.parametrize("block", BLOCKS, ids=[f"line {line}" for _, _, line in BLOCKS])
def test_block(readers_server, scratch, block):
    language, code, _ = block
    if is_this_run(code):
        assert os.access(REPOSITORY / code.strip(), os.X_OK)
    elif builds_for_gpus(code):
        check_gpu_block(scratch, code)
    elif starts_a_server(code):
        check_server(scratch, language, code)
    elif code.startswith(INSTALL):
        check_main_job(scratch, language, code)
    else:
        code = code.replace("127.0.0.1:8815", readers_server.flight).replace("127.0.0.1:5000", readers_server.http)
        process = start(scratch, language, code)
        output, log = process.communicate(timeout=120)
        assert process.returncode == 0, log
        check_output(code, output, scratch)


def check_server(scratch, language, code):
    """It serves where the README says, or else on free ports: the usual ones may be taken here."""
    assert "ready flight=127.0.0.1:8815 http=127.0.0.1:5000" in README
    process = start(scratch, language, f"exec {code.strip()} --flight 127.0.0.1:0 --http 127.0.0.1:0")
    try:
        assert select.select([process.stdout], [], [], START_SECONDS)[0], "no ready line"
        assert process.stdout.readline().startswith("ready flight=127.0.0.1:")
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log


def check_gpu_block(scratch, code):
    """Its last command on the CPU; the first names a script that is there."""
    toolchain, _, check = code.strip().splitlines()
    assert os.access(REPOSITORY / re.search(r"tools/[\w-]+", toolchain)[0], os.X_OK)
    assert check.endswith(" check --device cuda:0")
    process = start(scratch, "sh", "textflight check --device cpu --tiny")
    output, log = process.communicate(timeout=120)
    assert process.returncode == 0 and "| f32 | 64 of 64 |" in output, log


def check_main_job(scratch, language, code):
    process = start(scratch, language, code.removeprefix(INSTALL).removeprefix(INSTALLED))
    output, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    check_output(code, output, scratch)


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https://)([^)#]+)\)", README)
    assert links and all((REPOSITORY / link).exists() for link in links), links


def check_output(code, output, scratch):
    """What the reader is promised to see."""
    if "scored.parquet" in code:
        assert pq.read_table(scratch / "scored.parquet").column_names[7:9] == ["label", "confidence"]
    if "--truth" in code:
        assert re.search(r"^872 rows in .*accuracy 8\d\.\d%", output, re.MULTILINE)
    if "do_exchange" in code or "textflight.score" in code:
        assert "label" in output and "POSITIVE" in output and "confidence" in output
    if "I hate apple" in code:
        assert "predicted_labels" in output and "confidences" in output
