"""The graph of every architecture that counts as known is the engine's graph."""

from __future__ import annotations

import pytest

from modelwidgets.memory.estimate import device_bytes
from modelwidgets.memory.families import KNOWN
from tests.fit import rows
from tests.fit.rows import MIB, Row

TABLE = rows.DATA / "architectures.csv"
HEADERS = rows.DATA / "architectures"
ROWS = rows.read(TABLE)
ROUGH = {"granitehybrid": 0.15}
"""How far compute may be off: one partial layout of nine leaves a gap that is not explained."""


@pytest.mark.parametrize("name", sorted({row["header"] for row in ROWS}))
def test_buffers_are_those_of_the_engine(name: str) -> None:
    """Weights, cache and compute on each GPU: full, partial, on two, quantized, four at once."""
    for row in ROWS:
        if row["header"] == name:
            check(row)


def test_every_known_architecture_was_compared() -> None:
    """None counts as known without a measurement beside it."""
    measured = {row["arch"] for row in ROWS} | {
        row["arch"] for row in rows.read(rows.MEASUREMENTS) if row["kind"] == "dryrun"
    }

    assert measured == KNOWN


def check(row: Row) -> None:
    model = rows.model(HEADERS, row["header"])

    parts, compute = device_bytes(model, rows.layout_of(row, model.layer_count), rows.run_of(row))

    assert compute.known
    for column, sizes in {
        "gpu_weights_mib": [part.weights for part in parts[:-1]],
        "gpu_kv_mib": [part.attention + part.state for part in parts[:-1]],
    }.items():
        for ours, theirs in rows.pairs(row, column, sizes):
            assert ours == pytest.approx(theirs, abs=0.002), (row["id"], column)
    allowed = ROUGH.get(row["arch"], 0.001)
    buffers = [part.compute for part in parts[:-1]]
    for ours, theirs in rows.pairs(row, "gpu_compute_mib", buffers):
        assert ours == pytest.approx(theirs, rel=allowed), row["id"]
    ram = parts[-1]
    assert ram.weights / MIB == pytest.approx(float(row["host_weights_mib"]), abs=0.002)
