"""The models worth knowing: catalog.yaml, and beside it the user's own entries.

`catalog.yaml` stands at the top of the project and is carried into the package, so it is looked for
beside this module, then one folder up. The user's entries are a small file of the config folder
that kernels, servers and terminals all write, under a lock. An entry that cannot be used is kept
there as it is, and a file that cannot be read is set aside before the first write, never lost.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwidgets import catalog_schema, names, parsed_copy, yaml_file
from modelwidgets.catalog_schema import CATEGORIES, Architecture, CatalogFile
from modelwidgets.entry_fields import UnfitError
from modelwidgets.errors import (
    CatalogError,
    InvalidNameError,
    KnownEntryError,
    RegistryError,
    RegistryUnreachableError,
)
from modelwidgets.folders import cache_folder, config_folder
from modelwidgets.plain_json import as_json
from modelwidgets.records import CatalogModel, CatalogTag
from modelwidgets.shared_file import locked, replace

if TYPE_CHECKING:
    from modelwidgets.query_tree import Node
    from modelwidgets.rows import Rows
    from modelwidgets.search import Known

TYPES = ("llm", "embedding")
LOCK_WAIT_SECONDS = 5.0

Check = Callable[[str], Awaitable[object]]
"""Asks the registry for a name, and raises `RegistryError` where the answer is no."""

_HERE = Path(__file__).parent
_SHIPPED_COPY = _HERE / "static" / "catalog.json"
_OWN_FILE = "entries.yaml"
_OWN_HEADER = """\
# Your own entries in the catalog of modelwidgets. It writes this file; change it if you like,
# but comments are not kept.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalog:
    """Models that could be pulled: the user's own entries, newest first, then the most pulled."""

    as_of: str
    models: tuple[CatalogModel, ...]
    problems: tuple[str, ...]
    """What was left out, each with the reason."""
    architectures: Mapping[str, Architecture]
    """Dimensions under their GGUF names, by the key that a tag names."""

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that have models, in the order of the page."""
        used = {category for model in self.models for category in model.categories}
        return tuple(category for category in CATEGORIES if category in used)

    def get(self, name: str) -> CatalogModel | None:
        """The model that `name` means: a family, or a full name that one of its tags has."""
        try:
            parsed = names.parse(name)
        except InvalidNameError:
            return None
        for model in self._families.get(_family_key(parsed), ()):
            whole = parsed.tag == names.DEFAULT_TAG and not model.custom
            if whole or tag_of(model, parsed.tag):
                return model
        return None

    def family_of(self, name: str) -> CatalogModel | None:
        """The family that a full name belongs to, also where its tag is not listed."""
        try:
            found = self._families.get(_family_key(names.parse(name)), [])
        except InvalidNameError:
            return None
        return found[0] if found else None

    def search(
        self,
        query: str | Node = "",
        *,
        category: str | None = None,
        type: str | None = None,  # noqa: A002 - the word of the page and of the package's functions
        known: Known | None = None,
    ) -> Rows[CatalogModel]:
        """The models that a query finds, in the order of `models`.

        Raises `SearchError` where the query cannot be read.
        """
        from modelwidgets.search import search, type_of  # noqa: PLC0415 - most only look a name up

        _one_of("category", category, CATEGORIES)
        _one_of("type", type, TYPES)
        models = [
            model
            for model in self.models
            if (category is None or category in model.categories)
            and (type is None or type == type_of((*model.capabilities, *model.categories)))
        ]
        return search(query, models, known)

    def with_models(self, models: tuple[CatalogModel, ...]) -> Catalog:
        """This catalog with more models, before all others."""
        return dataclasses.replace(self, models=(*models, *self.models))

    @cached_property
    def _families(self) -> dict[str, list[CatalogModel]]:
        families: dict[str, list[CatalogModel]] = {}
        for model in self.models:
            families.setdefault(_family_key(names.parse(model.name)), []).append(model)
        return families


def tag_of(model: CatalogModel, tag: str) -> CatalogTag | None:
    """The tag of a family that is called so, also by another name of it."""
    wanted = tag.lower()
    for known in model.tags:
        if any(wanted == name.lower() for name in (known.tag, *known.same_as)):
            return known
    return None


def load_catalog(path: Path | None = None) -> Catalog:
    """Read catalog.yaml (or `path`) and the user's own entries.

    Raises `CatalogError` where the file as a whole cannot be used.
    """
    curated = _read(path or _catalog_path(), shipped=None if path else _SHIPPED_COPY)
    catalog = Catalog(
        as_of=curated.as_of,
        models=tuple(sorted(curated.models, key=lambda model: (-(model.pulls or 0), model.name))),
        problems=curated.problems,
        architectures=curated.architectures,
    )
    own, problems = _own()
    more = []
    for model in own:
        if catalog.get(model.name) is None:
            more.append(model)
        else:
            now_known = f"{model.name} is in the catalog itself by now, so your own entry is hidden"
            problems += (f"{_own_path()}: {now_known}. Remove it.",)
    merged = catalog.with_models(tuple(more)) if more else catalog
    return dataclasses.replace(merged, problems=(*catalog.problems, *problems))


def write_parsed_copy(path: Path) -> None:
    """Write the parsed catalog that the wheel ships, so that the first look is quick too."""
    source = _catalog_path()
    with _readable(source):
        parsed_copy.write(source, path, _form(source.name))


# The user's own entries


def entries() -> list[CatalogModel]:
    """The user's own entries, newest first."""
    return _own()[0]


async def add_entry(
    name: str,
    *,
    description: str = "",
    category: str = "chat",
    check: Check,
    wait_seconds: float = LOCK_WAIT_SECONDS,
) -> CatalogModel:
    """Add a model to the user's own entries, once the registry said that it knows the name.

    Kept unchecked where no registry answers. Raises `InvalidNameError`, `CatalogError` (also where
    the name is known already), or what `check` raises.
    """
    now = datetime.now(UTC)
    try:
        model = catalog_schema.own_model(
            name, description=description.strip(), category=category, unchecked=False, updated=now
        )
    except UnfitError as error:
        raise CatalogError(f"{name} was not added: {error}.") from error
    await _refuse_known(model.name)
    model = await _checked(model, check)
    await asyncio.to_thread(_keep, model, now, wait_seconds)
    return model


async def edit_entry(
    name: str,
    *,
    new_name: str | None = None,
    description: str | None = None,
    category: str | None = None,
    check: Check,
    wait_seconds: float = LOCK_WAIT_SECONDS,
) -> CatalogModel:
    """Change one of the user's own entries; what is not given stays as it is.

    A new name is checked as with `add_entry`, and so is one that could not be checked before: an
    edit that changes nothing asks the registry again. Raises `CatalogError` where there is no such
    entry, and whatever `add_entry` raises.
    """
    before = await asyncio.to_thread(_own_entry, name)
    now = datetime.now(UTC)
    try:
        model = catalog_schema.own_model(
            new_name or before.name,
            description=before.description if description is None else description.strip(),
            category=category or before.category,
            unchecked=False,
            updated=now,
        )
    except UnfitError as error:
        raise CatalogError(f"{before.name} was not changed: {error}.") from error
    renamed = not names.same(model.name, before.name)
    if renamed:
        await _refuse_known(model.name)
    if renamed or before.unchecked:
        model = await _checked(model, check)
    await asyncio.to_thread(_rewrite, before.name, model, now, wait_seconds)
    return model


async def check_entries(
    check: Check, *, wait_seconds: float = LOCK_WAIT_SECONDS
) -> dict[str, RegistryError]:
    """Ask the registry for what it could not be asked before; what it does not know, by name.

    Such an entry stays, unchecked: only its user knows whether it is a slip or ahead of its time.
    """
    refused: dict[str, RegistryError] = {}
    for model in await asyncio.to_thread(entries):
        if model.unchecked:
            try:
                asked = await _checked(model, check)
            except RegistryError as error:
                refused[model.name] = error
                continue
            if not asked.unchecked:
                now = datetime.now(UTC)
                await asyncio.to_thread(_rewrite, model.name, asked, now, wait_seconds)
    return refused


def remove_entry(name: str, *, wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
    """Remove one of the user's own entries; no model is deleted.

    Raises `CatalogError` where there is no such entry.
    """
    path = _own_path()
    with _changing(path, wait_seconds):
        found = _entries_in(path)
        kept = [entry for entry in found if _name_in(entry) != names.normalised(name)]
        if len(kept) == len(found):
            raise _no_entry(name, "remove")
        _write_entries(path, kept)


def own_entries_stamp() -> tuple[int, int] | None:
    """Differs when another door has written the user's entries; None while there is no file."""
    try:
        status = _own_path().stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


async def _refuse_known(name: str) -> None:
    known = (await asyncio.to_thread(load_catalog)).get(name)
    if known is not None:
        raise KnownEntryError(name, known.name, own=known.custom)


async def _checked(model: CatalogModel, check: Check) -> CatalogModel:
    """The entry, marked where no registry could be asked; raises what one says against it."""
    try:
        await check(model.name)
    except RegistryUnreachableError:
        return dataclasses.replace(model, unchecked=True)
    return dataclasses.replace(model, unchecked=False)


def _own_entry(name: str) -> CatalogModel:
    wanted = names.normalised(name)
    for model in entries():
        if names.normalised(model.name) == wanted:
            return model
    raise _no_entry(name, "change")


def _no_entry(name: str, what: str) -> CatalogError:
    return CatalogError(
        f"{name} is not among your own entries, so there is nothing to {what}. "
        "What the catalog itself lists stays."
    )


def _keep(model: CatalogModel, now: datetime, wait_seconds: float) -> None:
    path = _own_path()
    with _changing(path, wait_seconds):
        found = _entries_or_set_aside(path, now)
        if names.normalised(model.name) in map(_name_in, found):  # added meanwhile elsewhere
            raise KnownEntryError(model.name, model.name, own=True)
        entry = {**_entry_of(model, now), "created": now.isoformat(timespec="seconds")}
        _write_entries(path, [entry, *found])


def _rewrite(before: str, model: CatalogModel, now: datetime, wait_seconds: float) -> None:
    """Put an entry in the place of the one that is called `before`."""
    path = _own_path()
    with _changing(path, wait_seconds):
        found = _entries_in(path)
        keys = [_name_in(entry) for entry in found]
        if names.normalised(before) not in keys:  # removed meanwhile elsewhere
            raise _no_entry(before, "change")
        at, key = keys.index(names.normalised(before)), names.normalised(model.name)
        if key in keys[:at] + keys[at + 1 :]:
            raise KnownEntryError(model.name, model.name, own=True)
        found[at] = {**found[at], **_entry_of(model, now)}
        _write_entries(path, found)


def _entry_of(model: CatalogModel, now: datetime) -> dict[str, str]:
    return {
        "name": model.name,
        "description": model.description,
        "category": model.category,
        "unchecked": "true" if model.unchecked else "false",
        "updated": now.isoformat(timespec="seconds"),
    }


def _own() -> tuple[list[CatalogModel], tuple[str, ...]]:
    """The user's entries and what is wrong with their file, which never stops the catalog."""
    path = _own_path()
    problems = tuple(
        f"Your own entries could not be read, and were set aside as {broken}. "
        f"Move what you need into {path}, then delete that file."
        for broken in sorted(path.parent.glob(f"{path.name}.broken-*"))
    )
    if not path.exists():
        return [], problems
    form = parsed_copy.Form(name="entries 1", parse=yaml_file.parse, build=lambda tree: tree)
    try:
        with _readable(path):
            tree = parsed_copy.load(path, form, cache=cache_folder(create=False))
            own, unfit = catalog_schema.read_own(tree, str(path))
    except CatalogError as error:
        return [], (*problems, f"Your own entries are not shown. {error}")
    return [entry.model for entry in own], (*problems, *unfit)


def _entries_or_set_aside(path: Path, now: datetime) -> list[Any]:
    try:
        return _entries_in(path)
    except CatalogError:
        if _is_of_other_version(path):
            raise
        broken = _free_name(path.with_name(f"{path.name}.broken-{now:%Y-%m-%d}"))
        shutil.copyfile(path, broken)
        return []


def _entries_in(path: Path) -> list[Any]:
    if not path.exists():
        return []
    with _readable(path):
        tree = yaml_file.parse(yaml_file.read_bytes(path))
        return catalog_schema.own_entries(tree, str(path))


def _is_of_other_version(path: Path) -> bool:
    """Whether a later modelwidgets wrote the file, which is no damage."""
    try:
        tree = yaml_file.parse(yaml_file.read_bytes(path))
    except yaml_file.UnreadableError:
        return False
    return isinstance(tree, dict) and tree.get("schema_version") not in (
        None,
        str(catalog_schema.SCHEMA_VERSION),
    )


def _write_entries(path: Path, found: list[Any]) -> None:
    import yaml  # noqa: PLC0415 - slow to load, and most sessions write nothing

    whole = {"schema_version": catalog_schema.SCHEMA_VERSION, "models": _without_lines(found)}
    text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=10_000)
    replace(path, (_OWN_HEADER + text).encode())


def _without_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_lines(item) for key, item in value.items() if key != yaml_file.LINE}
    return [_without_lines(item) for item in value] if isinstance(value, list) else value


@contextmanager
def _changing(path: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of the user's file, and say in our words what keeps it from being changed."""
    try:
        config_folder()
        with locked(path, wait_seconds=wait_seconds):
            yield
    except TimeoutError as error:
        raise CatalogError(
            f"Your own entries were not changed: {error}. Try again when it is done."
        ) from error
    except OSError as error:
        raise CatalogError(
            f"Your own entries were not changed: {path} cannot be written "
            f"({error.strerror or error}). Check its folder, or set MODELWIDGETS_CONFIG_DIR."
        ) from error


# Files


def _read(path: Path, *, shipped: Path | None) -> CatalogFile:
    with _readable(path):
        cache = cache_folder(create=False)
        return parsed_copy.load(path, _form(path.name), cache=cache, shipped=shipped)


def _form(file: str) -> parsed_copy.Form[CatalogFile]:
    def parse(raw: bytes) -> Any:
        return as_json(catalog_schema.read_catalog(yaml_file.parse(raw), file))

    return parsed_copy.Form(name=catalog_schema.form(), parse=parse, build=CatalogFile.from_json)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except yaml_file.UnreadableError as error:
        raise CatalogError(f"{path} cannot be read: {error}. Correct the file.") from error
    except OSError as error:
        raise CatalogError(f"{path} cannot be read ({error.strerror or error}).") from error


def _catalog_path() -> Path:
    beside = _HERE / "catalog.yaml"
    return beside if beside.exists() else _HERE.parent / "catalog.yaml"


def _own_path() -> Path:
    return config_folder(create=False) / _OWN_FILE


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


# Names


def _family_key(name: names.ModelName) -> str:
    return name.key.rpartition(":")[0]


def _name_in(entry: Any) -> str | None:
    name = entry.get("name") if isinstance(entry, dict) else None
    return names.normalised(name) if isinstance(name, str) else None


def _one_of(what: str, value: str | None, valid: tuple[str, ...]) -> None:
    if value is not None and value not in valid:
        raise CatalogError(f"There is no {what} {value!r}. Use one of {', '.join(valid)}.")
