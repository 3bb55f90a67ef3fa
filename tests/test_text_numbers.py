"""Sizes, durations and dates as a person reads them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from modelwidgets.sizes import gb, gb_of, gib, percent
from modelwidgets.text import ago, duration, moment, parameters
from tests.text_records import GIB, NOW


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (274_302_450, "274 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.0 GB"),
        (2_019_393_189, "2.0 GB"),
        (41_300_000_000, "41.3 GB"),
        (99_940_000_000, "99.9 GB"),
        (312_000_000_000, "312 GB"),
        (1_820_000_000_000, "1.8 TB"),
    ],
)
def test_sizes_on_disk(size_bytes: int | None, text: str) -> None:
    """Disk and downloads read in powers of 1000; a size that is not known is not zero."""
    assert gb(size_bytes) == text


def test_progress_is_told_in_the_unit_of_the_whole() -> None:
    """Two sizes compare at a glance; without a total only the first is told."""
    assert gb_of(4_700_000_000, 8_100_000_000) == "4.7 of 8.1 GB"
    assert gb_of(50_000_000, 8_100_000_000) == "0.1 of 8.1 GB"
    assert gb_of(0, 0) == "0 of 0 B"
    assert gb_of(50_000_000, None) == "50 MB"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "unknown"),
        (0, "0.0 GiB"),
        (GIB // 2, "0.5 GiB"),
        (24 * GIB, "24.0 GiB"),
        (24_000_000_000, "22.4 GiB"),
        (512 * GIB, "512 GiB"),
    ],
)
def test_sizes_in_memory(size_bytes: int | None, text: str) -> None:
    """Memory reads in powers of 1024."""
    assert gib(size_bytes) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""),
        (0, "0"),
        (900, "900"),
        (22_700_000, "22.7 M"),
        (136_727_040, "137 M"),
        (960_000_000, "960 M"),
        (999_900_000, "1 B"),
        (3_212_749_888, "3.2 B"),
        (7_000_000_000, "7 B"),
        (671_026_419_200, "671 B"),
        (1_026_000_000_000, "1 T"),
    ],
)
def test_numbers_of_weights(count: int | None, text: str) -> None:
    """Parameters read as model makers write them."""
    assert parameters(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-3, "0 s"),
        (0.4, "0 s"),
        (58.6, "59 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (47 * 3600, "47 h 0 min"),
        (72 * 3600, "3 days"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Two units at the most say how long."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=2, minutes=50), "2 h ago"),
        (timedelta(days=3), "3 d ago"),
        (timedelta(days=60), "60 d ago"),
        (timedelta(days=61), "2 months ago"),
        (timedelta(days=730), "23 months ago"),
        (timedelta(days=1200), "3 years ago"),
        (timedelta(days=-400), "2027-04-05 12:03 UTC"),
    ],
)
def test_how_long_ago(past: timedelta, text: str) -> None:
    """One unit says how long ago; a clock that is far ahead is shown as what it says."""
    assert ago(NOW - past, NOW) == text


def test_dates_read_the_same_everywhere() -> None:
    """A saved page tells UTC, whatever zone the server lives in, to the last date there is."""
    berlin = timezone(timedelta(hours=1))

    assert moment(NOW.astimezone(berlin)) == "2026-03-01 12:03 UTC"
    assert ago(NOW.astimezone(berlin), NOW) == "just now"
    assert moment(None) == ago(None, NOW) == ""
    assert (
        moment(datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))))
        == "9999-12-31 23:59 -1200"
    )


@pytest.mark.parametrize(
    ("part", "total", "text"),
    [
        (0, 10, "0.0%"),
        (4_700, 8_100, "58.0%"),
        (10**18 - 1, 10**18, "99.9%"),
        (10, 10, "100.0%"),
        (11, 10, "100.0%"),
        (0, 0, "100.0%"),
    ],
)
def test_percent_never_promises_more(part: int, total: int, text: str) -> None:
    """100.0% stands for everything and nothing less."""
    assert percent(part, total) == text
