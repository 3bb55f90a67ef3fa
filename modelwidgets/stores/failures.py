"""What httpx raises and what a server refuses, as the errors of this package."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from modelwidgets.errors import (
    BadAnswerError,
    ModelNotFoundError,
    NotOllamaError,
    OllamaError,
    OllamaResponseError,
    OllamaTimeoutError,
    OllamaUnreachableError,
    PullFailedError,
)
from modelwidgets.stores import advice, answers

CONNECT_SHARE = 0.5
"""Of the time for a request, so that "nothing there" is told from "it does not answer"."""

_REASONS = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ENETUNREACH: "no network leads there",
}


@contextmanager
def caught(url: str, seconds: float) -> Iterator[None]:
    """Let no error of a request to `url`, limited to `seconds`, leave as it is."""
    try:
        yield
    except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
        raise OllamaTimeoutError(url, seconds) from error
    except httpx.ConnectTimeout as error:
        raise OllamaUnreachableError(url, "no connection in time") from error
    except httpx.RemoteProtocolError as error:
        if "closed" in str(error):
            raise BadAnswerError(url, "it ends in the middle") from error
        if "disconnected" not in str(error):
            raise NotOllamaError(url, "it speaks no HTTP/1.1") from error
        raise OllamaUnreachableError(url, _reason(error)) from error
    except httpx.HTTPError as error:
        raise OllamaUnreachableError(url, _reason(error)) from error


def refusal(
    url: str,
    response: httpx.Response,
    raw: bytes,
    failed: type[OllamaResponseError] = OllamaResponseError,
) -> OllamaError:
    """The error that an answer with a status from 300 up stands for."""
    status = response.status_code
    if status < 400:
        return BadAnswerError(url, seen(response, raw))
    try:
        data = answers.decode_object(raw)
    except answers.UnreadableError:
        data = {}
    if "error" in data:
        text = answers.error_text(data)
        if failed is OllamaResponseError and advice.is_not_found(text):
            failed = ModelNotFoundError
        return failed(text, status_code=status, next_step=advice.next_step(text))
    plain = response.headers.get("Content-Type", "").startswith("text/plain")
    text = raw.decode(errors="replace").strip() if plain else ""
    text = text or f"HTTP {status} {response.reason_phrase}, without an explanation"
    return failed(text, status_code=status, next_step=advice.next_step_by_status(status))


def broken_off(failed: type[OllamaResponseError], said: str) -> OllamaResponseError:
    """The error for a stream that ended early without a word of the server."""
    again = "It may have been stopped or restarted: check that it runs, then do it again."
    resumes = " A pull resumes at the bytes that are kept." if failed is PullFailedError else ""
    return failed(said, next_step=again + resumes)


def seen(response: httpx.Response, raw: bytes) -> str:
    """In a few words, what an answer looks like that Ollama would not give."""
    if 300 <= response.status_code < 400:
        target = response.headers.get("Location", "")[:200].partition("?")[0]
        return f"it redirects to {target!a}, which is not followed"
    kind = response.headers.get("Content-Type", "no content type")[:60]
    return f"HTTP {response.status_code}, {kind!a}: {answers.excerpt(raw)}"


def _reason(error: BaseException) -> str:
    """Why there was no connection, in a few words, from whatever lies beneath httpx's error."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "the name of the host is not known"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak https"
        if isinstance(cause, OSError):
            # asyncio folds the failures of several addresses into one text
            numbers = {cause.errno, *map(int, re.findall(r"\[Errno (\d+)\]", str(cause)))}
            for number in _REASONS.keys() & numbers:
                return _REASONS[number]
    if isinstance(error, httpx.ProxyError):
        return "the proxy of the environment refused: name the host in NO_PROXY"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "it closed the connection without an answer"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        for cause in getattr(error, "exceptions", ()):
            yield from _causes(cause)
        yield from _causes(error.__cause__ or error.__context__)
