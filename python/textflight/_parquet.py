"""`score_parquet`: files, scored by the command, which copies every column chunk that is there byte for byte."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ._binary import binary, bundled_model
from ._errors import ConnectError, Error, InvalidError, JobError, KindError, MissingFileError, TokenError
from ._locks import made, no_fork
from ._options import Options, ScoreOptions
from ._progress import Progress, ProgressOption
from ._target import BUNDLED, Target

if TYPE_CHECKING:
    from typing_extensions import Unpack

Paths = str | os.PathLike[str] | Sequence["str | os.PathLike[str]"]

_WRONG = 2
# A second signal would end it without taking back what it has uploaded.
_END_SECONDS = 60
# Variables that would say again, and perhaps otherwise, what the arguments say.
_SAID = frozenset(
    "TEXTFLIGHT_" + name
    for name in (
        "COLUMNS CONFIDENCE_COLUMN DETAILS DRY_RUN DTYPE HTML JSON LABELS LABEL_COLUMN LOG LOG_FORMAT MODEL ON_ERROR OUTPUT PROBABILITIES "
        "PROGRESS REPORT SERVER SERVER_CA SERVER_TIMEOUT SERVER_TOKEN SERVER_TOKEN_FILE TEXT TRUTH WHILE_LOCKED"
    ).split()
)


def score_parquet(
    inputs: Paths,
    output: str | os.PathLike[str],
    text: str | Sequence[str] | None = None,
    *,
    model: str | os.PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | os.PathLike[str] | None = None,
    timeout: float | None = None,
    truth: str | None = None,
    args: Sequence[str] = (),
    progress: ProgressOption = None,
    **options: Unpack[ScoreOptions],
) -> dict[str, Any]:
    """Scores a file, a folder, a pattern, or several of them, here or in a store, and gives the summary of the run.

    It is the command `textflight score`, with its formats, stores and journals; `args` are further arguments of it, such as
    `["--shard", "0/8"]`. What was written is there complete or not at all. A run that was broken off, by Ctrl-C as well, goes on
    where it was when it is called again.

    >>> import os, tempfile, textflight
    >>> out = os.path.join(tempfile.mkdtemp(), "scored.parquet")
    >>> summary = textflight.score_parquet("data/reviews.parquet", out, "text", truth="truth")
    >>> summary["rows"], round(summary["accuracy"]["share"], 2)
    (872, 0.83)
    """
    target = Target.of(server, model, dtype, token, ca, timeout)
    if server is None and timeout is not None:
        raise InvalidError("timeout is for servers that server= names, and none is named; leave it out, as the command computes by itself")
    command = [*_files(inputs, output), *_flags(Options.of(text, options)), *_flag("--truth", truth), *_arguments(args)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="textflight-")))
        return _run([*command, *_where(target, folder), *_while_here(folder, stack)], _environment(target), Progress(progress))


def _files(inputs: Paths, output: str | os.PathLike[str]) -> list[str]:
    if not isinstance(output, (str, os.PathLike)):
        raise KindError(f"output is {type(output).__name__}, not a path or URL")
    if not isinstance(inputs, (str, os.PathLike, Iterable)):
        raise KindError(f"inputs are {type(inputs).__name__}, not a path or URL, nor a list of them")
    several = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    if not several:
        raise InvalidError("inputs name no file")
    for one in several:
        if not isinstance(one, (str, os.PathLike)):
            raise KindError(f"inputs have a {type(one).__name__}, not a path or URL; a table in memory is scored by score")
    paths = [os.fspath(one) for one in several]
    if "-" in (*paths, os.fspath(output)):
        raise InvalidError('"-", standard input and output, is for the command line alone; name a file')
    return [*(f"./{path}" if path.startswith("-") else path for path in paths), f"--output={os.fspath(output)}"]


def _flags(options: Options) -> Iterator[str]:
    texts = [options.text] if isinstance(options.text, str) else options.text if options.text is not None else ()
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise KindError(f"text is {options.text!r}, not the name of a column, nor a list of names")
    yield from (f"--text={text}" for text in texts)
    for name in ("labels", "on_error", "label_column", "confidence_column"):
        yield from _flag(f"--{name.replace('_', '-')}", getattr(options, name))
    yield from (f"--{name}" for name in ("details", "probabilities") if getattr(options, name))
    if isinstance(options.columns, str):
        yield f"--columns={options.columns}"
    elif options.columns is not None:
        for name in options.columns:
            if not isinstance(name, str):
                raise KindError(f"columns names {name!r}, which is {type(name).__name__}; in files names are str")
            if "," in name:
                raise InvalidError(f"columns names {name!r}: a name with a comma cannot be said to the command")
        yield f"--columns={','.join(options.columns) or 'new'}"


def _flag(flag: str, value: object) -> list[str]:
    return [] if value is None else [f"{flag}={value}"]


def _arguments(args: Sequence[str]) -> list[str]:
    if isinstance(args, (str, bytes)) or not isinstance(args, Iterable):
        raise KindError(f'args is {args!r}; a list of strings, such as ["--shard", "0/8"], would be right')
    several = list(args)
    for one in several:
        if not isinstance(one, (str, os.PathLike)):
            raise KindError(f"args has {one!r}, which is {type(one).__name__}; a list of strings would be right")
    return [os.fspath(one) for one in several]


def _where(target: Target, folder: Path) -> list[str]:
    if target.server is not None:
        servers = [*(f"--server={address}" for address in target.server), *_flag("--server-timeout", target.timeout)]
        return [*servers, *_flag("--server-ca", _file_of(target.access.ca, folder))]
    return [f"--model={bundled_model() if target.model == BUNDLED else target.model}", *_flag("--dtype", target.dtype)]


def _file_of(ca: bytes | None, folder: Path) -> Path | None:
    if ca is None:
        return None
    file = folder / "ca.pem"
    file.write_bytes(ca)
    return file


def _while_here(folder: Path, stack: ExitStack) -> list[str]:
    """Has the command end with this process, however that ends: the lock goes with it."""
    stack.enter_context(made(folder / "lock"))
    return [f"--while-locked={folder / 'lock'}"]


def _environment(target: Target) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _SAID}
    if target.access.token is not None:
        environment["TEXTFLIGHT_SERVER_TOKEN"] = target.access.token
    return environment


def _run(arguments: list[str], environment: dict[str, str], progress: Progress) -> dict[str, Any]:
    command = [binary(), "score", *arguments, "--progress=json", "--log=off", "--json"]
    with tempfile.TemporaryFile("w+") as said, _process(command, environment, said) as process:
        errors = list(_errors(process, progress))
        code = process.wait()
        if code == 0:
            said.seek(0)
            summary: dict[str, Any] = json.load(said)
            return summary
    raise _error(code, "\n".join(errors))


@contextmanager
def _process(command: list[str], environment: dict[str, str], said: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """The command, which is told to end if the caller is interrupted, and not by the terminal as well."""
    with no_fork():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stderr:
            process.stderr.close()


def _errors(process: subprocess.Popen[str], progress: Progress) -> Iterator[str]:
    """What stderr is told, but for how far the run is, which `progress` is told."""
    for line in process.stderr or ():
        try:
            event = json.loads(line)
        except ValueError:
            yield line.rstrip().removeprefix("error: ")
            continue
        if event["event"] == "message":
            yield event["text"].removeprefix("error: ")
        else:
            progress.of(event["rows"]["total"])
            progress.at(event["rows"]["done"])
    progress.end()


def _error(code: int, text: str) -> Error:
    if code < 0:
        return JobError(f"the command was killed by signal {-code}" + (f": {text}" if text else ""))
    if "No such file or directory" in text:
        return MissingFileError(text)
    if code == _WRONG:
        return InvalidError(text)
    if "no server answered" in text or "no server at all" in text:
        return ConnectError(text)
    if "token" in text and "server" in text:
        return TokenError(text)
    return JobError(text)
