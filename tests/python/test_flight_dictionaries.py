"""Categoricals come back as dictionaries, also where a client changes them between batches.

Flight's stock encoder would send them as plain strings (trap 7 of Flight servers), and the schema would no longer be the input's.
"""
import pyarrow as pa
import pyarrow.flight as fl
import pytest

from client import assert_kept, descriptor, finish, score

CATEGORICAL = pa.dictionary(pa.int8(), pa.string())
DELTAS = fl.FlightCallOptions(timeout=60, write_options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True))
FILMS = ["a joy", "a bore", "a gem"]


def batch(values, keys):
    """A batch whose text and genre share a dictionary of these values."""
    column = pa.DictionaryArray.from_arrays(pa.array(keys, pa.int8()), pa.array(values, pa.string()))
    return pa.record_batch({"text": column, "genre": column})


def exchange(client, batches):
    """The answers to the batches, one by one, from a client that sends only what a dictionary has grown by."""
    writer, reader = client.do_exchange(descriptor(text="text"), DELTAS)
    writer.begin(batches[0].schema)
    answers = []
    for one in batches:
        writer.write_batch(one)
        answers.append(reader.read_chunk().data)
    finish(writer, reader)
    return answers


def test_categoricals_stay_dictionaries(client):
    table = pa.table({"text": pa.array(FILMS * 2).dictionary_encode().cast(CATEGORICAL), "n": range(6)})
    scored = score(client, table)
    assert scored.schema.field("text").type == CATEGORICAL
    assert_kept(scored, table)


CHANGES = {
    "the same": [(FILMS, [0, 1]), (FILMS, [2, None])],
    "replaced": [(FILMS, [0, 1]), (["other", "words"], [1, 0]), (FILMS[:1], [0])],
    "grown": [(FILMS[:1], [0]), (FILMS[:2], [1, 0]), (FILMS, [2, 1, 0])],
    "permuted": [(FILMS, [0, 1, 2]), (FILMS[::-1], [0, 1, 2])],
    "emptied": [(FILMS, [0]), ([], [None]), (FILMS, [2])],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_dictionary_that_changes_between_batches(client, change):
    sent = [batch(values, keys) for values, keys in CHANGES[change]]
    for before, after in zip(sent, exchange(client, sent), strict=True):
        assert after["text"].type == after["genre"].type == before["text"].type
        assert after["text"].to_pylist() == after["genre"].to_pylist() == before["text"].to_pylist()
        assert [label is None for label in after["label"].to_pylist()] == [text is None for text in before["text"].to_pylist()]


@pytest.mark.parametrize("change", CHANGES)
def test_the_scores_follow_the_dictionary(client, change):
    sent = [batch(values, keys) for values, keys in CHANGES[change]]
    plain = pa.table({"text": [text for one in sent for text in one["text"].to_pylist()]})
    expected = score(client, plain)["confidence"].to_pylist()
    assert [c for one in exchange(client, sent) for c in one["confidence"].to_pylist()] == expected


def test_a_nested_dictionary_that_changes(client):
    def nested(values):
        inner = pa.array(values).dictionary_encode()
        return pa.record_batch({"text": pa.array(values), "it": pa.ListArray.from_arrays([0, *range(1, len(values) + 1)], inner)})

    sent = [nested(["a", "b"]), nested(["c", "a", "d"]), nested(["e"])]
    for before, after in zip(sent, exchange(client, sent), strict=True):
        assert after["it"].type == before["it"].type
        assert after["it"].to_pylist() == before["it"].to_pylist()
