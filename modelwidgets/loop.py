"""Where coroutines run: a loop of our own on a daemon thread, or the kernel's loop.

Why a loop of our own: a running cell freezes the kernel's loop. Measured with ipykernel 7.4, a
task on the kernel's loop showed 0 of 60 updates while a cell slept, a thread of our own 57 of 60.
So what must stay alive while a cell computes (pulls, bars, stop, refresh) runs on `OwnLoop`, and
only what a cell awaits runs on the kernel's. `loop="kernel"` puts everything on the kernel's loop;
there a `.result()` on unfinished work raises `NotFinishedError`, because waiting would stop the
work itself.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Literal, Protocol, TypeVar

from modelwidgets.errors import NotFinishedError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

TICK_SECONDS = 0.2
"""An interrupt of `await` or `.result()` takes effect only when the waiting loop wakes (ipykernel
issue 881), so both wake this often."""
ENDED = "The loop of this object has ended, or lives in the process that this one was forked from: "
ENDED += "make the object again here."


class Handle(Protocol[T_co]):
    """A value that is on its way: `await` it, or ask for its `.result()`."""

    def result(self, timeout: float | None = None) -> T_co:
        """Wait for the value; an interrupt while waiting cancels the work."""

    def cancel(self) -> bool:
        """Stop the work; True if it was still going on."""

    def done(self) -> bool:
        """Whether the value (or its error) is there."""

    def __await__(self) -> Generator[Any, None, T_co]:
        """Wait inside a coroutine, on any loop."""


class Loop(Protocol):
    """Something that runs coroutines and takes calls from any thread."""

    def submit(self, work: Coroutine[Any, Any, T], what: str) -> Handle[T]:
        """Start `work`; `what` names it in the handle's repr."""

    def hand_over(self, call: Callable[..., object], *args: object) -> None:
        """Run `call(*args)` soon, on the loop; safe from any thread."""


class ThreadHandle(Generic[T]):
    """The value of work on a loop of another thread."""

    def __init__(
        self, future: concurrent.futures.Future[T], what: str, thread_id: int | None
    ) -> None:
        self._future = future
        self._thread_id = thread_id
        self.what = what

    def __repr__(self) -> str:
        return _described(self)

    def done(self) -> bool:
        return self._future.done()

    def cancel(self) -> bool:
        return self._future.cancel()

    def result(self, timeout: float | None = None) -> T:
        if threading.get_ident() == self._thread_id and not self._future.done():
            raise NotFinishedError  # an observer called by the loop itself would wait for ever
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                tick = TICK_SECONDS
                if end is not None:
                    tick = min(tick, max(0.0, end - time.monotonic()))
                done, _ = concurrent.futures.wait([self._future], tick)
                if done:
                    return self._future.result()
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError(f"{self.what}: not finished within {timeout:g} s")
        except KeyboardInterrupt:
            self.cancel()
            raise

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        future = asyncio.wrap_future(self._future)
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=TICK_SECONDS)
            return future.result()
        except asyncio.CancelledError:
            self.cancel()
            raise


class TaskHandle(Generic[T]):
    """The value of work on the very loop that the caller stands on."""

    def __init__(self, task: asyncio.Task[T], what: str) -> None:
        self._task = task
        self.what = what

    def __repr__(self) -> str:
        return _described(self)

    def done(self) -> bool:
        return self._task.done()

    def cancel(self) -> bool:
        return self._task.cancel()

    def result(self, timeout: float | None = None) -> T:  # noqa: ARG002
        if not self._task.done():
            raise NotFinishedError
        return self._task.result()

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        try:
            while not self._task.done():
                await asyncio.wait({self._task}, timeout=TICK_SECONDS)
            return self._task.result()
        except asyncio.CancelledError:
            self.cancel()
            raise


class OwnLoop:
    """An event loop on a daemon thread of this process, ended at exit."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._pid = os.getpid()
        # ipykernel 7.0 raises LookupError on a send from a thread without the kernel's context
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._main,), name="modelwidgets", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        atexit.register(self.close)

    @property
    def alive(self) -> bool:
        """False after `close`, and in a child made by fork, where the thread is gone."""
        return self._pid == os.getpid() and self._thread.is_alive()

    def submit(self, work: Coroutine[Any, Any, T], what: str) -> ThreadHandle[T]:
        if not self.alive:
            work.close()
            raise RuntimeError(ENDED)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return ThreadHandle(future, what, self._thread.ident)

    def hand_over(self, call: Callable[..., object], *args: object) -> None:
        if not self.alive:
            raise RuntimeError(ENDED)
        self._loop.call_soon_threadsafe(call, *args)

    def close(self) -> None:
        """Cancel what runs, let it end in order, and stop the thread."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(3)
        atexit.unregister(self.close)

    def _main(self) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._ready.set)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=2))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            # one more turn, in which the ends of those tasks reach the threads that wait
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()


class KernelLoop:
    """The loop on which the caller runs: the kernel's, or a script's `asyncio.run`."""

    def __init__(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                'loop="kernel" needs a running event loop, and here none runs: '
                "use it inside a notebook cell or a coroutine, or leave the default."
            ) from None
        self._thread_id = threading.get_ident()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def alive(self) -> bool:
        return not self._loop.is_closed()

    @property
    def running_here(self) -> bool:
        """Whether the caller stands on this very loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def submit(self, work: Coroutine[Any, Any, T], what: str) -> Handle[T]:
        if not self.running_here:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            return ThreadHandle(future, what, self._thread_id)
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return TaskHandle(task, what)

    def hand_over(self, call: Callable[..., object], *args: object) -> None:
        self._loop.call_soon_threadsafe(call, *args)


def _described(handle: ThreadHandle[Any] | TaskHandle[Any]) -> str:
    """A stable text without object addresses, so that notebooks compare equal."""
    how = "done, its value is in .result()" if handle.done() else "running: await it"
    return f"<{handle.what}: {how}>"


_own: OwnLoop | None = None
_own_guard = threading.Lock()


def own_loop() -> OwnLoop:
    """The one loop of our own in this process; a new one after fork."""
    global _own  # noqa: PLW0603
    with _own_guard:
        if _own is None or not _own.alive:
            _own = OwnLoop()
        return _own


def choose_loop(which: Literal["auto", "thread", "kernel"]) -> OwnLoop | KernelLoop:
    """The loop that `which` stands for; "auto" is our own wherever threads exist."""
    if which not in ("auto", "thread", "kernel"):
        raise ValueError(f'loop={which!r}: use "auto", "thread" or "kernel"')
    if which == "kernel" or (which == "auto" and sys.platform == "emscripten"):
        return KernelLoop()
    return own_loop()
