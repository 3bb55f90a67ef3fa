"""The thread that does the ledger's file work, in order, and between jobs looks for news there.

Why a thread of its own: a folder on a server that is away would block the loop; of two contents of
a file the later one must stay; and to wait for news here costs a third of what it costs the loop.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from modelwidgets.ledger import Ledger

T = TypeVar("T")
POLL_SECONDS = 0.25


class LedgerThread:
    """Jobs first; where `watching` is set, a look at the folder four times a second."""

    def __init__(self, ledger: Ledger, news: Callable[[], None]) -> None:
        """`news` is told on the thread that something changed which this process did not write."""
        self.watching = False
        self._ledger = ledger
        self._news = news
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do `work` after all that was given before it, also where nobody waits for it any more."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # so who stops waiting does not cancel it

        def job() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - for whoever waits for it
                future.set_exception(error)

        if self._closed:  # nothing is in order any more, and nobody is to wait for ever
            job()
            return future
        if self._thread is None:
            name = "modelwidgets-ledger"
            self._thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._thread.start()
        self._jobs.put(job)
        return future

    async def run(self, work: Callable[[], T]) -> T:
        """The same for a coroutine."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """End after what was given so far."""
        self._closed = True
        self._jobs.put(None)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=POLL_SECONDS if self.watching else None)
            except queue.Empty:
                if self._ledger.has_news():
                    self._news()
                continue
            if job is None:
                return
            job()
