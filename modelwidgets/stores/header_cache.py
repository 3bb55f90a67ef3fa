"""Headers of models that were read once, on disk by the digest of their file.

A header never changes, since its digest is that of the whole file; so a copy needs no care, may be
deleted at any time, and one that cannot be read is not used. What is kept is small: the vocabulary
is left out, which is nine tenths of a header. Beside headers lie the settings of models and, by
name, the last manifests, for the hours without a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelwidgets.gguf import GgufHeader, GgufTensor, LongArray, LongText
from modelwidgets.names import ModelName
from modelwidgets.shared_file import replace
from modelwidgets.stores.manifests import MAX_MANIFEST_BYTES, check_digest

_FORM = "header 1"
"""Changes when what is kept, or what a reader makes of a file, does."""
_LARGEST_BYTES = 32 << 20
"""Of a copy, unpacked."""
_UNUSABLE = (OSError, ValueError, RecursionError, TypeError, LookupError, zlib.error)


class HeaderCache:
    """Keeps up to `most_bytes` in `folder`; several processes may share it."""

    def __init__(self, folder: Path, *, most_bytes: int = 32 << 20) -> None:
        self.folder = folder
        self._most_bytes = most_bytes

    def header(self, digest: str) -> GgufHeader | None:
        """The header of the file with this digest, where it is known and can be read."""
        path = self._path(digest, "header")
        with suppress(*_UNUSABLE):
            content = json.loads(_unpacked(path))
            if content["form"] != _FORM or content["digest"] != digest:
                return None
            header = _header(content)
            os.utime(path)  # so that it is not the first to go
            return header
        return None

    def keep_header(self, digest: str, header: GgufHeader) -> None:
        content = {
            "form": _FORM,
            "digest": digest,
            "version": header.version,
            "byte_order": header.byte_order,
            "data_offset": header.data_offset,
            "metadata": {key: _packed(value) for key, value in header.metadata.items()},
            "tensors": [
                (tensor.name, tensor.type, tensor.shape, tensor.offset) for tensor in header.tensors
            ],
        }
        self._keep(
            self._path(digest, "header"), json.dumps(content, separators=(",", ":")).encode()
        )

    def content(self, digest: str) -> bytes | None:
        """The whole of a small file with this digest."""
        with suppress(*_UNUSABLE):
            content = _unpacked(self._path(digest, "content"))
            if hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:"):
                return content
        return None

    def keep_content(self, digest: str, content: bytes) -> None:
        self._keep(self._path(digest, "content"), content)

    def manifest(self, name: ModelName) -> bytes | None:
        """The last manifest that was kept for this name."""
        with suppress(*_UNUSABLE):
            key, _, raw = _unpacked(self._manifest_path(name)).partition(b"\n")
            if key == name.key.encode() and len(raw) <= MAX_MANIFEST_BYTES:
                return raw
        return None

    def keep_manifest(self, name: ModelName, raw: bytes) -> None:
        self._keep(self._manifest_path(name), name.key.encode() + b"\n" + raw)

    def _path(self, digest: str, kind: str) -> Path:
        check_digest(digest)
        return self.folder / f"{digest.removeprefix('sha256:')}.{kind}"

    def _manifest_path(self, name: ModelName) -> Path:
        return self.folder / f"{hashlib.sha256(name.key.encode()).hexdigest()}.manifest"

    def _keep(self, path: Path, content: bytes) -> None:
        packed = zlib.compress(content, 1)
        if len(content) > _LARGEST_BYTES or len(packed) > self._most_bytes:
            return
        with suppress(OSError):  # a copy that cannot be written costs only time
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(path, packed)
            self._make_room()

    def _make_room(self) -> None:
        """Remove what was not used for longest until the rest has room."""
        used = []
        for path in self.folder.iterdir():
            with suppress(OSError):  # another process removed it
                status = path.stat()
                used.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in used)
        for _, size, path in sorted(used):
            if total <= self._most_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size


def _unpacked(path: Path) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(path.read_bytes(), _LARGEST_BYTES)
    if not unpacker.eof:
        raise ValueError("cut off, or larger than what is kept")
    return content


def _packed(value: Any) -> Any:
    if isinstance(value, LongArray):
        return {"type": value.type, "length": value.length}
    return {"size_bytes": value.size_bytes} if isinstance(value, LongText) else value


def _value(packed: Any) -> Any:
    """No value of a header is an object, so those stand for what was left out."""
    if not isinstance(packed, dict):
        return packed
    return LongText(**packed) if "size_bytes" in packed else LongArray(**packed)


def _header(content: dict[str, Any]) -> GgufHeader:
    return GgufHeader(
        version=content["version"],
        byte_order=content["byte_order"],
        metadata={key: _value(packed) for key, packed in content["metadata"].items()},
        tensors=tuple(
            GgufTensor(name=name, type=kind, shape=tuple(shape), offset=offset)
            for name, kind, shape, offset in content["tensors"]
        ),
        data_offset=content["data_offset"],
    )
