"""Gives the notebooks a server: an embedded store with the sample models, in a temporary folder.

A pytest plugin, because nbval runs cells without fixtures:
`pytest -p tests.notebooks.plugin --nbval-lax notebooks`.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.notebooks.store import sample_store

_open = pytest.StashKey[ExitStack]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.stash[_open] = ExitStack()
    session.stash[_open].enter_context(sample_store())


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.stash[_open].close()
