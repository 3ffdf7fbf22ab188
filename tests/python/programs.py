"""Programs in Python that use the package, each in a process of its own."""
import contextlib
import pathlib
import subprocess
import sys
import textwrap

import pytest

from client import wait_until
from server import BINARY, REPOSITORY, environment

COMMAND = [sys.executable, "-W", "error", "-W", "ignore:.*fork:DeprecationWarning", "-c"]


def environ(**more):
    """The environment of such a program."""
    return {**environment(), "PYTHONPATH": str(REPOSITORY / "python"), "TEXTFLIGHT_BIN": str(BINARY), **more}


def run(code, *arguments, **more):
    """Runs a program, which must end well; what it says."""
    command = [*COMMAND, textwrap.dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=environ(**more))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def runtime(tmp_path):
    """A folder of their own for local servers."""
    return {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}


@pytest.fixture
def slow(tmp_path):
    """A binary that makes a file as it starts, and goes on once another is there, if ever."""
    program = tmp_path / "slow"
    program.write_text(f'#!/bin/sh\ntouch {tmp_path}/started\nwhile ! [ -e {tmp_path}/gate ]; do sleep 0.02; done\nexec {BINARY} "$@"\n')
    program.chmod(0o755)
    yield {"TEXTFLIGHT_BIN": str(program), "STARTED": str(tmp_path / "started"), "GATE": str(tmp_path / "gate")}
    (tmp_path / "gate").touch()
    wait_until(lambda: not serving(tmp_path), what="the server that nobody needs ends")


def serving(folder):
    """The local servers that were started with this folder, by the numbers of their processes."""
    found = []
    for process in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
            if b"--while-locked" in arguments and any(argument.startswith(bytes(folder)) for argument in arguments):
                found.append(int(process.name))
    return found
