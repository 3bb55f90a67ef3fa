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
    read = _READERS.get(kind) or (_reader(kind) if is_dataclass(kind) else None)
    if read is not None:
        names, values_of = read
        fields_of = zip(names, values_of(value), strict=True)
        return {name: at if type(at) in _PLAIN else as_json(at) for name, at in fields_of}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return value


Reader = tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]
"""The fields of a kind of record, and what reads them all at once."""

_READERS: dict[type, Reader] = {}


def _reader(kind: type) -> Reader:
    names = tuple(field.name for field in fields(kind))
    if len(names) == 1:  # attrgetter would put no tuple around it
        reader: Reader = names, lambda record: (getattr(record, names[0]),)
    else:
        reader = names, attrgetter(*names)
    _READERS[kind] = reader
    return reader
