"""Deleting models: what it would free, and doing it, one model or many."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from modelwidgets import names
from modelwidgets.background import Background, described
from modelwidgets.errors import InUseError, ModelNotFoundError, ModelWidgetsError
from modelwidgets.notices import Notices
from modelwidgets.pulls import Pulls
from modelwidgets.records import (
    BulkDeletePlan,
    BulkDeletion,
    DeleteFailure,
    DeletePlan,
    InstalledModel,
    StoredLayer,
)
from modelwidgets.shared_pulls import SharedPulls
from modelwidgets.sizes import gb
from modelwidgets.slices import Slices
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.ollama_files import StoreFiles, delete_plan
from modelwidgets.watch import Watch


class Deletions:
    """Those under way, and the way to a new one.

    A deletion goes on to its end, on the server that it was asked for, also if nobody waits for it
    any more or another server is looked at by then.
    """

    def __init__(
        self,
        watch: Watch,
        slices: Slices,
        pulls: Pulls,
        shared: SharedPulls,
        notices: Notices,
        background: Background,
    ) -> None:
        self._watch = watch
        self._slices = slices
        self._pulls = pulls
        self._shared = shared
        self._notices = notices
        self._background = background
        self._under_way: dict[tuple[str, str, bool], asyncio.Task[DeletePlan]] = {}

    async def plan(self, name: str) -> DeletePlan:
        """What deleting `name` would free."""
        model = names.named(self._watch.installed.models, name)
        if model is None:
            raise _not_installed(name)
        return await self.plan_of(self._watch.client, model)

    async def plan_of(
        self, client: OllamaClient, model: InstalledModel, *, running: bool | None = None
    ) -> DeletePlan:
        """The plan for a model of this server; `running` where that was just asked for."""

        def layers(store: StoreFiles) -> Sequence[StoredLayer] | None:
            manifest = store.manifest(model.name)
            return None if manifest is None else store.stored_layers(manifest)

        found = await self._watch.read_store(client, layers)
        return self.plan_with(model, found, running=running)

    def plan_with(
        self,
        model: InstalledModel,
        layers: Sequence[StoredLayer] | None,
        *,
        running: bool | None = None,
    ) -> DeletePlan:
        """The plan for a model with these layers; None where nothing is known of them."""
        in_memory = self._is_running(model.name) if running is None else running
        if layers is not None:
            return delete_plan(model.name, layers, running=in_memory)
        return DeletePlan(
            name=model.name,
            frees_bytes=model.size_bytes,
            exact=False,
            kept_bytes=0,
            shared_with=(),
            running=in_memory,
        )

    async def plan_many(self, wanted: Sequence[str]) -> BulkDeletePlan:
        """What deleting all of these would free, each blob counted once."""
        asked = {names.normalised(name): name for name in wanted}
        by_name = {names.normalised(one.name): one for one in self._watch.installed.models}
        models = [by_name[key] for key in asked if key in by_name]
        found = [model.name for model in models]
        missing = tuple(name for key, name in asked.items() if key not in by_name)

        def exact(store: StoreFiles) -> BulkDeletePlan | None:
            readable = {name.key for name, _ in store.manifests()}
            known = all(names.normalised(name) in readable for name in found)
            return store.delete_plan_many(found) if known else None

        plan = await self._watch.read_store(self._watch.client, exact) or BulkDeletePlan(
            names=tuple(found),
            frees_bytes=sum(model.size_bytes for model in models),
            exact=False,
            kept_bytes=0,
            shared_with=(),
            running=(),
            missing=(),
        )
        running = tuple(filter(self._is_running, found))
        return dataclasses.replace(plan, running=running, missing=missing)

    async def delete(self, name: str, *, force: bool = False) -> DeletePlan:
        """Delete a model; with `force` one in memory is unloaded first.

        Because a deleted one would stay in memory and could not be unloaded. Who asks again while
        it is being deleted gets the same answer.
        """
        return await self._start(self._watch.client, name, force=force, aloud=True)

    async def delete_many(self, wanted: Sequence[str], *, force: Iterable[str]) -> BulkDeletion:
        """Delete each, one after the other; one that fails does not stop the rest."""
        forced = {names.normalised(name) for name in force}
        work = self._delete_many(self._watch.client, list(dict.fromkeys(wanted)), forced)
        return await asyncio.shield(self._background.start(work, "Not all models were deleted"))

    async def _delete_many(
        self, client: OllamaClient, wanted: Sequence[str], forced: set[str]
    ) -> BulkDeletion:
        plans: list[DeletePlan] = []
        failed: list[DeleteFailure] = []
        for name in wanted:
            force = names.normalised(name) in forced
            try:
                plans.append(await self._start(client, name, force=force, aloud=False))
            except ModelWidgetsError as error:
                kind = type(error).__name__
                failed.append(DeleteFailure(name=name, error=described(error), error_kind=kind))
        if plans:
            self._tell_freed(plans)
        return BulkDeletion(deleted=tuple(plan.name for plan in plans), failed=tuple(failed))

    async def _start(
        self, client: OllamaClient, name: str, *, force: bool, aloud: bool
    ) -> DeletePlan:
        shown = str(names.parse(name))
        key = (client.url, names.normalised(shown), force)
        under_way = self._under_way.get(key)
        if under_way is None:
            work = self._delete(client, shown, force=force, aloud=aloud)
            under_way = self._background.start(work, f"{shown} was not deleted")
            self._under_way[key] = under_way
            under_way.add_done_callback(lambda _task: self._under_way.pop(key))
        return await asyncio.shield(under_way)

    async def _delete(
        self, client: OllamaClient, name: str, *, force: bool, aloud: bool
    ) -> DeletePlan:
        try:
            await self._end_pull(client, name, force=force)
            models, loaded = await asyncio.gather(
                self._watch.list_models(client), client.list_running()
            )
            model = names.named(models, name)
            if model is None:
                raise _not_installed(name)
            running = names.named(loaded, name) is not None
            if running and not force:
                raise InUseError(model.name, "loaded in memory")  # noqa: TRY301 - see above
            with self._marked(client, model.name):
                plan = await self.plan_of(client, model, running=running)
                if running:
                    await client.unload(model.name)
                await client.delete(model.name)
                await self._watch.refresh()
        except InUseError:
            raise  # nothing was tried: who asked decides
        except ModelWidgetsError as error:
            self._notices.tell("error", f"{name} was not deleted: {error}")
            self._background.start(self._watch.refresh(), "The list could not be renewed")
            raise
        if aloud:
            self._tell_freed([plan])
        return plan

    def _tell_freed(self, plans: Sequence[DeletePlan]) -> None:
        what = plans[0].name if len(plans) == 1 else f"{len(plans)} models"
        most = "" if all(plan.exact for plan in plans) else "at most "
        size = gb(sum(plan.frees_bytes for plan in plans))
        self._notices.tell("success", f"{what} deleted: freed {most}{size}.")

    async def _end_pull(self, client: OllamaClient, name: str, *, force: bool) -> None:
        """A model that is being pulled would be back as soon as it is deleted."""
        await self._shared.look()
        elsewhere = self._shared.of(name, client.url)
        if elsewhere is not None and not force:
            why = f"the {elsewhere.owner} is pulling it"
            raise InUseError(elsewhere.name, why, "Stop the pull first")
        if elsewhere is not None:
            await self._shared.stop(elsewhere.id)
        pull = self._pulls.of(name, client.url)
        if pull is None:
            return
        if not force:
            raise InUseError(pull.name, "it is being pulled", "Stop the pull first")
        pull.stop()
        if pull.tasks:
            await asyncio.wait(set(pull.tasks))

    @contextlib.contextmanager
    def _marked(self, client: OllamaClient, name: str) -> Iterator[None]:
        self._watch.mark_deleting(client, name, on=True)
        try:
            yield
        finally:
            self._watch.mark_deleting(client, name, on=False)

    def _is_running(self, name: str) -> bool:
        return names.named(self._slices["running"], name) is not None


def _not_installed(name: str) -> ModelNotFoundError:
    return ModelNotFoundError(
        f"{name} is not installed.",
        status_code=404,
        next_step="Check the list of installed models.",
    )
