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
from dataclasses import dataclass
from typing import Any

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
from modelwidgets.stores.ollama import OllamaClient, is_local

OLDEST_TESTED = (0, 6, 4)
"""The recordings are replayed in the shapes of this version; older ones may lack fields."""
START_SECONDS = 20.0
_REMEMBERED = "embedded-store.json"

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
    if not all(number.isdecimal() for number in numbers):
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
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not is_local(url):
        return None
    with contextlib.suppress(OllamaError):
        async with OllamaClient(url, timeout=2) as client:
            if (await client.identify()).embedded:
                return url
    return None


async def start_embedded_store(*, keep: bool = False) -> str:
    """Start the embedded store (or find the one that runs) and give its address.

    It ends with this process unless `keep`. Raises `StoreError` with the store's own words.
    """
    found = await find_embedded_store()
    return found if found is not None else await asyncio.to_thread(_start_embedded_store, keep)


def _start_embedded_store(keep: bool) -> str:
    words = ["-m", "modelwidgets", "serve", "--json", "--port", "auto", "--samples", "auto"]
    log = state_folder() / "embedded-store.log"
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, *words, *([] if keep else ["--while-stdin"])],
            stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            **_detached(),
        )
    _started.append(process)
    line = process.stdout.readline() if process.stdout else ""
    try:
        said = json.loads(line)
    except ValueError:
        raise StoreError(
            f"The embedded store ended before it was ready. Its words are in {log}."
        ) from None
    if "error" in said:
        raise StoreError(str(said["error"]))
    url = str(said["url"])
    remember = json.dumps({"url": url, "pid": process.pid, "folder": said.get("folder")})
    path = state_folder() / _REMEMBERED
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_text(remember, "utf-8")
    scratch.replace(path)
    return url


async def start_ollama(client: OllamaClient) -> None:
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
    log = state_folder() / "ollama-serve.log"
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once and outlives the loop
            [program, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            env={**os.environ, "OLLAMA_HOST": client.url},
            **_detached(),
        )
    _started.append(process)
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                if process.poll() is not None:
                    raise StoreError(
                        f"`ollama serve` ended at once (code {process.returncode}). "
                        f"Its words are in {log}."
                    )
                with contextlib.suppress(OllamaError):
                    await client.identify()
                    return
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise StoreError(
            f"`ollama serve` did not answer within {START_SECONDS:g} s. Its words are in {log}."
        ) from None


def _detached() -> dict[str, Any]:
    """So that an interrupt of the kernel does not reach the server."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    return {"start_new_session": True}
