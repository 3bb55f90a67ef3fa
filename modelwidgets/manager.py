"""The core: the state of one server in slices, and the commands that change it. Knows no Jupyter.

All methods run on one event loop, the one on which `start` was awaited; doors hand over to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from modelwidgets import __version__, names, service
from modelwidgets.clock import Clock
from modelwidgets.errors import (
    InUseError,
    ModelNotFoundError,
    ModelWidgetsError,
    OllamaError,
)
from modelwidgets.library import Catalog, add_entry, load_catalog, remove_entry
from modelwidgets.memory.devices import probe_devices
from modelwidgets.planning import Planning
from modelwidgets.pulls import Pull, Pulls
from modelwidgets.records import (
    Action,
    CatalogModel,
    CatalogSlice,
    DeletePlan,
    Devices,
    DiskUsage,
    InstalledModel,
    InstalledSlice,
    ModelDetails,
    Notice,
    NoticeKind,
    PullPlan,
    RunningModel,
    ServiceStatus,
)
from modelwidgets.slices import Send, Slices
from modelwidgets.stores.ollama import OllamaClient, is_local
from modelwidgets.stores.ollama_files import StoreFiles, find_store
from modelwidgets.stores.registry import RegistryClient

REFRESH_SECONDS = 10.0
NOTICES_KEPT = 50
NEED_A_LOOK = frozenset({"delete", "details", "plan_delete", "plan_pull", "pull"})
"""Commands that need to know where the store lies, which the first look finds out."""


class UnknownCommandError(ModelWidgetsError):
    """A page asked for something that does not exist, or in a wrong form."""


class Manager:
    """One server, its models, its pulls, and what the pages that look at it see."""

    def __init__(
        self,
        client: OllamaClient,
        *,
        viewer: str,
        clock: Clock | None = None,
        registry: RegistryClient | None = None,
        load_catalog: Callable[[], Catalog] = load_catalog,
    ) -> None:
        """`viewer` says whose view this is, `kernel on HOST`."""
        self.client = client
        self.viewer = viewer
        self._clock = clock or Clock()
        self._planning = Planning(registry or RegistryClient(), self._clock)
        self._load_catalog = load_catalog
        self._catalog: Catalog | None = None
        self._earlier_clients: list[OllamaClient] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._again = False
        self._watching: asyncio.Task[None] | None = None
        self._seen_by: set[object] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.looked = asyncio.Event()
        """Set once the first look at the server is over, whatever it showed."""
        self.pulls = Pulls(
            plan=self._planning.outlook,
            changed=lambda pull: self.slices.touch(pull.id),
            listed=self._relist,
            finished=self._pull_ended,
            clock=self._clock,
        )
        nothing = InstalledSlice(models=(), as_of=None, stale=None, deleting=())
        self.slices = Slices(
            {
                "service": None,
                "devices": None,
                "installed": nothing,
                "running": [],
                "catalog": None,
                "disk": None,
                "notices": [],
            },
            rows="pulls",
            read_rows=lambda: [pull.progress() for pull in self.pulls],
        )

    # Life

    def start(self) -> None:
        """Begin the first look at the server, and load the catalog beside it."""
        self._spawn(self._read_catalog())
        self._spawn(self._first_look())

    async def _first_look(self) -> None:
        try:
            await self.refresh()
        finally:
            self.looked.set()

    async def close(self) -> None:
        """End the pulls as interrupted, and every task with them."""
        await self.pulls.close()
        tasks = [*self._tasks, *filter(None, [self._watching, self._refreshing])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.slices.close()
        for client in (self.client, *self._earlier_clients):
            await client.aclose()
        await self._planning.aclose()

    # What is known

    @property
    def status(self) -> ServiceStatus | None:
        """How the server was at the last look."""
        status: ServiceStatus | None = self.slices["service"]
        return status

    @property
    def installed(self) -> InstalledSlice:
        """The list as it was last seen, with its age."""
        installed: InstalledSlice = self.slices["installed"]
        return installed

    async def list_installed(self) -> list[InstalledModel]:
        """The models, asked for now; raises where the server does not answer."""
        models = await self.client.list_models()
        self._show_models(models)
        return models

    async def list_running(self) -> list[RunningModel]:
        """The models in memory, asked for now."""
        return await self.client.list_running()

    async def look(self) -> ServiceStatus:
        """How the server is, asked for now."""
        seen = await service.look(self.client, viewer=self.viewer, clock=self._clock)
        self.slices.set("service", seen.status)
        return seen.status

    async def catalog(self) -> Catalog:
        """The catalog with the user's own entries, read once."""
        return self._catalog or await self._read_catalog()

    async def details(self, name: str) -> ModelDetails:
        """Everything known of a name, installed or not."""
        parsed = names.parse(name)
        installed = self._find(name)
        catalog = (await self.catalog()).get(str(parsed)) or (await self.catalog()).get(
            parsed.family
        )
        info = manifest = None
        if installed is not None:
            info = await self.client.show(installed.name)
            if self._planning.store is not None:
                manifest = await asyncio.to_thread(self._planning.store.manifest, installed.name)
        plan = await self.plan_delete(installed.name) if installed is not None else None
        return ModelDetails(
            name=str(parsed),
            installed=installed,
            info=info,
            manifest=manifest,
            catalog=catalog,
            delete_plan=plan,
        )

    async def plan_pull(self, name: str) -> PullPlan:
        """What pulling `name` would fetch.

        Raises `RegistryError` where the registry does not say.
        """
        return (await self._planning.ask(name)).plan

    async def plan_delete(self, name: str) -> DeletePlan:
        """What deleting `name` would free."""
        model = self._find(name)
        if model is None:
            raise ModelNotFoundError(
                f"{name} is not installed.", status_code=404, next_step="Refresh the list."
            )
        running = any(names.same(loaded.name, name) for loaded in self.slices["running"])
        if self._planning.store is not None:
            return await asyncio.to_thread(
                self._planning.store.delete_plan, model.name, running=running
            )
        return DeletePlan(
            name=model.name,
            frees_bytes=model.size_bytes,
            exact=False,
            kept_bytes=0,
            shared_with=(),
            running=running,
        )

    # What is done

    def pull(self, name: str, *, force: bool = False) -> Pull:
        """Pull a model, or join the pull of it that is under way."""
        under_way = self.pulls.of(name)
        pull = self.pulls.start(name, self.client, force=force)
        if pull is not under_way:
            stop = Action(label="Stop", method="stop", params={"id": pull.id})
            self.notify("info", f"Pull of {pull.name} started.", stop, about=pull.id)
        return pull

    async def delete(self, name: str, *, force: bool = False) -> DeletePlan:
        """Delete a model and say what that freed.

        Raises `InUseError` where it is in memory and `force` is not given; with `force` it is
        unloaded first, because a deleted model would stay in memory and could not be unloaded.
        """
        shown = str(names.parse(name))
        try:
            loaded = await self.client.list_running()
            running = any(names.same(one.name, name) for one in loaded)
            if running and not force:
                raise InUseError(shown, "loaded in memory")
            if self._find(name) is None:
                await self.list_installed()
            plan = await self.plan_delete(name)
            self._mark_deleting(shown, on=True)
            if running:
                await self.client.unload(plan.name)
            await self.client.delete(plan.name)
        except ModelWidgetsError as error:
            self._mark_deleting(shown, on=False)
            self.notify("error", f"{shown} was not deleted: {error}")
            self._spawn(self.refresh())
            raise
        freed = f"freed {plan.frees_bytes / 1e9:.1f} GB"
        if not plan.exact:
            freed = f"freed at most {plan.frees_bytes / 1e9:.1f} GB"
        self.notify("success", f"{plan.name} deleted: {freed}.")
        await self.refresh()
        self._mark_deleting(shown, on=False)
        return plan

    async def copy(self, source: str, destination: str) -> None:
        """Give a model a second name; no bytes are copied."""
        await self.client.copy(source, destination)
        await self.refresh()

    async def connect(self, url: str) -> None:
        """Look at another server from now on; pulls of the old one go on."""
        client = OllamaClient(url)
        if client.url == self.client.url:
            await client.aclose()
        else:
            self._earlier_clients.append(self.client)  # their pulls go on
            self.client = client
            self._planning.store = None
            self.slices.set("installed", dataclasses.replace(self.installed, models=(), as_of=None))
            self.slices.set("running", [])
            self.slices.set("disk", None)
        await self.refresh()

    async def start_service(self) -> None:
        """Start `ollama serve` here, and wait until it answers."""
        await service.start_ollama(self.client)
        await self.refresh()

    async def use_embedded_store(self) -> None:
        """Start the embedded store, or find the one that runs, and look at it."""
        await self.connect(await service.start_embedded_store())

    async def refresh(self) -> None:
        """Look again. One look at a time: who asks during one waits for the next."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh_until_fresh())
        else:
            self._again = True
        await asyncio.shield(self._refreshing)

    async def refresh_catalog(self) -> None:
        """Read catalog.yaml and the user's entries again."""
        await self._read_catalog()

    async def add_entry(self, name: str, *, description: str = "", category: str = "chat") -> None:
        """Add a model to the user's own entries; a name that the registry refuses is not kept."""

        async def check(text: str) -> None:
            await self._planning.manifest(text)

        entry = await add_entry(name, description=description, category=category, check=check)
        await self._read_catalog()
        how = " It could not be checked: the registry cannot be reached." if entry.unchecked else ""
        self.notify("success", f"{entry.name} added to your catalog.{how}")

    async def remove_entry(self, name: str) -> None:
        """Remove one of the user's own entries; no model is deleted."""
        await asyncio.to_thread(remove_entry, name)
        await self._read_catalog()
        self.notify("success", f"{name} removed from your catalog.")

    def notify(
        self, kind: NoticeKind, text: str, *actions: Action, about: str | None = None
    ) -> None:
        """Tell the user; a later notice about the same thing replaces the earlier one."""
        notice = Notice(
            id=about or uuid.uuid4().hex[:12],
            kind=kind,
            text=text,
            actions=actions,
            at=self._clock.now(),
        )
        others = [other for other in self.slices["notices"] if other.id != notice.id]
        self.slices.set("notices", [notice, *others][:NOTICES_KEPT])

    # Pages

    def seen(self, door: object, visible: bool) -> None:
        """A page of `door` can be seen, or no longer; while one can, the list is kept fresh."""
        if visible:
            self._seen_by.add(door)
            if self._watching is None or self._watching.done():
                self._watching = asyncio.get_running_loop().create_task(self._watch())
        else:
            self._seen_by.discard(door)

    async def call(self, method: str, params: dict[str, Any], *, door: object, send: Send) -> Any:
        """Carry out a command of a page; its value is what the page is answered."""
        if method in NEED_A_LOOK:
            await self.looked.wait()
        match method, params:
            case "hello", {}:
                self.slices.send_all(send)
                return {"version": __version__, "viewer": self.viewer}
            case "visible", {"visible": bool(visible)}:
                return self.seen(door, visible)
            case "refresh", {}:
                return await self.refresh()
            case "refresh_catalog", {}:
                return await self.refresh_catalog()
            case "details", {"name": str(name)}:
                return await self.details(name)
            case "plan_pull", {"name": str(name)}:
                return await self.plan_pull(name)
            case "pull", {"name": str(name)}:
                return self.pull(name, force=params.get("force") is True).progress()
            case "stop", {"id": str(pull_id)} if self.pulls.get(pull_id):
                return self.pulls.stop(pull_id).progress()
            case "retry", {"id": str(pull_id)} if self.pulls.get(pull_id):
                force = params.get("force") is True
                return self.pulls.retry(pull_id, force=force).progress()
            case "dismiss", {"id": str(pull_id)}:
                return self.pulls.dismiss(pull_id)
            case "plan_delete", {"name": str(name)}:
                return await self.plan_delete(name)
            case "delete", {"name": str(name)}:
                return await self.delete(name, force=params.get("force") is True)
            case "dismiss_notice", {"id": str(notice_id)}:
                kept = [notice for notice in self.slices["notices"] if notice.id != notice_id]
                return self.slices.set("notices", kept)
            case "connect", {"url": str(url)}:
                return await self.connect(url)
            case "start_service", {}:
                return await self.start_service()
            case "use_embedded", {}:
                return await self.use_embedded_store()
            case "add_entry", {"name": str(name)}:
                words = {key: str(params.get(key) or "") for key in ("description", "category")}
                return await self.add_entry(
                    name, description=words["description"], category=words["category"] or "chat"
                )
            case "remove_entry", {"name": str(name)}:
                return await self.remove_entry(name)
        raise UnknownCommandError(
            f"The page asked for {method[:40]!r} in a form that this version does not know. "
            "Reload the page; if that does not help, run the cell again."
        )

    # How it is done

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _find(self, name: str) -> InstalledModel | None:
        for model in self.installed.models:
            if names.same(model.name, name):
                return model
        return None

    async def _refresh_until_fresh(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            await self._refresh_once()

    async def _refresh_once(self) -> None:
        client = self.client
        seen = await service.look(client, viewer=self.viewer, clock=self._clock)
        if client is not self.client:
            return  # another server is looked at by now
        if seen.status.sample_registry != (self.status and self.status.sample_registry):
            self.slices.set("service", seen.status)
            await self._read_catalog()
        self.slices.set("service", seen.status)
        if seen.status.state != "running":
            word = "service stopped" if seen.status.state == "stopped" else "no answer"
            self.slices.set("installed", dataclasses.replace(self.installed, stale=word))
            await self._look_at_machine(client)
            return
        try:
            models, running = await asyncio.gather(client.list_models(), client.list_running())
        except OllamaError as error:
            self.slices.set("installed", dataclasses.replace(self.installed, stale=str(error)))
            return
        store = await asyncio.to_thread(self._find_store, client, seen.folder, models)
        if client is not self.client:
            return
        self._planning.store = store
        self._show_models(models)
        self.slices.set("running", running)
        await self._look_at_machine(client)

    def _show_models(self, models: Sequence[InstalledModel]) -> None:
        fresh = dataclasses.replace(
            self.installed, models=tuple(models), as_of=self._clock.now(), stale=None
        )
        self.slices.set("installed", fresh)

    @staticmethod
    def _find_store(
        client: OllamaClient, folder: str | None, models: Sequence[InstalledModel]
    ) -> StoreFiles | None:
        if not is_local(client.url):
            return None
        return StoreFiles(folder) if folder is not None else find_store(models)

    async def _look_at_machine(self, client: OllamaClient) -> None:
        """Disk and GPU, which say something only about a server on this machine."""
        local, store = is_local(client.url), self._planning.store
        devices: Devices | None = await asyncio.to_thread(probe_devices) if local else None
        disk: DiskUsage | None = None
        if self.installed.as_of is not None:
            used = sum(model.size_bytes for model in self.installed.models)
            disk = DiskUsage(
                used_bytes=used, exact=False, partial_bytes=None, free_bytes=None, path=None
            )
        if store is not None:
            with contextlib.suppress(OSError):  # a store that went away is looked for next time
                disk = await asyncio.to_thread(store.disk_usage)
        if client is self.client:
            self.slices.set("devices", devices)
            self.slices.set("disk", disk)

    async def _read_catalog(self) -> Catalog:
        catalog = await asyncio.to_thread(self._load_catalog)
        host = self.status.sample_registry if self.status else None
        if host is not None:
            catalog = catalog.with_models(await asyncio.to_thread(_sample_models, host))
        self._catalog = catalog
        shown = CatalogSlice(as_of=catalog.as_of, models=catalog.models, problems=catalog.problems)
        self.slices.set("catalog", shown)
        return catalog

    def _pull_ended(self, pull: Pull) -> None:
        resume = Action(label="Resume", method="retry", params={"id": pull.id})
        match pull.state:
            case "done":
                self.notify("success", f"{pull.name} is installed.", about=pull.id)
            case "failed":
                retry = dataclasses.replace(resume, label="Retry")
                text = f"The pull of {pull.name} failed: {pull.error}"
                self.notify("error", text, retry, about=pull.id)
            case "cancelled":
                text = f"The pull of {pull.name} was stopped; its bytes are kept."
                self.notify("info", text, resume, about=pull.id)
        if pull.state != "interrupted":
            self._spawn(self.refresh())

    def _relist(self) -> None:
        self.slices.relist()

    def _mark_deleting(self, name: str, *, on: bool) -> None:
        others = tuple(one for one in self.installed.deleting if one != name)
        deleting = (*others, name) if on else others
        self.slices.set("installed", dataclasses.replace(self.installed, deleting=deleting))

    async def _watch(self) -> None:
        while self._seen_by:
            await self._clock.sleep(REFRESH_SECONDS)
            if self._seen_by:
                await self.refresh()


def _sample_models(host: str) -> tuple[CatalogModel, ...]:
    from modelwidgets.stores.samples import sample_models  # noqa: PLC0415 - the demo's alone

    return sample_models(host)
