"""Records as plain JSON values, for pages, files and programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

_PLAIN = frozenset({str, int, float, bool, type(None)})


def as_json(value: Any) -> Any:
    """Turn records (also inside lists and dicts) into plain JSON values, spelling kept."""
    kind = type(value)
    if kind in _PLAIN:  # nearly all are, and pages are told ten times a second
        return value
    return (_WRITERS.get(kind) or _writer(kind))(value)


Writer = Callable[[Any], Any]
"""Turns a value of one kind."""


def _list(value: Any) -> list[Any]:
    return [item if type(item) in _PLAIN else as_json(item) for item in value]


def _dict(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: as_json(item) for key, item in value.items()}


_WRITERS: dict[type, Writer] = {
    list: _list,
    tuple: _list,
    dict: _dict,
    datetime: datetime.isoformat,
}


def _writer(kind: type) -> Writer:
    """How values of a kind are turned, worked out once."""
    if is_dataclass(kind):
        write = _record(kind)
    else:
        write = next((_WRITERS[known] for known in _BASES if issubclass(kind, known)), _as_it_is)
    return _WRITERS.setdefault(kind, write)


_BASES = tuple(_WRITERS)


def _as_it_is(value: Any) -> Any:
    return value


def _record(kind: type) -> Writer:
    """Fields that are declared as plain are taken as they are: this is most of the work."""
    names = tuple(field.name for field in fields(kind))
    others = tuple(field.name for field in fields(kind) if field.type not in _DECLARED_PLAIN)
    values_of: Callable[[Any], Any] = attrgetter(*names)
    if len(names) == 1:  # attrgetter would put no tuple around it

        def values_of(record: Any) -> Any:
            return (getattr(record, names[0]),)

    def write(record: Any) -> dict[str, Any]:
        row = dict(zip(names, values_of(record), strict=True))
        for name in others:
            kind = type(at := row[name])
            if kind not in _PLAIN:
                row[name] = (_WRITERS.get(kind) or _writer(kind))(at)
        return row

    return write


_DECLARED_PLAIN = frozenset(
    f"{plain}{none}" for plain in ("str", "int", "float", "bool") for none in ("", " | None")
)
