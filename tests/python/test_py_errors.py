"""What becomes of what pyarrow raises: who can mend it, and in whose words."""
import pyarrow as pa
import pyarrow.flight as fl
import pytest

import textflight
from textflight._errors import Remedy, from_flight, remedy_of, text_of, with_row

AROUND = "Flight returned unavailable error, with message: {}. gRPC client debug context: UNAVAILABLE: x. Client context: OK"
UNSCORABLE = "row 7 (counted from 0) cannot be scored: its logits are NaN"

CASES = [
    (fl.FlightUnavailableError(AROUND.format("at capacity: 64 streams are open (--max-exchanges); try again later")), Remedy.WAIT, textflight.ConnectError),
    (fl.FlightUnavailableError("failed to connect to all addresses"), Remedy.ASK_AGAIN, textflight.ConnectError),
    (fl.FlightCancelledError("Stream removed"), Remedy.ASK_AGAIN, textflight.ConnectError),
    (fl.FlightTimedOutError("the exchange went on for a day (--stream-timeout)"), Remedy.ASK_AGAIN, textflight.TimedOutError),
    (OSError("Socket closed"), Remedy.ASK_AGAIN, textflight.ConnectError),
    (fl.FlightInternalError("a model thread died"), Remedy.ASK_OTHERS, textflight.ServerError),
    (fl.FlightInternalError("Received RST_STREAM with error code 2"), Remedy.ASK_AGAIN, textflight.ServerError),
    (fl.FlightInternalError(UNSCORABLE), Remedy.NONE, textflight.InvalidError),
    (fl.FlightUnauthenticatedError("a token is wanted"), Remedy.NONE, textflight.TokenError),
    (fl.FlightUnauthorizedError("not for you"), Remedy.NONE, textflight.TokenError),
    (pa.ArrowInvalid('column "n" is int64, not text'), Remedy.NONE, textflight.InvalidError),
    (pa.ArrowKeyError("no such data set"), Remedy.NONE, textflight.InvalidError),
    (pa.ArrowNotImplementedError("Received http2 header with status: 404"), Remedy.NONE, textflight.InvalidError),
]


@pytest.mark.parametrize("error, remedy, kind", CASES, ids=[str(error)[:40] for error, _, _ in CASES])
def test_what_can_be_done(error, remedy, kind):
    assert remedy_of(error) is remedy
    assert type(from_flight(error)) is kind


def test_the_servers_words_alone():
    assert text_of(fl.FlightUnavailableError(AROUND.format("no room"))) == "no room"
    assert text_of(pa.ArrowKeyError("no such data set")) == "no such data set"
    assert text_of(fl.FlightInternalError("Flight error: it. Detail: Internal")) == "it"
    assert str(from_flight(OSError("Socket closed"), "grpc://a:1")) == "grpc://a:1: Socket closed"
    assert text_of(OSError()) == "OSError"


def test_a_row_is_named_as_the_caller_counts():
    moved = with_row(from_flight(fl.FlightInternalError(UNSCORABLE)), lambda row: row + 1000)
    assert str(moved) == UNSCORABLE.replace("7", "1007") and type(moved) is textflight.InvalidError


def test_each_is_a_builtin_too():
    for kind, builtin in [
        (textflight.InvalidError, ValueError), (textflight.KindError, TypeError), (textflight.TokenError, PermissionError),
        (textflight.MissingFileError, FileNotFoundError), (textflight.ConnectError, ConnectionError), (textflight.TimedOutError, TimeoutError),
    ]:
        assert issubclass(kind, textflight.Error) and issubclass(kind, builtin) and str(kind("why")) == "why"
