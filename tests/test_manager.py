"""The core: lists that stay true, deletions that say what they do, commands of pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from modelwidgets.errors import InUseError, InvalidNameError, ModelNotFoundError
from modelwidgets.library import Catalog
from modelwidgets.manager import Manager, UnknownCommandError
from modelwidgets.slices import Message
from modelwidgets.stores.registry import RegistryClient
from tests.scripted import ManualClock, ScriptedServer, settle

NOTHING = Catalog(as_of="2026-01-01", models=(), problems=(), architectures={})


class Bench:
    def __init__(self) -> None:
        self.server = ScriptedServer()
        self.clock = ManualClock()
        offline = httpx.MockTransport(self._offline)
        self.manager = Manager(
            self.server.client(),
            viewer="test",
            clock=self.clock,
            registry=RegistryClient(transport=offline),
            load_catalog=lambda: NOTHING,
        )

    async def call(self, method: str, **params: Any) -> Any:
        got: list[Message] = []
        return await self.manager.call(method, params, door=self, send=got.append)

    @staticmethod
    def _offline(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network", request=request)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.server.install("llama3.2:3b", "a" * 64)
    bench.manager.start()
    await bench.manager.looked.wait()
    yield bench
    await bench.manager.close()


async def test_the_first_look_shows_the_models_and_how_old_the_list_is(bench: Bench) -> None:
    """A list carries its age."""
    installed = bench.manager.installed

    assert [model.name for model in installed.models] == ["llama3.2:3b"]
    assert installed.as_of == bench.clock.now()
    assert installed.stale is None


async def test_a_list_of_a_server_that_went_away_stays_and_is_marked(bench: Bench) -> None:
    """Stale rows are never shown as fresh, and never thrown away."""
    bench.server.down = True

    await bench.manager.refresh()

    assert [model.name for model in bench.manager.installed.models] == ["llama3.2:3b"]
    assert bench.manager.installed.stale == "service stopped"
    assert bench.manager.status is not None
    assert bench.manager.status.state == "stopped"
    assert "ollama serve" in str(bench.manager.status.reason)


async def test_ten_quick_refreshes_ask_at_most_twice_and_end_fresh(bench: Bench) -> None:
    """One request is in flight at a time; who asks during it gets a newer answer."""
    gate = bench.server.list_gate = asyncio.Event()
    before = len(bench.server.asked("/api/tags"))
    refreshes = [asyncio.ensure_future(bench.manager.refresh())]
    await settle()
    refreshes += [asyncio.ensure_future(bench.manager.refresh()) for _ in range(9)]
    await settle()
    bench.server.install("new:latest", "b" * 64)
    gate.set()
    await asyncio.gather(*refreshes)

    assert len(bench.server.asked("/api/tags")) - before == 2
    assert "new:latest" in [model.name for model in bench.manager.installed.models]


async def test_delete_says_what_it_frees_and_the_list_follows(bench: Bench) -> None:
    """Without a readable store the figure is an upper bound, and says so."""
    plan = await bench.manager.delete("llama3.2:3b")

    assert (plan.frees_bytes, plan.exact) == (10, False)
    assert bench.manager.installed.models == ()
    assert bench.manager.installed.deleting == ()
    notice = bench.manager.slices["notices"][0]
    assert (notice.kind, notice.text) == ("success", "llama3.2:3b deleted: freed at most 0.0 GB.")


async def test_a_model_in_memory_is_not_deleted_by_accident(bench: Bench) -> None:
    """With force it is unloaded first, because afterwards nobody could."""
    bench.server.running = [{"name": "llama3.2:3b", "model": "llama3.2:3b", "digest": "a" * 64}]

    with pytest.raises(InUseError):
        await bench.manager.delete("llama3.2:3b")
    await bench.manager.delete("llama3.2:3b", force=True)

    asked = [path for path, _ in bench.server.requests if path in ("/api/generate", "/api/delete")]
    assert asked == ["/api/generate", "/api/delete"]


async def test_deleting_what_is_gone_is_said_and_the_list_is_renewed(bench: Bench) -> None:
    """Somebody else was faster."""
    bench.server.models = []

    with pytest.raises(ModelNotFoundError):
        await bench.manager.delete("llama3.2:3b")
    await bench.manager.refresh()

    assert bench.manager.installed.models == ()
    assert bench.manager.slices["notices"][0].kind == "error"


async def test_a_pull_ends_in_the_list_and_in_a_notice(bench: Bench) -> None:
    """Also where the registry cannot be asked: then the total is unknown, not guessed."""
    progress = await bench.call("pull", name="qwen3")
    await settle()
    bench.server.install("qwen3:latest", "c" * 64)
    bench.server.streams[0].say(status="success")
    await bench.manager.pulls.wait(bench.manager.pulls[progress.id])
    await bench.manager.refresh()

    assert "qwen3:latest" in [model.name for model in bench.manager.installed.models]
    notice = bench.manager.slices["notices"][0]
    assert (notice.id, notice.kind) == (progress.id, "success")


async def test_a_failed_pull_offers_to_retry(bench: Bench) -> None:
    """The server's words are kept whole."""
    progress = await bench.call("pull", name="nope")
    await settle()
    bench.server.streams[0].say(error="pull model manifest: file does not exist")
    await settle()

    notice = bench.manager.slices["notices"][0]
    assert "pull model manifest: file does not exist" in notice.text
    assert [(action.label, action.method) for action in notice.actions] == [("Retry", "retry")]
    await bench.call("dismiss_notice", id=progress.id)
    assert bench.manager.slices["notices"] == []


async def test_while_a_page_is_visible_the_list_is_kept_fresh(bench: Bench) -> None:
    """Every ten seconds, and not at all when nobody looks."""
    await bench.call("visible", visible=True)
    await settle()
    before = len(bench.server.asked("/api/tags"))
    for _ in range(3):
        await bench.clock.move(10)
        await bench.manager.refresh()
    seen = len(bench.server.asked("/api/tags")) - before
    await bench.call("visible", visible=False)
    await bench.clock.move(10)
    before = len(bench.server.asked("/api/tags"))
    await bench.clock.move(60)

    assert seen >= 5
    assert len(bench.server.asked("/api/tags")) == before


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("format_disk", {}),
        ("pull", {"name": 5}),
        ("pull", {}),
        ("stop", {"id": "nothing"}),
        ("visible", {"visible": "yes"}),
        ("__class__", {}),
    ],
)
async def test_what_no_page_would_send_is_refused_in_words(
    bench: Bench, method: str, params: dict[str, Any]
) -> None:
    """Nothing happens, and nothing breaks."""
    with pytest.raises(UnknownCommandError, match="Reload the page"):
        await bench.call(method, **params)


async def test_hello_gives_a_page_everything(bench: Bench) -> None:
    """A reloaded page needs no second cell run."""
    got: list[Message] = []
    answer = await bench.manager.call("hello", {}, door=bench, send=got.append)

    assert answer["viewer"] == "test"
    assert {message["name"] for message in got} == {
        "service",
        "devices",
        "installed",
        "running",
        "catalog",
        "disk",
        "notices",
        "pulls",
    }


async def test_a_bad_name_reaches_no_server(bench: Bench) -> None:
    """It is refused in words where it was typed."""
    before = len(bench.server.requests)

    with pytest.raises(InvalidNameError):
        await bench.call("pull", name="a b")

    assert len(bench.server.requests) == before
