"""What was worked out once for a model, so that the next context or layout costs less.

A graph is drawn once for each way to run, and its plans hold for every way that has like traits.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from modelwidgets.memory.buffers import BufferPlan, TensorSize

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(dict[K, V], Generic[K, V]):
    """A dictionary that starts anew when it is full."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def add(self, key: K, value: V) -> V:
        if len(self) >= self._most:
            self.clear()
        self[key] = value
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeBytes:
    """The buffers of one layout."""

    gpus: tuple[int, ...]
    ram: int
    known: bool
    """False: by formula, for an architecture that is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What of a graph does not depend on where its layers lie."""

    traits: tuple[object, ...]
    tensors: list[TensorSize]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """Kept with a model, within bounds."""

    computed: Bounded[object, ComputeBytes] = field(default_factory=lambda: Bounded(1024))
    sketches: Bounded[object, Sketch] = field(default_factory=lambda: Bounded(8))
    plans: Bounded[object, tuple[BufferPlan, ...]] = field(default_factory=lambda: Bounded(128))
    moved: Bounded[tuple[int, re.Pattern[str]], tuple[int, int]] = field(
        default_factory=lambda: Bounded(256)
    )
    """Bytes on a GPU and in RAM of what a pattern chooses in a kind of layer."""
