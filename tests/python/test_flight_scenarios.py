"""Arrow's cross-language scenarios of Flight, from pyarrow against this server, with its data sets and columns in place of theirs.

Those that are not here: `auth:basic_proto`, which is in test_security.py, `session_options` (nothing of a call outlives it here, see
the last test), and Flight SQL's, which is another protocol on top of this one.
"""
import datetime

import grpc
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import flightdata as raw
import server as servers
from client import CALL, score_in_turn

ROWS = 600
TEXTS = ["a warm , funny film", None, "dull and witless", ""]
TABLE = pa.table({"id": range(ROWS), "text": [TEXTS[i % 4] for i in range(ROWS)]})
COMMAND = fl.FlightDescriptor.for_command(b'{"data": "reviews", "text": "text", "partitions": 6}')
SERVICE = "/arrow.flight.protocol.FlightService/"


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A server of a data set of six row groups."""
    folder = tmp_path_factory.mktemp("scenarios")
    pq.write_table(TABLE, folder / "reviews.parquet", row_group_size=ROWS // 6)
    with servers.serving(folder / "log", "--data", f"reviews={folder / 'reviews.parquet'}") as running:
        yield running


@pytest.fixture
def scenario(scored, connect_to):
    """A client of that server."""
    return connect_to(scored)


def expected(client):
    return score_in_turn(client, TABLE)


# middleware


class Headers(fl.ClientMiddlewareFactory):
    """Sends a header with each call, and keeps what comes back."""

    def __init__(self):
        super().__init__()
        self.received, self.completed = [], []

    def start_call(self, info):
        factory = self

        class OneCall(fl.ClientMiddleware):
            def sending_headers(self):
                return {"x-middleware": "expected value"}

            def received_headers(self, headers):
                factory.received.append(headers)

            def call_completed(self, exception):
                factory.completed.append(exception)

        return OneCall()


def test_middleware(scored):
    """Arrow's server sends the header back, also with an error. Ours takes any, and echoes none: what comes back is its own."""
    middleware = Headers()
    with fl.FlightClient(f"grpc+tcp://{scored.flight}", middleware=[middleware]) as client:
        client.get_flight_info(COMMAND, CALL)
        with pytest.raises(pa.ArrowKeyError):
            client.get_flight_info(fl.FlightDescriptor.for_path("nobody"), CALL)
    assert len(middleware.completed) == 2 and middleware.received
    assert middleware.completed[0] is None and isinstance(middleware.completed[1], pa.ArrowKeyError)
    assert not any("x-middleware" in headers for headers in middleware.received)


# ordered


def test_ordered(scenario):
    """Endpoints in their order are the rows in theirs."""
    info = scenario.get_flight_info(COMMAND, CALL)
    assert info.ordered and len(info.endpoints) == 6 and info.total_records == ROWS
    parts = [scenario.do_get(endpoint.ticket, CALL).read_all() for endpoint in info.endpoints]
    assert all(part.schema.equals(info.schema) for part in parts)
    assert pa.concat_tables(parts).equals(expected(scenario))


def test_ordered_for_those_who_do_not_look(scenario):
    """One endpoint has all rows, in their order."""
    info = scenario.get_flight_info(fl.FlightDescriptor.for_command(b'{"data": "reviews", "text": "text", "partitions": 1}'), CALL)
    [only] = info.endpoints
    assert scenario.do_get(only.ticket, CALL).read_all().equals(expected(scenario))


# expiration_time


def test_expiration_time_do_get(scenario):
    """A ticket may be used again until it expires. Arrow's expires within seconds; of ours the fuzz targets say what comes after."""
    info = scenario.get_flight_info(COMMAND, CALL)
    now = datetime.datetime.now(datetime.UTC)
    for endpoint in info.endpoints:
        assert endpoint.expiration_time.as_py() > now
    first = [scenario.do_get(info.endpoints[0].ticket, CALL).read_all() for _ in range(3)]
    assert first[0].equals(first[1]) and first[1].equals(first[2])


def test_expiration_time_list_actions(scenario):
    assert {"CancelFlightInfo", "RenewFlightEndpoint"} <= {action.type for action in scenario.list_actions(CALL)}


def test_expiration_time_cancel_flight_info(scenario):
    info = scenario.get_flight_info(COMMAND, CALL)
    [result] = scenario.do_action(fl.Action("CancelFlightInfo", raw.field(1, info.serialize())), CALL)
    assert result.body.to_pybytes() in (b"\x08\x01", b"\x08\x02", b"\x08\x03"), "cancelled, cancelling, or not to be cancelled"


def test_expiration_time_renew_flight_endpoint(scenario):
    before = scenario.get_flight_info(COMMAND, CALL).endpoints[0]
    [result] = scenario.do_action(fl.Action("RenewFlightEndpoint", raw.field(1, before.serialize())), CALL)
    renewed = fl.FlightEndpoint.deserialize(result.body.to_pybytes())
    assert renewed.expiration_time.as_py() >= before.expiration_time.as_py()
    assert scenario.do_get(renewed.ticket, CALL).read_all().num_rows == ROWS // 6


# do_exchange:echo


def test_do_exchange_echo(scenario):
    """Batch by batch and with its metadata, each comes back, scored."""
    writer, reader = scenario.do_exchange(fl.FlightDescriptor.for_command(b'{"text": "text"}'), CALL)
    writer.begin(TABLE.schema)
    for number, batch in enumerate(TABLE.to_batches(max_chunksize=100)):
        writer.write_with_metadata(batch, str(number).encode())
        chunk = reader.read_chunk()
        assert chunk.app_metadata.to_pybytes() == str(number).encode()
        assert chunk.data.select(TABLE.schema.names).equals(batch)
    writer.done_writing()
    with pytest.raises(StopIteration):
        reader.read_chunk()
    writer.close()


# location:reuse_connection


def test_location_reuse_connection(scenario):
    """Without --advertise an endpoint is fetched where it was asked for."""
    for endpoint in scenario.get_flight_info(COMMAND, CALL).endpoints:
        assert [location.uri for location in endpoint.locations] == [b"arrow-flight-reuse-connection://?"]
        assert scenario.do_get(endpoint.ticket, CALL).read_all().num_rows == ROWS // 6


# poll_flight_info


def fields(message):
    """The fields of a protobuf message, by number: the last of each."""
    found, at = {}, 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            length = 8 if key & 7 == 1 else number()
            found[key >> 3] = message[at:at + length]
            at += length
    return found


def test_poll_flight_info(scored, scenario):
    """pyarrow has no such call, so grpc asks: a flight whose rows are there at once is done at the first answer."""
    with grpc.insecure_channel(scored.flight) as channel:
        call = channel.unary_unary(SERVICE + "PollFlightInfo", request_serializer=None, response_deserializer=None)
        descriptor = raw.command(COMMAND.command)
        for _ in range(100):
            poll = fields(call(descriptor, timeout=60))
            descriptor = poll.get(2)
            if descriptor is None:
                break
    assert descriptor is None, "it is never done"
    info = fl.FlightInfo.deserialize(poll[1])
    assert sum(scenario.do_get(endpoint.ticket, CALL).read_all().num_rows for endpoint in info.endpoints) == ROWS


# app_metadata_flight_info_endpoint


def test_app_metadata_flight_info_endpoint(scenario):
    """Arrow's server puts the command there, to be asked for again. Here a ticket holds all that its endpoint needs, and the field of
    endpoints stays empty; that of a flight is its number, signed, by which it is cancelled."""
    info = scenario.get_flight_info(COMMAND, CALL)
    assert not any(endpoint.app_metadata for endpoint in info.endpoints)
    assert info.app_metadata != scenario.get_flight_info(COMMAND, CALL).app_metadata


# session_options


@pytest.mark.parametrize("action", ["SetSessionOptions", "GetSessionOptions", "CloseSession"])
def test_there_are_no_sessions(scenario, action):
    """Options belong to a call, in its command: a session would be a second place, and would tie a client to one server of several."""
    with pytest.raises((pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowKeyError), match=action):
        list(scenario.do_action(fl.Action(action, b""), CALL))
