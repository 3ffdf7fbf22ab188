"""`serve --while-locked FILE`: a server that is there for as long as somebody else holds a lock on a file."""
import fcntl
import signal
import socket
import subprocess
import urllib.request

import pytest

import server as servers


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "users"
    path.touch()
    return path


def locked(path, kind):
    holder = open(path)
    fcntl.flock(holder, kind)
    return holder


@pytest.mark.parametrize("kind", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_it_ends_with_the_last_lock(file, serve, kind):
    with locked(file, kind):
        running = serve("--while-locked", file)
        assert urllib.request.urlopen(f"http://{running.http}/health-check", timeout=30).status == 200
        assert running.process.poll() is None
    assert running.process.wait(servers.STOP_SECONDS) == 0
    assert "nobody holds a lock on the file any more (--while-locked)" in running.log.read_text()


def test_what_has_begun_may_finish(file, serve):
    with locked(file, fcntl.LOCK_SH) as holder:
        running = serve("--while-locked", file)
        host, port = running.http.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as request:
            text = b"text\r\na lovely film\r\n"
            head = f"POST /score HTTP/1.1\r\nhost: a\r\ncontent-type: text/csv\r\ncontent-length: {len(text)}\r\nexpect: 100-continue\r\n\r\n"
            request.sendall(head.encode())
            assert request.recv(100).startswith(b"HTTP/1.1 100 ")
            holder.close()
            while "nobody holds a lock" not in running.log.read_text():
                assert running.process.poll() is None
            request.sendall(text)
            assert request.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert running.process.wait(servers.STOP_SECONDS) == 0


@pytest.mark.parametrize("begun_by", ["lock", "shutdown"])
def test_a_second_signal_ends_what_something_else_began(file, serve, begun_by):
    """The first one finds the server on its way to the end, and is waited with."""
    with locked(file, fcntl.LOCK_SH) as holder:
        running = serve("--while-locked", file)
        host, port = running.http.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as request:
            request.sendall(b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-type: text/csv\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n")
            assert request.recv(100).startswith(b"HTTP/1.1 100 ")
            if begun_by == "lock":
                holder.close()
            else:
                urllib.request.urlopen(urllib.request.Request(f"http://{running.http}/shutdown", b""), timeout=30).close()
            while "stopping: running requests may finish" not in running.log.read_text():
                assert running.process.poll() is None
            running.terminate()
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(1)
            running.process.send_signal(signal.SIGTERM)
            running.exit_code = 1
            assert running.process.wait(servers.STOP_SECONDS) == 1
    assert "a second signal; stopped at once" in running.log.read_text()


def test_without_a_lock_it_ends_before_it_serves(file):
    run = servers.run("serve", "--model", servers.MODEL, "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--while-locked", file)
    assert (run.returncode, run.stdout) == (0, "")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    run = servers.run("serve", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--while-locked", tmp_path / "none")
    assert (run.returncode, run.stderr) == (2, f"error: --while-locked {tmp_path}/none: No such file or directory (os error 2)\n")
