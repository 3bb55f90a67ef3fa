"""The slice `fits`: whether each model of a page fits, kept true while somebody sees it.

All rows are judged at a glance, then the installed models one after another by the headers of their
files; what was found out of a file is kept by its digest. All of it happens in threads, and nothing
of it is loaded before somebody can see it.

Why marks do not follow every byte: what desktops and browsers have of a GPU, and everybody of the
RAM, comes and goes by some hundred MiB without anything being loaded, and a mark that flickers is
worse than one that is off by less than the reserve that engines keep (1 GiB on each GPU). So the
memory counts as it was when marks were last made, until it has moved by more than that play.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from modelwidgets import names
from modelwidgets.background import Background
from modelwidgets.device_records import Devices, Gpu
from modelwidgets.errors import CatalogError
from modelwidgets.fit_records import FitMark, FitMarks
from modelwidgets.library import Catalog, tag_of
from modelwidgets.records import CatalogModel, CatalogTag, InstalledModel, RunningModel
from modelwidgets.slices import Message, Slices
from modelwidgets.stores.address import is_local

if TYPE_CHECKING:
    from modelwidgets.fitting import Fitting
    from modelwidgets.memory.judge import Subject
    from modelwidgets.memory.marks import Marker

_HEARD = frozenset({"catalog", "devices", "installed", "running", "service"})
_LEAST_PLAY_BYTES = 256 << 20
_GPU_PLAY, _RAM_PLAY = 64, 16
"""Of the whole memory this part may come and go."""
_LOST_LOOKS = 3
"""For so many looks a GPU whose driver does not answer counts as it was."""
_FEW_LAYERS = 10
"""Such a part of all layers."""
_SUBJECTS = 32
"""So many headers stay in memory, about 100 kB each."""


_Kind = tuple[str, int]
"""Of installed models: the digest, and what the model has of the GPU now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """Everything that marks depend on."""

    url: str
    devices: Devices
    running: tuple[tuple[str, int], ...]
    """Names (normalised) of what is loaded, and what each has of GPUs."""
    installed: tuple[InstalledModel, ...]
    catalog: Catalog

    def machine(self) -> object:
        """What a verdict depends on beside the model itself."""
        return self.url, self.devices, self.running

    def kinds(self) -> dict[_Kind, list[str]]:
        """The installed models by what is to be judged once, with the rows that this is said of.

        A tag of the catalog that is the very same has the same mark.
        """
        found: dict[_Kind, list[str]] = {}
        for model in self.installed:
            if not model.remote_host:
                freed = self.freed_bytes(model.name)
                found.setdefault((model.digest, freed), []).append(model.name)
        for family in self.catalog.models:
            for tag in family.tags:
                if tag.digest and (tag.digest, 0) in found:
                    found[tag.digest, 0].append(tag.name)
        return found

    def freed_bytes(self, name: str) -> int:
        """What a model that is loaded has of the only GPU."""
        if not self.running or len(self.devices.gpus) != 1:
            return 0
        return dict(self.running).get(names.normalised(name), 0)


class Marking:
    """Makes the marks for what slices say, and says so in the slice `fits`."""

    def __init__(
        self,
        slices: Slices,
        background: Background,
        *,
        catalog: Callable[[], Awaitable[Catalog]],
        fitting: Callable[[], Fitting],
        url: Callable[[], str],
        is_seen: Callable[[], bool],
    ) -> None:
        """`fitting` may take its time at first, unless `modelwidgets.fitting` is loaded."""
        self._slices = slices
        self._background = background
        self._catalog = catalog
        self._fitting = fitting
        self._url = url
        self._is_seen = is_seen
        self._working: asyncio.Task[None] | None = None
        self._again = False
        self._whole = asyncio.Lock()
        self._made_for: _World | None = None
        """What the marks in the slice were made for; None while some of them are to come."""
        self._devices: Devices | None = None
        """As they counted last."""
        self._lost = 0
        self._marks: dict[str, FitMark] = {}
        self._marked = ""
        """The server for which the marks are."""
        self._exact: dict[_Kind, tuple[object, FitMark]] = {}
        """Of installed models, with the machine for which that was found out."""
        self._subjects: OrderedDict[str, Subject] = OrderedDict()
        slices.subscribe(self._hear)

    def renew(self) -> None:
        """Something may have changed; nothing is done while nobody sees it."""
        if not self._is_seen():
            return
        if self._working is None or self._working.done():
            work = self._work()
            self._working = self._background.start(work, "Whether models fit could not be told")
        else:
            self._again = True

    async def marks(self) -> FitMarks:
        """The marks as they are now, all of them made, whoever sees them."""
        self._again = True  # who makes them at leisure lets this go first
        await self._make(until=lambda: False, at_leisure=False)
        found: FitMarks | None = self._slices["fits"]
        return found or NOT_JUDGED

    async def mark(self, name: str, size_bytes: int) -> FitMark | None:
        """Of one download; None where nothing is known of the machine or of the catalog."""
        try:
            world = await self._world()
        except CatalogError:  # which the page tells where the catalog stands
            return None
        if world is None:
            return None
        return await asyncio.to_thread(_mark_one, world, name, size_bytes)

    def _hear(self, message: Message) -> None:
        if message["name"] in _HEARD:
            self.renew()

    async def _work(self) -> None:
        self._again = True
        while self._again and self._is_seen():
            self._again = False
            await self._make(until=lambda: self._again or not self._is_seen())

    async def _make(self, *, until: Callable[[], bool], at_leisure: bool = True) -> None:
        """Make the marks that are not true any more; `until` is asked between two files."""
        async with self._whole:
            if self._marked != self._url():
                self._marked, self._marks, self._made_for = self._url(), {}, None
                self._slices.set("fits", None)
            world = await self._world()
            if world is None and not is_local(self._marked):
                self._slices.set("fits", NOT_JUDGED)
            elif world is not None and world != self._made_for:
                self._made_for = None
                await self._glance(world)
                if await self._read(world, until, at_leisure=at_leisure):
                    self._made_for = world

    async def _world(self) -> _World | None:
        devices: Devices | None = self._slices["devices"]
        self._devices = None if devices is None else self._steady(devices)
        if self._devices is None:
            return None
        running: Sequence[RunningModel] = self._slices["running"]
        return _World(
            url=self._url(),
            devices=self._devices,
            running=tuple(
                sorted((names.normalised(one.name), one.size_vram_bytes) for one in running)
            ),
            installed=self._slices["installed"].models,
            catalog=await self._catalog(),
        )

    def _steady(self, now: Devices) -> Devices:
        """The devices as they were, where no more than their play has changed."""
        was = self._devices
        if was is None or len(was.gpus) != len(now.gpus):
            return now
        pairs = list(zip(was.gpus, now.gpus, strict=True))
        if any(_is_lost(before, after) for before, after in pairs):
            self._lost += 1
            return was if self._lost < _LOST_LOOKS else now
        self._lost = 0
        moved = (
            any(_has_moved(before, after) for before, after in pairs)
            or was.ram_total_bytes != now.ram_total_bytes
            or _moved(
                was.ram_available_bytes + was.swap_free_bytes,
                now.ram_available_bytes + now.swap_free_bytes,
                now.ram_total_bytes // _RAM_PLAY,
            )
        )
        return now if moved else was

    async def _glance(self, world: _World) -> None:
        """All rows at once; what was found out of files stays until it is found out again."""
        context, marks = await asyncio.to_thread(_mark_all, world)
        for kind, of in world.kinds().items():
            if kind in self._exact:
                marks |= dict.fromkeys(of, self._exact[kind][1])
        self._show(context, marks)

    async def _read(self, world: _World, until: Callable[[], bool], *, at_leisure: bool) -> bool:
        """The installed models by their headers, one after another; whether that came to its end.

        At leisure there is as much rest as work between two, so that a cell that runs is not slowed
        down for long where a thousand models are installed.
        """
        kinds, machine = world.kinds(), world.machine()
        self._exact = {kind: found for kind, found in self._exact.items() if kind in kinds}
        for kind, of in kinds.items():
            if kind in self._exact and self._exact[kind][0] == machine:
                continue
            if until():
                return False
            began = time.monotonic()
            subject = await self._subject(kind[0], of[0], world)
            if subject is None:
                self._exact.pop(kind, None)
                continue
            mark = await asyncio.to_thread(_mark_exactly, world, kind[1], subject)
            self._exact[kind] = (machine, mark)
            self._add(of, mark)
            await asyncio.sleep(time.monotonic() - began if at_leisure else 0)
        return True

    async def _subject(self, digest: str, name: str, world: _World) -> Subject | None:
        found = self._subjects.get(digest)
        if found is None:
            await asyncio.to_thread(import_module, "modelwidgets.fitting")
            found = await self._fitting().installed(name, world.url, world.catalog)
        if found is not None:
            self._subjects[digest] = found
            self._subjects.move_to_end(digest)
        while len(self._subjects) > _SUBJECTS:
            self._subjects.popitem(last=False)
        return found

    def _add(self, of: Sequence[str], mark: FitMark) -> None:
        changed = {name: mark for name in of if _calm(self._marks.get(name), mark) is mark}
        if changed:
            shown: FitMarks = self._slices["fits"]
            self._marks = self._marks | changed
            self._slices.set_rows("fits", replace(shown, marks=self._marks), changed)

    def _show(self, context_length: int, made: Mapping[str, FitMark]) -> None:
        """A mark of a model that went stays on the page, where it stands for nothing."""
        was = self._marks
        self._marks = {name: _calm(was.get(name), mark) for name, mark in made.items()}
        value = FitMarks(context_length=context_length, judged=True, marks=self._marks)
        shown: FitMarks | None = self._slices["fits"]
        if shown is None or (shown.context_length, shown.judged) != (context_length, True):
            self._slices.set("fits", value)
        else:
            changed = {
                name: mark for name, mark in self._marks.items() if was.get(name) is not mark
            }
            self._slices.set_rows("fits", value, changed)


NOT_JUDGED = FitMarks(context_length=None, judged=False, marks={})


def _calm(was: FitMark | None, now: FitMark) -> FitMark:
    """The mark as it was, where only a few layers of many have changed places."""
    if was is None or was == now:
        return was or now
    if was.gpu_layers is None or now.gpu_layers is None:
        return now
    moved = abs(now.gpu_layers - was.gpu_layers)
    same = replace(now, gpu_layers=was.gpu_layers) == was
    return was if same and _FEW_LAYERS * moved <= (now.layer_count or 0) else now


def _is_lost(before: Gpu, after: Gpu) -> bool:
    return before.free_bytes is not None and after.free_bytes is None and after.error is not None


def _has_moved(before: Gpu, after: Gpu) -> bool:
    if before.free_bytes is None or after.free_bytes is None:
        return before != after
    told = replace(before, free_bytes=after.free_bytes, processes=after.processes)
    return told != after or _moved(
        before.free_bytes, after.free_bytes, (after.total_bytes or 0) // _GPU_PLAY
    )


def _moved(before: int, after: int, play: int) -> bool:
    return abs(after - before) > max(play, _LEAST_PLAY_BYTES)


# In a thread, where what is loaded first may take its time


def _mark_all(world: _World) -> tuple[int, dict[str, FitMark]]:
    from modelwidgets.memory.judge import Machine  # noqa: PLC0415
    from modelwidgets.memory.marks import Marker  # noqa: PLC0415 - see the module

    marker = Marker(Machine.of(world.devices))
    marks: dict[str, FitMark] = {}
    loaded = {name for name, _ in world.running}
    for family in world.catalog.models:
        for tag in family.tags:
            if loaded and names.normalised(tag.name) in loaded and tag.size_bytes:
                marks[tag.name] = _mark_one(world, tag.name, tag.size_bytes)
            elif tag.size_bytes:
                marks[tag.name] = _mark_tag(world, marker, family, tag, tag.size_bytes)
    for model in world.installed:
        if model.name not in marks and not model.remote_host:
            marks[model.name] = _mark_one(world, model.name, model.size_bytes, marker)
    return marker.context_length, marks


def _mark_one(world: _World, name: str, size_bytes: int, marker: Marker | None = None) -> FitMark:
    """By what the catalog knows of this name; `marker` serves what is not loaded."""
    from modelwidgets.memory.judge import Machine  # noqa: PLC0415 - see the module
    from modelwidgets.memory.marks import Marker  # noqa: PLC0415

    freed = world.freed_bytes(name)
    if marker is None or freed:
        marker = Marker(Machine.of(world.devices, freed_bytes=freed))
    family = world.catalog.family_of(name)
    tag = tag_of(family, names.parse(name).tag) if family else None
    return _mark_tag(world, marker, family, tag, size_bytes)


def _mark_tag(
    world: _World,
    marker: Marker,
    family: CatalogModel | None,
    tag: CatalogTag | None,
    size_bytes: int,
) -> FitMark:
    capabilities = family.capabilities if family else ()
    return marker.mark(
        world.catalog.architectures.get((tag.architecture if tag else None) or ""),
        size_bytes,
        projector_bytes=(tag.projector_bytes if tag else None) or 0,
        longest_context=tag.context_length if tag else None,
        completion=not capabilities or "completion" in capabilities,
    )


def _mark_exactly(world: _World, freed_bytes: int, subject: Subject) -> FitMark:
    from modelwidgets.memory.judge import Machine, judged  # noqa: PLC0415 - see the module
    from modelwidgets.memory.marks import Marker  # noqa: PLC0415

    machine = Machine.of(world.devices, freed_bytes=freed_bytes)
    return Marker(machine).exact(subject.model, judged(subject.model, subject.request, machine))


def fits_by_name(marks: Mapping[str, FitMark]) -> dict[str, bool]:
    """What a search for `fits` goes by, by normalised name; without what is not known."""
    return {
        names.normalised(name): mark.fits for name, mark in marks.items() if mark.fits is not None
    }
