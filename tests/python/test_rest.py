"""`POST /score`: tables over HTTP, as curl and Python's own library send them."""
import http.client
import io
import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rest import CSV, NDJSON, PARQUET, TSV, begun, chunk, curl, parquet, post, refused
from server import MODEL, REPOSITORY, run

OPTIONS = {
    "none": {},
    "text": {"text": "text"},
    "all": {"text": "text", "labels": "id", "details": "true", "probabilities": "true", "label_column": "the label", "confidence_column": "sure"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_parquet_file_has_the_bytes_that_the_command_gives(server, tmp_path, dev_texts, name):
    reviews = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": range(50), "text": dev_texts[:48] + [None, ""]}), reviews, row_group_size=13)
    options = {**OPTIONS[name], "text": "text"}
    flags = [flag for key, value in options.items() for flag in ([f"--{key.replace('_', '-')}"] + ([] if value == "true" else [value]))]
    done = run("score", reviews, "-o", tmp_path / "expected.parquet", "--model", MODEL, *flags)
    assert done.returncode == 0, done.stderr
    path = "/score?" + urllib.parse.urlencode(options)
    curl(server, path, "--fail-with-body", "--data-binary", f"@{reviews}", "-H", f"content-type: {PARQUET}", "-o", tmp_path / "got.parquet")
    assert (tmp_path / "got.parquet").read_bytes() == (tmp_path / "expected.parquet").read_bytes()


def test_a_parquet_file_of_no_rows(server):
    status, headers, answer = post(server, {}, parquet(pa.table({"t": pa.array([], pa.string())})), PARQUET)
    assert (status, headers["content-type"], int(headers["content-length"])) == (200, PARQUET, len(answer))
    assert pq.read_table(io.BytesIO(answer)).schema.names == ["t", "label", "confidence"]


SMALL = parquet(pa.table({"t": ["good", None, ""], "u": ["a", "b", "c"]}))


def test_what_is_wrong_is_said(server):
    assert refused(server, {"text": "v"}, SMALL, PARQUET) == (400, 'column "v" not found; string columns: t, u')
    assert refused(server, {}, SMALL, PARQUET)[1].startswith("more than one string column: t, u")
    status, detail = refused(server, {"txet": "t"}, SMALL, PARQUET)
    assert status == 400 and "unknown field `txet`, expected one of `text`" in detail
    assert refused(server, {"text": "t", "details": "maybe"}, SMALL, PARQUET)[0] == 400
    status, detail = refused(server, {}, b"not Parquet", PARQUET)
    assert status == 400 and detail.startswith("the body: ")
    assert refused(server, {}, b"", PARQUET)[0] == 400
    status, detail = refused(server, {}, SMALL, "application/json")
    assert status == 415 and PARQUET in detail
    assert refused(server, {}, SMALL, PARQUET, **{"Content-Encoding": "gzip"})[0] == 415
    status, detail = refused(server, {}, SMALL, PARQUET, Accept="image/png")
    assert status == 406 and PARQUET in detail


def test_only_post(server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{server.http}/score", timeout=60)
    assert (caught.value.code, caught.value.headers["allow"]) == (405, "POST")
    caught.value.close()


def test_a_body_that_is_too_large_leaves_nothing(serve, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    server = serve("--max-score-body", "100KiB", "--spool-dir", str(spool), "--spool-limit", "50KiB")
    without_a_length = iter([bytes(100_000), bytes(100_000)])
    status, detail = refused(server, {}, without_a_length, PARQUET)
    assert status == 413 and "102400 bytes" in detail and "--max-score-body" in detail
    status, detail = refused(server, {}, bytes(60_000), PARQUET)
    assert status == 413 and "51200 bytes" in detail and "--spool-limit" in detail
    assert post(server, {"text": "t"}, SMALL, PARQUET)[0] == 200
    assert list(spool.iterdir()) == []


def test_a_file_on_its_way_leaves_nothing_when_the_server_is_killed(serve, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    server = serve("--spool-dir", str(spool))
    held = http.client.HTTPConnection(server.http, timeout=60)
    held.putrequest("POST", "/score")
    held.putheader("content-type", PARQUET)
    held.putheader("content-length", str(10_000_000))
    held.endheaders(bytes(5_000_000))
    server.process.kill()
    server.process.wait()
    assert list(spool.iterdir()) == []
    held.close()
    server.stop = server.process.stdout.close


def test_expect_100_continue(server, tmp_path):
    (tmp_path / "in.parquet").write_bytes(SMALL)
    options = ["--data-binary", f"@{tmp_path / 'in.parquet'}", "-H", f"content-type: {PARQUET}", "-H", "expect: 100-continue", "-v"]
    assert curl(server, "/score?text=t", *options)[:4] == b"PAR1"
    # Refused before a byte of the body was sent.
    assert b"unknown field" in curl(server, "/score?txet=t", *options)


def test_the_token_is_asked_for(serve):
    server = serve("--api-token", "secret")
    assert refused(server, {"text": "t"}, SMALL, PARQUET)[0] == 401
    assert post(server, {"text": "t"}, SMALL, PARQUET, Authorization="Bearer secret")[0] == 200


TABLE = 'id,text,note\r\n007,"good, fun",0.10\r\n008,,"a ""quoted"" note"\r\n\n009,"", x \n'


def test_csv_keeps_every_byte_and_libraries_read_it(server):
    status, headers, answer = post(server, {"text": "text"}, TABLE.encode(), CSV)
    assert (status, headers["content-type"]) == (200, CSV)
    lines = answer.decode().splitlines(keepends=True)
    before = TABLE.splitlines(keepends=True)
    assert lines[0] == "id,text,note,label,confidence\r\n"
    assert lines[1].startswith('007,"good, fun",0.10,') and lines[1].endswith("\r\n")
    assert lines[2:4] == ['008,,"a ""quoted"" note",,\r\n', "\n"]
    assert lines[4].startswith('009,"", x ,') and len(lines) == len(before)
    frame = pd.read_csv(io.BytesIO(answer), dtype={"id": str}, keep_default_na=False)
    assert frame["id"].tolist() == ["007", "008", "009"] and frame["label"].tolist()[1] == ""
    assert pl.read_csv(io.BytesIO(answer), infer_schema=False).columns == frame.columns.tolist()
    # As the JSON entrypoint scores it.
    request = json.dumps({"input": {"texts": json.dumps(["good, fun", ""])}}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://{server.http}/predictions", request, {"Content-Type": "application/json"})) as reply:
        output = json.load(reply)["output"]
    assert [float(frame["confidence"][row]) for row in (0, 2)] == pytest.approx(output["confidences"], abs=1e-4)


def test_json_lines_keep_every_byte(server):
    lines = ['{"id": 007.5e0, "text": "good"}'.replace("007", "7"), "", '{"text":null,"z":1,"a":2} ', '{"id":1}', '{ "t\\u0065xt" : "\\u00e4" , "id":1.0}']
    body = "\n".join(lines)
    for content_type in [NDJSON, "application/jsonl"]:
        status, headers, answer = post(server, {"text": "text", "details": 1, "probabilities": 1}, body.encode(), content_type)
        assert (status, headers["content-type"]) == (200, NDJSON)
        got = answer.decode().split("\n")
        assert len(got) == len(lines) and got[1] == ""
        for before, after in zip(lines, got):
            assert after.startswith(before.rstrip().removesuffix("}"))
        assert got[2] == '{"text":null,"z":1,"a":2,"label":null,"confidence":null,"tokens":null,"truncated":null,"probabilities":null} '
        last = json.loads(got[4])
        assert last["text"] == "ä" and last["label"] in ("NEGATIVE", "POSITIVE") and len(last["probabilities"]) == 2
    assert pl.read_ndjson(io.BytesIO(answer))["id"].to_list() == [7.5, None, 1, 1]


def test_what_is_wrong_with_lines_is_said(server):
    for query, body, content_type, what in [
        ({}, "a,b\n1,2\n", CSV, "more than one string column: a, b"),
        ({"text": "c"}, "a,b\n1,2\n", CSV, 'column "c" not found; string columns: a, b'),
        ({"text": "a"}, "a,b\n1,2\n1\n", CSV, "line 3 has 1 cells"),
        ({"text": "a"}, "a,label\n1,2\n", CSV, 'already has a column "label"'),
        ({}, "", CSV, "no line of names"),
        ({}, '{"a":1}\n', NDJSON, "no string column"),
        ({}, '{"a":"x"}\n[]\n', NDJSON, "line 2: not an object"),
        ({}, '{"a":"x"}\n{"a":"\\ud800"}\n', NDJSON, 'row 1 (counted from 0) is not text: column "a"'),
        ({"text": "post.title"}, '{"post":{"text":"x"}}\n', NDJSON, 'no line has a key "post.title"; keys of the first: post'),
        ({}, '{\n "a": "x"\n}\n', NDJSON, "line 1: the object does not end on its line"),
        ({"text": "b"}, '{"a":"x"}\n', NDJSON, 'no line has a key "b"; keys of the first: a'),
        ({}, '{"a":"x"}\n{"label":1}\n', NDJSON, 'line 2: there is a key "label" already'),
        ({"text": "a"}, b"a\n\xff\n", CSV, "row 0 (counted from 0) is not text"),
        ({"text": "a", "columns": "b"}, "a\n1\n", CSV, 'column "b", which "columns" names, not found; columns: a'),
        ({"text": "a", "columns": "b"}, '{"a":"x"}\n', NDJSON, 'column "b", which "columns" names, not found; columns: a'),
        ({"text": "a", "columns": "label"}, "a,label\n1,2\n", CSV, 'already has a column "label"'),
    ]:
        status, detail = refused(server, query, body if isinstance(body, bytes) else body.encode(), content_type)
        assert status == 400 and what in detail, detail
    assert refused(server, {}, b"a\nx\n", "text/csv; charset=latin-1")[0] == 415
    assert refused(server, {}, b"a\nx\n", "text/csv; header=absent")[0] == 415
    assert post(server, {}, b"a\nx\n", "text/csv; charset=utf-8; header=present")[0] == 200
    assert post(server, {}, b"\n", NDJSON)[2] == b"\n"


def test_a_row_may_go_without_a_score(server):
    status, _, answer = post(server, {"text": "a", "on_error": "null"}, b"a,b\n\xff,1\ngood,2\n", CSV)
    first, second = answer.split(b"\n")[1:3]
    assert status == 200 and first.startswith(b'\xff,1,,,') and b"utf-8" in first and second.endswith(b",")
    # Half of a surrogate pair.
    status, _, answer = post(server, {"text": "a", "on_error": "null"}, b'{"a":"\\ud800x"}\n{"a":"good"}\n', NDJSON)
    first, second = map(json.loads, answer.splitlines())
    assert status == 200 and first["label"] is None and "utf-8" in first["error"] and second["label"] and second["error"] is None


def test_texts_in_objects(server):
    body = b'{"post":{"title":"good"}}\n{"post":null}\n{}\n{"post.title":"bad","post":{"title":"good"}}\n'
    status, _, answer = post(server, {"text": "post.title"}, body, NDJSON)
    lines = list(map(json.loads, answer.splitlines()))
    assert status == 200 and [line["label"] is None for line in lines] == [False, True, True, False]
    assert lines[0]["confidence"] != lines[3]["confidence"], "a key of the whole name goes before"


def test_several_texts(server):
    status, _, answer = post(server, {"text": ["a", "b"]}, b"b,a\nx,y\n", CSV)
    assert status == 200 and answer.split(b"\n")[0] == b"b,a,a_label,a_confidence,b_label,b_confidence"


def test_chosen_columns_come_first_as_they_stood(server):
    _, _, answer = post(server, {"text": "text", "columns": "note,id"}, TABLE.encode(), CSV)
    lines = answer.decode().splitlines(keepends=True)
    assert lines[0] == "note,id,label,confidence\r\n" and lines[1].startswith("0.10,007,")
    assert lines[2:4] == ['"a ""quoted"" note",008,,\r\n', "\n"] and lines[4].startswith(" x ,009,")
    # A name that is not kept may be taken.
    _, _, answer = post(server, {"text": "a", "columns": "new"}, b"a,label\nx,1\n", CSV)
    assert answer.startswith(b"label,confidence\n") and pd.read_csv(io.BytesIO(answer)).shape == (1, 2)
    body = b'{"t":"good","id":7.50}\n{"label":1,"id":null}\n'
    _, _, answer = post(server, {"text": "t", "columns": ["id", "t"]}, body, NDJSON)
    first, second = answer.decode().splitlines()
    assert first.startswith('{"id":7.50,"t":"good","label":"') and second == '{"id":null,"t":null,"label":null,"confidence":null}'
    assert post(server, {"text": "t", "columns": "new"}, body, NDJSON)[2].startswith(b'{"label":"')
    body = b'{"post":{"title":"good","id":1}}\n{"post":null}\n{"post.title":"bad","post":{"title":"good"}}\n{"a.b":1}\n'
    _, _, answer = post(server, {"text": "post.title", "columns": ["post.title"]}, body, NDJSON)
    assert [json.loads(line)["post.title"] for line in answer.splitlines()] == ["good", None, "bad", None]


def test_long_keys_of_short_lines(server):
    name = "x" * 10_000
    body = b'{"t":"good"}\n' + b"{}\n" * 2000
    for query in [{"label_column": name}, {"columns": ["t", "t" + name]}]:
        first = body.replace(b"}", b',"t%b":1}' % name.encode(), 1)
        _, _, answer = post(server, {"text": "t", **query}, first, NDJSON)
        assert answer.count(b"\n") == 2001 and len(answer) > 20_000_000 and json.loads(answer.splitlines()[-1])["confidence"] is None


def test_tabs(server):
    _, _, answer = post(server, {"text": "a"}, b"a\tb\nx,y\t1\n", TSV)
    assert answer.split(b"\n")[0] == b"a\tb\tlabel\tconfidence"


LONG = [{"n": n, "t": "x", "pad": "y" * 10_000} for n in range(1500)]


def test_who_writes_all_before_reading_has_the_answer(server):
    """15 MB, more than sockets hold: http.client reads nothing before it has written all."""
    body = "".join(json.dumps(line) + "\n" for line in LONG).encode()
    status, _, answer = post(server, {"text": "t"}, body, NDJSON)
    assert status == 200
    assert [json.loads(line)["n"] for line in answer.splitlines()] == list(range(1500))


def test_an_old_client_is_told_the_length(server, tmp_path):
    """HTTP/1.0 has no chunks: an answer that breaks off would look complete."""
    (tmp_path / "in").write_bytes(b"a\ngood\n")
    options = ["--http1.0", "-H", f"content-type: {CSV}", "--data-binary", f"@{tmp_path / 'in'}", "-i"]
    answer = curl(server, "/score", *options)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head.lower() and body.startswith(b"a,label,confidence\ngood,")
    (tmp_path / "in").write_bytes(b"a,b\ngood,1\nbad\n")
    assert b"400 Bad Request" in curl(server, "/score?text=a", *options)


def test_the_answer_is_on_its_way_while_the_body_is(server):
    connection, answer = begun(server, b"a\ngood\n")
    assert answer.readline() == b"a,label,confidence\n" and answer.readline().startswith(b"good,")
    connection.send(chunk(b"bad\n"))
    assert answer.readline().startswith(b"bad,")
    connection.send(b"0\r\n\r\n")
    assert answer.read() == b""
    connection.close()


@pytest.mark.parametrize("rest", [chunk(b"x,y\n"), chunk(b'"open\n') + b"0\r\n\r\n", b"zz\r\n"])
def test_an_answer_that_breaks_off_does_not_look_complete(server, rest):
    connection, answer = begun(server, b"a\ngood\n")
    assert answer.readline() and answer.readline()
    connection.send(rest)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
    assert post(server, {}, b"a\nx\n", CSV)[0] == 200


def test_curl_says_that_an_answer_broke_off(server):
    command = ["curl", "-sSN", "--fail-with-body", "-X", "POST", "-T", "-", "-H", f"content-type: {CSV}", "--max-time", "60", f"http://{server.http}/score?text=a"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        lines = []
        has_begun = threading.Thread(target=lambda: lines.append(process.stdout.readline()))
        has_begun.start()
        process.stdin.write(b"a,b\n")
        # curl looks at the answer only between two readings of what it sends.
        while has_begun.is_alive() and process.poll() is None:
            process.stdin.write(b"good,1\n")
            process.stdin.flush()
            has_begun.join(0.05)
        process.communicate(b"bad\n")
    assert lines == [b"a,b,label,confidence\n"] and process.returncode in (18, 56)


def test_clients_that_stand_still_are_given_up(serve):
    server = serve("--stall-timeout", "3")
    connection, answer = begun(server, b"a\ngood\n")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
    silent = http.client.HTTPConnection(server.http, timeout=60)
    silent.putrequest("POST", "/score")
    silent.putheader("content-type", CSV)
    silent.putheader("content-length", "10")
    silent.endheaders(b"a\n")
    answer = silent.getresponse()
    assert answer.status == 408 and b"nothing came of the body for 3 s" in answer.read()
    silent.close()


def test_a_line_that_is_too_long(server):
    status, detail = refused(server, {}, b'a\n"' + b"x" * (17 << 20), CSV)
    assert status == 413 and "line 2 is longer than 16777216 bytes" in detail


def test_a_request_that_takes_too_long_in_all(serve):
    """Though its client is never silent."""
    server = serve("--stream-timeout", "3")
    connection, answer = begun(server, b"a\ngood\n")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        # readline would take an answer that broke off for one that has ended.
        while answer.read(8):
            connection.send(chunk(b"bad\n"))
    connection.close()
    slow = http.client.HTTPConnection(server.http, timeout=60)
    slow.putrequest("POST", "/score")
    slow.putheader("content-type", PARQUET)
    slow.putheader("transfer-encoding", "chunked")
    slow.endheaders()
    ended = threading.Event()

    def trickle():
        try:
            while not ended.wait(0.05):
                slow.send(chunk(b"x"))
        except OSError:
            pass  # The server has answered and closed.

    trickling = threading.Thread(target=trickle)
    trickling.start()
    answer = slow.getresponse()
    ended.set()
    trickling.join()
    assert answer.status == 408 and b"the 3 s that --stream-timeout gives" in answer.read()
    slow.close()


def test_an_answer_that_breaks_off_is_counted(serve):
    server = serve()
    connection, answer = begun(server, b"a\ngood\n")
    connection.send(chunk(b"x,y\n"))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=60) as page:
        assert 'textflight_errors_total{port="http",kind="invalid"} 1\n' in page.read().decode()


KEPT = {
    "mark": (b"\xef\xbb\xbfa,b\nx,1\n", CSV),
    "mark before a quote": (b'\xef\xbb\xbf"a",b\nx,1\n', CSV),
    "CR LF": (b"a\r\nx\r\ny\r\n", CSV),
    "CR": (b"a\rx\ry\r", CSV),
    "ends of three kinds, and none": (b"a\r\nx\ry\nz", CSV),
    "quotes within": (b'a,b\nx"y"z,1\n"x"yz,2\n "x",3\n', CSV),
    "lines in a cell": (b'a,b\n"x\r\ny\n\nz",1\n', CSV),
    "names twice": (b"a,b,b,\nx,1,2,3\n", CSV),
    "names alone": (b"a", CSV),
    "blank lines": (b'\n\na\n\n""\n\r\nx\n\n', CSV),
    "NUL, and bytes that are no text": (b"a,b\nx\0y,\xff\n", CSV),
    "nothing": (b"", NDJSON),
    "a mark alone": (b"\xef\xbb\xbf", NDJSON),
    "JSON after a mark, CR LF": (b'\xef\xbb\xbf{"a":"x"}\r\n\r\n  { "a" : "y" } \r\n', NDJSON),
    "a key twice": (b'{"a":"x","a":"y"}\n', NDJSON),
    "numbers that no float has": (b'{"a":"x","n":1e400,"m":-0.0,"k":123456789012345678901234567890}', NDJSON),
    "deep": (b'{"a":"x","d":' + b'[{"k":' * 50_000 + b"1" + b"}]" * 50_000 + b"}\n", NDJSON),
    "half of a pair elsewhere": (b'{"a":"x","s":"\\ud800"}\n', NDJSON),
    "empty objects": (b'{"a":"x"}\n{}\n{ }\n', NDJSON),
}


@pytest.mark.parametrize("name", KEPT)
def test_every_byte_of_nasty_lines_is_kept(server, name):
    body, content_type = KEPT[name]
    status, _, answer = post(server, {} if body.strip(b"\xef\xbb\xbf") == b"" else {"text": "a"}, body, content_type)
    # What was appended, whatever the scores are.
    if content_type == CSV:
        appended = rb",label,confidence|,(NEGATIVE|POSITIVE),[0-9.]+(?=[\r\n]|$)"
    else:
        appended = rb',?"label":("[A-Z]+"|null),"confidence":([0-9.]+|null)(?=})'
    assert status == 200 and re.sub(appended, b"", answer) == body


def test_duckdb_polars_and_pandas_read_the_answers(server, tmp_path):
    rows = [(7, "a joy", "x,y"), (8, None, 'q"'), (9, "", None)]
    table = pa.table({"id": [row[0] for row in rows], "text": [row[1] for row in rows], "note": [row[2] for row in rows]})
    with duckdb.connect() as database:
        database.register("given", table)
        for form, content_type, options in [("parquet", PARQUET, ""), ("csv", CSV, ", header true"), ("json", NDJSON, "")]:
            given, scored = tmp_path / f"given.{form}", tmp_path / f"scored.{form}"
            database.execute(f"copy given to '{given}' (format {form}{options})")
            status, _, answer = post(server, {"text": "text"}, given.read_bytes(), content_type)
            assert status == 200, answer
            scored.write_bytes(answer)
            read = database.execute(f"select id, note, label, confidence from read_{form}('{scored}')").fetchall()
            assert [row[:2] for row in read] == [(row[0], row[2]) for row in rows], form
            assert read[0][2] in ("NEGATIVE", "POSITIVE") and read[1][2:] == (None, None) and 0.5 <= read[0][3] <= 1, form
            frames = {"parquet": (pl.read_parquet, pd.read_parquet), "csv": (pl.read_csv, pd.read_csv), "json": (pl.read_ndjson, lambda path: pd.read_json(path, lines=True))}
            for frame in [reader(scored) for reader in frames[form]]:
                assert list(frame["label"])[0] == read[0][2] and float(frame["confidence"][0]) == pytest.approx(read[0][3]), form


DOCUMENT = (REPOSITORY / "docs" / "rest.md").read_text()
SHOWN = ["", '007,"good, fun",', '{"id": 7.50, "text": "dull","label":', "", '{"id":"007","text":"good, fun","label":', '"texts":["id","text"]', '"rows":1']
SNIPPETS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code, expected", list(zip(SNIPPETS, SHOWN, strict=True)), ids=["parquet", "csv", "json", "arrow", "accept", "columns", "account"])
def test_what_the_document_shows(server, tmp_path, dev_texts, code, expected):
    (tmp_path / "data").mkdir()
    # Less of the same: the whole takes its time in a build that is not optimized.
    pq.write_table(pa.table({"text": dev_texts[:20]}), tmp_path / "data" / "reviews.parquet")
    code = code.replace("127.0.0.1:5000", server.http).replace("python3", sys.executable)
    shell = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and expected in done.stdout, done
    if "scored.arrows" in code:
        assert pa.ipc.open_stream(tmp_path / "scored.arrows").read_all().column_names == ["id", "label", "confidence"]
    if "scored.parquet" in code:
        assert pq.read_table(tmp_path / "scored.parquet").column_names == ["text", "label", "confidence"]
