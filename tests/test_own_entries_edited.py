"""The user's own entries: changed, asked for again, and changed behind a manager's back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import yaml

from modelwidgets.commands import carry_out
from modelwidgets.errors import (
    CatalogError,
    InvalidNameError,
    KnownEntryError,
    ManifestNotFoundError,
    RegistryError,
    RegistryUnreachableError,
)
from modelwidgets.folders import config_folder
from modelwidgets.library import (
    Catalog,
    add_entry,
    check_entries,
    edit_entry,
    entries,
    load_catalog,
    remove_entry,
)
from modelwidgets.manager import Manager
from modelwidgets.records import CatalogModel
from modelwidgets.stores.registry import RegistryClient
from tests.scripted import ManualClock, ScriptedServer, settle

UNKNOWN = ManifestNotFoundError("user/b:latest", "registry.ollama.ai")
OFFLINE = RegistryUnreachableError("registry.ollama.ai", "no route")


class Registry:
    """What a check answers, and what it was asked."""

    def __init__(self, error: RegistryError | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    async def check(self, name: str) -> None:
        self.asked.append(name)
        if self.error is not None:
            raise self.error


async def kept(name: str, registry: Registry | None = None, **words: str) -> CatalogModel:
    return await add_entry(name, **words, check=(registry or Registry()).check)


async def test_description_and_category_change_without_asking_anybody() -> None:
    """The entry keeps its place and its first date; what is not given stays."""
    await kept("user/a", description="One", category="code")
    await kept("user/b")
    registry = Registry()

    changed = await edit_entry("USER/A", description=" Two ", check=registry.check)

    assert (changed.name, changed.description, changed.category) == ("user/a:latest", "Two", "code")
    assert registry.asked == []
    assert [entry.name for entry in entries()] == ["user/b:latest", "user/a:latest"]
    assert entries()[1] == changed
    file = yaml.safe_load((config_folder() / "entries.yaml").read_text(encoding="utf-8"))
    assert all(entry["created"] <= entry["updated"] for entry in file["models"])


async def test_a_new_name_is_checked_like_one_that_is_added() -> None:
    """Known names are refused with a pointer, unknown ones with the registry's answer."""
    await kept("user/a")
    await kept("user/c")

    with pytest.raises(KnownEntryError, match=r"your own entries already has it, as user/c"):
        await edit_entry("user/a", new_name="user/c", check=Registry().check)
    with pytest.raises(KnownEntryError, match=r"the catalog already has it, as llama3\.2"):
        await edit_entry("user/a", new_name="llama3.2", check=Registry().check)
    with pytest.raises(ManifestNotFoundError):
        await edit_entry("user/a", new_name="user/b", check=Registry(UNKNOWN).check)
    with pytest.raises(InvalidNameError):
        await edit_entry("user/a", new_name="a b", check=Registry().check)
    renamed = await edit_entry("user/a", new_name="user/b", check=Registry().check)

    assert renamed.name == "user/b:latest"
    assert {entry.name for entry in entries()} == {"user/b:latest", "user/c:latest"}


async def test_offline_a_new_name_is_kept_unchecked() -> None:
    """As when it is added."""
    await kept("user/a")

    renamed = await edit_entry("user/a", new_name="user/b", check=Registry(OFFLINE).check)

    assert renamed.unchecked
    assert entries() == [renamed]


async def test_an_edit_without_a_change_asks_again_for_what_could_not_be_checked() -> None:
    """Found, it is marked no longer; not found, the registry's answer is told and it stays."""
    await kept("user/b", Registry(OFFLINE))

    with pytest.raises(ManifestNotFoundError):
        await edit_entry("user/b", check=Registry(UNKNOWN).check)
    assert entries()[0].unchecked
    assert not (await edit_entry("user/b", check=Registry().check)).unchecked
    assert not entries()[0].unchecked


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"category": "chats"}, "category 'chats' is none of chat"),
        ({"description": "a\nb"}, "one line of printable characters"),
    ],
)
async def test_what_could_not_be_added_is_not_edited_in(fields: dict[str, str], why: str) -> None:
    """The entry stays as it was."""
    before = await kept("user/a", description="One")

    with pytest.raises(CatalogError, match=f"user/a:latest was not changed: .*{why}"):
        await edit_entry("user/a", **fields, check=Registry().check)

    assert entries() == [before]


@pytest.mark.parametrize("name", ["llama3.2", "user/other", "not a name"])
async def test_what_is_no_own_entry_cannot_be_edited(name: str) -> None:
    """The catalog's own models are not the user's to change."""
    await kept("user/a")

    with pytest.raises(CatalogError, match="is not among your own entries"):
        await edit_entry(name, description="x", check=Registry().check)


async def test_an_entry_that_went_while_the_registry_was_asked_does_not_come_back() -> None:
    """Another door removed it meanwhile."""
    await kept("user/a")

    async def check(_name: str) -> None:
        remove_entry("user/a")

    with pytest.raises(CatalogError, match="nothing to change"):
        await edit_entry("user/a", new_name="user/b", check=check)
    assert entries() == []


async def test_names_taken_while_the_registry_was_asked_are_not_doubled() -> None:
    """Another door added the new name meanwhile."""
    await kept("user/a")

    async def check(_name: str) -> None:
        await kept("user/b")

    with pytest.raises(KnownEntryError):
        await edit_entry("user/a", new_name="user/b", check=check)
    assert {entry.name for entry in entries()} == {"user/a:latest", "user/b:latest"}


async def test_what_could_not_be_checked_is_asked_for_again() -> None:
    """Found entries lose their mark, others keep it and are named; checked ones are left alone."""
    await kept("user/a")
    await kept("user/b", Registry(OFFLINE))
    await kept("user/c", Registry(OFFLINE))

    async def check(name: str) -> None:
        if name == "user/b:latest":
            raise UNKNOWN

    assert await check_entries(Registry(OFFLINE).check) == {}
    refused = await check_entries(check)

    assert refused == {"user/b:latest": UNKNOWN}
    assert [entry.name for entry in entries() if entry.unchecked] == ["user/b:latest"]


# Behind a manager


class Net:
    """A registry that is out of reach, or knows nothing, or everything."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.asked = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.status is None:
            raise httpx.ConnectError("no network", request=request)
        if self.status == 404:
            return httpx.Response(404, json={"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        config = {"mediaType": "application/json", "digest": f"sha256:{'1' * 64}", "size": 2}
        raw = json.dumps({"schemaVersion": 2, "layers": [], "config": config}).encode()
        return httpx.Response(200, stream=httpx.ByteStream(raw))


class Desk:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.net = Net()
        self.manager = Manager(
            ScriptedServer().client(),
            viewer="test",
            clock=self.clock,
            registry=RegistryClient(transport=httpx.MockTransport(self.net.answer)),
            load_catalog=lambda: Catalog(
                as_of="2026-01-01", models=tuple(entries()), problems=(), architectures={}
            ),
        )

    @property
    def listed(self) -> dict[str, bool]:
        """The user's entries as the page has them, and whether they are unchecked."""
        return {model.name: model.unchecked for model in self.manager.slices["catalog"].models}

    async def until(self, listed: dict[str, bool]) -> None:
        async with asyncio.timeout(10):
            while self.listed != listed:  # noqa: ASYNC110 - the page polls nothing; a test does
                await asyncio.sleep(0.01)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    desk.manager.start()
    await desk.manager.watch.looked.wait()
    await desk.manager.catalog()
    yield desk
    await desk.manager.close()


async def test_what_another_door_writes_is_shown(desk: Desk) -> None:
    """A terminal adds, edits and removes; the page follows with the list of models."""
    await kept("user/a")
    await desk.manager.refresh()
    await desk.until({"user/a:latest": False})
    await edit_entry("user/a", new_name="user/bb", check=Registry().check)
    await desk.manager.refresh()
    await desk.until({"user/bb:latest": False})
    remove_entry("user/bb")

    assert (await desk.manager.catalog()).models == ()
    assert desk.listed == {}


async def test_an_entry_added_offline_is_checked_once_the_registry_can_be_asked(desk: Desk) -> None:
    """Not at every look, and without a word of the user."""
    await desk.manager.add_entry("user/a")
    assert desk.listed == {"user/a:latest": True}
    assert "could not be checked" in desk.manager.slices["notices"][0].text
    asked = desk.net.asked
    for _ in range(5):
        await desk.manager.refresh()
        await settle()
    assert desk.net.asked - asked <= 3  # one check, with its retries

    desk.net.status = 200
    await desk.clock.move(301)
    await desk.manager.refresh()
    await desk.until({"user/a:latest": False})


async def test_an_entry_that_turns_out_not_to_exist_stays_and_is_told_once(desk: Desk) -> None:
    """Only its user knows what was meant."""
    await desk.manager.add_entry("user/a")
    desk.net.status = 404
    for _ in range(3):
        await desk.clock.move(301)
        await desk.manager.refresh()
        await asyncio.sleep(0.1)

    told = [one for one in desk.manager.notices if one.kind == "warning"]
    assert [one.text.split(".")[0] for one in told] == ["Your entry user/a:latest was not found"]
    desk.manager.notices.dismiss(told[0].id)
    await desk.clock.move(301)
    await desk.manager.refresh()
    await asyncio.sleep(0.1)
    assert [one for one in desk.manager.notices if one.kind == "warning"] == []
    assert desk.listed == {"user/a:latest": True}


async def test_a_page_edits_and_removes(desk: Desk) -> None:
    """Through the messages that it sends."""

    async def call(method: str, **params: object) -> object:
        return await carry_out(desk.manager, method, params, door=desk, send=lambda _message: None)

    desk.net.status = 200
    await call("add_entry", name="user/a", description="One", category="code")
    await call("edit_entry", name="user/a:latest", new_name="user/b", description="", category=5)
    (entry,) = desk.manager.slices["catalog"].models

    assert (entry.name, entry.description, entry.category) == ("user/b:latest", "", "code")
    await call("remove_entry", name="user/b:latest")
    assert desk.listed == {}
    assert "no model was deleted" in desk.manager.slices["notices"][0].text


def test_the_catalog_with_own_entries_still_loads() -> None:
    """The real one, as the page gets it."""
    assert len(load_catalog().models) == 224
