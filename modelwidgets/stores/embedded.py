"""A store server in pure Python that speaks as Ollama does, for machines without Ollama.

It lists, shows, pulls, copies, creates and deletes models in Ollama's own folder layout, so that
either can go on with what the other left; it runs none, and says so. `differences.yaml` lists where
it answers otherwise than a real server, each with its reason.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from pathlib import Path
from typing import Self

from tornado.httpserver import HTTPServer
from tornado.web import Application

from modelwidgets.errors import StoreError
from modelwidgets.stores.embedded_files import StoreFolder
from modelwidgets.stores.embedded_http import Desk
from modelwidgets.stores.embedded_models import Models
from modelwidgets.stores.embedded_pull import Puller, PullLimits
from modelwidgets.stores.embedded_routes import ROUTES, NotFound
from modelwidgets.stores.fetch import trust
from modelwidgets.stores.ollama_files import default_folder

PORT = 11434
_MAX_BODY_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class EmbeddedStore:
    """The server, from `start` to `stop`; `folder` is OLLAMA_MODELS or our own unless given."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        sample_registry: str | None = None,
        limits: PullLimits | None = None,
    ) -> None:
        self.folder = folder or _usual_folder()
        self._host = host
        self._port = port
        self._sample_registry = sample_registry
        self._limits = limits or PullLimits()
        self._server: HTTPServer | None = None
        self._desk: Desk | None = None

    @property
    def url(self) -> str:
        """Where it can be asked, on this machine if it listens everywhere."""
        host = "127.0.0.1" if self._host in ("", "0.0.0.0") else self._host  # noqa: S104 - compared
        host = "::1" if host == "::" else host
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Open the door; raises `StoreError` where port or folder cannot be had."""
        sockets = self._bind()
        store = StoreFolder(self.folder)
        try:
            await asyncio.to_thread(store.open)
            await asyncio.to_thread(store.sweep)
            await asyncio.to_thread(trust)
        except BaseException:
            for one in sockets:
                one.close()
            store.close()
            raise
        self._desk = Desk(
            folder=store,
            models=Models(store),
            puller=Puller(store, self._limits, samples=self._sample_registry),
            loopback=all(_is_loopback(one) for one in sockets),
            sample_registry=self._sample_registry,
        )
        given = {"desk": self._desk}
        routes = [(pattern, route, given) for pattern, route in ROUTES]
        application = Application(
            routes, default_handler_class=NotFound, default_handler_args=given, log_function=_quiet
        )
        self._server = HTTPServer(
            application, max_body_size=_MAX_BODY_BYTES, chunk_size=_PIECE_BYTES
        )
        self._server.add_sockets(sockets)
        try:
            # Itself, so that what asking takes is not loaded while somebody waits for a first pull:
            # the libraries took longer than the pull of a small model.
            await self._desk.puller.warm_up(self.url)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the door, end what runs, and keep what has arrived."""
        if self._server is None or self._desk is None:
            return
        self._server.stop()
        # Readers of a pull see it break off, as with a real server: that is not how one ends.
        await self._server.close_all_connections()
        for stream in list(self._desk.streams):
            stream.cancel()
        if self._desk.streams:
            await asyncio.wait(list(self._desk.streams))
        await self._desk.puller.stop()
        self._desk.folder.close()
        self._server = self._desk = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _bind(self) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        try:
            for family, address in _addresses(self._host):
                try:
                    one = socket.create_server((address, self._port), family=family)
                except OSError as error:
                    if sockets and error.errno in _NOT_HERE:
                        continue  # `localhost` may mean ::1 as well, where there is none
                    raise
                one.setblocking(False)
                sockets.append(one)
                self._port = one.getsockname()[1]
        except OSError as error:
            for one in sockets:
                one.close()
            why = {
                errno.EADDRINUSE: "is in use: another server runs there",
                errno.EACCES: "may not be used by you",
                errno.EADDRNOTAVAIL: "belongs to an address that this machine does not have",
            }.get(error.errno or 0, f"cannot be used ({error.strerror or error})")
            raise StoreError(
                f"Port {self._port} at {self._host} {why}. "
                "Choose another one, or stop what uses it."
            ) from error
        return sockets


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """Every address that the name means, each once."""
    found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((one[0], str(one[4][0])) for one in found))


def _usual_folder() -> Path:
    named = os.environ.get("OLLAMA_MODELS", "").strip().strip("\"'")
    return Path(named).expanduser() if named else default_folder()


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def _quiet(_handler: object) -> None:
    """Requests are not logged: what matters stands in the answers."""
