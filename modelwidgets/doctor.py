"""Says what works here, and why the rest does not."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelwidgets import service
from modelwidgets.clock import Clock
from modelwidgets.errors import ModelWidgetsError, OllamaError
from modelwidgets.folders import cache_folder, config_folder, data_folder, state_folder
from modelwidgets.library import load_catalog
from modelwidgets.memory.devices import probe_devices
from modelwidgets.records import ServiceStatus
from modelwidgets.sizes import gb, gib
from modelwidgets.stores.ollama import OllamaClient, is_local
from modelwidgets.stores.ollama_files import StoreFiles, find_store
from modelwidgets.stores.registry import RegistryClient
from modelwidgets.tables import visible

Result = Literal["ok", "note", "failed"]
SECONDS = 3.0
"""For so long a server is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at."""

    what: str
    outcome: Result
    """"note": it works without; "failed": the main job does not work before this is mended."""
    seen: str


async def examine(url: str | None) -> list[Check]:
    """Look at everything that the main job needs, each within a few seconds."""
    return [
        _python(),
        *await _about_server(url),
        await _guarded("registry", _registry, "note"),
        await _guarded("catalog", _catalog, "failed"),
        await _guarded("GPU and memory", _devices, "note"),
        _page(),
        *(_needed(name, why) for name, why in _NEEDED),
        *(_extra(name, why) for name, why in _EXTRA),
        _folders(),
    ]


def checks_text(checks: list[Check]) -> str:
    """A line a check, the outcome in front."""
    width = max(len(check.what) for check in checks)
    marks = {"ok": "ok    ", "note": "note  ", "failed": "FAILED"}
    return "\n".join(
        f"{marks[check.outcome]}  {check.what.ljust(width)}  {visible(check.seen)}"
        for check in checks
    )


_NEEDED = (("anywidget", "widgets in notebooks"), ("ipywidgets", "widgets in notebooks"))
_EXTRA = (
    ("jupyterlab", "opening the demo: pip install modelwidgets[lab]"),
    ("ipykernel", "running notebooks: pip install modelwidgets[demo]"),
    ("argcomplete", "completion in shells: pip install modelwidgets[cli]"),
)


async def _guarded(what: str, look: Callable[[], Awaitable[Check]], on_failure: Result) -> Check:
    try:
        return await look()
    except (ModelWidgetsError, OSError) as error:
        return Check(what=what, outcome=on_failure, seen=str(error))


def _python() -> Check:
    seen = f"{platform.python_version()} on {platform.platform()}"
    enough = sys.version_info >= (3, 11)
    return Check(what="Python", outcome="ok" if enough else "failed", seen=seen)


async def _about_server(url: str | None) -> list[Check]:
    try:
        asked = url or await service.usual_url(within_seconds=SECONDS)
        client = OllamaClient(asked, timeout=SECONDS)
    except OllamaError as error:  # what stands in OLLAMA_HOST is no address
        return [Check(what="server", outcome="failed", seen=str(error))]
    async with client:
        look = await service.look(client, viewer="doctor", clock=Clock())
        checks = [_server(look.status), _proxies(client.url)]
        if look.status.state == "running":
            checks.insert(1, await _guarded("store", lambda: _store(client, look.folder), "note"))
    return checks


def _server(status: ServiceStatus) -> Check:
    if status.state != "running":
        seen = str(status.reason)
        if status.local and shutil.which("ollama") is None:
            seen += " There is no `ollama` program on PATH."
        return Check(what="server", outcome="failed", seen=seen)
    if status.kind == "embedded":
        samples = ", with sample models" if status.sample_registry else ""
        seen = f"embedded store at {status.url}{samples}; it runs no models"
        return Check(what="server", outcome="ok", seen=seen)
    seen = f"Ollama {status.version} at {status.url}"
    if status.old:
        return Check(what="server", outcome="note", seen=f"{seen}. {status.old}")
    return Check(what="server", outcome="ok", seen=seen)


async def _store(client: OllamaClient, folder: str | None) -> Check:
    if not is_local(client.url):
        seen = "on another machine, so sizes are at most, and free space is unknown"
        return Check(what="store", outcome="note", seen=seen)
    models = await client.list_models()
    store = StoreFiles(folder) if folder else await asyncio.to_thread(find_store, models)
    if store is None:
        seen = "its folder cannot be read from here, so sizes are at most, and free space unknown"
        return Check(what="store", outcome="note", seen=seen)
    usage = await asyncio.to_thread(store.disk_usage)
    count = "1 model" if len(models) == 1 else f"{len(models)} models"
    seen = f"{count}, {gb(usage.used_bytes)} in {usage.path}, {gb(usage.free_bytes)} free"
    return Check(what="store", outcome="ok", seen=seen)


async def _registry() -> Check:
    registry = RegistryClient()
    try:
        manifest = await registry.manifest("llama3.2")
    finally:
        await registry.aclose()
    seen = f"in reach (llama3.2 has {gb(manifest.total_bytes)})"
    return Check(what="registry", outcome="ok", seen=seen)


def _proxies(url: str) -> Check:
    named = [key for key in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") if _environment(key)]
    if not named:
        return Check(what="proxies", outcome="ok", seen="none set")
    seen = f"{', '.join(named)} set; the Ollama server needs HTTPS_PROXY itself for its pulls"
    if not is_local(url) and "HTTP_PROXY" in named:
        seen += "; requests to the server go through it too unless NO_PROXY names its host"
    return Check(what="proxies", outcome="note", seen=seen)


def _environment(key: str) -> str | None:
    return os.environ.get(key) or os.environ.get(key.lower())


async def _catalog() -> Check:
    catalog = await asyncio.to_thread(load_catalog)
    seen = f"{len(catalog.models)} models as of {catalog.as_of}"
    if catalog.problems:
        return Check(what="catalog", outcome="note", seen=f"{seen}; {catalog.problems[0]}")
    return Check(what="catalog", outcome="ok", seen=seen)


async def _devices() -> Check:
    devices = await asyncio.to_thread(probe_devices)
    ram = f"RAM {gib(devices.ram_available_bytes)} free of {gib(devices.ram_total_bytes)}"
    if not devices.gpus:
        return Check(what="GPU and memory", outcome="note", seen=f"{devices.reason}; {ram}")
    gpus = (
        gpu.error or f"{gpu.name} {gib(gpu.free_bytes or 0)} free of {gib(gpu.total_bytes or 0)}"
        for gpu in devices.gpus
    )
    return Check(what="GPU and memory", outcome="ok", seen=f"{', '.join(gpus)}; {ram}")


def _page() -> Check:
    static = Path(__file__).parent / "static"
    assets = ("widget.js", "later.js", "widget.css")
    missing = [name for name in assets if not (static / name).exists()]
    if missing:
        seen = f"{', '.join(missing)} missing: in a checkout run `make assets`"
        return Check(what="page", outcome="failed", seen=seen)
    return Check(what="page", outcome="ok", seen=f"built, in {static}")


def _needed(name: str, why: str) -> Check:
    version = _version(name)
    if version is None:
        seen = f"not installed, but needed for {why}: pip install {name}"
        return Check(what=name, outcome="failed", seen=seen)
    return Check(what=name, outcome="ok", seen=version)


def _extra(name: str, why: str) -> Check:
    version = _version(name)
    if version is None:
        return Check(what=name, outcome="note", seen=f"not installed; it is for {why}")
    return Check(what=name, outcome="ok", seen=version)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folders() -> Check:
    try:
        folders = [state_folder(), config_folder(), cache_folder(), data_folder()]
    except OSError as error:
        return Check(what="folders", outcome="failed", seen=f"cannot be made: {error}")
    closed = [str(folder) for folder in folders if not os.access(folder, os.W_OK | os.X_OK)]
    if closed:
        return Check(what="folders", outcome="failed", seen=f"not writable: {', '.join(closed)}")
    return Check(what="folders", outcome="ok", seen=", ".join(map(str, folders)))
