"""The HTTP API of an Ollama server, async, as records in and out.

Each method is one request on a connection of its own, so a server that was restarted is never
asked over a dead one, and nothing is left open between requests. No error of httpx leaves here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx

import modelwidgets
from modelwidgets.errors import (
    BadAddressError,
    BadAnswerError,
    NotOllamaError,
    OllamaError,
    OllamaResponseError,
    PullFailedError,
)
from modelwidgets.names import parse
from modelwidgets.records import InstalledModel, ModelInfo, PullStep, RunningModel
from modelwidgets.stores import advice, answers, failures
from modelwidgets.stores.address import address, base_url, is_local
from modelwidgets.stores.loopback import LoopbackTransport

__all__ = ["OllamaClient", "ServerIdentity", "base_url", "is_local"]

MAX_ANSWER_BYTES = 64 << 20
MAX_LINE_BYTES = 1 << 20
DELETE_SECONDS = 60.0
"""Unlinking tens of gigabytes takes its time on some file systems."""
LOAD_SECONDS = 600.0
"""Weights are read from disk, and GPU memory has to come back first."""
UPLOAD_SECONDS_PER_GB = 120.0

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_UPLOAD_PIECE_BYTES = 1 << 20
_TOO_LONG = f"a line is longer than {MAX_LINE_BYTES >> 20} MiB"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """Who answers at an address."""

    version: str
    embedded: bool
    """It is this package's own store, which keeps models but runs none."""
    folder: str | None
    """Where an embedded store keeps its models."""
    sample_registry: str | None
    """Where an embedded store pulls from instead of the real registry."""


class OllamaClient:
    """A client of one Ollama server.

        async with OllamaClient() as client:
            for model in await client.list_models():
                print(model.name)

    `url` is read like OLLAMA_HOST, which is the default; a login in it is used and never shown.
    `timeout` limits each request in seconds; only a pull, once begun, may be silent for longer.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        where = address(url, strict=url is not None)
        self.url = where.url
        self.timeout = timeout
        self._login = where.login
        self._headers = _checked_headers(headers or {})
        self._transport = transport
        self._http: httpx.AsyncClient | None = None
        try:
            httpx.URL(self.url)
        except httpx.InvalidURL:
            raise BadAddressError(ascii(self.url), "the host is no name or IP address") from None

    def __repr__(self) -> str:
        return f"OllamaClient({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    # The server

    async def identify(self) -> ServerIdentity:
        """Find out who answers here; raises `NotOllamaError` where it is something else."""
        response, body = await self._ask("GET", "/", refuse=False)
        if response.status_code != 200 or not body.startswith(b"Ollama is running"):
            if response.status_code in (401, 407) or (response.status_code == 403 and not body):
                raise failures.refusal(self.url, response, body)
            raise NotOllamaError(self.url, failures.seen(response, body))
        version = await self.version()
        if "X-Modelwidgets" not in response.headers:
            return ServerIdentity(
                version=version, embedded=False, folder=None, sample_registry=None
            )
        about = await self._object("GET", "/api/modelwidgets")
        with self._readable():
            return ServerIdentity(
                version=version,
                embedded=True,
                folder=answers.text_or_none(about, "folder"),
                sample_registry=answers.text_or_none(about, "sample_registry"),
            )

    async def version(self) -> str:
        """The server's version: any text, `0.33.0-rc2` as well as a source build's `0.0.0`."""
        about = await self._object("GET", "/api/version")
        with self._readable():
            version = answers.text_or_none(about, "version")
        if version is None:
            raise BadAnswerError(self.url, "it names no version")
        return version

    # Models

    async def list_models(self) -> list[InstalledModel]:
        """The installed models, newest first, those of one second in no order."""
        data = await self._object("GET", "/api/tags")
        with self._readable():
            return answers.installed_models(data)

    async def list_running(self) -> list[RunningModel]:
        """The models in memory; of several names for the same weights the one loaded first."""
        data = await self._object("GET", "/api/ps")
        with self._readable():
            return answers.running_models(data, now=datetime.now(UTC))

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        """What is inside a model; `verbose` adds the long arrays, megabytes for real models."""
        name = str(parse(name))
        data = await self._object("POST", "/api/show", {"model": name, "verbose": verbose})
        with self._readable():
            return answers.model_info(name, data)

    async def delete(self, name: str) -> None:
        """Remove a model and the layers that no other model uses. Unload it first."""
        body = {"model": str(parse(name))}
        await self._ask("DELETE", "/api/delete", body, seconds=max(self.timeout, DELETE_SECONDS))

    async def copy(self, source: str, destination: str) -> None:
        """Give a model a second name; a model that had it loses it without a question."""
        names = {"source": str(parse(source)), "destination": str(parse(destination))}
        await self._ask("POST", "/api/copy", names)

    async def load(self, name: str, *, keep_alive: float | str | None = None) -> None:
        """Bring a model into memory, for `keep_alive` seconds or `"5m"`; below 0 for ever."""
        body: dict[str, Any] = {"model": str(parse(name)), "stream": False}
        if keep_alive is not None:
            body["keep_alive"] = keep_alive
        try:
            await self._ask("POST", "/api/generate", body, seconds=LOAD_SECONDS)
        except OllamaResponseError as error:
            if error.status_code != 400 or "does not support" not in error.text:
                raise
            # an embedding model is no generator: it is loaded by embedding nothing
            await self._ask("POST", "/api/embed", {**body, "input": ""}, seconds=LOAD_SECONDS)

    async def unload(self, name: str) -> None:
        """Take a model out of memory; no error where it was not in memory."""
        body = {"model": str(parse(name)), "keep_alive": 0, "stream": False}
        await self._ask("POST", "/api/generate", body, seconds=LOAD_SECONDS)

    # Streams

    def pull(self, name: str, *, insecure: bool = False) -> AsyncGenerator[PullStep, None]:
        """Download `name`, yielding each step as the server reports it, `success` last.

        Raises `PullFailedError` where the server ends otherwise. Closing the stream stops the
        pull; Ollama resumes it next time. `insecure` lets the server use plain http.
        """
        body = {"model": str(parse(name)), "insecure": insecure}
        return self._steps("/api/pull", body, PullFailedError)

    def push(self, name: str, *, insecure: bool = False) -> AsyncGenerator[PullStep, None]:
        """Upload `name` to the registry that its name points to."""
        body = {"model": str(parse(name)), "insecure": insecure}
        return self._steps("/api/push", body, OllamaResponseError)

    def create(
        self,
        name: str,
        *,
        files: Mapping[str, str] | None = None,
        from_: str | None = None,
        template: str | None = None,
        system: str | None = None,
        license: str | None = None,  # noqa: A002 - the server's own word
        parameters: Mapping[str, Any] | None = None,
        quantize: str | None = None,
    ) -> AsyncGenerator[PullStep, None]:
        """Make a model of uploaded `files` (file name to digest), or of another model.

        A `from_` that is not installed is pulled first.
        """
        given: dict[str, Any] = {
            "from": None if from_ is None else str(parse(from_)),
            "files": None if files is None else dict(files),
            "template": template,
            "system": system,
            "license": license,
            "parameters": None if parameters is None else dict(parameters),
            "quantize": quantize,
        }
        body: dict[str, Any] = {"model": str(parse(name))}
        body |= {key: value for key, value in given.items() if value is not None}
        return self._steps("/api/create", body, OllamaResponseError)

    # Blobs

    async def has_blob(self, digest: str) -> bool:
        """Whether the server has the bytes with this digest."""
        response, body = await self._ask("HEAD", _blob_path(digest), refuse=False)
        if response.status_code in (200, 404):
            return response.status_code == 200
        raise failures.refusal(self.url, response, body)

    async def upload_blob(self, digest: str, content: bytes | Path) -> None:
        """Give the server bytes, or the file at a path; it checks them against the digest."""
        size = len(content) if isinstance(content, bytes) else await _size(content)
        async with aclosing(_pieces(content, size)) as pieces:
            await self._ask(
                "POST",
                _blob_path(digest),
                content=pieces,
                headers={"Content-Length": str(size)},
                seconds=max(self.timeout, size / 1e9 * UPLOAD_SECONDS_PER_GB),
            )

    # How it is asked

    async def _object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        _, raw = await self._ask(method, path, body)
        with self._readable():
            return answers.decode_object(raw)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        refuse: bool = True,
    ) -> tuple[httpx.Response, bytes]:
        """One request and its whole answer; `refuse` raises where the answer is an error."""
        seconds = self.timeout if seconds is None else seconds
        http = self._client()
        request = http.build_request(method, path, json=body, content=content, headers=headers)
        with failures.caught(self.url, seconds):
            async with asyncio.timeout(seconds):
                response = await http.send(request, stream=True)
                async with aclosing(response):
                    raw = await self._whole(response)
        if refuse and response.status_code >= 300:
            raise failures.refusal(self.url, response, raw)
        return response, raw

    async def _steps(
        self, path: str, body: dict[str, Any], failed: type[OllamaResponseError]
    ) -> AsyncGenerator[PullStep, None]:
        """The lines of a stream as steps; `failed` is raised where it ends without `success`."""
        http = self._client()
        request = http.build_request("POST", path, json=body)
        with failures.caught(self.url, self.timeout):
            async with asyncio.timeout(self.timeout):
                response = await http.send(request, stream=True)
        async with aclosing(response), aclosing(self._lines(response, failed)) as batches:
            if response.status_code >= 300:
                with failures.caught(self.url, self.timeout):
                    async with asyncio.timeout(self.timeout):
                        raw = await self._whole(response)
                raise failures.refusal(self.url, response, raw, failed)
            read = answers.StepReader().read
            try:
                async for lines in batches:
                    for line in lines:
                        step = read(line)
                        yield step
                        if step.status == "success":
                            return
            except answers.UnreadableError as error:
                raise BadAnswerError(self.url, str(error)) from error
            except answers.ErrorLineError as error:
                text = str(error)
                raise failed(text, next_step=advice.next_step(text)) from None
        raise failures.broken_off(failed, "The server ended the answer before it was done.")

    async def _lines(
        self, response: httpx.Response, failed: type[OllamaResponseError]
    ) -> AsyncGenerator[list[bytes], None]:
        """The lines of an answer, as many at a time as have arrived."""
        rest = bytearray()
        try:
            async with self._raw(response) as pieces:
                async for piece in pieces:
                    rest += piece
                    if b"\n" in piece:
                        lines = bytes(rest).split(b"\n")
                        rest = bytearray(lines.pop())
                        if max(map(len, lines)) > MAX_LINE_BYTES:
                            raise BadAnswerError(self.url, _TOO_LONG)
                        yield [line for line in lines if line and not line.isspace()]
                    if len(rest) > MAX_LINE_BYTES:
                        raise BadAnswerError(self.url, _TOO_LONG)
        except httpx.TransportError as error:
            raise failures.broken_off(failed, "The connection to the server broke.") from error
        if rest and not rest.isspace():
            try:
                answers.decode(bytes(rest))
            except answers.UnreadableError as error:
                said = "The server ended the answer in the middle of a line."
                raise failures.broken_off(failed, said) from error
            yield [bytes(rest)]

    async def _whole(self, response: httpx.Response) -> bytes:
        raw = bytearray()
        async with self._raw(response) as pieces:
            async for piece in pieces:
                raw += piece
                if len(raw) > MAX_ANSWER_BYTES:
                    limit = f"it is longer than {MAX_ANSWER_BYTES >> 20} MiB"
                    raise BadAnswerError(self.url, limit)
        return bytes(raw)

    def _raw(self, response: httpx.Response) -> aclosing[AsyncGenerator[bytes, None]]:
        """The bytes as they come: no bomb is unpacked, as nothing packed was asked for."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswerError(self.url, "it is packed, which was not asked for")
        # what `aiter_raw` reads from: a generator beneath another is not closed with it
        stream: Any = response.stream
        return aclosing(aiter(stream))

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            local = is_local(self.url)
            transport = self._transport
            if transport is None and local and self.url.startswith("http://"):
                transport = LoopbackTransport()
            try:
                self._http = httpx.AsyncClient(
                    base_url=self.url,
                    auth=self._login,
                    headers={
                        "User-Agent": f"modelwidgets/{modelwidgets.__version__}",
                        "Accept-Encoding": "identity",
                        "Connection": "close",
                        **self._headers,
                    },
                    timeout=httpx.Timeout(None, connect=self.timeout * failures.CONNECT_SHARE),
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                    transport=transport,
                    trust_env=not local,  # else HTTP_PROXY would take this machine's requests too
                )
            except (ImportError, OSError, ValueError, httpx.InvalidURL):
                raise OllamaError(
                    f"{self.url} cannot be asked: the proxy or certificate settings of the "
                    "environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE) cannot be "
                    "used. Correct them, or name the host in NO_PROXY."
                ) from None
        return self._http

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except answers.UnreadableError as error:
            raise BadAnswerError(self.url, str(error)) from error


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise ValueError(f"headers: {name!r} or its value holds what HTTP does not allow")
    return dict(headers)


def _blob_path(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest[:100]!r} is no digest: write `sha256:` and 64 hex digits")
    return f"/api/blobs/{digest}"


async def _size(path: Path) -> int:
    return (await asyncio.to_thread(path.stat)).st_size


async def _pieces(content: bytes | Path, size: int) -> AsyncGenerator[bytes, None]:
    if isinstance(content, bytes):
        yield content
        return
    file = await asyncio.to_thread(content.open, "rb")
    try:
        left = size
        while left > 0 and (piece := await asyncio.to_thread(file.read, _UPLOAD_PIECE_BYTES)):
            left -= len(piece)
            yield piece
        if left:
            raise OllamaError(f"{content} changed while it was uploaded: upload it again.")
    finally:
        file.close()
