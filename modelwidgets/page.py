"""The page that draws widgets, where there is one: a Jupyter front end's or marimo's.

What hosts do differently stands here, so that the widgets need not know where they are.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable
from typing import Any, Protocol

from IPython import display
from IPython.core.getipython import get_ipython

_PYTHON_CLIENT = re.compile(r"_\d+_\d+$")
"""How jupyter_client ends the ids of its messages; pages number theirs in other ways."""


class Closable(Protocol):
    """A widget that a cell has made."""

    def close(self) -> None: ...


_made: dict[str, tuple[object, list[Closable]]] = {}
"""By cell: the run that made its widgets, and these; the next run of the cell closes them."""


def has_page() -> bool:
    """Whether widgets can be drawn: a notebook runs this, not a terminal."""
    return _in_kernel() or _in_marimo()


def runs_unseen() -> bool:
    """Whether a program runs the cell for readers without a kernel: nbconvert, papermill.

    They save the state of widgets, and nbconvert then prefers a widget that nobody serves to the
    table beside it. Voila runs cells like them, and does show a page; of Colab it is not known.
    """
    hosted = "google.colab" in sys.modules or any(name.startswith("VOILA_") for name in os.environ)
    if hosted or not _in_kernel():
        return False
    parent = _parent(get_ipython())
    asked = str((parent.get("header") or {}).get("msg_id"))
    return bool(_PYTHON_CLIENT.search(asked)) and not parent.get("metadata")


def draw(widget: object) -> None:
    """Put a widget below the running cell."""
    display.display(widget)  # type: ignore[no-untyped-call]  # looked up late: marimo replaces it


def close_with_its_cell(widget: Closable, comm: Any) -> None:
    """Close a widget when its cell runs again: without this it would live on unseen."""
    if _in_marimo():
        _tell_when_closed(comm, widget.close)
    elif _in_kernel():
        _close_earlier_run(widget)


def keep_frontend_subshell(comm: Any) -> None:
    """Let clicks reach Python while a cell runs.

    ipykernel 7.4 binds a comm to the shell that last published on it, which for a widget made in a
    cell is the busy one. The override is private, so its absence changes nothing.
    """
    if hasattr(comm, "_reply_subshell_for"):
        with contextlib.suppress(AttributeError):
            comm._reply_subshell_for = lambda _data, default=None: default  # noqa: SLF001


def _in_kernel() -> bool:
    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def _parent(shell: Any) -> dict[str, Any]:
    """The message that asked for the running cell."""
    return (shell.get_parent() or {}) if hasattr(shell, "get_parent") else {}


def _in_marimo() -> bool:
    marimo: Any = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


def _tell_when_closed(comm: Any, closed: Callable[[], None]) -> None:
    """marimo closes the comm of a cell that runs again, and tells nobody."""
    close = comm.close

    def close_and_tell(*args: Any, **words: Any) -> None:
        comm.close = close  # the widget's own end closes it once more
        close(*args, **words)
        closed()

    comm.close = close_and_tell


def _close_earlier_run(widget: Closable) -> None:
    parent = _parent(get_ipython())
    cell = (parent.get("metadata") or {}).get("cellId")
    run = (parent.get("header") or {}).get("msg_id")
    if not cell:
        return
    earlier_run, widgets = _made.get(cell, (None, []))
    if earlier_run != run:
        for earlier in widgets:
            earlier.close()
        widgets = []
    _made[cell] = (run, [*widgets, widget])
