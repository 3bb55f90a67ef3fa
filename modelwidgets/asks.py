"""What can be asked of a session; each call gives a handle of its value."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwidgets import names
from modelwidgets.errors import ModelWidgetsError, OllamaError
from modelwidgets.loop import Handle
from modelwidgets.rows import Rows
from modelwidgets.sessions import Session

if TYPE_CHECKING:
    from modelwidgets.fit_records import FitReport, FitRow
    from modelwidgets.fitting import FitOptions
    from modelwidgets.manager import Manager
    from modelwidgets.one_pull import Pull
    from modelwidgets.query_tree import Node
    from modelwidgets.records import (
        CatalogModel,
        DeletePlan,
        InstalledModel,
        ModelDetails,
        PullProgress,
        RunningModel,
        Snippet,
    )
    from modelwidgets.search import Known


class Asks:
    """The functions of the package, on one session; the widgets have them as methods."""

    _session: Session

    def installed(self, query: str = "") -> Handle[Rows[InstalledModel]]:
        """The models on disk, newest first; `query` is a search: `size<8GB vision`.

        Raises `SearchError` at once where the query cannot be read.
        """
        from modelwidgets.query import parse  # noqa: PLC0415 - loaded when used

        tree = parse(query)

        async def ask(manager: Manager) -> Rows[InstalledModel]:
            from modelwidgets.search import search  # noqa: PLC0415 - loaded when used

            models = await manager.list_installed()
            return search(tree, models, await _known(manager, tree))

        return self._session.submit("installed()", ask)

    def running(self) -> Handle[Rows[RunningModel]]:
        """The models in memory."""

        async def ask(manager: Manager) -> Rows[RunningModel]:
            return Rows(await manager.list_running())

        return self._session.submit("running()", ask)

    def catalog(
        self,
        query: str = "",
        category: str | None = None,
        type: str | None = None,  # noqa: A002
    ) -> Handle[Rows[CatalogModel]]:
        """The models worth knowing, most pulled first; `query` is a search: `params<9b tools`.

        `category` keeps one of them, such as `"code"`; `type` is `"llm"` or `"embedding"`. Raises
        `SearchError` at once where the query cannot be read.
        """
        from modelwidgets.query import parse  # noqa: PLC0415 - loaded when used

        tree = parse(query)

        async def ask(manager: Manager) -> Rows[CatalogModel]:
            catalog = await manager.catalog()
            known = await _known(manager, tree)
            return catalog.search(tree, category=category, type=type, known=known)

        return self._session.submit("catalog()", ask)

    def details(self, name: str) -> Handle[ModelDetails]:
        """Everything known of one name, installed or not: server, manifest, catalog and all.

        `info` and `installed` are None where it is not installed; then `tag` and `catalog` have
        what the catalog says, `manifest` what its registry says where the catalog does not know
        it, and `basis` tells which. Raises `ModelNotFoundError` where nobody knows the name.
        """

        async def ask(manager: Manager) -> ModelDetails:
            await manager.list_installed()
            return await manager.details(name, ask_registry=True)

        return self._session.submit(f"details({name!r})", ask)

    def snippets(self, name: str) -> Handle[Rows[Snippet]]:
        """Ready code to use a model, for each client library; `print(snippet.code)`."""

        async def ask(manager: Manager) -> Rows[Snippet]:
            await manager.list_installed()
            return Rows((await manager.details(name)).snippets)

        return self._session.submit(f"snippets({name!r})", ask)

    def fit(
        self,
        name: str | Path,
        context_length: int | None = None,
        kv_cache_type: str = "f16",
        num_parallel: int = 1,
        devices: Iterable[str] | None = None,
        ram: str | None = None,
    ) -> Handle[FitReport]:
        """Whether a model fits, before a byte of its weights is fetched, and what would help.

        `name` may also be the path of a GGUF file. Without `context_length` it is the one that the
        server would choose. `devices` names others than those of the server's machine:
        `["RTX 4090"]`, `["24GiB", "24GiB"]`, `[]` for none; `ram` goes with them: `"64GiB"`.
        """
        options = _fit_options(context_length, kv_cache_type, num_parallel, devices, ram)

        async def ask(manager: Manager) -> FitReport:
            return await manager.fit(name, options)

        return self._session.submit(f"fit({str(name)!r})", ask)

    def fit_table(
        self,
        names: Iterable[str | Path],
        context_length: int | None = None,
        kv_cache_type: str = "f16",
        num_parallel: int = 1,
        devices: Iterable[str] | None = None,
        ram: str | None = None,
    ) -> Handle[Rows[FitRow]]:
        """Whether each of these fits, a line a model; `.to_frame()` and `.to_csv()` as ever."""
        options = _fit_options(context_length, kv_cache_type, num_parallel, devices, ram)
        wanted = list(names)

        async def ask(manager: Manager) -> Rows[FitRow]:
            return await manager.fit_table(wanted, options)

        return self._session.submit(f"fit_table({len(wanted)} models)", ask)

    def pull(self, name: str, force: bool = False) -> PullHandle:
        """Pull a model in the background; the handle shows itself as a bar.

        `force` pulls even where the disk seems too small. A model that does not fit into memory is
        pulled too, and a notice says so; `fit(name)` tells before.
        """
        return PullHandle(self._session, name, force=force)

    def delete(self, name: str, force: bool = False) -> Handle[DeletePlan]:
        """Delete a model, without asking; raises `InUseError` for one in memory unless `force`."""

        async def ask(manager: Manager) -> DeletePlan:
            return await manager.delete(name, force=force)

        return self._session.submit(f"delete({name!r})", ask)

    def copy(self, source: str, destination: str, force: bool = False) -> Handle[None]:
        """Give a model a second name; no bytes are copied.

        Raises `NameTakenError` where another model has that name, unless `force`.
        """

        async def ask(manager: Manager) -> None:
            await manager.copy(source, destination, force=force)

        return self._session.submit(f"copy({source!r}, {destination!r})", ask)

    def add_entry(
        self, name: str, description: str = "", category: str = "chat"
    ) -> Handle[CatalogModel]:
        """Add a model to your own entries of the catalog.

        Raises `ManifestNotFoundError` where the registry does not know the name; where the registry
        cannot be reached the entry is kept, marked `unchecked`.
        """

        async def ask(manager: Manager) -> CatalogModel:
            return await manager.add_entry(name, description=description, category=category)

        return self._session.submit(f"add_entry({name!r})", ask)

    def edit_entry(
        self,
        name: str,
        new_name: str | None = None,
        description: str | None = None,
        category: str | None = None,
    ) -> Handle[CatalogModel]:
        """Change one of your own entries; what is not given stays as it is.

        A new name is checked as with `add_entry`; without a change the registry is asked again for
        a name that could not be checked before.
        """

        async def ask(manager: Manager) -> CatalogModel:
            return await manager.edit_entry(
                name, new_name=new_name, description=description, category=category
            )

        return self._session.submit(f"edit_entry({name!r})", ask)

    def remove_entry(self, name: str) -> Handle[None]:
        """Remove one of your own entries; no model is deleted."""

        async def ask(manager: Manager) -> None:
            await manager.remove_entry(name)

        return self._session.submit(f"remove_entry({name!r})", ask)


def _fit_options(
    context_length: int | None,
    kv_cache_type: str,
    num_parallel: int,
    devices: Iterable[str] | None,
    ram: str | None,
) -> FitOptions:
    """Checked at once; a single device may stand for a list of one."""
    from modelwidgets.fitting import FitOptions  # noqa: PLC0415 - loaded when used

    named = (devices,) if isinstance(devices, str) else devices
    return FitOptions(
        context_length=context_length,
        kv_cache_type=kv_cache_type,
        num_parallel=num_parallel,
        devices=None if named is None else tuple(named),
        ram=ram,
    )


async def _known(manager: Manager, tree: Node) -> Known:
    """What of the server a search asks for; one that does not answer leaves it not known."""
    from modelwidgets.query_tree import asks_for  # noqa: PLC0415 - loaded when used
    from modelwidgets.search import OF_THE_CATALOG, Family, Known, no_family  # noqa: PLC0415

    installed = running = None
    family: Family = no_family
    fits: dict[str, bool] = {}
    if asks_for(tree, "fits"):
        from modelwidgets.marking import fits_by_name  # noqa: PLC0415

        fits = fits_by_name((await manager.fit_marks()).marks)
    if asks_for(tree, *OF_THE_CATALOG):
        family = (await manager.catalog()).family_of
    with contextlib.suppress(OllamaError):
        installed = await manager.list_installed() if asks_for(tree, "installed") else None
        running = await manager.list_running() if asks_for(tree, "running") else None
    return Known.of(installed, running, family, fits)


class PullHandle:
    """A pull that goes on in the background.

    Await it or ask for `.result()` to wait for its end: a failed pull raises what made it fail. An
    interrupt while waiting stops the pull; one that nobody waits for goes on.
    """

    def __init__(self, session: Session, name: str, *, force: bool = False) -> None:
        self.name = str(names.parse(name))  # at once, for a handle that nobody may wait for
        self.session = session
        self._started: Handle[Pull] = session.submit("pull", self._start(force))
        self._ended: Handle[PullProgress] = session.submit(f"pull({name!r})", self._wait)

    def result(self, timeout: float | None = None) -> PullProgress:
        """Wait for the end and give the last state of the bar."""
        try:
            return self._ended.result(timeout)
        except KeyboardInterrupt:
            self._stop()
            raise

    def cancel(self) -> bool:
        """Stop the pull; the server keeps what it has, and a new pull resumes there."""
        going_on = not self._ended.done()
        if going_on:
            self._stop()
        return going_on

    def done(self) -> bool:
        """Whether the pull has ended, one way or another."""
        return self._ended.done()

    def __await__(self) -> Generator[Any, None, PullProgress]:
        return self._await().__await__()

    def __repr__(self) -> str:
        how = "ended, see .result()" if self.done() else "running: await it"
        return f"<pull({self.name!r}): {how}>"

    def _ipython_display_(self) -> None:
        from modelwidgets.widgets import show_pull  # noqa: PLC0415 - anywidget, loaded when shown

        show_pull(self)

    def _display_(self) -> object:
        """What marimo shows of it."""
        from modelwidgets.widgets import pull_bar  # noqa: PLC0415 - anywidget, loaded when shown

        return pull_bar(self)

    async def started(self) -> Pull:
        """The pull itself, once it is in the queue; on the session's loop."""
        return await self._started

    async def _await(self) -> PullProgress:
        try:
            return await self._ended
        except asyncio.CancelledError:
            self._stop()
            raise

    def _start(self, force: bool) -> Callable[[Any], Coroutine[Any, Any, Pull]]:
        async def start(manager: Manager) -> Pull:
            return manager.pull(self.name, force=force, unasked=True)

        return start

    async def _wait(self, manager: Manager) -> PullProgress:
        return await manager.pulls.wait(await self._started)

    def _stop(self) -> None:
        """Stop before anything that is asked for later, such as pulling the same model again."""
        if self._started.done():
            with contextlib.suppress(ModelWidgetsError):  # it never began
                self.session.loop.hand_over(self._started.result().stop)
        else:
            self.session.submit("stop", self._stop_later)

    async def _stop_later(self, _manager: Manager) -> None:
        (await self._started).stop()
