"""What the embedded store says of its models, read from their manifests, configs and headers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwidgets.errors import GgufError, StoreError
from modelwidgets.gguf import GgufHeader, LongArray, LongText, read_header
from modelwidgets.names import ModelName
from modelwidgets.records import Manifest
from modelwidgets.stores import capabilities, golang
from modelwidgets.stores.manifests import LAYER_TYPE
from modelwidgets.stores.ollama_files import StoreFiles, read_manifest

_UNKNOWN = ("", "unknown")
_LISTED = frozenset({"model", "projector", "template", "prompt"})
"""The layers that the list of models tells something about."""
_MAX_TEXT_BYTES = 16 << 20
_OPTION_COLUMN = 30
_SHOWN_ELSEWHERE = ("general.name", "tokenizer.chat_template")


class NotInstalledError(Exception):
    """No model of that name, or one of which a file is missing."""


@dataclass(slots=True, kw_only=True)
class Model:
    """One installed model with the small files that describe it."""

    name: ModelName
    manifest: Manifest
    modified_ns: int
    config: dict[str, Any]
    parent: str
    weights: Path | None = None
    projectors: list[Path] = field(default_factory=list)
    adapters: list[Path] = field(default_factory=list)
    draft: Path | None = None
    template: str | None = None
    system: str = ""
    licenses: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def remote(self) -> bool:
        return bool(self.config.get("remote_host"))


class Models:
    """Answers about the models in `files`; rows of the list are remembered by digest."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._rows: dict[str, dict[str, Any]] = {}

    def read(self, name: ModelName, *, kinds: frozenset[str] | None = None) -> Model:
        """A model with its small files, or some kinds of them.

        Raises `NotInstalledError` where one is missing, `StoreError` where one is damaged.
        """
        path = self._files.manifest_path(name)
        try:
            manifest = read_manifest(name, path)
            model = Model(
                name=name,
                manifest=manifest,
                modified_ns=path.stat().st_mtime_ns,
                config=self._config(manifest),
                parent=_parent(path),
            )
            for layer in manifest.layers:
                kind = layer.media_type.removeprefix(LAYER_TYPE)
                if kinds is None or kind in kinds:
                    self._take(model, kind, layer.digest)
        except FileNotFoundError as error:
            raise NotInstalledError(str(error)) from error
        return model

    def rows(self) -> list[dict[str, Any]]:
        """The list of models, newest first; what is damaged is left out."""
        rows: list[tuple[int, dict[str, Any]]] = []
        seen: dict[str, dict[str, Any]] = {}
        for name, manifest in self._files.manifests():
            try:
                modified_ns = self._files.manifest_path(name).stat().st_mtime_ns
                row = self._rows.get(manifest.digest) or self._row(self.read(name, kinds=_LISTED))
            except (OSError, StoreError, NotInstalledError):
                continue
            seen[manifest.digest] = row
            model = {"name": str(name), "model": str(name), **row}
            rows.append((modified_ns, {**model, "modified_at": rfc3339(modified_ns)}))
        self._rows = seen
        rows.sort(key=lambda row: row[0] // 10**9, reverse=True)
        return [row for _, row in rows]

    def show(self, name: ModelName, request: dict[str, Any]) -> dict[str, Any]:
        """Everything about one model, in the order in which a server writes it."""
        model = self.read(name)
        verbose = bool(request.get("verbose"))
        header, *projectors = _headers(model, verbose=verbose)
        model.system = request.get("system") or model.system
        parameters = _parameters(model.options)
        model.options |= request.get("options") or {}
        answer = {
            "license": "\n".join(model.licenses),
            "modelfile": _modelfile(model),
            "parameters": parameters,
            "template": capabilities.shown_template(model.config, header, model.template),
            "system": model.system,
            "details": _details(model, header),
            "messages": [
                {"role": one.get("role", ""), "content": one.get("content", "")}
                for one in model.messages
            ],
            "model_info": _info(header, verbose=verbose, without=_SHOWN_ELSEWHERE),
            "projector_info": _info(projectors[0], verbose=verbose) if projectors else {},
            "tensors": [
                {"name": one.name, "type": one.type, "shape": list(one.shape)}
                for one in header.tensors
            ],
            "capabilities": capabilities.shown(model.config, header, model.template, projectors),
            "modified_at": rfc3339(model.modified_ns),
            "requires": model.config.get("requires", ""),
        }
        return {key: value for key, value in answer.items() if value or key == "model_info"}

    def _row(self, model: Model) -> dict[str, Any]:
        """What the list says of a model, but for its name and date."""
        config = model.config
        remote = {key: config[key] for key in ("remote_model", "remote_host") if config.get(key)}
        header = None
        if not remote and model.weights is not None:
            try:
                header = read_header(model.weights)
            except (OSError, GgufError):
                header = None  # still listed, with less to say
        details = _details(model, header)
        for length in ("context_length", "embedding_length"):
            known = config.get(length) or (header and _integer(header, length))
            details |= {length: known} if known else {}
        can = capabilities.listed(config, header, model.template, projector=bool(model.projectors))
        return {
            **remote,
            "modified_at": "",
            "size": sum(layer.size_bytes for layer in model.manifest.layers),
            "digest": model.manifest.digest,
            "details": details,
            **({"capabilities": can} if can else {}),
        }

    def _config(self, manifest: Manifest) -> dict[str, Any]:
        last = manifest.layers[-1] if manifest.layers else None
        if last is None or last.media_type.startswith(LAYER_TYPE):
            return {}
        config: dict[str, Any] = self._json(last.digest, dict)
        return config

    def _take(self, model: Model, kind: str, digest: str) -> None:
        path = self._files.blob_path(digest)
        if kind == "model":
            model.weights = path
        elif kind == "draft":
            model.draft = path
        elif kind == "projector":
            model.projectors.append(path)
        elif kind == "adapter":
            model.adapters.append(path)
        elif kind in ("template", "prompt"):
            model.template = self._text(digest)
        elif kind == "system":
            model.system = self._text(digest)
        elif kind == "license":
            model.licenses.append(self._text(digest))
        elif kind == "params":
            model.options = self._json(digest, dict)
        elif kind == "messages":
            model.messages = [one for one in self._json(digest, list) if isinstance(one, dict)]

    def _text(self, digest: str) -> str:
        path = self._files.blob_path(digest)
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise StoreError(f"{path} is too large to be text. Pull the model again.")
        return path.read_bytes().decode(errors="replace")

    def _json(self, digest: str, kind: type[Any]) -> Any:
        try:
            value = json.loads(self._text(digest))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, kind):
            raise StoreError(
                f"{self._files.blob_path(digest)} is damaged. Delete the model and pull it again."
            )
        return value


def rfc3339(since_1970_ns: int) -> str:
    """A date with as many of its nanoseconds as are not zero, as Go writes it."""
    seconds, nanoseconds = divmod(since_1970_ns, 10**9)
    date = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{date}.{nanoseconds:09d}".rstrip("0").rstrip(".") + "Z"


def _parent(path: Path) -> str:
    """The model that the weights were taken over from, if any."""
    content: Any = json.loads(path.read_bytes())
    for entry in content.get("layers") or ():
        if entry.get("mediaType") == f"{LAYER_TYPE}model":
            return str(entry.get("from", ""))
    return ""


def _details(model: Model, header: GgufHeader | None) -> dict[str, Any]:
    config = model.config
    label = config.get("file_type", "")
    if label in _UNKNOWN and header is not None and header.file_type not in _UNKNOWN:
        label = header.file_type
    return {
        "parent_model": model.parent,
        "format": config.get("model_format", ""),
        "family": config.get("model_family", ""),
        "families": config.get("model_families"),
        "parameter_size": config.get("model_type", ""),
        "quantization_level": label,
    }


def _headers(model: Model, *, verbose: bool) -> list[GgufHeader]:
    """The header of the weights, then those of the projectors."""
    if model.weights is None:
        raise NotInstalledError(f"{model.name} has no weights")
    try:
        return [
            read_header(path, all_arrays=verbose) for path in (model.weights, *model.projectors)
        ]
    except FileNotFoundError as error:
        raise NotInstalledError(str(error)) from error


def _info(header: GgufHeader, *, verbose: bool, without: tuple[str, ...] = ()) -> dict[str, Any]:
    metadata = {**header.metadata, "general.parameter_count": header.parameter_count}
    return {
        key: None if isinstance(value, LongText) or (_is_array(value) and not verbose) else value
        for key, value in sorted(metadata.items())
        if key not in without
    }


def _is_array(value: Any) -> bool:
    return isinstance(value, LongArray) or (isinstance(value, list) and bool(value))


def _integer(header: GgufHeader, key: str) -> int:
    value = header.metadata.get(f"{header.architecture}.{key}")
    return value if isinstance(value, int) else 0


def _parameters(options: dict[str, Any]) -> str:
    return "\n".join(
        f"{key:<{_OPTION_COLUMN}} {golang.quoted(one) if isinstance(one, str) else _value(one)}"
        for key, one in _options(options)
    )


def _options(options: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each option and each of its values; a server has them in any order, here they are sorted."""
    return [
        (key, one)
        for key, value in sorted(options.items())
        for one in (value if isinstance(value, list) else [value])
    ]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return golang.number(value)
    return "<nil>" if value is None else str(value)


def _modelfile(model: Model) -> str:
    """What would make the model again, with paths of this machine."""
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {model.name}",
        "",
        f"FROM {model.weights or ''}",
        *(f"ADAPTER {_quoted(str(path))}" for path in model.adapters),
        *([f"DRAFT {_quoted(str(model.draft))}"] if model.draft else []),
        *(f"FROM {path}" for path in model.projectors),
        f"TEMPLATE {_quoted(model.template or capabilities.DEFAULT_TEMPLATE)}",
    ]
    for word, text in (
        ("SYSTEM", model.system),
        ("RENDERER", model.config.get("renderer")),
        ("PARSER", model.config.get("parser")),
    ):
        lines += [f"{word} {_quoted(text)}"] if text else []
    lines += [
        f"PARAMETER {key} {_quoted(one if isinstance(one, str) else _value(one))}"
        for key, one in _options(model.options)
    ]
    lines += [f"LICENSE {_quoted(text)}" for text in model.licenses]
    for message in model.messages:
        lines.append(f"MESSAGE {message.get('role', '')} {_quoted(message.get('content', ''))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as a Modelfile needs it: quotes only where it has several lines or outer blanks."""
    if "\n" in text or text.startswith(" ") or text.endswith(" "):
        return f'"""{text}"""' if '"' in text else f'"{text}"'
    return text
