"""What a pull would fetch: the registry's manifest held against the disk of the store."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from modelwidgets import names
from modelwidgets.clock import Clock
from modelwidgets.errors import RegistryError, RegistryUnreachableError
from modelwidgets.one_pull import Outlook
from modelwidgets.records import Manifest, PullPlan
from modelwidgets.stores.ollama_files import StoreFiles
from modelwidgets.stores.registry import RegistryClient

RESERVE_BYTES = 1_000_000_000
"""Kept free on the disk of the store, or a tenth of what is fetched where that is less."""
OFFLINE_SECONDS = 30.0
"""For so long a registry that could not be reached is not asked for sizes again."""
UNSEEN = "the disk of the server cannot be seen from here"


class Planning:
    """Asks registries, and remembers which could not be reached."""

    def __init__(self, registry: RegistryClient, clock: Clock) -> None:
        self.stores: dict[str, StoreFiles] = {}
        """By a server's address its store, where that can be read from here."""
        self._registry = registry
        self._clock = clock
        self._offline_until: dict[str, float] = {}

    async def manifest(self, name: str) -> Manifest:
        """What the registry says of a name; raises `RegistryError` where it says nothing."""
        parsed = names.parse(name)
        # plain http to a registry on this machine leaves the machine nowhere
        return await self._registry.manifest(parsed, insecure=parsed.loopback)

    async def ask(self, name: str, url: str) -> Outlook:
        """What a pull to the server at `url` would fetch.

        Raises `RegistryError` where the registry does not say.
        """
        manifest = await self.manifest(name)
        shown, store = str(names.parse(name)), self.stores.get(url)
        if store is not None:
            with contextlib.suppress(OSError):  # the folder went away: the server may know better
                return await asyncio.to_thread(_weigh, store, manifest)
        known = dataclasses.replace(
            _unknown(shown, UNSEEN), digest=manifest.digest, total_bytes=manifest.total_bytes
        )
        return Outlook(plan=known, manifest=manifest, kept={})

    async def outlook(self, name: str, url: str) -> Outlook:
        """The same for a pull that is to go on: what cannot be known is no reason to stop.

        The server that pulls may see more than we do, so its answer decides.
        """
        host, now = names.parse(name).host.lower(), self._clock.monotonic()
        if self._offline_until.get(host, now) > now:
            why = f"{host} could not be reached a moment ago"
            return Outlook(plan=_unknown(name, why), manifest=None, kept={})
        try:
            return await self.ask(name, url)
        except RegistryError as error:
            if isinstance(error, RegistryUnreachableError):
                self._offline_until[host] = now + OFFLINE_SECONDS
            return Outlook(plan=_unknown(name, str(error)), manifest=None, kept={})

    async def aclose(self) -> None:
        """Close the connections to registries."""
        await self._registry.aclose()


def _unknown(name: str, why: str) -> PullPlan:
    return PullPlan(
        name=name,
        digest=None,
        total_bytes=None,
        present_bytes=0,
        shared_bytes=0,
        partial_bytes=0,
        to_fetch_bytes=None,
        free_bytes=None,
        reserve_bytes=0,
        claimed_bytes=0,
        reason=why,
    )


def _weigh(store: StoreFiles, manifest: Manifest) -> Outlook:
    kept = {}
    for layer in manifest.layers:
        there = store.has_blob(layer.digest)
        kept[layer.digest] = layer.size_bytes if there else store.partial_bytes(layer.digest)
    missing = manifest.total_bytes - sum(kept.values())
    plan = store.plan_pull(manifest, reserve_bytes=min(RESERVE_BYTES, missing // 10))
    return Outlook(plan=plan, manifest=manifest, kept=kept)
