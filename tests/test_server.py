"""The door of the Jupyter server: who may enter, what may be asked, and what it never blocks."""

from __future__ import annotations

import asyncio
import http.cookiejar
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.page_server import PageServer

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts Jupyter servers, each in a folder of its own."""
    started: list[PageServer] = []

    def start_(*options: str, **environ: str) -> PageServer:
        folder = tmp_path / f"jupyter {len(started)}"
        folder.mkdir()
        server = PageServer(folder, *options, **environ)
        started.append(server)
        server.start()
        return server

    yield start_
    for server in started:
        server.stop()


async def test_pages_pull_and_agree(start: Any, model_server: ModelServer) -> None:
    """What one page starts another sees, and a page that comes later has the whole state."""
    server = start(
        OLLAMA_HOST=model_server.url,
        MODELWIDGETS_ALLOWED_REGISTRIES=model_server.registry.host_port,
    )
    first, second = await server.page(), await server.page()
    greeting = await first.call("hello")
    await second.call("hello")
    name = model_server.name("chat:tiny")

    await first.call("pull", name=name)
    done = await second.until("pulls", lambda rows: rows and rows[0]["state"] == "done")
    late = await server.page()
    await late.call("hello")
    installed = await late.until("installed", lambda one: one["models"])

    assert greeting["viewer"].startswith("Jupyter server on ")
    assert greeting["refused"] == []
    assert done[0]["completed_bytes"] == done[0]["total_bytes"] > 20_000_000
    assert [model["name"] for model in installed["models"]] == [name]
    assert server.request("status", **server.login)[1]["service"] == "running"
    for page in (first, second, late):
        await page.close()


async def test_a_pull_outlives_its_page(start: Any, model_server: ModelServer) -> None:
    """A page that is reloaded in the middle finds its pull where it was."""
    model_server.registry.faults.throttle_bytes_per_second = 8_000_000
    server = start(
        OLLAMA_HOST=model_server.url,
        MODELWIDGETS_ALLOWED_REGISTRIES=model_server.registry.host_port,
    )
    page = await server.page()
    await page.call("hello")
    await page.call("pull", name=model_server.name("chat:tiny"))
    rows = await page.until("pulls", lambda rows: rows and rows[0]["completed_bytes"])
    await page.close()

    again = await server.page()
    await again.call("hello")
    found = await again.until("pulls", lambda some: some)
    model_server.registry.faults.throttle_bytes_per_second = None
    done = await again.until("pulls", lambda some: some[0]["state"] == "done")

    assert found[0]["id"] == rows[0]["id"] == done[0]["id"]
    assert found[0]["completed_bytes"] >= rows[0]["completed_bytes"]
    await again.close()


async def test_strangers_are_refused(start: Any, model_server: ModelServer) -> None:
    """Without a token, with a wrong one, from a page of elsewhere; below a hub's base URL too."""
    server = start("--ServerApp.base_url=/user/ann/", OLLAMA_HOST=model_server.url)
    assert "/user/ann/" in server.url
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    browser.open(f"{server.url}api/status?token={server.token}").close()
    cookies = {"Cookie": "; ".join(f"{one.name}={one.value}" for one in jar)}
    own = server.url.split("/user")[0]

    for headers in ({"Authorization": ""}, {"Authorization": "token wrong"}):
        assert server.request("socket", **UPGRADE, **headers)[0] == 403
        assert server.request("status", **headers)[0] == 403
    foreign = {**cookies, "Origin": "http://evil.example"}
    assert server.request("socket", **UPGRADE, **foreign)[0] == 403
    page = await server.page(Authorization="", Origin=own, **cookies)
    assert (await page.call("hello"))["version"]
    await page.close()
    assert "registered for /user/ann/modelwidgets" not in server.log  # as open to everybody


async def test_only_named_servers_and_registries_are_spoken_to(
    start: Any, model_server: ModelServer
) -> None:
    """A page cannot use the server to reach what the page's owner cannot."""
    server = start(
        "--ModelWidgets.allowed_servers=http://gpu.example:11434",
        OLLAMA_HOST=model_server.url,
    )
    page = await server.page()
    await page.call("hello")
    seen = len(model_server.registry.log)
    name = model_server.name("chat:tiny")

    for method, params in [
        ("connect", {"url": "http://169.254.169.254/latest/meta-data"}),
        ("pull", {"name": name}),
        ("plan_pull", {"name": name}),
        ("plan_pull", {"name": "10.0.0.1:8080/library/secret"}),
        ("add_entry", {"name": name, "description": "", "category": "chat"}),
    ]:
        kind, words = await page.call(method, **params)
        assert kind == "NotAllowedError", (method, words)
        assert "c.ModelWidgets.allowed_" in words
    assert len(model_server.registry.log) == seen
    assert await page.call("connect", url=model_server.url) is None
    await page.close()


async def test_deleting_can_be_switched_off_and_all_changes_too(
    start: Any, model_server: ModelServer
) -> None:
    """The environment goes before the settings, and a page learns what it need not offer."""
    looks = start("--ModelWidgets.read_only=True", OLLAMA_HOST=model_server.url)
    keeps = start(
        "--ModelWidgets.read_only=True",
        OLLAMA_HOST=model_server.url,
        MODELWIDGETS_READ_ONLY="0",
        MODELWIDGETS_ALLOW_DELETE="0",
    )
    page, other = await looks.page(), await keeps.page()

    assert "pull" in (await page.call("hello"))["refused"]
    assert (await other.call("hello"))["refused"] == ["delete", "delete_many"]
    assert (await page.call("pull", name="x"))[0] == "NotAllowedError"
    assert (await other.call("delete", name="x", force=True))[0] == "NotAllowedError"
    assert (await other.call("pull", name="no name"))[0] == "InvalidNameError"
    await page.close()
    await other.close()


async def test_what_is_no_call_is_refused_and_harms_nobody(
    start: Any, model_server: ModelServer
) -> None:
    """Said once in the log, each time to the page; what is too long closes that page only."""
    server = start(OLLAMA_HOST=model_server.url)
    page, bystander = await server.page(), await server.page()
    await bystander.call("hello")
    bad = ["", "null", "[]", "{}", '{"op": "call"}', "[" * 60_000, '{"op":"call","id":"1"}', "\x00"]
    for message in bad:
        await page.socket.write_message(message)
    kind, words = await page.call("rm -rf", name="x")
    assert (kind, "Reload the page" in words) == ("UnknownCommandError", True)
    assert len(page.refused) == len(bad)
    await page.socket.write_message("x" * 100_000)
    await page.closed.wait()
    await page.close()

    assert (await bystander.call("hello"))["version"]
    await bystander.close()
    assert server.log.count("modelwidgets refused a page's message") == 1


async def test_the_first_page_blocks_nobody(start: Any, model_server: ModelServer) -> None:
    """While the manager is made and the catalog read, the server answers others."""
    server = start(OLLAMA_HOST=model_server.url)
    page = await server.page()
    waits = []
    answer = None

    async def hello() -> None:
        nonlocal answer
        answer = await page.call("hello")

    task = asyncio.create_task(hello())
    while not task.done():
        began = time.monotonic()
        await asyncio.to_thread(server.request, "status", **server.login)
        waits.append(time.monotonic() - began)
    await task
    assert answer is not None
    assert max(waits) < 1.5
    await page.close()
