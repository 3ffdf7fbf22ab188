"""A textflight server as a process of its own, on free loopback ports."""
import contextlib
import os
import pathlib
import re
import select
import signal
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MODEL = REPOSITORY / "data" / "sst2-mini"
BINARY = pathlib.Path(os.environ.get("TEXTFLIGHT_BIN", REPOSITORY / "target" / "debug" / "textflight")).absolute()

# Loading the bundled model takes less than a second; the rest is for a machine that is busy with a build.
START_SECONDS = 60
STOP_SECONDS = 30


def environment():
    """Ours without the TEXTFLIGHT_… and OTEL_… variables, which would change what is tested, and without Cog's PORT."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TEXTFLIGHT_", "OTEL_")) and name != "PORT"}


def run(*arguments, **options):
    """Runs a command of the binary to its end; a command that hangs is a failure."""
    command = [BINARY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment(), **options)


class Server:
    """A running server: where it listens, what it has logged, how much memory it has used."""

    def __init__(self, log, *options, model=MODEL, flight="127.0.0.1:0"):
        self.log = pathlib.Path(log)
        self.terminated = False
        self.exit_code = 0
        command = [BINARY, "serve", "--model", model, "--flight", flight, "--http", "127.0.0.1:0", *options]
        with open(self.log, "wb") as stderr:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment())
        try:
            self.flight, self.http = self._ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _ready(self):
        readable, _, _ = select.select([self.process.stdout], [], [], START_SECONDS)
        line = self.process.stdout.readline() if readable else ""
        ready = re.fullmatch(r"ready flight=(127\.0\.0\.1:\d+) http=(127\.0\.0\.1:\d+)\n", line)
        assert ready, f"no ready line in {START_SECONDS} s but {line!r}; the log:\n{self.log.read_text()}"
        return ready.groups()

    def peak_memory(self):
        """The most bytes that the process has had resident."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024

    @contextlib.contextmanager
    def growing_by_less_than(self, most):
        """What is done inside has the process's peak rise by less than so many bytes above what is resident now.

        The kernel is told to forget the peak first (5, see proc_pid_clear_refs(5)): growth below an earlier one would not show.
        """
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        before = self.peak_memory()
        yield
        grown = self.peak_memory() - before
        assert grown < most, f"the server grew by {grown / 2**20:.1f} MiB, from {before / 2**20:.1f} MiB"

    def terminate(self):
        """Asks the server to stop, once: a second signal would end it without waiting, with exit code 1."""
        if not self.terminated:
            self.terminated = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Ends the server as an operator would; it must take no more than the drain, and exit with 0 where no test says otherwise."""
        self.terminate()
        try:
            code = self.process.wait(STOP_SECONDS + 5)
        finally:
            self.process.kill()
            self.process.stdout.close()
        assert code == self.exit_code, f"exit code {code} after SIGTERM; the log:\n{self.log.read_text()}"


@contextlib.contextmanager
def serving(log, *options):
    """A server for the length of a `with` block."""
    server = Server(log, *options)
    try:
        yield server
    finally:
        server.stop()
