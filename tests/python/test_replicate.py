"""The real client of Replicate, with this server in its place."""
import asyncio
import contextlib
import json
import time

import pytest
import replicate

from test_http import call

OWNER, NAME = "someone", "sentiment"
TEXTS = json.dumps(["an absolute joy to watch", "a dull , lifeless mess"])
MANY = json.dumps([f"a film of {n} parts that goes on and on and on" for n in range(50_000)])


@contextlib.contextmanager
def closing(client):
    """The client itself leaves its connections to the garbage collector, which warns of them."""
    yield client
    client._client.close()


@pytest.fixture
def replicate_server(serve):
    return serve("--replicate-model", f"{OWNER}/{NAME}")


@pytest.fixture
def client(replicate_server, monkeypatch):
    """A client that knows no token, as the address is its own."""
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    monkeypatch.setenv("REPLICATE_BASE_URL", f"http://{replicate_server.http}")
    with closing(replicate.Client()) as opened:
        yield opened


@pytest.fixture
def version(client):
    return client.models.get(f"{OWNER}/{NAME}").latest_version


def check(output):
    assert output["predicted_labels"] == [1, 0]
    assert all(0.5 < confidence <= 1 for confidence in output["confidences"])


def test_run_with_and_without_a_version(client, version):
    check(client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": TEXTS}))
    check(client.run(f"{OWNER}/{NAME}", input={"texts": TEXTS}))


def test_run_that_does_not_wait(client, version):
    check(client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": TEXTS}, wait=False))


def test_a_wait_that_runs_out(client, version):
    output = client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": MANY}, wait=1)
    assert len(output["predicted_labels"]) == 50_000


def test_create_get_wait_list(client, version):
    created = client.predictions.create(version=version.id, input={"texts": TEXTS})
    assert created.status == "starting" and created.input == {"texts": TEXTS}
    created.wait()
    assert created.status == "succeeded"
    check(created.output)
    read = client.predictions.get(created.id)
    assert (read.id, read.status, read.version, read.model) == (created.id, "succeeded", version.id, f"{OWNER}/{NAME}")
    assert read.metrics["predict_time"] > 0 and read.completed_at and read.error is None
    assert created.id in [prediction.id for prediction in client.predictions.list()]


def test_cancel(client, version):
    running = client.predictions.create(version=version.id, input={"texts": MANY})
    began = time.monotonic()
    running.cancel()
    assert running.status == "canceled"
    assert client.predictions.get(running.id).status == "canceled"
    assert time.monotonic() - began < 5


def test_a_failure_raises(client, version):
    with pytest.raises(replicate.exceptions.ModelError, match="Incorrect padding"):
        client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": "data:application/json;base64,WyJhIl0"})


def test_what_is_wrong_says_so(client, version):
    with pytest.raises(replicate.exceptions.ReplicateError, match="Field required"):
        client.run(f"{OWNER}/{NAME}:{version.id}", input={"text": TEXTS})
    with pytest.raises(replicate.exceptions.ReplicateError, match=version.id):
        client.run(f"{OWNER}/{NAME}:{'0' * 64}", input={"texts": TEXTS})
    with pytest.raises(replicate.exceptions.ReplicateError, match=f"{OWNER}/{NAME}"):
        client.models.get("someone/else")


def test_versions(client, version):
    model = client.models.get(f"{OWNER}/{NAME}")
    assert model.versions.get(version.id).openapi_schema["info"]["title"] == "Cog"
    assert [known.id for known in model.versions.list()] == [version.id]


def test_a_file_as_its_data(client, version, tmp_path):
    path = tmp_path / "input.json"
    path.write_text(TEXTS)
    with open(path, "rb") as file:
        check(client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": file}, file_encoding_strategy="base64"))
    with open(path, "rb") as file, pytest.raises(replicate.exceptions.ReplicateError, match="base64"):
        client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": file})


def test_asynchronously(client, version):
    async def run():
        one = client.async_run(f"{OWNER}/{NAME}:{version.id}", input={"texts": TEXTS})
        two = client.predictions.async_create(version=version.id, input={"texts": TEXTS})
        output, created = await asyncio.gather(one, two)
        await created.async_wait()
        await client._async_client.aclose()
        return output, created

    output, created = asyncio.run(run())
    check(output)
    check(created.output)


def test_a_token(serve, monkeypatch):
    server = serve("--replicate-model", f"{OWNER}/{NAME}", "--api-token", "secret")
    monkeypatch.setenv("REPLICATE_BASE_URL", f"http://{server.http}")
    with closing(replicate.Client(api_token="secret")) as good:
        check(good.run(f"{OWNER}/{NAME}", input={"texts": TEXTS}))
    with closing(replicate.Client(api_token="wrong")) as bad:
        with pytest.raises(replicate.exceptions.ReplicateError, match="token"):
            bad.run(f"{OWNER}/{NAME}", input={"texts": TEXTS})
    assert call(server, "/predictions", {"input": {"texts": TEXTS}})[0] == 401
