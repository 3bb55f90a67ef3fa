"""A folder in which Ollama keeps models, read from the outside.

`manifests/HOST/NAMESPACE/MODEL/TAG` lists the layers of a model, `blobs/sha256-...` holds them,
each once however many models share it. Nothing is changed here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelwidgets.errors import InvalidNameError, StoreError
from modelwidgets.folders import data_folder
from modelwidgets.names import ModelName, normalised, parse
from modelwidgets.records import (
    BulkDeletePlan,
    DeletePlan,
    DiskUsage,
    InstalledModel,
    Layer,
    Manifest,
    ModelDisk,
    PullPlan,
    StoredLayer,
)
from modelwidgets.stores.manifests import DIGEST, MAX_MANIFEST_BYTES, check_digest
from modelwidgets.stores.partial import Partial

MODELS_SHOWN = 8
"""So many models are told apart on the disk; a picture of more could not be read."""
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")
_SYSTEM_FOLDER = Path("/usr/share/ollama/.ollama/models")
"""Where Ollama runs as a service of a Linux system."""

_Found = tuple[ModelName, Manifest] | None
"""What a file among the manifests says; None where it is damaged."""
_remembered: dict[Path, tuple[tuple[int, int, int], _Found]] = {}
"""What was read before, with date, size and inode: a page asks every few seconds."""
_MOST_REMEMBERED = 10_000
_SETTLED_NS = 2 * 10**9
"""What was written just now may be written again at the same date."""


def default_folder() -> Path:
    """Where the embedded store keeps its models unless told otherwise; never Ollama's own."""
    return data_folder() / "models"


def find_store(models: Sequence[InstalledModel]) -> StoreFiles | None:
    """The folder of the server that lists `models`, where it can be read and holds just these.

    The server does not tell its folder, and a machine may have several: of a service, of a user,
    of an earlier setting. Only the same names with the same digests prove that it is the right one.
    """
    named = os.environ.get("OLLAMA_MODELS")
    home = Path.home() / ".ollama" / "models"
    for folder in [*([Path(named)] if named else []), home, _SYSTEM_FOLDER]:
        store = StoreFiles(folder)
        try:
            if store.holds(models):
                return store
        except OSError:
            continue  # another user's
    return None


class StoreFiles:
    """The models in `folder`, as they are at the moment of asking.

    Raises `OSError` where the folder cannot be read; one that is not there holds no models.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.blobs = self.folder / "blobs"
        self.manifests_folder = self.folder / "manifests"

    def manifest(self, name: str | ModelName) -> Manifest | None:
        """What is installed under `name`, in any case; None where nothing is or it is damaged."""
        found = self.find(parse(name) if isinstance(name, str) else name)
        if found is None:
            return None
        try:
            return read_manifest(found, self.manifest_path(found))
        except (StoreError, FileNotFoundError):
            return None

    def find(self, name: ModelName) -> ModelName | None:
        """The installed name that differs from `name` in upper and lower case at most."""
        return next((found for found in self.names() if found.key == name.key), None)

    def manifests(self) -> Iterator[tuple[ModelName, Manifest]]:
        """Everything installed that can be read."""
        return (found for _, found in self._read_all() if found is not None)

    def damaged(self) -> list[Path]:
        """Files among the manifests that are none."""
        return [path for path, found in self._read_all() if found is None]

    def names(self) -> Iterator[ModelName]:
        """All names for which there is a file, readable or not."""
        for path in self._manifest_files():
            try:
                yield self._name(path)
            except InvalidNameError:
                continue

    def holds(self, models: Sequence[InstalledModel]) -> bool:
        """Whether the models here are just `models`, by name and digest."""
        if not self.manifests_folder.is_dir():
            return False
        here = {
            name.key: manifest.digest
            for name, manifest in self.manifests()
            if all(self.has_blob(layer.digest) for layer in manifest.layers[-1:])
        }
        return here == {parse(model.name).key: model.digest for model in models}

    def manifest_path(self, name: ModelName) -> Path:
        """Where the manifest of `name` belongs."""
        host = name.host.replace(":", _PORT_SIGN)
        return self.manifests_folder / host / name.namespace / name.model / name.tag

    def blob_path(self, digest: str) -> Path:
        """Where the bytes of `digest` belong; raises `ValueError` where it is no digest."""
        check_digest(digest)
        return self.blobs / digest.replace(":", "-")

    def has_blob(self, digest: str) -> bool:
        return self.blob_path(digest).is_file()

    def partial_bytes(self, digest: str) -> int:
        """What an unfinished download of `digest` would not fetch again."""
        return Partial(self.blob_path(digest)).kept_bytes()

    def users_of(self) -> dict[str, set[str]]:
        """The names that need each digest."""
        return _users_of(self.manifests())

    def stored_layers(self, manifest: Manifest) -> tuple[StoredLayer, ...]:
        """The layers of an installed model: where each lies, and who else needs it."""
        return self._stored([manifest], self.users_of())

    def disk_usage(self) -> DiskUsage:
        """What lies here, each blob counted once: under its model, as shared, or as unused."""
        read = list(self._read_all())  # once, because there may be thousands
        users = _users_of(found for _, found in read if found is not None)
        own: dict[str, int] = {}
        shared = unused = partial = 0
        for path in self._files(self.blobs):
            if _BLOB.fullmatch(path.name):
                size = path.stat().st_size
                names = users.get(path.name.replace("-", ":", 1), set())
                if len(names) == 1:
                    (name,) = names
                    own[name] = own.get(name, 0) + size
                elif names:
                    shared += size
                else:
                    unused += size
            elif path.name.endswith("-partial"):
                partial += _allocated_bytes(path)
        largest = sorted(own.items(), key=lambda one: (-one[1], one[0]))
        others = [size for _, size in largest[MODELS_SHOWN:]]
        return DiskUsage(
            used_bytes=sum(own.values()) + shared + unused,
            exact=True,
            partial_bytes=partial,
            free_bytes=self.free_bytes(),
            path=str(self.folder),
            models=tuple(
                ModelDisk(name=name, own_bytes=size) for name, size in largest[:MODELS_SHOWN]
            ),
            other_models=len(others),
            other_bytes=sum(others),
            shared_bytes=shared,
            unused_bytes=unused,
            damaged=tuple(str(path) for path, found in read if found is None),
        )

    def free_bytes(self) -> int:
        """Free for us on the disk of the folder, which itself may not be there yet."""
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        return shutil.disk_usage(there).free

    def delete_plan_many(self, names: Sequence[str]) -> BulkDeletePlan:
        """What deleting all these would free: the layers that no model beside them needs."""
        read = list(self.manifests())  # once, because there may be thousands
        going = {normalised(name) for name in names}
        layers = self._stored([found for name, found in read if name.key in going], _users_of(read))
        frees, kept, shared_with = _freed(layers)
        return BulkDeletePlan(
            names=tuple(names),
            frees_bytes=frees,
            exact=True,
            kept_bytes=kept,
            shared_with=shared_with,
            running=(),
            missing=(),
        )

    def plan_pull(self, manifest: Manifest, *, reserve_bytes: int = 0) -> PullPlan:
        """What pulling `manifest` would fetch and what is here already."""
        users = self.users_of()
        present = shared = partial = 0
        for layer in distinct(manifest.layers):
            if self.has_blob(layer.digest):
                present += layer.size_bytes
                if users.get(layer.digest, set()) - {manifest.name}:
                    shared += layer.size_bytes
            else:
                partial += min(self.partial_bytes(layer.digest), layer.size_bytes)
        return PullPlan(
            name=manifest.name,
            digest=manifest.digest,
            total_bytes=manifest.total_bytes,
            present_bytes=present,
            shared_bytes=shared,
            partial_bytes=partial,
            to_fetch_bytes=manifest.total_bytes - present - partial,
            free_bytes=self.free_bytes(),
            reserve_bytes=reserve_bytes,
            claimed_bytes=0,
            reason=None,
        )

    def _stored(
        self, manifests: Sequence[Manifest], users: Mapping[str, set[str]]
    ) -> tuple[StoredLayer, ...]:
        """The layers of these models together, with who beside these models needs them."""
        these = {manifest.name for manifest in manifests}
        return tuple(
            StoredLayer(
                media_type=layer.media_type,
                digest=layer.digest,
                size_bytes=layer.size_bytes,
                path=str(path) if (path := self.blob_path(layer.digest)).is_file() else None,
                shared_with=tuple(sorted(users.get(layer.digest, set()) - these)),
            )
            for manifest in manifests
            for layer in manifest.layers
        )

    def _name(self, path: Path) -> ModelName:
        host, namespace, model, tag = path.relative_to(self.manifests_folder).parts
        host = host.replace(_PORT_SIGN, ":")
        # `local` behind a name means where to look, and is no tag there; here it can only be one
        name = parse(f"{host}/{namespace}/{model}:{'latest' if tag == 'local' else tag}")
        if (name.host, name.namespace, name.model) != (host, namespace, model):
            raise InvalidNameError(str(path), "its path is no name")
        return replace(name, tag=tag)

    def _read_all(self) -> Iterator[tuple[Path, _Found]]:
        """Each file among the manifests with what it says; None where it is damaged."""
        for path in self._manifest_files():
            try:
                yield path, self._read(path)
            except FileNotFoundError:
                continue  # deleted meanwhile

    def _read(self, path: Path) -> _Found:
        status = path.stat()
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        before = _remembered.get(path)
        if before is not None and before[0] == version:
            return before[1]
        try:
            name = self._name(path)
            found = name, read_manifest(name, path)
        except (StoreError, InvalidNameError):
            found = None
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            while len(_remembered) >= _MOST_REMEMBERED:
                _remembered.pop(next(iter(_remembered)), None)
            _remembered[path] = version, found
        return found

    def _manifest_files(self) -> Iterator[Path]:
        level = [self.manifests_folder]
        for _ in range(3):
            level = [folder for parent in level for folder in self._folders(parent)]
        for folder in level:
            yield from self._files(folder)

    @staticmethod
    def _folders(parent: Path) -> list[Path]:
        return [parent / entry.name for entry in _entries(parent) if entry.is_dir()]

    @staticmethod
    def _files(parent: Path) -> list[Path]:
        return [parent / entry.name for entry in _entries(parent) if entry.is_file()]


def delete_plan(name: str, layers: Sequence[StoredLayer], *, running: bool) -> DeletePlan:
    """What deleting the model of these layers would free: those that no other model needs."""
    frees, kept, shared_with = _freed(layers)
    return DeletePlan(
        name=name,
        frees_bytes=frees,
        exact=True,
        kept_bytes=kept,
        shared_with=shared_with,
        running=running,
    )


def _freed(layers: Sequence[StoredLayer]) -> tuple[int, int, tuple[str, ...]]:
    """The bytes that go and those that stay with these layers, and with whom they stay."""
    once = {layer.digest: layer for layer in layers}.values()
    staying = [layer for layer in once if layer.shared_with]
    return (
        sum(layer.size_bytes for layer in once if layer.path and not layer.shared_with),
        sum(layer.size_bytes for layer in staying),
        tuple(sorted({name for layer in staying for name in layer.shared_with})),
    )


def _users_of(models: Iterable[tuple[ModelName, Manifest]]) -> dict[str, set[str]]:
    users: dict[str, set[str]] = {}
    for name, manifest in models:
        for layer in manifest.layers:
            users.setdefault(layer.digest, set()).add(str(name))
    return users


def read_manifest(name: ModelName, path: Path) -> Manifest:
    """A manifest on disk, perhaps without layers or config; raises `StoreError` if damaged."""
    return stored_manifest(name, path, read_start(path, MAX_MANIFEST_BYTES + 1))


def stored_manifest(name: ModelName, path: Path, raw: bytes) -> Manifest:
    """The same, of what was read already."""
    try:
        content: Any = json.loads(raw)
        entries = [*(content.get("layers") or ()), content.get("config") or {}]
        layers = tuple(_layer(entry) for entry in entries if entry.get("digest"))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"The manifest {path} is damaged ({error}). Pull {name} again or delete it."
        ) from error
    return Manifest(
        name=str(name),
        digest=hashlib.sha256(raw).hexdigest(),
        layers=layers,
        total_bytes=sum(layer.size_bytes for layer in distinct(layers)),
    )


def read_start(path: Path, at_most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(at_most)


def distinct(layers: Sequence[Layer]) -> list[Layer]:
    """Each digest once."""
    return list({layer.digest: layer for layer in layers}.values())


def _layer(entry: dict[str, Any]) -> Layer:
    digest, size = entry["digest"].replace("-", ":", 1), entry.get("size", 0)
    if not DIGEST.fullmatch(digest) or type(size) is not int or size < 0:
        raise ValueError("a layer has no usable digest or size")
    return Layer(media_type=str(entry.get("mediaType", "")), digest=digest, size_bytes=size)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _allocated_bytes(path: Path) -> int:
    """What a sparse file takes from the disk; where the system does not say, its length."""
    status = path.stat()
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512


_PORT_SIGN = "%3A" if os.name == "nt" else ":"
"""Windows allows no colon in the name of a folder, and no name of a model holds this."""
