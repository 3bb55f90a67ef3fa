"""The door to notebook cells, without a browser: messages in, messages out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets
import pytest

import modelwidgets
from modelwidgets import CatalogBrowser, InstalledModels, ModelManager, PullBars
from modelwidgets.errors import StoreError
from modelwidgets.widgets import STATIC, Door
from tests.model_server import ModelServer

EMBED = "embed:tiny"


class Page:
    """What a browser would see of a widget, and say to it."""

    def __init__(self, widget: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        self.got: list[dict[str, Any]] = []
        self._widget = widget
        self._calls = 0
        monkeypatch.setattr(widget, "send", lambda message, _buffers=None: self.got.append(message))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._calls += 1
        number = self._calls
        message = {"op": "call", "id": number, "method": method, "params": params}
        self._widget._handle_custom_msg(message, [])
        return self.until(lambda: self._reply(number))

    def slice(self, name: str) -> Any:
        value = None
        for message in [m for m in self.got if m.get("name") == name]:
            value = message["value"] if message["op"] == "slice" else _patched(value, message)
        return value

    def until(self, look: Callable[[], Any], within_seconds: float = 15) -> Any:
        end = time.monotonic() + within_seconds
        while not (found := look()):
            assert time.monotonic() < end, f"did not come; got {self.got[-5:]}"
            time.sleep(0.01)
        return found

    def _reply(self, number: int) -> dict[str, Any] | None:
        return next((m for m in self.got if m["op"] == "reply" and m["id"] == number), None)


def _patched(rows: list[dict[str, Any]] | None, patch: dict[str, Any]) -> list[dict[str, Any]]:
    known = {row["id"]: row for row in rows or []}
    for row_id, fields in patch["rows"].items():
        known[row_id] = known.get(row_id, {}) | fields
    return [known[row_id] for row_id in patch.get("ids", known)]


def test_a_page_says_hello_pulls_and_deletes(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole main job through messages."""
    page = Page(ModelManager(model_server.url), monkeypatch)
    name = model_server.name(EMBED)

    hello = page.call("hello")
    started = page.call("pull", name=name)
    page.until(lambda: [m["name"] for m in (page.slice("installed") or {}).get("models", [])])
    details = page.call("details", name=name)
    deleted = page.call("delete", name=name, force=True)
    page.until(lambda: page.slice("installed")["models"] == [])

    assert hello["value"]["viewer"].startswith("kernel on ")
    assert started["value"]["name"] == name
    assert details["value"]["manifest"]["total_bytes"] == deleted["value"]["frees_bytes"]
    assert deleted["ok"]


def test_what_goes_wrong_is_answered_in_words(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the name of the error, and no traceback."""
    page = Page(ModelManager(model_server.url), monkeypatch)

    bad_name = page.call("pull", name="../x")
    unknown = page.call("fly")
    nothing = page.call("delete", name="nothing", force=True)

    assert (bad_name["ok"], bad_name["error"]["kind"]) == (False, "InvalidNameError")
    assert (unknown["ok"], unknown["error"]["kind"]) == (False, "UnknownCommandError")
    assert (nothing["ok"], nothing["error"]["kind"]) == (False, "ModelNotFoundError")


def test_a_start_that_fails_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page never waits for an answer that does not come."""

    async def start() -> str:
        raise StoreError("The disk is full.")

    monkeypatch.setattr("modelwidgets.service.start_embedded_store", start)
    widget = ModelManager(store="embedded")
    page = Page(widget, monkeypatch)

    answer = page.call("hello")

    assert answer["ok"] is False
    assert answer["error"] == {"kind": "StoreError", "message": "The disk is full."}
    assert widget._plain_text() == "The disk is full."
    with pytest.raises(StoreError):
        widget.show()


def test_a_page_that_asks_again_after_a_failed_start_is_told_of_changes_too(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second try counts like a first."""
    urls = iter([StoreError("not yet"), model_server.url])

    async def start() -> str:
        url = next(urls)
        if isinstance(url, Exception):
            raise url
        return url

    monkeypatch.setattr("modelwidgets.service.start_embedded_store", start)
    widget = ModelManager(store="embedded")
    page = Page(widget, monkeypatch)
    with pytest.raises(StoreError):
        widget._listening.result(10)

    assert page.call("hello")["ok"]
    page.call("pull", name=model_server.name(EMBED))
    page.until(lambda: (page.slice("installed") or {}).get("models"))


def test_a_widget_closed_before_the_server_answered_is_told_nothing(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not live on unseen, and keeps nothing fresh."""
    may_go_on = threading.Event()

    async def start() -> str:
        await asyncio.to_thread(may_go_on.wait, 10)
        return model_server.url

    monkeypatch.setattr("modelwidgets.service.start_embedded_store", start)
    widget = ModelManager(store="embedded")
    page = Page(widget, monkeypatch)
    widget.close()
    may_go_on.set()
    widget._listening.result(10)
    widget.pull(model_server.name(EMBED)).result(20)
    time.sleep(0.2)  # two flushes

    assert page.got == []


class Shell:
    """The part of a notebook's shell that tells cells apart."""

    kernel = object()

    def __init__(self) -> None:
        self.parent: dict[str, Any] = {}

    def run(self, cell: str, number: int) -> None:
        self.parent = {"metadata": {"cellId": cell}, "header": {"msg_id": f"{cell} {number}"}}

    def get_parent(self) -> dict[str, Any]:
        return self.parent


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell()
    monkeypatch.setattr("modelwidgets.page.get_ipython", lambda: shell)
    monkeypatch.setattr("modelwidgets.page._made", {})
    return shell


def test_a_cell_that_runs_again_closes_its_earlier_widgets(
    model_server: ModelServer, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of that run, and none of another cell."""
    closed: list[Door] = []
    close = Door.close
    monkeypatch.setattr(Door, "close", lambda self: (closed.append(self), close(self))[0])
    shell.run("a", 1)
    first = [ModelManager(model_server.url), PullBars(model_server.url)]
    shell.run("b", 1)
    other = ModelManager(model_server.url)
    shell.run("a", 2)

    second = ModelManager(model_server.url)

    assert closed == first
    assert other not in closed
    assert second not in closed


def test_a_saved_page_shows_the_last_state_as_a_plain_table(
    model_server: ModelServer, shell: Shell
) -> None:
    """Escaped, without scripts, and without the login of the address."""
    url = model_server.url.replace("http://", "http://me:secret@")
    widget = ModelManager(url)
    widget.pull(model_server.name(EMBED)).result(20)
    widget.installed().result(10)

    data, _ = widget._repr_mimebundle_()

    assert "embed:tiny" in data["text/html"]
    assert "<table" in data["text/html"]
    assert "<script" not in data["text/html"]
    assert "embed:tiny" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "secret" not in str(data)
    assert "secret" not in str(widget.get_state())


async def test_on_the_kernels_loop_show_never_waits(
    model_server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Waiting there would stop the very work that is waited for."""
    widget = ModelManager(model_server.url, loop="kernel")
    widget.show()
    models = await widget.installed()
    widget.show()

    first, second = capsys.readouterr().out.split("The server has not answered yet.", 1)
    assert first == ""
    assert "No models to show." in second
    assert models == []
    await widget._session.aclose()


@pytest.mark.parametrize(
    "message",
    [
        "text",
        None,
        {},
        {"op": "call"},
        {"op": "call", "id": "1", "method": "refresh", "params": {}},
        {"op": "call", "id": 1, "method": "refresh", "params": []},
        {"op": "reply", "id": 1},
    ],
)
def test_messages_of_a_wrong_form_are_passed_over(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, message: Any
) -> None:
    """There is nobody to answer, and nothing breaks."""
    widget = ModelManager(model_server.url)
    page = Page(widget, monkeypatch)
    widget._handle_custom_msg(message, [])

    assert page.call("hello")["ok"]


def test_where_samples_stand_in_for_the_registry_the_catalog_has_them(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before everything else, because they are what can be pulled."""
    page = Page(CatalogBrowser(model_server.url), monkeypatch)
    page.call("hello")

    def names() -> list[str]:
        return [model["name"] for model in (page.slice("catalog") or {}).get("models", [])]

    page.until(lambda: model_server.name("chat") in names())

    assert model_server.name("chat") in names()[:3]
    assert "llama3.2" in names()


def test_two_managers_agree(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one pulls, the other shows."""
    one = Page(ModelManager(model_server.url), monkeypatch)
    two = Page(PullBars(model_server.url), monkeypatch)
    two.call("hello")

    started = one.call("pull", name=model_server.name(EMBED))
    shown = two.until(lambda: two.slice("pulls"))

    assert shown[0]["id"] == started["value"]["id"]


@pytest.mark.parametrize("after_seconds", [0.0, 0.2, 0.35])
def test_the_end_of_a_stopped_pull_reaches_the_page(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, after_seconds: float
) -> None:
    """However little has changed since the last message."""
    model_server.registry.faults.throttle_bytes_per_second = 400_000
    page = Page(ModelManager(model_server.url), monkeypatch)
    pull = page.call("pull", name=model_server.name(EMBED))["value"]["id"]
    time.sleep(after_seconds)

    page.call("stop", id=pull)

    def states() -> list[str]:
        patches = [message for message in page.got if message["op"] == "patch"]
        rows = [patch["rows"].get(pull, {}) for patch in patches if patch["name"] == "pulls"]
        return [row["state"] for row in rows if "state" in row]

    page.until(lambda: states()[-1:] == ["cancelled"])


def test_ten_clicks_in_a_row_are_one_pull(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is lost or doubled."""
    page = Page(ModelManager(model_server.url), monkeypatch)

    pulls = {page.call("pull", name=model_server.name(EMBED))["value"]["id"] for _ in range(10)}
    page.until(lambda: (page.slice("installed") or {}).get("models"))

    assert len(pulls) == 1
    assert model_server.registry.sent_bytes() == 6_345_095


def test_the_parts_are_ordinary_widgets(model_server: ModelServer) -> None:
    """They sit in boxes and tabs, and their traits can be observed and linked."""
    parts = [
        InstalledModels(model_server.url),
        CatalogBrowser(model_server.url),
        PullBars(model_server.url),
    ]
    box = ipywidgets.VBox(parts)
    label = ipywidgets.Label()
    ipywidgets.jslink((parts[0], "selected"), (label, "value"))
    seen: list[str] = []
    parts[0].observe(lambda change: seen.append(change["new"]), "selected")

    parts[0].selected = "llama3.2:3b"

    assert [part.view for part in box.children] == ["installed", "catalog", "pulls"]
    assert seen == ["llama3.2:3b"]


def test_the_page_is_given_its_later_part_though_nothing_could_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The text is answered as it was built, in the build that the first part waits for."""

    async def start() -> str:
        raise StoreError("The disk is full.")

    monkeypatch.setattr("modelwidgets.service.start_embedded_store", start)
    page = Page(ModelManager(store="embedded"), monkeypatch)

    part = page.call("part")

    assert part["value"] == (STATIC / "later.js").read_text("utf-8")
    build = part["value"].removeprefix("/*")[:16]
    assert build in str(ModelManager._esm)
    assert page.call("hello")["ok"] is False


def test_selecting_a_row_sets_the_trait(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chosen name reaches Python, and so does the state of the model_server."""
    widget = ModelManager(model_server.url)
    page = Page(widget, monkeypatch)

    page.call("select", name="llama3.2:3b")
    page.until(lambda: widget.status)

    assert (widget.selected, widget.status) == ("llama3.2:3b", "running")


def test_rows_are_no_synced_state(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is saved with a notebook stays small."""
    widget = ModelManager(model_server.url)
    Page(widget, monkeypatch).call("hello")

    state = {key: value for key, value in widget.get_state().items() if key[0] != "_"}

    assert sum(len(str(value)) for value in state.values()) < 500


@pytest.mark.parametrize("name", ["ModelManager", "InstalledModels", "CatalogBrowser", "PullBars"])
def test_an_unknown_keyword_raises_at_once(name: str) -> None:
    """A misspelt one is named."""
    widgets: dict[str, Any] = {
        "ModelManager": ModelManager,
        "InstalledModels": InstalledModels,
        "CatalogBrowser": CatalogBrowser,
        "PullBars": PullBars,
    }

    with pytest.raises(TypeError, match="'sotre'"):
        widgets[name](sotre="auto")


@pytest.mark.parametrize(
    ("words", "named"),
    [({"store": "disk"}, "store='disk'"), ({"loop": "x"}, "loop='x'"), ({"view": "x"}, "view='x'")],
)
def test_an_unknown_choice_is_named_with_what_there_is(words: dict[str, Any], named: str) -> None:
    """So that the next try is right."""
    with pytest.raises(ValueError, match=named):
        ModelManager(**words)


def test_without_a_page_show_prints_a_table(
    model_server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain Python is a front end too."""
    ModelManager(model_server.url).show()

    printed = capsys.readouterr().out
    assert "Embedded store 0.33.0" in printed
    assert repr(ModelManager(model_server.url)) == "<ModelManager>"


def test_closing_a_widget_leaves_its_pulls_alone(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running a cell again replaces the view, not the work."""
    first = ModelManager(model_server.url)
    page = Page(first, monkeypatch)
    page.call("pull", name=model_server.name(EMBED))
    first.close()
    second = Page(ModelManager(model_server.url), monkeypatch)
    second.call("hello")

    second.until(lambda: (second.slice("installed") or {}).get("models"))

    second.until(lambda: [pull["state"] for pull in second.slice("pulls")] == ["done"])


def test_the_catalog_has_the_samples_as_soon_as_the_server_was_looked_at(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks first gets them too, however fast the catalog was read without them."""
    monkeypatch.setenv("OLLAMA_HOST", model_server.url)

    families = modelwidgets.catalog().result(30)

    assert families.get(model_server.name(EMBED)) is not None
