"""Looks at one server, and keeps what is known of it fresh while somebody sees it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

from modelwidgets import service
from modelwidgets.background import Background, described
from modelwidgets.clock import Clock
from modelwidgets.errors import OllamaError
from modelwidgets.memory.devices import local_devices
from modelwidgets.memory.history import MemoryHistory
from modelwidgets.records import DiskUsage, InstalledModel, InstalledSlice, ServiceStatus
from modelwidgets.slices import Slices
from modelwidgets.stores.ollama import OllamaClient, is_local
from modelwidgets.stores.ollama_files import StoreFiles, find_store

T = TypeVar("T")
REFRESH_SECONDS = 10.0
SEEN_SECONDS = 3600.0
"""A view that can be seen says so every few minutes; one that has not for so long went away in
silence. So long, because a cell that runs may keep what pages say from a kernel without subshells.
"""
NOTHING = InstalledSlice(models=(), as_of=None, stale=None, deleting=())


class Watch:
    """The slices `service`, `installed`, `running`, `disk`, `devices` and `gpu_memory`."""

    def __init__(
        self,
        client: OllamaClient,
        slices: Slices,
        *,
        viewer: str,
        clock: Clock,
        background: Background,
        stores: dict[str, StoreFiles],
        sampled: Callable[[str | None], None],
        renewed: Callable[[], None],
        shown: Callable[[], None],
    ) -> None:
        """`stores` gets the store of a server by its address, where it can be read from here.

        `sampled` is told where a sample registry stands in for the real one, and where no longer;
        `renewed` of each look that is over; `shown` when somebody sees a view.
        """
        self.client = client
        self.stores = stores
        self.looked = asyncio.Event()
        """Set once the first look at the server is over, whatever it showed."""
        self._slices = slices
        self._viewer = viewer
        self._clock = clock
        self._background = background
        self._sampled = sampled
        self._renewed = renewed
        self._shown = shown
        self._samples: str | None = None
        self._gpu_memory = MemoryHistory()
        self._refreshing: asyncio.Task[None] | None = None
        self._again = False
        self._watching: asyncio.Task[None] | None = None
        self._seen_by: dict[tuple[object, str], float] = {}
        """The views that can be seen, by door and id, each with the moment when it last said so."""
        self._questions = itertools.count(1)
        self._answered = 0
        """The question whose answer is shown: an older answer never overwrites a newer one."""

    @property
    def installed(self) -> InstalledSlice:
        """The list as it was last seen, with its age."""
        installed: InstalledSlice = self._slices["installed"]
        return installed

    @property
    def is_seen(self) -> bool:
        """Whether some view can be seen."""
        return bool(self._seen_by)

    async def first_look(self) -> None:
        try:
            await self.refresh()
        finally:
            self.looked.set()

    async def connect(self, client: OllamaClient) -> None:
        """Look at another server from now on, and show nothing of the old one as if of the new."""
        moved = client.url != self.client.url
        self.client = client
        if moved:
            self._slices.set("installed", NOTHING)
            self._slices.set("running", [])
            self._slices.set("gpu_memory", ())
            for name in ("service", "disk", "devices"):
                self._slices.set(name, None)
        await self.refresh()

    async def look(self) -> ServiceStatus:
        """How the server is, asked for now."""
        client = self.client
        seen = await service.look(client, viewer=self._viewer, clock=self._clock)
        if client is self.client:
            self._slices.set("service", seen.status)
        return seen.status

    async def list_models(self, client: OllamaClient) -> list[InstalledModel]:
        """The models, asked for now, and shown unless something newer is; raises as the client."""
        number = next(self._questions)
        models = await client.list_models()
        if client is self.client and number > self._answered:
            self._answered = number
            self._show(models=tuple(models), as_of=self._clock.now(), stale=None)
        return models

    async def refresh(self) -> None:
        """Look again. One look at a time: who asks during one waits for the next.

        It does not raise: what went wrong is shown beside what was known before.
        """
        if self._refreshing is None or self._refreshing.done():
            work = self._refresh_until_fresh()
            self._refreshing = self._background.start(work, "The list could not be renewed")
        else:
            self._again = True
        await asyncio.shield(self._refreshing)

    def seen(self, door: object, view: str, visible: bool) -> None:
        """A view of `door` can be seen, or no longer; while one can, the list is kept fresh."""
        if not visible:
            self._seen_by.pop((door, view), None)
            return
        self._seen_by[door, view] = self._clock.monotonic()
        if self._watching is None or self._watching.done():
            work = self._keep_fresh()
            self._watching = self._background.start(work, "The list is not kept fresh any more")
        self._shown()

    def forget(self, door: object) -> None:
        """A door is closed, and all its views with it."""
        self._seen_by = {key: at for key, at in self._seen_by.items() if key[0] is not door}

    def mark_deleting(self, client: OllamaClient, name: str, *, on: bool) -> None:
        """The row says so, and its buttons are off."""
        if client is self.client:
            others = tuple(one for one in self.installed.deleting if one != name)
            self._show(deleting=(*others, name) if on else others)

    async def read_store(
        self, client: OllamaClient, read: Callable[[StoreFiles], T | None]
    ) -> T | None:
        """What the store of a server says; None where it cannot be read (any more)."""
        store = self.stores.get(client.url)
        if store is not None:
            with contextlib.suppress(OSError):
                return await asyncio.to_thread(read, store)
        return None

    async def _keep_fresh(self) -> None:
        while self._seen_by:
            await self._clock.sleep(REFRESH_SECONDS)
            lapsed = self._clock.monotonic() - SEEN_SECONDS
            self._seen_by = {key: at for key, at in self._seen_by.items() if at > lapsed}
            if self._seen_by:
                await self.refresh()

    async def _refresh_until_fresh(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            client = self.client
            try:
                await self._refresh_once(client)
            except Exception as error:  # noqa: BLE001 - shown, and the next look comes
                if client is self.client:
                    self._show(stale=f"The list could not be renewed: {described(error)}")
        self._renewed()

    async def _refresh_once(self, client: OllamaClient) -> None:
        seen = await service.look(client, viewer=self._viewer, clock=self._clock)
        if client is not self.client:
            return  # another server is looked at by now
        self._slices.set("service", seen.status)
        if seen.status.state != "running":
            stopped = seen.status.state == "stopped"
            self._show(stale="service stopped" if stopped else "no answer")
            await self._look_at_machine(client)
            return
        if seen.status.sample_registry != self._samples:
            self._samples = seen.status.sample_registry
            self._sampled(self._samples)
        try:
            models, running = await asyncio.gather(self.list_models(client), client.list_running())
        except OllamaError as error:
            if client is self.client:
                self._show(stale=str(error))
            return
        store = await asyncio.to_thread(_find_store, client, seen.folder, models)
        if store is None:
            self.stores.pop(client.url, None)
        else:
            self.stores[client.url] = store
        if client is self.client:
            self._slices.set("running", running)
            await self._look_at_machine(client)

    async def _look_at_machine(self, client: OllamaClient) -> None:
        """Disk and GPU, which say something only about a server on this machine."""
        devices = await asyncio.to_thread(local_devices, client.url)
        disk = await self.read_store(client, lambda store: store.disk_usage())
        if client is not self.client:
            return
        if disk is None and self.installed.as_of is not None:
            used = sum(model.size_bytes for model in self.installed.models)
            disk = DiskUsage(
                used_bytes=used, exact=False, partial_bytes=None, free_bytes=None, path=None
            )
        self._slices.set("devices", devices)
        self._slices.set("gpu_memory", self._gpu_memory.add(devices, self._clock.now()))
        self._slices.set("disk", disk)

    def _show(self, **changes: object) -> None:
        self._slices.set("installed", dataclasses.replace(self.installed, **changes))  # type: ignore[arg-type]


def _find_store(
    client: OllamaClient, folder: str | None, models: Sequence[InstalledModel]
) -> StoreFiles | None:
    if not is_local(client.url):
        return None
    return StoreFiles(folder) if folder is not None else find_store(models)
