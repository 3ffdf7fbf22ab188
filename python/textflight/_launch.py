"""What a local server is started with, and how it starts."""
from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ._binary import binary
from ._errors import Error, InvalidError
from ._locks import no_fork

# Variables of the binary that hold for a local server, too: how the model runs. The others are for servers with a place of their own.
_HEEDED = frozenset(
    "TEXTFLIGHT_" + name
    for name in ("BATCH_LATENCY_MS BATCH_ROWS BATCH_TOKENS CUDA_LIBRARIES DEVICE DTYPE KERNELS LOG MAX_LENGTH MEMORY_LIMIT SPOOL_DIR THREADS").split()
)
_OTHERS = re.compile(r"TEXTFLIGHT_|COG_|OTEL_|(PORT|WEBHOOK_AUTH_TOKEN)$")
# And those of others on which it depends what is served.
_TELLING = re.compile(r"TEXTFLIGHT_|HF_|CUDA_VISIBLE_DEVICES$")

# Starts the server as nobody's child, so that it outlives who starts it and no process has to reap it; says its number, and
# how it ended if it does so before this shell is killed. (In the background a shell takes stdin away: 3 is a copy.)
_SHELL = 'exec 3<&0; "$@" <&3 3<&- & echo "started $!"; wait "$!"; echo "ended $?"'

# What a shell says of a command that is none.
_NO_PROGRAM = (126, 127)
# The binary's: what was asked for is wrong.
_WRONG = 2

# Nobody waits for answers when the last user is gone.
_DRAIN_SECONDS = "5"


@dataclasses.dataclass(frozen=True)
class Running:
    """A server that takes connections."""

    pid: int
    flight: str
    http: str
    token: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Launch:
    """A server to start: which are equal are the same server for all who want one."""

    model: str
    command: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def of(cls, model: str | os.PathLike[str], dtype: str | None, args: Sequence[str] = (), device: str | None = None) -> Launch:
        """What was asked for, with the paths made absolute. `device` goes before the environment's."""
        if isinstance(args, str) or not all(isinstance(argument, str) for argument in args):
            raise InvalidError(f"args={args!r}: expected a list of strings, such as ['--max-length', '256']")
        if not (dtype is None or isinstance(dtype, str)):
            raise InvalidError(f"dtype={dtype!r}: expected a string such as 'int8', or None")
        if not isinstance(model, (str, os.PathLike)):
            raise InvalidError(f"model={model!r}: expected 'bundled', a folder, or a hub id such as 'owner/name'")
        named = os.fsdecode(model)
        if isinstance(model, os.PathLike) or (named != "bundled" and os.path.isdir(named)):
            named = os.path.realpath(named)
        precision = [] if dtype is None else ["--dtype", dtype]
        command = (binary(), "serve", "--model", named, *precision, *args)
        environment = {name: value for name, value in os.environ.items() if name in _HEEDED or not _OTHERS.match(name)}
        environment.setdefault("TEXTFLIGHT_LOG", "warn")
        if device is not None:
            environment["TEXTFLIGHT_DEVICE"] = device
        return cls(named, command, environment)

    @functools.cached_property
    def key(self) -> str:
        """A name for all who want the same: also the same build of the binary, the same files and the same network, as they are now."""
        telling = {name: value for name, value in sorted(self.environment.items()) if _TELLING.match(name)}
        # Among further arguments there may be paths that begin here.
        known = len(("binary", "serve", "--model", "name"))
        here = os.getcwd() if len(self.command) > known else None
        facts = [self.command, telling, here, _state(self.command[0]), _folder(self.model), _network()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def start(self, needed: Path, alive: int, log: Path) -> Running:
        """Starts it; it ends when nobody holds ``needed`` any more, and ``alive`` is held while it lives."""
        token = secrets.token_hex(16)
        shell = self._spawn(needed, alive, log, token)
        assert shell.stdout is not None
        with contextlib.closing(shell.stdout) as lines:
            try:
                said = _Said.read(lines)
            finally:
                # The shell alone: the server is needed, or ends by itself.
                shell.send_signal(signal.SIGKILL)
                shell.wait()
        if said.pid is None or said.flight is None or said.http is None:
            raise self._failure(said.code, log)
        return Running(said.pid, f"grpc://{said.flight}", f"http://{said.http}", token)

    def _spawn(self, needed: Path, alive: int, log: Path, token: str) -> subprocess.Popen[str]:
        own = ("--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--while-locked", str(needed), "--drain-timeout", _DRAIN_SECONDS)
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stderr:
            try:
                with no_fork():
                    return subprocess.Popen(
                        ["/bin/sh", "-c", _SHELL, "textflight", *self.command, *own],
                        stdin=alive, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True,
                        env={**self.environment, "TEXTFLIGHT_API_TOKEN": token},
                    )  # fmt: skip
            except OSError as cause:
                raise Error(f"no process can be started for a local server: {cause.strerror}") from cause

    def _failure(self, code: int | None, log: Path) -> Error:
        text = log.read_text(errors="replace").strip()
        # Warnings before it, and how the command line is used, are for who looks into the file.
        text = text[max(text.rfind("error: "), 0) :].removeprefix("error: ").split("\n\n")[0]
        if code in _NO_PROGRAM:
            return Error(f"{self.command[0]} cannot be run here: {text}")
        how = text or f"it ended without a word (exit code {code})"
        kind = InvalidError if code == _WRONG else Error
        return kind(f"the local server for model {self.model!r} did not start: {how}")


@dataclasses.dataclass
class _Said:
    """What the shell and the server have said on their stdout, in whichever order."""

    pid: int | None = None
    flight: str | None = None
    http: str | None = None
    code: int | None = None

    @classmethod
    def read(cls, lines: Iterable[str]) -> _Said:
        """Reads until the server is ready, or has ended."""
        said = cls()
        for line in lines:
            if started := re.fullmatch(r"started (\d+)\n", line):
                said.pid = int(started[1])
            elif ready := re.fullmatch(r"ready flight=(\S+) http=(\S+)\n", line):
                said.flight, said.http = ready.groups()
            elif ended := re.fullmatch(r"ended (\d+)\n", line):
                said.code = int(ended[1])
            if said.code is not None or (said.pid is not None and said.flight is not None):
                break
        return said


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _folder(model: str) -> list[object] | None:
    """What is in a model's folder: trained again, it is another model."""
    if not (os.path.isabs(model) and os.path.isdir(model)):
        return None
    return [(entry.name, _state(entry.path)) for entry in sorted(os.scandir(model), key=lambda entry: entry.name)]


def _network() -> int | None:
    """Containers may share a folder and not their loopback."""
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return None
