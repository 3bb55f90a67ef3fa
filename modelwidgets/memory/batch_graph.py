"""The graph that llama.cpp builds to compute one batch, made of the tensors a model has.

Most architectures are one transformer block with options, and which options shows in the names of
the tensors: a norm after the attention, biases, experts. What differs more is in `families.py`.

Source: ggml-org/llama.cpp, build b11434: `src/llama-graph.cpp`, `src/models/*.cpp`.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelwidgets.memory import graph as ops
from modelwidgets.memory.attention import Attention
from modelwidgets.memory.graph import Graph, Node, named
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.shape import ModelShape
from modelwidgets.memory.states import States
from modelwidgets.memory.weights import ModelWeights, Weight

_LAYER_NORM = named(
    "falcon gptneox gpt2 gptj starcoder starcoder2 codeshell bloom mpt stablelm phi2 phimoe orion"
    " command-r cohere2 cohere2moe nemotron olmo dbrx jais bert nomic-bert nomic-bert-moe"
    " jina-bert-v2 jina-bert-v3 modern-bert"
)
"""They subtract the mean too, and GGML cannot do that in place."""
_SCALED_TOKENS = frozenset(("gemma3", "gemma3n", "gemma4", "gemma-embedding"))
"""Vectors of pictures are not scaled, so each token has a factor of its own."""
_SCALED_INPUT = frozenset(("gemma", "gemma2", "afmoe", "minicpm3"))
_SCALED_QUERIES = frozenset(("gemma", "gemma2", "gemma3", "gemma-embedding", "phi2", "phi3"))
_ROTATES_SLIDING = frozenset(("cohere2", "cohere2moe", "exaone4", "exaone-moe"))
_ROTATES_THREE_OF_FOUR = frozenset(("smollm3", "llama4"))
_NO_POSITIONS = named("bloom mpt gpt2 starcoder jais nemotron_h nemotron_h_moe jamba")
_ROTATING_BAICHUAN = 32
"""Layers of the smaller one; the larger knows positions by its masks."""
_NO_MIXED_BATCH = frozenset(("cogvlm",))
_SOFTMAX_OF_CHOSEN = 3
_SIGMOID = 2


class BatchGraph:
    """Builds the graph of one batch; `layers` picks some, where the others would add nothing."""

    def __init__(
        self, shape: ModelShape, weights: ModelWeights, layout: Layout, run: RunOptions
    ) -> None:
        self.shape = shape
        self.layout = layout
        self.run = run
        self.tokens = run.tokens
        self.graph = Graph()
        self._weights = weights
        self._shared: dict[tuple[str, int], Node] = {}
        self.norm_op = "norm" if shape.architecture in _LAYER_NORM else "rms_norm"
        self.positions = ops.leaf((self.tokens,), dtype="i32", is_input=True)
        self._output_ids = ops.leaf((run.outputs,), dtype="i32", is_input=True)
        self._attention = Attention(self.graph, shape, layout, run)
        self.states = States(self.graph, shape, layout, run)

    # Weights

    def weight(self, nth: int, name: str) -> Node | None:
        """A tensor of layer `nth`, where the model has it."""
        layer = self._weights.layers[nth]
        found = layer.get(name) or layer.get(name.removesuffix(".weight"))
        if found is None:
            return None
        return _node(found, self.layout.device(nth, name))

    def need(self, nth: int, name: str) -> Node:
        """The same, where no graph can be drawn without it."""
        found = self.weight(nth, name)
        if found is None:
            raise UnknownGraphError(f"blk.{nth}.{name}")
        return found

    def input_weight(self, name: str) -> Node | None:
        """A tensor of the input, which lies in RAM."""
        found = self._weights.input.get(name)
        return None if found is None else _node(found, self.layout.ram)

    def input_norm(self, cur: Node) -> Node:
        """The norm of what enters, where the model has one."""
        scale = self.weight(0, "token_embd_norm.weight")
        bias = self.weight(0, "token_embd_norm.bias")
        if scale is not None:
            cur = ops.combine("mul", ops.norm(cur, self.norm_op), scale)
        return cur if bias is None else ops.combine("add", cur, bias)

    def finish(self, cur: Node) -> Graph:
        """The graph up to its result."""
        cur.is_output = True
        self.graph.add(cur)
        return self.graph

    def outer(self, name: str) -> Node | None:
        """A tensor of the output."""
        found = self._weights.output.get(name)
        return None if found is None else _node(found, self.layout.output)

    def _rotation_factors(self, nth: int) -> tuple[Node, ...]:
        device = self.layout.layers[nth]
        for name, found in self._weights.shared.items():
            if name in ("rope_freqs.weight", "rope_factors_short.weight"):
                key = (name, device)
                if key not in self._shared:
                    self._shared[key] = _node(found, device)
                return (self._shared[key],)
        return ()

    # Steps

    def embedding(self) -> Node:
        """What enters the first layer: of tokens, of vectors, or of both in one batch."""
        size, tokens = self.shape.embedding_length, self.tokens
        found = self._weights.input.get("token_embd.weight")
        if found is None:
            raise UnknownGraphError("token_embd.weight")
        table = _node(found, self.layout.ram)
        cur = ops.get_rows(table, ops.leaf((tokens,), dtype="i32", is_input=True))
        self.graph.add(cur)
        self.graph.add(ops.leaf((size, tokens), is_input=True))
        if self.shape.architecture not in _NO_MIXED_BATCH:
            ids = ops.leaf((tokens,), dtype="i32", is_input=True)
            slots = ops.leaf((tokens,), dtype="i64", is_input=True)
            vectors = ops.unary(ops.leaf((size, tokens), is_input=True), "dup")
            rows = ops.get_rows(table, ids)
            mixed = Node("set_rows", vectors.shape, (rows, slots, vectors), view_of=vectors)
            self.graph.add(mixed)
        if self.shape.architecture in _SCALED_TOKENS:
            cur = ops.combine("mul", cur, ops.leaf((1, tokens), is_input=True))
        self.graph.add(cur)
        if self.shape.scaled_input or self.shape.architecture in _SCALED_INPUT:
            cur = self.graph.add(ops.unary(cur, "scale"))
        return cur

    def normed(self, cur: Node, nth: int, name: str) -> Node:
        """A norm with the weights `name`, where the model has them."""
        scale = self.weight(nth, f"{name}.weight")
        if scale is None:
            return cur
        cur = ops.combine("mul", ops.norm(cur, self.norm_op), scale)
        bias = self.weight(nth, f"{name}.bias")
        return cur if bias is None else ops.combine("add", cur, bias)

    def linear(self, cur: Node, nth: int, name: str) -> Node:
        """A product with the weights `name`, and its bias where there is one."""
        cur = ops.mul_mat(self.need(nth, f"{name}.weight"), cur)
        bias = self.weight(nth, f"{name}.bias")
        return cur if bias is None else ops.combine("add", cur, bias)

    def rope(self, cur: Node, nth: int) -> Node:
        sources = (cur, self.positions, *self._rotation_factors(nth))
        return Node("rope", cur.shape, sources)

    def heads(self, cur: Node, nth: int) -> tuple[Node, Node, Node]:
        """Queries, keys and values by head."""
        layer, tokens = self.shape.layers[nth], self.tokens
        sizes = (
            (layer.key_length, layer.heads),
            (layer.key_length, layer.kv_heads),
            (layer.value_length, layer.kv_heads),
        )
        if self.weight(nth, "attn_qkv.weight") is not None:
            fused = self.linear(cur, nth, "attn_qkv")
            skipped = fused.bytes_ // tokens * (tokens - 1)
            q, k, v = (
                ops.view(fused, size, count, tokens, bytes_=skipped + 4 * size * count)
                for size, count in sizes
            )
            return q, k, v
        q, k = self.linear(cur, nth, "attn_q"), self.linear(cur, nth, "attn_k")
        keys_are_values = self.weight(nth, "attn_v.weight") is None
        v = k if keys_are_values else self.linear(cur, nth, "attn_v")
        if self._norms_whole_rows(nth):
            q, k = self.normed(q, nth, "attn_q_norm"), self.normed(k, nth, "attn_k_norm")
        q, k, v = (
            ops.reshape(one, size, count, tokens)
            for one, (size, count) in zip((q, k, v), sizes, strict=True)
        )
        return q, k, v

    def _norms_whole_rows(self, nth: int) -> bool:
        found = self._weights.layers[nth].get("attn_q_norm.weight")
        return found is not None and found.shape[0] != self.shape.layers[nth].key_length

    def self_attention(self, cur: Node, nth: int) -> Node:
        """Attention as most models have it, up to the product with its output weights."""
        q, k, v = self.heads(cur, nth)
        if not self._norms_whole_rows(nth):
            q, k = self.normed(q, nth, "attn_q_norm"), self.normed(k, nth, "attn_k_norm")
        if self.shape.architecture == "gemma4":
            v = ops.norm(v)
        if self._rotates(nth):
            q, k = self.rope(q, nth), self.rope(k, nth)
        if self.shape.architecture in _SCALED_QUERIES:
            q = ops.unary(q, "scale")
        cur = self.attend(q, k, v, nth)
        return self.linear(cur, nth, "attn_output")

    def _rotates(self, nth: int) -> bool:
        """Some models leave out the positions in some layers."""
        architecture = self.shape.architecture
        if architecture in _NO_POSITIONS:
            return False
        if architecture == "baichuan":
            return self.shape.layer_count == _ROTATING_BAICHUAN
        if architecture in _ROTATES_SLIDING:
            return self.shape.layers[nth].sliding or not self.shape.window
        return architecture not in _ROTATES_THREE_OF_FOUR or (nth + 1) % 4 != 0

    def attend(
        self, q: Node, k: Node, v: Node, nth: int, *, decompress: Node | None = None
    ) -> Node:
        """Store keys and values, and let the queries look at all that is stored."""
        sinks = self.weight(nth, "attn_sinks.weight")
        return self._attention.attend(q, k, v, nth, sinks=sinks, decompress=decompress)

    def feed_forward(self, cur: Node, nth: int, suffix: str = "") -> Node:
        """The dense part of a layer; without a gate its first product may hold both halves."""
        gate = self.weight(nth, f"ffn_gate{suffix}.weight")
        up = self.linear(cur, nth, f"ffn_up{suffix}")
        if gate is not None:
            cur = ops.glu(self.linear(cur, nth, f"ffn_gate{suffix}"), up)
        elif up.shape[0] == 2 * self.need(nth, f"ffn_down{suffix}.weight").shape[0]:
            cur = ops.glu(up)
        else:
            cur = ops.unary(up)
        return self.linear(cur, nth, f"ffn_down{suffix}")

    def experts(self, cur: Node, nth: int) -> Node:
        """Each token through the experts that a small product chooses for it."""
        shape, (size, tokens) = self.shape, cur.shape[:2]
        used = max(shape.layers[nth].experts_used, 1)
        logits = self.linear(cur, nth, "ffn_gate_inp")
        gating = shape.gating
        if gating == _SOFTMAX_OF_CHOSEN or shape.architecture == "gpt-oss":
            probabilities = logits
        else:
            probabilities = ops.unary(logits, "unary" if gating == _SIGMOID else "soft_max")
        wanted = probabilities
        bias = self.weight(nth, "exp_probs_b.bias")
        if bias is not None:
            wanted = ops.combine("add", probabilities, bias)
        order = Node("argsort", wanted.shape, (wanted,), dtype="i32")
        chosen = ops.view(order, used, tokens)
        by_expert = ops.reshape(probabilities, 1, shape.expert_count, tokens)
        weights = ops.reshape(ops.get_rows(by_expert, chosen), used, tokens)
        sums = ops.unary(Node("sum_rows", (1, tokens), (weights,)), "clamp")
        weights = ops.reshape(ops.combine("div", weights, sums), 1, used, tokens)
        self.graph.add(weights)
        cur = ops.reshape(cur, size, 1, tokens)
        if shape.architecture == "llama4":
            repeated = Node("repeat", (size, used, tokens), (cur,))
            cur = ops.combine("mul", repeated, weights)
        fused = self.weight(nth, "ffn_gate_up_exps.weight")
        if fused is not None:
            both = ops.mul_mat_id(fused, cur, chosen)
            half = both.shape[0] // 2
            cur = ops.glu(ops.view(both, half, used, tokens), ops.view(both, half, used, tokens))
        else:
            up = self._by_expert(cur, nth, "ffn_up_exps", chosen)
            if self.weight(nth, "ffn_gate_exps.weight") is not None:
                cur = ops.glu(self._by_expert(cur, nth, "ffn_gate_exps", chosen), up)
            else:
                cur = ops.unary(up)
        outs = self._by_expert(cur, nth, "ffn_down_exps", chosen)
        if shape.architecture != "llama4":
            outs = ops.combine("mul", outs, weights)
        self.graph.add(outs)
        parts = [self.graph.add(ops.view(outs, size, tokens)) for _ in range(used)]
        total = parts[0]
        for part in parts[1:]:
            total = self.graph.add(ops.combine("add", total, part))
        return ops.contiguous(total) if used == 1 else total

    def _by_expert(self, cur: Node, nth: int, name: str, chosen: Node) -> Node:
        cur = ops.mul_mat_id(self.need(nth, f"{name}.weight"), cur, chosen)
        bias = self.weight(nth, f"{name}.bias")
        return cur if bias is None else ops.combine("add_id", cur, bias, chosen)

    def mixture(self, cur: Node, nth: int) -> Node:
        """Experts, and the expert that every token passes where there is one."""
        total = self.experts(cur, nth)
        if self.weight(nth, "ffn_up_shexp.weight") is None:
            return total
        shared = self.feed_forward(cur, nth, "_shexp")
        gate = self.weight(nth, "ffn_gate_inp_shexp.weight")
        if gate is not None:
            shared = ops.combine("mul", shared, ops.unary(ops.mul_mat(gate, cur)))
        return ops.combine("add", total, shared)

    def chosen_rows(self, *rows: Node) -> Sequence[Node]:
        """In the last layer only the tokens that logits are wanted for go on."""
        return [ops.get_rows(one, self._output_ids) for one in rows]

    def head(self, cur: Node, *, picks_rows: bool = False) -> Graph:
        """The last norm and the logits; some drop the tokens without logits between the two."""
        for name in ("output_norm", "token_embd_norm"):
            scale = self.outer(f"{name}.weight")
            if scale is not None:
                cur = ops.combine("mul", ops.norm(cur, self.norm_op), scale)
                bias = self.outer(f"{name}.bias")
                if bias is not None:
                    cur = ops.combine("add", cur, bias)
        if picks_rows:
            (cur,) = self.chosen_rows(cur)
        cur.is_output = True
        table = self.outer("output.weight")
        if table is not None:
            cur = ops.mul_mat(table, cur)
            bias = self.outer("output.bias")
            if bias is not None:
                cur = ops.combine("add", cur, bias)
            cur.is_output = True
        self.graph.add(cur)
        return self.graph


class UnknownGraphError(Exception):
    """A tensor is missing without which no graph of this kind can be drawn."""


def _node(found: Weight, device: int) -> Node:
    return ops.weight(found.shape, found.bytes_, found.padding_bytes, device)
