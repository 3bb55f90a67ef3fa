"""A small file that several processes read and write: locked while it changes, replaced whole.

The lock is the system's, on a file beside the real one, so it goes when its holder dies; the file
with the lock stays, because removing it would let two processes lock two files of one name.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_ASK_AGAIN_SECONDS = 0.02


@contextmanager
def locked(path: Path, *, wait_seconds: float) -> Iterator[None]:
    """Keep every other process and thread out of `path` that asks in the same way.

    Raises `TimeoutError` when another holds it for longer than `wait_seconds`.
    """
    with path.with_name(path.name + ".lock").open("ab") as file:
        give_up = time.monotonic() + wait_seconds
        while not _try_lock(file):
            if time.monotonic() >= give_up:
                raise TimeoutError(f"another program holds {path} for more than {wait_seconds:g} s")
            time.sleep(_ASK_AGAIN_SECONDS)
        try:
            yield
        finally:
            _unlock(file)


def replace(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put `content` in place of the file, so that a reader sees the old or the new one, whole."""
    path = path.resolve()  # a link, as people keep for their settings, stays one
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        move(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move(temporary: Path, path: Path) -> None:
    """Put one file in the place of another, at once."""
    if sys.platform == "win32":
        for _ in range(20):  # Windows refuses while somebody reads the file
            try:
                temporary.replace(path)
            except PermissionError:
                time.sleep(0.05)
            else:
                return
    temporary.replace(path)


if sys.platform == "win32":

    def _try_lock(file: BinaryIO) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def _unlock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def _unlock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
