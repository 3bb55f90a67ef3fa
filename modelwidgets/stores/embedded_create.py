"""Making models in the embedded store: from GGUF files that were uploaded, or from another model.

Files are taken as they are. What would change them (quantizing, converting safetensors, merging
split files) needs Ollama itself, and says so.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwidgets.errors import GgufError, InvalidNameError
from modelwidgets.gguf import GgufHeader, read_header
from modelwidgets.names import ModelName
from modelwidgets.stores import embedded_names, go_template, golang
from modelwidgets.stores.embedded_errors import RefusedError, ServerError
from modelwidgets.stores.embedded_files import StoreFolder
from modelwidgets.stores.embedded_names import ConflictingSourceError, NoNameError
from modelwidgets.stores.embedded_pull import Line, Puller
from modelwidgets.stores.embedded_registry import disk_words
from modelwidgets.stores.manifests import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE
from modelwidgets.stores.ollama_files import read_manifest

_UNQUANTIZED = ("F16", "BF16", "F32")
_NO_DIGEST = "0000000000000000000"
_NEEDS_OLLAMA = (
    "the embedded store makes models from GGUF files as they are; "
    "start Ollama with the same folder to {what}"
)
_BEYOND = {
    "draft_files": "add a draft model",
    "remote_host": "add a model of another server",
    "info": "set the model's config",
}
_RENDERERS = {
    "gemma4": "gemma4",
    "laguna": "laguna",
    "nemotron_h": "nemotron-3-nano",
    "nemotron_h_moe": "nemotron-3-nano",
    "nemotron_h_omni": "nemotron-3-nano",
}
"""Architectures whose prompts a server renders itself, without a template."""


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A layer of the model to be, as its manifest lists it."""

    kind: str
    digest: str
    size_bytes: int
    status: str
    source: str = ""
    header: GgufHeader | None = None

    def listed(self) -> dict[str, Any]:
        entry = {
            "mediaType": LAYER_TYPE + self.kind,
            "digest": self.digest,
            "size": self.size_bytes,
        }
        return {**entry, "from": self.source} if self.source else entry


def check(request: dict[str, Any]) -> ModelName:
    """The name to make; raises `RefusedError` for what can be refused before anything is done."""
    for path, digest in request.get("files", {}).items():
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise RefusedError("file path must be relative")
        if not digest:
            raise RefusedError("invalid digest format")
    if not all(request.get("adapters", {}).values()):
        raise RefusedError("invalid digest format")
    for field, what in _BEYOND.items():
        if request.get(field):
            raise RefusedError(_NEEDS_OLLAMA.format(what=what), status=501)
    try:
        return embedded_names.grammar(request.get("model") or request.get("name") or "")
    except InvalidNameError:
        raise RefusedError("invalid model name") from None


class Creation:
    """One model in the making."""

    def __init__(
        self, folder: StoreFolder, puller: Puller, name: ModelName, request: dict[str, Any]
    ) -> None:
        self._folder = folder
        self._puller = puller
        self._name = folder.spelled(name)
        self._request = request
        self._config = {key: request.get(key, "") for key in ("renderer", "parser", "requires")}
        self._entries: list[_Entry] = []

    async def run(self) -> AsyncGenerator[Line, None]:
        """Each line when it is due; raises `RefusedError`."""
        request = self._request
        before = self._folder.manifest(self._name)
        if source := request.get("from"):
            async with aclosing(self._take_model(source)) as lines:
                async for line in lines:
                    yield line
        elif "files" in request:
            async with aclosing(self._take_files(request["files"], adapters=False)) as lines:
                async for line in lines:
                    yield line
        else:
            raise RefusedError("neither 'from' or 'files' was specified")
        async with aclosing(self._take_files(request.get("adapters"), adapters=True)) as lines:
            async for line in lines:
                yield line
        self._check_quantization()
        try:
            self._add_texts()
            config = self._add_config()
            for entry in self._entries:
                yield {"status": entry.status}
            yield {"status": "writing manifest"}
            self._folder.write_manifest(self._name, self._manifest(config))
            if before:
                old = {layer.digest for layer in before.layers}
                self._folder.remove_unused(old - self._puller.needed)
        except OSError as error:
            raise ServerError(disk_words(error)) from error
        yield {"status": "success"}

    async def _take_model(self, text: str) -> AsyncGenerator[Line, None]:
        """Begin with the layers of another model, which is pulled if it is not here."""
        try:
            source = embedded_names.reference(text)
        except (InvalidNameError, NoNameError, ConflictingSourceError):
            raise RefusedError("invalid model name") from None
        if source.source == "cloud":
            raise RefusedError(_NEEDS_OLLAMA.format(what="use a model of the cloud"), status=501)
        name = source.name
        if not self._folder.manifest_path(name).is_file():
            async with aclosing(self._puller.pull(name, insecure=False)) as lines:
                async for line in lines:
                    yield line
        manifest = read_manifest(name, self._folder.manifest_path(name))
        for layer in manifest.layers:
            path = self._folder.blob_path(layer.digest)
            if not path.is_file():
                raise ServerError(f"stat {path}: no such file or directory")
            if not layer.media_type.startswith(LAYER_TYPE):
                self._take_over(json.loads(path.read_bytes()))
                continue
            kind = layer.media_type.removeprefix(LAYER_TYPE)
            os.utime(path)
            entry = _Entry(
                kind=kind,
                digest=layer.digest,
                size_bytes=layer.size_bytes,
                status=f"using existing layer {layer.digest}",
                source=str(name),
            )
            if kind in ("model", "projector", "adapter"):
                entry.header = await self._header(path)
            self._entries.append(entry)

    def _take_over(self, config: dict[str, Any]) -> None:
        for key in ("renderer", "parser", "requires", "model_format", "capabilities"):
            if config.get(key) and not self._config.get(key):
                self._config[key] = config[key]

    async def _take_files(
        self, files: dict[str, str] | None, *, adapters: bool
    ) -> AsyncGenerator[Line, None]:
        """Begin with uploaded files; what each is stands in its header."""
        if files is None:
            return
        if adapters and len(files) > 1:
            raise RefusedError("only one adapter is currently supported")
        paths = {name: self._blob(digest) for name, digest in sorted(files.items())}
        self._check_kinds(paths)
        for name, path in paths.items():
            yield {"status": "parsing GGUF"}
            header = await self._header(path)
            if "split.count" in header.metadata:
                raise ServerError(_NEEDS_OLLAMA.format(what=f"merge the split file {name}"))
            size = path.stat().st_size
            _check_length(header, size)
            kind = _kind(header)
            if kind == "model":
                progress = {"digest": _NO_DIGEST, "total": size, "completed": size}
                yield {"status": "validating GGUF model", **progress}
                yield {"status": "verifying conversion"}
            os.utime(path)
            digest = files[name].replace("-", ":", 1)
            status = f"using existing layer {digest}"
            self._entries.append(
                _Entry(kind=kind, digest=digest, size_bytes=size, status=status, header=header)
            )

    def _check_kinds(self, paths: dict[str, Path]) -> None:
        if any(name.endswith(".safetensors") for name in paths):
            raise RefusedError(_NEEDS_OLLAMA.format(what="convert safetensors"), status=501)
        if not any(name.endswith(".gguf") or _is_gguf(path) for name, path in paths.items()):
            raise RefusedError("unknown type")

    def _blob(self, digest: str) -> Path:
        try:
            return self._folder.blob_path(digest.replace("-", ":", 1))
        except ValueError:
            raise RefusedError("invalid digest format") from None

    async def _header(self, path: Path) -> GgufHeader:
        try:
            return await asyncio.to_thread(read_header, path)
        except GgufError as error:
            if _is_gguf(path):
                raise ServerError(str(error)) from error
            raise RefusedError("supplied file was not in GGUF format") from error
        except OSError as error:
            raise ServerError(disk_words(error, "open")) from error

    def _check_quantization(self) -> None:
        wanted = (self._request.get("quantize") or self._request.get("quantization") or "").upper()
        for entry in self._entries:
            if wanted and entry.kind == "model" and entry.header:
                if entry.header.file_type not in _UNQUANTIZED:
                    only = "F16, BF16 and F32"
                    raise ServerError(f"quantization is only supported for {only} models")
                if entry.header.file_type != wanted:
                    raise RefusedError(_NEEDS_OLLAMA.format(what="quantize models"), status=501)

    def _add_texts(self) -> None:
        request = self._request
        if template := request.get("template"):
            try:
                go_template.parse(template)
            except ValueError as error:
                raise RefusedError(f"template error: {error}") from error
            self._replace("template", template)
        if system := request.get("system"):
            self._replace("system", system)
        licenses = request.get("license") or []
        for text in [licenses] if isinstance(licenses, str) else licenses:
            self._add("license", str(text))
        parameters = self._merged_parameters()
        if parameters:
            self._replace("params", f"{golang.encode(dict(sorted(parameters.items())))}\n")
        if messages := request.get("messages"):
            self._replace("messages", f"{golang.encode(messages)}\n")

    def _merged_parameters(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for entry in self._entries:
            if entry.kind == "params":
                merged |= json.loads(self._folder.blob_path(entry.digest).read_bytes())
            if entry.header and entry.header.architecture == "gemma4":
                merged.setdefault("stop", ["<turn|>"])
        merged |= self._request.get("parameters", {})
        return merged

    def _replace(self, kind: str, text: str) -> None:
        self._entries = [entry for entry in self._entries if entry.kind != kind]
        self._add(kind, text)

    def _add(self, kind: str, text: str) -> None:
        content = text.encode()
        digest, new = self._folder.add_blob(content)
        status = f"{'creating new' if new else 'using existing'} layer {digest}"
        self._entries.append(
            _Entry(kind=kind, digest=digest, size_bytes=len(content), status=status)
        )

    def _add_config(self) -> dict[str, Any]:
        """Write the config, and how the manifest lists it."""
        config: dict[str, Any] = {"model_families": None, **self._config}
        for entry in self._entries:
            if entry.kind == "model" and entry.header:
                architecture = entry.header.architecture
                renderer = _RENDERERS.get(architecture)
                config["model_format"] = config.get("model_format") or "gguf"
                config["model_family"] = config.get("model_family") or architecture
                parameters = _human_number(entry.header.parameter_count)
                config["model_type"] = config.get("model_type") or parameters
                config["file_type"] = config.get("file_type") or entry.header.file_type
                config["model_families"] = [*(config["model_families"] or []), architecture]
                config["renderer"] = config["renderer"] or renderer
                config["parser"] = config["parser"] or renderer
        texts = ("model_format", "model_family", "model_families", "model_type", "file_type")
        ordered = {
            key: config.get(key) if key == "model_families" else config.get(key, "")
            for key in texts
        }
        optional = ("renderer", "parser", "requires", "capabilities")
        ordered |= {key: config[key] for key in optional if config.get(key)}
        content = f"{golang.encode({**ordered, 'architecture': 'amd64', 'os': 'linux'})}\n".encode()
        digest, _ = self._folder.add_blob(content)
        return {"mediaType": CONFIG_TYPE, "digest": digest, "size": len(content)}

    def _manifest(self, config: dict[str, Any]) -> bytes:
        content = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config,
            "layers": [entry.listed() for entry in self._entries],
        }
        return f"{golang.encode(content)}\n".encode()


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def _kind(header: GgufHeader) -> str:
    said = header.metadata.get("general.type")
    architecture, metadata = header.architecture, header.metadata
    blocks, sees = (metadata.get(f"{architecture}.{k}block_count") for k in ("", "vision."))
    encodes = any(metadata.get(f"{architecture}.has_{k}_encoder") for k in ("vision", "audio"))
    if said == "adapter":
        return "adapter"
    if said in ("projector", "mmproj") or (not blocks and sees):
        return "projector"
    return "projector" if architecture == "clip" and not blocks and encodes else "model"


def _check_length(header: GgufHeader, size_bytes: int) -> None:
    for tensor in header.tensors:
        end = header.data_offset + tensor.offset + (tensor.size_bytes or 0)
        if end > size_bytes:
            raise ServerError(
                f"tensor {golang.quoted(tensor.name)} offset+size ({end}) "
                f"exceeds file size ({size_bytes})"
            )


def _human_number(count: int) -> str:
    """A number of weights as the list of models shows it: `3.2B`, `119K`."""
    if count >= 10**9:
        return f"{count / 1e9:.0f}B" if count % 10**9 == 0 else f"{count / 1e9:.1f}B"
    if count >= 10**6:
        return f"{count / 1e6:.0f}M" if count % 10**6 == 0 else f"{count / 1e6:.2f}M"
    return f"{count / 1e3:.0f}K" if count >= 1000 else str(count)
