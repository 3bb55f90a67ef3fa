"""Models of the shape that a recorded server told of, put into a folder of Ollama's layout."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwidgets.gguf import TENSOR_TYPES
from modelwidgets.names import parse
from modelwidgets.stores.manifests import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE
from modelwidgets.stores.ollama_files import StoreFiles
from modelwidgets.stores.sample_weights import TensorData, write_gguf

_THINKS = "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}"
_PLACES = {"tools": "{{ .Tools }}", "insert": "{{ .Suffix }}", "thinking": _THINKS}
_CONFIG = {
    "format": "model_format",
    "family": "model_family",
    "families": "model_families",
    "parameter_size": "model_type",
    "quantization_level": "file_type",
}


def install(
    files: StoreFiles,
    row: Mapping[str, Any],
    show: Mapping[str, Any] | None = None,
    verbose: Mapping[str, Any] | None = None,
) -> None:
    """Put a model there that is listed as `row`, and shown as `show` where that was recorded."""
    details = row["details"]
    config = {ours: details[theirs] for theirs, ours in _CONFIG.items()}
    config |= {key: row[key] for key in ("remote_model", "remote_host") if key in row}
    layers = [] if "remote_host" in row else _layers(row, show, verbose)
    if "remote_host" in row:
        lengths = {key: details[key] for key in ("context_length", "embedding_length")}
        config |= {"capabilities": row["capabilities"], **lengths}
    entries = [_entry(files, LAYER_TYPE + kind, content) for kind, content in layers]
    entries.append(_entry(files, CONFIG_TYPE, json.dumps(config).encode()))
    entries[0]["size"] += row["size"] - sum(entry["size"] for entry in entries)
    path = files.manifest_path(parse(row["name"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": entries.pop()}
    path.write_text(json.dumps({**manifest, "layers": entries}))
    os.utime(path, ns=(_nanoseconds(row["modified_at"]),) * 2)


def _layers(
    row: Mapping[str, Any], show: Mapping[str, Any] | None, verbose: Mapping[str, Any] | None
) -> list[tuple[str, bytes]]:
    can = row.get("capabilities", [])
    if show is None:
        template = "".join(text for word, text in _PLACES.items() if word in can)
        model = _plain_weights(row["details"], can)
        layers = [("model", model), ("template", f"{template}{{{{ .Prompt }}}}".encode())]
        if "gptoss" in row["details"]["family"]:
            layers[1] = ("template", b"{{ .Prompt }}")
        return [*layers, ("projector", model)] if "vision" in can else layers
    infos = {**show["model_info"], **(verbose or {}).get("model_info", {})}
    layers = [("model", _weights(infos, show["tensors"]))]
    if "projector_info" in show:
        parameters = show["projector_info"]["general.parameter_count"]
        tensor = {"name": "mm.0", "type": "F32", "shape": [parameters]}
        layers.append(("projector", _weights(show["projector_info"], [tensor])))
    if "ADAPTER" in show["modelfile"]:
        layers.append(("adapter", b"an adapter"))
    layers.append(("template", show["template"].encode()))
    if "system" in show:
        layers.append(("system", show["system"].encode()))
    if "parameters" in show:
        layers.append(("params", json.dumps(_options(show["parameters"])).encode()))
    if "messages" in show:
        layers.append(("messages", json.dumps(show["messages"]).encode()))
    if "license" in show:
        layers += [("license", text.encode()) for text in show["license"].rsplit("\n", 1)]
    return layers


def _plain_weights(details: Mapping[str, Any], can: list[str]) -> bytes:
    architecture = details["family"] or "llama"
    metadata = {
        "general.architecture": architecture,
        f"{architecture}.context_length": details["context_length"],
        f"{architecture}.embedding_length": details["embedding_length"],
    }
    if "embedding" in can:
        metadata[f"{architecture}.pooling_type"] = 1
    return write_gguf(metadata)


def _weights(infos: Mapping[str, Any], tensors: list[Mapping[str, Any]]) -> bytes:
    metadata = {
        key: ["a", "b"] if value is None else value
        for key, value in infos.items()
        if key != "general.parameter_count"
    }
    return write_gguf(metadata, [_tensor(tensor) for tensor in tensors])


def _tensor(tensor: Mapping[str, Any]) -> TensorData:
    kind = next(one for one in TENSOR_TYPES.values() if one.name == tensor["type"])
    elements = math.prod(tensor["shape"])
    data = bytes(elements // kind.block_elements * kind.block_bytes)
    return TensorData(name=tensor["name"], type=kind.name, shape=tuple(tensor["shape"]), data=data)


def _options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for line in text.splitlines():
        key, value = line.split(maxsplit=1)
        said = json.loads(value)
        options[key] = [*options.get(key, []), said] if isinstance(said, str) else said
    return options


def _entry(files: StoreFiles, media_type: str, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path: Path = files.blob_path(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _nanoseconds(date: str) -> int:
    seconds, _, fraction = date.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))
