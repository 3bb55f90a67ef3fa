"""Recordings of a real server (`data/ollama-wire`): read, replayed to httpx, served on a socket.

replay = Replay(exchange("show"))
async with OllamaClient(transport=replay) as client:
    info = await client.show("tiny2")

async with served(exchange("pull-cancel-then-resume", "first")) as server:
    client = OllamaClient(server.url)
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

DATA = Path(__file__).parent / "data" / "ollama-wire"
CLIENT_LEFT = "client closed the connection here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an answer, without its newline."""

    seconds: float
    """Since the recording began."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came back."""

    file: str
    tag: str | None
    seconds: float
    method: str
    path: str
    asked: str | None
    """The body of the request as text."""
    status: int | None = None
    """None: nobody answered."""
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    end: str = "eof"
    error: str | None = None

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    @property
    def chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding") == "chunked"

    @property
    def pieces(self) -> list[bytes]:
        """The body as the server wrote it: a chunk a line, or whole."""
        pieces = [f"{text}\n".encode() for text in self.texts]
        if self.chunked:
            return pieces
        body = b"".join(pieces)
        return [body[: int(self.headers.get("Content-Length", len(body)))]]

    @property
    def headers_sent(self) -> list[tuple[str, str]]:
        """The headers, with the length of a body in which a path was shortened put right."""
        sent = dict(self.headers)
        if self.lines and not self.chunked:
            sent["Content-Length"] = str(len(self.pieces[0]))
        return list(sent.items())

    @property
    def left_by_client(self) -> bool:
        return self.end == CLIENT_LEFT or "timed out" in (self.error or "")


def files() -> list[str]:
    """The names of all recordings."""
    return sorted(path.stem for path in DATA.glob("*.jsonl"))


def rows(file: str) -> list[dict[str, Any]]:
    """All rows of a recording, folders and logs of the registry too."""
    text = (DATA / f"{file}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def exchanges(file: str) -> list[Exchange]:
    """The requests of a recording in the order in which they began."""
    begun: list[dict[str, Any]] = []
    path = ""
    for row in rows(file):
        tag = row.get("tag")
        if "request" in row:
            request = row["request"]
            begun.append(
                {
                    "file": file,
                    "tag": tag,
                    "seconds": row["t"],
                    "method": request["method"],
                    "path": request["path"],
                    "asked": request["body"],
                    "lines": [],
                }
            )
        elif "note" in row and "status" in row:
            path = path if row["note"] == "same again" else row["note"].split()[1]
            begun.append(
                {
                    "file": file,
                    "tag": row["note"],
                    "seconds": row["t"],
                    "method": "POST",
                    "path": path,
                    "asked": None,
                    "status": row["status"],
                    "headers": {"Content-Length": str(len(row["body"]))},
                    "lines": [Line(seconds=row["t"], text=row["body"])],
                }
            )
        elif "line" in row or "end" in row or "headers" in row:
            latest = next(one for one in reversed(begun) if one["tag"] == tag)
            if "line" in row:
                latest["lines"] += _repeated(row)
            else:
                latest |= {key: value for key, value in row.items() if key != "t"}
    for one in begun:
        if one["lines"] and "status" not in one:  # read from a bare socket, the head left out
            one |= {"status": 200, "reason": "OK", "headers": {"Transfer-Encoding": "chunked"}}
    return [Exchange(**{**one, "lines": tuple(one["lines"])}) for one in begun]


def exchange(file: str, which: int | str = 0) -> Exchange:
    """One exchange of a recording, by its place or its tag."""
    if isinstance(which, int):
        return exchanges(file)[which]
    return next(one for one in exchanges(file) if one.tag == which)


def said(*lines: str, status: int = 200, **headers: str) -> Exchange:
    """An answer that nobody recorded, written by a test; `content_type="text/html"` is a header."""
    given = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Exchange(
        file="",
        tag=None,
        seconds=0,
        method="",
        path="",
        asked=None,
        status=status,
        reason="",
        headers={"Transfer-Encoding": "chunked"} | given,
        lines=tuple(Line(seconds=0, text=text) for text in lines),
    )


def _repeated(row: dict[str, Any]) -> list[Line]:
    times = row.get("repeated", 1)
    step = (row.get("last_t", row["t"]) - row["t"]) / max(times - 1, 1)
    return [Line(seconds=row["t"] + step * number, text=row["line"]) for number in range(times)]


class Replay(httpx.AsyncBaseTransport):
    """Answers with recorded exchanges, in turn; a request for something else fails the test."""

    def __init__(self, *recorded: Exchange, anyhow: bool = False) -> None:
        self.requests: list[httpx.Request] = []
        self.left = 0
        """Answers that the client closed before their end."""
        self._recorded = list(recorded)
        self._anyhow = anyhow

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        assert self._recorded, f"nothing recorded for {request.method} {request.url.path}"
        one = self._recorded.pop(0)
        if not self._anyhow:
            assert (request.method, request.url.path) == (one.method, one.path)
        if one.status is None:
            raise httpx.ConnectError(one.error or "")
        return httpx.Response(
            one.status,
            headers=one.headers_sent,
            stream=_Body(self, one),
            extensions={"reason_phrase": one.reason.encode()},
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, replay: Replay, one: Exchange) -> None:
        self._replay = replay
        self._one = one
        self._pieces = iter(one.pieces)
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        if self._one.left_by_client:
            await asyncio.Event().wait()
        self._ended = True
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._replay.left += not self._ended


@dataclass(slots=True, kw_only=True)
class Server:
    """A server on loopback that follows a script."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    """Heads and bodies as they came."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """A request came."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client went away before its answer ended."""


Script = Callable[[Server, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(script: Script, *, bodies: bool = True) -> AsyncIterator[Server]:
    """Run `script` for each connection once its request has come, with its body if `bodies`."""
    running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        running[task] = writer
        try:
            server.requests.append(await _request(reader, bodies=bodies))
            server.asked.set()
            await script(server, reader, writer)
        except ConnectionError:
            server.left.set()
        except asyncio.CancelledError:
            return  # the test is over
        finally:
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    server = Server(url=f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield server
    finally:
        listener.close()
        for task, writer in running.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*running, return_exceptions=True)
        await listener.wait_closed()


@asynccontextmanager
async def served(*recorded: Exchange, pace: float = 0.0) -> AsyncIterator[Server]:
    """Serve exchanges in turn with their recorded chunks; `pace` 1 takes the recorded time."""
    left = list(recorded)

    async def script(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        one = left.pop(0)
        lines = [f"{name}: {value}\r\n" for name, value in one.headers_sent]
        writer.write(f"HTTP/1.1 {one.status} {one.reason}\r\n{''.join(lines)}\r\n".encode())
        seconds = one.seconds
        for piece, line in zip(one.pieces, one.lines, strict=False):
            await asyncio.sleep(max(0, line.seconds - seconds) * pace)
            seconds = line.seconds
            writer.write(chunk(piece) if one.chunked else piece)
            await writer.drain()
        if one.left_by_client:
            await reader.read()
            server.left.set()
        elif one.chunked:
            writer.write(chunk(b""))
        await writer.drain()

    async with listening(script) as server:
        yield server


def chunk(data: bytes) -> bytes:
    """`data` as one chunk; the empty one ends a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _request(reader: asyncio.StreamReader, *, bodies: bool) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return head + (await reader.readexactly(int(length[1])) if length and bodies else b"")
