"""DoPut, commit, and what becomes of an upload otherwise."""
import datetime
import decimal

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import client as clients
from client import CALL, assert_serving, texts, wait_until
from metrics import samples
from uploads import act, commit, drop, get, names, put, stats


def of_many_kinds(rows=200):
    words = [f"a {'fine' if i % 3 else 'dull'} film, number {i}" for i in range(rows)]
    when = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    table = pa.table({
        "text": pa.array(words, pa.string()),
        "id": pa.array(range(rows), pa.int32()),
        "category": pa.array([f"genre {i % 7}" for i in range(rows)]).dictionary_encode(),
        "view": pa.array([w * 3 for w in words], pa.string_view()),
        "nested": pa.array([{"a": i, "b": [str(i)] * (i % 3)} for i in range(rows)]),
        "price": pa.array([decimal.Decimal(i).scaleb(-2) for i in range(rows)], pa.decimal128(12, 2)),
        "when": pa.array([when] * rows, pa.timestamp("us", "Europe/Berlin")),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([rows // 2, rows], pa.int32()), pa.array(["a", None])),
        "map": pa.array([[("k", i)] for i in range(rows)], pa.map_(pa.string(), pa.int64())),
        "nothing": pa.nulls(rows),
    })
    return table.replace_schema_metadata({"who": "me", "bytes": "\u2603"})


@pytest.mark.parametrize("options", [[], ["--memory-limit", "32MiB"]], ids=["in memory", "little memory"])
def test_the_round_trip_is_what_an_exchange_answers(serve, connect_to, tmp_path, options):
    client = connect_to(serve(*options, "--spool-dir", str(tmp_path)))
    table = of_many_kinds()
    assert put(client, "mine", table, max_chunksize=60) == 200
    assert commit(client, "mine", 200)["rows"] == 200
    exchanged = clients.score(client, table, text="text")
    command = fl.FlightDescriptor.for_command(b'{"data": "mine", "text": "text", "partitions": 1}')
    info = client.get_flight_info(command, CALL)
    [endpoint] = info.endpoints
    assert info.total_records == 200 and info.schema.equals(exchanged.schema, check_metadata=True)
    got = client.do_get(endpoint.ticket, CALL).read_all()
    assert got.schema.equals(exchanged.schema, check_metadata=True)
    assert got.combine_chunks().equals(exchanged.combine_chunks())
    assert names(client) == ["mine"]


def test_an_upload_goes_to_the_spool_and_leaves_nothing_there(serve, connect_to, tmp_path):
    client = connect_to(serve("--spool-dir", str(tmp_path), "--upload-memory", "64KiB"))
    table = clients.heavy(50)
    put(client, "mine", table, 10)
    assert stats(client)["spool_bytes"] > 50 * 64 * 1024
    assert list(tmp_path.glob("*.parquet")) == [] and len(list(tmp_path.iterdir())) <= 1  # the server's log
    commit(client, "mine", 50)
    got = get(client, "mine")
    assert got.drop_columns(["label", "confidence"]).equals(table)
    drop(client, "mine")
    wait_until(lambda: stats(client)["spool_bytes"] == 0)
    with pytest.raises(KeyError, match="not found"):
        get(client, "mine")


def test_nobody_sees_an_upload_before_its_commit(client):
    put(client, "unseen", texts("fine", "dull"))
    assert "unseen" not in names(client)
    with pytest.raises(KeyError, match="not found"):
        client.get_flight_info(fl.FlightDescriptor.for_path("unseen"), CALL)
    commit(client, "unseen", 2)
    assert "unseen" in names(client)
    assert get(client, "unseen").num_rows == 2
    drop(client, "unseen")
    assert "unseen" not in names(client)


def test_each_batch_is_told(client):
    """In lockstep: one answer a batch, with the rows that are there."""
    writer, told = client.do_put(fl.FlightDescriptor.for_path("steps"), texts("a").schema, CALL)
    with writer:
        for rows, batch in [(2, texts("a", "b")), (2, texts()), (5, texts("a", "b", "c"))]:
            writer.write_batch(batch.to_batches()[0] if batch.num_rows else pa.record_batch({"text": pa.array([], pa.string())}))
            assert told.read().to_pybytes() == b'{"rows":%d}' % rows
        writer.done_writing()
        assert told.read() is None
    drop(client, "steps")


def test_a_client_that_reads_no_answer_is_not_held_up(client):
    writer, _ = client.do_put(fl.FlightDescriptor.for_path("unread"), texts("a").schema, CALL)
    batch = texts("a").to_batches()[0]
    for _ in range(6000):
        writer.write_batch(batch)
    writer.close()
    assert commit(client, "unread", 6000)["rows"] == 6000
    drop(client, "unread")


def test_another_number_of_rows_is_refused_and_dropped(client):
    for wrong in [0, 1, 3, 2**63]:
        put(client, "counted", texts("fine", "dull"))
        with pytest.raises(pa.ArrowInvalid, match=f"has 2 rows, and the commit says {wrong}"):
            commit(client, "counted", wrong)
        with pytest.raises(KeyError, match="send it with DoPut first"):
            commit(client, "counted", 2)
    assert "counted" not in names(client)


def test_commit_happens_once(client):
    put(client, "once", texts("fine"))
    commit(client, "once", 1)
    with pytest.raises(KeyError, match="committed already"):
        commit(client, "once", 1)
    put(client, "once", texts("fine", "dull"))
    assert get(client, "once").num_rows == 1, "what is staged is not seen"
    with pytest.raises(pa.ArrowInvalid, match="replace"):
        commit(client, "once", 2)
    commit(client, "once", 2, replace=True)
    assert get(client, "once").num_rows == 2
    drop(client, "once")
    with pytest.raises(KeyError, match="nothing was uploaded"):
        drop(client, "once")


def test_a_ticket_of_what_was_replaced_is_not_found(client):
    put(client, "old", texts("fine"))
    commit(client, "old", 1)
    [endpoint] = client.get_flight_info(fl.FlightDescriptor.for_path("old"), CALL).endpoints
    put(client, "old", texts("dull"))
    commit(client, "old", 1, replace=True)
    with pytest.raises(KeyError):
        client.do_get(endpoint.ticket, CALL).read_all()
    drop(client, "old")


def test_a_second_upload_takes_the_place_of_a_staged_one(client):
    """A client that has failed before its commit begins again."""
    put(client, "again", texts("fine", "dull"))
    put(client, "again", texts("fine"))
    commit(client, "again", 1)
    drop(client, "again")


def test_one_upload_of_a_name_at_a_time(client):
    first, told = client.do_put(fl.FlightDescriptor.for_path("busy"), texts("a").schema, CALL)
    first.write_table(texts("a"))
    told.read()
    with pytest.raises(fl.FlightUnavailableError, match="another upload of \"busy\""):
        put(client, "busy", texts("b"))
    with pytest.raises(KeyError, match="still on its way"):
        commit(client, "busy", 1)
    first.close()
    commit(client, "busy", 1)
    drop(client, "busy")


@pytest.mark.parametrize("name", ["", " blank", "textflight_sum", "a\nb", "x" * 300])
def test_a_name_that_cannot_be(client, name):
    with pytest.raises(pa.ArrowInvalid, match="name"):
        put(client, name, texts("fine"))
    assert_serving(client)


def test_the_servers_own_data_sets_stay(serve, connect_to, reviews):
    client = connect_to(serve("--data", f"reviews={reviews}"))
    with pytest.raises(pa.ArrowInvalid, match="one of the server's files"):
        put(client, "reviews", texts("fine"))
    with pytest.raises(KeyError, match="nothing was uploaded"):
        drop(client, "reviews")
    assert names(client) == ["reviews"]


def test_drop_frees_a_place(serve, connect_to):
    client = connect_to(serve("--max-uploads", "1"))
    put(client, "one", texts("a"))
    with pytest.raises(fl.FlightUnavailableError):
        put(client, "two", texts("b"))
    drop(client, "one")
    put(client, "two", texts("b"))


def test_what_nobody_uses_expires(serve, connect_to):
    client = connect_to(serve("--upload-expiry", "3"))
    put(client, "staged", texts("a"))
    put(client, "committed", texts("b"))
    commit(client, "committed", 1)
    wait_until(lambda: stats(client)["uploads_staged"] + stats(client)["uploads_committed"] == 0)
    assert names(client) == []
    with pytest.raises(KeyError):
        commit(client, "staged", 1)
    put(client, "committed", texts("b"))
    commit(client, "committed", 1)


@pytest.mark.parametrize("action, body", [
    ("commit", b""), ("commit", b"[]"), ("commit", b'["a", 1]'), ("commit", b'{"name": "a"}'), ("commit", b'{"rows": 1}'),
    ("commit", b'{"name": "a", "rows": -1}'), ("commit", b'{"name": "a", "rows": 1.5}'), ("commit", b'{"name": "a", "rows": "1"}'),
    ("commit", b'{"name": "a", "rows": 1, "force": true}'), ("commit", b'{"name": 1, "rows": 1}'), ("commit", b"\xff"),
    ("commit", b'{"name": "a", "rows": 18446744073709551616}'), ("drop", b""), ("drop", b'{"name": null}'), ("drop", b'{"nam": "a"}'),
    ("drop", b'{"name": "a", "name": "b"}'),
])
def test_a_body_that_asks_for_nothing(client, action, body):
    with pytest.raises(pa.ArrowInvalid, match='the body of this action is {"name": NAME'):
        list(client.do_action(fl.Action(action, body), CALL))
    assert_serving(client)


def test_stats_count_uploads(serve, connect_to):
    client = connect_to(serve())
    put(client, "one", texts("a"))
    put(client, "two", texts("a"))
    commit(client, "two", 1)
    first, told = client.do_put(fl.FlightDescriptor.for_path("three"), texts("a").schema, CALL)
    first.write_table(texts("a"))
    told.read()
    now = stats(client)
    assert (now["uploads_open"], now["uploads_staged"], now["uploads_committed"]) == (1, 1, 1)
    assert now["uploads_limit"] == 16
    first.close()


def test_a_table_without_rows(client):
    put(client, "empty", texts())
    commit(client, "empty", 0)
    info = client.get_flight_info(fl.FlightDescriptor.for_path("empty"), CALL)
    assert info.total_records == 0
    drop(client, "empty")
    assert act(client, "health") == [{"status": "SERVING"}]


def test_metrics_tell_of_uploads_and_of_the_spool(serve, connect_to, tmp_path):
    spool = ["--upload-memory", "64KiB", "--spool-dir", str(tmp_path), "--spool-limit", "64MiB"]
    running = serve(*spool)
    put(connect_to(running), "mine", clients.heavy(8))
    told = samples(running)
    assert told["textflight_uploads", ("state", "staged")] == told["textflight_uploads_received_total",] == 1
    assert told["textflight_uploads_kept_bytes",] == told["textflight_spool_used_bytes",] > 8 * 64 * 1024
    assert told["textflight_spool_limit_bytes",] == 64 * 2**20
    running = serve(*spool, "--upload-expiry", "0.2")
    put(connect_to(running), "mine", clients.heavy(8))
    wait_until(lambda: samples(running)["textflight_uploads_expired_total",] == 1)
    told = samples(running)
    assert told["textflight_uploads", ("state", "staged")] == told["textflight_uploads_kept_bytes",] == told["textflight_spool_used_bytes",] == 0


def read(client, name):
    """The rows of a data set as they were sent."""
    [endpoint] = client.get_flight_info(clients.descriptor(data=name, text="text", partitions=1), CALL).endpoints
    return client.do_get(endpoint.ticket, CALL).read_all().drop_columns(["label", "confidence"])


def test_one_large_batch_comes_back_in_small_ones(serve, connect_to):
    """Of what has to be parted with care: views in structs and lists, as polars sends them, and a dictionary beside few rows."""
    client = connect_to(serve("--memory-limit", "128MiB"))
    rows = 5000
    nested = [{"view": f"x{i:05}" * 40, "list": [f"y{i:05}" * 40]} for i in range(rows)]
    table = pa.table({
        "text": ["fine"] * rows,
        "nested": pa.array(nested, pa.struct([("view", pa.string_view()), ("list", pa.large_list(pa.string_view()))])),
        "word": pa.DictionaryArray.from_arrays(pa.array(range(rows), pa.int32()), [f"z{i:05}" * 100 for i in range(2 * rows)]),
    })
    put(client, "large", table, None)
    commit(client, "large", rows)
    assert stats(client)["spool_bytes"] < 2 * table.nbytes
    assert read(client, "large").equals(table)


def test_who_reads_what_is_replaced_reads_on(client):
    table = clients.heavy(1000)
    put(client, "read", table, 100)
    commit(client, "read", 1000)
    [endpoint] = client.get_flight_info(clients.descriptor(data="read", text="text", partitions=1), CALL).endpoints
    reader = client.do_get(endpoint.ticket, CALL)
    rows = reader.read_chunk().data.num_rows
    put(client, "read", texts("fine"))
    commit(client, "read", 1, replace=True)
    assert rows + sum(chunk.data.num_rows for chunk in reader) == 1000
    assert get(client, "read").num_rows == 1
    drop(client, "read")
