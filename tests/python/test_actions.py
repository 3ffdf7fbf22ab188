"""What a client can ask the server to do or to tell, by DoAction."""
import json

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import client as clients
from client import CALL, assert_serving


def act(client, name, body=b""):
    return [result.body.to_pybytes() for result in client.do_action(fl.Action(name, body), CALL)]


def tell(client, name, body=b""):
    """The one JSON object that an action answers with."""
    [answer] = act(client, name, body)
    return json.loads(answer)


def test_the_list_describes_what_there_is(client):
    listed = {action.type: action.description for action in client.list_actions()}
    assert {"model_info", "stats", "health"} <= set(listed)
    assert all(listed.values())
    for name in listed:
        try:
            act(client, name, b"\xff")
        except pa.ArrowInvalid:
            pass  # It is known, and the body is not what it takes.


def test_model_info(client):
    info = tell(client, "model_info")
    assert info["labels"] == ["NEGATIVE", "POSITIVE"]
    assert (info["device"], info["max_length"], len(info["version"])) == ("cpu", 128, 64)
    assert info["name"].endswith("sst2-mini") and info["kernels"] and info["dtype"] and info["textflight"]
    scored = clients.score(client, clients.texts("fine"))
    assert [column["name"] for column in info["columns"]] == scored.column_names[1:]
    assert [column["type"] for column in info["columns"]] == ["Utf8", "Float32"]
    assert info["limits"]["message_bytes"] == 128 * 1024 * 1024 and info["limits"]["exchanges"] == 64


def test_stats_follow_what_happens(serve, connect_to):
    client = connect_to(serve("--max-exchanges", "3", "--memory-limit", "64MiB"))
    before = tell(client, "stats")
    assert (before["exchanges_open"], before["exchanges_limit"], before["queued_rows"]) == (0, 3, 0)
    assert before["memory_limit_bytes"] <= 64 * 1024 * 1024
    assert all(isinstance(value, (int, float)) for value in before.values())
    writer, reader = clients.take_place(client, clients.texts("fine"))
    during = tell(client, "stats")
    assert during["exchanges_open"] == 1
    assert during["uptime_seconds"] >= before["uptime_seconds"] > 0
    clients.finish(writer, reader)


def test_health(client):
    assert tell(client, "health") == {"status": "SERVING"}


@pytest.mark.parametrize("body", [b"", b"{}", b" {} "])
def test_an_empty_object_is_no_body(client, body):
    assert tell(client, "health", body)


@pytest.mark.parametrize("name", ["model_info", "stats", "health"])
@pytest.mark.parametrize("body", [b"{", b'{"a": 1}', b"\xff", b"null"])
def test_a_body_that_nobody_reads_is_refused(client, name, body):
    with pytest.raises(pa.ArrowInvalid, match="takes no body"):
        act(client, name, body)
    assert_serving(client)


@pytest.mark.parametrize("name", ["", "Health", "drop table", "\n", "\u2603", "x" * 10_000])
def test_an_action_that_is_not_there(client, name):
    with pytest.raises(pa.ArrowNotImplementedError, match="actions: model_info, stats, health"):
        act(client, name)
    assert_serving(client)


def test_a_body_that_is_too_large(client):
    act(client, "health", b" " * 100_000)
    with pytest.raises(pa.ArrowInvalid, match="a call of this kind takes 8454144"):
        act(client, "health", b" " * (9 << 20))
    assert_serving(client)
