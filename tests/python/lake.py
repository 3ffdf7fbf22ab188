"""`textflight score` with tables in stores: a server of S3, buckets of a test's own, and runs that reach them."""
import json
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import server as servers
import stores
from tables import WORDS


def table(rows, seed=1, other=64):
    """Texts of which none comes twice, and so many random bytes beside each."""
    chance = np.random.default_rng(seed)
    lengths, noise = chance.integers(3, 20, rows), chance.bytes(rows * other)
    texts = [" ".join(chance.choice(WORDS, length)) + f" {row}" for row, length in enumerate(lengths)]
    others = [noise[other * row:other * (row + 1)] for row in range(rows)]
    return pa.table({"id": range(rows), "text": texts, "other": others})


def parquet(contents, **options):
    """The bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(contents, sink, **options)
    return sink.getvalue().to_pybytes()


def start(*arguments, endpoint=None, **variables):
    """A run that reaches that server of S3."""
    if endpoint:
        variables = {**stores.KEYS, "AWS_ENDPOINT": endpoint, **variables}
    command = [servers.BINARY, "score", *map(str, arguments), "--model", servers.MODEL]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=stores.variables(**variables), **pipes)


class Ended:
    """A run that is over."""

    def __init__(self, process):
        try:
            self.stdout, self.stderr = process.communicate(timeout=120)
        finally:
            process.kill()
        self.code = process.returncode

    @property
    def summary(self):
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)


def score(*arguments, check=0, **where):
    ended = Ended(start(*arguments, **where))
    assert ended.code == check, (ended.code, ended.stdout, ended.stderr)
    return ended


def score_here(content, folder, *options, name="in.parquet", out="out.parquet"):
    """What a run makes of a local file with these bytes."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    score(folder / name, "-o", folder / out, *options)
    return (folder / out).read_bytes()
