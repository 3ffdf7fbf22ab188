"""The page for everybody: by the keyboard alone, for screen readers, in the dark, on a phone; and how it treats the server."""
import os
import pathlib
import re
import subprocess
import sys

import axe_playwright_python
import pytest
from playwright.sync_api import expect

import browser as browsers
from server import REPOSITORY
from test_page import FILM, browser, choose, labels, page, score, type_texts  # noqa: F401  (the fixtures)

AXE = (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
LOOKS = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 640}},
    "forced colours": {"forced_colors": "active"},
}


def fill(page):
    """All of the page is to be seen: labels, a result, and an error."""
    type_texts(page, FILM, "dull , dull , dull")
    expect(labels(page)).to_have_count(2)
    choose(page, "t.csv", b"text,n\na lovely film,1\ndull,2\nso so,3\n")
    page.get_by_text("More", exact=True).click()
    score(page)
    expect(page.get_by_role("link", name=re.compile("^Download "))).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(browser, server, look):
    with browsers.opened(browser, server, **LOOKS[look]) as page:
        fill(page)
        page.evaluate(AXE)
        found = page.evaluate("axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })")
        faults = [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]]
        assert not faults and len(found["passes"]) > 20
        page.watch.check()


@pytest.mark.parametrize("width", [320, 768, 1180])
def test_nothing_is_wider_than_the_screen(browser, server, width):
    with browsers.opened(browser, server, viewport={"width": width, "height": 700}) as page:
        fill(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        clipped = """[...document.querySelectorAll('.figure, button, label, h1, h2, h3, dd, th')]
            .filter(part => part.offsetParent && part.scrollWidth > part.clientWidth + 1 && part.clientWidth).map(part => part.outerHTML)"""
        assert page.evaluate(clipped) == []


def test_by_the_keyboard_alone(page, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("id,text\n1,a lovely film\n")
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("One text a line")).to_be_focused()
    page.keyboard.type(FILM)
    expect(labels(page)).to_contain_text("POSITIVE")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show examples")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Choose a file or drop it here")).to_be_focused()
    # What a key does to a field for files is the browser's.
    page.get_by_label("Choose a file or drop it here").set_input_files(file)
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Column of texts")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.get_by_label("Column of texts")).to_have_value("id")
    page.keyboard.press("ArrowDown")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#table-status")).to_contain_text("1 row scored")
    link = page.get_by_role("link", name="Download t.scored.csv")
    link.focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert pathlib.Path(download.value.path()).read_text().startswith("id,text,label,confidence\n1,a lovely film,POSITIVE,")


def test_what_changes_is_announced(page):
    """By live regions that are there before, and say something new only where there is something new."""
    for region in ["#state", "#texts-status", "#file-name", "#table-status"]:
        expect(page.locator(region)).to_have_attribute("role", "status")
    fill(page)
    expect(page.locator("#texts-status")).to_have_text("2 texts: 1 POSITIVE, 1 NEGATIVE")
    expect(page.locator("#file-name")).to_have_text(re.compile("^t.csv, \\d+ bytes$"))
    expect(page.locator("#table-status")).to_contain_text("3 rows scored")


def test_nothing_moves_where_that_is_not_wanted(browser, server):
    with browsers.opened(browser, server, reduced_motion="reduce") as page:
        fill(page)
        moving = "[...document.querySelectorAll('*')].filter(part => getComputedStyle(part).transitionDuration !== '0s').length"
        assert page.evaluate(moving) == 0


def test_a_page_that_nobody_looks_at_asks_nothing(browser, server):
    with browsers.opened(browser, server) as page:
        page.clock.install()
        page.reload()
        expect(page.get_by_text("Ready", exact=True)).to_be_visible()
        expect(page.locator("#scored")).not_to_have_text("–")
        asked = lambda: page.watch.requests.count(("GET", "metrics"))  # noqa: E731
        before = asked()
        page.clock.run_for(2100)
        expect(page.locator("#rate")).not_to_have_text("–")
        assert asked() == before + 1, "every two seconds"
        hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); }"
        page.evaluate(hide, True)
        page.clock.run_for(60_000)
        assert asked() == before + 1
        with page.expect_response("**/metrics"):
            page.evaluate(hide, False)
        assert asked() == before + 2
        page.watch.check()


def test_the_snippets_run(page, server, tmp_path):
    (tmp_path / "reviews.csv").write_text("text\na lovely film\n")
    expect(page.locator("#snippets pre")).to_have_count(3)
    curl, pandas, polars = page.locator("#snippets pre").all_inner_texts()
    assert server.http in curl and f"grpc://{server.flight}" in pandas
    path = os.pathsep.join([str(REPOSITORY / "python"), os.environ.get("PYTHONPATH", "")])
    for command in [["bash", "-c", curl], [sys.executable, "-c", pandas], [sys.executable, "-c", polars]]:
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        shown = done.stdout if "python" in command[0] else (tmp_path / "scored.csv").read_text()
        assert "POSITIVE" in shown


def test_a_snippet_is_copied(browser, server):
    with browsers.opened(browser, server, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy the pandas snippet").click()
        expect(page.get_by_text("Copied", exact=True)).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#snippet-pandas").inner_text()
