"""One server for all tests, and servers of their own for those that need other limits."""
import os
import sys

import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import server as servers

# The package as it is in the repository; that of a wheel is tested in an environment of its own.
sys.path.insert(0, str(servers.REPOSITORY / "python"))


def pytest_sessionstart():
    # What runs here is here: a proxy of the machine's could not reach it.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]:
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    if not servers.BINARY.exists():
        pytest.exit(f"{servers.BINARY} is missing: build it with cargo test --no-run, or name another in TEXTFLIGHT_BIN", 2)


def connect(running):
    """A client with a connection of its own: gRPC would share one, and its flow control, between all of a process."""
    return fl.FlightClient(f"grpc+tcp://{running.flight}", generic_options=[("grpc.use_local_subchannel_pool", 1)])


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server of the bundled model with default options. It must outlive every test."""
    with servers.serving(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def client(server):
    """A client of that server."""
    with connect(server) as connected:
        yield connected


@pytest.fixture
def serve(tmp_path):
    """Starts servers with options of the test's."""
    started = []

    def start(*options, **where):
        running = servers.Server(tmp_path / f"log{len(started)}", *options, **where)
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
def dev_texts(reviews):
    """The sentences of SST-2 dev, in order."""
    return pq.read_table(reviews, columns=["text"])["text"].to_pylist()
