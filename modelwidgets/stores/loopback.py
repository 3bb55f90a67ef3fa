"""HTTP/1.1 to a server on this machine, one connection a request.

Why not httpx's own transport, which serves every other address: Ollama writes each line of a pull
as an HTTP chunk, and there a chunk costs 25 microseconds of parsing and generators; here whatever
has arrived is unwrapped in one go. It also loads neither an HTTP parser nor certificates, which
would double the start of a terminal command. And on loopback a fresh connection is cheaper than
the doubt whether an idle one outlived a restart of the server; closing it is what stops a pull.

Time limits for answers are the caller's (`asyncio.timeout`); this one keeps httpx's connect limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import cast

import httpx

_READ_BYTES = 256 << 10
_LONGEST_HEAD = 64 << 10
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_HEADER_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n"
)
_SIZE_LINE = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,256})?\r\n")
_SIZE_LINE_BEGUN = re.compile(
    rb"(?:\r(?:\n(?:[0-9A-Fa-f]{1,8}[ \t]{0,256}(?:;[^\r\n]{0,256})?\r?)?)?)?"
)

_Head = tuple[int, bytes, list[tuple[bytes, bytes]]]
"""Status, reason and headers."""


class LoopbackTransport(httpx.AsyncBaseTransport):
    """Speaks plain HTTP/1.1; errors are httpx's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reader, writer = await _connect(request)
        try:
            status, reason, headers = await _exchange(request, reader, writer)
            framing = _framing(request.method, status, headers)
        except BaseException:
            writer.transport.abort()
            raise
        return httpx.Response(
            status,
            headers=headers,
            stream=_Body(framing, reader, writer),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": reason},
        )


class Chunks:
    """Takes the chunk framing off a body, however the bytes arrive."""

    open_ended = False

    def __init__(self) -> None:
        self.ended = False
        self._kept = b"\r\n"  # so that every size line begins alike, the first one too
        self._left = 0
        """Bytes of the current chunk that have not arrived."""

    def unwrap(self, data: bytes) -> bytes:
        """The payload in `data`, from as many chunks as it holds or begins."""
        data = self._kept + data if self._kept else data
        pieces, at = [data[: self._left]], self._left
        while at <= len(data) and not self.ended:
            line = _SIZE_LINE.match(data, at)
            if line is None:
                self._kept, self._left = data[at:], 0
                if not _SIZE_LINE_BEGUN.fullmatch(self._kept):
                    raise httpx.RemoteProtocolError("the chunks of the answer are malformed")
                return b"".join(pieces)
            size, start = int(line[1], 16), line.end()
            at = start + size
            pieces.append(data[start:at])
            self.ended = size == 0
        self._kept, self._left = b"", at - len(data)
        return b"".join(pieces)


class _Length:
    """A body of a known length."""

    open_ended = False

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def ended(self) -> bool:
        return self._left == 0

    def unwrap(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self._left -= len(piece)
        return piece


class _UntilClosed:
    """A body that ends with the connection."""

    open_ended = True
    ended = False

    def unwrap(self, data: bytes) -> bytes:
        return data


class _Body(httpx.AsyncByteStream):
    """An answer as it arrives; closing it closes the connection."""

    def __init__(
        self,
        framing: Chunks | _Length | _UntilClosed,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._framing = framing
        self._reader = reader
        self._writer = writer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._framing.ended:
            try:
                data = await self._reader.read(_READ_BYTES)
            except OSError as error:
                raise httpx.ReadError(str(error)) from error
            if not data and self._framing.open_ended:
                break
            if not data:
                raise httpx.RemoteProtocolError("the connection was closed in mid-answer")
            if piece := self._framing.unwrap(data):
                return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._writer.transport.abort()


async def _connect(request: httpx.Request) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    limits: dict[str, float | None] = request.extensions.get("timeout", {})
    try:
        async with asyncio.timeout(limits.get("connect")):
            return await asyncio.open_connection(
                request.url.host,
                request.url.port or 80,
                limit=_LONGEST_HEAD,
                # `localhost` may mean ::1 first, where Windows needs two seconds to say no; an
                # address is itself, and the race of addresses leaks a socket when it is cancelled
                happy_eyeballs_delay=0.25 if request.url.host == "localhost" else None,
            )
    except TimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error


async def _exchange(
    request: httpx.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> _Head:
    """Send the request and read the head of the answer, which may come before all is sent."""
    if isinstance(request.stream, httpx.ByteStream):
        await _send(request, writer)
        return await _head(reader)
    sending, answering = (
        asyncio.create_task(_send(request, writer)),
        asyncio.create_task(_head(reader)),
    )
    try:
        await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            sending.result()  # raises what kept the body from being read
        return await answering
    finally:
        sending.cancel()
        answering.cancel()
        await asyncio.gather(sending, answering, return_exceptions=True)


async def _send(request: httpx.Request, writer: asyncio.StreamWriter) -> None:
    kept = [header for header in request.headers.raw if header[0].lower() != b"connection"]
    lines = [b"%s: %s\r\n" % header for header in [*kept, (b"Connection", b"close")]]
    start = b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
    writer.write(start + b"".join(lines) + b"\r\n")
    async for part in cast("httpx.AsyncByteStream", request.stream):
        writer.write(part)
        try:
            await writer.drain()
        except ConnectionError:
            return  # what the server says of it is read as the answer


async def _head(reader: asyncio.StreamReader) -> _Head:
    """The head of the answer; what comes before it (1xx) is passed over."""
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-2]
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise httpx.RemoteProtocolError("what answers speaks no HTTP/1.1") from error
            raise httpx.ReadError("the connection was closed without an answer") from error
        except asyncio.LimitOverrunError as error:
            raise httpx.RemoteProtocolError("what answers speaks no HTTP/1.1") from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        line = _STATUS_LINE.match(head)
        if line is None:
            raise httpx.RemoteProtocolError("what answers speaks no HTTP/1.1")
        status, reason, at = int(line[1]), line[2] or b"", line.end()
        headers = []
        while at < len(head):
            header = _HEADER_LINE.match(head, at)
            if header is None:
                raise httpx.RemoteProtocolError("a header of the answer is malformed")
            headers.append((header[1], header[2]))
            at = header.end()
        if status >= 200:
            return status, reason, headers


def _framing(
    method: str, status: int, headers: list[tuple[bytes, bytes]]
) -> Chunks | _Length | _UntilClosed:
    """How the body ends: not at all, with its chunks, after its length, with the connection."""
    codings = [value.lower() for name, value in headers if name.lower() == b"transfer-encoding"]
    lengths = {value for name, value in headers if name.lower() == b"content-length"}
    if method == "HEAD" or status in (204, 304):
        return _Length(0)
    if codings:
        if codings != [b"chunked"]:
            raise httpx.RemoteProtocolError("the answer is sent in a form that was not asked for")
        return Chunks()
    if not lengths:
        return _UntilClosed()
    length = lengths.pop()
    if lengths or not re.fullmatch(rb"\d{1,18}", length):
        raise httpx.RemoteProtocolError("the length of the answer is malformed")
    return _Length(int(length))
