"""A Jupyter server with our door in it, as a process, and a page of it without a browser."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import os
import secrets
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.browser.host import HostServer, told_url

ANSWER_SECONDS = 30


class PageServer(HostServer):
    """Without JupyterLab: what is asked here is the door's own."""

    def __init__(self, folder: Path, *options: str, **environ: str) -> None:
        super().__init__(folder, "jupyter_server", **environ)
        self.token = secrets.token_hex(16)
        self._options = options
        self._runtime = Path(self._env["JUPYTER_RUNTIME_DIR"])

    def start(self) -> None:
        command = [sys.executable, "-m", self.app, "--no-browser", "--ip=127.0.0.1"]
        command += ["--ServerApp.port=0", f"--IdentityProvider.token={self.token}"]
        others = ("jupyter_lsp", "jupyterlab", "notebook", "notebook_shim")
        extensions = {"modelwidgets": True, **dict.fromkeys(others, False)}
        command += [f"--ServerApp.jpserver_extensions={extensions}", *self._options]
        command += ["--ServerApp.allow_unauthenticated_access=False"]
        if hasattr(os, "getuid") and os.getuid() == 0:
            command.append("--allow-root")
        self._run(command, self._told_url)

    def request(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer; nothing is sent that the headers do not say."""
        at = urlsplit(self.url)
        asked = http.client.HTTPConnection(at.netloc, timeout=ANSWER_SECONDS)
        with closing(asked):
            asked.request(method, f"{at.path}modelwidgets/{path}", headers=headers)
            answer = asked.getresponse()
            said = answer.read()
            return answer.status, json.loads(said) if answer.status == 200 else None

    @property
    def login(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def page(self, **headers: str) -> ServedPage:
        """A page with its socket open."""
        url = self.url.replace("http", "ws", 1) + "modelwidgets/socket"
        asked = HTTPRequest(url, headers={**self.login, **headers})
        return ServedPage(await websocket_connect(asked, max_message_size=64 << 20))

    def _told_url(self) -> bool:
        self.url = told_url(self._runtime)
        return self.url != ""


class ServedPage:
    """What a page does with its socket: it calls, and keeps what it is told."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.slices: dict[str, Any] = {}
        self.refused: list[str] = []
        self.closed = asyncio.Event()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def call(self, method: str, **params: Any) -> Any:
        """What it is answered: a value, or the kind and words of an error as a tuple."""
        call = next(self._ids)
        future = self._waiting[call] = asyncio.get_running_loop().create_future()
        await self.socket.write_message(
            json.dumps({"op": "call", "id": call, "method": method, "params": params})
        )
        return await asyncio.wait_for(future, ANSWER_SECONDS)

    async def until(self, name: str, holds: Any) -> Any:
        """The value of a slice once it is as wanted."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while name not in self.slices or not holds(self.slices[name]):
                self._changed.clear()
                await self._changed.wait()
        return self.slices[name]

    async def close(self) -> None:
        self.socket.close()
        await asyncio.wait_for(self.closed.wait(), ANSWER_SECONDS)
        await self._reading

    async def _read(self) -> None:
        while (text := await self.socket.read_message()) is not None:
            message = json.loads(text)
            if message["op"] == "reply":
                error = message.get("error")
                value = (error["kind"], error["message"]) if error else message["value"]
                self._waiting.pop(message["id"]).set_result(value)
            elif message["op"] == "refused":
                self.refused.append(message["message"])
            elif message["op"] == "slice":
                self.slices[message["name"]] = message["value"]
            else:
                self._patch(message)
            self._changed.set()
        self.closed.set()

    def _patch(self, message: Any) -> None:
        rows = {row["id"]: row for row in self.slices[message["name"]]}
        for row_id, fields in message["rows"].items():
            rows[row_id] = rows.get(row_id, {}) | fields
        order = message.get("ids", list(rows))
        self.slices[message["name"]] = [rows[row_id] for row_id in order if row_id in rows]
