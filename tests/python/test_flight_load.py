"""Much data, many clients, clients that die: bounded memory, and the server goes on serving."""
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import server as servers
from client import CALL, NEW_COLUMNS, assert_kept, assert_serving, close, descriptor, score, score_in_turn, take_place, texts, wait_until_served
from conftest import connect

MIB = 1024 * 1024
# Minutes of scoring on a busy machine, not a hang.
LONG = fl.FlightCallOptions(timeout=600)


@pytest.fixture
def warm(serve, connect_to):
    """A server of its own whose model threads have run at full batches: what it grows by from here is the exchange's.

    One thread and long texts, so that the model is slower than any client writes.
    """
    running = serve("--threads", "1", "--max-length", "512")
    client = connect_to(running)
    score(client, texts(*[f"a film about {i} dogs" for i in range(4096)]))
    return running, client


def short_texts(rows):
    return pa.table({"text": pa.array([f"film {i % 500}" for i in range(rows)], pa.string()), "n": pa.array(range(rows), pa.int32())})


def test_a_hundred_thousand_rows_in_one_write(warm):
    """One batch of 1.8 MB. Its message, its texts as views, its scores and the answer's message are each about as large as
    it is; the bound of 64 MiB leaves them room several times over, but not for the tokens of 100,000 rows at a time."""
    running, client = warm
    table = short_texts(100_000)

    with running.growing_by_less_than(64 * MIB):
        scored = score(client, table, max_chunksize=None, call=LONG)
        assert scored["label"].num_chunks == 1  # one batch in, one out
        assert_kept(scored, table)
        assert scored["label"].null_count == 0


def test_ten_thousand_batches_of_one_row(warm):
    """8192 rows may be in the engine at a time. A batch of one row costs a few KiB (its message, its arrays, its future):
    the bound of 64 MiB is 8 KiB for each of them, far below what 10,000 batches kept to the end with all that belongs to them
    would take, were the exchange not a stream."""
    running, client = warm
    table = short_texts(10_000)

    with running.growing_by_less_than(64 * MIB):
        scored = score(client, table, max_chunksize=1, call=LONG)
        assert scored["label"].num_chunks == 10_000
        assert_kept(scored, table)


def test_far_more_bytes_than_may_be_in_flight(warm):
    """512 MiB in batches of 1 MiB and 1 row: rows alone would let all of them in at once, and bytes must not.

    The bound: 16 MiB of window in each direction, 64 MiB of batches in the engine and as much again for copies on the way.
    """
    running, client = warm
    table = pa.table({"text": ["word " * 500] * 512, "payload": pa.repeat(pa.scalar(bytes(MIB), pa.binary()), 512)})
    with running.growing_by_less_than(160 * MIB):
        assert_kept(score(client, table, max_chunksize=1, call=LONG), table)


def test_many_clients_at_once(server, connect_to):
    """Each gets its own rows back, scored as it would be alone."""
    tables = [texts(*[f"client {c} says film {i} is {'fine' if (c + i) % 2 else 'dull'}" for i in range(500)]) for c in range(8)]
    alone = connect_to(server)
    expected = [score(alone, table) for table in tables]
    clients = [connect_to(server) for _ in tables]
    start = threading.Barrier(len(tables))

    def run(i):
        start.wait(30)
        return [score(clients[i], tables[i], max_chunksize=1 + 37 * i) for _ in range(3)]

    with concurrent.futures.ThreadPoolExecutor(len(tables)) as threads:
        for results, one in zip(threads.map(run, range(len(tables))), expected, strict=True):
            assert all(result.equals(one) for result in results)


def test_exchanges_over_the_limit_are_told_to_try_again(serve, connect_to):
    client = connect_to(serve("--max-exchanges", "2"))
    table = texts("a")
    held = [client.do_exchange(descriptor(), CALL) for _ in range(2)]
    for writer, reader in held:
        writer.begin(table.schema)
        assert reader.schema.names == ["text", *NEW_COLUMNS]  # its place is taken
    with pytest.raises(fl.FlightUnavailableError, match="2 streams are open .--max-exchanges.; try again later"):
        score_in_turn(client, table)
    for writer, reader in held:
        writer.write_table(table)
        writer.done_writing()
        assert_kept(reader.read_all(), table)
        writer.close()
    assert_serving(client)


# Scores a few batches, says so, and goes on without end: the test kills it there.
ENDLESS = """
import itertools, sys
import pyarrow as pa, pyarrow.flight as fl
writer, reader = fl.connect(f"grpc+tcp://{sys.argv[1]}").do_exchange(fl.FlightDescriptor.for_command(b"{}"))
table = pa.table({"text": ["an endless film"] * 2000})
writer.begin(table.schema)
for i in itertools.count():
    writer.write_table(table)
    reader.read_chunk() if i % 2 else None
    print("exchanging", flush=True)
"""


def test_a_client_killed_in_mid_exchange(serve, connect_to):
    """More of them than there are places: each place must be free again."""
    running = serve("--max-exchanges", "2")
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", ENDLESS, running.flight], stdout=subprocess.PIPE, text=True) as process:
            for _ in range(3):
                assert process.stdout.readline() == "exchanging\n"
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL
    wait_until_served(connect_to(running))


def test_a_client_that_cancels(serve, connect_to):
    running = serve("--max-exchanges", "1")
    client = connect_to(running)
    for _ in range(4):
        writer, reader = take_place(client, short_texts(0))
        writer.write_table(short_texts(5000))
        reader.cancel()
        with pytest.raises(fl.FlightCancelledError):
            while True:
                reader.read_chunk()  # pyarrow's `read_all` would take the cancellation for Ctrl-C
        close(writer)
    wait_until_served(client)


def test_a_call_that_runs_out_of_time(serve, connect_to):
    running = serve("--max-exchanges", "1")
    client = connect_to(running)
    writer, _ = client.do_exchange(descriptor(), fl.FlightCallOptions(timeout=0.5))
    table = short_texts(5000)
    with pytest.raises(fl.FlightTimedOutError):
        writer.begin(table.schema)
        while True:
            writer.write_table(table)
    close(writer)
    wait_until_served(client)


def test_a_signal_lets_a_running_exchange_finish(tmp_path):
    with servers.serving(tmp_path / "log") as running:
        with connect(running) as client:
            writer, reader = take_place(client, short_texts(0))
            running.terminate()
            with connect(running) as late:
                refused(late)
            table = short_texts(100)
            writer.write_table(table)
            writer.done_writing()
            assert_kept(reader.read_all(), table)
            writer.close()


def refused(client):
    """Waits until the server takes no new connections."""
    while True:
        try:
            assert_serving(client)
        except fl.FlightUnavailableError:
            return
