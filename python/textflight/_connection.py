"""A server's address, and the connection to it."""
from __future__ import annotations

import ipaddress
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.flight as fl

from ._errors import InvalidError, KindError
from ._forks import note_open, note_opening

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_ADDRESS = re.compile(r"^(?:(?P<scheme>grpc|grpc\+tcp|grpc\+tls)://)?(?P<host>\[[0-9a-fA-F:.%]+\]|[^/:\[\]\s]+):(?P<port>\d{1,5})/?$")

# A peer that is gone without a word is noticed in a minute; a connection that is refused is tried again soon.
_CHANNEL = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 40_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_send_message_length", -1),
]
# What is on this machine no proxy could reach. gRPC asks that of http_proxy for all that no_proxy does not name.
_NO_PROXY = ("grpc.enable_http_proxy", 0)
# How long a server may take to say what it serves, which it does from memory.
_INFO_SECONDS = 20.0


def info_seconds(timeout: float | None) -> float:
    """How long a server may take to say what it serves. That nobody answers in `timeout` is noticed before by who waits so long."""
    return _INFO_SECONDS if timeout is None else min(_INFO_SECONDS, timeout + 1.0)


def parse_address(server: str) -> str:
    """The address as pyarrow wants it.

    >>> parse_address("gpu1:8815")
    'grpc://gpu1:8815'
    >>> parse_address("grpc+tls://[::1]:8815")
    'grpc+tls://[::1]:8815'
    """
    if not isinstance(server, str):
        raise KindError(f"server is {type(server).__name__}, not an address such as grpc://127.0.0.1:8815")
    found = _ADDRESS.match(server)
    if not found or not 0 < int(found["port"]) < 65536:
        raise InvalidError(f"server {server!r} is no address of a Flight server: grpc://HOST:PORT or grpc+tls://HOST:PORT would be")
    scheme = "grpc+tls" if found["scheme"] == "grpc+tls" else "grpc"
    return f"{scheme}://{found['host']}:{found['port']}"


def is_here(address: str) -> bool:
    """Whether it is an address of this machine's loopback.

    >>> [is_here(parse_address(one)) for one in ("127.0.0.2:1", "[::1]:1", "localhost:1", "gpu1:1")]
    [True, True, True, False]
    """
    host = address.partition("://")[2].rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def read_ca(ca: str | bytes | os.PathLike[str] | None) -> bytes | None:
    """The certificates (PEM) of the authorities that are trusted: as they are, or out of a file."""
    if ca is None:
        return None
    if isinstance(ca, str) and _CERTIFICATE.decode() in ca:
        return ca.encode()
    authorities = ca if isinstance(ca, bytes) else _read(ca)
    if _CERTIFICATE not in authorities:
        raise InvalidError("ca has no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")
    return authorities


def _read(ca: str | os.PathLike[str]) -> bytes:
    if not isinstance(ca, (str, os.PathLike)):
        raise KindError(f"ca is {type(ca).__name__}; the path of a PEM file, or what is in it, would be right")
    try:
        return Path(ca).read_bytes()
    except OSError as cause:
        raise InvalidError(f"ca {str(ca)!r} cannot be read: {cause.strerror}") from cause


@dataclass(frozen=True)
class Access:
    """How a client proves who it is, and whom it trusts."""

    token: str | None = field(default=None, repr=False)
    ca: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.token, (str, type(None))):
            raise KindError(f"token is {type(self.token).__name__}, not a str")
        if self.token is not None and not re.fullmatch(r"[!-~]{1,4096}", self.token):
            raise InvalidError("token is not of 1 to 4096 characters of ASCII without spaces, as a server's are")

    def connect(self, address: str) -> Connection:
        """Opens a connection; nothing is sent yet."""
        note_opening()
        options: dict[str, Any] = {"generic_options": [*_CHANNEL, _NO_PROXY] if is_here(address) else _CHANNEL}
        if self.ca is not None and address.startswith("grpc+tls"):
            options["tls_root_certs"] = self.ca
        headers = [(b"authorization", f"Bearer {self.token}".encode())] if self.token else []
        return Connection(address, fl.FlightClient(address, **options), headers)


@dataclass(frozen=True, eq=False)
class Connection:
    """A connection to one server."""

    address: str
    flight: Any
    headers: list[tuple[bytes, bytes]] = field(repr=False)

    def __post_init__(self) -> None:
        note_open(self)

    def call(self, seconds: float | None = None) -> Any:
        """What each call brings, one that takes no longer than this if it is said."""
        return fl.FlightCallOptions(headers=self.headers, timeout=seconds)

    def info(self, seconds: float) -> dict[str, Any]:
        """What the server says of its model (the action `model_info`), in so many seconds."""
        try:
            [result] = self.flight.do_action(fl.Action("model_info", b""), self.call(seconds))
        except fl.FlightTimedOutError:
            raise fl.FlightTimedOutError(f"no answer in {seconds:g} s") from None
        said: dict[str, Any] = json.loads(result.body.to_pybytes())
        return said
