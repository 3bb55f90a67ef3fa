"""What a file of safetensors says of itself: how many numbers of which type.

Eight bytes tell how long the JSON is that follows, with a type and a shape for each tensor. Anybody
may have written it, so it is bounded before it is parsed.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from modelwidgets.errors import HubError
from modelwidgets.stores.manifests import read_json

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 8 << 20
_MAX_TENSORS = 100_000
_MAX_AXES = 8
MAX_PARAMETERS = 1 << 50


def header_bytes(start: bytes, what: str) -> int:
    """How long the header is, by the first eight bytes of a file."""
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES or not 2 <= length <= MAX_HEADER_BYTES:
        raise _damaged(what)
    return length


def counted(header: bytes, what: str) -> Counter[str]:
    """The numbers of each type, by the header of one file."""
    # a tensor is an object with two lists: what holds more is none, and would fill the memory
    objects = header.count(b"{")
    if objects > _MAX_TENSORS + 2 or header.count(b"[") > 2 * objects:
        raise _damaged(what)
    content = read_json(header)
    if not isinstance(content, dict):
        raise _damaged(what)
    found: Counter[str] = Counter()
    for name, tensor in content.items():
        if name == "__metadata__":
            continue
        dtype = tensor.get("dtype") if isinstance(tensor, dict) else None
        shape = tensor.get("shape") if isinstance(tensor, dict) else None
        if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > _MAX_AXES:
            raise _damaged(what)
        if not all(type(size) is int and 0 <= size <= MAX_PARAMETERS for size in shape):
            raise _damaged(what)
        found[dtype[:16]] += min(math.prod(shape), MAX_PARAMETERS)
    return found


def read_counts(path: Path) -> Counter[str]:
    """The same of a file on disk; raises `HubError` and `OSError`."""
    with path.open("rb") as file:
        length = header_bytes(file.read(LENGTH_BYTES), path.name)
        header = file.read(length)
    if len(header) < length:
        raise _damaged(path.name)
    return counted(header, path.name)


def _damaged(what: str) -> HubError:
    return HubError(
        f"{what[-80:]!a} is no usable safetensors file: its header is damaged or beyond all "
        "reason. Download it again; if it stays, tell whoever published it."
    )
