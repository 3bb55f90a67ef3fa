"""A scripted Ollama server under the client's transport, and a clock that tests move by hand."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from modelwidgets.clock import Clock
from modelwidgets.owner import Processes
from modelwidgets.stores.ollama import OllamaClient

URL = "http://127.0.0.1:11434"
PID = 4242


class ManualClock(Clock):
    """Time stands still until a test moves it; sleepers wake when their time has come."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.seconds + seconds, woken))
        await woken

    async def move(self, seconds: float) -> None:
        """Let time pass, and everything that waits for it happen."""
        self.seconds += seconds
        for due, sleeper in list(self._sleepers):
            if due <= self.seconds and not sleeper.done():
                sleeper.set_result(None)
        self._sleepers = [one for one in self._sleepers if not one[1].done()]
        await settle()


class PlayedProcesses(Processes):
    """This process, which started 100 s after the boot, and another one with the pid 4242."""

    def __init__(self) -> None:
        self.running = {os.getpid(): 100.0, PID: 200.0}

    def started_seconds(self, pid: int) -> float | None:
        return self.running.get(pid)


async def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(60):
        await asyncio.sleep(0)


async def until(reached: Callable[[], object], within_seconds: float = 20) -> None:
    """Wait for what needs threads or other processes, too."""
    async with asyncio.timeout(within_seconds):
        while not reached():  # noqa: ASYNC110 - it may be true on another thread
            await asyncio.sleep(0.005)


class PullStream(httpx.AsyncByteStream):
    """The answer to one pull: lines that a test writes, until it ends it."""

    def __init__(self) -> None:
        self.closed = False
        self.may_close: asyncio.Event | None = None
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def say(self, **line: Any) -> None:
        self._lines.put_nowait(json.dumps(line).encode() + b"\n")

    def end(self) -> None:
        self._lines.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (line := await self._lines.get()) is not None:
            yield line

    async def aclose(self) -> None:
        if self.may_close is not None:
            await self.may_close.wait()
        self.closed = True


class ScriptedServer:
    """Models and pulls as a test wants them."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = []
        self.running: list[dict[str, Any]] = []
        self.streams: list[PullStream] = []
        self.requests: list[tuple[str, Any]] = []
        self.down = False
        self.version = "0.33.0"
        self.list_gate: asyncio.Event | None = None

    def client(self, url: str = URL) -> OllamaClient:
        return OllamaClient(url, transport=httpx.MockTransport(self._stream))

    def install(self, name: str, digest: str, modified_at: str = "2026-11-21T10:00:00Z") -> None:
        details = {"format": "gguf", "family": "llama", "families": ["llama"]}
        model = {"name": name, "model": name, "digest": digest, "size": 10}
        others = [one for one in self.models if one["name"] != name]
        self.models = [{**model, "modified_at": modified_at, "details": details}, *others]

    def asked(self, path: str) -> list[Any]:
        return [body for asked, body in self.requests if asked == path]

    async def _stream(self, request: httpx.Request) -> httpx.Response:
        """The answer as one that is still to be read, as from a socket."""
        answer = await self._answer(request)
        if isinstance(answer.stream, PullStream):
            return answer
        body = httpx.ByteStream(answer.content)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=body)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        path = request.url.path
        self.requests.append((path, body))
        if self.down:
            raise httpx.ConnectError("connection refused")
        match path:
            case "/":
                return httpx.Response(200, text="Ollama is running")
            case "/api/version":
                return httpx.Response(200, json={"version": self.version})
            case "/api/tags":
                models = list(self.models)
                if self.list_gate is not None:
                    await self.list_gate.wait()
                return httpx.Response(200, json={"models": models})
            case "/api/ps":
                return httpx.Response(200, json={"models": self.running})
            case "/api/pull":
                self.streams.append(PullStream())
                return httpx.Response(200, stream=self.streams[-1])
            case "/api/delete":
                return self._delete(body["model"])
            case "/api/copy":
                return httpx.Response(200)
            case "/api/generate":
                self.running = [one for one in self.running if one["name"] != body["model"]]
                return httpx.Response(200, json={"done": True, "done_reason": "unload"})
        return httpx.Response(404, text="404 page not found")

    def _delete(self, name: str) -> httpx.Response:
        kept = [model for model in self.models if model["name"] != name]
        if len(kept) == len(self.models):
            return httpx.Response(404, json={"error": f"model '{name}' not found"})
        self.models = kept
        return httpx.Response(200)
