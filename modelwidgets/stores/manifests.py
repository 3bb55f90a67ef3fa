"""Reads manifests, which anybody may have written.

A manifest is small and decides much: how many bytes a pull fetches, and under which names they are
kept. So nothing in it is believed before it was looked at.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from modelwidgets.errors import RegistryError
from modelwidgets.names import ModelName, parse
from modelwidgets.records import Layer, Manifest

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."
"""What the type of every layer but the config begins with; `model`, `template` and so on follow."""
MAX_MANIFEST_BYTES = 4 << 20
MAX_LAYERS = 8192
"""Models in safetensors have a layer a tensor."""
MAX_MODEL_BYTES = 1 << 44
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[\x21-\x7e]{1,255}")


def manifest_from_bytes(name: str | ModelName, raw: bytes) -> Manifest:
    """Read a manifest, however hostile; raises `RegistryError` saying what is wrong with it."""
    name = parsed(name)
    if len(raw) > MAX_MANIFEST_BYTES:
        raise _unusable(name, f"it is larger than {MAX_MANIFEST_BYTES >> 20} MiB")
    content = read_json(raw)
    if not isinstance(content, dict):
        raise _unusable(name, "it is not a JSON object")
    entries = content.get("layers")
    if not isinstance(entries, list):
        raise _unusable(name, "it lists no layers (a list of platforms, perhaps)")
    if len(entries) > MAX_LAYERS:
        raise _unusable(name, f"it lists {len(entries)} layers")
    layers = tuple(_layer(name, entry) for entry in [*entries, content.get("config")])
    sizes: dict[str, int] = {}
    for layer in layers:
        if sizes.setdefault(layer.digest, layer.size_bytes) != layer.size_bytes:
            raise _unusable(name, f"it gives two sizes for {layer.digest}")
    total = sum(sizes.values())
    if total > MAX_MODEL_BYTES:
        raise _unusable(name, f"its layers add up to {total} bytes")
    return Manifest(
        name=str(name),
        digest=hashlib.sha256(raw).hexdigest(),
        layers=layers,
        total_bytes=total,
    )


def _layer(name: ModelName, entry: Any) -> Layer:
    if not isinstance(entry, dict):
        raise _unusable(name, "a layer or the config is missing or no object")
    media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        raise _unusable(name, "a layer has no usable media type")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise _unusable(name, f"{shown(digest)} is no digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_MODEL_BYTES:
        raise _unusable(name, f"{shown(size)} is no size")
    return Layer(media_type=media_type, digest=digest, size_bytes=size)


def check_digest(digest: str) -> None:
    """Raise `ValueError` for what is no digest, before it becomes part of a path or an address."""
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest[:80]!a} is no digest: write `sha256:` and 64 hex digits")


def shown(value: Any) -> str:
    """A value in few words, whatever it is and however deep."""
    if isinstance(value, str):
        return ascii(value if len(value) <= 80 else value[:77] + "...")
    return str(value)[:80] if isinstance(value, (int, float)) else f"a {type(value).__name__}"


def _unusable(name: ModelName, why: str) -> RegistryError:
    return RegistryError(
        f"The manifest of {name} cannot be used: {why}. "
        "Try another tag, or tell whoever published the model."
    )


def read_json(raw: bytes) -> Any:
    """The value of a JSON text; None where it is none, or nested beyond reason."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def parsed(name: str | ModelName) -> ModelName:
    return parse(name) if isinstance(name, str) else name
