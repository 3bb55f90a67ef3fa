"""Door 2: Jupyter Server. A websocket that forwards slices and commands, and holds no logic.

The manager lives on the server's own loop, made when the first page asks for it; what takes long
runs in threads, because whatever blocks that loop blocks every kernel's messages.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import ensure_async
from tornado.web import HTTPError, authenticated
from tornado.websocket import WebSocketClosedError, WebSocketHandler
from traitlets import Bool, List, Unicode

from modelwidgets import __version__
from modelwidgets.commands import reply
from modelwidgets.loop import KernelLoop
from modelwidgets.policy import Policy
from modelwidgets.sessions import Session
from modelwidgets.slices import Message
from modelwidgets.tables import visible
from modelwidgets.visit import Visit

LONGEST_MESSAGE_BYTES = 64 << 10
"""Of a page; its longest is the names of some thousand models to delete."""
MOST_CALLS = 64
"""Of one page at a time."""


class ModelWidgets(ExtensionApp):
    """Manages local models for the pages of this Jupyter server.

    The environment goes before these settings: `OLLAMA_HOST`, `MODELWIDGETS_ALLOWED_SERVERS`,
    `MODELWIDGETS_ALLOWED_REGISTRIES` (both with commas), `MODELWIDGETS_READ_ONLY`,
    `MODELWIDGETS_ALLOW_DELETE` (`1` or `0`).
    """

    name = "modelwidgets"
    ollama_url = Unicode(
        "", help="The Ollama server to look at first; empty: the usual address on this machine."
    ).tag(config=True)
    allowed_servers = List(
        Unicode(), help="Base URLs of servers on other machines that pages may connect to."
    ).tag(config=True)
    allowed_registries = List(
        Unicode(),
        help="Hosts of registries beside Ollama's and Hugging Face's (`host`, `host:port`, "
        "`*.host`), those where their files lie and where they log in included.",
    ).tag(config=True)
    allow_delete = Bool(True, help="Whether pages may delete models.").tag(config=True)
    read_only = Bool(False, help="Whether pages may only look.").tag(config=True)

    session: Session | None = None

    def initialize_handlers(self) -> None:
        self.handlers.extend(
            [
                (r"/modelwidgets/socket", Page, {"app": self}),
                (r"/modelwidgets/status", Status, {"app": self}),
            ]
        )

    def policy(self) -> Policy:
        """What pages may do, by the environment and these settings.

        Raises `ValueError` for what cannot be read.
        """
        url = os.environ.get("OLLAMA_HOST") or self.ollama_url
        servers = _listed("MODELWIDGETS_ALLOWED_SERVERS", self.allowed_servers)
        return Policy.narrow(
            servers=[*servers, url] if url else servers,
            registries=_listed("MODELWIDGETS_ALLOWED_REGISTRIES", self.allowed_registries),
            read_only=_yes("MODELWIDGETS_READ_ONLY", self.read_only),
            allow_delete=_yes("MODELWIDGETS_ALLOW_DELETE", self.allow_delete),
        )

    async def manager(self) -> Any:
        """The manager of all pages of this server."""
        if self.session is None:
            url = None if os.environ.get("OLLAMA_HOST") else self.ollama_url or None
            self.session = Session(
                url, "auto", KernelLoop(), viewer="Jupyter server", policy=self.policy()
            )
        return await self.session.manager()

    async def stop_extension(self) -> None:
        if self.session is not None:
            await self.session.aclose()


class _Door:
    """What the handlers share."""

    auth_resource = "modelwidgets"
    app: ModelWidgets

    def initialize(self, app: ModelWidgets) -> None:
        self.app = app


class Status(_Door, APIHandler):
    """How the service is, for who needs no socket; it starts nothing."""

    @authenticated
    @authorized
    async def get(self) -> None:
        answer: dict[str, Any] = {"version": __version__, "service": None, "pulls": 0}
        if self.app.session is not None:
            manager = await self.app.manager()
            answer["service"] = manager.status.state if manager.status else None
            states = [pull.state for pull in manager.slices["pulls"]]
            answer["pulls"] = states.count("running") + states.count("queued")
        self.finish(answer)


class Page(_Door, WebSocketMixin, WebSocketHandler, JupyterHandler):
    """One page: it calls, is answered, and is told of changes."""

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        may = self.authorizer.is_authorized(self, self.current_user, "execute", self.auth_resource)
        if not await ensure_async(may):
            raise HTTPError(403)
        await super().get(*args, **kwargs)

    @property
    def max_message_size(self) -> int:
        return LONGEST_MESSAGE_BYTES

    def open(self, *args: Any, **kwargs: Any) -> None:
        super().open(*args, **kwargs)
        self._calls: set[asyncio.Task[None]] = set()
        self._visit = Visit(self.send)
        self._warned = False

    def on_message(self, message: str | bytes) -> None:
        match _read(message):
            case {"op": "call", "id": int(call), "method": str(method), "params": dict(params)}:
                if len(self._calls) < MOST_CALLS:
                    task = asyncio.get_running_loop().create_task(
                        self._answer(call, method, params)
                    )
                    self._calls.add(task)
                    task.add_done_callback(self._calls.discard)
                    return
                why = f"More than {MOST_CALLS} calls wait for their answers already."
            case _:
                why = "A message that is no call: reload the page."
        self._refuse(why, message)

    def on_close(self) -> None:
        super().on_close()  # what was called goes on: a page that reloads wants it done
        self._visit.leave()

    def send(self, message: Message) -> None:
        """Tell the page; one that has just gone needs no telling."""
        try:
            self.write_message(json.dumps(message))
        except WebSocketClosedError:
            self.log.debug("A page of modelwidgets went away while it was told something")

    async def _answer(self, call: int, method: str, params: dict[str, Any]) -> None:
        self.send(await reply(call, self._carry_out(method, params)))

    async def _carry_out(self, method: str, params: dict[str, Any]) -> Any:
        if method == "select":
            return None  # nobody here asks which row was chosen last
        manager = await self.app.manager()
        return await self._visit.carry_out(manager, method, params, self.send)

    def _refuse(self, why: str, message: str | bytes) -> None:
        self.send({"op": "refused", "message": why})
        if not self._warned:
            self._warned = True
            self.log.warning("modelwidgets refused a page's message: %s %r", why, message[:100])


def _read(message: str | bytes) -> Any:
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return None


def _listed(variable: str, otherwise: list[str]) -> list[str]:
    text = os.environ.get(variable)
    if text is None:
        return otherwise
    return [one.strip() for one in text.split(",") if one.strip()]


def _yes(variable: str, otherwise: bool) -> bool:
    text = os.environ.get(variable, "").strip().lower()
    if text not in ("", "0", "1", "false", "true"):
        raise ValueError(f"{variable}={visible(text)}: use 1 or 0")
    return text in ("1", "true") if text else otherwise
