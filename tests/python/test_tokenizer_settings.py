"""Where transformers is installed: what it makes of a tokenizer's settings is what our Rust tests expect."""
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


def outcomes(path):
    """Every case, without the words in which transformers refuses."""
    written = json.loads(path.read_text())
    return [case | {"refused": "refused" in case} for case in written["cases"]]


def test_the_fixture_is_what_transformers_gives(tmp_path):
    pytest.importorskip("transformers", "5")
    subprocess.run([sys.executable, "-B", ROOT / "tools/tokenizer_settings.py", "--out", tmp_path / "now.json"], check=True, capture_output=True)
    assert outcomes(tmp_path / "now.json") == outcomes(ROOT / "tests/fixtures/tokenizer_settings.json")
