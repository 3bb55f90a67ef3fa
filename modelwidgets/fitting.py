"""Finds what is to be known of a model and of a machine, and has the one held against the other.

A model's header says most. Without it (no network, a registry that is silent) the catalog's
dimensions and sizes do, and without these the size of the download.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwidgets import names
from modelwidgets.catalog_schema import Architecture
from modelwidgets.device_records import Devices
from modelwidgets.errors import (
    GgufError,
    ModelWidgetsError,
    OllamaError,
    RegistryError,
)
from modelwidgets.fit_records import FitCard, FitCheck, FitReport, FitRow
from modelwidgets.library import Catalog, tag_of
from modelwidgets.memory.check import checked
from modelwidgets.memory.devices import local_devices, probe_devices
from modelwidgets.memory.given import devices_from
from modelwidgets.memory.hub_report import HubSubject, hub_report
from modelwidgets.memory.hugging_face import HubModel
from modelwidgets.memory.judge import Alternative, Subject, judged
from modelwidgets.memory.kv_cache import CACHE_TYPES
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.outline import outlined
from modelwidgets.memory.report import Held, failed_row, report, reported, row
from modelwidgets.memory.sized_model import SizedModel
from modelwidgets.memory.stops import StopTable
from modelwidgets.records import CatalogModel, CatalogTag, RunningModel
from modelwidgets.rows import Rows
from modelwidgets.stores.address import is_local
from modelwidgets.stores.headers import Headers, ModelFiles
from modelwidgets.stores.hub import Hub, is_hub_name
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.ollama_files import StoreFiles, default_folder
from modelwidgets.stores.registry import RegistryClient

_MOST_AT_ONCE = 4
_SMALLER = 0.97
"""What is called smaller has at most so much of the size."""
_CARD_SECONDS = 0.25
"""After so long a card answers with the stops that it has."""
_CARDS = 3
"""So many cards are worked on, or kept for a page that asks on."""
_CARD_KEPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How a model would be run, and on what.

    Raises `ValueError` for what no server takes.
    """

    context_length: int | None = None
    kv_cache_type: str = "f16"
    num_parallel: int = 1
    devices: tuple[str, ...] | None = None
    """Named by a person; None: those of the server's machine."""
    ram: str | None = None

    def __post_init__(self) -> None:
        if self.context_length is not None and self.context_length < 1:
            raise ValueError(f"context_length={self.context_length}: use a number above 0, or None")
        if self.num_parallel < 1:
            raise ValueError(f"num_parallel={self.num_parallel}: use a number above 0")
        if self.kv_cache_type not in CACHE_TYPES:
            valid = ", ".join(CACHE_TYPES)
            raise ValueError(f"kv_cache_type={self.kv_cache_type!r}: use one of {valid}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    devices: Devices | None
    ram_known: bool
    running: Sequence[RunningModel]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A card whose stops are worked out, for the machine as it was at the beginning."""

    begun: float
    report: FitReport
    table: StopTable
    check: FitCheck | None


class Fitting:
    """Answers for the server that is looked at at the moment."""

    def __init__(self, registry: RegistryClient, *, stores: Mapping[str, StoreFiles]) -> None:
        """`stores` has, by a server's address, its store where that can be read from here."""
        self._registry = registry
        self._stores = stores
        self._headers: dict[Path | None, Headers] = {}
        self._cards: dict[tuple[str, str], _Card] = {}
        """By server and name, the last at the end."""

    async def report(
        self, name: str | Path, options: FitOptions, client: OllamaClient, catalog: Catalog
    ) -> FitReport:
        """Whether `name` fits on the machine of `client`, or on the devices of `options`.

        Raises what keeps its sizes from being known: `InvalidNameError`, `RegistryError`,
        `GgufError`, `OSError`; and `UnknownDeviceError`.
        """
        machine = await self._machine(options, client)
        return await self._report(name, options, client.url, catalog, machine)

    async def table(
        self,
        wanted: Sequence[str | Path],
        options: FitOptions,
        client: OllamaClient,
        catalog: Catalog,
    ) -> Rows[FitRow]:
        """A line for each; one of which nothing can be known says why."""
        machine = await self._machine(options, client)
        turn = asyncio.Semaphore(_MOST_AT_ONCE)

        async def line(name: str | Path) -> FitRow:
            async with turn:
                try:
                    return row(await self._report(name, options, client.url, catalog, machine))
                except (ModelWidgetsError, OSError) as error:
                    return failed_row(str(name), str(error))

        return Rows(await asyncio.gather(*map(line, wanted)))

    async def card(
        self, name: str, client: OllamaClient, catalog: Catalog, *, whole: bool = False
    ) -> FitCard:
        """The report of a model with all that its card offers; never of a file.

        It answers soon, without the stops that take longer; `whole` waits for these too, for the
        machine as it was when the card was asked for first. Raises what `report` raises.
        """
        begun = time.monotonic()
        key = (client.url, str(names.parse(name)))
        card = self._cards.get(key) if whole else None
        if card is None or begun - card.begun > _CARD_KEPT_SECONDS:
            card = await self._new_card(key[1], client, catalog, begun)
        self._cards.pop(key, None)
        self._cards[key] = card
        for earlier in list(self._cards)[:-_CARDS]:
            del self._cards[earlier]

        def enough() -> bool:
            if self._cards.get(key) is not card:  # nobody looks at it any more
                return True
            return not whole and time.monotonic() - begun > _CARD_SECONDS

        await asyncio.to_thread(card.table.work, enough)
        return FitCard(report=card.report, stops=card.table.stops(), check=card.check)

    async def installed(self, name: str, url: str, catalog: Catalog) -> Subject | None:
        """An installed model by the header of its file; None where that cannot be read from here.

        No registry is asked.
        """
        try:
            files = await self._headers_for(url).find(str(names.parse(name)), ask=False)
        except (ModelWidgetsError, OSError):
            return None
        if files.basis != "installed" or files.model is None:
            return None
        return await asyncio.to_thread(_subject, name, files, catalog, FitOptions(), helped=False)

    def close(self) -> None:
        """Work on no card any more."""
        self._cards.clear()

    async def _new_card(
        self, name: str, client: OllamaClient, catalog: Catalog, begun: float
    ) -> _Card:
        options = FitOptions()
        machine = await self._machine(options, client)
        files = await self._find(name, client.url, catalog)

        def work() -> _Card:
            subject = _subject(name, files, catalog, options)
            held = Held.against(
                machine.devices, subject, running=machine.running, ram_known=machine.ram_known
            )
            now = judged(subject.model, held.request, held.machine)
            return _Card(
                begun=begun,
                report=reported(subject, held, now, machine.notes),
                table=StopTable(subject, held.machine, now, known=held.devices is not None),
                check=checked(subject, held),
            )

        return await asyncio.to_thread(work)

    async def _report(
        self, name: str | Path, options: FitOptions, url: str, catalog: Catalog, machine: _Machine
    ) -> FitReport:
        if is_hub_name(name):
            return await self._hub_report(name, options, machine)
        files = await self._find(name, url, catalog)

        def work() -> FitReport:
            subject = _subject(name, files, catalog, options)
            return report(
                subject,
                machine.devices,
                running=machine.running,
                ram_known=machine.ram_known,
                notes=machine.notes,
            )

        return await asyncio.to_thread(work)

    async def _hub_report(
        self, name: str | Path, options: FitOptions, machine: _Machine
    ) -> FitReport:
        """Of a model for transformers, which runs on this machine and not on a server."""
        files = await Hub(self._registry).find(name)
        subject = HubSubject(
            name=files.name,
            model=HubModel(
                parameters=files.parameters,
                config=files.config,
                basis="manifest" if files.basis == "registry" else "header",
            ),
            context_length=options.context_length,
            batch=options.num_parallel,
            download_bytes=files.total_bytes,
            installed=files.basis != "registry",
        )
        if machine.devices is None:
            devices = await asyncio.to_thread(probe_devices)
            return await asyncio.to_thread(hub_report, subject, devices)
        return await asyncio.to_thread(
            hub_report,
            subject,
            machine.devices,
            ram_known=machine.ram_known,
            notes=machine.notes,
        )

    async def _find(self, name: str | Path, url: str, catalog: Catalog) -> ModelFiles:
        try:
            return await self._headers_for(url).find(name)
        except RegistryError as error:
            # what the catalog knows is more than that the registry refuses
            if _tag_in(_family_of(catalog, str(name)), str(name)) is None:
                raise
            return ModelFiles(name=str(names.parse(str(name))), basis="nothing", reason=str(error))

    def _headers_for(self, url: str) -> Headers:
        store = self._stores.get(url)
        if store is None and is_local(url):
            store = StoreFiles(default_folder())  # it may be there though no server runs
        folder = store.folder if store is not None else None
        if folder not in self._headers:
            self._headers[folder] = Headers(self._registry, stores=[store] if store else [])
        return self._headers[folder]

    async def _machine(self, options: FitOptions, client: OllamaClient) -> _Machine:
        local = is_local(client.url)
        if options.devices is not None:
            found = await asyncio.to_thread(devices_from, options.devices, ram=options.ram)
            notes: tuple[str, ...] = ()
            ram_known = local or options.ram is not None
            if not ram_known:
                notes = ("The RAM of that machine is not known, so it counts as enough.",)
            elif options.ram is None and not any(gpu.unified for gpu in found.gpus):
                notes = ("RAM counts as this machine has it: say `ram=` for another one.",)
            return _Machine(devices=found, ram_known=ram_known, running=(), notes=notes)
        if not local:
            note = (
                f"The server at {client.url} runs on another machine, whose devices cannot be seen "
                "from here: name them (`devices=`, `--device`) for a verdict."
            )
            return _Machine(devices=None, ram_known=False, running=(), notes=(note,))
        devices = await asyncio.to_thread(local_devices, client.url)
        running: list[RunningModel] = []
        with contextlib.suppress(OllamaError):  # a server that does not run has nothing loaded
            running = await client.list_running()
        return _Machine(devices=devices, ram_known=True, running=running, notes=())


def _subject(
    name: str | Path,
    files: ModelFiles,
    catalog: Catalog,
    options: FitOptions,
    *,
    helped: bool = True,
) -> Subject:
    """`helped`: with what could be pulled instead."""
    family = _family_of(catalog, str(name))
    tag = _tag_in(family, str(name))
    model, reason = _sized(files, tag, catalog)
    alternatives = tuple(_smaller(model, files, tag, family, catalog)) if helped else ()
    completion = not model.shape.is_encoder
    if family is not None and family.capabilities:
        completion = "completion" in family.capabilities
    set_context = options.context_length or _count(files.parameters, "num_ctx")
    return Subject(
        name=files.name,
        model=model,
        request=OllamaRequest(
            context_length=set_context,
            cache_type=options.kv_cache_type,
            num_parallel=options.num_parallel,
            num_batch=_count(files.parameters, "num_batch"),
            num_gpu=_count(files.parameters, "num_gpu", least=0),
            completion=completion,
        ),
        alternatives=alternatives,
        download_bytes=files.total_bytes or (tag.size_bytes if tag else None),
        installed=files.basis == "installed",
        reason=reason,
        known_quantizations=family is not None,
    )


def _sized(
    files: ModelFiles, tag: CatalogTag | None, catalog: Catalog
) -> tuple[SizedModel, str | None]:
    if files.model is not None:
        beside = sum(file.size_bytes for file in files.projectors)
        adapters = sum(file.size_bytes for file in files.adapters)
        sized = SizedModel.from_header(
            files.model.header, projector_bytes=beside, adapter_bytes=adapters
        )
        return sized, files.reason
    size = files.tensor_bytes or (tag.size_bytes if tag else None) or files.total_bytes
    if not size:
        if files.reason:
            raise RegistryError(files.reason)
        raise GgufError(
            f"{files.name} has no weights to be loaded here: it runs in the cloud, or on another "
            "machine. It needs no GPU of yours."
        )
    projector = (tag.projector_bytes if tag else None) or 0
    dimensions = _dimensions(catalog, tag) if tag else None
    return outlined(dimensions, size, projector_bytes=projector), files.reason


def _smaller(
    model: SizedModel,
    files: ModelFiles,
    tag: CatalogTag | None,
    family: CatalogModel | None,
    catalog: Catalog,
) -> Iterator[Alternative]:
    """Other tags of the family with as many layers of the same width, in fewer bytes."""
    if family is None:
        return
    whole = files.total_bytes or (tag.size_bytes if tag else None) or model.file_bytes
    width = (model.shape.layer_count + model.shape.next_token_layers, model.shape.embedding_length)
    seen: set[int] = set()
    for other in sorted(family.tags, key=lambda one: -(one.size_bytes or 0)):
        dimensions = _dimensions(catalog, other)
        if dimensions is None or other.size_bytes is None or other.size_bytes in seen:
            continue
        like = (dimensions.get("block_count"), dimensions.get("embedding_length")) == width
        if like and other.size_bytes < _SMALLER * whole:
            seen.add(other.size_bytes)
            yield Alternative(
                name=other.name,
                model=outlined(
                    dimensions, other.size_bytes, projector_bytes=other.projector_bytes or 0
                ),
                size_bytes=other.size_bytes,
                quantization=other.quantization,
            )


def _dimensions(catalog: Catalog, tag: CatalogTag) -> Architecture | None:
    """Those of its architecture; how long a context may be is said of each tag."""
    found = catalog.architectures.get(tag.architecture or "")
    if found is None or tag.context_length is None:
        return found
    return {**found, "context_length": tag.context_length}


def _family_of(catalog: Catalog, name: str) -> CatalogModel | None:
    return catalog.get(name) or catalog.family_of(name)


def _tag_in(family: CatalogModel | None, name: str) -> CatalogTag | None:
    return tag_of(family, names.parse(name).tag) if family else None


def _count(parameters: Mapping[str, Any], key: str, *, least: int = 1) -> int | None:
    found = parameters.get(key)
    if isinstance(found, int) and not isinstance(found, bool) and found >= least:
        return found
    return None
