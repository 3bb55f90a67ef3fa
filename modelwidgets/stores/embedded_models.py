"""What the embedded store says of its models, read from their manifests, configs and headers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwidgets.errors import GgufError, StoreError
from modelwidgets.gguf import GgufHeader, LongArray, read_header
from modelwidgets.names import ModelName
from modelwidgets.records import Manifest
from modelwidgets.stores import capabilities, golang
from modelwidgets.stores.ollama_files import StoreFiles, read_manifest

KIND = "application/vnd.ollama.image."
DEFAULT_TEMPLATE = "{{ .Prompt }}"
UNKNOWN = ("", "unknown")
_MAX_TEXT_BYTES = 16 << 20


class NotInstalledError(Exception):
    """No model of that name, or one of which a file is missing."""


@dataclass(slots=True, kw_only=True)
class Model:
    """One installed model with the small files that describe it."""

    name: ModelName
    manifest: Manifest
    modified_ns: int
    config: dict[str, Any]
    parent: str = ""
    weights: Path | None = None
    projectors: list[Path] = field(default_factory=list)
    adapters: list[Path] = field(default_factory=list)
    template: str | None = None
    system: str = ""
    licenses: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": self.parent,
            "format": self.config.get("model_format", ""),
            "family": self.config.get("model_family", ""),
            "families": self.config.get("model_families"),
            "parameter_size": self.config.get("model_type", ""),
            "quantization_level": self.config.get("file_type", ""),
        }


class Models:
    """Answers about the models in `files`; rows of the list are remembered by digest."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._rows: dict[str, dict[str, Any]] = {}

    def read(self, name: ModelName) -> Model:
        """A model with its small files; raises `NotInstalledError` where one is missing."""
        try:
            model = self._described(name)
            for layer in model.manifest.layers:
                self._take(model, layer.media_type.removeprefix(KIND), layer.digest)
        except FileNotFoundError as error:
            raise NotInstalledError(str(error)) from error
        return model

    def rows(self) -> list[dict[str, Any]]:
        """The list of models, newest first; what is damaged is left out."""
        rows: list[tuple[int, dict[str, Any]]] = []
        seen: dict[str, dict[str, Any]] = {}
        for name, manifest in self._files.manifests():
            try:
                row = self._rows.get(manifest.digest) or _row(self.read_listed(name))
                modified_ns = self._files.manifest_path(name).stat().st_mtime_ns
            except (OSError, StoreError, ValueError, NotInstalledError):
                continue
            seen[manifest.digest] = row
            named = {**row, "name": str(name), "model": str(name)}
            rows.append((modified_ns, {**named, "modified_at": rfc3339(modified_ns)}))
        self._rows = seen
        return [row for _, row in sorted(rows, key=lambda row: -(row[0] // 10**9))]
