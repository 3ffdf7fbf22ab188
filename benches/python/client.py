"""What the benches in Python share: a server of ours, rows through DoExchange, and the name of the processor."""
import json
import subprocess
import sys
import threading

import pyarrow.flight as fl


class Server:
    """A server of one binary on free ports: `with Server(binary, "--model", folder) as server`."""

    def __init__(self, binary, *options):
        command = [str(c) for c in (binary, "serve", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "error", *options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        if not ready.startswith("ready"):
            sys.exit(f"it ended before it served; to see why: {' '.join(command)}")
        self.flight, self.http = (address.split("=")[1] for address in ready.split()[1:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.terminate()
        self.process.wait()

    def kernels(self):
        """What the model is computed with, in words."""
        with fl.connect(f"grpc://{self.flight}") as client:
            info = next(iter(client.do_action(fl.Action("model_info", b""))))
        return json.loads(info.body.to_pybytes())["kernels"]


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
