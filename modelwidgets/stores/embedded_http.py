"""What all routes of the embedded store have in common: who may ask, and how answers look.

A web page of another host may not use the store through the browser of its user, so a foreign
`Origin` is refused, and on loopback a foreign `Host` too, as a real server does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import psutil
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from modelwidgets import __version__
from modelwidgets.errors import InvalidNameError, StoreError
from modelwidgets.stores import embedded_names, golang
from modelwidgets.stores.embedded_errors import RefusedError
from modelwidgets.stores.embedded_files import StoreFolder
from modelwidgets.stores.embedded_models import Models
from modelwidgets.stores.embedded_names import ConflictingSourceError, NoNameError, Reference
from modelwidgets.stores.embedded_pull import Line, Puller

JSON = "application/json; charset=utf-8"
NAMED = {"model": "string", "name": "string"}
ANY_MAP = "map[string]interface {}"
NO_CLOUD = "ollama cloud is disabled"
_METHODS = ("HEAD", "GET", "POST", "DELETE")
_LOCAL_NAMES = (".localhost", ".local", ".internal")
_LOCAL_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:.*)?")
_APP_ORIGIN = re.compile(
    r"(app|file|tauri|vscode-webview|vscode-file|(chrome|safari|moz|ms-browser)-extension)://.*"
)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "Access-Control-Allow-Headers": (
        "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,"
        "X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,"
        "X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,"
        "X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
        "X-Stainless-Runtime-Version,X-Stainless-Timeout"
    ),
    "Access-Control-Max-Age": "43200",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the routes work with."""

    folder: StoreFolder
    models: Models
    puller: Puller
    loopback: bool
    """Whether only this machine can ask."""
    sample_registry: str | None
    streams: set[asyncio.Task[None]] = field(default_factory=set)


class Route(RequestHandler):
    """One path; the verbs it has are methods, as everywhere in tornado."""

    desk: Desk

    def initialize(self, desk: Desk) -> None:
        self.desk = desk
        self._stream: asyncio.Task[None] | None = None

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.clear_header("Content-Type")
        self.set_header("X-Modelwidgets", __version__)

    def compute_etag(self) -> None:
        """None: a real server has none."""

    def prepare(self) -> None:
        if not self._origin_allowed() or not self._host_allowed():
            self.set_status(403)
            self.finish()
        elif self.request.method == "OPTIONS" and "Origin" in self.request.headers:
            self.set_header("Allow", ", ".join(self._verbs()))
            for name, value in _PREFLIGHT.items():
                self.set_header(name, value)
            for header in ("Access-Control-Request-Method", "Access-Control-Request-Headers"):
                self.add_header("Vary", header)
            self.set_status(204)
            self.finish()

    def body(self, struct_name: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """The fields of the request; raises `RefusedError` in Go's words."""
        try:
            return golang.bind(golang.decode(self.request.body), struct_name, fields)
        except EOFError:
            raise RefusedError("missing request body") from None
        except golang.BodyError as error:
            raise RefusedError(str(error)) from None

    def answer(self, value: Any, *, status: int = 200, content_type: str = JSON) -> None:
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        self.finish(golang.encode(value))

    def plain(self, text: str, *, status: int, content_type: str = "text/plain") -> None:
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        self.finish(text)

    async def follow(self, lines: AsyncGenerator[Line, None], *, stream: bool) -> None:
        """Send progress as it comes, or its end alone; stop it when the client leaves."""
        work = self._each(lines) if stream else self._last(lines)
        self._stream = asyncio.create_task(work)
        self.desk.streams.add(self._stream)
        try:
            await asyncio.wait((self._stream,))
        finally:
            self._stream.cancel()
            self.desk.streams.discard(self._stream)
        if not self._stream.cancelled():
            self._stream.result()

    def on_connection_close(self) -> None:
        if self._stream is not None:
            self._stream.cancel()

    def write_error(self, status_code: int, **said: Any) -> None:
        error = said["exc_info"][1] if "exc_info" in said else None
        self._origin_allowed()  # the headers were cleared
        if isinstance(error, RefusedError):
            self.answer({"error": str(error)}, status=error.status)
        elif status_code == 405:
            self.set_header("Allow", ", ".join(self._verbs()))
            self.plain("405 method not allowed", status=405)
        elif status_code == 404:
            self.plain("404 page not found", status=404)
        else:
            self.answer({"error": str(error or self._reason)}, status=status_code)

    def log_exception(self, kind: Any, error: Any, traceback: Any) -> None:
        if not isinstance(error, RefusedError):
            super().log_exception(kind, error, traceback)

    async def _each(self, lines: AsyncGenerator[Line, None]) -> None:
        written = False
        try:
            async with aclosing(lines):
                async for line in lines:
                    self.set_header("Content-Type", "application/x-ndjson")
                    self.write(f"{golang.encode(line)}\n")
                    written = True
                    await self.flush()
        except StreamClosedError:
            return  # the client is gone, and with it whoever wanted this
        except (StoreError, RefusedError, OSError) as error:
            if written:
                self.write(f"{golang.encode({'error': str(error)})}\n")
            else:
                self._fail(error)

    async def _last(self, lines: AsyncGenerator[Line, None]) -> None:
        try:
            last: Line = {}
            async with aclosing(lines):
                async for line in lines:
                    last = line
            self.answer(last, content_type="application/json")
        except (StoreError, RefusedError, OSError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        status = error.status if isinstance(error, RefusedError) else 500
        self.answer({"error": str(error)}, status=status, content_type="application/json")

    def _verbs(self) -> list[str]:
        missing = RequestHandler._unimplemented_method  # noqa: SLF001 - how tornado marks them
        return [verb for verb in _METHODS if getattr(type(self), verb.lower()) is not missing]

    def _origin_allowed(self) -> bool:
        origin = self.request.headers.get("Origin")
        if not origin or origin in (f"http://{self.request.host}", f"https://{self.request.host}"):
            return True
        if not is_allowed_origin(origin):
            return False
        self.set_header("Access-Control-Allow-Origin", origin)
        self.add_header("Vary", "Origin")
        return True

    def _host_allowed(self) -> bool:
        return not self.desk.loopback or is_allowed_host(self.request.host)


def is_allowed_origin(origin: str) -> bool:
    """Whether a page from there may ask: of this machine, an app, or named in OLLAMA_ORIGINS."""
    if _LOCAL_ORIGIN.fullmatch(origin) or _APP_ORIGIN.fullmatch(origin):
        return True
    for allowed in os.environ.get("OLLAMA_ORIGINS", "").split(","):
        before, star, after = allowed.strip().partition("*")
        if allowed.strip() and (
            (origin.startswith(before) and origin.endswith(after)) if star else origin == before
        ):
            return True
    return False


def is_allowed_host(host_port: str) -> bool:
    """Whether a request may have come here under that name: an address or name of this machine."""
    host = re.sub(r":\d*$", "", host_port).strip("[]").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names = ("", "localhost", socket.gethostname().lower())
        return host in names or host.endswith(_LOCAL_NAMES)
    if address.is_loopback or address.is_private or address.is_unspecified:
        return True
    own = (one.address for group in psutil.net_if_addrs().values() for one in group)
    return str(address) in {address.partition("%")[0] for address in own}


def asked_name(request: dict[str, Any]) -> str:
    """The name that is asked for; the old field `name` counts where the new one is empty."""
    text: str = request.get("model") or request.get("name", "")
    return text


def asked_reference(text: str) -> Reference:
    """The name to look up; raises `RefusedError` where it is none."""
    try:
        return embedded_names.reference(text)
    except NoNameError:
        raise RefusedError("model is required") from None
    except InvalidNameError:
        raise RefusedError("invalid model name") from None
    except ConflictingSourceError as error:
        raise RefusedError(str(error)) from None
