"""--kernels has a processor compute as one of another family would."""
import json

import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import server as servers
from client import CALL
from conftest import connect

FAMILIES = {"avx512": "AVX-512", "avx-vnni": "AVX-VNNI", "avx2": "AVX2", "portable": "portable"}


def score(reviews, target, *options):
    return servers.run("score", reviews, "-o", target, "--text", "text", "--model", servers.MODEL, *options)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_gives_the_labels_of_transformers(tmp_path, reviews, family):
    target = tmp_path / "scored.parquet"
    done = score(reviews, target, "--kernels", family)
    if done.returncode == 2:
        assert f"this processor has no {FAMILIES[family]}: auto, " in done.stderr and "portable will do" in done.stderr
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    [loaded] = [line for line in done.stderr.splitlines() if "the model is loaded" in line]
    assert f", {FAMILIES[family]}" in loaded
    expected = json.loads((servers.REPOSITORY / "tests" / "fixtures" / "sst2_dev.json").read_text())
    labels = pq.read_table(target)["label"].to_pylist()
    assert labels == [["NEGATIVE", "POSITIVE"][row["label"]] for row in expected]


def test_a_family_that_nobody_knows_is_wrong(tmp_path, reviews):
    done = score(reviews, tmp_path / "scored.parquet", "--kernels", "sse2")
    assert done.returncode == 2 and "expected auto, avx512, avx-vnni, avx2 or portable" in done.stderr


def test_the_model_info_names_it(tmp_path):
    with servers.serving(tmp_path / "log", "--kernels", "portable") as running, connect(running) as client:
        [info] = client.do_action(fl.Action("model_info", b""), CALL)
    assert json.loads(info.body.to_pybytes())["kernels"] == "portable, portable"


def test_a_check_names_what_it_checked():
    done = servers.run("check", "--tiny", "--json", "--device", "cpu", "--kernels", "portable")
    assert [entry["kernels"] for entry in json.loads(done.stdout)["agreement"]] == ["portable, portable"] * 3
