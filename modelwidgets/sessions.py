"""One manager for each server and loop in a process, so that two widgets agree."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import platform
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from modelwidgets.errors import CatalogError
from modelwidgets.loop import Handle, KernelLoop, OwnLoop, choose_loop
from modelwidgets.policy import EVERYTHING, Policy
from modelwidgets.stores.address import address

T = TypeVar("T")
Store = Literal["auto", "ollama", "embedded"]
LoopName = Literal["auto", "thread", "kernel"]


class Session:
    """A manager and the loop on which it lives; made at once, filled on that loop.

    Why so late: httpx, the catalog and NVML cost more to load than a cell should wait for.
    """

    def __init__(
        self,
        url: str | None,
        store: Store,
        loop: OwnLoop | KernelLoop,
        catalog: Path | None = None,
        *,
        viewer: str = "kernel",
        policy: Policy = EVERYTHING,
    ) -> None:
        self.loop = loop
        self._viewer = viewer
        self._policy = policy
        self._url = url
        self._store = store
        self._catalog = catalog
        self._manager: Any = None
        self._starting: asyncio.Task[Any] | None = None
        self._waiting: set[asyncio.Task[Any] | None] = set()
        """Work whose turn comes after the first look, which a session that ends never has."""
        atexit.register(self.close)

    async def manager(self) -> Any:
        """The manager, whose first look may still be under way; on the session's loop only."""
        starting = self._starting
        if starting is None:
            starting = self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            return await asyncio.shield(starting)
        except Exception:
            if self._starting is starting:
                self._starting = None  # who asks next tries again
            raise

    def submit(self, what: str, work: Callable[[Any], Coroutine[Any, Any, T]]) -> Handle[T]:
        """Run `work(manager)` after its first look; `what` names it in the handle's repr."""

        async def run() -> T:
            this = asyncio.current_task()
            self._waiting.add(this)
            try:
                manager = await self.manager()
                await manager.watch.looked.wait()
            finally:
                self._waiting.discard(this)
            return await work(manager)

        return self.loop.submit(run(), what)

    def close(self) -> None:
        """End the manager in order, where its loop still runs on a thread of its own."""
        atexit.unregister(self.close)
        if isinstance(self.loop, OwnLoop) and self.loop.alive:
            with contextlib.suppress(TimeoutError):  # the process ends all the same
                self.loop.submit(self.aclose(), "close").result(3)
        elif self._manager is not None:
            self._manager.slices.close()  # its loop has stopped: nothing is to be sent any more

    async def aclose(self) -> None:
        """The same on the session's own loop."""
        atexit.unregister(self.close)
        for task in self._waiting:
            if task is not None:
                task.cancel()
        if self._starting is not None:
            self._starting.cancel()
        if self._manager is not None:
            await self._manager.close()

    async def _start(self) -> Any:
        from modelwidgets import service  # noqa: PLC0415 - see the class
        from modelwidgets.library import load_catalog  # noqa: PLC0415
        from modelwidgets.manager import Manager  # noqa: PLC0415
        from modelwidgets.stores.ollama import OllamaClient  # noqa: PLC0415

        url = self._url
        if self._store == "embedded":
            url = await service.start_embedded_store()
        elif self._store == "auto" and url is None:
            url = await service.usual_url()
        self._manager = Manager(
            OllamaClient(url),
            viewer=f"{self._viewer} on {platform.node()}",
            load_catalog=partial(load_catalog, self._catalog),
            policy=self._policy,
        )
        self._manager.start()
        return self._manager


_sessions: dict[tuple[Any, ...], Session] = {}
_guard = threading.Lock()


def session(
    url: str | None = None,
    *,
    store: Store = "auto",
    loop: LoopName = "auto",
    catalog: str | os.PathLike[str] | None = None,
) -> Session:
    """The session for a server; the same one for the same server in the same process.

    Raises at once what is wrong with the words: `BadAddressError`, `CatalogError`, `ValueError`.
    """
    if store not in ("auto", "ollama", "embedded"):
        raise ValueError(f'store={store!r}: use "auto", "ollama" or "embedded"')
    if url is not None and store == "embedded":
        raise ValueError('url and store="embedded" name two servers: leave one of them out')
    listed = None if catalog is None else Path(catalog).expanduser().absolute()
    if listed is not None and not listed.is_file():
        raise CatalogError(f"There is no catalog at {listed}. Give the path of a catalog.yaml.")
    named = url is not None or store == "ollama" or (store == "auto" and _environment_names_one())
    server = address(url, strict=url is not None) if named else store
    runs_on = choose_loop(loop)
    key = (os.getpid(), server, listed, loop if loop == "kernel" else "thread")
    with _guard:
        found = _sessions.get(key)
        if found is None or not found.loop.alive:
            found = _sessions[key] = Session(url, store, runs_on, listed)
        return found


def _environment_names_one() -> bool:
    return bool(os.environ.get("OLLAMA_HOST"))
