"""The server that all processes of a user share: one at a time, there while anybody needs it, and gone with the last of them."""
import contextlib
import os
import pathlib
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

import client as clients
import server as servers
from textflight import _errors, _locks
from textflight import _server as local_servers

SECONDS = 60

# A user: says who serves it, obeys what is written to it, and goes when nobody writes any more.
USER = """
import os, signal, sys, threading, time
from textflight import _server
server = _server.local(*sys.argv[1:])
print(server.pid, server.flight, flush=True)
for line in sys.stdin:
    exec(line)
"""


def wait_until(holds, what):
    clients.wait_until(holds, SECONDS, what)


def is_there(pid):
    """Whether the process lives. One that nobody has reaped yet does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    """A runtime folder of the test's own. Whatever happens in a test, no server is left when it is over."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    for name in [name for name in os.environ if name.startswith("TEXTFLIGHT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(servers.BINARY))
    monkeypatch.setenv("PYTHONPATH", str(servers.REPOSITORY / "python"))
    yield folder
    wait_until(lambda: not serving(folder), "every server ends with its users")


def serving(folder):
    """The servers that were started with this folder, by their command lines."""
    found = []
    for process in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
            if b"--while-locked" in arguments and any(argument.startswith(bytes(folder)) for argument in arguments):
                found.append(int(process.name))
    return found


class User:
    """A process that needs a server."""

    def __init__(self, *arguments, program=USER, **options):
        command = [sys.executable, "-c", program, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)

    def line(self):
        readable, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        assert readable, f"the user said nothing in {SECONDS} s"
        return self.process.stdout.readline().strip()

    def server(self):
        """The number of the server's process."""
        return int(self.line().split()[0])

    def tell(self, statement):
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(SECONDS)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.end()


@pytest.fixture
def user():
    """Starts users, and ends them after the test."""
    started = []

    def start(*arguments, **options):
        started.append(User(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.end()


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """A binary that says when it is started, and waits to be let on."""
    started, gate = tmp_path / "started", tmp_path / "gate"
    program = tmp_path / "textflight"
    program.write_text(f'#!/bin/sh\necho $$ >> {started}\nwhile ! [ -e {gate} ]; do sleep 0.02; done\nexec {servers.BINARY} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(program))

    class Slow:
        def starts(self, number=1):
            """Waits for so many starts; their processes."""
            wait_until(lambda: started.exists() and len(started.read_text().split()) >= number, f"start {number}")
            return [int(pid) for pid in started.read_text().split()]

        def let_on(self):
            gate.touch()

    yield Slow()
    gate.touch()


def test_all_who_start_at_once_have_one_server(user, runtime):
    users = [user() for _ in range(4)]
    numbers = {one.server() for one in users}
    assert len(numbers) == 1 and serving(runtime) == list(numbers)
    for one in users[:3]:
        one.end()
    assert is_there(*numbers)
    users[3].end()
    wait_until(lambda: not is_there(*numbers), "the server ends with its last user")


ENDS = {
    "returns": "sys.exit(0)",
    "is closed": "server.close()",
    "is forgotten": "del server",
    "ends at once": "os._exit(3)",
    "fails": "raise RuntimeError",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "is terminated": "os.kill(os.getpid(), signal.SIGTERM)",
    "becomes another program": "os.execv('/bin/sleep', ['sleep', '60'])",
    "dies of a fault": "os.kill(os.getpid(), signal.SIGSEGV)",
}


@pytest.mark.parametrize("how", ENDS)
def test_the_last_user_s_end_is_the_server_s(user, how):
    last = user(stderr=subprocess.DEVNULL)
    number = last.server()
    last.tell(ENDS[how])
    wait_until(lambda: not is_there(number), f"the server of a user that {how} ends")


def test_a_forked_child_keeps_it(user):
    parent = user()
    number = parent.server()
    # In one line: parent and child read from one pipe.
    parent.tell("os.fork() or (print(os.getpid(), flush=True), time.sleep(600))")
    child = int(parent.line())
    parent.kill()
    second = user()
    assert second.server() == number
    second.end()
    time.sleep(0.2)
    assert is_there(number) and is_there(child), "the child needs it"
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not is_there(number), "the server ends with the child")


def test_programs_that_a_user_runs_do_not_keep_it(user):
    parent = user()
    number = parent.server()
    parent.tell("import subprocess; child = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL); print(child.pid, flush=True)")
    child = int(parent.line())
    parent.kill()
    wait_until(lambda: not is_there(number), "the server ends though the program runs")
    assert is_there(child)
    os.kill(child, signal.SIGKILL)


def test_a_child_that_is_forked_meanwhile_holds_nobody_up(user, slow):
    """Forked while another thread of its parent starts the server, it has neither the lock nor the server's sign of life."""
    parent = user(program="import os, time, threading\nfrom textflight import _server\n"
                  "threading.Thread(target=_server.local, daemon=True).start()\nimport sys; sys.stdin.readline()\n"
                  "os.fork() or (print(os.getpid(), flush=True), time.sleep(600))\ntime.sleep(600)\n")  # fmt: skip
    first = slow.starts()[0]
    parent.tell("fork")
    child = int(parent.line())
    parent.kill()
    slow.let_on()
    second = user()
    number = second.server()
    assert number != first and is_there(child)
    os.kill(child, signal.SIGKILL)


def test_a_starter_that_is_killed_leaves_nothing_in_the_way(user, slow):
    starter, waiting = user(), None
    first = slow.starts()[0]
    waiting = user()
    starter.kill()
    second = slow.starts(2)[1]
    slow.let_on()
    assert waiting.server() == second
    wait_until(lambda: not is_there(first), "what the starter began ends")


def test_an_interrupted_start_leaves_nothing(user, slow, runtime):
    starter = user(stderr=subprocess.PIPE)
    slow.starts()
    starter.process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in starter.process.communicate()[1]
    slow.let_on()
    wait_until(lambda: not serving(runtime), "the server that nobody needs ends")
    assert user().server()


def test_ctrl_c_is_not_for_the_server(user):
    first, second = user(start_new_session=True, stderr=subprocess.DEVNULL), user()
    number = first.server()
    assert second.server() == number
    os.killpg(first.process.pid, signal.SIGINT)
    first.end()
    time.sleep(0.2)
    assert is_there(number)


def test_it_is_nobody_s_child():
    with local_servers.local() as server:
        with pytest.raises(ChildProcessError):
            os.waitpid(server.pid, os.WNOHANG)


def test_one_that_dies_is_followed_by_another(user):
    with local_servers.local() as first:
        assert first.is_alive()
        other = user()
        assert other.server() == first.pid
        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: not first.is_alive(), "its end is seen")
        with local_servers.local() as second, local_servers.local() as third:
            assert second.pid == third.pid != first.pid
            assert second.is_alive() and not first.is_alive()


def test_one_that_was_told_to_stop_takes_nobody_any_more():
    with local_servers.local(args=["--max-length", "64"]) as first:
        host, port = first.http.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as open_request:
            head = f"POST /score HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {first.token}\r\ncontent-type: text/csv\r\ncontent-length: 9\r\n\r\n"
            open_request.sendall(head.encode() + b"a")
            page = urllib.request.Request(f"{first.http}/metrics", headers={"authorization": f"Bearer {first.token}"})
            open_now = 'textflight_requests_open{port="http",route="/score"} 1'
            wait_until(lambda: open_now in urllib.request.urlopen(page, timeout=SECONDS).read().decode(), "the request is known")
            os.kill(first.pid, signal.SIGTERM)
            wait_until(lambda: not local_servers._is_listening(first), "no connection is taken")
            assert first.is_alive(), "it waits for the request"
            with local_servers.local(args=["--max-length", "64"]) as second:
                assert second.pid != first.pid


def test_who_comes_while_the_last_goes_has_a_server_that_stays():
    for _ in range(12):
        last = local_servers.local()
        with contextlib.ExitStack() as users:
            come = threading.Thread(target=lambda: users.enter_context(local_servers.local()))
            come.start()
            last.close()
            come.join(SECONDS)
            server = users.pop_all()
        with server, local_servers.local() as known:
            time.sleep(0.05)
            assert known.is_alive()
            assert urllib.request.urlopen(f"{known.http}/health-check", timeout=SECONDS).status == 200


LEFT = {
    "nothing": "",
    "half of a file": '{{"number": "0", "runn',
    "another version's": '{{"server": 1}}',
    "no table": "[]",
    "another port's and number": '{{"number": "0", "running": {{"pid": {pid}, "flight": "grpc://127.0.0.1:{port}", "http": "", "token": ""}}}}',
}


@pytest.mark.parametrize("left", LEFT)
def test_what_an_earlier_server_left_is_not_believed(runtime, left):
    """As after a reboot, or when all were killed; the number may be another process's now, and the port, too."""
    with local_servers.local():
        pass
    state, = (runtime / "textflight").glob("*.json")
    with open(state) as opened:
        # Its process loses its name before it loses its files.
        wait_until(lambda: not _locks.is_held(opened.fileno()), "the server ends")
    with socket.create_server(("127.0.0.1", 0)) as other:
        state.write_text(LEFT[left].format(pid=os.getpid(), port=other.getsockname()[1]))
        (state.with_suffix(".0.users")).touch()
        with local_servers.local() as server:
            assert server.pid != os.getpid() and server.is_alive()
    assert len(list(state.parent.glob("*.users"))) == 1, "what was left is taken away"


def test_each_kind_has_a_server_of_its_own(monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(local_servers.bundled_model())
    with contextlib.ExitStack() as users:
        def pid(*arguments, **options):
            return users.enter_context(local_servers.local(*arguments, **options)).pid

        bundled = pid()
        assert pid(local_servers.bundled_model()) == pid(tmp_path / "link") != bundled
        assert pid(dtype="bf16") not in (bundled, pid(args=["--max-length", "16"]))
        monkeypatch.setenv("TEXTFLIGHT_MAX_LENGTH", "32")
        assert pid() != bundled
        monkeypatch.delenv("TEXTFLIGHT_MAX_LENGTH")
        assert pid() == bundled


def test_variables_of_servers_that_have_their_place_are_not_heeded(monkeypatch):
    """They would take the port of the one that they are meant for, or hide it behind certificates."""
    for name, value in {"TEXTFLIGHT_TLS_CERT": "/no/such", "TEXTFLIGHT_FLIGHT": "127.0.0.1:1", "PORT": "1",
                        "TEXTFLIGHT_MODEL": "/no/such", "TEXTFLIGHT_API_TOKEN": "known"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with local_servers.local() as server:
        assert server.token != "known"


def test_other_users_of_the_machine_are_kept_out(runtime):
    with local_servers.local() as server:
        request = urllib.request.Request(f"{server.http}/openapi.json")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=SECONDS)
        assert refused.value.code == 401
        refused.value.close()
        request.add_header("authorization", f"Bearer {server.token}")
        assert urllib.request.urlopen(request, timeout=SECONDS).status == 200
        folder = runtime / "textflight"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
        assert server.token.encode() not in pathlib.Path(f"/proc/{server.pid}/cmdline").read_bytes()
        for address in (server.flight, server.http):
            assert re.fullmatch(r"(grpc|http)://127\.0\.0\.1:\d+", address)


def plant_link(folder, elsewhere):
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)


def plant_open(folder, elsewhere):
    folder.mkdir()
    folder.chmod(0o777)


def plant_file(folder, elsewhere):
    folder.touch()


@pytest.mark.parametrize("plant", [plant_link, plant_open, plant_file])
def test_a_planted_folder_is_not_used(tmp_path, monkeypatch, plant):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    folder = temporary / f"textflight-{os.geteuid()}"
    plant(folder, tmp_path / "elsewhere")
    with pytest.raises(_errors.Error, match=f"{folder} is not a folder that belongs to this user alone.*XDG_RUNTIME_DIR or TMPDIR"):
        local_servers.local()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_another_user_s_runtime_folder_is_not_used(tmp_path, monkeypatch):
    """sudo may leave the variable as it was."""
    others = tmp_path / "others"
    others.mkdir(mode=0o700)
    os.chown(others, 65534, 65534)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(others))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / f"textflight-{os.geteuid()}"
    assert _locks.runtime_folder() == own
    os.chown(own, 65534, 65534)
    with pytest.raises(_errors.Error, match="belongs to this user alone"):
        _locks.runtime_folder()


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not-there"))
    with pytest.raises(_errors.Error, match="not-there/textflight-.*cannot be made: No such file or directory; name a folder"):
        local_servers.local()


def test_a_file_in_the_way_is_no_traceback_of_the_system_s(runtime):
    with local_servers.local():
        lock, = (runtime / "textflight").glob("*.lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(_errors.Error, match=f"with the files of {lock.parent}: Is a directory; name a folder"):
        local_servers.local()


def test_lines_of_the_start_may_come_in_any_order():
    from textflight._launch import _Said

    started, ready = "started 7\n", "ready flight=127.0.0.1:1 http=127.0.0.1:2\n"
    for lines in ([started, ready, "more\n"], [ready, "\n", started]):
        assert _Said.read(iter(lines)) == _Said(7, "127.0.0.1:1", "127.0.0.1:2")
    assert _Said.read(iter([started, "ended 2\n", ready])) == _Said(7, code=2)
    assert _Said.read(iter([])) == _Said()


def test_a_user_that_ignores_its_children_hears_why_a_start_failed(user):
    ignoring = user(program="import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nfrom textflight import _server\n"
                    "try: _server.local('/no/such')\nexcept ValueError as error: print(error, flush=True)\n")  # fmt: skip
    assert "no such folder" in ignoring.line()


def test_a_home_that_cannot_be_written_is_not_needed(monkeypatch):
    monkeypatch.setenv("HOME", "/proc/no-home")
    with local_servers.local() as server:
        assert server.is_alive()


def broken_model(folder):
    (folder / "config.json").write_text("{}")
    return {"model": folder}


WRONG = {
    "model that is not there": (lambda folder: {"model": "no-such-model"}, ValueError, "'no-such-model'.*no such folder, and not a hub id"),
    "broken model": (broken_model, _errors.Error, "model.safetensors: not found"),
    "unknown dtype": (lambda folder: {"dtype": "f99"}, ValueError, "expected auto, f32, f16, bf16, int8 or fp8$"),
    "unknown argument": (lambda folder: {"args": ["--bad"]}, ValueError, "unexpected argument '--bad' found"),
    "no string for dtype": (lambda folder: {"dtype": 8}, ValueError, "dtype=8: expected a string such as 'int8'"),
    "no model": (lambda folder: {"model": None}, ValueError, "model=None: expected 'bundled', a folder, or a hub id"),
    "one string for arguments": (lambda folder: {"args": "--max-length 3"}, ValueError, "expected a list of strings"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_start_that_fails_says_why(tmp_path, what):
    options, kind, text = WRONG[what]
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(kind, match=text) as raised:
        local_servers.local(**options(folder))
    assert isinstance(raised.value, _errors.Error)


def test_a_binary_that_is_none_is_named(tmp_path, monkeypatch):
    program = tmp_path / "textflight"
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(program))
    with pytest.raises(ValueError, match=f"TEXTFLIGHT_BIN={program}: no program"):
        local_servers.local()
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    with pytest.raises(_errors.Error, match=f"{program} cannot be run here: .*"):
        local_servers.local()
    program.write_text("#!/bin/sh\nexit 5\n")
    with pytest.raises(_errors.Error, match=r"it ended without a word \(exit code 5\)"):
        local_servers.local()


def terminal_says(program, slow):
    """What a user says on a terminal whose server takes three seconds to start."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as said:
        process = subprocess.Popen([sys.executable, "-c", program], stderr=theirs, stdin=subprocess.DEVNULL)
        os.close(theirs)
        slow.starts()
        readable, _, _ = select.select([said], [], [], SECONDS)
        text = said.read(1000) if readable else b""
        slow.let_on()
        assert process.wait(SECONDS) == 0
    return text.decode()


def test_a_start_that_takes_long_is_told_on_a_terminal(slow):
    text = terminal_says("from textflight import _server; _server.local().close()", slow)
    assert "textflight: starting a local server for model bundled" in text


def test_nothing_is_told_where_there_is_no_terminal(slow, monkeypatch, user):
    quiet = user(program="from textflight import _server\n_server._PATIENCE_SECONDS = 0.01\n_server.local().close()\n", stderr=subprocess.PIPE)
    slow.starts()
    time.sleep(0.1)
    slow.let_on()
    assert quiet.process.communicate(timeout=SECONDS)[1] == ""
