"""`textflight.duckdb`: a function of DuckDB's."""
import json
import threading

import duckdb
import pyarrow as pa
import pytest

import textflight
import textflight.duckdb
from client import CALL, wait_until
from server import BINARY

ROWS = 100_000


@pytest.fixture
def address(server):
    return f"grpc://{server.flight}"


@pytest.fixture
def con(address):
    with duckdb.connect() as connection:
        yield textflight.duckdb.register(connection, name="sentiment", server=address)


def test_a_table_of_100_000_rows(con):
    con.execute(f"""CREATE TABLE reviews AS SELECT i AS id, CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN 'dull , dull , dull'
                    ELSE 'a lovely film of ' || i % 50 || ' minutes' END AS review FROM range({ROWS}) AS rows(i)""")
    counted = con.sql("SELECT sentiment(review).label, count(*) FROM reviews GROUP BY 1 ORDER BY 1 NULLS FIRST").fetchall()
    assert counted == [(None, ROWS // 4), ("NEGATIVE", ROWS // 4), ("POSITIVE", ROWS // 2)]


def test_scores_are_those_of_the_table(con, address, dev_texts):
    table = pa.table({"id": range(300), "review": dev_texts[:300]})
    con.register("reviews", table)
    found = con.sql("SELECT unnest(s) FROM (SELECT id, sentiment(review) AS s FROM reviews) ORDER BY id").to_arrow_table()
    expected = textflight.score(table["review"], server=address, progress=False)
    assert found.to_pydict() == expected.to_pydict()
    assert found["confidence"].type == pa.float32()


def test_the_type_is_known_before_a_row_is_scored(con):
    relation = con.sql("SELECT sentiment(review) AS s FROM (SELECT 'a' AS review)")
    [(label, text), (confidence, number)] = relation.types[0].children
    assert (relation.columns, label, str(text), confidence, str(number)) == (["s"], "label", "VARCHAR", "confidence", "FLOAT")


def test_nulls_blanks_and_nothing(con):
    rows = con.sql("SELECT sentiment(x) IS NULL, sentiment(x).label FROM (VALUES (NULL), (''), ('  '), ('a lovely film')) AS texts(x)").fetchall()
    assert [null for null, _ in rows] == [True, False, False, False]
    assert rows[0][1] is None and rows[1][1] == rows[2][1] and rows[3][1] == "POSITIVE"
    assert con.sql("SELECT sentiment(NULL)").fetchall() == [(None,)]
    assert con.sql("SELECT sentiment(x) FROM (SELECT 'a' AS x) WHERE x = 'b'").fetchall() == []
    assert con.sql("SELECT sentiment('\U0001f389 naïve').label").fetchall()[0][0] in ("POSITIVE", "NEGATIVE")


def test_other_types_have_to_be_cast(con):
    assert con.sql("SELECT sentiment(1::VARCHAR).label").fetchall()[0][0] in ("POSITIVE", "NEGATIVE")
    assert con.sql("SELECT sentiment(x).label FROM (SELECT 'good'::ENUM('good', 'bad') AS x)").fetchall() == [("POSITIVE",)]
    with pytest.raises(duckdb.BinderException, match=r"sentiment\(VARCHAR\)"):
        con.sql("SELECT sentiment([1])").fetchall()


def test_what_the_server_refuses_is_an_error_of_duckdbs_with_our_text(con, serve):
    textflight.duckdb.register(con, "small", server=f"grpc://{serve('--max-message-mib', '1').flight}")
    with pytest.raises(duckdb.InvalidInputException, match="InvalidError: .*--max-message-mib"):
        con.sql("SELECT small(x) FROM (VALUES ('a'), (repeat('x', 2000000))) AS texts(x)").fetchall()
    assert con.sql("SELECT small('a lovely film').label").fetchall() == [("POSITIVE",)]


def test_a_server_that_is_not_there_is_an_error_of_duckdbs(con):
    textflight.duckdb.register(con, "nobody", server="grpc://127.0.0.1:1")
    with pytest.raises(duckdb.InvalidInputException, match=r"127\.0\.0\.1:1"):
        con.sql("SELECT nobody('a lovely film')").fetchall()


def test_a_wrong_token_is_an_error_of_duckdbs(con, serve):
    address = f"grpc://{serve('--api-token', 'secret').flight}"
    textflight.duckdb.register(con, "guarded", server=address, token="wrong")
    with pytest.raises(duckdb.InvalidInputException, match="token"):
        con.sql("SELECT guarded('a lovely film')").fetchall()
    textflight.duckdb.register(con, "guarded", server=address, token="secret")
    assert con.sql("SELECT guarded('a lovely film').label").fetchall() == [("POSITIVE",)]


def test_a_function_is_replaced_and_names_may_differ(con, address):
    assert textflight.duckdb.register(con, "sentiment", server=address) is not None
    textflight.duckdb.register(con, "Mood", server=address)
    assert con.sql("SELECT sentiment(x) = mood(x) FROM (SELECT 'a lovely film' AS x)").fetchall() == [(True,)]


def test_the_name_of_a_function_of_duckdbs_stays_its_own(con, address):
    with pytest.raises(duckdb.CatalogException, match="lower"):
        textflight.duckdb.register(con, "lower", server=address)
    assert con.sql("SELECT lower('A')").fetchall() == [("a",)]


@pytest.mark.parametrize("where", ["cursor", "connection"])
def test_another_connection_of_the_database_has_the_function(con, address, tmp_path, where):
    """It is the database's. DuckDB has the connection that it was registered with replace it, and no other."""
    with duckdb.connect(tmp_path / "db") as first, (first.cursor() if where == "cursor" else duckdb.connect(tmp_path / "db")) as second:
        textflight.duckdb.register(first, "mood", server=address)
        assert second.sql("SELECT mood('a lovely film').label").fetchall() == [("POSITIVE",)]
        with pytest.raises(ValueError, match='"Mood" is a function of this database already, for all of its connections.*can replace it'):
            textflight.duckdb.register(second, "Mood", server=address)
        assert textflight.duckdb.register(first, "mood", server=address) is first
        assert second.sql("SELECT mood('a lovely film').label").fetchall() == [("POSITIVE",)]


def test_the_default_connection_of_the_module(address):
    textflight.duckdb.register(duckdb, "module_sentiment", server=address)
    try:
        assert duckdb.sql("SELECT module_sentiment('a lovely film').label").fetchall() == [("POSITIVE",)]
    finally:
        duckdb.remove_function("module_sentiment")


def test_several_threads_and_cursors(con):
    con.execute("SET threads = 4")
    # Threads take row groups of 122,880 rows: one row in a hundred of several of them.
    con.execute("CREATE TABLE films AS SELECT i, CASE i % 200 WHEN 0 THEN 'a lovely film' ELSE 'dull , dull , dull' END AS review FROM range(500000) AS rows(i)")
    query = "SELECT sentiment(review).label AS label, count(*) FROM films WHERE i % 100 = 0 AND sentiment(review).confidence > 0.5 GROUP BY ALL"
    assert dict(con.cursor().sql(query).fetchall()) == {"POSITIVE": 2500, "NEGATIVE": 2500}


def test_an_interrupted_query_ends_and_leaves_the_server_in_peace(con, client):
    def stats():
        return json.loads(next(iter(client.do_action("stats", CALL))).body.to_pybytes())

    failed = []

    def query():
        try:
            con.execute("SELECT count(sentiment('film ' || i).label) FROM range(10000000) AS rows(i)").fetchall()
        except duckdb.InterruptException as error:
            failed.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    wait_until(lambda: stats()["exchanges_open"])
    con.interrupt()
    thread.join(60)
    assert not thread.is_alive() and len(failed) == 1
    wait_until(lambda: not stats()["exchanges_open"])


def test_without_a_server_one_is_started(monkeypatch, tmp_path):
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(BINARY))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with duckdb.connect() as connection:
        textflight.duckdb.register(connection)
        assert connection.sql("SELECT sentiment('a lovely film').label").fetchall() == [("POSITIVE",)]
