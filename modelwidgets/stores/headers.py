"""What the files of a model say of themselves, before any weights are fetched.

A name is looked for where that costs least: in the store on this disk, in the copies that were
kept, then in its registry, which is asked for the first megabyte of the file and for more until
the header is complete. A path to a GGUF file is read where it lies, in all its parts.

Why being offline is an answer: whoever asks has another basis, the dimensions in the catalog, and
wants to know why this one is missing.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from modelwidgets.errors import (
    GgufError,
    ManifestNotFoundError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnreachableError,
    StoreError,
)
from modelwidgets.folders import cache_folder
from modelwidgets.gguf import MAX_HEADER_BYTES, GgufHeader, HeaderReader, read_header
from modelwidgets.names import ModelName, parse
from modelwidgets.records import Layer, Manifest
from modelwidgets.stores.header_cache import HeaderCache
from modelwidgets.stores.manifests import (
    LAYER_TYPE,
    MAX_MANIFEST_BYTES,
    manifest_from_bytes,
    read_json,
)
from modelwidgets.stores.ollama_files import StoreFiles, distinct, read_start, stored_manifest
from modelwidgets.stores.registry import RegistryClient

_FILES = ("model", "projector", "adapter")
_MAX_FILES = 64
_MAX_SETTINGS_BYTES = 1 << 20
_MAX_PARTS = 999
_SILENT_SECONDS = 30.0
_NOT_ASKED = "Not known on this machine, and the registry was not asked. Ask for this model itself."
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE | re.DOTALL)

Early = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """One file in GGUF, or several that are the parts of one."""

    header: GgufHeader
    """With the tensors of all parts; where they lie is said of each part alone."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What is known of a model without its weights."""

    name: str
    basis: Literal["file", "installed", "registry", "kept", "nothing"]
    """Where the list of files is from; `kept`: from the registry once, which is silent now."""
    model: WeightsFile | None = None
    projectors: tuple[WeightsFile, ...] = ()
    adapters: tuple[WeightsFile, ...] = ()
    tensor_bytes: int = 0
    """Of a model in safetensors, which has a layer a tensor instead of a GGUF file."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The `config.json` of a model in safetensors."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The options that come with the model: `num_ctx`, `num_gpu`, `num_batch`..."""
    total_bytes: int | None = None
    """All layers, as the manifest says."""
    reason: str | None = None
    """Why something is missing."""


class Headers:
    """Finds headers in `stores`, in `cache`, or asks `registry`."""

    def __init__(
        self,
        registry: RegistryClient,
        *,
        stores: Sequence[StoreFiles] = (),
        cache: HeaderCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._stores = tuple(stores)
        self._cache = cache or HeaderCache(cache_folder(create=False) / "headers")
        self._clock = clock
        self._silent_until: dict[str, float] = {}

    async def find(
        self, name: str | Path, *, early: Early | None = None, ask: bool = True
    ) -> ModelFiles:
        """The files of `name`, a model or the path of a GGUF file.

        `early` is given the keys that came with the first megabyte, where more must be read.
        Without `ask` no registry is asked: the answer is what is known on this machine.
        Raises `InvalidNameError`, `ManifestNotFoundError` and `RegistryRefusedError` for a name
        that leads nowhere, `GgufError` for a file that cannot be used, `OSError` for a path.
        """
        if path := _as_path(name):
            file = await asyncio.to_thread(read_parts, path)
            return ModelFiles(name=str(path), basis="file", model=file, total_bytes=file.size_bytes)
        parsed = parse(str(name))
        for store in self._stores:
            if found := await asyncio.to_thread(self._installed, store, parsed):
                return found
        try:
            raw, basis, reason = await self._manifest(parsed, ask=ask)
            manifest = manifest_from_bytes(parsed, raw)
            remote = _Remote(self._registry if ask else None, self._cache, parsed, early)
            files = await self._files(remote, manifest, raw)
        except (ManifestNotFoundError, RegistryRefusedError):
            raise
        except RegistryError as error:
            return ModelFiles(name=str(parsed), basis="nothing", reason=str(error))
        return replace(files, basis=basis, reason=reason)

    async def _manifest(
        self, name: ModelName, *, ask: bool
    ) -> tuple[bytes, Literal["registry", "kept"], str | None]:
        try:
            raw = await self._asked(name) if ask else None
        except (ManifestNotFoundError, RegistryRefusedError):
            raise
        except RegistryError as error:
            kept = await asyncio.to_thread(self._cache.manifest, name)
            if kept is None:
                raise
            return kept, "kept", str(error)
        if raw is None:
            kept = await asyncio.to_thread(self._cache.manifest, name)
            if kept is None:
                raise RegistryError(_NOT_ASKED)
            return kept, "kept", None
        await asyncio.to_thread(self._cache.keep_manifest, name, raw)
        return raw, "registry", None

    async def _asked(self, name: ModelName) -> bytes:
        """What is out of reach is left alone for a while: tables ask for many names."""
        host, now = name.host.lower(), self._clock()
        if self._silent_until.get(host, now) > now:
            raise RegistryUnreachableError(name.host, "it was not a moment ago")
        try:
            # plain http to a registry on this machine leaves the machine nowhere
            _, raw = await self._registry.manifest_bytes(name, insecure=name.loopback)
        except RegistryUnreachableError:
            self._silent_until[host] = self._clock() + _SILENT_SECONDS
            raise
        return raw

    async def _files(self, remote: _Remote, manifest: Manifest, raw: bytes) -> ModelFiles:
        layers = _Layers(manifest, raw)
        files = {
            kind: [
                WeightsFile(header=await remote.header(layer), size_bytes=layer.size_bytes)
                for layer in layers.of(kind)
            ]
            for kind in _FILES
        }
        return layers.described(
            files,
            {layer.digest: await remote.content(layer) for layer in layers.settings},
        )

    def _installed(self, store: StoreFiles, name: ModelName) -> ModelFiles | None:
        """What the store holds under this name; None where that is nothing, or not whole."""
        try:
            found = store.find(name)
            if found is None:
                return None
            path = store.manifest_path(found)
            raw = read_start(path, MAX_MANIFEST_BYTES + 1)
            layers = _Layers(stored_manifest(found, path, raw), raw)
            files = {
                kind: [self._blob(store, layer) for layer in layers.of(kind)] for kind in _FILES
            }
            settings = {
                layer.digest: read_start(store.blob_path(layer.digest), _MAX_SETTINGS_BYTES)
                for layer in layers.settings
            }
        except (OSError, StoreError):
            return None
        return replace(layers.described(files, settings), basis="installed")

    def _blob(self, store: StoreFiles, layer: Layer) -> WeightsFile:
        header = self._cache.header(layer.digest)
        path = store.blob_path(layer.digest)
        size = path.stat().st_size
        if header is None:
            header = read_header(path)
            self._cache.keep_header(layer.digest, header)
        return WeightsFile(header=header, size_bytes=size)


class _Remote:
    """The blobs of one name in its registry."""

    def __init__(
        self,
        registry: RegistryClient | None,
        cache: HeaderCache,
        name: ModelName,
        early: Early | None,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._name = name
        self._early = early

    async def header(self, layer: Layer) -> GgufHeader:
        known = await asyncio.to_thread(self._cache.header, layer.digest)
        if known is not None:
            return known
        if self._registry is None:
            raise RegistryError(_NOT_ASKED)
        reader = HeaderReader()
        found: list[GgufHeader] = []
        seen = 0

        def take(piece: bytes) -> bool:
            nonlocal seen
            seen += len(piece)
            if header := reader.feed(piece):
                found.append(header)
            elif self._early and seen >= 1 << 20:
                self._early(reader.metadata)
                self._early = None
            return bool(found)

        await self._registry.read_until(
            self._name,
            layer.digest,
            take,
            at_most=min(MAX_HEADER_BYTES, layer.size_bytes),
            insecure=self._name.loopback,
        )
        if not found:
            raise GgufError(
                f"A file of {self._name} ends inside its GGUF header. "
                "Try another tag, or tell whoever published the model."
            )
        await asyncio.to_thread(self._cache.keep_header, layer.digest, found[0])
        return found[0]

    async def content(self, layer: Layer) -> bytes:
        length = min(layer.size_bytes, _MAX_SETTINGS_BYTES)
        known = await asyncio.to_thread(self._cache.content, layer.digest) if length else b""
        if known is not None:
            return known
        if self._registry is None:
            raise RegistryError(_NOT_ASKED)
        content = await self._registry.read_range(
            self._name, layer.digest, length=length, insecure=self._name.loopback
        )
        await asyncio.to_thread(self._cache.keep_content, layer.digest, content)
        return content


class _Layers:
    """The layers of a manifest by what they are for."""

    def __init__(self, manifest: Manifest, raw: bytes) -> None:
        self._manifest = manifest
        self._layers = distinct(manifest.layers)
        self._config = _named(raw, "config.json") if self.of("tensor") else None
        files = sum(len(self.of(kind)) for kind in _FILES)
        if files > _MAX_FILES:
            raise GgufError(
                f"{manifest.name} is made of {files} GGUF files, more than any model. "
                "Try another tag, or tell whoever published it."
            )

    def of(self, kind: str) -> list[Layer]:
        return [layer for layer in self._layers if layer.media_type == LAYER_TYPE + kind]

    @property
    def settings(self) -> list[Layer]:
        """Small texts that say how the model is to be run."""
        config = [layer for layer in self._layers if layer.digest == self._config]
        return self.of("params")[:1] + config

    def described(
        self, files: Mapping[str, Sequence[WeightsFile]], settings: Mapping[str, bytes]
    ) -> ModelFiles:
        parameters = next((settings[layer.digest] for layer in self.of("params")), b"")
        return ModelFiles(
            name=self._manifest.name,
            basis="registry",
            model=_joined(files["model"]) if files["model"] else None,
            projectors=tuple(files["projector"]),
            adapters=tuple(files["adapter"]),
            tensor_bytes=sum(layer.size_bytes for layer in self.of("tensor")),
            config=_object(settings.get(self._config or "", b"")),
            parameters=_object(parameters),
            total_bytes=self._manifest.total_bytes,
        )


def read_parts(path: Path) -> WeightsFile:
    """A GGUF file on disk, with its other parts where its name says that it has some.

    Raises `GgufError`, and `OSError` where a part is missing or cannot be read.
    """
    return _joined(
        [
            WeightsFile(header=read_header(part), size_bytes=part.stat().st_size)
            for part in part_paths(path)
        ]
    )


def part_paths(path: Path) -> list[Path]:
    """All parts of the file `name-00001-of-00003.gguf`; the path alone of a whole one."""
    named = _PART.fullmatch(path.name)
    if named is None:
        return [path]
    stem, number, count = named[1], int(named[2]), int(named[3])
    if not 0 < number <= count <= _MAX_PARTS:
        raise GgufError(
            f"{path.name} is no possible part of a file. Fetch it again under its first name."
        )
    return [path.with_name(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(1, count + 1)]


def _joined(parts: Sequence[WeightsFile]) -> WeightsFile:
    first = parts[0].header
    announced = first.metadata.get("split.count", 0)
    if len(parts) == 1 and announced in (0, 1):
        return parts[0]
    if announced not in (0, len(parts)):
        raise GgufError(
            f"This is one of {announced} files that belong together, and {len(parts)} are here. "
            "Put all of them into one folder under their own names."
        )
    tensors = {tensor.name: tensor for part in parts for tensor in part.header.tensors}
    if len(tensors) != sum(len(part.header.tensors) for part in parts):
        raise GgufError(
            "A tensor stands in two of the files that belong together. Fetch them again."
        )
    return WeightsFile(
        header=replace(first, tensors=tuple(tensors.values())),
        size_bytes=sum(part.size_bytes for part in parts),
    )


def _as_path(name: str | Path) -> Path | None:
    """The path that a text means; a name of the hub may end in `.gguf` too, so it must be there."""
    if isinstance(name, Path):
        return name
    if name.startswith(("/", "./", "../", "~", ".\\", "..\\", "\\")) or name[1:3] == ":\\":
        return Path(name).expanduser()
    if name.lower().endswith(".gguf"):
        with suppress(OSError, ValueError):
            if Path(name).is_file():
                return Path(name)
    return None


def _named(raw: bytes, name: str) -> str | None:
    """The digest of the layer that a manifest calls so."""
    content = read_json(raw)
    entries = content.get("layers") if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            digest = entry.get("digest")
            return digest if isinstance(digest, str) else None
    return None


def _object(raw: bytes) -> Mapping[str, Any]:
    found = read_json(raw)
    return found if isinstance(found, dict) else {}
