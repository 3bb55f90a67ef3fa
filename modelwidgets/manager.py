"""The core: the state of one server in slices, and the commands that change it. Knows no Jupyter.

All methods run on one event loop, the one on which `start` was awaited; doors hand over to it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelwidgets import describing, names, service
from modelwidgets.background import Background
from modelwidgets.clock import Clock
from modelwidgets.deletions import Deletions
from modelwidgets.errors import (
    ModelNotFoundError,
    NameTakenError,
    RegistryError,
)
from modelwidgets.fit_records import FitCard, FitMark, FitMarks, FitReport, FitRow
from modelwidgets.ledger import Ledger
from modelwidgets.library import Catalog, load_catalog
from modelwidgets.marking import Marking
from modelwidgets.notices import Notices
from modelwidgets.one_pull import Outlook, Pull
from modelwidgets.planning import Planning
from modelwidgets.policy import EVERYTHING, Policy
from modelwidgets.pulls import PullRows, Pulls
from modelwidgets.records import (
    Action,
    BulkDeletePlan,
    BulkDeletion,
    CatalogModel,
    DeletePlan,
    InstalledModel,
    InstalledSlice,
    ModelDetails,
    PullPlan,
    PullProgress,
    RunningModel,
    ServiceStatus,
)
from modelwidgets.rows import Rows
from modelwidgets.shared_pulls import SharedPulls
from modelwidgets.shelf import Shelf
from modelwidgets.sizes import percent
from modelwidgets.slices import Slices
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.registry import RegistryClient
from modelwidgets.watch import NOTHING, Watch

if TYPE_CHECKING:
    from modelwidgets.fitting import FitOptions, Fitting


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
        policy: Policy = EVERYTHING,
        ledger: Ledger | None = None,
    ) -> None:
        """`viewer` says whose view this is, `kernel on HOST`."""
        self.viewer = viewer
        self.policy = policy
        clock = clock or Clock()
        self._registry = registry or RegistryClient(check=policy.check_request)
        self._planning = Planning(self._registry, clock)
        self._fitting: Fitting | None = None
        self._earlier_clients: list[OllamaClient] = []
        self._starting_service = asyncio.Lock()
        self._background = Background(lambda text: self.notices.tell("error", text, about=text))
        # what these tell is made below: they only do so later
        self.shared = SharedPulls(
            ledger or Ledger(),
            viewer=viewer,
            clock=clock,
            background=self._background,
            own=lambda: self.pulls,
            seen=lambda: self.watch.is_seen,
            changed=lambda pull_id: self.slices.touch(pull_id),  # noqa: PLW0108
            listed=lambda: self.slices.relist(),  # noqa: PLW0108
            interrupted=self._pull_interrupted,
            failed=self._ledger_failed,
        )
        self._unasked: set[tuple[str, str]] = set()
        """Pulls, by name and server, of which it is still to be told whether their models fit."""
        self.pulls = Pulls(
            plan=self._outlook,
            changed=lambda pull: self.slices.touch(pull.id),
            listed=lambda: self.slices.relist(),  # noqa: PLW0108
            finished=self._pull_ended,
            clock=clock,
            shared=self.shared,
        )
        self.slices = Slices(
            {
                "service": None,
                "devices": None,
                "gpu_memory": (),
                "installed": NOTHING,
                "running": [],
                "catalog": None,
                "fits": None,
                "disk": None,
                "notices": [],
            },
            name="pulls",
            rows=PullRows(self.pulls, self.shared),
        )
        self.notices = Notices(self.slices, clock)
        self._shelf = Shelf(
            self.slices, self.notices, self._background, self._planning, clock, load_catalog
        )
        self.watch = Watch(
            client,
            self.slices,
            viewer=viewer,
            clock=clock,
            background=self._background,
            stores=self._planning.stores,
            sampled=self._shelf.sampled,
            renewed=self._shelf.renew,
            shown=lambda: self._marking.renew(),  # noqa: PLW0108 - made below
        )
        self._marking = Marking(
            self.slices,
            self._background,
            catalog=self.catalog,
            fitting=lambda: self._fits,
            url=lambda: self.client.url,
            is_seen=lambda: self.watch.is_seen,
        )
        self._deletions = Deletions(
            self.watch, self.slices, self.pulls, self.shared, self.notices, self._background
        )

    # Life

    def start(self) -> None:
        """Begin the first look at the server and at others' pulls, and load the catalog."""
        self.shared.wake()
        self._background.start(self._shelf.show(), "The catalog could not be read")
        self._background.start(self.watch.first_look(), "The first look at the server failed")

    async def close(self) -> None:
        """End the pulls as interrupted, and every task with them."""
        self.slices.close()
        if self._fitting is not None:
            self._fitting.close()
        await self.pulls.close()
        await self._background.close()
        await self.shared.close()
        for client in (self.client, *self._earlier_clients):
            await client.aclose()
        await self._planning.aclose()

    # What is known

    @property
    def client(self) -> OllamaClient:
        """The server that is looked at."""
        return self.watch.client

    @property
    def status(self) -> ServiceStatus | None:
        """How the server was at the last look."""
        status: ServiceStatus | None = self.slices["service"]
        return status

    @property
    def installed(self) -> InstalledSlice:
        """The list as it was last seen, with its age."""
        return self.watch.installed

    async def list_installed(self) -> list[InstalledModel]:
        """The models, asked for now; raises where the server does not answer."""
        return await self.watch.list_models(self.client)

    async def list_running(self) -> list[RunningModel]:
        """The models in memory, asked for now."""
        return await self.client.list_running()

    async def catalog(self) -> Catalog:
        """The catalog with the user's own entries."""
        return await self._shelf.catalog()

    async def details(self, name: str, *, ask_registry: bool = False) -> ModelDetails:
        """Everything known of a name, installed or not.

        Where neither the server nor the catalog knows it, its registry may be asked. Raises
        `ModelNotFoundError` for an installed one that was deleted meanwhile, and where the
        registry was asked and does not tell.
        """
        parsed = str(names.parse(name))
        client, installed = self.client, names.named(self.installed.models, name)
        info = problem = plan = stored = None
        if installed is not None:
            found = installed.name
            stored = await self.watch.read_store(
                client, lambda store: describing.stored(store, found)
            )
            try:
                info, problem = await describing.ask_info(client, found)
            except ModelNotFoundError as error:
                if stored is None:
                    self._background.start(self.refresh(), "The list could not be renewed")
                    raise
                problem = str(error)  # what a server also says where a layer is missing
            plan = self._deletions.plan_with(installed, stored and stored[1])
        catalog = await self.catalog()
        family = catalog.get(parsed) or catalog.get(names.parse(name).family)
        if ask_registry and installed is None and family is None:
            try:
                stored = await self._planning.manifest(name), (), None
            except RegistryError as error:
                text = f"{parsed} is neither installed nor in the catalog."
                raise ModelNotFoundError(text, next_step=str(error)) from None
        return describing.describe(
            parsed,
            url=client.url,
            service=self.status,
            installed=installed,
            info=info,
            problem=problem,
            stored=stored,
            catalog=family,
            delete_plan=plan,
        )

    async def fit(self, name: str | Path, options: FitOptions) -> FitReport:
        """Whether `name` fits on the machine of the server, or on the devices of `options`.

        Raises what keeps its sizes from being known: `InvalidNameError`, `RegistryError`,
        `GgufError`, `OSError`; and `UnknownDeviceError`.
        """
        return await self._fits.report(name, options, self.client, await self.catalog())

    async def fit_table(self, wanted: Sequence[str | Path], options: FitOptions) -> Rows[FitRow]:
        """The same for each of these, a line a model; what goes wrong with one stands in it."""
        return await self._fits.table(wanted, options, self.client, await self.catalog())

    async def fit_card(self, name: str, *, whole: bool = False) -> FitCard:
        """What the card of `name` shows: its report, and what it would say of other settings.

        It answers soon, without the stops that take longer; `whole` waits for all. Raises what
        `fit` raises.
        """
        catalog = await self.catalog()
        return await self._fits.card(name, self.client, catalog, whole=whole)

    async def fit_marks(self) -> FitMarks:
        """Whether each installed model and each tag of the catalog fits now, in short."""
        await self.refresh()
        return await self._marking.marks()

    async def plan_pull(self, name: str) -> PullPlan:
        """What pulling `name` would fetch, and whether that would fit into memory.

        Raises `RegistryError` where the registry does not say.
        """
        url = self.client.url
        outlook = await self._planning.ask(name, url)
        await self.shared.look()
        claimed = self.pulls.claimed_bytes(outlook, url)
        size = outlook.plan.total_bytes
        mark = await self._marking.mark(name, size) if size else None
        return dataclasses.replace(outlook.plan, claimed_bytes=claimed, fit=mark)

    async def mark_before_pull(self, name: str) -> FitMark | None:
        """Whether what a pull would fetch fits into memory; None where that is not known.

        It does not raise, and a registry that is out of reach is waited for only once.
        """
        outlook = await self._planning.outlook(name, self.client.url)
        size = outlook.plan.total_bytes
        return await self._marking.mark(name, size) if size else None

    async def plan_delete(self, name: str) -> DeletePlan:
        """What deleting `name` would free."""
        return await self._deletions.plan(name)

    async def plan_delete_many(self, wanted: Sequence[str]) -> BulkDeletePlan:
        """What deleting all of these would free; what is gone already is told apart."""
        return await self._deletions.plan_many(wanted)

    # What is done

    async def refresh(self) -> None:
        """Look again; it does not raise."""
        await asyncio.gather(self.shared.look(), self.watch.refresh())

    def pull(self, name: str, *, force: bool = False, unasked: bool = False) -> Pull:
        """Pull a model, or join the pull of it that is under way.

        `unasked`: nobody was asked before, so a model that does not fit is told in a notice.
        """
        pull = self._pull(name, self.client, force=force)
        if unasked and not force:
            self._unasked.add((pull.name, pull.client.url))
        return pull

    def has_pull(self, pull_id: str) -> bool:
        """Whether there is such a pull, of this process or of another one."""
        return self.pulls.get(pull_id) is not None or self.shared.get(pull_id) is not None

    async def stop(self, pull_id: str) -> None:
        """Stop a pull, also one of another process.

        Raises `NotStoppedError` where that one does not hear.
        """
        if self.pulls.get(pull_id) is not None:
            self.pulls.stop(pull_id)
        else:
            await self.shared.stop(pull_id)

    def retry(self, pull_id: str, *, force: bool = False) -> Pull:
        """Try an ended pull again, on the server that it was for.

        One of another process, which is gone, goes on here.
        """
        ended = self.pulls.get(pull_id)
        if ended is not None:
            return self._pull(ended.name, ended.client, force=force)
        others = self.shared.get(pull_id)
        if others is None:
            raise KeyError(pull_id)
        self.notices.forget(pull_id)
        return self._pull(others.name, self._client_of(others.url), force=force)

    def dismiss(self, pull_id: str) -> None:
        """Take an ended pull off the list, and what was said of it."""
        self.pulls.dismiss(pull_id)
        self.shared.dismiss(pull_id)
        if not self.has_pull(pull_id):
            self.notices.forget(pull_id)

    def seen(self, door: object, view: str, visible: bool) -> None:
        """A view of `door` can be seen, or no longer; while one can, all is kept fresh."""
        self.watch.seen(door, view, visible)
        if visible:
            self.shared.wake()

    async def delete(self, name: str, *, force: bool = False) -> DeletePlan:
        """Delete a model and say what that freed.

        Raises `InUseError` where it is in memory or being pulled, unless `force` is given.
        """
        return await self._deletions.delete(name, force=force)

    async def delete_many(
        self, wanted: Sequence[str], *, force: Iterable[str] = ()
    ) -> BulkDeletion:
        """Delete each of these, those in `force` also where they are in use.

        It does not raise: what could not be deleted is told with its reason.
        """
        return await self._deletions.delete_many(wanted, force=force)

    async def copy(self, source: str, destination: str, *, force: bool = False) -> None:
        """Give a model a second name; no bytes are copied.

        Raises `NameTakenError` where another model has that name, unless `force` is given.
        """
        client = self.client
        models = await self.watch.list_models(client)
        original, there = names.named(models, source), names.named(models, destination)
        if original and there and original.digest != there.digest and not force:
            raise NameTakenError(there.name)
        await client.copy(source, destination)
        await self.refresh()

    async def connect(self, url: str) -> None:
        """Look at another server from now on; pulls of the old one go on."""
        client = OllamaClient(url)
        self.policy.check_server(client.url)
        self._earlier_clients.append(self.client)
        await self.watch.connect(client)

    async def start_service(self) -> None:
        """Start `ollama serve` here, and wait until it answers; ten clicks start it once."""
        async with self._starting_service:
            if (await self.watch.look()).state != "running":
                await service.start_ollama(self.client)
        await self.refresh()

    async def use_embedded_store(self) -> None:
        """Start the embedded store, or find the one that runs, and look at it."""
        await self.connect(await service.start_embedded_store())

    async def refresh_catalog(self) -> None:
        """Read catalog.yaml and the user's entries again."""
        await self._shelf.read()

    async def add_entry(
        self, name: str, *, description: str = "", category: str = "chat"
    ) -> CatalogModel:
        """Add a model to the user's own entries; a name that the registry refuses is not kept."""
        return await self._shelf.add(name, description=description, category=category)

    async def edit_entry(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        category: str | None = None,
    ) -> CatalogModel:
        """Change one of the user's own entries; without a change it is checked again."""
        return await self._shelf.edit(
            name, new_name=new_name, description=description, category=category
        )

    async def remove_entry(self, name: str) -> None:
        """Remove one of the user's own entries; no model is deleted."""
        await self._shelf.remove(name)

    # How it is done

    @property
    def _fits(self) -> Fitting:
        """Made late: who never asks whether a model fits need not wait for it to load."""
        if self._fitting is None:
            from modelwidgets.fitting import Fitting  # noqa: PLC0415 - loaded when used

            self._fitting = Fitting(self._registry, stores=self._planning.stores)
        return self._fitting

    def _client_of(self, url: str) -> OllamaClient:
        """The client of a server that may not be the one that is looked at."""
        if url == self.client.url:
            return self.client
        self.policy.check_server(url)
        client = OllamaClient(url)
        self._earlier_clients.append(client)  # closed with those
        return client

    async def _outlook(self, name: str, url: str) -> Outlook:
        outlook = await self._planning.outlook(name, url)
        size = outlook.plan.total_bytes
        if (name, url) in self._unasked and size:
            told = self._tell_misfit(name, size)
            self._background.start(told, "Whether a model fits could not be told")
        self._unasked.discard((name, url))
        return outlook

    async def _tell_misfit(self, name: str, size_bytes: int) -> None:
        """Beside the pull, which goes on meanwhile."""
        mark = await self._marking.mark(name, size_bytes)
        if mark is not None and mark.verdict == "no":
            from modelwidgets.text_fit import misfit_text  # noqa: PLC0415 - loaded when used

            text = misfit_text(name, mark, self.slices["devices"])
            self.notices.tell("warning", f"{text} It is pulled all the same.", about=f"fit {name}")

    def _pull(self, name: str, client: OllamaClient, *, force: bool) -> Pull:
        self.policy.check_registry(names.parse(name).host)
        under_way = self.pulls.of(name, client.url)
        pull = self.pulls.start(name, client, force=force)
        if pull is not under_way:
            stop = Action(label="Stop", method="stop", params={"id": pull.id})
            self.notices.tell("info", f"Pull of {pull.name} started.", stop, about=pull.id)
        return pull

    def _pull_interrupted(self, pull: PullProgress) -> None:
        """Another process ended while it pulled."""
        resume = Action(label="Resume", method="retry", params={"id": pull.id})
        at = ""
        if pull.total_bytes:
            at = f" at {percent(pull.completed_bytes, pull.total_bytes)}"
        text = f"The pull of {pull.name} was interrupted{at}."
        self.notices.tell("warning", text, resume, about=pull.id)

    def _ledger_failed(self, error: OSError) -> None:
        text = (
            f"Other notebooks and terminals cannot see the pulls of this one: {error}. "
            "The pulls go on."
        )
        self.notices.tell("warning", text, about="ledger")

    def _pull_ended(self, pull: Pull) -> None:
        resume = Action(label="Resume", method="retry", params={"id": pull.id})
        match pull.state:
            case "done":
                self.notices.tell("success", f"{pull.name} is installed.", about=pull.id)
            case "failed":
                retry = dataclasses.replace(resume, label="Retry")
                text = f"The pull of {pull.name} failed: {pull.error}"
                self.notices.tell("error", text, retry, about=pull.id)
            case "cancelled":
                text = f"The pull of {pull.name} was stopped; its bytes are kept."
                self.notices.tell("info", text, resume, about=pull.id)
        if pull.state != "interrupted":
            self._background.start(self.refresh(), "The list could not be renewed")
