"""Which rows a search finds: of the installed models and of the catalog, the same everywhere.

A term is true, false or not known of a row: the size of a tag may be missing, an old server tells
no capabilities, of a server on another machine nobody knows what fits there. What is not known is
never taken for 0 or for no, so neither `size<8GB` nor `NOT size<8GB` finds a row without a size;
such rows are left out, and `Rows.note` says so. A family of the catalog is found where one of its
tags satisfies all terms together. `frontend/src/search.ts` is the same for the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from modelwidgets import names
from modelwidgets.query import parse
from modelwidgets.query_tree import (
    All,
    Compare,
    Either,
    Flag,
    Leaf,
    Match,
    Node,
    Not,
    Text,
    leaves,
    word_of,
)
from modelwidgets.records import CatalogModel, CatalogTag, InstalledModel, RunningModel
from modelwidgets.rows import Rows
from modelwidgets.terms import Range, compare, date_range, fold, label_range, milliseconds

OF_THE_CATALOG = ("publisher", "license", "category", "pulls", "yours")
"""What only the catalog knows of an installed model."""
COMPLETED = ("quant", "family", "publisher", "license")

Row = TypeVar("Row", CatalogModel, InstalledModel)


Family = Callable[[str], CatalogModel | None]


def no_family(_name: str) -> CatalogModel | None:
    """For a search that asks nothing of the catalog."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known beside the rows; None where it is not."""

    installed: Collection[str] | None = None
    """Names (normalised) and digests of the installed models."""
    running: Collection[str] | None = None
    """Names (normalised) of the models in memory."""
    fits: Mapping[str, bool] = field(default_factory=dict)
    """By name (normalised): whether it fits into the memory of the machine that would run it."""
    family: Family = no_family
    """Finds the family of the catalog that an installed model belongs to."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(
        cls,
        installed: Iterable[InstalledModel] | None = None,
        running: Iterable[RunningModel] | None = None,
        family: Family = no_family,
        fits: Mapping[str, bool] | None = None,
    ) -> Known:
        """What lists of a server and the catalog tell."""
        return cls(
            family=family,
            fits=fits or {},
            installed=None
            if installed is None
            else {key for model in installed for key in (_key(model), model.digest)},
            running=None if running is None else {_key(model) for model in running},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one tag, or one installed model, says of itself."""

    name: str
    digest: str | None
    text: str
    """All that a word is looked for in, a field a line, folded."""
    ranges: Mapping[str, Range | None]
    texts: Mapping[str, tuple[str, ...] | None]
    """Folded; None where it is not known."""
    flags: Mapping[str, bool]


def search(query: str | Node, rows: Iterable[Row], known: Known | None = None) -> Rows[Row]:
    """The rows that a query finds, in their order.

    Raises `SearchError` where the query cannot be read.
    """
    node = parse(query) if isinstance(query, str) else query
    if node == All(parts=()):
        return Rows(rows)
    world = known or Known()
    found: list[Row] = []
    matching: dict[str, tuple[str, ...]] = {}
    unknown: set[str] = set()
    left_out = 0
    for row in rows:
        facts = facts_of(row, world)
        told = [_truth(node, one, world) for one in facts]
        if True in told:
            found.append(row)
            matching[row.name] = tuple(
                one.name for one, true in zip(facts, told, strict=True) if true
            )
        elif None in told:
            left_out += 1
            for one in facts:
                unknown |= {
                    word_of(leaf) for leaf in leaves(node) if _leaf(leaf, one, world) is None
                }
    order = dict.fromkeys(map(word_of, leaves(node)))
    why = [word for word in order if word in unknown]
    return Rows(found, note=_note(why, left_out) if left_out else "", matching=matching)


def facts_of(row: CatalogModel | InstalledModel, known: Known) -> Sequence[Facts]:
    """What of a row is searched: a family says something for each of its tags."""
    if isinstance(row, InstalledModel):
        return (_of_installed(row, known.family(row.name)),)
    return [_of_tag(row, tag) for tag in row.tags]


def _of_installed(row: InstalledModel, family: CatalogModel | None) -> Facts:
    cloud = row.remote_host is not None
    shown = (row.name, row.family, row.parameter_size, row.quantization)
    at = None if row.modified_at is None else milliseconds(row.modified_at)
    return Facts(
        name=row.name,
        digest=row.digest,
        text=_text(*shown, *(row.capabilities or ())),
        ranges={
            "size": None if cloud else _point(row.size_bytes),
            "params": _point(row.parameters),
            "ctx": _point(row.max_context_length),
            "updated": _point(at),
            "pulls": None if family is None else _point(family.pulls),
        },
        texts={
            **({} if family is None else _of_family(family)),
            "name": _folded(row.name, row.name.removesuffix(":latest")),
            "tag": _folded(row.name.rpartition(":")[2]),
            "family": _folded(row.family, *row.families) if row.family else None,
            "quant": _folded(row.quantization) if row.quantization else None,
            "capability": None if row.capabilities is None else _folded(*row.capabilities),
            "type": None if row.capabilities is None else (type_of(row.capabilities),),
        },
        flags={"installed": True, "cloud": cloud}
        | ({} if family is None else {"yours": family.custom}),
    )


def _of_family(row: CatalogModel) -> dict[str, tuple[str, ...] | None]:
    return {
        "publisher": None if row.publisher is None else _folded(row.publisher),
        "license": None if row.license is None else _folded(row.license),
        "category": _folded(*row.categories),
    }


def _of_tag(row: CatalogModel, tag: CatalogTag) -> Facts:
    told = None if row.custom and not row.capabilities else row.capabilities
    also = [f"{row.name}:{other}" for other in tag.same_as]
    own = (row.name, row.description, row.publisher or "", *row.categories, *row.capabilities)
    shown = (tag.name, *also, tag.parameters or "", tag.quantization or "")
    return Facts(
        name=tag.name,
        digest=tag.digest,
        text=_text(*own, *shown),
        ranges={
            "size": _point(tag.size_bytes),
            "params": None if tag.parameters is None else label_range(tag.parameters),
            "ctx": _point(tag.context_length),
            "updated": None if row.updated is None else date_range(row.updated),
            "pulls": _point(row.pulls),
        },
        texts={
            "name": _folded(tag.name, row.name, *also),
            "tag": _folded(tag.tag, *tag.same_as),
            "family": _folded(row.name),
            "quant": None if tag.quantization is None else _folded(tag.quantization),
            **_of_family(row),
            "capability": None if told is None else _folded(*told),
            "type": None if told is None else (type_of((*told, *row.categories)),),
        },
        flags={"recommended": tag.recommended, "yours": row.custom, "cloud": False},
    )


def values_of(rows: Iterable[CatalogModel | InstalledModel]) -> dict[str, list[str]]:
    """The values that rows have under the keys worth completing, the common ones first."""
    counts: dict[str, Counter[str]] = {key: Counter() for key in COMPLETED}
    for facts in (facts for row in rows for facts in facts_of(row, Known())):
        for key, counted in counts.items():
            counted.update(facts.texts.get(key) or ())
    return {
        key: sorted(counted, key=lambda value: (-counted[value], value))
        for key, counted in counts.items()
    }


def _truth(node: Node, facts: Facts, known: Known) -> bool | None:
    match node:
        case All(parts=parts):
            return _all(parts, facts, known)
        case Either(parts=parts):
            told = [_truth(part, facts, known) for part in parts]
            return True if True in told else None if None in told else False
        case Not(part=part):
            true = _truth(part, facts, known)
            return None if true is None else not true
        case _:
            return _leaf(node, facts, known)


def _all(parts: tuple[Node, ...], facts: Facts, known: Known) -> bool | None:
    whole: bool | None = True
    for part in parts:
        true = _truth(part, facts, known)
        if true is False:
            return False
        whole = whole and true
    return whole


def _key(model: InstalledModel | RunningModel) -> str:
    return names.normalised(model.name)


def _leaf(leaf: Leaf, facts: Facts, known: Known) -> bool | None:
    match leaf:
        case Text(text=text):
            return text in facts.text
        case Flag(name=name):
            return _FLAGS[name](facts, known) if name in _FLAGS else _can(name, facts)
        case Compare(key="age", op=op, value=value):
            at = facts.ranges["updated"]
            now = milliseconds(known.now)
            return None if at is None else compare(op, (now - at[1], now - at[0]), value)
        case Compare(key=key, op=op, value=value):
            row = facts.ranges.get(key)
            return None if row is None else compare(op, row, value)
        case Match(key=key, op=op, text=text):
            texts = facts.texts.get(key)
            if texts is None:
                return None
            return text in texts if op == "=" else any(text in one for one in texts)


def _can(capability: str, facts: Facts) -> bool | None:
    told, categories = facts.texts["capability"], facts.texts.get("category") or ()
    if capability in categories:
        return True
    return None if told is None else capability in told


def _installed(facts: Facts, known: Known) -> bool | None:
    if facts.flags.get("installed") or known.installed is None:
        return facts.flags.get("installed")
    return facts.digest in known.installed or names.normalised(facts.name) in known.installed


def _running(facts: Facts, known: Known) -> bool | None:
    return None if known.running is None else names.normalised(facts.name) in known.running


_FLAGS: dict[str, Callable[[Facts, Known], bool | None]] = {
    "installed": _installed,
    "running": _running,
    "fits": lambda facts, known: known.fits.get(names.normalised(facts.name)),
    "recommended": lambda facts, _known: facts.flags.get("recommended"),
    "yours": lambda facts, _known: facts.flags.get("yours"),
    "cloud": lambda facts, _known: facts.flags.get("cloud"),
}


def _note(unknown: Sequence[str], count: int) -> str:
    what = " or ".join(unknown)
    if count == 1:
        return f"Not known for 1 model: {what}. It is left out."
    return f"Not known for {count} models: {what}. They are left out."


def type_of(abilities: Iterable[str]) -> str:
    """The kind of a model with these capabilities and categories, as `type:` names it."""
    return "embedding" if "embedding" in abilities else "llm"


def _point(value: float | None) -> Range | None:
    return None if value is None else (value, value)


def _text(*fields: str) -> str:
    return fold("\n".join(fields))


def _folded(*texts: str) -> tuple[str, ...]:
    return tuple(map(fold, texts))
