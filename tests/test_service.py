"""What is seen of a server, and the servers that are started from here."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets import service
from modelwidgets.clock import Clock
from modelwidgets.errors import OllamaError, StoreError
from modelwidgets.records import ServiceStatus
from modelwidgets.stores.ollama import OllamaClient, ServerIdentity
from tests import commands
from tests.commands import PYTHON, Process, eventually
from tests.model_server import ModelServer
from tests.recordings import listening
from tests.scripted import ScriptedServer

# How a server is


async def seen(client: OllamaClient) -> ServiceStatus:
    async with client:
        return (await service.look(client, viewer="test", clock=Clock())).status


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> OllamaClient:
    return OllamaClient("http://127.0.0.1:4321", transport=httpx.MockTransport(answer))


def of_version(version: str) -> OllamaClient:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            return httpx.Response(200, text="Ollama is running")
        return httpx.Response(200, json={"version": version})

    return answering(answer)


async def test_an_ollama_server_that_runs() -> None:
    """A server that answers as Ollama is running, and its version is told."""
    status = await seen(ScriptedServer().client())

    assert (status.state, status.kind, status.version) == ("running", "ollama", "0.33.0")
    assert (status.reason, status.old, status.sample_registry) == (None, None, None)
    assert (status.local, status.viewer) == (True, "test")


async def test_an_embedded_store_that_runs(model_server: ModelServer) -> None:
    """The embedded store is told from Ollama, with its folder and the samples it pulls from."""
    async with OllamaClient(model_server.url) as client:
        look = await service.look(client, viewer="test", clock=Clock())

    assert (look.status.state, look.status.kind) == ("running", "embedded")
    assert look.status.sample_registry == model_server.registry.host_port
    assert look.folder == str(model_server.store.folder)


async def test_nothing_that_answers_here() -> None:
    """Where nothing listens on this machine, the service is stopped and could be started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        status = await seen(OllamaClient(f"127.0.0.1:{taken.getsockname()[1]}"))

    assert (status.state, status.kind, status.version) == ("stopped", "unknown", None)
    assert "connection refused" in str(status.reason)
    assert "Start it" in str(status.reason)


async def test_nothing_that_answers_elsewhere() -> None:
    """A host that is not known is out of reach, which is not the same as stopped."""

    def unknown(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("all attempts failed") from socket.gaierror(-2, "not known")

    transport = httpx.MockTransport(unknown)

    status = await seen(OllamaClient("http://gpu-box.invalid:11434", transport=transport))

    assert (status.state, status.local) == ("unreachable", False)
    assert "the name of the host is not known" in str(status.reason)


async def test_a_server_that_hangs() -> None:
    """What accepts connections and says nothing hangs, and is not waited for without end."""

    async def say_nothing(_server: Any, reader: asyncio.StreamReader, _writer: Any) -> None:
        await reader.read()

    async with listening(say_nothing) as server:
        status = await seen(OllamaClient(server.url, timeout=0.2))

    assert status.state == "hung"
    assert "no answer within 0.2 s" in str(status.reason)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<html><title>Welcome to nginx!</title></html>"),
        httpx.Response(200, json={"status": "Ollama is running"}),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(302, headers={"Location": "https://login.example/"}),
    ],
    ids=["HTML", "other JSON", "another API", "a login page"],
)
async def test_something_else_that_answers(answer: httpx.Response) -> None:
    """What answers otherwise than Ollama is foreign, and the reason says what was seen."""
    status = await seen(answering(lambda _request: answer))

    assert (status.state, status.kind) == ("foreign", "unknown")
    assert "is not an Ollama server" in str(status.reason)


async def test_a_server_that_refuses_us() -> None:
    """A server that wants a login is out of reach until it is given one."""
    status = await seen(answering(lambda _request: httpx.Response(401)))

    assert status.state == "unreachable"
    assert "401" in str(status.reason)


async def test_an_old_server() -> None:
    """A version older than those tested works with less, and the status says what and why."""
    old = await seen(of_version("0.5.13"))
    tested = await seen(of_version("0.6.4"))

    assert old.state == tested.state == "running"
    assert "Ollama 0.5.13 is older than 0.6.4" in str(old.old)
    assert tested.old is None


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("0.33.0", (0, 33, 0)),
        ("v0.6.4", (0, 6, 4)),
        ("0.33.0-rc2", (0, 33, 0)),
        ("0.6.4+cuda12", (0, 6, 4)),
        ("1.0", (1, 0)),
        ("0.0.0", None),
        ("main", None),
        ("", None),
        (None, None),
        ("0.6.x", None),
        pytest.param("9" * 5000, None, id="5000 digits"),
    ],
)
def test_versions_are_compared_by_number(
    version: str | None, numbers: tuple[int, ...] | None
) -> None:
    """A version is read as numbers; a source build and what is no version are never old."""
    assert service.version_tuple(version) == numbers


# The embedded store as a process of its own

STARTER = """
import asyncio, json, sys
from modelwidgets import service
from modelwidgets.errors import StoreError

try:
    said = {"url": asyncio.run(service.start_embedded_store(**json.loads(sys.argv[1])))}
except StoreError as error:
    said = {"error": str(error)}
print(json.dumps(said), flush=True)
sys.stdin.read()
"""


@contextmanager
def starter(
    folder: Path, samples: Path, env: dict[str, str] | None = None, **how: object
) -> Iterator[Process]:
    """A kernel, in short: it starts the embedded store, says its address, and lives on."""
    kept = folder / "cache" / "samples"
    if not kept.is_symlink():
        kept.parent.mkdir(exist_ok=True)
        kept.symlink_to(samples)
    command = [*PYTHON, "-c", STARTER, json.dumps(how)]
    with commands.program(folder, command, **(env or {})) as process:
        yield process


async def identity(url: str) -> ServerIdentity | None:
    """Who answers there; None where nobody does."""
    try:
        async with OllamaClient(url, timeout=2) as client:
            return await client.identify()
    except OllamaError:
        return None


def answers(url: str) -> bool:
    return asyncio.run(identity(url)) is not None


def remembered(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "state" / "embedded-store.json").read_text())
    return content


def test_a_store_that_was_started_is_found_by_the_next(
    tmp_path: Path, samples_folder: Path
) -> None:
    """The next process finds the store of the first; it ends in order with the first."""
    with starter(tmp_path, samples_folder) as first:
        url = first.json()["url"]
        with starter(tmp_path, samples_folder) as second:
            found = second.json()["url"]
        who = asyncio.run(identity(url))
        pid = remembered(tmp_path)["pid"]
        first.end_of_input()
        code, _, said = first.ended()
        eventually(lambda: commands.ended(pid), within_seconds=3)
        left = asyncio.run(service.find_embedded_store())

    assert found == url
    assert who is not None
    assert who.embedded
    assert who.folder == str(tmp_path / "data" / "models")
    assert who.sample_registry is not None  # the real registry is out of reach here
    assert (code, said) == (0, "")
    assert left is None


def test_two_that_start_at_once_have_one_store(tmp_path: Path, samples_folder: Path) -> None:
    """Two processes that want a store at the same moment get the same one."""
    with starter(tmp_path, samples_folder) as one, starter(tmp_path, samples_folder) as other:
        said = [one.json(), other.json()]
        stores = [*one.family(), *other.family()]

    assert said[0]["url"] == said[1]["url"]
    assert [store.pid for store in stores] == [remembered(tmp_path)["pid"]]


def test_a_store_ends_when_its_starter_is_killed(tmp_path: Path, samples_folder: Path) -> None:
    """A kernel that dies leaves no store behind, however it dies."""
    with starter(tmp_path, samples_folder) as process:
        url = process.json()["url"]
        pid = remembered(tmp_path)["pid"]
        process.signal(9)

        eventually(lambda: commands.ended(pid), within_seconds=3)

    assert not answers(url)


def test_a_store_that_is_kept_outlives_its_starter(tmp_path: Path, samples_folder: Path) -> None:
    """With `keep` the store goes on, and the next process finds it."""
    with starter(tmp_path, samples_folder, keep=True) as first:
        url = first.json()["url"]
        first.end_of_input()
        first.ended()
    pid = remembered(tmp_path)["pid"]
    try:
        with starter(tmp_path, samples_folder) as second:
            found = second.json()["url"]
    finally:
        commands.end(pid)

    assert found == url
    assert not answers(url)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"url": 3}',
        '{"url": "http://["}',
        '{"url": "http://example.com:11434"}',
        '{"url": "http://127.0.0.1:1"}',
        "\udcff",
    ],
)
async def test_what_is_remembered_may_be_damaged(tmp_path: Path, content: str) -> None:
    """A file that is damaged, leads elsewhere or to a store that is gone is as good as none."""
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "embedded-store.json"
    path.write_bytes(content.encode(errors="surrogateescape"))

    assert await service.find_embedded_store() is None


async def test_another_server_is_no_store(tmp_path: Path) -> None:
    """Where another server has the remembered port by now, no store is found."""

    async def ollama(_server: Any, _reader: Any, writer: asyncio.StreamWriter) -> None:
        body = b"Ollama is running"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()

    (tmp_path / "state").mkdir()
    async with listening(ollama) as server:
        path = tmp_path / "state" / "embedded-store.json"
        path.write_text(json.dumps({"url": server.url}))

        found = await service.find_embedded_store()

    assert found is None


def test_why_a_store_did_not_start(
    tmp_path: Path, samples_folder: Path, model_server: ModelServer
) -> None:
    """The store's own words reach whoever wanted it."""
    env = {"OLLAMA_MODELS": str(model_server.store.folder)}

    with starter(tmp_path, samples_folder, env) as process:
        said = process.json()
        left = process.family()

    assert "Another embedded store (process" in said["error"]
    assert str(model_server.store.folder) in said["error"]
    assert left == []


def test_a_store_that_breaks_is_quoted(tmp_path: Path, samples_folder: Path) -> None:
    """A store that breaks before it can say why is quoted from its log, which is named."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "argparse.py").write_text("raise ValueError('this is \\x1b[31mbroken')")

    with starter(tmp_path, samples_folder, {"PYTHONPATH": str(broken)}) as process:
        said = process.json()

    assert "ended before it was ready" in said["error"]
    assert "It said: ValueError: this is broken" in said["error"]
    assert str(tmp_path / "state" / "embedded-store.log") in said["error"]


def test_a_store_that_is_not_ready_in_time(tmp_path: Path, samples_folder: Path) -> None:
    """A store that does not come up is ended, and whoever wanted it is told."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"  # it asks a registry that hangs

        with starter(tmp_path, samples_folder, {"HTTPS_PROXY": proxy}, within_seconds=1) as process:
            said = process.json()
            left = process.family()

    assert "was not ready within 1 s" in said["error"]
    assert left == []


async def test_a_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """Where the state folder cannot be made, that is said."""
    (tmp_path / "state").write_text("a file in its place")

    with pytest.raises(StoreError, match="cannot be started"):
        await service.start_embedded_store()


# Ollama

FAKE_OLLAMA = """#!{python}
import http.server, json, os, sys

assert sys.argv[1:] == ["serve"]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"Ollama is running" if self.path == "/" else b'{{"version": "0.33.0"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


port = int(os.environ["OLLAMA_HOST"].rpartition(":")[2])
server = http.server.HTTPServer(("127.0.0.1", port), Answer)
open({pid_file!r}, "w").write(str(os.getpid()))
print("listening", flush=True)
server.serve_forever()
"""


def install_ollama(folder: Path, program: str) -> str:
    """Put a program named `ollama` into a folder, and give the PATH that leads to it."""
    path = folder / "bin" / "ollama"
    path.parent.mkdir()
    path.write_text(program)
    path.chmod(0o755)
    return str(path.parent)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_ollama_is_started_and_outlives_us(tmp_path: Path) -> None:
    """`ollama serve` is started at the client's address, and goes on without us."""
    pid_file = tmp_path / "pid"
    fake = FAKE_OLLAMA.format(python=sys.executable, pid_file=str(pid_file))
    path = install_ollama(tmp_path, fake)
    url = f"http://127.0.0.1:{free_port()}"
    start = (
        "import asyncio, sys; from modelwidgets import service; "
        "from modelwidgets.stores.ollama import OllamaClient; "
        "asyncio.run(service.start_ollama(OllamaClient(sys.argv[1]))); print('started')"
    )

    with commands.program(tmp_path, [*PYTHON, "-c", start, url], PATH=path) as process:
        ended = process.ended()
    pid = int(pid_file.read_text())
    try:
        going_on = asyncio.run(identity(url))
    finally:
        commands.end(pid)

    assert ended == (0, "started\n", "")
    assert going_on is not None
    assert (going_on.version, going_on.embedded) == ("0.33.0", False)


async def test_ollama_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Ollama that ends at once is quoted, as its port may be taken."""
    words = "Error: listen tcp 127.0.0.1:11434: bind: address already in use"
    program = f"#!/bin/sh\necho starting\necho '{words}'\nexit 3\n"
    monkeypatch.setenv("PATH", install_ollama(tmp_path, program), prepend=":")
    url = f"http://127.0.0.1:{free_port()}"

    async with OllamaClient(url) as client:
        with pytest.raises(StoreError) as caught:
            await service.start_ollama(client)

    assert "ended at once (code 3)" in str(caught.value)
    assert words in str(caught.value)


async def test_ollama_does_not_come_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Ollama that does not answer in time is ended, so that it can be started again."""
    program = f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}\nexec sleep 60\n"
    monkeypatch.setenv("PATH", install_ollama(tmp_path, program), prepend=":")
    url = f"http://127.0.0.1:{free_port()}"

    async with OllamaClient(url) as client:
        with pytest.raises(StoreError, match="and was ended"):
            await service.start_ollama(client, within_seconds=0.5)

    assert commands.ended(int((tmp_path / "pid").read_text()))


async def test_no_ollama_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program, with one that cannot run, and for another machine, it is said."""
    monkeypatch.setenv("PATH", str(tmp_path))
    async with OllamaClient("http://127.0.0.1:11434") as client:
        with pytest.raises(StoreError, match="no `ollama` program on this machine's PATH"):
            await service.start_ollama(client)

    monkeypatch.setenv("PATH", install_ollama(tmp_path, "no program at all"))
    async with OllamaClient("http://127.0.0.1:11434") as client:
        with pytest.raises(StoreError, match=r"cannot be started: .*Exec format"):
            await service.start_ollama(client)
    async with OllamaClient("http://gpu-box:11434") as client:
        with pytest.raises(StoreError, match="on another machine"):
            await service.start_ollama(client)


# Which one is asked


async def test_the_store_is_asked_where_no_ollama_answers(
    tmp_path: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody names a server and none answers, the store that runs is the one to ask."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "embedded-store.json").write_text(json.dumps({"url": model_server.url}))
    nobody = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr("modelwidgets.stores.address._PORT", int(nobody.rpartition(":")[2]))

    unnamed = await service.usual_url()
    monkeypatch.setenv("OLLAMA_HOST", nobody)
    named = await service.usual_url()

    assert unnamed == model_server.url
    assert named is None
