"""A measured figure beside its bound."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

T = TypeVar("T")

SLACK = 3
"""A quick run on a busy machine fails only beyond this many times a bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`value` is to stay at or below `bound`, both in `unit`."""

    what: str
    value: float
    bound: float
    unit: str
    against: str = ""
    """What the same run measured beside it, in words."""

    @property
    def holds(self) -> bool:
        return self.value <= self.bound

    @property
    def far_off(self) -> bool:
        return self.value > self.bound * SLACK

    def __str__(self) -> str:
        mark = "ok  " if self.holds else "OVER"
        shown = f"{_digits(self.value)} {self.unit} (at most {_digits(self.bound)})"
        beside = f"  [{self.against}]" if self.against else ""
        return f"{mark}  {self.what}: {shown}{beside}"


def _digits(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


class Measures(Protocol):
    """The function `figures` that every bench module has."""

    def __call__(self, *, quick: bool) -> Iterator[Figure]: ...


def in_turns(times: int, *measures: Callable[[], T]) -> Iterator[tuple[T, ...]]:
    """What the measures say, one after the other in each turn; a turn before warms them up.

    So what slows the machine for a while slows all that is compared.
    """
    for measure in measures:
        measure()
    for _ in range(times):
        yield tuple(measure() for measure in measures)


def report(figures: Iterable[Figure], *, quick: bool) -> int:
    """Print figures as they come; the exit code says whether one is (quick: far) off."""
    code = 0
    for figure in figures:
        print(figure, flush=True)
        if figure.far_off if quick else not figure.holds:
            code = 1
    return code


def run_alone(figures: Measures) -> NoReturn:
    """Be the program of one module: `python -m tests.bench.bench_x [--quick]`."""
    quick = "--quick" in sys.argv
    sys.exit(report(figures(quick=quick), quick=quick))
