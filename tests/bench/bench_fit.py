"""What it costs to say whether models fit: all rows of the catalog, one placement, a whole report.

Each run is a process of its own in which nothing was worked out before; imports, the catalog and
the header are there already. CPU is what counts: a page waits for it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, in_turns, run_alone
from tests.bench.processes import ROOT, own_folder, said, usual

VERDICTS_MS, PLACEMENT_MS, REPORT_MS = 50, 10, 100
HEADERS = ROOT / "tests" / "fit" / "data" / "headers"

VERDICTS = """
import time
from modelwidgets import library
from modelwidgets.memory.given import devices_from
from modelwidgets.memory.judge import Machine
from modelwidgets.memory.marks import Marker
catalog = library.load_catalog()
machine = Machine.of(devices_from(["12GiB"], ram="64GiB"))
tags = [(catalog.architectures.get(tag.architecture or ""), tag)
        for model in catalog.models for tag in model.tags if tag.size_bytes]
began = time.process_time()
marker = Marker(machine)
for dimensions, tag in tags:
    marker.mark(dimensions, tag.size_bytes, longest_context=tag.context_length)
print((time.process_time() - began) * 1e3, len(tags))
"""
PLACEMENT = """
import sys, time
from pathlib import Path
from modelwidgets.gguf import read_header
from modelwidgets.memory.given import devices_from
from modelwidgets.memory.judge import Machine, Subject, judged
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.report import report
from modelwidgets.memory.sized_model import SizedModel
header, devices = read_header(Path(sys.argv[1])), devices_from([sys.argv[2]], ram="64GiB")
request = OllamaRequest(context_length=8192)
def subject():
    return Subject(name="a:b", model=SizedModel.from_header(header), request=request)
one, two = subject(), subject()
began = time.process_time()
found = judged(one.model, request, Machine.of(devices))
placed = time.process_time()
report(two, devices)
reported = time.process_time()
assert found.run.placement.verdict in ("partial", "moe-partial")
print((placed - began) * 1e3, (reported - placed) * 1e3)
"""


def figures(*, quick: bool) -> Iterator[Figure]:
    times = 2 if quick else 7
    with own_folder() as folder:
        env = usual(Path(folder))
        said(VERDICTS, env)  # the catalog is parsed once
        rounds = list(in_turns(times, lambda: said(VERDICTS, env)))
        taken, (count, *_) = zip(*(values for (values,) in rounds), strict=True)
        yield Figure(
            what=f"verdicts for the {count:.0f} rows of the catalog, CPU",
            value=statistics.median(taken),
            bound=VERDICTS_MS,
            unit="ms",
        )
        for name, gpu in (("llama3.1-8b-Q4_K_M", "6GiB"), ("qwen3-30b-a3b-Q4_K_M", "12GiB")):
            head = str(HEADERS / f"{name}.head")

            def measure(head: str = head, gpu: str = gpu) -> list[float]:
                return said(PLACEMENT, env, head, gpu)

            placed, reported = (
                statistics.median(column)
                for column in zip(*(values for (values,) in in_turns(times, measure)), strict=True)
            )
            if name.startswith("llama"):
                yield Figure(
                    what=f"place {name} partly on {gpu}, CPU",
                    value=placed,
                    bound=PLACEMENT_MS,
                    unit="ms",
                )
            yield Figure(
                what=f"report {name} on {gpu} with what would help, CPU",
                value=reported,
                bound=REPORT_MS,
                unit="ms",
                against=f"its placement alone {placed:.0f} ms",
            )


if __name__ == "__main__":
    run_alone(figures)
