"""Layers that keep a state of fixed size instead of keys and values.

Source: ggml-org/llama.cpp, build b11434: `src/models/mamba-base.cpp`,
`src/models/delta-net-base.cpp`, `src/models/qwen3next.cpp`, `src/models/qwen35moe.cpp`,
`src/models/lfm2.cpp`.
"""

from __future__ import annotations

from modelwidgets.memory import graph as ops
from modelwidgets.memory.batch_graph import BatchGraph
from modelwidgets.memory.graph import Node


def short_convolution(batch: BatchGraph, cur: Node, nth: int) -> Node:
    """A convolution over the last few tokens (LFM2)."""
    size, each, sequences = _sizes(batch)
    kept = batch.shape.short_convolution - 1
    cur = ops.reshape(cur, size, each, sequences)
    three = batch.linear(cur, nth, "shortconv.in_proj")
    b, c, x = (_part(three, size, size, each, sequences) for _ in range(3))
    joined = _joined(batch, ops.combine("mul", b, x), nth, kept, size)
    convolved = Node(
        "ssm_conv",
        (size, each, sequences),
        (joined, batch.need(nth, "shortconv.conv.weight")),
    )
    cur = batch.linear(ops.combine("mul", c, convolved), nth, "shortconv.out_proj")
    return ops.reshape(cur, cur.shape[0], batch.tokens)


def mamba2(batch: BatchGraph, cur: Node, nth: int) -> Node:
    """A selective scan over the states of several heads."""
    shape = batch.shape
    _, each, sequences = _sizes(batch)
    inner, states, groups = shape.inner_size, shape.state_size, shape.group_count
    heads = max(shape.time_step_rank, 1)
    width, channels = inner // heads, inner + 2 * groups * states
    conv_store, conv_state = batch.states.of(nth, convolution=True)
    mixed = batch.linear(cur, nth, "ssm_in")
    mixed = ops.reshape(mixed, mixed.shape[0], each, sequences)
    z = _part(mixed, inner, width, heads, each, sequences)
    channel_view = _part(mixed, channels, channels, each, sequences)
    step = _part(mixed, heads, heads, each, sequences)
    joined = _joined_with(
        batch, channel_view, conv_store, conv_state, shape.convolution_kernel - 1, channels
    )
    conv = Node(
        "ssm_conv",
        (channels, each, sequences),
        (joined, batch.need(nth, "ssm_conv1d.weight")),
    )
    bias = batch.weight(nth, "ssm_conv1d.bias")
    if bias is not None:
        conv = ops.combine("add", conv, bias)
    conv = ops.unary(conv)
    x = _part(conv, inner, width, heads, each, sequences)
    b, c = (_part(conv, states * groups, states, groups, each, sequences) for _ in range(2))
    step = ops.combine("add", ops.contiguous(step), batch.need(nth, "ssm_dt.bias"))

    def scan(rows: Node, chosen: Node) -> Node:
        stored = ops.reshape(rows, states, width, heads, sequences)
        size = inner * (each + states) * sequences
        return Node("ssm_scan", (size,), (stored, x, step, batch.need(nth, "ssm_a"), b, c, chosen))

    store, scanned = batch.states.scanned(nth, scan)
    batch.states.keep(store, ops.view(scanned, states * inner, sequences))
    y = ops.view(scanned, width, heads, each, sequences)
    y = ops.combine("add", y, ops.combine("mul", x, batch.need(nth, "ssm_d")))
    y = ops.glu(ops.contiguous(z), y)
    if batch.weight(nth, "ssm_norm.weight") is not None:
        y = ops.reshape(y, inner // groups, groups, each, sequences)
        y = batch.normed(y, nth, "ssm_norm")
    y = ops.reshape(y, inner, batch.tokens)
    return batch.linear(y, nth, "ssm_out")


def delta_net(batch: BatchGraph, cur: Node, nth: int) -> Node:
    """A linear attention whose state forgets (Qwen 3 Next, Qwen 3.5)."""
    shape = batch.shape
    size, each, sequences = _sizes(batch)
    wide, key_heads, value_heads = shape.state_size, shape.group_count, shape.time_step_rank
    value_width = shape.inner_size // max(value_heads, 1)
    channels = shape.inner_size + 2 * key_heads * wide
    mixed = batch.linear(cur, nth, "attn_qkv")
    mixed = ops.reshape(mixed, mixed.shape[0], each, sequences)
    z = batch.linear(cur, nth, "attn_gate")
    if batch.weight(nth, "ssm_ba.weight") is not None:
        both = batch.linear(cur, nth, "ssm_ba")
        halves = [
            ops.view(both, value_heads // key_heads, key_heads, each, sequences) for _ in range(2)
        ]
        beta = ops.unary(ops.contiguous(halves[0]))
        alpha = ops.contiguous(halves[1], value_heads, each, sequences)
    else:
        beta = ops.unary(
            ops.reshape(batch.linear(cur, nth, "ssm_beta"), 1, value_heads, each, sequences)
        )
        alpha = ops.reshape(batch.linear(cur, nth, "ssm_alpha"), value_heads, each, sequences)
    alpha = ops.unary(ops.combine("add", alpha, batch.need(nth, "ssm_dt.bias")))
    gate = ops.combine("mul", alpha, batch.need(nth, "ssm_a"))
    beta = ops.reshape(beta, 1, value_heads, each, sequences)
    gate = ops.reshape(gate, 1, value_heads, each, sequences)
    conv_store, conv_state = batch.states.of(nth, convolution=True)
    joined = _joined_with(
        batch, mixed, conv_store, conv_state, shape.convolution_kernel - 1, channels
    )
    store, state = batch.states.of(nth, convolution=False)
    state = ops.reshape(state, value_width, value_width, value_heads, sequences)
    kernel = batch.need(nth, "ssm_conv1d.weight")
    conv = ops.unary(Node("ssm_conv", (channels, each, sequences), (joined, kernel)))
    q, k = (
        ops.unary(
            ops.norm(_part(conv, wide * key_heads, wide, key_heads, each, sequences)), "scale"
        )
        for _ in range(2)
    )
    v = _part(conv, shape.inner_size, value_width, value_heads, each, sequences)
    if key_heads != value_heads and shape.architecture == "qwen3next":
        q, k = (_spread(one, wide, key_heads, value_heads, each, sequences) for one in (q, k))
    elements = value_width * value_heads * (each + value_width) * sequences
    net = Node("delta_net", (elements,), (q, k, v, gate, beta, state))
    out = ops.view(net, value_width, value_heads, each, sequences)
    batch.states.keep(store, ops.view(net, value_width, value_width, value_heads, sequences))
    z = ops.reshape(z, value_width, value_heads, each, sequences)
    normed = batch.normed(out, nth, "ssm_norm")
    cur = ops.combine("mul", normed, ops.unary(z))
    cur = ops.reshape(cur, value_width * value_heads, each, sequences)
    return ops.reshape(batch.linear(cur, nth, "ssm_out"), size, batch.tokens)


def gated_attention(batch: BatchGraph, cur: Node, nth: int) -> Node:
    """Attention whose queries come with a gate for what it gives (Qwen 3 Next, Qwen 3.5)."""
    layer, tokens = batch.shape.layers[nth], batch.tokens
    width, heads = layer.key_length, layer.heads
    both = batch.linear(cur, nth, "attn_q")
    k = ops.reshape(batch.linear(cur, nth, "attn_k"), width, layer.kv_heads, tokens)
    v = ops.reshape(batch.linear(cur, nth, "attn_v"), layer.value_length, layer.kv_heads, tokens)
    q = batch.rope(
        batch.normed(_part(both, both.shape[0] - width, width, heads, tokens), nth, "attn_q_norm"),
        nth,
    )
    k = batch.rope(batch.normed(k, nth, "attn_k_norm"), nth)
    cur = batch.attend(q, k, v, nth)
    gate = ops.contiguous(
        _part(both, both.shape[0] - width, width, heads, tokens), width * heads, tokens
    )
    cur = ops.combine("mul", cur, ops.unary(gate))
    return batch.linear(cur, nth, "attn_output")


def _part(cur: Node, width: int, *shape: int) -> Node:
    """A part `width` elements wide of each row; what it spans counts where it is copied."""
    return ops.view(cur, *shape, bytes_=cur.bytes_ - 4 * (cur.shape[0] - width))


def _sizes(batch: BatchGraph) -> tuple[int, int, int]:
    sequences = batch.run.cache.sequences
    return batch.shape.embedding_length, batch.tokens // sequences, sequences


def _joined(batch: BatchGraph, cur: Node, nth: int, kept: int, channels: int) -> Node:
    store, state = batch.states.of(nth, convolution=True)
    return _joined_with(batch, cur, store, state, kept, channels)


def _joined_with(
    batch: BatchGraph, cur: Node, store: Node, state: Node, kept: int, channels: int
) -> Node:
    """The last tokens of before and those of this batch; the last of these are stored."""
    _, each, sequences = _sizes(batch)
    state = ops.reshape(state, kept, channels, sequences)
    turned = ops.transpose(cur)
    turned.bytes_ = cur.bytes_
    joined = Node("concat", (kept + each, channels, sequences), (state, turned))
    batch.states.keep(store, ops.view(joined, kept, channels, sequences))
    return joined


def _spread(
    cur: Node, wide: int, key_heads: int, value_heads: int, each: int, sequences: int
) -> Node:
    factor = value_heads // key_heads
    apart = ops.reshape(cur, wide, 1, key_heads, each * sequences)
    repeated = Node("repeat", (wide, factor, key_heads, each * sequences), (apart,))
    return ops.reshape(repeated, wide, value_heads, each, sequences)
