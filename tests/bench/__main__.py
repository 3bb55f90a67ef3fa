"""All figures, measured side by side in one run: `make bench`, `make bench QUICK=1`.

    python -m tests.bench [--quick] [name ...]

A name is that of a file without its `bench_`. Exits 1 where a figure is over its bound (quick: over
three times its bound), 2 where a name is unknown.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence

from tests.bench.figures import Figure, report


def main(*words: str, package: str = "tests.bench") -> int:
    quick = "--quick" in words
    wanted = [word for word in words if word != "--quick"]
    files = pkgutil.iter_modules(importlib.import_module(package).__path__)
    names = [file.name for file in files]
    known = [name.removeprefix("bench_") for name in names if name.startswith("bench_")]
    if unknown := [word for word in wanted if word not in known]:
        print(f"There is no {', '.join(unknown)}; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    modules = [f"{package}.bench_{name}" for name in wanted or known]
    return report(_all(modules, quick=quick), quick=quick)


def _all(modules: Sequence[str], *, quick: bool) -> Iterator[Figure]:
    for module in modules:
        yield from importlib.import_module(module).figures(quick=quick)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
