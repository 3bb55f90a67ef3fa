"""Aligned tables as text and as HTML, safe for what strangers wrote.

Names, descriptions and errors come from servers and registries, so nothing of them reaches a
terminal or a saved page as it is: `visible` takes the control out of them, and HTML is escaped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Generic, TypeVar

R = TypeVar("R")

_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links, device strings
    r"|\x1b[ -/]*[0-Z\\`-~]"  # the short ones
)
_BREAKS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_HIDDEN = {"Cc", "Cf", "Cs"}


def visible(text: str) -> str:
    r"""One line without control over the terminal or the direction of reading.

    Escape sequences go, line breaks become spaces, and any other character that is not seen
    (bidirectional marks, zero width, lone surrogates) is spelled out: `\u202e`.
    """
    if text.isprintable():
        return text
    one_line = _BREAKS.sub(" ", _ANSI.sub("", text))
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _HIDDEN else char
        for char in one_line
    )


def visible_lines(text: str) -> list[str]:
    """The lines of a longer text, each made visible, indents kept, empty ends dropped."""
    lines = re.split(r"\r\n|[\n\r\v\f\x85\u2028\u2029]", text.expandtabs(4))
    shown = [visible(line).rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    while shown and not shown[0]:
        del shown[0]
    return shown


def safe_html(text: str) -> str:
    return escape(visible(text))


def display_width(text: str) -> int:
    """The number of columns that a terminal takes for it."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, width: int) -> str:
    """At most so many columns of it, the last one a sign that there is more."""
    if display_width(text) <= width:
        return text
    room, kept = width - 1, []
    for char in text:
        room -= _columns(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[R]):
    """What a table shows of each row."""

    title: str
    cell: Callable[[R], str]
    right: bool = False
    at_most: int = 80
    """Columns of the terminal; what is longer is cut."""


def table(rows: Iterable[R], columns: Sequence[Column[R]]) -> str:
    """An aligned table with a line of titles; foreign text in it is made visible."""
    cells = [[column.title.upper() for column in columns]]
    cells += [
        [cut(visible(column.cell(row)), column.at_most) for column in columns] for row in rows
    ]
    widths = [max(map(display_width, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "   ".join(
            _padded(cell, width, right=column.right)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in cells
    )


def html_table(rows: Iterable[R], columns: Sequence[Column[R]], *, caption: str = "") -> str:
    """The same table as HTML without script; foreign text in it is made visible and escaped."""
    head = "".join(f"<th{_align(column)}>{safe_html(column.title)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_align(column)}>{safe_html(column.cell(row))}</td>" for column in columns)
        + "</tr>"
        for row in rows
    )
    return (
        f"<table>{f'<caption>{safe_html(caption)}</caption>' if caption else ''}"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _padded(cell: str, width: int, *, right: bool) -> str:
    gap = " " * (width - display_width(cell))
    return gap + cell if right else cell + gap


def _align(column: Column[Any]) -> str:
    return f' style="text-align: {"right" if column.right else "left"}"'
