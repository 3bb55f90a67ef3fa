"""Models of the HuggingFace hub: what they say of themselves, before any weights are fetched.

A name is looked for where that costs least: a folder on this disk, the cache that all programs of
HuggingFace share, then the hub, which mostly has counted the parameters already; where it has not,
the headers of the files are read by ranges.

The hub is the one of `HF_ENDPOINT`, the cache that of `HF_HUB_CACHE` or `HF_HOME`, as
huggingface_hub has it (`huggingface_hub/constants.py`, `file_download.py`). No token is sent: what
needs a login is downloaded by its own tools, and found in the cache then.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx

from modelwidgets.errors import HubError, RegistryError, RegistryRefusedError
from modelwidgets.stores.manifests import read_json, shown
from modelwidgets.stores.ollama_files import read_start
from modelwidgets.stores.registry import RegistryClient
from modelwidgets.stores.safetensors import (
    LENGTH_BYTES,
    MAX_PARAMETERS,
    counted,
    header_bytes,
    read_counts,
)

PREFIX = "hf:"
_ENDPOINT = "https://huggingface.co"
_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_CONFIG_BYTES = 1 << 20
_MAX_LIST_BYTES = 4 << 20
_MAX_FILES = 512
_MAX_TYPES = 64
_FIRST_BYTES = 64 << 10
_AT_ONCE = 4
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubName:
    """A repository at a revision; `str()` gives the form that a person writes."""

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        at = "" if self.revision == "main" else f"@{self.revision}"
        return f"{PREFIX}{self.repo}{at}"

    @classmethod
    def parsed(cls, text: str) -> HubName:
        """Read `hf:org/repo[@revision]`; raises `HubError`."""
        repo, at, revision = text.removeprefix(PREFIX).partition("@")
        wrong = ".." in repo or "--" in repo or ".." in revision
        if wrong or not _REPO.fullmatch(repo) or (at and not _REVISION.fullmatch(revision)):
            raise HubError(
                f"{shown(text)} names no repository of the HuggingFace hub. "
                "Write it as `hf:org/repo` or `hf:org/repo@revision`."
            )
        return cls(repo=repo, revision=revision or "main")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFiles:
    """What is known of a repository without its weights."""

    name: str
    basis: Literal["file", "installed", "registry"]
    config: Mapping[str, Any]
    parameters: Mapping[str, int]
    """How many of each type."""
    total_bytes: int | None = None
    """The files of weights; None where the hub does not tell."""


def is_hub_name(name: str | Path) -> bool:
    """Whether this is for transformers: `hf:org/repo`, or a folder with a `config.json`."""
    if isinstance(name, str):
        if name.startswith(PREFIX):
            return True
        if not name.startswith(("/", "./", "../", "~", ".\\", "..\\")) and name[1:3] != ":\\":
            return False
    return Path(name).expanduser().is_dir()


class Hub:
    """Finds models in folders, in the cache, or on the hub, which `client` asks."""

    def __init__(
        self, client: RegistryClient, *, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._client = client
        self._environment = environment

    async def find(self, name: str | Path) -> HubFiles:
        """Raises `HubError`, `OSError` for a folder, and what keeps the hub from answering."""
        text = str(name)
        if not text.startswith(PREFIX):
            return await asyncio.to_thread(_local, text)
        parsed = HubName.parsed(text)
        cached = await asyncio.to_thread(self._cached, parsed)
        return cached or await self._asked(parsed)

    def _cached(self, name: HubName) -> HubFiles | None:
        """What the cache holds of it; None where that is nothing, or not whole."""
        folder = cache_folder(self._environment) / f"models--{name.repo.replace('/', '--')}"
        commit = name.revision
        try:
            if not _COMMIT.fullmatch(commit):
                start = read_start(folder / "refs" / commit, 64)
                commit = start.decode("ascii", "replace").strip()
            if not _COMMIT.fullmatch(commit):
                return None
            return _read_folder(folder / "snapshots" / commit, str(name), "installed")
        except (OSError, HubError):
            return None

    async def _asked(self, name: HubName) -> HubFiles:
        base = self._environment.get("HF_ENDPOINT", "").strip().rstrip("/") or _ENDPOINT
        try:
            endpoint = httpx.URL(base)
        except httpx.InvalidURL:
            endpoint = httpx.URL("")
        if endpoint.scheme not in ("http", "https") or not endpoint.host:
            raise HubError(
                f"HF_ENDPOINT={shown(base)} is no address of a hub. "
                f"Unset it for {_ENDPOINT}, or write it as `https://host`."
            )
        at = quote(name.revision, safe="")
        listed = f"{base}/api/models/{name.repo}/revision/{at}?blobs=true"
        info = read_json(await self._read(name, listed, _MAX_LIST_BYTES))
        if not isinstance(info, dict):
            raise HubError(f"{endpoint.host} says nothing usable of {name}. Check the address.")
        files = dict(_listed(info.get("siblings")))
        weights = _weights(files)
        if not weights:
            raise _without_weights(str(name), files)
        content = f"{base}/{name.repo}/resolve/{at}"
        raw = await self._read(name, f"{content}/config.json", _MAX_CONFIG_BYTES)
        parameters = _counts(info.get("safetensors"))
        if not parameters:
            parameters = await self._counted(name, content, weights)
        sizes = [files[file] for file in weights]
        return HubFiles(
            name=str(name),
            basis="registry",
            config=_config(raw, str(name)),
            parameters=parameters,
            total_bytes=sum(size for size in sizes if size) if all(sizes) else None,
        )

    async def _counted(self, name: HubName, content: str, weights: list[str]) -> Counter[str]:
        """By the headers of all files."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(file: str) -> Counter[str]:
            async with turn:
                url = f"{content}/{quote(file)}"
                start = await self._read(name, url, _FIRST_BYTES, start=0)
                end = LENGTH_BYTES + header_bytes(start, file)
                if end > len(start):
                    start += await self._read(name, url, end - len(start), start=len(start))
                return counted(start[LENGTH_BYTES:end], file)

        total: Counter[str] = Counter()
        for found in await asyncio.gather(*map(one, weights)):
            total.update(found)
        return total

    async def _read(
        self, name: HubName, url: str, at_most: int, *, start: int | None = None
    ) -> bytes:
        """A whole text of at most so many bytes, or so many bytes of a file from `start`."""
        try:
            asked = httpx.URL(url)
            status, raw = await self._client.read_url(asked, at_most, start=start)
        except httpx.InvalidURL as error:
            raise HubError(f"The address of {name} cannot be used: {error}. Check it.") from error
        if status in (401, 403, 404):
            raise RegistryRefusedError(
                f"{asked.host} shows nobody {name} ({status}): it does not exist, is private, or "
                "wants its terms accepted. Check the spelling, or download it with "
                f"`hf download {name.repo}` and ask again."
            )
        if status not in (200, 206):
            raise RegistryError(
                f"{asked.host} answered {status} when asked for {name}. Try again later."
            )
        if start is None and len(raw) > at_most:
            raise HubError(
                f"{asked.host} says more of {name} than a model has to say. Check the address."
            )
        return raw


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps what it downloads."""
    for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(key):
            return Path(environment[key]).expanduser()
    home = environment.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def _local(name: str) -> HubFiles:
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise HubError(
            f"{shown(name)} has no config.json, so it is no folder of a model for transformers. "
            "Name the folder that has it, or a GGUF file."
        )
    return _read_folder(folder, name, "file")


def _read_folder(folder: Path, name: str, basis: Literal["file", "installed"]) -> HubFiles:
    raw = read_start(folder / "config.json", _MAX_CONFIG_BYTES + 1)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    weights = _indexed(folder) or _weights(sizes)
    if not weights:
        raise _without_weights(name, sizes)
    total: Counter[str] = Counter()
    for file_name in weights:
        total.update(read_counts(folder / file_name))
    return HubFiles(
        name=name,
        basis=basis,
        config=_config(raw, name),
        parameters=total,
        total_bytes=sum(sizes[file_name] for file_name in weights),
    )


def _indexed(folder: Path) -> list[str]:
    """The parts of a model that has several, all of which have to be there."""
    try:
        content = read_json(read_start(folder / _INDEX, _MAX_LIST_BYTES + 1))
    except FileNotFoundError:
        return []
    parts = content.get("weight_map") if isinstance(content, dict) else None
    named = sorted({str(part) for part in parts.values()}) if isinstance(parts, dict) else []
    if not 0 < len(named) <= _MAX_FILES or any(Path(one).name != one for one in named):
        raise HubError(f"{_INDEX} lists no usable files. Download the model again.")
    return named


def _weights(files: Mapping[str, int | None]) -> list[str]:
    """The files that transformers would load: not the same weights in other formats."""
    found = sorted(file for file in files if file.endswith(".safetensors") and "/" not in file)
    usual = [file for file in found if file.startswith("model")]
    others = [
        file for file in found if not file.startswith(("consolidated", "adapter", "training"))
    ]
    return (usual or others)[:_MAX_FILES]


def _without_weights(name: str, files: Mapping[str, int | None]) -> HubError:
    if any(file.lower().endswith(".gguf") for file in files):
        return HubError(
            f"{shown(name)} has GGUF files, which Ollama runs. "
            "Ask for it as `hf.co/org/repo:quant`."
        )
    return HubError(
        f"{shown(name)} has no weights in safetensors, and other formats do not tell what is in "
        "them. Look on its page for a repository or a revision that has."
    )


def _listed(siblings: Any) -> list[tuple[str, int | None]]:
    found = []
    for one in siblings[: 16 * _MAX_FILES] if isinstance(siblings, list) else ():
        file = one.get("rfilename") if isinstance(one, dict) else None
        if isinstance(file, str) and len(file) <= 300:
            size = one.get("size")
            known = isinstance(size, int) and 0 < size <= MAX_PARAMETERS
            found.append((file, size if known else None))
    return found


def _counts(said: Any) -> dict[str, int]:
    """What the hub counted; nothing where it did not, or what it says cannot be."""
    parameters = said.get("parameters") if isinstance(said, dict) else None
    if not isinstance(parameters, dict) or len(parameters) > _MAX_TYPES:
        return {}
    if not all(
        type(count) is int and 0 <= count <= MAX_PARAMETERS for count in parameters.values()
    ):
        return {}
    return {dtype[:16]: count for dtype, count in parameters.items()}


def _config(raw: bytes, name: str) -> Mapping[str, Any]:
    found = read_json(raw) if len(raw) <= _MAX_CONFIG_BYTES else None
    if not isinstance(found, dict):
        raise HubError(
            f"The config.json of {shown(name)} cannot be read, so its dimensions are not known. "
            "Download it again, or tell whoever published it."
        )
    return found
