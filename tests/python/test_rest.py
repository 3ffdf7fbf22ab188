"""`POST /score`: tables over HTTP, as curl and Python's own library send them."""
import http.client
import io
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from server import MODEL, run

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


def parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


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


def test_limits_are_named(serve, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    server = serve("--max-score-body", "100KiB", "--spool-dir", str(spool), "--spool-limit", "50KiB")
    for length in [True, False]:
        body = bytes(200_000)
        status, detail = refused(server, {}, body if length else iter([body[:100_000], body[100_000:]]), PARQUET)
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
