"""Every type in which a client may send its texts, and which texts there are."""
import pyarrow as pa
import pytest

from client import assert_kept, score, texts

SAMPLE = ["a warm , funny film", None, "dull and witless", "a warm , funny film", "", "  \t", "[EMPTY]", "🎬 عربي \0 日本", "x" * 3000]
STRINGS = [pa.string(), pa.large_string(), pa.string_view()]
INDEXES = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


@pytest.fixture(scope="module")
def expected(server):
    """The scores of the sample as the plainest client sends it."""
    from conftest import connect

    with connect(server) as client:
        return scores(score(client, texts(*SAMPLE)))


def scores(scored):
    """Labels and confidences, to be compared bit for bit."""
    return scored["label"].to_pylist(), scored["confidence"].to_pylist()


def dictionary(values, index, value_type):
    """A dictionary array whose index type is as narrow as asked for."""
    distinct = list(dict.fromkeys(v for v in values if v is not None))
    keys = pa.array([None if v is None else distinct.index(v) for v in values], index)
    return pa.DictionaryArray.from_arrays(keys, pa.array(distinct, value_type))


@pytest.mark.parametrize("string", STRINGS, ids=str)
def test_string_types(client, expected, string):
    table = texts(*SAMPLE, type=string)
    scored = score(client, table)
    assert_kept(scored, table)
    assert scores(scored) == expected


@pytest.mark.parametrize("string", STRINGS, ids=str)
@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_dictionaries_of_every_index_width(client, expected, index, string):
    table = pa.table({"text": dictionary(SAMPLE, index, string)})
    scored = score(client, table)
    assert_kept(scored, table)
    assert scores(scored) == expected


def test_a_dictionary_that_holds_a_null(client, expected):
    keys = pa.array([0, 1, None, 0], pa.int8())
    table = pa.table({"text": pa.DictionaryArray.from_arrays(keys, pa.array([SAMPLE[0], None]))})
    labels, confidences = scores(score(client, table))
    assert labels == [expected[0][0], None, None, expected[0][0]]
    assert [c is None for c in confidences] == [False, True, True, False]


@pytest.mark.parametrize("type", [pa.null(), *STRINGS, pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_a_column_of_nulls_gives_nulls(client, type):
    table = pa.table({"text": pa.nulls(5, type), "n": range(5)})
    scored = score(client, table, text="text")
    assert_kept(scored, table)
    assert scored["label"].null_count == scored["confidence"].null_count == 5


def test_null_is_no_text_while_blank_is_the_text_empty(client):
    scored = score(client, texts(None, "", " ", "\u3000\x1f", "[EMPTY]", "\u200b"))
    labels, confidences = scores(scored)
    assert labels[0] is None and confidences[0] is None
    assert set(labels[1:5]) == {labels[4]} and set(confidences[1:5]) == {confidences[4]}


@pytest.mark.parametrize("nullable", [True, False])
def test_nullability_is_kept(client, nullable):
    schema = pa.schema([pa.field("text", pa.string(), nullable=nullable)])
    table = pa.table({"text": ["one", "two"]}, schema=schema)
    scored = score(client, table)
    assert_kept(scored, table)
    assert scored.schema.field("label").nullable and scored.schema.field("confidence").nullable


def test_chunks_that_do_not_match_between_columns(client, expected):
    table = pa.table({
        "text": pa.chunked_array([SAMPLE[:1], [], SAMPLE[1:7], SAMPLE[7:]], pa.string()),
        "n": pa.chunked_array([list(range(4)), list(range(4, len(SAMPLE)))]),
    })
    scored = score(client, table)
    assert_kept(scored, table)
    assert scores(scored) == expected


@pytest.mark.parametrize("string", [*STRINGS, pa.dictionary(pa.int16(), pa.string())], ids=str)
def test_slices_score_their_own_rows(client, expected, string):
    rows = ["not this"] * 3 + SAMPLE + ["nor that"]
    column = dictionary(rows, string.index_type, string.value_type) if pa.types.is_dictionary(string) else pa.array(rows, string)
    table = pa.table({"text": column, "flag": pa.array([True, None] * 6 + [False])}).slice(3, len(SAMPLE))
    scored = score(client, table)
    assert_kept(scored, table)
    assert scores(scored) == expected


def test_a_text_of_ten_megabytes(client):
    scored = score(client, texts("word " * 2_000_000, "short"), details=True)
    # [CLS], a token a word and [SEP]: `tokens` counts them before the cut.
    assert scored["tokens"].to_pylist() == [2_000_002, 3]
    assert scored["truncated"].to_pylist() == [True, False]
