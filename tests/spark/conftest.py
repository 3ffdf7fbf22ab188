"""A Spark on two cores, and a textflight server, for all tests; what they share with the others is in tests/python."""
import os
import pathlib
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "python"), str(REPOSITORY / "tests" / "python")]

import server as servers  # noqa: E402


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server of the bundled model."""
    with servers.serving(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def local_servers(tmp_path_factory):
    """Where workers and the driver find local servers."""
    folder = tmp_path_factory.mktemp("runtime")
    folder.chmod(0o700)
    return folder / "textflight"


@pytest.fixture(scope="session")
def spark(tmp_path_factory, local_servers):
    """Two tasks at a time, each of which is tried three times. Its workers are Python processes with this environment."""
    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(REPOSITORY / "python"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TEXTFLIGHT_BIN": str(servers.BINARY),
        "XDG_RUNTIME_DIR": str(local_servers.parent),
    }
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2,3]")
        .config("spark.driver.memory", "600m")
        .config("spark.ui.enabled", "false")
        .config("spark.local.dir", str(tmp_path_factory.mktemp("spark")))
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "Europe/Berlin")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "500")
        .getOrCreate()
    )
    yield session
    session.stop()
