"""What opening the catalog costs: CPU of `load_catalog()` at first, and later through its copy.

    python -m tests.bench.bench_catalog

Each run is a process of its own with an empty home, so nothing is loaded before. Beside it stands
what PyYAML alone takes for the same file, and what importing the modules costs, which a kernel has
mostly paid already (asyncio, dataclasses, platformdirs).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.isolation import environment

RUNS = 5
FIRST_MS, LATER_MS = 400, 30
CATALOG = Path(__file__).parents[2] / "catalog.yaml"

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
imported = time.process_time()
with open(sys.argv[1], encoding="utf-8") as file:
    yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
print((imported - started) * 1e3, (time.process_time() - imported) * 1e3)
"""


def cpu_ms(code: str, home: Path) -> tuple[float, float]:
    """CPU of the imports and of the work, in a process that has not seen the file."""
    run = subprocess.run(
        [sys.executable, "-c", code, str(CATALOG)],
        env=environment(home),
        cwd=CATALOG.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    imports, work = map(float, run.stdout.split())
    return imports, work


def main() -> None:
    first, later, plain, imports = [], [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            first.append(cpu_ms(LOAD, home)[1])
            loaded, spent = cpu_ms(LOAD, home)
            imports.append(loaded)
            later.append(spent)
            plain.append(sum(cpu_ms(PYYAML, home)))
    print(
        f"catalog at first: {statistics.median(first):4.0f} ms CPU (limit {FIRST_MS}; "
        f"import yaml and its C loader alone {statistics.median(plain):.0f})"
    )
    print(
        f"catalog later:    {statistics.median(later):4.0f} ms CPU (limit {LATER_MS}; "
        f"importing the modules {statistics.median(imports):.0f} before that)"
    )


if __name__ == "__main__":
    main()
