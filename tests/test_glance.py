"""The quick look of a terminal at the installed models, against real sockets."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from modelwidgets.stores.glance import installed_at_a_glance
from modelwidgets.stores.ollama import OllamaClient
from tests.commands import PYTHON
from tests.isolation import environment
from tests.model_server import ModelServer
from tests.recordings import Server, exchanges, listening, served

GOOD = b'{"models": []}'
LISTS = [
    one
    for file in ("tags-empty", "tags-several", "tags-realistic-table")
    for one in exchanges(file)
    if one.path == "/api/tags" and one.method == "GET" and one.status == 200
]


async def seen(server: Server, *, path: str = "", seconds: float = 2.0) -> list[str] | None:
    """The names, asked in a thread because the servers of these tests live on this loop."""
    models = await asyncio.to_thread(installed_at_a_glance, server.url + path, seconds=seconds)
    return None if models is None else [model.name for model in models]


async def seen_of(*parts: bytes, pause: float = 0.0, seconds: float = 2.0) -> list[str] | None:
    """The names in what a server writes piece by piece."""

    async def script(
        _server: Server, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    async with listening(script) as server:
        return await seen(server, seconds=seconds)


async def test_it_sees_what_the_client_sees() -> None:
    """Each recorded list gives the same records as through the client."""
    for one in LISTS:
        async with served(one, one) as server:
            models = await asyncio.to_thread(installed_at_a_glance, server.url)
            async with OllamaClient(server.url) as client:
                listed = await client.list_models()

        assert models == listed
    assert any(len(one.texts) for one in LISTS)


async def test_a_path_in_front_is_kept() -> None:
    """A server behind a path of a proxy on this machine is asked there."""
    async with served(LISTS[0]) as server:
        assert await seen(server, path="/lab/ollama") is not None

    assert server.requests[0].startswith(b"GET /lab/ollama/api/tags HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 500 Oh\r\nContent-Length: 14\r\n\r\n" + GOOD, id="error"),
        pytest.param(b"HTTP/1.1 301 Go\r\nLocation: /x\r\n\r\n", id="redirect"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n<html>a router</html>", id="html"),
        pytest.param(b'HTTP/1.1 200 OK\r\n\r\n{"models": [1]}', id="wrong"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + GOOD, id="cut"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="ssh"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_it_is_silent_of_what_is_odd(answer: bytes) -> None:
    """What is not the plain good answer is left to the client, which has words for it."""
    assert await seen_of(answer) is None
    assert await seen_of(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD) == []


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: "])
async def test_a_server_that_trickles_is_left(head: bytes) -> None:
    """The limit holds for the whole answer, and not anew for each byte."""
    began = time.monotonic()

    assert await seen_of(head, *[b"x"] * 40, pause=0.1, seconds=0.4) is None
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "http://me:secret@127.0.0.1", "http://10.0.0.9", "localhost"]
)
def test_other_machines_and_logins_are_the_clients(url: str) -> None:
    """No connection is tried where more than a plain question is needed."""
    assert installed_at_a_glance(f"{url}:9", seconds=0.1) is None


def test_the_terminals_list_loads_no_client(model_server: ModelServer, tmp_path: Path) -> None:
    """`modelwidgets list` starts quickly, because neither httpx nor asyncio is loaded."""
    code = (
        "import sys\nfrom modelwidgets.cli import main\ncode = main(['list'])\n"
        "print([name for name in ('httpx', 'asyncio') if name in sys.modules], code)"
    )
    env = environment(tmp_path, OLLAMA_HOST=model_server.url)

    said = subprocess.run(
        [*PYTHON, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=30
    )

    assert said.stdout.splitlines()[-1] == "[] 0"
