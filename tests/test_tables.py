"""Tables that strangers' words cannot break."""

from __future__ import annotations

import html.parser
import time

import pytest

from modelwidgets.tables import (
    Column,
    cut,
    display_width,
    html_table,
    table,
    visible,
    visible_lines,
)

COLUMNS: tuple[Column[tuple[str, str]], ...] = (
    Column(title="Name", cell=lambda row: row[0], at_most=12),
    Column(title="Size", cell=lambda row: row[1], right=True),
)


class Tags(html.parser.HTMLParser):
    """What a browser would see: the elements with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_columns_are_aligned() -> None:
    """Titles stand over their columns, numbers end at the right, and no line ends in spaces."""
    text = table([("llama", "2.0 GB"), ("a", "270 MB"), ("", "")], COLUMNS)

    assert text.split("\n") == [
        "NAME      SIZE",
        "llama   2.0 GB",
        "a       270 MB",
        "",
    ]


def test_wide_and_combining_characters_keep_the_columns() -> None:
    """A terminal draws some characters two columns wide and others over the one before."""
    text = table([("模型", "1 B"), ("e\u0301te\u0301", "1 B"), ("🦙", "1 B")], COLUMNS)

    titles, *lines = text.splitlines()
    assert {display_width(line) for line in lines} == {display_width(titles)}
    assert [display_width(word) for word in ("模型", "e\u0301te\u0301", "🦙")] == [4, 3, 2]


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("llama", 5, "llama"),
        ("llama3", 5, "llam…"),
        ("模型模型", 5, "模型…"),
        ("模型模型", 4, "模…"),
        ("one two", 5, "one…"),
    ],
)
def test_long_cells_are_cut_between_characters(text: str, width: int, shown: str) -> None:
    """What does not fit ends in a sign, never wider than allowed, never in half a character."""
    assert cut(text, width) == shown
    assert display_width(shown) <= width


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain model:7b", "plain model:7b"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;window title\x07name", "name"),
        ("\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\name", "name"),
        ("\x9b2Jcleared", "cleared"),
        ("\x1bcreset", "reset"),
        ("\x1b\x1b[31m[31mnested", "\\x1b[31mnested"),
        ("unfinished\x1b[3", "unfinished\\x1b[3"),
        ("unfinished\x1b]0;title", "unfinished\\x1b]0;title"),
        ("one\ntwo\r\nthree\u2028four\tfive", "one two three four five"),
        ("over\rwritten\b\b", "over written\\x08\\x08"),
        ("gpj\u202egnp.exe", "gpj\\u202egnp.exe"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("nul\x00 bell\x07 del\x7f", "nul\\x00 bell\\x07 del\\x7f"),
        ("half \ud83e", "half \\ud83e"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_foreign_text_has_no_power(hostile: str, shown: str) -> None:
    """Colours go, line breaks become spaces, and what is not seen is spelled out."""
    assert visible(hostile) == shown
    shown.encode("utf-8")


def test_longer_texts_keep_their_lines() -> None:
    """Lines and indents of a template stay, empty lines around it go, and nothing else comes in."""
    lines = visible_lines("\n\n{{ if }}\r\n\tinner\x1b[2J\n\n{{ end }}\u202e  \n\n")

    assert lines == ["{{ if }}", "    inner", "", "{{ end }}\\u202e"]
    assert visible_lines("") == []


@pytest.mark.parametrize("piece", ["\x1b]", "\x1b[", "\x1bP", " \x00", "\n ", "\x1b[" + "0" * 50])
def test_long_hostile_text_takes_no_time(piece: str) -> None:
    """No text makes the cleaning slower than its length does."""
    text = piece * (2**18 // len(piece))

    started = time.process_time()
    visible(text)

    assert time.process_time() - started < 2


def test_html_holds_words_only() -> None:
    """Whatever a cell, a title or a caption says, the page has only the elements of a table."""
    hostile = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> &amp; \u202e\x1b[31m"
    columns: tuple[Column[str], ...] = (
        Column(title="<b>Name", cell=str),
        Column(title="Size", cell=str, right=True),
    )

    page = html_table([hostile], columns, caption=f"Models {hostile}")

    seen = Tags(page)
    assert [tag for tag, _ in seen.tags] == [
        *("table", "caption", "thead", "tr", "th", "th"),
        *("tbody", "tr", "td", "td"),
    ]
    assert {attribute for _, attributes in seen.tags for attribute in attributes} == {
        ("style", "text-align: left"),
        ("style", "text-align: right"),
    }
    assert seen.text.count("<script>alert('x')</script>") == 3
    assert "\u202e" not in page
    assert "\x1b" not in page
