"""Whoever stops early stops the work on the server, too: Ctrl-C, a reader or generator that is dropped, a task that is cancelled."""
import asyncio
import gc
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import textflight
import textflight.aio
from client import wait_until
from interrupts import assert_interrupted
from metrics import samples
from server import REPOSITORY, environment
from uploads import stats

SCHEMA = pa.schema([("text", pa.string())])
CANCELLED = ("textflight_requests_total", ("code", "CANCELLED"), ("port", "flight"), ("route", "DoExchange"))


@pytest.fixture
def alone(serve):
    """A server that nobody else asks."""
    return serve("--threads", "1")


def endless():
    number = 0
    while True:
        yield pa.record_batch([[f"film {i} of {number} , and what is said of it" for i in range(1000)]], SCHEMA)
        number += 1


def assert_stopped(running, exchanges=1):
    """The server was told, lets go of all, and does nothing more."""
    wait_until(lambda: samples(running).get(CANCELLED, 0) >= exchanges)
    with fl.connect(f"grpc://{running.flight}") as client:
        wait_until(lambda: stats(client)["queued_rows"] == stats(client)["exchanges_open"] == 0)


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_generator_that_is_left(alone, how):
    with textflight.Client(f"grpc://{alone.flight}") as client:
        scored = client.scored_batches(SCHEMA, endless())
        assert next(scored).num_rows == 1000
        if how == "closed":
            scored.close()
        del scored
        assert_stopped(alone)


@pytest.mark.parametrize("read", [0, 1])
def test_a_reader_that_is_dropped(alone, read):
    with textflight.Client(f"grpc://{alone.flight}") as client:
        reader = client.score(pa.RecordBatchReader.from_batches(SCHEMA, endless()))
        for _ in range(read):
            assert reader.read_next_batch().num_rows == 1000
        del reader
        gc.collect()
        if read:
            assert_stopped(alone)
        else:
            with fl.connect(f"grpc://{alone.flight}") as other:
                wait_until(lambda: stats(other)["exchanges_open"] == 0)


def test_an_input_that_fails(alone):
    def broken():
        yield from (batch for batch, _ in zip(endless(), range(30)))
        raise LookupError("the input is broken")

    with textflight.Client(f"grpc://{alone.flight}") as client:
        with pytest.raises(LookupError, match="the input is broken"):
            client.score(pa.RecordBatchReader.from_batches(SCHEMA, broken())).read_all()
        assert_stopped(alone)


def test_control_c(alone):
    many = '[f"film {i} , and what is said of it" for i in range(1_000_000)]'
    assert_interrupted(f"textflight.score({many}, server=sys.argv[1], progress=told)", f"grpc://{alone.flight}")
    assert_stopped(alone)


def test_a_task_that_is_cancelled(alone):
    async def cancelled():
        async with textflight.aio.Client(f"grpc://{alone.flight}") as client:
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()
            table = pa.table({"text": [f"film {i} , and what is said of it" for i in range(500_000)]})
            task = asyncio.create_task(client.score(table, progress=lambda rows, of: rows and loop.call_soon_threadsafe(begun.set)))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert_stopped(alone)


def test_the_interpreter_ends_in_the_middle(alone):
    """A process that leaves a reader half read ends at once, and well."""
    code = f"""
        import pyarrow as pa, textflight
        table = pa.table({{"text": ["film %d" % i for i in range(200_000)]}})
        reader = textflight.score(table.to_reader(1000), server="grpc://{alone.flight}")
        reader.read_next_batch()
        print("ends")
    """
    environ = {**environment(), "PYTHONPATH": str(REPOSITORY / "python")}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, env=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")
    assert_stopped(alone)
