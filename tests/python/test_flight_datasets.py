"""Data sets over Flight: what pyarrow, pandas, polars and DuckDB fetch of the files that `--data` names."""
import concurrent.futures
import json
import os

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import flightdata as raw
from client import CALL, descriptor, score
from server import MODEL, run, serving

ROWS = 300


def table(start=0, rows=ROWS):
    """Columns of the kinds that a reader could give back as others."""
    ids = range(start, start + rows)
    return pa.table({
        "id": pa.array(ids, pa.int64()),
        "text": pa.array([None if i % 50 == 7 else f"film {i} is {'fun' if i % 3 else 'dull'}" for i in ids], pa.large_string()),
        "genre": pa.array([["drama", "crime", None][i % 3] for i in ids]).dictionary_encode(),
        "tags": pa.array([[["a", "b"], [], None, [None]][i % 4] for i in ids], pa.list_(pa.string())),
        "nested": pa.array([{"n": i, "m": "x"} if i % 5 else None for i in ids]),
        "view": pa.array([f"a text that is long enough for a view {i}" for i in ids], pa.string_view()),
        "raw": pa.array([b"\xff%d" % i for i in ids], pa.binary()),
    }).replace_schema_metadata({"source": "a test"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file, and a folder of hive partitions with what is not finished beside them."""
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(table(), folder / "one.parquet", row_group_size=100)
    for year, month in [(2025, "01"), (2025, "02"), (2026, "01")]:
        place = folder / "hive" / f"year={year}" / f"month={month}"
        place.mkdir(parents=True)
        pq.write_table(table().select(["id", "text"]).slice(0, 40), place / "part.parquet", row_group_size=20)
        (place / "_part.parquet").write_bytes(b"half")
        (place / ".part.parquet.tmp").write_bytes(b"half")
    (folder / "secret.parquet").write_bytes((folder / "one.parquet").read_bytes())
    os.symlink(folder / "secret.parquet", folder / "hive" / "link.parquet")
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory, folder):
    """A server of both."""
    options = ["--data", f"one={folder / 'one.parquet'}", "--data", f"hive={folder / 'hive'}"]
    with serving(tmp_path_factory.mktemp("server") / "log", *options) as running:
        yield running


@pytest.fixture
def data(both, connect_to):
    """A client of that server."""
    return connect_to(both)


def info(client, **options):
    return client.get_flight_info(descriptor(**options), CALL)


def plain(table):
    """Without dictionaries, which pyarrow compares by their order: a batch has its own."""
    return table.set_column(table.column_names.index("genre"), "genre", table["genre"].cast(pa.string()))


def fetch(client, found):
    """All endpoints at once, their rows in order."""
    with concurrent.futures.ThreadPoolExecutor(len(found.endpoints)) as threads:
        tables = list(threads.map(lambda endpoint: client.do_get(endpoint.ticket, CALL).read_all(), found.endpoints))
    return pa.concat_tables(tables)


def test_what_is_listed_is_what_comes(data, folder):
    listed = {flight.descriptor.path[0].decode(): flight for flight in data.list_flights(options=CALL)}
    assert list(listed)[:2] == ["hive", "one"] and all(name.startswith(("textflight_", "builtin_")) for name in list(listed)[2:])
    assert [flight.descriptor.path for flight in data.list_flights(b"on", CALL)] == [[b"one"]]
    # Of several string columns none is scored by default: it is listed, and says so.
    assert not listed["one"].endpoints and b"more than one string column" in listed["one"].app_metadata
    hive = data.get_flight_info(fl.FlightDescriptor.for_path("hive"), CALL)
    assert hive.schema.equals(listed["hive"].schema, check_metadata=True) and listed["hive"].total_records == 120
    asked = descriptor(data="one", text="text")
    found = data.get_flight_info(asked, CALL)
    assert (found.total_records, found.ordered) == (ROWS, True)
    assert found.total_bytes == (folder / "one.parquet").stat().st_size
    assert data.get_schema(asked, CALL).schema.equals(found.schema, check_metadata=True)
    got = fetch(data, found)
    assert got.schema.equals(found.schema, check_metadata=True)
    got.validate(full=True)
    # As pyarrow reads the file, which calls the items of lists otherwise than the table did.
    kept = pq.read_table(folder / "one.parquet")
    assert plain(got.select(kept.column_names)).equals(plain(kept))
    for endpoint in found.endpoints:
        assert [location.uri for location in endpoint.locations] == [b"arrow-flight-reuse-connection://?"]
        assert endpoint.expiration_time is not None


def test_scores_are_those_of_every_other_way(data, folder, tmp_path):
    got = fetch(data, info(data, data="one", text="text", details=True, probabilities=True))
    exchanged = score(data, pq.read_table(folder / "one.parquet"), text="text", details=True, probabilities=True)
    assert got.schema.equals(exchanged.schema, check_metadata=True) and plain(got).equals(plain(exchanged))
    output = tmp_path / "out.parquet"
    done = run("score", folder / "one.parquet", "-o", output, "--model", MODEL, "--text", "text", "--details", "--probabilities")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(output, columns=["label", "confidence"]).equals(got.select(["label", "confidence"]))


@pytest.mark.parametrize("partitions", [1, 2, 99])
@pytest.mark.parametrize("limit", [None, 0, 1, 100, 101, 299, 5000])
def test_every_row_comes_once(data, partitions, limit):
    options = {} if limit is None else {"limit": limit}
    found = info(data, data="one", text="text", columns=["id"], partitions=partitions, **options)
    rows = ROWS if limit is None else min(limit, ROWS)
    assert len(found.endpoints) == min(partitions, max(1, -(-rows // 100)))
    assert found.total_records == rows
    got = fetch(data, found)
    assert got.column_names == ["id", "label", "confidence"]
    assert got["id"].to_pylist() == list(range(rows))


def test_columns_that_are_not_asked_for_are_not_read(data):
    few, all_of_them = (info(data, data="one", text="text", columns=columns) for columns in (["id"], "all"))
    assert 0 < few.total_bytes < all_of_them.total_bytes / 2
    new = info(data, data="one", text="text", columns="new")
    assert new.schema.names == ["label", "confidence"] and fetch(data, new).num_rows == ROWS


def test_names_of_folders_are_columns(data):
    found = info(data, data="hive")
    assert found.schema.names == ["id", "text", "year", "month", "label", "confidence"]
    assert found.schema.field("year").type == pa.int64()
    got = fetch(data, found)
    assert got.num_rows == 120
    counts = duckdb.sql("select year, month, count(*) from got group by all order by all").fetchall()
    assert counts == [(2025, 1, 40), (2025, 2, 40), (2026, 1, 40)]
    one = data.get_flight_info(fl.FlightDescriptor.for_path("hive", "year=2026/month=01/part.parquet"), CALL)
    assert fetch(data, one)["year"].to_pylist() == [2026] * 40
    assert fetch(data, info(data, data="hive", path="year=2025", columns=["month"])).num_rows == 80


def test_polars_pandas_and_duckdb_read_the_stream(data):
    ticket = info(data, data="one", text="text", columns=["id"], partitions=1).endpoints[0].ticket
    reader = data.do_get(ticket, CALL).to_reader()
    assert duckdb.sql("select count(*), min(id), max(id) from reader").fetchall() == [(ROWS, 0, ROWS - 1)]
    assert pl.from_arrow(data.do_get(ticket, CALL).to_reader())["id"].to_list() == list(range(ROWS))
    assert list(data.do_get(ticket, CALL).read_pandas()["id"]) == list(range(ROWS))


@pytest.mark.parametrize("options, error, text", [
    (dict(data="none"), KeyError, "data sets: hive, one"),
    (dict(data="hive", path="none.parquet"), KeyError, "none.parquet"),
    (dict(data="hive", path="../one.parquet"), fl.FlightUnauthorizedError, "leads elsewhere"),
    (dict(data="hive", path="/etc/passwd"), fl.FlightUnauthorizedError, "leads elsewhere"),
    (dict(data="hive", path="link.parquet"), fl.FlightUnauthorizedError, "leads elsewhere"),
    (dict(data="hive", path="%2e%2e/one.parquet"), KeyError, "there is no"),
    (dict(data="hive", path="year=2025/month=01/_part.parquet"), pa.ArrowInvalid, "not a Parquet file"),
    (dict(data="hive", text="year"), pa.ArrowInvalid, "year.* is int64, not text"),
    (dict(data="one"), pa.ArrowInvalid, "more than one string column"),
    (dict(data="one", text="text", columns=["none"]), pa.ArrowInvalid, "none"),
    (dict(data="one", text="text", partitions=0), pa.ArrowInvalid, "1 to 4096"),
    (dict(data="one", text="text", partitions=4097), pa.ArrowInvalid, "1 to 4096"),
])
def test_what_is_wrong_is_said(data, options, error, text):
    with pytest.raises(error, match=text):
        info(data, **options)


def test_a_ticket_with_any_byte_changed_is_refused(data):
    ticket = info(data, data="hive", partitions=1).endpoints[0].ticket.ticket
    for at in range(0, len(ticket), 5):
        for forged in (ticket[:at] + bytes([ticket[at] ^ 4]) + ticket[at + 1:], ticket[:at]):
            with pytest.raises((fl.FlightUnauthenticatedError, pa.ArrowInvalid)):
                data.do_get(fl.Ticket(forged), CALL).read_all()
    assert data.do_get(fl.Ticket(ticket), CALL).read_all().num_rows == 120


def test_a_flight_is_polled_renewed_and_cancelled_by_actions(data):
    def act(name, body):
        return [result.body.to_pybytes() for result in data.do_action(fl.Action(name, body), CALL)]

    asked = fl.FlightDescriptor.for_command(json.dumps({"data": "hive"})).serialize()
    while asked:
        _, found, *following = act("PollFlightInfo", asked)
        asked = following[0] if following else None
    found = fl.FlightInfo.deserialize(found)
    assert (found.total_records, len(found.endpoints)) == (120, 3)
    [renewed] = act("RenewFlightEndpoint", raw.field(1, found.endpoints[0].serialize()))
    renewed = fl.FlightEndpoint.deserialize(renewed)
    assert renewed.expiration_time.value >= found.endpoints[0].expiration_time.value
    assert data.do_get(renewed.ticket, CALL).read_all().num_rows == 40
    assert act("CancelFlightInfo", raw.field(1, found.serialize())) == [b"\x08\x01"]
    with pytest.raises(fl.FlightCancelledError):
        data.do_get(renewed.ticket, CALL).read_all()


@pytest.mark.parametrize("options, text", [
    (["--data", "a=/nowhere"], "/nowhere"),
    (["--data", "a"], "NAME=PATH"),
    (["--data", "textflight_a=/"], "functions of SQL"),
    (["--data", "a=/tmp", "--data", "a=/tmp"], "already"),
    (["--data", "a=s3://bucket/key"], "is a URL"),
    (["--advertise", "http://host:1"], "grpc+tls://host:8815"),
    (["--ticket-key-file", "/dev/null"], "too short"),
])
def test_what_cannot_be_served_ends_with_code_2(options, text):
    done = run("serve", "--model", MODEL, "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", *options)
    assert done.returncode == 2 and text in done.stderr, done.stderr
