"""The dimensions of a model that decide how much memory it takes.

They come from the header of its GGUF file, or, less of them, from the catalog. Which layers slide,
recur or own no cache is a rule of the architecture where the file does not say it.

Source: ggml-org/llama.cpp, build b11434, `src/llama-model.cpp` and the `load_arch_hparams` of
`src/models/*.cpp`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelwidgets.gguf import GgufHeader, LongArray
from modelwidgets.memory.graph import named

ENCODERS = named(
    "bert jina-bert-v2 jina-bert-v3 nomic-bert nomic-bert-moe neo-bert eurobert modern-bert"
    " gemma-embedding dream llada llada-moe rnd1"
)
"""They look at the whole text at once and keep no cache."""
RECURRENT = named("mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7")
_DELTA_NETS = frozenset(("qwen3next", "qwen35", "qwen35moe"))
_HYBRIDS = named(
    "jamba falcon-h1 plamo2 granitehybrid lfm2 lfm2moe nemotron_h nemotron_h_moe kimi-linear"
    " qwen3next qwen35 qwen35moe"
)
_SLIDING_PERIODS = {
    "gemma2": 2,
    "gpt-oss": 2,
    "llama4": 4,
    "cohere2": 4,
    "exaone4": 4,
    "exaone-moe": 4,
    "olmo2": 4,
    "afmoe": 4,
    "mellum": 4,
    "gemma3n": 5,
    "gemma3": 6,
    "gemma-embedding": 6,
    "plamo3": 8,
}
"""Every so many layers one looks at the whole context, the last of them."""
_SLIDING_FIRST_FULL = {"cohere2moe": 4, "laguna": 4, "smallthinker": 4, "modern-bert": 3}
"""The same, with the first of them."""
_FIXED_WINDOWS = {
    "gemma2": 4096,
    "llama4": 8192,
    "smallthinker": 4096,
    "exaone-moe": 128,
    "exaone4": 4096,
}
_SLIDING_EXAONE = 64
"""Layers of the one Exaone 4 that slides."""
_IGNORED_WINDOWS = frozenset(("phi3", "phimoe", "qwen2", "qwen3", "qwen2moe", "qwen3moe", "llama"))
_PREFIXED = {
    name: f"attention.{name}"
    for name in named(
        "head_count head_count_kv key_length value_length key_length_swa value_length_swa"
        " sliding_window sliding_window_pattern shared_kv_layers kv_lora_rank"
    )
}
"""Where GGUF keeps what the catalog names without a prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """One layer; equal layers of a model are the same object."""

    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    feed_forward_length: int
    sliding: bool
    """Looks at a window of the context only."""
    recurrent: bool
    """Keeps a state of fixed size."""
    cached: bool
    """Owns keys and values of its own."""
    experts_used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A whole model."""

    architecture: str
    layers: tuple[LayerShape, ...]
    """Without the blocks that only predict further tokens."""
    kinds: tuple[tuple[LayerShape, int], ...]
    """Each kind of layer, and how many there are."""
    next_token_layers: int
    embedding_length: int
    vocabulary: int
    context_length: int | None
    window: int
    expert_count: int
    expert_feed_forward_length: int
    shared_feed_forward_length: int
    kv_lora_rank: int
    rope_dimensions: int
    mla_key_length: int
    """0: keys and values are stored whole."""
    convolution_kernel: int
    state_size: int
    inner_size: int
    group_count: int
    time_step_rank: int
    short_convolution: int
    wkv_head_size: int
    token_shifts: int
    linear_head_size: int
    scaled_input: bool
    """The embeddings are multiplied before the first layer."""
    scaled_residual: bool
    gating: int
    """1 softmax, 2 sigmoid, 3 softmax of the chosen."""

    @property
    def layer_count(self) -> int:
        return len(self.layers)

    @property
    def is_moe(self) -> bool:
        return self.expert_count > 0

    @property
    def is_encoder(self) -> bool:
        return self.architecture in ENCODERS

    @classmethod
    def from_header(cls, header: GgufHeader) -> ModelShape:
        """The dimensions that a file states, and the defaults of its architecture."""
        tensors = {tensor.name: tensor.shape for tensor in header.tensors}
        keys = _Keys.of_header(header.architecture, header.metadata)
        return cls._read(header.architecture, keys, header.metadata, tensors)

    @classmethod
    def from_dimensions(cls, dimensions: Mapping[str, Any]) -> ModelShape:
        """The dimensions of a catalog, which bear the names of GGUF without their prefixes."""
        architecture = str(dimensions.get("gguf_architecture", "unknown"))
        keys = _Keys({_PREFIXED.get(key, key): value for key, value in dimensions.items()})
        return cls._read(architecture, keys, {}, {})

    @classmethod
    def _read(
        cls,
        architecture: str,
        keys: _Keys,
        metadata: Mapping[str, Any],
        tensors: Mapping[str, tuple[int, ...]],
    ) -> ModelShape:
        embedding = keys.number("embedding_length")
        vocabulary = keys.number("vocab_size")
        if not vocabulary:
            table = tensors.get("token_embd.weight", ())
            vocabulary = (
                table[1] if len(table) > 1 else _length(metadata.get("tokenizer.ggml.tokens"))
            )
        shared = keys.number("expert_shared_feed_forward_length")
        expert_forward = 0
        if keys.has("expert_feed_forward_length"):
            wide = keys.per_layer("expert_feed_forward_length", _block_count(keys), 0)
            expert_forward = max(wide, default=0)
        if not shared:
            shared = keys.number("expert_shared_count") * expert_forward
        layers = _layers(architecture, keys)
        by_id = {id(layer): layer for layer in layers}
        counts = Counter(map(id, layers))
        return cls(
            architecture=architecture,
            layers=layers,
            kinds=tuple([(layer, counts[key]) for key, layer in by_id.items()]),
            embedding_length=embedding,
            vocabulary=vocabulary,
            context_length=keys.number("context_length") or None,
            window=_window(architecture, keys),
            expert_feed_forward_length=expert_forward,
            shared_feed_forward_length=shared,
            scaled_input=keys.has("embedding_scale"),
            scaled_residual=keys.has("residual_scale"),
            **keys.numbers(_AS_STATED),
        )


class _Keys:
    """The values of one architecture by names without its own, whatever type the file gave them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def of_header(cls, architecture: str, metadata: Mapping[str, Any]) -> _Keys:
        prefix = f"{architecture}."
        return cls(
            {
                key.removeprefix(prefix): value
                for key, value in metadata.items()
                if key.startswith(prefix)
            }
        )

    def of(self, key: str) -> Any:
        return self._values.get(key)

    def has(self, key: str) -> bool:
        return key in self._values

    def number(self, key: str, default: int = 0) -> int:
        found = self._values.get(key)
        if found is None:
            return default
        if isinstance(found, list):
            found = max((item for item in found if isinstance(item, int)), default=None)
        return _bounded(found, default)

    def numbers(self, fields: Mapping[str, str]) -> dict[str, int]:
        values = self._values
        return {field: self.number(key) if key in values else 0 for field, key in fields.items()}

    def per_layer(self, key: str, count: int, default: int) -> list[int]:
        found = self._values.get(key)
        if isinstance(found, list) and found:
            return [_bounded(item, default) for item in (*found, *[found[-1]] * count)][:count]
        return [_bounded(found, default)] * count


def _bounded(found: Any, default: int) -> int:
    """A count from a file that may say anything."""
    if isinstance(found, (int, float)) and 0 <= found <= 1 << 40:
        return int(found)
    return default


def _length(found: Any) -> int:
    if isinstance(found, LongArray):
        return found.length
    return len(found) if isinstance(found, list) else 0


_MOST_LAYERS = 1024
_MOST_EXPERTS_USED = 256
"""Each is drawn."""
_AS_STATED = {
    "next_token_layers": "nextn_predict_layers",
    "expert_count": "expert_count",
    "kv_lora_rank": "attention.kv_lora_rank",
    "rope_dimensions": "rope.dimension_count",
    "mla_key_length": "attention.key_length_mla",
    "convolution_kernel": "ssm.conv_kernel",
    "state_size": "ssm.state_size",
    "inner_size": "ssm.inner_size",
    "group_count": "ssm.group_count",
    "time_step_rank": "ssm.time_step_rank",
    "short_convolution": "shortconv.l_cache",
    "wkv_head_size": "wkv.head_size",
    "token_shifts": "token_shift_count",
    "linear_head_size": "kda.head_dim",
    "gating": "expert_gating_func",
}
"""Fields that are what the file says, 0 where it says nothing; most models have few of them."""
_BY_LAYER = (
    *("attention.head_count", "attention.head_count_kv"),
    *("feed_forward_length", "expert_used_count"),
)


def _block_count(keys: _Keys) -> int:
    """A file may claim any number."""
    return min(keys.number("block_count"), _MOST_LAYERS)


def _layers(architecture: str, keys: _Keys) -> tuple[LayerShape, ...]:
    every = _block_count(keys)
    count = max(every - keys.number("nextn_predict_layers"), 0)
    if _are_alike(architecture, keys):
        return _each_layer(architecture, keys, min(count, 1), min(count, 1)) * count
    return _each_layer(architecture, keys, every, count)


def _are_alike(architecture: str, keys: _Keys) -> bool:
    """Most models have but one kind of layer."""
    listed = any(isinstance(keys.of(key), list) for key in _BY_LAYER)
    special = architecture in _HYBRIDS or architecture in ("gemma3n", "gemma4")
    return not listed and not special and not _window(architecture, keys)


def _each_layer(architecture: str, keys: _Keys, every: int, count: int) -> tuple[LayerShape, ...]:
    """`count` layers of `every` block, of which the last only predict further tokens."""
    heads = keys.per_layer("attention.head_count", every, 0)
    kv_heads = (
        keys.per_layer("attention.head_count_kv", every, 0)
        if keys.has("attention.head_count_kv")
        else heads
    )
    forward = keys.per_layer("feed_forward_length", every, 0)
    experts = min(keys.number("expert_count"), _MOST_EXPERTS_USED)
    used = [0] * every
    if experts:
        used = [min(one, experts) for one in keys.per_layer("expert_used_count", every, 0)]
    whole = keys.number("embedding_length") // max(heads[0], 1) if heads else 0
    key = keys.number("attention.key_length", whole)
    value = keys.number("attention.value_length", whole)
    key_sliding = keys.number("attention.key_length_swa", key)
    value_sliding = keys.number("attention.value_length_swa", value)
    slides = _sliding(architecture, keys, count)
    recurs = _recurrent(architecture, keys, count, kv_heads, forward)
    first_shared = _first_shared(architecture, keys, count)
    columns = zip(
        heads,
        kv_heads,
        [key_sliding if slides_here else key for slides_here in slides],
        [value_sliding if slides_here else value for slides_here in slides],
        forward,
        slides,
        recurs,
        _cached(architecture, kv_heads, forward, recurs, first_shared),
        used,
        strict=False,
    )
    known: dict[tuple[Any, ...], LayerShape] = {}
    return tuple([known.get(values) or _layer(known, values) for values in columns])


def _layer(known: dict[tuple[Any, ...], LayerShape], values: tuple[Any, ...]) -> LayerShape:
    names = LayerShape.__dataclass_fields__
    known[values] = LayerShape(**dict(zip(names, values, strict=True)))
    return known[values]


def _cached(
    architecture: str,
    kv_heads: list[int],
    forward: list[int],
    recurs: list[bool],
    first_shared: int,
) -> list[bool]:
    """Which layers own keys and values."""
    if architecture in ENCODERS or architecture in RECURRENT:
        return [False] * len(recurs)
    both = architecture == "falcon-h1"
    apart = architecture.startswith("nemotron_h")
    return [
        nth < first_shared
        and kv_heads[nth] > 0
        and (both or not recur)
        and not (apart and forward[nth] > 0)
        for nth, recur in enumerate(recurs)
    ]


def _window(architecture: str, keys: _Keys) -> int:
    if architecture in _IGNORED_WINDOWS:
        return 0
    if architecture == "llama4":
        stated = keys.has("attention.sliding_window") and not keys.number(
            "attention.sliding_window"
        )
        return 0 if stated else _FIXED_WINDOWS[architecture]
    if architecture == "smallthinker" and not keys.number("attention.sliding_window"):
        return 0
    if architecture == "exaone4" and keys.number("block_count") != _SLIDING_EXAONE:
        return 0
    return keys.number("attention.sliding_window", _FIXED_WINDOWS.get(architecture, 0))


def _sliding(architecture: str, keys: _Keys, count: int) -> list[bool]:
    if not _window(architecture, keys):
        return [False] * count
    if architecture == "lfm2":
        return [heads > 0 for heads in keys.per_layer("attention.head_count_kv", count, 0)]
    pattern = keys.of("attention.sliding_window_pattern")
    if isinstance(pattern, list) and pattern:
        return [bool(item) for item in (*pattern, *[False] * count)][:count]
    full_first = architecture in _SLIDING_FIRST_FULL
    default = (_SLIDING_FIRST_FULL if full_first else _SLIDING_PERIODS).get(architecture, 1)
    period = _bounded(pattern, default)
    if period == 0:
        return [True] * count
    full = 0 if full_first else period - 1
    return [nth % period != full for nth in range(count)]


def _recurrent(
    architecture: str, keys: _Keys, count: int, kv_heads: list[int], forward: list[int]
) -> list[bool]:
    if architecture in RECURRENT or architecture == "falcon-h1":
        return [True] * count
    if architecture not in _HYBRIDS:
        return [False] * count
    if architecture in _DELTA_NETS:
        stated = keys.of("attention.recurrent_layers")
        if isinstance(stated, list) and stated:
            return [bool(item) for item in (*stated, *[False] * count)][:count]
        interval = max(keys.number("full_attention_interval", 4), 1)
        return [(nth + 1) % interval != 0 for nth in range(count)]
    if architecture.startswith("nemotron_h"):
        return [kv_heads[nth] == 0 and forward[nth] == 0 for nth in range(count)]
    return [kv_heads[nth] == 0 for nth in range(count)]


def _first_shared(architecture: str, keys: _Keys, count: int) -> int:
    """The first layer that reads the cache of an earlier one."""
    if architecture == "gemma3n":
        return min(20, count)
    if architecture == "gemma4":
        return max(count - keys.number("attention.shared_kv_layers"), 0)
    return count
