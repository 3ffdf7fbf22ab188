"""What a Python user of the Flight service writes, and what the tests ask of the answers."""
import json
import threading
import time

import pyarrow as pa
import pyarrow.flight as fl

NEW_COLUMNS = ["label", "confidence"]

# No call of the tests needs a minute: one that takes longer hangs, and must fail instead of stopping the run.
CALL = fl.FlightCallOptions(timeout=60)


def descriptor(**options):
    """The command that carries the options."""
    return fl.FlightDescriptor.for_command(json.dumps(options).encode())


def score(client, table, max_chunksize=8192, call=CALL, **options):
    """The bulk pattern: write in one thread, read in another. It cannot deadlock, however large the table."""
    writer, reader = client.do_exchange(descriptor(**options), call)

    def pump():
        try:
            writer.begin(table.schema)
            writer.write_table(table, max_chunksize=max_chunksize)
            writer.done_writing()
        except (pa.ArrowException, OSError):
            pass  # The server has ended the exchange, and its reader is told why.

    thread = threading.Thread(target=pump)
    thread.start()
    try:
        return reader.read_all()
    finally:
        thread.join()
        close(writer)


def score_in_turn(client, table, what=None, **options):
    """Writes all, then reads, in one thread: for small tables, and for exchanges that the server ends with an error.

    pyarrow aborts the process (GRPC_CALL_ERROR_TOO_MANY_OPERATIONS) when one thread reads the end of an exchange while another
    is inside a write, so what must fail may not be written and read by two.
    """
    writer, reader = client.do_exchange(what or descriptor(**options), CALL)
    try:
        writer.begin(table.schema)
        writer.write_table(table)
        writer.done_writing()
        return reader.read_all()
    finally:
        close(writer)


def close(writer):
    """Ends an exchange, of which a failed one has nothing more to say."""
    try:
        writer.close()
    except (pa.ArrowException, OSError):
        pass


def texts(*values, type=pa.string()):
    """A table of the one column that is scored."""
    return pa.table({"text": pa.array(values, type)})


def heavy(rows):
    """A table of 64 KiB a row: much to carry, little to score."""
    payload = pa.scalar(bytes(64 * 1024), pa.binary())
    return pa.table({"text": ["a fine film"] * rows, "payload": pa.repeat(payload, rows)})


def without_scores(scored, names=NEW_COLUMNS):
    """The scored table as it was sent, if the server kept it."""
    return scored.drop_columns(names)


def assert_kept(scored, table):
    """Every column, its type and all metadata came back, the scores behind them."""
    scored.validate(full=True)
    assert scored.column_names == table.column_names + NEW_COLUMNS
    rest = without_scores(scored)
    assert rest.schema.equals(table.schema, check_metadata=True), f"{rest.schema}\nwas\n{table.schema}"
    assert rest.equals(table)


def take_place(client, table, seconds=30):
    """An exchange of the table's schema that is under way. A place may have to become free first: the server lets go of a
    client a moment after the client is gone."""
    deadline = time.monotonic() + seconds
    while True:
        writer = None
        try:
            writer, reader = client.do_exchange(descriptor(), CALL)
            writer.begin(table.schema)
            assert reader.schema.names == [*table.column_names, *NEW_COLUMNS]
            return writer, reader
        except fl.FlightUnavailableError as busy:
            assert "try again later" in str(busy)
            if time.monotonic() > deadline:
                raise
            if writer:
                close(writer)
            time.sleep(0.05)


def finish(writer, reader):
    """Ends an exchange that has nothing left to read."""
    writer.done_writing()
    assert reader.read_all().num_rows == 0
    writer.close()


def wait_until(holds, seconds=60, what="it comes to be"):
    """Waits for what comes to be in its own time, and gives it back."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.02)
    return found


def wait_until_served(client):
    """Waits for a place, then scores a text."""
    finish(*take_place(client, texts("fine")))
    assert_serving(client)


def assert_serving(client):
    """The server answers as if nothing had happened."""
    assert score(client, texts("fine"))["label"].null_count == 0
