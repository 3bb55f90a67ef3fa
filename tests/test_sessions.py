"""One manager for each server: what makes two callers share it, and what is refused at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

import modelwidgets
from modelwidgets.errors import (
    BadAddressError,
    CatalogError,
    InvalidNameError,
    SearchError,
    StoreError,
)
from modelwidgets.loop import own_loop
from modelwidgets.sessions import Session, session
from tests.model_server import ModelServer

NOBODY = "http://127.0.0.1:9"
CATALOG = """\
schema_version: 1
as_of: "2026-11-21"
architectures: {}
models:
- name: mine
  description: The only one.
  categories: [chat]
  capabilities: [completion]
  recommended_tag: 1b
  tags:
  - {tag: 1b, size_bytes: 1000000000}
"""


@pytest.mark.parametrize("spelling", ["127.0.0.1:9", "HTTP://127.0.0.1:9/", " http://127.0.0.1:9 "])
def test_spellings_of_one_address_share_a_session(spelling: str) -> None:
    """So that all widgets agree, whoever typed the address."""
    assert session(spelling) is session(NOBODY, store="ollama")


def test_a_login_makes_another_session() -> None:
    """What one may see, the other may not."""
    assert session("http://me:secret@127.0.0.1:9") is not session(NOBODY)


def test_a_changed_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets OLLAMA_HOST in a cell means the calls after it."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    one = session()
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:10")

    assert session() is not one
    assert one is session(NOBODY)


@pytest.mark.parametrize("url", ["ftp://box", "http://", "http:/box", "box:99999", "a b", "?"])
def test_a_bad_address_is_refused_where_it_was_typed(url: str) -> None:
    """Not later, on a loop where nobody looks."""
    if url == "http://":  # an empty host is this machine, as Ollama reads it
        assert session(url)
        return

    with pytest.raises(BadAddressError, match="http://host:port"):
        session(url)


def test_an_address_and_the_embedded_store_are_two_servers() -> None:
    """Neither is dropped in silence."""
    with pytest.raises(ValueError, match="leave one of them out"):
        session(NOBODY, store="embedded")


def test_another_catalog_is_read(model_server: ModelServer, tmp_path: Path) -> None:
    """Its models alone, in a session of its own."""
    path = tmp_path / "mine.yaml"
    path.write_text(CATALOG, "utf-8")

    on = session(model_server.url, catalog=path)
    found = on.submit("catalog", _catalog).result(20)

    assert "mine" in found
    assert "llama3.2" not in found
    assert on is session(model_server.url, catalog=str(path))
    assert on is not session(model_server.url)


def test_a_catalog_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    """With its whole path, which a relative one does not show."""
    with pytest.raises(CatalogError, match=r"There is no catalog at .*nowhere\.yaml"):
        session(NOBODY, catalog=tmp_path / "nowhere.yaml")


async def _catalog(manager: Any) -> list[str]:
    return [model.name for model in (await manager.catalog()).models]


async def test_a_start_that_failed_is_tried_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who waited for the failed one do not start two managers."""
    starts: list[asyncio.Future[str]] = []

    async def start(self: Session) -> str:
        starts.append(asyncio.get_running_loop().create_future())
        return await starts[-1]

    monkeypatch.setattr(Session, "_start", start)
    on = Session(NOBODY, "auto", own_loop())
    waiting = [asyncio.ensure_future(_again(on)) for _ in range(2)]
    await asyncio.sleep(0.01)
    starts[0].set_exception(StoreError("no"))
    await asyncio.sleep(0.01)
    starts[1].set_result("a manager")

    assert await asyncio.gather(*waiting) == ["a manager", "a manager"]
    assert len(starts) == 2
    on.close()


async def _again(on: Session) -> Any:
    try:
        return await on.manager()
    except StoreError:
        return await on.manager()


def test_closing_while_the_server_is_still_looked_for_leaves_nothing() -> None:
    """A kernel may end at any moment; who waited is not left waiting."""
    begun, ended = threading.Event(), threading.Event()

    async def start(self: Session) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    on = Session(NOBODY, "auto", own_loop())
    on._start = start.__get__(on)  # type: ignore[method-assign]
    handle = on.submit("work", _catalog)
    assert begun.wait(5)

    on.close()

    assert ended.wait(5)
    with pytest.raises(CancelledError):
        handle.result(5)


def test_a_bad_name_is_refused_in_the_cell_that_pulls_it() -> None:
    """Nobody may ever ask the handle for its result."""
    with pytest.raises(InvalidNameError):
        modelwidgets.pull("../x")


def test_our_errors_show_in_a_notebook_without_a_traceback() -> None:
    """They say what happened and what to do next."""
    error = StoreError("The port is in use. Take another.")

    assert error._render_traceback_() == ["StoreError: The port is in use. Take another."]


def test_a_search_that_cannot_be_read_raises_where_it_was_typed() -> None:
    """Not later, in a handle that nobody may wait for."""
    for ask in (modelwidgets.installed, modelwidgets.catalog):
        with pytest.raises(SearchError, match="Did you mean `size`"):
            ask("siez<8GB")


def test_a_search_knows_what_the_catalog_and_the_server_know(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags of the server are asked for where a search needs them, and lists have notes."""
    monkeypatch.setenv("OLLAMA_HOST", model_server.url)

    running = modelwidgets.catalog("running OR installed").result(10)
    fits = modelwidgets.catalog("(fits OR NOT fits) name=qwen3").result(10)

    assert (running, running.note) == ([], "")
    assert ([model.name for model in fits], fits.note) == (["qwen3"], "")
    assert modelwidgets.installed("category:code OR yours").result(10) == []


def test_a_server_that_does_not_answer_leaves_its_facts_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The catalog can be searched without it."""
    monkeypatch.setenv("OLLAMA_HOST", NOBODY)

    found = modelwidgets.catalog("installed name=qwen3").result(20)

    assert (found, found.note) == ([], "Not known for 1 model: installed. It is left out.")


def test_what_waits_for_the_first_look_ends_with_the_session() -> None:
    """Nobody waits for ever for a manager that has gone."""
    mine = Session(NOBODY, "ollama", own_loop())

    async def never(_manager: Any) -> None:
        raise AssertionError("it ran on a manager that ends")

    handle = mine.submit("never", never)
    mine.close()

    with pytest.raises(CancelledError):
        handle.result(5)
