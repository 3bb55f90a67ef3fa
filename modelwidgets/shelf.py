"""The slice `catalog`: catalog.yaml, the user's own entries and the samples, as they are now.

The user's entries are a file that other doors write too, so it is looked at whenever the list of
models is renewed, and entries that could not be checked are asked for again now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from modelwidgets import library
from modelwidgets.background import Background
from modelwidgets.clock import Clock
from modelwidgets.errors import ModelWidgetsError
from modelwidgets.library import Catalog
from modelwidgets.notices import Notices
from modelwidgets.planning import Planning
from modelwidgets.records import CatalogModel, CatalogSlice
from modelwidgets.slices import Slices

CHECK_AGAIN_SECONDS = 300.0
"""So often entries that could not be checked are asked for again."""


class Shelf:
    """What could be pulled, and the user's own part of it."""

    def __init__(
        self,
        slices: Slices,
        notices: Notices,
        background: Background,
        planning: Planning,
        clock: Clock,
        load_catalog: Callable[[], Catalog],
    ) -> None:
        self._slices = slices
        self._notices = notices
        self._background = background
        self._planning = planning
        self._clock = clock
        self._load_catalog = load_catalog
        self._catalog: Catalog | None = None
        self._stamp: object = None
        """Of the user's file as it was read."""
        self._reading = asyncio.Lock()
        self._samples: str | None = None
        """The sample registry whose models stand in the catalog."""
        self._check_again_at = 0.0
        self._refused: set[str] = set()
        """What was said of entries that the registry does not know."""

    async def catalog(self) -> Catalog:
        """The catalog with the user's own entries, read again where another door changed them."""
        known = self._catalog
        if known is None or self._stamp != await asyncio.to_thread(library.own_entries_stamp):
            return await self.read()
        return known

    async def read(self) -> Catalog:
        """Read all files again."""
        async with self._reading:
            while True:
                samples = self._samples
                stamp = await asyncio.to_thread(library.own_entries_stamp)
                catalog = await asyncio.to_thread(self._load_catalog)
                if samples is not None:
                    more = await asyncio.to_thread(_sample_models, samples)
                    catalog = catalog.with_models(more)
                if samples == self._samples:  # else the server was found out about meanwhile
                    break
            self._catalog, self._stamp = catalog, stamp
            self._set(catalog)
        self._check_again_soon()
        return catalog

    async def show(self) -> None:
        """Read it where nobody waits for it: a catalog that cannot be used says why."""
        try:
            await self.read()
        except ModelWidgetsError as error:
            nothing = Catalog(as_of="", models=(), problems=(), architectures={})
            self._set(self._catalog or nothing, str(error))

    def sampled(self, host: str | None) -> None:
        """A sample registry stands in for the real one, or no longer does."""
        self._samples, self._catalog = host, None  # who asks for it now waits for the new one
        self._background.start(self.show(), "The catalog could not be read")

    def renew(self) -> None:
        """Look whether another door has changed the user's entries."""
        if self._catalog is not None and not self._reading.locked():
            self._background.start(self._renew(), "The catalog could not be read")

    # The user's own entries

    async def add(self, name: str, *, description: str, category: str) -> CatalogModel:
        entry = await library.add_entry(
            name, description=description, category=category, check=self._check
        )
        await self.read()
        self._notices.tell("success", f"{entry.name} added to your catalog.{_unchecked(entry)}")
        return entry

    async def edit(
        self, name: str, *, new_name: str | None, description: str | None, category: str | None
    ) -> CatalogModel:
        entry = await library.edit_entry(
            name,
            new_name=new_name,
            description=description,
            category=category,
            check=self._check,
        )
        await self.read()
        self._notices.tell("success", f"{entry.name} changed in your catalog.{_unchecked(entry)}")
        return entry

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(library.remove_entry, name)
        await self.read()
        self._notices.tell("success", f"{name} removed from your catalog; no model was deleted.")

    async def _check(self, name: str) -> None:
        await self._planning.manifest(name)

    async def _renew(self) -> None:
        if self._stamp != await asyncio.to_thread(library.own_entries_stamp):
            await self.show()
        else:
            self._check_again_soon()

    def _check_again_soon(self) -> None:
        models = self._catalog.models if self._catalog else ()
        now = self._clock.monotonic()
        if now < self._check_again_at or not any(model.unchecked for model in models):
            return
        self._check_again_at = now + CHECK_AGAIN_SECONDS
        self._background.start(self._check_again(), "Your own entries could not be checked")

    async def _check_again(self) -> None:
        refused = await library.check_entries(self._check)
        for name, error in refused.items():
            text = f"Your entry {name} was not found. {error} Then edit the entry, or remove it."
            if text not in self._refused:  # once, also after it was dismissed
                self._refused.add(text)
                self._notices.tell("warning", text, about=f"entry {name}")
        await self._renew()

    def _set(self, catalog: Catalog, *problems: str) -> None:
        shown = CatalogSlice(
            as_of=catalog.as_of, models=catalog.models, problems=(*problems, *catalog.problems)
        )
        self._slices.set("catalog", shown)


def _unchecked(entry: CatalogModel) -> str:
    if not entry.unchecked:
        return ""
    return " It could not be checked, because the registry cannot be reached; that is tried again."


def _sample_models(host: str) -> tuple[CatalogModel, ...]:
    from modelwidgets.stores.samples import sample_models  # noqa: PLC0415 - the demo's alone

    return sample_models(host)
