"""Texts that do not stand in a row each: in dictionaries of runs, lists, structs and several columns."""
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from client import NEW_COLUMNS, assert_kept, score, score_in_turn, texts

FILMS = ["a warm , funny film", None, "dull and witless", "a warm , funny film", "", "a bore"]
LISTS = [FILMS[:3], None, [], FILMS[3:], [None]]
RUN_ENDS = [pa.int16(), pa.int32(), pa.int64()]


@pytest.fixture
def of(client):
    """Label and confidence of a text, as the plainest client gets them."""
    scored = score(client, texts(*FILMS))
    rows = zip(FILMS, scored["label"].to_pylist(), scored["confidence"].to_pylist())
    return {text: (label, confidence) for text, label, confidence in rows}


def mapped(value, which):
    """A text by its score, a list by those of its items."""
    return [mapped(item, which) for item in value] if isinstance(value, list) else value if value is None else which[value]


def assert_scored(scored, values, of, prefix=""):
    """Each text has the score that it has by itself, to the bit, and nulls are null."""
    labels, confidences = ({text: score[i] for text, score in of.items()} for i in (0, 1))
    assert scored[f"{prefix}label"].to_pylist() == [mapped(value, labels) for value in values]
    assert scored[f"{prefix}confidence"].to_pylist() == [mapped(value, confidences) for value in values]


def runs(values, run_ends=pa.int32()):
    """Run-end encoded; a run has two rows."""
    ends = pa.array(range(2, 2 * len(values) + 1, 2), run_ends)
    return pa.RunEndEncodedArray.from_arrays(ends, values), [v for v in values.to_pylist() for _ in range(2)]


VALUES = {
    "string": pa.array(FILMS),
    "large_string": pa.array(FILMS, pa.large_string()),
    "string_view": pa.array(FILMS, pa.string_view()),
    "dictionary": pa.array(FILMS).dictionary_encode(),
    "null": pa.nulls(6),
}


@pytest.mark.parametrize("run_ends", RUN_ENDS, ids=str)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_runs(client, of, values, run_ends):
    array, rows = runs(values, run_ends)
    table = pa.table({"text": array})
    scored = score(client, table, text="text")
    assert_kept(scored, table)
    assert_scored(scored, rows, of)


@pytest.mark.parametrize("start, length", [(0, 0), (1, 1), (1, 7), (3, 9), (5, 4), (0, 12)])
def test_slices_of_runs(client, of, start, length):
    array, rows = runs(VALUES["string"])
    scored = score(client, pa.table({"text": array}).slice(start, length))
    assert scored["text"].to_pylist() == rows[start:start + length]
    assert_scored(scored, rows[start:start + length], of)


def test_a_dictionary_of_runs(client, of):
    values, rows = runs(VALUES["string"])
    keys = [11, 0, None, 5, 5, 2]
    table = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array(keys, pa.int8()), values)})
    scored = score(client, table)
    assert scored.schema.field("text").type == table.schema.field("text").type
    assert_scored(scored, [None if key is None else rows[key] for key in keys], of)


def test_a_dictionary_of_a_dictionary_is_refused_in_words(client):
    inner = pa.array(["good", "bad"]).dictionary_encode()
    table = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), inner)})
    with pytest.raises(pa.ArrowInvalid, match="dictionary of a dictionary.*Arrow IPC.*dictionary_decode"):
        score_in_turn(client, table)


def test_values_that_no_row_has_are_not_scored(client):
    """Of 100,000 texts in the dictionary, 5 MB, one is asked for: it would take minutes to score them."""
    values = [f"{i} a film of some length, which nobody has seen" for i in range(100_000)]
    keys = pa.array([70_000] * 1000 + [None], pa.uint32())
    table = pa.table({"text": pa.DictionaryArray.from_arrays(keys, pa.array(values))})
    scored = score(client, table, columns="new", details=True)
    assert scored["tokens"].null_count == 1 and len(scored["tokens"].unique()) == 2
    assert scored["confidence"][0] == score(client, texts(values[70_000]))["confidence"][0]


LIST_TYPES = [
    pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_view(pa.string()), pa.large_list_view(pa.large_string()),
    pa.list_(pa.string_view()), pa.large_list(pa.large_string()), pa.list_(pa.dictionary(pa.int8(), pa.string())),
]


@pytest.mark.parametrize("type", LIST_TYPES, ids=str)
@pytest.mark.parametrize("start, length", [(0, 5), (1, 3), (3, 2), (0, 0)])
def test_lists(client, of, type, start, length):
    table = pa.table({"text": pa.array(LISTS, type), "id": range(5)}).slice(start, length)
    scored = score(client, table, text="text")
    assert_kept(scored, table)
    assert scored.schema.field("label").type == pa.list_(pa.string())
    assert scored.schema.field("confidence").type == pa.list_(pa.float32())
    assert_scored(scored, LISTS[start:start + length], of)


def test_lists_of_one_length(client, of):
    rows = [FILMS[:2], None, FILMS[2:4], [None, None]]
    table = pa.table({"text": pa.array(rows, pa.list_(pa.string(), 2))})
    scored = score(client, table, text="text")
    assert_kept(scored, table)
    assert_scored(scored, rows, of)


def test_lists_of_lists(client, of):
    rows = [LISTS, None, [], [[]], [None, FILMS]]
    table = pa.table({"text": rows})
    scored = score(client, table, text="text")
    assert_kept(scored, table)
    assert_scored(scored, rows, of)


def test_views_of_lists_in_any_order(client, of):
    """The second first, one left out, and none twice."""
    views = pa.ListViewArray.from_arrays(pa.array([3, 0, 6], pa.int32()), pa.array([2, 3, 0], pa.int32()), pa.array(FILMS))
    scored = score(client, pa.table({"text": views}), text="text")
    assert_scored(scored, [FILMS[3:5], FILMS[:3], []], of)


def test_views_that_share_items_are_refused_in_words(client):
    views = pa.ListViewArray.from_arrays(pa.array([0] * 3, pa.int32()), pa.array([2] * 3, pa.int32()), pa.array(["a", "b"]))
    with pytest.raises(pa.ArrowInvalid, match=r"lists share items: 6 in all, of 2; send them as plain lists.*cast"):
        score_in_turn(client, pa.table({"text": views}), text="text")


def test_the_other_columns_of_lists(client):
    scored = score(client, pa.table({"text": LISTS}), text="text", labels="id", details=True, probabilities=True, on_error="null")
    assert [scored.schema.field(name).type.value_type for name in ("label", "tokens", "truncated")] == [pa.int64(), pa.int32(), pa.bool_()]
    assert pa.types.is_fixed_size_list(scored.schema.field("probabilities").type.value_type)
    assert scored.schema.field("error").type == pa.string() and scored["error"].null_count == 5
    shape = [None if row is None else [item is None for item in row] for row in LISTS]
    for name in ("label", "confidence", "tokens", "truncated", "probabilities"):
        assert [None if row is None else [item is None for item in row] for row in scored[name].to_pylist()] == shape, name


def test_a_list_with_an_item_that_is_no_text(client):
    table = pa.table({"raw": pa.array([[b"fine", b"\xff", b"good"], [b"bad"], None])})
    with pytest.raises(pa.ArrowInvalid, match=r"row 0 \(counted from 0\) is not text"):
        score_in_turn(client, table, text="raw")
    scored = score(client, table, text="raw", on_error="null")
    assert [row and [item is None for item in row] for row in scored["label"].to_pylist()] == [[False, True, False], [False], None]
    assert [error and error.startswith("invalid utf-8") for error in scored["error"].to_pylist()] == [True, None, None]


@pytest.mark.parametrize("type", [pa.map_(pa.string(), pa.string()), pa.list_(pa.int8()), pa.struct([("a", pa.string())])], ids=str)
def test_what_holds_no_texts(client, type):
    with pytest.raises(pa.ArrowInvalid, match='column "it" is .*, not text'):
        score_in_turn(client, pa.table({"it": pa.nulls(2, type)}), text="it")


POSTS = pa.array([*({"title": text, "user": {"bio": text, "id": 1}} for text in FILMS), None, {"title": "a bore", "user": None}])
TITLES = [*FILMS, None, "a bore"]


def test_a_field_by_its_path(client, of):
    table = pa.table({"post": POSTS, "id": range(8)})
    scored = score(client, table, text="post.title")
    assert_kept(scored, table)
    assert_scored(scored, TITLES, of)
    assert_scored(score(client, table.slice(1, 6), text="post.user.bio"), [*FILMS[1:], None], of)


def test_a_field_of_structs_in_lists(client, of):
    rows = [[{"title": text} for text in FILMS], None, [None, {"title": "a bore"}]]
    scored = score(client, pa.table({"posts": rows}), text="posts.title")
    assert_scored(scored, [FILMS, None, [None, "a bore"]], of)


def test_a_column_of_that_name_goes_before_the_path(client, of):
    table = pa.table({"post": pa.array([{"title": "a bore"}]), "post.title": ["a warm , funny film"]})
    assert_scored(score(client, table, text="post.title"), ["a warm , funny film"], of)


def test_paths_that_lead_nowhere(client):
    table = pa.table({"post": POSTS})
    for path in ("post.body", "post.title.x", "post.", ".title", "post..title", "title"):
        with pytest.raises(pa.ArrowInvalid, match='not found; string columns: post.title, post.user.bio'):
            score_in_turn(client, table, text=path)
    with pytest.raises(pa.ArrowInvalid, match='"post.user" is struct<bio: string, id: int64>, not text'):
        score_in_turn(client, table, text="post.user")


def test_several_columns(client, of):
    table = pa.table({"id": range(6), "title": FILMS, "post": POSTS[:6], "body": FILMS[::-1]})
    scored = score(client, table, text=["title", "body", "post.title"], details=True, columns=["id"], confidence_column="sure", label_column="mood")
    names = [f"{prefix}_{name}" for prefix in ("title", "body", "post.title") for name in ("mood", "sure", "tokens", "truncated")]
    assert scored.column_names == ["id", *names]
    renamed = scored.rename_columns([name.replace("mood", "label").replace("sure", "confidence") for name in scored.column_names])
    for prefix, values in (("title_", FILMS), ("body_", FILMS[::-1]), ("post.title_", FILMS)):
        assert_scored(renamed, values, of, prefix)


def test_several_columns_of_which_one_cannot_be_scored(client, of):
    table = pa.table({"title": [*FILMS, "a bore"], "raw": [b"a bore"] * 5 + [b"\xff"] * 2})
    with pytest.raises(pa.ArrowInvalid, match=r'row 5 \(counted from 0\) is not text: column "raw"'):
        score_in_turn(client, table, text=["title", "raw"])
    scored = score(client, table, text=["title", "raw"], on_error="null")
    assert scored.column_names[2:] == [f"{prefix}_{name}" for prefix in ("title", "raw") for name in (*NEW_COLUMNS, "error")]
    assert scored["title_error"].null_count == 7 and scored["raw_error"].null_count == 5
    assert_scored(scored, [*FILMS, "a bore"], of, "title_")
    assert_scored(scored, ["a bore"] * 5 + [None] * 2, of, "raw_")


@pytest.mark.parametrize("text, message", [
    ([], '"text" names no column; string columns: title, body'),
    (["title", "title"], '"text" names "title" twice'),
    (["title", "nope"], 'column "nope" not found; string columns: title, body'),
    (["title", 1], "expected a string"),
    ({"title": 1}, "expected a string, the name of a column, or a list of such"),
])
def test_several_columns_that_cannot_be(client, text, message):
    with pytest.raises(pa.ArrowInvalid, match=message):
        score_in_turn(client, pa.table({"title": ["a"], "body": ["b"]}), text=text)


def test_names_of_several_that_are_taken(client):
    table = pa.table({"title": ["a"], "title_label": [1], "title_confidence": [1]})
    with pytest.raises(pa.ArrowInvalid, match='already has a column "title_label"; choose another name with "label_column"'):
        score_in_turn(client, table, text=["title"])
    assert score_in_turn(client, table, text=["title"], columns="new").column_names == ["title_label", "title_confidence"]


def test_several_columns_of_batches_that_are_empty(client):
    table = pa.table({"title": pa.array([], pa.string()), "tags": pa.array([], pa.list_(pa.string()))})
    scored = score(client, table, text=["title", "tags"], columns="new", on_error="null")
    assert scored.num_rows == 0 and scored.schema.field("tags_label").type == pa.list_(pa.string())


def test_lists_of_polars(client, of):
    frame = pl.DataFrame({"text": LISTS})
    scored = pl.from_arrow(score(client, frame.to_arrow(), text="text"))
    assert scored["text"].to_list() == LISTS
    assert_scored(score(client, frame.to_arrow(), text="text"), LISTS, of)


def test_categories_and_lists_of_pandas(client, of):
    frame = pd.DataFrame({"genre": pd.Categorical(FILMS), "tags": LISTS + [None]})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    scored = score(client, table, text=["genre", "tags"])
    assert_scored(scored, FILMS, of, "genre_")
    assert_scored(scored, LISTS + [None], of, "tags_")
    assert scored.to_pandas()["genre"].dtype == "category"
