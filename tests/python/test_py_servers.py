"""By which server a call is answered: proxies, servers that are silent, become others, or are not needed any more."""
import asyncio
import json
import os
import shutil
import signal
import socket
import time

import pyarrow as pa
import pytest

import textflight
import textflight.aio
from client import wait_until
from programs import run, runtime, serving  # noqa: F401
from server import BINARY, MODEL
from test_py_recovery import ROWS, SCHEMA, address, batch, killable, stream  # noqa: F401
from textflight import _kept, _locks
from textflight._launch import Running
from textflight._target import Target


@pytest.fixture
def local(tmp_path, monkeypatch):
    """A folder of the test's own for local servers, of which none is left after it."""
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(BINARY))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield tmp_path
    _kept.client_of.cache_clear()
    wait_until(lambda: not serving(tmp_path), what="every server ends with its clients")


@pytest.fixture
def silent():
    """The address of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"grpc://127.0.0.1:{listener.getsockname()[1]}"


def seconds_of(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "HTTP_PROXY", "grpc_proxy"])
def test_no_proxy_stands_before_what_is_on_this_machine(server, runtime, name):
    code = """
        import sys, textflight
        print(textflight.predict("good")[0].label, textflight.predict("bad", server=sys.argv[1], timeout=20)[0].label)
    """
    for host in ("127.0.0.1", "localhost"):
        there = f"grpc://{host}:{server.flight.rpartition(':')[2]}"
        assert run(code, there, **{name: "http://127.0.0.1:1", **runtime}) == ["POSITIVE NEGATIVE"]


def test_one_run_never_mixes_two_models(killable):
    """The first server is told to stop, and finishes what has begun; who connects again meanwhile comes to the second."""
    first = killable()
    with textflight.Client(address(first)) as client:
        def replace(number):
            if number == 0:
                first.terminate()
                wait_until(lambda: not takes_connections(first.flight))
                killable("--max-length", "64", flight=first.flight)

        with pytest.raises(ValueError, match="serves another model than before.*its max_length is 64, not 128"):
            stream(client, 60, at=replace).read_all()


def takes_connections(where):
    host, port = where.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def test_a_server_may_have_another_model_the_next_time(killable):
    first = killable()
    where = address(first)
    with textflight.Client(where, timeout=1) as client:
        assert not is_cut(server=where) and client.predict("good")
        first.kill()
        with pytest.raises(ConnectionError):
            client.predict("good")
        killable("--max-length", "64", flight=first.flight)
        assert is_cut(server=where)
        assert client.info()["max_length"] == 64 and client.predict("good")[0].label == "POSITIVE"


def is_cut(**options):
    """Whether the server's model takes no text of 102 tokens."""
    return textflight.score([" ".join(["fine"] * 100)], details=True, **options)[0]["truncated"]


def test_a_model_that_changes_is_another(local, monkeypatch):
    model = local / "models" / "mine"
    shutil.copytree(MODEL, model)
    client = textflight.Client(model=model)
    assert textflight.predict("good", model=str(model))[0].label == client.predict("good")[0].label == "POSITIVE"
    config = json.loads((model / "config.json").read_text())
    config["id2label"] = {"0": "BAD", "1": "GOOD"}
    config["label2id"] = {"BAD": 0, "GOOD": 1}
    (model / "config.json").write_text(json.dumps(config))
    assert textflight.predict("good", model=str(model))[0].label == client.predict("good")[0].label == client.info()["labels"][1] == "GOOD"
    wait_until(lambda: len(serving(local)) == 1, what="the server of what the folder was ends")
    other = local / "others" / "mine"
    shutil.copytree(MODEL, other)
    labels = []
    for folder in (model, other):
        monkeypatch.chdir(folder.parent)
        labels.append(textflight.predict("good", model="mine")[0].label)
    assert labels == ["GOOD", "POSITIVE"]


def test_variables_that_change_hold_from_the_next_call_on(local, monkeypatch):
    assert not is_cut()
    monkeypatch.setenv("TEXTFLIGHT_MAX_LENGTH", "32")
    assert is_cut()
    monkeypatch.delenv("TEXTFLIGHT_MAX_LENGTH")
    assert not is_cut()


def test_a_silent_server_holds_nobody_up_where_another_is_there(server, silent):
    where = [silent, address(server)]
    for timeout in (None, 6, 1):
        with textflight.Client(where, timeout=timeout) as client:
            taken = [seconds_of(lambda: client.predict("good")) for _ in range(6)]
            assert max(taken) < 5 and sorted(taken)[4] < 0.9, "the one that was silent is asked last"
            assert stream(client).read_all().num_rows == 24 * ROWS
            assert seconds_of(client.info) < 5
    assert textflight.predict("good", server=where)[0].label == "POSITIVE"


def test_a_server_that_falls_silent_holds_nobody_up(server, killable):
    """Connections that are there already are no sign of life."""
    stopped = killable()
    with textflight.Client([address(stopped), address(server)]) as client:
        for _ in range(4):
            client.predict("good")
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            assert max(seconds_of(lambda: client.predict("good")) for _ in range(4)) < 5
            assert seconds_of(client.info) < 5
        finally:
            stopped.process.send_signal(signal.SIGCONT)


def test_only_silence(silent):
    with textflight.Client(silent, timeout=1) as client:
        for call in (client.info, lambda: client.predict("good"), lambda: textflight.predict("good", server=silent, timeout=1)):
            began = time.monotonic()
            with pytest.raises(TimeoutError, match=rf"no answer from {silent} in 1 s \(timeout\)"):
                call()
            assert time.monotonic() - began < 2.5


def test_info_asks_one_after_another(server, silent):
    nobody = "grpc://127.0.0.1:1"
    for where in ([nobody, address(server)], [silent, nobody, address(server)]):
        assert textflight.Client(where, timeout=20).info()["labels"] == ["NEGATIVE", "POSITIVE"]
    with pytest.raises(textflight.ConnectError, match="127.0.0.1:[12]: .*127.0.0.1:[12]: "):
        textflight.Client([nobody, "grpc://127.0.0.1:2"]).info()


def test_asking_a_silent_server_may_be_cancelled(silent):
    async def main():
        async with textflight.aio.Client(silent) as client:
            for call in (client.info, lambda: client.predict("good")):
                began = time.monotonic()
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(call(), 0.3)
                assert time.monotonic() - began < 2.5

    asyncio.run(main())


def sockets():
    """How many this process has open."""
    folder = "/proc/self/fd"
    found = 0
    for name in os.listdir(folder):
        try:
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
        except OSError:
            pass  # That of the listing itself.
    return found


def test_clients_that_are_not_asked_for_are_let_go(server):
    before = sockets()
    kept = textflight.score(pa.RecordBatchReader.from_batches(SCHEMA, (batch(n) for n in range(60))), "text", server=address(server), timeout=99)
    rows = kept.read_next_batch().num_rows
    for number in range(40):
        textflight.predict("good", server=address(server), token=f"token-{number}")
    wait_until(lambda: sockets() - before <= 2 * 12, what="the connections of all but a few are closed")
    assert rows + kept.read_all().num_rows == 60 * ROWS, "a call that is under way keeps its own"


def test_a_local_server_ends_with_its_client(local):
    client = textflight.Client()
    reader = client.score(pa.table({"text": ["good"] * 3000}).to_reader(100))
    client.close()
    assert reader.read_all().num_rows == 3000, "a call that is under way keeps its own"
    del reader
    wait_until(lambda: not serving(local))
    assert textflight.predict("good") and len(serving(local)) == 1
    _kept.client_of.cache_clear()
    wait_until(lambda: not serving(local))


def test_an_error_that_is_kept_keeps_no_server(local):
    client = textflight.Client()
    with pytest.raises(ValueError) as kept:
        client.score(pa.table({"text": pa.array([b"\xff"])}), "text")
    client.close()
    assert kept.value.__traceback__
    wait_until(lambda: not serving(local))


def test_files_of_servers_that_are_gone_are_taken_away(local, monkeypatch):
    folder = local / "textflight"
    first, other = textflight.Client(), textflight.Client(dtype="f32")
    assert first.predict("good") and other.predict("good")
    assert len(list(folder.glob("*.json"))) == len(list(folder.glob("*.lock"))) == 2
    other.close()
    wait_until(lambda: [is_held(state) for state in folder.glob("*.json")].count(True) == 1)
    monkeypatch.setenv("TEXTFLIGHT_MAX_LENGTH", "32")
    third = textflight.Client()
    assert third.predict("good") and len(serving(local)) == 2
    for ending in ("json", "lock", "log", "users"):
        assert len(list(folder.glob(f"*.{ending}"))) == 2, ending
    monkeypatch.delenv("TEXTFLIGHT_MAX_LENGTH")
    running = serving(local)
    assert first.predict("good") and serving(local) == running, "what is held stays"


def is_held(path):
    with open(path) as opened:
        return _locks.is_held(opened.fileno())


def test_tokens_are_shown_nowhere():
    target = Target.of("a:1", "bundled", None, "hush-hush", None, None)
    assert "hush" not in repr(target) and "hush" not in repr(Running(1, "grpc://a:1", "http://a:1", "hush-hush"))
