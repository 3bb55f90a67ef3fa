"""All figures, measured side by side in one run: `make bench`, `make bench QUICK=1`.

Exits 1 where a figure is over its bound (quick: over three times its bound).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, report


def main(*words: str) -> int:
    quick = "--quick" in words
    wanted = [word for word in words if not word.startswith("--")]
    return report(_all(wanted, quick=quick), quick=quick)


def _all(wanted: list[str], *, quick: bool) -> Iterator[Figure]:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        name = module.name.removeprefix("bench_")
        if name != module.name and (not wanted or name in wanted):
            yield from importlib.import_module(f"tests.bench.{module.name}").figures(quick=quick)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
