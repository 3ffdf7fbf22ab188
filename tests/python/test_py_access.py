"""Tokens, TLS with an authority of one's own, and addresses, as the Python package takes them."""
import pickle

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
    ]:
        with pytest.raises(ValueError, match=said):
            textflight.Client("grpc://127.0.0.1:8815", **options)
