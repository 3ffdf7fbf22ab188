"""What an engine tells its workers: by which servers to score, and how. It is pickled on the way to them."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from ._kept import client_of
from ._options import Options
from ._target import Target


@dataclass(frozen=True)
class Job:
    """Where to score, and what comes back."""

    target: Target
    options: Options

    def score(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.RecordBatchReader:
        """A reader of scored batches, one for one, which are taken as they are read."""
        return client_of(self.target).score_reader(schema, batches, progress=False, **vars(self.options))
