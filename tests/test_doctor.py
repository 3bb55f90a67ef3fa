"""`modelwidgets doctor`: what works here, and why the rest does not."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from modelwidgets import cli, doctor
from modelwidgets.device_records import Devices, Gpu
from modelwidgets.doctor import Check, checks_text, examine
from modelwidgets.errors import CatalogError
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.registry import RegistryClient
from tests.answering import answering
from tests.commands import BLOCKED
from tests.model_server import ModelServer
from tests.scripted import ScriptedServer


@pytest.fixture(autouse=True)
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BLOCKED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


async def check(what: str, url: str | None) -> Check:
    [found] = [one for one in await examine(url) if one.what == what]
    return found


def test_everything_that_is_looked_at(
    model_server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the main job can be done, the doctor says so of each part and exits with 0."""
    code = cli.main(["doctor", "--url", model_server.url])
    text = capsys.readouterr()
    as_json = cli.main(["doctor", "--url", model_server.url, "--json"])
    rows = json.loads(capsys.readouterr().out)

    assert (code, as_json, text.err) == (0, 0, "")
    assert [set(row) for row in rows] == [
        {field.name for field in dataclasses.fields(Check)} for _ in rows
    ]
    outcomes = {row["what"]: row["outcome"] for row in rows}
    for what in ("Python", "server", "store", "catalog", "page", "anywidget", "folders"):
        assert outcomes[what] == "ok", what
    assert outcomes["registry"] == outcomes["proxies"] == "note"  # blocked, so that tests stay here
    assert "failed" not in outcomes.values()
    lines = text.out.splitlines()
    assert [line[8:].split("  ")[0] for line in lines] == list(outcomes)
    assert {line[:6].strip() for line in lines} <= {"ok", "note"}


def test_nothing_there(
    nobody: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a server the main job cannot be done: said in front, and exit 1."""
    monkeypatch.setenv("PATH", "")

    code = cli.main(["doctor", "--url", nobody])
    text = capsys.readouterr().out

    assert code == 1
    assert "FAILED  server " in text
    assert "connection refused" in text
    assert "`modelwidgets serve`" in text
    assert "There is no `ollama` program on PATH." in text
    assert " store " not in text  # nobody could be asked where it is


async def test_the_server(model_server: ModelServer) -> None:
    """Each way a server can be has its outcome and its words."""
    embedded = await check("server", model_server.url)
    foreign = await check("server", model_server.registry.host_port)
    wrong = await check("server", "http://a b")

    assert embedded.outcome == "ok"
    assert embedded.seen.startswith(f"embedded store at {model_server.url}, with sample models")
    assert (foreign.outcome, "is not an Ollama server" in foreign.seen) == ("failed", True)
    assert (wrong.outcome, "is not an address" in wrong.seen) == ("failed", True)


async def test_ollama_here(nobody: str) -> None:
    """Ollama is named with its version; where its store cannot be read, that is noted."""
    server = ScriptedServer()
    server.install("llama3.2:3b", "a" * 64)

    with answering(server) as url:
        running = await check("server", url)
        store = await check("store", url)

    assert (running.outcome, running.seen) == ("ok", f"Ollama 0.33.0 at {url}")
    assert store.outcome == "note"
    assert "cannot be read from here" in store.seen


async def test_ollama_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine, an old Ollama, behind a proxy: a note each, and why."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            return httpx.Response(200, text="Ollama is running")
        return httpx.Response(200, json={"version": "0.5.13", "models": []})

    through(monkeypatch, answer)

    server = await check("server", "http://gpu-box:11434")
    store = await check("store", "http://gpu-box:11434")
    proxies = await check("proxies", "http://gpu-box:11434")

    assert server.outcome == store.outcome == proxies.outcome == "note"
    assert "Ollama 0.5.13 is older than 0.6.4" in server.seen
    assert "on another machine" in store.seen
    assert "HTTP_PROXY, HTTPS_PROXY set" in proxies.seen
    assert "unless NO_PROXY names its host" in proxies.seen


async def test_nobody_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another machine does not answer, no program of this one is missed."""

    def answer(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    through(monkeypatch, answer)

    server = await check("server", "http://gpu-box:11434")

    assert server.outcome == "failed"
    assert "program on PATH" not in server.seen


def through(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]
) -> None:
    """Let the doctor's requests to the server be answered so."""
    transport = httpx.MockTransport(answer)
    client = partial(OllamaClient, transport=transport)
    monkeypatch.setattr(doctor, "OllamaClient", client)


async def test_the_registry(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry in reach says how large a well-known model is; another gives its reason."""
    layer = {"mediaType": "a/b", "digest": f"sha256:{'1' * 64}", "size": 2_000_000_000}
    body = json.dumps({"schemaVersion": 2, "config": layer, "layers": [layer]}).encode()
    transport = httpx.MockTransport(
        lambda _request: httpx.Response(200, stream=httpx.ByteStream(body))
    )

    blocked = await check("registry", nobody)
    monkeypatch.setattr(doctor, "RegistryClient", lambda: RegistryClient(transport=transport))
    reached = await check("registry", nobody)

    assert blocked.outcome == "note"
    assert "cannot be reached" in blocked.seen
    assert (reached.outcome, reached.seen) == ("ok", "in reach (llama3.2 has 2.0 GB)")


async def test_the_machine(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs are named with their memory; where there are none, the reason is."""
    gib = 2**30
    card = Gpu(
        index=0,
        name="RTX\x1b[31m 4090",
        uuid=None,
        total_bytes=24 * gib,
        free_bytes=6 * gib,
        unified=False,
        error=None,
    )
    devices = Devices(
        gpus=(card,), driver="1", reason=None, ram_total_bytes=64 * gib, ram_available_bytes=gib
    )
    monkeypatch.setattr(doctor, "probe_devices", lambda: devices)
    some = await check("GPU and memory", nobody)
    none = dataclasses.replace(devices, gpus=(), reason="no NVIDIA driver here")
    monkeypatch.setattr(doctor, "probe_devices", lambda: none)
    without = await check("GPU and memory", nobody)

    shown = checks_text([some])

    assert shown == (
        "ok      GPU and memory  RTX 4090 6.0 GiB free of 24.0 GiB; RAM 1.0 GiB free of 64.0 GiB"
    )
    assert without.outcome == "note"
    assert without.seen.startswith("no NVIDIA driver here; RAM ")


async def test_what_was_installed_wrongly(
    nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A page that was not built, packages that are missing, a broken catalog: each with a way."""
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name in ("anywidget", "jupyterlab"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    def broken() -> None:
        raise CatalogError("catalog.yaml, line 3: no name")

    monkeypatch.setattr(importlib.metadata, "version", without)
    monkeypatch.setattr(doctor, "load_catalog", broken)
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "doctor.py"))

    checks = {one.what: one for one in await examine(nobody)}

    assert (checks["page"].outcome, checks["anywidget"].outcome) == ("failed", "failed")
    assert "widget.js, later.js, widget.css missing" in checks["page"].seen
    assert "pip install anywidget" in checks["anywidget"].seen
    assert checks["jupyterlab"].outcome == "note"
    assert "pip install modelwidgets[lab]" in checks["jupyterlab"].seen
    assert checks["catalog"] == Check(
        what="catalog", outcome="failed", seen="catalog.yaml, line 3: no name"
    )


async def test_the_folders(nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Folders that cannot be made or written to are named."""
    usable = await check("folders", nobody)
    monkeypatch.setattr(doctor.os, "access", lambda path, _mode: path.name != "config")
    closed = await check("folders", nobody)
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODELWIDGETS_STATE_DIR", str(tmp_path / "file" / "state"))
    impossible = await check("folders", nobody)

    assert usable.outcome == "ok"
    assert closed == Check(
        what="folders", outcome="failed", seen=f"not writable: {tmp_path / 'config'}"
    )
    assert impossible.outcome == "failed"
    assert "cannot be made" in impossible.seen
    assert "Not a directory" in impossible.seen
