"""What is raised: each error is an `Error`, and the builtin that says who can mend it.

What a server said is passed on in its own words:

>>> import textflight
>>> textflight.score([1, 2])
Traceback (most recent call last):
textflight.InvalidError: row 0 (counted from 0) is not text: it is int (1); str or None would be right
"""
from __future__ import annotations

import enum
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.flight as fl


class Error(Exception):
    """What went wrong in textflight. Its subclasses are builtins as well, as `ValueError`."""


class InvalidError(Error, ValueError):
    """What the caller asked for is wrong. The text says which value, and what would be right."""


class KindError(InvalidError, TypeError):
    """Data, or an option, of a type that is not taken."""


class TokenError(InvalidError, PermissionError):
    """The server does not know the token, or wants one."""


class ConnectError(Error, ConnectionError):
    """No server is there, or it went and did not come back."""


class TimedOutError(Error, TimeoutError):
    """No answer came within `timeout`."""


class ServerError(Error, RuntimeError):
    """The server failed at what it was sent, and would again."""


class MissingFileError(InvalidError, FileNotFoundError):
    """A file that is named is not there."""


class JobError(Error, RuntimeError):
    """Files could not be scored, or not all of them."""


class ForkedError(Error, RuntimeError):
    """This process was forked from one that was connected already."""


class Remedy(enum.Enum):
    """What can be done about an error of a call."""

    ASK_AGAIN = "the connection is gone: what was not answered is asked again"
    WAIT = "the server has no room now, or no model yet"
    ASK_OTHERS = "the server failed at it, which may have been by chance"
    NONE = "the answer would be the same"


#: What a call of pyarrow's may raise.
CALL_ERRORS = (pa.ArrowException, fl.FlightError, OSError)

# What gRPC and Arrow put around the text of a server.
_AROUND = re.compile(
    r"^(?:Flight (?:returned|error)[^:]*?(?:, with message)?: )"
    r"|\.? ?(?:gRPC client debug context|Client context|Detail): .*$",
    re.DOTALL,
)
_ROW = re.compile(r"^row (\d+) \(counted from 0\)")


def text_of(error: BaseException) -> str:
    """What the server said, without what the client's libraries put around it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return _AROUND.sub("", text).strip() or type(error).__name__


def remedy_of(error: BaseException) -> Remedy:
    """What can be done about what a call raised."""
    if isinstance(error, fl.FlightUnavailableError):
        return Remedy.WAIT if "try again later" in str(error) else Remedy.ASK_AGAIN
    if isinstance(error, (fl.FlightUnauthenticatedError, fl.FlightUnauthorizedError)):
        return Remedy.NONE
    if isinstance(error, (fl.FlightTimedOutError, fl.FlightCancelledError)):
        return Remedy.ASK_AGAIN
    if isinstance(error, fl.FlightInternalError):
        if "RST_STREAM" in str(error):
            return Remedy.ASK_AGAIN  # By what stands in between: a server of ours says why.
        return Remedy.NONE if _ROW.match(text_of(error)) else Remedy.ASK_OTHERS
    if isinstance(error, (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError)):
        return Remedy.NONE
    return Remedy.ASK_AGAIN if isinstance(error, (fl.FlightError, OSError)) else Remedy.NONE


def from_flight(error: BaseException, about: str = "") -> Error:
    """The error that a user gets for what a call raised; `about` says of which server."""
    text = f"{about}: {text_of(error)}" if about else text_of(error)
    if isinstance(error, (fl.FlightUnauthenticatedError, fl.FlightUnauthorizedError)):
        return TokenError(text)
    if isinstance(error, (fl.FlightTimedOutError,)):
        return TimedOutError(text)
    if isinstance(error, fl.FlightInternalError):
        # A row that has no score is one that the caller sent.
        return InvalidError(text_of(error)) if _ROW.match(text_of(error)) else ServerError(text)
    if isinstance(error, pa.ArrowNotImplementedError):
        return InvalidError(f"{text}; is it a textflight server's Flight port?")
    if isinstance(error, (pa.ArrowInvalid, pa.ArrowKeyError)):
        return InvalidError(text_of(error))
    if isinstance(error, (fl.FlightUnavailableError, fl.FlightCancelledError, OSError)):
        return ConnectError(text)
    return ServerError(text)


def with_row(error: Error, row_of_whole: Callable[[int], int]) -> Error:
    """The same error, where it names a row of what one server was sent, naming the row of the whole."""
    return type(error)(_ROW.sub(lambda found: f"row {row_of_whole(int(found[1]))} (counted from 0)", str(error)))
