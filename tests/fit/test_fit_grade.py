"""The estimate and the placement are held against the engine's own figures."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fit import grade, hand_made, rows
from tests.fit.grade import Bound


@pytest.fixture(scope="module")
def bounds() -> list[Bound]:
    return grade.grade(rows.MEASUREMENTS, rows.PLACEMENTS, rows.HEADERS)


def test_every_bound_holds_on_the_measurements_at_hand(bounds: list[Bound]) -> None:
    """Each bound was measured on some cases, and holds."""
    failed = {f"{bound.subject}: {bound.limit}" for bound in bounds if bound.failed}

    assert failed == set()
    assert all(bound.errors for bound in bounds)


def test_what_was_to_reach_for_is_reached(bounds: list[Bound]) -> None:
    """Laying out the graph is better than a factor, so the harder bounds hold too."""
    wished = [bound for bound in bounds if not bound.must_hold]

    assert len(wished) == 3
    assert [bound.verdict for bound in wished] == ["holds"] * 3


@pytest.mark.parametrize("case", hand_made.CASES, ids=lambda case: f"{case.kind} {case.header}")
def test_cases_by_hand(case: hand_made.Case) -> None:
    """Nothing on the GPU, too little anywhere, and parts on several GPUs are told apart."""
    placed = case.placed()

    assert (placed.verdict, placed.layers_by_gpu) == (case.verdict, case.layers_by_gpu)


def test_a_bound_without_cases_does_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files without rows of a kind leave its bounds "not measured", and the grade fails."""
    measurements = _copy(rows.MEASUREMENTS, tmp_path, lambda row: row["id"] == "m0289")
    placements = _copy(rows.PLACEMENTS, tmp_path, lambda row: row["id"] == "f0007")

    code = grade.main([str(measurements), str(placements), str(rows.HEADERS)])

    printed = capsys.readouterr().out
    assert code == 1
    assert "published: total" in printed
    assert "not measured" in printed


def test_a_wrong_estimate_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that says something else is seen."""

    def spoiled(row: rows.Row) -> bool:
        if row["id"] == "m0289":
            row["gpu_weights_mib"] = str(float(row["gpu_weights_mib"]) + 1)
        return row["id"] == "m0289"

    measurements = _copy(rows.MEASUREMENTS, tmp_path, spoiled)
    placements = _copy(rows.PLACEMENTS, tmp_path, lambda row: row["id"] == "f0007")

    code = grade.main([str(measurements), str(placements), str(rows.HEADERS)])

    line = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("weights ")
    )
    assert code == 1
    assert line.endswith("FAILS")


def _copy(path: Path, folder: Path, keep: Callable[[rows.Row], bool]) -> Path:
    kept = [row for row in rows.read(path) if row.get("kind") != "published" and keep(row)]
    copy = folder / path.name
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, kept[0].keys())
        writer.writeheader()
        writer.writerows(kept)
    return copy
