"""Pages that come and go at a manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelwidgets.manager import Manager
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.visit import Visit
from tests.model_server import ModelServer


@pytest.fixture
async def manager(model_server: ModelServer) -> AsyncIterator[Manager]:
    manager = Manager(OllamaClient(model_server.url), viewer="test")
    manager.start()
    yield manager
    await manager.close()


async def test_who_left_before_the_manager_was_there_hears_nothing(manager: Manager) -> None:
    """A page that is closed at once is not told of changes for as long as the server runs."""
    heard: list[Any] = []
    early, late = Visit(heard.append), Visit(lambda _message: None)
    early.leave()

    early.join(manager)
    late.join(manager)
    await manager.watch.looked.wait()
    await asyncio.sleep(0.15)  # a flush

    assert heard == []


async def test_a_call_that_was_under_way_makes_nobody_seen(manager: Manager) -> None:
    """It is carried out, but a list is not kept fresh for a page that has gone."""
    visit = Visit(lambda _message: None)
    visit.join(manager)
    visit.leave()

    await visit.carry_out(manager, "visible", {"visible": True, "view": "a"}, lambda _message: None)

    assert not manager.watch.is_seen
