"""What could be typed next in a search: keys, flags, operators, and the values of a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelwidgets.query_lexer import KEY, PHRASE, SPACE, WORD, after
from modelwidgets.terms import ALIASES, CAPABILITIES, CLOSED, EXAMPLES, FLAGS, KINDS, fold, key_of

MOST_VALUES = 10

_USUAL: Mapping[str, Sequence[str]] = {
    "size": ("1GB", "2GB", "4GB", "8GB", "16GB", "32GB"),
    "params": ("1b", "3b", "8b", "14b", "32b", "70b"),
    "ctx": ("8k", "32k", "128k", "256k", "1m"),
    "age": ("7d", "30d", "1y"),
    "pulls": ("100k", "1m", "10m"),
    "capability": CAPABILITIES,
    **CLOSED,
}
_SIGN = re.compile(r"[<>=:]+")
_BEFORE = re.compile(r"[()-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """Texts that could stand between two places of a query, the likely ones first."""

    start: int
    end: int
    texts: tuple[str, ...]
    """With a space at its end where the term is whole."""


def complete(query: str, cursor: int, values: Mapping[str, Sequence[str]]) -> Completion:
    """What could be meant at the cursor; `values` are those that the rows have, by key."""
    typed = query[:cursor]
    at = 0
    while True:
        at = after(SPACE, typed, at)
        if at == cursor:
            return _whole(query, cursor, cursor, _starts(""))
        if _BEFORE.match(typed, at):
            at += 1
        elif typed[at] == '"':
            at = after(PHRASE, typed, at)
            if at == cursor:
                return Completion(start=at, end=at, texts=())
        elif (found := KEY.match(typed, at)) and (key := key_of(found[1])):
            start = found.end()
            quoted = typed[start : start + 1] == '"'
            at = after(PHRASE if quoted else WORD, typed, start)
            if at == cursor:
                texts = _values(typed[start:].strip('"'), values.get(key) or _USUAL.get(key, ()))
                end = after(PHRASE, query, start) if quoted else None
                return _whole(query, start, cursor, texts, end)
        else:
            start, at = at, after(WORD, typed, at)
            if at == cursor:
                return _whole(query, start, cursor, _starts(typed[start:]))


def _whole(
    query: str, start: int, cursor: int, texts: Iterable[str], end: int | None = None
) -> Completion:
    """Replace the rest of the word too, and do not offer what stands there."""
    end = after(WORD, query, cursor) if end is None else end
    there = query[start:end]
    kept = tuple(text for text in texts if text.rstrip() != there)
    return Completion(start=start, end=end, texts=kept)


def _starts(typed: str) -> list[str]:
    found = [word for word in ("AND ", "OR ", "NOT ") if typed and word.startswith(typed)]
    lower = typed.lower()
    keys = [*KINDS, *(ALIASES if typed else ())]
    for key in keys:
        sign = _SIGN.match(EXAMPLES[ALIASES.get(key, key)])
        found.append(key + (sign[0] if sign else ""))
    found += [f"{flag} " for flag in (*FLAGS, *CAPABILITIES)]
    return [text for text in found if text.startswith((lower, typed))]


def _values(typed: str, known: Sequence[str]) -> list[str]:
    wanted = fold(typed)
    begin = [value for value in known if fold(value).startswith(wanted)]
    inside = [value for value in known if wanted in fold(value) and value not in begin]
    return [f"{_quoted(value)} " for value in (*begin, *inside)[:MOST_VALUES]]


def _quoted(value: str) -> str:
    if WORD.fullmatch(value) and '"' not in value:
        return value
    return '"' + value.replace('"', '""') + '"'
