"""Scores columns of text: data frames, tables and lists get a label and a confidence for each row."""
from ._client import Client
from ._errors import ConnectError, Error, ForkedError, InvalidError, KindError, ServerError, TimedOutError, TokenError
from ._score import score

for _error in (Error, ConnectError, ForkedError, InvalidError, KindError, ServerError, TimedOutError, TokenError):
    _error.__module__ = __name__

__all__ = [
    "Client",
    "ConnectError",
    "Error",
    "ForkedError",
    "InvalidError",
    "KindError",
    "ServerError",
    "TimedOutError",
    "TokenError",
    "score",
]
