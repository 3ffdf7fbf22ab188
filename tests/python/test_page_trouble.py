"""The page where something is wrong: what the server says is said, and what passes is waited for."""
import re

import pytest
from playwright.sync_api import expect

import browser as browsers
from rest import begun
from test_page import FILM, browser, choose, labels, score, type_texts  # noqa: F401  (the fixture)

ALERTS = {"texts": "#texts-alert", "file": "#table-alert", "token": "#access-alert"}


def alert(page, of):
    """What is announced at once there."""
    found = page.locator(ALERTS[of])
    assert found.get_attribute("role") == "alert"
    return found


def rows(count, text="dull and dull"):
    """A CSV file whose texts all differ."""
    return b"text\n" + b"".join(b"%d %s\n" % (number, text.encode()) for number in range(count))


def test_a_token_is_asked_for_and_kept_in_the_tab(browser, serve):
    guarded = serve("--api-token", "hush")
    with browsers.opened(browser, guarded) as page:
        field = page.get_by_label("Token")
        expect(field).to_be_visible()
        expect(page.get_by_text("Asks for a token", exact=True)).to_be_visible()
        expect(alert(page, "token")).to_be_hidden()
        type_texts(page, FILM)
        expect(alert(page, "texts")).to_have_text("The server asks for a token: see above.")
        field.fill("wrong")
        page.get_by_role("button", name="Use it").click()
        expect(alert(page, "token")).to_contain_text("The server does not take this token")
        field.fill("hush")
        field.press("Enter")
        expect(field).to_be_hidden()
        expect(labels(page)).to_contain_text("POSITIVE")
        expect(page.locator("#snippets")).to_contain_text("TEXTFLIGHT_TOKEN")
        assert "hush" not in page.content()
        page.reload()
        expect(page.get_by_text("Ready", exact=True)).to_be_visible()
        choose(page, "t.csv", b"text\na lovely film\n")
        score(page)
        expect(page.locator("#table-status")).to_contain_text("1 row scored")
        page.watch.check("status of 401 ")


def test_a_busy_server_is_asked_again(browser, serve):
    small = serve("--max-score-requests", "1")
    with browsers.opened(browser, small) as page:
        choose(page, "t.csv", b"text\na lovely film\n")
        connection, answer = begun(small, b"text\na\n", "?text=text")
        type_texts(page, FILM)
        expect(alert(page, "texts")).to_have_text(re.compile("^at capacity: 1 requests.* Trying again\\.$"))
        score(page)
        expect(alert(page, "file")).to_have_text(re.compile("^at capacity.* Trying again\\.$"))
        connection.close()
        answer.close()
        expect(labels(page)).to_contain_text("POSITIVE")
        expect(alert(page, "texts")).to_be_hidden()
        expect(page.locator("#table-status")).to_contain_text("1 row scored")
        expect(alert(page, "file")).to_be_hidden()
        page.watch.check("status of 503 ")


def test_a_server_that_is_gone(browser, serve):
    mortal = serve()
    with browsers.opened(browser, mortal) as page:
        expect(page.get_by_text("Ready", exact=True)).to_be_visible()
        choose(page, "t.csv", b"text\na lovely film\n")
        mortal.stop()
        type_texts(page, FILM)
        expect(alert(page, "texts")).to_have_text("The server does not answer. Trying again.")
        score(page)
        expect(alert(page, "file")).to_have_text("The server does not answer.")
        expect(page.locator("#state")).to_have_text("Does not answer")
        page.watch.check("net::ERR_")


@pytest.mark.parametrize(("name", "content", "said"), [
    ("empty.csv", b"", "empty.csv is empty."),
    ("t.csv.gz", b"\x1f\x8b\x08rest", "t.csv.gz is packed: unpack it first."),
    ("t.json", b'[{"text": "a"}]', "t.json begins with a list: JSON lines have an object on each line."),
    ("t.parquet", b"text\na\n", "t.parquet is called Parquet and is none."),
    ("t.arrow", b"ARROW1\0\0", "t.arrow begins as an Arrow file and does not end as one."),
])
def test_a_file_that_is_no_table(browser, server, name, content, said):
    with browsers.opened(browser, server) as page:
        page.get_by_label("Choose a file or drop it here").set_input_files({"name": name, "mimeType": "", "buffer": content})
        expect(alert(page, "file")).to_have_text(said)
        expect(page.get_by_role("button", name="Score", exact=True)).to_be_hidden()
        page.watch.check()


def test_a_table_that_the_server_refuses(browser, server):
    with browsers.opened(browser, server) as page:
        choose(page, "t.csv", b"text,label\na,b\n")
        score(page)
        expect(alert(page, "file")).to_contain_text('the input already has a column "label"')
        expect(page.get_by_role("button", name="Score", exact=True)).to_be_enabled()
        choose(page, "damaged.parquet", b"PAR1" + bytes(100) + b"PAR1")
        expect(alert(page, "file")).to_contain_text("footer")
        page.watch.check("status of 400 ")


def test_an_answer_that_breaks_off_says_why(browser, server):
    with browsers.opened(browser, server) as page:
        choose(page, "t.csv", b"text\n" + b"dull\n" * 60_000 + b"one,two\n")
        score(page)
        expect(alert(page, "file")).to_contain_text(re.compile("^The answer broke off\\. .*line 60002"))
        expect(page.locator("#download-line")).to_be_hidden()
        page.watch.check("net::ERR_")


def test_progress_is_shown_and_cancelling_ends_the_work(browser, serve):
    own = serve()
    with browsers.opened(browser, own) as page:
        choose(page, "t.csv", rows(50_000, "a long and winding text that goes on and on " * 3))
        score(page)
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.locator("#progress-text")).to_have_text(re.compile(r"(sent|Scoring|received) · [1-9][\d,]* rows scored · [\d,]+ rows a second$"))
        expect(page.get_by_role("table", name="Labels")).to_be_visible()
        expect(page.get_by_role("button", name="Score", exact=True)).to_be_disabled()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#table-status")).to_have_text(re.compile(r"^Cancelled after [\d,]+ rows\.$"))
        expect(page.get_by_role("progressbar")).to_be_hidden()
        # The page's own look is all that runs, and nothing waits.
        expect(page.locator("#requests")).to_have_text("0")
        expect(page.locator("#queue")).to_have_text("0")
        page.watch.check()


def test_the_newest_text_counts(browser, server):
    """What was asked for an older one is given up, however late its answer comes."""
    with browsers.opened(browser, server) as page:
        held = []
        page.route("**/score?*", lambda route: held.append(route))
        type_texts(page, "dull , dull , dull")
        while not held:
            page.wait_for_timeout(20)
        page.unroute("**/score?*")
        type_texts(page, FILM)
        expect(labels(page)).to_contain_text("POSITIVE")
        expect(labels(page)).to_have_count(1)
        page.watch.check("net::ERR_")
