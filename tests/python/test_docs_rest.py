"""The commands of docs/rest.md run as they are printed, but for the port."""
import os
import re
import subprocess
import sys

import pytest

from server import REPOSITORY, environment

DOCUMENT = (REPOSITORY / "docs" / "rest.md").read_text()
BLOCKS = [(m[1], DOCUMENT[: m.start()].count("\n") + 2) for m in re.finditer(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)]


def test_there_are_blocks():
    assert len(BLOCKS) > 5 and DOCUMENT.count("\n```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("code", [code for code, _ in BLOCKS], ids=[f"line {line}" for _, line in BLOCKS])
def test_block(server, tmp_path, code):
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    code = code.replace("127.0.0.1:5000", server.http)
    # `python3` is the one that runs the tests, which has pyarrow.
    env = {**environment(), "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
