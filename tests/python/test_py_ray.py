"""Ray Data, on a Ray of its own: types and order are kept, and an actor or a server that is killed costs no row."""
import contextlib
import datetime
import decimal
import json
import os
import pathlib
import re
import signal
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import server as servers
from client import score, wait_until

ray = pytest.importorskip("ray")
# Ray warns of its own future, and leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore")

WAIT_SECONDS = 60
BLOCKS, ROWS = 12, 1000


@pytest.fixture(scope="module", autouse=True)
def local_servers(tmp_path_factory):
    """A Ray with three CPUs and, as far as it knows, a GPU; its workers find local servers in this folder."""
    folder = tmp_path_factory.mktemp("runtime")
    folder.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-") as scratch:
        patch.setenv("PYTHONPATH", str(servers.REPOSITORY / "python"))
        patch.setenv("TEXTFLIGHT_BIN", str(servers.BINARY))
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        for name, value in {"USAGE_STATS_ENABLED": 0, "DATA_DISABLE_PROGRESS_BARS": 1, "memory_monitor_refresh_ms": 0}.items():
            patch.setenv(f"RAY_{name}", str(value))
        ray.init(num_cpus=3, num_gpus=1, object_store_memory=150 << 20, include_dashboard=False, log_to_driver=False, _temp_dir=scratch)
        yield folder / "textflight"
        ray.shutdown()


def commands():
    """The command lines of this process's descendants, by their process."""
    parents, lines = {}, {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])

    def is_ours(pid):
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return {pid: line for pid, line in lines.items() if is_ours(pid)}


def actors_at_work():
    """Those that have a block now: Ray puts the method into the title."""
    return [pid for pid, line in commands().items() if line.startswith("ray::") and "_Scorer" in line and line.endswith(".submit")]


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def local_server(folder):
    """What is known of the one local server that runs."""
    [state] = folder.glob("*.json")
    return json.loads(state.read_text())["running"]


def texts(dev_texts, block):
    return [dev_texts[(block + row) % len(dev_texts)] for row in range(ROWS)]


@pytest.fixture(scope="module")
def blocks(dev_texts):
    return [pa.table({"row": range(block * ROWS, (block + 1) * ROWS), "text": texts(dev_texts, block)}) for block in range(BLOCKS)]


def scored_while(dataset, happens):
    """All rows of a data set; once the first have come, something happens."""
    batches = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    first = next(batches)
    happens()
    return pa.concat_tables([first, *batches])


def assert_whole(scored, client, blocks):
    expected = score(client, pa.concat_tables(blocks))
    assert scored["row"].to_pylist() == expected["row"].to_pylist()
    assert scored.select(expected.column_names).combine_chunks().equals(expected.combine_chunks())


def address(running):
    return f"grpc://{running.flight}"


TYPES = {
    "text": pa.array(["a lovely film", None, "dull"]),
    "decimal": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("-2")], pa.decimal128(10, 3)),
    "time": pa.array([datetime.datetime(2024, 2, 29), None, datetime.datetime(1970, 1, 1)], pa.timestamp("us", "Europe/Berlin")),
    "list": pa.array([[1], None, []], pa.list_(pa.int16())),
    "struct": pa.array([{"text": "x"}, None, {"text": None}]),
    "map": pa.array([[("k", 1.5)], None, []], pa.map_(pa.string(), pa.float64())),
    "category": pa.array(["x", None, "y"]).dictionary_encode(),
    "large": pa.array(["x", None, "y"], pa.large_string()),
    "bytes": pa.array([b"\xff", None, b""]),
    "null": pa.nulls(3),
}


def test_blocks_come_back_in_order_with_their_types(server, client):
    import textflight.ray

    table = pa.table(TYPES)
    given = [table, table.slice(0, 0), table.slice(2), table.slice(1, 1)]
    scored = textflight.ray.score(ray.data.from_arrow(given), "text", server=address(server), concurrency=1, probabilities=True)
    found = pa.concat_tables(block for block in ray.get(scored.to_arrow_refs()) if block.num_rows)
    expected = score(client, pa.concat_tables(given).select(["text"]), text="text", probabilities=True)
    assert found.select(table.column_names).equals(pa.concat_tables(given))
    assert found.schema.names == [*table.column_names, "label", "confidence", "probabilities"]
    for name in ["label", "confidence", "probabilities"]:
        assert found[name].combine_chunks().equals(expected[name].combine_chunks())


def test_an_actor_that_is_killed_costs_no_row(serve, connect_to, blocks):
    import textflight.ray

    running = serve()
    process = running.process

    def kill_one():
        """While the server stands still both have a block, of which nothing is answered."""
        process.send_signal(signal.SIGSTOP)
        try:
            victim, _ = wait_until(lambda: found if len(found := actors_at_work()) == 2 else None)
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: victim not in actors_at_work())
        finally:
            process.send_signal(signal.SIGCONT)

    scored = scored_while(textflight.ray.score(ray.data.from_arrow(blocks), server=address(running), concurrency=2), kill_one)
    assert_whole(scored, connect_to(running), blocks)


def test_actors_share_a_local_server_and_start_it_again_when_it_is_killed(local_servers, client, blocks):
    import textflight.ray

    def kill_it():
        killed = local_server(local_servers)
        os.kill(killed["pid"], signal.SIGKILL)
        seen.append(killed)

    seen = []
    scored = scored_while(textflight.ray.score(ray.data.from_arrow(blocks), "text", concurrency=2), kill_it)
    seen.append(local_server(local_servers))
    assert_whole(scored, client, blocks)
    assert seen[0]["pid"] != seen[1]["pid"]
    wait_until(lambda: not is_running(seen[1]["pid"]))


def test_of_several_servers_another_is_used(serve, client, blocks):
    import textflight.ray

    two = [serve(), serve()]
    job = textflight.ray.score(ray.data.from_arrow(blocks), server=[address(running) for running in two], concurrency=1)
    assert_whole(scored_while(job, two[0].terminate), client, blocks)


def test_a_row_without_a_score_is_an_error_column_or_an_error(server):
    import textflight.ray

    broken = pa.table({"text": pa.array([b"good", b"\xff"])})
    dataset = ray.data.from_arrow(broken)
    rows = textflight.ray.score(dataset, "text", server=address(server), on_error="null", columns="new", concurrency=1).take_all()
    assert [row["label"] for row in rows] == ["POSITIVE", None]
    assert rows[0]["error"] is None and "utf-8" in rows[1]["error"]
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0\) is not text"):
        textflight.ray.score(dataset, "text", server=address(server), concurrency=1).materialize()


def test_the_column_and_the_server_are_looked_for_when_the_data_are(server):
    import textflight.ray

    dataset = ray.data.from_items([{"title": "x", "body": "y"}])
    for options, error, words in [
        ({"text": "review", "server": address(server)}, ValueError, 'column "review" not found; string columns: title, body'),
        ({"text": "body", "server": "grpc://127.0.0.1:1"}, ConnectionError, "127.0.0.1:1"),
        ({"text": "body", "num_gpus": 1}, Exception, "cuda"),
    ]:
        lazy = textflight.ray.score(dataset, concurrency=1, **options)
        with pytest.raises(error, match=words):
            lazy.take_all()


WRONG = [
    ({"num_gpus": 1}, "num_gpus is 1, but the servers"),
    ({"concurrency": 0}, "concurrency is 0; "),
    ({"concurrency": (3, 2)}, r"concurrency is \(3, 2\); the smaller"),
    ({"on_error": "skip"}, "on_error is 'skip'; \"fail\" or \"null\" would be right"),
    ({"columns": "some"}, "columns is 'some'"),
    ({"server": []}, "server names no server"),
    ({"server": "http://h"}, "no address of a Flight server"),
]


@pytest.mark.parametrize("options, words", WRONG, ids=[str(options) for options, _ in WRONG])
def test_what_is_wrong_with_an_option_is_said_at_once(options, words):
    import textflight.ray

    with pytest.raises(ValueError, match=words):
        textflight.ray.score(ray.data.range(1), "text", **{"server": "grpc://127.0.0.1:8815", **options})
    with pytest.raises(TypeError, match="dataset is Table, not a ray.data.Dataset"):
        textflight.ray.score(pa.table({"text": ["x"]}))


PAGE = (servers.REPOSITORY / "docs" / "engines.md").read_text()
RECIPES = [block for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if "import ray" in block]


@pytest.mark.parametrize("code", RECIPES, ids=["score", "map_batches"])
def test_the_recipes_of_the_page(server, tmp_path, capsys, code):
    code = code.replace("127.0.0.1:8815", server.flight).replace('"scored"', repr(str(tmp_path)))
    exec(code.replace('"data/', f'"{servers.REPOSITORY}/data/'), {})
    if "write_parquet" in code:
        assert {"label", "confidence", "error"} <= set(pq.read_table(tmp_path).column_names)
    else:
        assert capsys.readouterr().out.count("POSITIVE") >= 1
