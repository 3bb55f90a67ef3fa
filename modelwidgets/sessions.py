"""One manager for each server and loop in a process, so that two widgets agree."""

from __future__ import annotations

import asyncio
import atexit
import os
import platform
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar

from modelwidgets.loop import Handle, KernelLoop, OwnLoop, choose_loop

T = TypeVar("T")
Store = Literal["auto", "ollama", "embedded"]
LoopName = Literal["auto", "thread", "kernel"]


class Session:
    """A manager and the loop on which it lives; made at once, filled on that loop.

    Why so late: httpx, the catalog and NVML cost more to load than a cell should wait for.
    """

    def __init__(self, url: str | None, store: Store, loop: OwnLoop | KernelLoop) -> None:
        self.loop = loop
        self._url = url
        self._store = store
        self._manager: Any = None
        self._starting: asyncio.Task[Any] | None = None
        atexit.register(self.close)

    async def manager(self) -> Any:
        """The manager, whose first look may still be under way; on the session's loop only."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            return await asyncio.shield(self._starting)
        except Exception:
            self._starting = None  # who asks next tries again
            raise

    def submit(self, what: str, work: Callable[[Any], Coroutine[Any, Any, T]]) -> Handle[T]:
        """Run `work(manager)` after its first look; `what` names it in the handle's repr."""

        async def run() -> T:
            manager = await self.manager()
            await manager.looked.wait()
            return await work(manager)

        return self.loop.submit(run(), what)

    def close(self) -> None:
        """End the manager in order, where its loop still runs on a thread of its own."""
        atexit.unregister(self.close)
        if isinstance(self.loop, OwnLoop) and self.loop.alive:
            self.loop.submit(self._end(), "close").result(3)

    async def _end(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        if self._manager is not None:
            await self._manager.close()

    async def _start(self) -> Any:
        from modelwidgets import service  # noqa: PLC0415 - see the class
        from modelwidgets.manager import Manager  # noqa: PLC0415
        from modelwidgets.stores.ollama import OllamaClient  # noqa: PLC0415

        url = self._url
        if self._store == "embedded":
            url = await service.start_embedded_store()
        elif self._store == "auto" and url is None and not os.environ.get("OLLAMA_HOST"):
            url = await _default_url()
        self._manager = Manager(OllamaClient(url), viewer=f"kernel on {platform.node()}")
        self._manager.start()
        return self._manager


async def _default_url() -> str | None:
    """Ollama's own address where it answers, else that of an embedded store that runs."""
    from modelwidgets import service  # noqa: PLC0415 - see Session
    from modelwidgets.errors import OllamaError  # noqa: PLC0415
    from modelwidgets.stores.ollama import OllamaClient  # noqa: PLC0415

    try:
        async with OllamaClient() as client:
            await client.identify()
    except OllamaError:
        return await service.find_embedded_store()
    return None


_sessions: dict[tuple[Any, ...], Session] = {}
_guard = threading.Lock()


def session(url: str | None = None, *, store: Store = "auto", loop: LoopName = "auto") -> Session:
    """The session for a server; the same one for the same words in the same process."""
    if store not in ("auto", "ollama", "embedded"):
        raise ValueError(f'store={store!r}: use "auto", "ollama" or "embedded"')
    runs_on = choose_loop(loop)
    key = (os.getpid(), url, store, loop if loop == "kernel" else "thread")
    with _guard:
        found = _sessions.get(key)
        if found is None or not found.loop.alive:
            found = _sessions[key] = Session(url, store, runs_on)
        return found
