"""The layers of each family of architectures.

Source: ggml-org/llama.cpp, build b11434: `src/models/*.cpp`.
"""

from __future__ import annotations

from collections.abc import Iterable

from modelwidgets.memory import graph as ops
from modelwidgets.memory import recurrent
from modelwidgets.memory.batch_graph import BatchGraph, UnknownGraphError
from modelwidgets.memory.graph import Graph, Node, named
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.shape import ModelShape
from modelwidgets.memory.weights import ModelWeights

_SHARED_NORM = named("falcon phi2 plamo command-r cohere2 cohere2moe")
"""Attention and feed-forward read the same normed input."""
_SUM_STARTS_WITH_INPUT = frozenset(("command-r", "cohere2", "cohere2moe"))
_INPUT_FIRST = frozenset(("lfm2", "lfm2moe", "jamba", "openelm"))
"""Sums whose first operand, which the result may overwrite, is what entered."""
_MIDDLE_FIRST = frozenset(("lfm2", "lfm2moe", "jamba", "phi3", "phimoe"))
_LATE_ROWS = named(
    "gpt-oss bailingmoe3 cohere2moe gemma4 hy-v3 nemotron_h nemotron_h_moe qwen35 qwen35moe"
    " qwen3next step35"
)
"""They drop the tokens without logits after the last layer, not within it."""
_ROWS_AFTER_NORM = named("gemma4 nemotron_h nemotron_h_moe qwen35 qwen35moe qwen3next")
_ROTATING_ENCODERS = named("nomic-bert nomic-bert-moe jina-bert-v3")
_NOT_DRAWN = {"gemma4": ("inp_gate", "ffn_gate_inp")}
"""Tensors of variants that are not drawn here: embeddings for each layer, experts beside."""
_DELTA_NETS = named("qwen35 qwen35moe qwen3next")


KNOWN = named(
    "llama qwen2 qwen3 qwen2moe qwen3moe gemma gemma2 gemma3 gpt-oss deepseek2 phi2 phi3 lfm2"
    " granite granitemoe command-r cohere2 olmo2 exaone exaone4 glm4 smollm3 falcon starcoder2"
    " stablelm seed_oss internlm2 minicpm nemotron ernie4_5 baichuan hunyuan-dense arcee"
    " granitehybrid falcon-h1 nemotron_h qwen3next qwen35 qwen35moe lfm2moe llama4 glm4moe"
    " bert nomic-bert gemma4"
)
"""Architectures whose graph was compared with llama.cpp's own."""


def draw(
    shape: ModelShape,
    weights: ModelWeights,
    layout: Layout,
    run: RunOptions,
    layers: Iterable[int],
) -> Graph:
    """The graph of one batch over these layers; raises `UnknownGraphError`."""
    batch = BatchGraph(shape, weights, layout, run)
    chosen = list(layers)
    if shape.is_encoder:
        return _encoder(batch, chosen)
    cur = batch.embedding()
    late = shape.architecture in _LATE_ROWS
    for nth in chosen:
        cur = _block(batch, cur, nth, picks_rows=nth == chosen[-1] and not late)
    after_norm = shape.architecture in _ROWS_AFTER_NORM
    if late and not after_norm:
        (cur,) = batch.chosen_rows(cur)
    return batch.head(cur, picks_rows=after_norm)


def _encoder(batch: BatchGraph, layers: list[int]) -> Graph:
    """Every token looks at every other; norms follow what they belong to (BERT)."""
    shape, tokens = batch.shape, batch.tokens
    entering = batch.embedding()
    types = batch.input_weight("token_types.weight")
    if types is not None:
        entering = ops.combine("add", entering, ops.view(types, shape.embedding_length))
    places = batch.input_weight("position_embd.weight")
    if places is not None:
        entering = ops.combine("add", ops.get_rows(places, batch.positions), entering)
    entering = batch.input_norm(entering)
    rotates = shape.architecture in _ROTATING_ENCODERS
    for nth in layers:
        q, k, v = batch.heads(entering, nth)
        if rotates:
            q, k = batch.rope(q, nth), batch.rope(k, nth)
        cur = batch.linear(batch.attend(q, k, v, nth), nth, "attn_output")
        if nth == layers[-1]:
            cur, entering = batch.chosen_rows(cur, entering)
        middle = batch.normed(ops.combine("add", cur, entering), nth, "attn_output_norm")
        cur = ops.combine("add", _forward(batch, middle, nth), middle)
        entering = batch.normed(cur, nth, "layer_output_norm")
    means = ops.leaf((tokens, batch.run.cache.sequences), is_input=True)
    batch.graph.add(entering)
    return batch.finish(ops.mul_mat(ops.contiguous(ops.transpose(entering)), means))


def _block(batch: BatchGraph, entering: Node, nth: int, *, picks_rows: bool) -> Node:
    architecture = batch.shape.architecture
    layer = batch.shape.layers[nth]
    if any(batch.weight(nth, f"{name}.weight") for name in _NOT_DRAWN.get(architecture, ())):
        raise UnknownGraphError(architecture)
    normed = batch.normed(entering, nth, "attn_norm")
    if architecture.startswith("nemotron_h"):
        return ops.combine("add", _one_of_three(batch, normed, nth), entering)
    if architecture == "falcon-h1":
        return _both_at_once(batch, entering, nth, picks_rows=picks_rows)
    if batch.shape.mla_key_length:
        cur = _latent_attention(batch, normed, nth)
    elif architecture in _DELTA_NETS:
        batch.graph.add(normed)
        mix = recurrent.delta_net if layer.recurrent else recurrent.gated_attention
        cur = mix(batch, normed, nth)
    elif batch.shape.short_convolution and layer.recurrent:
        cur = recurrent.short_convolution(batch, normed, nth)
    elif layer.recurrent:
        cur = recurrent.mamba2(batch, normed, nth)
    else:
        second = (
            batch.normed(entering, nth, "attn_norm_2") if architecture == "falcon" else entering
        )
        cur = batch.self_attention(normed if second is entering else second, nth)
    if architecture in _SHARED_NORM:
        return _beside(batch, entering, normed, cur, nth, picks_rows=picks_rows)
    if picks_rows:
        cur, entering = batch.chosen_rows(cur, entering)
    sandwiched = any(batch.weight(nth, f"{name}.weight") for name in ("ffn_norm", "post_ffw_norm"))
    if sandwiched:
        cur = batch.normed(cur, nth, "post_attention_norm")
    if batch.shape.scaled_residual:
        cur = ops.unary(cur, "scale")
    operands = (entering, cur) if architecture in _INPUT_FIRST else (cur, entering)
    middle = ops.combine("add", *operands)
    cur = batch.normed(middle, nth, "ffn_norm" if sandwiched else "post_attention_norm")
    cur = batch.normed(_forward(batch, cur, nth), nth, "post_ffw_norm")
    if batch.shape.scaled_residual:
        cur = ops.unary(cur, "scale")
    operands = (middle, cur) if architecture in _MIDDLE_FIRST else (cur, middle)
    cur = ops.combine("add", *operands)
    scale = batch.weight(nth, "layer_output_scale.weight")
    return cur if scale is None else ops.combine("mul", cur, scale)


def _one_of_three(batch: BatchGraph, cur: Node, nth: int) -> Node:
    """A layer of Nemotron H is a scan, an attention or a feed-forward, never two of them."""
    layer = batch.shape.layers[nth]
    if layer.recurrent:
        return recurrent.mamba2(batch, cur, nth)
    if layer.feed_forward_length == 0:
        return batch.self_attention(cur, nth)
    return _forward(batch, cur, nth)


def _both_at_once(batch: BatchGraph, entering: Node, nth: int, *, picks_rows: bool) -> Node:
    """A layer of Falcon H1 adds up an attention and a scan of the same input."""
    attended = batch.self_attention(batch.normed(entering, nth, "attn_norm"), nth)
    scanned = recurrent.mamba2(batch, batch.normed(entering, nth, "attn_norm"), nth)
    middle = ops.combine("add", ops.combine("add", attended, scanned), entering)
    if picks_rows:
        (middle,) = batch.chosen_rows(middle)
    cur = _forward(batch, batch.normed(middle, nth, "ffn_norm"), nth)
    return ops.combine("add", cur, middle)


def _forward(batch: BatchGraph, cur: Node, nth: int) -> Node:
    if batch.weight(nth, "ffn_gate_inp.weight") is not None:
        return batch.mixture(cur, nth)
    return batch.feed_forward(cur, nth)


def _beside(
    batch: BatchGraph, entering: Node, normed: Node, attended: Node, nth: int, *, picks_rows: bool
) -> Node:
    """Feed-forward beside the attention, not behind it."""
    if picks_rows:
        attended, entering, normed = batch.chosen_rows(attended, entering, normed)
    cur = _forward(batch, normed, nth)
    if batch.shape.architecture == "phi2":
        return ops.combine("add", ops.combine("add", attended, cur), entering)
    if batch.shape.architecture in _SUM_STARTS_WITH_INPUT:
        return ops.combine("add", ops.combine("add", cur, entering), attended)
    return ops.combine("add", ops.combine("add", cur, attended), entering)


def _latent_attention(batch: BatchGraph, cur: Node, nth: int) -> Node:
    """Keys and values compressed into one short vector a token (MLA)."""
    shape, tokens = batch.shape, batch.tokens
    layer = shape.layers[nth]
    rank, turned = shape.kv_lora_rank, shape.rope_dimensions
    if batch.weight(nth, "attn_q_a.weight") is not None:
        q = batch.normed(batch.linear(cur, nth, "attn_q_a"), nth, "attn_q_a_norm")
        q = batch.linear(q, nth, "attn_q_b")
    else:
        q = batch.linear(cur, nth, "attn_q")
    q = ops.reshape(q, shape.mla_key_length, layer.heads, tokens)
    both = batch.linear(cur, nth, "attn_kv_a_mqa")
    compressed = ops.view(both, rank, tokens)
    key_turned = batch.rope(ops.view(both, turned, 1, tokens), nth)
    compressed = batch.normed(compressed, nth, "attn_kv_a_norm")
    straight = ops.view(q, shape.mla_key_length - turned, layer.heads, tokens)
    query_turned = batch.rope(ops.view(q, turned, layer.heads, tokens), nth)
    absorbed = ops.mul_mat(batch.need(nth, "attn_k_b.weight"), ops.permute(straight, 0, 2, 1, 3))
    absorbed = ops.permute(absorbed, 0, 2, 1, 3)
    query = Node("concat", (rank + turned, layer.heads, tokens), (absorbed, query_turned))
    compressed = ops.reshape(compressed, rank, 1, tokens)
    key = Node("concat", (rank + turned, 1, tokens), (compressed, key_turned))
    decompress = batch.need(nth, "attn_v_b.weight")
    cur = batch.attend(query, key, compressed, nth, decompress=decompress)
    return batch.linear(cur, nth, "attn_output")
