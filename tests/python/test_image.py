"""The container image, as far as it goes without an engine: its linter, and the commands that it runs."""
import os
import pathlib
import re
import select
import shlex
import subprocess
import sys

import server as servers

DOCKERFILE = servers.REPOSITORY / "Dockerfile"


def test_hadolint_finds_no_fault():
    hadolint = pathlib.Path(sys.executable).with_name("hadolint")
    run = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_its_command_serves_and_its_health_check_passes(tmp_path):
    """Both as written, but for the addresses, which are free ones of this machine's loopback."""
    text = DOCKERFILE.read_text()
    command = re.search(r'^CMD \["textflight", (.*)\]$', text, re.MULTILINE)[1]
    arguments = [argument.strip('"') for argument in command.split(", ")]
    assert arguments == ["serve", "--flight", "0.0.0.0:8815"]
    check = re.search(r"^    CMD (textflight .*)$", text, re.MULTILINE)[1]

    (tmp_path / "textflight").symlink_to(servers.BINARY)
    environment = {**servers.environment(), "TEXTFLIGHT_MODEL": str(servers.MODEL), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    local = ["textflight", "serve", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with subprocess.Popen(local, stdout=subprocess.PIPE, text=True, env=environment) as running:
        try:
            assert select.select([running.stdout], [], [], servers.START_SECONDS)[0], "no ready line"
            port = re.search(r" http=.*:(\d+)$", running.stdout.readline())[1]
            run = subprocess.run(["sh", "-c", check], env={**environment, "PORT": port}, capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, run.stderr
        finally:
            running.terminate()
    closed = subprocess.run(["sh", "-c", check], env={**environment, "PORT": port}, capture_output=True, text=True, timeout=60)
    assert closed.returncode != 0 and shlex.quote(port) in closed.stderr
