"""Marks of rows, held against the reports of the same models."""

from __future__ import annotations

import pytest

from modelwidgets.library import Catalog, load_catalog
from modelwidgets.memory.given import devices_from
from modelwidgets.memory.judge import Machine, judged
from modelwidgets.memory.marks import Marker
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.outline import outlined

MACHINES = {
    "none": ((), "16GiB"),
    "8 GiB": (("8GiB",), "16GiB"),
    "24 GiB": (("24GiB",), "64GiB"),
    "two": (("12GiB", "12GiB"), "64GiB"),
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.mark.parametrize("name", MACHINES)
def test_marks_say_what_reports_say(catalog: Catalog, name: str) -> None:
    """But for few at the border; and what fits whole needs what the report says, to a per cent."""
    devices, ram = MACHINES[name]
    machine = Machine.of(devices_from(devices, ram=ram))
    marker = Marker(machine)
    tags = [tag for model in catalog.models for tag in model.tags if tag.architecture][::9]
    differing, far = [], []
    for tag in tags:
        dimensions = catalog.architectures[tag.architecture or ""]
        size, projector = tag.size_bytes or 0, tag.projector_bytes or 0
        mark = marker.mark(
            dimensions, size, projector_bytes=projector, longest_context=tag.context_length
        )
        known = {**dimensions, "context_length": tag.context_length or 0}
        whole = judged(outlined(known, size, projector_bytes=projector), OllamaRequest(), machine)
        if mark.verdict != whole.run.placement.verdict:
            differing.append(tag.name)
        elif mark.verdict == "full" and mark.needed_bytes != pytest.approx(
            whole.total_bytes, rel=0.01
        ):
            far.append(tag.name)

    assert len(tags) > 80
    assert len(differing) <= len(tags) // 40, differing
    assert len(far) <= len(tags) // 20, far


def test_what_fits_depends_on_whether_there_is_a_gpu() -> None:
    """Beside a GPU that is too small, what the CPU runs does not count as fitting."""
    machines = [devices_from(names, ram="64GiB") for names in ((), ("24GiB",), ("2GiB",))]

    marks = [Marker(Machine.of(one)).mark(None, 5 << 30) for one in machines]

    assert [(mark.verdict, mark.fits) for mark in marks] == [
        ("cpu", True),
        ("full", True),
        ("cpu", False),
    ]
