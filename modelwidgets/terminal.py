"""Pulls as a terminal shows them: bars that are drawn again in place, or a line now and then.

All of it goes to standard error, so that standard output holds the result alone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from modelwidgets.one_pull import Pull
from modelwidgets.records import PullProgress
from modelwidgets.sizes import gb, gb_of, percent
from modelwidgets.tables import visible
from modelwidgets.text import duration, pulls_text

REDRAW_SECONDS = 0.1
LINE_SECONDS = 1.0
_FALLBACK_SIZE = (80, 24)


class View(Protocol):
    """One way to show pulls."""

    seconds: float
    """How often it shows them."""

    def show(self, pulls: Sequence[PullProgress]) -> None: ...

    def clear(self) -> None:
        """Take away what would be in the way of the result."""


async def watch(pulls: Sequence[Pull], *, quiet: bool = False) -> None:
    """Show pulls until all have ended; they go on whether this is cancelled or not."""
    quiet = quiet or sys.stderr is None  # closed, `2>&-`
    view: View = Quiet() if quiet else Bars() if _redraws() else Lines()
    waited_for = [pull.outcome for pull in pulls]
    try:
        while not all(outcome.done() for outcome in waited_for):
            view.show([pull.progress() for pull in pulls])
            await asyncio.wait(waited_for, timeout=view.seconds)
    finally:
        view.clear()


class Bars:
    """A table of bars that is drawn again in place."""

    seconds = REDRAW_SECONDS

    def __init__(self) -> None:
        self._drawn_lines = 0

    def show(self, pulls: Sequence[PullProgress]) -> None:
        columns, rows = _size()
        # a full last column would make some terminals begin another line
        lines = pulls_text(pulls, width=max(20, columns - 1)).splitlines()
        if len(lines) >= rows:  # what has scrolled away cannot be drawn again
            hidden = len(lines) - rows + 2
            lines = [*lines[: rows - 2], f"… and {hidden} more lines"]
        sys.stderr.write(self._back() + "".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn_lines = len(lines)

    def clear(self) -> None:
        sys.stderr.write(self._back())
        sys.stderr.flush()
        self._drawn_lines = 0

    def _back(self) -> str:
        return f"\x1b[{self._drawn_lines}F\x1b[J" if self._drawn_lines else ""


class Lines:
    """For logs: a line for each pull that has moved on, once a second at most."""

    seconds = LINE_SECONDS

    def __init__(self) -> None:
        self._shown: dict[str, tuple[object, ...]] = {}

    def show(self, pulls: Sequence[PullProgress]) -> None:
        for pull in pulls:
            total = pull.total_bytes
            whole_percent = pull.completed_bytes * 100 // total if total else 0
            at = (pull.state, pull.phase, pull.position, whole_percent)
            if self._shown.get(pull.id) != at:
                sys.stderr.write(f"{_line(pull)}\n")
                sys.stderr.flush()
            self._shown[pull.id] = at

    def clear(self) -> None:
        """Lines that were said stay said."""


class Quiet:
    """For programs."""

    seconds = 60.0

    def show(self, pulls: Sequence[PullProgress]) -> None:
        """Nothing is shown."""

    def clear(self) -> None:
        """So nothing is in the way."""


def _line(pull: PullProgress) -> str:
    """In one line: `qwen3:8b: downloading, 1.3 of 5.2 GB, 25.0%, 58 MB/s, 1 min 7 s left`."""
    parts = [pull.status]
    if pull.total_bytes is not None:
        parts.append(gb_of(pull.completed_bytes, pull.total_bytes))
        parts.append(percent(pull.completed_bytes, pull.total_bytes))
    if pull.bytes_per_second is not None:
        parts.append(f"{gb(pull.bytes_per_second)}/s")
    if pull.eta_seconds is not None:
        parts.append(f"{duration(pull.eta_seconds)} left")
    return visible(f"{pull.name}: {', '.join(parts)}")


def _size() -> tuple[int, int]:
    """Columns and rows; some terminals say 0 for "do not know"."""
    try:
        columns, rows = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return _FALLBACK_SIZE
    return columns or _FALLBACK_SIZE[0], rows or _FALLBACK_SIZE[1]


def _redraws() -> bool:
    """Whether standard error is a terminal that understands where to draw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and _understands_escapes()


if sys.platform == "win32":

    def _understands_escapes() -> bool:
        """The console's own switch, off by default in older windows."""
        import ctypes  # noqa: PLC0415 - only there

        console, mode = ctypes.windll.kernel32, ctypes.c_ulong()
        handle = console.GetStdHandle(-12)
        known = console.GetConsoleMode(handle, ctypes.byref(mode))
        return bool(known and console.SetConsoleMode(handle, mode.value | 4))

else:

    def _understands_escapes() -> bool:
        return True
