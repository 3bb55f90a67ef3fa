"""What hosts do differently, without them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from modelwidgets.page import close_with_its_cell, has_page


class Comm:
    """A comm that its host may close at any time."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Widget:
    """A widget that ends its comm when it ends."""

    def __init__(self) -> None:
        self.comm = Comm()
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        self.comm.close()


@pytest.fixture
def in_marimo(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = SimpleNamespace(running_in_notebook=lambda: True)
    monkeypatch.setitem(sys.modules, "marimo", notebook)


def test_a_marimo_notebook_is_a_page(in_marimo: None) -> None:
    """Although no IPython runs there."""
    assert has_page()


def test_plain_python_has_no_page() -> None:
    """A table is printed instead."""
    assert not has_page()


def test_a_widget_ends_with_the_comm_that_marimo_closes(in_marimo: None) -> None:
    """Once, however often either of them is closed."""
    widget = Widget()
    close_with_its_cell(widget, widget.comm)

    widget.comm.close()

    assert widget.closed == 1
