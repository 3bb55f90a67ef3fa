"""What reading the header of a model costs: one of 8 MB, as Llama 3 has it.

Beside it stands the reader of the `gguf` package, where that is installed (`pip install gguf`). It
keeps every word of the vocabulary, which a fit check has no use for. Each run is a process of its
own, whose imports are not counted.
"""

from __future__ import annotations

import importlib.util
import random
import statistics
from collections.abc import Iterator

from modelwidgets.stores.sample_weights import TensorData, Typed, write_gguf
from tests.bench.figures import Figure, in_turns, run_alone
from tests.bench.processes import own_folder, said, usual

HEADER_MS = 100
WORDS, MERGES, LAYERS = 128_256, 280_147, 32
SAID_ELSEWHERE = "the gguf package is not installed; on another machine it took 6.6 s and 555 MiB"

MEASURE = """
import sys, time
from pathlib import Path
from {module} import {reader}
try:
    import resource
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
except ImportError:  # Windows
    resource = None
began = time.process_time()
{reader}(Path(sys.argv[1]))
print((time.process_time() - began) * 1e3)
unit = 1 if sys.platform == "darwin" else 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit if resource else 0)
"""


def figures(*, quick: bool) -> Iterator[Figure]:
    with own_folder() as folder:
        path = folder / "model.gguf"
        path.write_bytes(header())
        env = usual(folder)

        def read(module: str, reader: str) -> list[float]:
            return said(MEASURE.format(module=module, reader=reader), env, str(path))

        ours = list(in_turns(3 if quick else 9, lambda: read("modelwidgets.gguf", "read_header")))
        value = statistics.median(milliseconds for ((milliseconds, _),) in ours)
        against = SAID_ELSEWHERE
        if importlib.util.find_spec("gguf"):
            theirs, their_peak = read("gguf", "GGUFReader")
            against = (
                f"the gguf package {theirs / 1e3:.2g} s and {_mib(their_peak)}: "
                f"{theirs / value:,.0f} times as long"
            )
        yield Figure(
            what=f"read the header of {path.stat().st_size / 1e6:.1f} MB, CPU",
            value=value,
            bound=HEADER_MS,
            unit="ms",
            against=against,
        )


def header() -> bytes:
    """Keys, vocabulary and tensors in the numbers of Llama 3.1 8B; the words are noise."""
    dice = random.Random(8)  # noqa: S311 - no secret

    def word() -> bytes:
        return bytes(dice.choices(range(97, 123), k=max(1, round(dice.gauss(6, 3)))))

    parts = (
        *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
        *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
    )
    return write_gguf(
        {
            "general.architecture": "llama",
            "general.file_type": 15,
            "llama.block_count": LAYERS,
            "tokenizer.ggml.tokens": Typed("string", [word() for _ in range(WORDS)]),
            "tokenizer.ggml.token_type": Typed("int32", [1] * WORDS),
            "tokenizer.ggml.merges": Typed(
                "string", [word() + b" " + word() for _ in range(MERGES)]
            ),
        },
        [
            TensorData(name=f"blk.{layer}.{part}.weight", type="F32", shape=(8,), data=bytes(32))
            for layer in range(LAYERS)
            for part in parts
        ],
    )


def _mib(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"


if __name__ == "__main__":
    run_alone(figures)
