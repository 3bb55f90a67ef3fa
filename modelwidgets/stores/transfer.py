"""One resumable, ranged, checked download.

The content arrives over several connections at once, a thread each, while one more thread hashes
what lies on disk from the start of the file without a gap; so the check is done when the download
is, and what is checked is what was written. The earliest range may write first, which keeps the
hashing busy where this machine is the limit, and costs nothing where the network is.

Why not httpx, which speaks to servers everywhere else here: it hands out the content in pieces of
64 KiB, each made anew and carried through generators. Writing 1 GiB from loopback to a file took it
4.8 s of CPU and this 0.9 s, which is one buffer that sockets read into and files write from. Why
threads: reading, writing and hashing all let go of the interpreter's lock.

Why no `fsync` of the content: it is hashed before it gets its name, and a manifest that names it is
written after that; neither Ollama nor curl does more. Side files are written twice a second, so a
process that is killed loses that much at most.
"""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from modelwidgets.errors import DigestMismatchError, TransferError, TransferStoppedError
from modelwidgets.stores.fetch import BUFFER_BYTES, RangeReader, Source, UnexpectedStatusError
from modelwidgets.stores.partial import PARTS, Part, Partial
from modelwidgets.stores.prefix import PrefixHash, Turns

_SAVE_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a download puts up with what goes wrong; the defaults are Ollama's."""

    backoff_seconds: tuple[float, ...] = (1, 2, 4, 8, 16, 32)
    """What a range waits after each failed try; after the last it gives up."""
    stall_seconds: float = 30.0
    """A connection silent for so long is opened anew, however often that happens."""


class Transfer:
    """Fetches `target` from `source` in threads of its own, once, from `start` on.

    `fetched` is done when all bytes lie on disk, `checked` when they have proved to be the right
    ones and the file has its name; both raise `TransferError`. What a transfer that failed or was
    cancelled leaves behind is where the next one for the same target goes on.
    """

    def __init__(
        self,
        target: Path,
        source: Source,
        *,
        size_bytes: int,
        sha256: str,
        patience: Patience | None = None,
    ) -> None:
        self.source = source
        self.size_bytes = size_bytes
        self.fetched: Future[None] = _promise()
        self.checked: Future[None] = _promise()
        self._sha256 = sha256
        self._patience = patience or Patience()
        self._partial = Partial(target)
        self._lock = threading.Lock()
        self._failure: TransferError | None = None
        self._over = threading.Event()
        self._settled = threading.Event()
        self._ranges: list[_Range] = []
        self._waiting: deque[_Range] = deque()
        self._unfinished = 0
        self._turns = Turns()
        self._hash = PrefixHash(self._partial.path, self._over)

    @property
    def completed_bytes(self) -> int:
        """What lies on disk; it falls when a connection breaks and a range is fetched again."""
        return sum(one.part.completed_bytes for one in self._ranges)

    def start(self) -> None:
        self._thread(self._run).start()

    def cancel(self) -> None:
        """Stop soon; what has arrived is kept to the byte. Safe from any thread, also twice."""
        self._fail(TransferStoppedError())

    def _run(self) -> None:
        try:
            self._ranges = [
                _Range(part, self._partial) for part in self._partial.prepare(self.size_bytes)
            ]
            hashing = self._thread(lambda: self._hash.run([one.part for one in self._ranges]))
            hashing.start()
            self._fetch_all()
            self.fetched.set_result(None)
            hashing.join()
            self._finish()
            self.checked.set_result(None)
        except Exception as error:  # noqa: BLE001 (whoever waits must hear of it, whatever it is)
            self._give_up(error)

    def _fetch_all(self) -> None:
        self._waiting.extend(one for one in self._ranges if not one.part.complete)
        self._unfinished = len(self._waiting)
        threads = [self._thread(self._fetch_waiting) for _ in self._waiting][:PARTS]
        for thread in threads:
            thread.start()
        while threads and not self._settled.wait(_SAVE_EVERY_SECONDS):
            for one in self._ranges:
                one.save()
        self._raise_failure()
        for thread in threads:
            thread.join()
        for one in self._ranges:
            one.save()

    def _finish(self) -> None:
        self._raise_failure()
        got = self._hash.hexdigest()
        if got != self._sha256:
            self._partial.remove()
            raise DigestMismatchError(self._sha256, got)
        self._partial.finish()

    def _fail(self, error: Exception) -> TransferError:
        """End everything; the first failure is the one that counts."""
        with self._lock:
            failure = self._failure = self._failure or _transfer_error(error)
        self._over.set()
        self._settled.set()
        self._hash.look()
        for one in self._ranges:
            one.cut()
        return failure

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _give_up(self, error: Exception) -> None:
        failure = self._fail(error)
        for one in self._ranges:
            one.close()
        for future in (self.fetched, self.checked):
            if not future.done():
                future.set_exception(failure)

    def _thread(self, run: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                run()
            except Exception as error:  # noqa: BLE001 (the transfer must hear of it)
                self._fail(error)

        return threading.Thread(target=guarded, name="modelwidgets transfer", daemon=True)

    # In the threads that fetch

    def _fetch_waiting(self) -> None:
        view = memoryview(bytearray(min(BUFFER_BYTES, self.size_bytes)))
        with self._partial.path.open("r+b", buffering=0) as file:
            while (one := self._next()) is not None:
                self._fetch(one, file, view)
                with self._lock:
                    self._unfinished -= 1
                    if not self._unfinished:
                        self._settled.set()

    def _next(self) -> _Range | None:
        with self._lock:
            return None if self._over.is_set() or not self._waiting else self._waiting.popleft()

    def _fetch(self, one: _Range, file: FileIO, view: memoryview) -> None:
        """Try until the range is complete, with Ollama's patience."""
        failures = 0
        while not one.part.complete and not self._over.is_set():
            begun = one.part.completed_bytes
            try:
                self._attempt(one, file, view)
                continue
            except TimeoutError:
                self._roll_back(one, begun)
                continue
            except EOFError as error:
                failure: Exception = error
            except (OSError, http.client.HTTPException, UnexpectedStatusError) as error:
                failure = error
                self._roll_back(one, begun)
            self._over.wait(self._patience.backoff_seconds[failures])
            failures += 1
            if failures == len(self._patience.backoff_seconds):
                raise TransferError(
                    f"The download broke off {failures} times in a row ({failure}). "
                    "Check the network, then start it again: it goes on where it was."
                ) from failure

    def _attempt(self, one: _Range, file: FileIO, view: memoryview) -> None:
        part = one.part
        one.reader = RangeReader(
            self.source, size_bytes=self.size_bytes, timeout_seconds=self._patience.stall_seconds
        )
        try:
            if self._over.is_set():
                return
            one.reader.open(part.position, part.end)
            while not part.complete:
                with self._turns.turn(part.n):
                    count = one.reader.read_into(view[: part.end - part.position])
                    if count:
                        one.write(file, view[:count])
                if count is None:
                    one.reader.wait()
                elif count:
                    self._hash.look()
                else:
                    raise EOFError("unexpected EOF")
        finally:
            one.reader.close()

    def _roll_back(self, one: _Range, completed_bytes: int) -> None:
        """Drop what came over a connection that broke, as Ollama does; not so at a stop."""
        if not self._over.is_set():
            one.roll_back(completed_bytes)
            self._hash.look()


class _Range:
    """A part on its way to disk; its lock is held by whoever changes the file or the count."""

    def __init__(self, part: Part, partial: Partial) -> None:
        self.part = part
        self.reader: RangeReader | None = None
        self._partial = partial
        self._lock = threading.Lock()
        self._closed = False
        self._saved_bytes = part.completed_bytes

    def write(self, file: FileIO, view: memoryview) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                file.seek(self.part.position)
                while view:
                    count = file.write(view)
                    self.part.completed_bytes += count
                    view = view[count:]
            except OSError as error:
                cause = OSError(error.errno, error.strerror, str(self._partial.path))
                raise TransferError(_disk_text(cause)) from cause

    def roll_back(self, completed_bytes: int) -> None:
        with self._lock:
            if not self._closed:
                self.part.completed_bytes = completed_bytes
                self.part.rollbacks += 1

    def save(self) -> None:
        """Write down how far it is, where that changed."""
        with self._lock:
            if self._saved_bytes != self.part.completed_bytes:
                self._partial.save(self.part)
                self._saved_bytes = self.part.completed_bytes

    def cut(self) -> None:
        if (reader := self.reader) is not None:
            reader.cut()

    def close(self) -> None:
        """Nothing is written past this point, whatever still arrives."""
        with self._lock:
            self._closed = True
        try:
            self.save()
        except OSError:
            return  # the side file keeps what it said before, which is less but true


def _promise() -> Future[Any]:
    """A future that nobody who waits for it can cancel."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def _transfer_error(error: Exception) -> TransferError:
    if isinstance(error, TransferError):
        return error
    text = f"The download broke off for a reason of our own: {error!r}."
    failure = TransferError(_disk_text(error) if isinstance(error, OSError) else text)
    failure.__cause__ = error
    return failure


def _disk_text(error: OSError) -> str:
    return (
        f"{error.filename} cannot be written: {error.strerror}. "
        "Free some space or mend the disk, then start again: what has arrived is kept."
    )
