"""One server for all tests, and servers of their own for those that need other limits."""
import pathlib

import pyarrow.flight as fl
import pytest

import server as servers


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server of the bundled model with default options. It must outlive every test."""
    with servers.serving(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def client(server):
    """A client of its own connection, so that no test sees what another left unread."""
    with connect(server) as connected:
        yield connected


@pytest.fixture
def serve(tmp_path):
    """Starts servers with options of the test's."""
    started = []

    def start(*options):
        running = servers.Server(tmp_path / f"log{len(started)}", *options)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def connect_to():
    """Opens clients of servers."""
    opened = []

    def connect_one(running):
        opened.append(connect(running))
        return opened[-1]

    yield connect_one
    for connected in opened:
        connected.close()


@pytest.fixture(scope="session")
def reviews():
    """The table of the quick start."""
    return servers.REPOSITORY / "data" / "reviews.parquet"


@pytest.fixture(scope="session")
def dev_texts():
    """The sentences of SST-2 dev, in order."""
    import pyarrow.parquet as pq

    return pq.read_table(servers.REPOSITORY / "data" / "reviews.parquet", columns=["text"])["text"].to_pylist()


def connect(running):
    # A pool of one connection a process would share its flow control between tests.
    options = [("grpc.use_local_subchannel_pool", 1)]
    return fl.FlightClient(f"grpc+tcp://{running.flight}", generic_options=options)
