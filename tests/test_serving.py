"""`modelwidgets serve`: how it begins, what it says, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets import serving
from modelwidgets.errors import PullFailedError
from modelwidgets.records import PullStep
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.ollama_files import StoreFiles
from modelwidgets.stores.registry import RegistryClient
from modelwidgets.stores.sample_registry import SampleRegistry
from tests import commands
from tests.commands import PYTHON, started
from tests.model_server import ModelServer


@pytest.fixture(autouse=True)
def samples_there(tmp_path: Path, samples_folder: Path) -> None:
    """The samples are made already, as on a machine that served them before."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "samples").symlink_to(samples_folder)


# How it ends


def test_it_says_where_it_is_until_it_is_interrupted(tmp_path: Path) -> None:
    """`serve` tells a person its address, its folder and how to end it; Ctrl-C ends it."""
    folder = tmp_path / "models"

    with started(tmp_path, "serve", "--port", "0", "--folder", str(folder)) as server:
        said = server.line()
        url = said.split()[5].rstrip(",")
        root = httpx.get(url, trust_env=False)
        server.signal(signal.SIGINT)
        code, rest, errors = server.ended()

    assert said == f"The embedded store answers at {url}, models lie in {folder}."
    assert root.text == "Ollama is running"
    assert rest == "It manages models and runs none. Stop it with Ctrl-C.\n"
    assert (code, errors) == (130, "Interrupted.\n")


async def test_it_ends_in_order_in_mid_pull(tmp_path: Path, model_server: ModelServer) -> None:
    """Told to end, it is gone within a second, and what was fetched so far is kept."""
    name = model_server.name("chat:tiny")
    model_server.registry.faults.throttle_bytes_per_second = 4e6
    words = ("serve", "--json", "--port", "0", "--folder", str(tmp_path / "models"))

    with started(tmp_path, *words) as server:
        said = server.json()
        async with (
            OllamaClient(said["url"]) as client,
            aclosing(client.pull(name, insecure=True)) as steps,
        ):
            async for step in steps:
                if step.digest and step.completed_bytes > 1_000_000:
                    break
            server.signal(signal.SIGTERM)
            began = time.monotonic()
            code, rest, errors = await asyncio.to_thread(server.ended)
            seconds = time.monotonic() - began
            with pytest.raises(PullFailedError):
                await _rest(steps)
    kept = StoreFiles(tmp_path / "models").partial_bytes(step.digest)

    assert (code, rest, errors) == (0, "", "")
    assert said == {**said, "folder": str(tmp_path / "models"), "sample_registry": None}
    assert kept >= 1_000_000
    assert seconds < 1


async def _rest(steps: AsyncIterator[PullStep]) -> list[PullStep]:
    return [step async for step in steps]


def test_it_ends_with_its_standard_input(tmp_path: Path) -> None:
    """`--while-stdin` ends it with its starter, and does not hinder another end."""
    words = ("serve", "--json", "--port", "0", "--while-stdin")

    with started(tmp_path / "one", *words) as one, started(tmp_path / "other", *words) as other:
        assert one.json()["url"] != other.json()["url"]
        one.end_of_input()
        other.signal(signal.SIGTERM)
        ends = [one.ended(), other.ended()]

    assert ends == [(0, "", ""), (0, "", "")]


async def test_on_windows_ctrl_break_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops take no signal handlers there, and Python's own wakes the one that waits."""
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    before = signal.getsignal(signal.SIGUSR1)
    with monkeypatch.context() as there:
        there.setattr(sys, "platform", "win32")
        told = serving.told_to_end()
    pressed = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))

    try:
        pressed.start()
        async with asyncio.timeout(5):
            await told.wait()
    finally:
        pressed.join()
        signal.signal(signal.SIGUSR1, before)

    assert told.is_set()


# What keeps it from beginning


def test_why_it_cannot_begin(tmp_path: Path, model_server: ModelServer) -> None:
    """A port in use, a folder of another store, one that cannot be made: a line, and exit 1."""
    in_use = model_server.url.rpartition(":")[2]
    of_another = str(model_server.store.folder)
    (tmp_path / "file").write_text("in the way")
    in_the_way = str(tmp_path / "file" / "models")

    port = commands.run(tmp_path, "serve", "--port", in_use)
    folder = commands.run(tmp_path, "serve", "--port", "0", "--folder", of_another, "--json")
    blocked = commands.run(tmp_path, "serve", "--port", "auto", "--folder", in_the_way)

    assert (port.returncode, port.stdout) == (1, "")
    assert port.stderr.startswith(f"Port {in_use} at 127.0.0.1 is in use: ")
    assert folder.returncode == 1
    assert (folder.stdout.count("\n"), folder.stderr) == (1, "")
    said = json.loads(folder.stdout)
    assert said["kind"] == "StoreError"
    assert said["error"].startswith("Another embedded store (process ")
    assert (blocked.returncode, blocked.stdout) == (1, "")
    assert blocked.stderr.startswith(f"Models cannot be kept in {in_the_way} (Not a directory).")
    assert [one.stderr.count("\n") for one in (port, blocked)] == [1, 1]


@pytest.mark.parametrize("words", [("--port", "70000"), ("--port", "http"), ("--samples", "few")])
def test_a_wrong_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """What cannot be meant is refused with what could be."""
    from modelwidgets.cli import main

    with pytest.raises(SystemExit) as caught:
        main(["serve", *words])

    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert repr(words[1]) in said
    assert "auto" in said


# Who may ask, where it listens, what it serves besides


def test_it_warns_where_others_can_ask(tmp_path: Path) -> None:
    """Listening on more than this machine is allowed, with a word on what that means."""
    with started(tmp_path, "serve", "--json", "--port", "0", "--host", "0.0.0.0") as server:
        said = server.json()
        server.signal(signal.SIGTERM)
        code, _, errors = server.ended()

    assert said["url"].startswith("http://127.0.0.1:")
    assert code == 0
    assert errors.startswith("Warning: it listens on 0.0.0.0, so everybody who can reach")


async def serving_json(capsys: pytest.CaptureFixture[str], **how: Any) -> dict[str, Any]:
    """What a server says that is ended as soon as it has said it."""
    given = {"host": "127.0.0.1", "port": 0, "folder": None, "samples": "never"}
    task = asyncio.create_task(
        serving.serve(**{**given, **how}, while_stdin=False, as_json=True)  # type: ignore[arg-type]
    )
    out = ""
    try:
        async with asyncio.timeout(10):
            while not (out or task.done()):
                await asyncio.sleep(0.01)
                out = capsys.readouterr().out
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    said: dict[str, Any] = json.loads(out)
    return said


def test_any_port_serves_where_the_usual_one_is_taken(tmp_path: Path) -> None:
    """`--port auto` is Ollama's port where it is free, else one that is."""
    usual_port = (
        "import sys; from modelwidgets import cli, serving; "
        "serving.OLLAMA_PORT = int(sys.argv[1]); "
        "cli.main(['serve', '--json', '--port', 'auto'])"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = taken.getsockname()[1]
        command = [*PYTHON, "-c", usual_port, str(usual)]
        with commands.program(tmp_path / "one", command) as server:
            other = server.json()
    with commands.program(tmp_path / "two", command) as server:
        free = server.json()

    assert other["url"] != f"http://127.0.0.1:{usual}"
    assert free["url"] == f"http://127.0.0.1:{usual}"


Answer = Callable[[httpx.Request], httpx.Response]


def answer(status: int, body: bytes, kind: str = "application/json") -> Answer:
    return lambda _request: httpx.Response(
        status, headers={"Content-Type": kind}, stream=httpx.ByteStream(body)
    )


def no_network(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route")


DIGEST = f"sha256:{'0' * 64}"
MANIFEST = {
    "schemaVersion": 2,
    "config": {"mediaType": "application/json", "digest": DIGEST, "size": 2},
    "layers": [],
}


@pytest.mark.parametrize(
    ("registry", "samples"),
    [
        (answer(200, json.dumps(MANIFEST).encode()), False),
        (answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'), False),
        (answer(403, b"blocked by your administrator", "text/plain"), True),
        (answer(200, b"<html>Log in to the Wi-Fi</html>", "text/html"), True),
        (no_network, True),
    ],
    ids=["a manifest", "an unknown name", "a proxy's no", "a login page", "no network"],
)
async def test_samples_stand_in_for_a_registry_out_of_reach(
    registry: Answer,
    samples: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--samples auto` serves samples only where the real registry gives no manifest."""
    transport = httpx.MockTransport(registry)
    monkeypatch.setattr(serving, "RegistryClient", lambda: RegistryClient(transport=transport))

    said = await serving_json(capsys, samples="auto")

    assert (said["sample_registry"] is not None) is samples


async def test_names_of_samples_are_good_for_another_day(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples that stand in keep their port, which their names hold, where nobody else has it."""
    monkeypatch.setattr(
        serving,
        "RegistryClient",
        lambda: RegistryClient(transport=httpx.MockTransport(no_network)),
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(serving, "SAMPLES_PORT", port)
        beside = await serving_json(capsys, samples="auto")
    usual = [await serving_json(capsys, samples="auto") for _ in range(2)]

    assert beside["sample_registry"] != f"127.0.0.1:{port}"
    assert [one["sample_registry"] for one in usual] == [f"127.0.0.1:{port}"] * 2


async def test_samples_that_stand_in_can_be_watched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come at the pace of a network, so that there is a bar to look at and to stop."""
    paces = []
    stop = SampleRegistry.stop

    async def noted(registry: SampleRegistry) -> None:
        paces.append(registry.faults.throttle_bytes_per_second)
        await stop(registry)

    monkeypatch.setattr(SampleRegistry, "stop", noted)
    monkeypatch.setattr(
        serving,
        "RegistryClient",
        lambda: RegistryClient(transport=httpx.MockTransport(no_network)),
    )
    await serving_json(capsys, samples="auto")
    await serving_json(capsys, samples="always")

    assert paces == [serving.SAMPLES_PACE, None]


async def test_samples_are_served_and_announced(tmp_path: Path) -> None:
    """`--samples always` serves models that the store can pull, and says where."""
    words = ("serve", "--port", "0", "--samples", "always")

    with started(tmp_path, *words) as server:
        url = server.line().split()[5].rstrip(",")
        announced = server.line()
        async with OllamaClient(url) as client:
            registry = (await client.identify()).sample_registry
            name = f"{registry}/samples/embed:tiny"
            last = [step async for step in client.pull(name, insecure=True)][-1]
        server.signal(signal.SIGTERM)

        assert server.ended()[0] == 0
    assert announced == f"A few tiny sample models are served at {registry}."
    assert last.status == "success"
