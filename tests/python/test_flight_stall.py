"""Clients that leave their results unread (trap 3 of Flight servers): an error that says so, and never a table cut short."""
import threading
import time

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from client import CALL, assert_kept, assert_serving, close, descriptor, finish, heavy, score, texts, wait_until_served

STALLED = heavy(2048)  # 128 MiB: more than all windows and buffers on the way


class LateReader:
    """A client that reads only after it has written everything: its writes stop once every window is full."""

    def __init__(self, client, table=STALLED):
        self.writer, self.reader = client.do_exchange(descriptor(), CALL)
        self.writer.begin(table.schema)
        self.thread = threading.Thread(target=self._write, args=[table])
        self.thread.start()

    def _write(self, table):
        try:
            self.writer.write_table(table, max_chunksize=16)
            self.writer.done_writing()
        except (pa.ArrowException, OSError):
            pass  # The reader is told why.

    def read(self):
        self.thread.join()
        try:
            return self.reader.read_all()
        finally:
            close(self.writer)


def test_writing_all_then_reading_gets_an_error_that_says_so(serve, connect_to):
    running = serve("--stall-timeout", "1")
    stalled = LateReader(connect_to(running))
    other = connect_to(running)
    while stalled.thread.is_alive():
        assert_serving(other)  # while the first one hangs, and while the server reads on for it
        stalled.thread.join(0.1)
    with pytest.raises(fl.FlightTimedOutError, match="read while you write"):
        stalled.read()
    assert_serving(other)


def test_a_client_that_reads_far_too_late_is_told_as_well(serve, connect_to):
    """The server has let go of it long ago. What it still reads must not look like the whole of its result."""
    running = serve("--stall-timeout", "0.3", "--max-exchanges", "1")
    stalled = LateReader(connect_to(running))
    stalled.thread.join()
    wait_until_served(connect_to(running))
    with pytest.raises(fl.FlightTimedOutError, match="read while you write"):
        stalled.read()


def test_a_client_that_writes_on_and_never_reads_is_let_go(serve, connect_to):
    """It does not keep its place for as long as it likes to write."""
    running = serve("--stall-timeout", "0.3", "--max-exchanges", "1")
    writer, reader = connect_to(running).do_exchange(descriptor(), fl.FlightCallOptions(timeout=300))
    table = heavy(16)
    writer.begin(table.schema)
    ended = threading.Event()

    def write_on():
        try:
            while not ended.is_set():
                writer.write_table(table)
        except (pa.ArrowException, OSError):
            pass  # Let go.

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        wait_until_served(connect_to(running))
    finally:
        ended.set()
        reader.cancel()  # A write that nobody takes any more ends with its call alone.
        thread.join()
        close(writer)


def test_a_slow_writer_is_not_stalled(serve, connect_to):
    """A client that thinks between its batches is none of the limit's business, which is for results that lie unread."""
    client = connect_to(serve("--stall-timeout", "0.2"))
    writer, reader = client.do_exchange(descriptor(), CALL)
    writer.begin(texts("a").schema)
    for _ in range(3):
        writer.write_table(texts("a"))
        assert reader.read_chunk().data.num_rows == 1
        time.sleep(0.5)  # The pause is what is tested.
    finish(writer, reader)


def test_reading_while_writing_carries_any_amount(client):
    assert_kept(score(client, STALLED, max_chunksize=16), STALLED)
