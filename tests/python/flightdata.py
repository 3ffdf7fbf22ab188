"""Flight messages byte by byte, and frames of HTTP/2, for what no Arrow client would send.

A FlightData message is protobuf: the descriptor is field 1, the header (an Arrow IPC message in flatbuffers) field 2, the
application's metadata field 3, and the body (the buffers) field 1000.
"""
import contextlib

import grpc
import pyarrow as pa

METHOD = "/arrow.flight.protocol.FlightService/DoExchange"


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    """A length-delimited field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def command(json=b"{}"):
    """A descriptor of the kind that carries a command (2)."""
    return b"\x08\x02" + field(2, json)


def message(header=None, body=None, descriptor=None, app_metadata=None):
    parts = [(1, descriptor), (2, header), (3, app_metadata), (1000, body)]
    return b"".join(field(number, bytes(value)) for number, value in parts if value is not None)


def ipc(array_or_schema):
    """Header and body of the IPC message of a schema or a record batch."""
    read = pa.ipc.read_message(array_or_schema.serialize())
    return bytes(read.metadata), bytes(read.body or b"")


def stream(batch, options=None):
    """All (header, body) of a stream of one batch: the schema, the dictionaries, the batch."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(sink.getvalue())
    return [(bytes(m.metadata), bytes(m.body or b"")) for m in messages]


def messages(parts, json=b"{}"):
    """An exchange of these (header, body) parts, the command in its first message."""
    return [message(header, body, command(json) if i == 0 else None) for i, (header, body) in enumerate(parts)]


def frame(kind, flags, stream, payload=b""):
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


# What a connection begins with: the preface, and settings that leave all as it is.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)


@contextlib.contextmanager
def raw_exchange(address):
    """Sends raw messages in one exchange at a time; gives back the status and how many messages came."""
    with grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)]) as channel:
        call = channel.stream_stream(METHOD, request_serializer=None, response_deserializer=None)

        def exchange(raw):
            answers = call(iter(raw), timeout=30)
            received = 0
            try:
                for _ in answers:
                    received += 1
            except grpc.RpcError:
                pass  # The status says it.
            return answers.code(), answers.details(), received

        yield exchange
