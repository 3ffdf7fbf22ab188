"""Requests to `POST /score`, as curl and Python's own library send them."""
import http.client
import io
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq

CSV, TSV = "text/csv", "text/tab-separated-values"
NDJSON, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


def post(server, query, body, content_type, **headers):
    """Status, headers and body of an answer, whole."""
    url = f"http://{server.http}/score" + (f"?{urllib.parse.urlencode(query, doseq=True)}" if query else "")
    request = urllib.request.Request(url, body, {"Content-Type": content_type, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def refused(server, query, body, content_type, **headers):
    status, _, text = post(server, query, body, content_type, **headers)
    return status, json.loads(text)["detail"]


def curl(server, path, *options, check=0):
    done = subprocess.run(["curl", "-sS", "--max-time", "60", *map(str, options), f"http://{server.http}{path}"], capture_output=True)
    assert done.returncode == check, done
    return done.stdout


def parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def written(table, chunk_rows=None, **options):
    """An Arrow stream of the table, in batches of so many rows."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, chunk_rows)
    return sink.getvalue()


def begun(server, first, query="?text=a", content_type=CSV):
    """A request whose answer has begun, while its body has not ended."""
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.putrequest("POST", f"/score{query}")
    connection.putheader("content-type", content_type)
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders(chunk(first))
    answer = connection.getresponse()
    assert answer.status == 200
    return connection, answer


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)
