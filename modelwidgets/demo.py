"""The quickstart notebook: opened in JupyterLab, or run without a browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelwidgets import service
from modelwidgets.clock import Clock
from modelwidgets.errors import StoreError
from modelwidgets.stores.ollama import OllamaClient

HERE = Path(__file__).parent
CELL_SECONDS = 120


def notebook_path() -> Path:
    """The quickstart: in a checkout the one under `notebooks/`, else the copy in the wheel."""
    for path in (HERE.parent / "notebooks" / "quickstart.ipynb", HERE / "quickstart.ipynb"):
        if path.exists():
            return path
    raise StoreError("The quickstart notebook is missing from this installation: install it again.")


async def run_once(url: str | None, *, as_json: bool) -> int:
    """Run the notebook's cells in a kernel and print what they did."""
    began = time.monotonic()
    if url is not None:
        report = await asyncio.to_thread(_execute, {"OLLAMA_HOST": url})
    else:
        with tempfile.TemporaryDirectory(prefix="modelwidgets-demo-") as folder:
            report = await asyncio.to_thread(_execute_beside_store, Path(folder))
    seconds = time.monotonic() - began
    if as_json:
        print(json.dumps({"seconds": round(seconds, 1), "cells": report}, indent=2))
    else:
        print(f"The quickstart ran against {url or 'an embedded store of its own'}:\n")
        print("\n".join(said for said in report if said))
        print(f"\n{len(report)} cells in {seconds:.1f} s, all of them went well.")
    return 0


def _execute_beside_store(folder: Path) -> list[str]:
    folders = {
        f"MODELWIDGETS_{what}_DIR": str(folder / what.lower()) for what in ("STATE", "CONFIG")
    }
    with _store_of_its_own(folder) as url:
        return _execute({"OLLAMA_HOST": url, **folders})


async def open_lab(port: int, *, browser: bool) -> int:
    """Open the notebook in JupyterLab, with Ollama where it answers, else the embedded store."""
    client = OllamaClient()
    try:
        seen = await service.look(client, viewer="demo", clock=Clock())
    finally:
        await client.aclose()
    url = client.url
    if seen.status.state == "running":
        print(f"Ollama {seen.status.version} answers at {url}: it is used.")
    else:
        url = await service.start_embedded_store()
        print(f"No Ollama server answers at {client.url}: the embedded store runs at {url}.")
    words = [sys.executable, "-m", "jupyterlab", str(notebook_path()), "--ip", "127.0.0.1"]
    words += ["--port", str(port)] if port else []
    words += [] if browser else ["--no-browser"]
    words += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    lab = await asyncio.create_subprocess_exec(*words, env={**os.environ, "OLLAMA_HOST": url})
    try:
        return await lab.wait()
    except asyncio.CancelledError:
        await lab.wait()  # Lab has got the interrupt too, and ends in order
        raise


@contextlib.contextmanager
def _store_of_its_own(folder: Path) -> Iterator[str]:
    """An embedded store with the sample models, for as long as the block runs."""
    words = ["serve", "--json", "--port", "0", "--samples", "always", "--while-stdin"]
    process = subprocess.Popen(
        [sys.executable, "-m", "modelwidgets", *words, "--folder", str(folder / "models")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        line = process.stdout.readline() if process.stdout else ""
        said: dict[str, Any] = json.loads(line or "{}")
        if "url" not in said:
            raise StoreError(str(said.get("error", "The store ended before it was ready.")))
        yield said["url"]
        process.communicate(timeout=10)


def _execute(environment: dict[str, str]) -> list[str]:
    """Run the notebook in a kernel of this Python; what each cell printed."""
    import nbformat  # noqa: PLC0415 - the extra `demo`
    from nbclient import NotebookClient  # noqa: PLC0415

    notebook = nbformat.read(notebook_path(), as_version=4)  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory(prefix="modelwidgets-run-") as folder:
        shutil.copy(notebook_path(), folder)
        where = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=CELL_SECONDS, resources=where)
        client.execute(env={**os.environ, **environment})
    return [
        "".join(out["text"] for out in cell["outputs"] if out["output_type"] == "stream").strip()
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]
