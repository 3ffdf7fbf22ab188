"""Files that processes of one user lock (flock) to find and to wait for one another.

A lock belongs to an open file: it goes with the last descriptor of it, however the process ends, and a forked child has it, too.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from ._errors import Error

REMEDY = "name a folder that is yours in XDG_RUNTIME_DIR or TMPDIR"
"""What helps where the runtime folder is of no use."""

_guard = threading.RLock()
_private: set[int] = set()


def runtime_folder() -> Path:
    """The folder that is this user's alone: in ``$XDG_RUNTIME_DIR``, or under the folder for temporary files."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and _is_own(Path(given)) and os.access(given, os.W_OK | os.X_OK):
        return _own_folder(Path(given) / "textflight")
    return _own_folder(Path(tempfile.gettempdir()) / f"textflight-{os.geteuid()}")


def _own_folder(folder: Path) -> Path:
    """Makes the folder where it is not. Another user may have been here before, with a folder or a link to one."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    except OSError as cause:
        raise Error(f"a local server needs a folder, and {folder} cannot be made: {cause.strerror}; {REMEDY}") from cause
    if not _is_own(folder):
        raise Error(f"{folder} is not a folder that belongs to this user alone (mode 0700): remove it, or {REMEDY}")
    return folder


def _is_own(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Waits for the file, which is made where it is not, and holds it alone. No forked child keeps it."""
    while True:
        with _opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Who cleans up temporary files may have taken it away meanwhile, and others then wait for another one.
            if os.fstat(descriptor).st_nlink:
                yield descriptor
                return


@contextlib.contextmanager
def exclusive_now(path: Path) -> Iterator[bool]:
    """Holds the file, which is there, alone; whether nobody else has it. No forked child keeps it."""
    with _opened(path, os.O_RDWR) as descriptor:
        yield _try(descriptor, fcntl.LOCK_EX)


@contextlib.contextmanager
def made(path: Path) -> Iterator[int]:
    """Makes the file, which must not be there, and holds it alone. No forked child keeps it, a process that is given it does."""
    with _opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor


def share(path: Path, flags: int = os.O_RDONLY) -> int | None:
    """A descriptor that holds the file with others, also in forked children; None where somebody has it alone, or there is none."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    if _try(descriptor, fcntl.LOCK_SH):
        return descriptor
    os.close(descriptor)
    return None


def is_held(descriptor: int) -> bool:
    """Whether another holds the file alone."""
    free = _try(descriptor, fcntl.LOCK_SH)
    if free:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return not free


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as cause:
        if cause.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor that no forked child keeps, whatever thread forks."""
    with _guard:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        _private.add(descriptor)
    try:
        yield descriptor
    finally:
        with _guard:
            _private.discard(descriptor)
            os.close(descriptor)


@contextlib.contextmanager
def no_fork() -> Iterator[None]:
    """While a process is started: a child that another thread forks meanwhile would keep the ends of its pipes, which then never end."""
    with _guard:
        yield


def _in_forked_child() -> None:
    for descriptor in _private:
        os.close(descriptor)
    _private.clear()
    _guard.release()


os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_in_forked_child)
