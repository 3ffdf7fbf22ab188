"""Processes that are forked, and such as begin at once; with a local server, and with one that is given."""
import multiprocessing.pool

import pytest

from programs import run, runtime, slow  # noqa: F401


FORK = """
    import faulthandler, os, signal, sys
    import textflight
    faulthandler.register(signal.SIGALRM, chain=True)
    server = sys.argv[1] if len(sys.argv) > 1 else None

    def label():
        return textflight.score(["good"], server=server)[0]["label"]

    def child(work):
        number = os.fork()
        if number:
            status = os.waitpid(number, 0)[1]
            assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"
        else:
            signal.alarm(20)
            try:
                print(work(), flush=True)
                os._exit(0)
            except BaseException as error:
                print(type(error).__name__, error, flush=True)
                os._exit(1)
"""


@pytest.mark.parametrize("where", ["local", "given"])
def test_fork_after_import_and_after_use(server, runtime, where):
    code = FORK + """
    child(label)
    for _ in range(3):
        print(label(), flush=True)
        child(label)
    """
    arguments = [f"grpc://{server.flight}"] if where == "given" else []
    assert run(code, *arguments, **runtime) == ["POSITIVE"] * 7


def test_fork_while_it_scores(server):
    """gRPC cannot go on in the child, which is told so; the parent goes on."""
    code = FORK + """
    import pyarrow as pa
    table = pa.table({"text": ["film %d" % i for i in range(20000)]})
    reader = textflight.score(table.to_reader(1000), server=server)
    print(reader.read_next_batch().num_rows)

    def refused():
        try:
            return label()
        except textflight.ForkedError as error:
            return "spawn" in str(error)

    child(refused)
    print(reader.read_all().num_rows)
    """
    assert run(code, f"grpc://{server.flight}") == ["1000", "True", "19000"]


def test_a_pool_of_forked_processes(server):
    code = FORK + """
    from concurrent.futures import ProcessPoolExecutor
    import multiprocessing
    print(label())
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        texts = [[f"good {i}"] * 50 for i in range(8)]
        work = pool.map(textflight.predict, texts) if server is None else [pool.submit(textflight.predict, text, server=server) for text in texts]
        print(sum(len(one.result()) for one in work))
    print(label())
    """
    assert run(code, f"grpc://{server.flight}") == ["POSITIVE", "400", "POSITIVE"]


def test_two_processes_that_start_at_once(runtime):
    """They share one local server."""
    code = """
        import textflight
        from textflight._server import local
        print(textflight.score(["good"])[0]["label"], local().pid)
    """
    with multiprocessing.pool.ThreadPool(2) as both:
        first, second = both.map(lambda _: run(code, **runtime), range(2))
    assert first[0].split()[0] == second[0].split()[0] == "POSITIVE"


def test_a_local_server_that_is_killed_is_started_again(runtime):
    code = """
        import os, signal, textflight
        from textflight._server import local
        client = textflight.Client()
        print(client.predict("good")[0].label)
        with local() as server:
            os.kill(server.pid, signal.SIGKILL)
        print(client.predict("bad")[0].label)
    """
    assert run(code, **runtime) == ["POSITIVE", "NEGATIVE"]


STARTS = """
    import os, pathlib, threading, time, textflight
    client = textflight.Client()
    def starts():
        thread = threading.Thread(target=client.predict, args=["good"], daemon=True)
        thread.start()
        while not os.path.exists(os.environ["STARTED"]):
            time.sleep(0.01)
        return thread
"""


def test_fork_while_another_thread_starts_the_local_server(runtime, slow):
    """It waits for nobody; the child, which has none of the start, has a server when it wants one."""
    code = STARTS + """
    thread = starts()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            print(client.predict("bad")[0].label, flush=True)
        finally:
            os._exit(0)
    print("forked", time.monotonic() - began < 5, flush=True)
    pathlib.Path(os.environ["GATE"]).touch()
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    print(client.predict("good")[0].label)
    """
    assert run(code, **{**runtime, **slow}) == ["forked True", "NEGATIVE", "POSITIVE"]


def test_a_client_is_left_while_its_server_starts(runtime, slow):
    """The server that comes is let go, unless somebody still waits for it."""
    code = STARTS + """
    thread = starts()
    began = time.monotonic()
    client.close()
    with client:
        pass
    print("left", time.monotonic() - began < 2, flush=True)
    pathlib.Path(os.environ["GATE"]).touch()
    thread.join()
    print(client._servers)
    """
    assert run(code, **{**runtime, **slow}) == ["left True", "None"]
