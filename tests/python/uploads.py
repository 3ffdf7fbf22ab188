"""What a Python user of uploads writes."""
import json

import pyarrow as pa
import pyarrow.flight as fl

from client import CALL


def put(client, name, table, max_chunksize=8192):
    """Sends a table, and gives back how many rows the server said were there, last."""
    writer, told = client.do_put(fl.FlightDescriptor.for_path(name), table.schema, CALL)
    with writer:
        writer.write_table(table, max_chunksize=max_chunksize)
        writer.done_writing()
        rows = None
        while (metadata := told.read()) is not None:
            rows = json.loads(metadata.to_pybytes())["rows"]
    return rows


def act(client, action, **body):
    return [json.loads(result.body.to_pybytes()) for result in client.do_action(fl.Action(action, json.dumps(body).encode()), CALL)]


def commit(client, name, rows, **more):
    [answer] = act(client, "commit", name=name, rows=rows, **more)
    return answer


def drop(client, name):
    assert act(client, "drop", name=name) == []


def names(client):
    """The data sets that are listed, without the functions of SQL behind them."""
    listed = [info.descriptor.path[0].decode() for info in client.list_flights(options=CALL)]
    return listed[:listed.index("textflight_label")]


def stats(client):
    [answer] = client.do_action("stats", CALL)
    return json.loads(answer.body.to_pybytes())


def get(client, name):
    """All rows of a data set, in their order."""
    info = client.get_flight_info(fl.FlightDescriptor.for_path(name), CALL)
    return pa.concat_tables(client.do_get(endpoint.ticket, CALL).read_all() for endpoint in info.endpoints)
