"""The page for browsers, in a real Chromium."""
import io
import json
import pathlib
import re

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect

import browser as browsers
from rest import ARROW, CSV, NDJSON, PARQUET, TSV, curl, parquet, written

FILM = "a lovely film"


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as running:
        yield running


@pytest.fixture
def page(browser, server):
    """The page, that must neither log an error nor ask anybody else for anything."""
    with browsers.opened(browser, server) as opened:
        yield opened
        opened.watch.check()


def type_texts(page, *texts):
    page.get_by_label("One text a line").fill("\n".join(texts))


def labels(page):
    return page.get_by_role("list", name="Labels").get_by_role("listitem")


def choose(page, name, content):
    page.get_by_label("Choose a file or drop it here").set_input_files({"name": name, "mimeType": "", "buffer": content})
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_visible()


def score(page):
    page.get_by_role("button", name="Score", exact=True).click()


def downloaded(page):
    """What the browser keeps of a result, and how it calls it."""
    link = page.get_by_role("link", name=re.compile("^Download "))
    expect(link).to_be_visible()
    with page.expect_download() as download:
        link.click()
    return download.value.suggested_filename, pathlib.Path(download.value.path()).read_bytes()


def drop(page, name, content):
    """A file that is let go of over the page, as from a file manager."""
    page.evaluate(
        """([name, content]) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(content)], name));
            for (const kind of ['dragenter', 'dragover', 'drop'])
                document.getElementById('drop').dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [name, list(content)],
    )
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_visible()


def test_typed_texts_get_labels(page):
    type_texts(page, FILM, "", "dull , dull , dull", "   ")
    expect(labels(page)).to_have_count(2)
    expect(labels(page).nth(0)).to_contain_text(re.compile(r"POSITIVE.*\d\d\.\d%.*a lovely film", re.DOTALL))
    expect(labels(page).nth(1)).to_contain_text("NEGATIVE")
    expect(page.locator("#texts-status")).to_have_text("2 texts: 1 POSITIVE, 1 NEGATIVE")
    type_texts(page)
    expect(labels(page)).to_have_count(0)
    expect(page.locator("#texts-status")).to_have_text("")


def test_shown_is_what_the_server_says(page, server):
    type_texts(page, FILM)
    answer = curl(server, "/score?text=text", "-H", f"content-type: {NDJSON}", "--data-binary", json.dumps({"text": FILM}))
    expect(labels(page)).to_contain_text(f"{100 * json.loads(answer)['confidence']:.1f}%")


def test_texts_of_any_kind_and_length(page):
    markup = "<img src=x onerror=alert(1)> & <b>bold</b> \\ \" \u202e \U0001f600"
    type_texts(page, markup, "word " * 20_000, *(f"text {number}" for number in range(300)))
    expect(labels(page)).to_have_count(200)
    expect(labels(page).nth(0)).to_contain_text(markup)
    expect(labels(page).nth(1)).to_contain_text("20,002 tokens are more than it takes")
    expect(page.locator("#texts-status")).to_contain_text("the 102 lines beyond are for a file")
    assert page.locator("#labels img, #labels b b").count() == 0


def test_a_csv_file(page, server):
    table = b'id,"the, review"\r\n007,"good, ""fun"""\r\n008,\r\n009,dull\r\n'
    drop(page, "films.csv", table)
    expect(page.get_by_label("Column of texts")).to_have_value("id")
    assert page.get_by_label("Column of texts").locator("option").all_text_contents() == ["id", "the, review", "Another, by its name"]
    page.get_by_label("Column of texts").select_option("the, review")
    score(page)
    expect(page.locator("#table-status")).to_have_text(re.compile(r"^3 rows scored in \d+\.\d s, 1 without a text$"))
    expect(page.get_by_role("table", name="Labels")).to_contain_text(re.compile("NEGATIVE1.*POSITIVE1"))
    expect(page.get_by_role("list", name="Least certain").get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("list", name="Least certain")).to_contain_text('good, "fun"')
    expected = curl(server, "/score?text=the,%20review", "-H", f"content-type: {CSV}", "--data-binary", table.decode())
    assert downloaded(page) == ("films.scored.csv", expected)


def test_a_parquet_file_by_its_footer(page, server, reviews):
    choose(page, "reviews.parquet", reviews.read_bytes())
    expect(page.get_by_label("Column of texts")).to_have_value("text")
    score(page)
    expect(page.locator("#table-status")).to_contain_text("872 rows scored")
    expected = curl(server, "/score?text=text", "-H", f"content-type: {PARQUET}", "--data-binary", f"@{reviews}")
    assert downloaded(page) == ("reviews.scored.parquet", expected)
    scored = pq.read_table(io.BytesIO(expected))
    shares = {label: scored["label"].to_pylist().count(label) for label in ["NEGATIVE", "POSITIVE"]}
    for label, texts in shares.items():
        expect(page.get_by_role("row", name=re.compile(f"^{label} {texts} "))).to_be_visible()
        expect(page.get_by_role("img", name=re.compile(f"^{label}: {texts} texts, "))).to_be_visible()
    least = min(zip(scored["confidence"].to_pylist(), scored["text"].to_pylist()))
    first = page.get_by_role("list", name="Least certain").get_by_role("listitem").first
    expect(first).to_contain_text(f"{least[0]:.4f}")
    expect(first).to_contain_text(least[1])
    asked = [path for method, path in page.watch.requests if method == "POST"]
    assert asked == ["score/columns", "score?text=text"], "it is scored once"


TABLE = pa.table({"n": [1, 2], "title": ["good", "bad"], "body": ["dull , dull", FILM]})


def arrow_file():
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue()


@pytest.mark.parametrize(("name", "content", "media"), [
    ("t.arrows", lambda: written(TABLE), ARROW),
    ("t.arrow", arrow_file, ARROW),
    ("t.pq", lambda: parquet(TABLE), PARQUET),
    ("t.jsonl", lambda: b"".join(json.dumps(row).encode() + b"\n" for row in TABLE.to_pylist()), NDJSON),
    ("t.tab", lambda: b"n\ttitle\tbody\n1\tgood\tdull , dull\n2\tbad\ta lovely film\n", TSV),
    ("table", lambda: b"n,title,body\n1,good,\"dull , dull\"\n2,bad,a lovely film\n", CSV),
])
def test_each_format_comes_back_as_it_came_or_as_another(page, server, tmp_path, name, content, media):
    choose(page, name, content())
    expect(page.get_by_label("Column of texts")).to_have_value("body")
    score(page)
    expect(page.locator("#table-status")).to_contain_text("2 rows scored")
    sent = tmp_path / "sent"
    # An Arrow file has a stream in it, which is sent.
    sent.write_bytes(written(TABLE) if name == "t.arrow" else content())
    request = ["-H", f"content-type: {media}", "--data-binary", f"@{sent}"]
    _, result = downloaded(page)
    assert result == curl(server, "/score?text=body", *request)
    page.get_by_label("Result as").select_option("JSON lines")
    score(page)
    expect(page.get_by_role("link", name=re.compile("jsonl$"))).to_be_visible()
    name, result = downloaded(page)
    assert name.endswith(".scored.jsonl")
    assert result == curl(server, "/score?text=body", *request, "-H", f"accept: {NDJSON}")
    assert [json.loads(line)["label"] for line in result.splitlines()] == ["NEGATIVE", "POSITIVE"]


def test_other_names_probabilities_and_rows_that_cannot_be_scored(page):
    choose(page, "t.csv", b"text,label\na lovely film,x\n")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Column for labels").fill("sentiment")
    page.get_by_label("Column for confidences").fill("sure")
    page.get_by_label("A probability for each class").check()
    page.get_by_label("Rows that cannot be scored stay empty").check()
    score(page)
    _, result = downloaded(page)
    assert result.splitlines()[0] == b"text,label,sentiment,sure,probabilities,error"


def test_a_column_by_its_path(page):
    choose(page, "t.jsonl", b'{"post": {"title": "good"}, "a": "x", "b": "y"}\n')
    page.get_by_label("Column of texts").select_option("Another, by its name")
    page.get_by_label("Its name").fill("post.title")
    score(page)
    _, result = downloaded(page)
    assert json.loads(result)["label"] == "POSITIVE"


CLASSES = ["admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire", "disgust"]


def many_classes(page, server):
    """The server's answers, but as those of a model of ten classes."""
    def about(route):
        said = route.fetch().json()
        said["model"]["labels"] = CLASSES
        route.fulfill(json=said)

    def scores(route):
        shares = [0.4, 0.3, 0.15, 0.05, 0.04, 0.02, 0.01, 0.01, 0.01, 0.01]
        row = {"label": "admiration", "confidence": 0.4, "tokens": 5, "truncated": False, "probabilities": shares, "error": None}
        rows = len(route.request.post_data.splitlines())
        route.fulfill(content_type=NDJSON, body="".join(json.dumps(row) + "\n" for _ in range(rows)))

    def account(route):
        said = route.fetch().json()
        labels = [{"label": label, "texts": number + 1, "hundredths": [0] * 40 + [number + 1] + [0] * 59} for number, label in enumerate(CLASSES)]
        route.fulfill(json={**said, "labels": labels})

    page.route("**/about", about)
    page.route("**/score?text=text&columns=new*", scores)
    page.route("**/score/accounts/*", account)
    page.reload()


def test_any_number_of_classes(page, server):
    many_classes(page, server)
    expect(page.locator("#facts")).to_contain_text("10 classes")
    type_texts(page, FILM)
    expect(labels(page)).to_contain_text("admiration")
    expect(labels(page)).to_contain_text("then amusement 30.0%, anger 15.0%, annoyance 5.0%")
    choose(page, "t.csv", b"text\na lovely film\n")
    score(page)
    shares = page.get_by_role("table", name="Labels").get_by_role("row")
    expect(shares).to_have_count(9)
    expect(shares.first).to_contain_text(re.compile("disgust1018.2%"))
    expect(shares.last).to_contain_text(re.compile("2 more35.5%"))
    expect(page.get_by_role("img", name="disgust: 10 texts, 0.0% of them with a confidence of 0.9 or more")).to_be_visible()
    page.unroute_all()


def test_another_file_while_one_is_scored(page):
    """The first is given up, and the second can be scored at once."""
    choose(page, "long.csv", b"text\n" + b"".join(b"%d so dull\n" % number for number in range(100_000)))
    score(page)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    choose(page, "t.csv", b"text\na lovely film\n")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    score(page)
    expect(page.locator("#table-status")).to_contain_text("1 row scored")
    assert downloaded(page)[0] == "t.scored.csv"
