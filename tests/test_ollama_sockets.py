"""The client against real sockets: servers that hang, cut, flood and lie; and how it leaves."""

from __future__ import annotations

import asyncio
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from modelwidgets.errors import (
    BadAnswerError,
    NotOllamaError,
    OllamaError,
    OllamaResponseError,
    OllamaTimeoutError,
    OllamaUnreachableError,
    PullFailedError,
)
from modelwidgets.stores.loopback import LoopbackTransport
from modelwidgets.stores.ollama import OllamaClient
from tests.recordings import Server, chunk, exchange, exchanges, listening, served

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STEP = b'{"status":"pulling manifest"}\n'
SUCCESS = b'{"status":"success"}\n'
TRANSPORTS = pytest.mark.parametrize("transport", [LoopbackTransport, httpx.AsyncHTTPTransport])
"""Ours for this machine, and httpx's own that serves every other address."""


@asynccontextmanager
async def writing(*parts: bytes, stay: bool = False) -> AsyncIterator[Server]:
    """A server that answers with `parts`, then closes, or stays until the client leaves."""

    async def script(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if stay:
            await reader.read()
            server.left.set()

    async with listening(script) as server:
        yield server


async def statuses(client: OllamaClient) -> list[str]:
    async with aclosing(client.pull("x")) as stream:
        return [step.status async for step in stream]


# What goes well


@TRANSPORTS
@pytest.mark.parametrize(
    "file", ["pull-success-multilayer", "pull-shared-layer-second-model", "pull-slow-client-reader"]
)
async def test_a_recorded_pull_arrives_over_a_socket(
    file: str, transport: Callable[[], httpx.AsyncBaseTransport]
) -> None:
    """Each recorded chunk becomes its step, over either transport."""
    recorded = exchange(file)

    async with (
        served(recorded) as server,
        OllamaClient(server.url, transport=transport()) as client,
    ):
        seen = await statuses(client)
    await asyncio.sleep(0.01)  # httpx's own transport closes its generators a little later

    assert len(seen) == len(recorded.lines)
    assert seen[-1] == "success"


@TRANSPORTS
async def test_every_kind_of_answer_arrives_over_a_socket(
    transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """Bodies with a length, with chunks and without one are read, each on its own connection."""
    recorded = [
        *exchanges("delete-and-copy")[:2],
        exchange("tags-variety-of-models"),
        exchange("create-and-blobs", "there"),
        exchange("wrong-method-or-path", 8),
    ]
    digest = recorded[3].path.removeprefix("/api/blobs/")

    async with (
        served(*recorded) as server,
        OllamaClient(server.url, transport=transport()) as client,
    ):
        await client.delete("x")
        with pytest.raises(OllamaResponseError, match="not found"):
            await client.delete("x")
        models = await client.list_models()
        there = await client.has_blob(digest)
        with pytest.raises(OllamaResponseError) as refused:
            await client.list_models()

    assert (len(models), there) == (9, True)
    assert "OLLAMA_ORIGINS" in refused.value.next_step
    assert all(b"connection: close" in request.lower() for request in server.requests)


async def test_silence_inside_a_pull_has_no_limit() -> None:
    """Once begun, a pull waits longer than any request may take."""

    async def script(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(CHUNKED + chunk(STEP))
        await asyncio.sleep(1.2)
        writer.write(chunk(SUCCESS) + chunk(b""))

    async with listening(script) as server, OllamaClient(server.url, timeout=1) as client:
        seen = await statuses(client)

    assert seen == ["pulling manifest", "success"]


async def test_success_is_enough() -> None:
    """A pull ends with its `success`, not with the connection."""
    async with (
        writing(CHUNKED + chunk(STEP) + chunk(SUCCESS), stay=True) as server,
        OllamaClient(server.url) as client,
    ):
        seen = await statuses(client)
        await asyncio.wait_for(server.left.wait(), 1)

    assert seen[-1] == "success"


async def test_a_refused_upload_says_why() -> None:
    """A server that answers before it has read a large body is heard."""

    async def script(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b'HTTP/1.1 400 Bad\r\nContent-Length: 27\r\n\r\n{"error":"digest mismatch"}')
        await server.left.wait()

    async with (
        listening(script, bodies=False) as server,
        OllamaClient(server.url) as client,
    ):
        with pytest.raises(OllamaResponseError, match="digest mismatch"):
            await client.upload_blob("sha256:" + "0" * 64, bytes(32 << 20))


# How it leaves


@TRANSPORTS
async def test_closing_a_pull_closes_its_connection_at_once(
    transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """The server sees the client go within 300 ms of `aclose`."""
    async with (
        writing(CHUNKED + chunk(STEP), stay=True) as server,
        OllamaClient(server.url, transport=transport()) as client,
    ):
        stream = client.pull("x")
        await anext(stream)

        closed = time.perf_counter()
        await stream.aclose()
        await asyncio.wait_for(server.left.wait(), 1)

        assert time.perf_counter() - closed < 0.3


@TRANSPORTS
async def test_cancelling_a_task_closes_its_connection_at_once(
    transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """A task that waits for a line ends as cancelled, and the server sees it go."""
    async with (
        writing(CHUNKED + chunk(STEP), stay=True) as server,
        OllamaClient(server.url, transport=transport()) as client,
    ):
        task = asyncio.create_task(statuses(client))
        await server.asked.wait()
        await asyncio.sleep(0.05)  # it has read the first line and waits for the next

        cancelled = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.left.wait(), 1)

        assert time.perf_counter() - cancelled < 0.3


async def test_cancelling_before_the_answer_closes_the_connection() -> None:
    """A request that is cancelled while nobody has answered yet leaves no connection either."""
    async with writing(stay=True) as server, OllamaClient(server.url) as client:
        task = asyncio.create_task(statuses(client))
        await server.asked.wait()

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await asyncio.wait_for(server.left.wait(), 1)


# Servers that do not answer


@TRANSPORTS
async def test_a_server_that_hangs_is_given_up(
    transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """Silence instead of an answer ends in time, for a pull as for a question."""
    async with (
        writing(stay=True) as server,
        OllamaClient(server.url, timeout=0.5, transport=transport()) as client,
    ):
        with pytest.raises(OllamaTimeoutError, match=r"no answer within 0.5 s"):
            await client.version()
        with pytest.raises(OllamaTimeoutError):
            await statuses(client)


async def test_a_server_that_dribbles_is_given_up() -> None:
    """A byte now and then does not prolong the time for an answer."""

    async def script(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with listening(script) as server, OllamaClient(server.url, timeout=0.5) as client:
        started = time.perf_counter()
        with pytest.raises(OllamaTimeoutError):
            await client.version()

        assert time.perf_counter() - started < 1.5


@TRANSPORTS
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_at_the_address_is_said_so(
    host: str, transport: Callable[[], httpx.AsyncBaseTransport]
) -> None:
    """A refused connection is no traceback of httpx but a sentence with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nothing else can answer there
        url = f"http://{host}:{taken.getsockname()[1]}"
        async with OllamaClient(url, transport=transport()) as client:
            with pytest.raises(OllamaUnreachableError, match=r"connection refused.*ollama serve"):
                await client.version()
            with pytest.raises(OllamaUnreachableError, match="connection refused"):
                await statuses(client)


async def test_an_unknown_host_is_said_so() -> None:
    """A name that leads nowhere is the reason in the message."""

    def nowhere(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("failed") from socket.gaierror(-2, "Name or service not known")

    async with OllamaClient("http://nowhere", transport=httpx.MockTransport(nowhere)) as client:
        with pytest.raises(OllamaUnreachableError, match="the name of the host is not known"):
            await client.version()


async def test_a_connection_that_does_not_come_about_is_no_hanging_server() -> None:
    """A machine that swallows packets is unreachable; only who accepts can hang."""

    def swallowed(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("")

    async with OllamaClient("http://box", transport=httpx.MockTransport(swallowed)) as client:
        with pytest.raises(OllamaUnreachableError, match="no connection in time"):
            await client.version()


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError(""),
        httpx.WriteError(""),
        httpx.CloseError(""),
        httpx.ReadTimeout(""),
        httpx.PoolTimeout(""),
        httpx.ProxyError("407"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.RemoteProtocolError("peer closed connection without sending complete body"),
        httpx.RemoteProtocolError("illegal status line"),
        httpx.LocalProtocolError("Illegal header value b's3cret'"),
        httpx.UnsupportedProtocol(""),
        httpx.DecodingError(""),
        httpx.TooManyRedirects(""),
    ],
)
async def test_no_error_of_httpx_gets_out(error: httpx.HTTPError) -> None:
    """Whatever a transport raises leaves as an error of ours, without foreign words."""

    def failing(_request: httpx.Request) -> httpx.Response:
        raise error

    async with OllamaClient("http://box", transport=httpx.MockTransport(failing)) as client:
        for ask in (client.version(), client.identify(), statuses(client), client.delete("x")):
            with pytest.raises(OllamaError) as caught:
                await ask

            assert "s3cret" not in str(caught.value)


# Servers that cut and lie


@TRANSPORTS
@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + chunk(STEP),
        CHUNKED + chunk(STEP)[:-8],
        CHUNKED + chunk(STEP) + b"1",
        CHUNKED + chunk(STEP) + b"zz\r\n",
        CHUNKED + chunk(STEP) + b"-5\r\nx",
        CHUNKED + chunk(STEP).removesuffix(b"\r\n") + b"xx" + chunk(SUCCESS),
        CHUNKED + chunk(STEP) + chunk(b'{"status":"succ'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + STEP,
        b"HTTP/1.1 200 OK\r\n\r\n" + STEP + b'{"status":"succ',
    ],
)
async def test_a_pull_that_is_cut_has_failed(
    answer: bytes, transport: Callable[[], httpx.AsyncBaseTransport]
) -> None:
    """Wherever the connection ends before `success`, the pull has failed and may be resumed."""
    async with (
        writing(answer) as server,
        OllamaClient(server.url, transport=transport()) as client,
    ):
        with pytest.raises(PullFailedError, match="resumes at the bytes that are kept"):
            await statuses(client)


@TRANSPORTS
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", OllamaUnreachableError),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", NotOllamaError),
        (b"\x15\x03\x01\x00\x02\x02\x50", NotOllamaError),
        (b"HTTP/2 200\r\n\r\n", NotOllamaError),
        (b"HTTP/1.1 2000 OK\r\n\r\n", NotOllamaError),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", NotOllamaError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", NotOllamaError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", NotOllamaError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", NotOllamaError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", NotOllamaError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", BadAnswerError),
        (CHUNKED + chunk(b'{"models":[]}') + b"zz\r\n", NotOllamaError),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>", BadAnswerError),
        (b"HTTP/1.1 204 No Content\r\n\r\n", BadAnswerError),
        (b"HTTP/1.1 302 Found\r\nLocation: http://box.example/\r\n\r\n", BadAnswerError),
    ],
)
async def test_an_answer_that_is_none_is_told(
    answer: bytes,
    error: type[OllamaError],
    transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """What is no HTTP, no JSON or not whole is named, whoever reads it."""
    async with (
        writing(answer) as server,
        OllamaClient(server.url, transport=transport()) as client,
    ):
        with pytest.raises(error) as caught:
            await client.list_models()

    assert server.url in str(caught.value)


async def test_what_comes_before_an_answer_is_passed_over() -> None:
    """An interim answer is none, a reason may be missing, and names of headers have any case."""
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\r\ncontent-LENGTH:13 \r\n\r\n"
    async with (
        writing(answer + b'{"models":[]}and more') as server,
        OllamaClient(server.url) as client,
    ):
        models = await client.list_models()

    assert models == []


async def test_a_redirect_leads_nowhere_else() -> None:
    """A server that points to another is not followed, so no login goes astray."""
    async with writing() as elsewhere:
        head = f"HTTP/1.1 307 Go\r\nLocation: {elsewhere.url}/api/tags\r\n\r\n".encode()
        async with writing(head) as server, OllamaClient(server.url) as client:
            with pytest.raises(BadAnswerError, match="which is not followed"):
                await client.list_models()
            with pytest.raises(BadAnswerError, match="which is not followed"):
                await statuses(client)

    assert elsewhere.requests == []


@TRANSPORTS
async def test_an_endless_line_is_refused_early(
    transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """Of a line of 100 MB a few are read, and memory stays flat."""
    async with (
        writing(CHUNKED, *[chunk(b"x" * 65536)] * 1600) as server,
        OllamaClient(server.url, transport=transport()) as client,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(BadAnswerError, match="longer than 1 MiB"):
                await statuses(client)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak_bytes < 10 << 20


async def test_an_endless_answer_is_refused() -> None:
    """An answer ends at 64 MiB, whatever it says of its length."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    async with (
        writing(head, *[b" " * (1 << 20)] * 100) as server,
        OllamaClient(server.url) as client,
    ):
        with pytest.raises(BadAnswerError, match="longer than 64 MiB"):
            await client.list_models()


# Proxies


async def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment serves other machines only."""
    version = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"version":"1"}'
    async with writing(version) as proxy, writing(version) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        async with OllamaClient(server.url) as here, OllamaClient("http://box:11434") as there:
            await here.version()
            await there.version()

    assert server.requests[0].startswith(b"GET /api/version HTTP/1.1")
    assert [request.split(b"\r\n")[0] for request in proxy.requests] == [
        b"GET http://box:11434/api/version HTTP/1.1"
    ]


async def test_a_proxy_setting_that_cannot_be_used_is_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong variable in the environment is named, its secrets are not."""
    monkeypatch.setenv("ALL_PROXY", "carrier://me:s3cret@pigeon")
    client = OllamaClient("http://box")

    with pytest.raises(OllamaError, match="ALL_PROXY") as caught:
        await client.version()

    assert "s3cret" not in str(caught.value)
