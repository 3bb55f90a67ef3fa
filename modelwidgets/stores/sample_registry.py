"""A model registry on loopback, over a folder of samples, that misbehaves on request.

It answers as real registries do: manifests and blobs under `/v2/`, and a blob redirects to a
storage under another host name, which serves byte ranges. `Faults` makes it slow, forgetful,
refusing or wrong while it runs, and `log` keeps what was asked and how much was sent.

Why no web framework: a connection that breaks off after so many bytes, resets or falls silent is
not something a framework lets one do, and `sendfile` keeps the registry from being what a bench
measures. `python -m modelwidgets.stores.sample_registry` runs it as a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Self

from modelwidgets.errors import InvalidNameError
from modelwidgets.names import ModelName, parse
from modelwidgets.stores.manifests import DIGEST, MANIFEST_TYPE
from modelwidgets.stores.sample_faults import Fault, Faults
from modelwidgets.stores.samples import (
    blob_path,
    default_folder,
    make_samples,
    manifest_path,
    write_model,
)

__all__ = ["Fault", "Faults", "Request", "SampleRegistry", "main"]

_V2 = re.compile(r"/v2/([^/]+)/([^/]+)/(manifests|blobs)/([^/]+)")
_STORAGE = re.compile(r"/storage/(sha256:[0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_LONGEST_HEAD_BYTES = 64 << 10
_PIECE_BYTES = 4 << 20
_SLOW_PIECES_PER_SECOND = 50
_LATE_SECONDS = 0.02
_LONGEST_LOG = 10_000
_REASONS = {200: "OK", 206: "Partial Content", 307: "Temporary Redirect", 401: "Unauthorized"}


@dataclass(slots=True, kw_only=True)
class Request:
    """One request as the log keeps it; the last fields grow while the answer is sent."""

    at_seconds: float
    """Since the registry started."""
    method: str
    path: str
    host: str
    range: str | None
    headers: Mapping[str, str] = field(repr=False)
    digest: str | None = None
    """The blob whose bytes are sent."""
    status: int = 0
    bytes_sent: int = 0
    """Of the body."""
    ended: bool = False


class SampleRegistry:
    """Serves the models of `folder`; `add_model` adds to them at any time."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder
        self.faults = Faults()
        self.log: deque[Request] = deque(maxlen=_LONGEST_LOG)
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._started = time.monotonic()
        self._sent_until = 0.0

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=_LONGEST_HEAD_BYTES
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the door and every connection."""
        if self._server is None:
            return
        self._server.close()
        await asyncio.sleep(0)  # a connection just accepted has no task yet
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def host_port(self) -> str:
        """What stands before a name of this registry: `127.0.0.1:5000`."""
        return f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.host_port}"

    @property
    def names(self) -> list[str]:
        """Full names of all models that are served."""
        root = self.folder / "manifests"
        parts = sorted(path.relative_to(root).parts for path in root.glob("*/*/[!.]*"))
        return [f"{self.host_port}/{namespace}/{model}:{tag}" for namespace, model, tag in parts]

    def add_model(
        self,
        name: str,
        layers: Mapping[str, bytes | Path],
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Serve a model under `name` (`chat:tiny`, `someone/chat:tiny`); returns its full name."""
        parsed = parse(name)
        write_model(self.folder, parsed, layers, config)
        return f"{self.host_port}/{parsed.namespace}/{parsed.model}:{parsed.tag}"

    def sent_bytes(self, digest: str | None = None) -> int:
        """Bytes of blobs sent so far, of `digest` or of all of them."""
        return sum(
            request.bytes_sent
            for request in self.log
            if request.digest is not None and digest in (None, request.digest)
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - start_server makes one a connection
        self._connections.add(task)
        try:
            while True:
                start = await reader.readexactly(1)
                if not start.isalpha():
                    break  # a TLS handshake, for example, whose client would wait for us
                head = start + await reader.readuntil(b"\r\n\r\n")
                if not await self._answer(head, writer):
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # the client is gone or speaks no HTTP; the log tells what it got
        except asyncio.CancelledError:
            writer.transport.abort()  # stopping: the task ends here, and `stop` waits for that
        finally:
            await _close(writer)
            self._connections.discard(task)

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False ends the connection."""
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3:
            return False
        method, target, _ = words
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        request = Request(
            at_seconds=round(time.monotonic() - self._started, 4),
            method=method,
            path=target,
            host=headers.get("host", ""),
            range=headers.get("range"),
            headers=headers,
        )
        self.log.append(request)
        exchange = _Exchange(self, request, writer)
        try:
            whole = await exchange.run()
        finally:
            request.ended = True
        return whole and headers.get("connection", "").lower() != "close"

    async def pace(self, size: int) -> None:
        """Wait until `size` more bytes are due, all connections together."""
        rate = self.faults.throttle_bytes_per_second
        if rate:
            now = time.monotonic()
            catching_up = now - _LATE_SECONDS  # or each late wake-up would lower the rate
            self._sent_until = max(self._sent_until, catching_up) + size / rate
            await asyncio.sleep(self._sent_until - now)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, registry: SampleRegistry, request: Request, writer: asyncio.StreamWriter
    ) -> None:
        self._registry = registry
        self._faults = registry.faults
        self._request = request
        self._writer = writer
        self._head_only = request.method == "HEAD"

    async def run(self) -> bool:
        path = self._request.path.partition("?")[0]
        if self._request.method not in ("GET", "HEAD"):
            await self._error(405, "UNSUPPORTED", "this registry is read only")
            return False  # what else the client sends is no request
        if path in ("/v2", "/v2/"):
            return await self._json(200, {})
        if path == "/token":
            fault = self._faults.meet("token", None)
            if fault.status is not None:
                return await self._send(fault.status, {}, fault.body)
            return await self._json(200, {"token": self._faults.token or "none"})
        if found := _STORAGE.fullmatch(path):
            return await self._blob(found[1], self._faults.meet("storage", found[1]))
        if found := _V2.fullmatch(path):
            namespace, model, what, reference = found.groups()
            if not self._may_enter():
                return await self._challenge(f"{namespace}/{model}")
            if what == "manifests":
                return await self._manifest(namespace, model, reference)
            return await self._redirect(reference)
        return await self._error(404, "NOT_FOUND", "no such page")

    def _may_enter(self) -> bool:
        token = self._faults.token
        return token is None or self._request.headers.get("authorization") == f"Bearer {token}"

    async def _challenge(self, repository: str) -> bool:
        realm = self._faults.realm or f"http://{self._request.host}/token"
        challenge = f'Bearer realm="{realm}",service="samples",scope="repository:{repository}:pull"'
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"a token is needed"}]}'
        return await self._send(401, {"WWW-Authenticate": challenge}, body)

    async def _manifest(self, namespace: str, model: str, tag: str) -> bool:
        fault = self._faults.meet("manifests", None)
        await asyncio.sleep(fault.wait_seconds)
        if fault.status is not None:
            return await self._send(fault.status, {}, fault.body)
        try:
            name: ModelName = parse(f"{namespace}/{model}:{tag}")
            raw = manifest_path(self._registry.folder, name).read_bytes()
        except (InvalidNameError, OSError):
            return await self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return await self._send(200, {"Content-Type": MANIFEST_TYPE}, raw, fault)

    async def _redirect(self, digest: str) -> bool:
        fault = self._faults.meet("blobs", digest)
        if fault.status is not None:
            await asyncio.sleep(fault.wait_seconds)
            return await self._send(fault.status, {}, fault.body)
        known = DIGEST.fullmatch(digest) and blob_path(self._registry.folder, digest).is_file()
        if self._head_only or fault.no_redirect or not known:
            return await self._blob(digest, fault)
        await asyncio.sleep(fault.wait_seconds)
        host, _, port = self._request.host.partition(":")
        other = "127.0.0.1" if host == "localhost" else "localhost"
        return await self._send(307, {"Location": f"http://{other}:{port}/storage/{digest}"}, b"")

    async def _blob(self, digest: str, fault: Fault) -> bool:
        await asyncio.sleep(fault.wait_seconds)
        if fault.status is not None:
            return await self._send(fault.status, {}, fault.body)
        path = blob_path(self._registry.folder, digest)
        if not DIGEST.fullmatch(digest) or not path.is_file():
            return await self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        size = path.stat().st_size
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        asked = None if fault.ignore_range else self._request.range
        part = (0, size) if asked is None else _part(asked, size)
        if part is None:
            return await self._send(416, {"Content-Range": f"bytes */{size}"}, b"")
        start, end = part
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._head(200 if asked is None else 206, headers, end - start)
        if self._head_only:
            await self._writer.drain()
            return True
        self._request.digest = digest
        with FileIO(path) as file:
            return await self._stream(file, start, end, fault)

    async def _stream(self, file: FileIO, start: int, end: int, fault: Fault) -> bool:
        """Send a part of a file, by `sendfile` where nothing is to be changed or counted."""
        stops = (fault.cut_after_bytes, fault.reset_after_bytes, fault.stall_after_bytes)
        stop = min((start + stop for stop in stops if stop is not None), default=end)
        at = start
        while at < end:
            if at == stop and not await self._stop(fault):
                return False
            piece = min(self._piece_bytes(), (stop if at < stop else end) - at)
            await self._registry.pace(piece)
            wrong = fault.corrupt_at_byte
            if wrong is not None and at <= wrong < at + piece:
                file.seek(at)
                content = bytearray(file.read(piece))
                content[wrong - at] ^= 0xFF
                self._writer.write(content)
                await self._writer.drain()
                self._request.bytes_sent += piece
            else:
                await self._send_file(file, at, piece)
            at += piece
        return True

    def _piece_bytes(self) -> int:
        rate = self._faults.throttle_bytes_per_second
        return (
            max(1, min(_PIECE_BYTES, int(rate / _SLOW_PIECES_PER_SECOND))) if rate else _PIECE_BYTES
        )

    async def _send_file(self, file: FileIO, at: int, size: int) -> None:
        loop = asyncio.get_running_loop()
        if self._writer.transport.is_closing():
            raise ConnectionResetError("who asked has gone")
        try:
            await loop.sendfile(self._writer.transport, file, at, size)
        finally:
            self._request.bytes_sent += max(0, file.tell() - at)

    async def _stop(self, fault: Fault) -> bool:
        """Do what a fault does at its byte; False where the answer ends there."""
        if fault.stall_after_bytes is not None:
            await self._writer.drain()
            await self._faults.stall()
            return True
        if fault.reset_after_bytes is not None:
            connection: socket.socket = self._writer.get_extra_info("socket")
            await asyncio.sleep(0.05)  # a reset throws away what the system has not sent yet
            at_once = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            self._writer.transport.abort()
        return False

    async def _json(self, status: int, value: Any) -> bool:
        return await self._send(
            status, {"Content-Type": "application/json"}, json.dumps(value).encode()
        )

    async def _error(self, status: int, code: str, message: str) -> bool:
        return await self._json(status, {"errors": [{"code": code, "message": message}]})

    async def _send(
        self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault | None = None
    ) -> bool:
        self._head(status, headers, len(body))
        stop = None if fault is None else fault.cut_after_bytes
        if not self._head_only:
            self._writer.write(body[:stop])
            self._request.bytes_sent += len(body[:stop])
        await self._writer.drain()
        return stop is None

    def _head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self._request.status = status
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Answer')}",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"Content-Length: {length}",
        ]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except (OSError, asyncio.CancelledError):
        writer.transport.abort()


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """The start and end of one range of bytes; None where there is no such part."""
    found = _RANGE.fullmatch(asked)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return (max(0, size - int(found[2])), size) if int(found[2]) and size else None
    start = int(found[1])
    end = min(size, int(found[2]) + 1) if found[2] else size
    return (start, end) if start < end else None


async def _run(folder: Path, port: int, throttle: float | None, *, while_stdin: bool) -> None:
    async with SampleRegistry(folder, port=port) as registry:
        registry.faults.throttle_bytes_per_second = throttle
        sys.stdout.write(f"{registry.url}\n")
        sys.stdout.flush()
        closed = asyncio.Event()
        if while_stdin:
            loop = asyncio.get_running_loop()
            threading.Thread(target=_await_stdin, args=(loop, closed), daemon=True).start()
        await closed.wait()


def _await_stdin(loop: asyncio.AbstractEventLoop, closed: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not `sys.stdin`, whose lock would bar the exit
        pass
    loop.call_soon_threadsafe(closed.set)


def main(arguments: list[str] | None = None) -> None:
    """Serve the samples until interrupted; the first line printed is the address."""
    parser = argparse.ArgumentParser(prog="python -m modelwidgets.stores.sample_registry")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--throttle", type=float, help="bytes per second, all together")
    parser.add_argument("--folder", type=Path, default=default_folder())
    parser.add_argument("--while-stdin", action="store_true", help="exit when stdin is closed")
    chosen = parser.parse_args(arguments)
    make_samples(chosen.folder)
    with suppress(KeyboardInterrupt):
        asyncio.run(
            _run(chosen.folder, chosen.port, chosen.throttle, while_stdin=chosen.while_stdin)
        )


if __name__ == "__main__":
    main()
