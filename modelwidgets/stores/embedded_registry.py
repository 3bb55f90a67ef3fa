"""Asks registries for the embedded store, and tells their trouble in the words of a server.

`registry.py` speaks to people; clients of a server look for its own words, which hold what the
registry answered, whole.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import cast
from urllib.parse import SplitResult, urlsplit

import httpx

from modelwidgets.errors import (
    DigestMismatchError,
    RegistryError,
    RegistryUnreachableError,
    TransferError,
    TransferStoppedError,
)
from modelwidgets.names import ModelName
from modelwidgets.records import Manifest
from modelwidgets.stores.embedded_errors import ServerError
from modelwidgets.stores.fetch import Source, is_loopback, proxy_for, trust
from modelwidgets.stores.golang import quoted
from modelwidgets.stores.registry import RegistryClient

CONNECT_SECONDS = 30.0
"""For a connection, encryption included; a registry may think longer about its answer."""
_WARM_UP_SECONDS = 1.0
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PLAIN_HTTP = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_REALM = re.compile(r'realm="([^"]*)"')
_REASONS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by peer",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
}


class Registries:
    """Asks registries, with connections that are kept for the next question."""

    def __init__(self, samples: str | None = None) -> None:
        self._samples = samples
        """The sample registry that stands in for those out of reach."""
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def aclose(self) -> None:
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def warm_up(self, url: str) -> None:
        """Ask `url`, so that what asking takes is loaded before somebody waits for a registry."""
        with suppress(httpx.HTTPError, httpx.InvalidURL):  # then whoever asks first waits for it
            await _client(self._clients, "loopback").get(url, timeout=_WARM_UP_SECONDS)

    async def manifest(self, name: ModelName, *, insecure: bool) -> tuple[Manifest, bytes]:
        """The manifest of `name`; waits for it as long as the caller does."""
        asking = _Listening(self._clients, seconds=float("inf"))
        try:
            return await asking.manifest_bytes(name, insecure=insecure)
        except RegistryError as error:
            url = f"{_base(name, insecure=insecure)}/manifests/{name.tag}"
            said = f"pull model manifest: {asking.words(error, url)}"
            if self._samples is not None and isinstance(error, RegistryUnreachableError):
                said += f" (only the samples of {self._samples} are served here)"
            raise ServerError(said) from error

    async def locate(
        self, name: ModelName, digest: str, *, insecure: bool, seconds: float, again: bool
    ) -> Source:
        """Where the bytes of a blob lie; with `again` it asks until the time is up."""
        tries = 0
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            asking = _Listening(self._clients, seconds=seconds)
            try:
                url, headers = await asking.blob_location(name, digest, insecure=insecure)
                return Source(url=url, headers=headers)
            except RegistryError as error:
                asked = f"{_base(name, insecure=insecure)}/blobs/{digest}"
                if not again:
                    raise ServerError(asking.words(error, asked)) from error
            tries += 1
            pause = min(tries * tries / 100, 10.0)
            if loop.time() + pause > until:
                raise ServerError("context deadline exceeded")
            await asyncio.sleep(pause)


def transfer_words(error: TransferError, url: str) -> str:
    """Why a download failed."""
    if isinstance(error, TransferStoppedError):
        return "context canceled"
    if isinstance(error, DigestMismatchError):
        want, got = f"sha256:{error.wanted}", f"sha256:{error.got}"
        return f"digest mismatch, file must be downloaded again: want {want}, got {got}"
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.filename:
        return disk_words(cause)
    if cause is None:
        return str(error)
    return f"max retries exceeded: {network_words(cause, url)}"


def disk_words(error: OSError, verb: str = "write") -> str:
    """Why a file could not be written."""
    return f"{verb} {error.filename}: {(error.strerror or str(error)).lower()}"


def network_words(error: BaseException, url: str) -> str:
    """Why `url` could not be got, as Go's HTTP client says it."""
    causes = list(_causes(error))
    texts = " ".join(str(cause) for cause in causes)
    parts = urlsplit(url)
    proxy = proxy_for(parts)
    address = _dialled(proxy or parts)
    dial = f"{'proxyconnect tcp: ' if proxy else ''}dial tcp {address}"
    if any(isinstance(cause, (TimeoutError, httpx.TimeoutException)) for cause in causes):
        return f'Get "{url}": {dial}: i/o timeout'
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = f"failed to verify certificate: x509: {cause.verify_message}"
            return f'Get "{url}": tls: {why}'
        if isinstance(cause, ssl.SSLError) and cause.reason in _PLAIN_HTTP:
            return f'Get "{url}": tls: first record does not look like a TLS handshake'
        if isinstance(cause, ssl.SSLError) and "EOF" in (cause.reason or ""):
            return f'Get "{url}": EOF'
        if isinstance(cause, ssl.SSLError):
            return f'Get "{url}": remote error: tls: {cause.reason or cause}'
        if isinstance(cause, socket.gaierror):
            return f'Get "{url}": dial tcp: lookup {(proxy or parts).hostname}: no such host'
        if isinstance(cause, ConnectionResetError):
            return f"read tcp {address}: read: connection reset by peer"
        if isinstance(cause, OSError) and cause.errno in _REASONS:
            return f'Get "{url}": {dial}: connect: {_REASONS[cause.errno]}'
    if "Connect call failed" in texts or "connection attempts failed" in texts:
        return f'Get "{url}": {dial}: connect: connection refused'
    return str(causes[-1])


class _Listening(RegistryClient):
    """Waits for an answer as long as it takes, once there is a connection, and keeps refusals."""

    def __init__(self, clients: dict[str, httpx.AsyncClient], *, seconds: float) -> None:
        super().__init__(timeout=seconds)
        self._clients = clients
        self._refusal: httpx.Response | None = None
        self._body = b""

    async def get(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        way = "loopback" if is_loopback(url.host) else "net"
        client = _client(self._clients, way)
        patience = httpx.Timeout(None, connect=CONNECT_SECONDS)
        request = client.build_request("GET", url, headers=headers, timeout=patience)
        response = await client.send(request, stream=True)
        if response.status_code >= 400:
            self._refusal = response
            self._body = b""
            response.stream = _Overheard(cast("httpx.AsyncByteStream", response.stream), self._hear)
        return response

    def _hear(self, piece: bytes) -> None:
        self._body += piece

    def words(self, error: RegistryError, url: str) -> str:
        if isinstance(error, RegistryUnreachableError):
            return network_words(error, url)
        if self._refusal is None:
            return str(error)
        status = self._refusal.status_code
        if status == 404:
            return "file does not exist"
        if status == 401:
            return self._login_words(url)
        return f"{status}: {self._body.decode(errors='replace')}"

    def _login_words(self, url: str) -> str:
        challenge = self._refusal.headers.get("www-authenticate", "") if self._refusal else ""
        realm = found[1] if (found := _REALM.search(challenge)) else ""
        there, here = urlsplit(realm).netloc, urlsplit(url).netloc
        if there != here:
            return f"realm host {quoted(there)} does not match original host {quoted(here)}"
        return "unauthorized: access denied"


def _client(clients: dict[str, httpx.AsyncClient], way: str) -> httpx.AsyncClient:
    """The client for what lies that way, made when it is first asked for."""
    client = clients.get(way)
    if client is None:
        client = clients[way] = httpx.AsyncClient(
            trust_env=way == "net",
            verify=trust(),
            headers={"User-Agent": "modelwidgets", "Accept-Encoding": "identity"},
        )
    return client


class _Overheard(httpx.AsyncByteStream):
    """A body that is read by one and heard by another."""

    def __init__(self, stream: httpx.AsyncByteStream, hear: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._hear = hear

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._hear(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _base(name: ModelName, *, insecure: bool) -> str:
    return f"{'http' if insecure else 'https'}://{name.host}/v2/{name.namespace}/{name.model}"


def _dialled(parts: SplitResult) -> str:
    """The address as Go prints it, but for names, which it prints resolved."""
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what lies behind it, also where several tries failed together."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        if isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
        else:
            seen = seen.__cause__ or seen.__context__
