"""`textflight.aio`: the loop goes on while servers work."""
import asyncio
import signal

import pyarrow as pa
import pytest

import textflight
import textflight.aio as aio
from client import NEW_COLUMNS

SCHEMA = pa.schema([("text", pa.string())])


def batch(rows):
    return pa.record_batch([[f"film {i} is fine" for i in range(rows)]], SCHEMA)


@pytest.fixture
def run(server):
    """Has a coroutine function run with a client."""

    def run_one(work):
        async def main():
            async with aio.Client(f"grpc://{server.flight}") as client:
                return await asyncio.wait_for(work(client), 60)

        return asyncio.run(main())

    return run_one


def test_the_loop_goes_on_while_a_server_keeps_still(serve):
    running = serve()

    async def main():
        async with aio.Client(f"grpc://{running.flight}") as client:
            await client.info()
            running.process.send_signal(signal.SIGSTOP)
            try:
                calls = [asyncio.create_task(client.predict("good")) for _ in range(12)]
                for _ in range(50):
                    await asyncio.sleep(0.001)
                assert not any(call.done() for call in calls)
            finally:
                running.process.send_signal(signal.SIGCONT)
            return [label for [(label, _)] in await asyncio.gather(*calls)]

    assert asyncio.run(main()) == ["POSITIVE"] * 12


def test_all_that_the_other_client_does(run, server):
    async def work(client):
        assert (await client.predict("good"))[0].label == "POSITIVE"
        assert (await client.info())["labels"] == ["NEGATIVE", "POSITIVE"]
        address = f"grpc://{server.flight}"
        assert (await aio.predict(["bad"], server=address))[0].label == "NEGATIVE"
        assert (await aio.score(pa.table({"text": ["good"]}), server=address)).column_names == ["text", *NEW_COLUMNS]
        with pytest.raises(ValueError, match='column "nope" not found'):
            await client.score(pa.table({"text": ["good"]}), "nope")

    run(work)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_batches(run, asynchronous):
    sizes = [1, 0, 3000, 7]

    async def made():
        for size in sizes:
            await asyncio.sleep(0)
            yield batch(size)

    async def work(client):
        batches = made() if asynchronous else (batch(size) for size in sizes)
        return [scored async for scored in client.score_batches(SCHEMA, batches, "text", details=True)]

    scored = run(work)
    assert [one.num_rows for one in scored] == sizes and scored[0].schema.names == ["text", *NEW_COLUMNS, "tokens", "truncated"]


def test_batches_that_are_left_or_fail(run):
    async def endless():
        while True:
            yield batch(500)

    async def broken():
        yield batch(1)
        raise LookupError("the input is broken")

    async def work(client):
        scored = client.score_batches(SCHEMA, endless())
        async for _ in scored:
            break
        await scored.aclose()
        with pytest.raises(LookupError, match="the input is broken"):
            async for _ in client.score_batches(SCHEMA, broken()):
                pass
        with pytest.raises(textflight.InvalidError, match="nope"):
            async for _ in client.score_batches(SCHEMA, endless(), "nope"):
                pass

    run(work)


def test_a_deadline(run):
    async def work(client):
        table = pa.table({"text": [f"film {i} and what is said of it" for i in range(200_000)]})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.score(table), 0.3)
        assert (await client.predict("good"))[0].label == "POSITIVE"

    run(work)
