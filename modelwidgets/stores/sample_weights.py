"""The weights of the samples: GGUF files with the keys, tensors and vocabulary of real models.

The numbers are noise that follows from the tensor's name alone, so every machine makes the same
bytes. All matrices are Q8_0, whose scales are set so that no weight is ever infinite or no number.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelwidgets.gguf import ARRAY, NUMBERS, STRING, TENSOR_TYPES, VALUE_TYPES, GgufTensor

_VALUE_NUMBERS = {name: number for number, name in VALUE_TYPES.items()}
_TENSOR_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
_VOCABULARY = 4096
_SCALE = b"\x00\x10"
"""2 to the power of -11 as a half float: weights reach up to 0.06, as real ones do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorData:
    """A tensor to write: its shape (fastest dimension first) and its bytes."""

    name: str
    type: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Typed:
    """A value to write whose GGUF type shall not be guessed: `Typed("uint64", 3)`.

    An array names the type of its elements: `Typed("uint64", [3, 4])`.
    """

    type: str
    value: Any


def write_gguf(
    metadata: Mapping[str, Any],
    tensors: Iterable[TensorData] = (),
    *,
    version: int = 3,
    byte_order: Literal["little", "big"] = "little",
) -> bytes:
    """A GGUF file; numbers become uint32, int32, int64 or float32 unless `Typed`."""
    order = "<" if byte_order == "little" else ">"
    alignment = metadata.get("general.alignment", 32)
    if isinstance(alignment, Typed):
        alignment = alignment.value
    table, data, offset = bytearray(), [], 0
    count = 0
    for tensor in tensors:
        kind = TENSOR_TYPES[_TENSOR_NUMBERS[tensor.type]]
        size = GgufTensor(name="", type=kind.name, shape=tensor.shape, offset=0).size_bytes
        if len(tensor.data) != size:
            raise ValueError(f"{tensor.name} holds {len(tensor.data)} bytes and needs {size}")
        table += _string(order, tensor.name)
        table += struct.pack(
            f"{order}I{len(tensor.shape)}QIQ",
            len(tensor.shape),
            *tensor.shape,
            _TENSOR_NUMBERS[tensor.type],
            offset,
        )
        gap = -len(tensor.data) % alignment
        data += [tensor.data, bytes(gap)]
        offset += len(tensor.data) + gap
        count += 1
    header = bytearray(b"GGUF" + struct.pack(f"{order}IQQ", version, count, len(metadata)))
    for key, value in metadata.items():
        header += _string(order, key) + _value(order, value)
    header += table
    header += bytes(-len(header) % alignment)
    return b"".join([header, *data])


def _value(order: str, value: Any) -> bytes:
    typed = value if isinstance(value, Typed) else Typed(_guess(value), value)
    number = _VALUE_NUMBERS[typed.type]
    if isinstance(typed.value, (list, tuple)):
        start = struct.pack(f"{order}IIQ", ARRAY, number, len(typed.value))
        if number == STRING:
            return start + b"".join(_string(order, text) for text in typed.value)
        return start + struct.pack(f"{order}{len(typed.value)}{NUMBERS[number]}", *typed.value)
    kind = struct.pack(f"{order}I", number)
    if number == STRING:
        return kind + _string(order, typed.value)
    return kind + struct.pack(order + NUMBERS[number], typed.value)


def _guess(value: Any) -> str:
    parts = value if isinstance(value, (list, tuple)) else [value]
    if all(isinstance(part, str) for part in parts) and parts:
        return "string"
    if all(isinstance(part, bool) for part in parts) and parts:
        return "bool"
    if any(isinstance(part, float) for part in parts):
        return "float32"
    low, high = min(parts, default=0), max(parts, default=0)
    if low >= 0:
        return "uint32" if high < 1 << 32 else "uint64"
    return "int32" if low >= -(1 << 31) and high < 1 << 31 else "int64"


def _string(order: str, text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(f"{order}Q", len(raw)) + raw


def chat_weights() -> bytes:
    """A Llama of six layers, about 25 MB."""
    return _llama("Sample chat", layers=6, embedding=512, feed_forward=1792, context_length=4096)


def vision_weights() -> bytes:
    """The language half of the vision model, about 16 MB."""
    return _llama("Sample vision", layers=4, embedding=512, feed_forward=1536, context_length=4096)


def vision_projector() -> bytes:
    """The half that looks: a CLIP of four layers and its projection, about 9 MB."""
    wide, inner, layers, patches = 384, 1536, 4, 64
    metadata = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "general.name": "Sample vision projector",
        "general.file_type": 7,
        "general.quantization_version": 2,
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        "clip.vision.image_size": 112,
        "clip.vision.patch_size": 14,
        "clip.vision.embedding_length": wide,
        "clip.vision.feed_forward_length": inner,
        "clip.vision.block_count": layers,
        "clip.vision.projection_dim": 512,
        "clip.vision.attention.head_count": 6,
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.image_mean": [0.48145466, 0.4578275, 0.40821073],
        "clip.vision.image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    tensors = [
        _ones("v.class_embd", wide),
        _ones("v.patch_embd.weight", 14, 14, 3, wide),
        _ones("v.position_embd.weight", wide, patches + 1),
        *_norm("v.pre_ln", wide),
        *_linear("mm.0", wide, 512),
        *_linear("mm.2", 512, 512),
    ]
    for layer in range(layers):
        at = f"v.blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensors += _linear(f"{at}.{part}", wide, wide)
        tensors += _norm(f"{at}.ln1", wide) + _norm(f"{at}.ln2", wide)
        tensors += _linear(f"{at}.ffn_up", wide, inner) + _linear(f"{at}.ffn_down", inner, wide)
    return write_gguf(metadata, tensors)


def embed_weights() -> bytes:
    """A BERT of two layers, about 6 MB."""
    wide, inner, layers, context_length = 384, 1536, 2, 512
    metadata = {
        **_general("bert", "Sample embed"),
        "bert.block_count": layers,
        "bert.context_length": context_length,
        "bert.embedding_length": wide,
        "bert.feed_forward_length": inner,
        "bert.attention.head_count": 6,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": 1,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_words(5)],
        "tokenizer.ggml.token_type": Typed("int32", [3] * 5 + [1] * (_VOCABULARY - 5)),
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.mask_token_id": 4,
    }
    tensors = [
        _noise("token_embd.weight", wide, _VOCABULARY),
        _ones("token_types.weight", wide, 2),
        _ones("position_embd.weight", wide, context_length),
        *_norm("token_embd_norm", wide),
    ]
    for layer in range(layers):
        at = f"blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors += _linear(f"{at}.{part}", wide, wide)
        tensors += _norm(f"{at}.attn_output_norm", wide)
        tensors += _linear(f"{at}.ffn_up", wide, inner) + _linear(f"{at}.ffn_down", inner, wide)
        tensors += _norm(f"{at}.layer_output_norm", wide)
    return write_gguf(metadata, tensors)


def _llama(
    name: str, *, layers: int, embedding: int, feed_forward: int, context_length: int
) -> bytes:
    heads, key_heads = embedding // 64, embedding // 128
    key_value = key_heads * 64
    metadata = {
        **_general("llama", name),
        "llama.block_count": layers,
        "llama.context_length": context_length,
        "llama.embedding_length": embedding,
        "llama.feed_forward_length": feed_forward,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": key_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 64,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": _VOCABULARY,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [
            "<unk>",
            "<s>",
            "</s>",
            *(f"<0x{byte:02X}>" for byte in range(256)),
            *_words(259),
        ],
        "tokenizer.ggml.scores": [0.0] * 259 + [-float(n) for n in range(_VOCABULARY - 259)],
        "tokenizer.ggml.token_type": Typed(
            "int32", [2, 3, 3] + [6] * 256 + [1] * (_VOCABULARY - 259)
        ),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    tensors = [
        _noise("token_embd.weight", embedding, _VOCABULARY),
        _ones("output_norm.weight", embedding),
    ]
    for layer in range(layers):
        at = f"blk.{layer}"
        tensors += [
            _ones(f"{at}.attn_norm.weight", embedding),
            _noise(f"{at}.attn_q.weight", embedding, embedding),
            _noise(f"{at}.attn_k.weight", embedding, key_value),
            _noise(f"{at}.attn_v.weight", embedding, key_value),
            _noise(f"{at}.attn_output.weight", embedding, embedding),
            _ones(f"{at}.ffn_norm.weight", embedding),
            _noise(f"{at}.ffn_gate.weight", embedding, feed_forward),
            _noise(f"{at}.ffn_up.weight", embedding, feed_forward),
            _noise(f"{at}.ffn_down.weight", feed_forward, embedding),
        ]
    return write_gguf(metadata, tensors)


def _general(architecture: str, name: str) -> dict[str, Any]:
    return {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": name,
        "general.finetune": "noise",
        "general.file_type": 7,
        "general.quantization_version": 2,
    }


def _words(first: int) -> list[str]:
    """Made-up words, one a number: enough to fill the vocabulary from `first` on."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u")]
    words = []
    for number in range(first, _VOCABULARY):
        rest, word = number, "\u2581"
        while rest:
            rest, place = divmod(rest, len(syllables))
            word += syllables[place]
        words.append(word)
    return words


def _noise(name: str, *shape: int) -> TensorData:
    size = GgufTensor(name=name, type="Q8_0", shape=shape, offset=0).size_bytes or 0
    data = bytearray(hashlib.shake_128(f"{name} {shape}".encode()).digest(size))
    for place, byte in enumerate(_SCALE):
        data[place::34] = bytes([byte]) * (size // 34)
    return TensorData(name=name, type="Q8_0", shape=shape, data=bytes(data))


def _ones(name: str, *shape: int) -> TensorData:
    elements = GgufTensor(name=name, type="F32", shape=shape, offset=0).elements
    return TensorData(name=name, type="F32", shape=shape, data=struct.pack("<f", 1) * elements)


def _norm(name: str, wide: int) -> list[TensorData]:
    return [_ones(f"{name}.weight", wide), _ones(f"{name}.bias", wide)]


def _linear(name: str, wide: int, out: int) -> list[TensorData]:
    return [_noise(f"{name}.weight", wide, out), _ones(f"{name}.bias", out)]
