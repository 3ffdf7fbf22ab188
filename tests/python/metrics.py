"""`GET /metrics`, as it is and as numbers."""
import urllib.request

from prometheus_client.parser import text_string_to_metric_families as parse_text

INTERACTIVE, BULK = {"lane": "interactive"}, {"lane": "bulk"}


def page(server, accept=None, token=None):
    """The content type and the text of the page."""
    headers = {"Accept": accept} if accept else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"http://{server.http}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
        return answer.headers["Content-Type"], answer.read().decode()


def samples(server):
    """Every sample of the page by its name and labels."""
    _, text = page(server)
    found = [sample for family in parse_text(text) for sample in family.samples]
    named = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in found}
    assert len(named) == len(found), "a sample is there twice"
    return named


class Deltas:
    """What has been counted since it was made."""

    def __init__(self, server):
        self.server = server
        self.before = samples(server)

    def read(self):
        """How much each sample has grown."""
        return {key: value - self.before.get(key, 0) for key, value in samples(self.server).items()}

    def __getitem__(self, what):
        name, labels = what
        return self.read()[(f"textflight_{name}", *sorted(labels.items()))]
