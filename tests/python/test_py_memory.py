"""What a client holds: a window of a stream, and of a frame no more than it is and what comes of it.

Most texts are null, which costs no model time: it is the client's memory that is measured, in a process of its own.
"""
import subprocess
import sys
import textwrap

import pytest

from server import REPOSITORY, environment

MIB = 1024 * 1024

PEAK = """
    import pathlib, re, sys
    import pyarrow as pa
    import textflight

    MIB = 1024 * 1024
    client = textflight.Client(sys.argv[1])

    def status(what):
        return int(re.search(rf"^{what}:\\s+(\\d+) kB$", pathlib.Path("/proc/self/status").read_text(), re.MULTILINE)[1]) / 1024

    def grown_by(work):
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # The peak is forgotten.
        before = status("VmRSS")
        kept = work()
        return status("VmHWM") - before, kept

    def batch(number, rows=10_000, wide=100):
        texts = [f"film {number}.{row} is fine" if row % 1000 == 0 else None for row in range(rows)]
        payload = pa.array([b"%08d" % (number * rows + row) * (wide // 8) for row in range(rows)])
        return pa.record_batch([pa.array(texts, pa.string()), payload], names=["text", "payload"])

    def read(batches):
        rows = 0
        for scored in client.score(pa.RecordBatchReader.from_batches(batch(0).schema, batches), "text"):
            rows += scored.num_rows
        return rows

    read(batch(i) for i in range(3))  # Code is loaded, and pools are filled.
"""


def measure(server, code):
    """What a process says, that has done this."""
    environ = {**environment(), "PYTHONPATH": str(REPOSITORY / "python")}
    command = [sys.executable, "-c", textwrap.dedent(PEAK) + textwrap.dedent(code), f"grpc://{server.flight}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ)
    assert done.returncode == 0, done.stderr
    return [float(number) for number in done.stdout.split()]


def test_a_reader_of_many_rows(server):
    """600,000 rows, of 70 MiB, as they come; and the same in rows that are wider than anything in flight."""
    grown, rows, grown_by_wide, wide_rows = measure(server, """
        print(*grown_by(lambda: read(batch(i) for i in range(60))))
        print(*grown_by(lambda: read(batch(i, 100, 128 * 1024) for i in range(40))))
    """)
    assert (rows, wide_rows) == (600_000, 4000)
    assert grown < 64, f"{grown} MiB for 10,000 rows at a time"
    assert grown_by_wide < 160, f"{grown_by_wide} MiB of 500"


FRAMES = {
    "pandas": """
        import pandas as pd
        texts = [f"film {row} is fine, and what else is said of it is kept here" if row % 1000 == 0 else None for row in range(1000)]
        frame = pd.DataFrame({"text": texts * 600, "number": range(600_000)})
        size = frame.memory_usage(deep=True).sum() / MIB
        result = lambda scored: scored[["label", "confidence"]].memory_usage(deep=True).sum() / MIB
    """,
    "polars": """
        import polars as pl
        texts = [f"film {row} is fine, and what else is said of it is kept here" if row % 1000 == 0 else None for row in range(1000)]
        frame = pl.DataFrame({"text": texts * 600, "number": range(600_000)})
        result = lambda scored: scored[["label", "confidence"]].estimated_size("mb")
    """,
    "pyarrow": """
        frame = pa.Table.from_batches([batch(i) for i in range(60)])
        result = lambda scored: scored.select(["label", "confidence"]).nbytes / MIB
    """,
}


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame(server, library):
    grown, of_result, rows = measure(server, textwrap.dedent(FRAMES[library]) + textwrap.dedent("""
        client.score(frame[:1000], "text")
        grown, scored = grown_by(lambda: client.score(frame, "text"))
        print(grown, result(scored), len(scored))
    """))
    assert rows == 600_000
    assert grown < of_result + 96, f"{grown} MiB, of which {of_result} are the result"
