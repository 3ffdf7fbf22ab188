"""Options of the command, and what a wrong one says."""
import re

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from client import NEW_COLUMNS, score, score_in_turn, texts

REVIEWS = pa.table({"id": [1, 2, 3], "title": ["good", None, "bad"], "body": ["a joy to watch", "x", "a dreadful bore"]})
BODY = REVIEWS.select(["id", "body"])


def test_the_only_string_column_needs_no_name(client):
    assert score(client, BODY)["label"].to_pylist()[::2] == ["POSITIVE", "NEGATIVE"]


@pytest.mark.parametrize("command", [b"", b"{}", b" \n", b' { "text" : null } '])
def test_a_command_without_options(client, command):
    scored = score_in_turn(client, BODY, fl.FlightDescriptor.for_command(command))
    assert scored.column_names == ["id", "body", *NEW_COLUMNS]


def test_the_default_columns(client):
    scored = score(client, REVIEWS, text="body")
    assert scored.schema.field("label").type == pa.string()
    assert scored.schema.field("confidence").type == pa.float32()
    assert all(0.5 <= confidence <= 1 for confidence in scored["confidence"].to_pylist())


def test_labels_as_numbers(client):
    names, ids = score(client, REVIEWS, text="body"), score(client, REVIEWS, text="body", labels="id")
    assert ids.schema.field("label").type == pa.int64()
    assert [["NEGATIVE", "POSITIVE"][i] for i in ids["label"].to_pylist()] == names["label"].to_pylist()
    assert ids["confidence"].equals(names["confidence"])


def test_details(client):
    scored = score(client, texts("one two three", None, "", "word " * 500), details=True)
    assert scored.column_names == ["text", *NEW_COLUMNS, "tokens", "truncated"]
    assert [scored.schema.field(name).type for name in ("tokens", "truncated")] == [pa.int32(), pa.bool_()]
    tokens, truncated = scored["tokens"].to_pylist(), scored["truncated"].to_pylist()
    assert (tokens[0], tokens[1], tokens[3]) == (5, None, 502) and tokens[2] > 2  # [EMPTY] has tokens of its own
    assert truncated == [False, None, False, True]


def test_probabilities(client):
    scored = score(client, REVIEWS, text="title", labels="id", probabilities=True)
    assert pa.types.is_fixed_size_list(scored.schema.field("probabilities").type)
    for label, confidence, row in zip(*(scored[name].to_pylist() for name in ("label", "confidence", "probabilities"))):
        if label is None:
            assert row is None and confidence is None
        else:
            assert len(row) == 2 and row[label] == max(row) == confidence and abs(sum(row) - 1) < 1e-6


def test_everything_under_other_names(client):
    options = dict(text="body", details=True, probabilities=True, label_column="sentiment", confidence_column="sicher ✓")
    scored = score(client, REVIEWS.append_column("label", pa.array([1, 2, 3])), **options)
    assert scored.column_names == ["id", "title", "body", "label", "sentiment", "sicher ✓", "tokens", "truncated", "probabilities"]


WRONG_OPTIONS = [
    (dict(text="review"), 'column "review" not found; string columns: title, body'),
    (dict(text="id"), 'column "id" is int64, not text; string columns: title, body'),
    ({}, r'more than one string column: title, body; name one with "text"'),
    (dict(text=7), "expected a string, the name of a column, or a list of such"),
    (dict(txet="body"), r"unknown field `txet`, expected one of `text`, `labels`, `details`, `probabilities`, `label_column`, `confidence_column`, `columns`, `on_error`"),
    (dict(text="body", labels="names"), "unknown variant `names`, expected `name` or `id`"),
    (dict(text="body", details="yes"), "expected a boolean"),
    (dict(text="body", label_column="id"), 'already has a column "id"; choose another name with "label_column"'),
    (dict(text="body", confidence_column="id"), 'already has a column "id"; choose another name with "confidence_column"'),
    (dict(text="body", confidence_column="label"), 'two new columns would be called "label"'),
]


@pytest.mark.parametrize("options, message", WRONG_OPTIONS)
def test_a_wrong_option_says_what_would_be_right(client, options, message):
    with pytest.raises(pa.ArrowInvalid, match=message):
        score_in_turn(client, REVIEWS, **options)


@pytest.mark.parametrize("name", NEW_COLUMNS)
def test_a_new_column_that_is_there_already(client, name):
    with pytest.raises(pa.ArrowInvalid, match=f'already has a column "{name}"; choose another name with "{name}_column"'):
        score_in_turn(client, BODY.append_column(name, pa.array([0, 1, 2])))


@pytest.mark.parametrize("name", ["tokens", "truncated", "probabilities"])
def test_a_column_of_details_that_is_there_already(client, name):
    table = BODY.append_column(name, pa.array([0, 1, 2]))
    assert score(client, table).column_names == ["id", "body", name, *NEW_COLUMNS]
    with pytest.raises(pa.ArrowInvalid, match=f'already has a column "{name}"; rename it'):
        score_in_turn(client, table, details=True, probabilities=True)


@pytest.mark.parametrize("table, message", [
    (REVIEWS.select(["id"]), r"no string column; columns: id \(int64\)"),
    (pa.table({"a": pa.nulls(2), "b": [1.5, 2.5]}), r"no string column; columns: a \(null\), b \(double\)"),
    (pa.table({}), "no string column; columns: none"),
])
def test_no_string_column(client, table, message):
    with pytest.raises(pa.ArrowInvalid, match=message):
        score_in_turn(client, table)


def test_two_text_columns_of_one_name(client):
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    with pytest.raises(pa.ArrowInvalid, match='more than one column is called "text"'):
        score_in_turn(client, twice, text="text")


@pytest.mark.parametrize("command", [b"text", b"[]", b'{"text"', b"\xff", b'{"text": "a"} {}', b'["text"]', b'{"text": "\\ud800"}'])
def test_a_command_that_is_no_json_object(client, command):
    with pytest.raises(pa.ArrowInvalid, match="the command is not a JSON object of options"):
        score_in_turn(client, BODY, fl.FlightDescriptor.for_command(command))


def test_a_path_is_no_command(client):
    right = re.escape('DoExchange takes a command descriptor: FlightDescriptor.for_command(b"{}")')
    with pytest.raises(KeyError, match='function "reviews.parquet" not found.*' + right):
        score_in_turn(client, BODY, fl.FlightDescriptor.for_path("reviews.parquet"))
    with pytest.raises(pa.ArrowInvalid, match=right):
        score_in_turn(client, BODY, fl.FlightDescriptor.for_path("folder", "reviews.parquet"))


def test_the_columns_that_come_back(client):
    labelled = REVIEWS.append_column("label", pa.array([1, 2, 3]))
    for columns, expected in [("new", []), ([], []), (["body", "id"], ["body", "id"]), (["title"], ["title"])]:
        scored = score(client, labelled, text="body", columns=columns)
        assert scored.column_names == [*expected, *NEW_COLUMNS]
        assert scored.select(expected).equals(labelled.select(expected))
        assert scored["confidence"].equals(score(client, REVIEWS, text="body")["confidence"])
    assert score(client, REVIEWS, text="body", columns="all").column_names == [*REVIEWS.column_names, *NEW_COLUMNS]


def test_the_schemas_metadata_stays_with_some_columns(client):
    schema = pa.schema([pa.field("id", pa.int64(), metadata={"unit": "1"}), pa.field("body", pa.string())], metadata={"source": "here"})
    scored = score(client, BODY.cast(schema), columns=["id"])
    assert scored.schema.metadata == schema.metadata and scored.schema.field("id").metadata == {b"unit": b"1"}


@pytest.mark.parametrize("columns, message", [
    (["id", "label"], 'column "label", which "columns" names, not found; columns: id \\(int64\\), title \\(string\\), body \\(string\\)'),
    (["id", "id"], '"columns" names "id" twice; columns: id'),
    ("id", 'unknown "columns" "id", expected "all", "new", or a list of columns'),
    (None, 'expected "all", "new", or a list of columns'),
    ([["id"]], "expected a string"),
])
def test_columns_that_cannot_come_back(client, columns, message):
    with pytest.raises(pa.ArrowInvalid, match=message):
        score_in_turn(client, REVIEWS, text="body", columns=columns)


@pytest.mark.parametrize("columns", [["id", "label"], "all"])
def test_a_column_that_comes_back_keeps_its_name(client, columns):
    with pytest.raises(pa.ArrowInvalid, match='already has a column "label"; choose another name with "label_column"'):
        score_in_turn(client, BODY.append_column("label", pa.array([1, 2, 3])), columns=columns)


def test_the_error_column_is_there_when_all_is_well(client):
    scored = score(client, REVIEWS, text="title", on_error="null", columns="new", details=True)
    assert scored.column_names == [*NEW_COLUMNS, "tokens", "truncated", "error"]
    assert scored.schema.field("error").type == pa.string() and scored["error"].null_count == 3
    assert scored["label"].to_pylist()[1] is None


def test_rows_that_are_no_text_fail_or_get_nulls(client):
    table = pa.table({"raw": [b"a joy", None, b"caf\xe9", b"a bore"]})
    with pytest.raises(pa.ArrowInvalid, match=r"row 2 \(counted from 0\) is not text"):
        score_in_turn(client, table, text="raw")
    scored = score(client, table, text="raw", on_error="null", probabilities=True, max_chunksize=2)
    for name in (*NEW_COLUMNS, "probabilities"):
        assert [value is None for value in scored[name].to_pylist()] == [False, True, True, False], name
    assert [error and error[:16] for error in scored["error"].to_pylist()] == [None, None, "incomplete utf-8", None]
    assert scored["raw"].equals(table["raw"])


def test_a_wrong_on_error(client):
    with pytest.raises(pa.ArrowInvalid, match="unknown variant `skip`, expected `fail` or `null`"):
        score_in_turn(client, BODY, on_error="skip")
    with pytest.raises(pa.ArrowInvalid, match='already has a column "error"; rename it'):
        score_in_turn(client, BODY.append_column("error", pa.array([1, 2, 3])), on_error="null")
