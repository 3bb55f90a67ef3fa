"""Records as plain JSON values."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from modelwidgets.plain_json import as_json

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Later(datetime):
    """A moment of a kind of its own."""


class Pair(NamedTuple):
    at: datetime
    count: int


@dataclass(frozen=True, kw_only=True)
class Inner:
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    count: int | None
    inner: tuple[Inner, ...]
    more: Any


def test_records_become_rows_down_to_the_innermost() -> None:
    """Also where a record has one field, and where a field is declared as anything."""
    record = Outer(
        name="a", count=None, inner=(Inner(at=NOON), Inner(at=None)), more={"x": [Inner(at=NOON)]}
    )

    assert as_json([record]) == [
        {
            "name": "a",
            "count": None,
            "inner": [{"at": "2026-11-21T12:00:00+00:00"}, {"at": None}],
            "more": {"x": [{"at": "2026-11-21T12:00:00+00:00"}]},
        }
    ]


def test_kinds_of_kinds_are_turned_like_their_kind() -> None:
    """A named tuple is a list, an ordered dict a dict, any moment its text; the second time too."""
    for _ in range(2):
        assert as_json(Pair(NOON, 2)) == ["2026-11-21T12:00:00+00:00", 2]
        assert as_json(OrderedDict(a=(1, None))) == {"a": [1, None]}
        assert as_json(Later(2026, 1, 2)) == "2026-01-02T00:00:00"


def test_what_is_plain_stays_as_it_is() -> None:
    """Texts, numbers, truth and nothing are JSON values already."""
    for value in ("a", 1, 1.5, True, None):
        assert as_json(value) is value
