"""A server to manage: the embedded store, which pulls from a registry of samples."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.sample_registry import SampleRegistry
from modelwidgets.stores.samples import make_samples

T = TypeVar("T")


class ModelServer:
    """Store and registry on a loop of their own thread, so that any test may use them.

    `registry.faults` and `registry.log` may be used from the test's thread.
    """

    def __init__(self, folder: Path, samples: Path) -> None:
        served = folder / "served"
        shutil.copytree(samples, served, copy_function=_link)  # a test may add models of its own
        self.registry = SampleRegistry(served)
        self._manifests = make_samples(served)
        self._folder = folder / "models"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model server")

    def start(self) -> None:
        self._thread.start()
        self.run(self.registry.start())
        self.store = EmbeddedStore(self._folder, port=0, sample_registry=self.registry.host_port)
        self.run(self.store.start())
        self._digests = {
            f"{self.registry.host_port}/{manifest.name}": {
                layer.digest for layer in manifest.layers
            }
            for manifest in self._manifests
        }

    def stop(self) -> None:
        self.registry.faults.throttle_bytes_per_second = None
        self.run(self.store.stop())
        self.run(self.registry.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The value of a coroutine that ran on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @property
    def url(self) -> str:
        return self.store.url

    def name(self, sample: str) -> str:
        """The name under which a sample such as `chat:tiny` is pulled."""
        return f"{self.registry.host_port}/samples/{sample}"

    def sending(self) -> set[str]:
        """The names of the models of which the registry sends bytes now."""
        under_way = {request.digest for request in list(self.registry.log) if not request.ended}
        return {name for name, digests in self._digests.items() if under_way & digests}


def _link(source: str, copy: str) -> None:
    try:
        os.link(source, copy)
    except OSError:  # another file system
        shutil.copy2(source, copy)
