"""`GET /metrics`: what Prometheus reads is well formed, and true to the last row."""
import re
import threading
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from client import CALL, close, descriptor, score, take_place, texts
from metrics import BULK, INTERACTIVE, Deltas, page, samples
from predictions import call, predict
from rest import PARQUET, parquet, post, refused

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


@pytest.fixture
def alone(serve):
    """A server that nobody else asks, with one model thread, whose batches are therefore known."""
    return serve("--threads", "1")


def test_text_for_all_and_openmetrics_for_who_asks(server):
    page(server)  # A route is there once a request for it has ended.
    kind, text = page(server)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    families = list(parse_text(text))
    kind, openmetrics = page(server, OPENMETRICS)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    strict = list(parse_openmetrics(openmetrics))
    assert openmetrics.endswith("# EOF\n") and "# EOF" not in text
    plain = {re.sub("_(total|info)$", "", family.name) for family in families}
    assert plain == {family.name for family in strict}


def test_names_keep_to_the_rules(server):
    """What promtool checks, and that each metric says what it is."""
    predict(server, ["a"])
    _, text = page(server)
    for family in parse_text(text):
        name = family.name
        assert re.fullmatch("(textflight|process)_[a-z_]+", name), name
        assert f"# HELP {name}" in text and f"# TYPE {name}" in text, name
        assert len(family.documentation) > 15, name
        assert family.type in ("counter", "gauge", "histogram"), name
        exported = f"{name}_total" if family.type == "counter" else name
        assert f"\n{exported}" in text, name
        if family.type != "counter":
            assert not re.search("_(total|count|sum|bucket)$", name), name
        assert not re.search("milli|micro|nano|minute|hour|kilo|mega|_mi?b$|_ms$|percent|_(counter|gauge|histogram)", name), name
        if "second" in family.documentation.lower() or re.search("[Tt]ime|[Hh]ow long", family.documentation):
            assert "_seconds" in name, name
        for sample in family.samples:
            assert all(re.fullmatch("[a-z]+", label) for label in sample.labels), sample
            assert sample.value >= 0, sample
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? [-+.0-9einfINF]+', line), line


def test_rows_and_tokens_are_true(alone, connect_to):
    values = ["a fine film", "dull", "an absolute joy to watch from the first minute to the last"]
    client = connect_to(alone)
    counted = Deltas(alone)
    scored = score(client, texts(*values, None), details=True)
    tokens = [count for count in scored["tokens"].to_pylist() if count is not None]
    assert counted["rows_total", BULK] == 3 and counted["rows_total", INTERACTIVE] == 0
    assert counted["sequences_total", BULK] == 3
    assert counted["tokens_total", BULK] == sum(tokens)
    assert counted["padding_tokens_saved_total", BULK] == 3 * max(tokens) - sum(tokens)
    assert counted["batch_rows_count", BULK] == 1 and counted["batch_rows_sum", BULK] == 3
    assert counted["batch_fill_ratio_sum", BULK] == pytest.approx(3 / 32)
    for seconds in ["queue", "tokenize", "compute"]:
        assert counted[f"{seconds}_seconds_count", BULK] == 1
        assert 0 < counted[f"{seconds}_seconds_sum", BULK] < 60
    assert counted["failed_rows_total", BULK] == 0


def test_equal_texts_go_through_the_model_once(alone):
    counted = Deltas(alone)
    predict(alone, ["fine"] * 40 + ["dull"])
    assert counted["rows_total", INTERACTIVE] == 41
    assert counted["sequences_total", INTERACTIVE] == 2
    assert counted["queue_seconds_count", INTERACTIVE] == 1


def test_batches_are_as_large_as_they_may_be(alone, connect_to):
    counted = Deltas(alone)
    score(connect_to(alone), texts(*(f"film {number}" for number in range(80))), max_chunksize=80)
    assert counted["batch_rows_count", BULK] == 3 and counted["batch_rows_sum", BULK] == 80
    assert counted["batch_fill_ratio_sum", BULK] == pytest.approx(80 / 32)
    assert counted["batch_rows_bucket", BULK | {"le": "16"}] == 1


def test_requests_and_calls_by_route_and_code(alone, connect_to):
    http, flight = {"port": "http"}, {"port": "flight"}
    counted = Deltas(alone)
    predict(alone, ["a"])
    assert call(alone, "/predictions", b"{")[0] == 400
    assert call(alone, "/predictions/some-name-of-a-client")[0] == 404
    assert call(alone, "/nowhere/at/all?x=y")[0] == 404
    client = connect_to(alone)
    score(client, texts("a"))
    with pytest.raises(pa.ArrowInvalid):
        score(client, texts("a"), text="nothing")
    with pytest.raises(pa.ArrowInvalid):
        score(client, texts("a"), nonsense=1)
    codes = {
        ("http", "/predictions", "200"): 1,
        ("http", "/predictions", "400"): 1,
        ("http", "/predictions/{id}", "404"): 1,
        ("http", "other", "404"): 1,
        ("flight", "DoExchange", "OK"): 1,
        ("flight", "DoExchange", "INVALID_ARGUMENT"): 2,
    }
    for (port, route, code), times in codes.items():
        assert counted["requests_total", {"port": port, "route": route, "code": code}] == times, (port, route, code)
    assert counted["errors_total", http | {"kind": "invalid"}] == 1
    assert counted["errors_total", flight | {"kind": "invalid"}] == 2
    assert counted["request_seconds_count", flight | {"route": "DoExchange"}] == 3
    assert not any("some-name" in str(key) or "nowhere" in str(key) for key in samples(alone))


def test_what_is_open_and_what_was_sent(alone, connect_to):
    client = connect_to(alone)
    exchanges = {"port": "flight", "route": "DoExchange"}
    writer, reader = take_place(client, texts("a"))
    now = samples(alone)
    assert now[("textflight_requests_open", *sorted(exchanges.items()))] == 1
    assert now[("textflight_connections_open", ("port", "flight"))] == 1
    counted = Deltas(alone)
    payload = pa.table({"text": ["a"], "payload": [bytes(1 << 20)]})
    writer.done_writing()
    assert reader.read_all().num_rows == 0
    writer.close()
    assert counted["requests_open", exchanges] == -1
    score(client, payload)
    for name in ["received_bytes_total", "sent_bytes_total"]:
        assert 1 << 20 < counted[name, {"port": "flight"}] < (1 << 20) + 65536


def test_a_client_that_goes_has_cancelled(alone, connect_to):
    counted = Deltas(alone)
    writer, reader = take_place(connect_to(alone), texts("a"))
    reader.cancel()
    close(writer)
    cancelled = ("textflight_requests_total", ("code", "CANCELLED"), ("port", "flight"), ("route", "DoExchange"))
    for _ in range(600):
        if counted.read().get(cancelled):
            break
        threading.Event().wait(0.05)
    assert counted.read()[cancelled] == 1
    assert counted["requests_open", {"port": "flight", "route": "DoExchange"}] == 0


def test_how_things_stand(alone):
    now = samples(alone)
    [info] = [dict(key[1:]) for key in now if key[0] == "textflight_model_info"]
    assert info["model"].endswith("sst2-mini") and (info["device"], info["dtype"], info["revision"]) == ("cpu", "f32", "")
    assert re.fullmatch("[0-9a-f]{64}", info["version"])
    assert now[("textflight_ready",)] == 1
    assert now[("textflight_memory_used_bytes",)] == 0 < now[("textflight_memory_limit_bytes",)]
    for lane in ["interactive", "bulk"]:
        for name in ["queue_rows", "queue_jobs", "queue_oldest_seconds"]:
            assert now[(f"textflight_{name}", ("lane", lane))] == 0
    assert now[("process_resident_memory_bytes",)] > 1 << 20
    assert now[("process_open_fds",)] > 5 and now[("process_cpu_seconds_total",)] > 0
    assert now[("process_start_time_seconds",)] > 1.7e9


def test_the_page_is_for_who_may_ask(serve):
    server = serve("--api-token", "sesame")
    for token in [None, "wrong"]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            page(server, token=token)
        assert refused.value.code == 401
        refused.value.close()
    _, text = page(server, token="sesame")
    assert 'textflight_requests_total{port="http",route="/metrics",code="401"} 2' in text
    assert 'textflight_errors_total{port="http",kind="unauthenticated"} 2' in text


def test_a_refused_call_is_counted(serve, connect_to):
    server = serve("--api-token", "sesame")
    with pytest.raises(fl.FlightUnauthenticatedError):
        connect_to(server).do_exchange(descriptor(), CALL)[1].read_all()
    _, text = page(server, token="sesame")
    assert 'textflight_requests_total{port="flight",route="DoExchange",code="UNAUTHENTICATED"} 1' in text
    assert 'textflight_errors_total{port="flight",kind="unauthenticated"} 1' in text


def test_a_call_whose_time_has_passed_is_counted(serve, connect_to):
    server = serve("--stream-timeout", "0.2")
    client = connect_to(server)
    writer, reader = client.do_exchange(descriptor(), CALL)
    with pytest.raises(fl.FlightTimedOutError):
        reader.read_all()
    with pytest.raises(pa.ArrowException):
        writer.close()
    _, text = page(server)
    assert 'textflight_errors_total{port="flight",kind="stalled"} 1' in text


def test_a_table_over_http_counts_as_one(alone, reviews):
    counted = Deltas(alone)
    table = parquet(pq.read_table(reviews).slice(0, 40))
    status, _, answer = post(alone, {"text": "text"}, table, PARQUET)
    assert status == 200 and pq.read_table(pa.BufferReader(answer)).num_rows == 40
    assert counted["rows_total", BULK] == 40 and counted["rows_total", INTERACTIVE] == 0
    assert counted["requests_total", {"port": "http", "route": "/score", "code": "200"}] == 1
    assert refused(alone, {"text": "nothing"}, table, PARQUET)[0] == 400
    assert counted["errors_total", {"port": "http", "kind": "invalid"}] == 1
