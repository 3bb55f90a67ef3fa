"""The query language of tables, Python and terminal.

So far a query is words, and a row is kept that has them all. A new kind of term (`size<8GB`) is a
new class beside `Word`, made in `parse`; nothing that asks `search` changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from modelwidgets.records import CatalogModel, InstalledModel

Row = TypeVar("Row", CatalogModel, InstalledModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a row says of itself, case-folded."""

    text: str
    """All that a word is looked for in, a field a line."""
    names: str
    """Full names with tag, where a word with a colon is looked for too."""


class Term(Protocol):
    """One condition of a query."""

    def holds(self, row: Words) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A text that must stand somewhere in the row: `coder`, or `qwen3:8b` for a tag."""

    text: str

    def holds(self, row: Words) -> bool:
        return self.text in row.text or (":" in self.text and self.text in row.names)


def search(query: str, rows: Iterable[Row]) -> list[Row]:
    """The rows for which every term of the query holds, in their order."""
    terms = parse(query)
    if not terms:
        return list(rows)
    return [row for row in rows if _all_hold(terms, words_of(row))]


def parse(query: str) -> tuple[Term, ...]:
    """Read a query; an empty one has no terms, and every row fits."""
    return tuple(Word(text=word) for word in query.casefold().split())


def words_of(row: CatalogModel | InstalledModel) -> Words:
    """What of a row is searched."""
    if isinstance(row, CatalogModel):
        texts = (row.name, row.description, row.publisher or "", *row.categories, *row.capabilities)
        names = [tag.name for tag in row.tags]
    else:
        texts = (row.name, row.family, row.parameter_size, row.quantization)
        texts += row.capabilities or ()
        names = [row.name]
    return Words(text="\n".join(texts).casefold(), names="\n".join(names).casefold())


def _all_hold(terms: tuple[Term, ...], row: Words) -> bool:
    return all(term.holds(row) for term in terms)
