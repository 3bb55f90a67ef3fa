"""One range of a file over HTTP, read into a buffer that the caller keeps.

Why http.client: see `transfer.py`. It follows redirects, uses the proxies of the environment (never
for this machine) and trusts the same certificates as every other request of this package. A thread
that waits in it is freed by `cut`, called from another thread.
"""

from __future__ import annotations

import functools
import http.client
import ipaddress
import selectors
import socket
import ssl
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import httpx

from modelwidgets.errors import TransferError

BUFFER_BYTES = 1 << 20
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the bytes lie, and the headers to ask for them with."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def redirected(self, location: str) -> Source:
        """Where the storage sends us; secrets stay with the host that they were given for."""
        url = urljoin(self.url, location)
        here, there = urlsplit(self.url), urlsplit(url)
        lowered = there.scheme != "https" and (here.scheme, there.scheme) != ("http", "http")
        inward = is_loopback(there.hostname or "") and not is_loopback(here.hostname or "")
        if lowered or inward:
            raise TransferError(
                f"{here.hostname} redirects to {there.scheme}://{there.hostname}, "
                f"which is {'not encrypted' if lowered else 'this machine'}, so it was not "
                "followed. The registry or a proxy before it is at fault."
            )
        return Source(url=url, headers=self.headers if here.netloc == there.netloc else {})


class UnexpectedStatusError(Exception):
    """The storage answered, but not with the bytes."""

    def __init__(self, status: int) -> None:
        super().__init__(f"unexpected status code {status}")


class RangeReader:
    """Reads the bytes from `start` to `end` of a file of `size_bytes`, wherever it redirects to."""

    def __init__(self, source: Source, *, size_bytes: int, timeout_seconds: float) -> None:
        self._source = source
        self._size_bytes = size_bytes
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._cut = False
        self._socket: socket.socket | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None

    def open(self, start: int, end: int) -> None:
        """Ask for the range; raises `TransferError` where the answer is about another file."""
        source = self._source
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._ask(source, f"bytes={start}-{end - 1}")
            location = response.getheader("location")
            if response.status not in _REDIRECTS or location is None:
                self._check(response, start, end)
                if response.status == 200:
                    self._skip(start)
                return
            self.close()
            source = source.redirected(location)
        raise TransferError(
            f"{urlsplit(source.url).hostname} redirects more than {_MAX_REDIRECTS} times. "
            "The registry or a proxy before it is set up in a circle."
        )

    def read_into(self, view: memoryview) -> int | None:
        """Fill the start of `view` with what is there: None nothing yet, 0 nothing any more."""
        if self._response is None:
            return 0
        try:
            # Below `HTTPResponse`, which would wait until the whole buffer is full.
            return self._response.fp.readinto1(view)
        except ssl.SSLWantReadError:
            return None

    def wait(self) -> None:
        """Until there may be something to read; raises `TimeoutError` after too long a silence."""
        if self._response is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._response.fp, selectors.EVENT_READ)
                if not selector.select(self._timeout):
                    raise TimeoutError

    def cut(self) -> None:
        """End whatever another thread waits for here; it then sees an error or an early end."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                with suppress(OSError):  # the other side was first
                    # Not the method of a TLS socket, which takes away what the reader stands on.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up; the reader can be opened again."""
        with self._lock:
            self._socket = None
        if self._response is not None:
            self._response.close()
            self._response = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, source: Source, wanted: str) -> http.client.HTTPResponse:
        connection, target = _connection(urlsplit(source.url), self._timeout)
        self._connection = connection
        connection.connect()
        with self._lock:
            self._socket = connected = connection.sock
            if self._cut:
                raise ConnectionAbortedError("stopped while connecting")
        connection.request(
            "GET",
            target,
            headers={
                "User-Agent": "modelwidgets",
                "Accept-Encoding": "identity",
                **source.headers,
                "Range": wanted,
            },
        )
        self._response = connection.getresponse()
        connected.setblocking(False)
        return self._response

    def _check(self, response: http.client.HTTPResponse, start: int, end: int) -> None:
        length = response.length  # None as well where it comes in chunks of unknown length
        if response.status == 206:
            given, _, whole = response.getheader("content-range", "").partition("/")
            right = given == f"bytes {start}-{end - 1}" and length == end - start
            right = right and whole in ("*", str(self._size_bytes))
        elif response.status == 200:
            right = length == self._size_bytes
        elif response.status == 416:
            right = False
        else:
            raise UnexpectedStatusError(response.status)
        if not right:
            raise TransferError(
                f"{urlsplit(self._source.url).hostname} has a file of another size than the "
                f"{self._size_bytes} bytes that were announced, or does not say its size. "
                "Try again later; if it happens again, whoever published it has to mend it."
            )

    def _skip(self, count: int) -> None:
        """Read over what comes before the range, from a server that knows no ranges."""
        view = memoryview(bytearray(BUFFER_BYTES))
        while count:
            read = self.read_into(view[:count])
            if read is None:
                self.wait()
            elif read:
                count -= read
            else:
                raise ConnectionResetError("ended before the range began")


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, by its name or address alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for `url`; none for this machine."""
    host = url.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address:
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _connection(url: SplitResult, timeout_seconds: float) -> tuple[http.client.HTTPConnection, str]:
    """A connection that leads to `url`, and what to ask for on it."""
    host = url.hostname or ""
    target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    proxy = proxy_for(url)
    via = (proxy.hostname or "", proxy.port or 80) if proxy else (host, url.port)
    if url.scheme == "https":
        secure = http.client.HTTPSConnection(*via, timeout=timeout_seconds, context=trust())
        if proxy:
            secure.set_tunnel(host, url.port, _proxy_login(proxy))
        return secure, target
    plain = http.client.HTTPConnection(*via, timeout=timeout_seconds)
    return plain, url._replace(fragment="").geturl() if proxy else target


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}


@functools.cache
def trust() -> ssl.SSLContext:
    """Whom this package trusts, read once: the list takes longer than a small download."""
    return httpx.create_ssl_context()
