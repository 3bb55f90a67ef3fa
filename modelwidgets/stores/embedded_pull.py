"""Pulling models into the embedded store.

A pull lives as long as its reader, but a download belongs to all pulls that need it: the first one
starts it, others join it, and it ends with the last of them. Layers come one after another, each in
parallel ranges (`transfer.py`); the next one starts only when the reader has taken the lines of the
last, so a reader that stops reading stops the pull, as with a real server.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from modelwidgets.errors import TransferError
from modelwidgets.names import ModelName
from modelwidgets.records import Layer, Manifest
from modelwidgets.stores.embedded_errors import ServerError
from modelwidgets.stores.embedded_files import StoreFolder
from modelwidgets.stores.embedded_registry import (
    Registries,
    disk_words,
    transfer_words,
)
from modelwidgets.stores.fetch import Source
from modelwidgets.stores.transfer import Patience, Transfer

Line = dict[str, Any]
"""One line of progress as a server writes it."""
_TICK_SECONDS = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class PullLimits:
    """How patient pulls are; the defaults are Ollama's."""

    patience: Patience = field(default_factory=Patience)
    locate_seconds: float = 30.0
    """For so long a registry is asked where the rest of a blob lies."""


class Puller:
    """All pulls into one folder."""

    def __init__(
        self, folder: StoreFolder, limits: PullLimits, *, samples: str | None = None
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._registries = Registries(samples)
        self._downloads: dict[str, _Download] = {}
        self._needed: Counter[str] = Counter()

    @property
    def needed(self) -> set[str]:
        """Digests that running pulls count on, so that they are kept whatever is deleted."""
        return set(+self._needed)

    async def warm_up(self, url: str) -> None:
        """Load what the first pull would wait for, by asking `url`."""
        await self._registries.warm_up(url)

    async def pull(self, name: ModelName, *, insecure: bool) -> AsyncGenerator[Line, None]:
        """Pull a model, line by line; raises `ServerError`. Closing it stops the pull."""
        before = await asyncio.to_thread(self._folder.manifest, name)
        yield {"status": "pulling manifest"}
        manifest, raw = await self._registries.manifest(name, insecure=insecure)
        with self._needing(manifest):
            async with AsyncExitStack() as stack:
                downloads = []
                for layer in manifest.layers:
                    where = _Where(self._registries, self._limits, name, layer, insecure)
                    download = await self._join(where, stack)
                    if download is None:
                        yield _progress(layer, layer.size_bytes)
                        continue
                    async with aclosing(download.ticks()) as ticks:
                        async for completed_bytes in ticks:
                            yield _progress(layer, completed_bytes)
                    downloads.append(download)
                yield {"status": "verifying sha256 digest"}
                await _all_checked(downloads)
            yield {"status": "writing manifest"}
            await self._install(name, raw)
        unused = {layer.digest for layer in before.layers} if before else set()
        unused -= {layer.digest for layer in manifest.layers}
        if unused:
            yield {"status": "removing unused layers"}
            try:
                # Not in a thread: nobody may begin to count on a layer that is being removed.
                self._folder.remove_unused(unused - self.needed)
            except OSError as error:
                words = disk_words(error, "remove")
                yield {"status": f"couldn't remove unused layers: {words}"}
        yield {"status": "success"}

    async def stop(self) -> None:
        """End all downloads; what has arrived is kept."""
        for download in list(self._downloads.values()):
            await download.end()
        await self._registries.aclose()

    async def _install(self, name: ModelName, raw: bytes) -> None:
        try:
            await asyncio.to_thread(self._folder.write_manifest, name, raw)
        except OSError as error:
            raise ServerError(disk_words(error, "open")) from error

    async def _join(self, where: _Where, stack: AsyncExitStack) -> _Download | None:
        """The download of a layer, begun if nobody did before; None where the layer is there."""
        digest = where.layer.digest
        while (download := self._downloads.get(digest)) is not None and download.ending:
            await download.end()
        if download is None or download.task.done():
            if self._is_present(where.layer):
                return None
            download = _Download(self._folder, where)
            self._downloads[digest] = download
            download.task.add_done_callback(partial(self._forget, digest))
        await stack.enter_async_context(download.reading())
        return download

    def _forget(self, digest: str, task: asyncio.Task[None]) -> None:
        if (download := self._downloads.get(digest)) is not None and download.task is task:
            del self._downloads[digest]
        if not task.cancelled():
            task.exception()  # whoever reads along was told; perhaps nobody does any more

    def _is_present(self, layer: Layer) -> bool:
        """Whether the blob lies there whole; one of another size was cut off by a power cut."""
        try:
            return self._folder.blob_path(layer.digest).stat().st_size == layer.size_bytes
        except FileNotFoundError:
            return False

    @contextmanager
    def _needing(self, manifest: Manifest) -> Iterator[None]:
        digests = {layer.digest for layer in manifest.layers}
        self._needed.update(digests)
        try:
            yield
        finally:
            self._needed.subtract(digests)


@dataclass(frozen=True, slots=True)
class _Where:
    """A layer of a model in a registry."""

    registries: Registries
    limits: PullLimits
    name: ModelName
    layer: Layer
    insecure: bool

    async def locate(self, *, again: bool) -> Source:
        if not self.layer.size_bytes:
            return Source(url="")  # nothing will be asked for
        return await self.registries.locate(
            self.name,
            self.layer.digest,
            insecure=self.insecure,
            seconds=self.limits.locate_seconds,
            again=again,
        )


class _Download:
    """One blob on its way, for all pulls that read along."""

    def __init__(self, folder: StoreFolder, where: _Where) -> None:
        self.ending = False
        self._folder = folder
        self._where = where
        self._readers = 0
        self._kept_bytes = 0
        self._transfer: Transfer | None = None
        self._fetched = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read along; with the last reader the download ends."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                await self.end()

    async def ticks(self) -> AsyncGenerator[int, None]:
        """The bytes that lie on disk, every 60 ms until all do."""
        while not (self._fetched.done() or self.task.done()):
            both = (self._fetched, self.task)
            await asyncio.wait(both, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if self._fetched.done() or self.task.done():
                break
            if self._transfer is not None:
                yield self._transfer.completed_bytes
            elif self._kept_bytes:
                yield self._kept_bytes
        if self.task.done():
            await self.checked()

    async def checked(self) -> None:
        """Wait until the bytes have proved right; raises `ServerError`."""
        await asyncio.wait((self.task,))
        if self.task.cancelled():
            raise ServerError("context canceled")
        error = self.task.exception()
        if isinstance(error, TransferError):
            url = self._transfer.source.url if self._transfer else ""
            raise ServerError(transfer_words(error, url)) from error
        if error is not None:
            raise error

    async def end(self) -> None:
        """Stop if it still runs; returns when nothing is written any more."""
        if not self.ending:  # a second cancel would not wait for the end of the first
            self.ending = True
            self.task.cancel()
        await asyncio.wait((self.task,))

    async def _run(self) -> None:
        layer = self._where.layer
        digest = layer.digest
        self._kept_bytes = await asyncio.to_thread(self._folder.partial_bytes, digest)
        source = await self._where.locate(again=self._kept_bytes > 0)
        self._transfer = transfer = Transfer(
            self._folder.blob_path(digest),
            source,
            size_bytes=layer.size_bytes,
            sha256=digest.removeprefix("sha256:"),
            patience=self._where.limits.patience,
        )
        transfer.start()
        try:
            await asyncio.wrap_future(transfer.fetched)
            self._fetched.set_result(None)
            await asyncio.wrap_future(transfer.checked)
        except asyncio.CancelledError:
            transfer.cancel()
            with suppress(TransferError):
                await asyncio.wrap_future(transfer.checked)
            raise


async def _all_checked(downloads: list[_Download]) -> None:
    """Wait for every check, so that the good layers are kept; then tell of the first bad one."""
    if downloads:
        await asyncio.wait([download.task for download in downloads])
    for download in downloads:
        await download.checked()


def _progress(layer: Layer, completed_bytes: int) -> Line:
    line: Line = {"status": f"pulling {layer.digest[7:19]}", "digest": layer.digest}
    if layer.size_bytes:
        line["total"] = layer.size_bytes
    if completed_bytes:
        line["completed"] = completed_bytes
    return line
