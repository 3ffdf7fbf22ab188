"""The real client of Replicate, with this server in its place."""
import asyncio
import contextlib
import json
import time

import pytest
import replicate

from predictions import call

OWNER, NAME = "someone", "sentiment"
TEXTS = json.dumps(["an absolute joy to watch", "a dull , lifeless mess"])
MANY = json.dumps([f"a film of {n} parts that goes on and on and on" for n in range(20_000)])


@contextlib.contextmanager
def closing(client):
    """The client itself leaves its connections to the garbage collector, which warns of them."""
    yield client
    client._client.close()


# By this the original's manual calls it.
ORIGINAL = "halstonblim/distilbert-base-uncased-finetuned-sst-2-english"
ORIGINAL_VERSION = "3a88ff44062350c53b0c1f00b9a91475643ecab79bd0c2a292cf2a8cf2cfb897"


@pytest.fixture
def replicate_server(serve):
    # Of one thread, so that no machine has done with many texts within a second.
    return serve("--threads", "1", "--replicate-model", f"{OWNER}/{NAME}", "--replicate-model", f"{OWNER}/pinned:1.0")


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


@pytest.fixture
def default_client(server, monkeypatch):
    """A client of a server with default options."""
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    monkeypatch.setenv("REPLICATE_BASE_URL", f"http://{server.http}")
    with closing(replicate.Client()) as opened:
        yield opened


def check(output):
    assert output["predicted_labels"] == [1, 0]
    assert all(0.5 < confidence <= 1 for confidence in output["confidences"])


def test_run_with_and_without_a_version(client, version):
    check(client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": TEXTS}))
    check(client.run(f"{OWNER}/{NAME}", input={"texts": TEXTS}))


def test_run_that_does_not_wait(client, version):
    check(client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": TEXTS}, wait=False))


def test_a_wait_that_runs_out(client, version):
    created = client.predictions.create(version=version.id, input={"texts": MANY}, wait=1)
    assert created.status in ("starting", "processing")
    created.wait()
    assert len(created.output["predicted_labels"]) == 20_000


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


@pytest.mark.parametrize("name", [f"{ORIGINAL}:{ORIGINAL_VERSION}", ORIGINAL, "textflight/sentiment"])
def test_a_server_with_default_options_knows_the_original_s_name(default_client, name):
    check(default_client.run(name, input={"texts": TEXTS}))
    model = default_client.models.get(name.partition(":")[0])
    known = model.latest_version
    assert [version.id for version in model.versions.list()] == [known.id]
    assert (known.id == ORIGINAL_VERSION) == name.startswith(ORIGINAL)
    assert model.versions.get(known.id).openapi_schema["info"]["title"] == "Cog"
    created = default_client.predictions.create(known, input={"texts": TEXTS}, wait=True)
    assert (created.status, created.model, created.version) == ("succeeded", f"{model.owner}/{model.name}", known.id)
    for way in [{"model": f"{model.owner}/{model.name}"}, {"deployment": f"{model.owner}/{model.name}"}]:
        made = default_client.predictions.create(**way, input={"texts": TEXTS})
        made.wait()
        check(made.output)


def test_names_with_versions(client, version):
    check(client.run(f"{OWNER}/pinned:1.0", input={"texts": TEXTS}))
    check(client.run(f"{OWNER}/pinned", input={"texts": TEXTS}))
    assert client.models.get(f"{OWNER}/pinned").latest_version.id == "1.0"
    assert {(model.owner, model.name) for model in client.models.list()} == {(OWNER, NAME), (OWNER, "pinned")}
    assert {deployment.name for deployment in client.deployments.list()} == {NAME, "pinned"}
    with pytest.raises(replicate.exceptions.ReplicateError, match=OWNER):
        client.run(f"{ORIGINAL}:{ORIGINAL_VERSION}", input={"texts": TEXTS})


def test_a_stream_is_refused(client):
    with pytest.raises(replicate.exceptions.ReplicateError, match="does not support streaming"):
        list(client.stream(f"{OWNER}/{NAME}", input={"texts": TEXTS}))


def test_files(client, version, tmp_path):
    path = tmp_path / "texts.json"
    path.write_text(TEXTS)
    with open(path, "rb") as file:
        check(client.run(f"{OWNER}/{NAME}:{version.id}", input={"texts": file}))
    check(client.run(f"{OWNER}/{NAME}", input={"texts": path}))
    file = client.files.create(path, metadata={"who": "me"})
    assert (file.name, file.content_type, file.size, file.metadata) == (path.name, "application/json", len(TEXTS), {"who": "me"})
    assert client.files.get(file.id) == file and file.id in [known.id for known in client.files.list()]
    check(client.run(f"{OWNER}/{NAME}", input={"texts": file.urls["get"]}))
    assert client._client.get(file.urls["get"] + "/download").text == TEXTS
    assert client.files.delete(file.id)
    for gone in [lambda: client.files.get(file.id), lambda: client.run(f"{OWNER}/{NAME}", input={"texts": file.urls["get"]})]:
        with pytest.raises(replicate.exceptions.ReplicateError, match="gone|not here"):
            gone()


def test_asynchronously(client, version, tmp_path):
    path = tmp_path / "texts.json"
    path.write_text(TEXTS)

    async def run():
        one = client.async_run(f"{OWNER}/{NAME}:{version.id}", input={"texts": path})
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
