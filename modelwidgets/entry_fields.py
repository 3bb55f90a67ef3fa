"""One hand-written entry as `yaml_file` reads it, and its fields, each checked when taken.

All values arrive as texts; whoever asks for a number or a flag gets one, or an `UnfitError` whose
words end up on the page beside the line.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from modelwidgets.yaml_file import LINE

_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")


class UnfitError(Exception):
    """Why an entry cannot be kept; caught where the entry is left out."""


class Entry:
    """A mapping of a YAML file that may have the fields `allowed` and no others."""

    __slots__ = ("_values",)

    def __init__(self, values: Any, allowed: frozenset[str]) -> None:
        if type(values) is not dict:
            raise UnfitError(f"it must have fields such as name, not be {shown(values)}")
        unknown = values.keys() - allowed - {LINE}
        if unknown:
            raise UnfitError(f"there is no field {shown(min(unknown))}")
        self._values: dict[str, Any] = values

    def text(self, field: str, *, most: int = 120) -> str | None:
        value = self._values.get(field)
        if value is None:
            return None
        if type(value) is not str:
            raise UnfitError(f"{field} must be a text")
        return printable(field, value, most=most)

    def needed_text(self, field: str, *, most: int = 120) -> str:
        value = self.text(field, most=most)
        if not value:
            raise UnfitError(f"{field} is missing")
        return value

    def count(self, field: str, *, least: int = 1) -> int | None:
        value = self._values.get(field)
        if value is None:
            return None
        if type(value) is not str or not _COUNT.fullmatch(value) or int(value) < least:
            above = "of 0 or more" if least == 0 else "above 0"
            raise UnfitError(f"{field} must be a whole number {above}, not {shown(value)}")
        return int(value)

    def flag(self, field: str) -> bool:
        value = self._values.get(field)
        if value not in (None, "true", "false"):
            raise UnfitError(f"{field} must be true or false, not {shown(value)}")
        return value == "true"

    def items(self, field: str) -> list[Any]:
        value = self._values.get(field)
        if value is None:
            return []
        if type(value) is not list:
            raise UnfitError(f"{field} must be a list")
        return value

    def words(self, field: str, allowed: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """The texts of a list, each once; of `allowed` alone where that is given."""
        values = self.items(field)
        if not all(type(value) is str for value in values):
            raise UnfitError(f"{field} must be a list of texts, such as [chat, code]")
        if len(set(values)) < len(values):
            raise UnfitError(f"{field} names something twice")
        for value in values if allowed else ():
            one_of(field, value, allowed or ())
        return tuple(values)

    def moment(self, field: str) -> datetime:
        value = self.needed_text(field)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise UnfitError(
                f"{field} must be a date such as 2026-08-21T12:00:00+00:00, not {shown(value)}"
            ) from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def printable(field: str, value: str, *, most: int) -> str:
    """The text itself, where it may be shown as it is, in a page and in a terminal."""
    if len(value) > most:
        raise UnfitError(f"{field} is longer than {most} characters")
    if not value.isprintable():
        raise UnfitError(f"{field} must be one line of printable characters")
    return value


def one_of(field: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value itself, where it is one of those known."""
    if value not in allowed:
        raise UnfitError(f"{field} {shown(value)} is none of {', '.join(allowed)}")
    return value


def shown(value: Any) -> str:
    """What a message says of a value that may be anything."""
    text = ascii(value) if isinstance(value, str) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
