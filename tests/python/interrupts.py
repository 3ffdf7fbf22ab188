"""Ctrl-C in a Python program that scores."""
import os
import signal
import subprocess
import sys

from client import wait_until
from server import REPOSITORY, environment

PROGRAM = """
import sys
import textflight

def told(rows, of):
    if rows:
        print("scores", flush=True)

try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def assert_interrupted(call, *arguments, **variables):
    """Makes a call that has `progress=told`, and the arguments as `sys.argv[1:]`; interrupts it once rows are scored. It must end by that alone."""
    command = [sys.executable, "-c", PROGRAM.format(call=call), *map(str, arguments)]
    environ = {**environment(), "PYTHONPATH": str(REPOSITORY / "python"), **variables}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            wait_until(lambda: process.stdout.readline() == "scores\n")
            os.kill(process.pid, signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0 and output.endswith("interrupted\n") and errors == "", errors
