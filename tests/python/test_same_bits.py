"""In each precision the same text gives the same bits, whatever its neighbours, its batch and its transport."""
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import server as servers
from client import CALL, descriptor, score
from conftest import connect
from predictions import predict


def bits(confidences):
    return np.asarray(confidences, np.float32).view(np.uint32).tolist()


@pytest.fixture(scope="module")
def sample(dev_texts):
    """Sentences of many lengths, from one token to more than fit."""
    chosen = random.Random(7).sample(dev_texts, 150)
    return [*chosen, "", "a", "word " * 126, "word " * 127, "word " * 300, "🎬" * 40, "ÀÉ" * 9]


@pytest.fixture(scope="module", params=["f32", "bf16", "int8"])
def dtype(request):
    return request.param


@pytest.fixture(scope="module")
def scorer(dtype, tmp_path_factory):
    """A server in that precision."""
    with servers.serving(tmp_path_factory.mktemp("scorer") / "log", "--dtype", dtype) as running:
        yield running


@pytest.fixture(scope="module")
def alone(scorer, sample):
    """Each text in an exchange of one batch of one row."""
    with connect(scorer) as client:
        scored = [score(client, pa.table({"text": [text]})) for text in sample]
    return {text: (s["label"][0].as_py(), bits(s["confidence"])[0]) for text, s in zip(sample, scored)}


@pytest.mark.parametrize("seed", range(6))
def test_random_batches_of_random_neighbours(scorer, connect_to, sample, alone, seed):
    """Batches that are written faster than they are read are merged in the model's, with each other and in any order."""
    dice = random.Random(seed)
    rows = dice.choices(sample, k=1500)
    writer, reader = connect_to(scorer).do_exchange(descriptor(), CALL)
    writer.begin(pa.schema([("text", pa.string())]))
    at = 0
    while at < len(rows):
        size = dice.choice([0, 1, 1, 2, 31, 32, 33, 200])
        writer.write_batch(pa.record_batch({"text": pa.array(rows[at:at + size], pa.string())}))
        at += size
    writer.done_writing()
    scored = reader.read_all()
    writer.close()
    assert scored["text"].to_pylist() == rows
    assert list(zip(scored["label"].to_pylist(), bits(scored["confidence"]))) == [alone[text] for text in rows]


def test_http_has_the_same_scores_rounded(scorer, sample, alone):
    """Cog's rule: four digits, rounded in float32, half to even, and written as the shortest float64 of the result."""
    output = predict(scorer, sample)
    expected = np.array([alone[text][1] for text in sample], np.uint32).view(np.float32)
    rounded = np.rint(expected * np.float32(10_000)) / np.float32(10_000)
    assert output["confidences"] == [float(c) for c in rounded.astype(np.float32)]
    assert output["predicted_labels"] == [["NEGATIVE", "POSITIVE"].index(alone[text][0]) for text in sample]


def test_a_parquet_file_has_the_same_bits(dtype, tmp_path, sample, alone):
    texts, scored = tmp_path / "texts.parquet", tmp_path / "scored.parquet"
    pq.write_table(pa.table({"text": sample}), texts)
    done = servers.run("score", texts, "-o", scored, "--model", servers.MODEL, "--dtype", dtype)
    assert done.returncode == 0, done.stderr
    scored = pq.read_table(scored)
    assert list(zip(scored["label"].to_pylist(), bits(scored["confidence"]))) == [alone[text] for text in sample]


def test_other_batch_limits_and_threads_give_the_same_bits(dtype, serve, connect_to, sample, alone):
    client = connect_to(serve("--batch-rows", "3", "--batch-tokens", "300", "--threads", "3", "--dtype", dtype))
    scored = score(client, pa.table({"text": sample}))
    assert list(zip(scored["label"].to_pylist(), bits(scored["confidence"]))) == [alone[text] for text in sample]
