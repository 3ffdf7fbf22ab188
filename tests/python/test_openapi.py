"""The OpenAPI document: schemathesis finds no fault between what it says and what the server does."""
import json
import os
import pathlib
import subprocess
import sys

import server as servers
from predictions import call


def test_schemathesis_finds_no_fault(serve, tmp_path):
    server = serve()
    schemathesis = pathlib.Path(sys.executable).with_name("st")
    config = pathlib.Path(__file__).with_name("schemathesis.toml")
    command = [schemathesis, "--config-file", config, "run", f"http://{server.http}/openapi.json"]
    options = ["--max-examples", "50", "--seed", "3", "--no-color"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(config.parent)}
    run = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    # A run that tested nothing finds no fault either.
    assert "6 selected" in run.stdout or "Selected: 6/6" in run.stdout, run.stdout[-8000:]


def test_the_command_prints_what_the_server_answers(server):
    printed = servers.run("schema")
    assert printed.returncode == 0 and printed.stdout.count("\n") == 1
    assert json.loads(printed.stdout) == call(server, "/openapi.json")[1]
