"""Holds the estimate and the placement against measurements.

    python -m tests.fit.grade MEASUREMENTS.csv PLACEMENTS.csv HEADERS_DIR

prints a row for each bound with the number of cases, and exits 0 only if all of them hold.
Without arguments it takes the files beside it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelwidgets.fit_records import Placement
from modelwidgets.memory.estimate import DeviceBytes, device_bytes
from modelwidgets.memory.placement import place
from tests.fit import hand_made, rows
from tests.fit.rows import MIB, Row

EXACT_MIB = 0.002
ODD_WIDTH_MIB = 32 / 1024
PUBLISHED_SINCE = (2026, 6)
PUBLISHED_MIB = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One line of the grade; `errors` are what is measured, a number a case."""

    subject: str
    limit: str
    errors: Sequence[float]
    held: Callable[[Sequence[float]], bool]
    must_hold: bool = True

    @property
    def verdict(self) -> str:
        if not self.errors:
            return "not measured"
        if self.held(self.errors):
            return "holds"
        return "FAILS" if self.must_hold else "not reached"

    @property
    def failed(self) -> bool:
        return self.must_hold and self.verdict != "holds"


def share_within(errors: Sequence[float], limit: float) -> float:
    return sum(error <= limit for error in errors) / len(errors)


def quantile(errors: Iterable[float], part: float) -> float:
    ordered = sorted(errors)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def all_within(limit: float) -> Callable[[Sequence[float]], bool]:
    return lambda errors: max(errors) <= limit


def part_within(part: float, limit: float) -> Callable[[Sequence[float]], bool]:
    return lambda errors: share_within(errors, limit) >= part


def grade(measurements: Path, placements: Path, headers: Path) -> list[Bound]:
    """All bounds, measured on these files."""
    measured = rows.read(measurements)
    dry = [_Dry(row, headers) for row in measured if row["kind"] == "dryrun"]
    published = [row for row in measured if row["kind"] == "published"]
    placed = [_Placed(row, headers) for row in rows.read(placements)]
    return [
        *_exact(dry),
        *_one_gpu(dry),
        *_several_gpus(dry),
        *_partial(dry),
        *_placement(placed),
        *_by_hand(),
        *_published(published, headers),
    ]


class _Dry:
    """A dry run of the engine beside our estimate of it."""

    def __init__(self, row: Row, headers: Path) -> None:
        self.row = row
        model = rows.model(headers, row["header"])
        self.layout = rows.layout_of(row, model.layer_count)
        parts, _ = device_bytes(model, self.layout, rows.run_of(row))
        self.gpus: list[DeviceBytes] = parts[:-1]
        self.ram: DeviceBytes = parts[-1]
        self.is_full = self.layout.gpu_layers == model.layer_count + 1

    def gaps(self, column: str, host: str, sizes: Callable[[DeviceBytes], int]) -> list[float]:
        found = [
            abs(ours - theirs)
            for ours, theirs in rows.pairs(self.row, column, [sizes(gpu) for gpu in self.gpus])
        ]
        return [*found, abs(sizes(self.ram) / MIB - float(self.row[host] or 0))]

    def errors(self, column: str, sizes: Callable[[DeviceBytes], int]) -> list[float]:
        """Per cent, for each GPU."""
        return [
            abs(ours - theirs) / theirs * 100
            for ours, theirs in rows.pairs(self.row, column, [sizes(gpu) for gpu in self.gpus])
        ]


def _compute_errors(dry: Iterable[_Dry]) -> list[float]:
    return [
        error for one in dry for error in one.errors("gpu_compute_mib", lambda part: part.compute)
    ]


def _exact(dry: list[_Dry]) -> list[Bound]:
    weights = [
        max(one.gaps("gpu_weights_mib", "host_weights_mib", lambda part: part.weights))
        for one in dry
    ]
    cache: list[float] = []
    odd: list[float] = []
    for one in dry:
        model_gap = max(
            one.gaps("gpu_kv_mib", "host_context_mib", lambda part: part.attention + part.state)
        )
        quantized = one.row["type_k"].startswith("q") or one.row["type_v"].startswith("q")
        (odd if quantized else cache).append(model_gap)
    return [
        Bound(
            subject="weights",
            limit=f"every row within {EXACT_MIB} MiB",
            errors=weights,
            held=all_within(EXACT_MIB),
        ),
        Bound(
            subject="KV cache",
            limit=f"every row within {EXACT_MIB} MiB",
            errors=cache,
            held=all_within(EXACT_MIB),
        ),
        Bound(
            subject="KV cache, quantized",
            limit="every row within 32 KiB",
            errors=odd,
            held=all_within(ODD_WIDTH_MIB),
        ),
    ]


def _one_gpu(dry: list[_Dry]) -> list[Bound]:
    full = [one for one in dry if len(one.gpus) == 1 and one.is_full]
    total = [error for one in full for error in one.errors("gpu_total_mib", lambda p: p.total)]
    bound = partial(Bound, subject="one GPU: total", errors=total)
    return [
        bound(limit="median 0.00 %", held=lambda errors: quantile(errors, 0.5) < 0.005),
        bound(limit="95 % within 0.05 %", held=part_within(0.95, 0.05)),
        bound(limit="worst 0.5 %", held=all_within(0.5)),
        Bound(
            subject="one GPU: compute",
            limit="95 % within 1.3 %",
            errors=_compute_errors(full),
            held=part_within(0.95, 1.3),
        ),
    ]


def _several_gpus(dry: list[_Dry]) -> list[Bound]:
    several = [one for one in dry if len(one.gpus) > 1 and one.is_full]
    bound = partial(Bound, subject="several GPUs: compute", errors=_compute_errors(several))
    return [
        bound(limit="90 % within 3.5 %", held=part_within(0.9, 3.5)),
        bound(limit="worst 7 %", held=all_within(7)),
    ]


def _partial(dry: list[_Dry]) -> list[Bound]:
    some = [one for one in dry if one.gpus and not one.is_full]
    bound = partial(Bound, subject="partial offload: compute", errors=_compute_errors(some))
    wish = partial(bound, must_hold=False)
    return [
        bound(limit="median within 9 %", held=lambda errors: quantile(errors, 0.5) <= 9),
        bound(limit="90 % within 31 %", held=part_within(0.9, 31)),
        wish(
            limit="to reach for: median within 5 %",
            held=lambda errors: quantile(errors, 0.5) <= 5,
        ),
        wish(limit="to reach for: 90 % within 20 %", held=part_within(0.9, 20)),
    ]


class _Placed:
    """What the engine decided beside what we say it decides."""

    def __init__(self, row: Row, headers: Path) -> None:
        self.row = row
        model = rows.model(headers, row["header"])
        self.ours: Placement = place(model, rows.run_of(row), rows.gpus_of(row))
        self.is_dense = not model.shape.is_moe
        self.gpu_count = len(rows.gpus_of(row))
        self.off = abs(self.ours.gpu_layers - int(row["n_gpu_layers"]))

    @property
    def wrong(self) -> float:
        return float(self.ours.verdict != self.row["verdict"])

    @property
    def wrong_fullness(self) -> float:
        return float((self.ours.verdict == "full") != (self.row["verdict"] == "full"))


def _placement(placed: list[_Placed]) -> list[Bound]:
    dense = [one for one in placed if one.is_dense and one.gpu_count == 1]
    others = [one for one in placed if not (one.is_dense and one.gpu_count == 1)]
    off = [float(one.off) for one in dense if one.row["verdict"] != "full"]
    bound = partial(Bound, subject="dense layers on one GPU", errors=off)
    return [
        Bound(
            subject="placement: full or not",
            limit="right in every row",
            errors=[one.wrong_fullness for one in placed],
            held=all_within(0),
        ),
        bound(limit="78 % exact", held=part_within(0.78, 0)),
        bound(limit="all within one", held=all_within(1)),
        bound(limit="to reach for: 95 % exact", held=part_within(0.95, 0), must_hold=False),
        Bound(
            subject="several GPUs and MoE: verdict",
            limit="90 % right",
            errors=[one.wrong for one in others],
            held=part_within(0.9, 0),
        ),
        Bound(
            subject="several GPUs and MoE: layers",
            limit="all within two",
            errors=[float(one.off) for one in others],
            held=all_within(2),
        ),
    ]


def _by_hand() -> list[Bound]:
    return [
        Bound(
            subject=f"by hand: {kind}",
            limit="every case right",
            errors=[float(not case.holds()) for case in hand_made.CASES if case.kind == kind],
            held=all_within(0),
        )
        for kind in hand_made.KINDS
    ]


def _published(published: list[Row], headers: Path) -> list[Bound]:
    errors = []
    for row in published:
        parts = [rows.numbers(row, f"gpu_{part}_mib") for part in ("weights", "kv", "compute")]
        total = rows.numbers(row, "gpu_total_mib")
        if not row["header"] or not _recent(row["engine"]) or not (total or all(parts)):
            continue
        measured = sum(total) if total else sum(sum(part) for part in parts)
        model = rows.model(headers, row["header"])
        found, _ = device_bytes(model, rows.layout_of(row, model.layer_count), rows.run_of(row))
        gap = abs(sum(part.total for part in found[:-1]) / MIB - measured)
        errors.append(min(gap / measured / 0.03, gap / PUBLISHED_MIB))
    return [
        Bound(
            subject="published: total",
            limit="each within 3 % or 200 MiB",
            errors=errors,
            held=all_within(1),
        )
    ]


def _recent(engine: str) -> bool:
    dated = re.search(r"(20\d\d)-(\d\d)", engine)
    return dated is not None and (int(dated[1]), int(dated[2])) >= PUBLISHED_SINCE


def show(bounds: list[Bound]) -> str:
    lines = [f"{'subject':32} {'bound':34} {'cases':>6} {'median':>9} {'90 %':>9} {'worst':>9}"]
    for bound in bounds:
        figures = (
            "".join(f"{quantile(bound.errors, part):10.4f}" for part in (0.5, 0.9, 1))
            if bound.errors
            else " " * 30
        )
        lines.append(
            f"{bound.subject:32} {bound.limit:34} {len(bound.errors):6}{figures}  {bound.verdict}"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    if len(arguments) not in (0, 3):
        print(__doc__)
        return 2
    paths = [Path(argument) for argument in arguments]
    bounds = grade(*(paths or (rows.MEASUREMENTS, rows.PLACEMENTS, rows.HEADERS)))
    print(show(bounds))
    failed = sum(bound.failed for bound in bounds)
    print(f"{failed} of {sum(bound.must_hold for bound in bounds)} bounds do not hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
