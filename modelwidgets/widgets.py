"""Door 1: notebook cells. Widgets that forward slices and commands, and hold no logic.

A handler may run on any thread (ipykernel's subshells), so it only hands over to the session's
loop; that loop is also the one writer of the traits.
"""

from __future__ import annotations

import contextlib
import os
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from modelwidgets import text
from modelwidgets.asks import Asks, PullHandle
from modelwidgets.commands import reply
from modelwidgets.errors import ModelWidgetsError
from modelwidgets.loop import OwnLoop
from modelwidgets.page import (
    close_with_its_cell,
    draw,
    has_page,
    keep_frontend_subshell,
    runs_unseen,
)
from modelwidgets.sessions import LoopName, Session, Store, session
from modelwidgets.slices import Message
from modelwidgets.visit import Visit

CatalogPath = str | os.PathLike[str] | None
STATIC = Path(__file__).parent / "static"
FIRST_LOOK_SECONDS = 0.5
"""`show()` waits this long for the first list, so that the text beside the widget has it."""
PRINTED_LOOK_SECONDS = 10.0
"""The same where the text is all there is."""


class Door(Asks, anywidget.AnyWidget):
    """What all widgets share; use one of the classes below."""

    _esm = STATIC / "widget.js"
    _css = STATIC / "widget.css"
    _later = STATIC / "later.js"
    """What the page draws on request; it asks for the text once, when it has nothing else to do."""
    view = traitlets.Unicode("manager").tag(sync=True)
    """Which view to draw; the rows come as messages, never as traits."""
    tab = traitlets.Unicode("installed").tag(sync=True)
    """The first tab of the manager."""
    only = traitlets.Unicode("").tag(sync=True)
    """The id of the one pull to show; empty shows all."""
    selected = traitlets.Unicode("").tag(sync=True)
    """The name that was chosen last."""
    status = traitlets.Unicode("").tag(sync=True)
    """How the server is, in one word."""

    _visit: Any = None
    _trouble = "The server has not answered yet."
    """Why there is nothing to show, in words."""

    def __init__(self, on: Session, **traits: str) -> None:
        self._session = on
        self._visit = Visit(self._take)
        super().__init__(**traits)
        keep_frontend_subshell(self.comm)
        self.on_msg(self._on_message)
        self._listening = on.loop.submit(self._listen(), "listen")
        close_with_its_cell(self, self.comm)

    def show(self) -> None:
        """Display this once; where there is no page, print a table instead."""
        page = has_page()
        if isinstance(self._session.loop, OwnLoop):
            with contextlib.suppress(TimeoutError):  # then the text says that it is not known yet
                self._listening.result(FIRST_LOOK_SECONDS if page else PRINTED_LOOK_SECONDS)
        if page:
            draw(self)
        else:
            print(self._plain_text())  # noqa: T201 - the terminal is the page here

    def close(self) -> None:
        """Take the widget off the page; pulls go on."""
        if self._visit is not None and self._session.loop.alive:
            self._session.loop.hand_over(self._visit.leave)
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _repr_mimebundle_(self, **words: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        said = {"text/plain": self._plain_text()}
        if not has_page():
            return said, {}
        said["text/html"] = self._plain_html()
        drawn = None if runs_unseen() else super()._repr_mimebundle_(**words)
        return (said, {}) if drawn is None else ({**drawn[0], **said}, drawn[1])

    def _plain_text(self) -> str:
        if self._visit.manager is None:
            return self._trouble
        slices = self._visit.manager.slices
        parts = [text.status_text(slices["service"], slices["devices"], slices["disk"])]
        if slices["installed"].as_of is None:
            parts.append("The models have not been listed yet.")
        elif self.view in ("manager", "installed"):
            parts.append(text.installed_text(slices["installed"].models))
        if self.view == "catalog" and slices["catalog"] is not None:
            parts.append(text.catalog_text(slices["catalog"].models))
        if self.view == "pulls" or slices["pulls"]:
            parts.append(text.pulls_text(slices["pulls"]))
        return "\n\n".join(parts)

    def _plain_html(self) -> str:
        if self._visit.manager is None:
            return f"<p>{escape(self._trouble)}</p>"
        slices = self._visit.manager.slices
        parts = []
        if self.view != "pulls":
            parts.append(text.installed_html(slices["installed"], slices["service"]))
        if self.view == "pulls" or slices["pulls"]:
            parts.append(text.pulls_html(slices["pulls"]))
        return "".join(parts)

    def _on_message(self, _widget: object, message: Any, _buffers: object) -> None:
        match message:
            case {"op": "call", "id": int(call), "method": str(method), "params": dict(params)}:
                self._session.loop.hand_over(self._answer_soon, call, method, params)

    # On the session's loop

    async def _listen(self) -> None:
        manager = await self._join()
        await manager.watch.looked.wait()
        self.status = manager.status.state if manager.status else ""

    async def _join(self) -> Any:
        """The manager, whose changes come here from now on; a start that failed is tried again."""
        try:
            manager = await self._session.manager()
        except ModelWidgetsError as error:
            self._trouble = str(error)
            raise
        self._visit.join(manager)
        return manager

    def _take(self, message: Message) -> None:
        if message["op"] == "slice" and message["name"] == "service":
            self.status = (message["value"] or {}).get("state", "")
        self.send(message)

    def _answer_soon(self, call: int, method: str, params: dict[str, Any]) -> None:
        self._session.loop.submit(self._answer(call, method, params), method)

    async def _answer(self, call: int, method: str, params: dict[str, Any]) -> None:
        self.send(await reply(call, self._carry_out(method, params)))

    async def _carry_out(self, method: str, params: dict[str, Any]) -> Any:
        if method == "select" and isinstance(params.get("name"), str):
            self.selected = params["name"]
            return None
        if method == "part":
            return self._later.read_text("utf-8")
        manager = await self._join()
        return await self._visit.carry_out(manager, method, params, self.send)


class ModelManager(Door):
    """Everything in one: installed models, catalog, pulls.

    `store` says where models live: "auto" takes the Ollama server that answers, else an embedded
    store that runs already; "embedded" starts the embedded store. `loop` says where the work runs,
    see `modelwidgets.loop`. `catalog` is the path of another catalog.yaml. Nothing else is started
    by itself.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        store: Store = "auto",
        loop: LoopName = "auto",
        view: str = "installed",
        catalog: CatalogPath = None,
    ) -> None:
        if view not in ("installed", "catalog", "pulls"):
            raise ValueError(f'view={view!r}: use "installed", "catalog" or "pulls"')
        on = session(url, store=store, loop=loop, catalog=catalog)
        super().__init__(on, view="manager", tab=view)


class _Part(Door):
    _part = ""

    def __init__(
        self,
        url: str | None = None,
        *,
        store: Store = "auto",
        loop: LoopName = "auto",
        catalog: CatalogPath = None,
    ) -> None:
        super().__init__(session(url, store=store, loop=loop, catalog=catalog), view=self._part)


class InstalledModels(_Part):
    """The models on a server, with their details, and buttons to delete them."""

    _part = "installed"


class CatalogBrowser(_Part):
    """The models worth knowing, with buttons to pull them."""

    _part = "catalog"


class PullBars(_Part):
    """The pulls, each with its bar."""

    _part = "pulls"


def show_pull(handle: PullHandle) -> None:
    """Display the bar of one pull."""
    bar = pull_bar(handle)
    if has_page():
        draw(bar)
    else:
        print(handle)  # noqa: T201 - the terminal is the page here


def pull_bar(handle: PullHandle) -> Door:
    """The bar of one pull."""
    bar = Door(handle.session, view="pulls")

    async def point(_manager: Any) -> None:
        bar.only = (await handle.started()).id

    handle.session.submit("show", point)
    return bar
