"""`POST /score/columns`, which columns a table has, and `GET /score/accounts/NAME`, what a request has come to."""
import http.client
import io
import json
import threading
import time
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rest import ARROW, CSV, NDJSON, PARQUET, TSV, chunk, parquet, post, refused, written

POSTS = pa.table({"id": [1], "post": [{"title": "a", "n": 2}], "body": ["b"], "raw": [b"c"]})
ACCOUNT = "x-textflight-account"


def listed(server, body, content_type):
    request = urllib.request.Request(f"http://{server.http}/score/columns", body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["detail"]


def account(server, name):
    try:
        with urllib.request.urlopen(f"http://{server.http}/score/accounts/{name}", timeout=60) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["detail"]


def ended(server, name):
    """The account of a request that ends a moment after its client has read the last byte."""
    deadline = time.monotonic() + 20
    while not (said := account(server, name)[1])["ended"] and time.monotonic() < deadline:
        time.sleep(0.01)
    return said


def footer(file):
    length = int.from_bytes(file[-8:-4], "little")
    return b"PAR1" + file[-8 - length:]


@pytest.mark.parametrize(("body", "content_type", "columns", "texts"), [
    (b'id,"a, b"\n1,x', CSV, ["id", "a, b"], ["id", "a, b"]),
    (b"\xef\xbb\xbfid\ttext\r\n", TSV, ["id", "text"], ["id", "text"]),
    (b'{"id": 1, "post": {"title": "a"}, "text": "b"}\n{"id', NDJSON, ["id", "post", "text"], None),
    (b"", NDJSON, [], []),
    (parquet(POSTS), PARQUET, POSTS.column_names, ["post.title", "body"]),
    (footer(parquet(POSTS)), PARQUET, POSTS.column_names, ["post.title", "body"]),
    (written(POSTS), ARROW, POSTS.column_names, ["post.title", "body"]),
    (written(POSTS)[:-100], ARROW, POSTS.column_names, ["post.title", "body"]),
])
def test_columns_are_listed(server, body, content_type, columns, texts):
    status, said = listed(server, body, content_type)
    assert status == 200, said
    assert said["columns"] == columns
    assert said["texts"] == (["text"] if texts is None else texts)


@pytest.mark.parametrize(("body", "content_type", "status", "what"), [
    (b"x", "text/plain", 415, "content types:"),
    (b"", PARQUET, 400, "the body"),
    (b"PAR1" + bytes(20) + b"PAR1", PARQUET, 400, "footer"),
    (b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1", PARQUET, 400, "the body"),
    (b"ARROW1\0\0", ARROW, 400, ""),
    (b"[1]\n", NDJSON, 400, "line 1"),
    (b'"' + b"x" * (17 << 20), CSV, 413, "line 1 is longer"),
])
def test_what_is_no_table_is_refused(server, body, content_type, status, what):
    code, said = listed(server, body, content_type)
    assert code == status and what in said, said


def test_an_account_of_a_table(server, reviews):
    name = "account-of-reviews"
    assert account(server, name)[0] == 404
    status, _, scored = post(server, {"text": "text"}, reviews.read_bytes(), PARQUET, **{ACCOUNT: name})
    assert status == 200
    plain = post(server, {"text": "text"}, reviews.read_bytes(), PARQUET)[2]
    assert scored == plain, "it changes nothing of the answer"
    table = pq.read_table(io.BytesIO(scored))
    said = ended(server, name)
    assert (said["rows"], said["of"], said["ended"], said["failure"]) == (872, 872, True, None)
    labels, confidences = table["label"].to_pylist(), table["confidence"].to_pylist()
    assert [(label["label"], label["texts"]) for label in said["labels"]] == [(name, labels.count(name)) for name in ["NEGATIVE", "POSITIVE"]]
    for label in said["labels"]:
        own = [sure for name, sure in zip(labels, confidences) if name == label["label"]]
        assert len(label["hundredths"]) == 100 and sum(label["hundredths"]) == len(own)
        assert label["hundredths"][99] == sum(sure >= 0.99 for sure in own)
    rows = sorted(range(872), key=lambda row: confidences[row])
    assert [example["row"] for example in said["least_certain"]] == rows[:10]
    assert [example["text"] for example in said["least_certain"]] == [table["text"][row].as_py() for row in rows[:10]]
    assert said["most_certain"][0]["confidence"] == max(confidences)


ROWS = pa.table({"text": ["good", None, "dull"], "n": [1, 2, 3]})
CSV_ROWS = b"text,n\ngood,1\n,2\ndull,3\n"
JSON_ROWS = b'{"text": "good"}\n{"text": null}\n{"text": "dull"}\n'


@pytest.mark.parametrize(("body", "given"), [(CSV_ROWS, CSV), (JSON_ROWS, NDJSON), (written(ROWS), ARROW), (parquet(ROWS), PARQUET)])
@pytest.mark.parametrize("wanted", [CSV, NDJSON, ARROW, PARQUET])
def test_every_way_keeps_account(server, body, given, wanted):
    name = f"way-{given}-{wanted}".translate(str.maketrans("/.+", "---"))[:40] + str(abs(hash((given, wanted))) % 10**9)
    status, _, _ = post(server, {"text": "text"}, body, given, **{ACCOUNT: name, "accept": wanted})
    assert status == 200
    said = ended(server, name)
    assert (said["rows"], said["nulls"], said["ended"], said["failure"]) == (3, 1, True, None)
    assert [label["texts"] for label in said["labels"]] == [1, 1]


def test_an_account_while_its_request_runs_and_why_it_broke_off(server):
    """Twice as many rows as are answered at once, so that the answer begins; then a line that is none."""
    lines = b"text\n" + b"good\n" * 20_000
    body = threading.Event()

    def pieces():
        yield lines
        body.wait(60)
        yield b"one,two\n"

    def send():
        request = urllib.request.Request(f"http://{server.http}/score", pieces(), {"Content-Type": CSV, ACCOUNT: "runs-for-a-while"})
        with pytest.raises(Exception), urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        while not (said := account(server, "runs-for-a-while"))[0] == 200 or not said[1]["rows"]:
            pass
        assert not said[1]["ended"] and said[1]["of"] is None and said[1]["labels"][1]["texts"] == said[1]["rows"]
        assert refused(server, {}, b"text\na\n", CSV, **{ACCOUNT: "runs-for-a-while"}) == (
            400, f'{ACCOUNT}: "runs-for-a-while" is that of another request; name each anew')
    finally:
        body.set()
        sender.join()
    said = ended(server, "runs-for-a-while")
    assert said["ended"] and said["failure"] == "line 20002 has 2 cells, and the line of names has 1"


@pytest.mark.parametrize(("query", "body", "content_type", "what"), [
    ({"text": "none"}, b"text\na\n", CSV, "none"),
    ({}, b"text\na,b\n", CSV, "line 2"),
    ({}, b"PAR1PAR1", PARQUET, "the body"),
    ({"text": "n"}, parquet(ROWS), PARQUET, "n"),
    ({}, written(pa.table({"n": [1]})), ARROW, "no string column"),
])
def test_a_request_that_is_refused_says_so_in_its_account(server, query, body, content_type, what):
    name = f"refused-{abs(hash((body, str(query)))) % 10**9}"
    status, said = refused(server, query, body, content_type, **{ACCOUNT: name})
    assert status == 400 and what in said
    found = ended(server, name)
    assert (found["ended"], found["failure"], found["rows"]) == (True, said, 0)


def test_a_request_that_takes_too_long_says_so_in_its_account(serve):
    own = serve("--stream-timeout", "1")
    connection = http.client.HTTPConnection(own.http, timeout=60)
    connection.putrequest("POST", "/score")
    for header in [("content-type", PARQUET), ("content-length", "100"), (ACCOUNT, "takes-too-long")]:
        connection.putheader(*header)
    connection.endheaders(b"PAR1")
    assert connection.getresponse().status == 408
    connection.close()
    said = ended(own, "takes-too-long")
    assert said["ended"] and "--stream-timeout" in said["failure"]


def test_names_that_come_to_more_than_their_schema(server):
    """Each of many strings in a struct of a long name: what is listed is bounded, and so is what an error says."""
    outer = "x" * 100_000
    fields = pa.struct([(f"f{number}", pa.string()) for number in range(10_000)])
    table = pa.table({outer: pa.array([], fields)})
    status, said = listed(server, written(table), ARROW)
    assert status == 413 and "4 MiB" in said, said
    status, said = refused(server, {"text": "none"}, written(table), ARROW)
    assert status == 400 and "and 9968 more" in said and len(said) < 4 << 20


def test_who_goes_leaves_an_account_that_ended(server):
    name = "client-that-goes"
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.putrequest("POST", "/score")
    for header in [("content-type", CSV), ("transfer-encoding", "chunked"), (ACCOUNT, name)]:
        connection.putheader(*header)
    connection.endheaders(chunk(b"text\ngood\n"))
    assert connection.getresponse().status == 200
    connection.close()
    assert ended(server, name)["ended"]


@pytest.mark.parametrize("name", ["short", "x" * 65, "with a space", "dots.in.it", "sl/ash/es", "ümlauts-in-it"])
def test_a_name_is_of_letters_and_digits(server, name):
    status, said = refused(server, {}, b"text\na\n", CSV, **{ACCOUNT: name.encode().decode("latin-1")})
    assert status == 400 and "send 8 to 64 letters, digits, - and _, at random" in said


def test_the_last_ones_are_kept(serve):
    own = serve()
    for number in range(40):
        assert post(own, {}, b"text\ngood\n", CSV, **{ACCOUNT: f"number-{number:03}"})[0] == 200
    there = [number for number in range(40) if account(own, f"number-{number:03}")[0] == 200]
    assert there == list(range(8, 40))
    status, said = account(own, "number-000")
    assert status == 404 and said.startswith('no account "number-000": no request has named it')
