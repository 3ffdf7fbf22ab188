"""Every limit of `textflight serve --help` is met once, and whoever meets it hears its name."""
import http.client
import re
import socket
import time

import pyarrow as pa
import pytest

import client as clients
import server as servers
from client import CALL, close, descriptor, score_in_turn, take_place, texts, wait_until
from conftest import connect
from metrics import page
from rest import CSV, post
from uploads import commit, put, stats


def said(call, *arguments):
    """The error of a Flight call that fails."""
    with pytest.raises((pa.ArrowException, KeyError)) as error:
        call(*arguments)
    return str(error.value)


def exchanging(*tables):
    def meet(running, client):
        for table in tables[:-1]:
            score_in_turn(client, table)
        return said(score_in_turn, client, tables[-1])
    return meet


def uploading(name, *tables):
    def meet(running, client):
        for number, table in enumerate(tables[:-1]):
            put(client, f"{name}{number}", table)
        return said(put, client, name, tables[-1])
    return meet


def another_exchange(running, client):
    writer, _ = take_place(client, texts("a"))
    with connect(running) as other:
        text = said(score_in_turn, other, texts("a"))
    close(writer)
    return text


def open_exchange(running, client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    text = said(lambda: [writer.begin(texts("a").schema), reader.read_all()])
    close(writer)
    return text


def no_schema(running, client):
    writer, reader = client.do_exchange(descriptor(), CALL)
    text = said(reader.read_all)
    close(writer)
    return text


def late_commit(running, client):
    put(client, "late", texts("a"))
    wait_until(lambda: stats(client)["uploads_staged"] == 0)
    return said(commit, client, "late", 1)


def late_ticket(running, client):
    [endpoint] = client.get_flight_info(descriptor(data="reviews", text="text", partitions=1), CALL).endpoints
    wait_until(lambda: time.time() > endpoint.expiration_time.as_py().timestamp())
    return said(lambda: client.do_get(endpoint.ticket, CALL).read_all())


def large_body(running, client):
    return post(running, {}, b"text\n" + b"x" * 2048, CSV)[2].decode()


def begin(running, path, kind, length):
    """A request that the server has begun with: it asks for the body, which does not come."""
    connection = http.client.HTTPConnection(running.http, timeout=60)
    connection.putrequest("POST", path)
    connection.putheader("content-type", kind)
    connection.putheader("content-length", str(length))
    connection.putheader("expect", "100-continue")
    connection.endheaders()
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100")
    connection.send(b"text\n")
    return connection


def another_table(running, client):
    waiting = begin(running, "/score", CSV, 1000)
    status, headers, text = post(running, {}, b"text\na\n", CSV)
    assert (status, headers["retry-after"]) == (503, "1")
    waiting.close()
    return text.decode()


def logged(running, words):
    wait_until(lambda: words in running.log.read_text())
    return next(line for line in running.log.read_text().splitlines() if words in line)


def another_connection(running, client):
    addresses = [running.http.split(":")] * 2
    opened = [socket.create_connection(address, timeout=30) for address in addresses]
    text = logged(running, "as many connections are open as may be")
    for connection in opened:
        connection.close()
    return text


def silent_connection(running, client):
    with socket.create_connection(running.http.split(":"), timeout=30) as silent:
        assert silent.recv(1) == b""
    return logged(running, "did not say in time")


def slow_end(running, client):
    waiting = begin(running, "/score", CSV, 1000)
    wait_until(lambda: 'textflight_requests_open{port="http",route="/score"} 1' in page(running)[1])
    running.terminate()
    running.process.wait(30)
    waiting.close()
    return logged(running, "stopped")


# What the server is given, and how the limit is met.
MET = {
    "--max-message-mib": ("1", [], exchanging(clients.heavy(32))),
    "--memory-limit": ("16MiB", [], exchanging(clients.heavy(200))),
    "--max-exchanges": ("1", [], another_exchange),
    "--max-score-requests": ("1", [], another_table),
    "--max-score-body": ("1KiB", [], large_body),
    "--spool-limit": ("64KiB", ["--upload-memory", "0"], uploading("a", clients.heavy(2))),
    "--max-uploads": ("1", [], uploading("a", texts("a"), texts("b"))),
    "--upload-limit": ("64KiB", [], uploading("a", clients.heavy(2))),
    "--upload-rows": ("2", [], uploading("a", texts("a", "b", "c"))),
    "--upload-expiry": ("0.2", [], late_commit),
    "--ticket-lifetime": ("0.5", ["--data", f"reviews={servers.REPOSITORY / 'data' / 'reviews.parquet'}", "--threads", "1"], late_ticket),
    "--max-connections": ("1", ["--handshake-timeout", "30"], another_connection),
    "--handshake-timeout": ("0.3", ["--log", "debug"], silent_connection),
    "--stall-timeout": ("0.3", [], no_schema),
    "--exchange-idle-timeout": ("0.3", [], open_exchange),
    "--stream-timeout": ("0.5", [], open_exchange),
    "--drain-timeout": ("0.3", [], slow_end),
}

# And why nobody hears of these.
UNHEARD = {
    "--max-length": "texts are cut there, which `details` says",
    "--upload-memory": "what is more goes to the spool",
    "--queue-rows": "Flight clients and files wait, and a prediction hears 409 in Cog's own words",
    "--max-concurrent-predictions": "409 in Cog's own words",
    "--idle-timeout": "a connection without a request is told to go by HTTP/2, or closed",
    "--max-header-bytes": "431 by the HTTP library, which has no text",
}


@pytest.mark.parametrize("limit", MET)
def test_whoever_meets_a_limit_hears_its_name(serve, connect_to, limit):
    value, more, meet = MET[limit]
    running = serve(limit, value, *more)
    text = meet(running, connect_to(running))
    assert limit in text


def test_all_limits_of_help_are_met_and_documented():
    text = servers.run("serve", "--help").stdout
    limits = set(re.findall(r"^ +(--(?:max|queue|memory|upload)-[a-z-]+|--[a-z-]*(?:limit|timeout|lifetime))", text, re.MULTILINE))
    assert limits == {*MET, *UNHEARD}
    documented = (servers.REPOSITORY / "docs" / "flight.md").read_text()
    assert not {limit for limit in limits - {"--max-length"} if f"{limit}`" not in documented}
