"""The core: lists that stay true, deletions that say what they do, commands of pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from modelwidgets.commands import UnknownCommandError, carry_out
from modelwidgets.errors import (
    CatalogError,
    InUseError,
    InvalidNameError,
    ModelNotFoundError,
    NameTakenError,
)
from modelwidgets.library import Catalog
from modelwidgets.manager import Manager
from modelwidgets.slices import Message
from modelwidgets.stores.registry import RegistryClient
from tests.scripted import ManualClock, ScriptedServer, settle, until

NOTHING = Catalog(as_of="2026-01-01", models=(), problems=(), architectures={})


class Bench:
    def __init__(self) -> None:
        self.server = ScriptedServer()
        self.clock = ManualClock()
        self.catalog_error: Exception | None = None
        offline = httpx.MockTransport(self._offline)
        self.manager = Manager(
            self.server.client(),
            viewer="test",
            clock=self.clock,
            registry=RegistryClient(transport=offline),
            load_catalog=self._load_catalog,
        )

    async def call(self, method: str, **params: Any) -> Any:
        got: list[Message] = []
        return await carry_out(self.manager, method, params, door=self, send=got.append)

    def _load_catalog(self) -> Catalog:
        if self.catalog_error is not None:
            raise self.catalog_error
        return NOTHING

    @property
    def notices(self) -> list[tuple[str, str]]:
        return [(notice.kind, notice.text) for notice in self.manager.notices]

    @staticmethod
    def _offline(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network", request=request)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.server.install("llama3.2:3b", "a" * 64)
    bench.manager.start()
    await bench.manager.watch.looked.wait()
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
    assert (notice.kind, notice.text) == ("success", "llama3.2:3b deleted: freed at most 10 B.")


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
    await until(lambda: bench.server.streams)
    bench.server.install("qwen3:latest", "c" * 64)
    bench.server.streams[0].say(status="success")
    await bench.manager.pulls.wait(bench.manager.pulls[progress.id])
    await bench.manager.refresh()

    assert "qwen3:latest" in [model.name for model in bench.manager.installed.models]
    notice = bench.manager.slices["notices"][0]
    assert (notice.kind, notice.text) == ("success", "qwen3:latest is installed.")


async def test_a_failed_pull_offers_to_retry(bench: Bench) -> None:
    """The server's words are kept whole."""
    progress = await bench.call("pull", name="nope")
    await until(lambda: bench.server.streams)
    bench.server.streams[0].say(error="pull model manifest: file does not exist")
    await settle()

    notice = bench.manager.slices["notices"][0]
    assert "pull model manifest: file does not exist" in notice.text
    assert [(action.label, action.method) for action in notice.actions] == [("Retry", "retry")]
    await bench.call("dismiss_notice", id=notice.id)
    assert bench.manager.slices["notices"] == []
    assert bench.manager.pulls[progress.id].state == "failed"


async def test_what_was_said_of_a_pull_goes_with_it(bench: Bench) -> None:
    """A retry takes the place of the failure, each said with an id of its own, and once."""
    progress = await bench.call("pull", name="nope")
    await until(lambda: bench.server.streams)
    bench.server.streams[0].say(error="pull model manifest: file does not exist")
    await settle()
    failed = bench.manager.slices["notices"]
    await bench.call("retry", id=progress.id)
    started = bench.manager.slices["notices"]
    for _ in range(10):
        await bench.call("pull", name="nope")
    await until(lambda: len(bench.server.streams) == 2)
    bench.server.streams[1].say(error="pull model manifest: file does not exist")
    await settle()

    assert [notice.text for notice in started] == ["Pull of nope:latest started."]
    assert [len(one) for one in (failed, started, bench.manager.slices["notices"])] == [1, 1, 1]
    assert started[0].id not in (failed[0].id, bench.manager.slices["notices"][0].id)
    await bench.call("dismiss", id=progress.id)
    assert bench.manager.slices["notices"] == []


async def test_ten_clicks_on_delete_are_one_deletion(bench: Bench) -> None:
    """None of them is told that the model is gone, because all wanted just that."""
    plans = await asyncio.gather(*[bench.call("delete", name="LLAMA3.2:3b") for _ in range(10)])

    assert {plan.name for plan in plans} == {"llama3.2:3b"}
    assert len(bench.server.asked("/api/delete")) == 1
    assert [kind for kind, _ in bench.notices] == ["success"]


async def test_of_what_went_well_only_the_last_stays(bench: Bench) -> None:
    """A page is not buried under what was done; what went wrong stays until it is dismissed."""
    bench.manager.notices.tell("success", "a is installed.", about="1")
    bench.manager.notices.tell("error", "b was not deleted.")
    bench.manager.notices.tell("success", "a deleted: freed 3 B.")
    deleted = bench.notices
    bench.manager.notices.tell("info", "Pull of a started.", about="2")

    error = ("error", "b was not deleted.")
    assert deleted == [("success", "a deleted: freed 3 B."), error]
    assert bench.notices == [("info", "Pull of a started."), error]


async def test_a_deletion_goes_on_when_nobody_waits_for_it(bench: Bench) -> None:
    """An interrupted cell leaves no row that says "deleting" for ever."""
    waiting = asyncio.ensure_future(bench.manager.delete("llama3.2:3b"))
    await asyncio.sleep(0)
    waiting.cancel()

    await until(lambda: bench.server.models == [])
    await until(lambda: bench.manager.installed.deleting == ())
    assert bench.manager.installed.models == ()


async def test_a_deletion_stays_with_its_server(bench: Bench) -> None:
    """Looking elsewhere meanwhile deletes nothing there."""
    bench.server.list_gate = asyncio.Event()
    deletion = asyncio.ensure_future(bench.manager.delete("llama3.2:3b"))
    await settle()
    await bench.manager.connect("http://127.0.0.1:9")
    bench.server.list_gate.set()
    await deletion

    assert len(bench.server.asked("/api/delete")) == 1
    assert bench.manager.installed.models == ()


async def test_deleting_many_is_planned_as_one(bench: Bench) -> None:
    """The plan says what is freed in all, what is in memory, and what is gone already."""
    bench.server.install("second:latest", "b" * 64)
    bench.server.running = [{"name": "second:latest", "model": "second:latest", "digest": "b" * 64}]
    await bench.manager.refresh()

    plan = await bench.call("plan_delete_many", names=["LLAMA3.2:3b", "second", "gone", "second"])

    assert plan.names == ("llama3.2:3b", "second:latest")
    assert (plan.frees_bytes, plan.exact) == (20, False)
    assert (plan.running, plan.missing) == (("second:latest",), ("gone",))


async def test_one_that_cannot_be_deleted_does_not_stop_the_rest(bench: Bench) -> None:
    """Each failure is told with its reason; what was freed is said once for all."""
    for name in ("busy:latest", "forced:latest", "last:latest"):
        bench.server.install(name, "b" * 64)
        entry = {"name": name, "model": name, "digest": "b" * 64}
        bench.server.running += [entry] if name != "last:latest" else []
    await bench.manager.refresh()

    wanted = ["llama3.2:3b", "busy:latest", "no name", "gone", "forced:latest", "last:latest"]
    done = await bench.call("delete_many", names=wanted, force=["forced"])

    assert done.deleted == ("llama3.2:3b", "forced:latest", "last:latest")
    assert [(one.name, one.error_kind) for one in done.failed] == [
        ("busy:latest", "InUseError"),
        ("no name", "InvalidNameError"),
        ("gone", "ModelNotFoundError"),
    ]
    assert "loaded in memory" in done.failed[0].error
    assert [model.name for model in bench.manager.installed.models] == ["busy:latest"]
    said = [text for kind, text in bench.notices if kind == "success"]
    assert said == ["3 models deleted: freed at most 30 B."]


async def test_deleting_many_goes_on_when_nobody_waits_for_it(bench: Bench) -> None:
    """Also on the server for which it was asked, when another one is looked at."""
    bench.server.install("second:latest", "b" * 64)
    waiting = asyncio.ensure_future(
        bench.call("delete_many", names=["llama3.2:3b", "second"], force=[])
    )
    await asyncio.sleep(0)
    waiting.cancel()
    await bench.manager.connect("http://127.0.0.1:9")

    await until(lambda: bench.server.models == [])


async def test_a_page_names_models_as_texts(bench: Bench) -> None:
    """Anything else deletes nothing."""
    with pytest.raises(UnknownCommandError):
        await bench.call("delete_many", names=["llama3.2:3b", 7], force=[])

    assert bench.server.asked("/api/delete") == []


async def test_a_model_that_is_being_pulled_is_not_deleted_by_accident(bench: Bench) -> None:
    """It would be back in a moment; with force the pull is stopped first."""
    pull = bench.manager.pull("llama3.2:3b")
    await until(lambda: bench.server.streams)

    with pytest.raises(InUseError, match="Stop the pull first"):
        await bench.call("delete", name="LLAMA3.2:3b")
    assert bench.server.asked("/api/delete") == []
    assert pull.state == "running"
    await bench.call("delete", name="llama3.2:3b", force=True)
    assert (pull.state, bench.server.models) == ("cancelled", [])
    assert bench.server.streams[0].closed


async def test_stopping_an_update_leaves_the_model_as_it_was(bench: Bench) -> None:
    """Nothing is deleted, and the row stays."""
    pull = bench.manager.pull("llama3.2:3b")
    await until(lambda: bench.server.streams)
    pull.stop()
    await settle()
    await bench.manager.refresh()

    assert bench.server.asked("/api/delete") == []
    assert [model.name for model in bench.manager.installed.models] == ["llama3.2:3b"]


async def test_a_copy_takes_no_name_from_another_model(bench: Bench) -> None:
    """The server would replace it without a question."""
    bench.server.install("mine:latest", "b" * 64)

    with pytest.raises(NameTakenError, match="mine:latest"):
        await bench.manager.copy("llama3.2:3b", "Mine")
    assert bench.server.asked("/api/copy") == []
    await bench.manager.copy("llama3.2:3b", "mine", force=True)
    await bench.manager.copy("llama3.2:3b", "llama3.2:3b")
    await bench.manager.copy("llama3.2:3b", "new")
    assert len(bench.server.asked("/api/copy")) == 3


async def test_an_older_answer_does_not_overwrite_a_newer_one(bench: Bench) -> None:
    """Two who ask at once may be answered in either order."""
    gate = bench.server.list_gate = asyncio.Event()
    older = asyncio.ensure_future(bench.manager.list_installed())
    await settle()
    bench.server.list_gate = None
    bench.server.install("new:latest", "b" * 64)
    await bench.manager.list_installed()
    gate.set()

    assert [model.name for model in await older] == ["llama3.2:3b"]
    assert len(bench.manager.installed.models) == 2


async def test_nothing_of_one_server_is_shown_as_if_of_another(bench: Bench) -> None:
    """Also while the first look at the new one is under way, and where it does not answer."""
    bench.server.list_gate = asyncio.Event()
    older = asyncio.ensure_future(bench.manager.list_installed())
    await settle()
    connecting = asyncio.ensure_future(bench.manager.connect("127.0.0.1:9"))
    await asyncio.sleep(0)

    assert bench.manager.status is None
    assert bench.manager.installed.as_of is None
    bench.server.list_gate.set()
    await older
    await connecting
    assert bench.manager.installed.models == ()
    assert bench.manager.status is not None
    assert bench.manager.status.state == "stopped"
    assert bench.manager.status.url == "http://127.0.0.1:9"


async def test_pulls_go_on_where_they_were_started(bench: Bench) -> None:
    """Looking at another server neither stops nor moves them, and a retry goes there again."""
    progress = await bench.call("pull", name="qwen3")
    await until(lambda: bench.server.streams)
    await bench.manager.connect("http://127.0.0.1:9")
    bench.server.streams[0].say(error="file does not exist")
    await settle()
    await bench.call("retry", id=progress.id)
    await until(lambda: len(bench.server.streams) == 2)

    assert bench.manager.pulls[progress.id].progress().url == bench.server.client().url
    assert bench.manager.pull("qwen3") is not bench.manager.pulls[progress.id]


async def test_a_look_that_fails_in_a_way_nobody_foresaw_is_told_and_the_next_one_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list stays, marked; the page is not left with what only looks fresh."""
    await bench.call("visible", visible=True)

    def broken(_url: str) -> None:
        raise ZeroDivisionError("a bug of ours")

    with monkeypatch.context() as patch:
        patch.setattr("modelwidgets.watch.local_devices", broken)
        await bench.clock.move(10)
        await bench.manager.refresh()
        stale = bench.manager.installed.stale
    asked = len(bench.server.asked("/api/tags"))
    for _ in range(3):
        await bench.clock.move(10)
        await asyncio.sleep(0.05)

    assert stale == "The list could not be renewed: ZeroDivisionError: a bug of ours"
    assert len(bench.server.asked("/api/tags")) > asked
    assert bench.manager.installed.stale is None


async def test_a_catalog_that_cannot_be_used_says_why(bench: Bench) -> None:
    """The page does not wait for it for ever, the old one stays, and who asks is told too."""
    bench.catalog_error = CatalogError("catalog.yaml: line 3: no name. Correct the file.")
    broken = Bench()
    broken.catalog_error = bench.catalog_error
    broken.manager.start()
    await broken.manager.watch.looked.wait()
    await asyncio.sleep(0.05)

    assert broken.manager.slices["catalog"].problems == (str(bench.catalog_error),)
    with pytest.raises(CatalogError, match="line 3"):
        await broken.manager.catalog()
    with pytest.raises(CatalogError, match="line 3"):
        await bench.call("refresh_catalog")
    assert bench.manager.slices["catalog"].problems == ()
    await broken.manager.close()


async def test_what_nobody_foresaw_beside_everything_else_is_told(bench: Bench) -> None:
    """A task that dies is no silence."""
    broken = Bench()
    broken.catalog_error = ZeroDivisionError("a bug of ours")
    broken.manager.start()
    await broken.manager.watch.looked.wait()
    await asyncio.sleep(0.05)

    said = "The catalog could not be read: ZeroDivisionError: a bug of ours"
    assert broken.notices == [("error", said)]
    await broken.manager.close()


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


async def test_hiding_one_of_two_views_leaves_the_other_fresh(bench: Bench) -> None:
    """Two views of one widget are two pairs of eyes."""
    await bench.call("visible", visible=True, view="left")
    await bench.call("visible", visible=True, view="right")
    await bench.call("visible", visible=False, view="left")
    before = len(bench.server.asked("/api/tags"))
    for _ in range(2):
        await bench.clock.move(10)
        await bench.manager.refresh()
    seen = len(bench.server.asked("/api/tags")) - before
    bench.manager.watch.forget(bench)
    await bench.clock.move(10)
    before = len(bench.server.asked("/api/tags"))
    await bench.clock.move(60)

    assert seen >= 3
    assert len(bench.server.asked("/api/tags")) == before


async def test_a_view_that_went_away_in_silence_is_forgotten(bench: Bench) -> None:
    """A laptop that was closed says nothing; one that is open says again that it looks."""
    await bench.call("visible", visible=True, view="closed")
    await bench.clock.move(1800)
    await bench.call("visible", visible=True, view="open")
    await bench.clock.move(1801)
    await bench.manager.refresh()
    await bench.clock.move(10)
    await bench.manager.refresh()
    still = len(bench.server.asked("/api/tags"))
    await bench.call("visible", visible=False, view="open")
    await bench.clock.move(10)
    asked = len(bench.server.asked("/api/tags"))
    await bench.clock.move(60)

    assert asked - still <= 1
    assert len(bench.server.asked("/api/tags")) == asked


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
    answer = await carry_out(bench.manager, "hello", {}, door=bench, send=got.append)

    assert answer["viewer"] == "test"
    assert {message["name"] for message in got} == {
        "service",
        "devices",
        "gpu_memory",
        "installed",
        "running",
        "catalog",
        "fits",
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
