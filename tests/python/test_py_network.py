"""A network that breaks each connection after a while: what was not answered is asked again, and nothing is lost or twice there."""
import contextlib
import itertools
import socket
import threading

import pyarrow as pa
import pytest

import textflight


class BreakingNetwork:
    """Between a client and a server. The bytes that each connection carries are counted, and then it is cut, in the middle of them."""

    def __init__(self, server, lengths):
        host, port = server.flight.split(":")
        self._server, self._lengths = (host, int(port)), iter(lengths)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"grpc://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                both = client, socket.create_connection(self._server)
                left = [next(self._lengths)]
                for one, other in (both, both[::-1]):
                    self._threads.append(threading.Thread(target=self._carry, args=[one, other, left]))
                    self._threads[-1].start()

    def _carry(self, one, other, left):
        with contextlib.suppress(OSError):
            while data := one.recv(8192):
                left[0] -= len(data)
                if left[0] < 0:
                    self.cuts += 1
                    other.sendall(data[: len(data) // 2])
                    break
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("columns", ["plain", "dictionary"])
def test_a_network_that_breaks_again_and_again(server, columns):
    texts = pa.array([f"film {i % 3000} is fine , and more is said of it" for i in range(5000)])
    table = pa.table({"text": texts if columns == "plain" else texts.dictionary_encode(), "id": range(5000)})
    with textflight.Client(f"grpc://{server.flight}") as client:
        expected = client.score(table)
    network = BreakingNetwork(server, itertools.cycle([3_000, 90_000, 150_000, 400, 120_000]))
    try:
        with textflight.Client(network.address) as client:
            assert client.score(table) == expected
        assert network.cuts >= 3
    finally:
        network.close()
