"""`textflight.Client`: record batches in, scored ones out, one for one."""
import pickle
import re
import threading

import pyarrow as pa
import pytest

import textflight
from client import NEW_COLUMNS, assert_kept
from client import score as score_by_hand
from server import REPOSITORY

TEXTS = ["a lovely film", None, "dull , dull , dull"]


@pytest.fixture
def scorer(server):
    with textflight.Client(f"grpc://{server.flight}") as client:
        yield client


def test_a_table_comes_back_with_its_scores(scorer, client, reviews):
    table = pa.parquet.read_table(reviews)
    scored = scorer.score(table, "text")
    assert_kept(scored, table)
    assert scored.select(NEW_COLUMNS).equals(score_by_hand(client, table, text="text").select(NEW_COLUMNS))


def test_one_batch_out_for_one_in(scorer):
    schema = pa.schema([pa.field("text", pa.string(), metadata={"a": "b"}), ("n", pa.int64())], metadata={"c": "d"})
    sizes = [1, 0, 3000, 7, 0]
    batches = [pa.record_batch({"text": [f"film {i}" for i in range(size)], "n": range(size)}, schema) for size in sizes]
    reader = scorer.score_reader(schema, iter(batches))
    assert reader.schema.names == ["text", "n", *NEW_COLUMNS] and reader.schema.metadata == schema.metadata
    assert reader.schema.field("text").metadata == {b"a": b"b"}
    scored = list(reader)
    assert [batch.num_rows for batch in scored] == sizes
    assert all(one.select(["text", "n"]).equals(other) for one, other in zip(scored, batches))


def test_several_threads_use_one_client(scorer):
    tables = [pa.table({"text": [f"film {i} of {thread}" for i in range(500)]}) for thread in range(4)]
    alone = [scorer.score(table) for table in tables]
    scored = [None] * 4

    def one(number):
        scored[number] = scorer.score(tables[number])

    threads = [threading.Thread(target=one, args=[number]) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert scored == alone


def test_a_client_is_pickled_and_connects_again(scorer):
    table = pa.table({"text": TEXTS})
    assert pickle.loads(pickle.dumps(scorer)).score(table) == scorer.score(table)
    scorer.close()
    assert scorer.score(table)["label"].null_count == 1


def test_it_says_what_serves(scorer):
    assert scorer.info()["labels"] == ["NEGATIVE", "POSITIVE"]


def test_the_function_keeps_its_client(server, scorer):
    table = pa.table({"text": TEXTS})
    assert textflight.score(table, server=f"grpc://{server.flight}") == scorer.score(table)


def test_the_schema_comes_from_whichever_server_is_there(server):
    nobody = [f"grpc://127.0.0.1:{port}" for port in (1, 2, 3)]
    for place in range(4):
        servers = [*nobody[:place], f"grpc://{server.flight}", *nobody[place:]]
        with textflight.Client(servers, timeout=30) as client:
            assert client.score(pa.table({"text": TEXTS}))["label"].null_count == 1


def test_the_version_is_that_of_the_crate():
    version = re.search(r'^version = "(.*)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert textflight.__version__ == version
