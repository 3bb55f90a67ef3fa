"""Tiny models of our own, for the demo and the tests.

Everything a manager does with a model can be done with them, but nobody should talk to one: they
are valid models filled with noise (`sample_weights.py`). Their bytes follow from their description
alone, so every machine makes the same digests.

`sample_registry.py` serves a folder of them, which holds `blobs/sha256-<hex>` and
`manifests/<namespace>/<model>/<tag>`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwidgets.errors import RegistryError
from modelwidgets.folders import cache_folder
from modelwidgets.gguf import HeaderReader
from modelwidgets.names import ModelName, parse
from modelwidgets.records import CatalogModel, CatalogTag, Layer, Manifest
from modelwidgets.stores.manifests import (
    CONFIG_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    manifest_from_bytes,
)
from modelwidgets.stores.sample_weights import (
    TensorData,
    Typed,
    chat_weights,
    embed_weights,
    vision_projector,
    vision_weights,
    write_gguf,
)

__all__ = [
    "SAMPLES",
    "TensorData",
    "Typed",
    "blob_path",
    "default_folder",
    "make_samples",
    "manifest_path",
    "sample_models",
    "write_gguf",
    "write_model",
]

SAMPLES = ("samples/chat:tiny", "samples/chat:terse", "samples/vision:tiny", "samples/embed:tiny")
"""The two chat models share their weights and differ in what they are told."""

_LICENSE = b"""These sample models hold noise. Anybody may use, copy and change them for anything,
without any warranty: they cannot do what a model does.
"""
_TEMPLATE = b"""{{- if .System }}<|system|>
{{ .System }}<|end|>
{{ end }}<|user|>
{{ .Prompt }}<|end|>
<|assistant|>
{{ .Response }}<|end|>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    name: str
    description: str
    category: str
    capabilities: tuple[str, ...]


_FAMILIES = (
    _Family(
        name="samples/chat",
        description="A tiny chat model of noise, to try out pulling, stopping and deleting",
        category="chat",
        capabilities=("completion",),
    ),
    _Family(
        name="samples/vision",
        description="A tiny vision model of noise with a projector of its own: two big layers",
        category="vision",
        capabilities=("completion", "vision"),
    ),
    _Family(
        name="samples/embed",
        description="A tiny embedding model of noise, the smallest of the samples",
        category="embedding",
        capabilities=("embedding",),
    ),
)


def default_folder() -> Path:
    """Where the samples are kept between runs: the user's cache."""
    return cache_folder() / "samples"


def make_samples(folder: Path) -> tuple[Manifest, ...]:
    """Write the samples into `folder`, or use those that lie there whole, as `SAMPLES` lists them.

    Several processes may do so at once: each file appears whole, and all write the same.
    """
    found = [_manifest(folder, name) for name in SAMPLES]
    whole = tuple(manifest for manifest in found if manifest is not None)
    return whole if len(whole) == len(SAMPLES) else tuple(_make_all(folder))


def _make_all(folder: Path) -> Iterable[Manifest]:
    chat = {"model": chat_weights(), "template": _TEMPLATE}
    yield write_model(
        folder,
        "samples/chat:tiny",
        {
            **chat,
            "license": _LICENSE,
            "system": b"You are a sample. You are made of noise and say nothing of use.",
            "params": _json({"stop": ["<|end|>", "<|user|>"], "temperature": 0.7}),
        },
    )
    yield write_model(
        folder,
        "samples/chat:terse",
        {
            **chat,
            "license": _LICENSE,
            "system": b"You are a sample. Be brief.",
            "params": _json({"stop": ["<|end|>"], "temperature": 0.2, "num_ctx": 1024}),
        },
    )
    yield write_model(
        folder,
        "samples/vision:tiny",
        {
            "model": vision_weights(),
            "projector": vision_projector(),
            "template": _TEMPLATE,
            "license": _LICENSE,
            "params": _json({"stop": ["<|end|>"], "num_ctx": 2048}),
        },
    )
    yield write_model(folder, "samples/embed:tiny", {"model": embed_weights(), "license": _LICENSE})


def write_model(
    folder: Path,
    name: str | ModelName,
    layers: Mapping[str, bytes | Path],
    config: Mapping[str, Any] | None = None,
) -> Manifest:
    """Add a model to a folder of the sample registry; the manifest is written last.

    The keys of `layers` are the last words of Ollama's media types (`model`, `projector`,
    `template`...). Without a `config` it is made from the header of the weights.
    """
    name = parse(name) if isinstance(name, str) else name
    entries = [
        _entry(LAYER_TYPE + kind, *_keep_blob(folder, content)) for kind, content in layers.items()
    ]
    described = _describe(layers) if config is None else config
    diff_ids = [entry["digest"] for entry in entries]
    settings = _json({**described, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    raw = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _entry(CONFIG_TYPE, *_keep_blob(folder, settings)),
            "layers": entries,
        }
    )
    manifest = manifest_from_bytes(name, raw)
    _replace(manifest_path(folder, name), raw)
    return manifest


def blob_path(folder: Path, digest: str) -> Path:
    """Where a folder of samples keeps the bytes of `digest`."""
    return folder / "blobs" / digest.replace(":", "-")


def manifest_path(folder: Path, name: ModelName) -> Path:
    """Where it keeps the manifest of `name`, whose host is the registry's."""
    return folder / "manifests" / name.namespace / name.model / name.tag


def sample_models(host_port: str, folder: Path | None = None) -> tuple[CatalogModel, ...]:
    """The samples as entries of a catalog, named as the registry at `host_port` serves them."""
    folder = default_folder() if folder is None else folder
    tags: dict[str, list[CatalogTag]] = {family.name: [] for family in _FAMILIES}
    for name, manifest in zip(SAMPLES, make_samples(folder), strict=True):
        family, _, tag = name.partition(":")
        config = json.loads(blob_path(folder, manifest.layers[-1].digest).read_bytes())
        tags[family].append(
            CatalogTag(
                tag=tag,
                name=f"{host_port}/{name}",
                size_bytes=manifest.total_bytes,
                size_exact=True,
                parameters=config["model_type"],
                quantization=config["file_type"],
                context_length=config["context_length"],
                digest=manifest.digest,
                architecture=None,
                projector_bytes=_projector_bytes(manifest),
                same_as=(),
                recommended=tag == "tiny",
            )
        )
    return tuple(
        CatalogModel(
            name=f"{host_port}/{family.name}",
            description=family.description,
            publisher="modelwidgets samples",
            category=family.category,
            categories=(family.category,),
            capabilities=family.capabilities,
            license=None,
            pulls=None,
            updated=None,
            recommended_tag="tiny",
            tags=tuple(tags[family.name]),
            custom=False,
            unchecked=False,
        )
        for family in _FAMILIES
    )


def _projector_bytes(manifest: Manifest) -> int | None:
    kind = LAYER_TYPE + "projector"
    return next((layer.size_bytes for layer in manifest.layers if layer.media_type == kind), None)


def _describe(layers: Mapping[str, bytes | Path]) -> dict[str, Any]:
    """What Ollama puts into the config of a model that it makes."""
    families = []
    described: dict[str, Any] = {"model_format": "gguf", "architecture": "amd64", "os": "linux"}
    for kind in ("model", "projector"):
        content = layers.get(kind)
        if not isinstance(content, bytes) or not content.startswith(b"GGUF"):
            continue
        header = HeaderReader().feed(content)
        if header is None:
            continue
        families.append(header.architecture)
        if kind == "model":
            described |= {
                "model_family": header.architecture,
                "model_type": _count(header.parameter_count),
                "file_type": header.file_type,
            }
            for word in ("context_length", "embedding_length"):
                if value := header.metadata.get(f"{header.architecture}.{word}"):
                    described[word] = value
    return {**described, "model_families": families} if families else described


def _count(parameters: int) -> str:
    """A number of weights as Ollama shows it: `3.2B`, `23.86M`."""
    if parameters >= 10**9:
        return f"{parameters / 1e9:.1f}B"
    return f"{parameters / 1e6:.2f}M" if parameters >= 10**6 else f"{parameters / 1e3:.0f}K"


def _manifest(folder: Path, name: str) -> Manifest | None:
    """The manifest of a sample of which nothing is missing."""
    try:
        manifest = manifest_from_bytes(name, manifest_path(folder, parse(name)).read_bytes())
        whole = all(_lies_whole(folder, layer) for layer in manifest.layers)
    except (OSError, RegistryError):
        return None
    return manifest if whole else None


def _lies_whole(folder: Path, layer: Layer) -> bool:
    return blob_path(folder, layer.digest).stat().st_size == layer.size_bytes


def _entry(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _keep_blob(folder: Path, content: bytes | Path) -> tuple[str, int]:
    if isinstance(content, Path):
        with content.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        size = content.stat().st_size
    else:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        size = len(content)
    path = blob_path(folder, digest)
    with suppress(FileNotFoundError):
        if path.stat().st_size == size:
            return digest, size
    _replace(path, content)
    return digest, size


def _replace(path: Path, content: bytes | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink()
        raise


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
