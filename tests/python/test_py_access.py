"""Tokens, TLS with an authority of one's own, and addresses, as the Python package takes them."""
import pickle
from functools import partial

import pytest

import textflight
from test_security import Pki


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path)


def test_a_token(serve):
    address = f"grpc://{serve('--api-token', 'hush-hush').flight}"
    assert textflight.score(["good"], server=address, token="hush-hush")[0]["label"] == "POSITIVE"
    for token in (None, "hush-hus"):
        with pytest.raises(textflight.TokenError, match="token") as raised:
            textflight.score(["good"], server=address, token=token)
        assert isinstance(raised.value, (ValueError, PermissionError)) and "hush" not in str(raised.value)
        with pytest.raises(PermissionError):
            textflight.Client(address, token=token).info()
    client = textflight.Client(address, token="hush-hush")
    assert "hush" not in repr(vars(client)) and pickle.loads(pickle.dumps(client)).predict("good")


def test_tls_with_an_authority_of_ones_own(serve, pki):
    running = serve(*pki.options())
    address, ca = f"grpc+tls://{running.flight}", pki.folder / "ca.pem"
    for given in (ca, str(ca), ca.read_bytes(), ca.read_text()):
        assert textflight.Client(address, ca=given).predict("good")[0].label == "POSITIVE"
    for client in (textflight.Client(address), textflight.Client(f"grpc://{running.flight}")):
        with pytest.raises(ConnectionError, match=running.flight):
            client.predict("good")


def test_addresses_that_are_none():
    for address in ("", "nowhere", "http://127.0.0.1:5000", "grpc://127.0.0.1", "grpc://127.0.0.1:99999", "grpc://127.0.0.1:8815/x", "grpc://a b:1"):
        with pytest.raises(ValueError, match="no address of a Flight server: grpc://HOST:PORT"):
            textflight.Client(address)
    for servers, said in [([], "names no server"), (5, "server is int"), ([5], "server is int"), ({"a": 1}, "server is dict"), (b"a:1", "server is bytes")]:
        with pytest.raises(ValueError, match=said):
            textflight.score(["a"], server=servers)
    assert textflight.Client("localhost:8815") and textflight.Client(["grpc://[::1]:8815", "grpc+tls://b.example:1"])


def test_arguments_that_are_none(tmp_path):
    for options, said in [
        ({"token": "two words"}, "token is not"),
        ({"token": ""}, "token is not"),
        ({"ca": tmp_path / "none.pem"}, "none.pem.*cannot be read: No such file"),
        ({"token": 5}, "token is int"),
        ({"ca": 5}, "ca is int"),
        ({"ca": b"garbage"}, "no certificate in PEM"),
        ({"timeout": "5"}, "timeout is '5'"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": -1}, "timeout is -1"),
        ({"timeout": True}, "timeout is True"),
        ({"model": "mine"}, "^model is for a local server, and server= names others"),
        ({"dtype": "int8"}, "^dtype is for a local server, and server= names others"),
        ({"model": 5}, "^model=5: expected"),
        ({"dtype": ["int8"]}, r"^dtype=\['int8'\]: expected"),
    ]:
        for call in (textflight.Client, partial(textflight.score, ["a"]), partial(textflight.predict, ["a"]), partial(textflight.score_parquet, "a", "b")):
            with pytest.raises(ValueError, match=said):
                call(server="grpc://127.0.0.1:8815", **options)


def test_what_is_for_other_servers_is_not_passed_over(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----")
    for options in ({"token": "hush-hush"}, {"ca": ca}):
        for call in (textflight.Client, partial(textflight.score, ["a"]), partial(textflight.predict, ["a"]), partial(textflight.score_parquet, "a", "b")):
            with pytest.raises(ValueError, match=f"^{next(iter(options))} is for servers that server= names, and none is named"):
                call(**options)
    with pytest.raises(ValueError, match="^timeout is for servers that server= names, and none is named"):
        textflight.score_parquet("a", "b", timeout=5)
