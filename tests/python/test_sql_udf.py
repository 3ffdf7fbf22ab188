"""Functions of SQL over Flight: what arrow-udf's and Databend's protocols ask of a server, and Databend's own Python client."""
import threading

import databend_udf.client
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

from client import CALL, assert_serving, close, score, texts, wait_until
from server import MODEL, run

TYPES = {
    "textflight_label": pa.string(),
    "textflight_confidence": pa.float32(),
    "textflight_score": pa.struct([("label", pa.string()), ("confidence", pa.float32())]),
}
HEALTHY = "builtin_healthy"
SAID = [*TYPES, HEALTHY]


def path(*parts):
    return fl.FlightDescriptor.for_path(*parts)


def call(client, function, *batches, options=CALL):
    """A call in lockstep: a batch is sent when the result of the one before it was read."""
    writer, reader = client.do_exchange(path(function), options)
    try:
        results = []
        writer.begin(batches[0].schema)
        for batch in batches:
            writer.write_batch(batch)
            results.append(reader.read_chunk().data)
        writer.done_writing()
        assert reader.read_all().num_rows == 0
        return results
    finally:
        close(writer)


def argument(*values, type=pa.string(), name="arg1"):
    return pa.record_batch({name: pa.array(values, type)})


@pytest.mark.parametrize("function", TYPES)
def test_a_signature_is_what_clients_of_both_protocols_look_for(client, function):
    info = client.get_flight_info(path(function), CALL)
    assert (info.total_records, info.total_bytes, list(info.endpoints)) == (1, 0, [])
    assert info.descriptor == path(function)
    assert info.schema.types == [pa.string(), TYPES[function]] and all(field.nullable for field in info.schema)
    assert info.schema.metadata == {b"x-databend-udf-input-count": b"1"}
    assert client.get_schema(path(function), CALL).schema == info.schema


def test_functions_are_listed_with_their_signatures(client):
    listed = {info.descriptor.path[0].decode(): info for info in client.list_flights(options=CALL)}
    assert SAID == [name for name in listed if name in SAID]
    assert all(listed[name].schema == client.get_flight_info(path(name), CALL).schema for name in SAID)
    assert [info.descriptor.path for info in client.list_flights(b"textflight_c", CALL)] == [[b"textflight_confidence"]]


def test_the_version_of_the_protocol(client):
    assert [result.body.to_pybytes() for result in client.do_action("protocol_version", CALL)] == [b"\x02"]
    with pytest.raises(pa.ArrowInvalid, match="takes no body"):
        list(client.do_action(fl.Action("protocol_version", b"3"), CALL))
    assert "protocol_version" in {action.type for action in client.list_actions(CALL)}


def test_results_are_those_of_the_table(client):
    values = ["a lovely film", None, "", "  ", "dull , dull , dull", "a lovely film", "\U0001f389 naïve", "long " * 400]
    expected = score(client, texts(*values), columns="new")
    [label] = call(client, "textflight_label", argument(*values))
    [confidence] = call(client, "textflight_confidence", argument(*values))
    [both] = call(client, "textflight_score", argument(*values))
    assert label.column(0).equals(expected["label"].combine_chunks())
    assert confidence.column(0).equals(expected["confidence"].combine_chunks())
    assert both.schema.types == [TYPES["textflight_score"]] and both.num_columns == 1
    both.validate(full=True)
    assert both.column(0).field("label").equals(label.column(0))
    assert both.column(0).to_pylist()[1] is None
    assert both.column(0).to_pylist()[0] == {"label": label.column(0)[0].as_py(), "confidence": confidence.column(0)[0].as_py()}


@pytest.mark.parametrize("type", [
    pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.uint32(), pa.large_string()),
], ids=str)
@pytest.mark.parametrize("name", ["arg1", "", "label"])
def test_texts_of_every_encoding_and_arguments_of_any_name(client, type, name):
    values = ["a lovely film", None, "dull , dull , dull", "a lovely film"]
    array = pa.array(values).dictionary_encode().cast(type) if pa.types.is_dictionary(type) else pa.array(values, type)
    [result] = call(client, "textflight_label", pa.record_batch([array], [name]))
    assert result.column(0).to_pylist() == ["POSITIVE", None, "NEGATIVE", "POSITIVE"]


def test_runs_and_nulls_are_texts_too(client):
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], ["a lovely film", "dull , dull , dull"])
    [result] = call(client, "textflight_label", pa.record_batch([runs], ["arg1"]))
    assert result.column(0).to_pylist() == ["POSITIVE", "POSITIVE", "NEGATIVE"]
    [result] = call(client, "textflight_score", argument(None, None, type=pa.null()))
    assert result.column(0).to_pylist() == [None, None]


def test_one_batch_for_one_also_of_no_rows(client):
    sizes = [0, 3, 0, 1, 1024, 0]
    for function, type in TYPES.items():
        results = call(client, function, *(argument(*(f"film {row}" for row in range(size))) for size in sizes))
        assert [result.num_rows for result in results] == sizes
        assert all(result.schema.types == [type] for result in results)


def test_a_call_without_batches(client):
    writer, reader = client.do_exchange(path("textflight_label"), CALL)
    writer.begin(argument().schema)
    writer.done_writing()
    assert reader.read_all().schema.types == [pa.string()]
    writer.close()


def test_a_large_batch(client):
    # Few texts, since each costs time, but many rows.
    values = [f"a film of {row % 90} minutes, {'a joy' if row % 3 else 'a bore'}" for row in range(100_000)]
    [result] = call(client, "textflight_score", argument(*values, type=pa.string_view()))
    table = score(client, texts(*values), columns="new")
    assert result.column(0).field("label").equals(table["label"].combine_chunks())
    assert result.column(0).field("confidence").equals(table["confidence"].combine_chunks())


def test_the_schema_of_results_is_there_before_anything_was_sent(client):
    writer, reader = client.do_exchange(path("textflight_score"), CALL)
    assert reader.schema.types == [TYPES["textflight_score"]]
    writer.begin(argument().schema)
    writer.done_writing()
    assert reader.read_all().num_rows == 0
    writer.close()


@pytest.mark.parametrize("function, batch, error", [
    ("textflight_label", pa.record_batch({"a": ["x"], "b": [1]}), r"textflight_label takes one argument, a text; its arguments were: a \(string\), b \(int64\)"),
    ("textflight_score", argument(1, type=pa.int64()), r"textflight_score takes one argument, a text; its arguments were: arg1 \(int64\)"),
    ("textflight_confidence", argument(b"x", type=pa.binary()), r"arg1 \(binary\)"),
    ("textflight_label", argument(["x"], type=pa.list_(pa.string())), r"arg1 \(list<string>\)"),
    ("textflight_label", argument({"a": "x"}, type=pa.struct([("a", pa.string())])), r"arg1 \(struct<a: string>\)"),
    (HEALTHY, argument("x"), r"builtin_healthy takes no argument; its arguments were: arg1 \(string\)"),
], ids=["two", "number", "bytes", "list", "tuple", "healthy"])
def test_wrong_arguments_are_named_with_what_is_right(client, function, batch, error):
    with pytest.raises(pa.ArrowInvalid, match=error):
        call(client, function, batch)
    assert_serving(client)


def test_no_argument_at_all(client):
    with pytest.raises(pa.ArrowInvalid, match="takes one argument, a text; its arguments were: none"):
        call(client, "textflight_label", argument("x").select([]))


def test_text_that_is_not_unicode_fails_the_call_with_its_row(client):
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    with pytest.raises(pa.ArrowInvalid, match=r"row 3 \(counted from 0\) is not text"):
        call(client, "textflight_label", argument("x", "y"), pa.record_batch([broken], ["arg1"]))


@pytest.mark.parametrize("name", ["sentiment", "textflight_sum", "TEXTFLIGHT_LABEL", "Builtin_Healthy", ""])
def test_an_unknown_function_is_not_found_and_those_there_are_listed(client, name):
    with pytest.raises(KeyError, match=f'function "{name}" not found.*: {", ".join(SAID)}'):
        call(client, name, argument("x"))
    with pytest.raises(KeyError, match=f'"{name}" not found.*{", ".join(SAID)}'):
        client.get_flight_info(path(name), CALL)


def test_the_case_of_a_name_is_said_where_it_is_all_that_is_wrong(client):
    with pytest.raises(KeyError, match="by their names in lower case"):
        call(client, "Textflight_Label", argument("x"))


def test_a_function_has_no_files(client):
    with pytest.raises(pa.ArrowInvalid, match="by its name alone"):
        client.get_flight_info(path("textflight_label", "a.parquet"), CALL)


def test_several_calls_on_one_connection(client):
    failed = []

    def work(number):
        try:
            for turn in range(5):
                rows = 50 * number + turn
                [result] = call(client, SAID[number % 3], argument(*(f"film {row}" for row in range(rows))))
                assert result.num_rows == rows and result.column(0).null_count == 0
        except BaseException as error:  # Told by the test's own thread.
            failed.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed, failed


def test_calls_are_bounded_and_a_cancelled_one_leaves_its_place(serve, connect_to):
    client = connect_to(serve("--max-exchanges", "1"))
    writer, reader = client.do_exchange(path("textflight_label"), CALL)
    assert reader.schema.names == ["label"]
    with pytest.raises(fl.FlightUnavailableError, match="--max-exchanges"):
        call(client, "textflight_label", argument("x"))
    reader.cancel()
    close(writer)

    def served():
        try:
            return call(client, "textflight_label", argument("a lovely film"))
        except fl.FlightUnavailableError:
            return None

    [result] = wait_until(served)
    assert result.column(0).to_pylist() == ["POSITIVE"]


def test_tokens_are_asked_for(serve, connect_to):
    client = connect_to(serve("--api-token", "secret"))
    for refused in [
        lambda: call(client, "textflight_label", argument("x")),
        lambda: client.get_flight_info(path("textflight_label"), CALL),
        lambda: list(client.do_action("protocol_version", CALL)),
    ]:
        with pytest.raises(fl.FlightUnauthenticatedError):
            refused()
    options = fl.FlightCallOptions(timeout=60, headers=[(b"authorization", b"Bearer secret")])
    [result] = call(client, "textflight_label", argument("a lovely film"), options=options)
    assert result.column(0).to_pylist() == ["POSITIVE"]


def test_a_message_too_large_is_refused(serve, connect_to):
    client = connect_to(serve("--max-message-mib", "1"))
    with pytest.raises(pa.ArrowInvalid, match="--max-message-mib"):
        call(client, "textflight_label", argument(*["x" * 2**19] * 3))
    assert_serving(client)


@pytest.mark.parametrize("name", ["textflight_label", "textflight_later", HEALTHY])
def test_no_data_set_has_the_name_of_a_function(tmp_path, name):
    pq.write_table(texts("fine"), tmp_path / "a.parquet")
    done = run("serve", "--model", MODEL, "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", f"{name}={tmp_path / 'a.parquet'}")
    assert done.returncode == 2 and f'data set "{name}": the name is kept' in done.stderr


def test_databends_python_client(server):
    host, port = server.flight.split(":")
    client = databend_udf.client.create_client(host, int(port))
    assert client.health_check()
    assert client.list_functions() == [HEALTHY]
    assert client.call_function("textflight_label", "a lovely film") == ["POSITIVE"]
    assert client.call_function_batch("textflight_label", text=["a lovely film", None, "dull , dull , dull"]) == ["POSITIVE", None, "NEGATIVE"]
    [good, nothing] = client.call_function_batch("textflight_score", text=["a lovely film", None])
    assert good["label"] == "POSITIVE" and 0.5 < good["confidence"] <= 1 and nothing is None
    assert client.call_function("textflight_confidence", "a lovely film") == [good["confidence"]]
    headers = {"x-databend-tenant": "t", "x-databend-query-id": "q"}
    assert client.call_function("textflight_label", "dull , dull , dull", headers=headers) == ["NEGATIVE"]
    client.client.close()
