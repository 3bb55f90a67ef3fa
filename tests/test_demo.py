"""`modelwidgets demo`: the quickstart, with and without a browser."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets import cli, demo
from modelwidgets.demo import DemoError
from modelwidgets.stores.ollama import OllamaClient
from tests import commands
from tests.commands import eventually, started
from tests.model_server import ModelServer

SMALL = "embed:tiny"


@pytest.fixture(autouse=True)
def samples_there(tmp_path: Path, samples_folder: Path) -> None:
    """The samples are made already, as on a machine that served them before."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "samples").symlink_to(samples_folder)
    (tmp_path / "tmp").mkdir()


def installed(server: ModelServer) -> list[tuple[str, str]]:
    async def ask() -> list[tuple[str, str]]:
        async with OllamaClient(server.url) as client:
            return [(model.name, model.digest) for model in await client.list_models()]

    return asyncio.run(ask())


def notebook(path: Path, *cells: str) -> Path:
    """A notebook file of these cells."""
    rows = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    path.write_text(json.dumps({"cells": rows}))
    return path


# Without a browser


def test_the_quickstart_runs_beside_a_store_of_its_own(tmp_path: Path) -> None:
    """`demo --once` pulls, stops, resumes and deletes a sample, says so, and leaves nothing."""
    with started(tmp_path, "demo", "--once", TMPDIR=str(tmp_path / "tmp")) as process:
        first = process.line()
        family = process.family()
        code, said, errors = process.ended()
        left = process.family()

    assert first == "The quickstart runs against an embedded store of its own:"
    assert (code, errors) == (0, "")
    assert "embedded 0.33.0: running" in said
    assert "samples/embed:tiny: done, 6,345,095 of 6,345,095 bytes" in said
    assert "manifest sha256:" in said
    assert "1 installed, seen from the kernel's loop" in said  # the other loop did all before
    assert "samples/embed:tiny deleted: 6,345,095 bytes" in said
    assert said.rstrip().endswith("all of them went well.")
    assert len(family) >= 1
    assert left == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not list((tmp_path / "config").glob("*"))


def test_the_quickstart_leaves_alone_what_was_there(
    tmp_path: Path, model_server: ModelServer
) -> None:
    """Run against a server that has the model, the demo does not delete it."""
    name = model_server.name(SMALL)
    commands.run(tmp_path, "pull", name, "--url", model_server.url)
    before = installed(model_server)

    done = commands.run(tmp_path, "demo", "--once", "--json", "--url", model_server.url)

    said = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(said) == {"url", "seconds", "cells"}
    assert said["url"] == model_server.url
    assert f"{name}, installed before: True" in said["cells"]
    assert f"{name} was here before and stays" in said["cells"]
    assert installed(model_server) == before
    assert [one for one, _ in before] == [name]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            ("print('one')", "print('two'); raise ValueError('no\\x1b[31m way')"),
            "ValueError: no way",
        ),
        (("import os; os._exit(1)",), "The kernel of the quickstart has died."),
        (("import time; time.sleep(60)",), "Cell 1 did not end within 1 s."),
    ],
    ids=["an error", "a kernel that dies", "a cell that hangs"],
)
def test_a_cell_that_fails(
    tmp_path: Path,
    model_server: ModelServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cells: tuple[str, ...],
    words: str,
) -> None:
    """The cell and its error are named, in words, and the demo fails."""
    path = notebook(tmp_path / "broken.ipynb", *cells)
    monkeypatch.setattr(demo, "notebook_path", lambda: path)
    monkeypatch.setattr(demo, "CELL_SECONDS", 1 if "sleep" in cells[0] else 20)

    code = cli.main(["demo", "--once", "--url", model_server.url])

    said = capsys.readouterr()
    assert code == 1
    assert words in said.err
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err
    if len(cells) == 2:
        assert said.err.startswith("Cell 2 of the quickstart failed.\ntwo\n")
        assert "\none\n" in said.out


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    """Ctrl-C in mid-run ends kernel and store with it."""
    with started(tmp_path, "demo", "--once", TMPDIR=str(tmp_path / "tmp")) as process:
        process.line()
        eventually(lambda: len(process.family()) > 1)  # store and kernel
        process.signal(signal.SIGINT)
        began = time.monotonic()
        code, _, errors = process.ended()
        seconds = time.monotonic() - began
        left = process.family()

    assert (code, errors) == (130, "Interrupted.\n")
    assert seconds < 4
    assert left == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_the_demo_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the packages of the demo, or a server that was named, it says so at once."""
    nobody = free_address()
    unreached = cli.main(["demo", "--once", "--url", nobody, "--json"])
    kind = json.loads(capsys.readouterr().out)["kind"]
    for_lab = cli.main(["demo", "--no-browser", "--url", nobody])
    lab = capsys.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    missing = [cli.main(["demo", "--once"]), cli.main(["demo"])]
    words = capsys.readouterr().err

    assert (unreached, kind) == (1, "OllamaUnreachableError")
    assert for_lab == 1
    assert lab.startswith(f"No Ollama server answers at {nobody}")
    assert missing == [1, 1]
    assert "The demo needs ipykernel: `pip install 'modelwidgets[demo]'`." in words
    assert "The demo needs jupyterlab: `pip install 'modelwidgets[demo]'`." in words


# In JupyterLab


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def ask(page: httpx.URL, path: str, method: str = "GET", body: Any = None) -> httpx.Response:
    """Ask the API of a Lab whose page this is."""
    token = {"Authorization": f"token {page.params['token']}"}
    url = page.copy_with(path=path, query=None)
    return httpx.request(method, url, headers=token, json=body, trust_env=False, timeout=20)


def test_the_quickstart_opens_in_jupyterlab(tmp_path: Path) -> None:
    """Lab is up at the printed address until Ctrl-C, which ends it, its kernels and the store."""
    nobody = free_address()
    words = ("demo", "--no-browser", "--json", "--port", "0")

    with started(tmp_path, *words, OLLAMA_HOST=nobody) as process:
        said = process.json()
        page = httpx.URL(said["url"])
        shown = httpx.get(page, trust_env=False, follow_redirects=True, timeout=20)
        stranger = httpx.get(page.copy_with(path="/api/contents", query=None), trust_env=False)
        name = page.path.rpartition("/")[2]
        contents = ask(page, f"/api/contents/{name}").json()
        kernel = {"name": "python3"}
        session = {"path": name, "name": "", "type": "notebook", "kernel": kernel}
        begun = ask(page, "/api/sessions", "POST", session)
        family = process.family()
        process.signal(signal.SIGINT)
        code, _, errors = process.ended()
        eventually(lambda: not process.family(), within_seconds=5)

    assert (shown.status_code, stranger.status_code, begun.status_code) == (200, 403, 201)
    assert re.fullmatch(r"/lab/tree/quickstart-[\d.]+-[0-9a-f]{8}\.ipynb", page.path)  # a copy
    assert "ModelManager().show()" in json.dumps(contents["content"])
    assert said["server"]["kind"] == "embedded"
    assert said["server"]["sample_registry"] is not None
    assert said["server"]["url"] != nobody
    assert len(family) >= 3  # store, Lab, kernel
    assert code == 130
    assert errors.endswith("Interrupted.\n")


async def test_who_serves_is_said(
    model_server: ModelServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Lab opens, the demo says which server it uses, and whether samples stand in."""

    async def no_lab(_url: str, _port: int, *, browser: bool) -> None:
        raise DemoError("enough")

    monkeypatch.setattr(demo, "_start_lab", no_lab)
    with pytest.raises(DemoError):
        await demo.open_lab(model_server.url, 0, browser=False, as_json=False)
    embedded = capsys.readouterr().out

    assert f"The embedded store at {model_server.url} is used" in embedded
    assert "sample models stand in" in embedded


def test_a_wheel_opens_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed from a wheel, the notebook is copied to where its user may write, once."""
    package = tmp_path / "site-packages" / "modelwidgets"
    package.mkdir(parents=True)
    notebook(package / "quickstart.ipynb", "1 + 1")
    monkeypatch.setattr(demo, "HERE", package)

    opened = demo.notebook_to_open()
    opened.write_text("changed by its user")
    again = demo.notebook_to_open()

    assert opened == again
    assert opened.parent == tmp_path / "data" / "notebooks"
    assert again.read_text() == "changed by its user"
    assert "1 + 1" in (package / "quickstart.ipynb").read_text()


def test_another_quickstart_gets_another_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What JupyterLab saves is never the notebook of the checkout; a new one is opened anew."""
    path = tmp_path / "quickstart.ipynb"
    notebook(path, "1 + 1")
    monkeypatch.setattr(demo, "notebook_path", lambda: path)
    first = demo.notebook_to_open()
    first.write_text("changed by its user")

    notebook(path, "2 + 2")
    second = demo.notebook_to_open()

    assert first.read_text() == "changed by its user"
    assert "2 + 2" in second.read_text()
    assert first.parent == second.parent == tmp_path / "data" / "notebooks"


def test_a_checkout_keeps_its_own() -> None:
    """Of a checkout too a copy is opened, so that autosave changes nothing there."""
    opened = demo.notebook_to_open()

    assert opened.read_bytes() == demo.notebook_path().read_bytes()
    assert demo.notebook_path().parent.name == "notebooks"
    assert opened.parent != demo.notebook_path().parent
