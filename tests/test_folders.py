"""Where the user's files lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwidgets import folders

ALL = {
    "CONFIG": folders.config_folder,
    "CACHE": folders.cache_folder,
    "STATE": folders.state_folder,
    "DATA": folders.data_folder,
}


@pytest.mark.parametrize("kind", ALL)
def test_the_variable_moves_the_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MODELWIDGETS_..._DIR` wins over the system's place, and `~` in it means home."""
    monkeypatch.setenv(f"MODELWIDGETS_{kind}_DIR", "~/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    folder = ALL[kind]()

    assert folder == tmp_path / "mine"
    assert folder.is_dir()


@pytest.mark.parametrize("kind", ALL)
def test_without_it_the_system_says_where(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unset or empty variable means the usual place of this system, under our name."""
    monkeypatch.setenv(f"MODELWIDGETS_{kind}_DIR", "")

    folder = ALL[kind](create=False)

    assert "modelwidgets" in folder.parts
    assert folder.is_relative_to(tmp_path)


@pytest.mark.parametrize("look", ALL.values(), ids=ALL)
def test_a_reader_makes_no_folder(look: Callable[..., Path]) -> None:
    """Looking for a file changes nothing on disk; writing makes the folder, for its user alone."""
    assert not look(create=False).exists()

    made = look()

    assert made.is_dir()
    if os.name == "posix":
        assert made.stat().st_mode & 0o777 == 0o700


def test_a_relative_path_does_not_follow_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel changes its folder; what it was told at first is made whole at once."""
    monkeypatch.setenv("MODELWIDGETS_STATE_DIR", "state-here")
    monkeypatch.chdir(tmp_path)

    assert folders.state_folder() == tmp_path / "state-here"
