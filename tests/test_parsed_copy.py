"""Parsed copies: quick where they fit, ignored where they do not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwidgets import parsed_copy
from modelwidgets.parsed_copy import Form


class Counting:
    """A form that counts how often it had to parse."""

    def __init__(self, name: str = "one") -> None:
        self.parsed = 0
        self.form = Form(name=name, parse=self._parse, build=self._build)

    def _parse(self, raw: bytes) -> dict[str, str]:
        self.parsed += 1
        return {"text": raw.decode()}

    def _build(self, found: dict[str, str]) -> str:
        return found["text"].upper()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text("llama", encoding="utf-8")
    return path


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def test_a_file_is_parsed_once_until_its_bytes_change(source: Path, tmp_path: Path) -> None:
    """The second look goes through the copy; an edit, even of the same length, does not."""
    counting, cache = Counting(), tmp_path / "cache"

    first = [parsed_copy.load(source, counting.form, cache=cache) for _ in range(3)]
    source.write_text("mamba", encoding="utf-8")
    second = [parsed_copy.load(source, counting.form, cache=cache) for _ in range(3)]

    assert (first, second) == (["LLAMA"] * 3, ["MAMBA"] * 3)
    assert counting.parsed == 2


def test_a_copy_of_another_form_is_not_used(source: Path, tmp_path: Path) -> None:
    """After an update of the package, copies of the earlier one are made again."""
    earlier, later = Counting("one"), Counting("two")
    parsed_copy.load(source, earlier.form, cache=tmp_path)

    parsed_copy.load(source, later.form, cache=tmp_path)
    parsed_copy.load(source, later.form, cache=tmp_path)

    assert (earlier.parsed, later.parsed) == (1, 1)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[:-9],
    "not text": lambda _: b"\xff\xfe\x00",
    "deep": lambda _: b"[" * 200_000,
    "a list": lambda _: b"[1, 2]",
    "no content": lambda content: content.replace(b'"content"', b'"other"'),
    "other content": lambda content: content.replace(b'{"text":"llama"}', b"[7]"),
    "other bytes": lambda content: content.replace(b'"sha256":"', b'"sha256":"0'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_copy_is_replaced(source: Path, tmp_path: Path, damage: str) -> None:
    """Whatever lies where the copy should be, the answer is that of the file itself."""
    counting, cache = Counting(), tmp_path / "cache"
    parsed_copy.load(source, counting.form, cache=cache)
    (copy,) = copies(cache)
    whole = copy.read_bytes()
    copy.write_bytes(DAMAGE[damage](whole))

    answer = parsed_copy.load(source, counting.form, cache=cache)

    assert answer == "LLAMA"
    assert counting.parsed == 2
    assert copy.read_bytes() == whole


def test_the_shipped_copy_comes_first_and_needs_no_cache(source: Path, tmp_path: Path) -> None:
    """An installed package reads its own copy and writes nothing."""
    counting, shipped, cache = Counting(), tmp_path / "static" / "copy.json", tmp_path / "cache"
    parsed_copy.write(source, shipped, counting.form)

    answer = parsed_copy.load(source, counting.form, cache=cache, shipped=shipped)

    assert answer == "LLAMA"
    assert counting.parsed == 1
    assert not cache.exists()


def test_a_shipped_copy_of_other_bytes_is_passed_over(source: Path, tmp_path: Path) -> None:
    """A checkout whose catalog was edited after the build shows the edit."""
    counting, shipped, cache = Counting(), tmp_path / "copy.json", tmp_path / "cache"
    parsed_copy.write(source, shipped, counting.form)
    source.write_text("mamba", encoding="utf-8")

    answer = parsed_copy.load(source, counting.form, cache=cache, shipped=shipped)

    assert answer == "MAMBA"
    assert len(copies(cache)) == 1


def test_a_cache_that_cannot_be_written_costs_only_time(source: Path, tmp_path: Path) -> None:
    """Where the folder should be stands a file: the answer is right all the same."""
    counting, cache = Counting(), tmp_path / "cache"
    cache.write_text("in the way", encoding="utf-8")

    answers = [parsed_copy.load(source, counting.form, cache=cache) for _ in range(2)]

    assert answers == ["LLAMA", "LLAMA"]
    assert counting.parsed == 2


def test_the_folder_does_not_fill_up(source: Path, tmp_path: Path) -> None:
    """Copies of bytes that are long gone are removed, those of other files are not."""
    counting, cache = Counting(), tmp_path / "cache"
    cache.mkdir()
    other = cache / "entries-0123456789abcdef.json"
    other.write_text("{}", encoding="utf-8")
    for number in range(7):
        source.write_text(f"model {number}", encoding="utf-8")
        parsed_copy.load(source, counting.form, cache=cache)
        newest = max(copies(cache), key=lambda copy: copy.stat().st_mtime_ns)
        os.utime(newest, (number, number))

    assert len(copies(cache)) == 5
    assert other.exists()


def test_copies_are_for_their_owner_alone(source: Path, tmp_path: Path) -> None:
    """Folder and file are private where the system knows such a thing."""
    cache = tmp_path / "cache"

    parsed_copy.load(source, Counting().form, cache=cache)

    if os.name == "posix":
        assert cache.stat().st_mode & 0o777 == 0o700
        assert copies(cache)[0].stat().st_mode & 0o777 == 0o600
