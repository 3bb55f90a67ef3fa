"""The tree that a search is read into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from modelwidgets.terms import CAPABILITIES, FLAGS, Range, key_of, typo

_BARE = re.compile(r"[A-Za-z0-9./][A-Za-z0-9./_-]*(:[A-Za-z0-9._-]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A word or a phrase that must stand somewhere in the row."""

    text: str

    def __str__(self) -> str:
        return _quoted(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something that a row is or can do: `installed`, `vision`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """A number or a date of the row against a value: `size<8GB`."""

    key: str
    op: str
    value: Range
    shown: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.key}{self.op}{self.shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A text of the row that has (`:`) or is (`=`) a value: `quant:q4`."""

    key: str
    op: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}{self.op}{_quoted(self.text)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The opposite; of what is not known, it is not known either."""

    part: Node

    def __str__(self) -> str:
        return f"NOT {_inner(self.part)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """Every part holds; without parts, always."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(map(_inner, self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """At least one part holds."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(map(_inner, self.parts))


Leaf = Text | Flag | Compare | Match
Node = Leaf | Not | All | Either


def leaves(node: Node) -> Iterator[Leaf]:
    """The terms of a query, in their order."""
    match node:
        case All(parts=parts) | Either(parts=parts):
            for part in parts:
                yield from leaves(part)
        case Not(part=part):
            yield from leaves(part)
        case _:
            yield node


def word_of(leaf: Leaf) -> str:
    """The key or the flag that a term is about, or its text."""
    match leaf:
        case Flag(name=name):
            return name
        case Compare(key=key) | Match(key=key):
            return key
        case Text(text=text):
            return text


def asks_for(node: Node, *words: str) -> bool:
    """Whether one of these keys or flags stands in the query, so that its fact must be fetched."""
    return any(word_of(leaf) in words for leaf in leaves(node) if not isinstance(leaf, Text))


def _inner(node: Node) -> str:
    return f"({node})" if isinstance(node, (All, Either)) else str(node)


def _quoted(text: str) -> str:
    reserved = text in (*FLAGS, *CAPABILITIES) or key_of(text.partition(":")[0]) is not None
    if _BARE.fullmatch(text) and not reserved and typo(text.partition(":")[0]) is None:
        return text
    return '"' + text.replace('"', '""') + '"'
