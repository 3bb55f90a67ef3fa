"""The installed models of a server on this machine, before a terminal has loaded anything.

Why beside `OllamaClient`: loading httpx and asyncio takes several times as long as the question.
Only the one plain good answer is read here. Wherever anything is unusual (another machine, a login,
nobody there, an error, something odd in the answer) this one is silent, and whoever asked asks the
client, which knows the words for it.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import threading
import warnings
from collections.abc import Iterator
from urllib.parse import urlsplit

from modelwidgets.records import InstalledModel
from modelwidgets.stores import answers
from modelwidgets.stores.address import address

_LONGEST_BYTES = 64 << 20


def installed_at_a_glance(url: str | None, *, seconds: float = 2.0) -> list[InstalledModel] | None:
    """What `/api/tags` lists, newest first; None where the client has to be asked.

    `url` is read like OLLAMA_HOST, which is the default; `seconds` limits all of it.
    """
    with warnings.catch_warnings(record=True) as doubts:
        where = address(url, strict=url is not None)
    parts = urlsplit(where.url)
    if doubts or where.login or parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
        return None
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        with contextlib.closing(connection), _limited(connection, seconds):
            connection.request("GET", f"{parts.path}/api/tags")
            response = connection.getresponse()
            raw = response.read(_LONGEST_BYTES + 1)
            cut = bool(response.length)  # bytes that were announced and did not come
            if response.status != 200 or cut or len(raw) > _LONGEST_BYTES:
                return None
            return answers.installed_models(answers.decode_object(raw))
    except (OSError, http.client.HTTPException, answers.UnreadableError):
        return None  # asked again by the client, which says what is wrong


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, `localhost` too: Windows needs two seconds for it


@contextlib.contextmanager
def _limited(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Connected, and for no longer: a socket's own limit starts anew with each byte."""
    connection.connect()
    link: socket.socket = connection.sock

    def end() -> None:
        with contextlib.suppress(OSError):  # it has ended by itself
            link.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
