"""What the benches in Python share: rows through DoExchange, and the name of the processor."""
import threading

import pyarrow.flight as fl


def exchange(address, table):
    """Sends a table in batches of 1,024 rows while it reads the scored one, and counts its rows."""
    with fl.connect(f"grpc://{address}") as client:
        writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(b"{}"))

        def write():
            writer.begin(table.schema)
            writer.write_table(table, max_chunksize=1024)
            writer.done_writing()

        thread = threading.Thread(target=write)
        thread.start()
        rows = reader.read_all().num_rows
        thread.join()
        writer.close()
    assert rows == table.num_rows


def processor():
    names = (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    return next(names, "unknown processor")
