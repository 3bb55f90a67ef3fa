"""Runs the embedded store, with or without the sample registry, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Literal

from modelwidgets.errors import ManifestNotFoundError, RegistryError, StoreError
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.registry import RegistryClient

Samples = Literal["never", "auto", "always"]
OLLAMA_PORT = 11434
SAMPLES_PORT = 11435
"""Where it is free: the names of samples hold the port, and should be the same tomorrow."""
SAMPLES_PACE = 5e6
"""Bytes a second where samples stand in, so that a pull can be watched, stopped and resumed."""
ASKED_FOR = "llama3.2"
"""The name by which `auto` tries whether the real registry is in reach."""
_OPEN = (
    "Warning: it listens on {host}, so everybody who can reach this machine can pull, copy and "
    "delete models, without a password. `--host 127.0.0.1` keeps it to this machine."
)


async def serve(
    *,
    host: str,
    port: int | None,
    folder: str | None,
    samples: Samples,
    while_stdin: bool,
    as_json: bool,
) -> int:
    """Serve until interrupted, terminated, or (`while_stdin`) standard input ends.

    Without a `port`, Ollama's is used where it is free, else any.
    """
    async with contextlib.AsyncExitStack() as stack:
        registry = None
        if samples == "always":
            registry = await _start_samples(stack)
        elif samples == "auto" and await _registry_out_of_reach():
            registry = await _start_samples(stack, port=SAMPLES_PORT, pace=SAMPLES_PACE)
        store = await _start_store(host, port, Path(folder) if folder else None, registry)
        stack.push_async_callback(store.stop)
        told = told_to_end(while_stdin=while_stdin)
        _announce(store, registry, as_json=as_json)
        if _open_to_others(host):
            print(_OPEN.format(host=host or "all addresses"), file=sys.stderr, flush=True)
        await told.wait()
    return 0


async def _registry_out_of_reach() -> bool:
    """Whether the real registry gives no manifest: no network, a proxy's no, a login page."""
    registry = RegistryClient()
    try:
        await registry.manifest(ASKED_FOR)
    except ManifestNotFoundError:
        return False
    except RegistryError:
        return True
    else:
        return False
    finally:
        await registry.aclose()


async def _start_samples(
    stack: contextlib.AsyncExitStack, *, port: int = 0, pace: float | None = None
) -> str:
    from modelwidgets.stores import samples as made  # noqa: PLC0415 - only with samples
    from modelwidgets.stores.sample_registry import SampleRegistry  # noqa: PLC0415

    folder = made.default_folder()
    await asyncio.to_thread(made.make_samples, folder)
    samples = SampleRegistry(folder, port=port)
    try:
        await samples.start()
    except OSError:
        samples = SampleRegistry(folder)
        await samples.start()
    samples.faults.throttle_bytes_per_second = pace
    stack.push_async_callback(samples.stop)
    return samples.host_port


async def _start_store(
    host: str, port: int | None, folder: Path | None, registry: str | None
) -> EmbeddedStore:
    if port is None:
        # whatever is wrong besides the port is wrong at any port, and said then
        with contextlib.suppress(StoreError):
            return await _start_store(host, OLLAMA_PORT, folder, registry)
    store = EmbeddedStore(folder, host=host, port=port or 0, sample_registry=registry)
    await store.start()
    return store


def _open_to_others(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _announce(store: EmbeddedStore, registry: str | None, *, as_json: bool) -> None:
    if as_json:
        said = {"url": store.url, "folder": str(store.folder), "sample_registry": registry}
        print(json.dumps(said), flush=True)
        return
    print(f"The embedded store answers at {store.url}, models lie in {store.folder}.")
    if registry is not None:
        print(f"A few tiny sample models are served at {registry}.")
    print("It manages models and runs none. Stop it with Ctrl-C.", flush=True)


def told_to_end(*, while_stdin: bool = False) -> asyncio.Event:
    """Set once somebody wants the end: by a signal, by closing the terminal or standard input.

    An interrupt is none of them: it cancels whoever waits. The one signal that Windows lets a
    program hear is Ctrl-Break.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    if sys.platform == "win32":  # whose loops take no handlers
        signal.signal(signal.SIGBREAK, lambda *_: loop.call_soon_threadsafe(told.set))
    else:
        loop.add_signal_handler(signal.SIGTERM, told.set)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            loop.add_signal_handler(signal.SIGHUP, told.set)
    if while_stdin:

        def wait_for_end() -> None:
            # past the buffer of `sys.stdin`: its lock, held by a thread, breaks Python's own end
            with contextlib.suppress(OSError, ValueError, AttributeError):
                while os.read(sys.stdin.fileno(), 1024):
                    pass
            with contextlib.suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(told.set)

        threading.Thread(target=wait_for_end, name="stdin", daemon=True).start()
    return told
