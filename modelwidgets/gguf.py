"""Reads the header of a GGUF file from bytes that arrive.

The header is the fixed part, the keys with their values, and the table of tensors; the weights
behind it are never touched. Two callers need that: whoever lists a file on disk, and whoever asks
a registry for its first megabyte and decides whether to ask for more. So the reader is fed pieces
and says when it has seen enough.

Why arrays are left out by default: the vocabulary of a model is 90 % of its header, several
megabytes in hundreds of thousands of strings, and nobody looks at it. Jumping over it is what keeps
a big header below a tenth of a second. Every count is checked against what a header may hold before
anything is read or kept for it, bytes that were read are given up at once, and what is kept has a
bound of its own: a small file can hold many names, and a name takes more room in Python than there.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from modelwidgets.errors import GgufError

MAX_HEADER_BYTES = 32 << 20
KEPT_ARRAY_LENGTH = 1024
"""Longer arrays are left out unless asked for; per-layer arrays are far shorter."""
KEPT_TEXT_BYTES = 1 << 20
"""Longer texts are left out unless asked for: some files hold a tokenizer as one text."""
_MAX_KEYS = 1 << 13
_MAX_TENSORS = 1 << 14
_MAX_ARRAY_LENGTH = 1 << 22
_MAX_KEY_BYTES = (1 << 16) - 1
_MAX_TENSOR_NAME_BYTES = 255
_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 1 << 20
_MAX_KEPT_BYTES = 16 << 20
_MAX_ALL_KEPT_BYTES = 512 << 20
"""The vocabulary of Gemma 4, the largest in use, takes a quarter of this."""
_NUMBER_COST, _TEXT_COST, _KEY_COST, _TENSOR_COST = 40, 64, 160, 512
"""About what one takes in memory, and a text four times its bytes more at the most."""
_PIECE_BYTES = 1 << 20
_GIVEN_UP_FROM = 1 << 16
"""So many bytes at least, for what is left has to be moved."""
_BLOCK = 256
"""Strings that are jumped over at once."""
_SHORT_BYTES = 64


def _rows(table: str) -> list[list[str]]:
    return [entry.split() for entry in table.strip().replace("\n", "|").split("|")]


_VALUE_TYPES = _rows("""
0 uint8 B | 1 int8 b | 2 uint16 H | 3 int16 h | 4 uint32 I | 5 int32 i | 6 float32 f | 7 bool ?
8 string - | 9 array - | 10 uint64 Q | 11 int64 q | 12 float64 d
""")
STRING, ARRAY = 8, 9
VALUE_TYPES = {int(number): name for number, name, _ in _VALUE_TYPES}
NUMBERS = {int(number): letter for number, _, letter in _VALUE_TYPES if letter != "-"}
"""Value types of fixed size, with their letters in `struct`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorType:
    """How GGML stores a tensor: so many elements share a block of so many bytes."""

    name: str
    block_elements: int
    block_bytes: int


_TENSOR_TYPES = _rows("""
0 F32 1 4 | 1 F16 1 2 | 2 Q4_0 32 18 | 3 Q4_1 32 20 | 6 Q5_0 32 22 | 7 Q5_1 32 24 | 8 Q8_0 32 34
9 Q8_1 32 40 | 10 Q2_K 256 84 | 11 Q3_K 256 110 | 12 Q4_K 256 144 | 13 Q5_K 256 176
14 Q6_K 256 210 | 15 Q8_K 256 292 | 16 IQ2_XXS 256 66 | 17 IQ2_XS 256 74 | 18 IQ3_XXS 256 98
19 IQ1_S 256 50 | 20 IQ4_NL 32 18 | 21 IQ3_S 256 110 | 22 IQ2_S 256 82 | 23 IQ4_XS 256 136
24 I8 1 1 | 25 I16 1 2 | 26 I32 1 4 | 27 I64 1 8 | 28 F64 1 8 | 29 IQ1_M 256 56 | 30 BF16 1 2
34 TQ1_0 256 54 | 35 TQ2_0 256 66 | 39 MXFP4 32 17 | 40 NVFP4 64 36 | 41 Q1_0 128 18
42 Q2_0 64 18
""")
TENSOR_TYPES = {
    int(number): TensorType(name=name, block_elements=int(elements), block_bytes=int(size))
    for number, name, elements, size in _TENSOR_TYPES
}
"""GGML's types by number; the gaps are types that it removed."""
_BY_NAME = {kind.name: kind for kind in TENSOR_TYPES.values()}

_FILE_TYPES = _rows("""
0 F32 | 1 F16 | 2 Q4_0 | 3 Q4_1 | 4 MXFP4 | 7 Q8_0 | 8 Q5_0 | 9 Q5_1 | 10 Q2_K | 11 Q3_K_S
12 Q3_K_M | 13 Q3_K_L | 14 Q4_K_S | 15 Q4_K_M | 16 Q5_K_S | 17 Q5_K_M | 18 Q6_K | 19 IQ2_XXS
20 IQ2_XS | 21 Q2_K_S | 22 IQ3_XS | 23 IQ3_XXS | 24 IQ1_S | 25 IQ4_NL | 26 IQ3_S | 27 IQ3_M
28 IQ2_S | 29 IQ2_M | 30 IQ4_XS | 31 IQ1_M | 32 BF16 | 36 TQ1_0 | 37 TQ2_0 | 38 MXFP4
39 NVFP4 | 40 Q1_0 | 41 Q2_0
""")
FILE_TYPES = {int(number): label for number, label in _FILE_TYPES}
"""The label of `general.file_type`: llama.cpp's `llama_ftype`, where Ollama writes MXFP4 as 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongArray:
    """Stands for an array that was jumped over."""

    type: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LongText:
    """Stands for a text that was jumped over."""

    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTensor:
    """One entry of the table of tensors."""

    name: str
    type: str
    """GGML's name, or `type 77` for one that is not known here."""
    shape: tuple[int, ...]
    """Fastest dimension first."""
    offset: int
    """From the start of the data."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int | None:
        """None where the type is not known."""
        kind = _BY_NAME.get(self.type)
        return None if kind is None else self.elements // kind.block_elements * kind.block_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says of itself before its weights."""

    version: int
    byte_order: Literal["little", "big"]
    metadata: dict[str, Any]
    """Keys and values in the order of the file; a `LongArray` or `LongText` for one left out."""
    tensors: tuple[GgufTensor, ...]
    data_offset: int
    """Where the weights start in the file."""

    @property
    def architecture(self) -> str:
        """`llama`, `bert`, `clip`...; `unknown` where the file does not say."""
        named = self.metadata.get("general.architecture")
        return named if isinstance(named, str) and named else "unknown"

    @property
    def parameter_count(self) -> int:
        """How many weights, counted in the table of tensors."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """The quantization label, such as `Q4_K_M`; `unknown` where the file does not say."""
        number = self.metadata.get("general.file_type")
        return FILE_TYPES.get(number, "unknown") if isinstance(number, int) else "unknown"


class HeaderReader:
    """Takes the bytes of a file from its start, in pieces of any size.

    `all_arrays` keeps arrays longer than `KEPT_ARRAY_LENGTH` and texts longer than
    `KEPT_TEXT_BYTES` too.
    """

    def __init__(self, *, all_arrays: bool = False) -> None:
        self._longest = _MAX_ARRAY_LENGTH if all_arrays else KEPT_ARRAY_LENGTH
        self._longest_text = MAX_HEADER_BYTES if all_arrays else KEPT_TEXT_BYTES
        self._room = _MAX_ALL_KEPT_BYTES if all_arrays else _MAX_KEPT_BYTES
        self._bytes = bytearray()
        self._given_up = 0
        """Bytes of the file that were in front of `_bytes`."""
        self._at = 0
        """Where in `_bytes` to read on; behind their end while something is jumped over."""
        self._hold: int | None = None
        """From there on the bytes are needed again."""
        self._order = "<"
        self._metadata: dict[str, Any] = {}
        self._steps = self._read()
        self._header: GgufHeader | None = None
        self._error: GgufError | None = None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The keys seen so far: the dimensions come long before the end of a header."""
        return MappingProxyType(self._metadata)

    def feed(self, piece: bytes | bytearray | memoryview) -> GgufHeader | None:
        """The header once its last byte has come, None before; raises `GgufError` for good."""
        if self._error is not None:
            raise self._error
        if self._header is None:
            left = MAX_HEADER_BYTES - self._given_up - len(self._bytes)
            self._bytes += memoryview(piece)[:left]
            try:
                next(self._steps)
            except StopIteration as end:
                self._header = end.value
                self._bytes = bytearray()
            except GgufError as error:
                self._error = error
                self._bytes = bytearray()
                raise
            else:
                self._give_up()
        return self._header

    def _give_up(self) -> None:
        read = min(self._at if self._hold is None else self._hold, len(self._bytes))
        if read >= _GIVEN_UP_FROM:
            del self._bytes[:read]
            self._given_up += read
            self._at -= read
            if self._hold is not None:
                self._hold -= read

    def _keep(self, cost: int) -> None:
        self._room -= cost
        if self._room < 0:
            raise _unusable("it says more of itself than anybody could read")

    def _read(self) -> Generator[None, None, GgufHeader]:
        version = yield from self._version()
        tensor_count, key_count = yield from self._unpack("QQ")
        if tensor_count > _MAX_TENSORS:
            raise _unusable(f"it announces {tensor_count} tensors")
        if key_count > _MAX_KEYS:
            raise _unusable(f"it announces {key_count} keys")
        metadata = self._metadata
        for _ in range(key_count):
            key = yield from self._name(_MAX_KEY_BYTES, "key")
            if key in metadata:
                raise _unusable(f"the key {key[:80]!a} comes twice")
            self._keep(_KEY_COST)
            (kind,) = yield from self._unpack("I")
            metadata[key] = yield from self._value(key, kind)
        alignment = metadata.get("general.alignment", 32)
        if (
            not isinstance(alignment, int)
            or not 0 < alignment <= _MAX_ALIGNMENT
            or alignment & (alignment - 1)
        ):
            raise _unusable(f"an alignment of {str(alignment)[:40]!a} is not possible")
        tensors: dict[str, GgufTensor] = {}
        for _ in range(tensor_count):
            tensor = yield from self._tensor()
            if tensor.name in tensors:
                raise _unusable(f"the tensor {tensor.name!a} comes twice")
            tensors[tensor.name] = tensor
        yield from self._need(0)
        return GgufHeader(
            version=version,
            byte_order="little" if self._order == "<" else "big",
            metadata=dict(metadata),
            tensors=tuple(tensors.values()),
            data_offset=-(-(self._given_up + self._at) // alignment) * alignment,
        )

    def _version(self) -> Generator[None, None, int]:
        yield from self._need(4)
        magic = bytes(self._bytes[:4])
        if magic != b"GGUF":
            raise _unusable(_looks_like(magic))
        self._at = 4
        (version,) = yield from self._unpack("I")
        if version & 0xFFFF == 0:
            self._order = ">"
            (version,) = struct.unpack(">I", struct.pack("<I", version))
        if version == 1:
            raise _unusable("its version 1 is too old; convert it with a newer llama.cpp")
        if version not in (2, 3):
            raise _unusable(f"version {version} is not known here")
        return int(version)

    def _need(self, size: int) -> Generator[None, None, None]:
        """Wait until the next `size` bytes are there."""
        self._check_end(size)
        while len(self._bytes) < self._at + size:  # both change while it waits
            yield

    def _check_end(self, size: int) -> None:
        if self._given_up + self._at + size > MAX_HEADER_BYTES:
            raise _unusable(f"it is longer than {MAX_HEADER_BYTES >> 20} MiB")

    def _skip(self, size: int) -> None:
        """Go on behind the next `size` bytes, which may still be to come."""
        self._check_end(size)
        self._at += size

    def _unpack(self, letters: str) -> Generator[None, None, tuple[Any, ...]]:
        layout = struct.Struct(self._order + letters)
        yield from self._need(layout.size)
        values = layout.unpack_from(self._bytes, self._at)
        self._at += layout.size
        return values

    def _text(self, size: int) -> Generator[None, None, bytearray]:
        self._check_end(size)
        self._keep(_TEXT_COST + 4 * size)
        yield from self._need(size)
        text = self._bytes[self._at : self._at + size]
        self._at += size
        return text

    def _name(self, longest: int, what: str) -> Generator[None, None, str]:
        (size,) = yield from self._unpack("Q")
        if not 0 < size <= longest:
            raise _unusable(f"a {what} has a name of {size} bytes")
        text = yield from self._text(size)
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise _unusable(f"a {what} has a name that is no text") from None

    def _value(self, key: str, kind: int) -> Generator[None, None, Any]:
        if kind in NUMBERS:
            self._keep(_NUMBER_COST)
            (number,) = yield from self._unpack(NUMBERS[kind])
            return number
        if kind == STRING:
            (size,) = yield from self._unpack("Q")
            if size > self._longest_text:
                self._skip(size)
                return LongText(size_bytes=size)
            text = yield from self._text(size)
            return text.decode(errors="replace")
        if kind != ARRAY:
            raise _unusable(f"the value of {key[:80]!a} has the unknown type {kind}")
        element, count = yield from self._unpack("IQ")
        if count > _MAX_ARRAY_LENGTH:
            raise _unusable(f"{key[:80]!a} announces an array of {count} elements")
        kept = count <= self._longest
        if element in NUMBERS:
            values = yield from self._numbers(NUMBERS[element], count, kept=kept)
        elif element == STRING:
            values = yield from self._strings(count, kept=kept)
        elif element == ARRAY:
            raise _unusable(f"{key[:80]!a} holds arrays inside an array, which no engine reads")
        else:
            raise _unusable(f"the elements of {key[:80]!a} have the unknown type {element}")
        return values if kept else LongArray(type=VALUE_TYPES[element], length=count)

    def _numbers(self, letter: str, count: int, *, kept: bool) -> Generator[None, None, list[Any]]:
        layout = struct.Struct(f"{self._order}{count}{letter}")
        if not kept:
            self._skip(layout.size)
            return []
        self._check_end(layout.size)
        self._keep(count * _NUMBER_COST)
        yield from self._need(layout.size)
        values = list(layout.unpack_from(self._bytes, self._at))
        self._at += layout.size
        return values

    def _strings(self, count: int, *, kept: bool) -> Generator[None, None, list[str]]:
        if kept:
            self._keep(count * _TEXT_COST)
            self._hold = self._at
        left = count
        short = _short_strings(self._order)
        while left:
            block = short.match(self._bytes, self._at) if left >= _BLOCK else None
            if block is None:
                yield from self._skip_strings(min(left, _BLOCK))
            else:
                self._at = block.end()
            left -= min(left, _BLOCK)
        if self._hold is None:
            return []
        yield from self._need(0)
        self._keep(4 * (self._at - self._hold))
        texts = list(self._texts(self._hold))
        self._hold = None
        return texts

    def _skip_strings(self, count: int) -> Generator[None, None, None]:
        """No length is checked in this loop, since a wrong one only leads past the end."""
        have, size_at = self._bytes, struct.Struct(self._order + "Q").unpack_from
        left = iter(range(count))
        at = self._at
        while True:
            try:
                for _ in left:
                    at += 8 + size_at(have, at)[0]
            except (struct.error, OverflowError):
                self._at = at
                (size,) = yield from self._unpack("Q")
                at = self._at + size
            else:
                self._at = at
                return

    def _texts(self, at: int) -> Iterator[str]:
        size_at = struct.Struct(self._order + "Q").unpack_from
        while at < self._at:
            end = at + 8 + size_at(self._bytes, at)[0]
            yield self._bytes[at + 8 : end].decode(errors="replace")
            at = end

    def _tensor(self) -> Generator[None, None, GgufTensor]:
        self._keep(_TENSOR_COST)
        name = yield from self._name(_MAX_TENSOR_NAME_BYTES, "tensor")
        (dimensions,) = yield from self._unpack("I")
        if not 0 < dimensions <= _MAX_DIMENSIONS:
            raise _unusable(f"the tensor {name!a} has {dimensions} dimensions")
        *shape, number, offset = yield from self._unpack(f"{dimensions}QIQ")
        if math.prod(shape) >> 63 or max(shape) >> 63 or offset >> 63:
            raise _unusable(f"the tensor {name!a} is larger than any disk")
        kind = TENSOR_TYPES.get(number)
        if kind is not None and shape[0] % kind.block_elements:
            raise _unusable(
                f"the tensor {name!a} has rows of {shape[0]} elements, "
                f"and {kind.name} stores {kind.block_elements} together"
            )
        return GgufTensor(
            name=name,
            type=f"type {number}" if kind is None else kind.name,
            shape=tuple(shape),
            offset=offset,
        )


def read_header(path: Path, *, all_arrays: bool = False) -> GgufHeader:
    """The header of a file on disk; raises `GgufError`, and `OSError` where it cannot be read."""
    reader = HeaderReader(all_arrays=all_arrays)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            if header := reader.feed(piece):
                return header
    raise GgufError(
        f"{path.name} ends inside its GGUF header. The file is cut off: fetch it again."
    )


@cache
def _short_strings(order: str) -> re.Pattern[bytes]:
    """Matches a block of short strings: the regex engine walks a vocabulary in half the time."""
    usual_first = sorted(range(_SHORT_BYTES), key=lambda size: abs(size - 7))
    any_of = b"|".join(
        re.escape(struct.pack(order + "Q", size)) + b".{%d}" % size for size in usual_first
    )
    return re.compile(b"(?:%s){%d}+" % (any_of, _BLOCK), re.DOTALL)


def _looks_like(magic: bytes) -> str:
    known = {
        b"ggml": "it is in llama.cpp's oldest format; convert it to GGUF",
        b"lmgg": "it is in llama.cpp's oldest format; convert it to GGUF",
        b"tjgg": "it is in llama.cpp's old format GGJT; convert it to GGUF",
        b"algg": "it is an old LoRA adapter of llama.cpp; convert it to GGUF",
        b"PK\x03\x04": "it is a zip file, a PyTorch checkpoint perhaps; convert it to GGUF",
        b"FUGG": "its bytes are swapped",
    }
    if magic[:1] == b"<":
        return "it is a web page or XML"
    return known.get(magic, f"it starts with {magic!r} instead of b'GGUF'")


def _unusable(why: str) -> GgufError:
    return GgufError(
        f"This is no usable GGUF file: {why}. "
        "Fetch it again, or ask whoever made it for a file that llama.cpp can read."
    )
