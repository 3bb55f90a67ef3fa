"""Hashing a file while it is being written, from its start as far as it has no gap."""

from __future__ import annotations

import hashlib
import heapq
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelwidgets.stores.partial import Part

_PIECE_BYTES = 1 << 18
"""Small enough for the cache of a core, so that the bytes are still there when they are hashed."""


class PrefixHash:
    """The SHA-256 of a file whose parts fill up in any order."""

    def __init__(self, path: Path, over: threading.Event) -> None:
        self._path = path
        self._over = over
        self._news = threading.Condition()
        self._sha = hashlib.sha256()

    def hexdigest(self) -> str:
        return self._sha.hexdigest()

    def look(self) -> None:
        """Say that a part grew, shrank, or that it is over."""
        with self._news:
            self._news.notify()

    def run(self, parts: Sequence[Part]) -> None:
        """Hash until the last part is complete, or it is over."""
        view = memoryview(bytearray(_PIECE_BYTES))
        with self._path.open("rb", buffering=0) as file:
            for part in parts:
                sha, position, rollbacks = self._sha.copy(), part.offset, part.rollbacks
                while position < part.end:
                    until = self._wait(part, position)
                    if self._over.is_set():
                        return
                    if part.rollbacks != rollbacks:
                        sha, position, rollbacks = self._sha.copy(), part.offset, part.rollbacks
                        continue
                    file.seek(position)
                    count = file.readinto(view[: until - position])
                    if not count:
                        raise OSError(None, "ends before its time", str(self._path))
                    sha.update(view[:count])
                    position += count
                self._sha = sha

    def _wait(self, part: Part, position: int) -> int:
        """Where the part ends by now, once that is not where it was hashed to."""
        with self._news:
            self._news.wait_for(lambda: part.position != position or self._over.is_set())
            return part.position


class Turns:
    """Lets one thread write at a time, the one with the earliest part first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._asking: list[tuple[int, threading.Lock]] = []

    @contextmanager
    def turn(self, n: int) -> Iterator[None]:
        mine = threading.Lock()
        mine.acquire()
        with self._lock:
            if self._taken:
                heapq.heappush(self._asking, (n, mine))
            else:
                self._taken = True
                mine.release()
        with mine:
            try:
                yield
            finally:
                with self._lock:
                    if self._asking:
                        heapq.heappop(self._asking)[1].release()
                    else:
                        self._taken = False
