"""Where the server is: what stands in OLLAMA_HOST, or what a person typed, as a base URL."""

from __future__ import annotations

import ipaddress
import os
import re
import warnings
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from modelwidgets.errors import BadAddressError

_BIND_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - never bound, only replaced
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT = 11434
_LONGEST = 2048
_LABEL = re.compile(r"[\w-]{1,63}")
_PATH = re.compile(r"[\w.~!$&'()*+,;=:%/-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A base URL, and apart from it the login that may have stood in it."""

    url: str
    login: tuple[str, str] | None = field(repr=False)


def base_url(ollama_host: str | None) -> str:
    """Read the text as Ollama reads OLLAMA_HOST; None means the environment's.

    `0.0.0.0` and `::` are addresses to listen on, so this machine's loopback takes their place.
    """
    return address(ollama_host, strict=False).url


def is_local(url: str) -> bool:
    """Whether the URL leads to this machine by a loopback address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def address(text: str | None, *, strict: bool) -> Address:
    """Take the text apart; `strict` refuses a bad port where Ollama would take the default."""
    if text is None:
        text = os.environ.get("OLLAMA_HOST", "")
    text = text.strip().strip("\"'").strip()
    if len(text) > _LONGEST:
        raise _refused(text, f"it is longer than {_LONGEST} characters")
    if text == "ollama.com":
        text = "https://ollama.com"
    scheme, has_scheme, rest = text.partition("://")
    scheme, rest = (scheme.lower(), rest) if has_scheme else ("http", text)
    if scheme not in _DEFAULT_PORTS:
        raise _refused(text, "the scheme in front of `://` is neither http nor https")
    if not has_scheme and re.match("https?:?/", rest):
        raise _refused(text, "the scheme lacks its `://`")
    if "?" in rest or "#" in rest:
        raise _refused(text, "a query (`?`) or fragment (`#`) has no place in it")
    authority, _, path = rest.partition("/")
    login, _, host_port = authority.rpartition("@")
    if "@" in login + path:
        raise _refused(text, "the login holds a `@` or `/` (write them as %40 and %2F)")
    if not _PATH.fullmatch(path):
        raise _refused(text, "the path holds characters that a URL cannot hold")
    host, port_text = _split(text, host_port)
    port = _DEFAULT_PORTS[scheme] if has_scheme else _PORT
    if port_text and port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536:
        port = int(port_text)
    elif port_text:
        if strict:
            raise _refused(text, "the port is not a number from 1 to 65535")
        warnings.warn(
            f"The port of OLLAMA_HOST is not a number from 1 to 65535: {port} is used instead.",
            stacklevel=3,
        )
    path = path.rstrip("/")
    user, _, password = login.partition(":")
    return Address(
        url=f"{scheme}://{host}:{port}" + (f"/{path}" if path else ""),
        login=(unquote(user), unquote(password)) if login else None,
    )


def _split(text: str, host_port: str) -> tuple[str, str]:
    """Host (an IPv6 address in brackets) and port, as Go's `net.SplitHostPort` finds them."""
    if host_port.startswith("["):
        host, _, after = host_port[1:].partition("]")
        if after and not after.startswith(":"):
            raise _refused(text, "something other than a port follows the `]` of the host")
        port = after[1:]
    elif host_port.count(":") > 1:
        host, port = host_port, ""
    else:
        host, _, port = host_port.partition(":")
    host = host.lower() or "127.0.0.1"
    host = _BIND_ADDRESSES.get(host, host)
    if ":" in host or host_port.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host)}]"
        except ValueError:
            raise _refused(text, "the host is no IPv6 address") from None
        if "%" in host:
            raise _refused(text, "the host is an IPv6 address with a zone (`%`)")
    elif len(host) > 253 or not all(map(_LABEL.fullmatch, host.removesuffix(".").split("."))):
        raise _refused(text, "the host is no name or IP address")
    return host, port


def _refused(text: str, why: str) -> BadAddressError:
    """The error, showing of the text only what cannot be a login or a token."""
    scheme, has_scheme, rest = text.partition("://")
    shown = re.split("[?#]", rest if has_scheme else text)[0].rpartition("@")[2]
    shown = f"{scheme}://{shown}" if has_scheme else shown
    return BadAddressError(ascii(shown if len(shown) <= 80 else shown[:77] + "..."), why)
