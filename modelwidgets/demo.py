"""The quickstart notebook: opened in JupyterLab, or run without a browser."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import psutil

from modelwidgets import __version__, plain_json, service
from modelwidgets.clock import Clock
from modelwidgets.errors import ModelWidgetsError, StoreError
from modelwidgets.folders import data_folder
from modelwidgets.records import ServiceStatus
from modelwidgets.serving import told_to_end
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.tables import visible

T = TypeVar("T")
HERE = Path(__file__).parent
CELL_SECONDS = 120.0
START_SECONDS = 60.0
END_SECONDS = 10.0


class DemoError(ModelWidgetsError):
    """The quickstart could not be opened, or one of its cells failed."""


def notebook_path() -> Path:
    """The quickstart: in a checkout the one under `notebooks/`, else the copy in the wheel."""
    for path in (HERE.parent / "notebooks" / "quickstart.ipynb", HERE / "quickstart.ipynb"):
        if path.exists():
            return path
    raise DemoError("The quickstart notebook is missing from this installation: install it again.")


def notebook_to_open() -> Path:
    """A copy of the quickstart for its user to write to; JupyterLab saves what it runs.

    It stays as the user left it, until the quickstart itself is another one.
    """
    path = notebook_path()
    edition = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    own = data_folder() / "notebooks" / f"quickstart-{__version__}-{edition}.ipynb"
    if not own.exists():
        own.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, own)
    return own


# Without a browser


async def run_once(url: str | None, *, as_json: bool) -> int:
    """Run the notebook's cells in a kernel and print what they say."""
    _need("ipykernel")
    began = time.monotonic()
    said = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelwidgets-demo-")))
        if url is None:
            server, url = "an embedded store of its own", await _own_store(folder, stack)
        else:
            server = url = await _reached(url)
        if not as_json:
            print(f"The quickstart runs against {server}:\n", flush=True)
        # the user's own entries are none of the demo's business
        folders = {f"MODELWIDGETS_{what}_DIR": str(folder / what) for what in ("STATE", "CONFIG")}
        kernel = await stack.enter_async_context(_kernel(folder, {"OLLAMA_HOST": url, **folders}))
        async for text in _run_cells(kernel):
            said.append(text)
            if text and not as_json:
                print(text, flush=True)
    seconds = time.monotonic() - began
    if as_json:
        print(json.dumps({"url": url, "seconds": round(seconds, 1), "cells": said}, indent=2))
    else:
        print(f"\n{len(said)} cells in {seconds:.1f} s, all of them went well.")
    return 0


async def _own_store(folder: Path, stack: contextlib.AsyncExitStack) -> str:
    """The address of an embedded store with the samples, which ends with `stack`."""
    words = ["serve", "--json", "--port", "0", "--samples", "always", "--while-stdin"]
    process = await asyncio.create_subprocess_exec(
        *(*service.python(), "-m", "modelwidgets", *words, "--folder", str(folder / "models")),
        stdin=PIPE,
        stdout=PIPE,
        **service.detached(),
    )
    stack.push_async_callback(_ended, process)
    try:
        async with asyncio.timeout(START_SECONDS):
            said = json.loads(await cast("StreamReader", process.stdout).readline() or b"{}")
    except TimeoutError:
        said = {}
    if "url" not in said:
        raise StoreError(str(said.get("error", "The store ended before it was ready.")))
    return str(said["url"])


@contextlib.asynccontextmanager
async def _kernel(folder: Path, environment: dict[str, str]) -> AsyncIterator[Any]:
    """A kernel of this Python, whatever kernels the user has set up; gives its manager."""
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415 - the extra `demo`
    from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415

    words = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    # no history of these cells, and no word on encryption, which loopback does not need
    words += ["--HistoryManager.hist_file=:memory:", "--IPKernelApp.log_level=ERROR"]
    spec = {"argv": [sys.executable, *words], "display_name": "Python", "language": "python"}
    kernels, work = folder / "kernels", folder / "work"
    (kernels / "demo").mkdir(parents=True)
    work.mkdir()
    (kernels / "demo" / "kernel.json").write_text(json.dumps(spec), "utf-8")
    manager = AsyncKernelManager(
        kernel_name="demo",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernels)]),
        connection_file=str(folder / "connection.json"),
    )
    well = False
    try:
        await manager.start_kernel(env={**os.environ, **environment}, cwd=str(work))
        yield manager
        well = True
    finally:
        if manager.has_kernel:
            await manager.shutdown_kernel(now=not well)  # else it is asked first, and waited for
        manager.context.destroy()


async def _run_cells(kernel: Any) -> AsyncIterator[str]:
    """What each cell of code prints; raises `DemoError` where one fails."""
    notebook = json.loads(notebook_path().read_text("utf-8"))
    code = ["".join(one["source"]) for one in notebook["cells"] if one["cell_type"] == "code"]
    client = kernel.client()
    client.start_channels(hb=False)  # whether it lives is asked of its process
    try:
        await _alive(kernel, client.wait_for_ready(timeout=START_SECONDS))
        for number, source in enumerate(code, 1):
            yield await _alive(kernel, _run_cell(client, number, source))
    finally:
        client.stop_channels()


async def _run_cell(client: Any, number: int, source: str) -> str:
    said: list[str] = []

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    try:
        reply = await client.execute_interactive(
            source, allow_stdin=False, output_hook=take, timeout=CELL_SECONDS
        )
    except TimeoutError:
        raise DemoError(f"Cell {number} did not end within {CELL_SECONDS:g} s.") from None
    content = reply["content"]
    if content["status"] != "ok":
        before = "".join(f"\n{text.rstrip()}" for text in said)
        why = f"{content.get('ename', 'Aborted')}: {content.get('evalue', '')}"
        raise DemoError(f"Cell {number} of the quickstart failed.{before}\n{why}")
    return "".join(said).strip()


async def _alive(kernel: Any, work: Coroutine[Any, Any, T]) -> T:
    """The value of `work`, which would wait for ever for a kernel that has died."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=0.5)
            if not task.done() and not await kernel.is_alive():
                raise DemoError("The kernel of the quickstart has died.")
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])


# In JupyterLab


async def open_lab(url: str | None, port: int, *, browser: bool, as_json: bool) -> int:
    """Open the notebook in JupyterLab until it is shut down; a store we started ends with it."""
    _need("jupyterlab")
    status = await _server(url, quiet=as_json)
    lab = await _start_lab(status.url, port, browser=browser)
    try:
        told = told_to_end()
        address = await _lab_address(lab)
        if as_json:
            print(json.dumps({"url": address, "server": plain_json.as_json(status)}), flush=True)
        else:
            print(f"JupyterLab: {address}\nStop it with Ctrl-C.", flush=True)
        ends = [asyncio.create_task(lab.wait()), asyncio.create_task(told.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    finally:
        await _ended(lab)
    return 0


async def _server(url: str | None, *, quiet: bool) -> ServiceStatus:
    """The server for the notebook, which answers: as named, the usual one, or one started now."""
    status = await _look(await _reached(url) if url else await service.usual_url())
    if status.state != "running":
        if not quiet:
            print(f"No Ollama server answers at {status.url} ({status.state}).")
        status = await _look(await service.start_embedded_store())
    if not quiet:
        print(_who(status), flush=True)
    return status


def _who(status: ServiceStatus) -> str:
    if status.kind != "embedded":
        return visible(f"Ollama {status.version} answers at {status.url}: it is used.")
    who = f"The embedded store at {status.url} is used: it manages models and runs none."
    if status.sample_registry is not None:
        who += " The real registry is out of reach, so a few tiny sample models stand in."
    return who


async def _look(url: str | None) -> ServiceStatus:
    async with OllamaClient(url) as client:
        return (await service.look(client, viewer="demo", clock=Clock())).status


async def _reached(url: str) -> str:
    """The address as it is used; raises where no Ollama answers."""
    async with OllamaClient(url) as client:
        await client.identify()
        return client.url


async def _start_lab(url: str, port: int, *, browser: bool) -> Process:
    words = ["-m", "jupyterlab", str(notebook_to_open()), "--ip=127.0.0.1"]
    words += ["--ServerApp.log_level=WARN", "--LabApp.log_level=WARN"]
    words += [f"--port={port}"] if port else []
    words += [] if browser else ["--no-browser"]
    words += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    environment = {**os.environ, "OLLAMA_HOST": url, "JUPYTER_TOKEN": secrets.token_hex(24)}
    # detached, because Lab would ask on the terminal whether an interrupt is meant
    return await asyncio.create_subprocess_exec(
        *service.python(), *words, env=environment, stdin=DEVNULL, **service.detached()
    )


async def _lab_address(lab: Process) -> str:
    """Where Lab shows the notebook, once it is ready."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while lab.returncode is None:
                told = _told_by(lab.pid)
                if told is not None:
                    page = quote(notebook_to_open().name)
                    return f"{told['url']}lab/tree/{page}?token={told['token']}"
                await asyncio.sleep(0.1)
    raise DemoError("JupyterLab did not come up; what it said stands above.")


def _told_by(pid: int) -> dict[str, Any] | None:
    """What a Lab that is ready tells other programs of its user."""
    from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415 - the extra `lab`

    for about in Path(jupyter_runtime_dir()).glob("jpserver-*.json"):
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            told: dict[str, Any] = json.loads(about.read_text("utf-8"))
            if told["pid"] in _pids(pid):
                return told
    return None


def _pids(pid: int) -> set[int]:
    """Of a program and what it started: on Windows, the Python of a venv starts another."""
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}


# Both


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise DemoError(f"The demo needs {package}: `pip install 'modelwidgets[demo]'`.")


async def _ended(process: Process) -> None:
    """End a process in order, by its standard input where it has one; by force if need be."""
    if process.stdin is not None:
        process.stdin.close()
    elif process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
