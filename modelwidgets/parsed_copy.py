"""A file that is slow to parse, kept parsed beside it until its bytes change.

A copy is JSON and names the SHA-256 of the file that it was made from, so it needs no care: it may
be deleted, and one that is damaged or of other bytes is not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from modelwidgets.shared_file import replace
from modelwidgets.yaml_file import read_bytes

T = TypeVar("T")

_COPIES_KEPT = 4
_LARGEST_BYTES = 16 * 1024 * 1024
_UNUSABLE = (OSError, ValueError, RecursionError, TypeError, LookupError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[T]):
    """How one kind of file is parsed, and what its copy holds."""

    name: str
    """A copy is used only where this is the same: it changes when `parse` or `build` do."""
    parse: Callable[[bytes], Any]
    """From the bytes of the file to JSON values."""
    build: Callable[[Any], T]
    """From these to what the caller wants."""


def load(path: Path, form: Form[T], *, cache: Path, shipped: Path | None = None) -> T:
    """Read a file through its copy: the shipped one, or one in the folder `cache`.

    Raises what `form.parse` raises, and `OSError` as `open` does.
    """
    raw = read_bytes(path)
    digest = hashlib.sha256(raw).hexdigest()
    kept = cache / f"{path.stem}-{digest[:16]}.json"
    for copy in (shipped, kept):
        if copy is not None:
            with suppress(*_UNUSABLE):
                return form.build(_read(copy, form.name, digest))
    found = form.parse(raw)
    with suppress(OSError):  # a copy that cannot be written costs only time
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(kept, _content(form.name, digest, found))
        _remove_old(kept)
    return form.build(found)


def write(source: Path, target: Path, form: Form[T]) -> None:
    """Write the copy of `source` that travels with the package."""
    raw = read_bytes(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = _content(form.name, hashlib.sha256(raw).hexdigest(), form.parse(raw))
    replace(target, content, mode=0o644)


def _read(copy: Path, name: str, digest: str) -> Any:
    with copy.open("rb") as file:
        found = json.loads(file.read(_LARGEST_BYTES))
    if found["form"] != name or found["sha256"] != digest:
        raise ValueError("a copy of something else")
    return found["content"]


def _content(name: str, digest: str, found: Any) -> bytes:
    whole = {"form": name, "sha256": digest, "content": found}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def _remove_old(newest: Path) -> None:
    stem = newest.stem.rpartition("-")[0]
    copies = sorted(newest.parent.glob(f"{stem}-*.json"), key=lambda copy: copy.stat().st_mtime)
    for copy in copies[:-_COPIES_KEPT]:
        copy.unlink(missing_ok=True)
