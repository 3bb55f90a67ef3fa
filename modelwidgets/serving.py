"""Runs the embedded store, with or without the sample registry, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Literal

from modelwidgets.errors import RegistryError, RegistryUnreachableError, StoreError
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.registry import RegistryClient

Samples = Literal["never", "auto", "always"]
OLLAMA_PORT = 11434
ASKED_FOR = "llama3.2"
"""The name by which `auto` tries whether the real registry is in reach."""


async def serve(
    *,
    host: str,
    port: str,
    folder: str | None,
    samples: Samples,
    while_stdin: bool,
    as_json: bool,
) -> int:
    """Serve until interrupted, terminated, or (`while_stdin`) standard input ends."""
    async with contextlib.AsyncExitStack() as stack:
        registry = None
        if samples == "always" or (samples == "auto" and await _registry_out_of_reach()):
            registry = await _start_samples(stack)
        store = await _start_store(host, port, Path(folder) if folder else None, registry)
        stack.push_async_callback(store.stop)
        _announce(store, registry, as_json=as_json)
        await _told_to_end(while_stdin)
    return 0


async def _registry_out_of_reach() -> bool:
    registry = RegistryClient()
    try:
        await registry.manifest(ASKED_FOR)
    except RegistryUnreachableError:
        return True
    except RegistryError:
        return False  # it answered, if only to refuse
    else:
        return False
    finally:
        await registry.aclose()


async def _start_samples(stack: contextlib.AsyncExitStack) -> str:
    from modelwidgets.stores import samples as made  # noqa: PLC0415 - only with samples
    from modelwidgets.stores.sample_registry import SampleRegistry  # noqa: PLC0415

    folder = made.default_folder()
    await asyncio.to_thread(made.make_samples, folder)
    samples = SampleRegistry(folder)
    await samples.start()
    stack.push_async_callback(samples.stop)
    return samples.host_port


async def _start_store(
    host: str, port: str, folder: Path | None, registry: str | None
) -> EmbeddedStore:
    if port != "auto" and not (port.isdecimal() and int(port) < 65536):
        raise StoreError(f"{port!r} is no port: use a number up to 65535, or `auto`.")
    wanted = [OLLAMA_PORT, 0] if port == "auto" else [int(port)]
    for last, number in enumerate(wanted, 1):
        store = EmbeddedStore(folder, host=host, port=number, sample_registry=registry)
        try:
            await store.start()
        except StoreError as error:
            if last == len(wanted) or "port" not in str(error).lower():
                raise
        else:
            return store
    raise StoreError(f"No port could be used at {host}.")


def _announce(store: EmbeddedStore, registry: str | None, *, as_json: bool) -> None:
    if as_json:
        said = {"url": store.url, "folder": str(store.folder), "sample_registry": registry}
        print(json.dumps(said), flush=True)
        return
    print(f"The embedded store answers at {store.url}, models lie in {store.folder}.")
    if registry is not None:
        print(f"A few tiny sample models are served at {registry}.")
    print("It manages models and runs none. Stop it with Ctrl-C.", flush=True)


async def _told_to_end(while_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers on loops
        loop.add_signal_handler(signal.SIGTERM, told.set)
    if while_stdin:
        import threading  # noqa: PLC0415 - only here

        def wait_for_end() -> None:
            with contextlib.suppress(OSError, ValueError):
                while sys.stdin.buffer.read(1024):
                    pass
            with contextlib.suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(told.set)

        threading.Thread(target=wait_for_end, name="stdin", daemon=True).start()
    await told.wait()
