"""What a registry says of a name before anything is pulled.

The protocol is the one Ollama's registry, hf.co and plain container registries share: a manifest
that lists layers by digest, and blobs that redirect to some storage.

Why so suspicious: a name can point to any host, so everything that comes back is bounded before it
is read, a redirect may not lower https to http nor lead a stranger to this machine, and a token
goes only to the host that asked for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self, cast

import httpx

from modelwidgets.errors import (
    ManifestNotFoundError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from modelwidgets.names import ModelName
from modelwidgets.records import Manifest
from modelwidgets.stores.loopback import LoopbackTransport
from modelwidgets.stores.manifests import (
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    check_digest,
    manifest_from_bytes,
    parsed,
    read_json,
    shown,
)

__all__ = ["MANIFEST_TYPE", "MAX_MANIFEST_BYTES", "RegistryClient", "manifest_from_bytes"]

MAX_RANGE_BYTES = 64 << 20
_FIRST_RANGE_BYTES = 1 << 20
_LONGEST_READING_SECONDS = 60.0
_MAX_TOKEN_BYTES = 64 << 10
_MAX_EXCERPT_BYTES = 8 << 10
_MAX_REDIRECTS = 5

_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,350}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class RegistryClient:
    """Asks registries, each question answered or given up within `timeout` seconds.

    `insecure` means plain http instead of https, as in Ollama; nothing else lowers the guard.
    `check` sees the address of every request before it is sent, those that a redirect or a login
    leads to as well, and raises where there is none to be.
    """

    def __init__(
        self,
        *,
        timeout: float = 3.0,
        transport: httpx.AsyncBaseTransport | None = None,
        check: Callable[[httpx.URL], None] | None = None,
    ) -> None:
        self._timeout = timeout
        self._check = check
        self._transport = transport
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()

    async def manifest(self, name: str | ModelName, *, insecure: bool = False) -> Manifest:
        """The layers of `name`, and the digest that an installed copy would have."""
        manifest, _ = await self.manifest_bytes(name, insecure=insecure)
        return manifest

    async def manifest_bytes(
        self, name: str | ModelName, *, insecure: bool = False
    ) -> tuple[Manifest, bytes]:
        """The manifest with the bytes it was read from, which a store keeps as they are."""
        name = parsed(name)
        url = _url(name, f"manifests/{name.tag}", insecure=insecure)
        async with self._answer(name, url, {"Accept": MANIFEST_TYPE}) as response:
            raw = await _read(response, MAX_MANIFEST_BYTES, name.host)
            if _is_html(response, raw):
                raise RegistryError(
                    f"{name.host} answered with a web page instead of the manifest of {name}. "
                    "Check the address, and that no sign-in page of the network stands before it."
                )
        return manifest_from_bytes(name, raw), raw

    async def blob_location(
        self, name: str | ModelName, digest: str, *, insecure: bool = False
    ) -> tuple[str, dict[str, str]]:
        """Where the bytes of a blob lie, and the headers to ask for them with.

        The first redirect to another host is not followed but returned, as Ollama does; a registry
        that keeps its blobs itself gives its own address, with the token where it wants one.
        """
        name = parsed(name)
        url = _blob_url(name, digest, insecure=insecure)
        async with self._answer(name, url, {"Range": "bytes=0-0"}, leave=False) as response:
            if response.has_redirect_location:
                return str(_address(response.headers["location"], response.url)), {}
            sent = response.request.headers
            return str(response.url), {key: sent[key] for key in ("Authorization",) if key in sent}

    async def read_range(
        self,
        name: str | ModelName,
        digest: str,
        *,
        start: int = 0,
        length: int,
        insecure: bool = False,
    ) -> bytes:
        """Up to `length` bytes of a blob from `start`, fewer where the blob ends before."""
        if start < 0 or not 0 < length <= MAX_RANGE_BYTES:
            raise ValueError(f"a range starts at 0 or later and has 1 to {MAX_RANGE_BYTES} bytes")
        name = parsed(name)
        url = _blob_url(name, digest, insecure=insecure)
        wanted = {"Range": f"bytes={start}-{start + length - 1}"}
        async with self._answer(name, url, wanted) as response:
            if response.status_code == 206:
                _check_range(response, digest, start)
                return await _read_up_to(response, length)
            whole = await _read_up_to(response, min(start + length, MAX_RANGE_BYTES))
            return whole[start:]

    async def read_until(
        self,
        name: str | ModelName,
        digest: str,
        take: Callable[[bytes], bool],
        *,
        at_most: int,
        insecure: bool = False,
    ) -> bool:
        """Give a blob to `take` from its start, in pieces, until that has seen enough.

        The ranges that are asked for grow from 1 MiB; a registry that knows no ranges is cut off.
        False means that the blob or `at_most` bytes ended before. Here the timeout is for each
        silence, and there is a longer one for all of it.
        """
        name = parsed(name)
        url = _blob_url(name, digest, insecure=insecure)
        async with self._our_errors(name.host) as silence:
            try:
                async with asyncio.timeout(_LONGEST_READING_SECONDS):
                    return await self._read_until(name, url, digest, take, at_most, silence)
            except TimeoutError as error:
                raise RegistryUnreachableError(
                    name.host,
                    f"it sends too slowly: {_LONGEST_READING_SECONDS:g} s were not enough",
                ) from error

    async def _read_until(
        self,
        name: ModelName,
        url: httpx.URL,
        digest: str,
        take: Callable[[bytes], bool],
        at_most: int,
        silence: asyncio.Timeout,
    ) -> bool:
        at, length = 0, _FIRST_RANGE_BYTES
        while at < at_most:
            end = min(at + length, at_most)
            asked = {"Range": f"bytes={at}-{end - 1}"}
            response = await self._send(name, url, asked, leave=True)
            try:
                if response.status_code == 416:
                    return False  # it ended with the last range
                await _check(response, name)
                whole = response.status_code == 200
                if not whole:
                    _check_range(response, digest, at)
                skipped, came = at if whole else 0, 0
                async with aclosing(_pieces(response, at_most if whole else end - at)) as pieces:
                    async for piece in pieces:
                        silence.reschedule(asyncio.get_running_loop().time() + self._timeout)
                        came += len(piece)
                        new = piece[skipped:]
                        skipped = max(0, skipped - len(piece))
                        if new and take(new):
                            return True
            finally:
                await response.aclose()
            if whole or came < end - at:
                return False
            # The storage itself from now on: each redirect would cost as much as a range.
            url, at, length = response.url, end, length * 2
        return False

    @asynccontextmanager
    async def _answer(
        self, name: ModelName, url: httpx.URL, headers: Mapping[str, str], *, leave: bool = True
    ) -> AsyncIterator[httpx.Response]:
        async with self._our_errors(name.host):
            response = await self._send(name, url, headers, leave=leave)
            try:
                if response.status_code == 404 and "/manifests/" in url.path:
                    raise ManifestNotFoundError(str(name), name.host)
                if not response.has_redirect_location:
                    await _check(response, name)
                yield response
            finally:
                await response.aclose()

    async def _send(
        self, name: ModelName, first: httpx.URL, headers: Mapping[str, str], *, leave: bool
    ) -> httpx.Response:
        url, token, redirects = first, "", 0
        while True:
            wanted = dict(headers)
            if token and _origin(url) == _origin(first):
                wanted["Authorization"] = f"Bearer {token}"
            response = await self.get(url, wanted)
            if response.status_code == 401 and not token and _origin(url) == _origin(first):
                challenge = response.headers.get("www-authenticate", "")
                if challenge.lower().startswith("bearer "):
                    await response.aclose()
                    token = await self._token(name, first, challenge)
                    continue
            if not response.has_redirect_location:
                return response
            redirects += 1
            await response.aclose()
            target = _address(response.headers["location"], response.url)
            if redirects > _MAX_REDIRECTS:
                raise RegistryError(
                    f"{name.host} redirects more than {_MAX_REDIRECTS} times for {name}. "
                    "Check the address; the registry or a proxy before it is set up in a circle."
                )
            _check_redirect(name.host, str(name), url, target)
            if not leave and target.host != first.host:
                return response
            url = target

    async def _token(self, name: ModelName, asked: httpx.URL, challenge: str) -> str:
        fields = dict(_CHALLENGE.findall(challenge))
        try:
            realm = _checked(httpx.URL(fields.get("realm", "")))
        except httpx.InvalidURL:
            realm = httpx.URL("")
        same_host = realm.host == asked.host and realm.scheme == asked.scheme
        elsewhere = realm.scheme == "https" and not _loopback(realm)
        if not (same_host or elsewhere):
            raise RegistryRefusedError(
                f"{name.host} wants a login at {shown(fields.get('realm', ''))}, "
                "which is neither the same host nor safe (https), so it was not asked. "
                "Check the address, or ask whoever runs the registry."
            )
        query = {key: fields[key] for key in ("service", "scope") if key in fields}
        response = await self.get(realm.copy_merge_params(query), {})
        try:
            await _check(response, name)
            raw = await _read(response, _MAX_TOKEN_BYTES, name.host)
        finally:
            await response.aclose()
        answer = read_json(raw)
        if isinstance(answer, dict):
            for key in ("token", "access_token"):
                token = answer.get(key)
                if isinstance(token, str) and _TOKEN.fullmatch(token):
                    return token
        raise RegistryRefusedError(
            f"{name.host} wants a login, but gave no token at {realm.host}. "
            f"{name} may be private: check its name, or ask whoever runs the registry."
        )

    async def read_url(
        self, url: httpx.URL, at_most: int, *, start: int | None = None
    ) -> tuple[int, bytes]:
        """Status and content of any address, redirected as blobs are.

        It is a text, of which a byte more shows that it is longer, or from `start` part of a file.
        """
        headers = {} if start is None else {"Range": f"bytes={start}-{start + at_most - 1}"}
        async with self._our_errors(url.host):
            at = _checked(url)
            for _ in range(_MAX_REDIRECTS + 1):
                response = await self.get(at, headers)
                try:
                    status = response.status_code
                    if not response.has_redirect_location:
                        if status == 206:
                            _check_range(response, url.path[-19:], start or 0)
                        skipped = (start or 0) if status == 200 else 0
                        limit = skipped + at_most + (start is None)
                        raw = await _read_up_to(response, limit) if status in (200, 206) else b""
                        return status, raw[skipped:]
                    target = _address(response.headers["location"], response.url)
                finally:
                    await response.aclose()
                _check_redirect(url.host, url.path[-80:], at, target)
                at = target
        raise RegistryError(f"{url.host} redirects in a circle. Check the address.")

    async def get(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        """One request, whose answer is still to be read and closed; no redirect is followed."""
        if self._check is not None:
            self._check(url)
        client = self._client(url)
        half_open: list[Any] = []

        async def trace(event: str, info: dict[str, Any]) -> None:
            if event.endswith("connect_tcp.complete"):
                half_open.append(info["return_value"])
            elif event.endswith("start_tls.complete"):
                half_open.clear()

        asked = client.build_request("GET", url, headers=headers, extensions={"trace": trace})
        try:
            return await client.send(asked, stream=True)
        except BaseException:
            # httpx forgets a connection that is cancelled in the middle of TLS, for ever open
            for connection in half_open:
                await connection.aclose()
            raise

    def _client(self, url: httpx.URL) -> httpx.AsyncClient:
        way = "net"
        if _loopback(url):
            way = "plain loopback" if url.scheme == "http" else "loopback"
        if way not in self._clients:
            plain = LoopbackTransport() if way == "plain loopback" else None
            try:
                self._clients[way] = httpx.AsyncClient(
                    trust_env=way == "net",
                    timeout=None,  # noqa: S113 - one limit covers all steps: asyncio.timeout
                    transport=self._transport or plain,
                    headers={"User-Agent": "modelwidgets", "Accept-Encoding": "identity"},
                )
            except (ImportError, ValueError, httpx.InvalidURL) as error:
                raise RegistryUnreachableError(
                    url.host, f"the proxy settings of the environment fail: {_short(error)}"
                ) from error
        return self._clients[way]

    @asynccontextmanager
    async def _our_errors(self, host: str) -> AsyncIterator[asyncio.Timeout]:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                yield limit
        except TimeoutError as error:
            raise RegistryUnreachableError(host, f"no answer within {self._timeout:g} s") from error
        except httpx.RemoteProtocolError as error:
            raise RegistryError(
                f"{host} answered with something that is not HTTP ({_short(error)}). "
                "Check the address and its port; for a registry without TLS use insecure."
            ) from error
        except httpx.TransportError as error:
            raise RegistryUnreachableError(host, _reason(error)) from error
        except httpx.InvalidURL as error:
            raise RegistryUnreachableError(
                host, f"the address cannot be used: {_short(error)}"
            ) from error
        except UnicodeError as error:  # the resolver's word for a host name that cannot be
            raise RegistryUnreachableError(host, _short(error)) from error


def _url(name: ModelName, rest: str, *, insecure: bool) -> httpx.URL:
    scheme = "http" if insecure else "https"
    try:
        return _checked(
            httpx.URL(f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}/{rest}")
        )
    except httpx.InvalidURL as error:
        raise RegistryUnreachableError(
            name.host, f"the address cannot be used: {_short(error)}"
        ) from error


def _blob_url(name: ModelName, digest: str, *, insecure: bool) -> httpx.URL:
    check_digest(digest)
    return _url(name, f"blobs/{digest}", insecure=insecure)


def _address(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """An address that a registry points to, perhaps seen from `base`."""
    try:
        url = httpx.URL(text)
        return _checked(url if base is None else base.join(url))
    except httpx.InvalidURL as error:
        raise RegistryError(
            f"The registry points to {shown(text)}, which is no address ({_short(error)}). "
            "Tell whoever runs it, or take the model from elsewhere."
        ) from error


def _checked(url: httpx.URL) -> httpx.URL:
    """Refuse what httpx lets through and sockets choke on."""
    if not _HOST.fullmatch(url.raw_host.decode("ascii")):
        raise httpx.InvalidURL("no host in it")
    if url.port is not None and not 0 < url.port < 65536:
        raise httpx.InvalidURL(f"there is no port {url.port}")
    return url


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _loopback(url: httpx.URL) -> bool:
    if url.host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False


def _check_redirect(host: str, what: str, source: httpx.URL, target: httpx.URL) -> None:
    lowered = target.scheme != "https" and not (target.scheme == source.scheme == "http")
    if lowered or (_loopback(target) and not _loopback(source)):
        raise RegistryError(
            f"{host} redirects {what} to {target.scheme}://{target.host}, "
            f"which is {'not encrypted' if lowered else 'this machine'}, so it was not followed. "
            "Check the address; the registry or a proxy before it is at fault."
        )


def _check_range(response: httpx.Response, digest: str, start: int) -> None:
    if not response.headers.get("content-range", "").startswith(f"bytes {start}-"):
        raise RegistryError(
            f"{response.url.host} sent another range of {digest[:19]} than asked for. "
            "Try again; if it happens again, the registry is at fault."
        )


async def _check(response: httpx.Response, name: ModelName) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    said = await _excerpt(response)
    if status in (401, 403):
        raise RegistryRefusedError(
            f"{name.host} refuses {name} ({status}{said}). "
            "It does not exist there, is private, or wants terms to be accepted first: "
            "check the spelling, or sign in on its page."
        )
    if status == 429:
        next_step = "It limits how often it may be asked: wait a few minutes, then try again."
    elif status >= 500:
        next_step = "The fault is on its side: try again later."
    else:
        next_step = "Check the name and the tag."
    raise RegistryError(f"{name.host} answered {status} for {name}{said}. {next_step}")


async def _excerpt(response: httpx.Response) -> str:
    raw = await _read_up_to(response, _MAX_EXCERPT_BYTES)
    if _is_html(response, raw):
        return ": a web page"
    said = read_json(raw)
    if isinstance(said, dict):
        errors = said.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else said
        for key in ("message", "error", "code"):
            if isinstance(first, dict) and isinstance(first.get(key), str) and first[key]:
                return f": {_plain(first[key])}"
    text = _plain(raw.decode(errors="replace"))
    return f": {text}" if text else ""


def _plain(text: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (words if len(words) <= 300 else words[:297] + "...").rstrip(".")


async def _read(response: httpx.Response, limit: int, host: str) -> bytes:
    raw = await _read_up_to(response, limit + 1)
    if len(raw) > limit:
        raise RegistryError(
            f"{host} answers with more than {limit >> 10} KiB where a short text belongs. "
            "Check the address; this is no registry, or a broken one."
        )
    return raw


async def _read_up_to(response: httpx.Response, limit: int) -> bytes:
    raw = bytearray()
    async with aclosing(_pieces(response, limit)) as pieces:
        async for piece in pieces:
            raw += piece
    return bytes(raw)


async def _pieces(response: httpx.Response, limit: int) -> AsyncGenerator[bytes, None]:
    """The first `limit` bytes as they came: an encoding nobody asked for is not unpacked."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise RegistryError(
            f"{response.url.host} sent its answer packed ({_plain(encoding)}) without being asked. "
            "Check for a proxy that changes answers on the way."
        )
    # A generator in truth: one left half read must be closed here, not whenever it is collected.
    pieces = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece[:limit]
                limit -= len(piece)
                if limit <= 0:
                    break
    except httpx.TransportError as error:
        raise RegistryUnreachableError(response.url.host, "its answer broke off") from error


def _is_html(response: httpx.Response, raw: bytes) -> bool:
    kind = response.headers.get("content-type", "")
    return "html" in kind.lower() or raw.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


def _reason(error: BaseException) -> str:
    """The cause below httpx's and anyio's wrappings, in few words."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, socket.gaierror):
            return "the host name is not known"
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {seen.verify_message}"
        if isinstance(seen, ssl.SSLError):
            return f"no TLS there: {seen.reason or _short(seen)}"
        if isinstance(seen, ConnectionRefusedError) or "Connect call failed" in str(seen):
            return "connection refused"
        if isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
        else:
            seen = seen.__cause__ or seen.__context__
    if isinstance(error, httpx.ProxyError):
        return f"the proxy does not let through: {_short(error)}"
    return _short(error)


def _short(error: BaseException) -> str:
    return _plain(str(error))[:160] or type(error).__name__
