"""The server that is asked: how it is, and how to start one.

Two can be started from here: Ollama itself, where its program is installed, and the embedded store,
a process of its own that ends with its starter and is remembered in the state folder, so that the
next kernel finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from modelwidgets.clock import Clock
from modelwidgets.errors import (
    BadAnswerError,
    NotOllamaError,
    OllamaError,
    OllamaTimeoutError,
    OllamaUnreachableError,
    StoreError,
)
from modelwidgets.folders import state_folder
from modelwidgets.records import ServiceState, ServiceStatus
from modelwidgets.shared_file import locked, replace
from modelwidgets.stores.ollama import OllamaClient, is_local
from modelwidgets.tables import visible

OLDEST_TESTED = (0, 6, 4)
"""The recordings are replayed in the shapes of this version; older ones may lack fields."""
START_SECONDS = 30.0
_REMEMBERED = "embedded-store.json"
_LONGEST_NUMBER = 9
"""Digits of a number in a version; Python refuses to read very long ones."""

_started: list[subprocess.Popen[str]] = []
"""Their standard input stays open as long as we live; its end is what stops them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a server: how it is, and where its store lies if it says so."""

    status: ServiceStatus
    folder: str | None


async def look(client: OllamaClient, *, viewer: str, clock: Clock) -> Look:
    """Ask a server how it is; every failure is an answer too."""
    state: ServiceState = "running"
    reason = version = folder = samples = None
    embedded = False
    local = is_local(client.url)
    try:
        identity = await client.identify()
    except OllamaUnreachableError as error:
        state, reason = ("stopped" if local else "unreachable"), str(error)
    except OllamaTimeoutError as error:
        state, reason = "hung", str(error)
    except (NotOllamaError, BadAnswerError) as error:
        state, reason = "foreign", str(error)
    except OllamaError as error:
        state, reason = "unreachable", str(error)
    else:
        version, embedded = identity.version, identity.embedded
        folder, samples = identity.folder, identity.sample_registry
    kind: Any = "unknown" if version is None else "embedded" if embedded else "ollama"
    status = ServiceStatus(
        state=state,
        reason=reason,
        url=client.url,
        version=version,
        kind=kind,
        local=local,
        old=_old(version),
        sample_registry=samples,
        viewer=viewer,
        checked_at=clock.now(),
    )
    return Look(status=status, folder=folder)


def version_tuple(version: str | None) -> tuple[int, ...] | None:
    """`0.33.0-rc2` as (0, 33, 0); None for source builds (`0.0.0`) and what is no version."""
    numbers = (version or "").lstrip("v").partition("-")[0].partition("+")[0].split(".")
    if not all(number.isdecimal() and len(number) <= _LONGEST_NUMBER for number in numbers):
        return None
    parsed = tuple(int(number) for number in numbers)
    return parsed if any(parsed) else None


def _old(version: str | None) -> str | None:
    parsed = version_tuple(version)
    if parsed is None or parsed >= OLDEST_TESTED:
        return None
    oldest = ".".join(map(str, OLDEST_TESTED))
    return (
        f"Ollama {version} is older than {oldest}, the oldest version that is tested here: "
        "capabilities and context lengths may be missing. Update Ollama to see them."
    )


async def find_embedded_store() -> str | None:
    """The address of the embedded store that an earlier process started, if it still runs."""
    try:
        remembered = json.loads((state_folder() / _REMEMBERED).read_text("utf-8"))
        url = str(remembered["url"])
        if not is_local(url):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with contextlib.suppress(OllamaError):
        async with OllamaClient(url, timeout=2) as client:
            if (await client.identify()).embedded:
                return client.url
    return None


async def usual_url(*, within_seconds: float = 10.0) -> str | None:
    """The server to ask where nobody names one: None is what `OllamaClient` takes by itself.

    It is another only where none answers there and an embedded store runs at a port of its own.
    """
    if os.environ.get("OLLAMA_HOST"):
        return None
    try:
        async with OllamaClient(timeout=within_seconds) as client:
            await client.identify()
    except OllamaError:
        return await find_embedded_store()
    return None


async def start_embedded_store(*, keep: bool = False, within_seconds: float = START_SECONDS) -> str:
    """Start the embedded store (or find the one that runs) and give its address.

    It ends with this process unless `keep`. Raises `StoreError` with the store's own words.
    """
    found = await find_embedded_store()
    if found is not None:
        return found
    return await asyncio.to_thread(_find_or_start, keep, within_seconds)


def _find_or_start(keep: bool, within_seconds: float) -> str:
    """Of several processes that want a store at once, one starts it and the others find it."""
    try:
        path = state_folder() / _REMEMBERED
        with locked(path, wait_seconds=within_seconds):
            found = asyncio.run(find_embedded_store())
            return _start(path, keep, within_seconds) if found is None else found
    except TimeoutError:
        raise StoreError(
            f"Another program has been starting the embedded store for {within_seconds:g} s. "
            "Try again."
        ) from None
    except OSError as error:
        raise StoreError(f"The embedded store cannot be started: {error}.") from error


def _start(path: Path, keep: bool, within_seconds: float) -> str:
    words = ["serve", "--json", "--port", "auto", "--samples", "auto"]
    log = _Log("embedded-store.log")
    with log.path.open("ab") as errors:
        process = subprocess.Popen(
            [*python(), "-m", "modelwidgets", *words, *([] if keep else ["--while-stdin"])],
            stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            **detached(),
        )
    try:
        said = json.loads(_first_line(process, within_seconds))
    except TimeoutError:
        said = {"error": f"The embedded store was not ready within {within_seconds:g} s. {log}"}
    except ValueError:
        said = {"error": f"The embedded store ended before it was ready. {log}"}
    if "error" in said:
        _end(process)
        raise StoreError(str(said["error"]))
    _started.append(process)
    remember = {"url": said["url"], "pid": process.pid, "folder": said["folder"]}
    replace(path, json.dumps(remember).encode())
    return str(said["url"])


async def start_ollama(client: OllamaClient, *, within_seconds: float = START_SECONDS) -> None:
    """Start `ollama serve` for the address of `client` and wait until it answers.

    It outlives this process. Raises `StoreError` where there is no program, or it does not come up.
    """
    program = shutil.which("ollama")
    if program is None:
        raise StoreError(
            "There is no `ollama` program on this machine's PATH. Install Ollama "
            "(https://ollama.com/download), or use the embedded store."
        )
    if not is_local(client.url):
        raise StoreError(f"{client.url} is on another machine: start Ollama there.")
    try:
        log = _Log("ollama-serve.log")
        with log.path.open("ab") as output:
            process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once and outlives the loop
                [program, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                env={**os.environ, "OLLAMA_HOST": client.url},
                **detached(),
            )
    except OSError as error:
        raise StoreError(f"`{program} serve` cannot be started: {error}.") from error
    try:
        async with asyncio.timeout(within_seconds):
            await _answers(client, process, log)
    except TimeoutError:
        _end(process)
        raise StoreError(
            f"`ollama serve` did not answer within {within_seconds:g} s and was ended. {log}"
        ) from None
    _started.append(process)


async def _answers(client: OllamaClient, process: subprocess.Popen[str], log: _Log) -> None:
    while True:
        if process.poll() is not None:
            raise StoreError(f"`ollama serve` ended at once (code {process.returncode}). {log}")
        with contextlib.suppress(OllamaError):
            await client.identify()
            return
        await asyncio.sleep(0.2)


class _Log:
    """What a server that we start writes, added to a file of the state folder."""

    def __init__(self, name: str) -> None:
        self.path = state_folder() / name
        self._begin = self.path.stat().st_size if self.path.exists() else 0

    def __str__(self) -> str:
        """Its last line since we started it, for a sentence about how that went wrong."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            lines = file.read(1 << 20).decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"It said: {visible(last)[:300]} ({self.path})" if last else "It said nothing."


def _first_line(process: subprocess.Popen[str], within_seconds: float) -> str:
    """What it says first, empty where it ends before; `TimeoutError` where it takes too long."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(within_seconds, end)
    timer.start()
    with cast("TextIO", process.stdout) as said:
        line = said.readline()
    timer.cancel()
    if late.is_set():
        raise TimeoutError
    return line


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def python() -> list[str]:
    """For programs of our own: without `-P` a `queue.py` where the user works shadows Python's."""
    return [sys.executable, "-P"]


def detached() -> dict[str, Any]:
    """So that an interrupt of the kernel does not reach the server."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    return {"start_new_session": True}
