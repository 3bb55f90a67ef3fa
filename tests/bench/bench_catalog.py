"""What opening the catalog costs: CPU of `load_catalog()` at first, and later through its copy.

Each run is a process of its own with an empty home, so nothing is loaded before. Beside it stands
what PyYAML alone takes for the same file, and what importing the modules costs, which a kernel has
mostly paid already (asyncio, dataclasses, platformdirs).
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, in_turns, run_alone
from tests.bench.processes import ROOT, said, usual

FIRST_MS, LATER_MS = 400, 30
CATALOG = str(ROOT / "catalog.yaml")

LOAD = """
import time
started = time.process_time()
from modelwidgets import library
imported = time.process_time()
library._SHIPPED_COPY = None  # as in a checkout after an edit
catalog = library.load_catalog()
loaded = time.process_time()
assert len(catalog.models) == 224 and not catalog.problems
print((imported - started) * 1e3, (loaded - imported) * 1e3)
"""
PYYAML = """
import sys, time
started = time.process_time()
import yaml
with open(sys.argv[1], encoding="utf-8") as file:
    yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
print((time.process_time() - started) * 1e3)
"""


def figures(*, quick: bool) -> Iterator[Figure]:
    turns = [values for (values,) in in_turns(2 if quick else 7, turn)]
    first, later, plain, imports = map(statistics.median, zip(*turns, strict=True))
    yield Figure(
        what="load_catalog() at first, CPU",
        value=first,
        bound=FIRST_MS,
        unit="ms",
        against=f"import yaml and its C loader alone {plain:.0f} ms",
    )
    yield Figure(
        what="load_catalog() later, CPU",
        value=later,
        bound=LATER_MS,
        unit="ms",
        against=f"importing the modules before that {imports:.0f} ms",
    )


def turn() -> tuple[float, float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        env = usual(Path(folder))
        _, first = said(LOAD, env)
        imports, later = said(LOAD, env)
        (plain,) = said(PYYAML, env, CATALOG)
    return first, later, plain, imports


if __name__ == "__main__":
    run_alone(figures)
