"""What hosts do differently, without them."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from modelwidgets.page import close_with_its_cell, has_page, runs_unseen


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


FROM_PYTHON = "ea70b2b9-fedd00a19ca397959ecbcbfb_12417_7"
FROM_A_PAGE = "5b1f3bd2-4a6e-4a3e-9c50-2f7a4d3f3d11"


@pytest.mark.parametrize(
    ("message", "metadata", "environ", "unseen"),
    [
        (FROM_PYTHON, {}, {}, True),
        (FROM_A_PAGE, {}, {}, False),
        (FROM_PYTHON, {"cellId": "a page asks through its server"}, {}, False),
        (FROM_PYTHON, {}, {"VOILA_BASE_URL": "/"}, False),
    ],
)
def test_only_programs_without_readers_run_cells_unseen(
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    metadata: dict[str, Any],
    environ: dict[str, str],
    unseen: bool,
) -> None:
    """In doubt somebody looks on, and gets the widget."""
    parent = {"header": {"msg_id": message}, "metadata": metadata}
    shell = SimpleNamespace(kernel=object(), get_parent=lambda: parent)
    monkeypatch.setattr("modelwidgets.page.get_ipython", lambda: shell)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert runs_unseen() is unseen
