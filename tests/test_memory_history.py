"""The line of GPU memory: what was seen, no more and no less."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.memory.history import MemoryHistory

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CARD = Gpu(
    index=0,
    name="Card",
    uuid="GPU-1",
    total_bytes=24,
    free_bytes=20,
    unified=False,
    error=None,
)
ONE = Devices(gpus=(CARD,), driver=None, reason=None, ram_total_bytes=64, ram_available_bytes=32)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def with_free(*free: int | None) -> Devices:
    return replace(
        ONE,
        gpus=tuple(replace(CARD, index=n, free_bytes=one) for n, one in enumerate(free)),
    )


def test_samples_keep_their_moments_for_ten_minutes() -> None:
    """So that what was not seen is a hole of the line, and the line has an end."""
    history = MemoryHistory()
    history.add(with_free(20), at(0))
    history.add(with_free(None), at(300))

    kept = history.add(with_free(7), at(601))

    assert [(one.at, one.free_bytes) for one in kept] == [(at(300), (None,)), (at(601), (7,))]


def test_a_thousand_refreshes_are_bounded() -> None:
    """Ten clicks in a row are one sample."""
    history = MemoryHistory()
    for tenth in range(20_000):
        kept = history.add(with_free(20), at(tenth / 10))

    assert 100 <= len(kept) <= 121


def test_several_gpus_have_a_value_each() -> None:
    """In their order."""
    assert MemoryHistory().add(with_free(1, None, 3), at(0))[0].free_bytes == (1, None, 3)


def test_other_gpus_begin_a_line_of_their_own() -> None:
    """A card that came or went moves the places of all others."""
    history = MemoryHistory()
    history.add(with_free(20), at(0))
    two = history.add(with_free(20, 20), at(10))
    none = history.add(None, at(20))

    assert [one.at for one in two] == [at(10)]
    assert none == ()


def test_a_machine_without_a_gpu_has_no_line() -> None:
    """Not one of empty samples either."""
    assert MemoryHistory().add(replace(ONE, gpus=()), at(0)) == ()


def test_a_clock_that_was_set_back_begins_again() -> None:
    """A line does not run backwards."""
    history = MemoryHistory()
    history.add(with_free(20), at(3600))

    assert [one.at for one in history.add(with_free(19), at(0))] == [at(0)]
