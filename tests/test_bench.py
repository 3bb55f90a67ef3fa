"""The frame of `make bench`: what fails a run, and which figures are measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.figures import in_turns

MODULE = """
from tests.bench.figures import Figure

def figures(*, quick):
    yield Figure(what="{what}", value={value}, bound=10, unit="ms" if quick else "ms, whole")
"""


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of three modules, and a file that is none."""
    package = tmp_path / "some_benches"
    package.mkdir()
    for name, value in {"bench_well": 9, "bench_over": 11, "bench_far": 31, "helper": 99}.items():
        (package / f"{name}.py").write_text(MODULE.format(what=f"cost of {name}", value=value))
    monkeypatch.syspath_prepend(tmp_path)
    yield package.name
    for loaded in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[loaded]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["well"], 0),
        (["over"], 1),
        (["--quick", "over"], 0),
        (["--quick", "far"], 1),
        (["--quick", "well", "over"], 0),
        ([], 1),
    ],
)
def test_a_figure_over_its_bound_fails_a_run_and_far_over_it_a_quick_one(
    words: list[str], code: int, benches: str
) -> None:
    """So a busy machine does not fail a quick look, and a real loss of speed does."""
    assert main(*words, package=benches) == code


def test_names_select_what_is_measured(benches: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line says what, how much, and whether it holds; files of another name are no bench."""
    main("over", "well", package=benches)
    named = capsys.readouterr().out
    main("--quick", package=benches)
    everything = capsys.readouterr().out

    assert named == (
        "OVER  cost of bench_over: 11 ms, whole (at most 10)\n"
        "ok    cost of bench_well: 9 ms, whole (at most 10)\n"
    )
    assert everything.count(" ms (at most 10)") == 3
    assert "helper" not in everything


def test_an_unknown_name_is_refused_with_the_known_ones(
    benches: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing mistake must not look like a run without losses."""
    code = main("wel", "far", package=benches)

    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "There is no wel; there are far, over, well.\n"


def test_what_is_compared_takes_turns_after_a_turn_that_does_not_count() -> None:
    """A slow moment of the machine meets both sides."""
    ran: list[str] = []

    def measure(name: str) -> Callable[[], int]:
        def run() -> int:
            ran.append(name)
            return len(ran)

        return run

    turns = list(in_turns(2, measure("ours"), measure("theirs")))

    assert ran == ["ours", "theirs"] * 3
    assert turns == [(3, 4), (5, 6)]
