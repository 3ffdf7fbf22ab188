"""A real Chromium, with the page of a server in it, that notes whatever it should not do."""
import contextlib
import os
import pathlib
import shutil

import pytest

# Debian's; no browser is downloaded.
CHROMIUM = os.environ.get("TEXTFLIGHT_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


def missing():
    """Why there is no browser here, if there is none."""
    if pathlib.Path(CHROMIUM).exists():
        return None
    return f"{CHROMIUM} is missing: apt-get install chromium, or name another in TEXTFLIGHT_CHROMIUM"


class Watch:
    """What a page has logged, and where it has sent requests."""

    def __init__(self, page, origin):
        self.logged, self.strangers, self.requests = [], [], []
        page.on("console", lambda message: self.logged.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.logged.append(f"thrown: {error}"))
        page.on("request", lambda request: self._asked(request, origin))

    def _asked(self, request, origin):
        self.requests.append((request.method, request.url.removeprefix(origin)))
        if not request.url.startswith((origin, f"blob:{origin}")):
            self.strangers.append(request.url)

    def check(self, *expected):
        """Nothing was asked of others, and nothing was logged but what the test brought about: refusals, by words of theirs."""
        told = [line for line in self.logged if not any(part in line for part in expected)]
        assert not told and not self.strangers, (told, self.strangers)


@contextlib.contextmanager
def chromium():
    """The browser; tests of it are left out where there is none, unless one was named."""
    if reason := missing():
        if "TEXTFLIGHT_CHROMIUM" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # In a container there is no user namespace for its sandbox; the pages are ours.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, server, **options):
    """A page of the server, in a profile of its own, with what watches it."""
    origin = f"http://{server.http}/"
    context = browser.new_context(**{"viewport": {"width": 1180, "height": 900}, **options})
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.watch = Watch(page, origin)
    try:
        page.goto(origin)
        yield page
    finally:
        context.close()
