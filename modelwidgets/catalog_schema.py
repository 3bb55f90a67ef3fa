"""What may stand in a catalog file, and how it becomes records.

A file that cannot be used as a whole raises `CatalogError`. One bad entry, tag or architecture is
left out, with a problem that names it and its line; the rest loads. Raise `RULES` when a change
here gives other records for the same file, so that parsed copies made before are not used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, TypeVar

from modelwidgets import names
from modelwidgets.entry_fields import Entry, UnfitError, one_of, printable, shown
from modelwidgets.errors import CatalogError, InvalidNameError
from modelwidgets.records import CatalogModel, CatalogTag
from modelwidgets.yaml_file import LINE

SCHEMA_VERSION = 1
RULES = 1
CATEGORIES = (
    "chat",
    "code",
    "vision",
    "embedding",
    "reasoning",
    "tools",
    "math",
    "medical",
    "safety",
    "data",
    "translation",
)
CAPABILITIES = ("completion", "tools", "thinking", "vision", "audio", "embedding")
LONGEST_DESCRIPTION = 200

Architecture = Mapping[str, int | str]

T = TypeVar("T")

_MOST_PROBLEMS = 20
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")  # as in names.py
_DIGEST = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}")
_UPDATED = re.compile(r"(19|20)\d\d(-(0[1-9]|1[0-2]))?")


def _fields_named(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CATALOG_FIELDS = _fields_named("schema_version as_of models architectures")
_OWN_FIELDS = _fields_named("schema_version models")
_FAMILY_FIELDS = _fields_named(
    "name description publisher categories capabilities license pulls updated recommended_tag tags"
)
_TAG_FIELDS = _fields_named(
    "tag size_bytes size_exact projector_bytes parameters quantization context_length digest"
    " architecture same_as"
)
_WORDS = _fields_named("gguf_architecture note")
_ENTRY_FIELDS = _fields_named("name description category unchecked created updated")
_DIMENSIONS = _fields_named(
    "parameter_count active_parameter_count block_count embedding_length feed_forward_length"
    " head_count head_count_kv key_length value_length vocab_size expert_count expert_used_count"
    " expert_feed_forward_length expert_shared_feed_forward_length sliding_window"
    " sliding_window_pattern full_attention_interval full_attention_layers"
    " sliding_attention_layers recurrent_layers shared_kv_layers head_count_kv_swa key_length_swa"
    " value_length_swa attention_chunk_size kv_lora_rank rope_dimension_count"
    " kv_bytes_per_token_f16 kv_window_bytes_f16"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFile:
    """The usable part of a catalog file."""

    as_of: str
    models: tuple[CatalogModel, ...]
    architectures: Mapping[str, Architecture]
    problems: tuple[str, ...]

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> CatalogFile:
        """Back from `as_json`, as a parsed copy keeps it."""
        return cls(
            as_of=found["as_of"],
            models=tuple([_model_from_json(model) for model in found["models"]]),
            architectures=found["architectures"],
            problems=tuple(found["problems"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEntry:
    """One entry of the user's own file."""

    model: CatalogModel
    created_at: datetime


def form() -> str:
    """What a parsed copy must have been made by to be used: these rules, these fields."""
    known = [field.name for record in (CatalogModel, CatalogTag) for field in fields(record)]
    return f"catalog {RULES}: {' '.join(known)}"


def read_catalog(tree: Any, file: str) -> CatalogFile:
    """Check a parsed catalog; `file` is what messages call it."""
    found, problems = _top(tree, file, _CATALOG_FIELDS), _Problems(file)
    as_of = found.get("as_of")
    if not _is_date(as_of):
        raise CatalogError(f'{file} has no date. Write one beside as_of, such as "2026-08-21".')
    architectures = {}
    for key, entry in _mapping(found.get("architectures"), "architectures", file).items():
        try:
            architectures[key] = _architecture(key, entry)
        except UnfitError as error:
            problems.left_out(entry, f"architecture {key}", error)
    models: dict[str, CatalogModel] = {}
    for place, entry in enumerate(_entries(found, file), 1):
        try:
            model = _family(entry, architectures, problems)
            _add(models, model.name.lower(), model, "an earlier entry has the same name")
        except UnfitError as error:
            problems.left_out(entry, _called(entry, "name", place), error)
    return CatalogFile(
        as_of=str(as_of),
        models=tuple(models.values()),
        architectures=architectures,
        problems=problems.texts(),
    )


def read_own(tree: Any, file: str) -> tuple[list[OwnEntry], tuple[str, ...]]:
    """Check the user's own file: its entries, newest first, and the problems."""
    problems = _Problems(file)
    entries: dict[str, OwnEntry] = {}
    for place, entry in enumerate(own_entries(tree, file), 1):
        try:
            own = _own_entry(entry)
            key = names.normalised(own.model.name)
            _add(entries, key, own, "another entry has the same name")
        except UnfitError as error:
            problems.left_out(entry, _called(entry, "name", place), error)
    newest = sorted(entries.values(), key=lambda own: own.created_at, reverse=True)
    return newest, problems.texts()


def own_entries(tree: Any, file: str) -> list[Any]:
    """The entries of the user's own file as they stand there, the unusable ones too."""
    return _entries(_top(tree, file, _OWN_FIELDS), file)


def own_model(
    name: str, *, description: str, category: str, unchecked: bool, updated: datetime
) -> CatalogModel:
    """The user's entry as the catalog shows it: one model, one tag.

    Raises `InvalidNameError` or `UnfitError` for what may not stand there.
    """
    parsed = names.parse(name)
    printable("description", description, most=LONGEST_DESCRIPTION)
    one_of("category", category, CATEGORIES)
    tag = CatalogTag(
        tag=parsed.tag,
        name=str(parsed),
        size_bytes=None,
        size_exact=False,
        parameters=None,
        quantization=None,
        context_length=None,
        digest=None,
        architecture=None,
        recommended=True,
    )
    return CatalogModel(
        name=str(parsed),
        description=description,
        publisher=None,
        category=category,
        categories=(category,),
        capabilities=(),
        license=None,
        pulls=None,
        updated=f"{updated:%Y-%m}",
        recommended_tag=parsed.tag,
        tags=(tag,),
        custom=True,
        unchecked=unchecked,
    )


def _model_from_json(found: dict[str, Any]) -> CatalogModel:
    tags = found["tags"]
    for tag in tags:  # changed in place: there are 800, and the JSON was read for this alone
        tag["same_as"] = tuple(tag["same_as"])
    found["tags"] = tuple([CatalogTag(**tag) for tag in tags])
    for field in ("categories", "capabilities"):
        found[field] = tuple(found[field])
    return CatalogModel(**found)


# One entry


def _family(
    values: Any, architectures: Mapping[str, Architecture], problems: _Problems
) -> CatalogModel:
    entry = Entry(values, _FAMILY_FIELDS)
    name = entry.needed_text("name")
    try:
        family = names.parse(name).family
    except InvalidNameError as error:
        raise UnfitError(str(error).removesuffix(".")) from error
    if family != name:
        raise UnfitError(f"name must be a family without a tag, such as {family}")
    categories = entry.words("categories", CATEGORIES)
    if not categories:
        raise UnfitError(f"categories must name at least one of {', '.join(CATEGORIES)}")
    updated = entry.text("updated")
    if updated is not None and not _UPDATED.fullmatch(updated):
        raise UnfitError(f"updated must be a month such as 2026-08, not {shown(updated)}")
    recommended = entry.text("recommended_tag")
    tags: dict[str, CatalogTag] = {}
    for place, line in enumerate(entry.items("tags"), 1):
        try:
            tag = _tag(line, name, recommended, architectures)
            _add(tags, tag.tag.lower(), tag, "it stands twice")
        except UnfitError as error:
            problems.left_out(line, f"{name}, tag {_called(line, 'tag', place)}", error)
    if not tags:
        raise UnfitError("it has no tag that can be used")
    if recommended is not None and not any(tag.recommended for tag in tags.values()):
        problems.add(values, f"{name} recommends {shown(recommended)}, which none of its tags is")
        recommended = None
    return CatalogModel(
        name=name,
        description=entry.needed_text("description", most=LONGEST_DESCRIPTION),
        publisher=entry.text("publisher"),
        category=categories[0],
        categories=categories,
        capabilities=entry.words("capabilities", CAPABILITIES),
        license=entry.text("license"),
        pulls=entry.count("pulls", least=0),
        updated=updated,
        recommended_tag=recommended,
        tags=tuple(tags.values()),
        custom=False,
        unchecked=False,
    )


def _tag(
    values: Any, family: str, recommended: str | None, architectures: Mapping[str, Architecture]
) -> CatalogTag:
    entry = Entry(values, _TAG_FIELDS)
    tag, same_as = entry.needed_text("tag"), entry.words("same_as")
    for name in (tag, *same_as):
        if not _TAG.fullmatch(name):
            raise UnfitError(f"{shown(name)} is no tag")
    digest = entry.text("digest")
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise UnfitError(f"digest must be 64 or 12 hex digits, not {shown(digest)}")
    size_bytes, size_exact = entry.count("size_bytes"), entry.flag("size_exact")
    if size_exact and size_bytes is None:
        raise UnfitError("size_exact needs a size_bytes")
    projector_bytes = entry.count("projector_bytes")
    if projector_bytes is not None and projector_bytes >= (size_bytes or 0):
        raise UnfitError("projector_bytes must be a part of size_bytes")
    architecture = entry.text("architecture")
    if architecture is not None and architecture not in architectures:
        raise UnfitError(f"there is no architecture {shown(architecture)}")
    return CatalogTag(
        tag=tag,
        name=f"{family}:{tag}",
        size_bytes=size_bytes,
        size_exact=size_exact,
        parameters=entry.text("parameters"),
        quantization=entry.text("quantization"),
        context_length=entry.count("context_length"),
        digest=digest,
        architecture=architecture,
        recommended=tag == recommended,
        projector_bytes=projector_bytes,
        same_as=same_as,
    )


def _architecture(key: str, values: Any) -> Architecture:
    printable("its name", key, most=120)
    entry = Entry(values, _DIMENSIONS | _WORDS)
    known: dict[str, int | str] = {}
    for field in values:
        if field == LINE:
            continue
        value = entry.text(field) if field in _WORDS else entry.count(field, least=0)
        if value is not None:
            known[field] = value
    return known


def _own_entry(values: Any) -> OwnEntry:
    entry = Entry(values, _ENTRY_FIELDS)
    try:
        model = own_model(
            entry.needed_text("name", most=1000),
            description=entry.text("description", most=LONGEST_DESCRIPTION) or "",
            category=entry.text("category") or CATEGORIES[0],
            unchecked=entry.flag("unchecked"),
            updated=entry.moment("updated"),
        )
    except InvalidNameError as error:
        raise UnfitError(str(error).removesuffix(".")) from error
    return OwnEntry(model=model, created_at=entry.moment("created"))


def _add(found: dict[str, T], key: str, value: T, twice: str) -> None:
    if key in found:
        raise UnfitError(twice)
    found[key] = value


# The whole file


def _top(tree: Any, file: str, allowed: frozenset[str]) -> dict[str, Any]:
    found = _mapping(tree, "the file", file)
    version = found.get("schema_version")
    if version != str(SCHEMA_VERSION):
        said = "has no schema_version" if version is None else f"has version {shown(version)}"
        raise CatalogError(
            f"{file} {said}, but this modelwidgets reads version {SCHEMA_VERSION}. "
            "Update modelwidgets, or correct the file."
        )
    unknown = found.keys() - allowed
    if unknown:
        raise CatalogError(f"{file} has an unknown part {shown(min(unknown))}. Correct the file.")
    return found


def _mapping(value: Any, what: str, file: str) -> dict[str, Any]:
    if value is None:
        return {}
    if type(value) is not dict:
        raise CatalogError(f"{file}: {what} must be a mapping of names. Correct the file.")
    return {key: item for key, item in value.items() if key != LINE}


def _entries(found: Mapping[str, Any], file: str) -> list[Any]:
    entries = found.get("models")
    if entries is None:
        return []
    if type(entries) is not list:
        raise CatalogError(f"{file}: models must be a list. Start each entry with `- name:`.")
    return entries


def _is_date(value: Any) -> bool:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _called(entry: Any, field: str, place: int) -> str:
    name = entry.get(field) if type(entry) is dict else None
    return name if type(name) is str and name else f"number {place}"


class _Problems:
    """What was left out, in words, up to a number that a page can show."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._texts: list[str] = []
        self._more = 0

    def left_out(self, entry: Any, called: str, error: UnfitError) -> None:
        called = called if len(called) <= 80 and called.isprintable() else shown(called)
        self.add(entry, f"{called} is left out: {error}")

    def add(self, entry: Any, text: str) -> None:
        if len(self._texts) == _MOST_PROBLEMS:
            self._more += 1
            return
        line = entry.get(LINE) if type(entry) is dict else None
        where = f"{self._file}, line {line}" if line else self._file
        self._texts.append(f"{where}: {text}. Correct it there, then refresh the catalog.")

    def texts(self) -> tuple[str, ...]:
        more = (f"{self._file}: {self._more} more entries are left out.",) if self._more else ()
        return (*self._texts, *more)
