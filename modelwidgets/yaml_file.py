"""Reads YAML that people write by hand: text, lists and mappings, each mapping with its line.

Why not `yaml.safe_load`: it keeps no lines, takes the last of two equal keys, turns digits into
numbers (a digest can be all digits), expands aliases (1 kB becomes gigabytes), is four times
slower, and its C composer recurses, so that 100 kB of `[` end the process. Parser events have none
of this. Whoever knows the fields turns their texts into numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

LINE = "@line"
"""The key under which each mapping carries the line on which it starts."""
LARGEST_BYTES = 4 * 1024 * 1024
_DEEPEST = 12


class UnreadableError(ValueError):
    """A text that is not the YAML meant here; `line` counts from 1, 0 is the whole file."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.line = line
        self.why = why


def read_bytes(path: Path) -> bytes:
    """Read a file that must not be larger than any catalog is."""
    with path.open("rb") as file:
        raw = file.read(LARGEST_BYTES + 1)
    if len(raw) > LARGEST_BYTES:
        raise UnreadableError(0, f"it is larger than {LARGEST_BYTES >> 20} MiB")
    return raw


def parse(raw: bytes) -> Any:
    """Turn YAML into dicts, lists and texts; a value that is left empty is None."""
    import yaml  # noqa: PLC0415 - a parsed copy needs none of it, and it is slow to load

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    text, tree = _text(raw), _Tree()
    try:
        for event in yaml.parse(text, Loader=loader):
            tree.take(event)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, text.find(chr(error.character))) + 1
        raise UnreadableError(line, f"it holds the character {error.character:#x}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or error.context or "it is not YAML"
        raise UnreadableError(mark.line + 1 if mark else 0, why) from error
    return tree.root[0] if tree.root else None


class _Tree:
    """Grows from events, without recursion."""

    def __init__(self) -> None:
        self.root: list[Any] = []
        self._open: list[Any] = [self.root]
        self._keys: list[str | None] = [None]
        """For each open mapping the key that waits for its value."""

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        if kind == "ScalarEvent":
            self._refuse_marks(event)
            self._scalar(event)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._refuse_marks(event)
            line = event.start_mark.line + 1
            if len(self._open) > _DEEPEST:
                raise UnreadableError(line, f"it is nested deeper than {_DEEPEST} levels")
            value: Any = {LINE: line} if kind == "MappingStartEvent" else []
            self._place(value, line)
            self._open.append(value)
            self._keys.append(None)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._open.pop()
            self._keys.pop()
        elif kind == "AliasEvent":
            raise UnreadableError(event.start_mark.line + 1, "aliases (`*name`) are not used here")
        elif kind == "DocumentStartEvent" and self.root:
            raise UnreadableError(event.start_mark.line + 1, "a second document starts here")

    def _scalar(self, event: Any) -> None:
        inside = self._open[-1]
        if type(inside) is dict and self._keys[-1] is None:
            if event.value in inside:
                raise UnreadableError(
                    event.start_mark.line + 1, f"{event.value!r} stands twice in one entry"
                )
            self._keys[-1] = event.value
            return
        plain = event.implicit[0]
        value = None if plain and event.value in ("", "~", "null") else event.value
        self._place(value, event.start_mark.line + 1)

    def _place(self, value: Any, line: int) -> None:
        inside, key = self._open[-1], self._keys[-1]
        if type(inside) is list:
            inside.append(value)
        elif key is None:
            raise UnreadableError(line, "a key must be a text")
        else:
            inside[key] = value
            self._keys[-1] = None

    def _refuse_marks(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            raise UnreadableError(
                event.start_mark.line + 1, "anchors (`&name`) and tags (`!name`) are not used here"
            )


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableError(line, "it is not UTF-8 text") from error
