"""One buffer for the tensors of a graph: each gets the tightest gap that holds it.

Source: ggml-org/llama.cpp, build b11434, `ggml/src/ggml-alloc.c`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from modelwidgets.memory.weights import GPU_ALIGNMENT, RAM_ALIGNMENT

TensorSize = tuple[int, int, int]
"""Its bytes, and what a GPU adds: to odd rows, and for the work that gives it."""
Step = tuple[int, int | None]
"""A slot, and whose place it has: -1 gives the slot back, None takes a gap."""
_ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferPlan:
    """Who takes and gives back places in the buffer of one device, whatever the sizes."""

    on_gpu: bool
    tensors: tuple[tuple[int, bool], ...]
    """For each slot the number of its tensor, and whether it is a copy of that."""
    steps: tuple[Step, ...]

    def top(self, tensors: Sequence[TensorSize]) -> int:
        """How large the buffer gets with tensors of these sizes."""
        slots = self._slots(tensors)
        places = [0] * len(slots)
        starts, gaps = [0], [_ENDLESS]
        top = 0
        for slot, from_ in self.steps:
            size = slots[slot]
            if from_ is None:
                best, tightest = len(gaps) - 1, _ENDLESS
                for nth in range(best):
                    if size <= gaps[nth] <= tightest:
                        best, tightest = nth, gaps[nth]
                start = places[slot] = starts[best]
                if gaps[best] == size:
                    del starts[best], gaps[best]
                else:
                    starts[best] = start + size
                    gaps[best] -= size
                top = max(top, start + size)
            elif from_ < 0:
                _give_back(starts, gaps, places[slot], size)
            else:
                start = places[slot] = places[from_]
                if slots[from_] > size:
                    _give_back(starts, gaps, start + size, slots[from_] - size)
        return top

    def _slots(self, tensors: Sequence[TensorSize]) -> list[int]:
        if not self.on_gpu:
            step = RAM_ALIGNMENT
            return [-(-tensors[nth][0] // step) * step for nth, _ in self.tensors]
        found = []
        for nth, is_copy in self.tensors:
            size, padding, extra = tensors[nth]
            size += padding if is_copy else padding + extra
            found.append(-(-size // GPU_ALIGNMENT) * GPU_ALIGNMENT)
        return found


def _give_back(starts: list[int], gaps: list[int], start: int, size: int) -> None:
    """Join what is freed with the gap before or behind it; even nothing may become a gap."""
    end = start + size
    for nth, gap in enumerate(starts):
        if gap + gaps[nth] == start:
            gaps[nth] += size
            if nth + 1 < len(starts) and gap + gaps[nth] == starts[nth + 1]:
                gaps[nth] += gaps[nth + 1]
                del starts[nth + 1], gaps[nth + 1]
            return
        if gap == end:
            starts[nth] = start
            gaps[nth] += size
            if nth and starts[nth - 1] + gaps[nth - 1] == start:
                gaps[nth - 1] += gaps[nth]
                del starts[nth], gaps[nth]
            return
    nth = bisect_left(starts, start)
    starts.insert(nth, start)
    gaps.insert(nth, size)
